//! What is seen: the dead, the absent, figures and hints.

use super::{
    Harness, PATIENCE, assert_refused, assert_unreachable, claim, make_live, observed, probe,
    route_of, running, settled, story, until, within,
};
use crate::{Hint, fake::sample};
use domain::{
    slot::{
        PerSlot,
        Slot::{Blue, Green},
    },
    target::InstanceState,
};
use futures::StreamExt;
use std::time::{Duration, Instant};

pub async fn a_dead_instance_is_seen_with_its_reason(h: &dyn Harness) {
    let place = sample::place("dying");
    let plan = h.dying_plan(&place);

    let why = until("it died", || async {
        h.target().ensure(&claim(&plan, 1), Blue, &plan).await.expect("asked");
        match observed(h, &place).await.slots.blue.first()?.state.clone() {
            InstanceState::Exited { why } => Some(why),
            InstanceState::Starting | InstanceState::Running => None,
        }
    })
    .await;

    // A target that keeps what the dead wrote says their last words, too.
    let rest = why.strip_prefix("exit code 1").unwrap_or_else(|| panic!("{why}"));
    assert!(rest.is_empty() || rest.starts_with(", its last lines: "), "{why}");
}

pub async fn an_instance_that_restarts_keeps_its_address(h: &dyn Harness) {
    let (place, plan) = story(h, "restarted");
    let route = make_live(h, Blue, &plan).await;
    let before = observed(h, &place).await.slots.blue[0].clone();

    h.restart(&before).await;

    let after = until("it is back", || async {
        let one = observed(h, &place).await.slots.blue.first()?.clone();
        let answers = h.target().probe(&place, Blue, plan.maker, &probe(&plan)).await.ok()?;
        (one.restarts > 0 && answers.iter().all(|answer| answer.passed)).then_some(one)
    })
    .await;
    assert_eq!((after.id, after.restarts), (before.id, 1));
    assert_eq!(route_of(h, &place).await, route);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn a_target_that_is_away_is_an_error_and_never_empty(h: &dyn Harness) {
    let (place, plan) = story(h, "away");
    make_live(h, Blue, &plan).await;
    let other = h.plan(&place, 1);

    h.set_reachable(false).await;
    assert_unreachable(h.target().check().await);
    assert_unreachable(h.target().observe(&place).await);
    assert_unreachable(h.target().preflight(&plan, Some(Blue)).await);
    assert_unreachable(h.target().ensure(&claim(&other, 1), Green, &other).await);
    assert_unreachable(h.target().remove(&claim(&other, 1), &place, Green).await);
    assert_unreachable(h.target().probe(&place, Blue, plan.maker, &probe(&plan)).await);
    assert_unreachable(h.target().usage(std::slice::from_ref(&place)).await);
    h.set_reachable(true).await;

    assert_eq!(running(&observed(h, &place).await.slots.blue), 1);
    assert_eq!(h.served_by(&place).await, Some(Blue), "traffic never left");
}

pub async fn every_second_is_counted_once(h: &dyn Harness) {
    let (place, plan) = story(h, "counted");
    make_live(h, Blue, &plan).await;
    // The second in which the witness started is not whole, and never told.
    let since = until("a whole second was watched", || async {
        let traffic = h.target().traffic(&place, 0).await.expect("asked");
        (!traffic.slots.blue.seconds.is_empty()).then_some(traffic.now)
    })
    .await;

    for _ in 0..5 {
        assert_eq!(h.served_by(&place).await, Some(Blue));
    }
    let traffic = until("the second is over", || async {
        let traffic = h.target().traffic(&place, since).await.expect("asked");
        let requests: u32 = traffic.slots.blue.seconds.iter().map(|second| second.requests).sum();
        (requests >= 5 && traffic.now > since + 2).then_some(traffic)
    })
    .await;

    let PerSlot { blue, green } = traffic.slots;
    let at: Vec<i64> = blue.seconds.iter().map(|second| second.at).collect();
    assert_eq!(at, (since..traffic.now).collect::<Vec<_>>(), "each second once, and no gap");
    assert_eq!(blue.seconds.iter().map(|second| second.requests).sum::<u32>(), 5);
    assert_eq!(blue.seconds.iter().flat_map(|s| &s.latencies).map(|(_, n)| n).sum::<u32>(), 5);
    assert!(blue.requests >= 5 && blue.failures == 0 && blue.last_answer_ms.is_some());
    assert_eq!((green.requests, green.in_flight), (0, Some(0)));
}

pub async fn what_instances_use_is_seen_from_the_second_round_on(h: &dyn Harness) {
    let (place, plan) = story(h, "used");
    make_live(h, Blue, &plan).await;
    let empty = sample::place("unused");
    let places = [place.clone(), empty.clone()];
    let id = observed(h, &place).await.slots.blue[0].id.clone();

    // A kubelet may have looked at the pod last before its program ran. It looks again after 10 s, later
    // where it sees little change, and what it saw is asked for every 5 s.
    let patience = Duration::from_secs(60);
    let used = within(patience, "there is a sample of a running program", || async {
        let used = h.target().usage(&places).await.expect("asked");
        used[0].1.iter().any(|one| one.processes > 0).then_some(used)
    })
    .await;

    assert_eq!(
        used.iter().map(|(of, _)| *of).collect::<Vec<_>>(),
        [place.placement, empty.placement]
    );
    let one = &used[0].1[0];
    assert_eq!((used[0].1.len(), used[1].1.len()), (1, 0));
    assert_eq!((&one.instance, one.memory_limit_bytes), (&id, plan.limits.memory_bytes));
    assert!(one.memory_bytes > 0 && one.memory_bytes < one.memory_limit_bytes, "{one:?}");
    assert!((0.0..400.0).contains(&one.cpu_percent), "{one:?}");
}

pub async fn a_change_is_hinted_at(h: &dyn Harness) {
    let (place, plan) = story(h, "watched");
    let mut hints = h.target().watch();
    let second = Duration::from_secs(1);
    tokio::time::timeout(2 * second, hints.next()).await.expect("one at the beginning");
    make_live(h, Blue, &plan).await;
    while tokio::time::timeout(second, hints.next()).await.is_ok() {}

    let one = observed(h, &place).await.slots.blue[0].clone();
    h.remove_by_hand(&one).await;

    let hint = tokio::time::timeout(second, hints.next()).await.expect("a hint within a second");
    assert!([Some(Hint::All), Some(Hint::Of(place.placement))].contains(&hint), "{hint:?}");
}

pub async fn an_image_is_looked_up_kept_and_released(h: &dyn Harness) {
    let (place, plan) = story(h, "image");
    let by_id = plan.image.to_string().parse().expect("a reference");
    let nowhere = "nobody-has-this:1".parse().expect("a reference");

    let facts = h.target().image(&by_id).await.expect("found");
    let missing = h.target().image(&nowhere).await;
    for _ in 0..2 {
        h.target().keep_image(&plan.image).await.expect("kept");
    }
    let kept = h.target().kept_images().await.expect("asked");
    let others = h.other().kept_images().await.expect("asked");
    for _ in 0..2 {
        h.target().release_image(&plan.image).await.expect("released");
    }
    let released = h.target().kept_images().await.expect("asked");
    let gone = format!("sha256:{}", "0".repeat(64)).parse().expect("a content id");

    assert_eq!((&facts.id, kept), (&plan.image, vec![plan.image.clone()]));
    assert!(others.is_empty() && released.is_empty(), "{others:?} {released:?}");
    assert!(!facts.runs_as_root());
    assert!(assert_refused(missing).contains("nobody-has-this:1"));
    assert_refused(h.target().keep_image(&gone).await);
    h.target().release_image(&gone).await.expect("nothing to do");
    h.target().image(&by_id).await.expect("still there");
    h.target().fence(&settled(&place, 1), &place).await.expect("and nothing else happened");
}

pub async fn why_an_instance_died_is_known_when_it_runs_again(h: &dyn Harness) {
    let (place, plan) = story(h, "mourned");
    make_live(h, Blue, &plan).await;
    let one = observed(h, &place).await.slots.blue[0].clone();
    let mut hints = h.target().watch();
    hints.next().await.expect("it is heard");

    h.restart(&one).await;
    let begun = Instant::now();
    let again = loop {
        let _ = tokio::time::timeout(Duration::from_millis(100), hints.next()).await;
        let one = observed(h, &place).await.slots.blue[0].clone();
        if one.restarts > 0 && one.state == InstanceState::Running {
            break one;
        }
        assert!(begun.elapsed() < PATIENCE, "it never runs again: {one:?}");
    };

    let why = again.died.unwrap_or_default();
    assert!(why.contains("exit code"), "{why}");
}

pub async fn what_somebody_changed_on_an_instance_is_seen(h: &dyn Harness) {
    let (place, plan) = story(h, "changed");
    make_live(h, Blue, &plan).await;
    let one = observed(h, &place).await.slots.blue[0].clone();
    assert_eq!(one.changed, None, "it is as it was made");

    h.change_by_hand(&one).await;

    let changed = observed(h, &place).await.slots.blue[0].changed.clone().unwrap_or_default();
    assert!(changed.contains("memory limit"), "{changed}");
}
