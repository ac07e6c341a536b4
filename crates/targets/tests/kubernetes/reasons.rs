//! Why something does not come up, in words.

use super::harness::{Machine, hello};
use domain::{
    slot::Slot::{Blue, Green},
    target::{Place, Plan, Verdict},
};
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::json;
use targets::{
    Error, Target,
    contract::{Harness, claim, make_live, observed, probe, until},
    fake::sample,
};

/// All that the driver says of the instances in blue, and of why there are none.
async fn told(machine: &Machine, plan: &Plan) -> String {
    let place: &Place = &plan.place;
    let refused = match machine.target.ensure(&claim(plan, 1), Blue, plan).await {
        Ok(()) => String::new(),
        Err(Error::Refused { reason, .. } | Error::Full { reason, .. }) => reason,
        Err(error) => format!("{error:?}"),
    };
    let seen = observed(machine, place).await.slots.blue;
    let answers = machine.target.probe(place, Blue, plan.maker, &probe(plan)).await;
    let said: Vec<String> = answers.into_iter().flatten().map(|answer| answer.said).collect();
    format!("{refused} {seen:?} {said:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_can_not_be_pulled_is_told_with_its_reason() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("absent");
    let mut plan = machine.plan(&place, 1);
    let mut nowhere = hello();
    nowhere.digest = format!("sha256:{}", "0".repeat(64)).parse().expect("a digest");
    plan.pull = Some(nowhere);

    let said = until("it is told", async || {
        let said = told(&machine, &plan).await;
        said.contains("can't be pulled").then_some(said)
    })
    .await;

    assert!(said.contains("not found") || said.contains("not there"), "{said}");
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_is_told_with_its_code_and_the_live_slot_is_left_alone() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("crashes");
    let good = machine.plan(&place, 1);
    make_live(&machine, Green, &good).await;
    let plan = machine.dying_plan(&place);

    let said = until("it is told", async || {
        let said = told(&machine, &plan).await;
        said.contains("exit code 1").then_some(said)
    })
    .await;

    println!("{said}");
    assert_eq!(machine.served_by(&place).await, Some(Green));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_fits_one_slot_and_not_two_is_refused_with_its_figures() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("tight");
    // Instances of 32 MiB: three fit.
    let hard = json!({ "limits.memory": "96Mi", "limits.cpu": "2", "requests.cpu": "2" });
    let quota = json!({ "metadata": { "name": "small" }, "spec": { "hard": hard } });
    machine.cluster.make::<ResourceQuota>(&machine.namespace, quota).await;
    let plan = machine.plan(&place, 2);
    make_live(&machine, Blue, &plan).await;
    let next = machine.plan(&place, 2);

    let findings = machine.target.preflight(&next, Some(Blue)).await.expect("asked");
    let refused: Vec<_> = findings.iter().filter(|one| one.verdict == Verdict::Refuse).collect();

    assert_eq!(refused.len(), 1, "{findings:#?}");
    let detail = &refused[0].detail;
    assert!(detail.contains("small") && detail.contains("96"), "{detail}");
    // One instance less, and both slots fit.
    let smaller = machine.plan(&place, 1);
    let findings = machine.target.preflight(&smaller, Some(Blue)).await.expect("asked");
    assert!(findings.iter().all(|one| one.verdict != Verdict::Refuse), "{findings:#?}");
    // Who begins all the same is told by the cluster, and nothing of the live slot is touched.
    let said = until("it is told", async || {
        let filled = machine.target.ensure(&claim(&next, 1), Green, &next).await;
        let seen = observed(&machine, &place).await.slots.green;
        let said = format!("{filled:?} {seen:?}");
        (said.contains("quota")).then_some(said)
    })
    .await;
    println!("{said}");
    assert_eq!(machine.served_by(&place).await, Some(Blue));
}

/// What the cluster would say of pods only, after a Deployment of them was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_the_namespace_or_its_nodes_would_not_start_is_refused_before_anything_is_begun()
 {
    let machine = Machine::under("restricted").await;
    let place = sample::place("rooted");
    let refused = async |plan: &Plan| {
        let findings = machine.target.preflight(plan, None).await.expect("asked");
        let refused = findings.into_iter().filter(|one| one.verdict == Verdict::Refuse);
        refused.map(|one| (one.question, one.detail)).collect::<Vec<_>>()
    };
    let mut root = machine.root_plan(&place);
    root.root_allowed = true;
    let mut word = machine.plan(&place, 1);
    word.image_user = "app".to_owned();

    let of_root = refused(&root).await;
    let of_word = refused(&word).await;

    assert_eq!(of_root.len(), 1, "{of_root:?}");
    assert_eq!(of_root[0].0, "Pod Security level");
    let (level, namespace) = ("restricted", machine.namespace.as_str());
    assert!(of_root[0].1.contains(level) && of_root[0].1.contains(namespace), "{of_root:?}");
    assert_eq!(of_word.len(), 1, "{of_word:?}");
    assert!(of_word[0].1.contains("as a number"), "{of_word:?}");
    // It is so: a pod of that root is forbidden by the cluster itself.
    let said = until("it is told", async || {
        let said = told(&machine, &root).await;
        said.contains("Pod Security level").then_some(said)
    })
    .await;
    println!("{said}");
}
