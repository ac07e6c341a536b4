//! One build, live: where it stands, what it writes, what came of it.
//!
//! What one reads is never drawn anew under his eyes: news changes the parts that it is about. Only
//! what can not be shown any more, or is of another build, is loaded as a page is.

mod actions;
mod address;
mod found;
mod lines;
mod log;
mod pinned;
mod stops;

use crate::{
    api::{Answer, ApiError, builds},
    clock::{clock, ms},
    components::{
        ask::Actions,
        build_trends::BuildTrends,
        builds::{Outcome, Refs, named, place},
        loaded::Loaded,
        moves,
        phase_line::{Rail, class_of},
        rows::Events,
        when::LongAgo,
    },
    format,
    live::{Topics, live},
    phases::Standing,
};
use actions::{Act, Came};
use address::Wanted;
use domain::{
    build::{
        BuildStep, Phase,
        view::{BuildPage as Page, BuildState},
    },
    error::Problem,
};
use found::Found;
use leptos::{prelude::*, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use log::Tail;
use pinned::Pinned;
use stops::{Seen, stops};

/// Loads a build and follows it.
#[component]
pub fn BuildPage() -> impl IntoView {
    moves::provide();
    Actions::<builds::CancelBuild>::provide();
    Actions::<builds::StartBuild>::provide();
    let (params, query) = (use_params_map(), use_query_map());
    let wanted =
        Memo::new(move |_| params.with(|params| query.with(|query| Wanted::read(params, query))));
    let page = Resource::new_blocking(move || wanted.get(), load);
    let fresh = RwSignal::new(None::<Page>);
    // What is followed stays as it is for as long as the page does, also when the build ends: its
    // last lines may still be on their way.
    let followed = StoredValue::new(Topics::Rows);
    let live = live();
    Effect::new(move |_| {
        let Some(Ok(loaded)) = page.get() else { return };
        fresh.set(None);
        let topics = topics(&loaded);
        followed.set_value(topics.clone());
        live.follow(loaded.number, topics);
    });
    let look_again = move || {
        let asked = wanted.get_untracked();
        spawn_local(async move {
            let answer = load(asked.clone()).await;
            if wanted.try_get_untracked() != Some(asked) {
                return;
            }
            let reads = page.with_untracked(|page| match page {
                Some(Ok(page)) => Some(page.log.is_some()),
                _ => None,
            });
            match answer {
                Ok(answer) if reads == Some(answer.log.is_some()) => {
                    live.follow(answer.number, followed.get_value());
                    fresh.set(Some(answer));
                }
                // What may be seen has changed.
                _ => page.refetch(),
            }
        });
    };
    live.on_rows(
        move |row| {
            let ours = wanted.get_untracked().map(|wanted| wanted.build);
            row.build.is_some_and(|build| Some(build) == ours)
        },
        look_again,
    );
    view! {
        <Loaded
            page=page
            draw=move |page| {
                match wanted.get_untracked() {
                    Some(wanted) => view! { <Build page fresh wanted /> }.into_any(),
                    None => ().into_any(),
                }
            }
        />
    }
}

async fn load(wanted: Option<Wanted>) -> Answer<Page> {
    match wanted {
        None => Err(ApiError::from(Problem::not_found("build"))),
        Some(Wanted { build, words }) => {
            let mut page = builds::build(build).await?;
            if !words.is_empty() && page.log.is_some() {
                let none = String::new;
                page.log = Some(builds::build_log(build, none(), none(), words).await?);
            }
            Ok(page)
        }
    }
}

/// A build that has ended says nothing more: rows are enough.
fn topics(page: &Page) -> Topics {
    let build = page.row.id;
    let after = page.log.as_ref().and_then(|log| log.lines.last()).map_or(0, |line| line.number);
    if page.row.phase.is_end() { Topics::Rows } else { Topics::Build { build, after } }
}

/// A page as it is now: as it was drawn, as it was asked for since, and as the stream said.
#[derive(Clone, Copy)]
struct Now {
    page: Memo<Page>,
    heard: Memo<Option<BuildState>>,
}

impl Now {
    fn of(drawn: Page, fresh: RwSignal<Option<Page>>) -> Self {
        let told = live().build(drawn.row.id);
        // Without the lines, which have a place of their own.
        let drawn = Page { log: None, ..drawn };
        let page = Memo::new(move |_| {
            let fresh =
                fresh.with(|fresh| fresh.as_ref().map(|fresh| Page { log: None, ..fresh.clone() }));
            fresh.unwrap_or_else(|| drawn.clone())
        });
        // The later phase is right, and of one phase what the stream said.
        let heard = Memo::new(move |_| {
            let since = page.with(|page| (!page.row.phase.is_end()).then_some(page.row.since))?;
            told.get().filter(|state| state.since >= since)
        });
        Self { page, heard }
    }

    /// The page, with the phase that the stream told of.
    fn with<T>(self, tell: impl Fn(&Page) -> T) -> T {
        self.heard.with(|heard| match heard {
            None => self.page.with(tell),
            Some(heard) => {
                let mut page = self.page.get();
                page.row.phase = heard.phase;
                page.row.since = heard.since;
                page.steps.clone_from(&heard.steps);
                tell(&page)
            }
        })
    }

    fn phase(self) -> Phase {
        self.with(|page| page.row.phase)
    }

    fn steps(self) -> Vec<BuildStep> {
        self.with(|page| page.steps.clone())
    }
}

#[component]
fn Build(page: Page, fresh: RwSignal<Option<Page>>, wanted: Wanted) -> impl IntoView {
    let row = page.row.clone();
    let home = format!("/projects/{}/services/{}", row.project, row.service);
    let title = format!("{} {}", row.service, named(&row));
    let (log, drawn_steps) = (page.log.clone(), page.steps.clone());
    let searched = !wanted.words.is_empty();
    let now = Now::of(page, fresh);
    let phase = Memo::new(move |_| now.phase());
    let steps = Memo::new(move |_| now.steps());
    let over = Memo::new(move |_| phase.get().is_end());
    let again = Signal::derive(move || {
        fresh.with(|fresh| {
            let log = fresh.as_ref().and_then(|fresh| fresh.log.as_ref());
            log.map(|log| log.lines.clone()).unwrap_or_default()
        })
    });
    let newest_row = Memo::new(move |_| now.page.with(|page| page.row.clone()));
    view! {
        <Title text=title />
        <div class="build-page">
            <div class="title">
                <div>
                    <nav class="crumb" aria-label="Where this is">
                        <a href=format!("/builds?project={}", row.project)>
                            {row.project.to_string()}
                        </a>
                        " / "
                        <a href=home>{row.service.to_string()}</a>
                        " / "
                        <a href=format!("/builds?project={}&service={}", row.project, row.service)>
                            "builds"
                        </a>
                    </nav>
                    <h1>
                        {format!("{} {}", row.service, named(&row))} " of "
                        {move || view! { <Refs row=newest_row.get() /> }}
                    </h1>
                    <p class="by">
                        {move || view! { <Outcome phase=phase.get() /> }} " · asked by "
                        <b>{row.by.clone()}</b> " " <LongAgo at=row.asked_at />
                        {move || {
                            newest_row
                                .with(|row| row.cancel_asked_by.clone())
                                .filter(|_| !over.get())
                                .map(|by| format!(" · {by} asked that it stops"))
                        }}
                    </p>
                </div>
                <Act now=newest_row phase />
            </div>
            <Line now />
            {move || view! { <Came row=newest_row.get() phase=phase.get() /> }}
            <div class="grid2">
                <div class="middle">
                    <section aria-labelledby="log">
                        <h2 id="log">"Log"</h2>
                        {match log {
                            None => {
                                view! {
                                    <p class="soft">
                                        "Reading what a build writes needs the role deployer here. Its steps are below."
                                    </p>
                                    <Steps steps />
                                }
                                    .into_any()
                            }
                            Some(log) if searched => {
                                view! { <Found log steps=drawn_steps wanted /> }.into_any()
                            }
                            Some(log) => view! { <Tail log again steps over wanted /> }.into_any(),
                        }}
                    </section>
                    {move || {
                        let (trend, budget) = now
                            .page
                            .with(|page| (page.trend.clone(), page.source.size_budget_bytes));
                        view! { <BuildTrends points=trend size_budget_bytes=budget /> }
                    }}
                    <section>
                        <h2>"Events"</h2>
                        {move || view! { <Events rows=now.page.with(|page| page.rows.clone()) /> }}
                    </section>
                </div>
                <aside>
                    <Pinned now=now.page />
                </aside>
            </div>
        </div>
    }
}

/// The phases as a line, with what is counted of them.
#[component]
fn Line(now: Now) -> impl IntoView {
    let clock = clock();
    let line = move || {
        let progress =
            now.heard.with(|heard| heard.as_ref().and_then(|heard| heard.progress.clone()));
        now.with(|page| {
            // An end does not move: nothing is counted each second.
            let ended = page.row.ended_at.filter(|_| page.row.phase.is_end());
            let now_ms = ended.map_or_else(|| clock.now_ms(), ms);
            stops(&Seen {
                row: &page.row,
                entered: &page.phases,
                steps: &page.steps,
                progress: progress.as_deref(),
                now_ms,
            })
        })
    };
    view! {
        <ol class="phases">
            {move || {
                line()
                    .into_iter()
                    .map(|stop| {
                        let now = stop.is == Standing::Now;
                        view! {
                            <li class=class_of(stop.is) aria-current=now.then_some("step")>
                                <Rail done=stop.done />
                                <b>{stop.words}</b>
                                <span>{stop.note}</span>
                            </li>
                        }
                    })
                    .collect_view()
            }}
        </ol>
        {move || {
            let row = now.page.with(|page| page.row.clone());
            (now.phase() == Phase::Queued)
                .then(|| {
                    view! {
                        <p class="notice" role="status">
                            {format!(
                                "It waits for its turn: {}. So many run side by side as the installation allows.",
                                place(&row),
                            )}
                        </p>
                    }
                })
        }}
    }
}

/// The steps alone, for those who may not read what they wrote.
#[component]
fn Steps(steps: Memo<Vec<BuildStep>>) -> impl IntoView {
    view! {
        <ol class="list">
            {move || {
                steps
                    .get()
                    .into_iter()
                    .map(|step| {
                        let said = match (step.failed.is_some(), step.cached, step.took_ms) {
                            (true, ..) => "failed".to_owned(),
                            (_, true, _) => "cached".to_owned(),
                            (.., Some(took)) => {
                                format::duration(i64::try_from(took).unwrap_or(i64::MAX))
                            }
                            (.., None) => "runs".to_owned(),
                        };
                        view! {
                            <li class="with-act">
                                <div class="mono wrap">{step.name}</div>
                                <span class="soft">{said}</span>
                            </li>
                        }
                    })
                    .collect_view()
            }}
        </ol>
    }
}
