//! The questions that a rollout asks before anything is begun, as far as the cluster answers them.

use super::{
    KubernetesTarget,
    check::{self, finding},
    error::answered,
    names::{FIELD_MANAGER, Identity, Names},
    objects,
    room::{self, Asked},
    witness,
};
use crate::{Error, Result};
use domain::{
    slot::Slot,
    target::{Claim, Finding, Plan, Verdict, is_root},
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, LimitRange, Namespace, Pod, ResourceQuota, Secret, Service},
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
        there(target, plan, &namespace),
        target.access(&namespace),
        fits(target, plan, live),
        free(target, plan),
        nodes(target, plan),
        accepted(target, plan, slot),
    );
    // Rights first: what they do not allow is why the others can't be asked.
    let mut access = access?;
    access.retain(|granted| !granted.need.is_for_connecting());
    let mut findings = check::of_access(&access, &namespace);
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
        (false, _) if is_word(&user) => finding(
            question,
            Verdict::Refuse,
            format!(
                "its image names its user by a word ({user}), and the cluster can't tell whether \
                 that is root, so it would not start it: set the service's user as a number"
            ),
        ),
        (false, _) => finding(question, Verdict::Pass, format!("user {user}")),
    }
}

/// Whether a user is named by something else than a number. Who isn't root must not be, and a node only
/// knows that of numbers.
fn is_word(user: &str) -> bool {
    user.split(':').next().unwrap_or_default().trim().parse::<u64>().is_err()
}

/// Whether the namespace is there, and what its pods must be like. Where it may not be asked, its
/// objects tell whether it is there.
async fn there(
    target: &KubernetesTarget,
    plan: &Plan,
    namespace: &str,
) -> Result<(Vec<Finding>, bool)> {
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
            findings.push(security(plan, namespace, level.map_or("none", String::as_str)));
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

/// Whether the namespace's level lets the pods be made, as far as they differ by the plan: all else that
/// the levels ask for they have anyway. A Deployment that it forbids is taken, and only its pods are not.
fn security(plan: &Plan, namespace: &str, level: &str) -> Finding {
    let question = "Pod Security level";
    // Whom the policy forbids to run as root is told that.
    if level == "restricted" && plan.root_allowed && is_root(&plan.user()) {
        let detail = format!(
            "{namespace} is restricted, where no pod may run as root, and this one would: set \
             another user, or have whoever administers the cluster give the namespace the level \
             baseline"
        );
        return finding(question, Verdict::Refuse, detail);
    }
    finding(question, Verdict::Pass, level)
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
    let pods = pods.ok().map(|listed| listed.items);
    room::on_nodes(question, &Asked::of(plan), &nodes, pods.as_deref())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;

    fn of_image(image_user: &str, root_allowed: bool) -> Plan {
        let mut plan = sample::plan(&sample::place("api"), 1);
        (plan.image_user, plan.root_allowed, plan.spec.user) =
            (image_user.to_owned(), root_allowed, None);
        plan
    }

    #[test]
    fn an_allowed_root_is_refused_where_the_namespace_is_restricted() {
        let verdict = |user: &str, allowed: bool, level: &str| {
            security(&of_image(user, allowed), "shop", level).verdict
        };

        for root in ["", "root", "0", "0:0"] {
            let refused = security(&of_image(root, true), "shop", "restricted");
            assert_eq!(refused.verdict, Verdict::Refuse, "{root}");
            assert!(refused.detail.starts_with("shop is restricted, "), "{refused:?}");
            assert_eq!(verdict(root, true, "baseline"), Verdict::Pass);
            assert_eq!(verdict(root, true, "none"), Verdict::Pass);
            // The policy refuses it, once.
            assert_eq!(verdict(root, false, "restricted"), Verdict::Pass);
            assert_eq!(user(&of_image(root, false)).verdict, Verdict::Refuse);
        }
        assert_eq!(verdict("65532", true, "restricted"), Verdict::Pass);
    }

    #[test]
    fn a_user_that_is_a_word_is_refused_before_a_node_would_not_start_it() {
        for word in ["app", "app:app", "nginx:0"] {
            for allowed in [false, true] {
                let refused = user(&of_image(word, allowed));
                assert_eq!(refused.verdict, Verdict::Refuse, "{word}");
                assert!(refused.detail.contains(&format!("a word ({word})")), "{refused:?}");
            }
        }
        for number in ["1001", "1001:app", "65532:65532"] {
            assert_eq!(user(&of_image(number, false)).verdict, Verdict::Pass, "{number}");
        }
        let mut named = of_image("app", false);
        named.spec.user = Some(1001);
        assert_eq!(user(&named).verdict, Verdict::Pass);
    }
}
