//! Registries, their credentials, and where a service's images go in them.
//!
//! Whoever sees services sees names and addresses of registries; who signs in there, and changing
//! anything, is for those who may change settings. A password goes in and never comes out again: the
//! vault seals it, and only the engine opens it, for the call that needs it.

mod pushing;

use crate::{Asked, Control, OrProblem, Place, changes, places};
use domain::{
    error::Problem,
    history::{Change, Deed, Origin, Subject},
    id::{InquiryId, RegistryId, ServiceId},
    name::{Name, RegistryAddress, RegistryUser, Repository},
    registry::{
        MOST, PushRule, PushRulePage, RegistriesPage, RegistryRow, sealed_about, tags::TagPattern,
    },
    role::{Action, Protection, Scope},
};
use std::collections::HashMap;
use store::{
    Conn,
    inquiries::Question,
    registries::{self, Login, New, Registry},
};
use uuid::Uuid;

impl Control {
    /// The page of all registries.
    pub async fn registries(&self, asked: &Asked) -> Result<RegistriesPage, Problem> {
        let origin = &asked.origin;
        self.permit(asked, Action::View, &Place::everything()).await?;
        let mut conn = self.connection(origin).await?;
        let may_edit = may_edit(asked);
        let registries = rows(&mut conn, may_edit).await.or_problem(origin)?;
        Ok(RegistriesPage { registries, may_edit })
    }

    /// Adds a registry. Without a user nobody signs in there.
    pub async fn add_registry(
        &self,
        asked: &Asked,
        name: &Name,
        address: &RegistryAddress,
        user: Option<RegistryUser>,
        password: &str,
    ) -> Result<RegistryId, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::SettingsEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "registries/add").await? {
            return Ok(made);
        }
        let id = RegistryId(Uuid::now_v7());
        let login = self.sealed(id, user, password)?;
        let new = New {
            id,
            name,
            address,
            login: login.as_ref(),
            by: permit.actor(),
            by_name: &asked.actor.name,
        };
        match registries::add(&mut tx, &new).await {
            Err(error) if error.is_refused_by("registries_one_name") => {
                return Err(Problem::invalid(
                    "name",
                    format!("There is a registry {name} already."),
                ));
            }
            Err(error) if error.is_refused_by("registries_one_address") => {
                return Err(Problem::invalid(
                    "address",
                    format!("{address} is there already: change its credentials instead."),
                ));
            }
            added => {
                if !added.or_problem(origin)? {
                    let sentence = format!("There are {MOST} registries. Archive one first.");
                    return Err(Problem::conflict(sentence));
                }
            }
        }
        self.remember(&mut tx, asked, "registries/add", &id).await?;
        let deed =
            Deed::RegistryAdded { registry: id, name: name.clone(), address: address.clone() };
        let row = asked.entry(&permit, Subject::default(), deed);
        let changes = vec![user_change(None, login.as_ref())];
        self.commit(tx, origin, &[row.with_changes(changes)]).await?;
        Ok(id)
    }

    /// Puts other credentials in the place of those that are there, or none.
    pub async fn change_registry(
        &self,
        asked: &Asked,
        registry: RegistryId,
        user: Option<RegistryUser>,
        password: &str,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::SettingsEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let known = locked(&mut tx, origin, registry).await?;
        let login = self.sealed(registry, user, password)?;
        registries::set_login(&mut tx, registry, login.as_ref(), permit.actor(), &asked.actor.name)
            .await
            .or_problem(origin)?;
        let deed = Deed::RegistryChanged { registry, name: known.name };
        let row = asked.entry(&permit, Subject::default(), deed);
        let changes = vec![user_change(known.login.as_ref(), login.as_ref())];
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Uses a registry no more, and forgets its credentials.
    pub async fn archive_registry(
        &self,
        asked: &Asked,
        registry: RegistryId,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::SettingsEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let known = locked(&mut tx, origin, registry).await?;
        let users = registries::pushed_to_by(&mut tx, registry).await.or_problem(origin)?;
        if !users.is_empty() {
            return Err(Problem::conflict(format!(
                "{} pushes to it. Let its images go elsewhere first, on the page of the service.",
                users.join(", ")
            )));
        }
        registries::archive(&mut tx, registry).await.or_problem(origin)?;
        let deed = Deed::RegistryArchived { registry, name: known.name };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await
    }

    /// Asks whether a registry can be used. The engine tries, with what is stored: a use of a secret,
    /// so it is a row.
    pub async fn try_registry(
        &self,
        asked: &Asked,
        registry: RegistryId,
    ) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let permit = self.permit(asked, Action::SettingsEdit, &Place::everything()).await?;
        let mut tx = self.begin(origin).await?;
        let known = registries::load(&mut tx, registry).await.or_problem(origin)?;
        let known = known.ok_or_else(|| Problem::not_found("registry"))?;
        let target = self.any_target(&mut tx, origin).await?;
        let id = self
            .queue_inquiry(&mut tx, asked, &Question::Registry { registry }, target, None)
            .await?;
        let deed = Deed::RegistryTried { registry, name: known.name };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await?;
        Ok(id)
    }

    /// Where the images of a service go, and what a form for it offers.
    pub async fn push_rule(
        &self,
        asked: &Asked,
        service: ServiceId,
    ) -> Result<PushRulePage, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let known = store::services::load(&mut conn, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        self.permit(asked, Action::View, &places::of_service(&known, "service")).await?;
        Ok(PushRulePage {
            rule: registries::rule(&mut conn, service).await.or_problem(origin)?,
            registries: rows(&mut conn, false).await.or_problem(origin)?,
            suggested: format!("{}/{}", known.project_name, known.name),
            may_edit: asked.actor.may(Action::ServiceEdit, known.scope(), Protection::Open),
        })
    }

    /// Writes where the images of a service go. Without a registry: nowhere.
    pub async fn set_push_rule(
        &self,
        asked: &Asked,
        service: ServiceId,
        registry: Option<RegistryId>,
        path: &str,
        tags: Vec<TagPattern>,
        after_build: bool,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        store::services::lock(&mut tx, service).await.or_problem(origin)?;
        let known = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        let place = places::of_service(&known, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ServiceEdit, &place).await?;
        let before = registries::rule(&mut tx, service).await.or_problem(origin)?;
        let after = match registry {
            None => None,
            Some(id) => {
                let registry = locked(&mut tx, origin, id).await?;
                let repository = Repository::of(&registry.address, path)
                    .map_err(|wrong| Problem::invalid("path", wrong))?;
                Some(PushRule { registry: id, repository, tags, after_build })
            }
        };
        if before == after {
            return Ok(());
        }
        match &after {
            Some(rule) => registries::set_rule(&mut tx, service, rule).await.or_problem(origin)?,
            None => registries::drop_rule(&mut tx, service).await.or_problem(origin)?,
        }
        let changes = changes::of_push_rule(before.as_ref(), after.as_ref());
        let row = asked.entry(&permit, places::subject_of(&known), Deed::PushRuleChanged);
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Seals what was typed. A user without a password, or the other way round, is a slip.
    fn sealed(
        &self,
        registry: RegistryId,
        user: Option<RegistryUser>,
        password: &str,
    ) -> Result<Option<Login>, Problem> {
        match user {
            None if password.is_empty() => Ok(None),
            None => Err(Problem::invalid("user", "Whose password is it? A user name is needed.")),
            Some(user) => match domain::registry::password(password) {
                Some(wrong) => Err(Problem::invalid("password", wrong)),
                None => Ok(Some(Login {
                    user,
                    sealed: self.vault.seal(&sealed_about(registry), password),
                })),
            },
        }
    }
}

fn may_edit(asked: &Asked) -> bool {
    asked.actor.may(Action::SettingsEdit, Scope::Everything, Protection::Open)
}

/// All registries as they are shown.
async fn rows(conn: &mut Conn, with_users: bool) -> store::Result<Vec<RegistryRow>> {
    let counts: HashMap<_, _> = registries::counts(conn).await?.into_iter().collect();
    let row = |known: Registry| RegistryRow {
        id: known.id,
        name: known.name.to_string(),
        address: known.address,
        has_login: known.login.is_some(),
        user: known.login.map(|login| login.user).filter(|_| with_users),
        set_by: known.set_by,
        set_at: known.set_at,
        services: counts.get(&known.id).copied().unwrap_or(0),
    };
    Ok(registries::all(conn).await?.into_iter().map(row).collect())
}

/// A registry as it is now, and stays until the transaction ends.
async fn locked(
    conn: &mut Conn,
    origin: &Origin,
    registry: RegistryId,
) -> Result<Registry, Problem> {
    registries::lock(conn, registry).await.or_problem(origin)?;
    let known = registries::load(conn, registry).await.or_problem(origin)?;
    known.ok_or_else(|| Problem::not_found("registry"))
}

/// Who signs in, before and after. The password is not told, not even whether it is another.
fn user_change(before: Option<&Login>, after: Option<&Login>) -> Change {
    let user =
        |login: Option<&Login>| Some(login.map_or("nobody".to_owned(), |l| l.user.to_string()));
    changes::one("signs in as", before.and(user(before)), user(after))
}
