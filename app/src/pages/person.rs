//! One person: what he or she may do, and what an admin can do about it. A change of roles says what
//! it changes before it is saved.

pub mod give;

use super::people::Granted;
use crate::{
    api::{
        people::{self, DisablePerson, EnablePerson, GiveGrant, ResetPassword, TakeGrant},
        typed,
    },
    components::{
        ask_form::AskForm,
        field::{Secret, SecretField},
        form::{Changes, Done},
        loaded::Loaded,
        when::LongAgo,
        would_change::WouldChange,
    },
    format::counted,
};
use domain::{
    access::{Change, PersonPage as View, differences, seen},
    id::UserId,
    role::{Granted as Role, Scope},
    view::{GrantRow, Person},
};
use give::Give;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    give: ServerAction<GiveGrant>,
    take: ServerAction<TakeGrant>,
    disable: ServerAction<DisablePerson>,
    enable: ServerAction<EnablePerson>,
    reset: ServerAction<ResetPassword>,
}

/// The page.
#[component]
pub fn PersonPage() -> impl IntoView {
    let acts = Acts {
        give: ServerAction::new(),
        take: ServerAction::new(),
        disable: ServerAction::new(),
        enable: ServerAction::new(),
        reset: ServerAction::new(),
    };
    let changes = Changes::new();
    changes.follow(acts.give, "The role was given.");
    changes.follow(acts.take, "The role was taken away.");
    changes.follow(acts.disable, "The account was disabled and its sessions were ended.");
    changes.follow(acts.enable, "The account was enabled again.");
    changes.follow(acts.reset, "The password was set and the sessions were ended.");
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let page =
        Resource::new_blocking(move || (id.get(), changes.count()), |(id, _)| people::person(id));

    view! {
        <p class="crumb">
            <a href="/people">"People"</a>
        </p>
        <Done changes />
        <Loaded page draw=move |view: View| view! { <OnePerson view acts /> }.into_any() />
    }
}

/// The ids of what somebody holds and how careful each environment is: what a change is worked out
/// on.
fn seen_in(view: &View, change: Change) -> String {
    let held: Vec<_> = view.person.grants.iter().map(|grant| grant.id).collect();
    let environments: Vec<_> =
        view.places.environments.iter().map(|column| (column.id, column.protected)).collect();
    seen(&held, &environments, change)
}

/// What somebody holds, without the grant `but`.
fn held(view: &View, but: Option<&GrantRow>) -> Vec<Role> {
    let grants = view.person.grants.iter();
    grants
        .filter(|grant| but.is_none_or(|but| but.id != grant.id))
        .map(|grant| Role { role: grant.role, scope: grant.scope })
        .collect()
}

#[component]
fn OnePerson(view: View, acts: Acts) -> impl IntoView {
    let Person { id, name, disabled, added_at, last_seen_at, grants } = view.person.clone();
    let (mine, last) = (view.mine, view.last_admin);
    let roleless = grants.is_empty();
    let note = match (mine, last) {
        (true, true) => Some("This is you, and the last admin: add another admin first."),
        (true, false) => Some("This is you. Another admin changes what you may do."),
        (false, true) => Some("The last admin can not be disabled and keeps that role."),
        (false, false) => None,
    };
    let open = counted(u64::from(view.sessions), "session", "sessions");
    view! {
        <Title text=name.clone() />
        <div class="head">
            <h1>{name.clone()}</h1>
            <a class="link" href=format!("/history?person={}", typed::escaped(&name))>
                "What " {name.clone()} " did"
            </a>
        </div>
        <p class="lead">
            {disabled.then(|| view! { <strong class="amber">"▲ disabled, "</strong> })}
            {match last_seen_at {
                Some(at) => view! { "seen " <LongAgo at /> }.into_any(),
                None => "never signed in".into_any(),
            }} ", added " <LongAgo at=added_at /> ", " {open} " open"
        </p>
        <div class="sections">
            <section aria-labelledby="may">
                <h2 id="may">"May do"</h2>
                <ul class="grants">
                    {grants
                        .into_iter()
                        .map(|grant| {
                            let fixed = mine || (last && is_whole_admin(&grant));
                            let view = view.clone();
                            view! { <OneGrant grant view acts fixed /> }
                        })
                        .collect_view()}
                </ul>
                {roleless.then(|| view! { <p class="faint">"No role yet: sees nothing."</p> })}
                {note.map(|note| view! { <p class="aside">{note}</p> })}
                {(!mine)
                    .then(|| {
                        view! {
                            <h2 id="account" class="after">
                                "Account"
                            </h2>
                            <div class="buttons">
                                <Reset id name=name.clone() acts />
                                {(!last && !disabled)
                                    .then(|| view! { <Disable id name=name.clone() acts /> })}
                                {disabled.then(|| view! { <Enable id name acts /> })}
                            </div>
                        }
                    })}
            </section>
            {(!mine)
                .then(|| {
                    view! {
                        <section aria-labelledby="give">
                            <h2 id="give">"Give a role"</h2>
                            <Give view action=acts.give />
                        </section>
                    }
                })}
        </div>
    }
}

fn is_whole_admin(grant: &GrantRow) -> bool {
    grant.role == domain::role::Role::Admin && grant.scope == Scope::Everything
}

#[component]
fn OneGrant(grant: GrantRow, view: View, acts: Acts, fixed: bool) -> impl IntoView {
    let name = view.person.name.clone();
    let id = grant.id;
    let title = format!("Take {} in {} from {name}", grant.role, grant.scope_words);
    let without = held(&view, Some(&grant));
    let lost = differences(&held(&view, None), &without, &view.places);
    let effect = if lost.is_empty() {
        format!("{name} may do the same as before. What is running goes on.")
    } else {
        format!("It holds from the next click of {name} on. What is running goes on.")
    };
    view! {
        <li>
            <Granted grant />
            {(!fixed)
                .then(|| {
                    view! {
                        <AskForm
                            action=acts.take
                            hidden=vec![("grant", id.to_string())]
                            id=format!("take-{id}")
                            trigger="Take away"
                            title
                            effect
                            yes="Take the role away"
                            class="small plain"
                        >
                            <input
                                type="hidden"
                                name="seen"
                                value=seen_in(&view, Change::Take(id))
                            />
                            <WouldChange
                                differences=lost
                                nothing="Nothing is lost: other roles allow the same."
                            />
                        </AskForm>
                    }
                })}
        </li>
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
                 Rollouts that {name} asked for and that are not prepared yet end as aborted; \
                 invitations by {name} are void. Roles and history stay.",
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
