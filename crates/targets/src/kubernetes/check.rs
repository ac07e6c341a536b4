//! What the cluster is, and what works there, for the target's page and for preflight.

use super::{
    Granted, KubernetesTarget,
    error::answered,
    lock, quantity,
    usage::{self, Figured},
};
use crate::{Result, docker::gib};
use domain::target::{Finding, TargetFacts, Verdict};
use k8s_openapi::{
    api::core::v1::Node,
    apimachinery::pkg::{api::resource::Quantity, version::Info},
};
use kube::{Api, api::ListParams};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The oldest minor version of Kubernetes 1 that has everything that is used: pods that sleep before
/// they end came with 1.30. An older API server drops that without a word, or refuses it.
pub(super) const OLDEST: u32 = 30;

/// How long it is believed what was granted. A check comes every few seconds, and would ask dozens of
/// times; who wants to know now looks anew, and preflight asks each time.
const BELIEVED: Duration = Duration::from_secs(60);

/// What was granted when it was asked last.
#[derive(Debug, Default)]
pub(super) struct Reviewed(Mutex<Option<(Instant, Vec<Granted>)>>);

impl Reviewed {
    fn still(&self, now: Instant) -> Option<Vec<Granted>> {
        let known = lock(&self.0);
        let (at, granted) = known.as_ref()?;
        (now.saturating_duration_since(*at) < BELIEVED).then(|| granted.clone())
    }

    fn note(&self, now: Instant, granted: &[Granted]) {
        *lock(&self.0) = Some((now, granted.to_vec()));
    }
}

/// A finding in three words.
pub(super) fn finding(
    question: impl Into<String>,
    verdict: Verdict,
    detail: impl Into<String>,
) -> Finding {
    Finding { question: question.into(), verdict, detail: detail.into() }
}

/// `Target::check`.
pub(super) async fn check(target: &KubernetesTarget) -> Result<TargetFacts> {
    let version = answered(target.client().apiserver_version())
        .await
        .map_err(|error| target.errors.sorted(error))?;
    let summary = format!("Kubernetes {}", version.git_version.trim_start_matches('v'));
    let new_enough = of_version(&version);
    if new_enough.verdict == Verdict::Refuse {
        // What it would say of the rest is of no use, and it may not even understand the questions.
        return Ok(TargetFacts { summary, cores: 0, memory_bytes: 0, findings: vec![new_enough] });
    }
    let pattern = target.options.namespaces.as_str();
    // With a project in it nobody knows them all: preflight asks in each.
    let namespace = if pattern.contains('{') { "" } else { pattern };
    let (nodes, access) = tokio::join!(nodes(target), reviewed(target, namespace));
    let first = nodes.as_ref().ok().and_then(|nodes| nodes.first()?.metadata.name.clone());
    let figured = usage::figured(target, first.as_deref()).await;

    let mut findings = vec![new_enough];
    let (mut cores, mut memory_bytes) = (0, 0);
    let mut summary = summary;
    match &nodes {
        Ok(nodes) => {
            cores = u32::try_from(sum(nodes, "cpu", quantity::thousandths) / 1000).unwrap_or(0);
            memory_bytes = sum(nodes, "memory", quantity::whole);
            let (count, room) = (nodes.len(), gib(memory_bytes));
            let plural =
                |n: u64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
            let nodes = plural(count as u64, "node");
            summary = format!("{summary}, {nodes}, {}, {room}", plural(cores.into(), "core"));
            findings.push(finding("Nodes can be seen", Verdict::Pass, nodes));
        }
        Err(error) => findings.push(finding(
            "Nodes can be seen",
            Verdict::Warn,
            format!("no, so preflight can't say whether they have room: {error}"),
        )),
    }
    findings.extend(of_access(&access?, namespace).into_iter().map(told));
    findings.push(of_figures(figured));
    findings.push(of_witness(target));
    Ok(TargetFacts { summary, cores, memory_bytes, findings })
}

async fn reviewed(target: &KubernetesTarget, namespace: &str) -> Result<Vec<Granted>> {
    if let Some(known) = target.reviewed.still(Instant::now()) {
        return Ok(known);
    }
    let granted = target.access(namespace).await?;
    target.reviewed.note(Instant::now(), &granted);
    Ok(granted)
}

/// All nodes, where they may be listed.
pub(super) async fn nodes(target: &KubernetesTarget) -> Result<Vec<Node>> {
    let api = Api::<Node>::all(target.client().clone());
    let listed = answered(api.list(&ListParams::default().match_any())).await;
    Ok(listed.map_err(|error| target.errors.sorted(error))?.items)
}

/// What nodes leave to pods.
pub(super) fn allocatable(node: &Node) -> Option<&BTreeMap<String, Quantity>> {
    node.status.as_ref()?.allocatable.as_ref()
}

fn sum(nodes: &[Node], what: &str, read: fn(&Quantity) -> Option<u64>) -> u64 {
    nodes.iter().filter_map(|node| read(allocatable(node)?.get(what)?)).sum()
}

/// The first question, without which no other makes sense.
const VERSION: &str = "Version is new enough";

/// Whether nothing else was asked, because the cluster is too old.
pub(super) fn is_too_old(facts: &TargetFacts) -> bool {
    let refused = |one: &Finding| one.question == VERSION && one.verdict == Verdict::Refuse;
    facts.findings.iter().any(refused)
}

/// What a rollout needs and does not get is refused by its preflight. The cluster answers all the
/// same, and what is there goes on.
fn told(finding: Finding) -> Finding {
    match finding.verdict {
        Verdict::Refuse => Finding { verdict: Verdict::Warn, ..finding },
        Verdict::Pass | Verdict::Warn => finding,
    }
}

fn of_version(version: &Info) -> Finding {
    let question = VERSION;
    let said = version.git_version.trim_start_matches('v');
    // Some providers write "30+".
    let digits = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    match (digits(&version.major), digits(&version.minor)) {
        (Some(1), Some(minor)) if minor < OLDEST => finding(
            question,
            Verdict::Refuse,
            format!(
                "{said} is too old: 1.{OLDEST} is the oldest that works. Whoever administers the \
                 cluster can upgrade it"
            ),
        ),
        (Some(_), Some(_)) => finding(question, Verdict::Pass, said),
        _ => finding(question, Verdict::Warn, format!("{said} can't be read as a version")),
    }
}

/// What of the table is granted, in one line where all of it is. An empty `namespace`: it was asked of
/// the whole cluster only.
pub(super) fn of_access(access: &[Granted], namespace: &str) -> Vec<Finding> {
    let missing = |granted: &Granted| {
        let question = format!("Right to {}", granted.need.what_for);
        let verdict = if granted.need.optional { Verdict::Warn } else { Verdict::Refuse };
        Some(finding(question, verdict, granted.sentence()?))
    };
    let held = access.iter().filter(|granted| granted.is_whole()).count();
    let all = access.len();
    let mut findings: Vec<Finding> = access.iter().filter_map(missing).collect();
    let verdict = if held == all { Verdict::Pass } else { Verdict::Warn };
    let place = if namespace.is_empty() {
        " of the whole cluster; preflight asks for those in namespaces".to_owned()
    } else {
        format!(", in {namespace} and the whole cluster")
    };
    findings.insert(0, finding("Rights are granted", verdict, format!("{held} of {all}{place}")));
    findings
}

fn of_figures(figured: Figured) -> Finding {
    let question = "CPU and memory of instances";
    match figured {
        Figured::MetricsServer => {
            finding(question, Verdict::Pass, "from the metrics server, without network traffic")
        }
        Figured::Kubelets => finding(question, Verdict::Pass, "from the nodes' kubelets"),
        Figured::Nowhere => finding(
            question,
            Verdict::Warn,
            "nobody tells them: install metrics-server in the cluster, or grant get on nodes/proxy",
        ),
    }
}

fn of_witness(target: &KubernetesTarget) -> Finding {
    let question = "Witness of a switch";
    match &target.options.probe_image {
        Some(image) => finding(
            question,
            Verdict::Pass,
            format!("a pod in the cluster beside each service, of the image {image}"),
        ),
        None => finding(
            question,
            Verdict::Warn,
            "requests of ours through the API server, two a second: they do not see what clients \
             in the cluster see. Name an image of pilothouse-probe to have one inside",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::access::NEEDS, *};

    fn version(minor: &str, git: &str) -> Info {
        Info {
            major: "1".to_owned(),
            minor: minor.to_owned(),
            git_version: git.to_owned(),
            ..Info::default()
        }
    }

    #[test]
    fn a_cluster_that_is_too_old_is_told_so() {
        let old = of_version(&version("24+", "v1.24.17-eks-1"));
        assert_eq!(old.verdict, Verdict::Refuse);
        assert!(old.detail.contains("1.24.17-eks-1 is too old: 1.30"), "{old:?}");

        assert_eq!(of_version(&version("29", "v1.29.14")).verdict, Verdict::Refuse);
        assert_eq!(of_version(&version("30", "v1.30.0")).verdict, Verdict::Pass);
        assert_eq!(of_version(&version("34", "v1.34.4")).verdict, Verdict::Pass);
        assert_eq!(of_version(&version("", "v0.0.0-master")).verdict, Verdict::Warn);
    }

    #[test]
    fn a_missing_right_refuses_only_where_it_is_needed() {
        let access = |missing: &str| -> Vec<Granted> {
            NEEDS
                .iter()
                .map(|need| {
                    let missing = if need.name() == missing { need.verbs.to_vec() } else { vec![] };
                    Granted { need: *need, missing }
                })
                .collect()
        };
        let verdict = |missing: &str| {
            of_access(&access(missing), "shop").get(1).map(|finding| finding.verdict)
        };

        assert_eq!(of_access(&access(""), "shop").len(), 1);
        assert_eq!(of_access(&access(""), "shop")[0].verdict, Verdict::Pass);
        assert_eq!(verdict("deployments.apps"), Some(Verdict::Refuse));
        assert_eq!(verdict("nodes"), Some(Verdict::Warn));
        let told = &of_access(&access("deployments.apps"), "shop")[1].detail;
        assert!(told.contains("nothing can be rolled out"), "{told}");
    }

    #[test]
    fn what_is_granted_is_asked_once_a_minute() {
        let (reviewed, now) = (Reviewed::default(), Instant::now());
        let granted = [Granted { need: NEEDS[0], missing: vec!["get"] }];
        assert_eq!(reviewed.still(now), None, "nobody has asked");

        reviewed.note(now, &granted);

        let later = |seconds| reviewed.still(now + Duration::from_secs(seconds));
        assert_eq!(later(59).as_deref(), Some(&granted[..]));
        assert_eq!(later(60), None);
    }
}
