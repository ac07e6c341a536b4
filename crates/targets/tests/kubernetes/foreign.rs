//! Hands of others: seen soon, and never written over.

use super::harness::Machine;
use domain::{
    slot::Slot::{Blue, Green},
    target::Observed,
};
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use serde_json::json;
use std::time::{Duration, Instant};
use targets::{
    Error, Target,
    contract::{Harness, claim, fill, make_live, observed, route_of, settled, until},
    fake::sample,
};

/// How long a change by hand may stay unseen.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Looks whenever the target hints at something, until it is seen.
async fn seen_by_watching<T>(
    machine: &Machine,
    place: &domain::target::Place,
    what: &str,
    hand: impl Future<Output = ()>,
    mut look: impl FnMut(&Observed) -> Option<T>,
) -> T {
    let mut hints = machine.target.watch();
    hints.next().await.expect("one at the beginning");
    while tokio::time::timeout(Duration::from_millis(700), hints.next()).await.is_ok() {}
    hand.await;
    let begun = Instant::now();
    loop {
        let hint = tokio::time::timeout(SEEN_WITHIN, hints.next()).await;
        hint.unwrap_or_else(|_| panic!("no hint in {SEEN_WITHIN:?}: {what}")).expect("never ends");
        if let Some(found) = look(&observed(machine, place).await) {
            println!("{what}: seen after {:?}", begun.elapsed());
            return found;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "not seen in {SEEN_WITHIN:?}: {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_selector_is_seen_soon_and_not_written_over() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("edited");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(&machine, Blue, &old).await;
    fill(&machine, &claim(&new, 1), Green, &new).await;
    let before = route_of(&machine, &place).await;

    let hand = machine.switch_by_hand(&place, Some(Green), "");
    let route = seen_by_watching(&machine, &place, "the selector", hand, |seen| {
        seen.route.clone().filter(|route| route.foreign.is_some())
    })
    .await;

    assert_eq!(route.live, Some(Green));
    let ours = machine.target.route(&claim(&new, 1), &place, before.revision, Some(Blue)).await;
    assert!(matches!(ours, Err(Error::Stale { .. })), "{ours:?}");
    machine.target.ensure(&settled(&place, 1), Blue, &old).await.ok();
    machine.target.fence(&settled(&place, 2), &place).await.expect("claimed");
    assert_eq!(machine.served_by(&place).await, Some(Green), "nothing but a route moves it back");
    assert!(route_of(&machine, &place).await.foreign.is_some(), "and it is not forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_what_runs_are_seen_soon() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("patched");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let name = format!("{}-blue", place.service);
    let edit = async |change: serde_json::Value| {
        let patched = machine.cluster.patch::<Deployment>(&machine.namespace, &name, change).await;
        patched.expect("patched");
    };

    seen_by_watching(
        &machine,
        &place,
        "the size",
        edit(json!({"spec": {"replicas": 3}})),
        |seen| (seen.slots.blue.len() == 3).then_some(()),
    )
    .await;
    edit(json!({"spec": {"replicas": 1}})).await;
    until("it is as it was", async || {
        (observed(&machine, &place).await.slots.blue.len() == 1).then_some(())
    })
    .await;

    let deployment = machine.cluster.api::<Deployment>(&machine.namespace).get(&name).await;
    let pod = deployment.expect("there").spec.and_then(|spec| spec.template.spec).expect("a pod");
    let container = &pod.containers[0];
    // The same image under a name that anybody may move.
    let pinned = container.image.as_deref().expect("an image");
    let image = format!("{}:1.0.0", pinned.split_once('@').expect("pinned").0);
    let containers = json!([{ "name": container.name, "image": image }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let by_hand = async {
        let all = machine.cluster.api::<Deployment>(&machine.namespace);
        let change = kube::api::Patch::Strategic(change);
        all.patch(&name, &Default::default(), &change).await.expect("patched");
    };
    let changed = seen_by_watching(&machine, &place, "the image", by_hand, |seen| {
        seen.slots.blue.iter().find_map(|one| one.changed.clone())
    })
    .await;
    assert!(changed.contains("image"), "{changed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_installation_sees_nothing_of_ours_and_takes_no_name_of_ours() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("shared");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let before = observed(&machine, &place).await;
    let rival = machine.rival();

    // The very same placement, as after a copied database, in the very same namespace.
    let seen = rival.observe(&place).await.expect("asked");
    let filled = rival.ensure(&claim(&plan, 9), Green, &plan).await;
    let emptied = rival.remove(&claim(&plan, 9), &place, Blue).await;

    assert_eq!((seen.route, seen.slots.blue.len()), (None, 0));
    assert!(matches!(filled, Err(Error::Refused { .. })), "{filled:?}");
    assert!(!matches!(emptied, Err(Error::Stale { .. })), "{emptied:?}");
    let after = observed(&machine, &place).await;
    assert_eq!((after.route, after.slots.blue.len()), (before.route, 1));
    let services = machine.cluster.api::<Service>(&machine.namespace);
    let all = services.list(&Default::default()).await.expect("Services").items;
    assert!(all.iter().all(|one| one.metadata.name.as_deref() != Some("shared-green")));
    assert_eq!(machine.served_by(&place).await, Some(Blue));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_has_expired_begins_again_and_misses_nothing() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("expired");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let mut hints = machine.target.watch();
    hints.next().await.expect("one at the beginning");

    // While nobody hears it, something happens, and the API server forgets what led there.
    machine.cluster.set_reachable(false);
    let name = format!("{}-blue", place.service);
    let more = json!({"spec": {"replicas": 2}});
    machine.cluster.patch::<Deployment>(&machine.namespace, &name, more).await.expect("patched");
    machine.cluster.tool(&["restart", "kube-apiserver"]);
    while tokio::time::timeout(Duration::from_millis(100), hints.next()).await.is_ok() {}
    machine.cluster.set_reachable(true);

    let begun = Instant::now();
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, hints.next()).await.expect("a hint that it is heard again");
    println!("heard again after {:?}", begun.elapsed());
    let seen = until("it answers", async || machine.target.observe(&place).await.ok()).await;
    assert_eq!(seen.slots.blue.len(), 2);
    // And it goes on being heard.
    while tokio::time::timeout(Duration::from_secs(1), hints.next()).await.is_ok() {}
    machine.remove_by_hand(&seen.slots.blue[0]).await;
    tokio::time::timeout(SEEN_WITHIN, hints.next()).await.expect("a hint").expect("never ends");
}
