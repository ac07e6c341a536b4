//! A rollout makes one release with a configuration live, and can always say how to go back.
//!
//! Two things move a rollout. A person asks, through [`Rollout::accept`]; what was asked is stored
//! on it. The engine looks at the target and takes a [`step::step`]. Both are pure, so the button
//! in the browser and the refusal on the server are the same line of code.
//!
//! ```text
//! queued -> preflight -> awaiting_approval? -> preparing -> verifying
//!        -> awaiting_promotion? -> switching -> observing -> draining -> succeeded
//!
//! before the switch:  failure, refusal, expiry, abort -> cleaning_up -> failed | aborted
//! after the switch:   breach, abort, click  -> switching_back -> cleaning_up -> rolled_back
//! ```
//!
//! `errored` is not a phase but [`State::trouble`]: a pause of any phase, because the machinery
//! failed and not the release. A person then chooses.

pub mod evidence;
mod outcome;
pub mod step;

use crate::{
    id::{PlacementId, ReleaseId, RolloutId, UserId},
    observing::{Baseline, Observation},
    policy::Policy,
    release::Pair,
    slot::Slot,
    target::Finding,
};
use evidence::Evidence;
use serde::{Deserialize, Serialize};
use std::fmt;
use time::OffsetDateTime;

/// One attempt, with what it pinned when it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub id: RolloutId,
    pub placement: PlacementId,
    pub kind: Kind,
    /// What it makes live. Fixed when it was asked for.
    pub pair: Pair,
    /// The environment's policy at the moment it was asked for.
    pub policy: Policy,
    pub state: State,
    /// What a person asked of it since, not yet answered by a step.
    pub request: Option<Request>,
}

/// Why a rollout exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Deploy,
    /// Restores a pair that was live. Never taken back by itself.
    Rollback,
    /// Withdraws the route, drains, removes and archives.
    Remove,
}

impl Kind {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Remove => "remove",
        }
    }
}

/// Where a rollout stands, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Accepted, not yet picked up. The placement may be busy with another.
    Queued,
    /// Every question that could refuse it is asked.
    Preflight,
    /// Waits for the quorum of the policy.
    AwaitingApproval,
    /// The idle slot is being filled. Traffic has not moved.
    Preparing,
    /// The new slot runs and must prove that it is ready.
    Verifying,
    /// Verified; the policy wants a person to promote it.
    AwaitingPromotion,
    /// One atomic write is made, until the target confirms it.
    Switching,
    /// The new slot serves and is measured against the old one's last minutes.
    Observing,
    /// The new slot has proven itself. The old one finishes what it has.
    Draining,
    /// One atomic write puts the traffic where it was.
    SwitchingBack,
    /// What the rollout made is drained and removed.
    CleaningUp,
    Succeeded,
    /// The release is bad, or was refused.
    Failed,
    Aborted,
    /// Was live, and the traffic is back where it was.
    RolledBack,
    /// Waited, and a newer one took its place.
    Superseded,
}

impl Phase {
    /// All of them, in the order of the drawing above.
    pub const ALL: [Self; 16] = [
        Self::Queued,
        Self::Preflight,
        Self::AwaitingApproval,
        Self::Preparing,
        Self::Verifying,
        Self::AwaitingPromotion,
        Self::Switching,
        Self::Observing,
        Self::Draining,
        Self::SwitchingBack,
        Self::CleaningUp,
        Self::Succeeded,
        Self::Failed,
        Self::Aborted,
        Self::RolledBack,
        Self::Superseded,
    ];

    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preflight => "preflight",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Preparing => "preparing",
            Self::Verifying => "verifying",
            Self::AwaitingPromotion => "awaiting_promotion",
            Self::Switching => "switching",
            Self::Observing => "observing",
            Self::Draining => "draining",
            Self::SwitchingBack => "switching_back",
            Self::CleaningUp => "cleaning_up",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }

    /// As people read it.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting approval",
            Self::AwaitingPromotion => "awaiting promotion",
            Self::SwitchingBack => "switching back",
            Self::CleaningUp => "cleaning up",
            Self::RolledBack => "rolled back",
            other => other.as_str(),
        }
    }

    /// Whether nothing happens any more.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Aborted | Self::RolledBack | Self::Superseded
        )
    }

    /// Whether it holds the placement: picked up and not ended.
    #[must_use]
    pub const fn is_active(self) -> bool {
        !self.is_end() && !matches!(self, Self::Queued)
    }

    /// Whether traffic may have moved to the new slot, and has not been told to go back.
    #[must_use]
    pub const fn is_after_switch(self) -> bool {
        matches!(self, Self::Switching | Self::Observing | Self::Draining)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_words())
    }
}

/// All that a step may change. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub phase: Phase,
    /// When the phase was entered, or begun again after trouble: deadlines count from here.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Not `None`: errored. Nothing moves until a person chooses.
    pub trouble: Option<Trouble>,
    /// Fixed when preflight is passed.
    pub pinned: Option<Pinned>,
    /// Where switching back and cleaning up lead, and why.
    pub ending: Option<Ending>,
    /// Preflight's answers, kept to be shown.
    pub findings: Vec<Finding>,
    /// Readiness passes in a row of the whole new slot.
    pub passes: u8,
    /// The gates after readiness: the release's own checks.
    pub gates: Vec<Finding>,
    /// The old slot's last minutes before the switch.
    pub baseline: Option<Baseline>,
    /// What was read since the switch.
    pub observation: Observation,
    pub evidence: Evidence,
    /// A breach while a rollback was observed: said, never acted upon.
    pub alarm: Option<String>,
    /// On the way back the previous slot was gone and is started again: it must be ready first.
    pub refilled: bool,
    /// A person decided after a foreign hand was found: the way back may write over it.
    pub overrule: bool,
    /// How often the new slot's instances had died and come up again when traffic was sent there:
    /// only what comes after counts against it.
    #[serde(default)]
    pub restarts: u32,
    /// What a hand had changed on the previous slot before this rollout began, or what a person has
    /// seen since and went on: only another change is news.
    #[serde(default)]
    pub noted: Option<String>,
}

impl State {
    /// A rollout that was asked for just now.
    #[must_use]
    pub fn queued(at: OffsetDateTime) -> Self {
        Self {
            phase: Phase::Queued,
            since: at,
            trouble: None,
            pinned: None,
            ending: None,
            findings: Vec::new(),
            passes: 0,
            gates: Vec::new(),
            baseline: None,
            observation: Observation::default(),
            evidence: Evidence::default(),
            alarm: None,
            refilled: false,
            overrule: false,
            restarts: 0,
            noted: None,
        }
    }
}

/// What preparing fixes: which slot is new, whose instances fill it, and where the way back leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub new: Slot,
    /// The rollout whose instances fill the new slot: this one, or the one that left it warm.
    pub maker: RolloutId,
    pub previous: Option<Previous>,
    pub size: u16,
    /// The slot was warm: it was neither filled nor verified by this rollout.
    pub warm: bool,
    /// Traffic is put back to what is live, from where a foreign hand sent it. There is no previous
    /// slot then, and what the hand wrote may be written over.
    #[serde(default)]
    pub puts_back: bool,
}

/// What was live before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub slot: Slot,
    pub maker: RolloutId,
    pub pair: Pair,
}

/// How it will end, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// One of the ends.
    pub end: Phase,
    pub why: String,
}

/// What the machinery could not do. Each is a sentence for the person who must choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Trouble {
    #[error("The target could not be reached in time: {why}.")]
    Unreachable { why: String },
    #[error("The target did not do it in time: {what}.")]
    TooSlow { what: String },
    #[error("Somebody else changed what we work on: {what}.")]
    ForeignHand { what: String },
    /// The same of instances, or of what they are made from, where the route is as we wrote it.
    #[error(
        "Somebody else changed what we work on: {what}. It is left as it is. Undo it and retry, or \
         abort."
    )]
    Edited { what: String },
    /// The target understood and has no room, which is not the release's fault.
    #[error("The target has no room: {why}")]
    NoRoom { why: String },
    #[error("The way back is closed: {why}. Traffic stays where it is.")]
    NoWayBack { why: String },
    #[error("Pilothouse itself failed: {what}.")]
    OwnFault { what: String },
}

/// What a person asked of an active rollout. Only a step answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub what: Ask,
    pub by: UserId,
    /// The name at that moment, for the history.
    pub by_name: String,
    pub reason: String,
}

/// The things that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Stop, and put the traffic back if it moved.
    Abort,
    /// Let a verified rollout switch.
    Promote,
    /// Try again what was errored.
    Retry,
}

/// Why an ask is refused now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("This rollout has ended. To go back, roll back from the service's page.")]
    Ended,
    #[error("It is on its way back already.")]
    GoingBack,
    #[error("It is being cleaned up already.")]
    CleaningUp,
    #[error("It was asked already.")]
    Asked,
    #[error("Only a verified rollout that waits for it can be promoted.")]
    NotVerified,
    #[error("Only an errored rollout can be retried.")]
    NotErrored,
}

impl Rollout {
    /// Whether `ask` would be heard now. The button is lit by this, and the server refuses by it.
    pub fn accept(&self, ask: Ask) -> Result<(), Refusal> {
        accept(&self.state, self.request.as_ref().map(|request| request.what), ask)
    }
}

/// The rule of [`Rollout::accept`], for those who have only the parts.
pub fn accept(state: &State, asked: Option<Ask>, ask: Ask) -> Result<(), Refusal> {
    if state.phase.is_end() {
        return Err(Refusal::Ended);
    }
    // An abort is stronger than anything asked before it; nothing is stronger than an abort.
    if asked == Some(Ask::Abort) || (asked.is_some() && ask != Ask::Abort) {
        return Err(Refusal::Asked);
    }
    let errored = state.trouble.is_some();
    match (ask, state.phase) {
        (Ask::Abort, Phase::SwitchingBack) if !errored => Err(Refusal::GoingBack),
        (Ask::Abort, Phase::CleaningUp) if !errored => Err(Refusal::CleaningUp),
        (Ask::Promote, Phase::AwaitingPromotion) if !errored => Ok(()),
        (Ask::Promote, _) => Err(Refusal::NotVerified),
        (Ask::Retry, _) if !errored => Err(Refusal::NotErrored),
        (Ask::Abort | Ask::Retry, _) => Ok(()),
    }
}

/// What the page says about one rollout of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    pub id: RolloutId,
    pub release: ReleaseId,
    pub kind: Kind,
    pub phase: Phase,
    pub errored: bool,
}
