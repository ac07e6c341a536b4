//! What the cluster tells: rights, figures, changes, and what a witness saw of a switch.

use super::{
    harness::Machine,
    rights::{driver, grant, robot},
};
use domain::{
    slot::{
        PerSlot,
        Slot::{Blue, Green},
    },
    target::{Plan, Traffic, Verdict},
};
use futures::StreamExt;
use serde_json::json;
use std::time::{Duration, Instant};
use targets::{
    Hint, Target,
    contract::{Harness, claim, fill, make_live, observed, probe, route_of, until},
    fake::sample,
    kubernetes::{KubernetesTarget, Options, role_yaml},
};

/// Whether something was applied by the roles that are printed alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_role_is_all_that_a_check_asks_for() {
    let machine = Machine::under("restricted").await;

    let access = machine.target.access(&machine.namespace).await.expect("asked");
    assert!(access.iter().all(|granted| granted.is_whole()), "an admin may do all: {access:?}");
    let who = machine.target.subject().await.expect("asked");
    assert!(role_yaml(&machine.namespace, &who).contains(&who));

    let facts = machine.target.check().await.expect("asked");
    println!("{facts:#?}");
    assert!(facts.summary.starts_with("Kubernetes 1."), "{}", facts.summary);
    assert!(facts.cores > 0 && facts.memory_bytes > 1 << 30);
    assert!(facts.findings.iter().all(|finding| finding.verdict != Verdict::Refuse));
}

/// A driver with a service account that has what is printed, and nothing more.
async fn allowed(machine: &Machine) -> KubernetesTarget {
    let (namespace, user) = (&machine.namespace, robot(machine).await);
    let yaml = role_yaml(namespace, &format!("system:serviceaccount:{namespace}:robot"));
    grant(machine, namespace, &yaml).await;
    driver(machine.options(), &user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_role_is_enough_for_a_rollout() {
    let machine = Machine::under("restricted").await;
    let target = allowed(&machine).await;
    let place = sample::place("allowed");
    let plan = machine.plan(&place, 1);

    let findings = target.preflight(&plan, None).await.expect("asked");
    assert!(findings.iter().all(|one| one.verdict != Verdict::Refuse), "{findings:#?}");
    let for_connecting = findings.iter().find(|one| one.question.contains("patterns"));
    assert_eq!(for_connecting, None, "nothing that a rollout asks for");
    let claim = claim(&plan, 1);
    until("it is filled", async || {
        target.ensure(&claim, Blue, &plan).await.expect("filled");
        let said = target.probe(&place, Blue, plan.maker, &probe(&plan)).await.expect("asked");
        (said.len() == 1 && said[0].passed).then_some(())
    })
    .await;
    let seen = target.observe(&place).await.expect("asked").route.expect("a route");
    target.route(&claim, &place, seen.revision, Some(Blue)).await.expect("switched");
    target.usage(std::slice::from_ref(&place)).await.expect("asked");
    target.withdraw(&claim, &place).await.expect("withdrawn");
}

/// The cluster's own fairness gives this account no turn, and says when to come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
    let machine = Machine::under("restricted").await;
    let target = allowed(&machine).await;
    let place = sample::place("patient");
    target.observe(&place).await.expect("looked");
    let turns = Turns::none_for(&machine).await;

    // The first second that it names is waited for; the more it refuses, the longer it names.
    let (seconds, since) = until("it is refused for longer", async || {
        let asked = Instant::now();
        let refused = format!("{:?}", target.observe(&place).await.err()?);
        let (_, named) = refused.split_once("asked not to be asked for ")?;
        let (seconds, _) = named.split_once(" s (429)")?;
        Some((seconds.parse::<u64>().expect("a figure"), asked))
    })
    .await;
    drop(turns);
    until("it is asked again", async || target.observe(&place).await.ok()).await;

    println!("refused for {seconds} s, asked again after {:?}", since.elapsed());
    assert!(seconds >= 2 && since.elapsed() >= Duration::from_secs(seconds - 1), "{seconds}");
}

/// How many requests of the account `robot` the API server takes: none.
struct Turns<'a> {
    machine: &'a Machine,
    paths: [String; 2],
}

impl<'a> Turns<'a> {
    async fn none_for(machine: &'a Machine) -> Self {
        let name = &machine.namespace;
        let group = "apis/flowcontrol.apiserver.k8s.io/v1";
        let paths = [
            format!("/{group}/prioritylevelconfigurations/{name}"),
            format!("/{group}/flowschemas/{name}"),
        ];
        let level = json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": { "name": name },
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 0,
                    "lendablePercent": 0,
                    "borrowingLimitPercent": 0,
                    "limitResponse": { "type": "Reject" },
                },
            },
        });
        let flow = json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": { "name": name },
            "spec": {
                "matchingPrecedence": 100,
                "priorityLevelConfiguration": { "name": name },
                "rules": [{
                    "subjects": [{
                        "kind": "ServiceAccount",
                        "serviceAccount": { "name": "robot", "namespace": name },
                    }],
                    "resourceRules": [{
                        "verbs": ["*"],
                        "apiGroups": ["*"],
                        "resources": ["*"],
                        "namespaces": ["*"],
                        "clusterScope": true,
                    }],
                }],
            },
        });
        for (path, object) in paths.iter().zip([level, flow]) {
            machine.cluster.apply_yaml(path, &object.to_string()).await;
        }
        Self { machine, paths }
    }
}

impl Drop for Turns<'_> {
    /// Also when the test has failed: these stand beside all namespaces.
    fn drop(&mut self) {
        let config = self.machine.cluster.config();
        let paths = self.paths.clone();
        let remover = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let client = kube::Client::try_from(config).expect("credentials");
                for path in &paths {
                    let request = http::Request::delete(path).body(Vec::new()).expect("a request");
                    let removed: kube::Result<serde_json::Value> = client.request(request).await;
                    removed.expect("removed");
                }
            });
        });
        let removed = remover.join();
        if !std::thread::panicking() {
            removed.expect("the account has its turns again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_asks_all_of_it_and_passes_where_all_is_well() {
    let machine = Machine::under("restricted").await;
    let plan = machine.plan(&sample::place("asked"), 1);

    let begun = Instant::now();
    let findings = machine.target.preflight(&plan, None).await.expect("asked");

    println!("{:?}: {findings:#?}", begun.elapsed());
    assert!(findings.iter().all(|one| one.verdict != Verdict::Refuse), "{findings:#?}");
    let level = findings.iter().find(|one| one.question == "Pod Security level");
    assert_eq!(level.map(|one| one.detail.as_str()), Some("restricted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_an_earlier_rollout_stands_in_nobodys_way() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("again");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let failed = machine.plan(&place, 2);
    fill(&machine, &claim(&failed, 1), Green, &failed).await;
    // The first call ends the instances. What made them is there until the next.
    machine.target.remove(&claim(&failed, 1), &place, Green).await.expect("begun");

    let next = machine.plan(&place, 2);
    let findings = machine.target.preflight(&next, Some(Blue)).await.expect("asked");

    assert!(findings.iter().all(|one| one.verdict != Verdict::Refuse), "{findings:#?}");
    fill(&machine, &claim(&next, 1), Green, &next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_heard_by_all_who_listen() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("heard");
    let plan = machine.plan(&place, 1);
    let (mut one, mut two) = (machine.target.watch(), machine.target.watch());
    for hints in [&mut one, &mut two] {
        assert_eq!(hints.next().await, Some(Hint::All), "one at the beginning");
    }
    observed(&machine, &place).await;

    make_live(&machine, Blue, &plan).await;

    for hints in [&mut one, &mut two] {
        let ours = async { while hints.next().await != Some(Hint::Of(place.placement)) {} };
        tokio::time::timeout(Duration::from_secs(5), ours).await.expect("it is heard");
    }
}

async fn traffic(target: &KubernetesTarget, plan: &Plan) -> Traffic {
    target.traffic(&plan.place, 0).await.expect("asked")
}

fn failures(traffic: &Traffic) -> u64 {
    traffic.slots.blue.failures + traffic.slots.green.failures
}

/// Switches once, and looks at what the witness says until the new slot was heard for some seconds.
async fn a_switch_is_witnessed(machine: &Machine, target: &KubernetesTarget, who: &str) {
    let place = sample::place("seen");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(machine, Blue, &old).await;
    // By the driver under test: it makes the witness.
    target.ensure(&claim(&old, 1), Blue, &old).await.expect("made");
    until("the witness hears the old slot", async || {
        target.ensure(&claim(&old, 1), Blue, &old).await.expect("made");
        let traffic = traffic(target, &old).await;
        (traffic.witness == who && traffic.slots.blue.requests > 5).then_some(())
    })
    .await;
    fill(machine, &claim(&new, 1), Green, &new).await;
    let before = traffic(target, &new).await;

    let seen = route_of(machine, &place).await;
    let switched =
        target.route(&claim(&new, 1), &place, seen.revision, Some(Green)).await.expect("switched");
    let after = until("the witness hears the new slot", async || {
        let traffic = traffic(target, &new).await;
        let seconds = &traffic.slots.green.seconds;
        (seconds.iter().filter(|second| second.requests > 0).count() >= 4).then_some(traffic)
    })
    .await;

    println!("{who}: {switched:?} {after:?}");
    assert_eq!(after.boot, before.boot, "one life of the witness");
    assert_eq!(failures(&after), failures(&before), "{after:?}");
    assert!(!after.unseen.is_empty());
    let PerSlot { blue, green } = &after.slots;
    let at = |slot: &domain::target::SlotTraffic| {
        slot.seconds.iter().map(|second| second.at).collect::<Vec<_>>()
    };
    assert_eq!(at(blue), at(green), "each second once, for both");
    assert!(at(blue).windows(2).all(|two| two[1] == two[0] + 1));
    assert!(blue.last_answer_ms < green.last_answer_ms || who.contains("probe"));
    assert_eq!(blue.in_flight, None, "nobody can say");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_witnesses_a_switch() {
    let machine = Machine::under("restricted").await;

    a_switch_is_witnessed(&machine, &machine.target, "the API server's service proxy").await;
}

/// It stands still for as long as a request is waited for, and longer: the service answers all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_stands_still_is_no_failure_of_the_service() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("unseen");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let heard = async |more_than: u64| {
        until("the witness hears the slot", async || {
            machine.target.ensure(&claim(&plan, 1), Blue, &plan).await.ok()?;
            let traffic = traffic(&machine.target, &plan).await;
            (traffic.slots.blue.requests > more_than).then_some(traffic.slots.blue)
        })
        .await
    };
    let before = heard(5).await;

    machine.cluster.tool(&["signal", "kube-apiserver", "STOP"]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    machine.cluster.tool(&["signal", "kube-apiserver", "CONT"]);
    let after = heard(before.requests + 5).await;

    let silent = after.seconds.iter().filter(|second| second.requests == 0).count();
    println!("{silent} seconds in which nobody could tell");
    assert_eq!((before.failures, after.failures), (0, 0), "{after:?}");
    assert!(silent >= 3, "it stood still: {after:?}");
}

/// Where the cluster can fetch an image of the probe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_in_the_cluster_witnesses_a_switch() {
    let Ok(image) = std::env::var("PILOTHOUSE_TEST_PROBE") else {
        println!("skipped: PILOTHOUSE_TEST_PROBE names no image of pilothouse-probe");
        return;
    };
    let machine = Machine::under("restricted").await;
    let target = KubernetesTarget::new(Options {
        probe_image: Some(image.parse().expect("an image")),
        ..machine.options()
    })
    .expect("a driver");

    a_switch_is_witnessed(&machine, &target, "a probe in the cluster").await;
}
