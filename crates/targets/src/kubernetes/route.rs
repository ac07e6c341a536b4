//! The route of a placement: the active Service. Whoever changes anything of the placement shows the
//! claim here first.

use super::{
    KubernetesTarget,
    active::{self, Active, Written},
    apply::annotation,
    goodbye,
    names::Names,
    objects,
    observe::arrived,
    witness,
};
use crate::{Error, Makers, Result};
use anyhow::anyhow;
use domain::{
    slot::Slot,
    target::{Claim, Place, RouteSeen},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How long a write of the route waits until it is followed. What takes longer is seen by a later
/// look.
const FOLLOWED: Duration = Duration::from_millis(1200);
/// Between two looks whether it is.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How often the preview is written where somebody else writes it in the same moment.
const LEADS: usize = 3;

/// The write that makes a Service's selector be `wanted` and nothing more: a word that a hand added would
/// fit no pod, and whoever is verified through it would never pass. `None`: it is.
fn leading(found: &Service, wanted: &BTreeMap<String, String>) -> Option<Value> {
    let is = found.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    if is == *wanted {
        return None;
    }
    let mut selector: Map<String, Value> = is.into_keys().map(|key| (key, Value::Null)).collect();
    selector.extend(wanted.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
    Some(json!({
        "metadata": { "resourceVersion": found.resource_version() },
        "spec": { "selector": selector },
    }))
}

impl KubernetesTarget {
    /// The active Service, where it is ours. A stranger's is none: who only looks, or shows a claim,
    /// has no need of the name.
    pub(super) async fn active(&self, place: &Place) -> Result<Option<Active>> {
        let found = self.get::<Service>(place, &Names::of(place).active()).await?;
        let found = self.ours(place, found).ok().flatten();
        found.map(|service| self.read(&service, place)).transpose()
    }

    /// Whoever makes the active Service does need the name.
    pub(super) async fn active_is_free(&self, place: &Place) -> Result<()> {
        let found = self.get::<Service>(place, &Names::of(place).active()).await?;
        self.ours(place, found).map(drop)
    }

    fn read(&self, service: &Service, place: &Place) -> Result<Active> {
        Active::read(service, place, self.options.installation, &self.errors)
    }

    /// Shows the claim, and says what is routed. Without a Service there is nothing to write it onto
    /// yet: whoever makes it does, and what was made remembers too.
    pub(super) async fn fenced(&self, claim: &Claim, place: &Place) -> Result<Option<Active>> {
        debug_assert_eq!(claim.placement, place.placement, "a claim is for its own placement");
        let Some(mut active) = self.active(place).await? else {
            let made = self.highest_made(place).await?;
            return if made > Some(claim.epoch) {
                Err(self.too_old(claim, made))
            } else {
                Ok(None)
            };
        };
        if active.epoch > claim.epoch {
            return Err(self.too_old(claim, Some(active.epoch)));
        }
        if active.epoch < claim.epoch {
            let patch = json!({ "metadata": {
                "resourceVersion": active.resource_version,
                "annotations": { objects::EPOCH: claim.epoch.to_string() },
            } });
            let name = Names::of(place).active();
            let Some(written) = self.change::<Service>(place, &name, &patch).await? else {
                return Ok(None);
            };
            active = self.read(&written, place)?;
            self.mark_slots(claim, place).await?;
        }
        Ok(Some(active))
    }

    /// Writes the claim onto the Deployments too: that voids what an older holder has read of them.
    async fn mark_slots(&self, claim: &Claim, place: &Place) -> Result<()> {
        let epoch = json!({ "metadata": {
            "annotations": { objects::EPOCH: claim.epoch.to_string() },
        } });
        for one in self.list::<Deployment>(place, &self.of(place)).await? {
            self.change::<Deployment>(place, &one.name_any(), &epoch).await?;
        }
        Ok(())
    }

    fn too_old(&self, claim: &Claim, seen: Option<i64>) -> Error {
        self.errors.stale(format!(
            "the placement was claimed with epoch {}, and this is {}.",
            seen.unwrap_or_default(),
            claim.epoch
        ))
    }

    async fn highest_made(&self, place: &Place) -> Result<Option<i64>> {
        let made = self.list::<Deployment>(place, &self.of(place)).await?;
        let epochs =
            made.iter().filter_map(|one| annotation(Some(one.annotations()), objects::EPOCH));
        Ok(epochs.max())
    }

    /// Writes the route in place of what was read. It loses against who wrote it since.
    pub(super) async fn write(
        &self,
        claim: &Claim,
        place: &Place,
        before: &Active,
        next: Written,
        moves: bool,
    ) -> Result<Active> {
        let (_, patch) = before.write(claim, place, self.options.installation, next, moves);
        let name = Names::of(place).active();
        let written = self.change::<Service>(place, &name, &patch).await?;
        let written = written.ok_or_else(|| self.lost())?;
        self.read(&written, place)
    }

    /// Makes the active Service, with a route or without.
    pub(super) async fn make_active(
        &self,
        claim: &Claim,
        place: &Place,
        route: Option<Written>,
    ) -> Result<Active> {
        let mut annotations =
            BTreeMap::from([(objects::EPOCH.to_owned(), claim.epoch.to_string())]);
        let live = route.as_ref().and_then(|route| route.live);
        if let Some(route) = route {
            annotations.insert(active::ROUTE.to_owned(), active::text(&route));
        }
        let name = Names::of(place).active();
        let service = objects::service(place, self.options.installation, &name, live, &annotations);
        let made = self.create::<Service>(place, service).await?;
        self.read(&made, place)
    }

    /// Makes the preview Service lead to `slot`.
    pub(super) async fn preview(&self, place: &Place, slot: Option<Slot>) -> Result<()> {
        let name = Names::of(place).preview();
        let found = self.ours(place, self.get::<Service>(place, &name).await?)?;
        self.lead(place, found, slot).await
    }

    /// The same, of what was found under its name.
    pub(super) async fn lead(
        &self,
        place: &Place,
        mut preview: Option<Service>,
        slot: Option<Slot>,
    ) -> Result<()> {
        let (name, installation) = (Names::of(place).preview(), self.options.installation);
        let wanted = objects::leads_to(place, installation, slot);
        for _ in 0..LEADS {
            let Some(found) = &preview else {
                let none = BTreeMap::new();
                let service = objects::service(place, installation, &name, slot, &none);
                return self.create::<Service>(place, service).await.map(drop);
            };
            let Some(patch) = leading(found, &wanted) else { return Ok(()) };
            match self.change::<Service>(place, &name, &patch).await {
                Ok(_) => return Ok(()),
                // Somebody wrote it since: what stands there now is read again.
                Err(Error::Stale { .. }) => {
                    preview = self.ours(place, self.get::<Service>(place, &name).await?)?;
                }
                Err(other) => return Err(other),
            }
        }
        Err(self.errors.stale(format!("somebody writes the Service {name} again and again.")))
    }

    /// There must have been a route.
    pub(super) fn lost(&self) -> Error {
        self.errors.unreachable(anyhow!(
            "its Service of this placement is gone, or what stood on it. The route must be given \
             back first"
        ))
    }

    /// What became of a write, once it is followed or the time for that is over.
    async fn followed(&self, place: &Place, active: Active, until: Instant) -> Result<RouteSeen> {
        let mut arriving = true;
        while arriving && Instant::now() < until {
            let left = until - Instant::now();
            // An error is an answer that did not come: the write stands all the same.
            arriving = match tokio::time::timeout(left, arrived(self, place, &active)).await {
                Ok(Ok(arrived)) => !arrived,
                Ok(Err(_)) | Err(_) => true,
            };
            if arriving {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
        active.seen(arriving).ok_or_else(|| self.lost())
    }
}

/// `Target::fence`.
pub(super) async fn fence(target: &KubernetesTarget, claim: &Claim, place: &Place) -> Result<()> {
    target.fenced(claim, place).await.map(drop)
}

/// `Target::highest_epoch`.
pub(super) async fn highest_epoch(target: &KubernetesTarget, place: &Place) -> Result<Option<i64>> {
    let (active, made) = tokio::try_join!(target.active(place), target.highest_made(place))?;
    let shown = active.map(|active| active.epoch).filter(|epoch| *epoch > 0);
    Ok(shown.max(made))
}

/// `Target::route`.
pub(super) async fn switch(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    expected_revision: i64,
    live: Option<Slot>,
) -> Result<RouteSeen> {
    let until = Instant::now() + FOLLOWED;
    let deployment = async {
        match live {
            Some(slot) => target.get(place, &Names::of(place).deployment(slot)).await,
            None => Ok(None),
        }
    };
    let (active, deployment) = tokio::try_join!(target.fenced(claim, place), deployment)?;
    let active = active.ok_or_else(|| target.lost())?;
    let there = active.route.clone().filter(|route| !route.withdrawn);
    let there = there.ok_or_else(|| target.lost())?;
    // The answer to this very write was lost, or it was not followed in time, and it is repeated.
    let is_done = there.live == live && there.rollout == claim.rollout && there.hand.is_none();
    if is_done && [expected_revision, expected_revision + 1].contains(&there.revision) {
        return target.followed(place, active, until).await;
    }
    if there.revision != expected_revision {
        return Err(target.errors.stale(format!(
            "its route has revision {}, not {expected_revision}.",
            there.revision
        )));
    }
    if let Some(slot) = live.filter(|slot| there.makers.of(*slot).is_none()) {
        return Err(target.errors.refused(format!(
            "{slot} has no instance in the route, so it gets no traffic. Fill it first."
        )));
    }
    if let (Some(slot), Some(deployment)) = (live, &deployment) {
        goodbye::stands(target, place, slot, deployment, there.moved).await?;
    }
    let next = Written { live, ..there };
    let written = target.write(claim, place, &active, next, true).await?;
    let seen = target.followed(place, written, until).await?;
    // For people only: what is verified is asked after `ensure` has made it lead there.
    if let Err(error) = target.preview(place, live.map(Slot::other)).await {
        tracing::debug!(%error, "The preview Service still leads to the slot that is live");
    }
    Ok(seen)
}

/// `Target::refresh`.
pub(super) async fn refresh(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    makers: &Makers,
) -> Result<RouteSeen> {
    let active = target.fenced(claim, place).await?.ok_or_else(|| target.lost())?;
    let there = active.route.clone().filter(|route| !route.withdrawn);
    let there = there.ok_or_else(|| target.lost())?;
    let mut next = Written {
        host_names: place.host_names.clone(),
        preview_host_names: place.preview_host_names.clone(),
        ..there.clone()
    };
    let pods = target.pods(place).await?;
    for slot in Slot::ALL {
        let Some(maker) = *makers.of(slot) else { continue };
        let found = pods.iter().any(|one| one.identity.slot == slot && one.identity.maker == maker);
        if there.live == Some(slot) && !found {
            return Err(target.errors.refused(format!(
                "{slot} gets the traffic and would be left without an instance."
            )));
        }
        *next.makers.of_mut(slot) = found.then_some(maker);
    }
    // A target that was changed comes by here for each of its placements.
    witness::dismissed(target, place).await;
    if next == there {
        let arriving = !target.has_arrived(place, &active);
        return active.seen(arriving).ok_or_else(|| target.lost());
    }
    target.names_are_free(place).await?;
    let written = target.write(claim, place, &active, next, false).await?;
    let arriving = !target.has_arrived(place, &written);
    written.seen(arriving).ok_or_else(|| target.lost())
}

/// `Target::restore`.
pub(super) async fn restore(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
    expected_revision: i64,
    makers: &Makers,
    live: Option<Slot>,
) -> Result<RouteSeen> {
    let until = Instant::now() + FOLLOWED;
    let active = target.fenced(claim, place).await?;
    let there = active.as_ref().and_then(|active| active.route.clone());
    let revision = there.as_ref().map_or(0, |route| route.revision);
    if revision != expected_revision {
        return Err(target
            .errors
            .stale(format!("its route has revision {revision}, not {expected_revision}.")));
    }
    let pods = target.pods(place).await?;
    let mut next = Written::first(place);
    next.live = live;
    for slot in Slot::ALL {
        let maker = makers.of(slot).filter(|maker| {
            pods.iter().any(|one| one.identity.slot == slot && one.identity.maker == *maker)
        });
        *next.makers.of_mut(slot) = maker;
    }
    if let Some(slot) = live.filter(|slot| next.makers.of(*slot).is_none()) {
        return Err(target.errors.refused(format!(
            "no pod in {slot} carries the labels of what was live there. Deploy again."
        )));
    }
    target.names_are_free(place).await?;
    let written = match active {
        Some(active) => target.write(claim, place, &active, next, true).await?,
        None => {
            target.active_is_free(place).await?;
            next.revision = 1;
            next.moved = 1;
            next.rollout = claim.rollout;
            next.applied_at = time::OffsetDateTime::now_utc();
            target.make_active(claim, place, Some(next)).await?
        }
    };
    target.preview(place, live.map(Slot::other)).await?;
    target.followed(place, written, until).await
}

/// `Target::withdraw`.
pub(super) async fn withdraw(
    target: &KubernetesTarget,
    claim: &Claim,
    place: &Place,
) -> Result<()> {
    let Some(active) = target.fenced(claim, place).await? else { return Ok(()) };
    let Some(there) = active.route.clone().filter(|route| !route.withdrawn) else { return Ok(()) };
    // The Service stays until the last pod is gone: it remembers the claim.
    let next = Written { live: None, withdrawn: true, host_names: Vec::new(), ..there };
    target.write(claim, place, &active, next, true).await?;
    target.preview(place, None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_hand_added_to_the_previews_selector_goes_with_the_next_write() {
        let wanted = |slot: &str| BTreeMap::from([("slot".to_owned(), slot.to_owned())]);
        let found = |selector: Value| -> Service {
            let service = json!({
                "metadata": { "resourceVersion": "7" },
                "spec": { "selector": selector },
            });
            serde_json::from_value(service).expect("a Service")
        };

        let patch = leading(&found(json!({ "slot": "blue", "canary": "yes" })), &wanted("blue"));
        let patch = patch.expect("it leads to nobody");
        assert_eq!(patch["spec"]["selector"], json!({ "slot": "blue", "canary": null }));
        assert_eq!(patch["metadata"]["resourceVersion"], "7", "it loses against a newer write");

        assert_eq!(leading(&found(json!({ "slot": "blue" })), &wanted("blue")), None);
        assert!(leading(&found(Value::Null), &wanted("blue")).is_some());
    }
}
