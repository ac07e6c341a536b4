//! The switch and after it: the new slot serves, and is measured against the old one.

use super::{
    super::{Kind, Phase, Pinned, Trouble},
    Command, EMPTY_WITHIN, PATIENCE, Reply, Seen, SlotSeen, Step, Stepping, foreign,
};
use crate::target::Goodbye;
use std::time::Duration;

/// How long those may take who were told that their connection ends.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// How long instances may take to be others, where that is how old connections end.
const GOODBYE_WITHIN: Duration = Duration::from_secs(60);

impl Stepping<'_> {
    pub(super) fn switch(mut self, pinned: Pinned) -> Step {
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

    pub(super) fn switching(mut self) -> Step {
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
        if let Some(trouble) = self.hand(&pinned, &seen, &[before, Some(pinned.new)]) {
            return self.pause(trouble);
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

    pub(super) fn observing(mut self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let policy = &self.rollout.policy;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, policy.observe_for + PATIENCE * 5),
        };
        if let Some(trouble) = self.hand_after(&pinned, &seen) {
            return self.pause(trouble);
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

    /// What a foreign hand did once traffic had moved.
    fn hand_after(&self, pinned: &Pinned, seen: &Seen) -> Option<Trouble> {
        let slot = Some(pinned.new);
        if pinned.puts_back {
            return foreign(seen, &[slot]).map(|what| Trouble::ForeignHand { what });
        }
        self.hand(pinned, seen, &[slot])
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

    pub(super) fn draining(mut self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        let Some(previous) = pinned.previous else {
            return self.end(Phase::Succeeded, "");
        };
        let within = self.rollout.policy.drain_for;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within + PATIENCE * 5),
        };
        if let Some(trouble) = self.hand_after(&pinned, &seen) {
            return self.pause(trouble);
        }
        let old = seen.slots.of(previous.slot);
        // Nobody can say who is still connected: then it is over once those have ended who could be.
        let unknown = old.in_flight.is_none();
        let busy = old.in_flight != Some(0);
        if busy && !self.is_past(within) {
            return self.stay(None);
        }
        let leaves = self.rollout.kind == Kind::Rollback;
        let goodbye = match &self.look.reply {
            Some(Reply::Goodbye(goodbye)) => Some(*goodbye),
            _ => None,
        };
        let ended = matches!(goodbye, Some(Goodbye::Starting | Goodbye::Done));
        let by_target = unknown && !self.state.evidence.unseen.is_empty();
        if by_target && (ended || leaves && old.count == 0) {
            self.state.evidence.old_ended_at.get_or_insert(self.look.at);
        }
        let over = match goodbye {
            Some(Goodbye::Done) => true,
            Some(Goodbye::Ending | Goodbye::Starting) => self.is_past(within + GOODBYE_WITHIN),
            // One more time-out for those who did not take the goodbye; then they are cut off.
            Some(Goodbye::Told) | None => !busy || self.is_past(within + TOLD_WITHIN),
        };
        // What a rollback leaves is bad: it is not kept warm. Where that ends the connections too,
        // nothing is started again for a goodbye.
        let ends_them = leaves && unknown;
        if !(over || ends_them) {
            return self.stay(Some(Command::CloseStreams(previous.slot)));
        }
        if leaves && old.count > 0 && !self.is_over(within + EMPTY_WITHIN) {
            return self.stay(Some(Command::Empty(previous.slot)));
        }
        self.end(Phase::Succeeded, "")
    }
}
