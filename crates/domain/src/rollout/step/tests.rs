use super::{super::Pinned, *};
use crate::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId, UserId},
    policy::Policy,
    release::Pair,
    rollout::Request,
    target::{Second, SlotTraffic, Verdict},
};
use time::macros::datetime;
use uuid::Uuid;

const START: OffsetDateTime = datetime!(2026-05-03 12:00 UTC);

fn pair(n: u128) -> Pair {
    Pair {
        release: ReleaseId(Uuid::from_u128(n)),
        configuration: ConfigurationId(Uuid::from_u128(n)),
    }
}

fn maker(n: u128) -> RolloutId {
    RolloutId(Uuid::from_u128(n))
}

fn previous() -> Previous {
    Previous { slot: Slot::Green, maker: maker(1), pair: pair(1) }
}

fn rollout(kind: Kind, state: State, ask: Option<Ask>) -> Rollout {
    Rollout {
        id: maker(2),
        placement: PlacementId(Uuid::from_u128(9)),
        kind,
        pair: pair(2),
        policy: Policy::of_new(false),
        state,
        request: ask.map(|what| Request {
            what,
            by: UserId(Uuid::from_u128(7)),
            by_name: "Ana".to_owned(),
            reason: "because".to_owned(),
        }),
    }
}

fn pinned(first: bool, warm: bool) -> Pinned {
    Pinned {
        new: Slot::Blue,
        maker: maker(if warm { 3 } else { 2 }),
        previous: (!first).then(previous),
        size: 1,
        warm,
        puts_back: false,
    }
}

/// Blue is live, and a hand sent the traffic away.
fn putting_back(warm: bool) -> Pinned {
    Pinned { maker: maker(3), puts_back: true, ..pinned(true, warm) }
}

fn state(phase: Phase, first: bool, warm: bool) -> State {
    let mut state = State::queued(START);
    state.phase = phase;
    if !matches!(phase, Phase::Queued | Phase::Preflight) {
        state.pinned = Some(pinned(first, warm));
    }
    if matches!(phase, Phase::SwitchingBack | Phase::CleaningUp) {
        state.ending = Some(Ending { end: Phase::RolledBack, why: "bad".to_owned() });
    }
    if phase >= Phase::Switching {
        state.evidence.written_at = Some(START);
    }
    state
}

fn finding(verdict: Verdict) -> Finding {
    Finding { question: "Room".to_owned(), verdict, detail: "none".to_owned() }
}

fn look(at: OffsetDateTime, seen: Result<Seen, String>, reply: Option<Reply>) -> Look<'static> {
    Look {
        at,
        watched: Duration::MAX,
        asked: Duration::MAX,
        requester: true,
        live: Some(previous()),
        warm: None,
        size: 1,
        budget: Duration::from_secs(60),
        seen,
        reply,
        traffic: None,
        baseline: None,
    }
}

fn sights() -> Vec<Result<Seen, String>> {
    let mut all = vec![Err("refused".to_owned())];
    for routed in [None, Some(Slot::Blue), Some(Slot::Green)] {
        let hands = [(None, false), (None, true), (Some("uid 0".to_owned()), false)];
        for (foreign, arriving) in hands {
            for (new, old) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                for in_flight in [None, Some(0), Some(3)] {
                    let slot = |running: u16| SlotSeen {
                        running,
                        in_route: running,
                        count: running,
                        restarts: 0,
                        exited: (running == 0).then(|| "exit code 1".to_owned()),
                        in_flight,
                        changed: None,
                    };
                    all.push(Ok(Seen {
                        routed,
                        arriving,
                        foreign: foreign.clone(),
                        written_at: None,
                        slots: PerSlot { blue: slot(new), green: slot(old) },
                    }));
                }
            }
        }
    }
    all
}

fn replies() -> Vec<Option<Reply>> {
    vec![
        None,
        Some(Reply::Findings { findings: vec![finding(Verdict::Pass)], warm_ready: true }),
        Some(Reply::Findings { findings: vec![finding(Verdict::Refuse)], warm_ready: false }),
        Some(Reply::Ready { unready: None }),
        Some(Reply::Ready { unready: Some("503".to_owned()) }),
        Some(Reply::Gates(vec![finding(Verdict::Pass)])),
        Some(Reply::Gates(vec![finding(Verdict::Refuse)])),
        Some(told(Some(Slot::Blue))),
        Some(told(Some(Slot::Green))),
        Some(told(None)),
        Some(Reply::Refused("no".to_owned())),
        Some(Reply::NoRoom("no /24 is free.".to_owned())),
        Some(Reply::Withdrawn),
    ]
}

fn told(live: Option<Slot>) -> Reply {
    Reply::Routed(Routed { live, applied_at: START, took: Duration::from_millis(8) })
}

fn troubles() -> Vec<Option<Trouble>> {
    vec![
        None,
        Some(Trouble::ForeignHand { what: "uid 0".to_owned() }),
        Some(Trouble::Unreachable { why: "refused".to_owned() }),
    ]
}

/// Every kind, phase, trouble, request, sight, reply, and both sides of every deadline.
fn everything(mut check: impl FnMut(&Rollout, &Look<'_>, &Step)) {
    for kind in [Kind::Deploy, Kind::Rollback] {
        for phase in Phase::ALL {
            let pins = [
                pinned(false, false),
                pinned(true, false),
                pinned(false, true),
                putting_back(false),
                putting_back(true),
            ];
            for pinned in pins {
                if pinned.puts_back && kind == Kind::Deploy {
                    continue;
                }
                for trouble in troubles() {
                    for ask in [None, Some(Ask::Abort), Some(Ask::Promote), Some(Ask::Retry)] {
                        let mut state = state(phase, false, false);
                        state.pinned = state.pinned.map(|_| pinned);
                        state.trouble.clone_from(&trouble);
                        let rollout = rollout(kind, state, ask);
                        for seen in sights() {
                            for reply in replies() {
                                for hours in [0, 48] {
                                    let at = START + time::Duration::hours(hours);
                                    let look = look(at, seen.clone(), reply.clone());
                                    check(&rollout, &look, &step(&rollout, &look));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The rule a user cares about most, and every other one, on every phase and observation.
#[test]
fn what_must_always_hold_holds_in_every_state() {
    everything(|rollout, look, step| {
        let (was, now) = (&rollout.state, &step.state);
        let at = || format!("{rollout:?}\n{look:?}\n{step:?}");
        let routed = look.seen.as_ref().ok().and_then(|seen| seen.routed);

        // The slot that serves is never stopped, and nothing is stopped unseen.
        if let Some(Command::Empty(slot)) = step.command {
            assert!(look.seen.is_ok() && routed != Some(slot), "{}", at());
            // Nor what is live by our own record, wherever a hand sent the traffic.
            assert!(!now.pinned.is_some_and(|pinned| pinned.puts_back), "{}", at());
        }
        // Nor is it refilled with something else.
        if let Some(Command::Fill(slot)) = step.command {
            let back = now.phase == Phase::SwitchingBack;
            let same = now.pinned.is_some_and(|pinned| pinned.puts_back);
            assert!(routed != Some(slot) || back || same, "{}", at());
        }
        // Forward is written in one phase only, back in one only, and to where it came from.
        let before = now.pinned.and_then(|pinned| pinned.previous).map(|previous| previous.slot);
        match step.command {
            Some(Command::Route(Some(Slot::Blue))) => {
                assert_eq!(now.phase, Phase::Switching, "{}", at());
            }
            Some(Command::Route(to)) => {
                assert_eq!((now.phase, to), (Phase::SwitchingBack, before), "{}", at());
            }
            _ => {}
        }
        // What ended stays ended; what is errored waits for a person.
        if was.phase.is_end() {
            assert_eq!((now, step.command), (was, None), "{}", at());
        }
        if was.trouble.is_some() && !step.answered {
            assert_eq!((now, step.command), (was, None), "{}", at());
        }
        // A rollback never goes back by itself.
        if rollout.kind == Kind::Rollback && now.phase == Phase::SwitchingBack {
            // But what was asked to be cleaned up and got the traffic late gives it back.
            let late = was.phase == Phase::CleaningUp;
            assert!(was.phase == now.phase || step.answered || late, "{}", at());
        }
        // An abort is heard wherever there is something to abort, and never leads forward.
        if rollout.request.as_ref().is_some_and(|request| request.what == Ask::Abort)
            && rollout.accept(Ask::Abort) != Err(super::super::Refusal::Ended)
            && !was.phase.is_end()
        {
            // Where it decides what is live it waits until the target says so.
            let blind =
                was.trouble.is_some() && was.phase == Phase::SwitchingBack && look.seen.is_err();
            assert!(step.answered != blind, "{}", at());
            assert!(now.phase > Phase::Draining || now.phase == was.phase, "{}", at());
        }
        // An end says why, unless it is the good one.
        if now.phase.is_end() && now.phase != Phase::Superseded && !was.phase.is_end() {
            let why = now.ending.as_ref().map(|ending| ending.why.as_str());
            assert!(why.is_some_and(|why| now.phase == Phase::Succeeded || !why.is_empty()));
        }
    });
}

#[test]
fn phases_follow_the_drawing() {
    use Phase::*;
    let edges = [
        (Queued, &[Preflight, Aborted][..]),
        (Preflight, &[AwaitingApproval, Preparing, Switching, Failed, Aborted]),
        (AwaitingApproval, &[Preparing, Switching, Aborted]),
        (Preparing, &[Verifying, CleaningUp]),
        (Verifying, &[AwaitingPromotion, Switching, CleaningUp]),
        (AwaitingPromotion, &[Switching, CleaningUp]),
        (Switching, &[Observing, SwitchingBack, CleaningUp]),
        (Observing, &[Draining, SwitchingBack]),
        (Draining, &[Succeeded, SwitchingBack]),
        (SwitchingBack, &[CleaningUp, Failed]),
        (CleaningUp, &[SwitchingBack, Failed, Aborted, RolledBack]),
    ];
    everything(|rollout, look, step| {
        let (from, to) = (rollout.state.phase, step.state.phase);
        let drawn = edges.iter().any(|(a, all)| *a == from && all.contains(&to));
        assert!(from == to || drawn, "{from} -> {to}\n{rollout:?}\n{look:?}");
    });
}

#[test]
fn nothing_is_switched_to_that_did_not_prove_itself() {
    everything(|rollout, look, step| {
        if step.state.phase == Phase::Switching && rollout.state.phase == Phase::Verifying {
            assert!(rollout.state.passes >= rollout.policy.passes);
            assert!(matches!(look.reply, Some(Reply::Gates(_))));
        }
        if step.state.phase == Phase::Switching && rollout.state.phase == Phase::AwaitingPromotion {
            assert!(step.answered);
        }
    });
}

/// Dead or alive, the new slot has no say in the way back.
#[test]
fn the_way_back_asks_nothing_of_the_new_slot() {
    for first in [false, true] {
        for mut seen in sights().into_iter().flatten() {
            for reply in [None, Some(told(Some(Slot::Green)))] {
                let rollout =
                    rollout(Kind::Deploy, state(Phase::SwitchingBack, first, false), None);
                let alive = step(&rollout, &look(START, Ok(seen.clone()), reply.clone()));
                seen.slots.blue = SlotSeen::default();
                let dead = step(&rollout, &look(START, Ok(seen.clone()), reply.clone()));
                assert_eq!(alive, dead, "{seen:?}");
            }
        }
    }
}

/// The click and the breach may cross: the way back is gone to its end all the same.
#[test]
fn an_abort_that_comes_late_does_not_cut_the_way_back_short() {
    for phase in [Phase::SwitchingBack, Phase::CleaningUp] {
        for seen in sights() {
            let state = state(phase, false, false);
            let asked = rollout(Kind::Deploy, state.clone(), Some(Ask::Abort));
            let alone = rollout(Kind::Deploy, state, None);
            let look = look(START, seen, None);

            let (asked, alone) = (step(&asked, &look), step(&alone, &look));

            assert!(asked.answered);
            assert_eq!((asked.state, asked.command), (alone.state, alone.command));
        }
    }
}

#[test]
fn an_unreachable_engine_does_not_keep_traffic_on_a_bad_slot() {
    let rollout = rollout(Kind::Deploy, state(Phase::SwitchingBack, false, false), None);

    let step = step(&rollout, &look(START, Err("no engine".to_owned()), None));

    assert_eq!(step.command, Some(Command::Route(Some(Slot::Green))));
}

#[test]
fn a_disabled_requester_ends_what_was_not_begun() {
    for phase in [Phase::Queued, Phase::Preflight, Phase::AwaitingApproval] {
        let rollout = rollout(Kind::Deploy, state(phase, false, false), None);
        let mut look = look(START, sights()[9].clone(), None);
        look.requester = false;
        assert_eq!(step(&rollout, &look).state.phase, Phase::Aborted);
    }
}

/// A target in a few lines, to run whole rollouts: commands take effect at once.
#[derive(Clone, Debug)]
struct World {
    at: OffsetDateTime,
    routed: Option<Slot>,
    blue: u16,
    green: u16,
    failing: bool,
    wrong_version: bool,
    warm_ready: bool,
    history: Vec<Phase>,
}

impl World {
    fn new(first: bool) -> Self {
        Self {
            at: START,
            routed: (!first).then_some(Slot::Green),
            blue: 0,
            green: u16::from(!first),
            failing: false,
            wrong_version: false,
            warm_ready: false,
            history: Vec::new(),
        }
    }

    fn perform(&mut self, command: Option<Command>) -> Option<Reply> {
        match command? {
            Command::Preflight => {
                let findings = vec![finding(Verdict::Pass)];
                Some(Reply::Findings { findings, warm_ready: self.warm_ready })
            }
            Command::Fill(slot) => {
                *self.count(slot) = 1;
                None
            }
            Command::Empty(slot) => {
                assert_ne!(self.routed, Some(slot), "the serving slot was emptied");
                *self.count(slot) = 0;
                None
            }
            Command::Probe(slot) => {
                let unready = (*self.count(slot) == 0).then(|| "gone".to_owned());
                Some(Reply::Ready { unready })
            }
            Command::Gates => {
                let verdict = if self.wrong_version { Verdict::Refuse } else { Verdict::Pass };
                Some(Reply::Gates(vec![finding(verdict)]))
            }
            Command::Route(to) => {
                self.routed = to;
                Some(Reply::Routed(Routed {
                    live: to,
                    applied_at: self.at,
                    took: Duration::from_millis(8),
                }))
            }
            Command::CloseStreams(_) => None,
            Command::Withdraw => {
                assert_eq!((self.routed, self.blue, self.green), (None, 0, 0));
                Some(Reply::Withdrawn)
            }
        }
    }

    fn count(&mut self, slot: Slot) -> &mut u16 {
        match slot {
            Slot::Blue => &mut self.blue,
            Slot::Green => &mut self.green,
        }
    }

    fn traffic(&self) -> Traffic {
        let second = |at, slot| Second {
            at,
            requests: u32::from(self.routed == Some(slot)) * 100,
            failures: u32::from(self.routed == Some(slot) && slot == Slot::Blue && self.failing)
                * 50,
            latencies: vec![(2000, 100)],
            longest_gap_ms: 10,
        };
        let slot = |slot| SlotTraffic {
            in_flight: Some(0),
            seconds: vec![second(self.at.unix_timestamp(), slot)],
            ..SlotTraffic::default()
        };
        Traffic {
            boot: "b".to_owned(),
            witness: "router".to_owned(),
            unseen: String::new(),
            now: self.at.unix_timestamp(),
            slots: PerSlot { blue: slot(Slot::Blue), green: slot(Slot::Green) },
        }
    }

    /// Runs to an end. `crash` is the step after which the reply is lost, as after `kill -9`, and
    /// the saved state is read again.
    fn run(&mut self, rollout: &mut Rollout, crash: Option<usize>) {
        let first = self.routed.is_none() && self.green == 0;
        let mut reply = None;
        for turn in 0..1000 {
            self.at += time::Duration::milliseconds(500);
            let traffic = self.traffic();
            let slot = |running| SlotSeen {
                running,
                in_route: running,
                count: running,
                in_flight: Some(0),
                ..SlotSeen::default()
            };
            let mut look = look(
                self.at,
                Ok(Seen {
                    routed: self.routed,
                    arriving: false,
                    foreign: None,
                    written_at: None,
                    slots: PerSlot { blue: slot(self.blue), green: slot(self.green) },
                }),
                reply.take(),
            );
            look.traffic = Some(&traffic);
            if first {
                look.live = None;
            }
            let step = step(rollout, &look);
            if step.state.phase != rollout.state.phase {
                self.history.push(step.state.phase);
            }
            let stored = serde_json::to_string(&step.state).expect("a state is JSON");
            rollout.state = serde_json::from_str(&stored).expect("and can be read again");
            if step.answered {
                rollout.request = None;
            }
            if rollout.state.phase.is_end() {
                return;
            }
            reply = self.perform(step.command);
            if crash == Some(turn) {
                reply = None;
            }
        }
        panic!("never ended: {rollout:?}");
    }
}

#[test]
fn a_good_deploy_goes_through_every_phase_once() {
    let mut world = World::new(false);
    let mut rollout = rollout(Kind::Deploy, State::queued(START), None);

    world.run(&mut rollout, None);

    use Phase::*;
    let all = [Preflight, Preparing, Verifying, Switching, Observing, Draining, Succeeded];
    assert_eq!(world.history, all);
    assert_eq!(world.routed, Some(Slot::Blue));
    assert_eq!(rollout.state.observation.seconds, 60);
}

#[test]
fn a_crash_after_any_step_ends_in_the_same_place_with_one_row_per_phase() {
    let run = |first: bool, failing: bool, crash| {
        let mut world = World::new(first);
        world.failing = failing;
        let mut rollout = rollout(Kind::Deploy, State::queued(START), None);
        world.run(&mut rollout, crash);
        (rollout.state.phase, world.history, world.routed, world.blue, world.green)
    };

    for first in [false, true] {
        for failing in [false, true] {
            let expected = run(first, failing, None);
            for crash in 0..160 {
                assert_eq!(run(first, failing, Some(crash)), expected, "crash after {crash}");
            }
        }
    }
}

#[test]
fn a_bad_version_is_taken_back_within_three_seconds_of_the_switch() {
    let mut world = World::new(false);
    world.failing = true;
    let mut rollout = rollout(Kind::Deploy, State::queued(START), None);

    world.run(&mut rollout, None);

    assert_eq!(rollout.state.phase, Phase::RolledBack);
    assert_eq!((world.routed, world.blue, world.green), (Some(Slot::Green), 0, 1));
    let evidence = &rollout.state.evidence;
    let took = evidence.back_confirmed_at.expect("went back")
        - evidence.confirmed_at.expect("was switched");
    assert!(took <= time::Duration::seconds(3), "{took}");
}

/// It broke in the last second of observing: the next window tells, not the clock.
#[test]
fn what_was_broken_last_is_not_proven() {
    let observed = |open: u32| {
        let mut state = state(Phase::Observing, false, false);
        state.observation.seconds = 60;
        state.observation.broken_in_a_row = 1;
        state.observation.open.seconds = open;
        let rollout = rollout(Kind::Deploy, state, None);
        let slot = || SlotSeen { running: 1, in_route: 1, count: 1, ..SlotSeen::default() };
        let slots = PerSlot { blue: slot(), green: slot() };
        let seen = Seen {
            routed: Some(Slot::Blue),
            arriving: false,
            foreign: None,
            written_at: None,
            slots,
        };
        let reply = Some(Reply::Ready { unready: None });
        step(&rollout, &look(START, Ok(seen), reply)).state.phase
    };

    assert_eq!(observed(3), Phase::Observing);
    assert_eq!(observed(60), Phase::Draining, "and without requests it does not wait for ever");
}

#[test]
fn a_first_deploy_that_is_bad_ends_failed_and_routed_to_none() {
    let mut world = World::new(true);
    world.failing = true;
    let mut rollout = rollout(Kind::Deploy, State::queued(START), None);

    world.run(&mut rollout, None);

    assert_eq!((rollout.state.phase, world.routed, world.blue), (Phase::Failed, None, 0));
}

#[test]
fn a_wrong_version_string_never_gets_traffic() {
    let mut world = World::new(false);
    world.wrong_version = true;
    let mut rollout = rollout(Kind::Deploy, State::queued(START), None);

    world.run(&mut rollout, None);

    assert_eq!((rollout.state.phase, world.routed), (Phase::Failed, Some(Slot::Green)));
    assert!(!world.history.contains(&Phase::Switching));
}

#[test]
fn a_breach_in_a_rollback_is_an_alarm_and_no_swing_back() {
    let mut world = World::new(false);
    world.failing = true;
    let mut rollout = rollout(Kind::Rollback, State::queued(START), None);

    world.run(&mut rollout, None);

    assert_eq!((rollout.state.phase, world.routed), (Phase::Succeeded, Some(Slot::Blue)));
    assert!(rollout.state.alarm.is_some());
    assert_eq!(world.green, 0, "what a rollback leaves is not kept");
}

#[test]
fn an_abort_in_any_phase_leaves_the_old_slot_serving() {
    for turn in 0..150 {
        let mut world = World::new(false);
        let mut rollout = rollout(Kind::Deploy, State::queued(START), None);
        let mut reply = None;
        for _ in 0..turn {
            world.at += time::Duration::milliseconds(500);
            let slot = |running| SlotSeen {
                running,
                in_route: running,
                count: running,
                in_flight: Some(0),
                ..SlotSeen::default()
            };
            let slots = PerSlot { blue: slot(world.blue), green: slot(world.green) };
            let seen = Seen {
                routed: world.routed,
                arriving: false,
                foreign: None,
                written_at: None,
                slots,
            };
            let traffic = world.traffic();
            let mut look = look(world.at, Ok(seen), reply.take());
            look.traffic = Some(&traffic);
            let step = step(&rollout, &look);
            rollout.state = step.state;
            reply = world.perform(step.command);
        }
        if rollout.state.phase.is_end() {
            continue;
        }
        rollout.request =
            self::rollout(Kind::Deploy, State::queued(START), Some(Ask::Abort)).request;
        world.run(&mut rollout, None);

        assert_eq!((world.routed, world.blue), (Some(Slot::Green), 0), "aborted in turn {turn}");
        let end = rollout.state.phase;
        assert!(matches!(end, Phase::Aborted | Phase::RolledBack), "{end}");
    }
}

fn seen(routed: Slot) -> Seen {
    let slot =
        SlotSeen { running: 1, in_route: 1, count: 1, in_flight: Some(0), ..SlotSeen::default() };
    let slots = PerSlot { blue: slot.clone(), green: slot };
    Seen { routed: Some(routed), arriving: false, foreign: None, written_at: None, slots }
}

/// A cluster's nodes learn of a write one after the other.
#[test]
fn a_switch_is_over_when_the_target_follows_it_and_the_way_back_waits_for_nothing() {
    let arriving = |phase, to| {
        let rollout = rollout(Kind::Deploy, state(phase, false, false), None);
        let step = step(&rollout, &look(START, Ok(Seen { arriving: true, ..seen(to) }), None));
        (step.state.phase, step.command)
    };

    let forth = arriving(Phase::Switching, Slot::Blue);
    assert_eq!(forth, (Phase::Switching, Some(Command::Route(Some(Slot::Blue)))));
    assert_eq!(arriving(Phase::SwitchingBack, Slot::Green).0, Phase::CleaningUp);
}

/// Its address is to be in the route before anything counts on it.
#[test]
fn what_runs_and_can_not_be_reached_is_not_prepared() {
    let preparing = rollout(Kind::Deploy, state(Phase::Preparing, false, false), None);
    let mut sight = seen(Slot::Green);
    sight.slots.blue.in_route = 0;

    let hidden = step(&preparing, &look(START, Ok(sight), None));
    let reached = step(&preparing, &look(START, Ok(seen(Slot::Green)), None));

    assert_eq!(hidden.command, Some(Command::Fill(Slot::Blue)));
    assert_eq!(reached.state.phase, Phase::Verifying);
}

/// Its addresses may be gone from the route: a rollback had begun to empty it.
#[test]
fn a_refused_way_back_is_filled_again_once() {
    let refused = || look(START, Ok(seen(Slot::Blue)), Some(Reply::Refused("empty".to_owned())));
    let back = rollout(Kind::Rollback, state(Phase::SwitchingBack, false, false), None);

    let filled = step(&back, &refused());
    let again = step(&rollout(Kind::Rollback, filled.state.clone(), None), &refused());

    assert_eq!((filled.command, &filled.state.trouble), (Some(Command::Fill(Slot::Green)), &None));
    assert!(matches!(again.state.trouble, Some(Trouble::NoWayBack { .. })));
}

/// A hand withdrew the traffic, or sent it to a slot of which nothing is known.
#[test]
fn what_a_hand_sent_away_is_put_back_in_one_switch_and_nothing_is_removed() {
    for routed in [None, Some(Slot::Blue)] {
        let mut world = World::new(false);
        world.routed = routed;
        world.warm_ready = true;
        let mut back = rollout(Kind::Rollback, State::queued(START), None);
        back.pair = previous().pair;

        world.run(&mut back, None);

        use Phase::*;
        assert_eq!(world.history, [Preflight, Switching, Observing, Draining, Succeeded]);
        assert_eq!((world.routed, world.green), (Some(Slot::Green), 1));
    }
}

#[test]
fn what_is_there_again_by_itself_is_not_put_back() {
    let mut world = World::new(false);
    let mut back = rollout(Kind::Rollback, State::queued(START), None);
    back.pair = previous().pair;

    world.run(&mut back, None);

    assert_eq!((back.state.phase, world.green), (Phase::Aborted, 1));
}

/// After an outage of ours the deadline has passed, and nobody has tried yet.
#[test]
fn a_deadline_that_passed_while_we_were_away_is_no_reason_to_give_up() {
    for (phase, routed) in [
        (Phase::Preflight, Slot::Green),
        (Phase::Preparing, Slot::Green),
        (Phase::Verifying, Slot::Green),
        (Phase::Switching, Slot::Green),
        (Phase::Observing, Slot::Blue),
        (Phase::SwitchingBack, Slot::Blue),
    ] {
        let rollout = rollout(Kind::Deploy, state(phase, false, false), None);
        for mut sight in [Ok(seen(routed)), Err("the engine starts too".to_owned())] {
            if let (Ok(seen), Phase::Preparing) = (&mut sight, phase) {
                seen.slots.blue = SlotSeen::default();
            }
            let mut look = look(START + time::Duration::hours(1), sight, None);
            (look.watched, look.asked) = (Duration::ZERO, Duration::ZERO);

            let back = step(&rollout, &look);
            (look.watched, look.asked) = (Duration::from_secs(20), Duration::from_secs(20));
            let tried = step(&rollout, &look);

            assert_eq!((back.state.phase, &back.state.trouble), (phase, &None));
            let gave_up = tried.state.trouble.is_some() || tried.state.phase == Phase::CleaningUp;
            assert!(gave_up || phase == Phase::Observing, "{phase} {tried:?}");
        }
    }
}

/// The engine was away for most of the time that verifying may take.
#[test]
fn a_release_is_not_late_while_nobody_can_ask_it() {
    for (phase, asked, end) in [
        (Phase::Verifying, 5, Phase::Verifying),
        (Phase::Verifying, 15, Phase::CleaningUp),
        (Phase::Preparing, 5, Phase::Preparing),
        (Phase::Preparing, 15, Phase::CleaningUp),
    ] {
        let rollout = rollout(Kind::Deploy, state(phase, false, false), None);
        let mut sight = seen(Slot::Green);
        if phase == Phase::Preparing {
            sight.slots.blue = SlotSeen::default();
        }
        let unready = Some(Reply::Ready { unready: Some("503".to_owned()) });
        let mut look = look(START + time::Duration::hours(1), Ok(sight), unready);
        look.asked = Duration::from_secs(asked);
        assert_eq!(step(&rollout, &look).state.phase, end, "{phase} {asked} s");
    }
}

#[test]
fn what_the_witness_does_not_say_is_not_drained() {
    let mut silent = seen(Slot::Blue);
    silent.slots.green.in_flight = None;
    let draining = rollout(Kind::Rollback, state(Phase::Draining, false, false), None);
    assert_eq!(step(&draining, &look(START, Ok(silent), None)).command, None);

    let mut silent = seen(Slot::Green);
    silent.slots.blue.in_flight = None;
    let cleaning = rollout(Kind::Deploy, state(Phase::CleaningUp, false, false), None);
    assert_eq!(step(&cleaning, &look(START, Ok(silent), None)).command, None);
}

#[test]
fn an_instance_that_died_once_before_it_was_verified_is_not_taken_back_for_it() {
    let mut state = state(Phase::Verifying, false, false);
    state.passes = 3;
    let mut sight = seen(Slot::Green);
    sight.slots.blue.restarts = 1;
    let gates = Some(Reply::Gates(Vec::new()));
    let switched = step(&rollout(Kind::Deploy, state, None), &look(START, Ok(sight), gates));
    assert_eq!(switched.state.phase, Phase::Switching);

    let mut state = switched.state;
    state.phase = Phase::Observing;
    let second = |at| Second { at, ..Second::default() };
    let slot = SlotTraffic { seconds: vec![second(1)], ..SlotTraffic::default() };
    let slots = PerSlot { blue: slot.clone(), green: slot };
    let traffic = Traffic {
        boot: "b".to_owned(),
        witness: "router".to_owned(),
        unseen: String::new(),
        now: 2,
        slots,
    };
    for (restarts, broken) in [(1, 0), (2, 1)] {
        let mut sight = seen(Slot::Blue);
        sight.slots.blue.restarts = restarts;
        let mut look = look(START, Ok(sight), Some(Reply::Ready { unready: None }));
        look.traffic = Some(&traffic);
        let step = step(&rollout(Kind::Deploy, state.clone(), None), &look);
        assert_eq!(step.state.observation.broken_in_a_row, broken, "{restarts} restarts");
    }
}

/// Aborted while the write was on its way: it comes after the look that did not see it.
#[test]
fn a_switch_that_comes_late_is_taken_back_once() {
    let mut state = state(Phase::CleaningUp, false, false);
    state.ending = Some(Ending { end: Phase::Aborted, why: "asked".to_owned() });
    let late = step(&rollout(Kind::Deploy, state, None), &look(START, Ok(seen(Slot::Blue)), None));
    assert_eq!(late.command, Some(Command::Route(Some(Slot::Green))));
    assert_eq!(late.state.ending.as_ref().map(|ending| ending.end), Some(Phase::RolledBack));

    let mut state = late.state;
    state.phase = Phase::CleaningUp;
    let again = step(&rollout(Kind::Deploy, state, None), &look(START, Ok(seen(Slot::Blue)), None));
    assert!(matches!(again.state.trouble, Some(Trouble::ForeignHand { .. })));
}

#[test]
fn what_is_live_is_not_decided_while_the_target_is_silent() {
    let mut state = state(Phase::SwitchingBack, false, false);
    state.trouble = Some(Trouble::NoWayBack { why: "the image is gone".to_owned() });
    let rollout = rollout(Kind::Deploy, state, Some(Ask::Abort));

    let blind = step(&rollout, &look(START, Err("no engine".to_owned()), None));
    let seeing = step(&rollout, &look(START, Ok(seen(Slot::Blue)), None));

    assert_eq!((blind.answered, blind.state.phase), (false, Phase::SwitchingBack));
    assert_eq!((seeing.answered, seeing.state.phase), (true, Phase::Failed));
}

#[test]
fn a_switch_seen_after_a_crash_is_dated_by_the_target() {
    let mut state = state(Phase::Switching, false, false);
    state.evidence.written_at = Some(START);
    let mut sight = seen(Slot::Blue);
    sight.written_at = Some(START + time::Duration::milliseconds(7));
    let after = START + time::Duration::seconds(90);

    let step = step(&rollout(Kind::Deploy, state, None), &look(after, Ok(sight), None));

    assert_eq!(step.state.evidence.switched_in_ms, Some(7));
    assert_eq!(step.state.observation.read_to, START.unix_timestamp() - 1);
}

#[test]
fn checks_of_the_release_that_never_answer_end_the_rollout() {
    let mut state = state(Phase::Verifying, false, false);
    state.passes = 3;
    let late = look(START + time::Duration::hours(1), Ok(seen(Slot::Green)), None);

    let step = step(&rollout(Kind::Deploy, state, None), &late);

    assert_eq!(step.state.phase, Phase::CleaningUp);
}

/// Every phase, trouble, request, sight, reply, and both sides of every deadline of a removal.
fn every_removal(mut check: impl FnMut(&Rollout, &Look<'_>, &Step)) {
    for phase in Phase::ALL {
        for first in [false, true] {
            for trouble in troubles() {
                for ask in [None, Some(Ask::Abort), Some(Ask::Retry)] {
                    let mut state = state(phase, first, false);
                    state.trouble.clone_from(&trouble);
                    let rollout = rollout(Kind::Remove, state, ask);
                    for seen in sights() {
                        for reply in replies() {
                            for hours in [0, 48] {
                                let at = START + time::Duration::hours(hours);
                                let look = look(at, seen.clone(), reply.clone());
                                check(&rollout, &look, &step(&rollout, &look));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_removal_ends_nothing_that_still_gets_requests_and_starts_nothing() {
    every_removal(|rollout, look, step| {
        let at = || format!("{rollout:?}\n{look:?}\n{step:?}");
        let seen = look.seen.as_ref().ok();
        match step.command {
            Some(Command::Empty(_)) => {
                assert!(seen.is_some_and(|seen| seen.routed.is_none()), "{}", at());
                assert_eq!(step.state.phase, Phase::CleaningUp, "{}", at());
            }
            Some(Command::Withdraw) => {
                let empty = |slot| seen.is_some_and(|seen| seen.slots.of(slot).count == 0);
                assert!(empty(Slot::Blue) && empty(Slot::Green), "{}", at());
            }
            Some(Command::Route(Some(slot))) => {
                assert_eq!(
                    (step.state.phase, slot),
                    (Phase::SwitchingBack, Slot::Green),
                    "{}",
                    at()
                );
            }
            Some(Command::CloseStreams(_) | Command::Route(None)) | None => {}
            Some(other) => panic!("{other:?}: {}", at()),
        }
        let (was, now) = (&rollout.state, &step.state);
        if was.phase.is_end() || was.trouble.is_some() && !step.answered {
            assert_eq!((now, step.command), (was, None), "{}", at());
        }
        // It has succeeded only once the target itself said that the route is gone.
        if now.phase == Phase::Succeeded && !was.phase.is_end() {
            assert_eq!(look.reply, Some(Reply::Withdrawn), "{}", at());
        }
    });
}

#[test]
fn a_removal_that_crashes_after_any_step_ends_with_nothing_left() {
    let run = |crash| {
        let mut world = World::new(false);
        world.blue = 1;
        let mut rollout = rollout(Kind::Remove, State::queued(START), None);
        world.run(&mut rollout, crash);
        (rollout.state.phase, world.history, world.routed, world.blue, world.green)
    };

    use Phase::*;
    let phases = vec![Preflight, Switching, Draining, CleaningUp, Succeeded];
    for crash in (0..20).map(Some).chain([None]) {
        assert_eq!(run(crash), (Succeeded, phases.clone(), None, 0, 0), "crash after {crash:?}");
    }
}

#[test]
fn an_abort_of_a_removal_gives_the_requests_back_as_long_as_nothing_was_ended() {
    for phase in [Phase::Switching, Phase::Draining] {
        let rollout = rollout(Kind::Remove, state(phase, false, false), Some(Ask::Abort));

        let step = step(&rollout, &look(START, sights()[9].clone(), None));

        assert!(step.answered);
        assert_eq!(step.state.phase, Phase::SwitchingBack);
        assert_eq!(step.command, Some(Command::Route(Some(Slot::Green))));
    }
}

#[test]
fn a_pool_without_room_waits_for_a_person_and_does_not_count_against_the_release() {
    let rollout = rollout(Kind::Deploy, state(Phase::Preparing, false, false), None);
    let slots =
        PerSlot { green: SlotSeen { running: 1, ..SlotSeen::default() }, ..PerSlot::default() };
    let seen =
        Seen { routed: Some(Slot::Green), arriving: false, foreign: None, written_at: None, slots };

    let step = step(&rollout, &look(START, Ok(seen), Some(Reply::NoRoom("no /24".to_owned()))));

    assert_eq!(step.state.phase, Phase::Preparing);
    assert!(matches!(step.state.trouble, Some(Trouble::NoRoom { .. })), "{step:?}");
}

/// Before the switch and after it, of the new slot and of the old one: rule 10.
#[test]
fn a_change_by_hand_during_a_rollout_is_told_and_nothing_goes_on() {
    use Phase::*;
    for phase in [Preparing, Verifying, AwaitingPromotion, Switching, Observing, Draining] {
        let routed = if phase >= Observing { Slot::Blue } else { Slot::Green };
        for slot in Slot::ALL {
            let rollout = rollout(Kind::Deploy, state(phase, false, false), None);
            let mut sight = seen(routed);
            sight.slots.of_mut(slot).changed = Some("blue-1: another image".to_owned());

            let step = step(&rollout, &look(START, Ok(sight), None));

            let what = "blue-1: another image".to_owned();
            assert_eq!(step.state.trouble, Some(Trouble::Edited { what }), "{phase} {slot}");
            assert_eq!((step.state.phase, step.command), (phase, None));
        }
    }
}

/// A rollout is how one gets rid of such a change.
#[test]
fn what_was_changed_before_the_rollout_began_is_no_reason_to_stop() {
    let mut sight = seen(Slot::Green);
    sight.slots.green.changed = Some("green-1: another limit".to_owned());
    let begun = rollout(Kind::Deploy, state(Phase::Preflight, false, false), None);
    let findings = Reply::Findings { findings: Vec::new(), warm_ready: false };

    let pinned = step(&begun, &look(START, Ok(sight.clone()), Some(findings)));
    let goes_on = rollout(Kind::Deploy, pinned.state, None);
    let same = step(&goes_on, &look(START, Ok(sight.clone()), None));
    sight.slots.green.changed = Some("green-1: another image".to_owned());
    let more = step(&goes_on, &look(START, Ok(sight), None));

    assert_eq!((same.state.trouble, same.state.phase), (None, Phase::Verifying));
    assert!(matches!(more.state.trouble, Some(Trouble::Edited { .. })));
}

#[test]
fn a_person_goes_on_over_a_change_of_the_old_slot_and_never_of_the_new_one() {
    for (slot, goes_on) in [(Slot::Green, true), (Slot::Blue, false)] {
        let mut sight = seen(Slot::Green);
        sight.slots.of_mut(slot).changed = Some("it: another image".to_owned());
        let mut errored = state(Phase::AwaitingPromotion, false, false);
        errored.trouble = Some(Trouble::Edited { what: "it: another image".to_owned() });

        let retried = step(
            &rollout(Kind::Deploy, errored, Some(Ask::Retry)),
            &look(START, Ok(sight.clone()), None),
        );
        let next = step(&rollout(Kind::Deploy, retried.state, None), &look(START, Ok(sight), None));

        assert_eq!(next.state.trouble.is_none(), goes_on, "{slot}");
        assert!(!next.state.overrule, "the route is nobody's to write over");
    }
}

/// An abort needs nothing of what was changed.
#[test]
fn what_was_changed_by_hand_closes_no_way_back() {
    let mut sight = seen(Slot::Blue);
    sight.slots.blue.changed = Some("blue-1: another image".to_owned());
    sight.slots.green.changed = Some("green-1: another image".to_owned());
    let mut errored = state(Phase::Observing, false, false);
    errored.trouble = Some(Trouble::Edited { what: "blue-1: another image".to_owned() });

    let aborted = step(
        &rollout(Kind::Deploy, errored, Some(Ask::Abort)),
        &look(START, Ok(sight.clone()), None),
    );
    let back =
        step(&rollout(Kind::Deploy, aborted.state.clone(), None), &look(START, Ok(sight), None));

    assert_eq!(aborted.command, Some(Command::Route(Some(Slot::Green))));
    assert_eq!((back.state.trouble, back.command), (None, Some(Command::Route(Some(Slot::Green)))));
}

/// What was warm is another thing by now: the pair that was asked for is prepared.
#[test]
fn a_warm_slot_that_was_changed_by_hand_is_not_switched_to() {
    for changed in [None, Some("blue-1: another image".to_owned())] {
        let mut back = rollout(Kind::Rollback, state(Phase::Preflight, false, false), None);
        back.pair = pair(3);
        let findings = Reply::Findings { findings: Vec::new(), warm_ready: true };
        let mut sight = seen(Slot::Green);
        sight.slots.blue.changed.clone_from(&changed);
        let mut look = look(START, Ok(sight), Some(findings));
        look.warm = Some(Previous { slot: Slot::Blue, maker: maker(3), pair: pair(3) });

        let begun = step(&back, &look);

        let expected = if changed.is_some() { Phase::Preparing } else { Phase::Switching };
        assert_eq!(begun.state.phase, expected);
    }
}

/// The drain is over after 30 s. Nobody can say who is connected, so instances are made others.
fn draining(kind: Kind, after_s: i64, goodbye: Option<Goodbye>, old: SlotSeen) -> Step {
    let mut was = state(Phase::Draining, false, false);
    was.evidence.unseen = "other clients' requests".to_owned();
    was.evidence.confirmed_at = Some(START);
    let mut sight = seen(Slot::Blue);
    sight.slots.green = old;
    let at = START + time::Duration::seconds(after_s);
    step(&rollout(kind, was, None), &look(at, Ok(sight), goodbye.map(Reply::Goodbye)))
}

fn unknown(count: u16) -> SlotSeen {
    SlotSeen { running: count, count, in_flight: None, ..SlotSeen::default() }
}

#[test]
fn a_drain_ends_when_nobody_has_an_old_connection_and_the_way_back_is_open() {
    use Goodbye::*;
    let end = |after_s, goodbye| {
        let step = draining(Kind::Deploy, after_s, goodbye, unknown(1));
        (step.state.phase, step.command)
    };
    let goes_on = (Phase::Draining, Some(Command::CloseStreams(Slot::Green)));

    assert_eq!(end(20, None), (Phase::Draining, None), "the whole drain is given");
    assert_eq!(end(31, None), goes_on);
    assert_eq!(end(50, Some(Ending)), goes_on);
    assert_eq!(end(50, Some(Starting)), goes_on);
    assert_eq!(end(50, Some(Done)), (Phase::Succeeded, None));
    assert_eq!(end(91, Some(Starting)), (Phase::Succeeded, None), "and it does not wait for ever");
}

#[test]
fn how_long_old_connections_were_answered_is_said_with_who_says_so() {
    let ended = draining(Kind::Deploy, 34, Some(Goodbye::Starting), unknown(1)).state.evidence;
    let told = ended.old_answered().expect("it is known");
    assert_eq!((told.took, told.at_most, told.by), (Duration::from_secs(34), true, None));

    let ends = draining(Kind::Deploy, 34, Some(Goodbye::Ending), unknown(1)).state.evidence;
    assert_eq!(ends.old_answered(), None);

    let mut seen_all = ended;
    seen_all.old_ended_at = None;
    seen_all.unseen.clear();
    seen_all.witness = "router".to_owned();
    seen_all.last_old_answer_ms = Some(1_200);
    let told = seen_all.old_answered().expect("it is known");
    assert_eq!(told.took, Duration::from_millis(1_200));
    assert_eq!((told.at_most, told.by.as_deref()), (false, Some("router")));
}

/// It is removed, which ends connections as well: nothing is started for a goodbye.
#[test]
fn what_a_rollback_leaves_is_emptied_without_being_started_again() {
    let emptied = draining(Kind::Rollback, 31, None, unknown(1));
    let gone = draining(Kind::Rollback, 36, None, unknown(0));

    assert_eq!(emptied.command, Some(Command::Empty(Slot::Green)));
    assert_eq!(gone.state.phase, Phase::Succeeded);
    assert_eq!(gone.state.evidence.old_answered().map(|old| old.took.as_secs()), Some(36));
}
