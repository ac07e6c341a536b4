//! How the server is, for machines: alive, ready, and in figures.
//!
//! `/livez` says that the process answers. `/readyz` asks what it needs. `/metrics` counts. What
//! they tell of the inside is for this machine and for admins; others hear yes or no.

use crate::{metrics::Figures, peer::Peer, state::Console};
use axum::{
    Json,
    extract::{Extension, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control::Asked;
use domain::{
    role::{Action, Protection, Scope},
    target::{Finding, Verdict},
};
use serde::Serialize;
use std::{error::Error, sync::Arc, time::Duration};
use store::Pool;
use targets::Target;
use tokio::time::timeout;

/// How long each question may take.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// What is asked when somebody wants to know whether we are ready.
#[derive(Clone, Debug)]
pub struct Health {
    pub pool: Pool,
    pub target: Arc<dyn Target>,
}

/// One answer of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub name: String,
    pub ok: bool,
    /// Whether we are not ready without it.
    pub matters: bool,
    /// What to know, in a sentence.
    pub says: String,
}

impl Part {
    fn new(name: &str, ok: bool, matters: bool, says: impl Into<String>) -> Self {
        Self { name: name.to_owned(), ok, matters, says: says.into() }
    }
}

/// Answers as long as the process does.
pub async fn livez() -> &'static str {
    "alive\n"
}

/// Answers 503 when something that matters is missing.
pub async fn readyz(
    State(console): State<Console>,
    Extension(peer): Extension<Peer>,
    Extension(asked): Extension<Option<Asked>>,
) -> Response {
    // What a target says does not matter for being ready, so nobody is let ask it who is not told.
    let inside = may_look_inside(&peer, asked.as_ref());
    let parts = parts(&console, inside).await;
    let ready = parts.iter().all(|part| part.ok || !part.matters);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !inside {
        return (status, if ready { "ready\n" } else { "not ready\n" }).into_response();
    }
    (status, Json(Said { ready, parts })).into_response()
}

#[derive(Serialize)]
struct Said {
    ready: bool,
    parts: Vec<Part>,
}

async fn parts(console: &Console, inside: bool) -> Vec<Part> {
    let target =
        async { if inside { target(console.health.target.as_ref()).await } else { Vec::new() } };
    let (mut parts, target) = tokio::join!(database(&console.health.pool), target);
    parts.extend(target);
    if console.stop.is_cancelled() {
        parts.push(Part::new("server", false, true, "It was told to stop."));
    }
    parts
}

async fn database(pool: &Pool) -> Vec<Part> {
    let asked = async {
        let mut conn = pool.acquire().await.map_err(store::Error::from)?;
        let alive = store::nodes::alive(&mut conn).await?;
        let protected = store::history::grants_protect_history(&mut conn).await?;
        store::Result::Ok((alive > 0, protected))
    };
    match timeout(ASK_WITHIN, asked).await {
        Ok(Ok((alive, protected))) => {
            let grants = if protected {
                Part::new("history", true, false, "The database's grants protect it.")
            } else {
                Part::new(
                    "history",
                    false,
                    false,
                    "The program's own role may change the history: its grants do not protect it. \
                     Give migration_database_url a role of its own.",
                )
            };
            let engine = if alive {
                Part::new("engine", true, true, "Its heart beats.")
            } else {
                Part::new("engine", false, true, "No heartbeat for 5 s: nothing is driven now.")
            };
            vec![Part::new("database", true, true, "It answers."), grants, engine]
        }
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "The database is not ready");
            vec![Part::new("database", false, true, format!("{error}."))]
        }
        Err(_) => vec![Part::new("database", false, true, "It did not answer in 3 s.")],
    }
}

/// Without a target or a router nothing can be rolled out, but everything can be looked at: a console
/// that is taken away then would hide what is wrong. So none of this matters for being ready.
async fn target(target: &dyn Target) -> Vec<Part> {
    match timeout(ASK_WITHIN, target.check()).await {
        Ok(Ok(facts)) => facts.findings.into_iter().map(of_finding).collect(),
        Ok(Err(error)) => vec![Part::new("target", false, false, chain(&error))],
        Err(_) => vec![Part::new("target", false, false, "It did not answer in 3 s.")],
    }
}

fn of_finding(finding: Finding) -> Part {
    let ok = !matches!(finding.verdict, Verdict::Refuse);
    Part::new(&finding.question, ok, false, finding.detail)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// Counters and gauges for Prometheus.
pub async fn metrics(
    State(console): State<Console>,
    Extension(peer): Extension<Peer>,
    Extension(asked): Extension<Option<Asked>>,
) -> Response {
    if !may_look_inside(&peer, asked.as_ref()) {
        return (StatusCode::FORBIDDEN, "Figures are for this machine and for admins.\n")
            .into_response();
    }
    let text = console.metrics.to_text(&figures(&console).await);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn figures(console: &Console) -> Figures {
    let pool = &console.health.pool;
    let asked = async {
        let mut conn = pool.acquire().await.map_err(store::Error::from)?;
        let head = store::history::head(&mut conn).await?.number;
        let rollouts = store::figures::rollouts_by_phase(&mut conn).await?;
        store::Result::Ok((head, rollouts))
    };
    let (head, rollouts) = match timeout(ASK_WITHIN, asked).await {
        Ok(Ok((head, rollouts))) => (Some(head), rollouts),
        Ok(Err(_)) | Err(_) => (None, Vec::new()),
    };
    Figures {
        history_head: head,
        pool_connections: pool.size(),
        pool_idle: pool.num_idle(),
        listeners: console.hub.listeners(),
        sampled_placements: console.hub.samples().len(),
        rollouts,
    }
}

fn may_look_inside(peer: &Peer, asked: Option<&Asked>) -> bool {
    let may =
        |asked: &Asked| asked.actor.may(Action::SettingsEdit, Scope::Everything, Protection::Open);
    peer.is_on_this_machine() || asked.is_some_and(may)
}
