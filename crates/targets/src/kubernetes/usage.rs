//! What pods use: one round for all places, however many people look.
//!
//! From `metrics.k8s.io` where the cluster serves it: CPU and memory. Else from each kubelet's
//! summary, through the API server: network and processes too. Else there is nothing, and the
//! target's page says what to install. Both are measured every 10 to 15 s by the cluster, so they
//! are asked for each 5 s, and told again until then.

use super::{
    KubernetesTarget,
    error::{Errors, answered},
    names::{self, Identity},
    quantity,
};
use crate::{Error, Result};
use anyhow::anyhow;
use domain::{
    id::PlacementId,
    target::{Place, Usage},
};
use futures::{StreamExt, stream};
use http::Request;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use kube::{Api, api::ListParams};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How often the cluster is asked for figures.
const EVERY: Duration = Duration::from_secs(5);
/// How long a source that is not there, or not allowed, is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// Calls at once.
const AT_ONCE: usize = 8;
/// How long one namespace, or one node, may take to answer. A kubelet that is away holds nobody up.
const EACH: Duration = Duration::from_secs(1);
/// How long a round may take: what came until then is told, and what did not come is not. Less than
/// who asks each second waits, so a round is never cut off with the figures of an older one.
const ROUND: Duration = Duration::from_millis(1700);

/// What is remembered from one round to the next.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    no_metrics: Option<Instant>,
    /// By namespace and name of the pod.
    figures: HashMap<(String, String), Figures>,
    /// The pods of the last round: a pod appears from its second one on.
    known: BTreeSet<(String, String)>,
}

/// What one pod uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    /// Billionths of a core.
    cpu_nano: u64,
    memory_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
    processes: u32,
}

/// A running pod of ours.
struct Running {
    placement: PlacementId,
    namespace: String,
    name: String,
    node: Option<String>,
    memory_limit_bytes: u64,
}

/// `Target::usage`.
pub(super) async fn usage(
    target: &KubernetesTarget,
    places: &[Place],
) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
    let until = tokio::time::Instant::now() + ROUND;
    // A place whose namespace has no name has no pods either.
    let namespaces: BTreeSet<String> =
        places.iter().filter_map(|place| target.namespace(place).ok()).collect();
    // Listed each time: who is gone uses nothing, and a cluster that is away is an error.
    let asked: Vec<_> =
        namespaces.iter().map(|namespace| running(target, namespace.clone())).collect();
    let late = || target.errors.unreachable(anyhow!("no answer in {ROUND:?}"));
    let running: Vec<Running> = told(gathered(asked, until).await, namespaces.is_empty(), late)?;

    let mut known = target.meter.0.lock().await;
    if known.asked.is_none_or(|asked| asked.elapsed() >= EVERY) {
        known.asked = Some(Instant::now());
        let figures = figures(target, &mut known.no_metrics, &namespaces, &running, until).await;
        known.figures = figures;
    }
    let mut used: HashMap<PlacementId, Vec<Usage>> =
        places.iter().map(|place| (place.placement, Vec::new())).collect();
    let mut now = BTreeSet::new();
    for one in running {
        let key = (one.namespace, one.name);
        let figures = known.figures.get(&key).filter(|_| known.known.contains(&key));
        if let (Some(figures), Some(of)) = (figures, used.get_mut(&one.placement)) {
            of.push(figures.of(key.1.clone(), one.memory_limit_bytes));
        }
        now.insert(key);
    }
    known.known = now;
    Ok(places
        .iter()
        .filter_map(|place| Some((place.placement, used.remove(&place.placement)?)))
        .collect())
}

impl Figures {
    #[allow(clippy::cast_precision_loss)] // Rounded for a picture.
    fn of(self, instance: String, memory_limit_bytes: u64) -> Usage {
        Usage {
            instance,
            cpu_percent: (self.cpu_nano as f64 / 1e7) as f32,
            memory_bytes: self.memory_bytes,
            memory_limit_bytes,
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
            processes: self.processes,
        }
    }
}

async fn running(target: &KubernetesTarget, namespace: String) -> Result<Vec<Running>> {
    let ours = names::selector_of(target.options.installation);
    let api = Api::<Pod>::namespaced(target.client().clone(), &namespace);
    // As the API server remembers it: no need to disturb its database each second.
    let wanted = ListParams::default().labels(&ours).match_any();
    let listed = soon(&target.errors, async {
        api.list(&wanted).await.map_err(|error| target.errors.sorted(error))
    })
    .await?;
    let of = |pod: Pod| {
        let identity = Identity::read(pod.metadata.labels.as_ref(), target.options.installation)?;
        let is_up = pod.status.as_ref()?.phase.as_deref() == Some("Running");
        let spec = pod.spec?;
        let limits = spec.containers.into_iter().next()?.resources?.limits?;
        is_up.then_some(Running {
            placement: identity.placement,
            namespace: namespace.clone(),
            name: pod.metadata.name?,
            node: spec.node_name,
            memory_limit_bytes: limits.get("memory").and_then(quantity::whole).unwrap_or(0),
        })
    };
    Ok(listed.items.into_iter().filter_map(of).collect())
}

/// What was answered until then, of at most [`AT_ONCE`] calls at once.
async fn gathered<T>(calls: Vec<impl Future<Output = T>>, until: tokio::time::Instant) -> Vec<T> {
    let answers = stream::iter(calls).buffer_unordered(AT_ONCE);
    answers.take_until(tokio::time::sleep_until(until)).collect().await
}

/// What some were told: who is refused costs the others nothing. An error where nobody was told
/// anything.
fn told<T>(
    answers: Vec<Result<Vec<T>>>,
    nobody_asked: bool,
    late: impl FnOnce() -> Error,
) -> Result<Vec<T>> {
    let (mut all, mut answered, mut failed) = (Vec::new(), nobody_asked, None);
    for answer in answers {
        match answer {
            Ok(some) => {
                answered = true;
                all.extend(some);
            }
            Err(error) => {
                tracing::debug!(%error, "Nothing is known of what some pods use");
                failed.get_or_insert(error);
            }
        }
    }
    if answered { Ok(all) } else { Err(failed.unwrap_or_else(late)) }
}

/// One of several answers, in time or never.
async fn soon<T>(errors: &Errors, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(EACH, call)
        .await
        .unwrap_or_else(|_| Err(errors.unreachable(anyhow!("no answer in {EACH:?}"))))
}

/// From the first source that answers. None is no error: instances run without figures.
async fn figures(
    target: &KubernetesTarget,
    no_metrics: &mut Option<Instant>,
    namespaces: &BTreeSet<String>,
    running: &[Running],
    until: tokio::time::Instant,
) -> HashMap<(String, String), Figures> {
    let late = || target.errors.unreachable(anyhow!("no answer in {ROUND:?}"));
    if no_metrics.is_none_or(|since| since.elapsed() >= LEFT_ALONE) {
        let asked: Vec<_> = namespaces
            .iter()
            .map(|namespace| soon(&target.errors, metrics(target, namespace.clone())))
            .collect();
        match told(gathered(asked, until).await, namespaces.is_empty(), late) {
            Ok(found) => {
                *no_metrics = None;
                return found.into_iter().collect();
            }
            Err(_) => *no_metrics = Some(Instant::now()),
        }
    }
    let nodes: BTreeSet<&str> = running.iter().filter_map(|one| one.node.as_deref()).collect();
    let asked: Vec<_> =
        nodes.into_iter().map(|node| soon(&target.errors, summary(target, node))).collect();
    gathered(asked, until).await.into_iter().flatten().flatten().collect()
}

/// Asks for JSON under a path of the API server.
async fn json<T: DeserializeOwned>(target: &KubernetesTarget, path: String) -> Result<T> {
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(|error| target.errors.unreachable(anyhow!(error)))?;
    answered(target.client().request(request)).await.map_err(|error| target.errors.sorted(error))
}

#[derive(Deserialize)]
struct Listed<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    usage: BTreeMap<String, Quantity>,
}

async fn metrics(
    target: &KubernetesTarget,
    namespace: String,
) -> Result<Vec<((String, String), Figures)>> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    let listed: Listed<PodMetrics> = json(target, path).await?;
    Ok(listed.items.into_iter().map(|pod| measured(&namespace, pod)).collect())
}

fn measured(namespace: &str, pod: PodMetrics) -> ((String, String), Figures) {
    let sum = |what: &str, read: fn(&Quantity) -> Option<u64>| {
        pod.containers.iter().filter_map(|one| read(one.usage.get(what)?)).sum()
    };
    let figures = Figures {
        cpu_nano: sum("cpu", quantity::billionths),
        memory_bytes: sum("memory", quantity::whole),
        ..Figures::default()
    };
    ((namespace.to_owned(), pod.metadata.name), figures)
}

/// A kubelet's summary, as far as it is read.
#[derive(Deserialize)]
struct Summary {
    pods: Vec<PodSummary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSummary {
    pod_ref: Named,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    network: Option<Network>,
    #[serde(rename = "process_stats")]
    processes: Option<Processes>,
    #[serde(default)]
    containers: Option<Vec<ContainerSummary>>,
}

#[derive(Deserialize)]
struct ContainerSummary {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    usage_nano_cores: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Processes {
    process_count: Option<u64>,
}

async fn summary(
    target: &KubernetesTarget,
    node: &str,
) -> Result<Vec<((String, String), Figures)>> {
    let summary: Summary =
        json(target, format!("/api/v1/nodes/{node}/proxy/stats/summary")).await?;
    Ok(summary.pods.into_iter().filter_map(summed).collect())
}

/// `None`: nothing was measured yet.
fn summed(pod: PodSummary) -> Option<((String, String), Figures)> {
    let containers = pod.containers.unwrap_or_default();
    let of_containers = |read: fn(&ContainerSummary) -> Option<u64>| {
        let all: Vec<_> = containers.iter().filter_map(read).collect();
        (!all.is_empty()).then(|| all.iter().sum::<u64>())
    };
    // Some kubelets say it of the whole pod, others of its containers only.
    let memory_bytes = pod
        .memory
        .and_then(|memory| memory.working_set_bytes)
        .or_else(|| of_containers(|one| one.memory?.working_set_bytes))
        // A kubelet that has not looked yet says nought of everything.
        .filter(|bytes| *bytes > 0)?;
    let cpu_nano = pod
        .cpu
        .and_then(|cpu| cpu.usage_nano_cores)
        .or_else(|| of_containers(|one| one.cpu?.usage_nano_cores))?;
    let network = pod.network.as_ref();
    let processes = pod.processes.and_then(|processes| processes.process_count).unwrap_or(0);
    let figures = Figures {
        cpu_nano,
        memory_bytes,
        received_bytes: network.and_then(|network| network.rx_bytes).unwrap_or(0),
        sent_bytes: network.and_then(|network| network.tx_bytes).unwrap_or(0),
        processes: u32::try_from(processes).unwrap_or(u32::MAX),
    };
    Some(((pod.pod_ref.namespace, pod.pod_ref.name), figures))
}

/// Where figures come from, for the target's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figured {
    MetricsServer,
    Kubelets,
    /// Nobody tells them to us.
    Nowhere,
}

/// Asks who would tell figures. `nodes`: some node's name, where nodes may be listed.
pub(super) async fn figured(target: &KubernetesTarget, node: Option<&str>) -> Figured {
    let served: Result<serde_json::Value> =
        json(target, "/apis/metrics.k8s.io/v1beta1".to_owned()).await;
    if served.is_ok() {
        return Figured::MetricsServer;
    }
    match node {
        Some(node) if summary(target, node).await.is_ok() => Figured::Kubelets,
        Some(_) | None => Figured::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::pending};

    fn errors() -> Errors {
        Errors::of("of the tests")
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_away_costs_its_own_figures_and_no_round() {
        let errors = errors();
        let begun = tokio::time::Instant::now();
        let node = |figures: Option<u32>| {
            let answer = async move {
                match figures {
                    Some(figures) => Ok(vec![figures]),
                    None => pending().await,
                }
            };
            soon(&errors, answer).boxed()
        };

        // More that are away than are asked at once: the last is asked all the same.
        let away = (0..AT_ONCE).map(|_| node(None));
        let asked = away.chain([node(Some(7))]).collect();
        let found = gathered(asked, begun + ROUND).await;

        assert_eq!(found.into_iter().flatten().flatten().collect::<Vec<_>>(), [7]);
        assert!(begun.elapsed() <= ROUND, "{:?}", begun.elapsed());
        // Many more: who does not come in time is left out, and the round ends.
        let begun = tokio::time::Instant::now();
        let away = (0..AT_ONCE * 4).map(|_| node(None)).collect();
        assert!(gathered(away, begun + ROUND).await.iter().all(Result::is_err));
        assert!(begun.elapsed() < ROUND + Duration::from_millis(50), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_namespace_that_is_refused_costs_its_own_figures_only() {
        let refused = || Err(errors().refused("it may not be read."));
        let late = || errors().unreachable(anyhow!("late"));

        let some = told(vec![refused(), Ok(vec![1, 2]), Ok(vec![3])], false, late);
        assert_eq!(some.expect("told"), [1, 2, 3]);
        let none = told::<u32>(vec![refused(), refused()], false, late);
        assert!(matches!(none, Err(Error::Refused { .. })), "{none:?}");
        assert!(matches!(told::<u32>(vec![], false, late), Err(Error::Unreachable { .. })));
        assert!(told::<u32>(vec![], true, late).expect("nobody was asked").is_empty());
    }

    #[test]
    fn the_metrics_servers_figures_are_summed_over_containers() {
        let pod = r#"{"metadata":{"name":"api-1","namespace":"shop"},"containers":[
            {"name":"app","usage":{"cpu":"250m","memory":"12Mi"}},
            {"name":"side","usage":{"cpu":"1000000n","memory":"1024Ki"}}]}"#;

        let (key, figures) = measured("shop", serde_json::from_str(pod).expect("metrics"));

        assert_eq!(key, ("shop".to_owned(), "api-1".to_owned()));
        assert_eq!((figures.cpu_nano, figures.memory_bytes), (251_000_000, 13 << 20));
        assert!((figures.of("api-1".to_owned(), 0).cpu_percent - 25.1).abs() < 0.001);
    }

    #[test]
    fn a_kubelets_summary_is_read_from_the_pod_or_from_its_containers() {
        let whole = r#"{"podRef":{"name":"api-1","namespace":"shop","uid":"u"},
            "cpu":{"usageNanoCores":5000000},"memory":{"workingSetBytes":4096},
            "network":{"name":"eth0","rxBytes":10,"txBytes":20},
            "process_stats":{"process_count":2},"containers":[]}"#;
        let parts = r#"{"podRef":{"name":"api-1","namespace":"shop"},"containers":[
            {"cpu":{"usageNanoCores":1},"memory":{"workingSetBytes":2}},
            {"cpu":{"usageNanoCores":3},"memory":{"workingSetBytes":4}}]}"#;
        let young = r#"{"podRef":{"name":"api-1","namespace":"shop"}}"#;
        let unseen = r#"{"podRef":{"name":"api-1","namespace":"shop"},
            "cpu":{"usageNanoCores":0},"memory":{"workingSetBytes":0}}"#;
        let read = |text: &str| {
            summed(serde_json::from_str(text).expect("a summary")).map(|(_, figures)| figures)
        };

        let expected = Figures {
            cpu_nano: 5_000_000,
            memory_bytes: 4096,
            received_bytes: 10,
            sent_bytes: 20,
            processes: 2,
        };
        assert_eq!(read(whole), Some(expected));
        let expected = Figures { cpu_nano: 4, memory_bytes: 6, ..Figures::default() };
        assert_eq!(read(parts), Some(expected));
        assert_eq!((read(young), read(unseen)), (None, None));
    }
}
