//! The witness inside the cluster: one small pod for each placement, made of the image that an admin
//! names. It sends requests to the active Service as a client there would, and tells through the API
//! server what came of them.

use super::{
    KubernetesTarget, active, asked, lock,
    names::{self, FIELD_MANAGER, INSTALLATION, MANAGED_BY, NAME, Names},
};
use crate::Result;
use anyhow::anyhow;
use domain::{
    id::PlacementId,
    name::ImageReference,
    target::{Place, Plan},
    witness::{Counted, PROBE_PATH, PROBE_PORT},
};
use http::Request;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Who this is, for people.
pub(super) const WHO: &str = "a probe in the cluster";
/// What it can not see.
pub(super) const UNSEEN: &str = "It sends its own requests through the Service, ten a second from \
    one pod on one node, half of them on new connections. It does not see other clients' requests, \
    nor what they have in flight; and in the two seconds after a switch only a version in the \
    answer tells which slot gave it.";

/// Whose witness something is. Other than what belongs to the placement itself, so that it is never
/// taken for an instance.
const WITNESS: &str = "pilothouse/witness";
/// How often the pod is made sure of.
const AGAIN: Duration = Duration::from_secs(60);
/// What one takes at most.
pub(super) const MEMORY_BYTES: u64 = 32 << 20;
pub(super) const CPU_MILLIS: u32 = 100;
/// How long it may take to tell.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What is known of the witnesses.
#[derive(Debug, Default)]
pub(super) struct Probes {
    made: Mutex<HashMap<PlacementId, Instant>>,
    /// Where no image is named: whose earlier witness is gone (`None`), or could not be removed when.
    gone: Mutex<HashMap<PlacementId, Option<Instant>>>,
    pods: Mutex<HashMap<PlacementId, String>>,
}

/// Makes sure that somebody watches while the plan is carried out. Never fails: a rollout goes on
/// without a witness, and says so.
pub(super) async fn wanted(target: &KubernetesTarget, plan: &Plan) {
    if plan.spec.exposure.port().is_none() {
        return;
    }
    let Some(image) = &target.options.probe_image else {
        asked::wanted(target, &plan.place);
        dismissed(target, &plan.place).await;
        return;
    };
    let placement = plan.place.placement;
    if lock(&target.probes.made).get(&placement).is_some_and(|at| at.elapsed() < AGAIN) {
        return;
    }
    match make(target, plan, image).await {
        Ok(true) => {
            lock(&target.probes.made).insert(placement, Instant::now());
        }
        Ok(false) => {}
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = %format!("{error:#}"), "The witness could not be made");
            // Not with every call.
            lock(&target.probes.made).insert(placement, Instant::now());
        }
    }
}

/// False: there is no Service to watch yet.
async fn make(target: &KubernetesTarget, plan: &Plan, image: &ImageReference) -> Result<bool> {
    let place = &plan.place;
    let service = target.get::<Service>(place, &Names::of(place).active()).await?;
    let Some(service) = target.ours(place, service)? else { return Ok(false) };
    let name = name_of(place);
    let there = target.get::<Deployment>(place, &name).await?;
    if let Some(there) = &there
        && !is_ours(there.metadata.labels.as_ref(), target.options.installation, place)
    {
        return Err(active::taken(&target.errors, "Deployment", &name, &there.metadata));
    }
    let Some(made) = deployment(plan, image, &service, target.options.installation) else {
        return Ok(false);
    };
    target.apply::<Deployment>(place, &made).await.map(|_| true)
}

/// Takes the witness of a placement away.
pub(super) async fn forget(target: &KubernetesTarget, place: &Place) -> Result<()> {
    asked::forget(target, place);
    lock(&target.probes.made).remove(&place.placement);
    lock(&target.probes.pods).remove(&place.placement);
    lock(&target.moves).remove(&place.placement);
    lock(&target.probes.gone).remove(&place.placement);
    remove(target, place).await
}

/// Takes away, once, what an earlier image made where none is named any more. Never fails: nothing waits
/// for it, and it is tried again.
pub(super) async fn dismissed(target: &KubernetesTarget, place: &Place) {
    if target.options.probe_image.is_some() {
        return;
    }
    let before = lock(&target.probes.gone).get(&place.placement).copied();
    match before {
        Some(None) => return,
        Some(Some(failed)) if failed.elapsed() < AGAIN => return,
        Some(Some(_)) | None => {}
    }
    let removed = remove(target, place).await;
    if let Err(error) = &removed {
        tracing::warn!(%error, "The witness that is not wanted any more could not be removed");
    }
    lock(&target.probes.gone).insert(place.placement, removed.err().map(|_| Instant::now()));
}

/// Removes the Deployment of a witness, where it is ours.
async fn remove(target: &KubernetesTarget, place: &Place) -> Result<()> {
    let there = target.get::<Deployment>(place, &name_of(place)).await?;
    match there {
        Some(there)
            if is_ours(there.metadata.labels.as_ref(), target.options.installation, place) =>
        {
            target.delete(place, &there).await
        }
        _ => Ok(()),
    }
}

/// What the witness of a place counted. An error where there is none that runs.
pub(super) async fn counted(
    target: &KubernetesTarget,
    place: &Place,
    since: i64,
) -> Result<Counted> {
    let known = lock(&target.probes.pods).get(&place.placement).cloned();
    let name = match known {
        Some(name) => name,
        None => pod(target, place).await?,
    };
    let namespace = target.namespace(place)?;
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods/{name}:{PROBE_PORT}/proxy{PROBE_PATH}?since={since}"
    );
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(|error| target.errors.unreachable(anyhow!(error)))?;
    let answer = tokio::time::timeout(PATIENCE, target.asking.request(request)).await;
    match answer {
        Ok(Ok(counted)) => {
            lock(&target.probes.pods).insert(place.placement, name);
            Ok(counted)
        }
        Ok(Err(error)) => {
            // It may run under another name by now.
            lock(&target.probes.pods).remove(&place.placement);
            Err(target.errors.sorted(error))
        }
        Err(_) => {
            lock(&target.probes.pods).remove(&place.placement);
            Err(target.errors.unreachable(anyhow!("the witness did not answer in {PATIENCE:?}")))
        }
    }
}

/// The pod of a place's witness that runs.
async fn pod(target: &KubernetesTarget, place: &Place) -> Result<String> {
    let selector = names::selector(&labels(place, target.options.installation));
    let pods = target.list::<Pod>(place, &selector).await?;
    pods.into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .find(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            phase == Some("Running")
        })
        .and_then(|pod| pod.metadata.name)
        .ok_or_else(|| target.errors.unreachable(anyhow!("the witness does not run")))
}

fn name_of(place: &Place) -> String {
    format!("{}-witness", place.service)
}

fn labels(place: &Place, installation: Uuid) -> BTreeMap<String, String> {
    [
        (MANAGED_BY, FIELD_MANAGER.to_owned()),
        (NAME, name_of(place)),
        (INSTALLATION, installation.to_string()),
        (WITNESS, place.placement.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn is_ours(there: Option<&BTreeMap<String, String>>, installation: Uuid, place: &Place) -> bool {
    let wanted = labels(place, installation);
    there.is_some_and(|there| wanted.iter().all(|(key, value)| there.get(key) == Some(value)))
}

/// The Deployment of a witness. `None` while its Service has no address. It is the Service's: the
/// cluster takes it away with that.
fn deployment(
    plan: &Plan,
    image: &ImageReference,
    service: &Service,
    installation: Uuid,
) -> Option<Value> {
    let place = &plan.place;
    let spec = service.spec.as_ref()?;
    let address = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None")?;
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let port = spec.ports.as_ref()?.first()?.port;
    let labels = labels(place, installation);
    let host = place.host_names.first().map_or_else(String::new, ToString::to_string);
    let field = plan.spec.version_field.as_ref().map_or("", |field| field.as_str());
    let memory = MEMORY_BYTES.to_string();
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name_of(place),
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Service",
                "name": service.metadata.name,
                "uid": service.metadata.uid,
            }],
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "selector": { "matchLabels": labels },
            // One at a time: two would count apart.
            "strategy": { "type": "Recreate" },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "probe",
                        "image": image.to_string(),
                        "imagePullPolicy": "IfNotPresent",
                        "env": [
                            { "name": "PROBE_ADDRESS", "value": format!("{address}:{port}") },
                            { "name": "PROBE_HOST", "value": host },
                            { "name": "PROBE_CHECK", "value": plan.spec.readiness.path.as_str() },
                            { "name": "PROBE_VERSION_FIELD", "value": field },
                        ],
                        "ports": [{ "name": "counted", "containerPort": PROBE_PORT }],
                        "resources": {
                            "limits": { "cpu": format!("{CPU_MILLIS}m"), "memory": memory },
                            "requests": { "cpu": "10m", "memory": memory },
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                            "privileged": false,
                            "readOnlyRootFilesystem": true,
                        },
                    }],
                },
            },
        },
    }))
}

/// What is wrong with the witness, where one is wanted and does not run.
pub(super) async fn trouble(target: &KubernetesTarget, place: &Place) -> Option<String> {
    target.options.probe_image.as_ref()?;
    let selector = names::selector(&labels(place, target.options.installation));
    let api: Api<Pod> = target.api(place).ok()?;
    let pods = api.list(&ListParams::default().labels(&selector)).await.ok()?;
    pods.items.iter().find_map(|pod| super::reasons::of_pod(pod, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;

    const OURS: Uuid = Uuid::from_u128(1);

    fn service(ip: &str) -> Service {
        let service = json!({
            "metadata": { "name": "api", "uid": "u" },
            "spec": { "clusterIP": ip, "ports": [{ "port": 80 }] },
        });
        serde_json::from_value(service).expect("a Service")
    }

    fn made(ip: &str) -> Option<Value> {
        let plan = sample::plan(&sample::place("api"), 1);
        let image = "registry.example.org/pilothouse-probe:1".parse().expect("an image");
        deployment(&plan, &image, &service(ip), OURS)
    }

    #[test]
    fn a_witness_is_as_restricted_as_what_it_watches() {
        let made = made("10.96.0.7").expect("made");
        let pod = &made["spec"]["template"]["spec"];
        let container = &pod["containers"][0];

        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["resources"]["limits"]["memory"], MEMORY_BYTES.to_string());
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u");
    }

    #[test]
    fn a_witness_is_never_taken_for_an_instance() {
        let place = sample::place("api");
        let labels = labels(&place, OURS);

        assert_eq!(names::placement_of(Some(&labels), OURS), None);
        assert_eq!(names::Identity::read(Some(&labels), OURS), None);
        assert!(is_ours(Some(&labels), OURS, &place));
        assert!(!is_ours(Some(&labels), Uuid::from_u128(2), &place));
        assert!(!is_ours(Some(&labels), OURS, &sample::place("api")));
    }

    #[test]
    fn it_asks_the_services_address_and_waits_for_one() {
        let address = |ip: &str| {
            let env = made(ip)?["spec"]["template"]["spec"]["containers"][0]["env"][0].clone();
            env["value"].as_str().map(ToOwned::to_owned)
        };

        assert_eq!(address("10.96.0.7").as_deref(), Some("10.96.0.7:80"));
        assert_eq!(address("fd00::7").as_deref(), Some("[fd00::7]:80"));
        assert_eq!(address("None"), None);
        assert_eq!(address(""), None);
    }
}
