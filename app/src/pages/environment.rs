//! One environment: where it leads, how careful it is, what runs there, what happened last.

mod policy;

use crate::{
    api::environments::{self, EditPolicy, MoveEnvironment, SetProtected},
    components::{
        ask_form::AskForm,
        board::{BoardTable, Group},
        field::Choice,
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        moves,
        policy::InWords,
        rollout_rows::RolloutRows,
        rows::Feed,
        when::LongAgo,
    },
    format::counted,
    live::{Topics, live},
};
use domain::{
    error::Problem,
    id::{EnvironmentId, PlacementId, TargetId},
    name::Name,
    view::{BoardEnvironment, EnvironmentCard, EnvironmentPage as View},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use policy::EditForm;
use time::OffsetDateTime;

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    policy: ServerAction<EditPolicy>,
    protect: ServerAction<SetProtected>,
    moves: ServerAction<MoveEnvironment>,
}

/// Loads it and follows its placements.
#[component]
pub fn EnvironmentPage() -> impl IntoView {
    let acts = Acts {
        policy: ServerAction::new(),
        protect: ServerAction::new(),
        moves: ServerAction::new(),
    };
    let changes = Changes::new();
    changes
        .follow(acts.policy, "The policy was saved. It holds for rollouts that start from now on.");
    changes.follow(acts.protect, "The protection was changed.");
    changes.follow(acts.moves, "It leads to another target now.");
    let params = use_params_map();
    let name = Memo::new(move |_| {
        params
            .with(|params| params.get_str("environment").and_then(|name| name.parse::<Name>().ok()))
    });
    let page = Resource::new_blocking(
        move || (name.get(), changes.count()),
        |(name, _)| async move {
            match name {
                Some(name) => environments::environment(name).await,
                None => Err(Problem::not_found("environment").into()),
            }
        },
    );
    let live = live();
    let placements = StoredValue::new(Vec::<PlacementId>::new());
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            let services = page.projects.iter().flat_map(|project| &project.services);
            let cells = services.flat_map(|service| &service.cells);
            let shown: Vec<_> = cells.map(|cell| cell.placement).collect();
            placements.set_value(shown.clone());
            live.follow(page.number, Topics::Placements(shown));
        }
    });
    live.on_rows(
        // A form that is being filled in is not drawn anew for a row about something else.
        move |row| {
            row.placement.is_some_and(|placement| {
                placements.with_value(|placements| placements.contains(&placement))
            })
        },
        move || page.refetch(),
    );
    moves::provide();

    view! {
        <Done changes />
        <Loaded page draw=move |view| view! { <Environment view acts /> }.into_any() />
    }
}

#[component]
fn Environment(view: View, acts: Acts) -> impl IntoView {
    let View { card, target_asked_at, other_targets, projects, rollouts, happening, .. } = view;
    let environment = card.environment.clone();
    let name = environment.name.to_string();
    let column = BoardEnvironment {
        id: environment.id,
        name: environment.name.clone(),
        protected: environment.protected,
        target: card.target.clone(),
        // It is said above.
        trouble: None,
    };
    let counts = match card.placements {
        0 => "no services yet".to_owned(),
        all => format!("{} of {} live", card.live, counted(all.into(), "service", "services")),
    };
    let rows = rollouts
        .into_iter()
        .map(|there| (Some((there.project, there.service)), there.row))
        .collect();
    let none = projects.is_empty();
    view! {
        <Title text=name.clone() />
        <article class="place" class:protected-page=environment.protected>
            <div class="title">
                <div>
                    <nav class="crumb" aria-label="Where this is">
                        <a href="/environments">"Environments"</a>
                        " / "
                        <span>{name.clone()}</span>
                    </nav>
                    <h1>{name.clone()}</h1>
                    <p class="by">
                        {environment
                            .protected
                            .then(|| {
                                view! {
                                    <b>"protected"</b>
                                    " · "
                                }
                            })} {counts} " · "
                        <a href=format!("/history?environment={name}")>"History"</a>
                    </p>
                </div>
            </div>
            <section class="environment" class:protected=environment.protected>
                <div class="halves">
                    <Facts card=card.clone() target_asked_at other_targets acts />
                    <div>
                        <h2>"What a rollout meets here"</h2>
                        <InWords policy=environment.policy.clone() />
                    </div>
                </div>
                {card
                    .may_edit
                    .then(|| {
                        view! {
                            <EditForm
                                id=environment.id
                                name=name.clone()
                                policy=environment.policy.clone()
                                action=acts.policy
                            />
                        }
                    })}
            </section>
            <div class="layout">
                <section aria-labelledby="runs-here">
                    <h2 id="runs-here">"What runs here"</h2>
                    {if none {
                        view! {
                            <p class="soft">
                                "No service that you may see has a place here. Each new service gets one."
                            </p>
                        }
                            .into_any()
                    } else {
                        view! {
                            <BoardTable
                                caption=format!("Services and what runs of them in {name}")
                                columns=vec![column.clone()]
                            >
                                {projects
                                    .into_iter()
                                    .map(|project| {
                                        view! { <Group project columns=vec![column.clone()] /> }
                                    })
                                    .collect_view()}
                            </BoardTable>
                        }
                            .into_any()
                    }}
                </section>
                <aside aria-labelledby="happening">
                    <h2 id="happening">"Happened here"</h2>
                    <Feed rows=happening />
                </aside>
            </div>
            <RolloutRows rows />
        </article>
    }
}

/// Where it leads, whether that answers, and what it takes to act there.
#[component]
fn Facts(
    card: EnvironmentCard,
    target_asked_at: Option<OffsetDateTime>,
    other_targets: Vec<(TargetId, String)>,
    acts: Acts,
) -> impl IntoView {
    let EnvironmentCard { environment, target, target_ok, target_says, may_edit, .. } = card;
    view! {
        <div>
            <dl class="facts-list">
                <div>
                    <dt>"Target"</dt>
                    <dd>
                        {target} <Answers ok=target_ok says=target_says />
                        {target_asked_at
                            .map(|at| {
                                view! {
                                    <p class="faint">
                                        "asked last " <LongAgo at />
                                    </p>
                                }
                            })}
                    </dd>
                </div>
                <div>
                    <dt>"Place in the order"</dt>
                    <dd>{environment.position}</dd>
                </div>
                <div>
                    <dt>"Deploying needs"</dt>
                    <dd>{if environment.protected { "releaser" } else { "deployer" }}</dd>
                </div>
            </dl>
            {(!other_targets.is_empty())
                .then(|| {
                    view! { <Move id=environment.id others=other_targets action=acts.moves /> }
                })}
            {may_edit
                .then(|| {
                    view! {
                        <Protect
                            id=environment.id.to_string()
                            name=environment.name.to_string()
                            protected=environment.protected
                            acts
                        />
                    }
                })}
        </div>
    }
}

/// Whether the target answered, in a word, a sign and what it said.
#[component]
pub fn Answers(ok: Option<bool>, says: String) -> impl IntoView {
    match ok {
        Some(true) => view! { <p class="soft">"✓ answers: " {says}</p> }.into_any(),
        Some(false) => view! { <p class="red">"✕ does not answer: " {says}</p> }.into_any(),
        None => view! { <p class="faint">"not asked yet"</p> }.into_any(),
    }
}

/// Where else it could lead, as long as nothing was rolled out here.
#[component]
fn Move(
    id: EnvironmentId,
    others: Vec<(TargetId, String)>,
    action: ServerAction<MoveEnvironment>,
) -> impl IntoView {
    let options = others.into_iter().map(|(id, name)| (id.to_string(), name)).collect();
    view! {
        <details class="more">
            <summary>"Lead it to another target"</summary>
            <Form action hidden=vec![("environment", id.to_string())]>
                <Choice
                    name="target"
                    label="Target"
                    options
                    hint="Until something was rolled out here. Services keep their place and get the addresses of that target."
                />
                <div class="buttons">
                    <Send label="Move it" sending="Moving …" />
                </div>
            </Form>
        </details>
    }
}

/// The switch between open and protected.
#[component]
fn Protect(id: String, name: String, protected: bool, acts: Acts) -> impl IntoView {
    let (word, title, effect, yes) = if protected {
        (
            "no",
            format!("Lift the protection of {name}"),
            format!(
                "Whoever is a deployer may then roll out in {name}, promote, abort and change the \
                 configuration. Now it takes a releaser."
            ),
            "Lift the protection",
        )
    } else {
        (
            "yes",
            format!("Protect {name}"),
            format!(
                "Rolling out in {name}, rolling back and changing the configuration then takes a \
                 releaser. A deployer sees it and may not touch it."
            ),
            "Protect it",
        )
    };
    let trigger = if protected { "Lift the protection" } else { "Protect" };
    view! {
        <AskForm
            action=acts.protect
            hidden=vec![("environment", id), ("protected", word.to_owned())]
            id=format!("protect-{name}")
            trigger
            title
            effect
            protected
            yes
        />
    }
}
