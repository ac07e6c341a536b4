//! Since when an instance is in the route: in an idle slot from before it runs, in the live one from
//! when it is ready.

use super::{Harness, claim, fill, make_live, maker_in, observed, probe, route_of, settled, until};
use crate::fake::sample;
use domain::{
    slot::Slot::{Blue, Green},
    target::{Instance, InstanceState, Place, Plan},
};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

pub async fn what_runs_in_an_idle_slot_is_in_the_route_whenever_the_call_was_cut(h: &dyn Harness) {
    for cut_ms in [20, 80, 150, 300, 600] {
        let place = sample::place(&format!("cut-{cut_ms}"));
        let plan = h.plan(&place, 2);

        let claim = claim(&plan, 1);
        let filling = h.target().ensure(&claim, Blue, &plan);
        // As if its process had been killed: nobody asks again.
        let _ = tokio::time::timeout(Duration::from_millis(cut_ms), filling).await;

        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A machine that is busy with all this is looked at once more.
            let Ok(seen) = h.target().observe(&place).await else { continue };
            for one in seen.slots.blue.iter().filter(|one| one.state == InstanceState::Running) {
                assert!(one.in_route, "cut after {cut_ms} ms: {one:?}");
            }
        }
        let full = fill(h, &claim, Blue, &plan).await;
        assert!(full.iter().all(|one| one.in_route), "{full:?}");
        h.target().remove(&claim, &place, Blue).await.expect("begun");
    }
}

pub async fn what_was_removed_by_hand_from_an_idle_slot_is_made_again_at_its_address(
    h: &dyn Harness,
) {
    let place = sample::place("again");
    let plan = h.plan(&place, 2);
    let first = fill(h, &claim(&plan, 1), Green, &plan).await[0].clone();
    let route = route_of(h, &place).await;

    h.remove_by_hand(&first).await;
    let left = observed(h, &place).await.slots.green;
    assert!(left.iter().all(|one| one.id != first.id), "{left:?}");
    assert!(h.replaces() || left.len() == 1, "{left:?}");
    let again = fill(h, &claim(&plan, 1), Green, &plan).await;

    assert!(again.iter().all(|one| one.id != first.id && one.in_route));
    assert_eq!(route_of(h, &place).await, route, "at its address, so the route is as it was");
}

pub async fn a_live_slot_that_grows_sends_requests_only_to_who_is_ready(h: &dyn Harness) {
    let place = sample::place("grown");
    let mut plan = h.slow_plan(&place, 1);
    make_live(h, Blue, &plan).await;
    let before = observed(h, &place).await.slots.blue;
    plan.size = 2;

    let waited = enters_when_ready(h, &place, &plan, 2, &before).await;

    assert!(waited, "it was seen before it was ready");
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn what_was_removed_from_the_live_slot_comes_back_into_the_route_when_it_is_ready(
    h: &dyn Harness,
) {
    let place = sample::place("healed");
    let plan = h.slow_plan(&place, 2);
    make_live(h, Blue, &plan).await;
    let before = observed(h, &place).await.slots.blue;
    let first = before[0].clone();
    assert!(first.in_route);

    h.remove_by_hand(&first).await;
    let waited = enters_when_ready(h, &place, &plan, 1, &before).await;

    assert!(waited, "it was seen before it was ready");
    let seen = observed(h, &place).await;
    assert!(seen.slots.blue.iter().all(|one| one.in_route && one.id != first.id));
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn a_live_slot_of_which_nothing_is_left_gets_requests_once_it_is_ready(h: &dyn Harness) {
    let place = sample::place("risen");
    let plan = h.slow_plan(&place, 1);
    let route = make_live(h, Blue, &plan).await;
    let before = observed(h, &place).await.slots.blue;
    for one in &before {
        h.remove_by_hand(one).await;
    }
    assert_eq!(route_of(h, &place).await, route, "it is never left without an address");

    let waited = enters_when_ready(h, &place, &plan, 1, &before).await;

    assert!(waited, "it was seen before it was ready");
    let seen = observed(h, &place).await;
    assert_eq!(seen.route.and_then(|route| route.live), Some(Blue));
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

/// Asks for `plan` in the live slot until all its instances are in the route, and watches that the
/// one that was not there `before` is not in before it passes, and the others never out. Whether it
/// was seen running and not in. Its number is `number`, unless the target numbers them as they come.
async fn enters_when_ready(
    h: &dyn Harness,
    place: &Place,
    plan: &Plan,
    number: u16,
    before: &[Instance],
) -> bool {
    let claim = settled(place, 1);
    let makers = maker_in(Blue, plan);
    let is_in = |one: &&Instance| one.in_route;
    let is_new = |one: &&Instance| before.iter().all(|known| known.id != one.id);
    let waited = AtomicBool::new(false);
    until("all are in the route", || async {
        h.target().ensure(&claim, Blue, plan).await.expect("asked");
        let slot = observed(h, place).await.slots.blue;
        assert!(slot.iter().all(|one| is_new(&one) || one.in_route), "{slot:?}");
        let one = slot.iter().find(is_new)?;
        assert!(h.replaces() || one.number == number, "{slot:?}");
        if !one.in_route {
            waited.fetch_or(one.state == InstanceState::Running, Relaxed);
            // Names and sizes are refreshed meanwhile: that brings nobody in either.
            h.target().refresh(&claim, place, &makers).await.expect("refreshed");
            let now = observed(h, place).await.slots.blue;
            let now = now.iter().find(|now| now.id == one.id)?;
            // A target that brings it in by itself may have done so since.
            assert!(h.replaces() || !now.in_route, "{now:?}");
            return None;
        }
        let answers = h.target().probe(place, Blue, plan.maker, &probe(plan)).await.expect("asked");
        let ready: BTreeSet<_> =
            answers.iter().filter(|one| one.passed).map(|one| &one.instance).collect();
        assert!(ready.contains(&one.id), "in the route and not ready: {answers:?}");
        (slot.iter().filter(is_in).count() == usize::from(plan.size)).then_some(())
    })
    .await;
    waited.into_inner()
}
