//! The one check. Who holds a [`Permit`] was allowed to do that thing in that place.
//!
//! The table is `domain::role`'s. A refusal becomes a history row in a transaction of its own, and
//! what one may not even see is answered like what does not exist.

use crate::{Asked, Control, OrProblem};
use domain::{
    error::Problem,
    history::{By, Deed, Subject},
    id::{SessionId, UserId},
    role::{Action, Granted, Protection, Role, Scope},
};
use std::sync::Arc;
use store::{
    Tx,
    history::{NewEntry, Window},
    sessions::Held,
};

/// Somebody who is signed in, with what he was granted. Made only from a session.
#[derive(Clone, Debug)]
pub struct Actor {
    pub id: UserId,
    pub name: String,
    pub session: SessionId,
    pub(crate) held: Arc<[Held]>,
}

/// "releaser in newstalk in staging".
fn held_words(held: &Held) -> String {
    let scope = scope_words(held.project.as_deref(), held.environment.as_deref());
    format!("{} in {scope}", held.granted.role)
}

/// "everything", "newstalk", "staging", "newstalk in staging".
pub(crate) fn scope_words(project: Option<&str>, environment: Option<&str>) -> String {
    match (project, environment) {
        (None, None) => "everything".to_owned(),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (Some(project), Some(environment)) => format!("{project} in {environment}"),
    }
}

/// Where something is: its scope, and its names for the history.
#[derive(Clone, Debug)]
pub struct Place {
    pub scope: Scope,
    pub protection: Protection,
    pub subject: Subject,
    /// What one is told does not exist, if one may not see it: "service".
    pub noun: &'static str,
}

impl Place {
    /// The installation as a whole.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            scope: Scope::Everything,
            protection: Protection::Open,
            subject: Subject::default(),
            noun: "page",
        }
    }

    /// "hello in production", for the row of a refusal. Nothing for everything.
    fn words(&self) -> String {
        let thing = self.subject.service.as_ref().or(self.subject.project.as_ref());
        match (thing, &self.subject.environment) {
            (None, None) => String::new(),
            (Some(one), None) | (None, Some(one)) => one.to_string(),
            (Some(thing), Some(environment)) => format!("{thing} in {environment}"),
        }
    }
}

/// Can only be made by [`Actor::permit`], so holding one means the check was done.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(crate) actor: UserId,
    pub(crate) action: Action,
    pub(crate) scope: Scope,
    role: String,
}

impl Permit {
    /// Who was allowed.
    #[must_use]
    pub const fn actor(&self) -> UserId {
        self.actor
    }

    /// What was allowed.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Where it was allowed.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The role that allowed it and where it is held, in words.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }
}

/// The check said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub action: Action,
    /// The least role that would do.
    pub needs: Role,
    /// Whether the place may at least be seen.
    pub seen: bool,
}

impl Refused {
    fn problem(self, noun: &str) -> Problem {
        if self.seen {
            Problem::Forbidden { action: self.action.as_words().to_owned(), needs: self.needs }
        } else {
            Problem::not_found(noun)
        }
    }
}

impl Actor {
    /// What was granted, for questions about buttons.
    #[must_use]
    pub fn grants(&self) -> Vec<Granted> {
        self.held.iter().map(|held| held.granted).collect()
    }

    /// Whether the check would pass: decides which buttons are lit, and nothing else.
    #[must_use]
    pub fn may(&self, action: Action, scope: Scope, protection: Protection) -> bool {
        self.held.iter().any(|held| held.granted.allows(action, scope, protection))
    }

    /// Whether he may do it in any place at all.
    #[must_use]
    pub fn may_somewhere(&self, action: Action) -> bool {
        self.held.iter().any(|held| held.granted.role.allows(action, Protection::Open))
    }

    /// The check.
    pub fn permit(
        &self,
        action: Action,
        scope: Scope,
        protection: Protection,
    ) -> Result<Permit, Refused> {
        let by = self.held.iter().find(|held| held.granted.allows(action, scope, protection));
        match by {
            Some(held) => Ok(Permit { actor: self.id, action, scope, role: held_words(held) }),
            None => Err(Refused {
                action,
                needs: action.needs(protection),
                seen: self.may(Action::View, scope, protection),
            }),
        }
    }

    /// What of the history may be seen through each grant.
    #[must_use]
    pub fn windows(&self) -> Vec<Window> {
        self.held
            .iter()
            .map(|held| Window {
                project: held.project.clone(),
                environment: held.environment.clone(),
                whole: held.granted.role.allows(Action::HistoryView, Protection::Open),
            })
            .collect()
    }
}

impl Control {
    /// The check where no transaction is open yet. A refusal is a row.
    pub async fn permit(
        &self,
        asked: &Asked,
        action: Action,
        place: &Place,
    ) -> Result<Permit, Problem> {
        match asked.actor.permit(action, place.scope, place.protection) {
            Ok(permit) => Ok(permit),
            Err(refused) => Err(self.refuse(asked, refused, place).await),
        }
    }

    /// The check inside a verb's transaction, which it gives back. A refusal rolls it back first, so
    /// the row of the refusal needs no second connection while locks are held.
    pub async fn permit_in(
        &self,
        tx: Tx,
        asked: &Asked,
        action: Action,
        place: &Place,
    ) -> Result<(Tx, Permit), Problem> {
        match asked.actor.permit(action, place.scope, place.protection) {
            Ok(permit) => Ok((tx, permit)),
            Err(refused) => {
                tx.rollback().await.map_err(store::Error::from).or_problem(&asked.origin)?;
                Err(self.refuse(asked, refused, place).await)
            }
        }
    }

    /// Writes the row of a refusal and says what the person is told. If there can be no row, that is
    /// what he is told. Of very many in a minute the last wait for [`Control::tell_refusals`].
    pub(crate) async fn refuse(&self, asked: &Asked, refused: Refused, place: &Place) -> Problem {
        let deed =
            Deed::Refused { action: refused.action, what: place.words(), needs: refused.needs };
        let row = asked.row(None, place.subject.clone(), deed);
        let origin = &asked.origin;
        let written = async {
            let mut tx = self.begin(origin).await?;
            if store::refusals::note(&mut tx, asked.actor.id).await.or_problem(origin)? {
                return self.commit(tx, origin, &[row]).await;
            }
            tx.commit().await.map_err(store::Error::from).or_problem(origin)
        };
        match written.await {
            Ok(()) => refused.problem(place.noun),
            Err(problem) => problem,
        }
    }

    /// Tells of refusals that came too quickly to be told one by one. To be called each minute.
    pub async fn tell_refusals(&self) -> store::Result<()> {
        let mut tx = self.pool.begin().await?;
        let untold = store::refusals::untold(&mut tx).await?;
        if untold.is_empty() {
            return Ok(tx.commit().await?);
        }
        let rows: Vec<_> = untold
            .into_iter()
            .map(|person| {
                let by = By::Person { id: person.user, name: person.name, role: None };
                let times = u32::try_from(person.times).unwrap_or(u32::MAX);
                NewEntry::new(by, Subject::default(), Deed::RefusedMore { times })
            })
            .collect();
        store::history::append_and_commit(tx, &rows).await.map(drop)
    }
}
