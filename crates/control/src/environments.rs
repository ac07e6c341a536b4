//! Environments and how careful they are; and what a new installation begins with.

use crate::{
    Actor, Asked, Control, OrProblem, Permit, Place, board, changes, places, targets::MOST_RENAMED,
};
use domain::{
    environment::Environment,
    error::Problem,
    history::{Deed, Origin, Subject},
    id::{EnvironmentId, TargetId},
    name::Name,
    policy::{Policy, shown},
    role::{Action, Protection, Scope},
    view::{EnvironmentCard, EnvironmentPage, EnvironmentsPage, HistoryFilter},
};
use store::{
    Tx,
    board::Which,
    environments::{Count, Known},
    history::NewEntry,
    placements::hosts,
    targets::Target,
};
use uuid::Uuid;

/// The environments of a new installation, in their order, and which of them are protected.
const FIRST: [(&str, bool); 3] = [("local", false), ("staging", false), ("production", true)];

/// The target that a new installation has.
const TARGET: &str = "Docker, this machine";

/// The most environments there can be.
const MOST: usize = 100;

/// Rollouts on the page of an environment.
const MOST_ROLLOUTS: i64 = 20;

impl Control {
    /// The page of all environments that may be seen.
    pub async fn environments(&self, asked: &Asked) -> Result<EnvironmentsPage, Problem> {
        let origin = &asked.origin;
        let actor = &asked.actor;
        let mut conn = self.connection(origin).await?;
        let counts = store::environments::counts(&mut conn).await.or_problem(origin)?;
        let known = store::environments::all(&mut conn).await.or_problem(origin)?;
        let cards: Vec<_> =
            known.into_iter().filter_map(|known| card(actor, known, &counts)).collect();
        let may_add = actor.may(Action::EnvironmentEdit, Scope::Everything, Protection::Protected);
        let targets = if may_add {
            let all = store::targets::all(&mut conn).await.or_problem(origin)?;
            all.into_iter().map(|target| (target.id, target.name)).collect()
        } else {
            Vec::new()
        };
        Ok(EnvironmentsPage {
            may_edit: cards.iter().any(|card| card.may_edit),
            environments: cards,
            targets,
        })
    }

    /// Adds an environment on a target, after another one in the order or before all. It begins with
    /// the policy that a new installation's have.
    pub async fn add_environment(
        &self,
        asked: &Asked,
        name: &Name,
        after: Option<EnvironmentId>,
        protected: bool,
        target: TargetId,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (permit, mut tx, known) = self.begin_order(asked).await?;
        if known.iter().any(|known| known.environment.name == *name) {
            let sentence = format!("There is an environment {name} already.");
            return Err(Problem::invalid("name", sentence));
        }
        if known.len() >= MOST {
            let sentence = format!("There are {MOST} environments, and that is the most.");
            return Err(Problem::conflict(sentence));
        }
        let before = match after {
            None => 0,
            Some(id) => known
                .iter()
                .find(|known| known.environment.id == id)
                .map(|known| known.environment.position)
                .ok_or_else(|| Problem::not_found("environment"))?,
        };
        let on = locked(&mut tx, origin, target).await?;
        store::environments::make_room(&mut tx, before).await.or_problem(origin)?;
        let policies = &self.settings;
        let policy =
            if protected { &policies.policy_of_protected } else { &policies.policy_of_open };
        let environment = Environment {
            id: EnvironmentId(Uuid::now_v7()),
            name: name.clone(),
            position: before + 1,
            protected,
            policy: policy.clone(),
        };
        match store::environments::add(&mut tx, &environment, target).await {
            Err(error) if error.is_refused_by("environments_name_key") => {
                let sentence = format!("There was an environment {name}. Choose another name.");
                return Err(Problem::invalid("name", sentence));
            }
            added => added.or_problem(origin)?,
        }
        let subject = Subject { environment: Some(name.clone()), ..Subject::default() };
        let row = asked.entry(&permit, subject, Deed::EnvironmentAdded { target: on.name });
        self.commit(tx, origin, &[row.with_changes(changes_of(None, &environment))]).await
    }

    /// The page of one environment: where it leads, how careful it is, and what runs there.
    pub async fn environment(
        &self,
        asked: &Asked,
        name: &Name,
    ) -> Result<EnvironmentPage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("environment");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let known = store::environments::all(&mut conn).await.or_problem(origin)?;
        let known =
            known.into_iter().find(|known| known.environment.name == *name).ok_or_else(missing)?;
        let counts = store::environments::counts(&mut conn).await.or_problem(origin)?;
        let (id, target_asked_at) = (known.environment.id, known.target_asked_at);
        let target = known.target;
        let card = card(&asked.actor, known, &counts).ok_or_else(missing)?;

        let drawn = self.visible_cells(&mut conn, asked, Which::Environment(id)).await?;
        let ids: Vec<_> = drawn.iter().map(|drawn| drawn.cell.placement).collect();
        let rollouts = store::rollouts::pages::newest_there(&mut conn, &ids, MOST_ROLLOUTS)
            .await
            .or_problem(origin)?;
        let about =
            HistoryFilter { environment: Some(name.to_string()), ..HistoryFilter::default() };
        let happening = self.happening(&mut conn, asked, &about).await?;
        let may_move =
            asked.actor.may(Action::EnvironmentEdit, Scope::Everything, Protection::Protected);
        let other_targets = if may_move && rollouts.is_empty() {
            let all = store::targets::all(&mut conn).await.or_problem(origin)?;
            let others = all.into_iter().filter(|known| known.id != target);
            others.map(|known| (known.id, known.name)).collect()
        } else {
            Vec::new()
        };
        Ok(EnvironmentPage {
            number,
            card,
            target_asked_at,
            other_targets,
            projects: board::grouped(drawn),
            rollouts,
            happening,
        })
    }

    /// Changes the policy. Rollouts that were asked for keep the one they pinned.
    ///
    /// `based_on` is what the page showed, in the words of [`shown`]; if it is another by now the
    /// later edit is told, instead of taking the earlier one back. Empty: whatever it is.
    pub async fn edit_policy(
        &self,
        asked: &Asked,
        environment: EnvironmentId,
        policy: Policy,
        based_on: &str,
    ) -> Result<(), Problem> {
        self.edit_environment(asked, environment, |before| {
            checked(&policy)?;
            if !based_on.is_empty() && based_on != shown(&before.policy) {
                return Err(Problem::conflict(
                    "The policy was changed since this page was drawn. Nothing was saved: look at it \
                     as it is now, and change it again.",
                ));
            }
            Ok(Environment { policy, ..before })
        })
        .await
    }

    /// Whether an environment asks for more than the ordinary.
    pub async fn set_protected(
        &self,
        asked: &Asked,
        environment: EnvironmentId,
        protected: bool,
    ) -> Result<(), Problem> {
        self.edit_environment(asked, environment, |before| Ok(Environment { protected, ..before }))
            .await
    }

    async fn edit_environment(
        &self,
        asked: &Asked,
        id: EnvironmentId,
        edit: impl FnOnce(Environment) -> Result<Environment, Problem>,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let before = store::environments::lock(&mut tx, id)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("environment"))?;
        let place = places::of_environment(&before);
        let (mut tx, permit) = self.permit_in(tx, asked, Action::EnvironmentEdit, &place).await?;
        let after = edit(before.clone())?;
        let changes = changes_of(Some(&before), &after);
        if changes.is_empty() {
            return Ok(());
        }

        store::environments::edit(&mut tx, &after).await.or_problem(origin)?;
        let row = asked.entry(&permit, place.subject, Deed::EnvironmentChanged);
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Begins a change of which environments there are and where they lead, for who may do that
    /// everywhere. Nobody else changes it until the transaction ends.
    async fn begin_order(&self, asked: &Asked) -> Result<(Permit, Tx, Vec<Known>), Problem> {
        let origin = &asked.origin;
        let place = Place { protection: Protection::Protected, ..Place::everything() };
        let permit = self.permit(asked, Action::EnvironmentEdit, &place).await?;
        let mut tx = self.begin(origin).await?;
        store::environments::lock_order(&mut tx).await.or_problem(origin)?;
        let known = store::environments::all(&mut tx).await.or_problem(origin)?;
        Ok((permit, tx, known))
    }

    /// Leads an environment to another target, as long as nothing was rolled out there: what runs
    /// somewhere can not be taken along.
    pub async fn move_environment(
        &self,
        asked: &Asked,
        id: EnvironmentId,
        target: TargetId,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (permit, mut tx, known) = self.begin_order(asked).await?;
        let known = known
            .into_iter()
            .find(|known| known.environment.id == id)
            .ok_or_else(|| Problem::not_found("environment"))?;
        let to = locked(&mut tx, origin, target).await?;
        if known.target == target {
            return Ok(());
        }
        let name = &known.environment.name;
        if store::environments::is_used(&mut tx, id).await.or_problem(origin)? {
            let sentence = format!(
                "Something was rolled out in {name} already, and does not come along to another \
                 target. Nothing was changed. Remove the services from {name} first, or add another \
                 environment there."
            );
            return Err(Problem::conflict(sentence));
        }
        let there = hosts::on_target(&mut tx, known.target, Some(id), MOST_RENAMED + 1)
            .await
            .or_problem(origin)?;
        if i64::try_from(there.len()).is_ok_and(|count| count > MOST_RENAMED) {
            let sentence = format!(
                "More than {MOST_RENAMED} services have a place in {name}: that many are not renamed \
                 at once."
            );
            return Err(Problem::conflict(sentence));
        }
        store::environments::lead_to(&mut tx, id, target).await.or_problem(origin)?;
        for named in &there {
            self.give_names(&mut tx, origin, target, named, "target").await?;
        }
        let subject = Subject { environment: Some(name.clone()), ..Subject::default() };
        let deed = Deed::EnvironmentMoved { from: known.target_name, to: to.name };
        self.commit(tx, origin, &[asked.entry(&permit, subject, deed)]).await
    }

    /// Gives a new installation its environments on this machine's target. Where there is any
    /// environment, nothing is done; two programs that start at once do it once.
    pub async fn begin_installation(&self) -> store::Result<()> {
        let mut tx: Tx = self.pool.begin().await?;
        if !store::environments::none_yet(&mut tx).await? {
            return Ok(());
        }
        let target = Target {
            id: TargetId(Uuid::now_v7()),
            name: TARGET.to_owned(),
            kind: "docker".to_owned(),
        };
        store::targets::add(&mut tx, &target).await?;
        let mut rows = Vec::new();
        for (position, (name, protected)) in (1..).zip(FIRST) {
            let name: Name = name.parse().expect("our own names are names");
            let policies = &self.settings;
            let policy =
                if protected { &policies.policy_of_protected } else { &policies.policy_of_open };
            let policy = policy.clone();
            let id = EnvironmentId(Uuid::now_v7());
            let environment = Environment { id, name, position, protected, policy };
            store::environments::add(&mut tx, &environment, target.id).await?;
            let subject =
                Subject { environment: Some(environment.name.clone()), ..Subject::default() };
            let row = NewEntry::engine(subject, Deed::EnvironmentChanged);
            rows.push(row.with_changes(changes_of(None, &environment)));
        }
        store::history::append_and_commit(tx, &rows).await?;
        Ok(())
    }
}

/// A target that is in use, and stays so until the transaction ends.
async fn locked(
    tx: &mut Tx,
    origin: &Origin,
    target: TargetId,
) -> Result<store::targets::Known, Problem> {
    store::targets::lock(tx, target).await.or_problem(origin)?;
    let known = store::targets::load(tx, target).await.or_problem(origin)?;
    known.ok_or_else(|| Problem::not_found("target"))
}

/// An environment as this person may see it. `counts` are of all projects.
fn card(actor: &Actor, known: Known, counts: &[Count]) -> Option<EnvironmentCard> {
    let place = places::of_environment(&known.environment);
    let may = |action| actor.may(action, place.scope, place.protection);
    if !may(Action::View) {
        return None;
    }
    let environment = known.environment.id;
    let seen = counts.iter().filter(|count| {
        let scope = Scope::Both { project: count.project, environment };
        count.environment == environment && actor.may(Action::View, scope, place.protection)
    });
    let (placements, live) =
        seen.fold((0, 0), |sum, count| (sum.0 + count.placements, sum.1 + count.live));
    Some(EnvironmentCard {
        target: known.target_name,
        target_ok: known.target_answers,
        target_says: known.target_says,
        placements: u32::try_from(placements).unwrap_or(u32::MAX),
        live: u32::try_from(live).unwrap_or(u32::MAX),
        may_edit: may(Action::EnvironmentEdit),
        environment: known.environment,
    })
}

fn changes_of(before: Option<&Environment>, after: &Environment) -> Vec<domain::history::Change> {
    let word = |protected: bool| if protected { "yes" } else { "no" }.to_owned();
    let mut changes = changes::of_policy(before.map(|before| &before.policy), &after.policy);
    if before.is_none_or(|before| before.protected != after.protected) {
        let was = before.map(|before| word(before.protected));
        changes.insert(0, changes::one("protected", was, Some(word(after.protected))));
    }
    changes
}

/// What the machine can not do yet, or could never end by.
fn checked(policy: &Policy) -> Result<(), Problem> {
    let wrong = |field: &str, sentence: &str| Err(Problem::invalid(field, sentence));
    if policy.approvals > 0 {
        return wrong("approvals", "Approvals are not offered yet: this is 0.");
    }
    if policy.passes == 0 {
        return wrong("passes", "At least one pass, or nothing is verified.");
    }
    if policy.window_requests == 0 {
        return wrong("window_requests", "A window holds at least one request.");
    }
    let shares = [("error_points", policy.error_points), ("error_absolute", policy.error_absolute)];
    for (field, share) in shares {
        if !(share > 0.0 && share <= 100.0) {
            return wrong(field, "This is more than 0 and at most 100.");
        }
    }
    if !(policy.slower_times >= 1.0 && policy.slower_times <= 100.0) {
        return wrong("slower_times", "This is 1 to 100.");
    }
    let times = [
        ("prepare_within", policy.prepare_within),
        ("verify_within", policy.verify_within),
        ("switch_within", policy.switch_within),
        ("observe_for", policy.observe_for),
    ];
    for (field, time) in times {
        if time.is_zero() {
            return wrong(field, "This is longer than nothing.");
        }
    }
    Ok(())
}
