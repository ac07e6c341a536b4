//! What a test does behind the driver's back, and what it asks about it.

use super::{
    Fake,
    machine::Life,
    router::{Route, now},
};
use crate::Result;
use domain::{
    id::{PlacementId, ReleaseId},
    log::Source,
    name::{ContentId, HostName},
    registry::Standing,
    release::ImageFacts,
    slot::Slot,
    target::{Hand, RouteSeen, Second},
};
use std::time::Duration;
use tokio::time::Instant;

/// How instances of a release behave. By default they start and are ready at once, answer 200 and
/// live for ever.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// From being made until it runs.
    pub starts_after: Duration,
    /// From running until it answers checks as below; before, with 503.
    pub ready_after: Duration,
    /// After how long it dies for good, and why.
    pub dies_after: Option<(Duration, String)>,
    /// What it answers to checks.
    pub status: u16,
    pub body: String,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            starts_after: Duration::ZERO,
            ready_after: Duration::ZERO,
            dies_after: None,
            status: 200,
            body: String::new(),
        }
    }
}

/// What a slot answers in each second in which it is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub requests: u32,
    pub failures: u32,
    /// How long each answer takes, in microseconds.
    pub latency_us: u32,
}

/// A call that reached the machine, in the order they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Check,
    Preflight(PlacementId),
    Fence(PlacementId, i64),
    Observe(PlacementId),
    Ensure(PlacementId, Slot),
    Probe(PlacementId, Slot),
    Route(PlacementId, Option<Slot>),
    Refresh(PlacementId),
    Restore(PlacementId, Option<Slot>),
    Traffic(PlacementId),
    CloseStreams(PlacementId, Slot),
    Remove(PlacementId, Slot),
    Stop(PlacementId, Slot),
    Withdraw(PlacementId),
    Usage,
    Logs,
    Image,
    KeepImage,
    KeptImages,
    ReleaseImage,
    Registry,
}

impl Fake {
    /// Switches the whole machine off for the driver, or on again. What runs goes on.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.behind(|machine| machine.unreachable = unreachable);
    }

    /// Takes questions about how it is and never answers them, or answers again.
    pub fn set_mute(&self, mute: bool) {
        self.behind(|machine| machine.mute = mute);
    }

    /// Fetches images by itself from now on.
    pub fn fetch_images(&self) {
        self.behind(|machine| machine.fetches_images = true);
    }

    /// Says how instances of a release behave, those that run already too.
    pub fn behave(&self, release: ReleaseId, behaviour: Behaviour) {
        self.behind(|machine| machine.behaviours.insert(release, behaviour));
    }

    /// What an instance was told under a name.
    #[must_use]
    pub fn told(&self, instance: &str, name: &str) -> Option<String> {
        let machine = self.machine();
        let one = machine.containers.iter().find(|one| one.id == instance)?;
        let told = one.variables.iter().find(|(known, _)| known.as_str() == name);
        told.map(|(_, value)| value.to_owned())
    }

    /// Puts an image on the machine.
    pub fn add_image(&self, image: ImageFacts) {
        self.behind(|machine| machine.images.push(image));
    }

    /// Takes an image away.
    pub fn forget_image(&self, image: &ContentId) {
        self.behind(|machine| machine.images.retain(|facts| facts.id != *image));
    }

    /// From now on the registry knows this one user and nobody else.
    pub fn lock_registry(&self, user: &str, password: &str) {
        let login = Some((user.to_owned(), password.to_owned()));
        self.behind(|machine| machine.registry.login = login);
    }

    /// Transfers are begun and do not come to an end, while this is so.
    pub fn hold_transfers(&self, held: bool) {
        self.behind(|machine| machine.registry.held = held);
    }

    /// What the registry answers to everything from now on. `None`: it is well again.
    pub fn trouble_registry(&self, with: Option<Standing>) {
        self.behind(|machine| machine.registry.unwell = with);
    }

    /// Whether this installation keeps an image from being pruned.
    #[must_use]
    pub fn keeps(&self, image: &ContentId) -> bool {
        self.machine().kept.contains(&(self.installation, image.clone()))
    }

    /// How much memory the machine has.
    pub fn set_memory(&self, bytes: u64) {
        self.behind(|machine| machine.memory_bytes = bytes);
    }

    /// A stranger's container with this name.
    pub fn occupy(&self, name: impl Into<String>) {
        self.behind(|machine| machine.strangers.insert(name.into()));
    }

    /// An instance dies and is started again by the engine.
    pub fn restart(&self, instance: &str) {
        self.die(instance, "exit code 1");
    }

    /// An instance dies of something and is started again by the engine.
    pub fn die(&self, instance: &str, why: &str) {
        self.behind(|machine| {
            for one in machine.containers.iter_mut().filter(|one| one.id == instance) {
                one.restarts += 1;
                one.died = Some(why.to_owned());
                one.life = Life::Starting(Instant::now());
            }
        });
    }

    /// An instance writes.
    pub fn write(&self, instance: &str, source: Source, bytes: &[u8]) {
        self.behind(|machine| {
            for one in machine.containers.iter_mut().filter(|one| one.id == instance) {
                one.log.write(source, bytes);
            }
        });
    }

    /// How many logs are being followed.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.machine().followed.count()
    }

    /// An instance dies and stays dead.
    pub fn kill(&self, instance: &str, why: &str) {
        self.behind(|machine| {
            for one in machine.containers.iter_mut().filter(|one| one.id == instance) {
                one.life = Life::Exited(why.to_owned());
            }
        });
    }

    /// Somebody changes an instance by hand.
    pub fn change_by_hand(&self, instance: &str, what: &str) {
        self.behind(|machine| {
            for one in machine.containers.iter_mut().filter(|one| one.id == instance) {
                one.changed = Some(what.to_owned());
            }
        });
    }

    /// From now on nothing more can be made, for this reason; or can be again.
    pub fn set_full(&self, why: Option<&str>) {
        self.behind(|machine| machine.full = why.map(str::to_owned));
    }

    /// Somebody removes an instance by hand.
    pub fn remove_by_hand(&self, instance: &str) {
        self.behind(|machine| machine.containers.retain(|one| one.id != instance));
    }

    /// Somebody moves the traffic by hand, on the machine itself.
    pub fn switch_by_hand(&self, placement: PlacementId, live: Option<Slot>, reason: &str) {
        self.behind(|machine| {
            if let Some(route) = machine.routes.get_mut(&placement).filter(|route| route.there) {
                route.live = live;
                route.revision += 1;
                let who = format!("uid 0 with pilothouse-router switch: {reason}");
                route.foreign = Some(Hand { who, revision: route.revision });
            }
        });
    }

    /// The router loses its file: every route, epoch and revision.
    pub fn lose_routes(&self) {
        self.behind(|machine| machine.routes.clear());
    }

    /// The router starts anew with its file: counters begin again, routes stay.
    pub fn restart_router(&self) {
        self.behind(|machine| {
            machine.boot += 1;
            machine.started = now();
            for route in machine.routes.values_mut() {
                route.traffic = Default::default();
                route.seconds = Default::default();
            }
        });
    }

    /// Adds a second to what the witness counted.
    pub fn count(&self, placement: PlacementId, slot: Slot, second: Second) {
        self.behind(|machine| machine.routes.entry(placement).or_default().count(slot, second));
    }

    /// Which slot answers requests to a host name.
    #[must_use]
    pub fn serves(&self, host: &HostName) -> Option<Slot> {
        let machine = self.machine();
        let routed = |route: &&Route| route.there && route.host_names.contains(host);
        machine.routes.values().find(routed)?.live
    }

    /// From now on a slot answers this in each second in which it is live.
    pub fn load(&self, placement: PlacementId, slot: Slot, load: Load) {
        self.behind(|machine| {
            *machine.routes.entry(placement).or_default().load.of_mut(slot) = load;
        });
    }

    /// How much a slot has in flight, until it is closed or said anew.
    pub fn set_in_flight(&self, placement: PlacementId, slot: Slot, in_flight: u64) {
        self.behind(|machine| {
            let route = machine.routes.entry(placement).or_default();
            route.traffic.of_mut(slot).in_flight = Some(in_flight);
        });
    }

    /// The next route write is carried out, and its answer lost.
    pub fn lose_next_answer(&self) {
        self.behind(|machine| machine.lose_next_answer = true);
    }

    /// The next route write stays on its way; the caller hears nothing. See [`Fake::deliver`].
    pub fn hold_next_route(&self) {
        self.behind(|machine| machine.held.next = true);
    }

    /// The write that was held arrives now. It stays held, so that it can arrive twice.
    ///
    /// # Panics
    ///
    /// When none was held.
    pub fn deliver(&self) -> Result<RouteSeen> {
        let mut machine = self.machine();
        let (claim, expected, live) = machine.held.write.expect("a route write was held");
        machine.switch(&claim, expected, live)
    }

    /// The calls that reached the machine since they were last asked for.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.machine().calls)
    }

    fn behind<T>(&self, change: impl FnOnce(&mut super::machine::Machine) -> T) {
        change(&mut self.machine());
        self.changed.send_modify(|count| *count += 1);
    }
}
