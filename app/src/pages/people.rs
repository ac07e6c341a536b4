//! Who there is, what each may do, and how somebody is added. What can be done about one person is on
//! that person's page.

use crate::{
    api::{
        people::{self, AddPerson},
        typed,
    },
    components::{
        field::{Field, Secret, SecretField, reads},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        people_tabs::PeopleTabs,
        when::{LongAgo, OnDay},
    },
    session::session,
};
use domain::{
    id::UserId,
    name::PersonName,
    role::Role,
    view::{GrantRow, PeoplePage as View, Person},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn PeoplePage() -> impl IntoView {
    let add = ServerAction::<AddPerson>::new();
    let changes = Changes::new();
    changes.follow(add, "The person was added. Give a role next.");
    let page = Resource::new_blocking(move || changes.count(), |_| people::people());
    let session = session();

    view! {
        <Title text="People" />
        <PeopleTabs here="/people" />
        <Done changes />
        <Loaded
            page
            headed=true
            draw=move |view: View| {
                let me = session.viewer().map(|viewer| viewer.id);
                view! { <Everybody view add me /> }.into_any()
            }
        />
    }
}

#[component]
fn Everybody(view: View, add: ServerAction<AddPerson>, me: Option<UserId>) -> impl IntoView {
    view! {
        <ul class="people">
            {view
                .people
                .into_iter()
                .map(|person| {
                    let mine = me == Some(person.id);
                    view! { <OnePerson person mine /> }
                })
                .collect_view()}
        </ul>
        <div class="sections">
            <section aria-labelledby="add">
                <h2 id="add">"Add a person"</h2>
                <p class="lead">
                    "Better " <a class="link" href="/people/invitations">"invite"</a>
                    " by a link: then nobody but the person ever knows the password."
                </p>
                <Form action=add>
                    <Field
                        name="name"
                        label="Name"
                        hint="What the person signs in with, and what the history says."
                        check={reads::<PersonName>}
                        required=true
                    />
                    <SecretField
                        name=Secret::Password
                        label="First password"
                        hint="12 to 128 characters. Tell it to the person, who changes it on the page Account."
                        autocomplete="new-password"
                        check=typed::password
                    />
                    <div class="buttons">
                        <Send label="Add person" sending="Adding …" class="primary" />
                    </div>
                </Form>
            </section>
            <section aria-labelledby="roles">
                <h2 id="roles">"What the roles mean"</h2>
                <dl class="roles">
                    {Role::ALL
                        .into_iter()
                        .map(|role| {
                            view! {
                                <div>
                                    <dt>{role.as_str()}</dt>
                                    <dd>{role.means()}</dd>
                                </div>
                            }
                        })
                        .collect_view()}
                </dl>
                <p class="aside">
                    "A role holds in a scope: everything, a project, an environment, or a project in \
                     an environment. In a protected environment rolling out needs releaser."
                </p>
            </section>
        </div>
    }
}

/// A row of the page.
#[component]
fn OnePerson(
    person: Person,
    /// It is the viewer.
    mine: bool,
) -> impl IntoView {
    let Person { id, name, disabled, added_at, last_seen_at, grants } = person;
    let heading = format!("person-{id}");
    let roleless = grants.is_empty();
    view! {
        <li class="person" class:off=disabled aria-labelledby=heading>
            <div class="who-is">
                <h2 id=heading.clone()>
                    <a href=format!("/people/{id}")>{name.clone()}</a>
                </h2>
                {disabled.then(|| view! { <p class="amber">"▲ disabled"</p> })}
                <p class="faint">
                    {match last_seen_at {
                        Some(at) => view! { "seen " <LongAgo at /> }.into_any(),
                        None => "never signed in".into_any(),
                    }} ", added " <LongAgo at=added_at />
                </p>
            </div>
            <div class="may">
                <ul class="grants">
                    {grants.into_iter().map(|grant| view! { <li><Granted grant /></li> }).collect_view()}
                </ul>
                {roleless.then(|| view! { <p class="faint">"No role yet: sees nothing."</p> })}
            </div>
            <div class="acts">
                {mine.then(|| view! { <p class="faint">"this is you"</p> })}
                <a
                    class="button small"
                    href=format!("/people/{id}")
                    aria-label=format!("Open {name}")
                >
                    "Open"
                </a>
            </div>
        </li>
    }
}

/// "*releaser* in newstalk by Ana, 3 May".
#[component]
pub(super) fn Granted(grant: GrantRow) -> impl IntoView {
    let GrantRow { role, scope_words, by, given_at, .. } = grant;
    view! {
        <p title=role.means()>
            <strong>{role.as_str()}</strong>
            " in "
            {scope_words}
            <span class="faint">" by " {by} ", " <OnDay at=given_at /></span>
        </p>
    }
}
