//! Deaths of instances, and instances that never get ready: noticed by looking, and told in rows that
//! stay few however often it happens. Pure but for the clock that is handed in.

use domain::{
    history::Deed,
    id::RolloutId,
    live::Health,
    slot::Slot,
    target::{Instance, Observed},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

/// Deaths are counted within this time, …
const WINDOW: Duration = Duration::from_secs(600);
/// … at most so many of a slot.
const MOST: usize = 1024;
/// An instance that is not ready for so long is told, and again each time it lasted twice as long.
const UNREADY: Duration = Duration::from_secs(120);

/// What was seen of restarts. Losing it costs the deaths of the time in which nobody looked.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Restarts of each instance, by its id. `None`: nobody has looked yet.
    seen: Option<HashMap<String, u32>>,
    slots: HashMap<(Slot, RolloutId), Deaths>,
}

/// The deaths of a slot's instances.
#[derive(Debug, Default)]
struct Deaths {
    at: VecDeque<Instant>,
    /// With how many it was told last, and when.
    told: usize,
    told_at: Option<Instant>,
}

impl Deaths {
    /// Whether one more is news: the first, then each time there are twice as many, and again when
    /// it has gone on for a whole window since.
    fn count(&mut self, more: u32, now: Instant) -> Option<u32> {
        self.at.extend((0..more).map(|_| now));
        while self.at.len() > MOST
            || self.at.front().is_some_and(|at| now.duration_since(*at) > WINDOW)
        {
            self.at.pop_front();
        }
        let long_ago = self.told_at.is_none_or(|at| now.duration_since(at) > WINDOW);
        if !long_ago && self.at.len() < self.told * 2 {
            return None;
        }
        self.told = self.at.len();
        self.told_at = Some(now);
        u32::try_from(self.told).ok()
    }
}

impl Memory {
    /// What is news since the last look.
    pub fn note(&mut self, observed: &Observed, now: Instant) -> Vec<Deed> {
        let known = self.seen.take();
        let mut seen = HashMap::new();
        let mut rows = Vec::new();
        let mut makers = HashSet::new();
        for slot in Slot::ALL {
            for one in observed.slots.of(slot) {
                makers.insert((slot, one.maker));
                seen.insert(one.id.clone(), one.restarts);
                // What happened before the first look is not news.
                let Some(known) = &known else { continue };
                let before = known.get(&one.id).copied().unwrap_or(0);
                let more = one.restarts.saturating_sub(before);
                if more == 0 {
                    continue;
                }
                let deaths = self.slots.entry((slot, one.maker)).or_default();
                if let Some(times) = deaths.count(more, now) {
                    let why =
                        one.died.clone().unwrap_or_else(|| "ended, nobody saw how,".to_owned());
                    let minutes = u32::try_from(WINDOW.as_secs() / 60).unwrap_or(u32::MAX);
                    let instance = one.name.clone();
                    rows.push(Deed::InstanceDied { instance, why, times, minutes });
                }
            }
        }
        self.slots.retain(|of, _| makers.contains(of));
        self.seen = Some(seen);
        rows
    }
}

/// Instances of a live slot that are not ready, since when, and for how long it was told.
#[derive(Debug, Default)]
pub(crate) struct Unready(HashMap<String, (Instant, Duration)>);

impl Unready {
    /// What is news of those that run.
    pub fn note<'a>(
        &mut self,
        instances: impl Iterator<Item = (&'a Instance, Health)>,
        now: Instant,
    ) -> Vec<Deed> {
        let mut still = HashMap::new();
        let mut rows = Vec::new();
        for (one, health) in instances {
            let why = match health {
                Health::NotReady { why } => why,
                Health::Starting => "it has not answered yet".to_owned(),
                Health::Ready | Health::Slow { .. } | Health::Exited { .. } => continue,
            };
            let (since, told) = self.0.remove(&one.id).unwrap_or((now, Duration::ZERO));
            let lasted = now.duration_since(since);
            let due = if told.is_zero() { UNREADY } else { told * 2 };
            let told = if lasted >= due { lasted } else { told };
            if told == lasted && lasted >= due {
                let minutes = u32::try_from(lasted.as_secs() / 60).unwrap_or(u32::MAX);
                rows.push(Deed::InstanceNotReady { instance: one.name.clone(), minutes, why });
            }
            still.insert(one.id.clone(), (since, told));
        }
        self.0 = still;
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        id::{ConfigurationId, ReleaseId},
        slot::PerSlot,
        target::InstanceState,
    };
    use uuid::Uuid;

    fn instance(id: &str, restarts: u32) -> Instance {
        Instance {
            id: id.to_owned(),
            name: format!("blue-{id}"),
            number: 1,
            maker: RolloutId(Uuid::nil()),
            release: ReleaseId(Uuid::nil()),
            configuration: ConfigurationId(Uuid::nil()),
            state: InstanceState::Running,
            in_route: true,
            started_at: None,
            restarts,
            died: Some("exit code 1".to_owned()),
            changed: None,
        }
    }

    fn seen(instances: Vec<Instance>) -> Observed {
        Observed {
            route: None,
            slots: PerSlot { blue: instances, green: Vec::new() },
            changed: PerSlot::default(),
        }
    }

    fn told(rows: &[Deed]) -> Vec<u32> {
        let times = |row: &Deed| match row {
            Deed::InstanceDied { times, .. } => *times,
            other => panic!("{other:?}"),
        };
        rows.iter().map(times).collect()
    }

    #[test]
    fn a_crash_loop_is_told_first_and_then_ever_less() {
        let begun = Instant::now();
        let mut memory = Memory::default();
        assert!(memory.note(&seen(vec![instance("a", 3)]), begun).is_empty(), "not news");

        let mut rows = Vec::new();
        for second in 1..=100 {
            let now = begun + Duration::from_secs(second);
            let restarts = 3 + u32::try_from(second).expect("small");
            rows.extend(memory.note(&seen(vec![instance("a", restarts)]), now));
            // A look at which nothing happened tells nothing.
            assert!(memory.note(&seen(vec![instance("a", restarts)]), now).is_empty());
        }

        assert_eq!(told(&rows), [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn a_loop_that_never_ends_is_told_once_a_window() {
        let begun = Instant::now();
        let mut memory = Memory::default();
        memory.note(&seen(vec![instance("a", 0)]), begun);

        let mut rows = Vec::new();
        for minute in 1..=600_u32 {
            let now = begun + Duration::from_secs(60) * minute;
            rows.extend(memory.note(&seen(vec![instance("a", minute)]), now));
        }

        assert!(rows.len() < 65, "{}", rows.len());
        assert!(told(&rows).iter().all(|times| *times <= 11), "{rows:?}");
    }

    #[test]
    fn one_that_died_before_it_was_seen_is_told_and_one_that_is_new_is_not() {
        let now = Instant::now();
        let mut memory = Memory::default();
        memory.note(&seen(vec![]), now);

        assert_eq!(told(&memory.note(&seen(vec![instance("a", 2)]), now)), [2]);
        assert!(memory.note(&seen(vec![instance("a", 2), instance("b", 0)]), now).is_empty());
    }

    #[test]
    fn one_that_is_not_ready_is_told_when_it_lasts_and_then_ever_less() {
        let begun = Instant::now();
        let one = instance("a", 0);
        let mut unready = Unready::default();
        let bad = || Health::NotReady { why: "503".to_owned() };
        let mut minutes = Vec::new();

        for minute in 0..=20 {
            let now = begun + Duration::from_secs(60) * minute;
            for row in unready.note([(&one, bad())].into_iter(), now) {
                let Deed::InstanceNotReady { minutes: lasted, .. } = row else { panic!("{row:?}") };
                minutes.push(lasted);
            }
        }
        assert_eq!(minutes, [2, 4, 8, 16]);

        let now = begun + Duration::from_secs(60 * 21);
        assert!(unready.note([(&one, Health::Ready)].into_iter(), now).is_empty());
        assert!(unready.note([(&one, bad())].into_iter(), now).is_empty(), "it begins anew");
    }
}
