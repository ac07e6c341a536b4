//! One round of samples a second, however many people watch: usage from the targets, traffic from
//! their witnesses, health from whoever asked last. Told to who listens, and kept.

mod asking;

use crate::{
    context::{Context, Known},
    keeper::Keeper,
    live::Place,
};
use asking::Asking;
use domain::{
    history::Visibility,
    live::{InstanceSample, Message, Sample, SlotSample},
    observing::Window,
    slot::{PerSlot, Slot},
    target::{Observed, SlotTraffic, Traffic, Usage},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// A settled instance is asked for its health so often; a rollout asks its own more often.
const HEALTH: Duration = Duration::from_secs(5);
/// How many placements are asked at the same time.
const AT_ONCE: usize = 16;

/// Bytes of an instance at the last round, for rates.
type Bytes = HashMap<String, (u64, u64, Instant)>;

/// Samples until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut ticks = tokio::time::interval(ROUND);
    // A round that took too long is not made up for by two at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes = Bytes::new();
    let mut keeper = Keeper::default();
    let mut asking = Asking::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.stopping.cancelled() => return,
        }
        round(&context, &mut bytes, &mut keeper, &mut asking).await;
    }
}

async fn round(
    context: &Arc<Context>,
    bytes: &mut Bytes,
    keeper: &mut Keeper,
    asking: &mut Asking,
) {
    let known: Vec<Known> = context
        .known()
        .into_iter()
        .filter(|known| known.observed.as_ref().map_or(true, |seen| has_something(seen)))
        .collect();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    keeper.begin(context, &known, now).await;
    if known.is_empty() {
        bytes.clear();
        // Minutes of what was there until now.
        keeper.keep(context, now).await;
        return;
    }
    let said = asking.samples(context, &known, keeper).await;
    let now = Instant::now();
    let at = OffsetDateTime::now_utc().unix_timestamp();
    for known in &known {
        let id = known.placement.id;
        let said = said.get(&known.placement.target);
        if said.is_none() && known.observed.is_ok() {
            // Its target is at the answer: nothing is told rather than zeros.
            continue;
        }
        let used = said.and_then(|said| said.usage.get(&id)).map_or(&[][..], Vec::as_slice);
        let traffic = said.and_then(|said| said.traffic.get(&id));
        let sample = sample(context, known, used, traffic, bytes, at);
        keeper.note(known, &sample, used, traffic);
        let place = Place {
            project: Some(known.place().project.to_string()),
            environment: Some(known.place().environment.to_string()),
        };
        context.hub.tell(place, Visibility::View, Message::Sample(sample));
    }
    for used in said.values().flat_map(|said| said.usage.values()).flatten() {
        bytes.insert(used.instance.clone(), (used.received_bytes, used.sent_bytes, now));
    }
    bytes.retain(|_, (_, _, at)| now.duration_since(*at) < HEALTH * 2);
    asking.healths(context, &known);
    keeper.keep(context, at).await;
}

fn has_something(observed: &Observed) -> bool {
    observed.route.is_some() || Slot::ALL.iter().any(|slot| !observed.slots.of(*slot).is_empty())
}

fn sample(
    context: &Context,
    known: &Known,
    used: &[Usage],
    traffic: Option<&Traffic>,
    bytes: &Bytes,
    at: i64,
) -> Sample {
    let observed = match &known.observed {
        Ok(observed) => observed,
        Err(why) => {
            return Sample {
                placement: known.placement.id,
                at,
                live: None,
                slots: PerSlot::default(),
                trouble: Some(why.clone()),
            };
        }
    };
    let slot = |slot: Slot| {
        let instances = observed
            .slots
            .of(slot)
            .iter()
            .map(|instance| {
                let used = used.iter().find(|used| used.instance == instance.id);
                let (received, sent) = rates(used, bytes);
                InstanceSample {
                    id: instance.id.clone(),
                    name: instance.name.clone(),
                    health: context.healths.of(instance),
                    cpu_percent: used.map_or(0.0, |used| used.cpu_percent),
                    memory_bytes: used.map_or(0, |used| used.memory_bytes),
                    memory_limit_bytes: used.map_or(0, |used| used.memory_limit_bytes),
                    received_bytes_per_s: received,
                    sent_bytes_per_s: sent,
                    processes: used.map_or(0, |used| used.processes),
                    restarts: instance.restarts,
                    started_at: instance.started_at,
                }
            })
            .collect();
        let mut sample = SlotSample { instances, ..SlotSample::default() };
        if let Some(traffic) = traffic {
            count(&mut sample, traffic.slots.of(slot));
        }
        sample
    };
    Sample {
        placement: known.placement.id,
        at,
        live: observed.route.as_ref().and_then(|route| route.live),
        slots: PerSlot { blue: slot(Slot::Blue), green: slot(Slot::Green) },
        trouble: None,
    }
}

/// The last whole second.
fn count(sample: &mut SlotSample, traffic: &SlotTraffic) {
    sample.in_flight = traffic.in_flight.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    if let Some(second) = traffic.seconds.last() {
        let window = Window::of(std::slice::from_ref(second));
        sample.requests = second.requests;
        sample.failures = second.failures;
        sample.p50_us = window.percentile(50);
        sample.p95_us = window.percentile(95);
        sample.p99_us = window.percentile(99);
    }
}

/// Received and sent bytes a second since the last round.
fn rates(used: Option<&Usage>, bytes: &Bytes) -> (u64, u64) {
    let Some(used) = used else { return (0, 0) };
    let Some((received, sent, at)) = bytes.get(&used.instance) else { return (0, 0) };
    let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = |now: u64, then: u64| now.saturating_sub(then).saturating_mul(1000) / millis;
    (rate(used.received_bytes, *received), rate(used.sent_bytes, *sent))
}
