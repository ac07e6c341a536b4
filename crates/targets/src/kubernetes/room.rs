//! Whether a slot fits into a namespace's quotas and ranges, and onto the nodes, with the figures. Pure.

use super::{
    check::{allocatable, finding},
    quantity,
};
use crate::docker::gib;
use domain::target::{Finding, Plan, Verdict};
use k8s_openapi::{
    api::core::v1::{LimitRange, Node, Pod, ResourceQuota},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

/// What one instance asks for, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub size: u64,
    pub memory_bytes: u64,
    /// Thousandths of a core.
    pub cpu_limit: u64,
    pub cpu_request: u64,
}

impl Asked {
    /// Of a plan, as its pods are made.
    pub fn of(plan: &Plan) -> Self {
        Self {
            size: plan.size.into(),
            memory_bytes: plan.limits.memory_bytes,
            cpu_limit: plan.limits.cpu_millis.into(),
            cpu_request: plan.limits.cpu_millis.div_ceil(4).max(1).into(),
        }
    }
}

/// Whether a pod still takes room.
fn counts(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// What of a quota one pod uses. `None`: nothing that quotas count by pods.
fn of_pod(pod: &Pod, what: &str) -> Option<u64> {
    let containers = &pod.spec.as_ref()?.containers;
    let sum = |kind: &str, name: &str, read: fn(&Quantity) -> Option<u64>| {
        let one = |container: &k8s_openapi::api::core::v1::Container| {
            let resources = container.resources.as_ref()?;
            let of = if kind == "limits" { &resources.limits } else { &resources.requests };
            read(of.as_ref()?.get(name)?)
        };
        Some(containers.iter().filter_map(one).sum::<u64>())
    };
    match what {
        "pods" | "count/pods" => Some(1),
        "memory" | "requests.memory" => sum("requests", "memory", quantity::whole),
        "limits.memory" => sum("limits", "memory", quantity::whole),
        "cpu" | "requests.cpu" => sum("requests", "cpu", quantity::thousandths),
        "limits.cpu" => sum("limits", "cpu", quantity::thousandths),
        _ => None,
    }
}

/// What of a quota the new slot will use.
fn of_slot(asked: &Asked, what: &str) -> Option<u64> {
    let one = match what {
        "pods" | "count/pods" => 1,
        "memory" | "requests.memory" | "limits.memory" => asked.memory_bytes,
        "cpu" | "requests.cpu" => asked.cpu_request,
        "limits.cpu" => asked.cpu_limit,
        _ => return None,
    };
    Some(one * asked.size)
}

fn spoken(what: &str, amount: u64) -> String {
    if what.ends_with("memory") {
        gib(amount)
    } else if what.ends_with("cpu") {
        #[allow(clippy::cast_precision_loss)] // Rounded anyway.
        let cores = amount as f64 / 1000.0;
        format!("{cores} cores")
    } else {
        amount.to_string()
    }
}

fn read(what: &str, quantity: &Quantity) -> Option<u64> {
    if what.ends_with("cpu") { quantity::thousandths(quantity) } else { quantity::whole(quantity) }
}

/// Whether each quota holds the new slot beside what stays. `goes` are pods that will be gone by then.
pub(super) fn in_quotas(
    question: &str,
    asked: &Asked,
    goes: &[Pod],
    quotas: &[ResourceQuota],
) -> Vec<Finding> {
    let mut figures = Vec::new();
    for quota in quotas.iter().filter(|quota| is_for_us(quota)) {
        let name = quota.metadata.name.as_deref().unwrap_or("without a name");
        let status = quota.status.clone().unwrap_or_default();
        let (hard, used) = (status.hard.unwrap_or_default(), status.used.unwrap_or_default());
        for (what, hard) in &hard {
            let (Some(need), Some(hard)) = (of_slot(asked, what), read(what, hard)) else {
                continue;
            };
            let used = used.get(what).and_then(|used| read(what, used)).unwrap_or(0);
            let gone = goes.iter().filter(|pod| counts(pod)).filter_map(|pod| of_pod(pod, what));
            let used = used.saturating_sub(gone.sum());
            let free = hard.saturating_sub(used);
            let told = format!(
                "{what}: {} needed beside what stays, {} of {} free",
                spoken(what, need),
                spoken(what, free),
                spoken(what, hard)
            );
            if need > free {
                let detail = format!(
                    "the quota {name} has {told}. Lower the size or the limits, or have whoever \
                     administers the cluster raise it: both slots run at once"
                );
                return vec![finding(question, Verdict::Refuse, detail)];
            }
            figures.push(told);
        }
    }
    let detail = if figures.is_empty() {
        "no quota limits pods here".to_owned()
    } else {
        figures.join("; ")
    };
    vec![finding(question, Verdict::Pass, detail)]
}

/// A quota for other kinds of pods says nothing of ours: they have limits, no deadline, and the usual
/// priority.
fn is_for_us(quota: &ResourceQuota) -> bool {
    let Some(spec) = &quota.spec else { return true };
    let scopes = spec.scopes.as_deref().unwrap_or_default();
    scopes.iter().all(|scope| matches!(scope.as_str(), "NotTerminating" | "NotBestEffort"))
        && spec.scope_selector.is_none()
}

/// Whether limits are within what the namespace allows for a container and a pod. Ours have one.
pub(super) fn in_ranges(question: &str, asked: &Asked, ranges: &[LimitRange]) -> Vec<Finding> {
    let items = ranges
        .iter()
        .filter_map(|range| range.spec.as_ref())
        .flat_map(|spec| &spec.limits)
        .filter(|item| matches!(item.type_.as_str(), "Container" | "Pod"));
    let mut seen = false;
    for item in items {
        seen = true;
        let bound = |of: &Option<BTreeMap<String, Quantity>>, what: &str| {
            read(what, of.as_ref()?.get(what)?)
        };
        for (what, limit, request) in [
            ("memory", asked.memory_bytes, asked.memory_bytes),
            ("cpu", asked.cpu_limit, asked.cpu_request),
        ] {
            let of = format!("{} for a {}", what, item.type_.to_lowercase());
            let refused = |detail: String| vec![finding(question, Verdict::Refuse, detail)];
            if let Some(most) = bound(&item.max, what)
                && limit > most
            {
                return refused(format!(
                    "{of}: the limit is {}, and {} is the most. Lower it in the configuration",
                    spoken(what, limit),
                    spoken(what, most)
                ));
            }
            if let Some(least) = bound(&item.min, what)
                && request < least
            {
                return refused(format!(
                    "{of}: {} is asked for, and {} is the least. Raise the limit in the \
                     configuration",
                    spoken(what, request),
                    spoken(what, least)
                ));
            }
            let ratio = item.max_limit_request_ratio.as_ref().and_then(|ratios| ratios.get(what));
            if let Some(ratio) = ratio.and_then(quantity::thousandths)
                && limit * 1000 > request * ratio
            {
                return refused(format!(
                    "{of}: the limit is {} times what is asked for, and the namespace allows less \
                     (maxLimitRequestRatio). Whoever administers the cluster can raise it",
                    limit.div_ceil(request.max(1))
                ));
            }
        }
    }
    let detail = if seen { "they are within it" } else { "there is none" };
    vec![finding(question, Verdict::Pass, detail)]
}

/// Memory in bytes, and thousandths of a core.
type Room = (u64, u64);

fn spoken_room((memory, cpu): Room) -> String {
    format!("{} and {}", spoken("memory", memory), spoken("cpu", cpu))
}

/// Whether some node can take an instance at all, and what the nodes have left where the pods of all
/// namespaces are known. A node counts if the cluster would put a pod of ours on it.
pub(super) fn on_nodes(
    question: &str,
    asked: &Asked,
    all: &[Node],
    pods: Option<&[Pod]>,
) -> Finding {
    let nodes: Vec<&Node> = all.iter().filter(|node| keeps_out(node).is_none()).collect();
    let left_out = left_out(all);
    if nodes.is_empty() {
        // Some clusters get nodes when pods wait for one: said, and not refused.
        let detail = if all.is_empty() {
            "there is no node: instances wait for one".to_owned()
        } else {
            format!("no node takes pods{left_out}: instances wait for one")
        };
        return finding(question, Verdict::Warn, detail);
    }
    let need = (asked.memory_bytes, asked.cpu_request);
    let of_slot = (need.0 * asked.size, need.1 * asked.size);
    let rooms: Vec<Room> = nodes.iter().map(|node| room(node)).collect();
    let count = format!("{} node{}", nodes.len(), if nodes.len() == 1 { "" } else { "s" });
    let largest = rooms.iter().copied().max().unwrap_or_default();
    if !rooms.iter().any(|room| need.0 <= room.0 && need.1 <= room.1) {
        let detail = format!(
            "an instance asks for {}, and the largest of {count} that take pods has {}{left_out}: \
             lower the limits, or use a larger node",
            spoken_room(need),
            spoken_room(largest)
        );
        return finding(question, Verdict::Refuse, detail);
    }
    let Some(pods) = pods else {
        let detail = format!(
            "the largest of {count} has {} for an instance of {}{left_out}; what others use may not \
             be seen",
            spoken_room(largest),
            spoken_room(need)
        );
        return finding(question, Verdict::Pass, detail);
    };
    let names: Vec<_> = nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    // Who waits for a node will take room of these too.
    let here = |pod: &&Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        counts(pod) && node.is_none_or(|node| names.contains(&node))
    };
    let sum =
        |what: &str| pods.iter().filter(here).filter_map(|pod| of_pod(pod, what)).sum::<u64>();
    let free = (
        rooms.iter().map(|room| room.0).sum::<u64>().saturating_sub(sum("requests.memory")),
        rooms.iter().map(|room| room.1).sum::<u64>().saturating_sub(sum("requests.cpu")),
    );
    let figures =
        format!("{} needed, {} free on {count}{left_out}", spoken_room(of_slot), spoken_room(free));
    if of_slot.0 > free.0 || of_slot.1 > free.1 {
        // An autoscaler of nodes may bring more: said, and not refused.
        let detail = format!("{figures}: instances may wait for a node");
        return finding(question, Verdict::Warn, detail);
    }
    finding(question, Verdict::Pass, figures)
}

fn room(node: &Node) -> Room {
    let of = |what: &str, read: fn(&Quantity) -> Option<u64>| read(allocatable(node)?.get(what)?);
    (of("memory", quantity::whole).unwrap_or(0), of("cpu", quantity::thousandths).unwrap_or(0))
}

/// Why the cluster puts no pod of ours on a node: they tolerate no taint.
fn keeps_out(node: &Node) -> Option<&'static str> {
    let spec = node.spec.as_ref();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let ready = conditions.unwrap_or_default().iter().find(|one| one.type_ == "Ready");
    if ready.is_none_or(|ready| ready.status != "True") {
        return Some("not ready");
    }
    if spec.is_some_and(|spec| spec.unschedulable == Some(true)) {
        return Some("cordoned");
    }
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let hard = taints.iter().any(|one| matches!(one.effect.as_str(), "NoSchedule" | "NoExecute"));
    hard.then_some("tainted")
}

/// Which nodes do not count, in brackets: ` (without 1 not ready, 2 tainted)`.
fn left_out(all: &[Node]) -> String {
    let mut why: BTreeMap<&str, u32> = BTreeMap::new();
    for reason in all.iter().filter_map(keeps_out) {
        *why.entry(reason).or_default() += 1;
    }
    if why.is_empty() {
        return String::new();
    }
    let words: Vec<_> = why.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!(" (without {})", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ASKED: Asked = Asked { size: 2, memory_bytes: 64 << 20, cpu_limit: 200, cpu_request: 50 };

    fn quota(hard: Value, used: Value) -> ResourceQuota {
        let quota =
            json!({ "metadata": { "name": "small" }, "status": { "hard": hard, "used": used } });
        serde_json::from_value(quota).expect("a quota")
    }

    fn pod() -> Pod {
        let pod = json!({ "metadata": {}, "spec": { "containers": [{
            "name": "app", "resources": {
                "limits": { "memory": "64Mi", "cpu": "200m" },
                "requests": { "memory": "64Mi", "cpu": "50m" },
            },
        }] } });
        serde_json::from_value(pod).expect("a pod")
    }

    fn asked(goes: &[Pod], quota: ResourceQuota) -> Finding {
        in_quotas("q", &ASKED, goes, &[quota]).remove(0)
    }

    #[test]
    fn a_quota_that_holds_one_slot_and_not_two_is_told_with_its_figures() {
        let small =
            || quota(json!({ "limits.memory": "192Mi" }), json!({ "limits.memory": "128Mi" }));

        let refused = asked(&[], small());
        assert_eq!(refused.verdict, Verdict::Refuse);
        assert!(
            refused.detail.contains(
                "the quota small has limits.memory: 128 MiB needed beside what stays, 64 MiB of \
                 192 MiB free"
            ),
            "{refused:?}"
        );
        // What the idle slot still has will be gone by then.
        assert_eq!(asked(&[pod()], small()).verdict, Verdict::Pass);
    }

    #[test]
    fn everything_that_pods_take_is_counted() {
        for (what, fits, does_not) in [
            ("pods", "2", "1"),
            ("count/pods", "2", "1"),
            ("requests.memory", "128Mi", "127Mi"),
            ("memory", "128Mi", "127Mi"),
            ("requests.cpu", "100m", "99m"),
            ("cpu", "0.1", "99m"),
            ("limits.cpu", "400m", "399m"),
        ] {
            let with = |hard: &str| asked(&[], quota(json!({ what: hard }), json!({}))).verdict;
            assert_eq!((with(fits), with(does_not)), (Verdict::Pass, Verdict::Refuse), "{what}");
        }
        let other = asked(&[], quota(json!({ "persistentvolumeclaims": "0" }), json!({})));
        assert_eq!(other.verdict, Verdict::Pass);
    }

    #[test]
    fn a_quota_for_other_pods_is_none_for_ours() {
        let mut other = quota(json!({ "pods": "0" }), json!({}));
        other.spec = serde_json::from_value(json!({ "scopes": ["BestEffort"] })).ok();

        assert_eq!(asked(&[], other).verdict, Verdict::Pass);
    }

    #[test]
    fn limits_are_held_against_the_namespaces_range() {
        let range = |item: Value| -> Finding {
            let range = json!({ "metadata": {}, "spec": { "limits": [item] } });
            in_ranges("q", &ASKED, &[serde_json::from_value(range).expect("a range")]).remove(0)
        };
        let refused = |item: Value, told: &str| {
            let finding = range(item);
            assert_eq!(finding.verdict, Verdict::Refuse, "{finding:?}");
            assert!(finding.detail.contains(told), "{finding:?}");
        };

        refused(json!({ "type": "Container", "max": { "memory": "32Mi" } }), "32 MiB is the most");
        refused(json!({ "type": "Pod", "min": { "cpu": "100m" } }), "0.1 cores is the least");
        refused(
            json!({ "type": "Container", "maxLimitRequestRatio": { "cpu": "2" } }),
            "4 times what is asked for",
        );
        let fine = json!({ "type": "Container", "max": { "memory": "64Mi", "cpu": "200m" } });
        assert_eq!(range(fine).verdict, Verdict::Pass);
        let volumes = json!({ "type": "PersistentVolumeClaim", "max": { "storage": "1" } });
        assert_eq!(range(volumes).verdict, Verdict::Pass);
        assert_eq!(in_ranges("q", &ASKED, &[])[0].detail, "there is none");
    }

    fn node(name: &str, memory: &str, cpu: &str, spec: Value, ready: &str) -> Node {
        let node = json!({
            "metadata": { "name": name },
            "spec": spec,
            "status": {
                "allocatable": { "memory": memory, "cpu": cpu },
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        });
        serde_json::from_value(node).expect("a node")
    }

    fn on(node: &str) -> Pod {
        let mut there = pod();
        there.spec.as_mut().expect("one").node_name = Some(node.to_owned());
        there
    }

    #[test]
    fn nodes_on_which_the_cluster_puts_no_pod_are_no_room() {
        let tainted = |effect: &str| json!({ "taints": [{ "key": "a", "effect": effect }] });
        let large = |spec: Value, ready: &str| node("large", "8Gi", "8", spec, ready);
        let of = |other: Node| {
            on_nodes(
                "q",
                &ASKED,
                &[node("small", "100Mi", "2", json!({}), "True"), other],
                Some(&[]),
            )
        };

        for (other, why) in [
            (large(json!({}), "False"), "1 not ready"),
            (large(json!({}), "Unknown"), "1 not ready"),
            (large(json!({ "unschedulable": true }), "True"), "1 cordoned"),
            (large(tainted("NoSchedule"), "True"), "1 tainted"),
            (large(tainted("NoExecute"), "True"), "1 tainted"),
        ] {
            let found = of(other);
            assert_eq!(found.verdict, Verdict::Warn, "{found:?}");
            let told = format!(
                "128 MiB and 0.1 cores needed, 100 MiB and 2 cores free on 1 node (without {why}): \
                 instances may wait for a node"
            );
            assert_eq!(found.detail, told);
        }
        assert_eq!(of(large(tainted("PreferNoSchedule"), "True")).verdict, Verdict::Pass);
        let none = on_nodes("q", &ASKED, &[large(json!({}), "False")], Some(&[]));
        assert_eq!(none.verdict, Verdict::Warn, "{none:?}");
        assert!(none.detail.contains("no node takes pods (without 1 not ready)"), "{none:?}");
    }

    #[test]
    fn an_instance_must_fit_onto_one_node_by_memory_and_by_cores() {
        let on = |nodes: &[(&str, &str)]| {
            let nodes: Vec<_> =
                nodes.iter().map(|(m, c)| node("n", m, c, json!({}), "True")).collect();
            on_nodes("q", &ASKED, &nodes, None)
        };

        assert_eq!(on(&[("64Mi", "50m")]).verdict, Verdict::Pass);
        // One has the memory and the other the cores.
        let apart = on(&[("1Gi", "49m"), ("63Mi", "4")]);
        assert_eq!(apart.verdict, Verdict::Refuse, "{apart:?}");
        assert!(
            apart
                .detail
                .contains("an instance asks for 64 MiB and 0.05 cores, and the largest of 2"),
            "{apart:?}"
        );
    }

    #[test]
    fn what_others_asked_these_nodes_for_is_taken_off_memory_and_cores() {
        let nodes = [
            node("a", "1Gi", "150m", json!({}), "True"),
            node("away", "1Gi", "4", json!({}), "False"),
        ];
        let with = |pods: &[Pod]| on_nodes("q", &ASKED, &nodes, Some(pods));

        // Two of 50m fit beside one, and not beside two; what runs elsewhere takes nothing here.
        let fits = with(&[on("a"), on("away"), on("away")]);
        assert_eq!(fits.verdict, Verdict::Pass, "{fits:?}");
        assert!(fits.detail.contains("0.1 cores needed") && fits.detail.contains("0.1 cores free"));
        let full = with(&[on("a"), on("a")]);
        assert_eq!(full.verdict, Verdict::Warn, "{full:?}");
        assert!(full.detail.contains("0.05 cores free on 1 node"), "{full:?}");
        // Who waits for a node takes one too.
        assert_eq!(with(&[on("a"), pod()]).verdict, Verdict::Warn);
    }
}
