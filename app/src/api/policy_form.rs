//! A policy as it is typed, there and back: times in seconds, but for the long ones.

use super::{service_form::within, typed};
use domain::{error::Problem, policy::Policy};
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// All of a policy. Every field must be sent: a policy is replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyForm {
    pub approvals: String,
    /// A checkbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_by_hand: Option<String>,
    /// In hours.
    pub expire_after_hours: String,
    pub prepare_within: String,
    pub passes: String,
    pub verify_within: String,
    pub switch_within: String,
    pub observe_for: String,
    pub drain_for: String,
    /// In minutes.
    pub warm_for_minutes: String,
    pub window_requests: String,
    pub error_points: String,
    pub error_floor: String,
    pub error_absolute: String,
    pub slower_times: String,
    pub slower_ms: String,
    /// A checkbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_allowed: Option<String>,
}

impl PolicyForm {
    /// As an address says it, if it does: a form that was sent to the page to be looked at.
    #[must_use]
    pub fn of_query(query: &ParamsMap) -> Option<Self> {
        query.get_str("passes").is_some().then(|| Self::of_fields(|name| query.get(name)))
    }

    /// Of what stands in the fields of these names.
    #[must_use]
    pub fn of_fields(field: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| field(name).unwrap_or_default();
        Self {
            approvals: text("approvals"),
            promote_by_hand: field("promote_by_hand"),
            expire_after_hours: text("expire_after_hours"),
            prepare_within: text("prepare_within"),
            passes: text("passes"),
            verify_within: text("verify_within"),
            switch_within: text("switch_within"),
            observe_for: text("observe_for"),
            drain_for: text("drain_for"),
            warm_for_minutes: text("warm_for_minutes"),
            window_requests: text("window_requests"),
            error_points: text("error_points"),
            error_floor: text("error_floor"),
            error_absolute: text("error_absolute"),
            slower_times: text("slower_times"),
            slower_ms: text("slower_ms"),
            root_allowed: field("root_allowed"),
        }
    }

    /// Reads it. Each refusal names its field and says the bounds.
    pub fn parse(&self) -> Result<Policy, Problem> {
        Ok(Policy {
            approvals: within("approvals", &self.approvals, 0, 10)?,
            promote_by_hand: typed::checked(&self.promote_by_hand),
            expire_after: time("expire_after_hours", &self.expire_after_hours)?,
            prepare_within: time("prepare_within", &self.prepare_within)?,
            passes: within("passes", &self.passes, 1, 60)?,
            verify_within: time("verify_within", &self.verify_within)?,
            switch_within: time("switch_within", &self.switch_within)?,
            observe_for: time("observe_for", &self.observe_for)?,
            drain_for: time("drain_for", &self.drain_for)?,
            warm_for: time("warm_for_minutes", &self.warm_for_minutes)?,
            window_requests: within("window_requests", &self.window_requests, 1, 100_000)?,
            error_points: share("error_points", &self.error_points)?,
            error_floor: within("error_floor", &self.error_floor, 1, 100_000)?,
            error_absolute: share("error_absolute", &self.error_absolute)?,
            slower_times: times("slower_times", &self.slower_times)?,
            slower_ms: within("slower_ms", &self.slower_ms, 1, 600_000)?,
            root_allowed: typed::checked(&self.root_allowed),
        })
    }

    /// The words that `parse` reads.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let seconds = |time: Duration| time.as_secs().to_string();
        let yes = |is: bool| is.then(|| "yes".to_owned());
        Self {
            approvals: policy.approvals.to_string(),
            promote_by_hand: yes(policy.promote_by_hand),
            expire_after_hours: (policy.expire_after.as_secs() / 3600).to_string(),
            prepare_within: seconds(policy.prepare_within),
            passes: policy.passes.to_string(),
            verify_within: seconds(policy.verify_within),
            switch_within: seconds(policy.switch_within),
            observe_for: seconds(policy.observe_for),
            drain_for: seconds(policy.drain_for),
            warm_for_minutes: (policy.warm_for.as_secs() / 60).to_string(),
            window_requests: policy.window_requests.to_string(),
            error_points: policy.error_points.to_string(),
            error_floor: policy.error_floor.to_string(),
            error_absolute: policy.error_absolute.to_string(),
            slower_times: policy.slower_times.to_string(),
            slower_ms: policy.slower_ms.to_string(),
            root_allowed: yes(policy.root_allowed),
        }
    }
}

/// The unit and the bounds of each time: field, seconds in its unit, least, most.
const TIMES: [(&str, u64, u64, u64); 7] = [
    ("expire_after_hours", 3600, 1, 168),
    ("prepare_within", 1, 10, 3600),
    ("verify_within", 1, 10, 3600),
    ("switch_within", 1, 2, 120),
    ("observe_for", 1, 5, 3600),
    ("drain_for", 1, 0, 3600),
    ("warm_for_minutes", 60, 0, 1440),
];

/// Reads one of the times of a policy.
pub fn time(name: &str, typed: &str) -> Result<Duration, Problem> {
    let (_, unit, least, most) = TIMES
        .into_iter()
        .find(|(field, ..)| *field == name)
        .expect("each time of the form has a line in the table");
    within(name, typed, least, most).map(|count| Duration::from_secs(count * unit))
}

/// Per cent, more than nothing and at most all.
pub fn share(name: &str, typed: &str) -> Result<f64, Problem> {
    let share = typed::fraction(name, typed)?;
    if share > 0.0 && share <= 100.0 {
        return Ok(share);
    }
    Err(Problem::invalid(name, "This is more than 0 and at most 100."))
}

/// How many times as slow: at least as slow.
pub fn times(name: &str, typed: &str) -> Result<f64, Problem> {
    let times = typed::fraction(name, typed)?;
    if (1.0..=100.0).contains(&times) {
        return Ok(times);
    }
    Err(Problem::invalid(name, "This is 1 to 100."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_new_environment_can_be_typed_and_read() {
        for protected in [false, true] {
            let policy = Policy::of_new(protected);
            assert_eq!(PolicyForm::of(&policy).parse().expect("good"), policy);
        }
    }

    #[test]
    fn every_field_of_the_form_is_read_by_its_name() {
        let policy = Policy { root_allowed: true, promote_by_hand: true, ..Policy::of_new(true) };
        let form = PolicyForm::of(&policy);
        let sent = serde_json::to_value(&form).expect("a form has fields");

        let read = PolicyForm::of_fields(|name| sent[name].as_str().map(str::to_owned));

        assert_eq!(read, form);
        assert_eq!(PolicyForm::of_query(&ParamsMap::new()), None);
    }

    #[test]
    fn a_time_out_of_bounds_is_refused_with_the_bounds() {
        let form =
            PolicyForm { observe_for: "4".to_owned(), ..PolicyForm::of(&Policy::of_new(false)) };
        let problem = form.parse().expect_err("too short");
        assert_eq!(problem.field(), Some("observe_for"));
        assert!(problem.to_string().contains("5 to 3600"));
    }
}
