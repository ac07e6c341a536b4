//! What all loops of an engine share, and how they are woken.

use crate::{
    builds::{self, BuildLogs},
    health::Healths,
    live::Hub,
    targets::Targets,
};
use domain::{
    id::{NodeId, PlacementId, ReleaseId, TargetId},
    target::{Observed, Place, Probe},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use store::{
    Pool,
    wake::{Of, Wake, Wakes},
};
use targets::Target;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vault::Vault;

/// Shared by every loop and task of one engine.
#[derive(Debug)]
pub(crate) struct Context {
    pub node: NodeId,
    pub pool: Pool,
    /// This machine: images, builds and registries are its own, wherever a placement runs.
    pub machine: Arc<dyn Target>,
    /// Everywhere that placements run.
    pub targets: Arc<Targets>,
    /// Opens secrets, at the moment they are handed to a target.
    pub vault: Arc<Vault>,
    /// How builds are carried out. `None`: this node has no part in them.
    pub builds: Option<Arc<builds::Settings>>,
    pub build_logs: BuildLogs,
    pub hub: Hub,
    pub healths: Healths,
    pub stopping: CancellationToken,
    /// Wakes the loops that look for new work of any kind.
    pub work: Notify,
    placements: Mutex<HashMap<PlacementId, Entry>>,
}

/// What is known of a placement that this node holds.
#[derive(Clone, Debug)]
struct Entry {
    wake: Arc<Notify>,
    known: Option<Known>,
}

/// What a placement's task saw last, for the sampler.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub placement: Arc<store::placements::Placement>,
    /// How instances are asked for their health, by their release.
    pub probes: Arc<BTreeMap<ReleaseId, Probe>>,
    pub observed: Result<Arc<Observed>, String>,
}

impl Known {
    pub fn place(&self) -> &Place {
        &self.placement.place
    }
}

impl Context {
    pub fn new(
        node: NodeId,
        pool: Pool,
        machine: Arc<dyn Target>,
        targets: Arc<Targets>,
        vault: Arc<Vault>,
        builds: Option<Arc<builds::Settings>>,
    ) -> Self {
        Self {
            node,
            builds,
            build_logs: BuildLogs::new(pool.clone()),
            pool,
            machine,
            targets,
            vault,
            hub: Hub::new(),
            healths: Healths::default(),
            stopping: CancellationToken::new(),
            work: Notify::new(),
            placements: Mutex::default(),
        }
    }

    fn placements(&self) -> std::sync::MutexGuard<'_, HashMap<PlacementId, Entry>> {
        // Every critical section is a plain map access: a poisoned map is still whole.
        self.placements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a placement. `None`: a task drives it already.
    pub fn begin(&self, id: PlacementId) -> Option<Arc<Notify>> {
        let mut all = self.placements();
        if all.contains_key(&id) {
            return None;
        }
        let wake = Arc::new(Notify::new());
        all.insert(id, Entry { wake: wake.clone(), known: None });
        Some(wake)
    }

    /// Forgets a placement that is not ours any more.
    pub fn forget(&self, id: PlacementId) {
        self.placements().remove(&id);
        self.hub.forget(id);
    }

    /// Notes what a placement's task saw.
    pub fn know(&self, id: PlacementId, known: Known) {
        if let Some(entry) = self.placements().get_mut(&id) {
            entry.known = Some(known);
        }
    }

    /// What is known of all placements we hold.
    pub fn known(&self) -> Vec<Known> {
        self.placements().values().filter_map(|entry| entry.known.clone()).collect()
    }

    /// Forgets them all: the lease has lapsed.
    pub fn forget_all(&self) {
        for (id, _) in self.placements().drain() {
            self.hub.forget(id);
        }
    }

    /// Wakes one placement's task, if it is ours.
    pub fn wake_one(&self, id: PlacementId) {
        if let Some(entry) = self.placements().get(&id) {
            entry.wake.notify_one();
        }
    }

    /// Wakes all of them.
    pub fn wake_all(&self) {
        for entry in self.placements().values() {
            entry.wake.notify_one();
        }
    }

    /// Wakes those on a target, and those of which nobody knows yet where they are.
    pub fn wake_all_on(&self, target: TargetId) {
        for entry in self.placements().values() {
            if entry.known.as_ref().is_none_or(|known| known.placement.target == target) {
                entry.wake.notify_one();
            }
        }
    }

    /// Sleeps, unless something happens or the engine stops.
    pub async fn rest(&self, wake: &Notify, at_most: std::time::Duration) {
        tokio::select! {
            () = wake.notified() => {}
            () = self.stopping.cancelled() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

/// Passes on what the database notifies.
pub(crate) async fn wake(context: Arc<Context>) {
    let wakes = Wakes::listen(context.pool.clone());
    let (mut work, mut history, mut access) =
        (wakes.subscribe(), wakes.subscribe(), wakes.subscribe());
    loop {
        tokio::select! {
            // What is found by looking, without having heard of it, is `beat`'s to find.
            heard = work.work() => if !heard.is_empty() {
                for of in heard {
                    match of {
                        Of::All => context.wake_all(),
                        Of::One(placement) => context.wake_one(placement),
                        Of::Other => {}
                    }
                }
                context.work.notify_waiters();
            },
            _ = history.until(Wake::History) => context.hub.wake_rows(),
            _ = access.until(Wake::Access) => context.hub.access_changed(),
            () = context.stopping.cancelled() => return,
        }
    }
}
