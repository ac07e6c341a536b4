//! What builds are given and leave nowhere: the login of the repository, and secrets that steps mount.
//! A value goes in here and never comes out. Loaded apart, so that what is typed above stays.

use crate::{
    api::builds::{self, RemoveBuildSecret, SetBuildSecret, SetSourceLogin},
    components::{
        ask_form::AskForm,
        field::{Field, Secret, SecretField, SecretText, reads},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        when::LongAgo,
    },
};
use domain::{
    build::given::{GitUser, Given, LoginCard, SecretCard, SecretName},
    id::ServiceId,
    registry::password,
};
use leptos::prelude::*;

#[derive(Clone, Copy)]
struct Acts {
    set: ServerAction<SetBuildSecret>,
    remove: ServerAction<RemoveBuildSecret>,
    login: ServerAction<SetSourceLogin>,
}

/// Both sections.
#[component]
pub(super) fn GivenToBuilds(service: ServiceId) -> impl IntoView {
    let acts =
        Acts { set: ServerAction::new(), remove: ServerAction::new(), login: ServerAction::new() };
    let changes = Changes::new();
    changes.follow(acts.set, "The secret was sealed. The next build is given it.");
    changes.follow(acts.remove, "The secret was removed. No build is given it any more.");
    changes.follow(acts.login, "The login was stored. It holds from the next fetch on.");
    let page = Resource::new_blocking(move || changes.count(), move |_| builds::given(service));
    let draw = move |given: Given| view! { <Draw given service acts /> }.into_any();
    view! {
        <Done changes />
        <Loaded page headed=true draw />
    }
}

#[component]
fn Draw(given: Given, service: ServiceId, acts: Acts) -> impl IntoView {
    let Given { secrets, login, host, may_edit } = given;
    view! {
        <div class="sections">
            <section aria-labelledby="reads">
                <h2 id="reads">"Who reads the repository"</h2>
                <Login login host service may_edit action=acts.login />
            </section>
            <section aria-labelledby="build-secrets">
                <h2 id="build-secrets">"Secrets of its builds"</h2>
                <p class="faint">
                    "A step mounts one with "
                    <code class="mono">"RUN --mount=type=secret,id=NAME"</code>
                    ". It is in no image, no history and no log; it needs BuildKit."
                </p>
                {secrets
                    .is_empty()
                    .then(|| view! { <p class="faint">"There is none yet."</p> })}
                <ul class="list">
                    {secrets
                        .into_iter()
                        .map(|secret| view! { <One secret service may_edit acts /> })
                        .collect_view()}
                </ul>
                {may_edit.then(|| view! { <New service action=acts.set /> })}
            </section>
        </div>
    }
}

#[component]
fn Login(
    login: Option<LoginCard>,
    host: Option<String>,
    service: ServiceId,
    may_edit: bool,
    action: ServerAction<SetSourceLogin>,
) -> impl IntoView {
    let user = login.as_ref().and_then(|login| login.user.clone()).map(String::from);
    let stale = login.as_ref().is_some_and(|login| Some(&login.host) != host.as_ref());
    let now = match login {
        None => view! { <p class="faint">"Nobody signs in: it must be public."</p> }.into_any(),
        Some(login) => {
            let who = login.user.map_or("somebody".to_owned(), String::from);
            view! {
                <p>
                    {format!("{who} at ")} <span class="mono wrap">{login.host}</span>
                    <span class="faint">
                        ", set by " {login.set_by} " " <LongAgo at=login.set_at />
                    </span>
                </p>
                {stale
                    .then(|| {
                        view! {
                            <p class="flag">
                                "The code is elsewhere now. The login is not sent there: store one anew."
                            </p>
                        }
                    })}
                {login
                    .lost
                    .then(|| {
                        view! { <p class="bad">"The token is lost with its key: store it anew."</p> }
                    })}
            }
            .into_any()
        }
    };
    let form = match (may_edit, host) {
        (false, _) => ().into_any(),
        (true, None) => view! {
            <p class="soft">"Say first where the code is: a login is for that https server alone."</p>
        }
        .into_any(),
        (true, Some(host)) => view! {
            <AskForm
                action
                hidden=vec![("service", service.to_string())]
                id="source-login"
                trigger="Change the login"
                title=format!("Change who reads the repository at {host}")
                effect="What is stored now is replaced. It is sent to this server alone, over TLS. Without a user name nobody signs in there any more."
                yes="Store the login"
            >
                <Field
                    name="user"
                    label="User name"
                    value=user.unwrap_or_default()
                    hint="Empty: nobody signs in. With a token, most servers take any word."
                    check={reads::<GitUser>}
                />
                <SecretField
                    name=Secret::Token
                    label="Token or password"
                    autocomplete="off"
                    hint="Stored encrypted, and shown nowhere again. One that may only read is enough."
                    check={password}
                    optional=true
                />
            </AskForm>
        }
        .into_any(),
    };
    view! {
        {now}
        {form}
    }
}

#[component]
fn One(secret: SecretCard, service: ServiceId, may_edit: bool, acts: Acts) -> impl IntoView {
    let SecretCard { name, version, set_by, set_at, due, lost } = secret;
    let name = name.to_string();
    let hidden = vec![
        ("service", service.to_string()),
        ("name", name.clone()),
        ("based_on", version.to_string()),
    ];
    view! {
        <li class="with-act">
            <div>
                <h3 class="mono">{name.clone()}</h3>
                <p class="faint">
                    {format!("version {version}, set by {set_by} ")} <LongAgo at=set_at />
                </p>
                {lost
                    .then(|| {
                        view! { <p class="bad">"the value is lost with its key: set it anew"</p> }
                    })}
                {(due && !lost)
                    .then(|| view! { <p class="flag">"due: older than 90 days"</p> })}
            </div>
            {may_edit
                .then(|| {
                    view! {
                        <div class="buttons">
                            <AskForm
                                action=acts.set
                                hidden=hidden.clone()
                                id=format!("set-{name}")
                                trigger="Set anew"
                                title=format!("Set {name} anew")
                                effect=format!("It becomes version {}, and the next build is given it.", version + 1)
                                yes="Set"
                            >
                                <SecretText label="Value" />
                            </AskForm>
                            <AskForm
                                action=acts.remove
                                hidden=hidden.clone()
                                id=format!("remove-{name}")
                                trigger="Remove"
                                class="small plain"
                                title=format!("Remove {name}")
                                effect="No build is given it any more. A step that needs it fails."
                                yes="Remove"
                            />
                        </div>
                    }
                })}
        </li>
    }
}

#[component]
fn New(service: ServiceId, action: ServerAction<SetBuildSecret>) -> impl IntoView {
    view! {
        <details class="more">
            <summary>"New secret"</summary>
            <Form
                action
                hidden=vec![("service", service.to_string()), ("based_on", "0".to_owned())]
                stays=true
            >
                <Field
                    name="name"
                    label="Name"
                    hint="As the recipe mounts it, for example npm_token."
                    check={reads::<SecretName>}
                    mono=true
                    required=true
                />
                <SecretText label="Value" />
                <div class="buttons">
                    <Send label="Set" sending="Setting …" class="primary" />
                </div>
            </Form>
        </details>
    }
}
