//! What instances write, for those who may read it: followed live, searched, taken away.
//!
//! ```text
//! watch.rs    a placement that somebody follows: one stream of the target an instance, however many
//!             look; the newest lines of each, which every viewer takes at his own pace
//! read.rs     what the target holds and what was kept, once through: a search, a download
//! keep.rs     the last lines of instances that go, into the database
//! ```
//!
//! Reading needs no claim: whichever node is asked reads. Everything here has a bound: how much of an
//! instance waits for a viewer, how many placements are watched, how many read at a time.

pub(crate) mod keep;
mod read;
mod watch;

pub use read::Reading;
pub use watch::Viewer;

use crate::targets::Targets;
use domain::{
    id::PlacementId,
    log::{LINES_SHOWN, LogFound, LogInstance, LogLine, LogWish, Which, find::Needle},
    slot::Slot,
    target::{InstanceState, Observed, Place},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use store::Pool;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use watch::Watch;

/// How many placements are watched at a time.
const WATCHED: usize = 64;
/// How many searches, and how many downloads, read at a time; others wait a moment, and are refused then.
const READ_AT_ONCE: usize = 4;
const WAIT_FOR_TURN: Duration = Duration::from_secs(3);
/// How long a search may take, and how far it goes back in each instance.
const SEARCH_FOR: Duration = Duration::from_secs(15);
const SEARCH_LINES: u32 = 50_000;
/// How many bytes a search may find: some lines are long.
const FOUND_BYTES: usize = 2 << 20;
/// How many of the last lines of each instance are drawn where nothing is searched for.
const LAST_LINES: u32 = 200;

/// What instances write. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    targets: Arc<Targets>,
    pool: Pool,
    watched: Mutex<HashMap<PlacementId, Weak<Watch>>>,
    /// Apart, so that people who download slowly do not keep others from a page.
    searches: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

impl Logs {
    pub(crate) fn new(targets: Arc<Targets>, pool: Pool) -> Self {
        let turns = || Arc::new(Semaphore::new(READ_AT_ONCE));
        let (searches, downloads) = (turns(), turns());
        let watched = Mutex::default();
        Self { inner: Arc::new(Inner { targets, pool, watched, searches, downloads }) }
    }

    /// Follows a placement: its newest lines first. `None`: too many others are followed.
    #[must_use]
    pub fn follow(&self, place: &Place, which: Which) -> Option<Viewer> {
        // Every change of it is whole, so a panic elsewhere leaves it whole.
        let mut watched = self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watch| watch.strong_count() > 0);
        let there = watched.get(&place.placement).and_then(Weak::upgrade);
        let watch = match there {
            Some(watch) => watch,
            None if watched.len() >= WATCHED => return None,
            None => {
                let (targets, pool) = (self.inner.targets.clone(), self.inner.pool.clone());
                let watch = Arc::new(Watch::begin(targets, pool, place.clone()));
                watched.insert(place.placement, Arc::downgrade(&watch));
                watch
            }
        };
        Some(Viewer::new(watch, which))
    }

    /// The newest lines with `needle` in them, or simply the newest. Never fails: what could not be
    /// read is said beside what could.
    pub async fn find(&self, place: &Place, which: &Which, needle: Option<&Needle>) -> LogFound {
        let Some(_turn) = turn(&self.inner.searches).await else {
            let trouble = "Too many logs are being searched at the moment. Try again soon.";
            return LogFound { trouble: Some(trouble.to_owned()), ..LogFound::default() };
        };
        let last = if needle.is_some() { SEARCH_LINES } else { LAST_LINES };
        let wish = LogWish { last: Some(last), ..LogWish::default() };
        let until = Instant::now() + SEARCH_FOR;
        let mut reading = self.reading(place, which, wish).await;
        let mut found = LogFound { instances: reading.instances().to_vec(), ..LogFound::default() };
        let mut lines: VecDeque<(u16, LogLine)> = VecDeque::new();
        let mut bytes = 0;
        let mut read_of = vec![0_u32; found.instances.len()];
        loop {
            let Ok(next) = tokio::time::timeout_at(until, reading.next()).await else {
                found.cut_short = true;
                break;
            };
            let Some((instance, line)) = next else { break };
            found.searched += 1;
            found.back_to_ns.get_or_insert(line.at_ns);
            read_of[instance] += 1;
            if needle.is_some_and(|needle| !needle.is_in(&line)) {
                continue;
            }
            found.matched += 1;
            bytes += line.size();
            lines.push_back((u16::try_from(instance).unwrap_or(u16::MAX), line));
            while lines.len() > LINES_SHOWN || bytes > FOUND_BYTES && lines.len() > 1 {
                bytes -= lines.pop_front().map_or(0, |(_, line)| line.size());
            }
        }
        // As many as were asked for: there may be more before them.
        found.cut_short |= needle.is_some() && read_of.into_iter().any(|read| read >= SEARCH_LINES);
        found.lines = lines.into();
        found.trouble = reading.trouble();
        found
    }

    /// Everything that is held of these instances, in the order it was written. `None`: too many
    /// others read.
    pub async fn take_away(&self, place: &Place, which: &Which) -> Option<Reading> {
        let turn = turn(&self.inner.downloads).await?;
        Some(self.reading(place, which, LogWish::default()).await.with_turn(turn))
    }

    async fn reading(&self, place: &Place, which: &Which, wish: LogWish) -> Reading {
        let target = self.inner.targets.of_placement(place.placement).await;
        Reading::begin(&target, &self.inner.pool, place, which, wish).await
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    timeout(WAIT_FOR_TURN, turns.clone().acquire_owned()).await.ok()?.ok()
}

/// The instances of an observation: those of the slot with the traffic first, then by name.
fn instances(observed: &Observed) -> Vec<LogInstance> {
    let live = observed.route.as_ref().and_then(|route| route.live);
    let first = live.unwrap_or(Slot::Blue);
    [first, first.other()]
        .into_iter()
        .flat_map(|slot| observed.slots.of(slot).iter().map(move |instance| (slot, instance)))
        .map(|(slot, instance)| LogInstance {
            id: instance.id.clone(),
            name: instance.name.clone(),
            slot,
            maker: instance.maker,
            ended: match &instance.state {
                InstanceState::Exited { why } => Some(why.clone()),
                InstanceState::Starting | InstanceState::Running => None,
            },
            kept: false,
            followed: true,
        })
        .collect()
}

/// What was kept of instances that are not `there` any more.
async fn kept(
    pool: &Pool,
    placement: PlacementId,
    there: &[LogInstance],
) -> store::Result<Vec<LogInstance>> {
    let there: Vec<String> = there.iter().map(|instance| instance.id.clone()).collect();
    let mut conn = pool.acquire().await?;
    store::logs::of_placement(&mut conn, placement, &there).await
}
