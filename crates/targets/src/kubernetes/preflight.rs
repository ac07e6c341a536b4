//! The questions that a rollout asks before anything is begun, as far as the cluster answers them.

use super::{
    KubernetesTarget,
    check::{self, allocatable, finding},
    error::answered,
    names::{FIELD_MANAGER, Identity, Names},
    objects, quantity,
    room::{self, Asked},
    witness,
};
use crate::{Error, Result, docker::gib};
use domain::{
    slot::Slot,
    target::{Claim, Finding, Plan, Verdict, is_root},
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, LimitRange, Namespace, Node, Pod, ResourceQuota, Secret, Service},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::Value;

/// The label by which a namespace says what its pods must be like.
const LEVEL: &str = "pod-security.kubernetes.io/enforce";

/// `Target::preflight`.
pub(super) async fn preflight(
    target: &KubernetesTarget,
    plan: &Plan,
    live: Option<Slot>,
) -> Result<Vec<Finding>> {
    let place = &plan.place;
    let namespace = target.namespace(place)?;
    target.hub.learn(&namespace);
    let slot = live.map_or(Slot::Blue, Slot::other);
    let (there, access, room, names, nodes, accepted) = tokio::join!(
        there(target, &namespace),
        target.access(&namespace),
        fits(target, plan, live),
        free(target, plan),
        nodes(target, plan),
        accepted(target, plan, slot),
    );
    // Rights first: what they do not allow is why the others can't be asked.
    let mut findings = check::of_access(&access?, &namespace);
    let (there, is_there) = there?;
    findings.push(image(plan));
    findings.push(user(plan));
    findings.extend(there);
    let names = names?;
    let is_free = names.verdict != Verdict::Refuse;
    findings.push(names);
    findings.extend(room?);
    findings.push(nodes);
    // Without its namespace or its names nothing would be accepted, and that is told already.
    if is_there && is_free {
        findings.extend(accepted?);
    }
    if target.options.probe_image.is_some()
        && let Some(trouble) = witness::trouble(target, place).await
    {
        let detail = format!("{trouble}. Until it runs, requests go through the API server");
        findings.push(finding("Witness runs", Verdict::Warn, detail));
    }
    Ok(findings)
}

/// A cluster fetches images by itself: somebody must have brought them where it can.
fn image(plan: &Plan) -> Finding {
    let question = "Image is there, same content";
    match &plan.pull {
        Some(pull) => finding(
            question,
            Verdict::Pass,
            format!("{} is fetched from {} by its digest", plan.image.short(), pull.repository),
        ),
        None => finding(
            question,
            Verdict::Refuse,
            format!(
                "{} is only on a Docker host: push it to a registry from which the cluster can \
                 fetch it",
                plan.image.short()
            ),
        ),
    }
}

fn user(plan: &Plan) -> Finding {
    let question = "Runs as an ordinary user";
    let user = plan.user();
    match (is_root(&user), plan.root_allowed) {
        (true, false) => finding(
            question,
            Verdict::Refuse,
            "it would run as root, and the policy does not allow it: set another user",
        ),
        (true, true) => {
            finding(question, Verdict::Warn, "it runs as root, which the policy allows")
        }
        (false, _) => finding(question, Verdict::Pass, format!("user {user}")),
    }
}

/// Whether the namespace is there, and what its pods must be like. Where it may not be asked, its
/// objects tell whether it is there.
async fn there(target: &KubernetesTarget, namespace: &str) -> Result<(Vec<Finding>, bool)> {
    let question = "Namespace is there";
    let api = Api::<Namespace>::all(target.client().clone());
    match answered(api.get_opt(namespace)).await {
        Ok(Some(found)) => {
            let ends = found.metadata.deletion_timestamp.is_some();
            let level = found.metadata.labels.as_ref().and_then(|labels| labels.get(LEVEL));
            let mut findings = vec![if ends {
                let detail = format!("{namespace} is being removed: wait, and make it again");
                finding(question, Verdict::Refuse, detail)
            } else {
                finding(question, Verdict::Pass, namespace)
            }];
            let level = level.map_or("none", String::as_str);
            findings.push(finding("Pod Security level", Verdict::Pass, level));
            Ok((findings, !ends))
        }
        Ok(None) => {
            let detail = format!(
                "there is no {namespace}. Whoever administers the cluster can make it with: \
                 kubectl create namespace {namespace}"
            );
            Ok((vec![finding(question, Verdict::Refuse, detail)], false))
        }
        Err(error) => match target.errors.sorted(error) {
            Error::Refused { .. } => {
                let detail = format!("{namespace} may not be looked at, so that is not known");
                Ok((vec![finding(question, Verdict::Warn, detail)], true))
            }
            other => Err(other),
        },
    }
}

/// Whether a name that is to be used belongs to somebody else.
async fn free(target: &KubernetesTarget, plan: &Plan) -> Result<Finding> {
    let question = "Names are free";
    let place = &plan.place;
    let names = Names::of(place);
    let services = [names.active(), names.preview()];
    let deployments = Slot::ALL.map(|slot| names.deployment(slot));
    let configuration = names.configuration(plan.configuration);
    let asked = async {
        let services = try_join_all(services.iter().map(|name| target.get::<Service>(place, name)));
        let deployments =
            try_join_all(deployments.iter().map(|name| target.get::<Deployment>(place, name)));
        let (services, deployments, config_map, secret) = tokio::try_join!(
            services,
            deployments,
            target.get::<ConfigMap>(place, &configuration),
            target.get::<Secret>(place, &configuration),
        )?;
        for one in services {
            target.ours(place, one)?;
        }
        for one in deployments {
            target.ours(place, one)?;
        }
        target.ours(place, config_map)?;
        target.ours(place, secret)?;
        Ok(())
    };
    match asked.await {
        Ok(()) => Ok(finding(question, Verdict::Pass, "no object of somebody else has them")),
        Err(Error::Refused { reason, .. }) => Ok(finding(question, Verdict::Refuse, reason)),
        Err(other) => Err(other),
    }
}

/// Whether quotas and ranges of the namespace hold the new slot beside the live one.
async fn fits(target: &KubernetesTarget, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>> {
    let place = &plan.place;
    let ours = target.of(place);
    let (quotas, ranges, pods) = tokio::join!(
        target.list::<ResourceQuota>(place, ""),
        target.list::<LimitRange>(place, ""),
        target.list::<Pod>(place, &ours),
    );
    let not_allowed = |question: &str, error: Error| match error {
        Error::Refused { .. } => {
            Ok(vec![finding(question, Verdict::Warn, "may not be read, so that is not known")])
        }
        other => Err(other),
    };
    let question = "Room for both slots, quota";
    let mut findings = match (quotas, pods) {
        (Ok(quotas), Ok(pods)) => {
            // What the idle slot has now will be gone.
            let goes: Vec<Pod> = pods
                .into_iter()
                .filter(|pod| {
                    let labels = pod.metadata.labels.as_ref();
                    Identity::read(labels, target.options.installation)
                        .is_some_and(|identity| Some(identity.slot) != live)
                })
                .collect();
            room::in_quotas(question, &Asked::of(plan), &goes, &quotas)
        }
        (Err(error), _) | (_, Err(error)) => not_allowed(question, error)?,
    };
    let question = "Limits fit the namespace's range";
    findings.extend(match ranges {
        Ok(ranges) => room::in_ranges(question, &Asked::of(plan), &ranges),
        Err(error) => not_allowed(question, error)?,
    });
    Ok(findings)
}

/// Whether some node can take an instance at all, and what the nodes have left where pods of all
/// namespaces may be listed.
async fn nodes(target: &KubernetesTarget, plan: &Plan) -> Finding {
    let question = "Nodes have room";
    let pods = Api::<Pod>::all(target.client().clone());
    let listed = ListParams::default().match_any();
    let (nodes, pods) = tokio::join!(check::nodes(target), answered(pods.list(&listed)));
    let Ok(nodes) = nodes else {
        return finding(question, Verdict::Warn, "nodes may not be listed, so that is not known");
    };
    let nodes: Vec<&Node> = nodes
        .iter()
        .filter(|node| node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true)))
        .collect();
    let memory = |node: &&Node| {
        allocatable(node).and_then(|room| quantity::whole(room.get("memory")?)).unwrap_or(0)
    };
    let (need, size) = (plan.limits.memory_bytes, u64::from(plan.size));
    let largest = nodes.iter().map(memory).max().unwrap_or(0);
    let (count, plural) = (nodes.len(), if nodes.len() == 1 { "" } else { "s" });
    if need > largest {
        let detail = format!(
            "an instance asks for {}, and the largest of {count} node{plural} that take pods has \
             {}: lower the memory limit, or use a larger node",
            gib(need),
            gib(largest)
        );
        return finding(question, Verdict::Refuse, detail);
    }
    let Ok(pods) = pods else {
        let detail = format!(
            "the largest of {count} node{plural} has {} for an instance of {}; what others use may \
             not be seen",
            gib(largest),
            gib(need)
        );
        return finding(question, Verdict::Pass, detail);
    };
    let used: u64 = pods.items.iter().filter(|pod| room::counts(pod)).map(room::memory).sum();
    let free = nodes.iter().map(memory).sum::<u64>().saturating_sub(used);
    let figures =
        format!("{} needed, {} free on {count} node{plural}", gib(need * size), gib(free));
    if need * size > free {
        // An autoscaler of nodes may bring more: said, and not refused.
        let detail = format!("{figures}: instances may wait for a node");
        return finding(question, Verdict::Warn, detail);
    }
    finding(question, Verdict::Pass, figures)
}

/// Whether the API server would take what is to be applied: a dry run of it all.
async fn accepted(target: &KubernetesTarget, plan: &Plan, slot: Slot) -> Result<Vec<Finding>> {
    let question = "Cluster accepts what is made";
    let Some(pull) = &plan.pull else { return Ok(Vec::new()) };
    let place = &plan.place;
    let installation = target.options.installation;
    // The epoch is no matter of what is accepted.
    let claim = Claim { placement: place.placement, epoch: 0, rollout: Some(plan.maker) };
    let grace = target.options.grace;
    let deployment = objects::deployment(plan, pull, &claim, slot, installation, grace);
    let (map, secret) =
        (objects::config_map(plan, installation), objects::secret(plan, installation));
    let (map, secret, deployment) = tokio::join!(
        dry::<ConfigMap>(target, plan, &map),
        dry::<Secret>(target, plan, &secret),
        dry::<Deployment>(target, plan, &deployment),
    );
    for tried in [map, secret, deployment] {
        match tried {
            Ok(()) => {}
            Err(Error::Refused { reason, .. } | Error::Full { reason, .. }) => {
                return Ok(vec![finding(question, Verdict::Refuse, reason)]);
            }
            Err(other) => return Err(other),
        }
    }
    let detail = "a dry run of the Deployment, its variables and its secrets";
    Ok(vec![finding(question, Verdict::Pass, detail)])
}

async fn dry<K: super::apply::Kind>(
    target: &KubernetesTarget,
    plan: &Plan,
    object: &Value,
) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    // What is there by this name is ours, and gone before this is made: who wrote its fields last, as
    // an emptying of the slot does, is no matter.
    let params = PatchParams::apply(FIELD_MANAGER).validation_strict().dry_run().force();
    let (api, patch) = (target.api::<K>(&plan.place)?, Patch::Apply(object));
    let tried = answered(api.patch(name, &params, &patch)).await;
    match tried {
        Ok(_) => Ok(()),
        // Somebody else's fields, or a name that is taken: told with the names.
        Err(kube::Error::Api(status)) if status.code == 409 => Err(target.errors.refused(format!(
            "{name} has parts that somebody else wrote: {}.",
            super::error::sentence(&status.message).trim_end_matches('.')
        ))),
        Err(error) => Err(target.errors.sorted(error)),
    }
}
