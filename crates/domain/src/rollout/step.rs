//! What the system does next with a rollout: one pure function, one step at a time.
//!
//! The caller saves the state before it performs the command. So a command is only ever performed
//! for a phase that everyone can see, and a crash between the two repeats a command instead of
//! losing a decision. Every phase asks for its command again until it sees the effect.
//!
//! Four nouns, a file each: what comes [`before`] the switch, what comes [`after`] it, the way
//! [`back`], and how a placement is taken away: [`remove`].

mod after;
mod back;
mod before;
mod remove;

use super::{Ask, Ending, Kind, Phase, Pinned, Previous, Rollout, State, Trouble};
use crate::{
    observing::Baseline,
    slot::{PerSlot, Slot},
    target::{Finding, Goodbye, Traffic},
};
use std::time::Duration;
use time::OffsetDateTime;

/// How long an unreachable target is waited for in phases that have no deadline of their own.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long instances may take to be gone.
const EMPTY_WITHIN: Duration = Duration::from_secs(120);
/// Whoever comes back after an outage of our own tries for so long before a deadline that passed
/// meanwhile counts.
const FAIR_TRY: Duration = Duration::from_secs(15);

/// Everything a step may know.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    pub at: OffsetDateTime,
    /// How long this phase was worked at by whoever looks now. Less than `at - since` where we were
    /// away: what nobody asked for meanwhile can not be late, and says nothing of the release.
    pub watched: Duration,
    /// How much of that the target could be looked at. A release is not late while nobody can ask it.
    pub asked: Duration,
    /// Whether who asked for the rollout may still sign in.
    pub requester: bool,
    /// What the placement says is live, and what it keeps warm.
    pub live: Option<Previous>,
    pub warm: Option<Previous>,
    /// The placement's size.
    pub size: u16,
    /// How long verifying may take by the service's own check.
    pub budget: Duration,
    /// What the target says, or why it could not be asked.
    pub seen: Result<Seen, String>,
    /// What came of the last step's command. `None`: cut off, or there was none.
    pub reply: Option<Reply>,
    /// What the witness counted, where it could be asked.
    pub traffic: Option<&'a Traffic>,
    /// The live slot's last minutes.
    pub baseline: Option<Baseline>,
}

/// The target's answer, brought down to what matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub routed: Option<Slot>,
    /// Not everything on the target follows that yet.
    pub arriving: bool,
    /// Somebody else wrote the route: who, in words.
    pub foreign: Option<String>,
    /// When this very rollout wrote the route, by the target's clock, if it was the last to.
    pub written_at: Option<OffsetDateTime>,
    pub slots: PerSlot<SlotSeen>,
}

/// A slot, brought down to what matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSeen {
    /// Instances of the expected maker that run.
    pub running: u16,
    /// Those of them that would get requests if the slot were live.
    pub in_route: u16,
    /// All instances, strays too.
    pub count: u16,
    /// Restarts of the expected maker's instances, all together.
    pub restarts: u32,
    /// Why one of them died, if one is dead now.
    pub exited: Option<String>,
    /// Requests and connections that have not ended. `None`: the witness did not say, which is not
    /// the same as none.
    pub in_flight: Option<u64>,
    /// What somebody changed by hand on the expected maker's instances, or on what they are made from.
    pub changed: Option<String>,
}

/// What a command brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Findings {
        findings: Vec<Finding>,
        /// Whether the slot that holds the wanted pair already, warm or live, is ready to take the
        /// traffic at once.
        warm_ready: bool,
    },
    /// All instances of the slot were asked. `None`: every one of them passed.
    Ready {
        unready: Option<String>,
    },
    Gates(Vec<Finding>),
    /// The target's own answer to a route write.
    Routed(Routed),
    /// The target understood and said no.
    Refused(String),
    /// The target understood, and has no room for anybody: a person must make some.
    NoRoom(String),
    /// What became of the goodbye to who has old connections.
    Goodbye(Goodbye),
    /// The route is gone.
    Withdrawn,
}

/// A route write as the target confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    pub live: Option<Slot>,
    /// By the target's clock, which also dates what its witness counts.
    pub applied_at: OffsetDateTime,
    /// From sending the write to its confirmation.
    pub took: Duration,
}

/// What is to be done. Each can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Ask everything that could refuse this rollout.
    Preflight,
    /// Make the slot be as planned.
    Fill(Slot),
    /// Ask every instance of the slot whether it is ready.
    Probe(Slot),
    /// Run the release's own checks against the new slot.
    Gates,
    /// Send new requests there.
    Route(Option<Slot>),
    /// Say goodbye to what the slot still has open.
    CloseStreams(Slot),
    /// Stop and remove what is in the slot.
    Empty(Slot),
    /// Take the route itself away.
    Withdraw,
}

/// The next state, and what to do once it is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub state: State,
    pub command: Option<Command>,
    /// The person's request was heard: it is taken off the rollout.
    pub answered: bool,
}

/// Takes one step.
#[must_use]
pub fn step(rollout: &Rollout, look: &Look<'_>) -> Step {
    Stepping { rollout, look, state: rollout.state.clone(), answered: false }.step()
}

/// One step in the making.
struct Stepping<'a> {
    rollout: &'a Rollout,
    look: &'a Look<'a>,
    state: State,
    answered: bool,
}

impl Stepping<'_> {
    fn step(mut self) -> Step {
        if self.state.phase.is_end() {
            return self.stay(None);
        }
        self.count();
        let ask = self.rollout.request.as_ref().map(|request| request.what);
        if let Some(trouble) = self.state.trouble.clone() {
            let Some(ask) = ask else { return self.stay(None) };
            self.answered = true;
            if ask == Ask::Promote {
                return self.stay(None);
            }
            if ask == Ask::Abort
                && self.state.phase == Phase::SwitchingBack
                && self.look.seen.is_err()
            {
                // It would end with the routed slot live, and nobody can say which that is.
                self.answered = false;
                return self.stay(None);
            }
            self.state.trouble = None;
            self.state.since = self.look.at;
            self.state.overrule |= matches!(trouble, Trouble::ForeignHand { .. });
            if matches!(trouble, Trouble::Edited { .. }) {
                // A person has seen what was done to the slot that is not this rollout's, and goes on.
                self.note_changes();
            }
            return if ask == Ask::Abort { self.give_up() } else { self.stay(None) };
        }
        if ask == Some(Ask::Abort) {
            // Asked for just before it went back by itself: it has what it asked for.
            if !matches!(self.state.phase, Phase::SwitchingBack | Phase::CleaningUp) {
                return self.give_up();
            }
            self.answered = true;
        }
        if self.rollout.kind == Kind::Remove {
            return self.remove();
        }
        match self.state.phase {
            Phase::Queued => self.queued(),
            Phase::Preflight => self.preflight(),
            Phase::AwaitingApproval => self.awaiting_approval(),
            Phase::Preparing => self.preparing(),
            Phase::Verifying => self.verifying(),
            Phase::AwaitingPromotion => self.awaiting_promotion(ask),
            Phase::Switching => self.switching(),
            Phase::Observing => self.observing(),
            Phase::Draining => self.draining(),
            Phase::SwitchingBack => self.switching_back(),
            Phase::CleaningUp => self.cleaning_up(),
            Phase::Succeeded
            | Phase::Failed
            | Phase::Aborted
            | Phase::RolledBack
            | Phase::Superseded => self.stay(None),
        }
    }

    fn give_up(self) -> Step {
        match self.rollout.kind {
            Kind::Remove => self.keep(),
            Kind::Deploy | Kind::Rollback => self.abort(),
        }
    }

    // ---- the few ways a step can end ----

    fn stay(self, command: Option<Command>) -> Step {
        Step { state: self.state, command, answered: self.answered }
    }

    fn enter(mut self, phase: Phase, command: Option<Command>) -> Step {
        self.state.phase = phase;
        self.state.since = self.look.at;
        self.stay(command)
    }

    fn end(mut self, end: Phase, why: &str) -> Step {
        self.state.ending = Some(Ending { end, why: why.to_owned() });
        self.enter(end, None)
    }

    fn pause(mut self, trouble: Trouble) -> Step {
        self.state.trouble = Some(trouble);
        self.stay(None)
    }

    fn unreachable(self, why: &str, within: Duration) -> Step {
        if self.is_over(within) {
            return self.pause(Trouble::Unreachable { why: why.to_owned() });
        }
        self.stay(None)
    }

    fn ask_again(self, command: Command, within: Duration) -> Step {
        if self.is_over(within) {
            let why = match &self.look.seen {
                Ok(_) => "its questions were not answered".to_owned(),
                Err(why) => why.clone(),
            };
            return self.pause(Trouble::Unreachable { why });
        }
        self.stay(Some(command))
    }

    /// A phase after preflight without pins was never written by this program.
    fn lost_pins(self) -> Step {
        self.pause(Trouble::OwnFault { what: "the rollout lost what it had pinned".to_owned() })
    }

    /// Remembers what is changed on the previous slot, so that it is no news from here on.
    fn note_changes(&mut self) {
        if let (Some(pinned), Ok(seen)) = (self.state.pinned, &self.look.seen)
            && let Some(previous) = pinned.previous
        {
            self.state.noted.clone_from(&seen.slots.of(previous.slot).changed);
        }
    }

    /// What a foreign hand did, to the route or to either slot. What this rollout's own instances are
    /// made from is nobody else's to change; of the previous ones only what is news counts.
    fn hand(&self, pinned: &Pinned, seen: &Seen, expected: &[Option<Slot>]) -> Option<Trouble> {
        if pinned.puts_back {
            // What is put back is there to be written over. If it is there already, all the better.
            return None;
        }
        if let Some(what) = foreign(seen, expected) {
            return Some(Trouble::ForeignHand { what });
        }
        let old = || {
            let changed = seen.slots.of(pinned.previous?.slot).changed.clone();
            changed.filter(|what| Some(what) != self.state.noted.as_ref())
        };
        let what = seen.slots.of(pinned.new).changed.clone().or_else(old)?;
        Some(Trouble::Edited { what })
    }

    fn take(&mut self) -> Self {
        let Self { rollout, look, answered, .. } = *self;
        Self { rollout, look, state: self.state.clone(), answered }
    }

    // ---- questions ----

    /// Whether a wait is over, whoever waited.
    fn is_past(&self, within: Duration) -> bool {
        self.look.at - self.state.since > within
    }

    /// Whether what we work at did not come in time. Time in which we were away does not count.
    fn is_over(&self, within: Duration) -> bool {
        self.is_past(within) && self.look.watched >= within.min(FAIR_TRY)
    }

    /// Whether the release did not do it in time. Time in which it could not be asked does not count
    /// either.
    fn is_late(&self, within: Duration) -> bool {
        self.is_past(within) && self.look.asked >= within.min(FAIR_TRY)
    }

    /// Whether the target itself says so: in what was seen, or in its answer to the write.
    fn is_routed_to(&self, slot: Option<Slot>) -> bool {
        // A switch is over when the target follows it. The way back waits for nothing but its write.
        let waits = self.state.phase == Phase::Switching;
        let there = |seen: &Seen| seen.routed == slot && !(waits && seen.arriving);
        let seen = self.look.seen.as_ref().is_ok_and(there);
        let foreign = self.look.seen.as_ref().is_ok_and(|seen| seen.foreign.is_some());
        let told = matches!(&self.look.reply, Some(Reply::Routed(routed)) if routed.live == slot);
        // A write that was answered and then undone by somebody else is not where traffic goes.
        let undone = self.look.seen.as_ref().is_ok_and(|seen| seen.routed != slot);
        (seen && (!foreign || self.state.phase == Phase::SwitchingBack)) || (told && !undone)
    }

    /// Keeps the evidence up to date from the first write on.
    fn count(&mut self) {
        let Some(traffic) = self.look.traffic else { return };
        if self.state.evidence.written_at.is_none() {
            return;
        }
        self.state.evidence.count(traffic);
        // Once traffic goes back, the old slot's answers tell nothing about the switch.
        let back = self.state.evidence.back_decided_at.is_some();
        let old = self.state.pinned.and_then(|pinned| pinned.previous).filter(|_| !back);
        let old = old.map(|old| traffic.slots.of(old.slot));
        let observation = self.state.observation.clone();
        self.state.evidence.measure(&observation, old);
    }
}

/// What a foreign hand did, if the route is not one of those we could have made.
fn foreign(seen: &Seen, expected: &[Option<Slot>]) -> Option<String> {
    if let Some(who) = &seen.foreign {
        return Some(format!("the route was written by {who}"));
    }
    (!expected.contains(&seen.routed)).then(|| {
        seen.routed.map_or_else(
            || "the route was withdrawn".to_owned(),
            |slot| format!("traffic goes to {slot}"),
        )
    })
}

#[cfg(test)]
mod tests;
