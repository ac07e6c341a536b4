//! From what a target says to what a step may know.

use domain::{
    id::RolloutId,
    observing::Baseline,
    rollout::{
        Phase, Previous, Rollout,
        step::{Look, Reply, Seen, SlotSeen},
    },
    slot::{PerSlot, Slot},
    target::{Instance, InstanceState, Observed, Place, Traffic},
};
use std::time::Duration;
use store::placements::{Confirmed, Placement};
use targets::Target;
use time::OffsetDateTime;

/// How far back the baseline reaches, in seconds.
const BASELINE: i64 = 300;

/// Which rollout's instances belong into each slot. Others are strays.
pub(crate) fn makers(rollout: Option<&Rollout>, placement: &Placement) -> targets::Makers {
    let mut makers: targets::Makers = PerSlot::default();
    if let Some(warm) = placement.warm {
        *makers.of_mut(warm.slot) = Some(warm.maker);
    }
    if let Some(live) = placement.live {
        *makers.of_mut(live.slot) = Some(live.maker);
    }
    if let Some(pinned) = rollout.and_then(|rollout| rollout.state.pinned) {
        *makers.of_mut(pinned.new) = Some(pinned.maker);
        if let Some(previous) = pinned.previous {
            *makers.of_mut(previous.slot) = Some(previous.maker);
        }
    }
    makers
}

/// Whether the target has less than it had confirmed: a router that lost its file, or an old copy.
pub(crate) fn is_lost(observed: &Observed, confirmed: Option<Confirmed>) -> bool {
    let Some(confirmed) = confirmed else { return false };
    // By the revision alone: the epoch rises with each claim that is shown, also to an old copy.
    observed.route.as_ref().is_none_or(|route| route.revision < confirmed.revision)
}

/// Whether a rollout that wrote its slot into the route finds no route at all: the router of a first
/// deploy, whose route nobody has confirmed yet, lost it.
pub(crate) fn is_lost_again(observed: &Observed, rollout: &Rollout) -> bool {
    observed.route.is_none()
        && rollout.state.pinned.is_some()
        && rollout.state.phase > Phase::Preparing
}

/// Where a rollout's traffic belongs when the router lost the route, best first: where it went last,
/// or on the way back where it is to go. What is not there any more is passed over.
pub(crate) fn homes(rollout: &Rollout, confirmed: Option<Confirmed>) -> Vec<Option<Slot>> {
    let was = confirmed.and_then(|confirmed| confirmed.slot);
    let Some(pinned) = rollout.state.pinned else { return vec![was] };
    let before = pinned.previous.map(|previous| previous.slot);
    let mut homes = if rollout.state.evidence.back_decided_at.is_some() {
        // To none, and filled again: the way back does not end with what it leads to.
        vec![before, was, None]
    } else {
        vec![was, before]
    };
    homes.dedup();
    homes
}

/// Who wrote the route past us since it was confirmed last, and where it leads now.
pub(crate) fn foreign(observed: &Observed, confirmed: Option<Confirmed>) -> Option<String> {
    let hand = observed.route.as_ref()?.foreign.as_ref()?;
    let news = confirmed.is_none_or(|confirmed| hand.revision > confirmed.revision);
    news.then(|| hand.who.clone())
}

/// Brings an observation down to what a step needs.
pub(crate) fn seen(
    observed: &Observed,
    rollout: RolloutId,
    confirmed: Option<Confirmed>,
    makers: &targets::Makers,
    takes_requests: bool,
    traffic: Option<&Traffic>,
) -> Seen {
    let slot = |slot: Slot| {
        let instances = observed.slots.of(slot);
        let maker = *makers.of(slot);
        let mut seen = slot_seen(instances, maker);
        let changed = observed.changed.of(slot).as_ref();
        if let Some(changed) = changed.filter(|changed| Some(changed.maker) == maker) {
            seen.changed = Some(changed.what.clone());
        }
        seen.in_flight = traffic.and_then(|traffic| traffic.slots.of(slot).in_flight);
        if !takes_requests {
            // There is no route to be in.
            seen.in_route = seen.running;
        }
        seen
    };
    Seen {
        routed: observed.route.as_ref().and_then(|route| route.live),
        arriving: observed.route.as_ref().is_some_and(|route| route.arriving),
        foreign: foreign(observed, confirmed),
        written_at: observed
            .route
            .as_ref()
            .filter(|route| route.rollout == Some(rollout))
            .map(|route| route.applied_at),
        slots: PerSlot { blue: slot(Slot::Blue), green: slot(Slot::Green) },
    }
}

fn slot_seen(instances: &[Instance], maker: Option<RolloutId>) -> SlotSeen {
    let ours = || instances.iter().filter(|instance| Some(instance.maker) == maker);
    let running = || ours().filter(|instance| instance.state == InstanceState::Running);
    let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    SlotSeen {
        running: count(running().count()),
        in_route: count(running().filter(|instance| instance.in_route).count()),
        count: count(instances.len()),
        restarts: ours().map(|instance| instance.restarts).sum(),
        exited: ours().find_map(|instance| match &instance.state {
            InstanceState::Exited { why } => Some(format!("{}: {why}", instance.name)),
            InstanceState::Starting | InstanceState::Running => None,
        }),
        in_flight: None,
        changed: ours().find_map(|one| Some(format!("{}: {}", one.name, one.changed.as_deref()?))),
    }
}

/// Everything but the clock and the reply, which the caller has.
pub(crate) struct Looking<'a> {
    pub placement: &'a Placement,
    pub rollout: &'a Rollout,
    /// How long this process worked at the phase.
    pub watched: Duration,
    /// How much of that the target could be looked at.
    pub asked: Duration,
    pub requester: bool,
    /// How long verifying may take by the release's own check.
    pub budget: Duration,
    pub observed: Result<&'a Observed, &'a str>,
    pub traffic: Option<&'a Traffic>,
}

impl Looking<'_> {
    /// The look of one step.
    pub fn at(&self, at: OffsetDateTime, reply: Option<Reply>) -> Look<'_> {
        let makers = makers(Some(self.rollout), self.placement);
        let live = self.placement.previous();
        let warm = self.placement.warm.map(|warm| Previous {
            slot: warm.slot,
            maker: warm.maker,
            pair: warm.pair,
        });
        let baseline = live
            .zip(self.traffic)
            .and_then(|(live, traffic)| Baseline::of(&traffic.slots.of(live.slot).seconds));
        Look {
            at,
            watched: self.watched,
            asked: self.asked,
            requester: self.requester,
            live,
            warm,
            size: self.placement.size.count(),
            budget: self.budget,
            seen: self
                .observed
                .map(|observed| {
                    let (id, confirmed) = (self.rollout.id, self.placement.route);
                    let takes_requests = self.placement.spec.exposure.port().is_some();
                    seen(observed, id, confirmed, &makers, takes_requests, self.traffic)
                })
                .map_err(str::to_owned),
            reply,
            traffic: self.traffic,
            baseline,
        }
    }
}

/// What the witness counted, as far back as this phase needs it. `None`: it could not be asked, or
/// the phase needs nothing.
pub(crate) async fn traffic(
    target: &dyn Target,
    place: &Place,
    rollout: &Rollout,
    at: OffsetDateTime,
) -> Option<Traffic> {
    let since = match rollout.state.phase {
        // The switch may come with the next step, and with it the baseline.
        Phase::Preflight | Phase::Verifying | Phase::AwaitingPromotion => {
            at.unix_timestamp() - BASELINE
        }
        Phase::Switching => at.unix_timestamp() - 1,
        Phase::Observing | Phase::Draining | Phase::SwitchingBack | Phase::CleaningUp => {
            rollout.state.observation.read_to + 1
        }
        Phase::Queued
        | Phase::AwaitingApproval
        | Phase::Preparing
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Aborted
        | Phase::RolledBack
        | Phase::Superseded => return None,
    };
    match target.traffic(place, since).await {
        Ok(traffic) => Some(traffic),
        Err(error) => {
            tracing::debug!(error = crate::chain(&error), "The witness could not be asked");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::target::RouteSeen;

    /// A claim is shown before one looks, so the epoch of an old copy can be the newest of all.
    #[test]
    fn a_router_with_an_old_copy_is_behind_whatever_epoch_it_was_shown() {
        let confirmed = Some(Confirmed { epoch: 4, revision: 40, slot: Some(Slot::Blue) });
        let with = |epoch, revision| Observed {
            route: Some(RouteSeen {
                live: Some(Slot::Green),
                epoch,
                revision,
                rollout: None,
                applied_at: OffsetDateTime::UNIX_EPOCH,
                arriving: false,
                foreign: None,
            }),
            slots: PerSlot::default(),
            changed: PerSlot::default(),
        };

        assert!(is_lost(&with(4, 39), confirmed));
        assert!(is_lost(&with(5, 39), confirmed));
        assert!(!is_lost(&with(5, 40), confirmed));
        assert!(is_lost(
            &Observed { route: None, slots: PerSlot::default(), changed: PerSlot::default() },
            confirmed
        ));
    }
}
