//! Taking a placement away: the route is withdrawn first, so that nobody is sent to what is about to
//! end; then what is in flight ends, then the instances go, then the route itself.
//!
//! ```text
//! queued -> preflight -> switching (to none) -> draining -> cleaning_up -> succeeded
//! abort before cleaning_up: switching_back -> aborted, and everything is as it was
//! ```
//!
//! The one rollout after which nothing is live: only a person asks for it, knowing that.

use super::{
    super::{Ending, Phase, Pinned, Trouble},
    Command, EMPTY_WITHIN, PATIENCE, Reply, Seen, Step, Stepping,
};
use crate::slot::Slot;
use std::time::Duration;

impl Stepping<'_> {
    pub(super) fn remove(self) -> Step {
        match self.state.phase {
            Phase::Queued | Phase::Preflight if !self.look.requester => {
                self.end(Phase::Aborted, "who asked for it may no longer sign in")
            }
            Phase::Queued => self.enter(Phase::Preflight, None),
            Phase::Preflight => self.pin_removal(),
            Phase::AwaitingApproval => self.awaiting_approval(),
            Phase::Switching => self.withdrawing(),
            Phase::Draining => self.draining_all(),
            Phase::SwitchingBack => self.keeping(),
            Phase::CleaningUp => self.removing(),
            // A removal has none of these.
            Phase::Preparing | Phase::Verifying | Phase::AwaitingPromotion | Phase::Observing => {
                self.lost_pins()
            }
            Phase::Succeeded
            | Phase::Failed
            | Phase::Aborted
            | Phase::RolledBack
            | Phase::Superseded => self.stay(None),
        }
    }

    /// Nothing can refuse it but a target that can not be asked, and a hand that nobody knows of.
    fn pin_removal(mut self) -> Step {
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, PATIENCE),
        };
        if let Some(who) = &seen.foreign
            && !self.state.overrule
        {
            let what = format!("the route was written by {who}");
            return self.pause(Trouble::ForeignHand { what });
        }
        let live = self.look.live;
        self.state.pinned = Some(Pinned {
            new: live.map_or(Slot::Blue, |live| live.slot.other()),
            maker: self.rollout.id,
            // Where an abort leads: only where the traffic is now.
            previous: live.filter(|live| seen.routed == Some(live.slot)),
            size: self.look.size,
            warm: false,
            puts_back: false,
        });
        if self.rollout.policy.approvals > 0 {
            return self.enter(Phase::AwaitingApproval, None);
        }
        self.state.evidence.written_at = Some(self.look.at);
        let command = self.to_none(&seen);
        self.enter(Phase::Switching, command)
    }

    /// Nothing is to be written where nobody is sent anywhere.
    fn to_none(&self, seen: &Seen) -> Option<Command> {
        seen.routed.map(|_| Command::Route(None))
    }

    fn withdrawing(mut self) -> Step {
        let within = self.rollout.policy.switch_within;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within),
        };
        if seen.routed.is_none() {
            self.state.evidence.confirmed_at = Some(self.look.at);
            return self.enter(Phase::Draining, None);
        }
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.end(Phase::Failed, &why.clone());
        }
        if self.is_over(within) {
            let what = format!("the route was not withdrawn within {within:?}");
            return self.pause(Trouble::TooSlow { what });
        }
        let command = self.to_none(&seen);
        self.stay(command)
    }

    fn draining_all(mut self) -> Step {
        let within = self.rollout.policy.drain_for;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within + PATIENCE * 5),
        };
        if let Some(step) = self.sent_again(&seen) {
            return step;
        }
        let busy = Slot::ALL.into_iter().find(|slot| {
            let slot = seen.slots.of(*slot);
            slot.count > 0 && slot.in_flight != Some(0)
        });
        // One more time-out for those who did not take the goodbye; then they are cut off.
        match busy {
            Some(_) if !self.is_past(within) => self.stay(None),
            // Where nobody can say who is connected, emptying is the goodbye.
            Some(slot)
                if seen.slots.of(slot).in_flight.is_some()
                    && !self.is_past(within + Duration::from_secs(2)) =>
            {
                self.stay(Some(Command::CloseStreams(slot)))
            }
            _ => {
                let ending = Ending { end: Phase::Succeeded, why: String::new() };
                self.state.ending = Some(ending);
                self.enter(Phase::CleaningUp, None)
            }
        }
    }

    /// Somebody sends requests again to what is about to end: a person must say which it shall be.
    fn sent_again(&mut self, seen: &Seen) -> Option<Step> {
        let slot = seen.routed?;
        if self.state.overrule {
            return Some(self.take().stay(Some(Command::Route(None))));
        }
        let what = format!("traffic goes to {slot}, which was to be removed");
        Some(self.take().pause(Trouble::ForeignHand { what }))
    }

    fn removing(mut self) -> Step {
        let within = self.rollout.policy.drain_for + EMPTY_WITHIN;
        let seen = match self.look.seen.clone() {
            Ok(seen) => seen,
            Err(why) => return self.unreachable(&why, within),
        };
        if let Some(step) = self.sent_again(&seen) {
            return step;
        }
        let left = Slot::ALL.into_iter().find(|slot| seen.slots.of(*slot).count > 0);
        if left.is_none() && matches!(self.look.reply, Some(Reply::Withdrawn)) {
            return self.end(Phase::Succeeded, "");
        }
        if self.is_over(within) {
            let what = match left {
                Some(slot) => format!("{} instances are still there", seen.slots.of(slot).count),
                None => "the route is still there".to_owned(),
            };
            return self.pause(Trouble::TooSlow { what });
        }
        self.stay(Some(left.map_or(Command::Withdraw, Command::Empty)))
    }

    /// An abort: as long as nothing was ended, everything goes on as it was.
    pub(super) fn keep(mut self) -> Step {
        self.answered = true;
        let why = self.asked_why();
        let back = self.state.pinned.and_then(|pinned| pinned.previous);
        match (self.state.phase, back) {
            (Phase::Switching | Phase::Draining, Some(previous)) => {
                self.state.ending = Some(Ending { end: Phase::Aborted, why });
                self.state.evidence.back_decided_at = Some(self.look.at);
                self.enter(Phase::SwitchingBack, Some(Command::Route(Some(previous.slot))))
            }
            // Errored, and a person gives up: what was ended is ended, what is left can be asked for.
            (Phase::CleaningUp | Phase::SwitchingBack, _) => self.end(Phase::Failed, &why),
            _ => self.end(Phase::Aborted, &why),
        }
    }

    fn keeping(mut self) -> Step {
        let Some(back) = self.state.pinned.and_then(|pinned| pinned.previous) else {
            return self.lost_pins();
        };
        let within = self.rollout.policy.switch_within;
        if self.is_routed_to(Some(back.slot)) {
            self.state.evidence.back_confirmed_at = Some(self.look.at);
            let why = self.state.ending.as_ref().map_or("", |ending| &ending.why).to_owned();
            return self.end(Phase::Aborted, &why);
        }
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.pause(Trouble::NoWayBack { why: why.clone() });
        }
        if self.is_over(within) {
            let what = format!("traffic did not go back within {within:?}");
            return self.pause(Trouble::TooSlow { what });
        }
        self.stay(Some(Command::Route(Some(back.slot))))
    }
}
