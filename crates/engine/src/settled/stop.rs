//! A placement that a person stopped: traffic is withdrawn, what is in flight ends, then the instances
//! go. What was live stays written down, so that a start brings the same pair back.

use crate::placement::{Next, Turn};
use domain::{history::Deed, slot::Slot, target::Observed};
use std::time::{Duration, Instant};
use store::{
    history::NewEntry,
    placements::{self, Confirmed},
};

/// While something still runs.
const SOON: Duration = Duration::from_millis(200);
/// Once nothing does.
const RARELY: Duration = Duration::from_secs(10);

/// One turn towards nothing running.
pub(super) async fn rest(mut turn: Turn<'_>, observed: &Observed) -> anyhow::Result<Next> {
    if observed.route.as_ref().is_some_and(|route| route.live.is_some()) {
        return withdraw(&mut turn).await;
    }
    if let Some(warm) = turn.placement.warm {
        let mut tx = turn.context.pool.begin().await?;
        if !placements::claims::still(&mut tx, &turn.held).await? {
            return Ok(Next::Now);
        }
        placements::set_warm(&mut tx, &turn.held, None).await?;
        let deed = Deed::WarmthEnded { slot: warm.slot, why: "it was stopped".to_owned() };
        let row = NewEntry::engine(turn.placement.subject(None), deed);
        store::history::append_and_commit(tx, &[row]).await?;
        return Ok(Next::Now);
    }
    let Some(slot) = Slot::ALL.into_iter().find(|slot| !observed.slots.of(*slot).is_empty()) else {
        turn.memory.settled.draining = None;
        return Ok(Next::In(RARELY));
    };
    if !drained(&mut turn, slot).await {
        return Ok(Next::In(SOON));
    }
    turn.fence().await?;
    turn.memory.logs.finish().await;
    let claim = turn.held.claim(None);
    turn.target.remove(&claim, &turn.placement.place, slot).await?;
    Ok(Next::In(SOON))
}

async fn withdraw(turn: &mut Turn<'_>) -> anyhow::Result<Next> {
    turn.fence().await?;
    let claim = turn.held.claim(None);
    let (target, place) = (&turn.target, &turn.placement.place);
    let route = target.route(&claim, place, turn.revision(), None).await?;
    let confirmed = Confirmed { epoch: route.epoch, revision: route.revision, slot: route.live };
    let mut conn = turn.context.pool.acquire().await?;
    placements::confirm_route(&mut conn, &turn.held, &confirmed).await?;
    turn.memory.route = Some(route);
    turn.memory.settled.draining = Some(Instant::now());
    Ok(Next::In(SOON))
}

/// Whether nothing in `slot` is in flight any more, or had its time. A process that was restarted
/// begins to count anew: that costs time and no request.
pub(super) async fn drained(turn: &mut Turn<'_>, slot: Slot) -> bool {
    let since = *turn.memory.settled.draining.get_or_insert_with(Instant::now);
    if since.elapsed() >= turn.placement.policy.drain_for {
        return true;
    }
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    match turn.target.traffic(&turn.placement.place, now).await {
        Ok(traffic) => traffic.slots.of(slot).in_flight == Some(0),
        Err(_) => false,
    }
}
