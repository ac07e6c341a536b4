//! Reading the history, proving it, and taking it away.
//!
//! Who may read the history sees all rows of his scope. Everybody else sees what is told of things
//! he may see.

mod export;
mod file;

pub use export::{Export, Format};
pub use file::{FileBroken, FileProof, prove_file};

use crate::{Actor, Asked, Control, OrProblem, Place, hex};
use domain::{
    error::Problem,
    live::Row,
    role::Action,
    view::{HistoryFilter, HistoryPage, HistoryRow, Proven},
};
use std::{sync::Mutex, time::Duration};
use store::history::{self, Selection, Stored};
use tokio::{sync::Semaphore, time};

/// Rows on a page.
const PAGE: usize = 50;

/// How long a proof may take that somebody waits for. The command on the machine has no limit.
const PATIENCE: Duration = Duration::from_secs(25);

/// What was proven last by this server. One proof at a time.
#[derive(Debug)]
pub(crate) struct Proving {
    last: Mutex<Proven>,
    turn: Semaphore,
}

impl Default for Proving {
    fn default() -> Self {
        Self { last: Mutex::new(Proven::NotYet), turn: Semaphore::new(1) }
    }
}

impl Proving {
    fn last(&self) -> Proven {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn remember(&self, proven: Proven) {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = proven;
    }
}

/// What came after a number, for a stream that resumes.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Those of the rows that may be seen.
    pub rows: Vec<Row>,
    /// How far was read: ask for what comes after this.
    pub number: i64,
    /// Whether that was all there was.
    pub done: bool,
}

impl Control {
    /// The newest rows of a filter, a page of them.
    pub async fn history(
        &self,
        asked: &Asked,
        filter: HistoryFilter,
    ) -> Result<HistoryPage, Problem> {
        let origin = &asked.origin;
        let everything = Place::everything();
        self.permit(asked, Action::View, &everything).await?;
        let windows = asked.actor.windows();
        let mut conn = self.connection(origin).await?;
        let head = history::head(&mut conn).await.or_problem(origin)?;
        let now = store::now(&mut conn).await.or_problem(origin)?;
        let selection = Selection::new(&windows, &filter, now);
        let mut rows =
            history::page(&mut conn, &selection, PAGE as i64 + 1).await.or_problem(origin)?;
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let lists = history::filter_lists(&mut conn, &windows).await.or_problem(origin)?;
        let protected = history::grants_protect_history(&mut conn).await.or_problem(origin)?;
        drop(conn);

        let shown = rows
            .iter()
            .map(|row| {
                // Addresses of people are for those who read the history itself.
                let whole = windows.iter().any(|window| window.shows_whole(row));
                let entry = row.entry().ok();
                HistoryRow {
                    row: row.shown(),
                    role: entry.as_ref().and_then(|entry| role(&entry.by)),
                    origin: entry.as_ref().and_then(|entry| entry.origin.clone()).filter(|_| whole),
                    changes: entry.as_ref().map(|entry| entry.changes.clone()).unwrap_or_default(),
                    reason: entry.and_then(|entry| entry.reason),
                    hash: hex::encode(&row.hash),
                }
            })
            .collect::<Vec<_>>();
        Ok(HistoryPage {
            number: head.number,
            filter,
            older: shown.last().filter(|_| more).map(|last| last.row.number),
            rows: shown,
            proven: self.proving.last(),
            protected_by_grants: protected,
            may_prove: asked.actor.may(
                Action::HistoryView,
                everything.scope,
                everything.protection,
            ),
            people: lists.people,
            services: lists.services,
            environments: lists.environments,
        })
    }

    /// Proves the whole history, for whoever may read all of it.
    pub async fn verify_history(&self, asked: &Asked) -> Result<Proven, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::HistoryView, &Place::everything()).await?;
        let _turn = self.proving.turn.try_acquire().map_err(|_| {
            Problem::conflict("It is being proven already. Look again in some seconds.")
        })?;
        let proof = time::timeout(PATIENCE, history::prove(&self.pool)).await.map_err(|_| {
            Problem::Unavailable {
                sentence: "The history is too long to be proven while you wait. On the machine: pilothouse history verify.".to_owned(),
            }
        })?;
        let proven = match proof.or_problem(origin)? {
            Ok(head) => {
                let mut conn = self.connection(origin).await?;
                let at = store::now(&mut conn).await.or_problem(origin)?;
                Proven::Whole { number: head.number, at }
            }
            Err(broken) => {
                tracing::error!(why = %broken, "The history is broken: {broken}");
                Proven::Broken { why: broken.to_string() }
            }
        };
        self.proving.remember(proven.clone());
        Ok(proven)
    }

    /// What a viewer may see of the rows after `number`. None: there is no way from there to here,
    /// as after a backup was restored, and the page has to be loaded again.
    pub async fn rows_after(
        &self,
        actor: &Actor,
        number: i64,
        limit: u16,
    ) -> store::Result<Option<Replay>> {
        let mut conn = self.pool.acquire().await?;
        let head = history::head(&mut conn).await?;
        if number < 0 || number > head.number {
            return Ok(None);
        }
        let found = history::after(&mut conn, number, i64::from(limit)).await?;
        drop(conn);
        if found.first().is_some_and(|first| first.number != number + 1) {
            return Ok(None);
        }
        let windows = actor.windows();
        let seen = |row: &&Stored| windows.iter().any(|window| window.shows(row));
        Ok(Some(Replay {
            number: found.last().map_or(number, |last| last.number),
            done: found.len() < usize::from(limit),
            rows: found.iter().filter(seen).map(Stored::shown).collect(),
        }))
    }

    /// The history's head: what a page that is drawn now has seen.
    pub async fn history_number(&self) -> store::Result<i64> {
        let mut conn = self.pool.acquire().await?;
        Ok(history::head(&mut conn).await?.number)
    }
}

/// The role that allowed it, in words.
fn role(by: &domain::history::By) -> Option<String> {
    match by {
        domain::history::By::Person { role, .. } => role.clone(),
        _ => None,
    }
}
