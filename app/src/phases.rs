//! How the phases of a rollout are told: which steps its line has, how far the present one is, and
//! one sentence. Pure; every figure is one that was counted, never a guess.

use crate::{clock::ms, format};
use domain::{
    policy::Policy,
    rollout::{Kind, Phase, State},
    target::Verdict,
    view::PhaseTime,
};

/// What is known of a rollout when its line is drawn.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub kind: Kind,
    pub policy: &'a Policy,
    pub state: &'a State,
    /// The phases entered so far, oldest first. May be empty: then only the present one is known.
    pub entered: &'a [PhaseTime],
    pub now_ms: i64,
    /// Instances of the new slot that run, where the stream has told.
    pub started: Option<usize>,
}

/// One step of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub phase: Phase,
    pub is: Standing,
    /// From 0 to 1.
    pub done: f64,
    /// The figures under the word.
    pub note: String,
}

/// Where a step stands to the present moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Done,
    Now,
    /// The present one, and it waits for a person because the machinery failed.
    Stuck,
    /// It is where the rollout turned back or ended.
    Broken,
    Ahead,
}

/// The steps from the first to the last.
#[must_use]
pub fn steps(seen: &Seen) -> Vec<Step> {
    let now = seen.state.phase;
    let line = line(seen);
    let present = line.iter().position(|&phase| phase == now);
    line.iter()
        .enumerate()
        .map(|(index, &phase)| {
            let is = match present {
                Some(at) if index < at => Standing::Done,
                Some(at) if index > at => Standing::Ahead,
                Some(_) if seen.state.trouble.is_some() => Standing::Stuck,
                Some(_) => Standing::Now,
                None if now == Phase::Queued => Standing::Ahead,
                None if now != Phase::Succeeded && index + 1 == line.len() => Standing::Broken,
                None => Standing::Done,
            };
            let done = match is {
                Standing::Done | Standing::Broken => 1.0,
                Standing::Now | Standing::Stuck => progress(seen),
                Standing::Ahead => 0.0,
            };
            Step { phase, is, done, note: note(seen, phase, is) }
        })
        .collect()
}

/// The words after the phase on the board: "38 of 60 s · 0 of 9,120 requests failed".
#[must_use]
pub fn sentence(seen: &Seen) -> String {
    let state = seen.state;
    if let Some(trouble) = &state.trouble {
        return format!("needs a person. {trouble}");
    }
    let mut said = note(seen, state.phase, Standing::Now);
    if state.phase == Phase::Queued {
        said = "waits for its turn".to_owned();
    }
    if matches!(state.phase, Phase::SwitchingBack | Phase::CleaningUp)
        && let Some(ending) = &state.ending
        && !ending.why.is_empty()
    {
        said = ending.why.clone();
    }
    if seen.kind == Kind::Remove {
        let doing = match state.phase {
            Phase::Switching => "its route is withdrawn",
            Phase::Draining => "what is in flight is finished",
            Phase::CleaningUp => "its instances are removed",
            _ => return said,
        };
        return format!("{doing} · {said}");
    }
    if matches!(state.phase, Phase::Observing | Phase::Draining) {
        let evidence = &state.evidence;
        said = format!(
            "{said} · {} of {} failed",
            format::count(evidence.failures),
            format::counted(evidence.requests, "request", "requests")
        );
    }
    said
}

/// What a rollout goes through, given what it is and where it turned.
fn line(seen: &Seen) -> Vec<Phase> {
    use Phase::{
        AwaitingApproval, AwaitingPromotion, CleaningUp, Draining, Observing, Preflight, Preparing,
        Queued, Switching, SwitchingBack, Verifying,
    };
    let state = seen.state;
    let forth = !matches!(state.phase, SwitchingBack);
    let over = state.phase.is_end() && state.phase != Phase::Succeeded;
    if seen.kind == Kind::Remove && forth && !over {
        return vec![Preflight, Switching, Draining, CleaningUp];
    }
    let warm = state.pinned.is_some_and(|pinned| pinned.warm);
    let goes_on = state.phase == Phase::Succeeded
        || !(state.phase.is_end() || matches!(state.phase, SwitchingBack | CleaningUp));
    if goes_on {
        let mut planned = vec![Preflight];
        if seen.policy.approvals > 0 && seen.kind == Kind::Deploy {
            planned.push(AwaitingApproval);
        }
        if !warm {
            planned.extend([Preparing, Verifying]);
        }
        if seen.policy.promote_by_hand && seen.kind == Kind::Deploy {
            planned.push(AwaitingPromotion);
        }
        planned.extend([Switching, Observing, Draining]);
        return planned;
    }

    let mut gone: Vec<Phase> = seen
        .entered
        .iter()
        .map(|entered| entered.phase)
        .filter(|phase| !phase.is_end() && *phase != Queued)
        .collect();
    gone.dedup();
    if gone.is_empty() && !state.phase.is_end() {
        // Without the times only what surely happened is drawn.
        gone.extend([Preflight, Preparing, Verifying]);
        if state.evidence.written_at.is_some() {
            gone.push(Switching);
        }
        gone.push(state.phase);
    }
    if state.phase == SwitchingBack && seen.kind != Kind::Remove {
        gone.push(CleaningUp);
    }
    gone
}

/// How far the present phase is.
#[allow(clippy::cast_precision_loss)] // Seconds and small counts.
fn progress(seen: &Seen) -> f64 {
    let state = seen.state;
    let share =
        |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 1.0 };
    match state.phase {
        Phase::Preparing => {
            let size = state.pinned.map_or(1, |pinned| pinned.size);
            share(seen.started.unwrap_or(0) as f64, f64::from(size))
        }
        Phase::Verifying => share(f64::from(state.passes), f64::from(seen.policy.passes)),
        Phase::Observing => {
            share(f64::from(state.observation.seconds), seen.policy.observe_for.as_secs_f64())
        }
        Phase::Draining => {
            share(elapsed_ms(seen) as f64 / 1000.0, seen.policy.drain_for.as_secs_f64())
        }
        _ => 0.0,
    }
}

fn elapsed_ms(seen: &Seen) -> i64 {
    (seen.now_ms - ms(seen.state.since)).max(0)
}

/// How long a phase that is over took.
fn took_ms(seen: &Seen, phase: Phase) -> Option<i64> {
    let at = seen.entered.iter().rposition(|entered| entered.phase == phase)?;
    let next = seen.entered.get(at + 1)?;
    Some((ms(next.at) - ms(seen.entered[at].at)).max(0))
}

fn note(seen: &Seen, phase: Phase, is: Standing) -> String {
    let state = seen.state;
    match is {
        Standing::Ahead => match (phase, state.pinned.and_then(|pinned| pinned.previous)) {
            (Phase::Draining, Some(previous)) => {
                let warm_ms = i64::try_from(seen.policy.warm_for.as_millis()).unwrap_or(i64::MAX);
                format!("then {} stays warm {}", previous.slot, format::age(warm_ms))
            }
            (Phase::Observing, _) => format!("{} s", seen.policy.observe_for.as_secs()),
            (Phase::CleaningUp, _) => "then it is over".to_owned(),
            _ => String::new(),
        },
        Standing::Stuck => "waits for a person".to_owned(),
        Standing::Now => now_note(seen, phase),
        Standing::Done | Standing::Broken => {
            let took = took_ms(seen, phase).map(format::duration);
            let figure = match phase {
                Phase::Preflight if !state.findings.is_empty() => {
                    let passed =
                        state.findings.iter().filter(|f| f.verdict != Verdict::Refuse).count();
                    Some(format!("{passed} of {}", state.findings.len()))
                }
                Phase::Preparing => state
                    .pinned
                    .map(|pinned| format::counted(u64::from(pinned.size), "instance", "instances")),
                Phase::Switching => {
                    return state
                        .evidence
                        .switched_in_ms
                        .map(|ms| format::duration(i64::from(ms)))
                        .or(took)
                        .unwrap_or_default();
                }
                Phase::Observing => Some(format!("{} s read", state.observation.seconds)),
                _ => None,
            };
            [figure, took].into_iter().flatten().collect::<Vec<_>>().join(" · ")
        }
    }
}

fn now_note(seen: &Seen, phase: Phase) -> String {
    let state = seen.state;
    let elapsed = format::seconds(elapsed_ms(seen));
    match phase {
        Phase::Preparing => match (seen.started, state.pinned) {
            (Some(started), Some(pinned)) => {
                format!(
                    "{} of {} started · {elapsed}",
                    started.min(pinned.size.into()),
                    pinned.size
                )
            }
            _ => elapsed,
        },
        Phase::Verifying => {
            format!("{} of {} passes · {elapsed}", state.passes, seen.policy.passes)
        }
        Phase::Observing => {
            format!("{} of {} s", state.observation.seconds, seen.policy.observe_for.as_secs())
        }
        Phase::Draining => format!("{elapsed}, at most {} s", seen.policy.drain_for.as_secs()),
        Phase::AwaitingApproval | Phase::AwaitingPromotion => format!("waits {elapsed}"),
        _ => elapsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        id::RolloutId,
        rollout::{Ending, Pinned, Trouble},
        slot::Slot,
    };
    use time::macros::datetime;

    fn state(phase: Phase) -> State {
        let mut state = State::queued(datetime!(2026-11-21 12:00 UTC));
        state.phase = phase;
        state
    }

    fn seen<'a>(policy: &'a Policy, state: &'a State, entered: &'a [PhaseTime]) -> Seen<'a> {
        let now_ms = ms(datetime!(2026-11-21 12:00:04 UTC));
        Seen { kind: Kind::Deploy, policy, state, entered, now_ms, started: Some(1) }
    }

    #[test]
    fn one_step_is_now_those_before_are_done_and_those_after_are_ahead() {
        let policy = Policy::of_new(false);
        for phase in [Phase::Preflight, Phase::Verifying, Phase::Observing, Phase::Draining] {
            let state = state(phase);
            let steps = steps(&seen(&policy, &state, &[]));

            let now = steps.iter().position(|step| step.phase == phase).expect("in the line");
            assert!(steps[..now].iter().all(|step| step.is == Standing::Done && step.done == 1.0));
            assert_eq!(steps[now].is, Standing::Now);
            assert!(steps[now + 1..].iter().all(|step| step.is == Standing::Ahead));
        }
    }

    #[test]
    fn every_phase_draws_a_line_and_says_a_sentence() {
        let policy = Policy::of_new(true);
        for phase in Phase::ALL {
            let state = state(phase);
            let entered = [PhaseTime { phase: Phase::Preflight, at: state.since }];
            let seen = seen(&policy, &state, &entered);

            assert!(!steps(&seen).is_empty(), "{phase}");
            let _ = sentence(&seen);
        }
    }

    #[test]
    fn observing_counts_the_seconds_that_were_read_not_those_that_went_by() {
        let policy = Policy::of_new(false);
        let mut state = state(Phase::Observing);
        state.observation.seconds = 38;
        state.evidence.requests = 9120;
        let seen = seen(&policy, &state, &[]);

        assert_eq!(sentence(&seen), "38 of 60 s · 0 of 9,120 requests failed");
        let now = steps(&seen).into_iter().find(|step| step.is == Standing::Now).expect("now");
        assert!((now.done - 38.0 / 60.0).abs() < 1e-9);
    }

    #[test]
    fn a_warm_slot_is_neither_prepared_nor_verified() {
        let policy = Policy::of_new(false);
        let mut state = state(Phase::Switching);
        state.pinned = Some(Pinned {
            new: Slot::Blue,
            maker: RolloutId(Default::default()),
            previous: None,
            size: 1,
            warm: true,
            puts_back: false,
        });

        let line = steps(&seen(&policy, &state, &[]));
        assert!(line.iter().all(|step| step.phase != Phase::Preparing));
    }

    #[test]
    fn a_failed_rollout_ends_where_it_broke_and_an_errored_one_is_stuck() {
        let policy = Policy::of_new(false);
        let mut failed = state(Phase::Failed);
        failed.ending = Some(Ending { end: Phase::Failed, why: "503".into() });
        let entered = [Phase::Preflight, Phase::Preparing, Phase::CleaningUp, Phase::Failed]
            .map(|phase| PhaseTime { phase, at: failed.since });
        let line = steps(&seen(&policy, &failed, &entered));
        assert_eq!(
            line.last().map(|step| (step.phase, step.is)),
            Some((Phase::CleaningUp, Standing::Broken))
        );

        let mut stuck = state(Phase::Preparing);
        stuck.trouble = Some(Trouble::Unreachable { why: "no answer".into() });
        let line = steps(&seen(&policy, &stuck, &[]));
        assert!(line.iter().any(|step| step.is == Standing::Stuck));
        assert!(sentence(&seen(&policy, &stuck, &[])).contains("needs a person"));
    }
}
