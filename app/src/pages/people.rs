//! Who may do what: people, their roles, and what an admin does about both.

mod person;

use crate::{
    api::{
        people::{
            self, AddPerson, DisablePerson, EnablePerson, GiveGrant, ResetPassword, TakeGrant,
        },
        typed,
    },
    components::{
        field::{Field, Secret, SecretField, reads},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
    },
    session::session,
};
use domain::{
    id::UserId,
    name::PersonName,
    role::{Role, Scope},
    view::PeoplePage as View,
};
use leptos::prelude::*;
use leptos_meta::Title;
use person::OnePerson;

/// What the forms of this page do. One action for all rows: a form knows its own answer.
#[derive(Clone, Copy)]
struct Acts {
    add: ServerAction<AddPerson>,
    give: ServerAction<GiveGrant>,
    take: ServerAction<TakeGrant>,
    disable: ServerAction<DisablePerson>,
    enable: ServerAction<EnablePerson>,
    reset: ServerAction<ResetPassword>,
}

/// The page.
#[component]
pub fn PeoplePage() -> impl IntoView {
    let acts = Acts {
        add: ServerAction::new(),
        give: ServerAction::new(),
        take: ServerAction::new(),
        disable: ServerAction::new(),
        enable: ServerAction::new(),
        reset: ServerAction::new(),
    };
    let changes = Changes::new();
    changes.follow(acts.add, "The person was added. Give a role next.");
    changes.follow(acts.give, "The role was given.");
    changes.follow(acts.take, "The role was taken away.");
    changes.follow(acts.disable, "The account was disabled and its sessions were ended.");
    changes.follow(acts.enable, "The account was enabled again.");
    changes.follow(acts.reset, "The password was set and the sessions were ended.");
    let page = Resource::new_blocking(move || changes.count(), |_| people::people());
    let session = session();

    view! {
        <Title text="People" />
        <h1>"People"</h1>
        <Done changes />
        <Loaded
            page
            headed=true
            draw=move |view: View| {
                let me = session.viewer().map(|viewer| viewer.id);
                view! { <Everybody view acts me /> }.into_any()
            }
        />
    }
}

#[component]
fn Everybody(view: View, acts: Acts, me: Option<UserId>) -> impl IntoView {
    let last_admin = last_admin(&view);
    let places = Places::of(&view);
    view! {
        <ul class="people">
            {view
                .people
                .into_iter()
                .map(|person| {
                    let mine = me == Some(person.id);
                    let last = last_admin == Some(person.id);
                    let places = places.clone();
                    view! { <OnePerson person acts mine last places /> }
                })
                .collect_view()}
        </ul>
        <div class="sections">
            <section aria-labelledby="add">
                <h2 id="add">"Add a person"</h2>
                <Form action=acts.add>
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

/// The lists of the form that gives a role.
#[derive(Clone)]
struct Places {
    projects: Vec<(String, String)>,
    environments: Vec<(String, String)>,
}

impl Places {
    fn of(view: &View) -> Self {
        let any = |word: &str| (String::new(), word.to_owned());
        let projects = view.projects.iter().map(|(id, name)| (id.to_string(), name.to_string()));
        let environments =
            view.environments.iter().map(|(id, name)| (id.to_string(), name.to_string()));
        Self {
            projects: std::iter::once(any("any project")).chain(projects).collect(),
            environments: std::iter::once(any("any environment")).chain(environments).collect(),
        }
    }
}

/// The one person who could lose the last admin's role. The server refuses it as well.
fn last_admin(view: &View) -> Option<UserId> {
    let is_admin = |grant: &domain::view::GrantRow| {
        grant.role == Role::Admin && grant.scope == Scope::Everything
    };
    let mut admins = view
        .people
        .iter()
        .filter(|person| !person.disabled && person.grants.iter().any(is_admin))
        .map(|person| person.id);
    let first = admins.next();
    first.filter(|_| admins.next().is_none())
}
