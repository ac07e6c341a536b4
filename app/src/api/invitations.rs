//! Inviting people, and accepting an invitation.

use super::Answer;
use domain::{
    id::InvitationId,
    invitation::{InvitationPage, InvitationsPage, Made},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{
    context::{
        asked, begin_session, control, go_to, hand_over, handed_over, is_plain_form, origin,
    },
    typed,
};
#[cfg(feature = "ssr")]
use domain::{
    error::Problem,
    role::{Granted, Scope},
};

/// A role that an invitation carries, as it is typed: flat words, because a plain form has no more.
/// The first has to be there, the others are left out by an empty role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carries {
    pub role: String,
    pub project: String,
    pub environment: String,
    pub role_2: String,
    pub project_2: String,
    pub environment_2: String,
    pub role_3: String,
    pub project_3: String,
    pub environment_3: String,
}

impl Carries {
    /// The rows as role, project and environment, empty ones too.
    #[must_use]
    pub fn rows(&self) -> [[&str; 3]; 3] {
        [
            [&self.role, &self.project, &self.environment],
            [&self.role_2, &self.project_2, &self.environment_2],
            [&self.role_3, &self.project_3, &self.environment_3],
        ]
    }
}

/// The list of invitations. Where a form without scripts has just made one, with its link.
#[server(name = SeeInvitations, prefix = "/api", endpoint = "people/invitations")]
pub async fn invitations() -> Answer<InvitationsPage> {
    let (control, asked) = (control(), asked()?);
    let mut page = control.invitations(&asked).await?;
    if let Some(token) = handed_over() {
        page.made = control.made_invitation(&asked, &token).await?;
    }
    Ok(page)
}

/// Makes an invitation, and its link, which is told this once.
#[server(name = InvitePerson, prefix = "/api", endpoint = "people/invite")]
pub async fn invite(
    name: String,
    days: String,
    #[server(flatten)] carries: Carries,
) -> Answer<Made> {
    let days = typed::number("days", &days)?;
    let granted = carried(&carries)?;
    let made = control().invite(&asked()?, &name, days, &granted).await?;
    if is_plain_form() {
        // Such a form is answered with a way back to its page, which then shows the link.
        if let Some((_, token)) = made.link.split_once("token=") {
            hand_over(token);
        }
        go_to("/people/invitations");
    }
    Ok(made)
}

#[cfg(feature = "ssr")]
fn carried(carries: &Carries) -> Result<Vec<Granted>, Problem> {
    let mut granted = Vec::new();
    for (index, [role, project, environment]) in carries.rows().into_iter().enumerate() {
        if role.is_empty() && index > 0 {
            continue;
        }
        let role = typed::field("role", role)?;
        let scope = Scope::of(
            typed::optional_id("project", project)?,
            typed::optional_id("environment", environment)?,
        );
        granted.push(Granted { role, scope });
    }
    Ok(granted)
}

/// Makes an invitation void.
#[server(prefix = "/api", endpoint = "people/withdraw-invitation")]
pub async fn withdraw_invitation(invitation: InvitationId) -> Answer<()> {
    Ok(control().withdraw_invitation(&asked()?, invitation).await?)
}

/// What whoever opens a link sees.
#[server(name = SeeInvitation, prefix = "/api", endpoint = "people/invitation")]
pub async fn invitation(token: String) -> Answer<InvitationPage> {
    Ok(control().invitation(&origin(), &token).await?)
}

/// Makes an account with a link, and signs in.
#[server(prefix = "/api", endpoint = "people/accept-invitation")]
pub async fn accept_invitation(
    token: String,
    name: String,
    password: String,
    again: String,
) -> Answer<()> {
    let made = control().accept_invitation(&origin(), &token, &name, &password, &again).await?;
    begin_session(&made.secret);
    go_to("/");
    Ok(())
}
