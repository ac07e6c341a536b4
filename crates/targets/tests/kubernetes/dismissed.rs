//! A witness in the cluster that is not wanted any more.

use super::harness::Machine;
use domain::slot::{PerSlot, Slot::Blue};
use k8s_openapi::api::apps::v1::Deployment;
use targets::{
    Target,
    contract::{Harness, claim, make_live, settled, until},
    fake::sample,
    kubernetes::KubernetesTarget,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_image_is_named_any_more_the_witness_of_a_settled_placement_goes() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("watched");
    let plan = machine.plan(&place, 1);
    make_live(&machine, Blue, &plan).await;
    let mut options = machine.options();
    options.probe_image = Some("registry.invalid/pilothouse-probe:1".parse().expect("an image"));
    let with = KubernetesTarget::new(options).expect("a driver");
    let name = format!("{}-witness", place.service);
    let all = machine.cluster.api::<Deployment>(&machine.namespace);
    with.ensure(&claim(&plan, 1), Blue, &plan).await.expect("filled");
    all.get(&name).await.expect("it is made");
    // Another's of such a name is none of ours.
    let strange = machine.cluster.strange_deployment(&machine.namespace, "other-witness").await;

    // As the engine does with each placement once its target was changed.
    let without = KubernetesTarget::new(machine.options()).expect("a driver");
    let makers = PerSlot { blue: Some(plan.maker), green: None };
    without.refresh(&settled(&place, 2), &place, &makers).await.expect("refreshed");

    until("it is gone", async || all.get_opt(&name).await.expect("asked").is_none().then_some(()))
        .await;
    let other = sample::place("other");
    let of_other = machine.plan(&other, 1);
    make_live(&machine, Blue, &of_other).await;
    let left = machine.cluster.identity_of(&machine.namespace, "other-witness").await;
    assert_eq!(left, Some(strange));
}
