//! A policy line by line: for a row of the history, and for whoever is about to save an edit.

use super::Policy;
use crate::history::Change;
use std::time::Duration;

/// All of a policy: what, and its value.
#[must_use]
pub fn lines(policy: &Policy) -> Vec<(String, String)> {
    let yes = |is: bool| if is { "yes" } else { "no" };
    vec![
        line("approvals", policy.approvals),
        line("promote by hand", yes(policy.promote_by_hand)),
        line("a wait for a person expires after", time(policy.expire_after)),
        line("prepare within", time(policy.prepare_within)),
        line("readiness passes", policy.passes),
        line("verify within", time(policy.verify_within)),
        line("switch within", time(policy.switch_within)),
        line("observe for", time(policy.observe_for)),
        line("drain for", time(policy.drain_for)),
        line("keep warm for", time(policy.warm_for)),
        line("requests in a window", policy.window_requests),
        line("errors above the baseline", format!("{} points", policy.error_points)),
        line("failures that count", policy.error_floor),
        line("errors without a baseline", format!("{} %", policy.error_absolute)),
        line("p95 times the baseline", policy.slower_times),
        line("p95 above the baseline", format!("{} ms", policy.slower_ms)),
        line("root allowed", yes(policy.root_allowed)),
    ]
}

/// The lines of `after` that are not as they were.
#[must_use]
pub fn differences(before: &Policy, after: &Policy) -> Vec<Change> {
    lines(before)
        .into_iter()
        .zip(lines(after))
        .filter(|(before, after)| before.1 != after.1)
        .map(|((what, before), (_, after))| Change {
            what,
            before: Some(before),
            after: Some(after),
        })
        .collect()
}

/// A policy in one line, so that an edit can say of which one its page was drawn.
#[must_use]
pub fn shown(policy: &Policy) -> String {
    lines(policy).into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(", ")
}

fn line(what: &str, value: impl ToString) -> (String, String) {
    (what.to_owned(), value.to_string())
}

fn time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (seconds, 0) => format!("{seconds} s"),
        (seconds, millis) => format!("{} ms", seconds * 1000 + u64::from(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_edited_is_told_and_nothing_else() {
        let before = Policy::of_new(false);
        let after = Policy { slower_ms: 101, root_allowed: true, ..before.clone() };

        let told: Vec<_> = differences(&before, &after)
            .into_iter()
            .map(|change| (change.what, change.before, change.after))
            .collect();

        let line = |what: &str, before: &str, after: &str| {
            (what.to_owned(), Some(before.to_owned()), Some(after.to_owned()))
        };
        assert_eq!(
            told,
            [line("p95 above the baseline", "100 ms", "101 ms"), line("root allowed", "no", "yes")]
        );
        assert_eq!(differences(&before, &before), []);
    }
}
