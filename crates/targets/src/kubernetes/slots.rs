//! Filling and emptying a slot, stopping an instance.
//!
//! All begin at the active Service: it refuses an older claim and says whether the slot has the
//! traffic. Whose instances are in the route is written there before they are made, and taken off
//! before they are removed, which raises the revision, so a switch that is still on its way loses.
//!
//! A Deployment belongs to one maker for its whole life: another one makes another. So nothing that
//! runs is ever changed under a rollout's feet, and an upgrade of ours starts nothing anew.

use super::{
    KubernetesTarget,
    active::{Active, Written},
    apply::annotation,
    changed,
    names::{self, Identity, Names},
    objects,
    pods::SeenPod,
    waiting::held_up,
};
use crate::{Error, Result};
use domain::{
    slot::Slot,
    target::{Claim, Place, Plan, Pull, is_root},
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret, Service},
};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Which of a Deployment's pods goes first when it gets smaller: the cluster takes the lowest.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What is there before a slot is filled.
struct There {
    active: Option<Active>,
    preview: Option<Service>,
    deployment: Option<Deployment>,
    config_map: Option<ConfigMap>,
    secret: Option<Secret>,
    pods: Vec<SeenPod>,
}

/// `Target::ensure`.
pub(super) async fn fill(
    target: &KubernetesTarget,
    claim: &Claim,
    slot: Slot,
    plan: &Plan,
) -> Result<()> {
    let place = &plan.place;
    let mut there = look(target, claim, slot, plan).await?;
    let (active, deployment) = (there.active.take(), there.deployment.take());
    let is_live = active.as_ref().and_then(Active::live) == Some(slot);
    may_fill(target, claim, slot, plan, active.as_ref(), &there.pods)?;
    let maker = deployment.as_ref().and_then(|one| maker(target, one));
    let stays = maker.is_some_and(|maker| maker.maker == plan.maker);
    let pull = if stays { None } else { Some(fetched(target, plan)?) };

    announce(target, claim, slot, plan, active).await?;
    let preview = async {
        if plan.spec.exposure.port().is_some() && !is_live {
            return target.lead(place, there.preview.take(), Some(slot)).await;
        }
        Ok(())
    };
    let configured = async {
        let (config_map, secret) = (there.config_map.is_some(), there.secret.is_some());
        configure(target, slot, plan, pull.as_ref(), config_map, secret).await
    };
    tokio::try_join!(preview, configured)?;
    let deployment = match (deployment, &pull) {
        (Some(there), None) => resize(target, claim, plan, is_live, there).await?,
        (there, Some(pull)) => {
            if let Some(strays) = &there {
                target.delete(place, strays).await?;
            }
            let (installation, grace) = (target.options.installation, target.options.grace);
            let made = objects::deployment(plan, pull, claim, slot, installation, grace);
            let made = target.apply::<Deployment>(place, &made).await?;
            if there.is_some() {
                sweep(target, place).await?;
            }
            made
        }
        // Whoever stays is there.
        (None, None) => return Err(target.lost()),
    };
    let of_slot = there.pods.iter().filter(|one| one.identity.slot == slot);
    let ours: Vec<_> = of_slot.filter(|one| one.identity.maker == plan.maker).collect();
    take_in(target, place, &ours).await?;
    // Whoever ends still takes the room of a quota.
    let ending = there.pods.iter().any(|one| one.ending);
    held_up(target, place, &deployment, ending).await
}

/// Everything of which a name is needed, before anything is made. The claim is shown meanwhile.
async fn look(target: &KubernetesTarget, claim: &Claim, slot: Slot, plan: &Plan) -> Result<There> {
    let place = &plan.place;
    let names = Names::of(place);
    let configuration = names.configuration(plan.configuration);
    let (deployment, preview, login) = (names.deployment(slot), names.preview(), names.login(slot));
    let (deployment, preview, login, config_map, secret, pods, active) = tokio::try_join!(
        target.get::<Deployment>(place, &deployment),
        target.get::<Service>(place, &preview),
        target.get::<Secret>(place, &login),
        target.get::<ConfigMap>(place, &configuration),
        target.get::<Secret>(place, &configuration),
        target.pods(place),
        target.fenced(claim, place),
    )?;
    target.ours(place, login)?;
    if active.is_none() {
        target.active_is_free(place).await?;
    }
    Ok(There {
        active,
        preview: target.ours(place, preview)?,
        deployment: target.ours(place, deployment)?,
        config_map: target.ours(place, config_map)?,
        secret: target.ours(place, secret)?,
        pods,
    })
}

/// What a slot is not filled over: the live pods of somebody else, and a route that was lost.
fn may_fill(
    target: &KubernetesTarget,
    claim: &Claim,
    slot: Slot,
    plan: &Plan,
    active: Option<&Active>,
    pods: &[SeenPod],
) -> Result<()> {
    let route = active.and_then(|active| active.route.as_ref());
    if let Some(route) = route.filter(|route| route.live == Some(slot))
        && let Some(other) = route.makers.of(slot).filter(|maker| *maker != plan.maker)
    {
        return Err(target.errors.stale(format!(
            "{slot} gets the traffic, with instances of rollout {}. Another rollout does not fill \
             it.",
            other.short()
        )));
    }
    // A first route is written by a rollout that finds nothing of anybody else. In all other cases
    // there was one, and writing an empty one would hide that it is lost.
    let stranger = |one: &SeenPod| one.identity.maker != plan.maker;
    let first = claim.rollout.is_some() && !pods.iter().any(stranger);
    if plan.spec.exposure.port().is_some() && route.is_none() && !first {
        return Err(target.lost());
    }
    if is_root(&plan.user()) && !plan.root_allowed {
        return Err(target.errors.refused(
            "it would run as root, and the environment does not allow that. Give it another \
             user, or whoever administers the environment can allow it.",
        ));
    }
    Ok(())
}

/// Where the cluster gets the image from.
fn fetched(target: &KubernetesTarget, plan: &Plan) -> Result<Pull> {
    plan.pull.clone().ok_or_else(|| {
        target.errors.refused(format!(
            "the image {} is in no registry that is known, or is gone from it, and a cluster \
             fetches by digest. Push it first.",
            plan.image.short()
        ))
    })
}

fn maker(target: &KubernetesTarget, deployment: &Deployment) -> Option<Identity> {
    Identity::read(Some(deployment.labels()), target.options.installation)
}

/// Writes whose instances are in the route, and the names it is reached by, without moving traffic.
async fn announce(
    target: &KubernetesTarget,
    claim: &Claim,
    slot: Slot,
    plan: &Plan,
    active: Option<Active>,
) -> Result<()> {
    let place = &plan.place;
    if plan.spec.exposure.port().is_none() {
        if active.is_none() {
            // Where the claim stands, though nothing comes in.
            target.make_active(claim, place, None).await?;
        }
        return Ok(());
    }
    let there = active.as_ref().and_then(|active| active.route.clone());
    let mut next = there.clone().unwrap_or_else(|| Written::first(place));
    *next.makers.of_mut(slot) = Some(plan.maker);
    next.host_names.clone_from(&place.host_names);
    next.preview_host_names.clone_from(&place.preview_host_names);
    next.withdrawn = false;
    if there.as_ref() == Some(&next) {
        return Ok(());
    }
    target.names_are_free(place).await?;
    match active {
        Some(active) => {
            // What was never written, or was withdrawn, leads nowhere by what stands on it now.
            let moves = there.is_none_or(|there| there.withdrawn);
            target.write(claim, place, &active, next, moves).await?;
        }
        None => {
            next.revision = 1;
            next.moved = 1;
            next.rollout = claim.rollout;
            next.applied_at = time::OffsetDateTime::now_utc();
            target.make_active(claim, place, Some(next)).await?;
        }
    }
    Ok(())
}

/// What pods read when they start: before they are made. What somebody removed comes back.
async fn configure(
    target: &KubernetesTarget,
    slot: Slot,
    plan: &Plan,
    pull: Option<&Pull>,
    has_config_map: bool,
    has_secret: bool,
) -> Result<()> {
    let (place, installation) = (&plan.place, target.options.installation);
    let config_map = async {
        if !has_config_map {
            target.create::<ConfigMap>(place, objects::config_map(plan, installation)).await?;
        }
        Ok(())
    };
    let secret = async {
        if !has_secret {
            target.create::<Secret>(place, objects::secret(plan, installation)).await?;
        }
        Ok(())
    };
    let login = async {
        // Written again each time it is known, because a password may have changed since.
        if let Some((pull, login)) =
            pull.or(plan.pull.as_ref()).and_then(|pull| Some((pull, pull.login.as_ref()?)))
        {
            let login = objects::login(plan, pull, login, slot, installation);
            target.apply::<Secret>(place, &login).await?;
        }
        Ok(())
    };
    tokio::try_join!(config_map, secret, login).map(drop)
}

/// Gives a Deployment the plan's number of pods. A rollout makes no slot smaller that has the
/// traffic.
async fn resize(
    target: &KubernetesTarget,
    claim: &Claim,
    plan: &Plan,
    is_live: bool,
    there: Deployment,
) -> Result<Deployment> {
    if let Some(what) = changed::resized(&there) {
        return Err(target.errors.refused(format!(
            "{} was changed by hand: {what}. It is left as it is.",
            there.name_any()
        )));
    }
    let is = there.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let keeps = is_live && claim.rollout.is_some();
    let wanted = if keeps { is.max(plan.size.into()) } else { plan.size.into() };
    let epoch = annotation::<i64>(Some(there.annotations()), objects::EPOCH).unwrap_or(0);
    if epoch > claim.epoch {
        return Err(target.errors.stale(format!(
            "{} was written under epoch {epoch}, and this is {}.",
            there.name_any(),
            claim.epoch
        )));
    }
    if is == wanted {
        return Ok(there);
    }
    let name = there.name_any();
    let patch = scaled(&there, claim, wanted);
    Ok(target.change::<Deployment>(&plan.place, &name, &patch).await?.unwrap_or(there))
}

/// It loses against who wrote the Deployment since it was read.
fn scaled(there: &Deployment, claim: &Claim, replicas: i32) -> Value {
    json!({
        "metadata": {
            "resourceVersion": there.resource_version(),
            "annotations": {
                objects::SIZE: replicas.to_string(),
                objects::EPOCH: claim.epoch.to_string(),
            },
        },
        "spec": { "replicas": replicas },
    })
}

/// Notes each pod's number, so that it stays the same when others go, and brings those back behind
/// the Services that had left for a stop that never came. Whom a hand took out stays out.
async fn take_in(target: &KubernetesTarget, place: &Place, pods: &[&SeenPod]) -> Result<()> {
    let late = pods.iter().filter(|one| !one.ending && !one.relabelled);
    let late = late.filter(|one| !one.numbered || !one.routed);
    try_join_all(late.map(|one| async move {
        let mut patch = json!({ "metadata": {
            "uid": one.uid,
            "annotations": {
                objects::NUMBER: one.number.to_string(),
                // The highest goes first, as everywhere.
                DELETION_COST: (-i32::from(one.number)).to_string(),
            },
        } });
        if !one.routed {
            patch["metadata"]["labels"] = json!({ names::ROUTED: names::YES });
            // A hand may have come since it was read.
            patch["metadata"]["resourceVersion"] = json!(one.resource_version);
        }
        match target.change::<Pod>(place, &one.name, &patch).await {
            // It is looked at again, and taken in then.
            Ok(_) | Err(Error::Stale { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }))
    .await
    .map(drop)
}

/// Removes the configurations that no slot uses any more.
async fn sweep(target: &KubernetesTarget, place: &Place) -> Result<()> {
    let selector = target.of(place);
    let (deployments, pods, config_maps, secrets) = tokio::try_join!(
        target.list::<Deployment>(place, &selector),
        target.pods(place),
        target.list::<ConfigMap>(place, &selector),
        target.list::<Secret>(place, &selector),
    )?;
    let made = deployments.iter().filter_map(|one| maker(target, one));
    let made: Vec<_> = made.chain(pods.into_iter().map(|one| one.identity)).collect();
    let names = Names::of(place);
    let used: BTreeSet<String> = made
        .iter()
        .flat_map(|one| [names.configuration(one.configuration), names.login(one.slot)])
        .collect();
    let is_left = |name: String| !used.contains(&name);
    let config_maps = config_maps.iter().filter(|one| is_left(one.name_any()));
    let secrets = secrets.iter().filter(|one| is_left(one.name_any()));
    tokio::try_join!(
        try_join_all(config_maps.map(|one| target.delete(place, one))),
        try_join_all(secrets.map(|one| target.delete(place, one))),
    )
    .map(drop)
}

impl KubernetesTarget {
    /// An error if another placement of ours is reached by one of the names.
    pub(super) async fn names_are_free(&self, place: &Place) -> Result<()> {
        let ours = names::selector_of(self.options.installation);
        for service in self.list::<Service>(place, &ours).await? {
            let labels = Some(service.labels());
            let of = names::placement_of(labels, self.options.installation);
            if of.is_none_or(|of| of == place.placement) {
                continue;
            }
            let written = service.annotations().get(super::active::ROUTE);
            let Some(other) = written.and_then(|text| serde_json::from_str::<Written>(text).ok())
            else {
                continue;
            };
            let theirs = || other.host_names.iter().chain(&other.preview_host_names);
            let wanted = place.host_names.iter().chain(&place.preview_host_names);
            if let Some(taken) = wanted.into_iter().find(|name| theirs().any(|it| it == *name)) {
                return Err(self.errors.refused(format!(
                    "the host name {taken} belongs to the service {} already. Give one of them \
                     another.",
                    service.name_any()
                )));
            }
        }
        Ok(())
    }
}

/// `Target::remove`.
pub(super) async fn empty(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    slot: Slot,
) -> Result<()> {
    let names = Names::of(place);
    let name = names.deployment(slot);
    let (pods, deployment, active) = tokio::try_join!(
        target.pods(place),
        target.get::<Deployment>(place, &name),
        target.fenced(claim, place),
    )?;
    // A stranger's is none of ours.
    let deployment = target.ours(place, deployment).ok().flatten();
    let (of_slot, others): (Vec<_>, Vec<_>) =
        pods.into_iter().partition(|one| one.identity.slot == slot);
    let route = active.as_ref().and_then(|active| active.route.clone());
    if route.as_ref().is_some_and(|route| route.live == Some(slot)) {
        return Err(target.errors.refused(format!(
            "{slot} gets the traffic, so it is not removed. Move the traffic first."
        )));
    }
    if route.is_none() && of_slot.iter().any(|one| one.has_port) {
        return Err(target.lost());
    }
    if let (Some(active), Some(route)) = (&active, &route)
        && route.makers.of(slot).is_some()
    {
        let mut next = route.clone();
        *next.makers.of_mut(slot) = None;
        target.write(claim, place, active, next, false).await?;
    }
    let nobody = of_slot.is_empty();
    match deployment {
        // Its pods are told to end and get their time; the next call goes on.
        Some(there) if replicas(&there) > 0 => {
            let patch = scaled(&there, claim, 0);
            target.change::<Deployment>(place, &name, &patch).await?;
            return Ok(());
        }
        Some(there) if nobody => target.delete(place, &there).await?,
        Some(_) => return Ok(()),
        // Whose Deployment somebody removed.
        None => {
            let left = of_slot.iter().filter(|one| !one.ending);
            try_join_all(left.map(|one| end(target, place, one))).await?;
        }
    }
    if nobody {
        sweep(target, place).await?;
        let withdrawn = route.is_none_or(|route| route.withdrawn);
        if withdrawn && others.is_empty() {
            tidy(target, place).await?;
        }
    }
    Ok(())
}

pub(super) fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Takes the Services away, once nothing is behind them and nothing may come.
async fn tidy(target: &KubernetesTarget, place: &Place) -> Result<()> {
    let selector = target.of(place);
    let (left, services) = tokio::try_join!(
        target.list::<Deployment>(place, &selector),
        target.list::<Service>(place, &selector),
    )?;
    if left.iter().any(|one| one.metadata.deletion_timestamp.is_none()) {
        return Ok(());
    }
    try_join_all(services.iter().map(|one| target.delete(place, one))).await?;
    super::lock(&target.arrived).remove(&place.placement);
    Ok(())
}

/// Tells a pod to end, with the time that it gets for that.
async fn end(target: &KubernetesTarget, place: &Place, one: &SeenPod) -> Result<()> {
    let name_and_uid = json!({ "metadata": { "name": one.name, "uid": one.uid } });
    let pod: Pod =
        serde_json::from_value(name_and_uid).map_err(|error| target.errors.unreachable(error))?;
    target.delete(place, &pod).await
}

/// `Target::stop`.
pub(super) async fn rest(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    slot: Slot,
    instance: &str,
) -> Result<()> {
    let Some(active) = target.fenced(claim, place).await? else { return Ok(()) };
    let name = Names::of(place).active();
    let (pods, served) = tokio::try_join!(target.pods(place), target.served_by(place, &name))?;
    let of_slot = || pods.iter().filter(|one| one.identity.slot == slot);
    let Some(one) = of_slot().find(|one| one.name == instance && !one.ending) else {
        return Ok(());
    };
    if !one.routed {
        // It left the Services with the last call, and what it has was answered since.
        return end(target, place, one).await;
    }
    let others = of_slot().any(|other| {
        other.name != one.name && other.runs() && other.routed && served.contains(&other.name)
    });
    if active.live() == Some(slot) && !others {
        return Err(target.errors.refused(format!(
            "nobody else in {slot} would be left to answer. Start another instance first."
        )));
    }
    if let Some(route) = active.route.clone() {
        target.write(claim, place, &active, route, false).await?;
    }
    let patch = json!({ "metadata": {
        "uid": one.uid,
        "labels": { names::ROUTED: names::NO },
    } });
    target.change::<Pod>(place, &one.name, &patch).await.map(drop)
}
