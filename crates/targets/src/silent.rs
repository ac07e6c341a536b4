//! A target that is known and can not be spoken to: its credentials can not be read, or it is not opened
//! yet. It answers every call with the same sentence, so that nobody above has a second kind of trouble.

use crate::{
    Error, Hint, Makers, Result, Target,
    registry::{Credentials, Push, Told},
};
use async_trait::async_trait;
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogLine, LogWish},
    name::{ContentId, Digest, ImageReference, RegistryAddress, Repository},
    registry::Standing,
    release::ImageFacts,
    slot::Slot,
    target::{
        Answer, Claim, Finding, Goodbye, Observed, Place, Plan, Probe, RouteSeen, TargetFacts,
        Traffic, Usage,
    },
};
use futures::{StreamExt, stream, stream::BoxStream};

/// Never answers, and says why.
#[derive(Clone, Debug)]
pub struct Silent {
    name: String,
    why: String,
}

impl Silent {
    /// `why` is a sentence for people, with what to do.
    #[must_use]
    pub const fn new(name: String, why: String) -> Self {
        Self { name, why }
    }

    fn unreachable<T>(&self) -> Result<T> {
        Err(Error::Unreachable {
            target: self.name.clone(),
            source: anyhow::Error::msg(self.why.clone()),
        })
    }
}

#[async_trait]
impl Target for Silent {
    async fn check(&self) -> Result<TargetFacts> {
        self.unreachable()
    }

    async fn preflight(&self, _: &Plan, _: Option<Slot>) -> Result<Vec<Finding>> {
        self.unreachable()
    }

    async fn fence(&self, _: &Claim, _: &Place) -> Result<()> {
        self.unreachable()
    }

    async fn highest_epoch(&self, _: &Place) -> Result<Option<i64>> {
        self.unreachable()
    }

    async fn observe(&self, _: &Place) -> Result<Observed> {
        self.unreachable()
    }

    async fn ensure(&self, _: &Claim, _: Slot, _: &Plan) -> Result<()> {
        self.unreachable()
    }

    async fn probe(&self, _: &Place, _: Slot, _: RolloutId, _: &Probe) -> Result<Vec<Answer>> {
        self.unreachable()
    }

    async fn route(&self, _: &Claim, _: &Place, _: i64, _: Option<Slot>) -> Result<RouteSeen> {
        self.unreachable()
    }

    async fn refresh(&self, _: &Claim, _: &Place, _: &Makers) -> Result<RouteSeen> {
        self.unreachable()
    }

    async fn restore(
        &self,
        _: &Claim,
        _: &Place,
        _: i64,
        _: &Makers,
        _: Option<Slot>,
    ) -> Result<RouteSeen> {
        self.unreachable()
    }

    async fn traffic(&self, _: &Place, _: i64) -> Result<Traffic> {
        self.unreachable()
    }

    async fn close_streams(&self, _: &Claim, _: &Place, _: Slot) -> Result<Goodbye> {
        self.unreachable()
    }

    async fn remove(&self, _: &Claim, _: &Place, _: Slot) -> Result<()> {
        self.unreachable()
    }

    async fn stop(&self, _: &Claim, _: &Place, _: Slot, _: &str) -> Result<()> {
        self.unreachable()
    }

    async fn withdraw(&self, _: &Claim, _: &Place) -> Result<()> {
        self.unreachable()
    }

    async fn usage(&self, _: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>> {
        self.unreachable()
    }

    fn watch(&self) -> BoxStream<'static, Hint> {
        stream::once(async { Hint::All }).chain(stream::pending()).boxed()
    }

    fn logs(&self, _: &Place, _: &str, _: LogWish) -> BoxStream<'static, Result<LogLine>> {
        let refused = self.unreachable();
        stream::once(async { refused }).boxed()
    }

    async fn image(&self, _: &ImageReference) -> Result<ImageFacts> {
        self.unreachable()
    }

    async fn pull(&self, _: &ImageReference, _: Option<&Credentials>, _: &Told) -> Result<()> {
        self.unreachable()
    }

    async fn push(&self, _: &Push<'_>, _: &Told) -> Result<Digest> {
        self.unreachable()
    }

    async fn try_registry(&self, _: &RegistryAddress, _: Option<&Credentials>) -> Result<Standing> {
        self.unreachable()
    }

    async fn points_to(
        &self,
        _: &ImageReference,
        _: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>> {
        self.unreachable()
    }

    async fn digests(&self, _: &ContentId) -> Result<Vec<(Repository, Digest)>> {
        self.unreachable()
    }

    async fn keep_image(&self, _: &ContentId) -> Result<()> {
        self.unreachable()
    }

    async fn kept_images(&self) -> Result<Vec<ContentId>> {
        self.unreachable()
    }

    async fn release_image(&self, _: &ContentId) -> Result<()> {
        self.unreachable()
    }
}
