//! What credentials with few rights can do, and what is said about the rest.

use super::{harness::Machine, refused::kubeconfig};
use base64::Engine as _;
use domain::{
    namespace::NamespacePattern,
    target::{Finding, Verdict, cluster::ClusterSeen},
};
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::api::PostParams;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use targets::{
    Target,
    contract::{Harness, until},
    fake::sample,
    kubernetes::{Clusters, KubernetesTarget, Need, Options, needs, role_yaml_of},
    open::{OPEN_WITHIN, Open, Reached},
    outgoing::Outgoing,
};

/// A service account, as the API server calls it.
fn called(machine: &Machine) -> String {
    format!("system:serviceaccount:{}:robot", machine.namespace)
}

/// Makes a service account that may do nothing yet, and the login of a kubeconfig for it.
pub async fn robot(machine: &Machine) -> Value {
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
pub async fn grant(machine: &Machine, namespace: &str, yaml: &str) {
    let of_it =
        |document: &&str| document.contains(&format!("pilothouse\n  namespace: \"{namespace}\""));
    for document in yaml.split("---\n").filter(of_it) {
        let kind = if document.contains("kind: RoleBinding") { "rolebindings" } else { "roles" };
        let path =
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{kind}/pilothouse");
        machine.cluster.apply_yaml(&path, document).await;
    }
}

pub fn driver(options: Options, user: &Value) -> KubernetesTarget {
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
    let yaml = role_yaml_of(&needed, &[&machine.namespace], &called(&machine));
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

    let everywhere = driver(machine.options(), &user);
    let facts = everywhere.check().await.expect("it answers");
    assert!(!facts.findings.iter().any(told), "nobody needs that in all namespaces: {facts:#?}");

    let plan = machine.plan(&sample::place("poor"), 1);
    let findings = target.preflight(&plan, None).await.expect("asked");
    assert!(refused(&findings).into_iter().any(told), "{findings:#?}");
}

/// A kubeconfig of the service account, whose context names the machine's namespace.
fn pasted(machine: &Machine, user: &Value) -> Value {
    let config = machine.cluster.config();
    let pem = |der: &Vec<u8>| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    let authority: String = config.root_cert.iter().flatten().map(pem).collect();
    let text = kubeconfig(&config.cluster_url.to_string(), authority.as_bytes(), user);
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    // The way to the API server can be made long; its certificate is the server's own.
    file["clusters"][0]["cluster"]["tls-server-name"] = config.tls_server_name.into();
    file["contexts"][0]["context"]["namespace"] = machine.namespace.clone().into();
    file
}

async fn look(machine: &Machine, file: &Value, used: &[String]) -> ClusterSeen {
    let allowed = vec!["127.0.0.1".parse().expect("an address")];
    let clusters = Clusters::new(machine.installation, Outgoing::new(allowed));
    let (text, namespaces) = (file.to_string(), NamespacePattern::default());
    let reached = Reached {
        name: "tests",
        credentials: Some(&text),
        context: None,
        namespaces: &namespaces,
        probe_image: None,
        entrance: None,
        used,
    };
    let looked = tokio::time::timeout(OPEN_WITHIN, clusters.look(&reached)).await;
    looked.expect("in time").expect("it answers")
}

/// The namespaces of the roles that are printed.
fn printed(seen: &ClusterSeen) -> Vec<&str> {
    seen.role
        .split("---\n")
        .filter(|document| document.contains("\nkind: Role\n"))
        .filter_map(|document| document.split('"').nth(1))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_nothing_is_given_the_roles_that_are_missing() {
    let machine = Machine::under("restricted").await;
    let user = robot(&machine).await;
    let file = pasted(&machine, &user);
    let (own, other) = (machine.namespace.clone(), format!("{}-other", machine.cluster.prefix));

    let seen = look(&machine, &file, &[]).await;
    assert_eq!(seen.namespaces, None, "they may not be listed");
    assert_eq!(printed(&seen), [own.as_str()], "{}", seen.role);
    assert!(seen.role.contains("kind: ClusterRoleBinding"), "{}", seen.role);
    assert!(seen.needs.iter().all(|need| need.missing == need.verbs), "{:#?}", seen.needs);

    let both = [own.clone(), other.clone()];
    let seen = look(&machine, &file, &both).await;
    assert_eq!(printed(&seen), [own.as_str(), other.as_str()], "{}", seen.role);

    grant(&machine, &own, &seen.role).await;
    let seen = until("it is granted", async || {
        let seen = look(&machine, &file, &both).await;
        (printed(&seen) == [other.as_str()]).then_some(seen)
    })
    .await;
    let missing = |namespace: Option<&str>| {
        let of_it = seen.needs.iter().filter(|need| need.namespace.as_deref() == namespace);
        of_it.filter(|need| !need.missing.is_empty()).count()
    };
    assert_eq!(missing(Some(&own)), 0, "{:#?}", seen.needs);
    assert!(missing(Some(&other)) > 0 && missing(None) > 0, "{:#?}", seen.needs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_far_away_says_in_time_what_it_grants_in_many_namespaces() {
    let machine = Machine::under("restricted").await;
    let user = robot(&machine).await;
    let file = pasted(&machine, &user);
    let many: Vec<String> = (0..9).map(|at| format!("shop-{at}")).collect();
    machine.cluster.set_long(Duration::from_millis(300));

    let begun = Instant::now();
    let seen = look(&machine, &file, &many).await;

    println!("{} things in {:?}", seen.needs.len(), begun.elapsed());
    assert_eq!(printed(&seen), many[..8], "no more than eight are asked about");
    let told = |one: &Finding| one.detail.contains("in 8 of 9");
    assert!(seen.findings.iter().any(told), "{:#?}", seen.findings);
}
