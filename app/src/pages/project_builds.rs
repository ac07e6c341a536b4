//! "Build all": the services of a project, built with one click, and what they take together.

use crate::{
    api::{
        ApiError,
        builds::{self, BuildAll},
    },
    clock::{clock, ms},
    components::{
        ask::Actions,
        builds::{Outcome, Refs, Size, Took, cached, named, place},
        form::{Form, Send},
        loaded::Loaded,
    },
    format,
    live::{Topics, live},
};
use domain::{
    build::{
        Phase,
        view::{Batch, ProjectBuild, ProjectBuildsPage as Page},
    },
    error::Problem,
    name::Name,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

/// Loads the builds of one click, or of the last, and follows them.
#[component]
pub fn ProjectBuildsPage() -> impl IntoView {
    Actions::<BuildAll>::provide();
    let (params, query) = (use_params_map(), use_query_map());
    let wanted = Memo::new(move |_| {
        let project = params.with(|params| params.get("project")?.parse::<Name>().ok());
        (project, query.with(|query| query.get("batch").unwrap_or_default()))
    });
    let page = Resource::new_blocking(
        move || wanted.get(),
        |(project, batch)| async move {
            match project {
                Some(project) => builds::project_builds(project, batch).await,
                None => Err(ApiError::from(Problem::not_found("project"))),
            }
        },
    );
    let live = live();
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            live.follow(page.number, Topics::Builds);
        }
    });
    live.on_rows(|row| row.build.is_some(), move || page.refetch());
    view! { <Loaded page=page draw=|page| view! { <Together page /> }.into_any() /> }
}

#[component]
fn Together(page: Page) -> impl IntoView {
    let project = page.project.to_string();
    let open = page.batch.as_ref().map_or(0, |batch| batch.open);
    let action = Actions::<BuildAll>::of("all");
    let hidden = vec![("project", project.clone())];
    let count = page.services.len() as u64;
    let asked = page.batch.clone().map(|batch| view! { <Asked batch /> });
    let batch = page.batch.clone();
    let nothing = page.services.is_empty();
    view! {
        <Title text=format!("All builds of {project}") />
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href=format!("/?project={project}")>{project.clone()}</a>
                    " / "
                    <a href=format!("/builds?project={project}")>"builds"</a>
                </nav>
                <h1>{format!("All of {project}")}</h1>
                <p class="by">{asked}</p>
            </div>
            <div class="actions">
                {(page.may_build && !nothing)
                    .then(|| {
                        view! {
                            {(open > 0)
                                .then(|| view! { <span class="soft hint">"the last ones are not done yet"</span> })}
                            <Form action hidden class="inline">
                                <Send
                                    label=format!(
                                        "Build {}",
                                        format::counted(count, "service", "services"),
                                    )
                                    sending="Asking …"
                                    class="primary"
                                />
                            </Form>
                        }
                    })}
            </div>
        </div>
        {batch.map(|batch| view! { <Budget batch budget_ms=page.budget_ms /> })}
        {if nothing {
            view! {
                <div class="empty">
                    <h2>"No service here has a source"</h2>
                    <p>"Say on a service's page where its code is. Then all of them are built with one click."</p>
                    <a class="button" href=format!("/?project={project}")>
                        "To the services"
                    </a>
                </div>
            }
                .into_any()
        } else {
            view! { <Services services=page.services project /> }.into_any()
        }}
        {(!page.without_source.is_empty())
            .then(|| {
                let names: Vec<String> =
                    page.without_source.iter().map(ToString::to_string).collect();
                view! {
                    <p class="aside">
                        {format!("Not built, because their source is not known: {}.", names.join(", "))}
                    </p>
                }
            })}
    }
}

#[component]
fn Asked(batch: Batch) -> impl IntoView {
    use crate::components::when::LongAgo;
    let mut said = vec![format!("{} succeeded", batch.succeeded)];
    if batch.unhappy > 0 {
        said.push(format!("{} did not", batch.unhappy));
    }
    if batch.open > 0 {
        said.push(format!("{} to go", batch.open));
    }
    view! {
        "asked by "
        <b>{batch.by}</b>
        " "
        <LongAgo at=batch.asked_at />
        " · "
        {said.join(", ")}
    }
}

/// The time from the click to the last end, against what a project may take.
#[component]
fn Budget(batch: Batch, budget_ms: u64) -> impl IntoView {
    let clock = clock();
    let began = ms(batch.asked_at);
    let ended = batch.ended_at.map(ms);
    let budget = i64::try_from(budget_ms).unwrap_or(i64::MAX);
    let total = move || (ended.unwrap_or_else(|| clock.now_ms()) - began).max(0);
    let is_over = move || total() > budget;
    let said = move || {
        let total = total();
        let of = format!("{} of {}", format::seconds(total), format::duration(budget));
        match (total > budget, ended.is_some()) {
            (true, _) => format!("▲ {of}: over the budget by {}", format::seconds(total - budget)),
            (false, true) => format!("{of}, all together"),
            (false, false) => format!("{of} so far"),
        }
    };
    let width = move || {
        #[allow(clippy::cast_precision_loss)] // A share of a bar.
        let share = total() as f64 / budget.max(1) as f64;
        format!("{:.1}", share.min(1.0) * 100.0)
    };
    view! {
        <div class="budget">
            <svg class="rail" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                <rect class="whole" width="100" height="4" />
                <rect class="fill" class:over=is_over width=width height="4" />
            </svg>
            <p class:amber=is_over>{said}</p>
        </div>
    }
}

#[component]
fn Services(services: Vec<ProjectBuild>, project: String) -> impl IntoView {
    view! {
        <table class="listed together">
            <caption class="unseen">"The services, and the build of each"</caption>
            <thead>
                <tr>
                    <th scope="col">"Service"</th>
                    <th scope="col">"Build"</th>
                    <th scope="col">"Result"</th>
                    <th scope="col">"Release"</th>
                    <th scope="col" class="n">"Took"</th>
                    <th scope="col" class="n">"Cached"</th>
                    <th scope="col" class="n">"Size"</th>
                </tr>
            </thead>
            <tbody>
                {services
                    .into_iter()
                    .map(|one| view! { <ServiceRow one project=project.clone() /> })
                    .collect_view()}
            </tbody>
        </table>
    }
}

#[component]
fn ServiceRow(one: ProjectBuild, project: String) -> impl IntoView {
    let home = format!("/projects/{project}/services/{}", one.service);
    let name = view! {
        <th scope="row">
            <a class="v" href=home>
                {one.service.to_string()}
            </a>
        </th>
    };
    let Some(row) = one.build else {
        return view! {
            <tr>
                {name}
                <td data-label="build" class="soft" colspan="6">
                    {format!("not built yet; it would be {}", one.default_ref)}
                </td>
            </tr>
        }
        .into_any();
    };
    let note = match row.phase {
        Phase::Queued => Some(place(&row)),
        Phase::Failed => row.ending.clone().map(|ending| ending.step.unwrap_or(ending.why)),
        _ => None,
    };
    view! {
        <tr>
            {name}
            <td data-label="build">
                <div>
                    <a class="link" href=format!("/builds/{}", row.id)>
                        {named(&row)}
                    </a>
                    " "
                    <Refs row=row.clone() />
                </div>
            </td>
            <td data-label="result">
                <div>
                    <Outcome phase=row.phase />
                    {note.map(|note| view! { <p class="why">{note}</p> })}
                </div>
            </td>
            <td data-label="release">
                {match row.release.clone() {
                    Some(release) => {
                        view! {
                            <a class="mono link" href=format!("/releases/{}", release.id)>
                                {release.name}
                            </a>
                        }
                            .into_any()
                    }
                    None => "–".into_any(),
                }}
            </td>
            <td data-label="took" class="n">
                <Took row=row.clone() />
            </td>
            <td data-label="cached" class="n">
                {cached(&row)}
            </td>
            <td data-label="size" class="n">
                <Size row />
            </td>
        </tr>
    }
    .into_any()
}
