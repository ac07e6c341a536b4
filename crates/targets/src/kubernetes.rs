//! Kubernetes: instances in pods, traffic by a Service's selector.
//!
//! ```text
//! kubernetes.rs      the driver: the trait, each call with its deadline
//!   names.rs         how objects are called, and which of them are ours
//!   objects.rs       a plan -> objects (pure)
//!   apply.rs         writing objects, and whom they belong to
//!   slots.rs         filling and emptying a slot, stopping an instance
//!   goodbye.rs       ending old connections after a switch
//!   waiting.rs       what keeps pods from being made
//!   route.rs         the active Service: claim, selector, revision
//!   ingress.rs       the way in from outside, where one is wanted
//!   active.rs        the active Service, read (pure)
//!   observe.rs       pods as the cluster has them -> instances in words
//!   pods.rs          one pod, read (pure)
//!   changed.rs       what somebody changed on an object since (pure)
//!   compared.rs      all that was written, held against what is there (pure)
//!   probe.rs         asking pods and Services through the API server
//!   reasons.rs       why a pod does not come up (pure)
//!   access.rs        what its credentials must be allowed to do
//!   preflight.rs     the questions before a rollout
//!   room.rs          whether both slots fit quotas and ranges (pure)
//!   traffic.rs       what the witness counted
//!   witness.rs       the witness inside the cluster
//!   asked.rs         the one that asks through the API server
//!   connect.rs       from what is stored of a cluster to a driver
//!   client.rs        connections, each to an address that is allowed
//!   check.rs watch.rs usage.rs logs.rs quantity.rs image.rs error.rs
//! ```
//!
//! The active Service carries the claim: epoch, revision, and who wrote it when, as annotations.
//! Every write names the resourceVersion it replaces, so of two that were made at once one loses,
//! and a write of an older holder always does.

mod access;
mod active;
mod apply;
mod asked;
mod certificate;
mod changed;
mod check;
mod client;
mod compared;
mod connect;
mod error;
mod goodbye;
mod image;
mod ingress;
pub mod kubeconfig;
mod logs;
mod names;
mod objects;
mod observe;
mod patience;
mod pods;
mod preflight;
mod probe;
mod quantity;
mod reasons;
mod room;
mod route;
mod slots;
mod traffic;
mod usage;
mod waiting;
mod watch;
mod witness;

pub use access::{ENTRANCE_NEED, Granted, NEEDS, Need, Where, needs, role_yaml, role_yaml_of};

use crate::{
    Hint, Makers, Result, Target,
    outgoing::Outgoing,
    registry::{Credentials, Push, Told},
};
use async_trait::async_trait;
pub use connect::Clusters;
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogLine, LogWish},
    name::{ContentId, Digest, ImageReference, RegistryAddress, Repository},
    namespace::NamespacePattern,
    registry::Standing,
    release::ImageFacts,
    slot::Slot,
    target::{
        Answer, Claim, Finding, Goodbye, Observed, Place, Plan, Probe, RouteSeen, TargetFacts,
        Traffic, Usage, entrance::Entrance,
    },
};
use error::Errors;
use futures::stream::BoxStream;
use kube::Client;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// How a cluster is reached, and what may be used of it.
#[derive(Clone)]
pub struct Options {
    /// Whose objects these are. Two installations on one cluster never touch each other's.
    pub installation: Uuid,
    /// As people call the target.
    pub name: String,
    /// Where it is, and by what it knows us.
    pub config: kube::Config,
    /// In which namespace a project lives in an environment.
    pub namespaces: NamespacePattern,
    /// What the witness inside the cluster is made of. `None`: there is none.
    pub probe_image: Option<ImageReference>,
    /// How long a pod may take to end after it was told to.
    pub grace: Duration,
}

impl Options {
    /// The usual grace.
    pub const GRACE: Duration = Duration::from_secs(10);
}

impl fmt::Debug for Options {
    /// Without the configuration: credentials are in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("installation", &self.installation)
            .field("name", &self.name)
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

/// A cluster. Connects when it is first asked for something, and again whenever that is needed.
pub struct KubernetesTarget {
    options: Options,
    /// Where requests from outside come in.
    entrance: Option<Entrance>,
    ways_in: ingress::WaysIn,
    client: Client,
    /// Without retries: for requests to services, of which every answer counts.
    asking: Client,
    errors: Errors,
    reviewed: check::Reviewed,
    /// The move of the traffic that was seen to be followed last. Losing it costs one look more.
    arrived: Mutex<HashMap<PlacementId, (String, i64)>>,
    hub: Arc<watch::Hub>,
    meter: usage::Meter,
    /// Whose pods find no room, by placement and Deployment. Losing it costs another try.
    waiting: Mutex<HashMap<(PlacementId, String), waiting::Waiting>>,
    /// Since when the pods of a Deployment are made others. Losing it gives them some seconds more.
    goodbyes: Mutex<HashMap<(PlacementId, String), std::time::Instant>>,
    /// When the traffic of placements moved. Losing it makes figures of the last minutes coarser.
    moves: Mutex<traffic::AllMoves>,
    probes: witness::Probes,
    asked: asked::Asking,
}

impl fmt::Debug for KubernetesTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesTarget").field("options", &self.options).finish_non_exhaustive()
    }
}

impl KubernetesTarget {
    /// Calls nobody yet; must be made inside a runtime. Fails when the credentials are none that
    /// can be used.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        Self::within(options, None)
    }

    /// The same for an address that somebody typed: each connection is held against what an admin
    /// allows.
    pub(crate) fn within(options: Options, outgoing: Option<&Outgoing>) -> anyhow::Result<Self> {
        let mut config = options.config.clone();
        config.connect_timeout = Some(crate::DEADLINE);
        let patience = patience::Patience::default();
        let client = client::client(config.clone(), outgoing, patience.clone())?;
        config.default_retry = false;
        let asking = client::client(config, outgoing, patience.behind())?;
        let errors = Errors::of(&options.name);
        Ok(Self {
            options,
            entrance: None,
            ways_in: ingress::WaysIn::default(),
            client,
            asking,
            errors,
            reviewed: check::Reviewed::default(),
            arrived: Mutex::default(),
            hub: Arc::default(),
            meter: usage::Meter::default(),
            waiting: Mutex::default(),
            goodbyes: Mutex::default(),
            moves: Mutex::default(),
            probes: witness::Probes::default(),
            asked: asked::Asking::default(),
        })
    }

    /// The same, with a way in from outside.
    #[must_use]
    pub fn entered_by(self, entrance: Option<Entrance>) -> Self {
        Self { entrance, ..self }
    }

    /// To ask the API server directly.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace of a place.
    ///
    /// # Errors
    ///
    /// `Refused`, when its name would be too long.
    pub(crate) fn namespace(&self, place: &Place) -> Result<String> {
        let namespace = self
            .options
            .namespaces
            .fill(&place.project, &place.environment)
            .map_err(|wrong| self.errors.refused(wrong.0))?;
        // Whatever is asked of a place, its namespace is listened to from then on.
        self.hub.learn(&namespace);
        Ok(namespace)
    }
}

/// A panic while such a lock was held leaves a map that is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Target for KubernetesTarget {
    fn fetches_images(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<TargetFacts> {
        self.errors.in_time(check::check(self)).await
    }

    async fn preflight(&self, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>> {
        let (mut findings, way_in) = self
            .errors
            .in_time(async {
                tokio::try_join!(
                    preflight::preflight(self, plan, live),
                    ingress::preflight(self, plan)
                )
            })
            .await?;
        findings.extend(way_in);
        Ok(findings)
    }

    async fn fence(&self, claim: &Claim, place: &Place) -> Result<()> {
        self.errors.in_time(route::fence(self, claim, place)).await
    }

    async fn highest_epoch(&self, place: &Place) -> Result<Option<i64>> {
        self.errors.in_time(route::highest_epoch(self, place)).await
    }

    async fn observe(&self, place: &Place) -> Result<Observed> {
        self.errors.in_time(observe::observe(self, place)).await
    }

    async fn ensure(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()> {
        self.errors.in_time(slots::fill(self, claim, slot, plan)).await?;
        if plan.spec.exposure.port().is_some() {
            ingress::beside(self, &plan.place).await;
        }
        // Beside what was asked for: a rollout does not wait for its witness.
        let _ = tokio::time::timeout(crate::DEADLINE, witness::wanted(self, plan)).await;
        Ok(())
    }

    async fn probe(
        &self,
        place: &Place,
        slot: Slot,
        maker: RolloutId,
        probe: &Probe,
    ) -> Result<Vec<Answer>> {
        probe::probe(self, place, slot, maker, probe).await
    }

    async fn route(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        self.errors.in_time(route::switch(self, claim, place, expected_revision, live)).await
    }

    async fn refresh(&self, claim: &Claim, place: &Place, makers: &Makers) -> Result<RouteSeen> {
        let seen = self.errors.in_time(route::refresh(self, claim, place, makers)).await?;
        ingress::beside(self, place).await;
        Ok(seen)
    }

    async fn restore(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        makers: &Makers,
        live: Option<Slot>,
    ) -> Result<RouteSeen> {
        let restored = route::restore(self, claim, place, expected_revision, makers, live);
        self.errors.in_time(restored).await
    }

    async fn traffic(&self, place: &Place, since: i64) -> Result<Traffic> {
        self.errors.in_time(traffic::traffic(self, place, since)).await
    }

    async fn close_streams(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<Goodbye> {
        self.errors.in_time(goodbye::close_streams(self, claim, place, slot)).await
    }

    async fn remove(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<()> {
        self.errors.in_time(slots::empty(self, claim, place, slot)).await
    }

    async fn stop(&self, claim: &Claim, place: &Place, slot: Slot, instance: &str) -> Result<()> {
        self.errors.in_time(slots::rest(self, claim, place, slot, instance)).await
    }

    async fn withdraw(&self, claim: &Claim, place: &Place) -> Result<()> {
        self.errors.in_time(route::withdraw(self, claim, place)).await?;
        self.errors.in_time(ingress::forget(self, place)).await?;
        self.errors.in_time(witness::forget(self, place)).await
    }

    async fn usage(&self, places: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
        self.errors.soon(usage::usage(self, places)).await
    }

    fn watch(&self) -> BoxStream<'static, Hint> {
        watch::watch(self)
    }

    fn logs(
        &self,
        place: &Place,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>> {
        logs::logs(self, place, instance, wish)
    }

    async fn image(&self, reference: &ImageReference) -> Result<ImageFacts> {
        image::image(self, reference).await
    }

    async fn pull(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()> {
        image::pull(self, reference, credentials, told).await
    }

    async fn push(&self, push: &Push<'_>, told: &Told) -> Result<Digest> {
        image::push(self, push, told).await
    }

    async fn try_registry(
        &self,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Standing> {
        image::try_registry(self, address, credentials).await
    }

    async fn points_to(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        image::points_to(self, reference, credentials).await
    }

    async fn digests(&self, image: &ContentId) -> Result<Vec<(Repository, Digest)>> {
        image::digests(self, image).await
    }

    async fn keep_image(&self, image: &ContentId) -> Result<()> {
        image::keep_image(self, image).await
    }

    async fn kept_images(&self) -> Result<Vec<ContentId>> {
        image::kept_images(self).await
    }

    async fn release_image(&self, image: &ContentId) -> Result<()> {
        image::release_image(self, image).await
    }
}
