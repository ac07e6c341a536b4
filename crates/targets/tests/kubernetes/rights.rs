//! What credentials with few rights can do, and what is said about the rest.

use super::harness::Machine;
use domain::target::{Finding, Verdict};
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::api::PostParams;
use serde_json::{Value, json};
use targets::{
    Target,
    contract::Harness,
    fake::sample,
    kubernetes::{KubernetesTarget, Need, Options, needs, role_yaml_of},
};

/// A service account, as the API server calls it.
fn called(machine: &Machine) -> String {
    format!("system:serviceaccount:{}:robot", machine.namespace)
}

/// Makes a service account that may do nothing yet, and the login of a kubeconfig for it.
async fn robot(machine: &Machine) -> Value {
    let namespace = &machine.namespace;
    let account = json!({ "metadata": { "name": "robot" } });
    machine.cluster.make::<ServiceAccount>(namespace, account).await;
    let asked = json!({ "spec": { "expirationSeconds": 600, "audiences": [] } });
    let token: TokenRequest = machine
        .cluster
        .api::<ServiceAccount>(namespace)
        .create_subresource("token", "robot", &PostParams::default(), &asked)
        .await
        .expect("a token");
    json!({ "token": token.status.expect("made").token })
}

/// Applies what is printed for one namespace: the cluster's part is shared by everybody's tests.
async fn grant(machine: &Machine, namespace: &str, yaml: &str) {
    for document in yaml.split("---\n").filter(|text| text.contains(namespace)) {
        let kind = if document.contains("kind: RoleBinding") { "rolebindings" } else { "roles" };
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{kind}/pilothouse");
        machine.cluster.apply_yaml(&path, document).await;
    }
}

fn driver(options: Options, user: &Value) -> KubernetesTarget {
    let mut options = options;
    options.config.auth_info = serde_json::from_value(user.clone()).expect("a login");
    KubernetesTarget::new(options).expect("a driver")
}

fn refused(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|one| one.verdict == Verdict::Refuse).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_refused_for_no_right_that_it_does_without() {
    let machine = Machine::under("restricted").await;
    let user = robot(&machine).await;
    let needed: Vec<Need> = needs(false).into_iter().filter(|need| !need.optional).collect();
    let yaml = role_yaml_of(&needed, &machine.namespace, &called(&machine));
    grant(&machine, &machine.namespace, &yaml).await;
    let target = driver(machine.options(), &user);

    let plan = machine.plan(&sample::place("frugal"), 1);
    let findings = target.preflight(&plan, None).await.expect("asked");

    assert_eq!(refused(&findings), Vec::<&Finding>::new(), "{findings:#?}");
    let logs = findings.iter().find(|one| one.detail.contains("logs can't be read"));
    assert_eq!(logs.map(|one| one.verdict), Some(Verdict::Warn), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_grants_nothing_answers_and_rolls_nothing_out() {
    let machine = Machine::under("restricted").await;
    let user = robot(&machine).await;
    let fixed = machine.namespace.parse().expect("a pattern");
    let target = driver(Options { namespaces: fixed, ..machine.options() }, &user);

    let facts = target.check().await.expect("it answers");
    assert_eq!(refused(&facts.findings), Vec::<&Finding>::new(), "{facts:#?}");
    let told = |one: &Finding| one.detail.contains("nothing can be rolled out");
    assert!(facts.findings.iter().any(told), "{facts:#?}");

    let plan = machine.plan(&sample::place("poor"), 1);
    let findings = target.preflight(&plan, None).await.expect("asked");
    assert!(refused(&findings).into_iter().any(told), "{findings:#?}");
}
