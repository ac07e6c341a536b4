//! Adding people, letting them in and out, and giving and taking roles.
//!
//! Nobody changes his own rights here, and the last admin stays: the database says so too.

use crate::{
    Asked, Control, OrProblem, Permit, Place, passwords,
    permit::scope_words,
    sessions::{add_user, grant_row},
};
use domain::{
    access::{self, AccessPage, PersonPage},
    error::Problem,
    history::{By, Change, Deed, Origin, Subject},
    id::{EnvironmentId, GrantId, ProjectId, UserId},
    name::PersonName,
    role::{Action, Granted, Role, Scope},
    view::{PeoplePage, Person},
};
use store::{Conn, Tx, grants, history::NewEntry, sessions, users};
use uuid::Uuid;

impl Control {
    /// Everybody, with what they were granted.
    pub async fn people(&self, asked: &Asked) -> Result<PeoplePage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let listed = users::all(&mut conn).await.or_problem(origin)?;
        let mut held = grants::of(&mut conn, None).await.or_problem(origin)?;
        let (projects, environments) = grants::places(&mut conn).await.or_problem(origin)?;
        let people = listed
            .into_iter()
            .map(|person| {
                let his = held.extract_if(.., |grant| grant.user == person.id).collect();
                with_grants(person, his)
            })
            .collect();
        Ok(PeoplePage { people, projects, environments })
    }

    /// One person, with what is needed to say what a change would change.
    pub async fn person(&self, asked: &Asked, person: UserId) -> Result<PersonPage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let known = users::listed(&mut conn, person).await.or_problem(origin)?;
        let known = known.ok_or_else(|| Problem::not_found("person"))?;
        let held = grants::of(&mut conn, Some(person)).await.or_problem(origin)?;
        let last_admin = grants::is_last_admin(&mut conn, person).await.or_problem(origin)?;
        let places = grants::where_granted(&mut conn).await.or_problem(origin)?;
        let sessions = sessions::of(&mut conn, person).await.or_problem(origin)?.len();
        Ok(PersonPage {
            person: with_grants(known, held),
            places,
            mine: person == asked.actor.id,
            last_admin,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        })
    }

    /// Everybody, in every environment.
    pub async fn access(&self, asked: &Asked) -> Result<AccessPage, Problem> {
        let PeoplePage { people, .. } = self.people(asked).await?;
        let mut conn = self.connection(&asked.origin).await?;
        let places = grants::where_granted(&mut conn).await.or_problem(&asked.origin)?;
        Ok(AccessPage { people, places })
    }

    /// Adds somebody, with a first password and no rights.
    pub async fn add_person(
        &self,
        asked: &Asked,
        name: &str,
        password: &str,
    ) -> Result<UserId, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let name: PersonName = name.parse().map_err(|wrong| Problem::invalid("name", wrong))?;
        passwords::accept("password", password, name.as_str())?;
        let hash = self.passwords.hash(password).await?;

        let mut tx = self.begin(origin).await?;
        let person = UserId(Uuid::now_v7());
        add_user(&mut tx, origin, person, &name, &hash).await?;
        let deed = Deed::PersonAdded { person, name: name.into() };
        self.done(tx, asked, &permit, deed).await?;
        Ok(person)
    }

    /// Locks somebody out. His sessions and streams end at once.
    pub async fn disable_person(&self, asked: &Asked, person: UserId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, permit, known) = self.somebody_else(asked, person).await?;
        let disabled = or_last_admin(users::disable(&mut tx, person).await, origin)?;
        if !disabled {
            return Ok(());
        }
        sessions::end_others(&mut tx, person, None).await.or_problem(origin)?;
        grants::tell(&mut tx, person).await.or_problem(origin)?;
        self.done(tx, asked, &permit, Deed::PersonDisabled { person, name: known.name }).await
    }

    /// Lets somebody in again.
    pub async fn enable_person(&self, asked: &Asked, person: UserId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, permit, known) = self.somebody_else(asked, person).await?;
        if !users::enable(&mut tx, person).await.or_problem(origin)? {
            return Ok(());
        }
        self.done(tx, asked, &permit, Deed::PersonEnabled { person, name: known.name }).await
    }

    /// Gives somebody a new password. His sessions end at once.
    pub async fn reset_password(
        &self,
        asked: &Asked,
        person: UserId,
        password: &str,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (tx, _, known) = self.somebody_else(asked, person).await?;
        // Nothing is locked while the password waits for its turn.
        drop(tx);
        passwords::accept("password", password, &known.name)?;
        let hash = self.passwords.hash(password).await?;

        let (mut tx, permit, known) = self.somebody_else(asked, person).await?;
        users::set_password(&mut tx, person, &hash).await.or_problem(origin)?;
        store::failures::forget(&mut tx, &known.name).await.or_problem(origin)?;
        sessions::end_others(&mut tx, person, None).await.or_problem(origin)?;
        grants::tell(&mut tx, person).await.or_problem(origin)?;
        self.done(tx, asked, &permit, Deed::PasswordReset { person, name: known.name }).await
    }

    /// Gives somebody a role, everywhere or in a project, an environment, or both.
    pub async fn give_grant(
        &self,
        asked: &Asked,
        person: UserId,
        role: Role,
        project: Option<ProjectId>,
        environment: Option<EnvironmentId>,
    ) -> Result<GrantId, Problem> {
        self.give(asked, person, Granted { role, scope: Scope::of(project, environment) }, None)
            .await
    }

    /// The same, if what it changes is what was looked at: `seen` as [`domain::access::seen`] made it.
    pub async fn give_seen_grant(
        &self,
        asked: &Asked,
        person: UserId,
        granted: Granted,
        seen: &str,
    ) -> Result<GrantId, Problem> {
        self.give(asked, person, granted, Some(seen)).await
    }

    async fn give(
        &self,
        asked: &Asked,
        person: UserId,
        granted: Granted,
        seen: Option<&str>,
    ) -> Result<GrantId, Problem> {
        let origin = &asked.origin;
        let Granted { role, scope } = granted;
        let (mut tx, permit, known) = self.somebody_else(asked, person).await?;
        expect_seen(&mut tx, origin, person, access::Change::Give(granted), seen).await?;
        let names = grants::scope_names(&mut tx, scope)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("project or environment"))?;
        let grant = GrantId(Uuid::now_v7());
        match grants::give(&mut tx, grant, person, role, scope, Some(permit.actor())).await {
            Err(error) if error.is_refused_by("grants_once") => {
                let words = scope_words(names.project.as_deref(), names.environment.as_deref());
                let sentence = format!("{} is {role} in {words} already.", known.name);
                return Err(Problem::conflict(sentence));
            }
            given => given.or_problem(origin)?,
        }
        sessions::renew_all(&mut tx, person).await.or_problem(origin)?;
        grants::tell(&mut tx, person).await.or_problem(origin)?;
        let scope = scope_words(names.project.as_deref(), names.environment.as_deref());
        let change = Change {
            what: format!("{role} in {scope}"),
            before: None,
            after: Some("given".to_owned()),
        };
        let deed = Deed::GrantGiven { grant, person, name: known.name, role, scope };
        let row = asked.entry(&permit, about(&names), deed).with_changes(vec![change]);
        self.commit(tx, origin, &[row]).await?;
        Ok(grant)
    }

    /// Takes a role away. One's own too, but never the last admin's.
    pub async fn take_grant(&self, asked: &Asked, grant: GrantId) -> Result<(), Problem> {
        self.take(asked, grant, None).await
    }

    /// The same, if what it changes is what was looked at.
    pub async fn take_seen_grant(
        &self,
        asked: &Asked,
        grant: GrantId,
        seen: &str,
    ) -> Result<(), Problem> {
        self.take(asked, grant, Some(seen)).await
    }

    async fn take(&self, asked: &Asked, grant: GrantId, seen: Option<&str>) -> Result<(), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let held = grants::locked(&mut tx, grant)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("grant"))?;
        let known = users::locked(&mut tx, held.user)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("person"))?;
        expect_seen(&mut tx, origin, held.user, access::Change::Take(grant), seen).await?;
        or_last_admin(grants::take(&mut tx, grant).await, origin)?;
        sessions::renew_all(&mut tx, held.user).await.or_problem(origin)?;
        grants::tell(&mut tx, held.user).await.or_problem(origin)?;
        let names = grants::ScopeNames { project: held.project, environment: held.environment };
        let scope = scope_words(names.project.as_deref(), names.environment.as_deref());
        let role = held.role;
        let change = Change {
            what: format!("{role} in {scope}"),
            before: Some("given".to_owned()),
            after: None,
        };
        let deed = Deed::GrantTaken { grant, person: held.user, name: known.name, role, scope };
        let row = asked.entry(&permit, about(&names), deed).with_changes(vec![change]);
        self.commit(tx, origin, &[row]).await
    }

    /// Gives back access, from the machine itself: makes or enables a person who is admin of
    /// everything. `uid` is the user of the machine who does it.
    pub async fn recover(&self, uid: u32, name: &str, password: &str) -> Result<(), Problem> {
        let origin = &Origin {
            request: "admin recover".to_owned(),
            address: String::new(),
            agent: String::new(),
        };
        let name: PersonName = name.parse().map_err(|wrong| Problem::invalid("name", wrong))?;
        passwords::accept("password", password, name.as_str())?;
        let hash = self.passwords.hash(password).await?;

        let mut tx = self.begin(origin).await?;
        let known = users::by_name(&mut tx, name.as_str()).await.or_problem(origin)?;
        let person = known.map_or_else(|| UserId(Uuid::now_v7()), |known| known.id);
        match users::locked(&mut tx, person).await.or_problem(origin)? {
            Some(_) => {
                users::set_password(&mut tx, person, &hash).await.or_problem(origin)?;
                users::enable(&mut tx, person).await.or_problem(origin)?;
                sessions::end_others(&mut tx, person, None).await.or_problem(origin)?;
            }
            None => add_user(&mut tx, origin, person, &name, &hash).await?,
        }
        if !grants::is_admin(&mut tx, person).await.or_problem(origin)? {
            let grant = GrantId(Uuid::now_v7());
            grants::give(&mut tx, grant, person, Role::Admin, Scope::Everything, None)
                .await
                .or_problem(origin)?;
        }
        store::failures::forget(&mut tx, name.as_str()).await.or_problem(origin)?;
        grants::tell(&mut tx, person).await.or_problem(origin)?;
        let deed = Deed::AccessRecovered { person, name: name.into() };
        let row = NewEntry::new(By::Machine { uid }, Subject::default(), deed);
        self.commit(tx, origin, &[row]).await
    }

    /// The check for changing somebody, who is kept from being changed by others until the end.
    ///
    /// Oneself is refused, with a row: nobody raises his own rights, and one's own password is
    /// changed on the account page, where the old one is asked for.
    async fn somebody_else(
        &self,
        asked: &Asked,
        person: UserId,
    ) -> Result<(Tx, Permit, users::Known), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::PeopleManage, &Place::everything()).await?;
        if person == asked.actor.id {
            let deed = Deed::Refused {
                action: Action::PeopleManage,
                what: "(oneself)".to_owned(),
                needs: Role::Admin,
            };
            let tx = self.begin(origin).await?;
            self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await?;
            return Err(Problem::invalid(
                "person",
                "Nobody changes their own rights. Ask another admin, or change your password on your account page.",
            ));
        }
        let mut tx = self.begin(origin).await?;
        let known = users::locked(&mut tx, person)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("person"))?;
        Ok((tx, permit, known))
    }

    async fn done(
        &self,
        tx: Tx,
        asked: &Asked,
        permit: &Permit,
        deed: Deed,
    ) -> Result<(), Problem> {
        self.commit(tx, &asked.origin, &[asked.entry(permit, Subject::default(), deed)]).await
    }
}

/// What is saved is what was shown: somebody else may have changed the same person meanwhile, or the
/// choice was changed after looking. To be asked with the person locked.
async fn expect_seen(
    conn: &mut Conn,
    origin: &Origin,
    person: UserId,
    change: access::Change,
    seen: Option<&str>,
) -> Result<(), Problem> {
    let Some(seen) = seen else { return Ok(()) };
    let held = grants::of(conn, Some(person)).await.or_problem(origin)?;
    let held: Vec<_> = held.iter().map(|grant| grant.id).collect();
    let places = grants::where_granted(conn).await.or_problem(origin)?;
    let environments: Vec<_> =
        places.environments.iter().map(|column| (column.id, column.protected)).collect();
    if access::seen(&held, &environments, change) == seen {
        return Ok(());
    }
    Err(Problem::conflict(
        "This is not the change that was shown: the choice or the person's roles are others now. Nothing was changed. Look at what it changes once more.",
    ))
}

fn with_grants(person: users::Listed, held: Vec<grants::Grant>) -> Person {
    Person {
        id: person.id,
        name: person.name,
        disabled: person.disabled,
        added_at: person.added_at,
        last_seen_at: person.last_seen_at,
        grants: held.into_iter().map(grant_row).collect(),
    }
}

fn or_last_admin<T>(done: store::Result<T>, origin: &Origin) -> Result<T, Problem> {
    match done {
        Err(error) if error.is_refused_by("people_last_admin") => Err(Problem::conflict(
            "Nobody else is admin of everything, so this would lock everybody out. Give somebody else that role first.",
        )),
        other => other.or_problem(origin),
    }
}

/// What a grant is about, for filters: names of a scope are names of ours.
fn about(names: &grants::ScopeNames) -> Subject {
    Subject {
        project: names.project.as_deref().and_then(|name| name.parse().ok()),
        environment: names.environment.as_deref().and_then(|name| name.parse().ok()),
        ..Subject::default()
    }
}
