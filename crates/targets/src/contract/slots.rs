//! Filling, emptying and asking slots.

use super::{
    Harness, assert_refused, assert_stale, claim, empty, fill, make_live, observed, probe,
    route_of, running, settled, story, until,
};
use crate::fake::sample;
use domain::{
    slot::Slot::{Blue, Green},
    target::Verdict,
};

pub async fn a_place_nobody_filled_is_empty(h: &dyn Harness) {
    let place = sample::place("empty");

    let seen = observed(h, &place).await;
    let traffic = h.target().traffic(&place, 0).await.expect("asked");

    assert_eq!(seen.route, None);
    assert!(seen.slots.blue.is_empty() && seen.slots.green.is_empty());
    assert_eq!((traffic.slots.blue.requests, traffic.slots.green.requests), (0, 0));
    assert_eq!(h.target().highest_epoch(&place).await.expect("asked"), None);
}

pub async fn a_slot_is_filled_once_however_often_it_is_asked(h: &dyn Harness) {
    let place = sample::place("twice");
    let plan = h.plan(&place, 2);

    let first = fill(h, &claim(&plan, 1), Blue, &plan).await;
    let route = route_of(h, &place).await;
    for _ in 0..3 {
        h.target().ensure(&claim(&plan, 1), Blue, &plan).await.expect("again");
    }
    let seen = observed(h, &place).await;

    let ids = |instances: &[domain::target::Instance]| {
        instances.iter().map(|one| (one.number, one.id.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&seen.slots.blue), ids(&first));
    assert_eq!(first.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((route.live, running(&first)), (None, 2));
    assert_eq!(seen.route, Some(route), "asking again writes nothing");
    assert_eq!(h.target().highest_epoch(&place).await.expect("asked"), Some(1));
    assert!(first.iter().all(|one| one.release == plan.release
        && one.configuration == plan.configuration
        && one.started_at.is_some()
        && one.restarts == 0));
}

pub async fn only_instances_of_the_maker_are_asked(h: &dyn Harness) {
    let (place, plan) = story(h, "asked");
    fill(h, &claim(&plan, 1), Blue, &plan).await;

    let asked = h.target().probe(&place, Blue, plan.maker, &probe(&plan)).await.expect("asked");
    let others = h.target().probe(&place, Blue, h.plan(&place, 1).maker, &probe(&plan)).await;
    let idle = h.target().probe(&place, Green, plan.maker, &probe(&plan)).await;

    assert!(asked.len() == 1 && asked[0].passed && asked[0].number == 1);
    assert!(asked[0].said.contains("200"), "{}", asked[0].said);
    assert!(others.expect("asked").is_empty(), "strays are not asked");
    assert!(idle.expect("asked").is_empty());
}

pub async fn the_slot_that_has_the_traffic_is_never_removed(h: &dyn Harness) {
    let (place, plan) = story(h, "kept");
    make_live(h, Blue, &plan).await;

    let removed = h.target().remove(&claim(&plan, 1), &place, Blue).await;
    let settled_removed = h.target().remove(&settled(&place, 1), &place, Blue).await;
    let closed = h.target().close_streams(&claim(&plan, 1), &place, Blue).await;

    assert_refused(removed);
    assert_refused(settled_removed);
    assert_refused(closed);
    assert_eq!(running(&observed(h, &place).await.slots.blue), 1);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn the_slot_that_has_the_traffic_is_never_filled_by_another_rollout(h: &dyn Harness) {
    let (place, plan) = story(h, "held");
    let route = make_live(h, Blue, &plan).await;
    let other = h.plan(&place, 1);

    let filled = h.target().ensure(&claim(&other, 1), Blue, &other).await;

    assert_stale(filled);
    let seen = observed(h, &place).await;
    assert_eq!(seen.route, Some(route));
    assert!(seen.slots.blue.iter().all(|one| one.maker == plan.maker));
}

pub async fn the_idle_slot_is_emptied_and_the_live_one_goes_on(h: &dyn Harness) {
    let (place, old) = story(h, "idle");
    make_live(h, Blue, &old).await;
    let new = h.plan(&place, 2);
    fill(h, &claim(&new, 1), Green, &new).await;

    empty(h, &claim(&new, 1), &place, Green).await;
    h.target().remove(&claim(&new, 1), &place, Green).await.expect("again");

    let seen = observed(h, &place).await;
    assert_eq!(seen.route.and_then(|route| route.live), Some(Blue));
    assert_eq!(running(&seen.slots.blue), 1);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn strays_of_another_maker_are_removed_and_never_routed_to(h: &dyn Harness) {
    let (place, old) = story(h, "strays");
    fill(h, &claim(&old, 1), Green, &old).await;
    let before = route_of(h, &place).await;

    let new = h.plan(&place, 1);
    let instances = fill(h, &claim(&new, 2), Green, &new).await;

    assert!(instances.iter().all(|one| one.maker == new.maker), "{instances:?}");
    let after = route_of(h, &place).await;
    assert!(after.revision > before.revision, "a switch that saw the strays loses");
    h.target().route(&claim(&new, 2), &place, after.revision, Some(Green)).await.expect("moved");
    assert_eq!(h.served_by(&place).await, Some(Green));
}

pub async fn a_rollout_never_shrinks_the_live_slot_and_a_settled_placement_may(h: &dyn Harness) {
    let place = sample::place("shrunk");
    let mut plan = h.plan(&place, 2);
    make_live(h, Blue, &plan).await;
    plan.size = 1;

    h.target().ensure(&claim(&plan, 1), Blue, &plan).await.expect("asked");
    assert_eq!(running(&observed(h, &place).await.slots.blue), 2);

    until("one is left", || async {
        h.target().ensure(&settled(&place, 1), Blue, &plan).await.expect("asked");
        (observed(h, &place).await.slots.blue.len() == 1).then_some(())
    })
    .await;
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn an_image_that_runs_as_root_or_is_gone_is_refused_with_a_sentence(h: &dyn Harness) {
    let place = sample::place("rooted");
    let mut root = h.root_plan(&place);
    let (gone, word) = h.gone_plan(&place);

    let as_root = h.target().ensure(&claim(&root, 1), Blue, &root).await;
    let without = h.target().ensure(&claim(&gone, 1), Blue, &gone).await;
    let findings = h.target().preflight(&root, None).await.expect("asked");

    assert!(assert_refused(as_root).contains("root"));
    assert!(assert_refused(without).contains(word));
    assert!(
        findings.iter().any(|one| one.verdict == Verdict::Refuse && one.question.contains("user"))
    );
    assert!(observed(h, &place).await.slots.blue.is_empty());
    root.root_allowed = true;
    fill(h, &claim(&root, 1), Blue, &root).await;
}
