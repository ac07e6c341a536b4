//! What a plan is on a cluster: pure, so that "no privilege, always a limit, never a tag" is a test
//! and not a hope. Objects are JSON as the API server takes it, which refuses a field it does not
//! know; typed structs would drop it silently.

use super::{changed::Made, compared::Applied, names, names::Names};
use domain::{
    slot::Slot,
    target::{Claim, Login, Place, Plan, Pull, entrance::INSIDE_PORT, is_root},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// How the one container of a pod is called.
pub(super) const CONTAINER: &str = "app";
/// The port's name, in pods and Services: so the number may differ from slot to slot.
pub(super) const PORT: &str = "http";
/// The epoch of the claim under which something was written last.
pub(super) const EPOCH: &str = "pilothouse/epoch";
/// How many pods we asked for. Who asked for another number is somebody else.
pub(super) const SIZE: &str = "pilothouse/size";
/// What a Deployment's pods are made with, to be compared.
pub(super) const MADE: &str = "pilothouse/made";
/// All that a Deployment's pods were written with, to be compared.
pub(super) const APPLIED: &str = "pilothouse/applied";
/// Which instance a pod is.
pub(super) const NUMBER: &str = "pilothouse/number";
/// For which move of the traffic a slot's pods were started again.
pub(super) const GOODBYE: &str = "pilothouse/goodbye";
/// When the cluster was last asked to try again what it had no room for.
pub(super) const AGAIN: &str = "pilothouse/again";

/// How long a pod goes on answering after it was told to end, before it is: the packet rules of the
/// nodes are written at most once a second, and until then new connections still come.
const LINGER: Duration = Duration::from_secs(3);
/// The most that `/tmp` takes; it counts against the memory limit.
const LARGEST_TMP: u64 = 64 << 20;

/// What the selector of a Service is that leads to `slot`, or to nobody.
///
/// To nobody is a selector that no pod fits. Without one, the cluster would leave the addresses as
/// they were.
pub(super) fn leads_to(
    place: &Place,
    installation: Uuid,
    slot: Option<Slot>,
) -> BTreeMap<String, String> {
    [
        (names::INSTALLATION, installation.to_string()),
        (names::PLACEMENT, place.placement.to_string()),
        (names::SLOT, slot.map_or("none", Slot::as_str).to_owned()),
        (names::ROUTED, names::YES.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A Service of ours, the active one or the preview.
pub(super) fn service(
    place: &Place,
    installation: Uuid,
    name: &str,
    slot: Option<Slot>,
    annotations: &BTreeMap<String, String>,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "labels": names::of_place(place, installation),
            "annotations": annotations,
        },
        "spec": {
            "selector": leads_to(place, installation, slot),
            "ports": [{
                "name": PORT,
                "port": INSIDE_PORT,
                "targetPort": PORT,
                "protocol": "TCP",
                // What connections carry is the service's own matter.
                "appProtocol": "http",
            }],
        },
    })
}

/// The Deployment of a slot.
pub(super) fn deployment(
    plan: &Plan,
    pull: &Pull,
    claim: &Claim,
    slot: Slot,
    installation: Uuid,
    grace: Duration,
) -> Value {
    let made = Made::of(plan, pull).to_text();
    // One more than wanted, so that somebody always answers; and where there are others, one fewer,
    // so that a quota without room for one more holds nothing up.
    let fewer = i32::from(plan.size > 1);
    let (labels, pod) =
        (names::of_pod(plan, installation, slot), pod(plan, pull, slot, installation, grace));
    let applied = Applied { labels, pod };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": Names::of(&plan.place).deployment(slot),
            "labels": &applied.labels,
            "annotations": {
                EPOCH: claim.epoch.to_string(),
                SIZE: plan.size.to_string(),
                MADE: &made,
                APPLIED: applied.to_text(),
            },
        },
        "spec": {
            "replicas": plan.size,
            // A change is another slot: nobody goes back by old ReplicaSets.
            "revisionHistoryLimit": 1,
            "selector": { "matchLabels": names::of_slot(&plan.place, installation, slot) },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": 1, "maxUnavailable": fewer },
            },
            "template": {
                "metadata": { "labels": pod_labels(plan, installation, slot), "annotations": { MADE: &made } },
                "spec": &applied.pod,
            },
        },
    })
}

fn pod_labels(plan: &Plan, installation: Uuid, slot: Slot) -> BTreeMap<String, String> {
    let mut labels = names::of_pod(plan, installation, slot);
    labels.insert(names::ROUTED.to_owned(), names::YES.to_owned());
    labels
}

fn pod(plan: &Plan, pull: &Pull, slot: Slot, installation: Uuid, grace: Duration) -> Value {
    let mut security = json!({
        // Only what really runs as root is let: a way back is open to it whatever the policy says now, and
        // the rest must not be taken for it by a namespace that is strict.
        "runAsNonRoot": !(plan.root_allowed && is_root(&plan.user())),
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if let Some(user) = plan.spec.user {
        security["runAsUser"] = user.into();
        security["runAsGroup"] = user.into();
    }
    let mut pod = json!({
        "automountServiceAccountToken": false,
        // A pod gets no variable for each Service of its namespace: those are not the plan's.
        "enableServiceLinks": false,
        "securityContext": security,
        "terminationGracePeriodSeconds": (LINGER + grace).as_secs(),
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": names::of_slot(&plan.place, installation, slot) },
        }],
        "containers": [container(plan, pull)],
    });
    if pull.login.is_some() {
        let name = Names::of(&plan.place).login(slot);
        pod["imagePullSecrets"] = json!([{ "name": name }]);
    }
    if !plan.spec.writable_root {
        let size = (plan.limits.memory_bytes / 2).min(LARGEST_TMP).to_string();
        pod["volumes"] =
            json!([{ "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": size } }]);
    }
    pod
}

fn container(plan: &Plan, pull: &Pull) -> Value {
    let configuration = Names::of(&plan.place).configuration(plan.configuration);
    let mut container = json!({
        "name": CONTAINER,
        // By digest, so it is the same whoever fetches it when.
        "image": pull.repository.pinned(&pull.digest).to_string(),
        "imagePullPolicy": "IfNotPresent",
        "envFrom": [
            { "configMapRef": { "name": configuration } },
            { "secretRef": { "name": configuration } },
        ],
        "env": environment(plan),
        "resources": resources(plan),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": !plan.spec.writable_root,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if !plan.spec.command.is_empty() {
        // Replaces the image's command and leaves its entry point, as an engine does.
        container["args"] = json!(plan.spec.command);
    }
    if !plan.spec.writable_root {
        container["volumeMounts"] = json!([{ "name": "tmp", "mountPath": "/tmp" }]);
    }
    if let Some(port) = plan.spec.exposure.port() {
        container["ports"] = json!([{ "name": PORT, "containerPort": port, "protocol": "TCP" }]);
        container["readinessProbe"] = readiness(plan);
        container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": LINGER.as_secs() } } });
    }
    container
}

/// The service's own check, in whole seconds as a kubelet takes it.
fn readiness(plan: &Plan) -> Value {
    let check = &plan.spec.readiness;
    let seconds = |duration: Duration| duration.as_millis().div_ceil(1000).clamp(1, 3600);
    let mut asked = json!({ "path": check.path.as_str(), "port": PORT, "scheme": "HTTP" });
    if let Some(host) = plan.place.host_names.first() {
        // The name a real request would come with; some services answer no other.
        asked["httpHeaders"] = json!([{ "name": "Host", "value": host.as_str() }]);
    }
    json!({
        "httpGet": asked,
        "periodSeconds": seconds(check.interval),
        "timeoutSeconds": seconds(check.timeout),
        "failureThreshold": check.retries.max(1),
        "successThreshold": 1,
    })
}

/// Memory is given to nobody else. Of a core a quarter is kept, and the rest shared with whoever
/// needs it at the moment: a limit is for the worst minute, not for the usual one.
fn resources(plan: &Plan) -> Value {
    let limits = &plan.limits;
    let memory = limits.memory_bytes.to_string();
    let kept = limits.cpu_millis.div_ceil(4).max(1);
    json!({
        "limits": { "cpu": format!("{}m", limits.cpu_millis), "memory": &memory },
        "requests": { "cpu": format!("{kept}m"), "memory": &memory },
    })
}

/// Ours, which nobody can take over: a single variable goes before those of a configuration.
fn environment(plan: &Plan) -> Vec<Value> {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let mut all = vec![
        json!({ "name": "PILOTHOUSE_SLOT", "valueFrom": field(&format!("metadata.labels['{}']", names::SLOT)) }),
        json!({ "name": "PILOTHOUSE_INSTANCE", "valueFrom": field("metadata.name") }),
        json!({ "name": "PILOTHOUSE_RELEASE", "value": plan.release_name.to_string() }),
        json!({ "name": "PILOTHOUSE_SERVICE", "value": plan.place.service.to_string() }),
        json!({ "name": "PILOTHOUSE_ENVIRONMENT", "value": plan.place.environment.to_string() }),
    ];
    if let Some(port) = plan.spec.exposure.port() {
        all.push(json!({ "name": "PORT", "value": port.to_string() }));
    }
    all
}

/// The variables that are no secrets.
pub(super) fn config_map(plan: &Plan, installation: Uuid) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": of_configuration(plan, installation),
        "immutable": true,
        "data": data(plan.variables.plain()),
    })
}

/// The secrets among the variables.
pub(super) fn secret(plan: &Plan, installation: Uuid) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": of_configuration(plan, installation),
        "immutable": true,
        "stringData": data(plan.variables.secret()),
    })
}

fn data<'a>(
    variables: impl Iterator<Item = (&'a domain::name::VariableName, &'a str)>,
) -> Map<String, Value> {
    variables.map(|(name, value)| (name.to_string(), value.into())).collect()
}

fn of_configuration(plan: &Plan, installation: Uuid) -> Value {
    let mut labels = names::of_place(&plan.place, installation);
    labels.insert(names::CONFIGURATION.to_owned(), plan.configuration.to_string());
    json!({ "name": Names::of(&plan.place).configuration(plan.configuration), "labels": labels })
}

/// What a slot's pods fetch their image with.
pub(super) fn login(
    plan: &Plan,
    pull: &Pull,
    login: &Login,
    slot: Slot,
    installation: Uuid,
) -> Value {
    let mut labels = names::of_place(&plan.place, installation);
    labels.insert(names::SLOT.to_owned(), slot.to_string());
    let user = login.user.to_string();
    let auths = json!({
        "auths": { pull.repository.address().to_string(): {
            "username": user,
            "password": login.password,
        } },
    });
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": Names::of(&plan.place).login(slot), "labels": labels },
        "stringData": { ".dockerconfigjson": auths.to_string() },
    })
}

/// A Deployment as it is written, for tests of what is read of it.
#[cfg(test)]
pub(super) fn sample() -> Value {
    use crate::fake::sample;
    let plan = sample::plan(&sample::place("api"), 2);
    let pull = Pull {
        repository: "registry.example.org/api".parse().expect("a repository"),
        digest: format!("sha256:{}", "b".repeat(64)).parse().expect("a digest"),
        login: None,
    };
    let claim = Claim { placement: plan.place.placement, epoch: 1, rollout: None };
    deployment(&plan, &pull, &claim, Slot::Blue, Uuid::from_u128(1), Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use domain::target::PlanVariables;

    const OURS: Uuid = Uuid::from_u128(1);

    fn planned() -> (Plan, Pull) {
        let mut plan = sample::plan(&sample::place("api"), 2);
        let mut variables =
            PlanVariables::from_iter([("LEVEL".parse().expect("a name"), "debug".to_owned())]);
        variables.add_secret("KEY".parse().expect("a name"), "hunter2".to_owned());
        plan.variables = variables;
        let pull = Pull {
            repository: "registry.example.org/shop/api".parse().expect("a repository"),
            digest: format!("sha256:{}", "b".repeat(64)).parse().expect("a digest"),
            login: Some(Login {
                user: "robot".parse().expect("a user"),
                password: "swordfish".to_owned(),
            }),
        };
        (plan, pull)
    }

    fn made(plan: &Plan, pull: &Pull) -> Value {
        let claim = Claim { placement: plan.place.placement, epoch: 7, rollout: Some(plan.maker) };
        deployment(plan, pull, &claim, Slot::Green, OURS, Duration::from_secs(10))
    }

    #[test]
    fn a_pod_has_no_privilege_and_always_a_limit() {
        let (plan, pull) = planned();

        let pod = &made(&plan, &pull)["spec"]["template"]["spec"];
        let container = &pod["containers"][0];

        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["privileged"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(
            container["resources"]["limits"],
            json!({ "cpu": "200m", "memory": "33554432" })
        );
        assert_eq!(
            container["resources"]["requests"],
            json!({ "cpu": "50m", "memory": "33554432" })
        );
        for never in ["hostNetwork", "hostPID", "hostIPC", "serviceAccountName"] {
            assert!(pod.get(never).is_none(), "{never}");
        }
        let volumes = pod["volumes"].as_array().expect("one");
        assert!(volumes.iter().all(|one| one.get("hostPath").is_none()), "{volumes:?}");
    }

    #[test]
    fn an_image_is_named_by_its_digest_and_fetched_with_the_slots_own_login() {
        let (mut plan, pull) = planned();

        let pod = &made(&plan, &pull)["spec"]["template"]["spec"];
        let image = format!("registry.example.org/shop/api@sha256:{}", "b".repeat(64));
        assert_eq!(pod["containers"][0]["image"], image);
        assert_eq!(pod["imagePullSecrets"], json!([{ "name": "api-green-registry" }]));
        let login = login(&plan, &pull, pull.login.as_ref().expect("one"), Slot::Green, OURS);
        let auths = login["stringData"][".dockerconfigjson"].as_str().expect("text");
        assert!(auths.contains("registry.example.org") && auths.contains("swordfish"), "{auths}");

        plan.spec.user = Some(1001);
        let open = Pull { login: None, ..pull };
        let pod = &made(&plan, &open)["spec"]["template"]["spec"];
        assert!(pod.get("imagePullSecrets").is_none());
        assert_eq!(pod["securityContext"]["runAsUser"], 1001);
    }

    #[test]
    fn secrets_are_in_the_secret_and_nowhere_else() {
        let (plan, pull) = planned();

        let config_map = config_map(&plan, OURS).to_string();
        let secret = secret(&plan, OURS);

        assert_eq!(secret["stringData"], json!({ "KEY": "hunter2" }));
        assert_eq!((&secret["immutable"], &secret["type"]), (&json!(true), &json!("Opaque")));
        assert!(config_map.contains("debug") && !config_map.contains("hunter2"), "{config_map}");
        let deployment = made(&plan, &pull).to_string();
        for hidden in ["hunter2", "swordfish", "debug"] {
            assert!(!deployment.contains(hidden), "{hidden}");
        }
    }

    #[test]
    fn a_service_of_nobody_has_a_selector_that_fits_no_pod() {
        let (plan, _) = planned();
        let pod = pod_labels(&plan, OURS, Slot::Green);
        let fits = |slot| {
            let selector = leads_to(&plan.place, OURS, slot);
            assert!(!selector.is_empty());
            selector.iter().all(|(key, value)| pod.get(key) == Some(value))
        };

        assert!(fits(Some(Slot::Green)));
        assert!(!fits(Some(Slot::Blue)) && !fits(None));
    }

    #[test]
    fn a_services_port_is_named_so_that_slots_may_differ_in_its_number() {
        let (plan, pull) = planned();
        let service = service(&plan.place, OURS, "api", None, &BTreeMap::new());

        let container = &made(&plan, &pull)["spec"]["template"]["spec"]["containers"][0];

        assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
        assert_eq!(container["ports"][0]["containerPort"], 8080);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/health");
        assert_eq!(container["readinessProbe"]["timeoutSeconds"], 1);
    }

    #[test]
    fn a_slot_of_one_is_never_left_without_a_pod_by_a_restart() {
        let (mut plan, pull) = planned();
        let rolling = |plan: &Plan| made(plan, &pull)["spec"]["strategy"]["rollingUpdate"].clone();

        assert_eq!(rolling(&plan), json!({ "maxSurge": 1, "maxUnavailable": 1 }));
        plan.size = 1;
        assert_eq!(rolling(&plan), json!({ "maxSurge": 1, "maxUnavailable": 0 }));
    }
}
