//! Moving traffic, and who may not.

use super::{
    Harness, assert_refused, assert_stale, assert_unreachable, claim, empty, fill, make_live,
    maker_in, observed, route_of, running, settled, story, until,
};
use domain::{
    slot::{
        PerSlot,
        Slot::{Blue, Green},
    },
    target::{Claim, RouteSeen},
};

/// A route as it was written, whether or not everything follows it by now.
fn written(route: RouteSeen) -> RouteSeen {
    RouteSeen { arriving: false, ..route }
}

pub async fn traffic_goes_where_the_route_says(h: &dyn Harness) {
    let (place, old) = story(h, "moved");
    assert_eq!(h.served_by(&place).await, None);
    let first = make_live(h, Blue, &old).await;
    assert_eq!(h.served_by(&place).await, Some(Blue));

    let new = h.plan(&place, 1);
    fill(h, &claim(&new, 1), Green, &new).await;
    assert_eq!(h.served_by(&place).await, Some(Blue), "filling moves nothing");
    let before = route_of(h, &place).await;
    let there = h.target().route(&claim(&new, 1), &place, before.revision, Some(Green)).await;
    let there = there.expect("forth");
    assert_eq!(h.served_by(&place).await, Some(Green));
    let back = h.target().route(&claim(&new, 1), &place, there.revision, Some(Blue)).await;
    let back = back.expect("back");
    assert_eq!(h.served_by(&place).await, Some(Blue));
    let none = h.target().route(&claim(&new, 1), &place, back.revision, None).await.expect("none");
    assert_eq!(h.served_by(&place).await, None);

    assert_eq!((first.live, first.rollout), (Some(Blue), Some(old.maker)));
    assert_eq!((there.live, there.rollout), (Some(Green), Some(new.maker)));
    assert_eq!((there.revision, back.revision), (before.revision + 1, before.revision + 2));
    assert!(back.applied_at >= there.applied_at);
    assert_eq!(observed(h, &place).await.route.map(written), Some(written(none)));
}

pub async fn a_route_write_names_what_it_replaces(h: &dyn Harness) {
    let (place, old) = story(h, "named");
    let live = make_live(h, Blue, &old).await;
    let new = h.plan(&place, 1);
    fill(h, &claim(&new, 1), Green, &new).await;
    let before = route_of(h, &place).await;
    assert!(before.revision > live.revision);

    let late = h.target().route(&claim(&new, 1), &place, live.revision, Some(Green)).await;
    assert_stale(late);
    let moved = h.target().route(&claim(&new, 1), &place, before.revision, Some(Green)).await;
    let again = h.target().route(&claim(&new, 1), &place, before.revision, Some(Green)).await;
    let other = h.target().route(&claim(&old, 1), &place, before.revision, Some(Green)).await;

    let again = again.expect("the same write again");
    assert_eq!(written(again), written(moved.expect("moved")));
    assert_stale(other);
}

pub async fn traffic_is_never_sent_to_an_empty_slot(h: &dyn Harness) {
    let (place, plan) = story(h, "nobody");
    let live = make_live(h, Blue, &plan).await;

    let moved = h.target().route(&claim(&plan, 1), &place, live.revision, Some(Green)).await;

    assert_refused(moved);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn a_late_switch_to_a_removed_slot_loses(h: &dyn Harness) {
    let (place, old) = story(h, "late");
    make_live(h, Blue, &old).await;
    let new = h.plan(&place, 1);
    fill(h, &claim(&new, 1), Green, &new).await;
    let seen = route_of(h, &place).await;

    h.target().remove(&claim(&new, 1), &place, Green).await.expect("begun");
    let late = h.target().route(&claim(&new, 1), &place, seen.revision, Some(Green)).await;
    let fresh = route_of(h, &place).await;
    let known = h.target().route(&claim(&new, 1), &place, fresh.revision, Some(Green)).await;

    assert_stale(late);
    assert_refused(known);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn an_older_claim_is_refused_everywhere(h: &dyn Harness) {
    let (place, plan) = story(h, "fenced");
    let live = make_live(h, Blue, &plan).await;
    let newer = Claim { epoch: 3, ..settled(&place, 3) };
    h.target().fence(&newer, &place).await.expect("fenced");
    h.target().fence(&newer, &place).await.expect("again");

    let older = &claim(&plan, 2);
    let other = h.plan(&place, 1);
    assert_stale(h.target().fence(older, &place).await);
    assert_stale(h.target().ensure(older, Green, &other).await);
    assert_stale(h.target().route(older, &place, live.revision, None).await);
    assert_stale(h.target().refresh(older, &place, &PerSlot::default()).await);
    let makers = maker_in(Blue, &plan);
    assert_stale(h.target().restore(older, &place, live.revision, &makers, Some(Blue)).await);
    assert_stale(h.target().close_streams(older, &place, Green).await);
    assert_stale(h.target().remove(older, &place, Green).await);
    assert_stale(h.target().withdraw(older, &place).await);

    let seen = observed(h, &place).await;
    assert_eq!(h.target().highest_epoch(&place).await.expect("asked"), Some(3));
    assert_eq!(seen.route.map(|route| (route.live, route.epoch)), Some((Some(Blue), 3)));
    assert!(seen.slots.green.is_empty() && running(&seen.slots.blue) == 1);
}

pub async fn a_router_that_restarts_keeps_its_routes(h: &dyn Harness) {
    let (place, plan) = story(h, "reborn");
    let live = make_live(h, Blue, &plan).await;
    let before = h.target().traffic(&place, 0).await.expect("asked");

    h.restart_router().await;

    let after = h.target().traffic(&place, 0).await.expect("asked");
    let seen = route_of(h, &place).await;
    assert_eq!(h.served_by(&place).await, Some(Blue));
    assert_eq!((seen.live, seen.revision, seen.epoch), (Some(Blue), live.revision, 1));
    assert_ne!(before.boot, after.boot, "its counters began again");
}

pub async fn a_router_that_lost_its_routes_says_so_and_is_given_them_back(h: &dyn Harness) {
    let (place, plan) = story(h, "lost");
    make_live(h, Blue, &plan).await;

    h.lose_routes().await;
    assert_eq!(observed(h, &place).await.route, None);
    assert_eq!(h.served_by(&place).await, None);

    // Nothing may act on a slot of which nobody can say whether it had the traffic.
    assert_unreachable(h.target().remove(&settled(&place, 2), &place, Blue).await);
    assert_unreachable(h.target().ensure(&settled(&place, 2), Blue, &plan).await);
    let other = h.plan(&place, 1);
    assert_unreachable(h.target().ensure(&claim(&other, 2), Green, &other).await);
    assert_unreachable(
        h.target().refresh(&settled(&place, 2), &place, &maker_in(Blue, &plan)).await,
    );
    // What runs must carry the labels that were confirmed.
    let wrong = maker_in(Blue, &other);
    let claim = settled(&place, 2);
    assert_refused(h.target().restore(&claim, &place, 0, &wrong, Some(Blue)).await);
    assert_stale(h.target().restore(&claim, &place, 7, &maker_in(Blue, &plan), Some(Blue)).await);
    assert_eq!(running(&observed(h, &place).await.slots.blue), 1);

    let makers = maker_in(Blue, &plan);
    let given = h.target().restore(&claim, &place, 0, &makers, Some(Blue)).await.expect("given");
    assert_eq!((given.live, given.epoch), (Some(Blue), 2));
    assert_eq!(h.served_by(&place).await, Some(Blue));
    let seen = until("it is followed", || async {
        Some(route_of(h, &place).await).filter(|route| !route.arriving)
    })
    .await;
    assert_eq!(seen, written(given));
}

pub async fn a_switch_by_hand_is_seen_with_its_reason(h: &dyn Harness) {
    let (place, old) = story(h, "foreign");
    make_live(h, Blue, &old).await;
    let new = h.plan(&place, 1);
    fill(h, &claim(&new, 1), Green, &new).await;
    let before = route_of(h, &place).await;
    assert_eq!(before.foreign, None);

    h.switch_by_hand(&place, Some(Green), "the database is gone").await;

    let seen = route_of(h, &place).await;
    assert_eq!((seen.live, seen.revision), (Some(Green), before.revision + 1));
    let hand = seen.foreign.expect("said");
    let (who, knows_why) = h.hand();
    assert!(hand.who.contains(who), "{hand:?}");
    assert!(!knows_why || hand.who.contains("the database is gone"), "{hand:?}");
    assert_eq!(hand.revision, seen.revision);
    let late = h.target().route(&claim(&new, 1), &place, before.revision, None).await;
    assert_stale(late);
}

pub async fn a_switch_by_hand_stays_known_until_we_move_the_traffic(h: &dyn Harness) {
    let (place, old) = story(h, "handled");
    make_live(h, Blue, &old).await;
    let new = h.plan(&place, 1);
    fill(h, &claim(&new, 1), Green, &new).await;
    h.switch_by_hand(&place, None, "the database is gone").await;
    let by_hand = route_of(h, &place).await;

    empty(h, &claim(&new, 1), &place, Green).await;
    let written = route_of(h, &place).await;
    assert!(written.revision > by_hand.revision);
    assert_eq!((written.live, &written.foreign), (None, &by_hand.foreign), "an address is none");

    let back = h.target().route(&claim(&new, 1), &place, written.revision, Some(Blue)).await;
    assert_eq!(back.expect("back").foreign, None);
    assert_eq!(route_of(h, &place).await.foreign, None);
}

pub async fn names_are_refreshed_without_moving_traffic(h: &dyn Harness) {
    let (mut place, plan) = story(h, "renamed");
    let live = make_live(h, Blue, &plan).await;
    let old_name = place.clone();
    let other = domain::target::Place { ..crate::fake::sample::place("other") };
    place.host_names = other.host_names;

    let claim = settled(&place, 1);
    let seen = h.target().refresh(&claim, &place, &maker_in(Blue, &plan)).await.expect("written");
    let again = h.target().refresh(&claim, &place, &maker_in(Blue, &plan)).await.expect("again");
    let unknown = h.target().refresh(&claim, &place, &maker_in(Blue, &h.plan(&place, 1))).await;

    assert_eq!((seen.live, seen.revision), (Some(Blue), live.revision + 1));
    assert_eq!(again, seen);
    assert_refused(unknown);
    assert_eq!(h.served_by(&place).await, Some(Blue));
    assert_eq!(h.served_by(&old_name).await, None);
}

pub async fn a_withdrawn_route_is_gone_and_its_instances_can_follow(h: &dyn Harness) {
    let (place, plan) = story(h, "over");
    make_live(h, Blue, &plan).await;
    let claim = claim(&plan, 1);

    h.target().withdraw(&claim, &place).await.expect("withdrawn");
    h.target().withdraw(&claim, &place).await.expect("again");
    let seen = observed(h, &place).await;
    assert_eq!((seen.route, running(&seen.slots.blue)), (None, 1));
    assert_eq!(h.served_by(&place).await, None);

    empty(h, &claim, &place, Blue).await;
    h.target().remove(&claim, &place, Blue).await.expect("again");
    let next = h.plan(&place, 1);
    make_live(h, Blue, &next).await;
    assert_eq!(h.served_by(&place).await, Some(Blue));
}
