//! One task for each placement that this node holds: a rollout is advanced, else the placement is
//! kept as it should be. Everything that happens to a placement happens here, one after the other.

use crate::{
    context::{Context, Known},
    exits,
    logs::keep,
    rollouts, settled,
};
use anyhow::Context as _;
use domain::{
    history::Deed,
    id::{PlacementId, ReleaseId, RolloutId},
    release::Pair,
    rollout::{Phase, Rollout, step::Reply},
    slot::Slot,
    target::{Observed, Probe, RouteSeen},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    history::NewEntry,
    placements::{Held, Placement, claims},
};
use targets::Target;
use tokio::sync::Notify;
use tracing::{info, warn};

/// After an error of our own or of the database.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once.
    Now,
    /// When something happens, at the latest after so long.
    In(Duration),
    /// Never: the placement is not ours any more, or not there.
    Lost,
}

/// What a task remembers between turns. Losing it costs a repeated command and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The epoch that the target was shown by this process.
    pub fenced: Option<i64>,
    /// What came of the last command.
    pub reply: Option<Reply>,
    /// How long the rollout's phase was worked at.
    pub watch: Watch,
    /// The route as the target told it last.
    pub route: Option<RouteSeen>,
    /// How instances are asked for their health, by their release.
    pub probes: Arc<BTreeMap<ReleaseId, Probe>>,
    /// What a settled placement did already.
    pub settled: settled::Memory,
    /// Whose last lines are stored.
    pub logs: keep::Memory,
    /// For whose instances it was told that a registry's credentials are used.
    pub login_told: Option<RolloutId>,
    /// Which deaths of instances were told.
    pub exits: exits::Memory,
}

/// Time spent on a phase. Time in which this process, the database or the whole machine was away
/// is not in it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    of: Option<(RolloutId, Phase, time::OffsetDateTime)>,
    last: Option<Instant>,
    watched: Duration,
    /// How much of it the target could be looked at.
    asked: Duration,
}

impl Watch {
    /// As far as two turns of a phase lie apart while all is well. Of a longer time no more than
    /// this is counted: a check may be slow, but a paused process did not ask for so long.
    const APART: Duration = Duration::from_secs(3);

    /// How long `rollout` was worked at in its phase, up to `now`, and how much of that the target
    /// could be looked at; `seen`: whether it could this time.
    pub fn look(&mut self, rollout: &Rollout, now: Instant, seen: bool) -> (Duration, Duration) {
        self.count((rollout.id, rollout.state.phase, rollout.state.since), now, seen)
    }

    fn count(
        &mut self,
        of: (RolloutId, Phase, time::OffsetDateTime),
        now: Instant,
        seen: bool,
    ) -> (Duration, Duration) {
        let of = Some(of);
        if self.of == of {
            let since = self.last.map_or(Duration::ZERO, |last| now - last).min(Self::APART);
            self.watched += since;
            if seen {
                self.asked += since;
            }
        } else {
            *self = Self { of, ..Self::default() };
        }
        self.last = Some(now);
        (self.watched, self.asked)
    }
}

/// Forgets a placement when its task ends, however it ends, so that it is begun again.
struct Forget<'a>(&'a Context, PlacementId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// One turn's view of a placement.
pub(crate) struct Turn<'a> {
    pub context: &'a Arc<Context>,
    /// Where the placement runs.
    pub target: Arc<dyn Target>,
    pub placement: Arc<Placement>,
    pub held: Held,
    pub memory: &'a mut Memory,
}

/// Drives a placement until it is not ours any more or the engine stops.
pub(crate) async fn drive(context: Arc<Context>, id: PlacementId, wake: Arc<Notify>) {
    let _forget = Forget(&context, id);
    let mut memory = Memory::default();
    while !context.stopping.is_cancelled() {
        let next = match turn(&context, id, &mut memory).await {
            Ok(next) => next,
            Err(error) => {
                warn!(placement.id = %id, error = format!("{error:#}"), "A turn of a placement failed");
                Next::In(TRY_AGAIN)
            }
        };
        match next {
            Next::Now => tokio::task::yield_now().await,
            Next::In(at_most) => context.rest(&wake, at_most).await,
            Next::Lost => break,
        }
    }
}

async fn turn(
    context: &Arc<Context>,
    id: PlacementId,
    memory: &mut Memory,
) -> anyhow::Result<Next> {
    let mut conn = context.pool.acquire().await?;
    let Some(placement) = store::placements::load(&mut conn, id).await? else {
        return Ok(Next::Lost);
    };
    if placement.holder != Some(context.node) {
        info!(placement.id = %id, "Placement {} is held by another node", id.short());
        return Ok(Next::Lost);
    }
    let current = store::rollouts::current(&mut conn, id).await?;
    // A step may take seconds: the connection is given back meanwhile.
    drop(conn);
    let held = Held { placement: id, node: context.node, epoch: placement.epoch };
    let target = context.targets.of(placement.target);
    let turn = Turn { context, target, placement: Arc::new(placement), held, memory };
    match current {
        Some(current) => rollouts::advance(turn, current).await,
        None => settled::care(turn).await,
    }
}

impl Turn<'_> {
    /// Shows the target our claim, so that whoever held the placement before is refused from now
    /// on. A target that has seen a greater epoch, because the database was restored, makes ours
    /// greater still.
    pub async fn fence(&mut self) -> anyhow::Result<()> {
        if self.memory.fenced == Some(self.held.epoch) {
            return Ok(());
        }
        let place = &self.placement.place;
        let seen = self.target.highest_epoch(place).await?;
        if let Some(seen) = seen.filter(|seen| *seen > self.held.epoch) {
            let mut conn = self.context.pool.acquire().await?;
            self.held = claims::raise_epoch(&mut conn, &self.held, seen)
                .await?
                .context("another node claimed the placement")?;
        }
        self.target.fence(&self.held.claim(None), place).await?;
        self.memory.fenced = Some(self.held.epoch);
        Ok(())
    }

    /// Looks at the target, and shows the sampler what was seen.
    pub async fn observe(&mut self) -> Result<Arc<Observed>, String> {
        let observed = match self.target.observe(&self.placement.place).await {
            Ok(observed) => {
                self.memory.route.clone_from(&observed.route);
                Ok(Arc::new(observed))
            }
            Err(error) => Err(crate::chain(&error)),
        };
        if let Ok(observed) = &observed {
            self.learn_probes(observed).await;
            let (target, pool) = (&self.target, &self.context.pool);
            self.memory.logs.begin(target, pool, &self.placement, observed);
            let died = self.memory.exits.note(observed, Instant::now());
            if let Err(error) = self.tell(died).await {
                warn!(placement.id = %self.placement.id, error = format!("{error:#}"), "Deaths could not be told");
            }
        }
        let known = Known {
            placement: self.placement.clone(),
            probes: self.memory.probes.clone(),
            observed: observed.clone(),
        };
        self.context.know(self.placement.id, known);
        observed
    }

    /// Tells of what was noticed, if the placement is still ours.
    pub async fn tell(&self, deeds: Vec<Deed>) -> anyhow::Result<()> {
        if deeds.is_empty() {
            return Ok(());
        }
        let mut tx = self.context.pool.begin().await?;
        if claims::still(&mut tx, &self.held).await? {
            let row = |deed| NewEntry::engine(self.placement.subject(None), deed);
            let rows: Vec<_> = deeds.into_iter().map(row).collect();
            store::history::append_and_commit(tx, &rows).await?;
        }
        Ok(())
    }

    /// A release is asked by the spec it was made with, not by the service's of today.
    async fn learn_probes(&mut self, observed: &Observed) {
        let there: BTreeMap<_, _> = Slot::ALL
            .iter()
            .flat_map(|slot| observed.slots.of(*slot))
            .map(|instance| (instance.release, instance.configuration))
            .collect();
        if there.keys().eq(self.memory.probes.keys()) {
            return;
        }
        let Ok(mut conn) = self.context.pool.acquire().await else { return };
        let mut probes = BTreeMap::new();
        for (release, configuration) in there {
            let pair = Pair { release, configuration };
            if let Ok(Some(parts)) = store::releases::plan_parts(&mut conn, pair).await
                && let Some(probe) = crate::perform::probe_of(&parts.release.spec)
            {
                probes.insert(release, probe);
            }
        }
        self.memory.probes = Arc::new(probes);
    }

    /// The revision that a write replaces: the one seen last, else the one confirmed last.
    pub fn revision(&self) -> i64 {
        let seen = self.memory.route.as_ref().map(|route| route.revision);
        seen.or(self.placement.route.map(|route| route.revision)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn time_in_which_the_process_was_paused_was_not_spent_on_a_phase() {
        let of = |phase| (RolloutId(uuid::Uuid::nil()), phase, datetime!(2026-05-03 12:00 UTC));
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut watch = Watch::default();

        let seconds = |watched, asked| (Duration::from_secs(watched), Duration::from_secs(asked));
        assert_eq!(watch.count(of(Phase::Verifying), at(0), true), seconds(0, 0));
        assert_eq!(watch.count(of(Phase::Verifying), at(1), true), seconds(1, 1));
        assert_eq!(watch.count(of(Phase::Verifying), at(61), true), seconds(4, 4));
        assert_eq!(watch.count(of(Phase::Verifying), at(63), false), seconds(6, 4));
        assert_eq!(watch.count(of(Phase::Switching), at(64), true), seconds(0, 0));
    }
}
