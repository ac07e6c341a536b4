//! Filling and emptying a slot.
//!
//! Both begin at the router: it refuses an older claim and says whether the slot has the traffic.
//! Addresses leave the route before their instances are stopped, which raises the revision, so a
//! switch that is still on its way loses.

use super::{
    DockerTarget, container, error,
    labels::{self, Identity},
    lock, network, routes,
    seen::Container,
};
use crate::{Error, Result, names};
use anyhow::anyhow;
use bollard::{
    Docker,
    models::{ContainerCreateBody, ContainerSummaryStateEnum as State},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use domain::{
    route::{Route, Routed},
    slot::Slot,
    target::{Claim, Place, Plan},
};
use futures::{StreamExt, TryStreamExt, stream};
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
/// Stops at once.
const STOPS_AT_ONCE: usize = 8;
/// How long it is remembered that a container was told to end.
const TOLD: Duration = Duration::from_secs(3600);

/// An instance to be started, and before that to be made where there is a body.
struct Order {
    installation: Uuid,
    name: String,
    identity: Identity,
    made: Made,
}

enum Made {
    Not(Box<ContainerCreateBody>),
    As(String),
}

impl DockerTarget {
    /// `Target::ensure`.
    pub(super) async fn fill(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        let place = &plan.place;
        let mut routed = self.fenced(claim, place).await?;
        let live = routed.live() == Some(slot);
        let all = self.containers_of(place, None).await?;
        may_fill(claim, slot, plan, &routed, &all)?;

        let (wanted, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|container| container.identity.slot == slot)
            .partition(|container| is_wanted(&container.identity, plan));
        if !live && !others.is_empty() {
            routed = self.announce(claim, slot, plan, routed, &wanted).await?;
            self.end(others).await?;
        }

        let outcome = self.make_and_start(claim, slot, plan, &routed, wanted, begun).await;

        let there = self.containers_of(place, Some(slot)).await?;
        let mine = there.into_iter().filter(|container| container.identity.maker == plan.maker);
        // No rollout makes a slot smaller that has the traffic.
        let shrinks = !live || claim.rollout.is_none();
        let (wanted, beyond): (Vec<_>, Vec<_>) =
            mine.partition(|container| !shrinks || is_wanted(&container.identity, plan));
        self.announce(claim, slot, plan, routed, &wanted).await?;
        self.end(beyond).await?;
        outcome
    }

    /// `Target::remove`.
    pub(super) async fn empty(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<()> {
        let routed = self.fenced(claim, place).await?;
        if routed.live() == Some(slot) {
            return Err(error::router_refused(format!(
                "{slot} gets the traffic, so it is not removed. Move the traffic first."
            )));
        }
        let containers = self.containers_of(place, Some(slot)).await?;
        if routes::never_written(&routed)
            && containers.iter().any(|one| one.identity.port.is_some())
        {
            return Err(lost());
        }
        let withdrawn = routed.route.is_none();
        if let Some(mut route) = routed.route.clone() {
            route.upstreams.of_mut(slot).clear();
            route.rollout = claim.rollout;
            self.put(claim, routed, route).await?;
        }
        let nothing_left = containers.is_empty();
        self.end(containers).await?;
        if withdrawn && nothing_left {
            self.tidy_network(place).await?;
        }
        Ok(())
    }

    /// Writes the addresses of a slot's instances and the host names into the route, without
    /// moving traffic. A live slot is never left without an address.
    async fn announce(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: Routed,
        instances: &[Container],
    ) -> Result<Routed> {
        if plan.spec.exposure.port().is_none() {
            return Ok(routed);
        }
        let identities = instances.iter().map(|container| &container.identity);
        let addresses = routes::upstreams(identities, slot, plan.maker);
        let live = routed.live();
        if live == Some(slot) && addresses.is_empty() {
            return Ok(routed);
        }
        let mut upstreams =
            routed.route.as_ref().map(|route| route.upstreams.clone()).unwrap_or_default();
        *upstreams.of_mut(slot) = addresses;
        let route = routes::route(&plan.place, claim.rollout, upstreams, live);
        self.put(claim, routed, route).await
    }

    /// Makes what is missing and starts what does not run. Returns the first refusal, else the
    /// first failure; what was not done when the time is over is done by the next call.
    async fn make_and_start(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: &Routed,
        wanted: Vec<Container>,
        begun: Instant,
    ) -> Result<()> {
        let there: HashSet<u16> = wanted.iter().map(|one| one.identity.number).collect();
        let missing: Vec<u16> = (1..=plan.size).filter(|number| !there.contains(number)).collect();
        let mut orders = Vec::new();
        for Container { id, identity, state } in wanted {
            match state {
                State::CREATED | State::EXITED => {
                    lock(&self.told).remove(&id);
                    let name = names::instance(slot, plan.maker, identity.number);
                    let installation = self.options.installation;
                    orders.push(Order { installation, name, identity, made: Made::As(id) });
                }
                // The engine could not take it away: it never runs again. Made anew next time.
                State::DEAD => take_away(self.engine().await?, &id).await?,
                State::RUNNING
                | State::RESTARTING
                | State::PAUSED
                | State::STOPPING
                | State::REMOVING
                | State::EMPTY => {}
            }
        }
        if !missing.is_empty() {
            orders.extend(self.order(claim, slot, plan, routed, &missing).await?);
        }

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
        let own =
            routed.route.as_ref().map(|route| v4(route.upstreams.of(slot))).unwrap_or_default();
        let preferred: Vec<_> =
            own.iter().filter(|address| !taken.contains(address)).copied().collect();
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
                made: Made::Not(Box::new(body)),
            }
        };
        Ok(missing.iter().zip(addresses).map(order).collect())
    }

    /// Tells containers to end, and takes away those that have or had their time.
    async fn end(&self, containers: Vec<Container>) -> Result<()> {
        let engine = self.engine().await?;
        lock(&self.told).retain(|_, since| since.elapsed() < TOLD);
        stream::iter(containers)
            .map(|one| self.end_one(engine, one))
            .buffer_unordered(STOPS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn end_one(&self, engine: &Docker, container: Container) -> Result<()> {
        let Container { id, state, .. } = container;
        let told = lock(&self.told).get(&id).map(Instant::elapsed);
        match (state, told) {
            (State::REMOVING, _) => Ok(()),
            (State::RUNNING | State::STOPPING, None) => {
                tell(engine, &id).await?;
                lock(&self.told).insert(id, Instant::now());
                Ok(())
            }
            (State::RUNNING | State::STOPPING, Some(since)) if since < self.options.grace => Ok(()),
            (
                State::RUNNING
                | State::STOPPING
                | State::CREATED
                | State::PAUSED
                | State::RESTARTING
                | State::EXITED
                | State::DEAD
                | State::EMPTY,
                _,
            ) => {
                take_away(engine, &id).await?;
                lock(&self.told).remove(&id);
                Ok(())
            }
        }
    }
}

/// What a slot is not filled over: the live instances of somebody else, and a route that was lost.
fn may_fill(
    claim: &Claim,
    slot: Slot,
    plan: &Plan,
    routed: &Routed,
    all: &[Container],
) -> Result<()> {
    let stranger = |one: &&Container| one.identity.maker != plan.maker;
    if let Some(Route { live: Some(live), upstreams, .. }) = &routed.route
        && *live == slot
    {
        let addresses = v4(upstreams.of(slot));
        let routed_to = |one: &&Container| {
            one.identity.slot == slot && addresses.contains(&one.identity.address)
        };
        if let Some(other) = all.iter().filter(stranger).find(routed_to) {
            return Err(error::router_refused(format!(
                "{slot} gets the traffic, with instances of rollout {}. Another rollout does not \
                 fill it.",
                other.identity.maker.short()
            )));
        }
    }
    // A first route is written by a rollout that finds nothing of anybody else. In all other cases
    // there was one, and writing an empty one would hide that it is lost.
    let first = claim.rollout.is_some() && !all.iter().any(|one| stranger(&one));
    if plan.spec.exposure.port().is_some() && routes::never_written(routed) && !first {
        return Err(lost());
    }
    Ok(())
}

fn is_wanted(identity: &Identity, plan: &Plan) -> bool {
    identity.maker == plan.maker && identity.number <= plan.size
}

fn lost() -> Error {
    error::router_refused(
        "it has no route of this placement although instances are there, so it lost its routes. \
         They must be given back first.",
    )
}

/// What to do about an image that runs as root.
pub(super) fn runs_as_root() -> String {
    "the image runs as root. Set a user in the image or in the service; an admin may allow root in \
     the environment's policy."
        .to_owned()
}

fn v4(addresses: &[SocketAddr]) -> HashSet<Ipv4Addr> {
    let v4 = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    addresses.iter().filter_map(v4).collect()
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

/// Sends the signal that the image asks for. The engine then does not start it again.
async fn tell(engine: &Docker, id: &str) -> Result<()> {
    let inspected = match engine.inspect_container(id, None::<InspectContainerOptions>).await {
        Err(gone) if error::is_gone(&gone) => return Ok(()),
        other => other?,
    };
    let signal = inspected.config.and_then(|config| config.stop_signal);
    let signal = signal.filter(|signal| !signal.is_empty()).unwrap_or_else(|| "SIGTERM".to_owned());
    let options = KillContainerOptionsBuilder::default().signal(&signal).build();
    match engine.kill_container(id, Some(options)).await {
        // Gone, or not running any more.
        Err(error) if error::is_gone(&error) || error::is_conflict(&error) => Ok(()),
        other => Ok(other?),
    }
}

/// Removes a container with its anonymous volumes, running or not.
async fn take_away(engine: &Docker, id: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.remove_container(id, Some(options)).await {
        // Gone, or just being removed.
        Err(error) if error::is_gone(&error) || error::is_conflict(&error) => Ok(()),
        other => Ok(other?),
    }
}
