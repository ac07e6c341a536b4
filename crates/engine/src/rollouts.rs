//! How a rollout moves: look, decide, save, act. In that order, each in one place.

use crate::{
    live,
    look::{self, Looking},
    perform,
    placement::{Next, Turn},
};
use domain::{
    history::{Deed, Visibility},
    live::Message,
    rollout::{Kind, Phase, Rollout, State, step},
    slot::Slot,
    target::Observed,
};
use std::time::{Duration, Instant};
use store::{
    history::NewEntry,
    placements::{self, Confirmed, Live, Warm},
    rollouts::Current,
};
use time::OffsetDateTime;
use tracing::{info, warn};

/// Takes one step of the placement's rollout.
pub(crate) async fn advance(mut turn: Turn<'_>, current: Current) -> anyhow::Result<Next> {
    let rollout = &current.rollout;
    if rollout.state.phase.is_active()
        && let Err(error) = turn.fence().await
    {
        // Unreachable is for `step` to weigh, and a newer claim shows when the state is saved.
        warn!(rollout.id = %rollout.id, error = format!("{error:#}"), "The claim could not be shown");
    }
    let mut observed = turn.observe().await;
    if let Ok(found) = &observed
        && (look::is_lost(found, turn.placement.route) || look::is_lost_again(found, rollout))
        && !is_withdrawn(rollout, found)
    {
        observed = restore(&mut turn, &current).await;
    }
    let at = OffsetDateTime::now_utc();
    let at = now(&turn).await.unwrap_or(at);
    let traffic = look::traffic(turn.target.as_ref(), &turn.placement.place, rollout, at).await;
    let (watched, asked) = turn.memory.watch.look(rollout, Instant::now(), observed.is_ok());
    let looking = Looking {
        placement: &turn.placement,
        rollout,
        watched,
        asked,
        requester: current.requester_enabled,
        budget: current.parts.release.spec.readiness.budget(),
        observed: observed.as_deref().map_err(String::as_str),
        traffic: traffic.as_ref(),
    };
    let step = step::step(rollout, &looking.at(at, turn.memory.reply.take()));

    let changed = step.state != rollout.state || step.answered;
    if changed && !save(&turn, &current, &step, observed.as_deref().ok()).await? {
        return Ok(Next::Now);
    }
    let moved = step.state.phase != rollout.state.phase;
    if let Some(command) = step.command {
        turn.memory.reply = perform::perform(&mut turn, &current, &step.state, command).await;
    }
    if moved || step.answered {
        return Ok(Next::Now);
    }
    Ok(Next::In(pause(&step.state, turn.memory.reply.as_ref())))
}

/// Whether there is no route because a removal has just taken it away, the last thing it does.
fn is_withdrawn(rollout: &Rollout, found: &Observed) -> bool {
    rollout.kind == Kind::Remove
        && rollout.state.phase == Phase::CleaningUp
        && Slot::ALL.iter().all(|slot| found.slots.of(*slot).is_empty())
}

/// The database's clock: deadlines are counted by it, whichever node counts.
async fn now(turn: &Turn<'_>) -> anyhow::Result<OffsetDateTime> {
    let mut conn = turn.context.pool.acquire().await?;
    Ok(store::now(&mut conn).await?)
}

/// How long to wait before looking again. A person's request cuts it short.
fn pause(state: &State, reply: Option<&step::Reply>) -> Duration {
    if state.trouble.is_some() {
        return Duration::from_secs(2);
    }
    Duration::from_millis(match state.phase {
        // An answer waits to be weighed.
        Phase::Preflight | Phase::Switching | Phase::SwitchingBack => 50,
        Phase::Preparing => 150,
        // Until the first pass often, so that a quick start is a quick deploy; then every second.
        Phase::Verifying if matches!(reply, Some(step::Reply::Gates(_))) => 0,
        Phase::Verifying if state.passes == 0 => match reply {
            Some(step::Reply::Ready { unready: None }) => 0,
            _ => 150,
        },
        Phase::Verifying => 1000,
        Phase::Observing => 500,
        Phase::Draining | Phase::CleaningUp => 200,
        Phase::Queued
        | Phase::AwaitingApproval
        | Phase::AwaitingPromotion
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Aborted
        | Phase::RolledBack
        | Phase::Superseded => 1000,
    })
}

/// Saves a step with all that follows from it, in one transaction: the state, what is live and warm,
/// and a row for each phase entered. False: somebody moved it meanwhile.
async fn save(
    turn: &Turn<'_>,
    current: &Current,
    step: &step::Step,
    observed: Option<&Observed>,
) -> anyhow::Result<bool> {
    let (rollout, state, held) = (&current.rollout, &step.state, &turn.held);
    let before = &rollout.state;
    let mut tx = turn.context.pool.begin().await?;
    let request = rollout.request.as_ref();
    let saved = store::rollouts::advance(
        &mut tx,
        held,
        rollout.id,
        before.phase,
        state,
        request,
        step.answered,
    )
    .await?;
    if !saved {
        return Ok(false);
    }

    let mut rows = Vec::new();
    let release = current.parts.release.name.clone();
    if state.phase != before.phase {
        rows.extend(follow(turn, current, state, observed, &mut tx).await?);
        rows.push(Deed::RolloutEntered {
            phase: state.phase,
            release: release.clone(),
            from: current.from.clone(),
            outcome: match rollout.kind {
                Kind::Deploy | Kind::Rollback => before.outcome(state),
                // Its figures are those of nothing that is live.
                Kind::Remove => {
                    state.ending.as_ref().map_or_else(String::new, |ending| ending.why.clone())
                }
            },
            kind: rollout.kind,
        });
    }
    if let (None, Some(trouble)) = (&before.trouble, &state.trouble) {
        rows.push(Deed::RolloutErrored {
            phase: state.phase,
            release: release.clone(),
            trouble: trouble.clone(),
        });
    }
    if let (None, Some(why)) = (&before.alarm, &state.alarm) {
        rows.push(Deed::Alarm { release, why: why.clone() });
    }
    if rows.is_empty() {
        tx.commit().await?;
    } else {
        let rows: Vec<_> =
            rows.into_iter().map(|deed| NewEntry::engine(current.subject.clone(), deed)).collect();
        store::history::append_and_commit(tx, &rows).await?;
        info!(rollout.id = %rollout.id, phase = state.phase.as_str(), "Rollout {} is {}", rollout.id.short(), state.phase);
    }

    let place = live::Place {
        project: current.subject.project.as_ref().map(ToString::to_string),
        environment: current.subject.environment.as_ref().map(ToString::to_string),
    };
    let message = Message::Rollout {
        rollout: rollout.id,
        placement: rollout.placement,
        state: Box::new(state.clone()),
    };
    turn.context.hub.tell(place, Visibility::View, message);
    Ok(true)
}

/// What a new phase means for the placement. Returns the rows that tell of it.
async fn follow(
    turn: &Turn<'_>,
    current: &Current,
    state: &State,
    observed: Option<&Observed>,
    tx: &mut store::Conn,
) -> anyhow::Result<Vec<Deed>> {
    let (held, placement) = (&turn.held, &turn.placement);
    let mut rows = Vec::new();
    let confirms = match current.rollout.kind {
        Kind::Deploy | Kind::Rollback => {
            matches!(state.phase, Phase::Observing | Phase::CleaningUp)
        }
        Kind::Remove => matches!(state.phase, Phase::Draining | Phase::Aborted | Phase::Failed),
    };
    if confirms && let Some(route) = turn.memory.route.as_ref() {
        let confirmed =
            Confirmed { epoch: route.epoch, revision: route.revision, slot: route.live };
        placements::confirm_route(tx, held, &confirmed).await?;
    }
    if current.rollout.kind == Kind::Remove {
        if state.phase == Phase::Succeeded {
            placements::archive(tx, placement.id).await?;
            rows.push(Deed::PlacementRemoved);
        }
        return Ok(rows);
    }
    let Some(pinned) = state.pinned else { return Ok(rows) };

    // The slot is needed: the instant way back ends, as the dialog said.
    if state.phase == Phase::Preparing
        && let Some(warm) = placement.warm
    {
        placements::set_warm(tx, held, None).await?;
        let why = format!("{} needs its place", current.parts.release.name);
        rows.push(Deed::WarmthEnded { slot: warm.slot, why });
    }
    if !state.phase.is_end() {
        return Ok(rows);
    }

    let routed = observed.and_then(|seen| seen.route.as_ref()).and_then(|route| route.live);
    let succeeded = state.phase == Phase::Succeeded;
    if state.evidence.written_at.is_some() {
        placements::set_moved_by(tx, held, None).await?;
    }
    if succeeded || routed == Some(pinned.new) {
        let live = Live {
            slot: pinned.new,
            pair: current.rollout.pair,
            maker: pinned.maker,
            since: state.evidence.confirmed_at.unwrap_or(state.since),
        };
        placements::set_live(tx, held, Some(&live)).await?;
    }
    if succeeded {
        placements::set_running(tx, held).await?;
    }
    if pinned.puts_back {
        // Nothing was replaced: what is warm stays warm, and nobody rolled back.
        return Ok(rows);
    }
    if succeeded {
        // What a rollback leaves is bad: it is gone already, and nothing is warm.
        let keeps = current.rollout.kind == Kind::Deploy;
        let warm = pinned.previous.filter(|_| keeps).map(|previous| Warm {
            slot: previous.slot,
            pair: previous.pair,
            maker: previous.maker,
            until: state.since + current.rollout.policy.warm_for,
            end_asked: false,
        });
        placements::set_warm(tx, held, warm.as_ref()).await?;
    }
    let went_back =
        state.phase == Phase::RolledBack || succeeded && current.rollout.kind == Kind::Rollback;
    if went_back {
        placements::set_hold(tx, held).await?;
    }
    Ok(rows)
}

/// Gives a router that lost its routes the route back, to the best slot of which something is left.
async fn restore(
    turn: &mut Turn<'_>,
    current: &Current,
) -> Result<std::sync::Arc<Observed>, String> {
    let makers = look::makers(Some(&current.rollout), &turn.placement);
    let mut why = String::new();
    for live in look::homes(&current.rollout, turn.placement.route) {
        match crate::settled::restore(turn, &makers, live, current.subject.clone()).await {
            Ok(()) => return turn.observe().await,
            Err(error) => why = format!("the router lost its route: {error:#}"),
        }
    }
    Err(why)
}
