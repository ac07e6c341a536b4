//! Going back: to the pair that was live before, or to any that was.
//!
//! While a rollout is under way and its own way back leads to the wanted pair, going back is asking
//! it to abort. Otherwise it is a rollout of its own, and what is active is asked to give way.

use super::{Queue, Turn, checked_reason};
use crate::{Asked, Control, OrProblem, places};
use domain::{
    error::Problem,
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    release::Pair,
    role::Action,
    rollout::{Ask, Kind, accept},
};
use store::{Tx, placements::Placement, rollouts::Standing};

/// Where the active rollout leads if it is aborted: to what was pinned, else to what is live.
fn way_back(active: &Standing, placement: &Placement) -> Option<Pair> {
    match &active.state.pinned {
        Some(pinned) => pinned.previous.map(|previous| previous.pair),
        None => placement.live.map(|live| live.pair),
    }
}

/// What gets the traffic when what a foreign hand did is put back.
fn put_back(placement: &Placement) -> Option<Pair> {
    let slot = placement.to_put_back()?;
    let live = placement.live.filter(|live| live.slot == slot).map(|live| live.pair);
    live.or(placement.warm.filter(|warm| warm.slot == slot).map(|warm| warm.pair))
}

impl Control {
    /// Restores a pair that was live. Without a release it is the one before: the warm one, what the
    /// active rollout replaces, or what is live where a foreign hand sent the traffic elsewhere. Without a configuration it is the last one with which that
    /// release was live here.
    ///
    /// If that very pair is already being restored, the click joins and gets that rollout.
    pub async fn roll_back(
        &self,
        asked: &Asked,
        placement: PlacementId,
        release: Option<ReleaseId>,
        configuration: Option<ConfigurationId>,
        newest: Option<RolloutId>,
        reason: Option<String>,
    ) -> Result<RolloutId, Problem> {
        let origin = &asked.origin;
        checked_reason(reason.as_deref())?;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::RolloutRollBack, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "rollouts/roll-back").await? {
            return Ok(made);
        }

        let queue = self.queue_of(&mut tx, asked, &placement).await?;
        queue.expect_no_removal()?;
        let pair = self
            .pair_to_restore(&mut tx, asked, &placement, &queue, release, configuration)
            .await?;

        // Joined, before anything else: two people who both want back must not refuse each other.
        let restoring = [&queue.active, &queue.waiting]
            .into_iter()
            .flatten()
            .find(|standing| standing.kind == Kind::Rollback && standing.pair == pair);
        if let Some(restoring) = restoring {
            return Ok(restoring.id);
        }
        let mut turn = Turn {
            asked,
            permit: &permit,
            placement: &placement,
            reason: reason.as_deref(),
            rows: Vec::new(),
        };
        let aborts = |of: &Standing| {
            accept(&of.state, of.request.as_ref().map(|request| request.what), Ask::Abort).is_ok()
        };
        let id = match &queue.active {
            Some(active) if way_back(active, &placement) == Some(pair) => {
                if !aborts(active) {
                    return Ok(active.id);
                }
                queue.expect_newest(newest)?;
                turn.ask(&mut tx, active, Ask::Abort).await?;
                // It would start right after the way back, and undo it.
                if let Some(waiting) = &queue.waiting {
                    let why = format!("{} went back", asked.actor.name);
                    let end = domain::rollout::Phase::Superseded;
                    turn.end_waiting(&mut tx, waiting, end, why).await?;
                }
                active.id
            }
            active => {
                queue.expect_newest(newest)?;
                if active.is_none()
                    && placement.live.is_some_and(|live| live.pair == pair)
                    && put_back(&placement) != Some(pair)
                {
                    return Err(Problem::conflict("That is what is live. There is nothing to do."));
                }
                if let Some(active) = active
                    && aborts(active)
                {
                    turn.ask(&mut tx, active, Ask::Abort).await?;
                }
                // What was changed by hand is made anew beside it, as any deploy is.
                let live = placement.live.filter(|live| live.pair == pair).map(|live| live.slot);
                let anew = placement.changed
                    && live.is_some()
                    && placement.route.is_some_and(|route| route.slot == live);
                let kind = if anew { Kind::Deploy } else { Kind::Rollback };
                turn.queue(&mut tx, kind, pair, &queue).await?
            }
        };
        let rows = turn.rows;
        self.remember(&mut tx, asked, "rollouts/roll-back", &id).await?;
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await?;
        Ok(id)
    }

    /// The pair that is meant. Only one that was live here, or is on its way out.
    async fn pair_to_restore(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        placement: &Placement,
        queue: &Queue,
        release: Option<ReleaseId>,
        configuration: Option<ConfigurationId>,
    ) -> Result<Pair, Problem> {
        let origin = &asked.origin;
        let before = match &queue.active {
            Some(active) => way_back(active, placement),
            None => put_back(placement).or(placement.warm.map(|warm| warm.pair)),
        };
        if let (Some(release), Some(configuration)) = (release, configuration) {
            let pair = Pair { release, configuration };
            let known = before == Some(pair)
                || placement.live.is_some_and(|live| live.pair == pair)
                || placement.warm.is_some_and(|warm| warm.pair == pair)
                || store::rollouts::pages::was_live(tx, placement.id, pair)
                    .await
                    .or_problem(origin)?;
            return known.then_some(pair).ok_or_else(|| {
                Problem::invalid(
                    "release",
                    "That was never live here, so one can not go back to it.",
                )
            });
        }
        if let Some(pair) =
            before.filter(|pair| release.is_none_or(|release| release == pair.release))
        {
            return Ok(pair);
        }
        let earlier =
            store::rollouts::pages::earlier(tx, &[placement.id]).await.or_problem(origin)?;
        earlier
            .into_iter()
            .map(|(_, earlier)| Pair {
                release: earlier.release.id,
                configuration: earlier.configuration,
            })
            .find(|pair| release.is_none_or(|release| release == pair.release))
            .ok_or_else(|| {
                Problem::invalid(
                    "release",
                    "Nothing else was live here, so there is no way back yet.",
                )
            })
    }
}
