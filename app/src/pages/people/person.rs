//! One person: who, what he or she may do, and what an admin can do about it.

use super::{Acts, Places};
use crate::{
    api::typed,
    components::{
        ask_form::AskForm,
        field::{Choice, Secret, SecretField},
        form::Fields,
        when::LongAgo,
    },
};
use domain::{
    id::UserId,
    role::{Role, Scope},
    view::{GrantRow, Person},
};
use leptos::prelude::*;

/// A row of the page.
#[component]
pub(super) fn OnePerson(
    person: Person,
    acts: Acts,
    /// It is the viewer: nobody changes his own rights.
    mine: bool,
    /// It is the last admin: somebody must be able to give rights.
    last: bool,
    places: Places,
) -> impl IntoView {
    let Person { id, name, disabled, added_at, last_seen_at, grants } = person;
    let heading = format!("person-{id}");
    let roleless = grants.is_empty();
    let note = match (mine, last) {
        (true, true) => Some("This is you, and the last admin: add another admin first."),
        (true, false) => Some("This is you. Another admin changes what you may do."),
        (false, true) => Some("The last admin can not be disabled and keeps that role."),
        (false, false) => None,
    };
    view! {
        <li class="person" class:off=disabled aria-labelledby=heading>
            <div class="who-is">
                <h2 id=heading.clone()>{name.clone()}</h2>
                {disabled.then(|| view! { <p class="amber">"▲ disabled"</p> })}
                <p class="faint">
                    {match last_seen_at {
                        Some(at) => view! { "seen " <LongAgo at /> }.into_any(),
                        None => "never signed in".into_any(),
                    }}
                </p>
                <p class="faint">"added " <LongAgo at=added_at /></p>
            </div>
            <div class="may">
                <ul class="grants">
                    {grants
                        .into_iter()
                        .map(|grant| {
                            let fixed = mine || (last && is_whole_admin(&grant));
                            let name = name.clone();
                            view! { <OneGrant grant acts name fixed /> }
                        })
                        .collect_view()}
                </ul>
                {roleless.then(|| view! { <p class="faint">"No role yet: sees nothing."</p> })}
                {note.map(|note| view! { <p class="faint">{note}</p> })}
            </div>
            <div class="acts">
                {(!mine).then(|| view! { <Give id name=name.clone() acts places /> })}
                {(!mine).then(|| view! { <Reset id name=name.clone() acts /> })}
                {(!mine && !last && !disabled)
                    .then(|| view! { <Disable id name=name.clone() acts /> })}
                {disabled.then(|| view! { <Enable id name acts /> })}
            </div>
        </li>
    }
}

fn is_whole_admin(grant: &GrantRow) -> bool {
    grant.role == Role::Admin && grant.scope == Scope::Everything
}

#[component]
fn OneGrant(grant: GrantRow, acts: Acts, name: String, fixed: bool) -> impl IntoView {
    let GrantRow { id, role, scope_words, by, given_at, .. } = grant;
    let title = format!("Take {role} in {scope_words} from {name}");
    view! {
        <li>
            <p title=role.means()>
                <strong>{role.as_str()}</strong>
                " in "
                {scope_words}
                <span class="faint">" by " {by} ", " <LongAgo at=given_at /></span>
            </p>
            {(!fixed)
                .then(|| {
                    view! {
                        <AskForm
                            action=acts.take
                            hidden=vec![("grant", id.to_string())]
                            id=format!("take-{id}")
                            trigger="Take away"
                            title
                            effect=format!(
                                "From the next click on {name} may no longer do what only this \
                                 role allows. What is running goes on.",
                            )
                            yes="Take the role away"
                            class="small plain"
                        />
                    }
                })}
        </li>
    }
}

#[component]
fn Give(id: UserId, name: String, acts: Acts, places: Places) -> impl IntoView {
    view! {
        <AskForm
            action=acts.give
            hidden=vec![("person", id.to_string())]
            id=format!("give-{id}")
            trigger="Give a role"
            title=format!("Give {name} a role")
            effect="It holds from the next click on, in the scope that is chosen here."
            yes="Give the role"
        >
            <Roles />
            <div class="row">
                <Choice name="project" label="Project" options=places.projects />
                <Choice name="environment" label="Environment" options=places.environments />
            </div>
        </AskForm>
    }
}

/// The roles to choose from, each with what it means.
#[component]
fn Roles() -> impl IntoView {
    let fields = Fields::here();
    let first = fields.first("role", Role::Viewer.as_str().to_owned());
    view! {
        <fieldset>
            <legend>"Role"</legend>
            {Role::ALL
                .into_iter()
                .map(|role| {
                    let id = fields.id_of(role.as_str());
                    view! {
                        <div class="check">
                            <input
                                type="radio"
                                id=id.clone()
                                name="role"
                                value=role.as_str()
                                checked=role.as_str() == first
                            />
                            <label for=id>
                                <strong>{role.as_str()}</strong>
                                " "
                                <span class="soft">{role.means()}</span>
                            </label>
                        </div>
                    }
                })
                .collect_view()}
        </fieldset>
    }
}

#[component]
fn Reset(id: UserId, name: String, acts: Acts) -> impl IntoView {
    view! {
        <AskForm
            action=acts.reset
            hidden=vec![("person", id.to_string())]
            id=format!("reset-{id}")
            trigger="Set password"
            title=format!("Set a new password for {name}")
            effect=format!(
                "{name} is signed out everywhere and signs in with the new password.",
            )
            yes="Set the password"
        >
            <SecretField
                name=Secret::Password
                label="New password"
                hint="12 to 128 characters. Tell it to the person."
                autocomplete="new-password"
                check=typed::password
            />
        </AskForm>
    }
}

#[component]
fn Disable(id: UserId, name: String, acts: Acts) -> impl IntoView {
    view! {
        <AskForm
            action=acts.disable
            hidden=vec![("person", id.to_string())]
            id=format!("disable-{id}")
            trigger="Disable"
            title=format!("Disable {name}")
            effect=format!(
                "{name} is signed out everywhere at once and can not sign in until enabled again. \
                 Rollouts that {name} asked for and that are not prepared yet end as aborted. Roles \
                 and history stay.",
            )
            yes="Disable the account"
        />
    }
}

#[component]
fn Enable(id: UserId, name: String, acts: Acts) -> impl IntoView {
    view! {
        <AskForm
            action=acts.enable
            hidden=vec![("person", id.to_string())]
            id=format!("enable-{id}")
            trigger="Enable"
            title=format!("Enable {name}")
            effect=format!("{name} can sign in again, with the same password and the same roles.")
            yes="Enable the account"
        />
    }
}
