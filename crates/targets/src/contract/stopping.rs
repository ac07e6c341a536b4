//! Stopping one instance, for a restart.

use super::{
    Harness, assert_refused, assert_stale, make_live, observed, route_of, settled, story, until,
};
use crate::fake::sample;
use domain::{
    slot::Slot::Blue,
    target::{Instance, InstanceState},
};

pub async fn an_instance_leaves_the_route_before_it_ends_and_comes_back_when_it_is_ready(
    h: &dyn Harness,
) {
    let place = sample::place("resting");
    let plan = h.slow_plan(&place, 2);
    make_live(h, Blue, &plan).await;
    let before = route_of(h, &place).await;
    let [first, second] = &observed(h, &place).await.slots.blue[..] else { panic!("two") };
    let claim = settled(&place, 1);
    let stop = || h.target().stop(&claim, &place, Blue, &first.id);

    stop().await.expect("it leaves the route");
    let slot = observed(h, &place).await.slots.blue;
    let of = |slot: &[Instance], id: &str| slot.iter().find(|one| one.id == id).cloned();
    assert!(route_of(h, &place).await.revision > before.revision);
    let (left, stays) =
        (of(&slot, &first.id).expect("there"), of(&slot, &second.id).expect("there"));
    assert_eq!((left.in_route, stays.in_route), (false, true));
    assert_eq!(left.state, InstanceState::Running, "what it has is being answered");
    assert_eq!(h.served_by(&place).await, Some(Blue));

    until("it has ended", || async {
        stop().await.expect("asked again");
        match of(&observed(h, &place).await.slots.blue, &first.id) {
            Some(one) => matches!(one.state, InstanceState::Exited { .. }).then_some(()),
            None => h.replaces().then_some(()),
        }
    })
    .await;
    stop().await.expect("what has ended needs nothing");
    let mut waited = false;
    let back = loop {
        h.target().ensure(&settled(&place, 1), Blue, &plan).await.expect("asked");
        let slot = observed(h, &place).await.slots.blue;
        assert!(of(&slot, &second.id).is_some_and(|one| one.in_route), "{slot:?}");
        let Some(one) = slot.iter().find(|one| one.id != second.id) else { continue };
        if one.in_route {
            break one.clone();
        }
        waited |= one.state == InstanceState::Running;
    };

    assert!(waited, "it was seen before it was ready");
    let same = back.id == first.id;
    assert!(same || h.replaces(), "the same one, so what it wrote is still there");
    assert_ne!(back.started_at, first.started_at);
    assert_stale(h.target().stop(&settled(&place, 0), &place, Blue, &first.id).await);
}

pub async fn the_last_one_that_answers_is_not_stopped(h: &dyn Harness) {
    let (place, plan) = story(h, "last");
    make_live(h, Blue, &plan).await;
    let one = observed(h, &place).await.slots.blue[0].clone();

    let stopped = h.target().stop(&settled(&place, 1), &place, Blue, &one.id).await;

    assert_refused(stopped);
    assert!(observed(h, &place).await.slots.blue[0].in_route);
    assert_eq!(h.served_by(&place).await, Some(Blue));
    let nobody = h.target().stop(&settled(&place, 1), &place, Blue, "not-there").await;
    nobody.expect("one that is not there needs nothing");
}
