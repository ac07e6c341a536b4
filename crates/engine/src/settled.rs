//! A placement with no rollout is kept as it should be: warmth ends in time, what is missing is
//! started again, what is left over is removed, a router that lost its routes gets them back, what
//! people want of it from day to day is carried out ([`restart`], [`stop`]), and what a foreign hand
//! changed is told, not undone.

mod restart;
mod stop;

use crate::{
    exits, fetching, look, perform,
    placement::{Next, Turn},
};
use domain::{
    history::{Deed, Subject},
    release::Pair,
    rollout::Kind,
    slot::Slot,
    target::{Instance, InstanceState, Observed},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    history::NewEntry,
    placements::{self, Confirmed, Live, Placement},
};
use targets::Makers;
use time::OffsetDateTime;
use tracing::warn;

/// How often a settled placement is looked at when nobody says that something happened.
const LOOK: Duration = Duration::from_secs(5);
/// While something is under way.
const SOON: Duration = Duration::from_millis(500);
/// Where nothing runs and nothing is routed.
const RARELY: Duration = Duration::from_secs(60);
/// How long the target's own restart policy is given before we start a dead instance ourselves.
const RESTART_POLICY: Duration = Duration::from_secs(10);
/// A shortage that lasts for less is healed before anybody could read of it.
const SHORT: Duration = Duration::from_millis(1500);
/// It is shown as a difference at most so often: a slot that comes and goes is not told each time.
const SHOW_AGAIN: Duration = Duration::from_secs(60);
/// A live slot that keeps falling short is told so often.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// What was done already and need not be told twice.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When the live slot was first seen with instances that do not run.
    short_since: Option<Instant>,
    /// When that was told last: a shortage is one row, however many turns it takes to end it.
    short_told: Option<Instant>,
    /// Names and size as the route was refreshed with, and by which version of its target.
    refreshed: Option<(domain::target::Place, u16, Option<i32>)>,
    /// Left-overs are being removed, and the row is written.
    emptying: bool,
    /// What the live slot lacks, as long as it is shown, and when that was shown last.
    lacks: Option<String>,
    lacks_shown: Option<Instant>,
    /// A difference was told with a row: that it is over is one, too.
    drift_told: bool,
    /// Since when what left the route is given time to end.
    draining: Option<Instant>,
    restart: restart::Memory,
    unready: exits::Unready,
}

/// One turn of a placement without a rollout.
pub(crate) async fn care(mut turn: Turn<'_>) -> anyhow::Result<Next> {
    let placement = turn.placement.clone();
    let empty = placement.live.is_none() && placement.warm.is_none();
    if empty
        && placement.route.is_none()
        && turn.memory.fenced.is_none()
        && !turn.memory.settled.emptying
    {
        // Nothing was ever here. A first look tells whether something was left over.
        if let Ok(observed) = turn.observe().await
            && Slot::ALL.iter().all(|slot| observed.slots.of(*slot).is_empty())
        {
            return Ok(Next::In(RARELY));
        }
    }
    let observed = match turn.observe().await {
        Ok(observed) => observed,
        // The sampler shows it on the board; nothing can be done from here.
        Err(_) => return Ok(Next::In(Duration::from_secs(2))),
    };
    let subject = placement.subject(None);
    if look::is_lost(&observed, placement.route) {
        let makers = look::makers(None, &placement);
        let live = placement.route.and_then(|route| route.slot);
        if let Err(error) = restore(&mut turn, &makers, live, subject).await {
            note(&mut turn, Some(&format!("The router lost its route: {error:#}")), false).await?;
            return Ok(Next::In(LOOK));
        }
        return Ok(Next::Now);
    }
    if let Some(who) = moved_past_us(&observed, placement.route) {
        adopt(&turn, &observed, &who).await?;
        return Ok(Next::Now);
    }
    if placement.stopped.is_some() {
        note(&mut turn, None, false).await?;
        return stop::rest(turn, &observed).await;
    }
    let routed = observed.route.as_ref().and_then(|route| route.live);
    let by_hand = changed(&placement, &observed);
    let is_changed = by_hand.is_some();
    let differs =
        drift(&placement, routed).or(by_hand).or_else(|| turn.memory.settled.lacks.clone());
    note(&mut turn, differs.as_deref(), is_changed).await?;

    if end_warmth(&turn, &observed).await? {
        return Ok(Next::Now);
    }
    if empty_idle(&mut turn, &observed).await? {
        return Ok(Next::In(SOON));
    }
    if let Some(live) = placement.live
        && observed.route.as_ref().is_some_and(|route| route.live == Some(live.slot))
    {
        if let Some(restart) = placement.restart.clone().filter(|it| it.failed.is_none()) {
            return restart::go(turn, &observed, live, restart).await;
        }
        return fill_live(turn, &observed, live).await;
    }
    Ok(Next::In(LOOK))
}

/// Writes the whole route again, for a router that lost it, with a row. `live` is the slot that is to
/// have the traffic.
pub(crate) async fn restore(
    turn: &mut Turn<'_>,
    makers: &Makers,
    live: Option<Slot>,
    subject: Subject,
) -> anyhow::Result<()> {
    let expected = turn.memory.route.as_ref().map_or(0, |route| route.revision);
    // A router that begins again counts revisions from one: a new epoch makes it the newer route.
    turn.memory.fenced = None;
    let confirmed = turn.placement.route.map_or(0, |route| route.epoch);
    if turn.held.epoch <= confirmed {
        let mut conn = turn.context.pool.acquire().await?;
        turn.held = placements::claims::raise_epoch(&mut conn, &turn.held, confirmed)
            .await?
            .ok_or_else(|| anyhow::anyhow!("another node claimed the placement"))?;
    }
    turn.fence().await?;
    let claim = turn.held.claim(None);
    let target = &turn.target;
    let route = target.restore(&claim, &turn.placement.place, expected, makers, live).await?;
    let mut tx = turn.context.pool.begin().await?;
    let confirmed = Confirmed { epoch: route.epoch, revision: route.revision, slot: route.live };
    if placements::confirm_route(&mut tx, &turn.held, &confirmed).await? {
        let row = NewEntry::engine(subject, Deed::RouteRestored { slot: route.live });
        store::history::append_and_commit(tx, &[row]).await?;
    }
    turn.memory.route = Some(route);
    Ok(())
}

/// Who moved the traffic of a settled placement since it was confirmed last. Nothing of ours does.
fn moved_past_us(observed: &Observed, confirmed: Option<Confirmed>) -> Option<String> {
    let written = look::foreign(observed, confirmed);
    let route = observed.route.as_ref()?;
    let moved = confirmed.is_some_and(|confirmed| {
        route.revision > confirmed.revision && route.live != confirmed.slot
    });
    written.or_else(|| moved.then(|| "somebody who wrote to the router itself".to_owned()))
}

/// Takes over what somebody did on the machine itself: where traffic goes is what is live, if what
/// runs there is known.
async fn adopt(turn: &Turn<'_>, observed: &Observed, who: &str) -> anyhow::Result<()> {
    let Some(route) = &observed.route else { return Ok(()) };
    let mut after = (*turn.placement).clone();
    let mut tx = turn.context.pool.begin().await?;
    let confirmed = Confirmed {
        epoch: route.epoch.max(turn.held.epoch),
        revision: route.revision,
        slot: route.live,
    };
    if !placements::confirm_route(&mut tx, &turn.held, &confirmed).await? {
        return Ok(());
    }
    let was = after.live;
    if was.map(|was| was.slot) == route.live {
        after.moved_by = None;
    } else {
        after.moved_by = Some(who.to_owned());
        if let Some(live) = found(&mut tx, &after, observed).await? {
            // The other one becomes warm, so that the hand on the machine can be undone as quickly.
            // Its time counts from now: the hand may have come while we were away.
            let now = store::now(&mut tx).await?;
            let warm = was.map(|was| placements::Warm {
                slot: was.slot,
                pair: was.pair,
                maker: was.maker,
                until: now + after.policy.warm_for,
                end_asked: false,
            });
            placements::set_warm(&mut tx, &turn.held, None).await?;
            placements::set_live(&mut tx, &turn.held, Some(&live)).await?;
            placements::set_warm(&mut tx, &turn.held, warm.as_ref()).await?;
            (after.live, after.warm) = (Some(live), warm);
        }
    }
    placements::set_moved_by(&mut tx, &turn.held, after.moved_by.as_deref()).await?;
    // The row below tells of it: it is not told again as a difference.
    let differs = drift(&after, route.live);
    placements::note_drift(&mut tx, &turn.held, differs.as_deref(), false).await?;
    let deed = Deed::RouteForeign { slot: route.live, who: who.to_owned() };
    let row = NewEntry::engine(after.subject(None), deed);
    store::history::append_and_commit(tx, &[row]).await?;
    Ok(())
}

/// What runs in the slot that has the traffic, as what is live: all of one maker, and stored.
async fn found(
    tx: &mut store::Conn,
    placement: &Placement,
    observed: &Observed,
) -> anyhow::Result<Option<Live>> {
    let Some((slot, since)) =
        observed.route.as_ref().and_then(|route| Some((route.live?, route.applied_at)))
    else {
        return Ok(None);
    };
    let instances = observed.slots.of(slot);
    let Some(first) = instances.first().filter(|first| {
        instances.iter().all(|one| {
            (one.maker, one.release, one.configuration)
                == (first.maker, first.release, first.configuration)
        })
    }) else {
        return Ok(None);
    };
    let pair = Pair { release: first.release, configuration: first.configuration };
    let parts = store::releases::plan_parts(tx, pair).await?;
    let known = parts.is_some_and(|parts| parts.release.service == placement.service);
    Ok(known.then_some(Live { slot, pair, maker: first.maker, since }))
}

/// What differs from what was made live, as a sentence.
fn drift(placement: &Placement, routed: Option<Slot>) -> Option<String> {
    let by = || placement.moved_by.as_ref().map_or_else(String::new, |who| format!(", by {who}"));
    match (placement.live, routed) {
        (Some(live), Some(routed)) if live.slot != routed => {
            Some(format!("traffic goes to {routed}, and {} was made live{}", live.slot, by()))
        }
        (Some(_), None) => Some(format!("traffic was withdrawn{}", by())),
        (None, Some(routed)) => Some(format!("traffic goes to {routed}, which nothing made live")),
        // Once the other slot is cold it is as live as anything.
        (Some(live), Some(_)) if placement.moved_by.is_some() && placement.warm.is_some() => {
            Some(format!("traffic was moved to {}{}", live.slot, by()))
        }
        _ => None,
    }
}

/// What somebody changed on an instance of the live slot since it was made.
fn changed(placement: &Placement, observed: &Observed) -> Option<String> {
    let live = placement.live?;
    let ours = observed.slots.of(live.slot).iter().filter(|one| one.maker == live.maker);
    let mut ours = ours.filter_map(|one| Some((&one.name, one.changed.as_ref()?)));
    ours.next().map(|(name, what)| format!("{name} was changed by hand: {what}"))
}

/// Notes a difference, or that there is none any more: a row when it is news. `changed`: it is one of
/// the instances themselves.
async fn note(turn: &mut Turn<'_>, drift: Option<&str>, changed: bool) -> anyhow::Result<()> {
    if turn.placement.drift.as_deref() == drift && turn.placement.changed == changed {
        return Ok(());
    }
    let mut tx = turn.context.pool.begin().await?;
    let news = placements::note_drift(&mut tx, &turn.held, drift, changed).await?;
    let told = std::mem::replace(&mut turn.memory.settled.drift_told, drift.is_some());
    let deed = match (news, drift) {
        (Some(true), Some(what)) => Deed::Drift { what: what.to_owned() },
        (Some(true), None) if told => Deed::DriftEnded,
        _ => {
            tx.commit().await?;
            return Ok(());
        }
    };
    let row = NewEntry::engine(turn.placement.subject(None), deed);
    store::history::append_and_commit(tx, &[row]).await?;
    Ok(())
}

/// Ends warmth whose time is over, or whose instances are gone. True: it ended now.
async fn end_warmth(turn: &Turn<'_>, observed: &Observed) -> anyhow::Result<bool> {
    let Some(warm) = turn.placement.warm else { return Ok(false) };
    // It never ends by time while a rollback waits or is active.
    let wanted = turn.placement.busy_with.contains(&Kind::Rollback);
    let mut conn = turn.context.pool.acquire().await?;
    let now: OffsetDateTime = store::now(&mut conn).await?;
    drop(conn);
    let left = observed.slots.of(warm.slot).iter().any(|instance| instance.maker == warm.maker);
    let why = if warm.end_asked {
        "a person ended it"
    } else if !left {
        "its instances were removed"
    } else if now >= warm.until && !wanted {
        "its time is over"
    } else {
        return Ok(false);
    };
    let mut tx = turn.context.pool.begin().await?;
    // With the placement locked: a rollback that was asked for since this turn began needs it.
    if !placements::claims::still(&mut tx, &turn.held).await?
        || store::rollouts::current(&mut tx, turn.placement.id).await?.is_some()
    {
        return Ok(true);
    }
    placements::set_warm(&mut tx, &turn.held, None).await?;
    if warm.end_asked {
        // The person's row tells of it already.
        tx.commit().await?;
    } else {
        let deed = Deed::WarmthEnded { slot: warm.slot, why: why.to_owned() };
        let row = NewEntry::engine(turn.placement.subject(None), deed);
        store::history::append_and_commit(tx, &[row]).await?;
    }
    Ok(true)
}

/// Removes what is in a slot that is neither live nor warm. True: something is still there.
async fn empty_idle(turn: &mut Turn<'_>, observed: &Arc<Observed>) -> anyhow::Result<bool> {
    let makers = look::makers(None, &turn.placement);
    let routed = observed.route.as_ref().and_then(|route| route.live);
    let idle = Slot::ALL.into_iter().find(|slot| {
        makers.of(*slot).is_none() && routed != Some(*slot) && !observed.slots.of(*slot).is_empty()
    });
    let Some(slot) = idle else {
        turn.memory.settled.emptying = false;
        return Ok(false);
    };
    turn.fence().await?;
    if !turn.memory.settled.emptying {
        let count = u16::try_from(observed.slots.of(slot).len()).unwrap_or(u16::MAX);
        let mut tx = turn.context.pool.begin().await?;
        if !placements::claims::still(&mut tx, &turn.held).await? {
            return Ok(false);
        }
        let row =
            NewEntry::engine(turn.placement.subject(None), Deed::StraysRemoved { slot, count });
        store::history::append_and_commit(tx, &[row]).await?;
        turn.memory.settled.emptying = true;
    }
    turn.memory.logs.finish().await;
    let claim = turn.held.claim(None);
    turn.target.remove(&claim, &turn.placement.place, slot).await?;
    Ok(true)
}

/// Keeps the live slot at its size, and the route at its names and addresses.
async fn fill_live(mut turn: Turn<'_>, observed: &Observed, live: Live) -> anyhow::Result<Next> {
    let instances = observed.slots.of(live.slot);
    let ours = || instances.iter().filter(|instance| instance.maker == live.maker);
    let wanted = usize::from(turn.placement.size.count());
    let there = ours().count();
    let running = || ours().filter(|instance| instance.state == InstanceState::Running);
    // They get no request before they are ready, which `ensure` finds out.
    let waiting = running().filter(|instance| !instance.in_route).count();
    let running = running().count();

    tell_unready(&mut turn, instances, live).await?;
    if there == wanted && running == wanted && waiting == 0 {
        turn.memory.settled.short_since = None;
        turn.memory.settled.short_told = None;
        if turn.memory.settled.lacks.take().is_some() {
            return Ok(Next::Now);
        }
        let version = turn.context.targets.version_of(turn.placement.target);
        let shape = (turn.placement.place.clone(), turn.placement.size.count(), version);
        if turn.memory.settled.refreshed.as_ref() != Some(&shape) {
            refresh(&mut turn).await?;
            turn.memory.settled.refreshed = Some(shape);
        }
        return Ok(Next::In(LOOK));
    }
    let since = *turn.memory.settled.short_since.get_or_insert_with(Instant::now);
    // Of the size it was once whole with: what grows only lacks what nobody has made yet.
    let was_whole = turn.memory.settled.refreshed.as_ref().map(|(_, size, _)| usize::from(*size));
    if was_whole == Some(wanted) && running < wanted && (there < wanted || since.elapsed() > SHORT)
    {
        let gone = wanted - there.min(wanted);
        let stands = ours().find_map(|one| match &one.state {
            InstanceState::Exited { why } => Some(format!("{} does not run: {why}", one.name)),
            InstanceState::Starting | InstanceState::Running => None,
        });
        let lacks = match (gone, stands) {
            (0, Some(stands)) => stands,
            (0, None) => format!("{running} of {wanted} instances run"),
            (gone, _) => format!("{gone} of {wanted} instances were removed"),
        };
        show_lack(&mut turn, lacks).await?;
    }
    if there == wanted && waiting == 0 && since.elapsed() < RESTART_POLICY {
        return Ok(Next::In(SOON));
    }
    turn.fence().await?;
    // A smaller size is what a person asked for, with his own row; what is missing is news.
    let missing = wanted.saturating_sub(running);
    let told = turn.memory.settled.short_told.is_some_and(|told| told.elapsed() < TELL_AGAIN);
    if missing > 0 && !told {
        let why = ours().find_map(|instance| match &instance.state {
            InstanceState::Exited { why } => Some(why.clone()),
            InstanceState::Starting | InstanceState::Running => None,
        });
        let deed = Deed::InstancesRestored {
            slot: live.slot,
            count: u16::try_from(missing).unwrap_or(u16::MAX),
            why: why.unwrap_or_else(|| "they were gone".to_owned()),
        };
        let mut tx = turn.context.pool.begin().await?;
        if !placements::claims::still(&mut tx, &turn.held).await? {
            return Ok(Next::Now);
        }
        let row = NewEntry::engine(turn.placement.subject(None), deed);
        store::history::append_and_commit(tx, &[row]).await?;
        turn.memory.settled.short_told = Some(Instant::now());
    }
    let mut conn = turn.context.pool.acquire().await?;
    let parts = store::releases::plan_parts(&mut conn, live.pair).await?;
    drop(conn);
    let Some(parts) = parts else {
        warn!(placement.id = %turn.placement.id, "The live pair is not stored");
        return Ok(Next::In(LOOK));
    };
    // It runs already: a policy edited since does not take it away.
    let variables = match crate::told::told(turn.context, &parts.configuration).await?.whole() {
        Ok(variables) => variables,
        Err(lost) => {
            show_lack(&mut turn, format!("instances are missing, and {lost}")).await?;
            return Ok(Next::In(LOOK));
        }
    };
    let size = turn.placement.size.count();
    let plan = perform::plan(&turn, parts, variables, live.maker, size, true);
    let plan = match fetching::with_pull(&mut turn, plan).await {
        Ok(plan) => plan,
        Err(error) => {
            let why = crate::registries::said(&error);
            show_lack(&mut turn, format!("instances are missing: {why}")).await?;
            return Ok(Next::In(LOOK));
        }
    };
    let claim = turn.held.claim(None);
    if let Err(error) = turn.target.ensure(&claim, live.slot, &plan).await {
        let lacks = format!("instances are missing: {}", crate::chain(&error));
        turn.memory.settled.lacks_shown = None;
        show_lack(&mut turn, lacks).await?;
    }
    Ok(Next::In(SOON))
}

/// Shows what the live slot lacks as a difference, until it is whole again.
async fn show_lack(turn: &mut Turn<'_>, lacks: String) -> anyhow::Result<()> {
    let settled = &mut turn.memory.settled;
    let just = settled.lacks_shown.is_some_and(|shown| shown.elapsed() < SHOW_AGAIN);
    if settled.lacks.is_some() || just {
        return Ok(());
    }
    settled.lacks_shown = Some(Instant::now());
    settled.lacks = Some(lacks.clone());
    note(turn, Some(&lacks), false).await
}

/// A row for each instance that runs and has not been ready for long.
async fn tell_unready(
    turn: &mut Turn<'_>,
    instances: &[Instance],
    live: Live,
) -> anyhow::Result<()> {
    let run = |one: &&Instance| one.maker == live.maker && one.state == InstanceState::Running;
    let healths = &turn.context.healths;
    let asked = instances.iter().filter(run).map(|one| (one, healths.of(one)));
    let rows = turn.memory.settled.unready.note(asked, Instant::now());
    turn.tell(rows).await
}

async fn refresh(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    turn.fence().await?;
    let makers = look::makers(None, &turn.placement);
    let claim = turn.held.claim(None);
    let route = turn.target.refresh(&claim, &turn.placement.place, &makers).await?;
    let confirmed = Confirmed { epoch: route.epoch, revision: route.revision, slot: route.live };
    let mut conn = turn.context.pool.acquire().await?;
    placements::confirm_route(&mut conn, &turn.held, &confirmed).await?;
    turn.memory.route = Some(route);
    Ok(())
}
