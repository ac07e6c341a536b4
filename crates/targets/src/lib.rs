//! How a machine is touched: one trait, and what speaks to a container engine and to the router.
//!
//! A driver does what it is told and says what it sees. It decides nothing about rollouts: which
//! slot is to be filled, when traffic moves and what is bad enough to go back is decided in
//! `domain` and asked for by `engine`. Nothing above this crate knows Docker or the router.
//!
//! What every driver promises stands at [`Target`] and is checked by [`contract`], for the real
//! drivers and for the [`fake`] one alike.

pub mod build;
#[cfg(feature = "contract")]
pub mod contract;
mod death;
pub mod docker;
pub mod fake;
pub mod git;
pub mod kubernetes;
mod live;
pub mod names;
pub mod open;
pub mod outgoing;
pub mod registry;
pub mod silent;

use async_trait::async_trait;
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogLine, LogWish},
    name::{ContentId, Digest, ImageReference, RegistryAddress, Repository},
    registry::Standing,
    release::ImageFacts,
    slot::{PerSlot, Slot},
    target::{
        Answer, Claim, Finding, Goodbye, Observed, Place, Plan, Probe, RouteSeen, TargetFacts,
        Traffic, Usage,
    },
};
use futures::stream::BoxStream;
use registry::{Credentials, Push, Told};
use std::{fmt, time::Duration};

/// The longest a target may take to answer. A call works so long at most, but for [`Target::probe`],
/// whose check has its own timeout, for pulls and transfers, and for a target that has to be asked
/// several times and answers each time. What takes longer is begun, and seen in a later
/// [`Target::observe`].
pub const DEADLINE: Duration = Duration::from_secs(2);

/// The longest a pull may take.
pub const PULL_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// The most of an answer's body that [`Target::probe`] keeps.
pub const BODY_KEPT: usize = 4 * 1024;

/// Whose instances fill each slot. Others in a slot are strays: never counted, never routed to.
pub type Makers = PerSlot<Option<RolloutId>>;

/// A place that can run a service in two slots and route traffic to one of them.
///
/// - Every method can be repeated safely: asking for what is already so succeeds.
/// - A claim older than one already seen for its placement is refused as [`Error::Stale`], before
///   anything is touched.
/// - A target that can not be reached is [`Error::Unreachable`], never an empty answer.
/// - What this installation did not make is neither changed nor shown, whatever it is called.
/// - A call that is dropped, or whose process dies, leaves nothing that the same call does not
///   finish or clear away.
///
/// **How addresses get into a route.** By [`Target::ensure`], beside the other slot's and without
/// moving traffic. So a switch, forth or back, changes one field and needs nothing of the instances.
/// Each write that changes something raises the revision: observe again before naming one.
///
/// - In an idle slot the addresses come before there is anybody at them: an instance that runs is in
///   the route, whoever was killed when.
/// - In the live slot an instance comes in once it has answered the service's readiness check, so
///   that growing or healing costs no request: ask again until all that are wanted run *and* are
///   [`in_route`](domain::target::Instance::in_route). Who is in stays while it runs, or while the
///   target starts it again by itself. Who is gone, ended or not wanted any more leaves, if another
///   one that is in runs: a live slot is never left without an address. If nobody is left at all,
///   those who are made get other addresses, so that they too come in once they are ready.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// Whether it fetches images by itself, from the registry that a plan names. Else they are those of
    /// this machine.
    fn fetches_images(&self) -> bool {
        false
    }

    /// Can it be reached, what is it, what works there. Changes nothing. A finding that refuses says
    /// that nothing works there; what only some things lack is a warning.
    async fn check(&self) -> Result<TargetFacts>;

    /// Asks everything the target knows about `plan` before it is begun. Changes nothing.
    ///
    /// `live` is the slot that has the traffic now: the other one's instances will be gone, so
    /// their room is counted as free. Each refusal says who or what can unblock it.
    async fn preflight(&self, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>>;

    /// From now on an older claim is refused. May come before anything else of the placement.
    async fn fence(&self, claim: &Claim, place: &Place) -> Result<()>;

    /// The highest epoch the target has seen for the placement. `None`: it never heard of it.
    async fn highest_epoch(&self, place: &Place) -> Result<Option<i64>>;

    /// Reports what is there now. Changes nothing.
    ///
    /// Instances are sorted by number, then maker; strays of other makers are among them.
    async fn observe(&self, place: &Place) -> Result<Observed>;

    /// Makes `slot` be as planned, as far as [`DEADLINE`] goes: observe, and ask again.
    ///
    /// Makes the network and missing instances, starts those that do not run, and brings their
    /// addresses (see above) and the place's host names into the route. Pulls nothing. Instances of
    /// another maker in `slot`, and those beyond the plan's size, are stopped and removed, but never
    /// while `slot` is the one routed to by the target's own answer at that moment. One exception:
    /// for a settled placement (`claim.rollout` is `None`) a smaller size is carried out on the live
    /// slot too, addresses first, instances by the next call.
    ///
    /// [`Error::Refused`] when a name is taken by a stranger, or the image is gone or runs as root and
    /// may not. [`Error::Stale`] when the slot is routed to and holds instances of another maker.
    /// [`Error::Unreachable`] when the route was lost: then [`Target::restore`] comes first.
    async fn ensure(&self, claim: &Claim, slot: Slot, plan: &Plan) -> Result<()>;

    /// Asks each instance of `maker` in `slot`, directly and all at once, with the check's timeout.
    ///
    /// One answer for each instance there is, sorted by number; one that does not run has not
    /// passed. A pass is a whole 2xx or 3xx answer in time. One that was cut off never is.
    /// The caller compares their number with the size it wants.
    async fn probe(
        &self,
        place: &Place,
        slot: Slot,
        maker: RolloutId,
        probe: &Probe,
    ) -> Result<Vec<Answer>>;

    /// Sends new requests to `live`, or to no slot. The one atomic write; those in flight finish
    /// where they began.
    ///
    /// `expected_revision` is what the caller saw: with another one there it is [`Error::Stale`],
    /// unless this very claim's write to `live` is what is there already. [`Error::Refused`] when
    /// `live` has no instances in the route, [`Error::Unreachable`] when there is no route.
    async fn route(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        live: Option<Slot>,
    ) -> Result<RouteSeen>;

    /// Brings the place's host names and the addresses of the makers' instances into the route,
    /// without moving traffic. A slot without a maker keeps the addresses it has. The live slot loses
    /// those of instances that are gone and gets none, unless it would be left without: who is ready
    /// is for [`Target::ensure`] to find out.
    ///
    /// [`Error::Unreachable`] without a route. [`Error::Refused`] when a host name belongs to another
    /// placement, or when the live slot has no instance of its maker.
    async fn refresh(&self, claim: &Claim, place: &Place, makers: &Makers) -> Result<RouteSeen>;

    /// Writes the whole route: for a target that lost it, or that is behind what was confirmed.
    ///
    /// `expected_revision` is what the caller saw, 0 where there was no route. A slot without a
    /// maker gets no addresses. The live slot gets those of all its instances that run, or of all if
    /// none does: nobody answers until then, so it waits for no readiness. [`Error::Refused`] when
    /// `live` has no instance of its maker: what runs does not carry the labels that were confirmed.
    async fn restore(
        &self,
        claim: &Claim,
        place: &Place,
        expected_revision: i64,
        makers: &Makers,
        live: Option<Slot>,
    ) -> Result<RouteSeen>;

    /// What the witness counted. Seconds that are over, from `since` (Unix time) on, those without
    /// a request too; none from before the witness started. Without a route: nothing counted.
    async fn traffic(&self, place: &Place, since: i64) -> Result<Traffic>;

    /// Closes what `slot` still has in flight, event streams and WebSockets with a goodbye: the end
    /// of a drain. Asked again it says how far that has come. Where nobody knows who has a connection,
    /// instances are started anew, within the room that the slot has. [`Error::Refused`] for the slot
    /// routed to.
    async fn close_streams(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<Goodbye>;

    /// Begins to empty `slot`: whoever is in it, by any maker. Observe, and ask again until it is
    /// empty.
    ///
    /// First its addresses leave the route, which raises the revision, so that a late switch to it
    /// loses. Then instances are told to end, and removed when they have or their grace is over.
    /// [`Error::Refused`] when the slot is routed to by the target's own answer. When the route was
    /// lost nobody can say: [`Error::Unreachable`].
    async fn remove(&self, claim: &Claim, place: &Place, slot: Slot) -> Result<()>;

    /// Ends one instance of `slot` for a while, live or not: for a restart.
    ///
    /// First its address leaves the route, and that is all a call does: what it has is being
    /// answered. Asked again, it is told to end, and killed once its grace is over. It stays there,
    /// ended, until [`Target::ensure`] starts it. One that is not there needs nothing.
    /// [`Error::Refused`] when nobody else who runs would be left in the route of the live slot.
    async fn stop(&self, claim: &Claim, place: &Place, slot: Slot, instance: &str) -> Result<()>;

    /// Takes the whole route away: nothing is answered under the host names any more. Instances
    /// stay. For the end of a placement.
    async fn withdraw(&self, claim: &Claim, place: &Place) -> Result<()>;

    /// One round of samples of all running instances of `places`. An instance appears from its
    /// second round on, because the use of a core is a difference.
    async fn usage(&self, places: &[Place]) -> Result<Vec<(PlacementId, Vec<Usage>)>>;

    /// A hint that something of ours changed: observe. Hints merge and may come for nothing; one
    /// comes at the beginning and after each time the target could not be heard. Never ends.
    fn watch(&self) -> BoxStream<'static, Hint>;

    /// What an instance of `place` wrote, oldest first, with the target's time. Dropping it ends it.
    ///
    /// Lines are cut at [`domain::log::LINE_BYTES`] while they are read, so that one takes no more
    /// memory than that however long it is. An instance that ended is read as long as it is there,
    /// through all its restarts. With `follow` it goes on until the instance ends or is removed; a
    /// restarted one is followed by asking again. The first error is the last thing that comes:
    /// [`Error::Refused`] for an instance that is not there, or not of `place`.
    fn logs(
        &self,
        place: &Place,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>>;

    /// Looks up an image that is there.
    async fn image(&self, reference: &ImageReference) -> Result<ImageFacts>;

    /// Fetches an image from the registry that its reference names, within [`PULL_DEADLINE`].
    /// Dropping the call ends the transfer. [`Error::Refused`] when the registry says no, and for a
    /// reference without one; [`Error::Unreachable`] when it may pass.
    async fn pull(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
        told: &Told,
    ) -> Result<()>;

    /// Sends an image to a repository under some tags, within [`registry::PUSH_DEADLINE`], and says
    /// the digest that the registry gave it. Dropping the call ends the transfer; the names that the
    /// image needed on the way are taken away again by the next one.
    async fn push(&self, push: &Push<'_>, told: &Told) -> Result<Digest>;

    /// Whether a registry can be used, within [`registry::ASK_DEADLINE`]. What the registry says is
    /// never an error.
    async fn try_registry(
        &self,
        address: &RegistryAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Standing>;

    /// The digest that a reference points to in its registry now, within
    /// [`registry::ASK_DEADLINE`]; else what the registry said. [`Error::Refused`] for a reference
    /// without a registry.
    async fn points_to(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Result<Digest, Standing>>;

    /// Under which digests an image that is there is known to be in which repositories.
    async fn digests(&self, image: &ContentId) -> Result<Vec<(Repository, Digest)>>;

    /// Spares an image from pruning, with a tag of this installation.
    async fn keep_image(&self, image: &ContentId) -> Result<()>;

    /// The images that have such a tag, in no order. What a control plane kept before it was
    /// restarted is among them.
    async fn kept_images(&self) -> Result<Vec<ContentId>>;

    /// Takes that tag away again. The image goes when that was its last name and nothing uses it.
    async fn release_image(&self, image: &ContentId) -> Result<()>;
}

/// Whose instances changed, as far as a target can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Any of ours.
    All,
    Of(PlacementId),
}

/// What a call to a target comes to.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, sorted by what the engine should do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Try again later: the target can't be reached, is overloaded, did not answer in time, or is not
    /// as it must be (it lost its routes, or is of another version). Says nothing of what was asked.
    #[error("{target} can't be reached")]
    Unreachable {
        target: String,
        #[source]
        source: anyhow::Error,
    },
    /// Don't try again unchanged: the target understood and said no. The reason is a sentence that
    /// says who or what can unblock it.
    #[error("{target} refused: {reason}")]
    Refused { target: String, reason: String },
    /// Don't try again before a person made room: the target understood, and has none for anybody. It
    /// says nothing of what was asked for.
    #[error("{target} has no room: {reason}")]
    Full { target: String, reason: String },
    /// Look again and decide again: somebody newer holds the placement, or wrote its route since.
    #[error("{target} has a newer state: {reason}")]
    Stale { target: String, reason: String },
}
