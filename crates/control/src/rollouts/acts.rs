//! What people do to a placement from day to day without a new release: restart it one by one, stop
//! it, start it again. All are wishes on the placement, carried out by its holder, and refused while
//! a rollout is under way.

use super::{Turn, checked_reason};
use crate::{Asked, Control, OrProblem, Permit, places};
use domain::{
    error::Problem,
    history::Deed,
    id::{PlacementId, RolloutId},
    name::ReleaseName,
    restart::Restart,
    role::Action,
    rollout::Kind,
};
use store::{
    Tx,
    placements::{Live, Placement, wishes},
};

impl Control {
    /// Wants every instance of the live slot restarted, one after the other. The engine follows.
    pub async fn restart(
        &self,
        asked: &Asked,
        placement: PlacementId,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, placement, permit) = self.settled(asked, placement, reason.as_deref()).await?;
        expect_running(&placement)?;
        let live = expect_live(&placement)?;
        if let Some(restart) = placement.restart.as_ref().filter(|it| it.failed.is_none()) {
            let how_far = match restart.progress() {
                Some((done, of)) => format!(", {done} of {of} are done"),
                None => String::new(),
            };
            let sentence = format!("{} restarts it already{how_far}.", restart.by);
            return Err(Problem::conflict(sentence));
        }

        let now = store::now(&mut tx).await.or_problem(origin)?;
        let restart = Restart::asked(asked.actor.name.clone(), now);
        wishes::ask_restart(&mut tx, placement.id, &restart).await.or_problem(origin)?;
        let deed = Deed::RestartAsked { slot: live.slot };
        let row = asked.entry(&permit, placement.subject(None), deed);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row.with_reason(reason.as_deref().unwrap_or_default())]).await
    }

    /// Wants nothing to run: requests are answered 503 by the router, what is in flight ends, then the
    /// instances go. What is live stays written down.
    pub async fn stop_placement(
        &self,
        asked: &Asked,
        placement: PlacementId,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let (mut tx, placement, permit) = self.settled(asked, placement, reason.as_deref()).await?;
        expect_running(&placement)?;
        let live = expect_live(&placement)?;

        let release = self.release_name(&mut tx, asked, live).await?;
        wishes::stop(&mut tx, placement.id, &asked.actor.name).await.or_problem(origin)?;
        let deed = Deed::PlacementStopped { slot: live.slot, release };
        let row = asked.entry(&permit, placement.subject(None), deed);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row.with_reason(reason.as_deref().unwrap_or_default())]).await
    }

    /// Brings the pair back that was live when it was stopped: a rollout, because it must prove itself
    /// as any other. Until it has succeeded, the placement stays stopped.
    pub async fn start_placement(
        &self,
        asked: &Asked,
        placement: PlacementId,
        newest: Option<RolloutId>,
        reason: Option<String>,
    ) -> Result<RolloutId, Problem> {
        let origin = &asked.origin;
        let (mut tx, placement, permit) = self.settled(asked, placement, reason.as_deref()).await?;
        if placement.stopped.is_none() {
            return Err(Problem::conflict("It is not stopped. There is nothing to do."));
        }
        let live = expect_live(&placement)?;
        let queue = self.queue_of(&mut tx, asked, &placement).await?;
        queue.expect_newest(newest)?;

        let release = self.release_name(&mut tx, asked, live).await?;
        let mut turn = Turn {
            asked,
            permit: &permit,
            placement: &placement,
            reason: reason.as_deref(),
            rows: Vec::new(),
        };
        let id = turn.queue(&mut tx, Kind::Rollback, live.pair, &queue).await?;
        turn.row(id, Deed::PlacementStarted { release });
        let rows = turn.rows;
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await?;
        Ok(id)
    }

    /// What these acts begin with: the lock, the right, and that no rollout is under way.
    async fn settled(
        &self,
        asked: &Asked,
        placement: PlacementId,
        reason: Option<&str>,
    ) -> Result<(Tx, Placement, Permit), Problem> {
        checked_reason(reason)?;
        let tx = self.begin(&asked.origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (tx, permit) = self.permit_in(tx, asked, Action::PlacementRestart, &place).await?;
        places::expect_settled(&placement)?;
        Ok((tx, placement, permit))
    }

    async fn release_name(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        live: Live,
    ) -> Result<ReleaseName, Problem> {
        let parts = store::releases::plan_parts(tx, live.pair).await.or_problem(&asked.origin)?;
        let parts = parts.ok_or_else(|| Problem::not_found("release"))?;
        Ok(parts.release.name)
    }
}

fn expect_live(placement: &Placement) -> Result<Live, Problem> {
    placement.live.ok_or_else(|| Problem::conflict("Nothing is live here: deploy a release first."))
}

fn expect_running(placement: &Placement) -> Result<(), Problem> {
    match &placement.stopped {
        Some(stopped) => {
            Err(Problem::conflict(format!("{} stopped it. Start it first.", stopped.by)))
        }
        None => Ok(()),
    }
}
