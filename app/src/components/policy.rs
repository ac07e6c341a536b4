//! A policy in words.

use crate::format;
use domain::policy::Policy;
use leptos::prelude::*;
use std::time::Duration;

/// What a rollout meets here, in the order it meets it.
#[component]
pub fn InWords(policy: Policy) -> impl IntoView {
    let mut words = Vec::new();
    if policy.approvals > 0 {
        words.push(format!(
            "Waits for {}, at most {}.",
            format::counted(u64::from(policy.approvals), "approval", "approvals"),
            time(policy.expire_after)
        ));
    }
    words.push(format!(
        "Starts all instances within {} and checks them, {}, within {}.",
        time(policy.prepare_within),
        match policy.passes {
            1 => "one pass of each".to_owned(),
            passes => format!("{passes} passes in a row"),
        },
        time(policy.verify_within)
    ));
    words.push(if policy.promote_by_hand {
        format!("A person promotes it, within {}.", time(policy.expire_after))
    } else {
        "Switches by itself once it is verified.".to_owned()
    });
    words.push(format!(
        "Is observed for {}: goes back by itself when errors are {} above the old slot's (from {} \
         failures; {} % where there was none), or p95 is {} times and {} ms above it, twice in a row.",
        time(policy.observe_for),
        points(policy.error_points),
        policy.error_floor,
        policy.error_absolute,
        policy.slower_times,
        policy.slower_ms
    ));
    words.push(format!(
        "The old slot has {} to finish and stays warm for {}: that long, going back is one switch.",
        time(policy.drain_for),
        time(policy.warm_for)
    ));
    if policy.root_allowed {
        words.push("Images that run as root are let in.".to_owned());
    }
    view! {
        <ol class="words" aria-label="Policy">
            {words.into_iter().map(|word| view! { <li>{word}</li> }).collect_view()}
        </ol>
    }
}

fn points(points: f64) -> String {
    if (points - 1.0).abs() < f64::EPSILON {
        "1 point".to_owned()
    } else {
        format!("{points} points")
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h", seconds / 3600),
    }
}
