//! Starting, stopping and taking back: what people ask of a placement's rollouts.
//!
//! A placement has one active rollout and one that waits. A deploy waits behind what is active, or
//! asks it to give way; a rollback always asks, and no deploy takes its place. What is asked of an
//! active rollout is stored on it: only the engine's next step changes its phase.

mod acts;
mod back;
mod page;
mod promotion;
mod removal;
mod warmth;

use crate::{Asked, Control, OrProblem, Permit, places};
use domain::{
    error::Problem,
    history::Deed,
    id::{PlacementId, ReleaseId, RolloutId},
    release::Pair,
    role::Action,
    rollout::{Ask, Ending, Kind, Phase, Request, accept},
};
use store::{
    Tx,
    history::NewEntry,
    placements::Placement,
    rollouts::{New, Standing},
};
use uuid::Uuid;

/// A placement's rollouts that have not ended, and its newest.
#[derive(Debug)]
pub(crate) struct Queue {
    pub active: Option<Standing>,
    pub waiting: Option<Standing>,
    pub newest: Option<Standing>,
}

impl Queue {
    fn of(standing: Vec<Standing>) -> Self {
        let find = |is: fn(Phase) -> bool| standing.iter().find(|s| is(s.state.phase)).cloned();
        Self {
            active: find(Phase::is_active),
            waiting: find(|phase| phase == Phase::Queued),
            newest: standing.first().cloned(),
        }
    }

    /// What is being taken away gets nothing new.
    fn expect_no_removal(&self) -> Result<(), Problem> {
        let removal = [&self.active, &self.waiting]
            .into_iter()
            .flatten()
            .find(|standing| standing.kind == Kind::Remove);
        match removal {
            Some(removal) => Err(Problem::Conflict {
                sentence: format!(
                    "{} is removing it from here. Abort that first, as long as it can be.",
                    removal.by_name
                ),
                rollout: Some(removal.id),
            }),
            None => Ok(()),
        }
    }

    /// Of two clicks one wins: a start names the newest rollout that its page showed.
    fn expect_newest(&self, shown: Option<RolloutId>) -> Result<(), Problem> {
        match &self.newest {
            Some(newest) if Some(newest.id) != shown => Err(somebody_was_first(newest)),
            None | Some(_) => Ok(()),
        }
    }
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

fn checked_reason(reason: Option<&str>) -> Result<(), Problem> {
    if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        let sentence = format!("A reason has at most {LONGEST_REASON} characters.");
        return Err(Problem::invalid("reason", sentence));
    }
    Ok(())
}

/// 409: who it was, and what.
fn somebody_was_first(other: &Standing) -> Problem {
    let did = match other.kind {
        Kind::Deploy => "deployed",
        Kind::Rollback => "rolled back to",
        Kind::Remove => "began to remove",
    };
    let sentence = format!(
        "{} {did} {} since this page was drawn. Nothing was started by this click.",
        other.by_name, other.release
    );
    Problem::Conflict { sentence, rollout: Some(other.id) }
}

/// A deploy as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deploy<'a> {
    pub release: ReleaseId,
    /// The newest rollout that the page showed.
    pub newest: Option<RolloutId>,
    pub reason: Option<&'a str>,
    /// Whether what is active is asked to give way.
    pub replace: bool,
}

/// What a verb does to a placement's queue, collected until it commits.
pub(crate) struct Turn<'a> {
    pub asked: &'a Asked,
    pub permit: &'a Permit,
    pub placement: &'a Placement,
    pub reason: Option<&'a str>,
    pub rows: Vec<NewEntry>,
}

impl Turn<'_> {
    fn row(&mut self, rollout: RolloutId, deed: Deed) {
        let subject = self.placement.subject(Some(rollout));
        let row = self.asked.entry(self.permit, subject, deed);
        self.rows.push(row.with_reason(self.reason.unwrap_or_default()));
    }

    /// Asks the active rollout for something, if it still hears it.
    async fn ask(&mut self, tx: &mut Tx, of: &Standing, ask: Ask) -> Result<(), Problem> {
        let request = Request {
            what: ask,
            by: self.asked.actor.id,
            by_name: self.asked.actor.name.clone(),
            reason: self.reason.unwrap_or_default().to_owned(),
        };
        store::rollouts::ask(tx, of.id, &request).await.or_problem(&self.asked.origin)?;
        self.row(of.id, Deed::RolloutAsked { ask, release: of.release.clone() });
        Ok(())
    }

    /// Ends the one that waits.
    async fn end_waiting(
        &mut self,
        tx: &mut Tx,
        waiting: &Standing,
        end: Phase,
        why: String,
    ) -> Result<(), Problem> {
        let ending = Ending { end, why: why.clone() };
        store::rollouts::end_waiting(tx, waiting, ending).await.or_problem(&self.asked.origin)?;
        let deed = Deed::RolloutEntered {
            phase: end,
            release: waiting.release.clone(),
            from: waiting.from.clone(),
            outcome: why,
            kind: waiting.kind,
        };
        self.row(waiting.id, deed);
        Ok(())
    }

    /// Takes the waiting place, which whoever waits there gives up.
    async fn queue(
        &mut self,
        tx: &mut Tx,
        kind: Kind,
        pair: Pair,
        queue: &Queue,
    ) -> Result<RolloutId, Problem> {
        let origin = &self.asked.origin;
        let parts = store::releases::plan_parts(tx, pair)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("release"))?;
        let from = match self.placement.live {
            Some(live) => store::releases::plan_parts(tx, live.pair).await.or_problem(origin)?,
            None => None,
        };
        if let Some(waiting) = &queue.waiting {
            let why = format!("{} asked for {}", self.asked.actor.name, parts.release.name);
            self.end_waiting(tx, waiting, Phase::Superseded, why).await?;
        }
        let new = New {
            id: RolloutId(Uuid::now_v7()),
            kind,
            pair,
            by: self.asked.actor.id,
            by_name: &self.asked.actor.name,
            reason: self.reason,
        };
        store::rollouts::queue(tx, self.placement, &new).await.or_problem(origin)?;
        let deed = Deed::RolloutQueued {
            kind,
            release: parts.release.name.clone(),
            from: from.map(|from| from.release.name),
            configuration: parts.configuration.number,
        };
        self.row(new.id, deed);
        Ok(new.id)
    }
}

impl Control {
    /// Queues a rollout of `release` with the placement's newest configuration. The engine picks it
    /// up once this commits. `newest` is the newest rollout that the page showed; `replace` asks
    /// what is active to give way.
    pub async fn start_rollout(
        &self,
        asked: &Asked,
        placement: PlacementId,
        release: ReleaseId,
        newest: Option<RolloutId>,
        reason: Option<String>,
        replace: bool,
    ) -> Result<RolloutId, Problem> {
        let origin = &asked.origin;
        checked_reason(reason.as_deref())?;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::RolloutStart, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "rollouts/start").await? {
            return Ok(made);
        }

        let deploy = Deploy { release, newest, reason: reason.as_deref(), replace };
        let (id, rows) = self.queue_deploy(&mut tx, asked, &permit, &placement, deploy).await?;
        self.remember(&mut tx, asked, "rollouts/start", &id).await?;
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await?;
        Ok(id)
    }

    /// Queues a deploy with the newest configuration, in a transaction that holds the placement. The
    /// rows that tell of it are the caller's to write.
    pub(crate) async fn queue_deploy(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        permit: &Permit,
        placement: &Placement,
        deploy: Deploy<'_>,
    ) -> Result<(RolloutId, Vec<NewEntry>), Problem> {
        let origin = &asked.origin;
        let known = store::releases::load(tx, deploy.release).await.or_problem(origin)?;
        let known = known
            .filter(|known| known.release.service == placement.service)
            .ok_or_else(|| Problem::not_found("release"))?;
        if known.retired {
            let sentence =
                format!("{} is retired and is not deployed any more.", known.release.name);
            return Err(Problem::invalid("release", sentence));
        }
        let configuration = store::configurations::newest(tx, placement.id)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("configuration"))?;

        let queue = self.queue_of(tx, asked, placement).await?;
        queue.expect_no_removal()?;
        queue.expect_newest(deploy.newest)?;
        if let Some(waiting) = queue.waiting.as_ref().filter(|w| w.kind == Kind::Rollback) {
            let sentence = format!(
                "{} asked to roll back to {}, and no deploy takes that place. Start again after it.",
                waiting.by_name, waiting.release
            );
            return Err(Problem::Conflict { sentence, rollout: Some(waiting.id) });
        }

        let mut turn = Turn { asked, permit, placement, reason: deploy.reason, rows: Vec::new() };
        if deploy.replace
            && let Some(active) = &queue.active
            && accept(&active.state, active.request.as_ref().map(|r| r.what), Ask::Abort).is_ok()
        {
            turn.ask(tx, active, Ask::Abort).await?;
        }
        let pair = Pair { release: deploy.release, configuration: configuration.id };
        let id = turn.queue(tx, Kind::Deploy, pair, &queue).await?;
        Ok((id, turn.rows))
    }

    /// Asks something of a rollout that has not ended. One that still waits is aborted at once: the
    /// engine never had it.
    pub async fn ask_rollout(
        &self,
        asked: &Asked,
        rollout: RolloutId,
        ask: Ask,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        checked_reason(reason.as_deref())?;
        let mut tx = self.begin(origin).await?;
        let placement = store::rollouts::placement_of(&mut tx, rollout)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("rollout"))?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let action = match ask {
            Ask::Abort => Action::RolloutAbort,
            Ask::Promote => Action::RolloutPromote,
            Ask::Retry => Action::RolloutStart,
        };
        let place = places::of_placement(&placement, "rollout");
        let (mut tx, permit) = self.permit_in(tx, asked, action, &place).await?;

        let queue = self.queue_of(&mut tx, asked, &placement).await?;
        let standing =
            [queue.active, queue.waiting].into_iter().flatten().find(|s| s.id == rollout);
        let refuse = |refusal: domain::rollout::Refusal| Problem::Conflict {
            sentence: refusal.to_string(),
            rollout: Some(rollout),
        };
        let Some(standing) = standing else {
            return Err(refuse(domain::rollout::Refusal::Ended));
        };
        let before = standing.request.as_ref().map(|request| request.what);
        accept(&standing.state, before, ask).map_err(refuse)?;

        let mut turn = Turn {
            asked,
            permit: &permit,
            placement: &placement,
            reason: reason.as_deref(),
            rows: Vec::new(),
        };
        if standing.state.phase == Phase::Queued {
            let why = format!("{} aborted it before it began", asked.actor.name);
            turn.end_waiting(&mut tx, &standing, Phase::Aborted, why).await?;
        } else {
            turn.ask(&mut tx, &standing, ask).await?;
        }
        let rows = turn.rows;
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await
    }

    pub(crate) async fn queue_of(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        placement: &Placement,
    ) -> Result<Queue, Problem> {
        let standing = store::rollouts::standing(tx, placement.id).await;
        Ok(Queue::of(standing.or_problem(&asked.origin)?))
    }
}
