//! The last lines of instances that go, kept before they are gone.
//!
//! A container's log goes with the container. So after each look at a placement the end of the log is
//! stored of every instance that died, and from time to time of those in a slot without traffic: a new
//! one that may fail, an old one that is about to go. A rollout goes on meanwhile, and a switch back
//! never waits for it; only what removes instances does, for a moment.

use super::instances;
use crate::chain;
use domain::{
    log::{LogInstance, LogLine, LogWish},
    target::{Observed, Place},
};
use futures::{StreamExt, stream};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use store::{Pool, placements::Placement};
use targets::Target;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// So much of the end of a log.
const BYTES: usize = 200 * 1024;
const LINES: u32 = 2000;
/// How often the log of an instance is stored again that still runs, or dies again and again.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest it takes, and so the longest that a removal waits for it.
const WITHIN: Duration = Duration::from_millis(1500);
/// How many are read at the same time.
const AT_ONCE: usize = 8;

/// What was stored already. Losing it costs storing it once more.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    stored: HashMap<String, Stored>,
    /// One at a time: what is due meanwhile is stored after a later look.
    running: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Stored {
    at: Instant,
    /// With how many restarts it was dead.
    dead: Option<u32>,
}

impl Memory {
    /// Begins to store what is due.
    pub fn begin(
        &mut self,
        target: &Arc<dyn Target>,
        pool: &Pool,
        placement: &Arc<Placement>,
        observed: &Observed,
    ) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let due = self.due(placement, observed, Instant::now());
        if due.is_empty() {
            return;
        }
        let (target, pool, placement) = (target.clone(), pool.clone(), placement.clone());
        self.running = Some(tokio::spawn(async move {
            let all = stream::iter(due).for_each_concurrent(AT_ONCE, |instance| {
                let (target, pool, place) = (target.as_ref(), &pool, &placement.place);
                async move {
                    if let Err(error) = store_one(target, pool, place, &instance).await {
                        debug!(instance.name = instance.name, error, "A log could not be kept");
                    }
                }
            });
            if tokio::time::timeout(WITHIN, all).await.is_err() {
                warn!(placement.id = %placement.id, "Keeping logs of instances took too long");
            }
        }));
    }

    /// Waits for what was begun: before instances are removed, and their logs with them.
    pub async fn finish(&mut self) {
        if let Some(running) = self.running.take()
            && let Err(error) = running.await
        {
            warn!(%error, "Keeping logs of instances failed");
        }
    }

    /// Whose log is to be stored now.
    fn due(
        &mut self,
        placement: &Placement,
        observed: &Observed,
        now: Instant,
    ) -> Vec<LogInstance> {
        let live = observed.route.as_ref().and_then(|route| route.live);
        let warm = placement.warm.map(|warm| warm.slot);
        let seen = instances(observed);
        self.stored.retain(|id, _| seen.iter().any(|instance| instance.id == *id));
        seen.into_iter()
            .filter(|instance| {
                let stays = live == Some(instance.slot) || warm == Some(instance.slot);
                let restarts = observed
                    .slots
                    .of(instance.slot)
                    .iter()
                    .find(|one| one.id == instance.id)
                    .map_or(0, |one| one.restarts);
                let dead = instance.ended.is_some().then_some(restarts);
                let stored = self.stored.get(&instance.id);
                let is_old = stored.is_none_or(|stored| now - stored.at >= AGAIN);
                let died = dead.is_some() && stored.is_none_or(|stored| stored.dead.is_none());
                let died_again = dead.is_some() && stored.is_some_and(|stored| stored.dead != dead);
                let due = died || died_again && is_old || dead.is_none() && !stays && is_old;
                if due {
                    self.stored.insert(instance.id.clone(), Stored { at: now, dead });
                }
                due
            })
            .collect()
    }
}

async fn store_one(
    target: &dyn Target,
    pool: &Pool,
    place: &Place,
    instance: &LogInstance,
) -> Result<(), String> {
    let wish = LogWish { last: Some(LINES), ..LogWish::default() };
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    let mut bytes = 0;
    let mut log = target.logs(place, &instance.id, wish);
    while let Some(line) = log.next().await {
        let line = line.map_err(|error| chain(&error))?;
        bytes += line.size();
        lines.push_back(line);
        while bytes > BYTES && lines.len() > 1 {
            bytes -= lines.pop_front().map_or(0, |line| line.size());
        }
    }
    let mut conn = pool.acquire().await.map_err(|error| chain(&error))?;
    store::logs::keep(&mut conn, place.placement, instance, lines.make_contiguous())
        .await
        .map_err(|error| chain(&error))
}
