//! The router of the fake: epochs, revisions, and a witness.

use super::{Load, lost, machine::Machine, refused, stale};
use crate::Result;
use domain::{
    id::{PlacementId, RolloutId},
    name::HostName,
    slot::{PerSlot, Slot},
    target::{Claim, Hand, Place, RouteSeen, Second, SlotTraffic, Traffic},
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Seconds that the witness keeps.
const KEPT: i64 = 300;

/// Unix time.
pub(super) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// What the router holds of a placement.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// False: only fenced, or withdrawn.
    pub there: bool,
    pub epoch: i64,
    pub revision: i64,
    pub live: Option<Slot>,
    pub upstreams: PerSlot<Vec<u32>>,
    pub host_names: Vec<HostName>,
    pub rollout: Option<RolloutId>,
    pub applied_at: Option<OffsetDateTime>,
    pub foreign: Option<Hand>,
    pub traffic: PerSlot<SlotTraffic>,
    pub seconds: PerSlot<BTreeMap<i64, Second>>,
    pub load: PerSlot<Load>,
    /// The last second for which the load was counted.
    pub counted_to: i64,
}

impl Route {
    pub fn seen(&self) -> Option<RouteSeen> {
        self.there.then(|| RouteSeen {
            live: self.live,
            epoch: self.epoch,
            revision: self.revision,
            rollout: self.rollout,
            applied_at: self.applied_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            arriving: false,
            foreign: self.foreign.clone(),
        })
    }

    /// A control plane wrote it. Whoever moves the traffic clears the mark of a hand.
    pub fn written(&mut self, rollout: Option<RolloutId>, moved: bool) {
        self.there = true;
        self.revision += 1;
        self.rollout = rollout;
        self.applied_at = Some(OffsetDateTime::now_utc());
        self.foreign = self.foreign.take().filter(|_| !moved);
    }

    /// Adds a second to what the witness saw.
    pub fn count(&mut self, slot: Slot, second: Second) {
        let traffic = self.traffic.of_mut(slot);
        traffic.requests += u64::from(second.requests);
        traffic.failures += u64::from(second.failures);
        if second.requests > 0 {
            traffic.last_answer_ms = Some(second.at * 1000);
        }
        let seconds = self.seconds.of_mut(slot);
        seconds
            .entry(second.at)
            .and_modify(|there| {
                there.requests += second.requests;
                there.failures += second.failures;
                there.latencies.extend(&second.latencies);
                there.longest_gap_ms = there.longest_gap_ms.max(second.longest_gap_ms);
            })
            .or_insert(second);
        while seconds.len() > usize::try_from(KEPT).unwrap_or(usize::MAX) {
            seconds.pop_first();
        }
    }
}

impl Machine {
    pub fn fence(&mut self, claim: &Claim) -> Result<()> {
        let route = self.routes.entry(claim.placement).or_default();
        if claim.epoch < route.epoch {
            return Err(stale(format!(
                "epoch {} holds the placement, {} is over.",
                route.epoch, claim.epoch
            )));
        }
        route.epoch = claim.epoch;
        Ok(())
    }

    pub fn switch(
        &mut self,
        claim: &Claim,
        expected: i64,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        self.fence(claim)?;
        self.count_load();
        let Some(route) = self.routes.get_mut(&claim.placement).filter(|route| route.there) else {
            return Err(lost("there is no route to switch."));
        };
        let is_so = route.live == live && route.rollout == claim.rollout && route.foreign.is_none();
        let repeated = is_so && route.revision == expected + 1;
        if route.revision != expected && !repeated {
            return Err(stale(format!(
                "its route has revision {}, not {expected}.",
                route.revision
            )));
        }
        if let Some(live) = live
            && route.upstreams.of(live).is_empty()
        {
            return Err(refused(format!("{live} has no instances.")));
        }
        if !repeated && route.live != live {
            route.live = live;
            route.written(claim.rollout, true);
        }
        route.seen().ok_or_else(|| refused("there is no route."))
    }

    /// Writes a whole route unless it is there already.
    pub fn put(
        &mut self,
        claim: &Claim,
        place: &Place,
        upstreams: PerSlot<Vec<u32>>,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        let wanted: Vec<_> =
            place.host_names.iter().chain(&place.preview_host_names).cloned().collect();
        for (owner, other) in &self.routes {
            let taken = wanted.iter().find(|name| other.host_names.contains(name));
            if let Some(name) = taken
                && *owner != claim.placement
                && other.there
            {
                return Err(refused(format!("{name} belongs to the placement {}.", owner.short())));
            }
        }
        let route = self.routes.entry(claim.placement).or_default();
        let same = route.there
            && route.live == live
            && route.upstreams == upstreams
            && route.host_names == wanted;
        if !same {
            let moved = route.live != live;
            (route.live, route.upstreams, route.host_names) = (live, upstreams, wanted);
            route.written(claim.rollout, moved);
        }
        route.seen().ok_or_else(|| refused("there is no route."))
    }

    pub fn withdraw(&mut self, placement: PlacementId) {
        if let Some(route) = self.routes.get_mut(&placement).filter(|route| route.there) {
            route.written(None, true);
            (route.there, route.live) = (false, None);
            route.upstreams = PerSlot::default();
            route.host_names.clear();
        }
    }

    /// Counts the load of the seconds that are over, for the slot that is live.
    pub fn count_load(&mut self) {
        let now = now();
        for route in self.routes.values_mut() {
            let first = (route.counted_to + 1).max(self.started).max(now - KEPT);
            for at in first..now {
                let Some(live) = route.live else { continue };
                let Load { requests, failures, latency_us } = *route.load.of(live);
                if requests > 0 {
                    let latencies = vec![(latency_us, requests)];
                    route.count(
                        live,
                        Second { at, requests, failures, latencies, longest_gap_ms: 0 },
                    );
                }
            }
            route.counted_to = now - 1;
        }
    }

    pub fn traffic(&self, placement: PlacementId, since: i64) -> Traffic {
        let now = now();
        let first = since.max(self.started).max(now - KEPT);
        let route = self.routes.get(&placement);
        let slot = |slot| {
            let mut traffic = route.map(|route| route.traffic.of(slot).clone()).unwrap_or_default();
            traffic.in_flight.get_or_insert(0);
            let counted = |at| route.and_then(|route| route.seconds.of(slot).get(&at)).cloned();
            traffic.seconds = (first..now)
                .map(|at| counted(at).unwrap_or_else(|| Second { at, ..Second::default() }))
                .collect();
            traffic
        };
        Traffic {
            boot: format!("boot-{}", self.boot),
            witness: "router".to_owned(),
            unseen: String::new(),
            now,
            slots: PerSlot { blue: slot(Slot::Blue), green: slot(Slot::Green) },
        }
    }
}
