//! What came of a phase, in words: each row of the history that tells of a phase entered says it.

use super::{Phase, State};

impl State {
    /// What came of this phase, now that `next` is entered. Empty where there is nothing to say.
    #[must_use]
    pub fn outcome(&self, next: &Self) -> String {
        if let Some(ending) = &next.ending
            && (next.phase.is_end()
                || matches!(next.phase, Phase::SwitchingBack | Phase::CleaningUp))
            && !ending.why.is_empty()
        {
            return match next.evidence.back_confirmed_at {
                Some(back) if next.phase.is_end() => match next.evidence.back_decided_at {
                    Some(decided) => {
                        let ms = (back - decided).whole_milliseconds();
                        format!("{}; traffic was back {ms} ms after that", ending.why)
                    }
                    None => ending.why.clone(),
                },
                _ => ending.why.clone(),
            };
        }
        let of_requests = || {
            let evidence = &next.evidence;
            if evidence.requests == 0 {
                return "no request came".to_owned();
            }
            let (failures, requests) = (grouped(evidence.failures), grouped(evidence.requests));
            format!("{failures} of {requests} requests failed")
        };
        match self.phase {
            Phase::Preflight => match next.findings.len() {
                1 => "1 question answered".to_owned(),
                count => format!("{count} questions answered"),
            },
            Phase::Preparing => {
                next.pinned.map_or_else(String::new, |pinned| format!("{} started", pinned.size))
            }
            Phase::Verifying => match next.passes {
                1 => "1 pass".to_owned(),
                count => format!("{count} passes in a row"),
            },
            Phase::AwaitingPromotion => "promoted".to_owned(),
            Phase::AwaitingApproval => "approved".to_owned(),
            Phase::Switching => next
                .evidence
                .switched_in_ms
                .map_or_else(String::new, |ms| format!("switched in {ms} ms")),
            Phase::Observing => {
                format!("observed for {} s, {}", next.observation.seconds, of_requests())
            }
            Phase::Draining => of_requests(),
            Phase::Queued
            | Phase::SwitchingBack
            | Phase::CleaningUp
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Aborted
            | Phase::RolledBack
            | Phase::Superseded => String::new(),
        }
    }
}

/// A count with a comma before each three digits, as all pages write it.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_written_in_groups_of_three() {
        let grouped = |count| super::grouped(count);

        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1950), "1,950");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
