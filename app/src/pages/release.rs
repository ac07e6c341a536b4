//! What is in a release, what it would change where, and the buttons that deploy it.

mod stored;

use crate::{
    api::{Answer, releases, rollouts::CouldI},
    components::{
        answered::Answered,
        diff::Diff,
        form::{Form, Send},
        gates::Findings,
        inquiry,
        loaded::Loaded,
        moves::{self, Deploy},
        slot::SlotMark,
        when::LongAgo,
    },
    format,
    pages::new_release::{Facts, Named},
};
use domain::{
    build::view::BuiltFrom,
    error::Problem,
    id::ReleaseId,
    service::ServiceSpec,
    view::{InquiryPage, ReleaseAgainst, ReleaseName, ReleasePage as View},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use stored::Stored;

/// The page.
#[component]
pub fn ReleasePage() -> impl IntoView {
    moves::provide();
    let params = use_params_map();
    let page = Resource::new_blocking(
        move || params.read().get("id").unwrap_or_default(),
        |id| async move {
            match id.parse::<ReleaseId>() {
                Ok(id) => releases::release(id).await,
                Err(_) => Err(Problem::not_found("release").into()),
            }
        },
    );
    let inquiry = inquiry::follow();
    let could_i = ServerAction::<CouldI>::new();
    let draw = move |view: View| view! { <Draw view inquiry could_i /> }.into_any();
    view! { <Loaded page draw /> }
}

/// What came of asking whether it could be rolled out in a placement.
#[derive(Clone, Copy)]
struct Could {
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    ask: ServerAction<CouldI>,
}

#[component]
fn Draw(
    view: View,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    could_i: ServerAction<CouldI>,
) -> impl IntoView {
    let could = Could { inquiry, ask: could_i };
    let View { project, service, row, spec, facts, against, built_from, findings, .. } = view;
    let home = format!("/projects/{project}/services/{service}");
    let release = row.release.clone();
    let release_id = release.id;
    let live = match row.live_in.as_slice() {
        [] => "live nowhere".to_owned(),
        places => format!("live in {}", places.join(", ")),
    };
    view! {
        <Title text=format!("{service} {}", release.name) />
        <p class="crumb">
            <a href=home.clone()>{format!("{project} / {service}")}</a>
        </p>
        <h1>{format!("{service} ")} <span class="mono">{release.name.clone()}</span></h1>
        <p class="lead">
            "made by " <strong>{row.by}</strong> ", " <LongAgo at=row.made_at /> " · " {live}
        </p>
        {(!findings.is_empty()).then(|| view! { <Findings findings /> })}
        <h2>"Where it can go"</h2>
        <ul class="against">
            {against
                .into_iter()
                .map(|against| {
                    let service = service.to_string();
                    let release = release.clone();
                    view! { <Against against service release could /> }
                })
                .collect_view()}
        </ul>
        <div class="sections">
            <section aria-labelledby="image">
                <h2 id="image">"Image"</h2>
                {match facts {
                    Some(facts) => {
                        view! { <Facts facts port=spec.exposure.port() user=spec.user /> }.into_any()
                    }
                    None => {
                        view! {
                            <dl class="facts-list">
                                <Named reference=row.reference id=row.image />
                            </dl>
                        }
                            .into_any()
                    }
                }}
            </section>
            <Stored release=release_id service_page=home inquiry=could.inquiry />
            {built_from.map(|from| view! { <Provenance from /> })}
            <section aria-labelledby="spec">
                <h2 id="spec">"Settings it carries"</h2>
                <Spec spec />
            </section>
        </div>
    }
}

/// Where the image comes from, down to the commit.
#[component]
fn Provenance(from: BuiltFrom) -> impl IntoView {
    let tag = from.tag.map(|tag| ("Tag", tag));
    let facts = [("From", from.url), ("Commit", from.commit)].into_iter().chain(tag);
    view! {
        <section aria-labelledby="from">
            <h2 id="from">"Where it comes from"</h2>
            <dl class="facts-list">
                <div>
                    <dt>"Built by"</dt>
                    <dd>
                        <a href=format!("/builds/{}", from.build)>
                            {format!("build {}", from.number)}
                        </a>
                    </dd>
                </div>
                {facts
                    .map(|(name, value)| {
                        view! {
                            <div>
                                <dt>{name}</dt>
                                <dd class="mono wrap">{value}</dd>
                            </div>
                        }
                    })
                    .collect_view()}
            </dl>
        </section>
    }
}

/// One environment: what runs there, what would change, and the button.
#[component]
fn Against(
    against: ReleaseAgainst,
    service: String,
    release: ReleaseName,
    could: Could,
) -> impl IntoView {
    let ReleaseAgainst { cell, changes } = against;
    let is_live = cell.live.as_ref().is_some_and(|live| live.release.id == release.id);
    let now = match &cell.live {
        Some(live) => view! {
            <span class="mono">{live.release.name.clone()}</span>
            <SlotMark of=live.slot />
        }
        .into_any(),
        None => view! { <span class="soft">"not deployed"</span> }.into_any(),
    };
    let about = match (&cell.live, is_live, changes.is_empty()) {
        (_, true, _) => Some("This release is live here."),
        (None, ..) => Some("It would be the first here."),
        (Some(_), false, true) => Some("The same image and settings as what is live."),
        _ => None,
    };
    // Where nothing is live, all of it is new, and stands below.
    let differs = cell.live.is_some() && !is_live && !changes.is_empty();
    let act = if is_live {
        None
    } else if cell.may.start {
        let cell = cell.clone();
        let hidden =
            vec![("placement", cell.placement.to_string()), ("release", release.id.to_string())];
        Some(
            view! {
                <Form action=could.ask hidden stays=true>
                    <Send label="Could I?" sending="Asking …" />
                </Form>
                <Deploy service cell release class="" />
            }
            .into_any(),
        )
    } else {
        let needs = if cell.protected { "releaser" } else { "deployer" };
        Some(
            view! { <p class="faint">{format!("Deploying here needs the role {needs}.")}</p> }
                .into_any(),
        )
    };
    view! {
        <li class:protected=cell.protected>
            <h3>{cell.environment_name.to_string()}</h3>
            <div>
                <p class="top">{now}</p>
                {about.map(|about| view! { <p class="soft">{about}</p> })}
                {differs.then(|| view! { <Diff changes /> })}
                {cell
                    .active
                    .map(|active| {
                        view! {
                            <p>
                                <a href=format!("/rollouts/{}", active.id)>
                                    {format!(
                                        "{} is {}",
                                        active.release.name,
                                        active.state.phase,
                                    )}
                                </a>
                            </p>
                        }
                    })}
                <Answered
                    of="in"
                    is=cell.placement.to_string()
                    inquiry=could.inquiry
                    waits="The target is asked …"
                />
            </div>
            <div class="act">{act}</div>
        </li>
    }
}

/// A spec in words.
#[component]
fn Spec(spec: ServiceSpec) -> impl IntoView {
    let check = &spec.readiness;
    let readiness = format!(
        "{}, every {}, answered within {}, {} to start",
        check.path,
        seconds(check.interval),
        seconds(check.timeout),
        seconds(check.start_period)
    );
    let or = |value: Option<String>, other: &str| value.unwrap_or_else(|| other.to_owned());
    let facts = [
        ("Port", or(spec.exposure.port().map(|port| port.to_string()), "nothing comes in")),
        ("Check", readiness),
        (
            "Version field",
            or(spec.version_field.as_ref().map(|field| field.as_str().to_owned()), "not asked"),
        ),
        (
            "Command",
            or((!spec.command.is_empty()).then(|| spec.command.join(" ")), "the image's own"),
        ),
        ("User", or(spec.user.map(|user| user.to_string()), "the image's own")),
        (
            "Root file system",
            (if spec.writable_root { "writable" } else { "read-only" }).to_owned(),
        ),
    ];
    view! {
        <dl class="facts-list">
            {facts
                .into_iter()
                .map(|(name, value)| {
                    view! {
                        <div>
                            <dt>{name}</dt>
                            <dd class="wrap">{value}</dd>
                        </div>
                    }
                })
                .collect_view()}
        </dl>
    }
}

fn seconds(time: std::time::Duration) -> String {
    format::seconds(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
