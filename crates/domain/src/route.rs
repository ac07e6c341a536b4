//! What the router and the control plane say to each other.
//!
//! HTTP/1.1 with JSON bodies on the router's Unix socket. These are the types of that protocol,
//! version [`PROTOCOL`]; who listens is in `router`, who asks is in `targets`.
//!
//! ```text
//! GET    /v1/hello                            -> Hello
//! GET    /v1/routes                           -> Routes
//! GET    /v1/routes/{placement}               -> Routed            (unknown: revision 0, no route)
//! PUT    /v1/routes/{placement}         Put    -> Routed
//! POST   /v1/routes/{placement}/switch  Switch -> Routed
//! POST   /v1/routes/{placement}/fence   Fence  -> Routed
//! DELETE /v1/routes/{placement}         Remove -> Routed
//! POST   /v1/routes/{placement}/close   Close  -> Closed
//! GET    /v1/traffic?since=SECOND             -> AllTraffic
//! GET    /v1/traffic/{placement}?since=SECOND -> Traffic           (unknown: 404 `unknown_placement`)
//! GET    /v1/journal?after=NUMBER             -> Journal
//! POST   /v1/break-glass                BreakGlass -> Routed
//! ```
//!
//! Anything but 2xx carries a [`Refusal`]. A write is answered after the state file is durable
//! *and* the new table is published: every request the router accepts after that is routed by it.
//!
//! Each placement has an *epoch* (who may write: an older one is refused) and a *revision* (what is
//! replaced: a write names the one it saw). A write that asks for what is already so, with the
//! right epoch and revision, changes nothing and is answered with what is.

use crate::{
    id::{PlacementId, RolloutId},
    name::HostName,
    slot::{PerSlot, Slot},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use time::OffsetDateTime;
use uuid::Uuid;

pub mod latency;
pub mod traffic;

/// Version of the protocol. A caller that knows another one must not write.
pub const PROTOCOL: u32 = 1;

/// The listener every route has unless it names another.
pub const MAIN_LISTENER: &str = "main";

/// Bounds that a [`Route`] keeps, else it is refused as `malformed`.
pub const MAX_UPSTREAMS_PER_SLOT: usize = 256;
/// Host names of a route, preview host names counted apart.
pub const MAX_HOST_NAMES: usize = 64;

/// Where a placement's traffic goes, and could go: written as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The rollout on whose behalf this was written. None: written outside of one.
    #[serde(default)]
    pub rollout: Option<RolloutId>,
    /// Host names that reach the live slot. Unique in the router and listener.
    pub host_names: Vec<HostName>,
    /// Host names that reach the slot that is *not* live (none while no slot is live: then the one
    /// that has upstreams, if only one has). Unique as above.
    #[serde(default)]
    pub preview_host_names: Vec<HostName>,
    /// Name of the router's listener on which the host names are answered.
    #[serde(default = "main_listener")]
    pub listener: String,
    /// The instances of both slots, so that a switch changes one field and needs nothing else.
    pub upstreams: PerSlot<Vec<SocketAddr>>,
    /// The slot that gets the traffic. None: requests are answered 503.
    pub live: Option<Slot>,
}

fn main_listener() -> String {
    MAIN_LISTENER.to_owned()
}

impl Route {
    /// The slot that the preview host names reach.
    #[must_use]
    pub fn preview(&self) -> Option<Slot> {
        match self.live {
            Some(live) => Some(live.other()),
            None => match (self.upstreams.blue.is_empty(), self.upstreams.green.is_empty()) {
                (false, true) => Some(Slot::Blue),
                (true, false) => Some(Slot::Green),
                (true, true) | (false, false) => None,
            },
        }
    }
}

/// What the router holds for a placement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    pub placement: PlacementId,
    /// Writes of an older epoch are refused.
    pub epoch: i64,
    /// Raised by one with each write that changed something. 0: never written.
    pub revision: i64,
    /// None: never written, only fenced, or removed.
    pub route: Option<Route>,
    /// When this revision was published: requests accepted after this instant were routed by it.
    /// After a restart of the router, when it was written down. None: never written.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
    /// When the live slot last became another one.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub switched_at: Option<OffsetDateTime>,
    /// Number in the router's journal, if where traffic goes was decided by a person on the router's
    /// host and not by a control plane. Stays while a control plane writes other things, such as
    /// addresses; cleared by its next write that changes the live slot, or withdraws the route.
    #[serde(default)]
    pub break_glass: Option<u64>,
    /// The revision that this act made: who confirmed it or a later one knows of the act.
    #[serde(default)]
    pub break_glass_revision: Option<i64>,
}

impl Routed {
    /// A placement the router never heard of.
    #[must_use]
    pub const fn unknown(placement: PlacementId) -> Self {
        Self {
            placement,
            epoch: 0,
            revision: 0,
            route: None,
            applied_at: None,
            switched_at: None,
            break_glass: None,
            break_glass_revision: None,
        }
    }

    /// The slot that gets the traffic.
    #[must_use]
    pub fn live(&self) -> Option<Slot> {
        self.route.as_ref().and_then(|route| route.live)
    }
}

/// Writes a whole route. Its live slot may change with it, but only to one that has upstreams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    pub epoch: i64,
    /// The revision this write replaces; 0 where there is none.
    pub replaces: i64,
    pub route: Route,
}

/// Moves the traffic to a slot, or to none, and changes nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    pub epoch: i64,
    /// The revision this write replaces.
    pub replaces: i64,
    /// Kept as [`Route::rollout`].
    #[serde(default)]
    pub rollout: Option<RolloutId>,
    /// None: to no slot.
    pub live: Option<Slot>,
}

/// From now on older epochs are refused. Does not raise the revision. May come before any route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    pub epoch: i64,
}

/// Withdraws a route. Its epoch and revision stay known, so that a late write is still refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    pub epoch: i64,
    pub replaces: i64,
}

/// Closes what a slot still has in flight: the end of a drain. Event streams end cleanly, WebSockets
/// with 1001 "going away" where the router knows that a frame has ended, anything else is cut.
/// Refused as `slot_is_live` for the slot that gets the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    pub epoch: i64,
    pub slot: Slot,
}

/// What a [`Close`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Requests, streams and upgrades that were in flight and were told to end. They are gone a
    /// moment later: read the traffic.
    pub told: u64,
}

/// The first answer: who the router is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the router.
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Another one after each start. Counters count from there.
    pub boot: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// The router's clock now. The seconds in [`traffic`] are of this clock.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    pub pid: u32,
    pub listeners: Vec<Listener>,
    /// The state file was missing although there had been one, or damaged (set aside): routes must
    /// be given back. Stays true until the next start.
    pub lost_routes: bool,
    /// A newer router has taken over, or this one was told to stop: it drains and takes no writes.
    pub draining: bool,
}

/// An address on which the router answers requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
}

/// Everything the router holds, by placement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    pub routes: Vec<Routed>,
}

/// What a person on the router's host asks for when the control plane is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// A placement's id, or one of its host names.
    pub of: String,
    /// None: to no slot.
    pub live: Option<Slot>,
    /// Why, for the history. Not empty, at most 500 characters.
    pub reason: String,
}

/// A switch by hand, as it stands in the router's append-only journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Counts from 1, without gaps.
    pub number: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// User id on the router's host, as the kernel gave it.
    pub uid: u32,
    pub placement: PlacementId,
    pub from: Option<Slot>,
    pub to: Option<Slot>,
    pub epoch: i64,
    /// The revision this act made. The entry is written first: if the route never had this
    /// revision, the router died in between and nothing moved.
    pub revision: i64,
    pub reason: String,
}

/// A page of the journal, oldest first, at most [`Journal::PAGE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    pub entries: Vec<JournalEntry>,
    /// There are more after the last of these.
    pub more: bool,
}

impl Journal {
    /// Entries in a page.
    pub const PAGE: usize = 100;
}

/// The body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    /// A sentence for the person who reads the log.
    pub message: String,
    /// What the router holds for the placement, where the refusal is about a placement.
    #[serde(default)]
    pub current: Option<Box<Routed>>,
    /// The placement that has the host name, for [`RefusalCode::HostTaken`].
    #[serde(default)]
    pub owner: Option<PlacementId>,
}

/// What was wrong, sorted by what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// 409. Somebody newer holds the placement: stop acting on it.
    StaleEpoch,
    /// 409. The route is not the one that was to be replaced: look at `current` and decide again.
    WrongRevision,
    /// 409. Another placement has one of the host names: see `owner`.
    HostTaken,
    /// 409. The slot to be switched to has no upstreams.
    EmptySlot,
    /// 409. What was asked is never done to the slot that gets the traffic.
    SlotIsLive,
    /// 409. There is no route to switch.
    NoRoute,
    /// 404. The router never heard of the placement, or of the host name.
    UnknownPlacement,
    /// 404 or 405. No such call.
    UnknownCall,
    /// 400. The body, a parameter or a bound: the message says which.
    Malformed,
    /// 403. The caller runs as another user.
    Forbidden,
    /// 503. The state file could not be written, nothing was published: try again.
    NotDurable,
    /// 503. This router is going away: connect again, to the one that took over.
    Draining,
}

impl RefusalCode {
    /// The HTTP status it is sent with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Forbidden => 403,
            Self::UnknownPlacement | Self::UnknownCall => 404,
            Self::StaleEpoch
            | Self::WrongRevision
            | Self::HostTaken
            | Self::EmptySlot
            | Self::SlotIsLive
            | Self::NoRoute => 409,
            Self::NotDurable | Self::Draining => 503,
        }
    }
}

#[cfg(test)]
mod tests;
