//! The gates: what was asked before, what was checked, what is measured, each with its result.

use crate::format;
use domain::{
    policy::Policy,
    rollout::{Phase, State},
    target::{Finding, Verdict},
    view::RolloutCard,
};
use leptos::prelude::*;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gate {
    is: Is,
    what: String,
    figure: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Ahead,
    Now,
    Passed,
    Warned,
    Refused,
}

impl Is {
    /// Its sign, its class, and the word that is read out.
    const fn shown(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ahead => ("○", "faint", "not yet: "),
            Self::Now => ("◐", "", "being measured: "),
            Self::Passed => ("✓", "", "passed: "),
            Self::Warned => ("▲", "amber", "worth knowing: "),
            Self::Refused => ("✕", "red", "refused: "),
        }
    }
}

/// The list.
#[component]
pub fn Gates(card: RolloutCard, state: Memo<State>) -> impl IntoView {
    let list = Memo::new(move |_| state.with(|state| gates(state, &card.policy)));
    view! {
        <section class="gates" aria-labelledby="gates">
            <h2 id="gates">"Gates"</h2>
            <ul>{move || list.get().into_iter().map(draw).collect_view()}</ul>
        </section>
    }
}

/// What preflight found, in the same list: also asked before there is a rollout.
#[component]
pub fn Findings(findings: Vec<Finding>) -> impl IntoView {
    view! {
        <div class="gates">
            <ul>{findings.iter().map(found).map(draw).collect_view()}</ul>
        </div>
    }
}

fn draw(gate: Gate) -> impl IntoView {
    let (sign, class, word) = gate.is.shown();
    view! {
        <li class=class>
            <span aria-hidden="true">{sign}</span>
            <div class="found">
                <span>
                    <span class="unseen">{word}</span>
                    {gate.what}
                </span>
                <span class="r">{gate.figure}</span>
            </div>
        </li>
    }
}

fn found(finding: &Finding) -> Gate {
    Gate {
        is: match finding.verdict {
            Verdict::Pass => Is::Passed,
            Verdict::Warn => Is::Warned,
            Verdict::Refuse => Is::Refused,
        },
        what: finding.question.clone(),
        figure: finding.detail.clone(),
    }
}

fn gates(state: &State, policy: &Policy) -> Vec<Gate> {
    let mut gates: Vec<Gate> = state.findings.iter().map(found).collect();
    if gates.is_empty() {
        let is = if state.phase == Phase::Preflight { Is::Now } else { Is::Ahead };
        gates.push(Gate {
            is,
            what: "Preflight: could it run here?".to_owned(),
            figure: String::new(),
        });
    }
    let warm = state.pinned.is_some_and(|pinned| pinned.warm);
    if !warm {
        gates.push(Gate {
            is: match state.phase {
                _ if state.passes >= policy.passes => Is::Passed,
                Phase::Verifying => Is::Now,
                phase if phase.is_end() && state.passes > 0 => Is::Refused,
                _ => Is::Ahead,
            },
            what: match policy.passes {
                1 => "Every instance ready".to_owned(),
                passes => format!("Every instance ready, {passes} times in a row"),
            },
            figure: format!("{} of {}", state.passes, policy.passes),
        });
    }
    gates.extend(state.gates.iter().map(found));
    gates.extend(measured(state, policy));
    gates
}

/// The limits of observing. What broke one of them is told there, and the others were cut short.
fn measured(state: &State, policy: &Policy) -> Vec<Gate> {
    let seen = &state.observation;
    let wanted = policy.observe_for.as_secs();
    let errors = state
        .baseline
        .map_or(policy.error_absolute, |old| old.error_percent() + policy.error_points);
    let errors = format!("Errors at most {} for {wanted} s", format::errors(errors));
    let breach = seen.breach();
    let is = match state.phase {
        _ if breach.is_some() => Is::Ahead,
        Phase::Observing => Is::Now,
        _ if u64::from(seen.seconds) >= wanted && seen.seconds > 0 => Is::Passed,
        _ => Is::Ahead,
    };
    let figure = match is {
        Is::Now | Is::Passed => format!("{} of {wanted} s", seen.seconds),
        _ if breach.is_some() => "cut short".to_owned(),
        _ => String::new(),
    };
    let broken = |why: &str, what: String| Gate { is: Is::Refused, what, figure: why.to_owned() };
    let gate = |what: String| Gate { is, what, figure: figure.clone() };

    let slow = match (p95_limit_us(state, policy), breach) {
        // What was not compared did not pass.
        (None, _) => Gate {
            is: Is::Ahead,
            what: "p95 against the one before".to_owned(),
            figure: "nothing to compare".to_owned(),
        },
        (Some(limit), breach) => {
            let what = format!("p95 at most {} for {wanted} s", format::latency(limit));
            match breach.filter(|why| why.starts_with("p95")) {
                Some(why) => broken(why, what),
                None => gate(what),
            }
        }
    };
    match breach {
        Some(why) if why.contains("requests failed") => vec![broken(why, errors), slow],
        Some(why) if !why.starts_with("p95") => {
            let ready = format!("Every instance stays ready for {wanted} s");
            vec![gate(errors), slow, broken(why, ready)]
        }
        _ => vec![gate(errors), slow],
    }
}

/// A p95 beyond this breaks a window: more than so many times the old one, and so much above it.
#[must_use]
pub fn p95_limit_us(state: &State, policy: &Policy) -> Option<u32> {
    let old = f64::from(state.baseline?.p95_us?);
    let limit = (old * policy.slower_times).max(old + f64::from(policy.slower_ms) * 1000.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, never negative.
    Some(limit as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::observing::Baseline;
    use time::macros::datetime;

    fn state(phase: Phase) -> State {
        let mut state = State::queued(datetime!(2026-11-21 12:00 UTC));
        state.phase = phase;
        state
    }

    #[test]
    fn nothing_passes_that_was_not_measured() {
        for phase in Phase::ALL {
            let gates = gates(&state(phase), &Policy::of_new(true));
            assert!(gates.iter().all(|gate| gate.is != Is::Passed), "{phase}");
        }
    }

    #[test]
    fn a_breach_is_told_once_at_the_limit_it_broke() {
        for (why, what) in [
            ("60 of 60 requests failed (100.0 %, limit 1.0 %)", "Errors"),
            ("p95 is 400 ms, was 20 ms", "p95"),
            ("blue-1 is not ready", "Every instance stays"),
        ] {
            let mut state = state(Phase::SwitchingBack);
            state.baseline = Some(Baseline { requests: 9, failures: 0, p95_us: Some(20_000) });
            state.observation.broken_in_a_row = 2;
            state.observation.broken_by = Some(why.to_owned());

            let gates = measured(&state, &Policy::of_new(false));

            let refused: Vec<_> = gates.iter().filter(|gate| gate.is == Is::Refused).collect();
            assert_eq!(refused.len(), 1, "{why}");
            assert!(refused[0].what.starts_with(what), "{why}");
        }
    }

    #[test]
    fn the_limit_of_p95_is_the_one_that_breaks_a_window() {
        let policy = Policy::of_new(true);
        let limit = |p95_us| {
            let mut state = state(Phase::Observing);
            state.baseline = Some(Baseline { requests: 1, failures: 0, p95_us: Some(p95_us) });
            p95_limit_us(&state, &policy)
        };

        assert_eq!(limit(42_000), Some(142_000));
        assert_eq!(limit(200_000), Some(400_000));
        assert_eq!(p95_limit_us(&state(Phase::Observing), &policy), None);
    }
}
