//! Changes to the policy with which a new installation's environments are made, as
//! `observe_for=2s,passes=1`. For trying things out and for tests; on a running installation
//! policies are edited on the environments' page, with a row in the history.

use super::values::Span;
use domain::policy::Policy;
use serde::Deserialize;
use std::{fmt::Display, str::FromStr, time::Duration};

/// Fields of a policy with new values, each checked when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PolicyChanges(Vec<(String, String)>);

impl PolicyChanges {
    /// The policy with the changes made.
    #[must_use]
    pub fn apply(&self, mut policy: Policy) -> Policy {
        for (name, value) in &self.0 {
            // They were tried on a policy when they were read, so none fails here.
            let _ = change(&mut policy, name, value);
        }
        policy
    }
}

impl FromStr for PolicyChanges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut trial = Policy::of_new(false);
        let mut changes = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("\"{part}\" is no change. Write NAME=VALUE."))?;
            let (name, value) = (name.trim(), value.trim());
            change(&mut trial, name, value)?;
            changes.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(changes))
    }
}

impl TryFrom<String> for PolicyChanges {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

fn change(policy: &mut Policy, name: &str, value: &str) -> Result<(), String> {
    // Named one by one: a field that is added to the policy and forgotten here does not compile.
    let Policy {
        approvals,
        promote_by_hand,
        expire_after,
        prepare_within,
        passes,
        verify_within,
        switch_within,
        observe_for,
        drain_for,
        warm_for,
        window_requests,
        error_points,
        error_floor,
        error_absolute,
        slower_times,
        slower_ms,
        root_allowed,
    } = policy;
    match name {
        "approvals" => set(approvals, name, value),
        "promote_by_hand" => set(promote_by_hand, name, value),
        "expire_after" => set_time(expire_after, name, value),
        "prepare_within" => set_time(prepare_within, name, value),
        "passes" => set(passes, name, value),
        "verify_within" => set_time(verify_within, name, value),
        "switch_within" => set_time(switch_within, name, value),
        "observe_for" => set_time(observe_for, name, value),
        "drain_for" => set_time(drain_for, name, value),
        "warm_for" => set_time(warm_for, name, value),
        "window_requests" => set(window_requests, name, value),
        "error_points" => set(error_points, name, value),
        "error_floor" => set(error_floor, name, value),
        "error_absolute" => set(error_absolute, name, value),
        "slower_times" => set(slower_times, name, value),
        "slower_ms" => set(slower_ms, name, value),
        "root_allowed" => set(root_allowed, name, value),
        _ => Err(format!("A policy has no field \"{name}\".")),
    }
}

fn set<T: FromStr<Err: Display>>(field: &mut T, name: &str, value: &str) -> Result<(), String> {
    *field = value.parse().map_err(|why| format!("{name}: \"{value}\": {why}."))?;
    Ok(())
}

fn set_time(field: &mut Duration, name: &str, value: &str) -> Result<(), String> {
    *field = value.parse::<Span>().map_err(|why| format!("{name}: {why}"))?.0;
    Ok(())
}
