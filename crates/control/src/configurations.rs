//! What a placement is told, and may use: each change makes the next configuration. What runs is not
//! touched: a rollout of the same release brings the change there.
//!
//! A change names the configuration that its page showed, so of two people who edit at once the
//! second is told, and nobody's change is lost.

use crate::{Asked, Control, OrProblem, Permit, changes, places, rollouts::Deploy};
use domain::{
    configuration::{
        Configuration, Variables,
        import::{self, Missing},
        secret::{MOST_SECRETS, SecretCard, Secrets, Version, is_due},
    },
    error::Problem,
    history::{Deed, Origin},
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId, SecretId},
    name::{Name, VariableName},
    role::Action,
    service::Limits,
    view::{ConfigurationPage, PlacementCard},
};
use std::collections::HashMap;
use store::{Conn, Tx, history::NewEntry, placements::Placement};
use uuid::Uuid;

/// What the next configuration has.
struct Next {
    variables: Variables,
    secrets: Secrets,
    limits: Limits,
}

impl Next {
    fn of(newest: &Configuration) -> Self {
        let Configuration { variables, secrets, limits, .. } = newest.clone();
        Self { variables, secrets, limits }
    }
}

/// A placement whose configuration may be changed, locked, and its newest configuration.
struct Open {
    tx: Tx,
    permit: Permit,
    placement: Placement,
    newest: Configuration,
}

impl Control {
    /// Makes the next configuration of these variables and limits; the secrets stay. `based_on` is
    /// the number that the page showed. Returns the number of what is newest now.
    pub async fn change_configuration(
        &self,
        asked: &Asked,
        placement: PlacementId,
        variables: Variables,
        limits: Limits,
        based_on: i32,
    ) -> Result<i32, Problem> {
        limits.checked().map_err(|wrong| Problem::invalid("limits", wrong))?;
        let variables =
            variables.checked().map_err(|wrong| Problem::invalid("variables", wrong))?;
        let open = self.open(asked, Action::ConfigurationEdit, placement).await?;
        expect_newest(&open.newest, based_on)?;
        let next = Next { variables, limits, ..Next::of(&open.newest) };
        self.save(asked, open, next).await
    }

    /// The same with variables as the lines of an `.env` file: what is not there any more goes, and
    /// what stays keeps its type.
    pub async fn write_configuration(
        &self,
        asked: &Asked,
        placement: PlacementId,
        lines: &str,
        limits: Limits,
        based_on: i32,
    ) -> Result<i32, Problem> {
        limits.checked().map_err(|wrong| Problem::invalid("limits", wrong))?;
        let open = self.open(asked, Action::ConfigurationEdit, placement).await?;
        expect_newest(&open.newest, based_on)?;
        let variables = Variables::parse(lines, &open.newest.variables)
            .map_err(|wrong| Problem::invalid("variables", wrong))?;
        let next = Next { variables, limits, ..Next::of(&open.newest) };
        self.save(asked, open, next).await
    }

    /// Takes the lines of an `.env` file over. `seen` says which text was looked at before: what was
    /// not previewed is not saved. Lines that can not be read are left out, as the preview said.
    pub async fn import_variables(
        &self,
        asked: &Asked,
        placement: PlacementId,
        typed: &str,
        missing: Missing,
        seen: &str,
        based_on: i32,
    ) -> Result<i32, Problem> {
        let open = self.open(asked, Action::ConfigurationEdit, placement).await?;
        expect_newest(&open.newest, based_on)?;
        let import = import::import(typed, missing, &open.newest)
            .map_err(|wrong| Problem::invalid("text", wrong))?;
        if import.changes_nothing() {
            let sentence = "Nothing in this text changes anything, so nothing was saved.";
            return Err(Problem::invalid("text", sentence));
        }
        if seen != import::seen(typed, missing, based_on) {
            let sentence = "Nothing is saved yet: what this would change is shown below. Look at \
                            it, then save.";
            return Err(Problem::invalid("text", sentence));
        }
        let next = Next { variables: import.variables, ..Next::of(&open.newest) };
        self.save(asked, open, next).await
    }

    /// Turns a yes/no variable on or off and, where a release is live, rolls that release out again
    /// with it: both or neither. `newest` is the newest rollout that the page showed. Returns the
    /// rollout, where there is one.
    #[allow(clippy::too_many_arguments, reason = "each is a field of the form")]
    pub async fn switch_flag(
        &self,
        asked: &Asked,
        placement: PlacementId,
        name: &VariableName,
        on: bool,
        based_on: i32,
        newest: Option<RolloutId>,
        reason: Option<String>,
    ) -> Result<Option<RolloutId>, Problem> {
        let origin = &asked.origin;
        let open = self.open(asked, Action::ConfigurationEdit, placement).await?;
        expect_newest(&open.newest, based_on)?;
        let Open { tx, permit, placement, newest: configuration } = open;
        let mut next = Next::of(&configuration);
        let flag = next.variables.0.get(name).filter(|flag| flag.is_on().is_some()).cloned();
        let Some(flag) = flag else {
            let sentence = format!("{name} is no yes/no variable here.");
            return Err(Problem::invalid("name", sentence));
        };
        let flag = flag
            .with(if on { "yes" } else { "no" })
            .map_err(|wrong| Problem::invalid("on", wrong))?;
        next.variables.0.insert(name.clone(), flag);

        let place = places::of_placement(&placement, "service");
        let live: Option<ReleaseId> = placement.live.map(|live| live.pair.release);
        let (mut tx, rolls) = match live {
            Some(_) => {
                let (tx, permit) = self.permit_in(tx, asked, Action::RolloutStart, &place).await?;
                (tx, Some(permit))
            }
            None => (tx, None),
        };
        let made = |number| Deed::ConfigurationMade { number };
        let made = self
            .next_configuration(&mut tx, asked, &permit, &placement, &configuration, next, made)
            .await?;
        let Some((_, row)) = made else {
            let word = if on { "on" } else { "off" };
            return Err(Problem::conflict(format!(
                "{name} is {word} already in configuration {}. Nothing was started by this click.",
                configuration.number
            )));
        };
        let mut rows = vec![row.with_reason(reason.as_deref().unwrap_or_default())];
        let mut rollout = None;
        if let Some((release, permit)) = live.zip(rolls.as_ref()) {
            let deploy = Deploy { release, newest, reason: reason.as_deref(), replace: false };
            let (id, told) = self.queue_deploy(&mut tx, asked, permit, &placement, deploy).await?;
            rows.extend(told);
            rollout = Some(id);
        }
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await?;
        Ok(rollout)
    }

    /// Sets a secret: a new version of its value, and the next configuration, which names it.
    /// `based_on` is the version that the page showed, 0 for a new one. The value is sealed at once
    /// and is in no row and no answer. Returns the version.
    pub async fn set_secret(
        &self,
        asked: &Asked,
        placement: PlacementId,
        name: &VariableName,
        value: &str,
        based_on: i32,
    ) -> Result<i32, Problem> {
        let origin = &asked.origin;
        let Open { mut tx, permit, placement, newest } =
            self.open(asked, Action::SecretSet, placement).await?;
        if newest.variables.0.contains_key(name) {
            return Err(Problem::invalid(
                "name",
                format!(
                    "{name} is a plain variable in configuration {}. Remove it there first; its value \
                 stays readable in earlier configurations and in the history, so choose another.",
                    newest.number
                ),
            ));
        }
        let shown = newest.secrets.0.get(name).map_or(0, |version| version.version);
        if shown != based_on {
            return Err(Problem::conflict(match shown {
                0 => format!("{name} was removed since this page was drawn. Nothing was saved."),
                version => format!(
                    "{name} was set since this page was drawn: it has version {version} now. \
                     Nothing was saved."
                ),
            }));
        }
        if based_on == 0 && newest.secrets.0.len() >= MOST_SECRETS {
            let sentence = format!("A configuration has at most {MOST_SECRETS} secrets.");
            return Err(Problem::invalid("name", sentence));
        }

        // One that was removed and comes back goes on counting: old configurations name its versions.
        let known = store::secrets::newest(&mut tx, placement.id, name).await.or_problem(origin)?;
        let version = match known {
            Some(known) => Version { version: known.version + 1, ..known },
            None => {
                let secret = SecretId(Uuid::now_v7());
                store::secrets::add(&mut tx, secret, placement.id, name)
                    .await
                    .or_problem(origin)?;
                Version { secret, version: 1 }
            }
        };
        let sealed = self.vault.seal(&version.about(), value);
        let (by, by_name) = (asked.actor.id, &asked.actor.name);
        store::secrets::set(&mut tx, version, &sealed, by, by_name).await.or_problem(origin)?;
        let mut next = Next::of(&newest);
        next.secrets.0.insert(name.clone(), version);
        let deed =
            |number| Deed::SecretSet { name: name.clone(), version: version.version, number };
        let made = self
            .next_configuration(&mut tx, asked, &permit, &placement, &newest, next, deed)
            .await?;
        let rows: Vec<_> = made.into_iter().map(|(_, row)| row).collect();
        self.commit(tx, origin, &rows).await?;
        Ok(version.version)
    }

    /// Takes a secret out of the next configuration. Its versions stay for those that name them.
    pub async fn remove_secret(
        &self,
        asked: &Asked,
        placement: PlacementId,
        name: &VariableName,
        based_on: i32,
    ) -> Result<(), Problem> {
        let Open { mut tx, permit, placement, newest } =
            self.open(asked, Action::SecretSet, placement).await?;
        let mut next = Next::of(&newest);
        let Some(removed) = next.secrets.0.remove(name) else {
            return Err(Problem::not_found("secret"));
        };
        if removed.version != based_on {
            return Err(Problem::conflict(format!(
                "{name} was set since this page was drawn: it has version {} now. Nothing was \
                 removed.",
                removed.version
            )));
        }
        let deed = |number| Deed::SecretRemoved { name: name.clone(), number };
        let made = self
            .next_configuration(&mut tx, asked, &permit, &placement, &newest, next, deed)
            .await?;
        let rows: Vec<_> = made.into_iter().map(|(_, row)| row).collect();
        self.commit(tx, &asked.origin, &rows).await
    }

    /// The page of what a service is told in an environment; in the first one that the viewer sees,
    /// where none is named.
    pub async fn configuration(
        &self,
        asked: &Asked,
        project: &Name,
        service: &Name,
        environment: Option<&Name>,
    ) -> Result<ConfigurationPage, Problem> {
        let page = self.service(asked, project, service).await?;
        let environments =
            page.placements.iter().map(|card| card.cell.environment_name.clone()).collect();
        let here = |card: &PlacementCard| {
            environment.is_none_or(|name| card.cell.environment_name == *name)
        };
        let found = page.placements.into_iter().find(here);
        Ok(ConfigurationPage {
            number: page.number,
            project: page.project,
            service: page.name,
            card: found.ok_or_else(|| Problem::not_found("environment"))?,
            environments,
        })
    }

    /// Fills in what is known of the secrets that these cards name. Values are not opened for it.
    pub(crate) async fn with_secrets(
        &self,
        conn: &mut Conn,
        origin: &Origin,
        cards: &mut [PlacementCard],
    ) -> Result<(), Problem> {
        let named: Vec<Version> =
            cards.iter().flat_map(|card| card.configuration.secrets.0.values().copied()).collect();
        if named.is_empty() {
            return Ok(());
        }
        let now = store::now(conn).await.or_problem(origin)?;
        let sealed = store::secrets::sealed(conn, &named).await.or_problem(origin)?;
        let sealed: HashMap<_, _> =
            sealed.iter().map(|one| ((one.version.secret, one.version.version), one)).collect();
        for card in cards {
            let found = |version: &Version| sealed.get(&(version.secret, version.version));
            card.secrets = card
                .configuration
                .secrets
                .0
                .iter()
                .filter_map(|(name, version)| Some((name, found(version)?)))
                .map(|(name, one)| SecretCard {
                    name: name.clone(),
                    version: one.version.version,
                    set_by: one.set_by.clone(),
                    set_at: one.set_at,
                    due: is_due(one.set_at, now),
                    lost: !self.vault.can_open(&one.value),
                })
                .collect();
        }
        Ok(())
    }

    async fn open(
        &self,
        asked: &Asked,
        action: Action,
        placement: PlacementId,
    ) -> Result<Open, Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, action, &place).await?;
        let newest = store::configurations::newest(&mut tx, placement.id)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("configuration"))?;
        Ok(Open { tx, permit, placement, newest })
    }

    async fn save(&self, asked: &Asked, open: Open, next: Next) -> Result<i32, Problem> {
        let Open { mut tx, permit, placement, newest } = open;
        let twice = next.variables.0.keys().find(|name| next.secrets.0.contains_key(*name));
        if let Some(name) = twice {
            let sentence = format!("{name} is a secret here and is set by itself.");
            return Err(Problem::invalid("variables", sentence));
        }
        let made = |number| Deed::ConfigurationMade { number };
        let made = self
            .next_configuration(&mut tx, asked, &permit, &placement, &newest, next, made)
            .await?;
        let Some((next, row)) = made else { return Ok(newest.number) };
        self.commit(tx, &asked.origin, &[row]).await?;
        Ok(next.number)
    }

    /// Adds the next revision and gives the row that tells of it. `None`: nothing differs.
    #[allow(clippy::too_many_arguments, reason = "all that a revision is made of")]
    async fn next_configuration(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        permit: &Permit,
        placement: &Placement,
        newest: &Configuration,
        next: Next,
        deed: impl FnOnce(i32) -> Deed,
    ) -> Result<Option<(Configuration, NewEntry)>, Problem> {
        let Next { variables, secrets, limits } = next;
        let changes = changes::of_configuration(Some(newest), (&variables, &secrets, &limits));
        if changes.is_empty() {
            return Ok(None);
        }
        let number = newest.number + 1;
        let id = ConfigurationId(Uuid::now_v7());
        let next = Configuration { id, number, variables, secrets, limits };
        let (by, by_name) = (asked.actor.id, &asked.actor.name);
        store::configurations::add(tx, placement.id, &next, by, by_name)
            .await
            .or_problem(&asked.origin)?;
        let row = asked.entry(permit, placement.subject(None), deed(number)).with_changes(changes);
        Ok(Some((next, row)))
    }
}

fn expect_newest(newest: &Configuration, based_on: i32) -> Result<(), Problem> {
    if newest.number == based_on {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "Configuration {} was made since this page was drawn with {based_on}. Nothing was saved: \
         load the page and put your change into the newest.",
        newest.number
    )))
}
