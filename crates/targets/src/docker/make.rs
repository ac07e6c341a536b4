//! Making and starting instances: orders first, so that it is known where each will be before there
//! is anything of it; then carried out, all at once.

use super::{
    DockerTarget, container, error,
    labels::{self, Identity},
    lock, network,
    seen::Container,
};
use crate::{Error, Result, names};
use anyhow::anyhow;
use bollard::{
    Docker,
    models::{ContainerCreateBody, ContainerSummaryStateEnum as State},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
        StartContainerOptions,
    },
};
use domain::{
    route::Routed,
    slot::Slot,
    target::{Claim, Plan},
};
use futures::{StreamExt, stream};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a call waits for what it began to make. The rest of its deadline is for the route.
const MAKING: Duration = Duration::from_millis(1400);
/// The longest that something begun goes on by itself.
const LONGEST: Duration = Duration::from_secs(60);
/// Starts at once: more only make each other slower.
const STARTS_AT_ONCE: usize = 4;

/// An instance to be started, and before that to be made where there is a body.
#[derive(Debug)]
pub(super) struct Order {
    installation: Uuid,
    name: String,
    pub identity: Identity,
    /// Its address is in the route already, so it runs there or not at all.
    announced: bool,
    made: Made,
}

#[derive(Debug)]
enum Made {
    Not(Box<ContainerCreateBody>),
    As(String),
}

impl DockerTarget {
    /// What is to be started of the `wanted` ones, and made of those that are missing. `at_own`: those
    /// may have the addresses that the slot's route still has.
    pub(super) async fn orders(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: &Routed,
        wanted: &[Container],
        at_own: bool,
    ) -> Result<Vec<Order>> {
        let there: HashSet<u16> = wanted.iter().map(|one| one.identity.number).collect();
        let missing: Vec<u16> = (1..=plan.size).filter(|number| !there.contains(number)).collect();
        let announced = routed.live() != Some(slot);
        let mut orders = Vec::new();
        for Container { id, identity, state } in wanted {
            match state {
                State::CREATED | State::EXITED => {
                    lock(&self.told).remove(id);
                    let name = names::instance(slot, plan.maker, identity.number);
                    let (installation, made) = (self.options.installation, Made::As(id.clone()));
                    let identity = identity.clone();
                    orders.push(Order { installation, name, identity, announced, made });
                }
                // The engine could not take it away: it never runs again. Made anew next time.
                State::DEAD => take_away(self.engine().await?, id).await?,
                State::RUNNING
                | State::RESTARTING
                | State::PAUSED
                | State::STOPPING
                | State::REMOVING
                | State::EMPTY => {}
            }
        }
        if !missing.is_empty() {
            orders.extend(self.order(claim, slot, plan, routed, &missing, at_own).await?);
        }
        Ok(orders)
    }

    /// Makes and starts. Returns the first refusal, else the first failure; what was not done when
    /// the time is over is done by the next call.
    pub(super) async fn carry_out(&self, orders: Vec<Order>, begun: Instant) -> Result<()> {
        let engine = self.engine().await?;
        // Spawned: a start that takes longer than this call goes on, and is seen later.
        let mut made = stream::iter(orders)
            .map(|order| tokio::spawn(tokio::time::timeout(LONGEST, make(engine.clone(), order))))
            .buffer_unordered(STARTS_AT_ONCE);
        let mut failure: Option<Error> = None;
        let until = tokio::time::Instant::from_std(begun + MAKING);
        while let Ok(Some(ended)) = tokio::time::timeout_at(until, made.next()).await {
            let Ok(Ok(Err((address, error)))) = ended else { continue };
            if let Some(address) = address {
                // Somebody else has it: do not choose it again at once.
                self.avoid(address);
            }
            if failure.is_none() || matches!(error, Error::Refused { .. }) {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// What is to be made for the numbers that are missing.
    async fn order(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: &Routed,
        missing: &[u16],
        at_own: bool,
    ) -> Result<Vec<Order>> {
        let installation = self.options.installation;
        let image = self.inspected_image(plan.image.as_str()).await?.ok_or_else(|| {
            error::refused(format!(
                "the image {} is gone. Load or pull it again, or deploy another release.",
                plan.image.short()
            ))
        })?;
        let image_user = image.config.and_then(|config| config.user).unwrap_or_default();
        if container::is_root(&container::user(plan, &image_user)) && !plan.root_allowed {
            return Err(error::refused(runs_as_root()));
        }

        let network = self.network(&plan.place).await?;
        let ours = [(labels::INSTALLATION, installation.to_string())];
        let (containers, routes) =
            tokio::try_join!(self.listed(ours), async { Ok(self.router.routes().await?) })?;
        let with_labels = containers.iter().filter_map(|container| container.labels.as_ref());
        let mut taken = network::addresses_of(with_labels);
        // An address that a route still names must not reach another service.
        // In the order of the route, so that each number gets its own again.
        let own = routed.route.iter().filter(|_| at_own);
        let own = own.flat_map(|route| v4(route.upstreams.of(slot)));
        let preferred: Vec<_> = own.filter(|address| !taken.contains(address)).collect();
        for route in routes.iter().filter_map(|routed| routed.route.as_ref()) {
            taken.extend(Slot::ALL.iter().flat_map(|slot| v4(route.upstreams.of(*slot))));
        }
        taken.retain(|address| !preferred.contains(address));
        let addresses = self.promise(
            (plan.place.placement, slot),
            network.subnet,
            missing.len(),
            &preferred,
            taken,
        )?;

        let order = |(&number, address)| {
            let identity = Identity::of(claim, slot, plan, number, address);
            let instance = names::instance(slot, plan.maker, number);
            let body = container::body(plan, &identity, installation, &network.id, &image_user);
            Order {
                installation,
                name: names::container(&self.options.prefix, &plan.place, &instance),
                identity,
                announced: routed.live() != Some(slot),
                made: Made::Not(Box::new(body)),
            }
        };
        Ok(missing.iter().zip(addresses).map(order).collect())
    }
}

/// What to do about an image that runs as root.
pub(super) fn runs_as_root() -> String {
    "the image runs as root. Set a user in the image or in the service; an admin may allow root in \
     the environment's policy."
        .to_owned()
}

fn v4(addresses: &[SocketAddr]) -> impl Iterator<Item = Ipv4Addr> {
    addresses.iter().filter_map(|address| match address.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// Makes and starts one instance. An error names the address if that is what was wrong.
async fn make(engine: Docker, order: Order) -> Result<(), (Option<Ipv4Addr>, Error)> {
    let id = match &order.made {
        Made::As(id) => id.clone(),
        Made::Not(body) => {
            let options = CreateContainerOptionsBuilder::default().name(&order.name).build();
            match engine.create_container(Some(options), (**body).clone()).await {
                Ok(made) => made.id,
                Err(taken) if error::is_conflict(&taken) => {
                    found(&engine, &order).await.map_err(|error| (None, error))?
                }
                Err(error) => return Err((None, error.into())),
            }
        }
    };
    let Err(error) = engine.start_container(&id, None::<StartContainerOptions>).await else {
        return Ok(());
    };
    let message = error::status(&error).map(|(_, message)| message.to_lowercase());
    let message = message.unwrap_or_default();
    let address_taken = message.contains("address already in use");
    if address_taken || (message.contains("network") && message.contains("not found")) {
        // It never ran and never will with this address or network: made anew by the next call.
        take_away(&engine, &id).await.map_err(|error| (None, error))?;
        let address = address_taken.then_some(order.identity.address);
        return Err((address, error::unreachable(error)));
    }
    let said = match error::status(&error) {
        Some((400, said)) => Some(error::sentence(said)),
        Some((500, said)) if said.contains("OCI runtime create failed") => {
            Some(error::sentence(said))
        }
        _ => None,
    };
    let error = match said {
        Some(said) => error::refused(format!("{} could not be started: {said}", order.name)),
        None => error.into(),
    };
    Err((None, error))
}

/// The container that has the name already: an earlier call's, or a stranger's.
async fn found(engine: &Docker, order: &Order) -> Result<String> {
    let there = match engine.inspect_container(&order.name, None::<InspectContainerOptions>).await {
        Err(gone) if error::is_gone(&gone) => {
            return Err(error::unreachable(anyhow!("{} was just being removed", order.name)));
        }
        other => other?,
    };
    let labels = there.config.and_then(|config| config.labels).unwrap_or_default();
    let (Some(id), Some(found)) = (there.id, Identity::read(&labels, order.installation)) else {
        return Err(error::refused(name_taken(&order.name)));
    };
    let (wanted, same) = (&order.identity, found.placement == order.identity.placement);
    if same && (found.slot, found.maker, found.number) == (wanted.slot, wanted.maker, wanted.number)
    {
        if order.announced && found.address != wanted.address {
            let elsewhere = anyhow!("{} was just made, at {}", order.name, found.address);
            return Err(error::unreachable(elsewhere));
        }
        return Ok(id);
    }
    // Ours, of another maker whose id ends alike: a stray that is on its way out.
    Err(error::unreachable(anyhow!("{} is still there from another rollout", order.name)))
}

/// What to do about a stranger's container.
pub(super) fn name_taken(name: &str) -> String {
    format!(
        "the name {name} is taken by a container that is not ours. Somebody with access to the \
         machine must remove or rename it."
    )
}

/// Removes a container with its anonymous volumes, running or not.
pub(super) async fn take_away(engine: &Docker, id: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.remove_container(id, Some(options)).await {
        // Gone, or just being removed.
        Err(error) if error::is_gone(&error) || error::is_conflict(&error) => Ok(()),
        other => Ok(other?),
    }
}
