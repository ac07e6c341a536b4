//! Keeps what was sampled: one statement a second for everything, minutes when they are over.
//!
//! Where a placement's traffic was read to is remembered here, and found again in the database after
//! a restart. From there on the router is asked, who remembers five minutes: so a control plane that
//! was away leaves no hole in what was counted. What instances used meanwhile nobody knows.

use crate::context::{Context, Known};
use domain::{
    id::PlacementId,
    live::{InstanceSample, Sample},
    observing::Window,
    samples::{SECONDS_FOR, Used},
    slot::Slot,
    target::{Instance, Traffic, Usage},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};
use store::samples::{InstanceSecond, KeptTo, SlotSecond};
use tokio::time::{Instant, timeout};

/// How far back the router is asked: what it remembers.
const REMEMBERED: i64 = domain::route::traffic::SECONDS_KEPT as i64;
/// Rows of one statement. More are written in several.
const AT_ONCE: usize = 5_000;
/// A database that takes longer holds up what people see live.
const WITHIN: Duration = Duration::from_secs(2);
/// After it could not be written. The router remembers meanwhile.
const LET_BE: Duration = Duration::from_secs(5);
/// Between two looks for partitions to make or drop.
const HOUSE: Duration = Duration::from_secs(60);
/// So long after its end a minute is made of its seconds.
const SETTLED: i64 = 3;

/// What is remembered from one round to the next.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// The last second whose traffic is kept.
    read_to: HashMap<PlacementId, i64>,
    /// How often each instance was started again.
    restarts: HashMap<String, u32>,
    /// Minutes of which seconds came since they were made.
    dirty: BTreeSet<i64>,
    round: Round,
    house_at: Option<Instant>,
    let_be_until: Option<Instant>,
}

/// What one round brought.
#[derive(Debug, Default)]
struct Round {
    slots: Vec<SlotSecond>,
    instances: Vec<InstanceSecond>,
    read_to: HashMap<PlacementId, i64>,
    restarts: HashMap<String, u32>,
}

impl Keeper {
    /// Learns where placements that are new here were read to, and forgets those that are gone.
    pub async fn begin(&mut self, context: &Context, known: &[Known], now: i64) {
        let here: HashSet<_> = known.iter().map(|known| known.placement.id).collect();
        self.read_to.retain(|id, _| here.contains(id));
        self.round = Round::default();
        let new: Vec<_> = here.into_iter().filter(|id| !self.read_to.contains_key(id)).collect();
        if new.is_empty() || self.is_let_be() {
            return;
        }
        let asked = timeout(WITHIN, async {
            let mut conn = context.pool.acquire().await.map_err(store::Error::from)?;
            store::samples::kept_to(&mut conn, &new).await
        });
        match asked.await {
            Ok(Ok(kept)) => {
                for (id, kept) in kept {
                    self.learn(id, kept, now);
                }
            }
            failed => self.failed(failed.map(|asked| asked.map(|_| ()))),
        }
    }

    fn learn(&mut self, id: PlacementId, kept: KeptTo, now: i64) {
        self.read_to.insert(id, kept.counted.unwrap_or(now - 2));
        // Minutes that nobody made: whoever wrote their seconds was stopped before.
        if let Some(counted) = kept.counted {
            let from = kept.minute.map_or(0, |minute| minute - REMEMBERED).max(now - SECONDS_FOR);
            self.dirty.extend((from..=counted).map(minute_of));
        }
    }

    /// From which second on the traffic of a placement is wanted: always some whole seconds, for those
    /// who look live.
    pub fn since(&self, id: PlacementId, now: i64) -> i64 {
        let live = now - 2;
        self.read_to.get(&id).map_or(live, |read_to| (read_to + 1).clamp(now - REMEMBERED, live))
    }

    /// Notes what a round said of a placement.
    pub fn note(
        &mut self,
        known: &Known,
        sample: &Sample,
        used: &[Usage],
        traffic: Option<&Traffic>,
    ) {
        let Ok(observed) = &known.observed else { return };
        for slot in Slot::ALL {
            self.note_slot(known, slot, observed.slots.of(slot), sample, used, traffic);
        }
        if let Some(traffic) = traffic {
            let last = Slot::ALL.iter().filter_map(|slot| traffic.slots.of(*slot).seconds.last());
            if let Some(last) = last.map(|second| second.at).max() {
                self.round.read_to.insert(known.placement.id, last);
            }
        }
    }

    fn note_slot(
        &mut self,
        known: &Known,
        slot: Slot,
        there: &[Instance],
        sample: &Sample,
        used: &[Usage],
        traffic: Option<&Traffic>,
    ) {
        let placement = known.placement.id;
        // Usage is of the second before it was read, as traffic is.
        let at = sample.at - 1;
        let read = &sample.slots.of(slot).instances;
        let mut restarts = 0;
        for instance in read {
            let before = self.restarts.get(&instance.id).copied().unwrap_or(instance.restarts);
            let since = instance.restarts.saturating_sub(before);
            restarts += since;
            self.round.restarts.insert(instance.id.clone(), instance.restarts);
            if used.iter().any(|used| used.instance == instance.id) {
                self.round.instances.push(InstanceSecond {
                    placement,
                    at,
                    slot,
                    instance: instance.name.clone(),
                    cpu_percent: instance.cpu_percent,
                    memory_bytes: instance.memory_bytes,
                    restarts: u16::try_from(since).unwrap_or(u16::MAX),
                });
            }
        }
        let of_slot = used_together(read, used, restarts);

        let read_to = self.read_to.get(&placement).copied().unwrap_or(at - 1);
        let seconds = traffic.map_or(&[][..], |traffic| &traffic.slots.of(slot).seconds);
        let mut met = false;
        for second in seconds.iter().filter(|second| second.at > read_to) {
            let here = second.at == at;
            // A slot that nobody was in yet, and that got nothing, was not idle: it was not there.
            let was_there = there.iter().any(|instance| {
                instance.started_at.is_some_and(|began| began.unix_timestamp() <= second.at)
            });
            if !was_there
                && second.requests == 0
                && second.failures == 0
                && !(here && of_slot.is_some())
            {
                continue;
            }
            met |= here;
            self.round.slots.push(SlotSecond {
                placement,
                at: second.at,
                slot,
                traffic: Some(Window::of(std::slice::from_ref(second))),
                used: of_slot.filter(|_| here),
            });
        }
        if let (false, Some(used)) = (met, of_slot) {
            self.round.slots.push(SlotSecond {
                placement,
                at,
                slot,
                traffic: None,
                used: Some(used),
            });
        }
    }

    /// Writes the round, and the minutes that are over.
    pub async fn keep(&mut self, context: &Context, now: i64) {
        let round = std::mem::take(&mut self.round);
        // What restarts while nothing can be written is not known of either: it would come too late.
        self.restarts.clone_from(&round.restarts);
        if self.is_let_be() {
            return;
        }
        let written = timeout(WITHIN, self.write(context, &round, now)).await;
        if !matches!(written, Ok(Ok(()))) {
            // Told again: what was kept already is not counted twice.
            self.house_at = None;
            self.failed(written);
        }
    }

    async fn write(&mut self, context: &Context, round: &Round, now: i64) -> store::Result<()> {
        let mut conn = context.pool.acquire().await.map_err(store::Error::from)?;
        if self.house_at.is_none_or(|at| at.elapsed() >= HOUSE) {
            store::samples::keep_house(&mut conn).await?;
            self.house_at = Some(Instant::now());
        }
        let mut instances = round.instances.chunks(AT_ONCE);
        let mut slots = round.slots.chunks(AT_ONCE);
        loop {
            let (slots, instances) = (slots.next(), instances.next());
            if slots.is_none() && instances.is_none() {
                break;
            }
            let (slots, instances) = (slots.unwrap_or_default(), instances.unwrap_or_default());
            store::samples::keep(&mut conn, context.node, slots, instances).await?;
            self.dirty.extend(slots.iter().map(|second| minute_of(second.at)));
            self.dirty.extend(instances.iter().map(|second| minute_of(second.at)));
        }
        self.read_to.extend(&round.read_to);
        // One a round: after a restart there may be sixty, and people look at what is live.
        let over = |minute: &i64| minute + 60 + SETTLED <= now;
        if let Some(minute) = self.dirty.first().copied().filter(over) {
            store::samples::roll_up(&mut conn, context.node, minute).await?;
            self.dirty.remove(&minute);
        }
        Ok(())
    }

    fn is_let_be(&self) -> bool {
        self.let_be_until.is_some_and(|until| Instant::now() < until)
    }

    fn failed(&mut self, what: Result<store::Result<()>, tokio::time::error::Elapsed>) {
        let why = match &what {
            Ok(Ok(())) => return,
            Ok(Err(error)) => crate::chain(error),
            Err(_) => "it took too long".to_owned(),
        };
        self.let_be_until = Some(Instant::now() + LET_BE);
        tracing::warn!(error = why, "Samples could not be kept; the router remembers for a while");
    }
}

/// What was read of all instances of a slot. `None`: of none of them.
fn used_together(read: &[InstanceSample], used: &[Usage], restarts: u32) -> Option<Used> {
    let metered: Vec<_> = read
        .iter()
        .filter(|instance| used.iter().any(|used| used.instance == instance.id))
        .collect();
    // An instance that just died has no usage, and its restart is still news.
    (!metered.is_empty() || restarts > 0).then(|| {
        let cpu = metered.iter().map(|instance| f64::from(instance.cpu_percent)).sum();
        let memory = metered.iter().map(|instance| instance.memory_bytes).sum();
        Used::read(cpu, memory, u16::try_from(read.len()).unwrap_or(u16::MAX), restarts)
    })
}

const fn minute_of(at: i64) -> i64 {
    at.div_euclid(60) * 60
}
