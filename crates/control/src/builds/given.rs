//! What builds of a service are given and leave nowhere: secrets, and who reads the repository. A
//! value goes in and never comes out again: the vault seals it, and only the engine opens it.

use super::missing;
use crate::{Asked, Control, OrProblem, Permit, changes, places};
use domain::{
    build::given::{
        GitUser, Given, LoginCard, MOST_SECRETS, SecretCard, SecretName, host_of, login_about,
    },
    configuration::secret::{Version, is_due},
    error::Problem,
    history::Deed,
    id::{SecretId, ServiceId},
    role::Action,
};
use store::{
    Tx,
    builds::{self, given},
    services::Service,
};
use uuid::Uuid;

impl Control {
    /// What builds of a service are given, without any value.
    pub async fn build_given(&self, asked: &Asked, service: ServiceId) -> Result<Given, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let known = store::services::load(&mut conn, service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_service(&known, "service");
        self.permit(asked, Action::View, &place).await?;

        let may_edit = asked.actor.may(Action::ServiceEdit, place.scope, place.protection);
        let now = store::now(&mut conn).await.or_problem(origin)?;
        let source = builds::source(&mut conn, service).await.or_problem(origin)?;
        let secrets = given::secrets(&mut conn, service).await.or_problem(origin)?;
        let login = given::login(&mut conn, service).await.or_problem(origin)?;
        Ok(Given {
            secrets: secrets
                .into_iter()
                .map(|one| SecretCard {
                    lost: !self.vault.can_open(&one.value),
                    due: is_due(one.set_at, now),
                    version: one.version.version,
                    name: one.name,
                    set_by: one.set_by,
                    set_at: one.set_at,
                })
                .collect(),
            login: login.map(|login| LoginCard {
                lost: !self.vault.can_open(&login.sealed),
                user: Some(login.user).filter(|_| may_edit),
                host: login.host,
                set_by: login.set_by,
                set_at: login.set_at,
            }),
            host: source.and_then(|source| host_of(&source.url)),
            may_edit,
        })
    }

    /// Sets a secret of the builds of a service. `based_on` is the version that the page showed, 0 for
    /// a new one. Returns the version.
    pub async fn set_build_secret(
        &self,
        asked: &Asked,
        service: ServiceId,
        name: &SecretName,
        value: &str,
        based_on: i32,
    ) -> Result<i32, Problem> {
        let origin = &asked.origin;
        let (mut tx, known, permit) = self.to_give(asked, service).await?;
        let there = given::secrets(&mut tx, service).await.or_problem(origin)?;
        is_as_shown(&there, name, based_on)?;
        if based_on == 0 && there.len() >= MOST_SECRETS {
            let sentence = format!("Builds of a service have at most {MOST_SECRETS} secrets.");
            return Err(Problem::invalid("name", sentence));
        }

        // One that was removed and comes back goes on counting: the history names its versions.
        let newest = given::newest(&mut tx, service, name).await.or_problem(origin)?;
        let version = match newest {
            Some(newest) => Version { version: newest.version + 1, ..newest },
            None => Version { secret: SecretId(Uuid::now_v7()), version: 1 },
        };
        let sealed = self.vault.seal(&version.about(), value);
        let (by, by_name) = (asked.actor.id, asked.actor.name.as_str());
        let new = given::New { service, name, version, sealed: &sealed, by, by_name };
        given::set(&mut tx, &new).await.or_problem(origin)?;
        let deed = Deed::BuildSecretSet { name: name.clone(), version: version.version };
        let row = asked.entry(&permit, places::subject_of(&known), deed);
        self.commit(tx, origin, &[row]).await?;
        Ok(version.version)
    }

    /// Gives a secret to no build any more.
    pub async fn remove_build_secret(
        &self,
        asked: &Asked,
        service: ServiceId,
        name: &SecretName,
        based_on: i32,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, known, permit) = self.to_give(asked, service).await?;
        let there = given::secrets(&mut tx, service).await.or_problem(origin)?;
        let Some(secret) = there.iter().find(|one| one.name == *name) else {
            return Err(Problem::not_found("secret"));
        };
        is_as_shown(&there, name, based_on)?;

        given::remove(&mut tx, secret.version.secret).await.or_problem(origin)?;
        let deed = Deed::BuildSecretRemoved { name: name.clone() };
        let row = asked.entry(&permit, places::subject_of(&known), deed);
        self.commit(tx, origin, &[row]).await
    }

    /// Says who reads the repository of a service, at the host where that is now. Without a user
    /// nobody signs in there any more.
    pub async fn set_source_login(
        &self,
        asked: &Asked,
        service: ServiceId,
        user: Option<GitUser>,
        token: &str,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, known, permit) = self.to_give(asked, service).await?;
        let before = given::login(&mut tx, service).await.or_problem(origin)?;
        let host = match &user {
            None if !token.is_empty() => {
                return Err(Problem::invalid("user", "Whose token is it? A user name is needed."));
            }
            None => match &before {
                None => return Ok(()),
                Some(before) => {
                    given::drop_login(&mut tx, service).await.or_problem(origin)?;
                    before.host.clone()
                }
            },
            Some(user) => {
                if let Some(wrong) = domain::registry::password(token) {
                    return Err(Problem::invalid("token", wrong));
                }
                let source = builds::source(&mut tx, service).await.or_problem(origin)?;
                let host = source.and_then(|source| host_of(&source.url)).ok_or_else(|| {
                    Problem::invalid(
                        "user",
                        "Say first where the code is: the login is for that https server alone.",
                    )
                })?;
                let sealed = self.vault.seal(&login_about(service, &host), token);
                let (by, by_name) = (asked.actor.id, &asked.actor.name);
                given::set_login(&mut tx, service, (&host, user, &sealed), by, by_name)
                    .await
                    .or_problem(origin)?;
                host
            }
        };
        let name = |user: Option<&GitUser>| user.map_or("nobody".to_owned(), ToString::to_string);
        let was = before.as_ref().map(|before| name(Some(&before.user)));
        let change = changes::one("signs in as", was, Some(name(user.as_ref())));
        let row =
            asked.entry(&permit, places::subject_of(&known), Deed::SourceLoginChanged { host });
        self.commit(tx, origin, &[row.with_changes(vec![change])]).await
    }

    async fn to_give(
        &self,
        asked: &Asked,
        service: ServiceId,
    ) -> Result<(Tx, Service, Permit), Problem> {
        let tx = self.begin(&asked.origin).await?;
        let (tx, known) = self.lock_service(tx, asked, service).await?;
        let place = places::of_service(&known, "service");
        let (tx, permit) = self.permit_in(tx, asked, Action::ServiceEdit, &place).await?;
        Ok((tx, known, permit))
    }
}

/// Of two who change one secret, the later is told.
fn is_as_shown(there: &[given::Sealed], name: &SecretName, based_on: i32) -> Result<(), Problem> {
    let now = there.iter().find(|one| one.name == *name).map_or(0, |one| one.version.version);
    if now == based_on {
        return Ok(());
    }
    Err(Problem::conflict(match now {
        0 => format!("{name} was removed since this page was drawn. Nothing was saved."),
        now => format!(
            "{name} was set since this page was drawn: it has version {now} now. Nothing was saved."
        ),
    }))
}
