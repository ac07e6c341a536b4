//! Signing in, people, and what they may do.

use super::Answer;
use domain::{
    access::{AccessPage, PersonPage},
    id::{GrantId, SessionId, UserId},
    view::{AccountPage, PeoplePage, Viewer},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use domain::{
    error::Problem,
    role::{Granted, Scope},
};

#[cfg(feature = "ssr")]
use super::{
    context::{asked, begin_session, control, drop_session, go_to, maybe_asked, origin},
    typed,
};

/// Who looks, if somebody is signed in.
#[server(name = SeeViewer, prefix = "/api", endpoint = "people/viewer")]
pub async fn viewer() -> Answer<Option<Viewer>> {
    Ok(maybe_asked().map(|asked| asked.actor.viewer()))
}

/// Makes the first admin with the one-time token of the first start, and signs in.
#[server(prefix = "/api", endpoint = "people/make-first-admin")]
pub async fn make_first_admin(
    token: String,
    name: String,
    password: String,
    again: String,
) -> Answer<()> {
    let made = control().make_first_admin(&origin(), &token, &name, &password, &again).await?;
    begin_session(&made.secret);
    go_to("/");
    Ok(())
}

/// Signs in and goes on to `next`, a path of ours.
#[server(prefix = "/api", endpoint = "people/sign-in")]
pub async fn sign_in(
    name: String,
    password: String,
    #[server(default)] next: String,
) -> Answer<()> {
    let signed_in = control().sign_in(&origin(), &name, &password).await?;
    begin_session(&signed_in.secret);
    go_to(typed::next(&next));
    Ok(())
}

/// Ends this session.
#[server(prefix = "/api", endpoint = "people/sign-out")]
pub async fn sign_out() -> Answer<()> {
    if let Some(asked) = maybe_asked() {
        control().sign_out(&asked).await?;
    }
    drop_session();
    go_to("/sign-in");
    Ok(())
}

/// Changes one's own password. Ends one's other sessions.
#[server(prefix = "/api", endpoint = "people/change-password")]
pub async fn change_password(current: String, password: String, again: String) -> Answer<()> {
    let secret = control().change_password(&asked()?, &current, &password, &again).await?;
    begin_session(&secret);
    Ok(())
}

/// Ends one of one's own sessions.
#[server(prefix = "/api", endpoint = "people/end-session")]
pub async fn end_session(session: SessionId) -> Answer<()> {
    Ok(control().end_session(&asked()?, session).await?)
}

/// Ends all of one's own sessions but this one.
#[server(prefix = "/api", endpoint = "people/end-other-sessions")]
pub async fn end_other_sessions() -> Answer<()> {
    Ok(control().end_other_sessions(&asked()?).await?)
}

/// One's own account.
#[server(name = SeeAccount, prefix = "/api", endpoint = "people/account")]
pub async fn account() -> Answer<AccountPage> {
    Ok(control().account(&asked()?).await?)
}

/// People and their grants.
#[server(name = SeePeople, prefix = "/api", endpoint = "people/page")]
pub async fn people() -> Answer<PeoplePage> {
    Ok(control().people(&asked()?).await?)
}

/// One person and what a change of his grants would change.
#[server(name = SeePerson, prefix = "/api", endpoint = "people/person")]
pub async fn person(id: String) -> Answer<PersonPage> {
    let id = id.parse().map_err(|_| Problem::not_found("person"))?;
    Ok(control().person(&asked()?, id).await?)
}

/// People and environments.
#[server(name = SeeAccess, prefix = "/api", endpoint = "people/access")]
pub async fn access() -> Answer<AccessPage> {
    Ok(control().access(&asked()?).await?)
}

/// Adds a person, with a first password that the admin tells him.
#[server(prefix = "/api", endpoint = "people/add")]
pub async fn add_person(name: String, password: String) -> Answer<UserId> {
    Ok(control().add_person(&asked()?, &name, &password).await?)
}

/// Ends a person's sessions and lets him sign in no more.
#[server(prefix = "/api", endpoint = "people/disable")]
pub async fn disable_person(person: UserId) -> Answer<()> {
    Ok(control().disable_person(&asked()?, person).await?)
}

/// Lets a disabled person sign in again.
#[server(prefix = "/api", endpoint = "people/enable")]
pub async fn enable_person(person: UserId) -> Answer<()> {
    Ok(control().enable_person(&asked()?, person).await?)
}

/// Sets a person's password and ends his sessions.
#[server(prefix = "/api", endpoint = "people/reset-password")]
pub async fn reset_password(person: UserId, password: String) -> Answer<()> {
    Ok(control().reset_password(&asked()?, person, &password).await?)
}

/// Gives a role. An empty project or environment means any. With `seen`, only if the change is the
/// one that was shown.
#[server(prefix = "/api", endpoint = "people/give-grant")]
pub async fn give_grant(
    person: UserId,
    role: String,
    #[server(default)] project: String,
    #[server(default)] environment: String,
    #[server(default)] seen: String,
) -> Answer<GrantId> {
    let role = typed::field("role", &role)?;
    let project = typed::optional_id("project", &project)?;
    let environment = typed::optional_id("environment", &environment)?;
    let (control, asked) = (control(), asked()?);
    let given = if seen.is_empty() {
        control.give_grant(&asked, person, role, project, environment).await
    } else {
        let granted = Granted { role, scope: Scope::of(project, environment) };
        control.give_seen_grant(&asked, person, granted, &seen).await
    };
    Ok(given?)
}

/// Takes a role away. `seen` as for giving one.
#[server(prefix = "/api", endpoint = "people/take-grant")]
pub async fn take_grant(grant: GrantId, #[server(default)] seen: String) -> Answer<()> {
    let (control, asked) = (control(), asked()?);
    let taken = if seen.is_empty() {
        control.take_grant(&asked, grant).await
    } else {
        control.take_seen_grant(&asked, grant, &seen).await
    };
    Ok(taken?)
}
