//! Whether a slot fits into a namespace's quotas and ranges, with the figures. Pure.

use super::{check::finding, quantity};
use crate::docker::gib;
use domain::target::{Finding, Plan, Verdict};
use k8s_openapi::{
    api::core::v1::{LimitRange, Pod, ResourceQuota},
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
pub(super) fn counts(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// The memory that a pod asks its node for.
pub(super) fn memory(pod: &Pod) -> u64 {
    of_pod(pod, "requests.memory").unwrap_or(0)
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
}
