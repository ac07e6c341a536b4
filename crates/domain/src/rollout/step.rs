//! What the system does next with a rollout: one pure function, one step at a time.
//!
//! The caller saves the state before it performs the command. So a command is only ever performed
//! for a phase that everyone can see, and a crash between the two repeats a command instead of
//! losing a decision. Every phase asks for its command again until it sees the effect.

use super::{Ask, Ending, Kind, Phase, Pinned, Previous, Rollout, State, Trouble};
use crate::{
    observing::Baseline,
    slot::{PerSlot, Slot},
    target::{Finding, Traffic, Verdict},
};
use std::time::Duration;
use time::OffsetDateTime;

/// How long an unreachable target is waited for in phases that have no deadline of their own.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long instances may take to be gone.
const EMPTY_WITHIN: Duration = Duration::from_secs(120);
/// How long the release's own checks may take once it is ready.
const GATES_WITHIN: Duration = Duration::from_secs(10);
/// Whoever comes back after an outage of our own tries for so long before a deadline that passed
/// meanwhile counts.
const FAIR_TRY: Duration = Duration::from_secs(15);
/// A new instance that died so often will not come up.
const CRASHES: u32 = 3;

/// Everything a step may know.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    pub at: OffsetDateTime,
    /// How long this phase was worked at by whoever looks now. Less than `at - since` where we were
    /// away: what nobody asked for meanwhile can not be late, and says nothing of the release.
    pub watched: Duration,
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
    /// All instances, strays too.
    pub count: u16,
    /// Restarts of the expected maker's instances, all together.
    pub restarts: u32,
    /// Why one of them died, if one is dead now.
    pub exited: Option<String>,
    /// Requests and connections that have not ended. `None`: the witness did not say, which is not
    /// the same as none.
    pub in_flight: Option<u64>,
}

/// What a command brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Findings {
        findings: Vec<Finding>,
        /// Whether the warm slot is ready to take the traffic back at once.
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
            return if ask == Ask::Abort { self.abort() } else { self.stay(None) };
        }
        if ask == Some(Ask::Abort) {
            // Asked for just before it went back by itself: it has what it asked for.
            if !matches!(self.state.phase, Phase::SwitchingBack | Phase::CleaningUp) {
                return self.abort();
            }
            self.answered = true;
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

    // ---- before the switch ----

    fn queued(self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
        }
        self.enter(Phase::Preflight, Some(Command::Preflight))
    }

    fn preflight(mut self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
        }
        if self.rollout.kind == Kind::Remove {
            return self.end(Phase::Failed, "removing a placement is not offered");
        }
        let (findings, warm_ready) = match &self.look.reply {
            Some(Reply::Findings { findings, warm_ready }) => (findings.clone(), *warm_ready),
            Some(Reply::Refused(why)) => return self.end(Phase::Failed, &why.clone()),
            _ => return self.ask_again(Command::Preflight, PATIENCE),
        };
        let refusal = findings.iter().find(|finding| finding.verdict == Verdict::Refuse).cloned();
        self.state.findings = findings;
        if let Some(refusal) = refusal {
            let why = format!("{}: {}", refusal.question, refusal.detail);
            return self.end(Phase::Failed, &why);
        }
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(_) => return self.ask_again(Command::Preflight, PATIENCE),
        };
        let pinned = match self.pin(&seen, warm_ready) {
            Ok(pinned) => pinned,
            Err(what) => return self.pause(Trouble::ForeignHand { what }),
        };
        self.state.pinned = Some(pinned);
        if self.rollout.policy.approvals > 0 {
            return self.enter(Phase::AwaitingApproval, None);
        }
        self.begin()
    }

    /// Which slot is new, who fills it and where the way back leads, from the target's own answer.
    fn pin(&self, seen: &Seen, warm_ready: bool) -> Result<Pinned, String> {
        if let Some(who) = &seen.foreign {
            return Err(format!("the route was written by {who}"));
        }
        let previous = match (seen.routed, self.look.live) {
            (None, _) => None,
            (Some(routed), Some(live)) if live.slot == routed => Some(live),
            (Some(routed), _) => {
                return Err(format!("traffic goes to {routed}, which is not what was made live"));
            }
        };
        // Without a route, what was live last is spared all the same: it may be given back by hand.
        let new = self.look.live.map_or(Slot::Blue, |live| live.slot.other());
        let warm = self.look.warm.filter(|warm| {
            warm_ready
                && self.rollout.kind == Kind::Rollback
                && warm.slot == new
                && warm.pair == self.rollout.pair
        });
        Ok(Pinned {
            new,
            maker: warm.map_or(self.rollout.id, |warm| warm.maker),
            previous,
            size: self.look.size,
            warm: warm.is_some(),
        })
    }

    fn awaiting_approval(self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
        }
        if self.is_past(self.rollout.policy.expire_after) {
            return self.end(Phase::Aborted, "nobody approved it in time");
        }
        self.stay(None)
    }

    /// Preflight and approval are behind us: fill the slot, or switch at once where it is warm.
    fn begin(self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        if pinned.warm {
            return self.switch(pinned);
        }
        self.enter(Phase::Preparing, Some(Command::Fill(pinned.new)))
    }

    fn preparing(mut self) -> Step {
        let (pinned, seen) = match self.before_switch(self.rollout.policy.prepare_within) {
            Ok(both) => both,
            Err(step) => return *step,
        };
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.clean_up(Phase::Failed, &why.clone());
        }
        let new = seen.slots.of(pinned.new);
        if new.restarts >= CRASHES {
            return self.clean_up(Phase::Failed, &crashed(new));
        }
        if new.running >= pinned.size {
            self.state.passes = 0;
            return self.enter(Phase::Verifying, Some(Command::Probe(pinned.new)));
        }
        if self.is_over(self.rollout.policy.prepare_within) {
            let why = new.exited.clone().map_or_else(
                || format!("{} of {} instances started in time", new.running, pinned.size),
                |exited| format!("an instance does not stay up: {exited}"),
            );
            return self.clean_up(Phase::Failed, &why);
        }
        self.stay(Some(Command::Fill(pinned.new)))
    }

    fn verifying(mut self) -> Step {
        let within = self.look.budget.min(self.rollout.policy.verify_within);
        let (pinned, seen) = match self.before_switch(within) {
            Ok(both) => both,
            Err(step) => return *step,
        };
        let new = seen.slots.of(pinned.new);
        if new.restarts >= CRASHES {
            return self.clean_up(Phase::Failed, &crashed(new));
        }
        let mut unready = None;
        if new.running < pinned.size {
            self.state.passes = 0;
            unready = Some(new.exited.clone().unwrap_or_else(|| "an instance is missing".into()));
        } else {
            match &self.look.reply {
                Some(Reply::Ready { unready: None }) => {
                    self.state.passes = self.state.passes.saturating_add(1);
                }
                Some(Reply::Ready { unready: Some(why) }) => {
                    self.state.passes = 0;
                    unready = Some(why.clone());
                }
                Some(Reply::Gates(gates)) if self.state.passes >= self.rollout.policy.passes => {
                    return self.gated(pinned, gates.clone());
                }
                // Cut off, or not asked yet: never a pass.
                _ => {}
            }
        }
        if self.state.passes >= self.rollout.policy.passes {
            if self.is_over(within + GATES_WITHIN) {
                return self.clean_up(Phase::Failed, "its own checks were not answered in time");
            }
            return self.stay(Some(Command::Gates));
        }
        if self.is_over(within) {
            let why = unready.unwrap_or_else(|| "it was not ready in time".to_owned());
            return self.clean_up(Phase::Failed, &why);
        }
        self.stay(Some(Command::Probe(pinned.new)))
    }

    fn gated(mut self, pinned: Pinned, gates: Vec<Finding>) -> Step {
        let bad = gates.iter().find(|gate| gate.verdict == Verdict::Refuse).cloned();
        self.state.gates = gates;
        if let Some(bad) = bad {
            let why = format!("{}: {}", bad.question, bad.detail);
            return self.clean_up(Phase::Failed, &why);
        }
        if self.rollout.policy.promote_by_hand {
            return self.enter(Phase::AwaitingPromotion, None);
        }
        self.switch(pinned)
    }

    fn awaiting_promotion(mut self, ask: Option<Ask>) -> Step {
        let within = self.rollout.policy.expire_after;
        let (pinned, seen) = match self.before_switch(within) {
            Ok(both) => both,
            Err(step) => return *step,
        };
        let new = seen.slots.of(pinned.new);
        if ask == Some(Ask::Promote) {
            self.answered = true;
            if new.running < pinned.size {
                return self.clean_up(Phase::Failed, "an instance died while it waited");
            }
            return self.switch(pinned);
        }
        if self.is_past(within) {
            return self.clean_up(Phase::Aborted, "nobody promoted it in time");
        }
        self.stay(None)
    }

    /// The common questions of the phases in which traffic may not have moved yet.
    fn before_switch(&mut self, within: Duration) -> Result<(Pinned, Seen), Box<Step>> {
        let Some(pinned) = self.state.pinned else { return Err(Box::new(self.take().lost_pins())) };
        let seen = match &self.look.seen {
            Ok(seen) => seen.clone(),
            Err(why) => return Err(Box::new(self.take().unreachable(why, within))),
        };
        let expected = pinned.previous.map(|previous| previous.slot);
        if let Some(what) = foreign(&seen, &[expected]) {
            return Err(Box::new(self.take().pause(Trouble::ForeignHand { what })));
        }
        Ok((pinned, seen))
    }

    // ---- the switch and after it ----

    fn switch(mut self, pinned: Pinned) -> Step {
        self.state.baseline = pinned.previous.and(self.look.baseline);
        if let Some(traffic) = self.look.traffic {
            self.state.evidence.begin(traffic);
        }
        self.state.evidence.written_at = Some(self.look.at);
        // What died and came up again before it was verified is forgiven.
        if let Ok(seen) = &self.look.seen {
            self.state.restarts = seen.slots.of(pinned.new).restarts;
        }
        self.enter(Phase::Switching, Some(Command::Route(Some(pinned.new))))
    }

    fn switching(mut self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let within = self.rollout.policy.switch_within;
        if self.is_routed_to(Some(pinned.new)) {
            // After a crash the answer to the write is lost; the target still says when it came.
            let (at, took) = match &self.look.reply {
                Some(Reply::Routed(routed)) => (routed.applied_at, routed.took),
                _ => {
                    let told = self.look.seen.as_ref().ok().and_then(|seen| seen.written_at);
                    let at = told.unwrap_or(self.look.at);
                    let written = self.state.evidence.written_at.unwrap_or(at);
                    (at, Duration::try_from(at - written).unwrap_or_default())
                }
            };
            self.state.evidence.confirmed_at = Some(at);
            self.state.evidence.switched_in_ms = u32::try_from(took.as_millis()).ok();
            // The second of the switch is read too: the new slot had nothing before it.
            self.state.observation.switched_at = at.unix_timestamp();
            self.state.observation.read_to = at.unix_timestamp() - 1;
            return self.enter(Phase::Observing, Some(Command::Probe(pinned.new)));
        }
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within),
        };
        let before = pinned.previous.map(|previous| previous.slot);
        if let Some(what) = foreign(&seen, &[before, Some(pinned.new)]) {
            return self.pause(Trouble::ForeignHand { what });
        }
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.clean_up(Phase::Failed, &why.clone());
        }
        let new = seen.slots.of(pinned.new);
        if new.running < pinned.size {
            let why = new.exited.clone().unwrap_or_else(|| "an instance went away".to_owned());
            return self.clean_up(Phase::Failed, &format!("just before the switch: {why}"));
        }
        if self.is_over(within) {
            let what = format!("traffic did not move to {} within {within:?}", pinned.new);
            return self.pause(Trouble::TooSlow { what });
        }
        self.stay(Some(Command::Route(Some(pinned.new))))
    }

    fn observing(mut self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let policy = &self.rollout.policy;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, policy.observe_for + PATIENCE * 5),
        };
        if let Some(what) = foreign(&seen, &[Some(pinned.new)]) {
            return self.pause(Trouble::ForeignHand { what });
        }
        let new = seen.slots.of(pinned.new);
        let unready = self.unready(pinned, new);
        if let Some(traffic) = self.look.traffic {
            let baseline = self.state.baseline;
            let seconds = &traffic.slots.of(pinned.new).seconds;
            self.state.observation.read(seconds, unready.as_deref(), baseline.as_ref(), policy);
        }
        if let Some(breach) = self.state.observation.breach().map(str::to_owned) {
            if self.rollout.kind == Kind::Rollback {
                // Going back from a going back would swing between two bad versions for ever.
                self.state.alarm.get_or_insert(breach);
            } else {
                return self.switch_back(pinned, Phase::RolledBack, Phase::Failed, &breach);
            }
        }
        let asked = matches!(self.look.reply, Some(Reply::Ready { .. }));
        let well = asked && unready.is_none() && self.state.observation.is_settled(policy);
        let proven = well || self.state.alarm.is_some();
        if u64::from(self.state.observation.seconds) >= policy.observe_for.as_secs() && proven {
            return self.enter(Phase::Draining, None);
        }
        self.stay(Some(Command::Probe(pinned.new)))
    }

    /// What an instance of the new slot has against it now.
    fn unready(&self, pinned: Pinned, new: &SlotSeen) -> Option<String> {
        if new.running < pinned.size {
            let why = new.exited.as_deref().unwrap_or("it is gone");
            return Some(format!("{} of {} instances run: {why}", new.running, pinned.size));
        }
        if new.restarts > self.state.restarts {
            return Some("an instance died and was started again".to_owned());
        }
        match &self.look.reply {
            Some(Reply::Ready { unready }) => unready.clone(),
            _ => None,
        }
    }

    fn draining(self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let Some(previous) = pinned.previous else {
            return self.end(Phase::Succeeded, "");
        };
        let within = self.rollout.policy.drain_for;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within + PATIENCE * 5),
        };
        if let Some(what) = foreign(&seen, &[Some(pinned.new)]) {
            return self.pause(Trouble::ForeignHand { what });
        }
        let old = seen.slots.of(previous.slot);
        let busy = old.in_flight != Some(0);
        if busy && !self.is_past(within) {
            return self.stay(None);
        }
        // One more time-out for those who did not take the goodbye; then they are cut off.
        let late = self.is_past(within + Duration::from_secs(2));
        if busy && !late {
            return self.stay(Some(Command::CloseStreams(previous.slot)));
        }
        // What a rollback leaves is bad: it is not kept warm.
        if self.rollout.kind == Kind::Rollback
            && old.count > 0
            && !self.is_over(within + EMPTY_WITHIN)
        {
            return self.stay(Some(Command::Empty(previous.slot)));
        }
        self.end(Phase::Succeeded, "")
    }

    // ---- the way back ----

    /// `end` where there is a previous slot, `first` on a first deploy.
    fn switch_back(mut self, pinned: Pinned, end: Phase, first: Phase, why: &str) -> Step {
        let end = if pinned.previous.is_some() { end } else { first };
        self.state.ending = Some(Ending { end, why: why.to_owned() });
        self.state.evidence.back_decided_at = Some(self.look.at);
        let back = pinned.previous.map(|previous| previous.slot);
        let command = self.way_back(pinned).unwrap_or(Command::Route(back));
        self.state.refilled |= matches!(command, Command::Fill(_));
        self.enter(Phase::SwitchingBack, Some(command))
    }

    /// What must be done before the route can be written back: start the slot, if it is gone.
    fn way_back(&self, pinned: Pinned) -> Option<Command> {
        let previous = pinned.previous?;
        let seen = self.look.seen.as_ref().ok()?;
        (seen.slots.of(previous.slot).running == 0).then_some(Command::Fill(previous.slot))
    }

    fn switching_back(mut self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let back = pinned.previous.map(|previous| previous.slot);
        if self.is_routed_to(back) {
            self.state.evidence.back_confirmed_at = Some(self.look.at);
            return self.enter(Phase::CleaningUp, None);
        }
        let within = self.rollout.policy.switch_within
            + if self.state.refilled { self.look.budget } else { Duration::ZERO };
        if let Ok(seen) = &self.look.seen
            && let Some(what) = foreign(seen, &[Some(pinned.new), back])
            && !self.state.overrule
        {
            return self.pause(Trouble::ForeignHand { what });
        }
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.pause(Trouble::NoWayBack { why: why.clone() });
        }
        if self.is_over(within) {
            let what = match &self.look.seen {
                Ok(_) => format!("traffic did not go back within {within:?}"),
                Err(why) => return self.pause(Trouble::Unreachable { why: why.clone() }),
            };
            return self.pause(Trouble::TooSlow { what });
        }
        if let Some(command) = self.way_back(pinned) {
            self.state.refilled = true;
            return self.stay(Some(command));
        }
        let ready = matches!(self.look.reply, Some(Reply::Ready { unready: None }));
        match back {
            // It was started again just now: traffic waits until it answers.
            Some(slot) if self.state.refilled && !ready => self.stay(Some(Command::Probe(slot))),
            // Also when the target can not be looked at: the switch itself may still be reached.
            _ => self.stay(Some(Command::Route(back))),
        }
    }

    fn clean_up(mut self, end: Phase, why: &str) -> Step {
        self.state.ending = Some(Ending { end, why: why.to_owned() });
        self.enter(Phase::CleaningUp, None)
    }

    fn cleaning_up(self) -> Step {
        let Some(Ending { end, why }) = self.state.ending.clone() else { return self.lost_pins() };
        let Some(pinned) = self.state.pinned else { return self.end(end, &why) };
        // A warm slot that was never switched to is as it was: it stays warm.
        if pinned.warm && end == Phase::Aborted && self.state.evidence.written_at.is_none() {
            return self.end(end, &why);
        }
        let within = self.rollout.policy.drain_for + EMPTY_WITHIN;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within),
        };
        if seen.routed == Some(pinned.new) {
            // Our own write that came late, or a person decided after a foreign hand was found.
            let late = seen.foreign.is_none() && self.state.evidence.written_at.is_some();
            if (late || self.state.overrule) && self.state.evidence.back_decided_at.is_none() {
                return self.switch_back(pinned, Phase::RolledBack, end, &why);
            }
            let what = format!("traffic goes to {}, which was to be removed", pinned.new);
            return self.pause(Trouble::ForeignHand { what });
        }
        let new = seen.slots.of(pinned.new);
        if new.count == 0 {
            return self.end(end, &why);
        }
        if self.is_over(within) {
            let what = format!("{} instances are still there", new.count);
            return self.pause(Trouble::TooSlow { what });
        }
        if new.in_flight != Some(0) && !self.is_past(self.rollout.policy.drain_for) {
            return self.stay(None);
        }
        self.stay(Some(Command::Empty(pinned.new)))
    }

    // ---- a person's abort ----

    fn abort(mut self) -> Step {
        self.answered = true;
        let why = self.rollout.request.as_ref().map_or_else(String::new, |request| {
            if request.reason.is_empty() {
                format!("{} asked for it", request.by_name)
            } else {
                format!("{}: {}", request.by_name, request.reason)
            }
        });
        let Some(pinned) = self.state.pinned else {
            return self.end(Phase::Aborted, &why);
        };
        match self.state.phase {
            Phase::Queued | Phase::Preflight | Phase::AwaitingApproval => {
                self.end(Phase::Aborted, &why)
            }
            Phase::Preparing | Phase::Verifying | Phase::AwaitingPromotion => {
                self.clean_up(Phase::Aborted, &why)
            }
            Phase::Switching => match &self.look.seen {
                Ok(seen) if seen.routed != Some(pinned.new) => self.clean_up(Phase::Aborted, &why),
                // Unreadable: writing the way back is right, wherever the route is.
                Ok(_) | Err(_) => self.switch_back(pinned, Phase::RolledBack, Phase::Aborted, &why),
            },
            Phase::Observing | Phase::Draining => {
                self.switch_back(pinned, Phase::RolledBack, Phase::Aborted, &why)
            }
            // Only an errored one comes here: there is no way back, the routed slot is live.
            Phase::SwitchingBack => self.end(Phase::Failed, &why),
            Phase::CleaningUp => {
                let end = self.state.ending.as_ref().map_or(Phase::Aborted, |ending| ending.end);
                self.end(end, &why)
            }
            Phase::Succeeded
            | Phase::Failed
            | Phase::Aborted
            | Phase::RolledBack
            | Phase::Superseded => self.stay(None),
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

    /// Whether the target itself says so: in what was seen, or in its answer to the write.
    fn is_routed_to(&self, slot: Option<Slot>) -> bool {
        let seen = self.look.seen.as_ref().is_ok_and(|seen| seen.routed == slot);
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

fn crashed(slot: &SlotSeen) -> String {
    let why = slot.exited.as_deref().unwrap_or("no reason was given");
    format!("its instances died {} times: {why}", slot.restarts)
}

#[cfg(test)]
mod tests;
