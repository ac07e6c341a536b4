//! Between instances and the router's routes, and back to the words of the trait. Pure.

use super::labels::Identity;
use crate::Makers;
use domain::{
    id::RolloutId,
    route::{MAIN_LISTENER, Route, Routed, latency::upper_bound_us, traffic},
    slot::{PerSlot, Slot},
    target::{Hand, Place, RouteSeen, Second, SlotTraffic, Traffic},
};
use std::net::SocketAddr;
use time::OffsetDateTime;

/// The addresses of a maker's instances, in the order of their numbers.
pub(super) fn upstreams<'a>(
    instances: impl IntoIterator<Item = &'a Identity>,
    slot: Slot,
    maker: RolloutId,
) -> Vec<SocketAddr> {
    let mut found: Vec<_> = instances
        .into_iter()
        .filter(|instance| instance.slot == slot && instance.maker == maker)
        .filter_map(|instance| Some((instance.number, instance.endpoint()?)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, address)| address).collect()
}

/// The upstreams of both slots; `otherwise` says what a slot without a maker gets.
pub(super) fn upstreams_of_both(
    instances: &[Identity],
    makers: &Makers,
    otherwise: impl Fn(Slot) -> Vec<SocketAddr>,
) -> PerSlot<Vec<SocketAddr>> {
    let of = |slot| match *makers.of(slot) {
        Some(maker) => upstreams(instances, slot, maker),
        None => otherwise(slot),
    };
    PerSlot { blue: of(Slot::Blue), green: of(Slot::Green) }
}

/// Keeps those addresses that are `better`, if there is one.
pub(super) fn prefer(addresses: &mut Vec<SocketAddr>, better: impl Fn(&SocketAddr) -> bool) {
    if addresses.iter().any(&better) {
        addresses.retain(better);
    }
}

/// Keeps those of `before` of which nobody knows whose they are: an earlier call may still make an
/// instance there, which must not come to run outside of the route.
pub(super) fn keep_unknown(
    addresses: &mut Vec<SocketAddr>,
    before: &[SocketAddr],
    strays: &[SocketAddr],
) {
    for address in before {
        if !addresses.contains(address) && !strays.contains(address) {
            addresses.push(*address);
        }
    }
}

/// A route of `place`.
pub(super) fn route(
    place: &Place,
    rollout: Option<RolloutId>,
    upstreams: PerSlot<Vec<SocketAddr>>,
    live: Option<Slot>,
) -> Route {
    Route {
        rollout,
        host_names: place.host_names.clone(),
        preview_host_names: place.preview_host_names.clone(),
        listener: MAIN_LISTENER.to_owned(),
        upstreams,
        live,
    }
}

/// Whether two routes send the same requests to the same places, whoever wrote them.
pub(super) fn same(one: &Route, other: &Route) -> bool {
    one == &Route { rollout: one.rollout, ..other.clone() }
}

/// The route as the trait says it. `foreign` is the sentence about a switch by hand.
pub(super) fn seen(routed: &Routed, foreign: Option<String>) -> Option<RouteSeen> {
    let route = routed.route.as_ref()?;
    let revision = routed.break_glass_revision.unwrap_or(routed.revision);
    Some(RouteSeen {
        live: route.live,
        epoch: routed.epoch,
        revision: routed.revision,
        rollout: route.rollout,
        applied_at: routed.applied_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        arriving: false,
        foreign: foreign.map(|who| Hand { who, revision }),
    })
}

/// Whether the router never held a route of the placement: it is new, or it lost its file.
pub(super) const fn never_written(routed: &Routed) -> bool {
    routed.route.is_none() && routed.revision == 0
}

/// What the router counted, with the seconds in which nothing was counted filled in: they passed
/// under its eyes too. Those before it started did not, and stay out.
pub(super) fn traffic(
    boot: &domain::route::Hello,
    counted: Option<&traffic::Traffic>,
    since: i64,
) -> Traffic {
    let now = counted.map_or(boot.now, |counted| counted.now).unix_timestamp();
    let kept = i64::try_from(traffic::SECONDS_KEPT).unwrap_or(i64::MAX);
    let first = since.max(boot.started_at.unix_timestamp() + 1).max(now - kept);
    let slot = |slot| {
        counted.map_or_else(
            || SlotTraffic {
                in_flight: Some(0),
                seconds: filled(&[], first, now),
                ..SlotTraffic::default()
            },
            |counted| slot_traffic(counted.slots.of(slot), first, now),
        )
    };
    Traffic {
        boot: counted.map_or(boot.boot, |counted| counted.boot).to_string(),
        witness: "router".to_owned(),
        unseen: String::new(),
        now,
        slots: PerSlot { blue: slot(Slot::Blue), green: slot(Slot::Green) },
    }
}

fn slot_traffic(counted: &traffic::SlotTraffic, first: i64, now: i64) -> SlotTraffic {
    SlotTraffic {
        requests: counted.totals.requests,
        failures: counted.totals.failures.sum(),
        in_flight: Some(counted.in_flight.all),
        last_answer_ms: counted
            .last_answer_at
            .and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()),
        seconds: filled(&counted.seconds, first, now),
    }
}

/// Every second from `first` until the one before `now`.
fn filled(counted: &[traffic::Second], first: i64, now: i64) -> Vec<Second> {
    (first..now)
        .map(|at| match counted.binary_search_by_key(&at, |second| second.second) {
            Ok(index) => second(&counted[index]),
            Err(_) => Second { at, ..Second::default() },
        })
        .collect()
}

fn second(counted: &traffic::Second) -> Second {
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Second {
        at: counted.second,
        requests: small(counted.requests),
        failures: small(counted.failures.sum()),
        latencies: counted
            .latencies
            .0
            .iter()
            .map(|&(bucket, count)| (upper_bound_us(bucket), small(count)))
            .collect(),
        longest_gap_ms: small(counted.longest_gap_us.div_ceil(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        id::PlacementId,
        route::{Hello, PROTOCOL, latency},
    };
    use std::{net::Ipv4Addr, time::Duration};
    use uuid::Uuid;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(second).expect("in range")
    }

    fn hello(started: i64, now: i64) -> Hello {
        Hello {
            protocol: PROTOCOL,
            version: "1".into(),
            boot: Uuid::from_u128(1),
            started_at: at(started),
            now: at(now),
            pid: 1,
            listeners: vec![],
            lost_routes: false,
            draining: false,
        }
    }

    #[test]
    fn seconds_without_a_request_are_there_and_those_nobody_watched_are_not() {
        let seen = traffic(&hello(100, 110), None, 0);

        let seconds: Vec<_> = seen.slots.blue.seconds.iter().map(|second| second.at).collect();
        assert_eq!(seconds, (101..110).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_time_is_cut_to_what_the_ring_keeps() {
        let seen = traffic(&hello(0, 10_000), None, 5);

        assert_eq!(seen.slots.green.seconds.len(), 300);
        assert_eq!(seen.slots.green.seconds.last().map(|second| second.at), Some(9_999));
    }

    #[test]
    fn what_was_counted_keeps_its_second_and_its_figures() {
        let counted = traffic::Traffic {
            placement: PlacementId(Uuid::nil()),
            boot: Uuid::from_u128(2),
            now: at(110),
            revision: 3,
            live: Some(Slot::Blue),
            switched_at: None,
            without_slot: 0,
            slots: PerSlot {
                blue: traffic::SlotTraffic {
                    seconds: vec![traffic::Second {
                        second: 105,
                        requests: 7,
                        failures: traffic::Failures {
                            refused: 1,
                            server_errors: 2,
                            ..Default::default()
                        },
                        latencies: latency::Latencies(vec![(10, 4)]),
                        longest_gap_us: 1001,
                        max_in_flight: 2,
                    }],
                    ..Default::default()
                },
                green: traffic::SlotTraffic::default(),
            },
        };

        let seen = traffic(&hello(100, 109), Some(&counted), 104);

        let blue = &seen.slots.blue.seconds;
        assert_eq!(
            blue.iter().map(|second| second.at).collect::<Vec<_>>(),
            (104..110).collect::<Vec<_>>()
        );
        assert_eq!((blue[1].requests, blue[1].failures, blue[1].longest_gap_ms), (7, 3, 2));
        assert_eq!(blue[1].latencies, [(259, 4)]);
    }

    #[test]
    fn the_upper_bound_of_a_bucket_is_not_below_what_it_holds() {
        for us in [1_u64, 99, 100, 250, 10_000, 3_000_000, 50_000_000] {
            let bucket = latency::bucket(Duration::from_micros(us));
            assert!(u64::from(upper_bound_us(bucket)) + 1 >= us, "{us} in {bucket}");
        }
    }

    #[test]
    fn what_may_still_be_made_stays_in_the_route_and_strays_do_not() {
        let at = |n| SocketAddr::from(([10, 0, 0, n], 80));
        let mut addresses = vec![at(1)];

        keep_unknown(&mut addresses, &[at(1), at(2), at(3)], &[at(3)]);

        assert_eq!(addresses, [at(1), at(2)]);
    }

    #[test]
    fn strays_of_another_maker_never_get_into_a_route() {
        let identity = |maker: u128, number: u16| Identity {
            placement: PlacementId(Uuid::nil()),
            slot: Slot::Blue,
            maker: RolloutId(Uuid::from_u128(maker)),
            release: domain::id::ReleaseId(Uuid::nil()),
            configuration: domain::id::ConfigurationId(Uuid::nil()),
            number,
            epoch: 1,
            address: Ipv4Addr::new(10, 0, 0, number as u8),
            port: Some(80),
            memory_bytes: 1,
        };
        let all = [identity(2, 3), identity(1, 2), identity(1, 1)];

        let found = upstreams(&all, Slot::Blue, RolloutId(Uuid::from_u128(1)));

        assert_eq!(found, ["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()]);
        assert!(upstreams(&all, Slot::Green, RolloutId(Uuid::from_u128(1))).is_empty());
    }
}
