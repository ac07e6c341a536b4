//! Registries: where images are kept for more than one machine, and who signs in there. A password
//! goes in here and never comes out.

use crate::{
    api::{
        Answer,
        registries::{self, AddRegistry, ArchiveRegistry, ChangeRegistry, TryRegistry},
    },
    components::{
        answered::Answered,
        ask_form::AskForm,
        field::{Field, Secret, SecretField, reads},
        form::{Changes, Done, Form, Send},
        inquiry,
        loaded::Loaded,
        shared_tabs::SharedTabs,
        when::LongAgo,
    },
    format::counted,
};
use domain::{
    name::{Name, RegistryAddress, RegistryUser},
    registry::{RegistriesPage as View, RegistryRow, password},
    view::InquiryPage,
};
use leptos::prelude::*;
use leptos_meta::Title;

/// What the forms of this page do, and what came of trying one.
#[derive(Clone, Copy)]
struct Acts {
    add: ServerAction<AddRegistry>,
    change: ServerAction<ChangeRegistry>,
    archive: ServerAction<ArchiveRegistry>,
    try_one: ServerAction<TryRegistry>,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
}

/// The page.
#[component]
pub fn RegistriesPage() -> impl IntoView {
    let acts = Acts {
        add: ServerAction::new(),
        change: ServerAction::new(),
        archive: ServerAction::new(),
        try_one: ServerAction::new(),
        inquiry: inquiry::follow(),
    };
    let changes = Changes::new();
    changes.follow(acts.add, "The registry was added. Try it.");
    changes.follow(acts.change, "The credentials were stored.");
    changes.follow(acts.archive, "The registry was archived, and its credentials forgotten.");
    let page = Resource::new_blocking(move || changes.count(), |_| registries::registries());
    view! {
        <Title text="Registries" />
        <SharedTabs here="/registries" heading="Registries" />
        <p class="lead">
            "Where images are kept for more than one machine. The container engine sends and \
             fetches them; Pilothouse gives it what is stored here for the one call that needs it."
        </p>
        <Done changes />
        <Loaded page headed=true draw=move |view: View| view! { <All view acts /> }.into_any() />
    }
}

#[component]
fn All(view: View, acts: Acts) -> impl IntoView {
    let View { registries, may_edit } = view;
    let none = registries.is_empty();
    view! {
        <div class="sections">
            <section aria-labelledby="registries">
                <h2 id="registries">"Registries"</h2>
                {none
                    .then(|| {
                        view! {
                            <p class="faint">
                                "None yet. Images are then only on the machine that built or loaded \
                                 them."
                            </p>
                        }
                    })}
                <ul class="list">
                    {registries
                        .into_iter()
                        .map(|row| view! { <One row may_edit acts /> })
                        .collect_view()}
                </ul>
            </section>
            {may_edit.then(|| view! { <Add action=acts.add /> })}
        </div>
    }
}

#[component]
fn One(row: RegistryRow, may_edit: bool, acts: Acts) -> impl IntoView {
    let RegistryRow { id, name, address, user, has_login, set_by, set_at, services } = row;
    let heading = format!("registry-{id}");
    let hidden = || vec![("registry", id.to_string())];
    let login = match (&user, has_login) {
        (Some(user), _) => format!("signs in as {user}"),
        (None, true) => "signs in with a stored password".to_owned(),
        (None, false) => "without a login".to_owned(),
    };
    let pushed = match u64::try_from(services).unwrap_or(0) {
        0 => "no service pushes to it".to_owned(),
        many => format!("{} to it", counted(many, "service pushes", "services push")),
    };
    let now = user.map(String::from).unwrap_or_default();
    view! {
        <li aria-labelledby=heading>
            <h3 id=heading.clone()>{name.clone()}</h3>
            <p class="mono wrap">{address.to_string()}</p>
            <p>{login} <span class="faint">", set by " {set_by} ", " <LongAgo at=set_at /></span></p>
            <p class="faint">{pushed}</p>
            {may_edit
                .then(|| {
                    view! {
                        <div class="buttons registry-acts">
                            <Form action=acts.try_one hidden=hidden() stays=true class="inline">
                                <Send label="Test" sending="Asking …" class="small" />
                            </Form>
                            <AskForm
                                action=acts.change
                                hidden=hidden()
                                id=format!("change-{id}")
                                trigger="Change the login"
                                title=format!("Change the login of {name}")
                                effect="What is stored now is replaced. Without a user name nobody signs in there any more."
                                yes="Store the login"
                            >
                                <Login user=now />
                            </AskForm>
                            <AskForm
                                action=acts.archive
                                hidden=hidden()
                                id=format!("archive-{id}")
                                trigger="Archive"
                                title=format!("Archive {name}")
                                effect="Its password is forgotten, and nothing is sent there or fetched from there with a login any more. Images in it stay."
                                yes="Archive it"
                            />
                        </div>
                    }
                })}
            <Answered of="of" is=id.to_string() inquiry=acts.inquiry waits="The registry is asked …" />
        </li>
    }
}

#[component]
fn Add(action: ServerAction<AddRegistry>) -> impl IntoView {
    view! {
        <section aria-labelledby="add">
            <h2 id="add">"Add a registry"</h2>
            <Form action>
                <Field
                    name="name"
                    label="Name"
                    hint="As people call it here: company, ghcr."
                    check={reads::<Name>}
                    required=true
                />
                <Field
                    name="address"
                    label="Address"
                    hint="The host, and the port if it has one."
                    placeholder="registry.example.org:5000"
                    check={reads::<RegistryAddress>}
                    required=true
                    mono=true
                />
                <Login user=String::new() />
                <div class="buttons">
                    <Send label="Add it" sending="Adding it …" class="primary" />
                </div>
            </Form>
        </section>
    }
}

/// Who signs in. What is stored is never shown, so it is typed anew.
#[component]
fn Login(user: String) -> impl IntoView {
    view! {
        <Field
            name="user"
            label="User name"
            value=user
            hint="Empty: nobody signs in there."
            check={reads::<RegistryUser>}
        />
        <SecretField
            name=Secret::Password
            label="Password or token"
            autocomplete="off"
            hint="Stored encrypted, and shown nowhere again."
            check={password}
            optional=true
        />
    }
}
