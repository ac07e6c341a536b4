//! One target: whether it answers, how it is reached, what is there and what we may do there.

mod leads;
mod seen;

use super::{environment::Answers, targets::Credentials};
use crate::{
    api::{
        Answer,
        targets::{self, ArchiveTarget, ChooseTarget, LookAtTarget, ReplaceCredentials},
    },
    components::{
        ask_form::AskForm,
        field::{Choice, Field, reads},
        form::{Changes, Done, Form, Send},
        inquiry,
        loaded::Loaded,
        when::LongAgo,
    },
};
use domain::{
    error::Problem,
    id::TargetId,
    name::ImageReference,
    namespace::NamespacePattern,
    target::{
        cluster::{ClusterCard, TargetPage as View},
        entrance::{Entrance, HostPattern, ObjectName},
    },
    view::InquiryPage,
};
use leads::Leads;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use seen::There;
use std::time::Duration;

/// How often the page looks whether a new target was asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the forms of this page do, and what came of asking the cluster.
#[derive(Clone, Copy)]
struct Acts {
    choose: ServerAction<ChooseTarget>,
    replace: ServerAction<ReplaceCredentials>,
    look: ServerAction<LookAtTarget>,
    archive: ServerAction<ArchiveTarget>,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
}

/// The page.
#[component]
pub fn TargetPage() -> impl IntoView {
    let acts = Acts {
        choose: ServerAction::new(),
        replace: ServerAction::new(),
        look: ServerAction::new(),
        archive: ServerAction::new(),
        inquiry: inquiry::follow(),
    };
    let changes = Changes::new();
    changes.follow(acts.choose, "The choice was saved. Ask again what is there.");
    changes.follow(acts.replace, "The credentials were replaced.");
    let params = use_params_map();
    let id = Memo::new(move |_| {
        params.with(|params| params.get_str("id").and_then(|id| id.parse::<TargetId>().ok()))
    });
    let page = Resource::new_blocking(
        move || (id.get(), changes.count()),
        |(id, _)| async move {
            match id {
                Some(id) => targets::target(id).await,
                None => Err(Problem::not_found("target").into()),
            }
        },
    );
    // What it said since the page was drawn: only that is drawn anew, for in a form somebody may be typing.
    let since = RwSignal::new(None::<View>);
    Effect::new(move |_| {
        let is_new = |view: &View| view.row.answers.is_none();
        let waits = since.with(|since| since.as_ref().map(is_new)).or_else(|| {
            page.with(|page| page.as_ref().and_then(|page| page.as_ref().ok()).map(is_new))
        });
        let Some(id) = id.get().filter(|_| waits == Some(true)) else { return };
        // It is asked every few seconds: until it was, there is nothing to look at.
        let again = move || {
            leptos::task::spawn_local(async move {
                if let Ok(view) = targets::target(id).await {
                    // The page may be another one by now.
                    let _ = since.try_set(Some(view));
                }
            });
        };
        if let Ok(soon) = set_timeout_with_handle(again, ASK_AGAIN) {
            on_cleanup(move || soon.clear());
        }
    });
    let draw = move |view: View| {
        since.set(None);
        view! { <Whole view since acts /> }.into_any()
    };
    view! {
        <Done changes />
        <Loaded page draw />
    }
}

#[component]
fn Whole(view: View, since: RwSignal<Option<View>>, acts: Acts) -> impl IntoView {
    let drawn = (view.row.answers, view.row.says.clone(), view.asked_at);
    let View { row, version, cluster, may_edit, .. } = view;
    let says = move || {
        let now = since.with(|since| {
            since.as_ref().map(|view| (view.row.answers, view.row.says.clone(), view.asked_at))
        });
        let (ok, says, asked_at) = now.unwrap_or_else(|| drawn.clone());
        view! {
            <Answers ok says />
            {asked_at
                .map(|at| {
                    view! {
                        <p class="faint">"noted " <LongAgo at /></p>
                    }
                })}
        }
    };
    let (id, name) = (row.id, row.name.clone());
    let kind = if row.is_cluster { "A cluster" } else { "This machine's container engine" };
    let on_it = match row.environments.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    view! {
        <Title text=name.clone() />
        <article class="place">
            <div class="title">
                <div>
                    <nav class="crumb" aria-label="Where this is">
                        <a href="/targets">"Targets"</a>
                        " / "
                        <span>{name.clone()}</span>
                    </nav>
                    <h1>{name.clone()}</h1>
                    <p class="by">{kind}</p>
                </div>
            </div>
            <div class="sections">
                <section aria-labelledby="facts">
                    <h2 id="facts">"How it is"</h2>
                    <dl class="facts-list">
                        <div>
                            <dt>"Answers"</dt>
                            <dd>
                                {says}
                            </dd>
                        </div>
                        {may_edit
                            .then(|| {
                                view! {
                                    <div>
                                        <dt>"Environments"</dt>
                                        <dd>{on_it}</dd>
                                    </div>
                                }
                            })}
                        {cluster.clone().map(|card| view! { <Reached card /> })}
                    </dl>
                </section>
                {cluster.map(|card| view! { <Edit id version name card acts /> })}
            </div>
        </article>
    }
}

/// As whom, by which of the credentials.
#[component]
fn Reached(card: ClusterCard) -> impl IntoView {
    let by = if card.has_credentials {
        "a stored kubeconfig"
    } else {
        "the service account that Pilothouse runs as"
    };
    view! {
        <div>
            <dt>"Reached with"</dt>
            <dd>
                {by}
                <span class="faint">", set by " {card.set_by} ", " <LongAgo at=card.set_at /></span>
            </dd>
        </div>
        {card
            .context
            .map(|context| {
                view! {
                    <div>
                        <dt>"Context"</dt>
                        <dd class="mono wrap">{context}</dd>
                    </div>
                }
            })}
        <div>
            <dt>"Namespaces"</dt>
            <dd class="mono wrap">{card.namespaces.to_string()}</dd>
        </div>
        <div>
            <dt>"From outside"</dt>
            <dd>
                {match card.entrance {
                    Some(Entrance { hosts, class, certificate }) => {
                        let class = class.map(|class| format!(", class {class}"));
                        let certificate = match certificate {
                            Some(name) => format!(", certificate {name}"),
                            None => ", in the clear".to_owned(),
                        };
                        view! {
                            <span class="mono wrap">{hosts.to_string()}</span>
                            <span class="faint">{class} {certificate}</span>
                        }
                            .into_any()
                    }
                    None => "not reached: services answer inside the cluster".into_any(),
                }}
            </dd>
        </div>
    }
}

#[component]
fn Edit(id: TargetId, version: i32, name: String, card: ClusterCard, acts: Acts) -> impl IntoView {
    let hidden = move || vec![("target", id.to_string())];
    view! {
        <section aria-labelledby="there">
            <h2 id="there">"What is there"</h2>
            <Form action=acts.look hidden=hidden() stays=true class="inline">
                <Send label="Ask it now" sending="Asking …" class="small" />
            </Form>
            <There inquiry=acts.inquiry />
        </section>
        <section aria-labelledby="choose">
            <h2 id="choose">"What is used of it"</h2>
            <Chosen id version card acts />
        </section>
        <section aria-labelledby="change">
            <h2 id="change">"Credentials"</h2>
            <div class="buttons">
                <AskForm
                    action=acts.replace
                    hidden=hidden()
                    id="replace"
                    trigger="Replace the credentials"
                    title=format!("Replace the credentials of {name}")
                    effect="What is stored now is forgotten. What runs on the cluster goes on."
                    yes="Store them"
                >
                    <Credentials />
                </AskForm>
                <AskForm
                    action=acts.archive
                    hidden=hidden()
                    id="archive"
                    trigger="Archive"
                    title=format!("Archive {name}")
                    effect="Its credentials are forgotten. Possible only when no environment is on it."
                    yes="Archive it"
                />
            </div>
        </section>
    }
}

/// The context, the namespaces, the image of the witness and the way in.
#[component]
fn Chosen(id: TargetId, version: i32, card: ClusterCard, acts: Acts) -> impl IntoView {
    let options: Vec<_> = card.contexts.iter().map(|one| (one.name.clone(), one.line())).collect();
    let value = card.context.clone().unwrap_or_default();
    let pattern = RwSignal::new(card.namespaces.to_string());
    let text = |word: Option<String>| word.unwrap_or_default();
    let entrance = card.entrance;
    let hosts = text(entrance.as_ref().map(|entrance| entrance.hosts.to_string()));
    let class = entrance.as_ref().and_then(|entrance| entrance.class.as_ref());
    let class = text(class.map(ToString::to_string));
    let certificate = entrance.as_ref().and_then(|entrance| entrance.certificate.as_ref());
    let certificate = text(certificate.map(ToString::to_string));
    let hidden = vec![("target", id.to_string()), ("based_on", version.to_string())];
    view! {
        <Form action=acts.choose hidden stays=true>
            {(!options.is_empty())
                .then(|| view! { <Choice name="context" label="Context" options value /> })}
            <Field
                name="namespaces"
                label="Namespaces"
                value=card.namespaces.to_string()
                hint="One for each project in each environment: {project} and {environment} are filled in. They must be there already."
                check={reads::<NamespacePattern>}
                list=leads::OFFERED
                on_typed=Callback::new(move |typed| pattern.set(typed))
                required=true
                mono=true
            />
            <Leads inquiry=acts.inquiry pattern />
            <Field
                name="probe_image"
                label="Image of the witness"
                value=card.probe_image.map(|image| image.to_string()).unwrap_or_default()
                hint="It sends requests inside the cluster, to see a switch as its clients do. Empty: the API server passes them on."
                check={reads::<ImageReference>}
                mono=true
            />
            <fieldset class="form">
                <legend>"From outside"</legend>
                <Field
                    name="hosts"
                    label="Host names"
                    value=hosts
                    hint="For example {service}.{project}.{environment}.example.com: each service gets an Ingress under its own. Empty: services are reached inside the cluster only."
                    check={reads::<HostPattern>}
                    mono=true
                />
                <div class="row">
                    <Field
                        name="class"
                        label="Ingress class"
                        value=class
                        hint="Empty: the cluster's default."
                        check={reads::<ObjectName>}
                        mono=true
                    />
                    <Field
                        name="certificate"
                        label="TLS secret"
                        value=certificate
                        hint="In each namespace. Empty: no TLS."
                        check={reads::<ObjectName>}
                        mono=true
                    />
                </div>
            </fieldset>
            <div class="buttons">
                <Send label="Save" sending="Saving …" class="primary" />
            </div>
        </Form>
    }
}
