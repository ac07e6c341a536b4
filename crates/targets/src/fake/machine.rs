//! The machine behind the fake: its containers.

use super::{
    Behaviour, Call, NAME,
    logs::{Followed, Log},
    lost, refused,
    registry::Registry,
    router::{Route, now},
    stale,
};
use crate::{
    Error, Makers, Result,
    live::{self, Is, Member},
    names,
};
use domain::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    name::{ContentId, Name},
    release::ImageFacts,
    slot::{PerSlot, Slot},
    target::{Claim, Instance, InstanceState, Place, Plan, PlanVariables},
};
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Machine {
    pub cores: u32,
    pub memory_bytes: u64,
    pub unreachable: bool,
    /// Takes every question and never answers.
    pub mute: bool,
    /// Images come from the registry that a plan names.
    pub fetches_images: bool,
    pub containers: Vec<Container>,
    /// Names of strangers' containers.
    pub strangers: HashSet<String>,
    pub routes: HashMap<PlacementId, Route>,
    pub images: Vec<ImageFacts>,
    /// The one registry there is, under every address.
    pub registry: Registry,
    pub kept: HashSet<(Uuid, ContentId)>,
    pub behaviours: HashMap<ReleaseId, Behaviour>,
    pub calls: Vec<Call>,
    pub held: Held,
    pub lose_next_answer: bool,
    /// Why nothing more can be made.
    pub full: Option<String>,
    pub followed: Followed,
    pub boot: u64,
    pub started: i64,
    next: u32,
}

/// A route write that has not arrived yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub next: bool,
    pub write: Option<(Claim, i64, Option<Slot>)>,
}

impl Held {
    /// Whether the next write is to be held, which is then not asked again.
    pub fn take_next(&mut self) -> bool {
        std::mem::take(&mut self.next)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Container {
    pub id: String,
    pub installation: Uuid,
    pub name: String,
    pub placement: PlacementId,
    pub slot: Slot,
    pub maker: RolloutId,
    pub release: ReleaseId,
    pub configuration: ConfigurationId,
    pub variables: PlanVariables,
    pub number: u16,
    pub epoch: i64,
    pub memory_bytes: u64,
    pub takes_requests: bool,
    /// Stands for its address: kept through restarts, and by who is made in its place.
    pub address: u32,
    pub life: Life,
    pub restarts: u32,
    pub died: Option<String>,
    pub changed: Option<String>,
    pub started_at: Option<OffsetDateTime>,
    pub told: bool,
    pub log: Log,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    Starting(Instant),
    Running(Instant),
    Exited(String),
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cores: 2,
            memory_bytes: 8 << 30,
            unreachable: false,
            mute: false,
            fetches_images: false,
            containers: Vec::new(),
            strangers: HashSet::new(),
            routes: HashMap::new(),
            images: Vec::new(),
            registry: Registry::default(),
            kept: HashSet::new(),
            behaviours: HashMap::new(),
            calls: Vec::new(),
            held: Held::default(),
            lose_next_answer: false,
            full: None,
            followed: Followed::default(),
            boot: 1,
            started: now(),
            next: 1,
        }
    }
}

impl Container {
    pub fn state(&self) -> InstanceState {
        match &self.life {
            Life::Starting(_) => InstanceState::Starting,
            Life::Running(_) => InstanceState::Running,
            Life::Exited(why) => InstanceState::Exited { why: why.clone() },
        }
    }

    /// As seen beside the route of its placement.
    pub fn instance(&self, route: Option<&Route>) -> Instance {
        let in_route = |route: &Route| {
            route.there
                && self.takes_requests
                && route.upstreams.of(self.slot).contains(&self.address)
        };
        Instance {
            id: self.id.clone(),
            name: names::instance(self.slot, self.maker, self.number),
            number: self.number,
            maker: self.maker,
            release: self.release,
            configuration: self.configuration,
            state: self.state(),
            in_route: route.is_some_and(in_route),
            started_at: self.started_at,
            restarts: self.restarts,
            died: self.died.clone(),
            changed: self.changed.clone(),
        }
    }
}

impl Machine {
    /// Lets the time that passed have its effects.
    pub fn live(&mut self) {
        let now = Instant::now();
        for one in &mut self.containers {
            let behaviour = self.behaviours.get(&one.release);
            if let Life::Starting(since) = one.life
                && now - since >= behaviour.map(|b| b.starts_after).unwrap_or_default()
            {
                one.life = Life::Running(now);
                one.started_at = Some(OffsetDateTime::now_utc());
            }
            if let (Life::Running(since), Some(behaviour)) = (&one.life, behaviour)
                && let Some((after, why)) = &behaviour.dies_after
                && now - *since >= *after
            {
                one.life = Life::Exited(why.clone());
            }
        }
        self.count_load();
    }

    pub fn of(
        &self,
        installation: Uuid,
        placement: PlacementId,
    ) -> impl Iterator<Item = &Container> {
        self.containers
            .iter()
            .filter(move |one| one.installation == installation && one.placement == placement)
    }

    /// What a running instance answers to a check: status and body.
    pub fn answer(&self, one: &Container) -> (u16, String) {
        let Some(behaviour) = self.behaviours.get(&one.release) else {
            return (200, String::new());
        };
        match one.life {
            Life::Running(since) if since.elapsed() >= behaviour.ready_after => {
                (behaviour.status, behaviour.body.clone())
            }
            Life::Running(_) | Life::Starting(_) | Life::Exited(_) => (503, String::new()),
        }
    }

    /// The addresses of the makers' instances in both slots.
    pub fn upstreams(
        &self,
        installation: Uuid,
        placement: PlacementId,
        makers: &Makers,
        otherwise: impl Fn(Slot) -> Vec<u32>,
    ) -> PerSlot<Vec<u32>> {
        let of = |slot| match *makers.of(slot) {
            Some(maker) => {
                let mut found: Vec<_> = self
                    .of(installation, placement)
                    .filter(|one| one.slot == slot && one.maker == maker && one.takes_requests)
                    .map(|one| (one.number, one.address))
                    .collect();
                found.sort_unstable();
                found.into_iter().map(|(_, address)| address).collect()
            }
            None => otherwise(slot),
        };
        PerSlot { blue: of(Slot::Blue), green: of(Slot::Green) }
    }

    /// Refuses what a slot is not filled over.
    fn may_fill(
        &self,
        installation: Uuid,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
    ) -> Result<(bool, Route)> {
        let route = self.routes.get(&claim.placement).cloned().unwrap_or_default();
        let live = route.there && route.live == Some(slot);
        let others =
            || self.of(installation, claim.placement).filter(|one| one.maker != plan.maker);
        let routed_to =
            |one: &&Container| one.slot == slot && route.upstreams.of(slot).contains(&one.address);
        if live && let Some(other) = others().find(routed_to) {
            return Err(stale(format!(
                "{slot} gets the traffic, with instances of rollout {}. Another rollout does not \
                 fill it.",
                other.maker.short()
            )));
        }
        let first = claim.rollout.is_some() && others().next().is_none();
        let never = !route.there && route.revision == 0;
        if plan.spec.exposure.port().is_some() && never && !first {
            return Err(lost(LOST));
        }
        Ok((live, route))
    }

    pub fn fill(
        &mut self,
        installation: Uuid,
        prefix: &Name,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
    ) -> Result<()> {
        self.fence(claim)?;
        let (live, route) = self.may_fill(installation, claim, slot, plan)?;
        let shrinks = !live || claim.rollout.is_none();
        if live {
            self.keep_announced(installation, claim, slot, plan, shrinks)?;
        }
        let mut known = route.clone();
        let serves = |one: &Container| {
            one.slot == slot
                && matches!(one.life, Life::Running(_))
                && route.upstreams.of(slot).contains(&one.address)
        };
        if live && !self.of(installation, claim.placement).any(serves) {
            // Whoever comes where nobody is left comes in once it is ready.
            known.upstreams.of_mut(slot).clear();
        }
        let mut outcome = Ok(());
        for number in 1..=plan.size {
            let made = self.make(installation, prefix, claim, slot, plan, number, &known);
            if outcome.is_ok() {
                outcome = made;
            }
        }
        if live {
            self.keep_announced(installation, claim, slot, plan, shrinks)?;
        } else {
            self.announce(installation, claim, slot, plan)?;
        }
        let route = self.routes.get(&claim.placement).cloned().unwrap_or_default();
        self.end(|one| {
            let here = one.installation == installation && one.placement == claim.placement;
            let stray = !live && one.maker != plan.maker;
            let beyond = shrinks && one.maker == plan.maker && one.number > plan.size;
            let serves = live && route.upstreams.of(slot).contains(&one.address);
            here && one.slot == slot && (stray || beyond) && !serves
        });
        outcome
    }

    #[allow(clippy::too_many_arguments)] // All that an instance is made of.
    fn make(
        &mut self,
        installation: Uuid,
        prefix: &Name,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        number: u16,
        route: &Route,
    ) -> Result<()> {
        let there = self.containers.iter_mut().find(|one| {
            one.installation == installation
                && one.placement == claim.placement
                && one.slot == slot
                && one.maker == plan.maker
                && one.number == number
        });
        if let Some(one) = there {
            if one.told {
                // Its end had begun, and it is wanted after all.
                one.told = false;
                one.life = Life::Starting(Instant::now());
            }
            return Ok(());
        }
        if let Some(reason) = self.full.clone() {
            return Err(Error::Full { target: NAME.to_owned(), reason });
        }
        let image = self.images.iter().find(|image| image.id == plan.image).ok_or_else(|| {
            refused(format!(
                "the image {} is gone. Load or pull it again, or deploy another release.",
                plan.image.short()
            ))
        })?;
        let is_root = plan.spec.user.map_or_else(|| image.runs_as_root(), |uid| uid == 0);
        if is_root && !plan.root_allowed {
            return Err(refused("the image runs as root."));
        }
        let name =
            names::container(prefix, &plan.place, &names::instance(slot, plan.maker, number));
        if self.strangers.contains(&name) || self.containers.iter().any(|one| one.name == name) {
            return Err(refused(format!(
                "the name {name} is taken by a container that is not ours."
            )));
        }
        let used = |address: &u32| self.containers.iter().any(|one| one.address == *address);
        let own = route.upstreams.of(slot).iter().find(|address| !used(address)).copied();
        let id = self.next();
        self.containers.push(Container {
            id: format!("{id:08x}"),
            installation,
            name,
            placement: claim.placement,
            slot,
            maker: plan.maker,
            release: plan.release,
            configuration: plan.configuration,
            variables: plan.variables.clone(),
            number,
            epoch: claim.epoch,
            memory_bytes: plan.limits.memory_bytes,
            takes_requests: plan.spec.exposure.port().is_some(),
            address: own.unwrap_or(id),
            life: Life::Starting(Instant::now()),
            restarts: 0,
            died: None,
            changed: None,
            started_at: None,
            told: false,
            log: Log::default(),
        });
        Ok(())
    }

    /// Brings all addresses of an idle slot into the route.
    fn announce(
        &mut self,
        installation: Uuid,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
    ) -> Result<()> {
        if plan.spec.exposure.port().is_none() {
            return Ok(());
        }
        let mut found: Vec<_> = self
            .of(installation, claim.placement)
            .filter(|one| one.slot == slot && one.maker == plan.maker)
            .filter(|one| one.number <= plan.size)
            .map(|one| (one.number, one.address))
            .collect();
        found.sort_unstable();
        let route = self.routes.entry(claim.placement).or_default();
        let (live, mut upstreams) = (route.live, route.upstreams.clone());
        *upstreams.of_mut(slot) = found.into_iter().map(|(_, address)| address).collect();
        self.put(claim, &plan.place, upstreams, live).map(drop)
    }

    /// The same for the live slot: who is ready comes in, who stands still leaves.
    fn keep_announced(
        &mut self,
        installation: Uuid,
        claim: &Claim,
        slot: Slot,
        plan: &Plan,
        shrinks: bool,
    ) -> Result<()> {
        let mut there: Vec<_> = self
            .of(installation, claim.placement)
            .filter(|one| one.slot == slot && one.maker == plan.maker)
            .filter(|one| !shrinks || one.number <= plan.size)
            .collect();
        there.sort_by_key(|one| one.number);
        let is = |one: &Container| match one.life {
            Life::Running(_) if (200..400).contains(&self.answer(one).0) => Is::Ready,
            Life::Running(_) => Is::Running,
            Life::Starting(_) if one.restarts > 0 => Is::Returning,
            Life::Starting(_) | Life::Exited(_) => Is::Still,
        };
        let members: Vec<_> =
            there.iter().map(|one| Member { address: one.address, is: is(one) }).collect();
        let route = self.routes.entry(claim.placement).or_default();
        let mut upstreams = route.upstreams.clone();
        *upstreams.of_mut(slot) = live::addresses(upstreams.of(slot), &members);
        self.put(claim, &plan.place, upstreams, Some(slot)).map(drop)
    }

    pub fn empty(
        &mut self,
        installation: Uuid,
        claim: &Claim,
        place: &Place,
        slot: Slot,
    ) -> Result<()> {
        self.fence(claim)?;
        let route = self.routes.entry(claim.placement).or_default();
        if route.there && route.live == Some(slot) {
            return Err(refused(format!(
                "{slot} gets the traffic, so it is not removed. Move the traffic first."
            )));
        }
        let (there, never) = (route.there, !route.there && route.revision == 0);
        if there && !route.upstreams.of(slot).is_empty() {
            route.upstreams.of_mut(slot).clear();
            route.written(claim.rollout, false);
        }
        let takes_requests = self
            .of(installation, place.placement)
            .any(|one| one.slot == slot && one.takes_requests);
        if never && takes_requests {
            return Err(lost(LOST));
        }
        self.end(|one| {
            one.installation == installation && one.placement == place.placement && one.slot == slot
        });
        Ok(())
    }

    pub fn stop(
        &mut self,
        installation: Uuid,
        claim: &Claim,
        slot: Slot,
        instance: &str,
    ) -> Result<()> {
        self.fence(claim)?;
        let route = self.routes.get(&claim.placement).cloned().unwrap_or_default();
        let here: Vec<_> =
            self.of(installation, claim.placement).filter(|one| one.slot == slot).collect();
        let Some(one) = here.iter().find(|one| one.id == instance) else { return Ok(()) };
        let is_in = |one: &Container| route.upstreams.of(slot).contains(&one.address);
        if route.there && is_in(one) {
            let runs = |one: &Container| matches!(one.life, Life::Running(_));
            let another =
                here.iter().any(|other| other.id != one.id && is_in(other) && runs(other));
            if route.live == Some(slot) && !another {
                return Err(refused(format!(
                    "nobody else in {slot} would be left to answer. Start another instance first."
                )));
            }
            let address = one.address;
            if let Some(route) = self.routes.get_mut(&claim.placement) {
                route.upstreams.of_mut(slot).retain(|there| *there != address);
                route.written(claim.rollout, false);
            }
            return Ok(());
        }
        for one in self.containers.iter_mut().filter(|one| one.id == instance) {
            one.told = true;
            one.life = Life::Exited("ended by SIGTERM (exit code 143)".to_owned());
        }
        Ok(())
    }

    /// Tells them to end; takes away those that were told before.
    fn end(&mut self, which: impl Fn(&Container) -> bool) {
        self.containers.retain(|one| !(which(one) && one.told));
        for one in self.containers.iter_mut().filter(|one| which(one)) {
            one.told = true;
            one.life = Life::Exited("ended by SIGTERM (exit code 143)".to_owned());
        }
    }

    fn next(&mut self) -> u32 {
        self.next += 1;
        self.next
    }
}

const LOST: &str = "it has no route of this placement although instances are there, so it lost its \
                    routes. They must be given back first.";
