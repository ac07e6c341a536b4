//! Bringing the same release to the next environment: what changes there, before the click.

use crate::{
    api::acts,
    components::{
        address::AddressText,
        diff::Diff,
        loaded::Loaded,
        moves::{self, Deploy},
        placement::Rolls,
        policy::InWords,
        slot::SlotMark,
        when::LongAgo,
    },
    format,
    live::{Topics, live},
};
use domain::{
    build::view::{BuiltCommit, Commits},
    error::Problem,
    name::Name,
    view::{InBoth, PromotionPage as Page, VariableHere},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

/// Loads what would change, and follows the placement.
#[component]
pub fn PromotionPage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let asked = Memo::new(move |_| {
        let release = query.with(|query| query.get("release").unwrap_or_default());
        params.with(|params| {
            let named =
                |part: &str| params.get_str(part).and_then(|name| name.parse::<Name>().ok());
            Some((named("project")?, named("service")?, named("environment")?, release))
        })
    });
    let page = Resource::new_blocking(
        move || asked.get(),
        |asked| async move {
            match asked {
                Some((project, service, environment, release)) => {
                    acts::promotion(project, service, environment, release).await
                }
                None => Err(Problem::not_found("environment").into()),
            }
        },
    );
    let live = live();
    let shown = StoredValue::new(None);
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            shown.set_value(Some(page.cell.placement));
            live.follow(page.number, Topics::Placements(vec![page.cell.placement]));
        }
    });
    live.on_rows(
        move |row| row.placement.is_some() && row.placement == shown.get_value(),
        move || page.refetch(),
    );
    moves::provide();
    view! { <Loaded page=page draw=|page| view! { <Promotion page /> }.into_any() /> }
}

#[component]
fn Promotion(page: Page) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let environment = page.cell.environment_name.to_string();
    let service = page.service.to_string();
    let release = page.release.clone();
    let name = release.as_ref().map(|row| row.release.name.clone());
    let title = match &name {
        Some(name) => format!("{service} {name} to {environment}"),
        None => format!("{service} to {environment}"),
    };
    let what = name.clone();
    let protected = page.cell.protected;
    view! {
        <Title text=title />
        <article class="promotion" class:protected-page=protected>
            <div class="title">
                <div>
                    <nav class="crumb" aria-label="Where this is">
                        <a href=format!("/?project={}", page.project)>{page.project.to_string()}</a>
                        " / "
                        <a href=home.clone()>{service.clone()}</a>
                        " / "
                        <span>{environment.clone()}</span>
                    </nav>
                    <h1>
                        {what
                            .map(|name| view! { "Bring " <span class="mono">{name}</span> " to " })}
                        {environment.clone()}
                    </h1>
                    <p class="by">
                        {match &page.from {
                            Some(from) => format!("It is live in {from}. Here is what would change."),
                            None => "Here is what would change.".to_owned(),
                        }}
                    </p>
                </div>
                <div class="actions">
                    <Act page=page.clone() />
                </div>
            </div>
            {match release {
                None => {
                    view! {
                        <div class="empty">
                            <h2>"Nothing to bring"</h2>
                            <p>
                                "Nothing of this service is live in an environment before "
                                {environment} ". Deploy it there first."
                            </p>
                            <a class="button" href=home>
                                "To the service"
                            </a>
                        </div>
                    }
                        .into_any()
                }
                Some(_) => view! { <Changes page /> }.into_any(),
            }}
        </article>
    }
}

/// The deploy, or why there is none.
#[component]
fn Act(page: Page) -> impl IntoView {
    let cell = page.cell;
    let service = page.service.to_string();
    let Some(row) = page.release else { return ().into_any() };
    if let Some(active) = cell.active.clone() {
        return view! { <Rolls service cell active /> }.into_any();
    }
    let is_live = cell.live.as_ref().is_some_and(|live| live.release.id == row.release.id);
    if is_live && cell.stopped.is_none() {
        return view! { <span class="soft hint">"It is live here already."</span> }.into_any();
    }
    if !cell.may.start {
        let needs = if cell.protected { "releaser" } else { "deployer" };
        let said = format!("Deploying here needs the role {needs}.");
        return view! { <span class="soft hint">{said}</span> }.into_any();
    }
    view! { <Deploy service cell release=row.release class="primary" /> }.into_any()
}

#[component]
fn Changes(page: Page) -> impl IntoView {
    let Page { cell, release, size_bytes, live_size_bytes, live_image, commits, changes, .. } =
        page;
    let Some(row) = release else { return ().into_any() };
    let policy = page.policy;
    let by_hand = policy.promote_by_hand;
    let size = u64::from(cell.size.count());
    let now = match &cell.live {
        Some(live) => view! {
            <a class="mono" href=format!("/releases/{}", live.release.id)>
                {live.release.name.clone()}
            </a>
            " "
            <SlotMark of=live.slot />
        }
        .into_any(),
        None => view! { <span class="soft">"nothing is live"</span> }.into_any(),
    };
    let made = row.made_at;
    view! {
        <div class="sections">
            <section aria-labelledby="image">
                <h2 id="image">"Image"</h2>
                <dl class="facts-list">
                    <div>
                        <dt>"Now"</dt>
                        <dd>{now}</dd>
                    </div>
                    <div>
                        <dt>"Then"</dt>
                        <dd>
                            <a class="mono" href=format!("/releases/{}", row.release.id)>
                                {row.release.name.clone()}
                            </a>
                            <span class="soft">
                                ", made by " {row.by.clone()} ", " <LongAgo at=made />
                            </span>
                        </dd>
                    </div>
                    <div>
                        <dt>"Content"</dt>
                        <dd class="mono wrap">
                            {becomes(
                                live_image.as_deref().map(format::image),
                                format::image(&row.image),
                            )}
                        </dd>
                    </div>
                    <div>
                        <dt>"Size"</dt>
                        <dd>
                            {size_bytes
                                .map(|bytes| {
                                    becomes(live_size_bytes.map(format::bytes), format::bytes(bytes))
                                })}
                        </dd>
                    </div>
                    <div>
                        <dt>"Instances"</dt>
                        <dd>{format::counted(size, "instance", "instances")}</dd>
                    </div>
                </dl>
            </section>
            <section aria-labelledby="commits">
                <h2 id="commits">"Commits"</h2>
                <Between commits anything_live=cell.live.is_some() />
            </section>
            <section aria-labelledby="settings">
                <h2 id="settings">"Settings and limits"</h2>
                {if changes.is_empty() {
                    view! { <p class="soft">"Nothing changes."</p> }.into_any()
                } else {
                    view! { <Diff changes /> }.into_any()
                }}
            </section>
            <section aria-labelledby="variables">
                <h2 id="variables">"Variables and secrets"</h2>
                <Variables
                    variables=page.variables
                    from=page.from.map(|from| from.to_string())
                    to=cell.environment_name.to_string()
                />
            </section>
            <section aria-labelledby="policy">
                <h2 id="policy">"How it goes there"</h2>
                <InWords policy />
                {by_hand
                    .then(|| {
                        page.preview_address
                            .map(|address| {
                                view! {
                                    <p>
                                        "Once verified it can be seen at " <AddressText address />
                                        ", and waits for somebody to promote it."
                                    </p>
                                }
                            })
                    })}
            </section>
        </div>
    }
    .into_any()
}

/// "a → b", or only what it is where nothing changes.
fn becomes(before: Option<String>, after: String) -> String {
    match before {
        Some(before) if before != after => format!("{before} → {after}"),
        _ => after,
    }
}

/// What was committed between what is live and what would be, as far as it was built here.
#[component]
fn Between(commits: Commits, anything_live: bool) -> impl IntoView {
    let Commits { now, then, between, more } = commits;
    let same = match (&now, &then) {
        (Some(now), Some(then)) => now.commit == then.commit,
        _ => false,
    };
    let said = match (&now, &then) {
        (_, None) => Some("The image was not built here, so its commits are not known."),
        _ if same => Some("The same commit is live there."),
        (None, Some(_)) if anything_live => {
            Some("What is live there was not built here: only the new commit is known.")
        }
        _ => None,
    };
    let back = now.as_ref().zip(then.as_ref()).is_some_and(|(now, then)| then.number < now.number);
    let live = now.as_ref().map(|now| now.build);
    let rows = then.into_iter().chain(between).chain(now.filter(|_| !same));
    let rows = rows.map(|row| view! { <One live=Some(row.build) == live row /> }).collect_view();
    view! {
        {said.map(|said| view! { <p class="soft">{said}</p> })}
        {back.then(|| view! { <p class="flag">"It is older than what is live there."</p> })}
        <ol class="commits">{rows}</ol>
        {more.then(|| view! { <p class="faint">"There are more, which are not shown."</p> })}
    }
}

#[component]
fn One(row: BuiltCommit, live: bool) -> impl IntoView {
    let short = row.commit.chars().take(7).collect::<String>();
    view! {
        <li>
            <span class="mono" title=row.commit>
                {short}
            </span>
            <span class="wrap">
                {row.subject} {live.then(|| view! { <span class="soft">", live there now"</span> })}
            </span>
            <a class="soft" href=format!("/builds/{}", row.build)>
                {format!("build {}", row.number)}
            </a>
        </li>
    }
}

/// By name: what is missing first, for that is what breaks.
#[component]
fn Variables(variables: Vec<VariableHere>, from: Option<String>, to: String) -> impl IntoView {
    if variables.is_empty() {
        return view! { <p class="soft">"It is told nothing in either environment."</p> }
            .into_any();
    }
    let mut variables = variables;
    variables.sort_by_key(|one| match one.is {
        InBoth::Missing => 0,
        InBoth::Differs => 1,
        InBoth::Added => 2,
        InBoth::Secret => 3,
        InBoth::Same => 4,
    });
    let from = from.unwrap_or_else(|| "before".to_owned());
    view! {
        <ul class="both">
            {variables
                .into_iter()
                .map(|VariableHere { name, description, is }| {
                    let (class, said) = match is {
                        InBoth::Missing => ("flag", format!("only in {from}: missing in {to}")),
                        InBoth::Differs => ("", "another value".to_owned()),
                        InBoth::Added => ("", format!("only in {to}")),
                        InBoth::Secret => ("soft", "a secret in both".to_owned()),
                        InBoth::Same => ("soft", "the same".to_owned()),
                    };
                    view! {
                        <li>
                            <span class="mono wrap" title=description>
                                {name}
                            </span>
                            <span class=class>{said}</span>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
        <p class="faint">"Values are told on the service's page, to those who may change them."</p>
    }
    .into_any()
}
