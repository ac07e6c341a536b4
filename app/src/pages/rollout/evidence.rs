//! What happened to the traffic around the switch: figures that a witness counted.

use crate::{clock::ms, components::when::At, format};
use domain::rollout::{Phase, State, evidence::Evidence};
use leptos::prelude::*;

/// The evidence card. Its lines are there from the start, so nothing jumps when figures arrive.
#[component]
pub fn EvidenceCard(state: Memo<State>) -> impl IntoView {
    let switched = Memo::new(move |_| state.with(|state| state.evidence.written_at.is_some()));
    let since = move || {
        if state.with(|state| state.evidence.requests == 0) {
            "came since the switch"
        } else {
            "requests failed since the switch"
        }
    };
    let lost = move || state.with(|state| state.evidence.failures > 0);
    view! {
        <section class="evidence" aria-labelledby="evidence">
            <h2 id="evidence" class="unseen">
                "Evidence"
            </h2>
            {move || {
                if switched.get() {
                    let big = state
                        .with(|state| {
                            let evidence = &state.evidence;
                            if evidence.requests == 0 {
                                return "no requests".to_owned();
                            }
                            format!(
                                "{} of {}",
                                format::count(evidence.failures),
                                format::count(evidence.requests),
                            )
                        });
                    view! {
                        <p class="big" class:lost=lost>
                            {big}
                        </p>
                        <p class="soft">{since}</p>
                    }
                        .into_any()
                } else {
                    view! {
                        <p class="big faint">"no switch yet"</p>
                        <p class="soft">"what happens to requests is counted from it on"</p>
                    }
                        .into_any()
                }
            }}
            <dl>
                {move || {
                    state
                        .with(lines)
                        .into_iter()
                        .map(|(what, figure)| {
                            view! {
                                <dt>{what}</dt>
                                <dd>{figure}</dd>
                            }
                        })
                        .collect_view()
                }}
            </dl>
            {move || {
                state
                    .with(|state| state.evidence.incomplete)
                    .then(|| {
                        view! {
                            <p class="flag">
                                "The witness could not be asked for some seconds: these figures may miss requests."
                            </p>
                        }
                    })
            }}
            {move || {
                let unseen = state.with(|state| state.evidence.unseen.clone());
                (!unseen.is_empty()).then(|| view! { <p class="faint">{unseen}</p> })
            }}
            {move || {
                state
                    .with(|state| state.evidence.confirmed_at)
                    .map(|at| {
                        view! {
                            <p class="faint">
                                "switched at "
                                <At at exactly=true />
                            </p>
                        }
                    })
            }}
        </section>
    }
}

/// Each figure with what it is of; a dash where it is not known yet.
fn lines(state: &State) -> Vec<(String, String)> {
    let evidence = &state.evidence;
    let dash = || "–".to_owned();
    let switched = evidence.written_at.is_some();
    let old = state.pinned.and_then(|pinned| pinned.previous).map(|previous| previous.slot);
    let after = (evidence.requests > 0).then(|| {
        #[allow(clippy::cast_precision_loss)] // Counts of requests are far below 2^52.
        let percent = evidence.failures as f64 * 100.0 / evidence.requests as f64;
        format::errors(percent)
    });
    let before = state.baseline.map(|baseline| format::errors(baseline.error_percent()));
    let p95 = |us: Option<u32>| us.map_or_else(dash, format::latency);
    let ms_or_dash =
        |value: Option<u32>| value.map_or_else(dash, |value| format::duration(i64::from(value)));

    let mut lines = vec![
        ("written to confirmed".to_owned(), ms_or_dash(evidence.switched_in_ms)),
        (
            "longest gap".to_owned(),
            ms_or_dash(
                switched.then_some(evidence.longest_gap_ms).filter(|_| evidence.requests > 0),
            ),
        ),
        (
            "errors, before → after".to_owned(),
            format!("{} → {}", before.unwrap_or_else(dash), after.unwrap_or_else(dash)),
        ),
        (
            "p95, before → after".to_owned(),
            format!(
                "{} → {}",
                p95(state.baseline.and_then(|baseline| baseline.p95_us)),
                p95(evidence.p95_us)
            ),
        ),
        (
            old.map_or_else(
                || "last old answer".to_owned(),
                |slot| format!("last answer from {slot}"),
            ),
            evidence
                .last_old_answer_ms
                .map_or_else(dash, |ms| format!("+{}", format::duration(i64::from(ms)))),
        ),
        ("old connections answered".to_owned(), old_connections(evidence).unwrap_or_else(dash)),
        (
            "witness".to_owned(),
            if evidence.witness.is_empty() { dash() } else { evidence.witness.clone() },
        ),
    ];
    if let (Some(decided), Some(back)) = (evidence.back_decided_at, evidence.back_confirmed_at) {
        lines.insert(
            1,
            ("decided to back again".to_owned(), format::duration(ms(back) - ms(decided))),
        );
    }
    if switched
        && evidence.requests == 0
        && matches!(state.phase, Phase::Observing | Phase::Succeeded)
    {
        lines.push(("traffic".to_owned(), "none: readiness decides".to_owned()));
    }
    lines
}

/// How long connections went on that were open at the switch, and who says so: the same words on every
/// target.
fn old_connections(evidence: &Evidence) -> Option<String> {
    let old = evidence.old_answered()?;
    let took = format::duration(i64::try_from(old.took.as_millis()).unwrap_or(i64::MAX));
    let most = if old.at_most { "at most " } else { "" };
    let by = old.by.as_deref().unwrap_or("target");
    Some(format!("for {most}{took}, says the {by}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn what_is_not_known_is_a_dash_and_never_a_zero() {
        let state = State::queued(datetime!(2026-11-21 12:00 UTC));

        for (what, figure) in lines(&state) {
            assert!(figure.starts_with('–'), "{what}: {figure}");
        }
    }

    #[test]
    fn old_connections_are_told_in_the_same_words_whoever_knows_of_them() {
        let mut state = State::queued(datetime!(2026-11-21 12:00 UTC));
        let told = |state: &State| {
            let all = lines(state);
            let line = all.into_iter().find(|(what, _)| what == "old connections answered");
            line.expect("a line of its own").1
        };
        state.evidence.confirmed_at = Some(datetime!(2026-11-21 12:00 UTC));
        state.evidence.witness = "router".to_owned();
        state.evidence.last_old_answer_ms = Some(1_250);
        assert_eq!(told(&state), "for 1.2 s, says the router");

        state.evidence.witness = "a probe in the cluster".to_owned();
        state.evidence.unseen = "It does not see other clients' requests.".to_owned();
        assert_eq!(told(&state), "–", "its own requests say nothing of others'");

        state.evidence.old_ended_at = Some(datetime!(2026-11-21 12:00:34 UTC));
        assert_eq!(told(&state), "for at most 34 s, says the target");
    }
}
