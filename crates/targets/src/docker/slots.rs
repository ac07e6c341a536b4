//! Filling and emptying a slot.
//!
//! Both begin at the router: it refuses an older claim and says whether the slot has the traffic.
//! Addresses leave the route before their instances are stopped, which raises the revision, so a
//! switch that is still on its way loses.

use super::{
    DockerTarget, error, labels::Identity, lock, make::take_away, routes, seen::Container,
};
use crate::{
    Error, Result,
    live::{self, Is, Member},
};
use bollard::{
    Docker,
    models::ContainerSummaryStateEnum as State,
    query_parameters::{InspectContainerOptions, KillContainerOptionsBuilder},
};
use domain::{
    route::{Route, Routed},
    slot::Slot,
    target::{Claim, Place, Plan},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::HashSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a call waits for instances of a live slot to say that they are ready. The rest of its
/// deadline is for the route.
const ASKING: Duration = Duration::from_millis(1700);
/// Stops at once.
const STOPS_AT_ONCE: usize = 8;
/// How long it is remembered that a container was told to end.
const TOLD: Duration = Duration::from_secs(3600);

impl DockerTarget {
    /// `Target::ensure`.
    pub(super) async fn fill(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()> {
        let begun = Instant::now();
        let routed = self.fenced(claim, &plan.place).await?;
        let mut all = self.containers_of(&plan.place, None).await?;
        may_fill(claim, slot, plan, &routed, &all)?;
        all.retain(|container| container.identity.slot == slot);
        if routed.live() == Some(slot) {
            self.fill_live(claim, slot, plan, routed, all, begun).await
        } else {
            self.fill_idle(claim, slot, plan, routed, all, begun).await
        }
    }

    /// Nobody sends requests to an idle slot, so addresses come into the route before there is
    /// anybody at them: whoever is killed when, an instance that runs is in the route.
    async fn fill_idle(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: Routed,
        there: Vec<Container>,
        begun: Instant,
    ) -> Result<()> {
        let (wanted, others): (Vec<_>, Vec<_>) =
            there.into_iter().partition(|container| is_wanted(&container.identity, plan));
        let orders = self.orders(claim, slot, plan, &routed, &wanted, true).await;
        let ordered = orders.iter().flatten().map(|order| &order.identity);
        let identities = wanted.iter().map(|container| &container.identity).chain(ordered);
        let mut addresses = routes::upstreams(identities, slot, plan.maker);
        if orders.is_err() {
            // Strays leave all the same.
            let strays: Vec<_> = others.iter().filter_map(|one| one.identity.endpoint()).collect();
            routes::keep_unknown(&mut addresses, upstreams(&routed, slot), &strays);
        }
        self.announce(claim, slot, plan, routed, addresses).await?;
        self.end(others).await?;
        self.carry_out(orders?, begun).await
    }

    /// In a live slot it is the reverse: requests come to an instance once it is ready for them, and
    /// what has to be started, or is not wanted any more, leaves the route before.
    async fn fill_live(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        mut routed: Routed,
        mut there: Vec<Container>,
        begun: Instant,
    ) -> Result<()> {
        // No rollout makes a slot smaller that has the traffic.
        let shrinks = claim.rollout.is_none();
        let belongs = |one: &Container| match shrinks {
            true => is_wanted(&one.identity, plan),
            false => one.identity.maker == plan.maker,
        };
        let wanted: Vec<_> =
            there.iter().filter(|one| is_wanted(&one.identity, plan)).cloned().collect();
        let before = upstreams(&routed, slot).to_vec();
        // While the route still names the addresses of those that are gone.
        // If nobody is left, who comes gets other addresses: the route keeps the old ones, and would
        // send requests to whoever is only starting there.
        let serves = |one: &Container| one.state == State::RUNNING && is_in(&before, one);
        let served = there.iter().any(|one| belongs(one) && serves(one));
        let orders = self.orders(claim, slot, plan, &routed, &wanted, served).await;
        if !orders.as_ref().is_ok_and(Vec::is_empty) {
            let members = members(there.iter().filter(|one| belongs(one)), &HashSet::new());
            let addresses = live::addresses(upstreams(&routed, slot), &members);
            routed = self.announce(claim, slot, plan, routed, addresses).await?;
        }
        let outcome = match orders {
            Ok(orders) => self.carry_out(orders, begun).await,
            Err(error) => Err(error),
        };

        there = self.containers_of(&plan.place, Some(slot)).await?;
        there.sort_by_key(|one| one.identity.number);
        let new: Vec<_> = there
            .iter()
            .filter(|one| belongs(one) && one.state == State::RUNNING)
            .filter(|one| !is_in(upstreams(&routed, slot), one))
            .collect();
        let ready = self.ready(plan, &new, (begun + ASKING).into()).await;
        let members = members(there.iter().filter(|one| belongs(one)), &ready);
        let addresses = live::addresses(upstreams(&routed, slot), &members);
        self.announce(claim, slot, plan, routed, addresses).await?;

        // The call after the one in which their addresses left: what they have is being answered.
        let beyond = |one: &Container| one.identity.maker == plan.maker && !belongs(one);
        there.retain(|one| beyond(one) && !is_in(&before, one));
        self.end(there).await?;
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

    /// `Target::stop`.
    pub(super) async fn rest(
        &self,
        claim: &Claim,
        place: &Place,
        slot: Slot,
        instance: &str,
    ) -> Result<()> {
        let routed = self.fenced(claim, place).await?;
        let there = self.containers_of(place, Some(slot)).await?;
        let Some(one) = there.iter().find(|one| one.id == instance) else { return Ok(()) };
        let addresses = upstreams(&routed, slot);
        if let (true, Some(mut route)) = (is_in(addresses, one), routed.route.clone()) {
            let another = there.iter().any(|other| {
                other.id != one.id && other.state == State::RUNNING && is_in(addresses, other)
            });
            if routed.live() == Some(slot) && !another {
                return Err(error::router_refused(format!(
                    "nobody else in {slot} would be left to answer. Start another instance first."
                )));
            }
            let address = one.identity.endpoint();
            route.upstreams.of_mut(slot).retain(|there| Some(*there) != address);
            route.rollout = claim.rollout;
            return self.put(claim, routed, route).await.map(drop);
        }
        let engine = self.engine().await?;
        let told = lock(&self.told).get(&one.id).map(Instant::elapsed);
        match (one.state, told) {
            (State::RUNNING | State::STOPPING, None) => {
                tell(engine, &one.id).await?;
                lock(&self.told).insert(one.id.clone(), Instant::now());
                Ok(())
            }
            (State::RUNNING | State::STOPPING, Some(since)) if since >= self.options.grace => {
                kill(engine, &one.id, "SIGKILL").await
            }
            // Ended, or about to.
            _ => Ok(()),
        }
    }

    /// Writes a slot's addresses and the host names into the route, without moving traffic.
    async fn announce(
        &self,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        routed: Routed,
        addresses: Vec<SocketAddr>,
    ) -> Result<Routed> {
        if plan.spec.exposure.port().is_none() {
            return Ok(routed);
        }
        let live = routed.live();
        let mut upstreams =
            routed.route.as_ref().map(|route| route.upstreams.clone()).unwrap_or_default();
        *upstreams.of_mut(slot) = addresses;
        let route = routes::route(&plan.place, claim.rollout, upstreams, live);
        self.put(claim, routed, route).await
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
        let routed_to =
            |one: &&Container| one.identity.slot == slot && is_in(upstreams.of(slot), one);
        if let Some(other) = all.iter().filter(stranger).find(routed_to) {
            return Err(error::router_stale(format!(
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

/// The addresses that the route has of a slot.
fn upstreams(routed: &Routed, slot: Slot) -> &[SocketAddr] {
    routed.route.as_ref().map_or(&[], |route| route.upstreams.of(slot))
}

fn is_in(addresses: &[SocketAddr], container: &Container) -> bool {
    container.identity.endpoint().is_some_and(|address| addresses.contains(&address))
}

/// What is known of a live slot's containers; `ready` are the ids of those that said so.
fn members<'a>(
    containers: impl Iterator<Item = &'a Container>,
    ready: &HashSet<String>,
) -> Vec<Member<SocketAddr>> {
    let member = |one: &Container| {
        let is = match one.state {
            State::RUNNING if ready.contains(&one.id) => Is::Ready,
            State::RUNNING => Is::Running,
            State::RESTARTING => Is::Returning,
            State::CREATED
            | State::EXITED
            | State::PAUSED
            | State::STOPPING
            | State::REMOVING
            | State::DEAD
            | State::EMPTY => Is::Still,
        };
        Some(Member { address: one.identity.endpoint()?, is })
    };
    containers.filter_map(member).collect()
}

fn lost() -> Error {
    error::router_lost(
        "it has no route of this placement although instances are there, so it lost its routes. \
         They must be given back first.",
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
    kill(engine, id, &signal).await
}

async fn kill(engine: &Docker, id: &str, signal: &str) -> Result<()> {
    let options = KillContainerOptionsBuilder::default().signal(signal).build();
    match engine.kill_container(id, Some(options)).await {
        // Gone, or not running any more.
        Err(error) if error::is_gone(&error) || error::is_conflict(&error) => Ok(()),
        other => Ok(other?),
    }
}
