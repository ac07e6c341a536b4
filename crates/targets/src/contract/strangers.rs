//! What is not ours, and what stands in the way.

use super::{Harness, assert_refused, claim, empty, fill, make_live, observed, running, story};
use crate::fake::sample;
use domain::{
    slot::Slot::{Blue, Green},
    target::{Finding, Verdict},
};

fn refusals(findings: &[Finding]) -> Vec<&str> {
    let refused = |one: &&Finding| one.verdict == Verdict::Refuse;
    findings.iter().filter(refused).map(|one| one.question.as_str()).collect()
}

pub async fn a_name_that_is_taken_is_refused_and_the_stranger_left_alone(h: &dyn Harness) {
    let (place, plan) = story(h, "taken");
    h.occupy(&plan, Blue).await;

    let findings = h.target().preflight(&plan, None).await.expect("asked");
    let filled = h.target().ensure(&claim(&plan, 1), Blue, &plan).await;

    assert_eq!(refusals(&findings), ["Names are free"]);
    assert!(assert_refused(filled).contains("taken"));
    let seen = observed(h, &place).await;
    assert!(seen.slots.blue.is_empty(), "a stranger is no instance");
    empty(h, &claim(&plan, 1), &place, Blue).await;
    assert!(h.stranger_is_there().await);
}

pub async fn two_installations_do_not_see_each_other(h: &dyn Harness) {
    let (place, plan) = story(h, "shared");
    make_live(h, Blue, &plan).await;

    // The same names, and the very same placement, as after a copied database.
    let theirs = h.other().observe(&place).await.expect("asked");
    assert!(theirs.slots.blue.is_empty() && theirs.slots.green.is_empty());
    let their_place = sample::place("shared");
    let their_plan = h.plan(&their_place, 1);
    let their_claim = claim(&their_plan, 1);
    let filled = async || {
        h.other().ensure(&their_claim, Green, &their_plan).await.expect("filled");
        let seen = h.other().observe(&their_place).await.expect("asked");
        running(&seen.slots.green)
    };
    super::until("theirs runs", async || (filled().await == 1).then_some(())).await;
    assert!(observed(h, &their_place).await.slots.green.is_empty());

    let removed = async || {
        h.other().remove(&their_claim, &their_place, Green).await.expect("removed");
        h.other().observe(&their_place).await.expect("asked").slots.green.is_empty()
    };
    super::until("theirs is gone", async || removed().await.then_some(())).await;
    assert_eq!(running(&observed(h, &place).await.slots.blue), 1);
    assert_eq!(h.served_by(&place).await, Some(Blue));
}

pub async fn preflight_says_who_can_unblock_each_refusal(h: &dyn Harness) {
    let (place, plan) = story(h, "asked");
    make_live(h, Blue, &plan).await;
    let next = h.plan(&place, 1);

    let good = h.target().preflight(&next, Some(Blue)).await.expect("asked");
    let mut huge = next.clone();
    huge.limits.memory_bytes = 1 << 40;
    huge.limits.cpu_millis = 64_000;
    let too_large = h.target().preflight(&huge, Some(Blue)).await.expect("asked");
    let (gone, _) = h.gone_plan(&place);
    let without = h.target().preflight(&gone, Some(Blue)).await.expect("asked");

    assert_eq!(refusals(&good), Vec::<&str>::new(), "{good:?}");
    let (of_image, of_size) = h.refused_questions();
    assert_eq!(refusals(&too_large), of_size);
    assert_eq!(refusals(&without), of_image);
    for one in good.iter().chain(&too_large).chain(&without) {
        assert!(!one.detail.is_empty(), "{one:?}");
    }
    assert!(observed(h, &place).await.slots.green.is_empty(), "asking begins nothing");
    fill(h, &claim(&next, 1), Green, &next).await;
}

pub async fn a_host_name_has_one_placement(h: &dyn Harness) {
    let (place, plan) = story(h, "asked");
    make_live(h, Blue, &plan).await;
    let mut namesake = h.plan(&sample::place("namesake"), 1);
    namesake.place.host_names = place.host_names.clone();

    let taken = h.target().preflight(&namesake, None).await.expect("asked");
    let filled = h.target().ensure(&claim(&namesake, 1), Blue, &namesake).await;

    assert_eq!(refusals(&taken), ["Host names are free"]);
    assert!(taken.iter().all(|one| !one.detail.is_empty()), "{taken:?}");
    // Refused by the write as well.
    assert_refused(filled);
}
