//! The end of a drain: who still has a connection to the old slot, and its pods, which are started anew
//! for that.
//!
//! A Service moves new connections only, so who has an open one keeps the old pods. Where there is room,
//! the new ones come first and the way back stays open all the time; else they come in the room of the
//! old ones, and until one of them is ready the slot gets no traffic.

use super::{
    KubernetesTarget, lock,
    names::Names,
    objects,
    pods::SeenPod,
    slots::replicas,
    waiting::{held_up, no_room},
};
use crate::Result;
use anyhow::anyhow;
use domain::{
    slot::Slot,
    target::{Claim, Goodbye, Place},
};
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::util::intstr::IntOrString};
use kube::ResourceExt;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long the old slot's pods may take to be others beside those that are there. Then it is done
/// within the room that those have.
const BESIDE: Duration = Duration::from_secs(15);

/// `Target::close_streams`.
pub(super) async fn close_streams(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    slot: Slot,
) -> Result<Goodbye> {
    let active = target.fenced(claim, place).await?;
    let route = active.and_then(|active| active.route);
    if route.as_ref().is_some_and(|route| route.live == Some(slot)) {
        return Err(target.errors.refused(format!(
            "{slot} gets the traffic, so its connections are left open. Move the traffic first."
        )));
    }
    let Some(route) = route else { return Ok(Goodbye::Told) };
    let name = Names::of(place).deployment(slot);
    let (found, pods) =
        tokio::try_join!(target.get::<Deployment>(place, &name), target.pods(place))?;
    let Some(there) = target.ours(place, found).ok().flatten() else { return Ok(Goodbye::Done) };
    let (moved, key) = (route.moved.to_string(), (place.placement, name.clone()));
    if there.annotations().get(objects::GOODBYE) != Some(&moved) {
        let patch = json!({
            "metadata": {
                "resourceVersion": there.resource_version(),
                "annotations": { objects::GOODBYE: &moved },
            },
            "spec": {
                "strategy": { "rollingUpdate": { "maxSurge": "100%", "maxUnavailable": 0 } },
                "template": { "metadata": { "annotations": { objects::GOODBYE: &moved } } },
            },
        });
        target.change::<Deployment>(place, &name, &patch).await?;
        lock(&target.goodbyes).insert(key, Instant::now());
        return Ok(Goodbye::Ending);
    }
    let goodbye = goodbye(&there, &pods, slot, &moved);
    if goodbye == Goodbye::Done {
        lock(&target.goodbyes).remove(&key);
        return Ok(goodbye);
    }
    let begun = *lock(&target.goodbyes).entry(key).or_insert_with(Instant::now);
    if !within_its_room(&there) && (no_room(&there) || begun.elapsed() > BESIDE) {
        let patch = json!({
            "metadata": { "resourceVersion": there.resource_version() },
            // Of one pod half is none, and then the cluster takes that one.
            "spec": { "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "50%" } } },
        });
        target.change::<Deployment>(place, &name, &patch).await?;
        return Ok(goodbye);
    }
    let ending = pods.iter().any(|one| one.ending);
    if let Err(error) = held_up(target, place, &there, ending).await {
        tracing::debug!(%error, "A goodbye does not come to its end");
    }
    Ok(goodbye)
}

/// How far a slot's pods are with ending and being others.
fn goodbye(there: &Deployment, pods: &[SeenPod], slot: Slot, moved: &str) -> Goodbye {
    let of_slot = || pods.iter().filter(|one| one.identity.slot == slot);
    if of_slot().any(|one| one.goodbye.as_deref() != Some(moved)) {
        return Goodbye::Ending;
    }
    let ready = of_slot().filter(|one| one.ready && !one.ending).count();
    if ready >= usize::try_from(replicas(there)).unwrap_or(0) {
        Goodbye::Done
    } else {
        Goodbye::Starting
    }
}

/// Its pods are made others one after the other, with fewer meanwhile.
fn within_its_room(there: &Deployment) -> bool {
    let rolling = || there.spec.as_ref()?.strategy.as_ref()?.rolling_update.as_ref();
    let surge = rolling().and_then(|rolling| rolling.max_surge.as_ref());
    matches!(surge, Some(IntOrString::Int(0)))
}

/// An error while the pods that would get the traffic are about to end: they are made others within
/// their room, and none of those is ready.
pub(super) async fn stands(
    target: &KubernetesTarget,
    place: &Place,
    slot: Slot,
    there: &Deployment,
    moved: i64,
) -> Result<()> {
    let moved = moved.to_string();
    if there.annotations().get(objects::GOODBYE) != Some(&moved) || !within_its_room(there) {
        return Ok(());
    }
    let pods = target.pods(place).await?;
    let new = |one: &SeenPod| one.goodbye.as_ref() == Some(&moved) && one.ready && !one.ending;
    if pods.iter().any(|one| one.identity.slot == slot && new(one)) {
        return Ok(());
    }
    Err(target.errors.unreachable(anyhow!(
        "the pods in {slot} are being started again, and none of the new ones is ready yet"
    )))
}
