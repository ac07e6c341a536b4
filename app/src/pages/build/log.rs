//! What a build writes, while it does: a fold for each step, that says whether it was there already,
//! how long it took, or why it failed.

use super::{address::Wanted, lines::Lines};
use crate::{
    clock::{clock, ms},
    components::{
        following::Following,
        written::{Cut, LONG, of_text},
    },
    format,
    live::live,
};
use domain::{
    build::{
        BuildStep,
        log::{BuildLine, BuildLog},
    },
    live::Message,
    log::find,
};
use leptos::{ev::MouseEvent, prelude::*};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// How many messages wait while one pauses. What is more is in the download.
const WAITING: usize = 256;

/// Which folds one opened or closed oneself; the others are open while there is something to see.
type Folds = RwSignal<HashMap<Option<u32>, bool>>;

/// The log of a build that is followed.
#[component]
pub(super) fn Tail(
    log: BuildLog,
    /// The last lines of the page when it was asked for again.
    again: Signal<Vec<BuildLine>>,
    steps: Memo<Vec<BuildStep>>,
    /// It has ended: nothing more comes.
    over: Memo<bool>,
    wanted: Wanted,
) -> impl IntoView {
    let lines = RwSignal::new(Lines::drawn(&log));
    let waiting = RwSignal::new(VecDeque::<Vec<BuildLine>>::new());
    let folds: Folds = RwSignal::new(HashMap::new());
    let following = Following::new(
        move || {
            lines.track();
            steps.track();
        },
        move || {
            let heard = waiting.try_update(std::mem::take).unwrap_or_default();
            lines.update(|lines| heard.into_iter().for_each(|piece| lines.hear(piece)));
        },
    );
    let hear = move |heard: Vec<BuildLine>| {
        if following.holds() {
            waiting.update(|waiting| {
                waiting.push_back(heard);
                if waiting.len() > WAITING {
                    waiting.pop_front();
                }
            });
        } else {
            lines.update(|lines| lines.hear(heard));
        }
    };
    live().on_lines(move |message| {
        if let Message::BuildLog(piece) = message {
            hear(piece.lines);
        }
    });
    // What a page that was loaded since has: the stream may have been away.
    Effect::new(move |_| {
        let newer = again.get();
        if !newer.is_empty() {
            hear(newer);
        }
    });

    let count = Memo::new(move |_| lines.with(Lines::count));
    let state = move || {
        let count = count.get();
        let said = format::counted(count, "line", "lines");
        if following.is_held() {
            let last = lines.with(Lines::last);
            let new = waiting
                .with(|waiting| waiting.iter().flatten().filter(|line| line.number > last).count());
            return match new {
                0 => "Paused".to_owned(),
                new => format!("Paused · {} since", format::counted(new as u64, "line", "lines")),
            };
        }
        if over.get() { said } else { format!("Following · {said}") }
    };
    let numbers = Memo::new(move |_| {
        let own = lines.with(|lines| lines.of(None).is_empty());
        let steps =
            steps.with(|steps| steps.iter().map(|step| Some(step.number)).collect::<Vec<_>>());
        (!own).then_some(None).into_iter().chain(steps).collect::<Vec<Option<u32>>>()
    });
    let fold_all = move |open: bool| {
        folds.update(|folds| {
            for number in numbers.get_untracked() {
                folds.insert(number, open);
            }
        });
    };
    let is_cut = Memo::new(move |_| lines.with(Lines::is_cut));
    let gone = log.gone;
    let left_out = log.left_out;
    view! {
        <div class="said-of">
            <p class="follows" class:held=move || following.is_held()>
                {state}
            </p>
            <button type="button" class="small" on:click=move |_| following.press()>
                {move || if following.is_held() { "Follow" } else { "Pause" }}
            </button>
            <button type="button" class="small plain" on:click=move |_| fold_all(false)>
                "Fold all"
            </button>
            <button type="button" class="small plain" on:click=move |_| fold_all(true)>
                "Unfold all"
            </button>
            <span class="spacer"></span>
            <Find wanted />
        </div>
        {gone
            .then(|| {
                view! {
                    <p class="notice">
                        "What this build wrote is not kept any more: its time was over, or the room was needed for newer ones. Its steps are."
                    </p>
                }
            })}
        {(left_out > 0)
            .then(|| {
                view! {
                    <p class="notice warn">
                        {format!(
                            "{} in the middle were let go: the log grew too long. Its beginning and its end are here.",
                            format::counted(left_out, "line", "lines"),
                        )}
                    </p>
                }
            })}
        {move || {
            is_cut
                .get()
                .then(|| {
                    view! {
                        <p class="soft">
                            "The newest lines are shown. All of them are in the download."
                        </p>
                    }
                })
        }}
        <div
            class="steps-log lines"
            tabindex="0"
            role="log"
            aria-live="off"
            aria-label="What the build writes, by step"
            node_ref=following.list
            on:scroll=move |_| following.scrolled()
        >
            <For
                each=move || numbers.get()
                key=|number| *number
                children=move |number| view! { <Fold number steps lines folds over /> }
            />
        </div>
        {move || {
            (numbers.with(Vec::is_empty) && !gone)
                .then(|| {
                    view! {
                        <p class="soft">
                            {if over.get() {
                                "It ended before it wrote anything."
                            } else {
                                "Nothing was written yet. New lines appear here by themselves."
                            }}
                        </p>
                    }
                })
        }}
    }
}

/// Searches the whole log, or takes it away.
#[component]
pub(super) fn Find(wanted: Wanted) -> impl IntoView {
    view! {
        <form method="get" action=wanted.home() role="search">
            <input
                type="search"
                name="words"
                aria-label="Words to find in the log"
                placeholder="Find in this log"
                maxlength=find::LONGEST
                value=wanted.words.clone()
            />
            <button type="submit" class="small">
                "Find"
            </button>
            <a class="button small" href=wanted.download() download="" rel="external">
                "Download"
            </a>
        </form>
    }
}

/// A step, and what it wrote. Without a number: what is told of the build itself.
#[component]
fn Fold(
    number: Option<u32>,
    steps: Memo<Vec<BuildStep>>,
    lines: RwSignal<Lines>,
    folds: Folds,
    over: Memo<bool>,
) -> impl IntoView {
    let step = Memo::new(move |_| {
        steps.with(|steps| steps.iter().find(|step| Some(step.number) == number).cloned())
    });
    let own = Memo::new(move |_| lines.with(|lines| lines.of(number)));
    let left_out = Memo::new(move |_| lines.with(|lines| lines.left_out_of(number)));
    let is = Memo::new(move |_| step.with(|step| step.as_ref().map_or(Is::Told, is_of)));
    let open = Memo::new(move |_| {
        let asked = folds.with(|folds| folds.get(&number).copied());
        // What is at work, what failed, and at first what the build itself says.
        asked.unwrap_or_else(|| match is.get() {
            Is::Runs => !over.get(),
            Is::Failed => true,
            Is::Told => steps.with(Vec::is_empty),
            Is::Cached | Is::Good => false,
        })
    });
    let press = move |event: MouseEvent| {
        // The browser would turn it once more.
        event.prevent_default();
        let now = open.get_untracked();
        folds.update(|folds| {
            folds.insert(number, !now);
        });
    };
    let clock = clock();
    let took = move || {
        step.with(|step| match step {
            None => String::new(),
            Some(step) => match (step.cached, step.took_ms) {
                (true, _) => "cached".to_owned(),
                (false, Some(took)) => format::duration(i64::try_from(took).unwrap_or(i64::MAX)),
                (false, None) if over.get() => "not finished".to_owned(),
                (false, None) => format::seconds(clock.now_ms() - ms(step.started_at)),
            },
        })
    };
    let name = move || {
        step.with(|step| {
            step.as_ref()
                .map_or_else(|| "git and the build itself".to_owned(), |step| step.name.clone())
        })
    };
    view! {
        <details class=move || is.get().class() open=move || open.get()>
            <summary on:click=press>
                <span class="name">{name}</span>
                <span class="took">
                    {took}
                    {move || (is.get() == Is::Failed).then_some(", failed")}
                </span>
            </summary>
            {move || {
                let missing = left_out.get();
                (missing > 0)
                    .then(|| {
                        view! {
                            <p class="lines-none">
                                {format!(
                                    "{} before are in the download.",
                                    format::counted(missing, "line", "lines"),
                                )}
                            </p>
                        }
                    })
            }}
            {move || {
                (own.with(Vec::is_empty) && left_out.get() == 0)
                    .then(|| view! { <p class="lines-none">"It wrote nothing."</p> })
            }}
            <ol>
                <For each=move || own.get() key=|line| line.number children=|line| drawn(&line) />
            </ol>
            {move || {
                step.with(|step| step.as_ref().and_then(|step| step.failed.clone()))
                    .map(|why| view! { <p class="lines-none red">{why}</p> })
            }}
        </details>
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// No step: what is told of the build itself.
    Told,
    Runs,
    Cached,
    Good,
    Failed,
}

impl Is {
    const fn class(self) -> &'static str {
        match self {
            Self::Told => "step",
            Self::Runs => "step runs",
            Self::Cached => "step cached",
            Self::Good => "step good",
            Self::Failed => "step failed",
        }
    }
}

const fn is_of(step: &BuildStep) -> Is {
    match step {
        BuildStep { failed: Some(_), .. } => Is::Failed,
        BuildStep { cached: true, .. } => Is::Cached,
        BuildStep { took_ms: Some(_), .. } => Is::Good,
        BuildStep { .. } => Is::Runs,
    }
}

fn drawn(line: &Arc<BuildLine>) -> AnyView {
    let at = line.line.at();
    let is_long = line.line.text.len() > LONG;
    let left_out = line.line.left_out;
    view! {
        <li>
            <time datetime=format::machine(at) title=format::exact(at)>
                {format::clock_ms(at)}
            </time>
            <p class:long=is_long tabindex=is_long.then_some("0")>
                {(left_out > 0)
                    .then(|| {
                        view! {
                            <Cut bytes=left_out />
                            " "
                        }
                    })} {of_text(&line.line.text, None)}
            </p>
        </li>
    }
    .into_any()
}
