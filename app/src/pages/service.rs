//! One service: where it runs, what can be rolled out, what it is told and may use.

mod configuration;
mod elsewhere;
mod flag;
mod here;
mod lists;
mod pipeline;
pub mod push_rule;
mod source;

use crate::{
    components::{loaded::Loaded, moves, past::PastOfService, warmth},
    live::{Topics, live},
};
use configuration::Configurations;
use domain::{id::PlacementId, service::ServiceSpec, view::ServicePage as Page};
use elsewhere::Elsewhere;
pub use here::service_here;
use leptos::prelude::*;
use leptos_meta::Title;
use lists::{Releases, Rollouts};
use pipeline::Pipeline;
use push_rule::Pushing;

/// Loads a service and follows its placements.
#[component]
pub fn ServicePage() -> impl IntoView {
    let page = service_here();
    let live = live();
    let placements = StoredValue::new(Vec::<PlacementId>::new());
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            let shown: Vec<_> = page.placements.iter().map(|card| card.cell.placement).collect();
            placements.set_value(shown.clone());
            live.follow(page.number, Topics::Placements(shown));
        }
    });
    live.on_rows(
        // A row without a placement may be a release or a change of the service itself.
        move |row| {
            row.placement.is_none_or(|placement| {
                placements.with_value(|placements| placements.contains(&placement))
            })
        },
        move || page.refetch(),
    );
    moves::provide();
    warmth::provide();
    pipeline::provide();
    configuration::provide();
    source::provide();
    elsewhere::provide(page);

    view! {
        <Loaded page=page draw=|page| view! { <Service page /> }.into_any() />
        <PastOfService />
    }
}

#[component]
fn Service(page: Page) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.name);
    let new_release = format!("{home}/releases/new");
    let no_release = page.releases.is_empty();
    let may_release = page.may.release;
    view! {
        <Title text=format!("{} in {}", page.name, page.project) />
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href=format!("/projects/{}", page.project)>{page.project.to_string()}</a>
                    " / "
                    <span>{page.name.to_string()}</span>
                </nav>
                <h1>{page.name.to_string()}</h1>
                <p class="by">
                    <Spec spec=page.spec.clone() />
                    {page
                        .may
                        .edit
                        .then(|| {
                            view! {
                                " · "
                                <a href=format!("{home}/edit")>"edit"</a>
                            }
                        })}
                </p>
            </div>
            <div class="actions">
                {(may_release && !no_release)
                    .then(|| {
                        view! {
                            <a class="button" href=new_release.clone()>
                                "New release"
                            </a>
                        }
                    })}
            </div>
        </div>
        {no_release
            .then(|| {
                view! {
                    <div class="empty">
                        <h2>"This service has no release yet"</h2>
                        <p>
                            "A release is an image, pinned by its content, with the settings of the service at that moment. It is made once and then deployed to one environment after the other."
                        </p>
                        {may_release
                            .then(|| {
                                view! {
                                    <a class="button primary" href=new_release>
                                        "Make the first release"
                                    </a>
                                }
                            })}
                    </div>
                }
            })}
        <Pipeline page=page.clone() />
        <source::Source />
        <Elsewhere page=page.clone() />
        <Releases releases=page.releases.clone() />
        <Rollouts rollouts=page.rollouts.clone() />
        <Pushing service=page.id />
        <Configurations page />
    }
}

/// What the service is, in one line.
#[component]
fn Spec(spec: ServiceSpec) -> impl IntoView {
    let check = &spec.readiness;
    let mut parts = vec![match spec.exposure.port() {
        Some(port) => format!("port {port}"),
        None => "no port".to_owned(),
    }];
    parts.push(format!(
        "ready when {} answers, asked every {} s",
        check.path,
        check.interval.as_secs()
    ));
    if let Some(field) = &spec.version_field {
        parts.push(format!("its answer names the version in “{}”", field.as_str()));
    }
    if spec.writable_root {
        parts.push("writable file system".to_owned());
    }
    parts.join(" · ")
}
