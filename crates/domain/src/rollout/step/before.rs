//! Before the switch: traffic has not moved, and whatever goes wrong costs nobody a request.

use super::{
    super::{Ask, Kind, Phase, Pinned, Trouble},
    Command, PATIENCE, Reply, Seen, SlotSeen, Step, Stepping,
};
use crate::{
    slot::Slot,
    target::{Finding, Verdict},
};
use std::time::Duration;

/// How long the release's own checks may take once it is ready.
const GATES_WITHIN: Duration = Duration::from_secs(10);
/// A new instance that died so often will not come up.
const CRASHES: u32 = 3;

impl Stepping<'_> {
    pub(super) fn queued(self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
        }
        self.enter(Phase::Preflight, Some(Command::Preflight))
    }

    pub(super) fn preflight(mut self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
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
        if self.puts_back() && seen.routed == self.look.live.map(|live| live.slot) {
            return self.end(Phase::Aborted, "traffic is there again, so nothing is put back");
        }
        let pinned = match self.pin(&seen, warm_ready) {
            Ok(pinned) => pinned,
            Err(what) => return self.pause(Trouble::ForeignHand { what }),
        };
        self.state.pinned = Some(pinned);
        // What was changed before is drift that the service's page shows, and no reason to stop.
        self.note_changes();
        if self.rollout.policy.approvals > 0 {
            return self.enter(Phase::AwaitingApproval, None);
        }
        self.begin()
    }

    /// Whether a person wants traffic to go again to what is live, from where a foreign hand sent it.
    fn puts_back(&self) -> bool {
        let live = self.look.live.map(|live| live.pair);
        self.rollout.kind == Kind::Rollback && live == Some(self.rollout.pair)
    }

    /// Which slot is new, who fills it and where the way back leads, from the target's own answer.
    fn pin(&self, seen: &Seen, warm_ready: bool) -> Result<Pinned, String> {
        if let Some(live) = self.look.live.filter(|_| self.puts_back()) {
            return Ok(Pinned {
                new: live.slot,
                maker: live.maker,
                previous: None,
                size: self.look.size,
                warm: warm_ready,
                puts_back: true,
            });
        }
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
            // What a hand changed since is not what was asked for: it is prepared anew.
            warm_ready
                && seen.slots.of(warm.slot).changed.is_none()
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
            puts_back: false,
        })
    }

    pub(super) fn awaiting_approval(self) -> Step {
        if !self.look.requester {
            return self.end(Phase::Aborted, "who asked for it may no longer sign in");
        }
        if self.is_past(self.rollout.policy.expire_after) {
            return self.end(Phase::Aborted, "nobody approved it in time");
        }
        self.stay(None)
    }

    /// Preflight and approval are behind us: fill the slot, or switch at once where it is warm.
    pub(super) fn begin(self) -> Step {
        let Some(pinned) = self.state.pinned else { return self.lost_pins() };
        if pinned.warm {
            return self.switch(pinned);
        }
        self.enter(Phase::Preparing, Some(Command::Fill(pinned.new)))
    }

    pub(super) fn preparing(mut self) -> Step {
        let (pinned, seen) = match self.before_switch(self.rollout.policy.prepare_within) {
            Ok(both) => both,
            Err(step) => return *step,
        };
        if let Some(Reply::Refused(why)) = &self.look.reply {
            return self.clean_up(Phase::Failed, &why.clone());
        }
        if let Some(Reply::NoRoom(why)) = &self.look.reply {
            return self.pause(Trouble::NoRoom { why: why.clone() });
        }
        let new = seen.slots.of(pinned.new);
        if new.restarts >= CRASHES {
            return self.clean_up(Phase::Failed, &crashed(new));
        }
        if new.in_route >= pinned.size {
            self.state.passes = 0;
            return self.enter(Phase::Verifying, Some(Command::Probe(pinned.new)));
        }
        if self.is_late(self.rollout.policy.prepare_within) {
            let why = new.exited.clone().map_or_else(
                || format!("{} of {} instances started in time", new.in_route, pinned.size),
                |exited| format!("an instance does not stay up: {exited}"),
            );
            return self.clean_up(Phase::Failed, &why);
        }
        self.stay(Some(Command::Fill(pinned.new)))
    }

    pub(super) fn verifying(mut self) -> Step {
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
            if self.is_late(within + GATES_WITHIN) {
                return self.clean_up(Phase::Failed, "its own checks were not answered in time");
            }
            return self.stay(Some(Command::Gates));
        }
        if self.is_late(within) {
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

    pub(super) fn awaiting_promotion(mut self, ask: Option<Ask>) -> Step {
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
        if let Some(trouble) = self.hand(&pinned, &seen, &[expected]) {
            return Err(Box::new(self.take().pause(trouble)));
        }
        Ok((pinned, seen))
    }
}

fn crashed(slot: &SlotSeen) -> String {
    let why = slot.exited.as_deref().unwrap_or("no reason was given");
    format!("its instances died {} times: {why}", slot.restarts)
}
