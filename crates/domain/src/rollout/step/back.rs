//! The way back, and what a person's abort sets off. Nothing here asks anything of the new slot.

use super::{
    super::{Ending, Phase, Pinned, Trouble},
    Command, EMPTY_WITHIN, Reply, Step, Stepping, foreign,
};
use std::time::Duration;

impl Stepping<'_> {
    /// `end` where there is a previous slot, `first` on a first deploy.
    pub(super) fn switch_back(
        mut self,
        pinned: Pinned,
        end: Phase,
        first: Phase,
        why: &str,
    ) -> Step {
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

    pub(super) fn switching_back(mut self) -> Step {
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
            // It may have lost its addresses: the emptying of what a rollback leaves had begun.
            if let Some(slot) = back.filter(|_| !self.state.refilled) {
                self.state.refilled = true;
                return self.stay(Some(Command::Fill(slot)));
            }
            return self.pause(Trouble::NoWayBack { why: why.clone() });
        }
        if let Some(Reply::NoRoom(why)) = &self.look.reply {
            return self.pause(Trouble::NoRoom { why: why.clone() });
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

    pub(super) fn clean_up(mut self, end: Phase, why: &str) -> Step {
        self.state.ending = Some(Ending { end, why: why.to_owned() });
        self.enter(Phase::CleaningUp, None)
    }

    pub(super) fn cleaning_up(self) -> Step {
        let Some(Ending { end, why }) = self.state.ending.clone() else { return self.lost_pins() };
        let Some(pinned) = self.state.pinned else { return self.end(end, &why) };
        // A warm slot that was never switched to is as it was: it stays warm. So does what was to be
        // put back: it is what is live by our own record.
        let unused = end == Phase::Aborted && self.state.evidence.written_at.is_none();
        let elsewhere = self.look.seen.as_ref().is_ok_and(|seen| seen.routed != Some(pinned.new));
        if pinned.warm && unused || pinned.puts_back && elsewhere {
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

    /// Who asked for the end, and why.
    pub(super) fn asked_why(&self) -> String {
        self.rollout.request.as_ref().map_or_else(String::new, |request| {
            if request.reason.is_empty() {
                format!("{} asked for it", request.by_name)
            } else {
                format!("{}: {}", request.by_name, request.reason)
            }
        })
    }

    pub(super) fn abort(mut self) -> Step {
        self.answered = true;
        let why = self.asked_why();
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
}
