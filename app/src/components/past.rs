//! What a placement did and used over a time: charts under one cursor, or the same as a table. Which
//! time, and which of the two, is in the address.
//!
//! The server draws it whole. In a browser what the stream says is added at the end, and once a minute
//! all of it is asked for anew, without drawing the section anew.

mod figure;
mod line;
mod notes;
mod plot;
mod table;

use crate::{
    api::{Answer, ApiError, samples},
    clock::clock,
    components::{loaded::Awaited, slot::SlotMark},
    live::{Connection, live},
};
use domain::{
    error::Problem,
    id::RolloutId,
    name::Name,
    samples::{Grain, Range},
    view::Past,
};
use figure::{Figure, moment, step_words};
use leptos::{attr::custom::custom_attribute, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};
use notes::Notes;
use plot::{Axis, Cursor, Plot};
use std::time::Duration;
use table::{Instances, Table};

/// How often all of it is asked for anew, and how soon after the stream came back.
const ANEW: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(2);

/// Whose past is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Service { project: Name, service: Name, environment: Option<Name>, range: Range },
    Rollout(RolloutId),
}

impl Of {
    async fn ask(self) -> Answer<Past> {
        match self {
            Self::Service { project, service, environment, range } => {
                let environment = environment.map(|name| name.to_string()).unwrap_or_default();
                samples::past(project, service, environment, range.to_string()).await
            }
            Self::Rollout(rollout) => samples::past_of_rollout(rollout).await,
        }
    }

    /// The address of the page with this choice.
    fn href(&self, range: Option<Range>, environment: Option<&Name>, table: bool) -> String {
        let (path, mut words) = match self {
            Self::Service { project, service, .. } => {
                let environment = environment.map(|name| format!("in={name}"));
                let range = range.map(|range| format!("range={range}"));
                let words: Vec<_> = environment.into_iter().chain(range).collect();
                (format!("/projects/{project}/services/{service}"), words)
            }
            Self::Rollout(rollout) => (format!("/rollouts/{rollout}"), Vec::new()),
        };
        if table {
            words.push("as=table".to_owned());
        }
        let query = if words.is_empty() { String::new() } else { format!("?{}", words.join("&")) };
        format!("{path}{query}#past")
    }

    fn download(&self, past: &Past) -> String {
        let wish = match self {
            Self::Service { range, .. } => format!("range={range}"),
            Self::Rollout(rollout) => format!("rollout={rollout}"),
        };
        format!("/samples/{}/download?{wish}", past.placement)
    }
}

/// The past of the service that the address names.
#[component]
pub fn PastOfService() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let of = Memo::new(move |_| {
        let named = |part: &str| params.with(|params| params.get_str(part)?.parse().ok());
        let asked = |part: &str| query.with(|query| query.get(part));
        Some(Of::Service {
            project: named("project")?,
            service: named("service")?,
            environment: asked("in").and_then(|name| name.parse().ok()),
            range: asked("range").and_then(|word| word.parse().ok()).unwrap_or_default(),
        })
    });
    view! { <Loaded of title="Traffic and use" /> }
}

/// The past of the rollout that the address names.
#[component]
pub fn PastOfRollout() -> impl IntoView {
    let params = use_params_map();
    let of = Memo::new(move |_| {
        params.with(|params| params.get_str("id")?.parse().ok().map(Of::Rollout))
    });
    view! { <Loaded of title="Traffic and use over the rollout" /> }
}

#[component]
fn Loaded(#[prop(into)] of: Signal<Option<Of>>, title: &'static str) -> impl IntoView {
    let query = use_query_map();
    let table = Memo::new(move |_| query.with(|query| query.get_str("as") == Some("table")));
    let past = Resource::new_blocking(
        move || of.get(),
        |of| async move {
            match of {
                Some(of) => of.ask().await,
                None => Err(ApiError::from(Problem::not_found("page"))),
            }
        },
    );
    let draw = move |past| match (past, of.get_untracked()) {
        (Ok(past), Some(of)) => view! { <Shown past of title table /> }.into_any(),
        // The page itself says what is not there.
        (Err(ApiError(Problem::NotFound { .. } | Problem::SignedOut)), _) | (_, None) => {
            ().into_any()
        }
        (Err(error), _) => view! {
            <section class="past">
                <h2>{title}</h2>
                <p class="refusal">{error.to_string()}</p>
            </section>
        }
        .into_any(),
    };
    view! { <Awaited of=past draw /> }
}

#[component]
fn Shown(past: Past, of: Of, title: &'static str, table: Memo<bool>) -> impl IntoView {
    let choices = view! { <Choices past=past.clone() of=of.clone() table /> };
    let shown = RwSignal::new(past);
    keep_fresh(shown, of.clone());
    let of = StoredValue::new(of);
    let clock = clock();
    let about = move || {
        shown.with(|past| {
            let span = past.course.span;
            let step = step_words(span.step);
            let (from, to) = (moment(clock, span, span.from), moment(clock, span, span.to));
            let ends = if past.goes_on { "now".to_owned() } else { to };
            format!("{from} to {ends}, a point is {step}")
        })
    };
    // Memos: a second more must not draw the section, and lose the cursor in it.
    let slots = Memo::new(move |_| shown.with(|past| past.course.slots()));
    let empty = Memo::new(move |_| shown.with(|past| past.course.is_empty()));
    view! {
        <section class="past" id="past" aria-labelledby="past-title">
            <div class="headline">
                <h2 id="past-title">{title}</h2>
                {choices}
            </div>
            {move || {
                if empty.get() {
                    let why = shown.with(nothing);
                    return view! { <p class="soft nothing">{why}</p> }.into_any();
                }
                view! {
                    <p class="soft about">
                        <span>{about}</span>
                        {move || slots.get().into_iter().map(|of| view! { <SlotMark of /> }).collect_view()}
                    </p>
                    {move || {
                        if table.get() {
                            let href = shown.with_untracked(|past| of.with_value(|of| of.download(past)));
                            view! { <Table shown download=href /> }.into_any()
                        } else {
                            view! { <Charts shown /> }.into_any()
                        }
                    }}
                    <Notes shown />
                    <Instances shown />
                }
                    .into_any()
            }}
        </section>
    }
}

/// Why there is no chart.
fn nothing(past: &Past) -> String {
    let kept = "Seconds are kept for an hour, minutes for seven days.";
    match past.range {
        Some(range) => format!(
            "Nothing was measured in {} in the last {}: nothing ran there, or Pilothouse did not. {kept}",
            past.environment,
            range.as_words()
        ),
        None => format!("No figures are kept of this time any more, or none were taken. {kept}"),
    }
}

/// Adds what the stream says, and asks for all of it now and then.
fn keep_fresh(shown: RwSignal<Past>, of: Of) {
    let (placement, goes_on, slides) =
        shown.with_untracked(|past| (past.placement, past.goes_on, past.range.is_some()));
    if !goes_on {
        return;
    }
    let live = live();
    let seconds = live.samples(placement);
    Effect::new(move |_| {
        let news = seconds.with(|seconds| seconds.back().map(|last| last.at - 1));
        // Until the time of a rollout is over, which only the server knows.
        let adds = shown.with_untracked(|past| {
            let course = &past.course;
            let is_news = news.is_some_and(|at| at > course.read_to);
            past.goes_on && course.span.grain == Grain::Seconds && is_news
        });
        if adds {
            seconds.with_untracked(|seconds| {
                shown.update(|past| past.course.hear(seconds.iter(), slides));
            });
        }
    });
    let ask = move || {
        let of = of.clone();
        leptos::task::spawn_local(async move {
            if let Ok(past) = of.ask().await {
                // The page may be another one by now.
                let _ = shown.try_set(past);
            }
        });
    };
    let now_and_then = ask.clone();
    Effect::new(move |_| {
        let ask = now_and_then.clone();
        let ask = move || {
            if !document().hidden() && shown.with_untracked(|past| past.goes_on) {
                ask();
            }
        };
        if let Ok(asking) = set_interval_with_handle(ask, ANEW) {
            on_cleanup(move || asking.clear());
        }
    });
    // While the stream was away seconds passed that only the server knows of.
    let back = ask.clone();
    Effect::new(move |before: Option<Connection>| {
        let connection = live.connection.get();
        if connection == Connection::Live && before.is_some_and(|b| b == Connection::Lost) {
            set_timeout(back.clone(), SOON);
        }
        // Between lost and live it is connecting: it stays lost until it is live.
        match (before, connection) {
            (Some(Connection::Lost), Connection::Connecting) => Connection::Lost,
            _ => connection,
        }
    });
    // A rollout that begins or switches is marked.
    live.on_rows(move |row| row.placement == Some(placement) && row.phase.is_some(), ask);
}

/// Where, how far back, and how.
#[component]
fn Choices(past: Past, of: Of, table: Memo<bool>) -> impl IntoView {
    let here = past.environment.clone();
    let of = StoredValue::new(of);
    let href = move |range, environment: Option<&Name>, table| {
        of.with_value(|of| of.href(range, environment, table))
    };
    let (range, several) = (past.range, past.environments.len() > 1);
    let environments = {
        let here = here.clone();
        let all = past.environments.clone();
        move || {
            all.iter()
                .map(|name| {
                    let to = href(range, Some(name), table.get());
                    view! { <Chip href=to chosen=*name == here said=name.to_string() /> }
                })
                .collect_view()
        }
    };
    let ranges = {
        let here = here.clone();
        move || {
            Range::ALL
                .map(|one| {
                    let to = href(Some(one), Some(&here), table.get());
                    view! {
                        <Chip href=to chosen=Some(one) == range said=one.as_words().to_owned() />
                    }
                })
                .collect_view()
        }
    };
    let ways = move || {
        [("charts", false), ("as a table", true)]
            .map(|(said, is_table)| {
                let to = href(range, Some(&here), is_table);
                view! { <Chip href=to chosen=table.get() == is_table said=said.to_owned() /> }
            })
            .collect_view()
    };
    view! {
        <div class="filters choices">
            {several
                .then(|| {
                    view! {
                        <nav class="chips" aria-label="Environment of the figures">
                            {environments}
                        </nav>
                    }
                })}
            {range
                .is_some()
                .then(|| {
                    view! {
                        <nav class="chips" aria-label="How far back">
                            {ranges}
                        </nav>
                    }
                })}
            <nav class="chips" aria-label="Charts or table">
                {ways}
            </nav>
        </div>
    }
}

#[component]
fn Chip(href: String, chosen: bool, said: String) -> impl IntoView {
    let current = chosen.then_some("true");
    view! {
        <a class="chip" href=href aria-current=current>
            {said}
        </a>
    }
    // The section stays where it is on the screen.
    .add_any_attr(custom_attribute("noscroll", ""))
}

#[component]
fn Charts(shown: RwSignal<Past>) -> impl IntoView {
    let cursor = RwSignal::new(None::<i64>);
    view! {
        <Cursor shown cursor />
        <div class="charts plots">
            {Figure::ALL.map(|figure| view! { <Plot shown cursor figure /> }).collect_view()}
        </div>
        <Axis shown />
    }
}
