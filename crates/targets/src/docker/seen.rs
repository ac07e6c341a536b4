//! What the engine has, read and put into words: containers that carry our labels, and why one of
//! them does not run.

use super::{DockerTarget, changed, error, labels, labels::Identity};
use crate::{Result, death, names};
use anyhow::anyhow;
use bollard::{
    models::{
        ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
        ContainerSummaryStateEnum,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use domain::{
    id::RolloutId,
    name::Name,
    route::Routed,
    slot::{PerSlot, Slot},
    target::{Instance, InstanceState, Place},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::net::SocketAddr;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// How many containers are asked about at once.
const AT_ONCE: usize = 8;

/// A container of ours as a list shows it.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub id: String,
    pub identity: Identity,
    pub state: ContainerSummaryStateEnum,
}

impl Container {
    /// It runs, or the engine is about to start it again.
    pub const fn is_up(&self) -> bool {
        use ContainerSummaryStateEnum as State;
        matches!(self.state, State::RUNNING | State::RESTARTING)
    }
}

/// An instance, and where it can be asked.
#[derive(Clone, Debug)]
pub(super) struct Reachable {
    pub instance: Instance,
    pub address: SocketAddr,
}

impl DockerTarget {
    /// What the router says of the placement.
    pub(super) async fn routed(&self, place: &Place) -> Result<Routed> {
        Ok(self.router.routed(place.placement).await?)
    }

    /// Every container that carries these labels, running or not, ours or not.
    pub(super) async fn listed(
        &self,
        labels: impl IntoIterator<Item = (&str, String)>,
    ) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&labels::filter(labels))
            .build();
        Ok(self.engine().await?.list_containers(Some(options)).await?)
    }

    /// Our containers of a placement, or of one of its slots.
    pub(super) async fn containers_of(
        &self,
        place: &Place,
        slot: Option<Slot>,
    ) -> Result<Vec<Container>> {
        let slot = slot.map(|slot| (labels::SLOT, slot.to_string()));
        let labels = [
            (labels::INSTALLATION, self.options.installation.to_string()),
            (labels::PLACEMENT, place.placement.to_string()),
        ];
        let listed = self.listed(labels.into_iter().chain(slot)).await?;
        Ok(listed.into_iter().filter_map(|summary| self.ours(summary)).collect())
    }

    /// The container, if it is one of ours.
    pub(super) fn ours(&self, summary: ContainerSummary) -> Option<Container> {
        let identity = Identity::read(&summary.labels?, self.options.installation)?;
        Some(Container {
            id: summary.id?,
            identity,
            state: summary.state.unwrap_or(ContainerSummaryStateEnum::EMPTY),
        })
    }

    /// The labels of all instances of a placement.
    pub(super) async fn identities(&self, place: &Place) -> Result<Vec<Identity>> {
        let containers = self.containers_of(place, None).await?;
        Ok(containers.into_iter().map(|container| container.identity).collect())
    }

    /// All instances of a placement by slot, and what the router says of it.
    ///
    /// The router is asked last: what fills an idle slot brings an address into the route before it
    /// starts the instance, so none is seen running and not in the route.
    pub(super) async fn seen(&self, place: &Place) -> Result<(Routed, PerSlot<Vec<Instance>>)> {
        let found = self.inspected(self.containers_of(place, None).await?).await?;
        let routed = self.routed(place).await?;
        let mut slots: PerSlot<Vec<Instance>> = PerSlot::default();
        for (identity, mut instance) in found {
            instance.in_route = identity.endpoint().is_some_and(|address| {
                let upstreams = routed.route.as_ref().map(|route| &route.upstreams);
                upstreams.is_some_and(|upstreams| upstreams.of(identity.slot).contains(&address))
            });
            slots.of_mut(identity.slot).push(instance);
        }
        for slot in Slot::ALL {
            slots.of_mut(slot).sort_by_key(|instance| (instance.number, instance.maker));
        }
        Ok((routed, slots))
    }

    /// The instances of a maker in a slot, with their addresses.
    pub(super) async fn instances_of(
        &self,
        place: &Place,
        slot: Slot,
        maker: RolloutId,
    ) -> Result<Vec<Reachable>> {
        let mut containers = self.containers_of(place, Some(slot)).await?;
        containers.retain(|container| container.identity.maker == maker);
        let at = |identity: &Identity| {
            SocketAddr::from((identity.address, identity.port.unwrap_or_default()))
        };
        let found = self.inspected(containers).await?.into_iter();
        let mut reachable: Vec<_> = found
            .map(|(identity, instance)| Reachable { instance, address: at(&identity) })
            .collect();
        reachable.sort_by_key(|one| one.instance.number);
        Ok(reachable)
    }

    /// What somebody changed on a container since it was made.
    fn changed(&self, identity: &Identity, there: &ContainerInspectResponse) -> Option<String> {
        let labels = there.config.as_ref()?.labels.as_ref()?;
        let named = |key: &str| labels.get(key)?.parse::<Name>().ok();
        let instance = names::instance(identity.slot, identity.maker, identity.number);
        let expected = names::container_of(
            &self.options.prefix,
            (&named(labels::PROJECT)?, &named(labels::ENVIRONMENT)?, &named(labels::SERVICE)?),
            &instance,
        );
        changed::found(labels, there, &expected)
    }

    /// Asks the engine about each; one that went away meanwhile is left out.
    async fn inspected(&self, containers: Vec<Container>) -> Result<Vec<(Identity, Instance)>> {
        let engine = self.engine().await?;
        stream::iter(containers)
            .map(|Container { id, identity, .. }| async move {
                match engine.inspect_container(&id, None::<InspectContainerOptions>).await {
                    Ok(inspected) => {
                        let (died, changed) =
                            (self.deaths.of(&id), self.changed(&identity, &inspected));
                        let instance = instance(id, &identity, &inspected, died, changed)?;
                        Ok(Some((identity, instance)))
                    }
                    Err(gone) if error::is_gone(&gone) => Ok(None),
                    Err(other) => Err(other.into()),
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await
    }
}

/// Not in the route, until its route is known.
fn instance(
    id: String,
    identity: &Identity,
    inspected: &ContainerInspectResponse,
    died: Option<String>,
    changed: Option<String>,
) -> Result<Instance> {
    let state = inspected
        .state
        .as_ref()
        .ok_or_else(|| error::unreachable(anyhow!("the engine says nothing of {id}'s state")))?;
    let condition = condition(state, identity.memory_bytes);
    let died = match &condition {
        InstanceState::Exited { why } => Some(why.clone()),
        InstanceState::Starting | InstanceState::Running => died,
    };
    Ok(Instance {
        id,
        died,
        changed,
        name: names::instance(identity.slot, identity.maker, identity.number),
        number: identity.number,
        maker: identity.maker,
        release: identity.release,
        configuration: identity.configuration,
        state: condition,
        in_route: false,
        started_at: started_at(state),
        restarts: inspected.restart_count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
    })
}

/// `None` before the first start, which the engine writes as the year 1.
fn started_at(state: &ContainerState) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(state.started_at.as_deref()?, &Rfc3339).ok()?;
    (at.year() > 1970).then_some(at)
}

/// The engine's state in the words of the trait.
fn condition(state: &ContainerState, memory_bytes: u64) -> InstanceState {
    use ContainerStateStatusEnum as Status;
    let exited = |why: &str| InstanceState::Exited { why: why.to_owned() };
    match state.status.unwrap_or(Status::EMPTY) {
        Status::RUNNING => InstanceState::Running,
        Status::CREATED if state.error.as_deref().unwrap_or_default().is_empty() => {
            InstanceState::Starting
        }
        Status::CREATED | Status::RESTARTING | Status::EXITED | Status::DEAD => {
            InstanceState::Exited { why: why(state, memory_bytes) }
        }
        Status::PAUSED => exited("paused by hand"),
        Status::STOPPING => exited("is being stopped"),
        Status::REMOVING => exited("is being removed"),
        Status::EMPTY => InstanceState::Starting,
    }
}

/// Why a container ended, for people.
fn why(state: &ContainerState, memory_bytes: u64) -> String {
    let error = state.error.as_deref().unwrap_or_default();
    if !error.is_empty() && state.oom_killed != Some(true) {
        return format!("could not be started: {}", error::sentence(error));
    }
    death::ended(state.exit_code, state.oom_killed == Some(true), memory_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: ContainerStateStatusEnum) -> ContainerState {
        ContainerState { status: Some(status), ..ContainerState::default() }
    }

    fn said(state: ContainerState) -> String {
        match condition(&state, 256 << 20) {
            InstanceState::Exited { why } => why,
            InstanceState::Starting => "starting".to_owned(),
            InstanceState::Running => "running".to_owned(),
        }
    }

    #[test]
    fn a_dead_instance_says_why_in_words() {
        use ContainerStateStatusEnum as Status;
        let with = |status, code, oom_killed| ContainerState {
            exit_code: Some(code),
            oom_killed: Some(oom_killed),
            ..state(status)
        };

        assert_eq!(said(state(Status::RUNNING)), "running");
        assert_eq!(said(with(Status::RESTARTING, 1, false)), "exit code 1");
        assert_eq!(said(with(Status::EXITED, 137, true)), "killed for memory (limit 256 MiB)");
        assert_eq!(said(with(Status::EXITED, 137, false)), "ended by SIGKILL (exit code 137)");
        assert_eq!(said(with(Status::EXITED, 0, false)), "ended by itself (exit code 0)");
    }

    #[test]
    fn what_never_could_start_is_not_starting_for_ever() {
        let broken = ContainerState {
            error: Some("exec: \"/nope\": no such file".to_owned()),
            ..state(ContainerStateStatusEnum::CREATED)
        };

        assert!(said(broken).starts_with("could not be started: exec"));
        assert_eq!(said(state(ContainerStateStatusEnum::CREATED)), "starting");
    }

    #[test]
    fn an_instance_that_never_ran_has_no_start() {
        let never = ContainerState {
            started_at: Some("0001-01-01T00:00:00Z".to_owned()),
            ..ContainerState::default()
        };
        let once = ContainerState {
            started_at: Some("2026-01-02T03:04:05.123456789Z".to_owned()),
            ..ContainerState::default()
        };

        assert_eq!(started_at(&never), None);
        assert!(started_at(&once).is_some());
    }
}
