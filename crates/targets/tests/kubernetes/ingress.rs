//! The way in from outside, as an object that the real API server took. No controller that would serve
//! it is on the cluster of the tests: what we own is the object.

use super::harness::Machine;
use domain::{
    slot::Slot::{Blue, Green},
    target::{Finding, Place, Verdict, entrance::Entrance},
};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::json;
use targets::{
    Target,
    contract::{Harness, claim, fill, make_live, route_of, settled, until},
    fake::sample,
    kubernetes::KubernetesTarget,
};

fn entrance(class: Option<&str>) -> Entrance {
    Entrance {
        hosts: "{service}.example.com".parse().expect("a pattern"),
        class: class.map(|class| class.parse().expect("a name")),
        certificate: Some("wildcard".parse().expect("a name")),
    }
}

/// A place with a host name as control gives it from that pattern.
fn place(service: &str) -> Place {
    let mut place = sample::place(service);
    place.host_names = vec![format!("{service}.example.com").parse().expect("a host name")];
    place.preview_host_names.clear();
    place
}

/// The same installation's driver, made anew: as after a restart, or of another choice.
fn driver(machine: &Machine, entrance: Option<Entrance>) -> KubernetesTarget {
    KubernetesTarget::new(machine.options()).expect("a driver").entered_by(entrance)
}

async fn there(machine: &Machine, name: &str) -> Option<Ingress> {
    let all = machine.cluster.api::<Ingress>(&machine.namespace);
    all.get_opt(name).await.expect("asked")
}

async fn is(machine: &Machine, name: &str) -> Ingress {
    there(machine, name).await.unwrap_or_else(|| panic!("there is no Ingress {name}"))
}

fn way_in(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().find(|one| one.question == "Way in from outside")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_in_is_made_kept_through_switches_and_restarts_and_goes_with_its_placement() {
    let mut machine = Machine::under("restricted").await;
    machine.target = driver(&machine, Some(entrance(Some("internal"))));
    let place = place("entered");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    let said = machine.target.preflight(&old, None).await.expect("asked");
    let said = way_in(&said).expect("it is asked");
    assert_eq!(said.verdict, Verdict::Pass, "{said:?}");
    assert!(said.detail.contains("entered.example.com"), "{said:?}");
    assert!(there(&machine, "entered").await.is_none(), "a question makes nothing");

    make_live(&machine, Blue, &old).await;
    let made = is(&machine, "entered").await;
    let spec = serde_json::to_value(made.spec.clone().expect("a spec")).expect("JSON");
    assert_eq!(spec["ingressClassName"], "internal");
    assert_eq!(spec["rules"][0]["host"], "entered.example.com");
    let backend = &spec["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(backend, &json!({ "name": "entered", "port": { "name": "http" } }));
    assert_eq!(spec["tls"][0]["secretName"], "wildcard");
    let by = made.managed_fields().iter().filter_map(|one| one.manager.as_deref());
    assert_eq!(by.collect::<Vec<_>>(), ["pilothouse"]);

    // A switch moves the Service, and asking again changes nothing.
    fill(&machine, &claim(&new, 1), Green, &new).await;
    let revision = route_of(&machine, &place).await.revision;
    machine.target.route(&claim(&new, 1), &place, revision, Some(Green)).await.expect("switched");
    machine.target = driver(&machine, Some(entrance(Some("internal"))));
    machine.target.ensure(&settled(&place, 1), Green, &new).await.expect("kept");
    let after = is(&machine, "entered").await;
    assert_eq!(
        (after.uid(), after.resource_version()),
        (made.uid(), made.resource_version()),
        "nobody wrote it"
    );

    // Somebody's removal is healed, and another choice is carried out.
    let all = machine.cluster.api::<Ingress>(&machine.namespace);
    all.delete("entered", &Default::default()).await.expect("removed");
    machine.target.ensure(&settled(&place, 1), Green, &new).await.expect("kept");
    assert!(there(&machine, "entered").await.is_some(), "it is made again");
    machine.target = driver(&machine, Some(entrance(None)));
    let makers = domain::slot::PerSlot { blue: Some(old.maker), green: Some(new.maker) };
    machine.target.refresh(&settled(&place, 1), &place, &makers).await.expect("refreshed");
    let class = is(&machine, "entered").await.spec.and_then(|spec| spec.ingress_class_name);
    assert_eq!(class, None, "the class that was ours is gone");

    machine.target.withdraw(&settled(&place, 1), &place).await.expect("withdrawn");
    until("it is gone", async || there(&machine, "entered").await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_pattern_there_is_no_way_in_and_one_of_before_is_taken_away() {
    let mut machine = Machine::under("restricted").await;
    let mut place = place("inside");
    machine.target = driver(&machine, Some(entrance(None)));
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    assert!(there(&machine, "inside").await.is_some());

    machine.target = driver(&machine, None);
    place.host_names.clear();
    let makers = domain::slot::PerSlot { blue: Some(plan.maker), green: None };
    machine.target.refresh(&settled(&place, 1), &place, &makers).await.expect("refreshed");

    until("it is gone", async || there(&machine, "inside").await.is_none().then_some(())).await;
    let plan = machine.plan(&place, 1);
    let said = machine.target.preflight(&plan, Some(Blue)).await.expect("asked");
    assert_eq!(way_in(&said), None, "nobody asks for it");
    let access = machine.target.access(&machine.namespace).await.expect("asked");
    assert!(access.iter().all(|granted| granted.need.resource != "ingresses"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_ingress_is_said_before_anything_is_made_and_never_touched() {
    let mut machine = Machine::under("restricted").await;
    machine.target = driver(&machine, Some(entrance(None)));
    let place = place("taken");
    let plan = machine.plan(&place, 1);
    let backend = json!({ "service": { "name": "theirs", "port": { "number": 80 } } });
    let theirs = json!({
        "metadata": { "name": "taken" },
        "spec": { "defaultBackend": backend },
    });
    machine.cluster.make::<Ingress>(&machine.namespace, theirs).await;
    let before = is(&machine, "taken").await;

    let said = machine.target.preflight(&plan, None).await.expect("asked");
    let said = way_in(&said).expect("it is asked");
    assert_eq!(said.verdict, Verdict::Refuse, "{said:?}");
    assert!(said.detail.contains("taken is taken by an Ingress of somebody else"), "{said:?}");

    // Who asks all the same gets everything else.
    make_live(&machine, Blue, &plan).await;
    machine.target.withdraw(&settled(&place, 1), &place).await.expect("withdrawn");
    let after = is(&machine, "taken").await;
    assert_eq!((after.uid(), after.resource_version()), (before.uid(), before.resource_version()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_edited_on_it_is_left_and_told() {
    let mut machine = Machine::under("restricted").await;
    machine.target = driver(&machine, Some(entrance(Some("internal"))));
    let place = place("edited-in");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let theirs = json!({ "spec": { "ingressClassName": "external" } });
    let patched = machine.cluster.patch::<Ingress>(&machine.namespace, "edited-in", theirs).await;
    patched.expect("patched");

    machine.target.ensure(&settled(&place, 1), Blue, &plan).await.expect("the rest is kept");

    let class = is(&machine, "edited-in").await.spec.and_then(|spec| spec.ingress_class_name);
    assert_eq!(class.as_deref(), Some("external"), "a hand's edit is not written over");
    let said = machine.target.preflight(&plan, Some(Blue)).await.expect("asked");
    let said = way_in(&said).expect("it is asked");
    assert_eq!(said.verdict, Verdict::Warn, "{said:?}");
    assert!(said.detail.contains("left as it is"), "{said:?}");
}
