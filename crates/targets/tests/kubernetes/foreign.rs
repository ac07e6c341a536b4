//! Hands of others: seen soon, and never written over.

use super::harness::Machine;
use domain::{
    slot::Slot::{Blue, Green},
    target::Observed,
};
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use targets::{
    Error, Hint, Target,
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

/// What somebody does to a Deployment, how it is told, and how it is undone.
fn edits(image: &str) -> Vec<(&'static str, Value, &'static str, Value)> {
    let spec = |part: Value| json!({ "spec": { "template": { "spec": part } } });
    let app = |mut part: Value| {
        part["name"] = json!("app");
        spec(json!({ "containers": [part] }))
    };
    let tag = format!("{}:1.0.0", image.split_once('@').expect("pinned").0);
    let memory = |limit: &str| json!({ "resources": { "limits": { "memory": limit } } });
    let period = |seconds: u32| json!({ "readinessProbe": { "periodSeconds": seconds } });
    let liveness =
        json!({ "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" } } });
    let removed = json!({ "env": [{ "name": "LEVEL", "$patch": "delete" }] });
    let label = |maker: Value| json!({ "metadata": { "labels": { "pilothouse/release": maker } } });
    let own = |name: &str| json!({ "metadata": { "labels": { name: "somebody-elses" } } });
    let release = "00000000-0000-0000-0000-000000000000";
    vec![
        (
            "image",
            app(json!({ "image": tag })),
            "it runs the image",
            app(json!({ "image": image })),
        ),
        (
            "limit",
            app(memory("48Mi")),
            "its memory limit is 48 MiB, and was made with 32 MiB",
            app(memory("32Mi")),
        ),
        (
            "variable",
            app(json!({ "env": [{ "name": "LEVEL", "value": "hunter2" }] })),
            "its variable LEVEL was added",
            app(removed),
        ),
        (
            "check",
            app(period(7)),
            "its containers[app].readinessProbe.periodSeconds is 7, and was made as 1",
            app(period(1)),
        ),
        (
            "another check",
            app(liveness),
            "its containers[app].livenessProbe was added",
            app(json!({ "livenessProbe": null })),
        ),
        (
            "size",
            json!({ "spec": { "replicas": 0 } }),
            "has 0 replicas, and was made with 1",
            json!({ "spec": { "replicas": 1 } }),
        ),
        ("label", label(json!(release)), "the label pilothouse/release is 00000000-", Value::Null),
        (
            "label by which it is found",
            own("pilothouse/placement"),
            "the label pilothouse/placement is somebody-elses",
            Value::Null,
        ),
    ]
}

/// Rule 10 while a rollout runs: image, limits, variables, checks, size and labels of either slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_edit_of_either_slots_deployment_is_seen_with_its_hand_and_never_written_over() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("hands");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(&machine, Blue, &old).await;
    fill(&machine, &claim(&new, 1), Green, &new).await;
    let clean = observed(&machine, &place).await.changed;
    assert_eq!((clean.blue, clean.green), (None, None), "the API server's own additions are none");
    let pull = new.pull.clone().expect("it is pushed");
    let image = pull.repository.pinned(&pull.digest).to_string();

    for (number, (what, edit, told, undo)) in edits(&image).into_iter().enumerate() {
        // The live slot's and the new one's in turn.
        let (slot, plan) = if number % 2 == 0 { (Green, &new) } else { (Blue, &old) };
        let name = format!("{}-{slot}", place.service);
        let before = machine.cluster.api::<Deployment>(&machine.namespace).get(&name).await;
        let hand = async {
            machine.cluster.edit::<Deployment>(&machine.namespace, &name, edit).await;
        };
        let changed =
            seen_by_watching(&machine, &place, what, hand, |seen| seen.changed.of(slot).clone())
                .await;
        let by_hand = machine.cluster.identity_of(&machine.namespace, &name).await;

        let said = &changed.what;
        assert!(said.contains(&name) && said.contains(told), "{what}: {said}");
        assert!(said.contains(", by kubectl-edit at "), "{what}: {said}");
        assert!(!said.contains("hunter2"), "{what}: {said}");
        assert_eq!(changed.maker, plan.maker, "{what}");
        println!("{what}: {said}");
        // Whatever comes of it, nothing of the hand's is written over.
        let filled = machine.target.ensure(&claim(plan, 1), slot, plan).await;
        println!("{what}: {filled:?}");
        assert_eq!(machine.cluster.identity_of(&machine.namespace, &name).await, by_hand);

        let undo = if undo.is_null() {
            let labels = before.expect("it was there").metadata.labels;
            json!({ "metadata": { "labels": labels } })
        } else {
            undo
        };
        machine.cluster.edit::<Deployment>(&machine.namespace, &name, undo).await;
        until("it is as it was", async || {
            observed(&machine, &place).await.changed.of(slot).is_none().then_some(())
        })
        .await;
    }
}

/// A label of a live pod itself: the usual way to take one out of the traffic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_that_a_hand_put_on_a_pod_is_seen_with_its_hand_and_never_written_over() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("labels");
    let plan = machine.plan(&place, 2);
    make_live(&machine, Blue, &plan).await;
    let pods = observed(&machine, &place).await.slots.blue;
    let clean = pods.iter().all(|one| one.changed.is_none() && one.in_route);
    assert!(clean, "what controllers write is no hand's: {pods:?}");
    let name = pods[0].id.clone();
    let labels = async || machine.cluster.pod(&machine.namespace, &name).await.metadata.labels;
    let before = labels().await.expect("it has some");
    let other = "00000000-0000-0000-0000-000000000000";

    for (key, value) in
        [("pilothouse/routed", "no"), ("pilothouse/release", other), ("pilothouse/maker", other)]
    {
        let written = |value: &str| json!({ "metadata": { "labels": { key: value } } });
        let hand = async {
            machine.cluster.edit::<Pod>(&machine.namespace, &name, written(value)).await;
        };
        let said = seen_by_watching(&machine, &place, key, hand, |seen| {
            seen.slots.blue.iter().find(|one| one.id == name)?.changed.clone()
        })
        .await;
        println!("{said}");
        let told = format!("the label {key} is {value}, and was made as {}", before[key]);
        assert!(said.starts_with(&told) && said.contains(", by kubectl-edit at "), "{said}");

        // As a settled placement does, and as the slot's own rollout does.
        for claim in [settled(&place, 1), claim(&plan, 1)] {
            let filled = machine.target.ensure(&claim, Blue, &plan).await;
            println!("{key}: {filled:?}");
            assert_eq!(labels().await.expect("some")[key], value, "a hand's is left as it is");
        }
        let seen = observed(&machine, &place).await.slots.blue;
        assert!(seen.iter().all(|one| one.maker == plan.maker), "{seen:?}");
        assert_eq!(
            seen.iter().find(|one| one.id == name).expect("there").in_route,
            key != "pilothouse/routed"
        );

        machine.cluster.edit::<Pod>(&machine.namespace, &name, written(&before[key])).await;
        until("it is as it was", async || {
            let seen = observed(&machine, &place).await.slots.blue;
            seen.iter().all(|one| one.changed.is_none() && one.in_route).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_a_hand_added_to_the_previews_selector_keeps_no_later_rollout_from_it() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("canary");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(&machine, Blue, &old).await;
    let name = format!("{}-preview", place.service);
    let added = json!({ "spec": { "selector": { "canary": "yes" } } });
    machine.cluster.patch::<Service>(&machine.namespace, &name, added).await.expect("patched");

    fill(&machine, &claim(&new, 1), Green, &new).await;

    let slot = until("somebody answers behind it", async || {
        let (_, slot) = machine.cluster.ask(&machine.namespace, &name, "/version").await?;
        slot
    })
    .await;
    assert_eq!(slot, "green");
    let services = machine.cluster.api::<Service>(&machine.namespace);
    let selector = services.get(&name).await.expect("there").spec.expect("one").selector;
    assert!(!selector.expect("some").contains_key("canary"));
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
    let told = Told::listen();
    let machine = Machine::under("restricted").await;
    let place = sample::place("expired");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let mut hints = machine.target.watch();
    hints.next().await.expect("one at the beginning");
    let name = format!("{}-blue", place.service);
    // Each kind has been listed and is watched: a change of one is heard as a change, at once.
    let touched = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    while tokio::time::timeout(Duration::from_secs(1), hints.next()).await.is_ok() {}
    machine.cluster.patch::<Deployment>(&machine.namespace, &name, touched).await.expect("patched");
    let heard = tokio::time::timeout(SEEN_WITHIN, hints.next()).await.expect("heard");
    assert_eq!(heard, Some(Hint::Of(place.placement)));

    // While nobody hears it, something happens, and the API server forgets what led there.
    machine.cluster.set_reachable(false);
    let more = json!({"spec": {"replicas": 2}});
    machine.cluster.patch::<Deployment>(&machine.namespace, &name, more).await.expect("patched");
    machine.cluster.tool(&["restart", "kube-apiserver"]);
    while tokio::time::timeout(Duration::from_millis(100), hints.next()).await.is_ok() {}
    machine.cluster.set_reachable(true);

    let begun = Instant::now();
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, hints.next()).await.expect("a hint that it is heard again");
    println!("heard again after {:?}", begun.elapsed());
    // By the API server's own word: what came after where they had been is forgotten.
    let expired = until("a watch is told that it has expired", async || {
        told.all().into_iter().find(|line| line.contains("A watch had expired"))
    })
    .await;
    println!("{expired}");
    assert!(expired.contains("too old resource version"), "{expired}");
    let seen = until("it answers", async || machine.target.observe(&place).await.ok()).await;
    assert_eq!(seen.slots.blue.len(), 2);
    // And it goes on being heard.
    while tokio::time::timeout(Duration::from_secs(1), hints.next()).await.is_ok() {}
    machine.remove_by_hand(&seen.slots.blue[0]).await;
    tokio::time::timeout(SEEN_WITHIN, hints.next()).await.expect("a hint").expect("never ends");
}

/// What the driver says for who reads its log.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// From here on. Each test has a process of its own.
    fn listen() -> Self {
        let told = Self::default();
        tracing::subscriber::set_global_default(told.clone()).expect("nobody listens yet");
        told
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("whole").clone()
    }
}

/// The fields of an event, one after the other.
struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
        of.target().starts_with("targets")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("whole").push(line.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
