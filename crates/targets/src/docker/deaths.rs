//! Why containers died that run again by now: the engine forgets it with the next start, so it is
//! remembered from what the event stream told.

use super::{labels, lock};
use crate::death;
use bollard::models::EventMessage;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// The most containers of which a death is remembered.
const MOST: usize = 4096;
/// A container that ran out of memory dies of it within this time: the two events come in any order.
const TOGETHER: Duration = Duration::from_secs(5);

/// What was heard of each container, by its id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths(Arc<Mutex<HashMap<String, Death>>>);

#[derive(Clone, Debug)]
struct Death {
    why: String,
    out_of_memory: Option<Instant>,
}

impl Deaths {
    /// Why a container died last, if that was heard.
    pub fn of(&self, id: &str) -> Option<String> {
        lock(&self.0).get(id).map(|death| death.why.clone())
    }

    /// Remembers what an event says.
    pub fn note(&self, event: &EventMessage) {
        let Some(actor) = &event.actor else { return };
        let (Some(id), Some(attributes)) = (&actor.id, &actor.attributes) else { return };
        let number = |key: &str| attributes.get(key).and_then(|value| value.parse::<u64>().ok());
        let memory = number(labels::MEMORY).unwrap_or(0);
        let code = number("exitCode").and_then(|code| i64::try_from(code).ok());
        self.heard(id, event.action.as_deref().unwrap_or_default(), code, memory);
    }

    fn heard(&self, id: &str, action: &str, code: Option<i64>, memory: u64) {
        let mut all = lock(&self.0);
        let known = all.get(id).and_then(|death| death.out_of_memory);
        let (why, out_of_memory) = match action {
            "oom" => (death::ended(code, true, memory), Some(Instant::now())),
            "die" => {
                let just = known.filter(|at| at.elapsed() < TOGETHER);
                (death::ended(code, just.is_some(), memory), just)
            }
            "destroy" => {
                all.remove(id);
                return;
            }
            _ => return,
        };
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(id.to_owned(), Death { why, out_of_memory });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_by_memory_is_known_in_whatever_order_it_is_told() {
        for events in [["oom", "die"], ["die", "oom"]] {
            let deaths = Deaths::default();
            for event in events {
                deaths.heard("one", event, Some(137), 64 << 20);
            }

            assert_eq!(deaths.of("one").as_deref(), Some("killed for memory (limit 64 MiB)"));
        }
    }

    #[test]
    fn the_last_death_counts_and_what_is_gone_is_forgotten() {
        let deaths = Deaths::default();
        deaths.heard("one", "die", Some(1), 0);
        deaths.heard("one", "start", None, 0);
        assert_eq!(deaths.of("one").as_deref(), Some("exit code 1"));

        deaths.heard("one", "destroy", None, 0);

        assert_eq!(deaths.of("one"), None);
    }
}
