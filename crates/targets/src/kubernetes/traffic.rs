//! What the witness counted: a pod in the cluster where an image for it is named, else requests of
//! ours through the API server.
//!
//! Neither sees whose pod answered. What decides it is when the connection was opened: before the
//! traffic moved, or after. In the moments after a move nodes still learn of it; there a version that
//! only one of the slots ever named decides, and without one the new slot is taken for it.

use super::{KubernetesTarget, active::Active, asked, lock, names::Names, witness};
use crate::Result;
use domain::{
    id::PlacementId,
    route::{latency::upper_bound_us, traffic::SECONDS_KEPT},
    slot::{PerSlot, Slot},
    target::{Place, Second, SlotTraffic, Traffic},
    witness::{Counted, Part},
};
use k8s_openapi::api::core::v1::Service;
use std::collections::{BTreeMap, HashMap, VecDeque};
use time::OffsetDateTime;

/// How long after a move a new connection may still lead to the old slot.
const LEARNING_MS: i64 = 2_000;
/// Moves that are remembered of a placement.
const MOVES: usize = 32;
/// How long after a move what was answered before it is asked for too, to know versions by.
const FRESH_MS: i64 = 60_000;
/// How long after a move our own requests go on.
const WATCHED_MS: i64 = 10 * 60_000;

/// When the traffic of placements moved, as far as it was seen.
pub(super) type AllMoves = HashMap<PlacementId, Moves>;

/// When the traffic of a placement moved: at which revision, at which millisecond, whereto.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves(VecDeque<(i64, i64, Option<Slot>)>);

impl Moves {
    fn note(&mut self, revision: i64, at_ms: i64, live: Option<Slot>) {
        if self.0.back().is_some_and(|last| last.0 >= revision && last.2 == live) {
            return;
        }
        if self.0.len() == MOVES {
            self.0.pop_front();
        }
        self.0.push_back((revision, at_ms, live));
    }

    fn last_ms(&self) -> i64 {
        self.0.back().map_or(0, |last| last.1)
    }

    fn live(&self) -> Option<Slot> {
        self.0.back().and_then(|last| last.2)
    }

    /// Where a connection led that was opened then, and whether some nodes may not have known yet.
    fn at(&self, ms: i64) -> (Option<Slot>, bool) {
        match self.0.iter().rev().find(|(_, at, _)| *at <= ms) {
            Some((_, at, live)) => (*live, ms - at < LEARNING_MS),
            // Before the first move that is known: where it did not go to.
            None => (self.0.front().and_then(|first| first.2).map(Slot::other), false),
        }
    }
}

/// `Target::traffic`.
pub(super) async fn traffic(
    target: &KubernetesTarget,
    place: &Place,
    since: i64,
) -> Result<Traffic> {
    let now_ms = now_ms();
    let found = target.get::<Service>(place, &Names::of(place).active()).await?;
    let route = match found {
        Some(service) => {
            Active::read(&service, place, target.options.installation, &target.errors)?.route
        }
        None => None,
    };
    let Some(route) = route.filter(|route| !route.withdrawn && route.moved > 0) else {
        return Ok(nobody(now_ms.div_euclid(1000), since));
    };
    let moves = {
        let mut all = lock(&target.moves);
        let moves = all.entry(place.placement).or_default();
        let applied = route.applied_at.unix_timestamp_nanos() / 1_000_000;
        moves.note(route.moved, i64::try_from(applied).unwrap_or(0), route.live);
        moves.clone()
    };
    let young = now_ms - moves.last_ms() < WATCHED_MS;
    let from = if now_ms - moves.last_ms() < FRESH_MS {
        since.min(moves.last_ms().div_euclid(1000) - 10)
    } else {
        since
    };
    if target.options.probe_image.is_some()
        && let Ok(counted) = witness::counted(target, place, from).await
    {
        return Ok(told(&counted, &moves, since, witness::WHO, witness::UNSEEN));
    }
    if young {
        asked::wanted(target, place);
    }
    Ok(match asked::counted(target, place, from) {
        Some(counted) => told(&counted, &moves, since, asked::WHO, asked::UNSEEN),
        None => nobody(now_ms.div_euclid(1000), since),
    })
}

fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// Nobody counts: the seconds pass, and readiness alone decides.
fn nobody(now: i64, since: i64) -> Traffic {
    let slot = || SlotTraffic {
        seconds: filled(&BTreeMap::new(), first(since, None, now), now),
        ..SlotTraffic::default()
    };
    Traffic {
        boot: "nobody".to_owned(),
        witness: "nobody".to_owned(),
        unseen:
            "Nobody sends requests now: they are counted from a rollout's beginning until some \
                 minutes after its switch."
                .to_owned(),
        now,
        slots: PerSlot { blue: slot(), green: slot() },
    }
}

fn first(since: i64, began: Option<i64>, now: i64) -> i64 {
    let kept = i64::try_from(SECONDS_KEPT).unwrap_or(i64::MAX);
    // The second in which counting began is not whole.
    since.max(now - kept).max(began.map_or(i64::MIN, |began| began + 1))
}

fn filled(seconds: &BTreeMap<i64, Second>, first: i64, now: i64) -> Vec<Second> {
    let one = |at| seconds.get(&at).cloned().unwrap_or_else(|| Second { at, ..Second::default() });
    (first..now).map(one).collect()
}

/// What was counted, by slot.
fn told(counted: &Counted, moves: &Moves, since: i64, who: &str, unseen: &str) -> Traffic {
    let now = counted.now_ms.div_euclid(1000);
    let mut slots: PerSlot<SlotTraffic> = PerSlot::default();
    let mut seconds: PerSlot<BTreeMap<i64, Second>> = PerSlot::default();
    let named = versions(counted, moves);
    for second in &counted.seconds {
        let (live, _) = moves.at(second.at * 1000 + 999);
        for slot in Slot::ALL {
            let parts: Vec<&Part> = second
                .parts
                .iter()
                .filter(|part| whose(part, moves, &named) == Some(slot))
                .collect();
            if parts.is_empty() && live != Some(slot) {
                continue;
            }
            let of = slots.of_mut(slot);
            let mut sum = Second {
                at: second.at,
                longest_gap_ms: second.longest_gap_ms,
                ..Second::default()
            };
            let mut latencies = BTreeMap::new();
            for part in parts {
                sum.requests += part.requests;
                sum.failures += part.failures;
                of.requests += u64::from(part.requests);
                of.failures += u64::from(part.failures);
                of.last_answer_ms = of.last_answer_ms.max(part.last_answer_ms);
                for (bucket, count) in &part.latencies.0 {
                    *latencies.entry(upper_bound_us(*bucket)).or_insert(0_u32) +=
                        u32::try_from(*count).unwrap_or(u32::MAX);
                }
            }
            sum.latencies = latencies.into_iter().collect();
            seconds.of_mut(slot).insert(second.at, sum);
        }
    }
    // Cumulative: what is no longer told by the second belongs to the live slot.
    let live = moves.live().unwrap_or(Slot::Blue);
    let others = slots.of(live.other()).clone();
    let of = slots.of_mut(live);
    of.requests = counted.requests.saturating_sub(others.requests);
    of.failures = counted.failures.saturating_sub(others.failures);
    // Without a first answer nothing was counted, and no second is whole.
    let first = counted.since.map_or(now, |began| first(since, Some(began), now));
    for slot in Slot::ALL {
        slots.of_mut(slot).seconds = filled(seconds.of(slot), first, now);
    }
    Traffic {
        boot: counted.boot.clone(),
        witness: who.to_owned(),
        unseen: unseen.to_owned(),
        now,
        slots,
    }
}

/// Which versions each slot named when it was certain who answered.
fn versions<'a>(counted: &'a Counted, moves: &Moves) -> PerSlot<Vec<&'a str>> {
    let mut named: PerSlot<Vec<&str>> = PerSlot::default();
    for part in counted.seconds.iter().flat_map(|second| &second.parts) {
        if let (Some(version), (Some(slot), false)) = (&part.version, moves.at(part.opened_ms))
            && !named.of(slot).contains(&version.as_str())
        {
            named.of_mut(slot).push(version);
        }
    }
    named
}

/// Whose answers these are.
fn whose(part: &Part, moves: &Moves, named: &PerSlot<Vec<&str>>) -> Option<Slot> {
    let (slot, uncertain) = moves.at(part.opened_ms);
    let slot = slot?;
    let Some(version) = part.version.as_deref().filter(|_| uncertain) else { return Some(slot) };
    let old = slot.other();
    let is_old = named.of(old).contains(&version) && !named.of(slot).contains(&version);
    Some(if is_old { old } else { slot })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{route::latency::Latencies, witness};

    fn moved(moves: &[(i64, Option<Slot>)]) -> Moves {
        let mut all = Moves::default();
        for (revision, (at_ms, live)) in (1..).zip(moves) {
            all.note(revision, *at_ms, *live);
        }
        all
    }

    fn part(opened_ms: i64, version: Option<&str>, requests: u32) -> Part {
        Part {
            opened_ms,
            version: version.map(str::to_owned),
            requests,
            failures: 0,
            latencies: Latencies(vec![(10, u64::from(requests))]),
            last_answer_ms: Some(opened_ms + 5),
        }
    }

    fn counted(seconds: Vec<(i64, Vec<Part>)>) -> Counted {
        let requests = seconds.iter().flat_map(|(_, parts)| parts);
        Counted {
            boot: "b".to_owned(),
            since: Some(90),
            now_ms: 110_500,
            requests: requests.map(|part| u64::from(part.requests)).sum::<u64>() + 1_000,
            failures: 0,
            seconds: seconds
                .into_iter()
                .map(|(at, parts)| witness::Second { at, longest_gap_ms: 7, parts })
                .collect(),
        }
    }

    fn requests(traffic: &Traffic, slot: Slot) -> u32 {
        traffic.slots.of(slot).seconds.iter().map(|second| second.requests).sum()
    }

    #[test]
    fn a_connection_belongs_to_the_slot_that_was_live_when_it_was_opened() {
        let moves = moved(&[(50_000, Some(Slot::Blue)), (100_000, Some(Slot::Green))]);
        let seen = counted(vec![
            (99, vec![part(99_500, None, 5)]),
            // One that is kept open goes on with the old slot; new ones reach the new one.
            (105, vec![part(60_000, None, 3), part(105_100, None, 4)]),
        ]);

        let traffic = told(&seen, &moves, 95, "who", "unseen");

        assert_eq!((requests(&traffic, Slot::Blue), requests(&traffic, Slot::Green)), (8, 4));
        assert_eq!(traffic.slots.green.last_answer_ms, Some(105_105));
        let at: Vec<_> = traffic.slots.blue.seconds.iter().map(|second| second.at).collect();
        assert_eq!(at, (95..110).collect::<Vec<_>>());
        assert_eq!(traffic.slots.green.seconds[10].longest_gap_ms, 7);
        assert_eq!(traffic.slots.blue.in_flight, None, "nobody sees what others have in flight");
    }

    #[test]
    fn what_is_counted_in_all_is_never_lost_between_the_slots() {
        let moves = moved(&[(50_000, Some(Slot::Blue)), (100_000, Some(Slot::Green))]);
        let seen = counted(vec![(99, vec![part(99_500, None, 5)])]);

        let traffic = told(&seen, &moves, 95, "who", "unseen");

        assert_eq!(traffic.slots.blue.requests, 5);
        assert_eq!(traffic.slots.blue.requests + traffic.slots.green.requests, 1_005);
    }

    #[test]
    fn in_the_moments_after_a_move_a_version_tells_who_answered() {
        let moves = moved(&[(50_000, Some(Slot::Blue)), (100_000, Some(Slot::Green))]);
        let seen = counted(vec![
            (99, vec![part(99_000, Some("1.0.0"), 5)]),
            (100, vec![part(100_300, Some("1.0.0"), 2), part(100_400, Some("1.1.0"), 3)]),
            // Later than that it can only be a version that both name.
            (105, vec![part(105_000, Some("1.0.0"), 1)]),
        ]);
        let early = counted(seen.seconds[..2].iter().map(|s| (s.at, s.parts.clone())).collect());

        let traffic = told(&early, &moves, 95, "who", "unseen");
        assert_eq!((requests(&traffic, Slot::Blue), requests(&traffic, Slot::Green)), (7, 3));

        let both = told(&seen, &moves, 95, "who", "unseen");
        assert_eq!((requests(&both, Slot::Blue), requests(&both, Slot::Green)), (5, 6));
    }

    #[test]
    fn a_switch_back_is_told_from_the_switch() {
        let moves = moved(&[
            (50_000, Some(Slot::Blue)),
            (100_000, Some(Slot::Green)),
            (104_000, Some(Slot::Blue)),
        ]);
        let seen = counted(vec![
            (103, vec![part(103_500, None, 2)]),
            (107, vec![part(107_000, None, 3), part(102_500, None, 4)]),
        ]);

        let traffic = told(&seen, &moves, 95, "who", "unseen");

        assert_eq!((requests(&traffic, Slot::Green), requests(&traffic, Slot::Blue)), (6, 3));
    }

    #[test]
    fn the_same_move_is_noted_once() {
        let mut moves = Moves::default();
        for revision in [3, 3, 4, 4, 3] {
            moves.note(revision, revision * 1_000, Some(Slot::Blue));
        }
        assert_eq!(moves.0.len(), 2);
        for revision in 5..200 {
            moves.note(revision, revision * 1_000, None);
        }
        assert_eq!(moves.0.len(), MOVES);
    }

    #[test]
    fn without_a_witness_the_seconds_pass_and_nothing_is_said_of_them() {
        let traffic = nobody(1_000, 990);

        assert_eq!(traffic.slots.blue.seconds.len(), 10);
        assert_eq!(requests(&traffic, Slot::Blue), 0);
        assert_eq!(traffic.witness, "nobody");
    }
}
