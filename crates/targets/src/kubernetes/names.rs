//! How objects of ours are called, and by which labels they are ours. What does not carry all of
//! them, with our installation, is a stranger's, whatever it is called.

use domain::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    name::Name,
    slot::Slot,
    target::{Place, Plan},
};
use std::{collections::BTreeMap, str::FromStr};
use uuid::Uuid;

/// Under which name our writes are kept by the API server, and seen by whoever reads an object.
pub(super) const FIELD_MANAGER: &str = "pilothouse";

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const NAME: &str = "app.kubernetes.io/name";
pub(super) const INSTALLATION: &str = "pilothouse/installation";
pub(super) const PROJECT: &str = "pilothouse/project";
pub(super) const ENVIRONMENT: &str = "pilothouse/environment";
pub(super) const PLACEMENT: &str = "pilothouse/placement";
pub(super) const SLOT: &str = "pilothouse/slot";
pub(super) const MAKER: &str = "pilothouse/maker";
pub(super) const RELEASE: &str = "pilothouse/release";
pub(super) const CONFIGURATION: &str = "pilothouse/configuration";
/// `yes` on every pod as it is made. A pod that is to be stopped loses it, and with it its place
/// behind the Services, while it still belongs to its Deployment.
pub(super) const ROUTED: &str = "pilothouse/routed";
/// What [`ROUTED`] says.
pub(super) const YES: &str = "yes";
/// What [`ROUTED`] says of a pod that left the Services.
pub(super) const NO: &str = "no";

/// The names of a placement's objects in its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    service: Name,
}

impl Names {
    pub fn of(place: &Place) -> Self {
        Self { service: place.service.clone() }
    }

    /// The Service that has the traffic.
    pub fn active(&self) -> String {
        self.service.to_string()
    }

    /// The Service of the idle slot.
    pub fn preview(&self) -> String {
        format!("{}-preview", self.service)
    }

    /// The Deployment of a slot.
    pub fn deployment(&self, slot: Slot) -> String {
        format!("{}-{slot}", self.service)
    }

    /// The ConfigMap, and the Secret, of a configuration.
    pub fn configuration(&self, configuration: ConfigurationId) -> String {
        format!("{}-{}", self.service, configuration.short())
    }

    /// The Secret by which the image of a configuration's pods is fetched.
    pub fn login(&self, slot: Slot) -> String {
        format!("{}-{slot}-registry", self.service)
    }
}

/// The labels that every object of a placement carries.
pub(super) fn of_place(place: &Place, installation: Uuid) -> BTreeMap<String, String> {
    [
        (MANAGED_BY, FIELD_MANAGER.to_owned()),
        (NAME, place.service.to_string()),
        (INSTALLATION, installation.to_string()),
        (PROJECT, place.project.to_string()),
        (ENVIRONMENT, place.environment.to_string()),
        (PLACEMENT, place.placement.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The labels that tell a slot's pods from all others: a Deployment selects by them, for ever.
pub(super) fn of_slot(place: &Place, installation: Uuid, slot: Slot) -> BTreeMap<String, String> {
    let mut labels = of_ours(installation, place.placement);
    labels.insert(SLOT.to_owned(), slot.to_string());
    labels
}

/// What finds all that belongs to a placement.
pub(super) fn of_ours(installation: Uuid, placement: PlacementId) -> BTreeMap<String, String> {
    [
        (MANAGED_BY, FIELD_MANAGER.to_owned()),
        (INSTALLATION, installation.to_string()),
        (PLACEMENT, placement.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The labels of a pod, and of the Deployment that makes it.
pub(super) fn of_pod(plan: &Plan, installation: Uuid, slot: Slot) -> BTreeMap<String, String> {
    let mut labels = of_place(&plan.place, installation);
    labels.extend(
        [
            (SLOT, slot.to_string()),
            (MAKER, plan.maker.to_string()),
            (RELEASE, plan.release.to_string()),
            (CONFIGURATION, plan.configuration.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// Labels as the API server takes them to choose by.
pub(super) fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Everything of an installation, for lists and watches that are not of one placement.
pub(super) fn selector_of(installation: Uuid) -> String {
    format!("{MANAGED_BY}={FIELD_MANAGER},{INSTALLATION}={installation}")
}

/// What a pod or a Deployment of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub placement: PlacementId,
    pub slot: Slot,
    pub maker: RolloutId,
    pub release: ReleaseId,
    pub configuration: ConfigurationId,
}

impl Identity {
    /// Reads labels; `None` if they are not of this installation.
    pub fn read(labels: Option<&BTreeMap<String, String>>, installation: Uuid) -> Option<Self> {
        let labels = labels?;
        if !is_ours(Some(labels), installation) {
            return None;
        }
        Some(Self {
            placement: read(labels, PLACEMENT)?,
            slot: read(labels, SLOT)?,
            maker: read(labels, MAKER)?,
            release: read(labels, RELEASE)?,
            configuration: read(labels, CONFIGURATION)?,
        })
    }
}

/// Whether something is this installation's.
pub(super) fn is_ours(labels: Option<&BTreeMap<String, String>>, installation: Uuid) -> bool {
    labels.is_some_and(|labels| {
        labels.get(MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER)
            && read::<Uuid>(labels, INSTALLATION) == Some(installation)
    })
}

/// The placement that an object of this installation belongs to.
pub(super) fn placement_of(
    labels: Option<&BTreeMap<String, String>>,
    installation: Uuid,
) -> Option<PlacementId> {
    is_ours(labels, installation).then(|| read(labels?, PLACEMENT)).flatten()
}

fn read<T: FromStr>(labels: &BTreeMap<String, String>, key: &str) -> Option<T> {
    labels.get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;

    #[test]
    fn what_is_written_on_a_pod_can_be_read_from_it() {
        let plan = sample::plan(&sample::place("api"), 1);
        let ours = Uuid::from_u128(1);

        let labels = of_pod(&plan, ours, Slot::Green);

        let read = Identity::read(Some(&labels), ours).expect("ours");
        assert_eq!((read.placement, read.slot), (plan.place.placement, Slot::Green));
        assert_eq!((read.maker, read.release), (plan.maker, plan.release));
        assert_eq!(read.configuration, plan.configuration);
        assert_eq!(Identity::read(Some(&labels), Uuid::from_u128(2)), None);
        assert_eq!(placement_of(Some(&labels), ours), Some(plan.place.placement));
        assert_eq!(placement_of(Some(&labels), Uuid::from_u128(2)), None);
    }

    #[test]
    fn an_object_that_misses_a_label_is_a_strangers() {
        let plan = sample::plan(&sample::place("api"), 1);
        let ours = Uuid::from_u128(1);
        let labels = of_pod(&plan, ours, Slot::Blue);

        for key in [MANAGED_BY, INSTALLATION, PLACEMENT, SLOT, MAKER, RELEASE, CONFIGURATION] {
            let mut torn = labels.clone();
            torn.remove(key);
            assert_eq!(Identity::read(Some(&torn), ours), None, "{key}");
        }
    }

    #[test]
    fn every_label_of_a_slot_is_on_its_pods() {
        let plan = sample::plan(&sample::place("api"), 1);
        let ours = Uuid::from_u128(1);
        let pod = of_pod(&plan, ours, Slot::Blue);

        for (key, value) in of_slot(&plan.place, ours, Slot::Blue) {
            assert_eq!(pod.get(&key), Some(&value), "{key}");
        }
    }
}
