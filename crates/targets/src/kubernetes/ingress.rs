//! The way in from outside: one Ingress that leads to the active Service, where the target says how
//! host names are formed.
//!
//! It is made beside a rollout and never by a switch: the Service it leads to stays, and its selector
//! moves. What keeps it from being made is told by preflight and holds up nothing, because whoever is
//! inside the cluster is served without it. One that a stranger has, or that somebody edited, is left
//! as it is.

use super::{
    KubernetesTarget,
    check::finding,
    error::{answered, sentence},
    lock,
    names::{self, FIELD_MANAGER, Names},
    objects,
};
use crate::{DEADLINE, Error, Result};
use domain::{
    id::PlacementId,
    target::{Finding, Place, Plan, Verdict, entrance::Entrance},
};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Mutex};
use uuid::Uuid;

/// What was done about the ways in of placements, so that it is neither done nor told again and again.
/// Losing it costs a call for each.
#[derive(Debug, Default)]
pub(super) struct WaysIn(Mutex<HashMap<PlacementId, Done>>);

#[derive(Clone, Debug, PartialEq)]
enum Done {
    /// Written so.
    Applied(Value),
    /// None is wanted, and none of ours is there.
    Gone,
    /// Told why not.
    Told(String),
}

impl WaysIn {
    fn of(&self, placement: PlacementId) -> Option<Done> {
        lock(&self.0).get(&placement).cloned()
    }

    fn note(&self, placement: PlacementId, done: Done) -> Option<Done> {
        lock(&self.0).insert(placement, done)
    }
}

/// The Ingress of a place. `None`: it has no host name, so nothing could come in.
fn object(place: &Place, entrance: &Entrance, installation: Uuid) -> Option<Value> {
    if place.host_names.is_empty() {
        return None;
    }
    let name = Names::of(place).active();
    let leads = json!([{
        "path": "/",
        "pathType": "Prefix",
        "backend": { "service": { "name": name, "port": { "name": objects::PORT } } },
    }]);
    let rules: Vec<_> = place
        .host_names
        .iter()
        .map(|host| json!({ "host": host.as_str(), "http": { "paths": leads } }))
        .collect();
    let mut spec = json!({ "rules": rules });
    if let Some(class) = &entrance.class {
        spec["ingressClassName"] = class.as_str().into();
    }
    if let Some(certificate) = &entrance.certificate {
        let hosts: Vec<_> = place.host_names.iter().map(|host| host.as_str()).collect();
        spec["tls"] = json!([{ "hosts": hosts, "secretName": certificate.as_str() }]);
    }
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name, "labels": names::of_place(place, installation) },
        "spec": spec,
    }))
}

/// Whether all of `wanted` is in what is there. The cluster may have added to it, as a class of its own.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| there.get(key).is_some_and(|there| holds(there, wanted))),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there.iter().zip(wanted).all(|(there, wanted)| holds(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

fn wanted(target: &KubernetesTarget, place: &Place) -> Option<Value> {
    let entrance = target.entrance.as_ref()?;
    object(place, entrance, target.options.installation)
}

/// Makes it, or takes it away where none is wanted. What goes wrong is told once and ends nothing.
pub(super) async fn beside(target: &KubernetesTarget, place: &Place) {
    let kept = tokio::time::timeout(DEADLINE, keep(target, place)).await;
    let Ok(Err(error)) = kept else { return };
    let why = error.to_string();
    let told = Done::Told(why.clone());
    if target.ways_in.note(place.placement, told.clone()) != Some(told) {
        let placement = place.placement;
        tracing::warn!(placement.id = %placement, "The way in of {}: {why}", place.service);
    }
}

async fn keep(target: &KubernetesTarget, place: &Place) -> Result<()> {
    let placement = place.placement;
    let Some(wanted) = wanted(target, place) else {
        if target.ways_in.of(placement) == Some(Done::Gone) {
            return Ok(());
        }
        forget(target, place).await?;
        target.ways_in.note(placement, Done::Gone);
        return Ok(());
    };
    let found = target.get::<Ingress>(place, &Names::of(place).active()).await?;
    let found = target.ours(place, found)?;
    let applied = Done::Applied(wanted.clone());
    if target.ways_in.of(placement).as_ref() == Some(&applied)
        && let Some(found) = &found
        && serde_json::to_value(found).is_ok_and(|there| holds(&there["spec"], &wanted["spec"]))
    {
        return Ok(());
    }
    target.apply::<Ingress>(place, &wanted).await?;
    target.ways_in.note(placement, applied);
    Ok(())
}

/// Takes it away with its placement. A stranger's is left, and where no way in is wanted the right to
/// look for one may be missing.
pub(super) async fn forget(target: &KubernetesTarget, place: &Place) -> Result<()> {
    let found = match target.get::<Ingress>(place, &Names::of(place).active()).await {
        Err(Error::Refused { .. }) => return Ok(()),
        other => other?,
    };
    if let Some(ours) = target.ours(place, found).ok().flatten() {
        target.delete(place, &ours).await?;
    }
    lock(&target.ways_in.0).remove(&place.placement);
    Ok(())
}

/// The question before a rollout, where a way in is wanted.
pub(super) async fn preflight(target: &KubernetesTarget, plan: &Plan) -> Result<Vec<Finding>> {
    let question = "Way in from outside";
    let place = &plan.place;
    let Some(wanted) = wanted(target, place).filter(|_| plan.spec.exposure.port().is_some()) else {
        return Ok(Vec::new());
    };
    let name = Names::of(place).active();
    let one = |verdict, detail: String| Ok(vec![finding(question, verdict, detail)]);
    let found = match target.get::<Ingress>(place, &name).await {
        Err(Error::Refused { reason, .. }) => return one(Verdict::Warn, reason),
        other => other?,
    };
    if let Err(Error::Refused { reason, .. }) = target.ours(place, found) {
        return one(Verdict::Refuse, reason);
    }
    let params = PatchParams::apply(FIELD_MANAGER).validation_strict().dry_run();
    let api = target.api::<Ingress>(place)?;
    let tried = answered(api.patch(&name, &params, &Patch::Apply(&wanted))).await;
    let said = |message: &str| sentence(message).trim_end_matches('.').to_owned();
    match tried {
        Ok(made) => {
            let hosts: Vec<_> = place.host_names.iter().map(ToString::to_string).collect();
            let by = made.spec.and_then(|spec| spec.ingress_class_name);
            match by {
                Some(class) => {
                    one(Verdict::Pass, format!("{} by the class {class}", hosts.join(", ")))
                }
                None => one(
                    Verdict::Warn,
                    format!(
                        "{}, and no class is named: it is served only if some controller of the \
                         cluster takes what names none",
                        hosts.join(", ")
                    ),
                ),
            }
        }
        Err(kube::Error::Api(status)) if status.code == 409 => one(
            Verdict::Warn,
            format!(
                "somebody else wrote parts of the {} {name}, and it is left as it is: {}",
                <Ingress as kube::Resource>::kind(&()),
                said(&status.message)
            ),
        ),
        // Missing rights are among the rights.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            one(Verdict::Warn, format!("it may not be made: {}", said(&status.message)))
        }
        Err(error) => match target.errors.sorted(error) {
            Error::Refused { reason, .. } => one(Verdict::Refuse, reason),
            other => Err(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;

    fn entrance() -> Entrance {
        Entrance {
            hosts: "{service}.example.com".parse().expect("a pattern"),
            class: Some("internal".parse().expect("a name")),
            certificate: Some("wildcard".parse().expect("a name")),
        }
    }

    #[test]
    fn it_leads_every_host_name_to_the_active_service_and_knows_no_slot() {
        let mut place = sample::place("api");
        place.host_names = vec!["api.example.com".parse().expect("a host name")];
        let ours = Uuid::from_u128(1);

        let made = object(&place, &entrance(), ours).expect("wanted");

        let backend = &made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        assert_eq!(backend, &json!({ "name": "api", "port": { "name": "http" } }));
        assert_eq!(made["spec"]["rules"][0]["host"], "api.example.com");
        assert_eq!(made["spec"]["ingressClassName"], "internal");
        let tls = json!([{ "hosts": ["api.example.com"], "secretName": "wildcard" }]);
        assert_eq!(made["spec"]["tls"], tls);
        assert!(!made.to_string().contains("slot"), "{made}");
        let labels = serde_json::from_value(made["metadata"]["labels"].clone()).expect("labels");
        assert_eq!(names::placement_of(Some(&labels), ours), Some(place.placement));

        place.host_names.clear();
        assert_eq!(object(&place, &entrance(), ours), None);
    }

    #[test]
    fn what_the_cluster_added_is_no_difference_and_what_is_missing_is_one() {
        let wanted = json!({ "rules": [{ "host": "a" }] });

        assert!(holds(&json!({ "rules": [{ "host": "a" }], "ingressClassName": "x" }), &wanted));
        assert!(!holds(&json!({ "rules": [{ "host": "b" }] }), &wanted));
        assert!(!holds(&json!({ "rules": [{ "host": "a" }, { "host": "b" }] }), &wanted));
        assert!(!holds(&json!({}), &wanted));
    }
}
