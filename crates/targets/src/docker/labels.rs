//! Labels: how the engine finds its own after any restart. What does not carry all of them, with
//! our installation, is a stranger's, whatever it is called.

use domain::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    slot::Slot,
    target::{Claim, Place, Plan},
};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
};
use uuid::Uuid;

pub(super) const INSTALLATION: &str = "pilothouse.installation";
pub(super) const PROJECT: &str = "pilothouse.project";
pub(super) const ENVIRONMENT: &str = "pilothouse.environment";
pub(super) const SERVICE: &str = "pilothouse.service";
pub(super) const PLACEMENT: &str = "pilothouse.placement";
pub(super) const SLOT: &str = "pilothouse.slot";
pub(super) const MAKER: &str = "pilothouse.maker";
pub(super) const RELEASE: &str = "pilothouse.release";
pub(super) const CONFIGURATION: &str = "pilothouse.configuration";
pub(super) const NUMBER: &str = "pilothouse.number";
/// The epoch of the claim that made it: outlives a router that lost its file.
pub(super) const EPOCH: &str = "pilothouse.epoch";
/// Fixed for the life of the container, so that the router's upstreams outlive a restart.
pub(super) const ADDRESS: &str = "pilothouse.address";
/// Missing where the service takes no requests.
pub(super) const PORT: &str = "pilothouse.port";
/// The memory limit in bytes, so that summing up needs no inspection.
pub(super) const MEMORY: &str = "pilothouse.memory";

/// What a container of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub placement: PlacementId,
    pub slot: Slot,
    pub maker: RolloutId,
    pub release: ReleaseId,
    pub configuration: ConfigurationId,
    pub number: u16,
    pub epoch: i64,
    pub address: Ipv4Addr,
    pub port: Option<u16>,
    pub memory_bytes: u64,
}

impl Identity {
    /// The instance `number` of a plan.
    pub fn of(claim: &Claim, slot: Slot, plan: &Plan, number: u16, address: Ipv4Addr) -> Self {
        Self {
            placement: plan.place.placement,
            slot,
            maker: plan.maker,
            release: plan.release,
            configuration: plan.configuration,
            number,
            epoch: claim.epoch,
            address,
            port: plan.spec.exposure.port(),
            memory_bytes: plan.limits.memory_bytes,
        }
    }

    /// Where requests are sent to. `None`: it takes none.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        Some(SocketAddr::from((self.address, self.port?)))
    }

    /// Reads the labels of a container; `None` if it is not one of this installation.
    pub fn read(labels: &HashMap<String, String>, installation: Uuid) -> Option<Self> {
        fn read<T: std::str::FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
            labels.get(key)?.parse().ok()
        }
        if read::<Uuid>(labels, INSTALLATION)? != installation {
            return None;
        }
        Some(Self {
            placement: read(labels, PLACEMENT)?,
            slot: read(labels, SLOT)?,
            maker: read(labels, MAKER)?,
            release: read(labels, RELEASE)?,
            configuration: read(labels, CONFIGURATION)?,
            number: read(labels, NUMBER)?,
            epoch: read(labels, EPOCH)?,
            address: read(labels, ADDRESS)?,
            port: match labels.get(PORT) {
                Some(port) => Some(port.parse().ok()?),
                None => None,
            },
            memory_bytes: read(labels, MEMORY)?,
        })
    }

    /// The labels that [`Identity::read`] reads, and the names for people who look with other tools.
    pub fn labels(&self, place: &Place, installation: Uuid) -> HashMap<String, String> {
        let mut labels = of_network(place, installation);
        let port = self.port.map(|port| (PORT, port.to_string()));
        labels.extend(
            [
                (SERVICE, place.service.to_string()),
                (PLACEMENT, self.placement.to_string()),
                (SLOT, self.slot.to_string()),
                (MAKER, self.maker.to_string()),
                (RELEASE, self.release.to_string()),
                (CONFIGURATION, self.configuration.to_string()),
                (NUMBER, self.number.to_string()),
                (EPOCH, self.epoch.to_string()),
                (ADDRESS, self.address.to_string()),
                (MEMORY, self.memory_bytes.to_string()),
            ]
            .into_iter()
            .chain(port)
            .map(|(key, value)| (key.to_owned(), value)),
        );
        labels
    }
}

/// The labels of the network that a project has in an environment.
pub(super) fn of_network(place: &Place, installation: Uuid) -> HashMap<String, String> {
    [
        (INSTALLATION, installation.to_string()),
        (PROJECT, place.project.to_string()),
        (ENVIRONMENT, place.environment.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A filter of the engine's API: everything that carries these labels.
pub(super) fn filter<'a>(
    labels: impl IntoIterator<Item = (&'a str, String)>,
) -> HashMap<String, Vec<String>> {
    let labels = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    HashMap::from([("label".to_owned(), labels)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;

    #[test]
    fn what_is_written_on_a_container_can_be_read_from_it() {
        let plan = sample::plan(&sample::place("api"), 1);
        let claim = Claim { placement: plan.place.placement, epoch: 7, rollout: Some(plan.maker) };
        let written = Identity::of(&claim, Slot::Green, &plan, 2, Ipv4Addr::new(10, 211, 3, 4));
        let ours = Uuid::from_u128(1);

        let labels = written.labels(&plan.place, ours);

        assert_eq!(Identity::read(&labels, ours), Some(written));
        assert_eq!(Identity::read(&labels, Uuid::from_u128(2)), None);
    }

    #[test]
    fn a_container_that_misses_a_label_is_a_strangers() {
        let plan = sample::plan(&sample::place("api"), 1);
        let claim = Claim { placement: plan.place.placement, epoch: 7, rollout: None };
        let ours = Uuid::from_u128(1);
        let labels = Identity::of(&claim, Slot::Blue, &plan, 1, Ipv4Addr::LOCALHOST)
            .labels(&plan.place, ours);

        for key in [INSTALLATION, PLACEMENT, SLOT, MAKER, RELEASE, NUMBER, EPOCH, ADDRESS, MEMORY] {
            let mut torn = labels.clone();
            torn.remove(key);
            assert_eq!(Identity::read(&torn, ours), None, "{key}");
        }
    }
}
