//! What the cluster has of a placement, and whether it follows what was written.

use super::{
    KubernetesTarget,
    active::Active,
    changed,
    compared::Applied,
    lock,
    names::{self, Names},
    pods::{self, SeenPod},
    probe,
};
use crate::Result;
use domain::{
    slot::{PerSlot, Slot},
    target::{Changed, Instance, Observed, Place},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
    discovery::v1::EndpointSlice,
};
use kube::{ResourceExt, api::ListParams};
use std::{collections::BTreeSet, time::Duration};

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The most warnings of a namespace that are looked at.
const EVENTS: u32 = 500;

/// How long an answer through a Service may take to be one.
const ANSWER: Duration = Duration::from_millis(700);

impl KubernetesTarget {
    /// All pods of a placement, numbered.
    pub(super) async fn pods(&self, place: &Place) -> Result<Vec<SeenPod>> {
        let found = self.list::<Pod>(place, &self.of(place)).await?;
        let events = self.why(place, &found).await;
        let read = |pod: &Pod| {
            let name = pod.metadata.name.as_ref();
            let of_it: Vec<Event> = events
                .iter()
                .filter(|event| event.involved_object.name.as_ref() == name)
                .cloned()
                .collect();
            SeenPod::read(pod, &of_it, place, self.options.installation)
        };
        let mut slots: PerSlot<Vec<SeenPod>> = PerSlot::default();
        for one in found.iter().filter_map(read) {
            slots.of_mut(one.identity.slot).push(one);
        }
        for slot in Slot::ALL {
            pods::number(slots.of_mut(slot));
        }
        let PerSlot { mut blue, mut green } = slots;
        blue.append(&mut green);
        Ok(blue)
    }

    /// What the cluster warned of, where some pod does not come up. Nothing where that may not be
    /// read: reasons are shorter then.
    async fn why(&self, place: &Place, pods: &[Pod]) -> Vec<Event> {
        let comes_up = |pod: &Pod| {
            let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
            let runs = statuses.and_then(|all| all.first()?.state.as_ref()?.running.as_ref());
            runs.is_some() || pod.metadata.deletion_timestamp.is_some()
        };
        if pods.iter().all(comes_up) {
            return Vec::new();
        }
        let Ok(api) = self.api::<Event>(place) else { return Vec::new() };
        let warnings = "type=Warning,involvedObject.kind=Pod";
        let wanted = ListParams::default().fields(warnings).limit(EVENTS);
        match tokio::time::timeout(ANSWER, api.list(&wanted)).await {
            Ok(Ok(listed)) => listed.items,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// The pods that get a Service's requests now.
    pub(super) async fn served_by(&self, place: &Place, service: &str) -> Result<BTreeSet<String>> {
        let selector = format!("{SERVICE_NAME}={service}");
        Ok(addressed(&self.list::<EndpointSlice>(place, &selector).await?))
    }

    /// Whether the last move of the traffic was seen to be followed.
    pub(super) fn has_arrived(&self, place: &Place, active: &Active) -> bool {
        active.last_move().as_ref() == lock(&self.arrived).get(&place.placement)
    }
}

/// Who is in EndpointSlices and gets requests.
fn addressed(slices: &[EndpointSlice]) -> BTreeSet<String> {
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    // A condition that is not said counts as true.
    let ready = endpoints.filter(|endpoint| {
        endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
    });
    ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.clone()).collect()
}

/// `Target::observe`.
pub(super) async fn observe(target: &KubernetesTarget, place: &Place) -> Result<Observed> {
    let active_name = Names::of(place).active();
    let names = Names::of(place);
    // By their names: a hand may have taken the labels away by which they would be found.
    let (blue, green) = (names.deployment(Slot::Blue), names.deployment(Slot::Green));
    let (pods, blue, green, served) = tokio::try_join!(
        target.pods(place),
        target.get::<Deployment>(place, &blue),
        target.get::<Deployment>(place, &green),
        target.served_by(place, &active_name),
    )?;
    // The Service last: whoever fills an idle slot writes its maker there before making a pod, so
    // none is seen running and not in the route.
    let active = match target.active(place).await {
        Ok(active) => active,
        // A stranger has the name: of ours there is no route.
        Err(crate::Error::Refused { .. }) => None,
        Err(other) => return Err(other),
    };
    let route = active.as_ref().and_then(|active| active.route.as_ref());
    let live = route.and_then(|route| route.live);
    let changed = PerSlot {
        blue: blue.and_then(|one| by_hand(target, place, &one)),
        green: green.and_then(|one| by_hand(target, place, &one)),
    };
    let mut slots: PerSlot<Vec<Instance>> = PerSlot::default();
    for one in &pods {
        let slot = one.identity.slot;
        let in_route = if live == Some(slot) {
            served.contains(&one.name) && !one.ending
        } else {
            let maker = route.and_then(|route| *route.makers.of(slot));
            maker == Some(one.identity.maker) && one.routed && one.has_port && !one.ending
        };
        let of_all = changed.of(slot).as_ref().filter(|of| of.maker == one.identity.maker);
        slots.of_mut(slot).push(one.instance(in_route, of_all.map(|changed| &changed.what)));
    }
    let arriving = match &active {
        Some(active) if route.is_some_and(|route| !route.withdrawn) => {
            !arrived_there(target, place, active, &pods, &served).await
        }
        _ => false,
    };
    let route = active.as_ref().and_then(|active| active.seen(arriving));
    Ok(Observed { route, slots, changed })
}

/// What somebody changed on a slot's Deployment, which holds for all of its pods. Nothing of one that
/// was never this placement's.
fn by_hand(target: &KubernetesTarget, place: &Place, deployment: &Deployment) -> Option<Changed> {
    let installation = target.options.installation;
    // What it selects by nobody can change; its own labels anybody can.
    let selected = deployment.spec.as_ref()?.selector.match_labels.as_ref();
    if names::placement_of(selected, installation) != Some(place.placement) {
        return None;
    }
    let written = Applied::read(deployment).map(|applied| applied.labels);
    let labels = written.as_ref().or(deployment.metadata.labels.as_ref());
    let maker = names::Identity::read(labels, installation)?.maker;
    let what = changed::of_deployment(deployment)?;
    let what = format!("the Deployment {}: {what}", deployment.name_any());
    Some(Changed { maker, what })
}

/// Whether everybody whom we can ask follows the last move of the traffic.
pub(super) async fn arrived(
    target: &KubernetesTarget,
    place: &Place,
    active: &Active,
) -> Result<bool> {
    if target.has_arrived(place, active) {
        return Ok(true);
    }
    let service = Names::of(place).active();
    let (pods, served) = tokio::try_join!(target.pods(place), target.served_by(place, &service))?;
    Ok(arrived_there(target, place, active, &pods, &served).await)
}

/// The EndpointSlices hold nobody but the live slot's pods, and one of them answers through the
/// Service. Once seen, it is so until the traffic is moved again.
async fn arrived_there(
    target: &KubernetesTarget,
    place: &Place,
    active: &Active,
    pods: &[SeenPod],
    served: &BTreeSet<String>,
) -> bool {
    if target.has_arrived(place, active) {
        return true;
    }
    let (Some(last_move), true) = (active.last_move(), only_of(active.live(), pods, served)) else {
        return false;
    };
    if let Some(live) = active.live() {
        let of_live = pods.iter().filter(|one| one.identity.slot == live);
        let path = of_live.filter_map(|one| one.check.as_deref()).next().unwrap_or("/");
        let service = Names::of(place).active();
        if probe::through(target, place, &service, path, ANSWER).await.is_err() {
            return false;
        }
    }
    lock(&target.arrived).insert(place.placement, last_move);
    true
}

/// Whether a Service's requests go to a slot's pods and to nobody else, and somebody gets them.
fn only_of(live: Option<Slot>, pods: &[SeenPod], served: &BTreeSet<String>) -> bool {
    let Some(live) = live else { return served.is_empty() };
    let of_live: BTreeSet<&str> =
        pods.iter().filter(|one| one.identity.slot == live).map(|one| one.name.as_str()).collect();
    !served.is_empty() && served.iter().all(|name| of_live.contains(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_is_not_ready_or_ending_gets_no_requests() {
        let endpoint = |name: &str, ready: Option<bool>| {
            json!({
                "addresses": ["10.0.0.1"],
                "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": name },
            })
        };
        let slice = json!({
            "addressType": "IPv4",
            "metadata": {},
            "endpoints": [
                endpoint("a", Some(true)), endpoint("b", Some(false)), endpoint("c", None),
            ],
        });
        let slice = serde_json::from_value(slice).expect("an EndpointSlice");

        let served = addressed(&[slice]);

        assert_eq!(served.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "c"]);
    }
}
