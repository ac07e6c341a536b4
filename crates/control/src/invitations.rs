//! Inviting somebody by a link, and what whoever opens it can do with it.
//!
//! The link is shown once, where it was made; the database keeps its hash. It can do no more than
//! who made it can now: when that admin is disabled, or is admin no more, the link is void.

use crate::{
    Asked, Control, OrProblem, Place, SignedIn, hex, passwords,
    permit::scope_words,
    sessions::{add_user, open_session},
};
use domain::{
    error::Problem,
    history::{By, Change, Deed, Origin, Subject},
    id::{GrantId, InvitationId, UserId},
    invitation::{
        Carried, DAYS, InvitationPage, InvitationRow, InvitationsPage, MOST_GRANTS, MOST_OPEN,
        Made, Standing, UNKNOWN,
    },
    name::PersonName,
    role::{Action, Granted},
};
use std::time::Duration;
use store::{Conn, Tx, grants, history::NewEntry, invitations, sessions::Held, users};
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Control {
    /// The invitations that are open, and those that ended lately.
    pub async fn invitations(&self, asked: &Asked) -> Result<InvitationsPage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let found = invitations::all(&mut conn).await.or_problem(origin)?;
        let ids: Vec<_> = found.iter().map(|one| one.id).collect();
        let mut carried = invitations::carried(&mut conn, &ids).await.or_problem(origin)?;
        let places = grants::where_granted(&mut conn).await.or_problem(origin)?;
        let rows = found
            .into_iter()
            .map(|one| InvitationRow {
                id: one.id,
                name: one.name,
                by: one.by,
                invited_at: one.invited_at,
                expires_at: one.expires_at,
                standing: one.standing,
                ended_at: one.ended_at,
                ended_by: one.ended_by,
                carries: carried
                    .extract_if(.., |(invitation, _)| *invitation == one.id)
                    .map(|(_, held)| in_words(&held))
                    .collect(),
            })
            .collect();
        Ok(InvitationsPage { rows, places, made: None })
    }

    /// Makes a link for somebody who gets an account with these grants by it.
    pub async fn invite(
        &self,
        asked: &Asked,
        name: &str,
        days: u8,
        carries: &[Granted],
    ) -> Result<Made, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let name: PersonName = name.parse().map_err(|wrong| Problem::invalid("name", wrong))?;
        if !DAYS.contains(&days) {
            let sentence = format!("A link works for {} to {} days.", DAYS.start(), DAYS.end());
            return Err(Problem::invalid("days", sentence));
        }
        if carries.is_empty() || carries.len() > MOST_GRANTS {
            let sentence = format!("An invitation carries one to {MOST_GRANTS} roles.");
            return Err(Problem::invalid("role", sentence));
        }

        let mut tx = self.begin(origin).await?;
        invitations::sweep(&mut tx).await.or_problem(origin)?;
        if users::by_name(&mut tx, name.as_str()).await.or_problem(origin)?.is_some() {
            return Err(Problem::invalid(
                "name",
                "Somebody has this name already. Give the role on that person's page.",
            ));
        }
        if invitations::open(&mut tx).await.or_problem(origin)? >= MOST_OPEN {
            return Err(Problem::conflict(format!(
                "{MOST_OPEN} invitations are open. Withdraw one first."
            )));
        }
        let id = InvitationId(Uuid::now_v7());
        let (token, stored) = hex::secret();
        let valid_for = DAY * u32::from(days);
        let made = invitations::add(&mut tx, id, &stored, name.as_str(), permit.actor(), valid_for);
        let expires_at = match made.await {
            Err(error) if error.is_refused_by("invitations_one_open") => {
                return Err(Problem::conflict(format!(
                    "{name} is invited already. Its link is not shown again: withdraw that invitation to make a new one."
                )));
            }
            made => made.or_problem(origin)?,
        };
        let changes = carry(&mut tx, origin, id, carries).await?;
        let deed = Deed::PersonInvited { invitation: id, name: name.to_string() };
        let row = asked.entry(&permit, Subject::default(), deed).with_changes(changes);
        self.commit(tx, origin, &[row]).await?;
        let link = format!("{}/invitation?token={token}", self.settings.console_url);
        Ok(Made { name: name.into(), link, expires_at })
    }

    /// The link that a form without scripts made just now: the browser that sent the form brings its
    /// token back. None for everybody else, and when it can be used no more.
    pub async fn made_invitation(
        &self,
        asked: &Asked,
        token: &str,
    ) -> Result<Option<Made>, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let Some(stored) = hex::stored(token) else { return Ok(None) };
        let mut conn = self.connection(origin).await?;
        let found = invitations::of_token(&mut conn, &stored).await.or_problem(origin)?;
        let mine = |one: &invitations::Invitation| {
            one.inviter == asked.actor.id && one.standing == Standing::Open
        };
        Ok(found.filter(mine).map(|one| Made {
            name: one.name,
            link: format!("{}/invitation?token={token}", self.settings.console_url),
            expires_at: one.expires_at,
        }))
    }

    /// Makes a link void before it was used.
    pub async fn withdraw_invitation(
        &self,
        asked: &Asked,
        invitation: InvitationId,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let found = locked(&mut tx, invitation).await.or_problem(origin)?;
        let found = found.ok_or_else(|| Problem::not_found("invitation"))?;
        match found.standing {
            Standing::Open | Standing::Void => {}
            // A second click.
            Standing::Withdrawn => return Ok(()),
            Standing::Accepted => {
                let who = found.ended_by.unwrap_or_default();
                return Err(Problem::conflict(format!(
                    "The invitation was accepted already, by {who}. Disable that person instead."
                )));
            }
            Standing::Expired => {
                return Err(Problem::conflict("The invitation has expired already."));
            }
        }
        invitations::withdraw(&mut tx, invitation, permit.actor()).await.or_problem(origin)?;
        let deed = Deed::InvitationWithdrawn { invitation, name: found.name };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await
    }

    /// What whoever opens a link sees. Nobody needs to be signed in: the link is the right.
    pub async fn invitation(
        &self,
        origin: &Origin,
        token: &str,
    ) -> Result<InvitationPage, Problem> {
        let over = |why: String| Ok(InvitationPage::Over { why });
        let Some(stored) = hex::stored(token.trim()) else { return over(UNKNOWN.to_owned()) };
        let mut conn = self.connection(origin).await?;
        let found = invitations::of_token(&mut conn, &stored).await.or_problem(origin)?;
        let Some(found) = found else { return over(UNKNOWN.to_owned()) };
        if let Some(why) = found.standing.refusal(&found.by) {
            return over(why);
        }
        let carried = invitations::carried(&mut conn, &[found.id]).await.or_problem(origin)?;
        Ok(InvitationPage::Open {
            name: found.name,
            by: found.by,
            expires_at: found.expires_at,
            carries: carried.iter().map(|(_, held)| in_words(held)).collect(),
        })
    }

    /// Makes an account with a link, and signs in.
    pub async fn accept_invitation(
        &self,
        origin: &Origin,
        token: &str,
        name: &str,
        password: &str,
        again: &str,
    ) -> Result<SignedIn, Problem> {
        let stored = hex::stored(token.trim()).ok_or_else(unknown)?;
        let mut conn = self.connection(origin).await?;
        let found = invitations::of_token(&mut conn, &stored).await.or_problem(origin)?;
        let id = open(found)?.id;
        drop(conn);
        let name: PersonName = name.parse().map_err(|wrong| Problem::invalid("name", wrong))?;
        passwords::same(password, again)?;
        passwords::accept("password", password, name.as_str())?;
        let hash = self.passwords.hash(password).await?;

        let mut tx = self.begin(origin).await?;
        // Of two who use the link at once, the second waits here and then sees that it was used.
        let found = open(locked(&mut tx, id).await.or_problem(origin)?)?;
        let person = UserId(Uuid::now_v7());
        add_user(&mut tx, origin, person, &name, &hash).await?;
        let carried = invitations::carried(&mut tx, &[id]).await.or_problem(origin)?;
        let mut changes = Vec::with_capacity(carried.len());
        for (_, held) in &carried {
            let (Granted { role, scope }, grant) = (held.granted, GrantId(Uuid::now_v7()));
            let by = Some(found.inviter);
            grants::give(&mut tx, grant, person, role, scope, by).await.or_problem(origin)?;
            changes.push(change(held, "given"));
        }
        if !invitations::accept(&mut tx, id, person).await.or_problem(origin)? {
            let sentence = Standing::Accepted.refusal(&found.by).unwrap_or_default();
            return Err(Problem::conflict(sentence));
        }
        let by = By::Person { id: person, name: name.to_string(), role: None };
        let deed =
            Deed::InvitationAccepted { invitation: id, person, name: found.name, by: found.by };
        let mut accepted = NewEntry::new(by, Subject::default(), deed).with_changes(changes);
        accepted.origin = Some(origin.clone());
        let (signed_in, row) =
            open_session(&mut tx, origin, person, name.into()).await.or_problem(origin)?;
        self.commit(tx, origin, &[accepted, row]).await?;
        Ok(signed_in)
    }
}

/// The invitation as it is now, and stays until the transaction ends.
async fn locked(
    conn: &mut Conn,
    id: InvitationId,
) -> store::Result<Option<invitations::Invitation>> {
    if invitations::lock(conn, id).await? { invitations::one(conn, id).await } else { Ok(None) }
}

fn unknown() -> Problem {
    Problem::invalid("token", UNKNOWN)
}

/// Only one that works.
fn open(found: Option<invitations::Invitation>) -> Result<invitations::Invitation, Problem> {
    let found = found.ok_or_else(unknown)?;
    match found.standing.refusal(&found.by) {
        None => Ok(found),
        Some(sentence) => Err(Problem::conflict(sentence)),
    }
}

/// Writes what a link carries, and says it for the history.
async fn carry(
    tx: &mut Tx,
    origin: &Origin,
    id: InvitationId,
    carries: &[Granted],
) -> Result<Vec<Change>, Problem> {
    let mut changes = Vec::with_capacity(carries.len());
    for granted in carries {
        let Granted { role, scope } = *granted;
        let names = grants::scope_names(tx, scope)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("project or environment"))?;
        match invitations::carry(tx, id, role, scope).await {
            Err(error) if error.is_refused_by("invitation_grants_once") => {
                return Err(Problem::invalid("role", "The same role is there twice."));
            }
            carried => carried.or_problem(origin)?,
        }
        let held =
            Held { granted: *granted, project: names.project, environment: names.environment };
        changes.push(change(&held, "with the link"));
    }
    Ok(changes)
}

fn change(held: &Held, after: &str) -> Change {
    let Carried { role, scope_words } = in_words(held);
    Change { what: format!("{role} in {scope_words}"), before: None, after: Some(after.to_owned()) }
}

fn in_words(held: &Held) -> Carried {
    Carried {
        role: held.granted.role,
        scope_words: scope_words(held.project.as_deref(), held.environment.as_deref()),
    }
}
