//! A release out of an image: look it up, see what it is, make the release.
//!
//! Only the target can say what an image is, so the question is an inquiry that this page follows:
//! by itself, or with the link "Look again" where there are no scripts.

use crate::{
    api::{
        Answer,
        releases::{LookUpImage, MakeRelease},
    },
    components::{
        failure::{Failure, NotForYou},
        field::{Checkbox, Field, reads},
        form::{Form, Send},
        inquiry,
        loaded::Loaded,
        when::{Ago, LongAgo},
    },
    format,
    pages::service::service_here,
};
use domain::{
    error::Problem,
    id::InquiryId,
    name::{ImageReference, ReleaseName},
    release::{ImageFacts, name_for},
    view::{InquiryAnswer, InquiryPage, ServicePage as Service},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_location, use_query_map};

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    look_up: ServerAction<LookUpImage>,
    make: ServerAction<MakeRelease>,
}

/// The page. The inquiry is loaded apart, so that following it does not touch the form above it.
#[component]
pub fn NewReleasePage() -> impl IntoView {
    let acts = Acts { look_up: ServerAction::new(), make: ServerAction::new() };
    let service = service_here();
    let inquiry = inquiry::follow();
    let image = use_query_map().get_untracked().get("image").unwrap_or_default();

    view! {
        <Title text="New release" />
        <Loaded
            page=service
            draw=move |service: Service| {
                let image = image.clone();
                view! { <Draw service inquiry image acts /> }.into_any()
            }
        />
    }
}

#[component]
fn Draw(
    service: Service,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    /// What was looked up, in the address.
    image: String,
    acts: Acts,
) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", service.project, service.name);
    let hidden =
        vec![("service", service.id.to_string()), ("back", format!("{home}/releases/new"))];
    let name = service.name.to_string();
    let may = service.may.release;
    let (crumb, after) = (format!("{} / {name}", service.project), service);
    let found = move |inquiry: Option<InquiryPage>| {
        let service = after.clone();
        inquiry.map(|inquiry| view! { <Found inquiry service acts /> }).into_any()
    };
    view! {
        <p class="crumb">
            <a href=home>{crumb}</a>
        </p>
        <h1>{format!("New release of {name}")}</h1>
        <p class="lead">
            "A release is an image and the settings of the service as they are now. Once made, it \
             does not change."
        </p>
        {if may {
            view! {
                <div class="sections">
                    <LookUp action=acts.look_up hidden image />
                    <Loaded page=inquiry draw=found />
                </div>
            }
                .into_any()
        } else {
            view! { <NotForYou what="Making a release" role="deployer" /> }.into_any()
        }}
    }
}

#[component]
fn LookUp(
    action: ServerAction<LookUpImage>,
    hidden: Vec<(&'static str, String)>,
    image: String,
) -> impl IntoView {
    view! {
        <section aria-labelledby="image">
            <h2 id="image">"1. The image"</h2>
            <Form action hidden stays=true>
                <Field
                    name="reference"
                    label="Image"
                    value=image
                    hint="NAME:TAG, with its registry in front if it has one."
                    placeholder="hello:1.0.0"
                    check={reads::<ImageReference>}
                    required=true
                    mono=true
                />
                <Checkbox
                    name="pull"
                    label="Fetch it from its registry first"
                    hint="Also where an image of that name is on the machine already."
                />
                <div class="buttons">
                    <Send label="Look it up" sending="Asking …" />
                </div>
            </Form>
        </section>
    }
}

#[component]
fn Found(inquiry: InquiryPage, service: Service, acts: Acts) -> impl IntoView {
    match inquiry.answer {
        InquiryAnswer::Waiting => {
            let location = use_location();
            let here = format!(
                "{}{}",
                location.pathname.get_untracked(),
                location.query.get_untracked().to_query_string()
            );
            view! {
                <section aria-labelledby="facts">
                    <h2 id="facts">"2. What it is"</h2>
                    <p class="waiting" role="status">
                        "The target is being asked, since " <Ago at=inquiry.asked_at /> "."
                    </p>
                    <p>
                        <a class="button small" href=here>
                            "Look again"
                        </a>
                    </p>
                </section>
            }
            .into_any()
        }
        InquiryAnswer::Image(facts) => {
            view! { <Make id=inquiry.id facts service acts /> }.into_any()
        }
        InquiryAnswer::Refused { why } => view! {
            <section aria-labelledby="facts">
                <h2 id="facts">"2. What it is"</h2>
                <div class="notice bad">
                    <p>
                        <strong>{why}</strong>
                    </p>
                    <p>
                        "No release was made. Correct the name, build or push the image, and look \
                         it up again."
                    </p>
                </div>
            </section>
        }
        .into_any(),
        InquiryAnswer::Expired
        | InquiryAnswer::Findings { .. }
        | InquiryAnswer::Cluster(_)
        | InquiryAnswer::Refs(_)
        | InquiryAnswer::Recipe(_) => view! {
            <section aria-labelledby="facts">
                <h2 id="facts">"2. What it is"</h2>
                <Failure problem=Problem::conflict(
                    "What was found is too old to make a release of: look the image up again.",
                ) />
            </section>
        }
        .into_any(),
    }
}

#[component]
fn Make(id: InquiryId, facts: ImageFacts, service: Service, acts: Acts) -> impl IntoView {
    let taken: Vec<String> = service.releases.iter().map(|row| row.release.name.clone()).collect();
    let name = name_for(&facts.reference, &facts.id, &taken);
    let same = service
        .releases
        .iter()
        .find(|row| row.image == facts.id.as_str())
        .map(|row| row.release.clone());
    let hidden = vec![("service", service.id.to_string()), ("inquiry", id.to_string())];
    view! {
        <div class="stack">
        <section aria-labelledby="facts">
            <h2 id="facts">"2. What it is"</h2>
            <Facts facts port=service.spec.exposure.port() user=service.spec.user />
            {same
                .map(|release| {
                    view! {
                        <p class="aside">
                            "The same image is in the release "
                            <a href=format!("/releases/{}", release.id)>{release.name.clone()}</a>
                            " already."
                        </p>
                    }
                })}
        </section>
        <section aria-labelledby="make">
            <h2 id="make">"3. The release"</h2>
            <Form action=acts.make hidden>
                <Field
                    name="name"
                    label="Name"
                    value=name.map(String::from).unwrap_or_default()
                    hint="The tag, or a part of the content id. Shown everywhere."
                    check={reads::<ReleaseName>}
                    required=true
                    mono=true
                />
                <div class="buttons">
                    <Send label="Make release" sending="Making it …" class="primary" />
                </div>
            </Form>
        </section>
        </div>
    }
}

/// Under which name an image was looked up, and what it was then.
#[component]
pub fn Named(reference: String, id: String) -> impl IntoView {
    view! {
        <div>
            <dt>"Image"</dt>
            <dd class="mono wrap">{reference}</dd>
        </div>
        <div>
            <dt>"Content"</dt>
            <dd class="mono wrap">{id}</dd>
        </div>
    }
}

/// What an engine says about an image.
#[component]
pub fn Facts(
    facts: ImageFacts,
    /// What the service expects: a port that the image does not name is worth a look.
    port: Option<u16>,
    /// The user that the service asks for, which goes before the image's own.
    user: Option<u32>,
) -> impl IntoView {
    let root = facts.runs_as_root() && user.is_none() || user == Some(0);
    let odd_port = port.filter(|port| !facts.ports.is_empty() && !facts.ports.contains(port));
    let ports = match facts.ports.as_slice() {
        [] => "none named".to_owned(),
        ports => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    };
    let who = match (user, facts.user.as_str()) {
        (Some(user), _) => format!("{user}, asked for by the service"),
        (None, "") => "root".to_owned(),
        (None, user) => user.to_owned(),
    };
    view! {
        <dl class="facts-list">
            <Named reference=facts.reference.to_string() id=facts.id.to_string() />
            <div>
                <dt>"Size"</dt>
                <dd>{format::bytes(facts.size_bytes)}</dd>
            </div>
            <div>
                <dt>"Platform"</dt>
                <dd>{facts.platform}</dd>
            </div>
            <div>
                <dt>"Runs as"</dt>
                <dd>
                    {who}
                    {root
                        .then(|| {
                            view! {
                                <p class="amber">
                                    "▲ As root it is refused where the environment does not allow \
                                     it. Set a user in the image or for the service."
                                </p>
                            }
                        })}
                </dd>
            </div>
            <div>
                <dt>"Ports"</dt>
                <dd>
                    {ports}
                    {odd_port
                        .map(|port| {
                            view! {
                                <p class="amber">
                                    {format!("▲ The service expects {port}, which is not among them.")}
                                </p>
                            }
                        })}
                </dd>
            </div>
            <div>
                <dt>"Command"</dt>
                <dd class="mono wrap">
                    {if facts.command.is_empty() {
                        "none".to_owned()
                    } else {
                        facts.command.join(" ")
                    }}
                </dd>
            </div>
            <div>
                <dt>"Created"</dt>
                <dd>
                    {match facts.created_at {
                        Some(at) => view! { <LongAgo at /> }.into_any(),
                        None => "not said".into_any(),
                    }}
                </dd>
            </div>
        </dl>
    }
}
