//! A placement that somebody follows.
//!
//! One task looks which instances there are and reads each of them, once, for everybody. The newest
//! lines of each wait in a ring, already written as messages. A viewer has a place in each ring and
//! takes what is there when he can; one who is too slow, or an instance that writes faster than
//! anybody reads, leaves a gap in the numbers, which tells how many lines are missing.

use super::{instances, kept};
use crate::{chain, targets::Targets};
use domain::{
    live::Message,
    log::{LogInstance, LogInstances, LogLine, LogPiece, LogWish, Which},
    target::{Observed, Place},
};
use futures::StreamExt;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::Pool;
use targets::Target;
use time::OffsetDateTime;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::debug;

/// The newest lines of an instance that somebody who comes now is told, …
const LINES: u64 = 1000;
/// … as far as they are not more than this.
const BYTES: usize = 512 * 1024;
/// A message carries so many lines, of so many bytes together.
const PIECE_LINES: usize = 200;
const PIECE_BYTES: usize = 64 * 1024;
/// How long lines gather before they are told.
const GATHER: Duration = Duration::from_millis(200);
/// Of what came in that time, so much is told: nobody reads more. The rest is counted.
const GATHER_LINES: usize = 400;
const GATHER_BYTES: usize = 128 * 1024;
/// How often one looks which instances there are.
const LOOK: Duration = Duration::from_secs(1);
/// A stream that says nothing for so long is asked for again. Some engines lose their place when a
/// log goes on in another file, and then say nothing for ever.
const SILENCE: Duration = Duration::from_secs(5);
/// How many instances are followed, and of how many that are gone the kept lines are told.
const FOLLOWED: usize = 32;
const KEPT: usize = 8;

/// Ends with the last viewer.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub fn begin(targets: Arc<Targets>, pool: Pool, place: Place) -> Self {
        let shared = Arc::new(Shared { place, state: Mutex::default() });
        shared.state().watch = unix_ns();
        let task = tokio::spawn(run(shared.clone(), targets, pool)).abort_handle();
        Self { shared, task }
    }
}

#[derive(Debug)]
struct Shared {
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Names this watch: numbers of another one are others.
    watch: i64,
    instances: LogInstances,
    /// The same as a message, and how often it changed.
    said: Option<Arc<str>>,
    changes: u64,
    rings: BTreeMap<String, Ring>,
}

/// The newest lines of one instance.
#[derive(Debug, Default)]
struct Ring {
    pieces: VecDeque<Piece>,
    lines: u64,
    bytes: usize,
    /// How many lines there were in all.
    last: u64,
}

#[derive(Debug)]
struct Piece {
    first: u64,
    lines: u64,
    bytes: usize,
    json: Arc<str>,
}

/// Somebody who follows. Whatever he is not shown, he does not wait for.
#[derive(Debug)]
pub struct Viewer {
    watch: Arc<Watch>,
    which: Which,
    /// The last number that he was told, of each instance.
    told: HashMap<String, u64>,
    changes: u64,
}

impl Viewer {
    pub(super) fn new(watch: Arc<Watch>, which: Which) -> Self {
        Self { watch, which, told: HashMap::new(), changes: 0 }
    }

    /// The next message for him, if there is one now.
    pub fn take(&mut self) -> Option<Arc<str>> {
        let state = self.watch.shared.state();
        if state.changes != self.changes {
            self.changes = state.changes;
            return state.said.clone();
        }
        for instance in &state.instances.instances {
            if !self.which.takes(instance) {
                continue;
            }
            let Some(ring) = state.rings.get(&instance.id) else { continue };
            let told = self.told.get(&instance.id).copied().unwrap_or(0);
            if let Some(piece) = ring.pieces.iter().find(|piece| piece.first > told) {
                self.told.insert(instance.id.clone(), piece.first + piece.lines - 1);
                return Some(piece.json.clone());
            }
        }
        None
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is whole, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts lines behind those of an instance. `left_out` of them came before and are not told.
    fn push(&self, instance: &str, left_out: u64, lines: Vec<LogLine>) {
        let (watch, mut first) = {
            let state = self.state();
            let last = state.rings.get(instance).map_or(0, |ring| ring.last);
            (state.watch, last + left_out + 1)
        };
        let mut pieces = Vec::new();
        for lines in in_pieces(lines) {
            let (count, bytes) = (lines.len() as u64, lines.iter().map(LogLine::size).sum());
            let message = Message::Log(LogPiece {
                placement: self.place.placement,
                instance: instance.to_owned(),
                watch,
                first,
                lines,
            });
            let Ok(json) = serde_json::to_string(&message) else { continue };
            pieces.push(Piece { first, lines: count, bytes, json: json.into() });
            first += count;
        }
        // Only its own reader writes a ring, so nothing came between.
        let mut state = self.state();
        let ring = state.rings.entry(instance.to_owned()).or_default();
        ring.last = first - 1;
        for piece in pieces {
            ring.lines += piece.lines;
            ring.bytes += piece.bytes;
            ring.pieces.push_back(piece);
        }
        while let Some(oldest) = ring.pieces.front()
            && ring.pieces.len() > 1
            && (ring.lines - oldest.lines >= LINES || ring.bytes > BYTES)
        {
            ring.lines -= oldest.lines;
            ring.bytes -= oldest.bytes;
            ring.pieces.pop_front();
        }
    }

    fn say(&self, instances: LogInstances) {
        let mut state = self.state();
        if state.said.is_some() && state.instances == instances {
            return;
        }
        let is_told = |id: &String| instances.instances.iter().any(|one| one.id == *id);
        state.rings.retain(|id, _| is_told(id));
        let Ok(json) = serde_json::to_string(&Message::LogInstances(instances.clone())) else {
            return;
        };
        state.said = Some(json.into());
        state.instances = instances;
        state.changes += 1;
    }
}

/// What is read of which instance.
#[derive(Debug, Default)]
struct Readers {
    tasks: JoinSet<()>,
    of: HashMap<String, Reader>,
}

#[derive(Debug)]
struct Reader {
    task: AbortHandle,
    /// The time of the last line, for the next reader of the same instance.
    last_ns: Arc<Mutex<Option<i64>>>,
    /// It was dead when this reader began: there is nothing more to read until it lives again.
    of_dead: Option<u32>,
}

async fn run(shared: Arc<Shared>, targets: Arc<Targets>, pool: Pool) {
    let mut readers = Readers::default();
    // What is gone, and what of it was told; asked for again when an instance goes.
    let mut gone: Vec<LogInstance> = Vec::new();
    let mut there: Option<Vec<String>> = None;
    loop {
        while readers.tasks.try_join_next().is_some() {}
        // Asked for each time: a target that was opened anew is another one.
        let target = targets.of_placement(shared.place.placement).await;
        match target.observe(&shared.place).await {
            Ok(observed) => {
                let mut seen = instances(&observed);
                for unfollowed in seen.iter_mut().skip(FOLLOWED) {
                    unfollowed.followed = false;
                }
                let ids: Vec<String> = seen.iter().map(|instance| instance.id.clone()).collect();
                if there.as_ref() != Some(&ids) {
                    gone = told_as_gone(&shared, &pool, &seen, &gone).await;
                    there = Some(ids);
                }
                let all = seen.iter().chain(&gone).cloned().collect();
                shared.say(LogInstances { instances: all, trouble: None });
                readers.follow(&shared, &target, &seen, &observed);
            }
            Err(error) => {
                let mut instances = shared.state().instances.clone();
                instances.trouble = Some(chain(&error));
                shared.say(instances);
            }
        }
        sleep(LOOK).await;
    }
}

/// Instances that are gone: those that were kept, and those that were followed when they went.
async fn told_as_gone(
    shared: &Shared,
    pool: &Pool,
    seen: &[LogInstance],
    before: &[LogInstance],
) -> Vec<LogInstance> {
    let mut found = kept(pool, shared.place.placement, seen).await.unwrap_or_else(|error| {
        debug!(%error, "Kept logs could not be looked for");
        before.to_vec()
    });
    found.truncate(KEPT);
    let followed: Vec<LogInstance> = shared.state().instances.instances.clone();
    for one in followed {
        let is_there = |all: &[LogInstance]| all.iter().any(|other| other.id == one.id);
        if !is_there(seen) && !is_there(&found) {
            let ended = one.ended.or_else(|| Some("removed".to_owned()));
            found.push(LogInstance { ended, followed: false, ..one });
        }
    }
    found.truncate(FOLLOWED);
    for instance in &found {
        if shared.state().rings.contains_key(&instance.id) {
            continue;
        }
        let Ok(mut conn) = pool.acquire().await else { break };
        let lines = store::logs::lines(&mut conn, shared.place.placement, &instance.id).await;
        shared.push(&instance.id, 0, lines.unwrap_or_default());
    }
    found
}

impl Readers {
    /// Reads every instance that is to be followed and is not read.
    fn follow(
        &mut self,
        shared: &Arc<Shared>,
        target: &Arc<dyn Target>,
        seen: &[LogInstance],
        observed: &Observed,
    ) {
        self.of.retain(|id, reader| {
            let stays = seen.iter().any(|one| one.id == *id && one.followed);
            if !stays {
                reader.task.abort();
            }
            stays
        });
        for instance in seen.iter().filter(|instance| instance.followed) {
            let restarts = observed
                .slots
                .of(instance.slot)
                .iter()
                .find(|one| one.id == instance.id)
                .map_or(0, |one| one.restarts);
            let of_dead = instance.ended.is_some().then_some(restarts);
            let last_ns = match self.of.get(&instance.id) {
                Some(reader) if !reader.task.is_finished() => continue,
                Some(reader) if of_dead.is_some() && reader.of_dead == of_dead => continue,
                Some(reader) => reader.last_ns.clone(),
                None => Arc::default(),
            };
            let reading =
                read(shared.clone(), target.clone(), instance.id.clone(), last_ns.clone());
            let task = self.tasks.spawn(reading);
            self.of.insert(instance.id.clone(), Reader { task, last_ns, of_dead });
        }
    }
}

/// Reads one instance until it ends.
async fn read(
    shared: Arc<Shared>,
    target: Arc<dyn Target>,
    instance: String,
    last_ns: Arc<Mutex<Option<i64>>>,
) {
    let after_ns = *last_ns.lock().unwrap_or_else(PoisonError::into_inner);
    let last = u32::try_from(LINES).unwrap_or(u32::MAX);
    let wish = LogWish { last: Some(last), after_ns, follow: true };
    let mut lines = target.logs(&shared.place, &instance, wish);
    // The past comes at once and is told whole; from then on only what a person can read.
    let mut bounds = (usize::try_from(LINES).unwrap_or(usize::MAX), BYTES);
    let (mut over, mut resumed) = (false, after_ns);
    while !over {
        let mut gathered = Gathered::default();
        match timeout(SILENCE, lines.next()).await {
            Ok(Some(Ok(line))) => gathered.add(line, bounds),
            Ok(Some(Err(error))) => {
                debug!(error = chain(&error), "A log could not be followed");
                return;
            }
            Ok(None) | Err(_) => return,
        }
        let until = Instant::now() + GATHER;
        loop {
            match timeout_at(until, lines.next()).await {
                Ok(Some(Ok(line))) => gathered.add(line, bounds),
                Ok(Some(Err(_)) | None) => {
                    over = true;
                    break;
                }
                Err(_) => break,
            }
        }
        if let (Some(after_ns), Some(first)) = (resumed.take(), gathered.lines.front())
            && gathered.left_out + gathered.lines.len() as u64 >= LINES
        {
            // More was written meanwhile than was asked for.
            let (from, to) = (after_ns, first.at_ns);
            let between = count(target.as_ref(), &shared.place, &instance, from, to).await;
            gathered.left_out = gathered.left_out.max(between);
        }
        let newest = gathered.lines.back().map(|line| line.at_ns);
        shared.push(&instance, gathered.left_out, gathered.lines.into());
        *last_ns.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        bounds = (GATHER_LINES, GATHER_BYTES);
    }
}

/// How many lines were written between two others.
async fn count(target: &dyn Target, place: &Place, instance: &str, from: i64, to: i64) -> u64 {
    let wish = LogWish { last: None, after_ns: Some(from), follow: false };
    let mut lines = target.logs(place, instance, wish);
    let mut count = 0;
    while let Some(Ok(line)) = lines.next().await
        && line.at_ns < to
    {
        count += 1;
    }
    count
}

/// The newest of what came, within bounds.
#[derive(Debug, Default)]
struct Gathered {
    lines: VecDeque<LogLine>,
    bytes: usize,
    left_out: u64,
}

impl Gathered {
    fn add(&mut self, line: LogLine, (most_lines, most_bytes): (usize, usize)) {
        self.bytes += line.size();
        self.lines.push_back(line);
        while self.lines.len() > most_lines || self.bytes > most_bytes && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.size());
            self.left_out += 1;
        }
    }
}

fn in_pieces(lines: Vec<LogLine>) -> Vec<Vec<LogLine>> {
    let mut pieces: Vec<Vec<LogLine>> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        bytes += line.size();
        match pieces.last_mut() {
            Some(piece) if piece.len() < PIECE_LINES && bytes <= PIECE_BYTES => piece.push(line),
            _ => {
                bytes = line.size();
                pieces.push(vec![line]);
            }
        }
    }
    pieces
}

fn unix_ns() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
