//! The active Service, read: who holds the placement, where traffic goes, and whose hand decided
//! that. Pure.
//!
//! What we know stands in two annotations. Where traffic goes is what the selector says, which
//! anybody may write: if it is not what we wrote, somebody else moved the traffic.

use super::{
    changed::{foreign_entry, foreign_owner},
    error::Errors,
    names,
    names::Names,
    objects,
};
use crate::{Error, Result};
use domain::{
    id::RolloutId,
    name::HostName,
    slot::{PerSlot, Slot},
    target::{Claim, Hand, Place, RouteSeen},
};
use k8s_openapi::api::core::v1::Service;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// What is written down of the route.
pub(super) const ROUTE: &str = "pilothouse/route";
/// The field that moves the traffic, as the API server notes whose it is.
const SELECTOR: &[&str] = &["f:spec", "f:selector"];
/// A reason, where a hand gives one: the annotation that tools of the cluster use for it.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// The route as it was written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Goes up with each write of the route.
    pub revision: i64,
    /// The revision that moved the traffic last.
    pub moved: i64,
    pub live: Option<Slot>,
    pub rollout: Option<RolloutId>,
    #[serde(with = "time::serde::rfc3339")]
    pub applied_at: OffsetDateTime,
    /// Whose instances are in the route, by slot.
    pub makers: PerSlot<Option<RolloutId>>,
    pub host_names: Vec<HostName>,
    pub preview_host_names: Vec<HostName>,
    /// The hand that moved the traffic, while it is where that put it.
    pub hand: Option<Hand>,
    /// Who else had written the selector last when this was written: an act that is known.
    pub known: Option<String>,
    /// Nothing is answered any more; what runs may follow.
    pub withdrawn: bool,
}

impl Written {
    /// The first route of a place: nothing in it, traffic to nobody.
    pub fn first(place: &Place) -> Self {
        Self {
            revision: 0,
            moved: 0,
            live: None,
            rollout: None,
            applied_at: OffsetDateTime::UNIX_EPOCH,
            makers: PerSlot::default(),
            host_names: place.host_names.clone(),
            preview_host_names: place.preview_host_names.clone(),
            hand: None,
            known: None,
            withdrawn: false,
        }
    }
}

/// The active Service of a placement.
#[derive(Clone, Debug)]
pub(super) struct Active {
    /// Another one is another Service, which begins to count anew.
    pub uid: String,
    pub resource_version: String,
    pub epoch: i64,
    /// As it is now, a hand's act counted. `None`: no route was ever written, or it is lost.
    pub route: Option<Written>,
    /// Who else wrote the selector last.
    owner: Option<String>,
    selector: BTreeMap<String, String>,
}

impl Active {
    /// Reads a Service by the name of the active one. An error if it is a stranger's.
    pub fn read(
        service: &Service,
        place: &Place,
        installation: Uuid,
        errors: &Errors,
    ) -> Result<Self> {
        let meta = &service.metadata;
        if names::placement_of(meta.labels.as_ref(), installation) != Some(place.placement) {
            return Err(taken(errors, "Service", &Names::of(place).active(), meta));
        }
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
        let fields = meta.managed_fields.as_deref().unwrap_or_default();
        let owner = foreign_owner(fields, SELECTOR);
        let at = foreign_entry(fields, SELECTOR).and_then(|entry| entry.time.as_ref());
        let at = at.and_then(super::pods::instant);
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector.unwrap_or_default();
        let written = annotation(ROUTE).and_then(|text| serde_json::from_str::<Written>(text).ok());
        let route = written.map(|written| {
            let ours = objects::leads_to(place, installation, written.live);
            let moved = selector != ours
                || owner.as_ref().is_some_and(|o| written.known.as_ref() != Some(o));
            if !moved {
                return written;
            }
            let mut who = owner.clone().unwrap_or_else(|| "somebody".to_owned());
            if let Some(reason) = annotation(CHANGE_CAUSE) {
                who = format!("{who}: {}", super::error::sentence(reason));
            }
            let revision = written.revision + 1;
            Written {
                revision,
                moved: revision,
                live: leads_where(&selector),
                rollout: None,
                applied_at: at.unwrap_or(written.applied_at),
                hand: Some(Hand { who, revision }),
                ..written
            }
        });
        Ok(Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            epoch: annotation(objects::EPOCH).and_then(|text| text.parse().ok()).unwrap_or(0),
            route,
            owner,
            selector,
        })
    }

    /// Which move of the traffic was the last: the Service, and the revision that made it.
    pub fn last_move(&self) -> Option<(String, i64)> {
        Some((self.uid.clone(), self.route.as_ref()?.moved))
    }

    /// The slot that has the traffic.
    pub fn live(&self) -> Option<Slot> {
        self.route.as_ref()?.live
    }

    /// The route as a caller sees it.
    pub fn seen(&self, arriving: bool) -> Option<RouteSeen> {
        let written = self.route.as_ref().filter(|route| !route.withdrawn)?;
        Some(RouteSeen {
            live: written.live,
            epoch: self.epoch,
            revision: written.revision,
            rollout: written.rollout,
            applied_at: written.applied_at,
            arriving,
            foreign: written.hand.clone(),
        })
    }

    /// The write that makes the route be `next`, of which the revision is set here. It loses if
    /// somebody wrote the Service since it was read. The selector is only written where the traffic
    /// is moved, so a hand's stays as it is.
    pub fn write(
        &self,
        claim: &Claim,
        place: &Place,
        installation: Uuid,
        mut next: Written,
        moves: bool,
    ) -> (Written, Value) {
        next.revision = self.route.as_ref().map_or(0, |route| route.revision) + 1;
        next.rollout = claim.rollout;
        next.applied_at = OffsetDateTime::now_utc();
        next.known.clone_from(&self.owner);
        if moves {
            next.moved = next.revision;
            next.hand = None;
        }
        let mut patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version,
                "annotations": {
                    objects::EPOCH: claim.epoch.to_string(),
                    ROUTE: text(&next),
                },
            },
        });
        if moves {
            let ours = objects::leads_to(place, installation, next.live);
            let mut selector: Map<String, Value> =
                self.selector.keys().map(|key| (key.clone(), Value::Null)).collect();
            selector.extend(ours.into_iter().map(|(key, value)| (key, value.into())));
            patch["spec"] = json!({ "selector": selector });
            // A reason that was given for another move.
            patch["metadata"]["annotations"][CHANGE_CAUSE] = Value::Null;
        }
        (next, patch)
    }
}

/// As it is written into the annotation.
pub(super) fn text(written: &Written) -> String {
    serde_json::to_string(written).unwrap_or_default()
}

/// Where a selector leads, whoever wrote it.
fn leads_where(selector: &BTreeMap<String, String>) -> Option<Slot> {
    selector.get(names::SLOT)?.parse().ok()
}

/// Somebody else has a name that we need.
pub(super) fn taken(
    errors: &Errors,
    kind: &str,
    name: &str,
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> Error {
    let whose = meta.labels.as_ref().and_then(|labels| labels.get(names::MANAGED_BY)).map_or_else(
        || "somebody else".to_owned(),
        |by| match by.as_str() {
            names::FIELD_MANAGER => "another placement or installation of Pilothouse".to_owned(),
            other => other.to_owned(),
        },
    );
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let article = if kind.starts_with('I') { "an" } else { "a" };
    errors.refused(format!(
        "the name {name} is taken by {article} {kind} of {whose} in the namespace {namespace}. Rename or \
         remove that one, or give the target another namespace."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use domain::slot::Slot::{Blue, Green};

    const OURS: Uuid = Uuid::from_u128(1);

    fn service(place: &Place, written: &Written, selector: Value) -> Service {
        let annotations =
            [(objects::EPOCH.to_owned(), "3".to_owned()), (ROUTE.to_owned(), text(written))];
        let mut service =
            objects::service(place, OURS, "api", written.live, &annotations.into_iter().collect());
        service["metadata"]["resourceVersion"] = "7".into();
        service["metadata"]["managedFields"] = json!([{
            "manager": "pilothouse",
            "time": "2026-11-21T14:00:00Z",
            "fieldsV1": { "f:spec": { "f:selector": {} } },
        }]);
        if !selector.is_null() {
            service["spec"]["selector"] = selector;
            service["metadata"]["managedFields"][0]["manager"] = "kubectl-patch".into();
        }
        serde_json::from_value(service).expect("a Service")
    }

    fn read(service: &Service, place: &Place) -> Active {
        Active::read(service, place, OURS, &Errors::of("test")).expect("ours")
    }

    fn written(place: &Place) -> Written {
        Written { revision: 5, moved: 4, live: Some(Blue), ..Written::first(place) }
    }

    #[test]
    fn what_we_wrote_is_read_as_it_was_written() {
        let place = sample::place("api");
        let written = written(&place);

        let active = read(&service(&place, &written, Value::Null), &place);

        assert_eq!((active.epoch, active.live()), (3, Some(Blue)));
        assert_eq!(active.route, Some(written));
    }

    #[test]
    fn a_selector_that_we_did_not_write_is_a_hand_with_its_name_and_reason() {
        let place = sample::place("api");
        let there = written(&place);
        let moved = json!(objects::leads_to(&place, OURS, Some(Green)));
        let mut service = service(&place, &there, moved);
        let annotations = service.metadata.annotations.as_mut().expect("some");
        annotations.insert(CHANGE_CAUSE.to_owned(), "the database is gone".to_owned());

        let seen = read(&service, &place).seen(false).expect("a route");

        assert_eq!((seen.live, seen.revision), (Some(Green), 6));
        let hand = seen.foreign.expect("said");
        assert_eq!(hand.revision, 6);
        assert!(hand.who.starts_with("kubectl-patch at 14:00:00 UTC"), "{}", hand.who);
        assert!(hand.who.ends_with(": the database is gone"), "{}", hand.who);
    }

    #[test]
    fn a_hand_that_moved_forth_and_back_is_seen_all_the_same() {
        let place = sample::place("api");
        let same = json!(objects::leads_to(&place, OURS, Some(Blue)));

        let active = read(&service(&place, &written(&place), same), &place);

        assert_eq!(active.seen(false).expect("a route").live, Some(Blue));
        assert!(active.route.expect("a route").hand.is_some());
    }

    #[test]
    fn what_leads_elsewhere_leads_to_none_of_ours() {
        let place = sample::place("api");
        let stranger = json!({ "app": "something-else" });

        let active = read(&service(&place, &written(&place), stranger), &place);

        assert_eq!(active.live(), None);
    }

    #[test]
    fn a_hand_stays_known_until_we_move_the_traffic() {
        let place = sample::place("api");
        let claim = Claim { placement: place.placement, epoch: 4, rollout: None };
        let moved = json!(objects::leads_to(&place, OURS, Some(Green)));
        let active = read(&service(&place, &written(&place), moved.clone()), &place);
        let there = active.route.clone().expect("a route");

        let (next, patch) = active.write(&claim, &place, OURS, there.clone(), false);
        assert_eq!((next.revision, &next.hand), (7, &there.hand));
        assert!(patch.get("spec").is_none(), "the hand's selector stays: {patch}");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        // Read again, the hand is known: its revision is the one of its act.
        let again = read(&service(&place, &next, moved), &place);
        assert_eq!(again.route.as_ref().map(|route| route.revision), Some(7));

        let (back, patch) = again.write(&claim, &place, OURS, written(&place), true);
        assert_eq!((back.revision, back.moved, back.hand), (8, 8, None));
        assert_eq!(patch["spec"]["selector"][names::SLOT], "blue");
    }

    #[test]
    fn words_of_a_stranger_leave_the_selector_with_the_next_move() {
        let place = sample::place("api");
        let claim = Claim { placement: place.placement, epoch: 4, rollout: None };
        let mut selector = json!(objects::leads_to(&place, OURS, Some(Blue)));
        selector["canary"] = "yes".into();
        let active = read(&service(&place, &written(&place), selector), &place);

        let (_, patch) = active.write(&claim, &place, OURS, written(&place), true);

        assert_eq!(patch["spec"]["selector"]["canary"], Value::Null);
    }

    #[test]
    fn a_service_of_somebody_else_is_a_taken_name() {
        let place = sample::place("api");
        let mut service = service(&place, &written(&place), Value::Null);
        service.metadata.labels.as_mut().expect("some").remove(names::PLACEMENT);

        let refused = Active::read(&service, &place, OURS, &Errors::of("test"));

        let Err(Error::Refused { reason, .. }) = refused else { panic!("refused") };
        assert!(reason.contains("taken") && reason.ends_with('.'), "{reason}");
    }
}
