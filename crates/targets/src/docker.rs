//! Docker and Podman: instances in containers, traffic by the router.
//!
//! ```text
//! docker.rs          the driver: the trait, each call with its deadline
//!   slots.rs         filling and emptying a slot
//!   make.rs          making and starting instances
//!   ready.rs         whether new instances of a live slot may get requests
//!   preflight.rs     the questions before a rollout
//!   seen.rs          containers as the engine has them -> instances in words
//!   container.rs     a plan -> a container (pure)
//!   changed.rs       what somebody changed on one since (pure)
//!   deaths.rs        why one died that runs again
//!   network.rs       one network for each project in each environment; addresses
//!   labels.rs        what is ours
//!   routes.rs        instances -> routes, traffic -> seconds (pure)
//!   router.rs        the router's socket
//!   logs.rs          what containers wrote -> lines
//!   registry.rs      what is sent to registries and fetched from them
//!   build.rs         commits -> images
//!   probe.rs usage.rs watch.rs image.rs facts.rs error.rs
//! ```
//!
//! An engine has no compare-and-set. So every change first shows its claim to the router, which
//! refuses an older one; instances carry their maker in name and labels; stops name container ids
//! and come only after the router confirmed that the slot has no traffic and no addresses. The
//! window that stays: a holder that was paused between those two calls and the stop can still stop
//! containers of a slot that is idle by the router's word, of the ids it saw.

mod build;
mod changed;
mod container;
mod deaths;
mod error;
mod facts;
mod image;
mod labels;
mod logs;
mod make;
mod network;
mod preflight;
mod probe;
mod ready;
mod registry;
mod router;
mod routes;
mod seen;
mod slots;
mod usage;
mod watch;

pub use build::{BuilderOptions, DockerBuilder};
pub(crate) use facts::gib;

use crate::{
    DEADLINE, Error, Hint, Makers, Result, Target,
    outgoing::Outgoing,
    registry::{Credentials, Push, Told},
};
use anyhow::anyhow;
use async_trait::async_trait;
use bollard::Docker;
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogLine, LogWish},
    name::{ContentId, Digest, ImageReference, Name, RegistryAddress, Repository},
    registry::Standing,
    release::ImageFacts,
    route::{Close, Fence, Put, Remove, Route, Routed, Switch},
    slot::{PerSlot, Slot},
    target::{
        Answer, Claim, Finding, Goodbye, Observed, Place, Plan, Probe, RouteSeen, TargetFacts,
        Traffic, Usage,
    },
};
use futures::stream::BoxStream;
use network::{Pool, Promise};
use router::{Failure, Router};
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How a machine with a container engine and a router is reached, and what may be used of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Socket of the container engine.
    pub engine_socket: PathBuf,
    /// Control socket of the router on the same machine.
    pub router_socket: PathBuf,
    /// Whose containers, networks and tags these are. Two installations on one engine never touch
    /// each other's.
    pub installation: Uuid,
    /// First word of the names of containers and networks.
    pub prefix: Name,
    /// Where networks get their /24 from: an IPv4 network with its length, from 8 to 24.
    pub pool: (Ipv4Addr, u8),
    /// How long an instance may take to end after it was told to.
    pub grace: Duration,
    /// Where registries may be.
    pub outgoing: Outgoing,
}

impl Options {
    /// The usual pool, 10.211.0.0/16.
    pub const POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 211, 0, 0), 16);
    /// The usual grace.
    pub const GRACE: Duration = Duration::from_secs(10);
}

/// A machine with a container engine and a router. Connects when it is first asked for something,
/// and again whenever that is needed.
#[derive(Debug)]
pub struct DockerTarget {
    options: Options,
    pool: Pool,
    engine: OnceCell<Docker>,
    router: Router,
    /// Addresses that were given to instances which the engine may not show yet.
    promised: Mutex<HashMap<Ipv4Addr, Promise>>,
    /// Containers that were told to end, and when.
    told: Mutex<HashMap<String, Instant>>,
    /// Why containers died that run again by now.
    deaths: deaths::Deaths,
    /// New instances of live slots that were asked whether they are ready.
    asked: ready::Asked,
    /// Networks are made one at a time, so that two do not want the same /24.
    networks: tokio::sync::Mutex<()>,
    meter: usage::Meter,
}

impl DockerTarget {
    /// Connects to nothing yet. Fails when the pool is none.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let pool = Pool::new(options.pool.0, options.pool.1)?;
        let router = Router::at(&options.router_socket);
        Ok(Self {
            options,
            pool,
            engine: OnceCell::new(),
            router,
            promised: Mutex::default(),
            told: Mutex::default(),
            deaths: deaths::Deaths::default(),
            asked: ready::Asked::default(),
            networks: tokio::sync::Mutex::default(),
            meter: usage::Meter::default(),
        })
    }

    /// The engine, asked once which version of its API it speaks.
    async fn engine(&self) -> Result<&Docker> {
        self.engine
            .get_or_try_init(|| async {
                let socket = &self.options.engine_socket;
                let path = socket.to_str().ok_or_else(|| {
                    error::unreachable(anyhow!("{} is no text", socket.display()))
                })?;
                // Each call has its own deadline; this one is for what hangs in spite of it.
                let seconds = crate::PULL_DEADLINE.as_secs();
                let engine = Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION)
                    .map_err(error::unreachable)?;
                engine.negotiate_version().await.map_err(error::unreachable)
            })
            .await
    }

    /// Shows the claim to the router, which refuses an older one, and says what it routes.
    async fn fenced(&self, claim: &Claim, place: &Place) -> Result<Routed> {
        debug_assert_eq!(claim.placement, place.placement, "a claim is for its own placement");
        Ok(self.router.fence(place.placement, &Fence { epoch: claim.epoch }).await?)
    }

    /// Writes a route in place of the revision in `routed`, unless it is there already.
    async fn put(&self, claim: &Claim, routed: Routed, route: Route) -> Result<Routed> {
        if routed.route.as_ref().is_some_and(|there| routes::same(there, &route)) {
            return Ok(routed);
        }
        let put = Put { epoch: claim.epoch, replaces: routed.revision, route };
        Ok(self.router.put(claim.placement, &put).await?)
    }

    /// The sentence about a switch by hand, where traffic goes by one.
    async fn foreign(&self, routed: &Routed) -> Option<String> {
        let number = routed.break_glass?;
        let entry = match self.router.journal(number.saturating_sub(1)).await {
            Ok(journal) => journal.entries.into_iter().find(|entry| entry.number == number),
            Err(_) => None,
        };
        Some(entry.map_or_else(
            || "somebody with pilothouse-router switch".to_owned(),
            |entry| format!("uid {} with pilothouse-router switch: {}", entry.uid, entry.reason),
        ))
    }
}

/// Ends `work` when the deadline of a call is over.
async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(error::unreachable(anyhow!("no answer in {DEADLINE:?}"))))
}

/// A panic while such a lock was held leaves a map that is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only what names a registry can be fetched or asked for there.
fn repository_of(reference: &ImageReference) -> Result<Repository> {
    reference.repository().ok_or_else(|| {
        error::refused(format!(
            "{reference} names no registry. Write it with one, as in \
             registry.example.org/{reference}."
        ))
    })
}

/// What a write made of a route.
fn written(routed: &Routed) -> Result<RouteSeen> {
    routes::seen(routed, None)
        .ok_or_else(|| error::unreachable(anyhow!("the router confirmed a route it does not have")))
}

#[async_trait]
impl Target for DockerTarget {
    async fn check(&self) -> Result<TargetFacts> {
        in_time(self.facts()).await
    }

    async fn preflight(&self, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>> {
        in_time(self.questions(plan, live)).await
    }

    async fn fence(&self, claim: &Claim, place: &Place) -> Result<()> {
        in_time(async { self.fenced(claim, place).await.map(drop) }).await
    }

    async fn highest_epoch(&self, place: &Place) -> Result<Option<i64>> {
        in_time(async {
            let (routed, containers) =
                tokio::try_join!(self.routed(place), self.containers_of(place, None))?;
            // The router's file may be lost; what was made since then remembers too.
            let made = containers.iter().map(|container| container.identity.epoch).max();
            let routed = (routed.epoch > 0).then_some(routed.epoch);
            Ok(routed.max(made))
        })
        .await
    }

    async fn observe(&self, place: &Place) -> Result<Observed> {
        in_time(async {
            let (routed, slots) = self.seen(place).await?;
            let foreign = self.foreign(&routed).await;
            Ok(Observed {
                route: routes::seen(&routed, foreign),
                slots,
                changed: PerSlot::default(),
            })
        })
        .await
    }

    async fn ensure(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()> {
        in_time(self.fill(claim, slot, plan)).await
    }

    async fn probe(
        &self,
        place: &Place,
        slot: Slot,
        maker: RolloutId,
        probe: &Probe,
    ) -> Result<Vec<Answer>> {
        let instances = in_time(self.instances_of(place, slot, maker)).await?;
        Ok(probe::ask_all(place, instances, probe).await)
    }

    async fn route(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        let switch = Switch {
            epoch: claim.epoch,
            replaces: expected_revision,
            rollout: claim.rollout,
            live,
        };
        match self.router.switch(place.placement, &switch).await {
            Ok(routed) => written(&routed),
            // The answer to this very write was lost, and it is repeated: what is there is ours.
            Err(Failure::Refused(refusal))
                if refusal.current.as_deref().is_some_and(|there| {
                    there.epoch == claim.epoch
                        && there.break_glass.is_none()
                        && there.revision == expected_revision + 1
                        && there.route.as_ref().is_some_and(|route| {
                            route.live == live && route.rollout == claim.rollout
                        })
                }) =>
            {
                written(&refusal.current.map_or_else(|| Routed::unknown(place.placement), |r| *r))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn refresh(&self, claim: &Claim, place: &Place, makers: &Makers) -> Result<RouteSeen> {
        in_time(async {
            let routed = self.fenced(claim, place).await?;
            let Some(route) = &routed.route else {
                return Err(error::router_lost(
                    "it has no route of this placement to refresh. It must be given back first.",
                ));
            };
            let (live, before) = (route.live, route.upstreams.clone());
            let containers = self.identities(place).await?;
            let mut upstreams =
                routes::upstreams_of_both(&containers, makers, |slot| before.of(slot).clone());
            if let Some(live) = live {
                if upstreams.of(live).is_empty() {
                    return Err(error::router_refused(format!(
                        "{live} gets the traffic and would be left without an instance."
                    )));
                }
                // Who is not in yet comes in by `ensure`, which asks whether it is ready.
                upstreams.of_mut(live).retain(|one| before.of(live).contains(one));
                if upstreams.of(live).is_empty() {
                    upstreams.of_mut(live).clone_from(before.of(live));
                }
            }
            let route = routes::route(place, claim.rollout, upstreams, live);
            written(&self.put(claim, routed, route).await?)
        })
        .await
    }

    async fn restore(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        makers: &Makers,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        in_time(async {
            let routed = self.fenced(claim, place).await?;
            if routed.revision != expected_revision {
                return Err(Error::Stale {
                    target: error::ROUTER.to_owned(),
                    reason: format!(
                        "its route has revision {}, not {expected_revision}.",
                        routed.revision
                    ),
                });
            }
            let containers = self.containers_of(place, None).await?;
            let identities = containers.iter().map(|one| one.identity.clone()).collect::<Vec<_>>();
            let mut upstreams = routes::upstreams_of_both(&identities, makers, |_| Vec::new());
            if let Some(live) = live {
                // Now, and not when each is ready: until then nobody answers at all. Who stands
                // still comes in by `ensure`.
                let up: Vec<_> = containers.iter().filter(|one| one.is_up()).collect();
                let up = |address: &_| up.iter().any(|o| o.identity.endpoint() == Some(*address));
                routes::prefer(upstreams.of_mut(live), up);
                if upstreams.of(live).is_empty() {
                    return Err(error::router_refused(format!(
                        "no instance in {live} carries the labels of what was live there. Deploy \
                         again, or start the old containers."
                    )));
                }
            }
            let route = routes::route(place, claim.rollout, upstreams, live);
            written(&self.put(claim, routed, route).await?)
        })
        .await
    }

    async fn traffic(&self, place: &Place, since: i64) -> Result<Traffic> {
        let (hello, counted) = self.router.traffic(place.placement, since).await?;
        Ok(routes::traffic(&hello, counted.as_ref(), since))
    }

    async fn close_streams(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<Goodbye> {
        let close = Close { epoch: claim.epoch, slot };
        self.router.close(place.placement, &close).await?;
        Ok(Goodbye::Told)
    }

    async fn remove(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<()> {
        in_time(self.empty(claim, place, slot)).await
    }

    async fn stop(&self, claim: &Claim, place: &Place, slot: Slot, instance: &str) -> Result<()> {
        in_time(self.rest(claim, place, slot, instance)).await
    }

    async fn withdraw(&self, claim: &Claim, place: &Place) -> Result<()> {
        in_time(async {
            let routed = self.fenced(claim, place).await?;
            if routed.route.is_some() {
                let remove = Remove { epoch: claim.epoch, replaces: routed.revision };
                self.router.remove(place.placement, &remove).await?;
            }
            Ok(())
        })
        .await
    }

    async fn usage(&self, places: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
        in_time(self.sample(places)).await
    }

    fn watch(&self) -> BoxStream<'static, Hint> {
        self.hints()
    }

    fn logs(
        &self,
        place: &Place,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>> {
        self.lines(place, instance, wish)
    }

    async fn image(&self, reference: &ImageReference) -> Result<ImageFacts> {
        in_time(self.look_up(reference)).await
    }

    async fn pull(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()> {
        let repository = repository_of(reference)?;
        self.fetch(reference, &repository, credentials, told).await
    }

    async fn push(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        self.send(push, told).await
    }

    async fn try_registry(
        &self,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Standing> {
        self.stands(address, credentials).await
    }

    async fn points_to(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        let repository = repository_of(reference)?;
        self.points(reference, &repository.address(), credentials).await
    }

    async fn digests(&self, image: &ContentId) -> Result<Vec<(Repository, Digest)>> {
        in_time(self.repo_digests(image)).await
    }

    async fn keep_image(&self, image: &ContentId) -> Result<()> {
        in_time(self.keep(image)).await
    }

    async fn kept_images(&self) -> Result<Vec<ContentId>> {
        in_time(self.kept()).await
    }

    async fn release_image(&self, image: &ContentId) -> Result<()> {
        in_time(self.let_go(image)).await
    }
}
