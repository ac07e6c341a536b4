//! What a build writes, while it writes: told to whoever follows, and put into the database.
//!
//! One task writes. Its lines are numbered here, wait for viewers in a ring, as messages that are
//! made once, and for the database in a heap that is written each second. Viewers take from the ring
//! at their own pace; one who was away longer than it reaches back sees a gap in the numbers, and
//! finds what is missing in the database.

use crate::context::Context;
use domain::{
    build::{
        BuildStep, Phase,
        log::{BuildLine, BuildPiece},
        view::BuildState,
    },
    history::Visibility,
    id::BuildId,
    live::Message,
    log::{LogLine, Source},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use store::builds::{claims::Held, logs::Chunk};
use time::OffsetDateTime;
use tracing::warn;

/// What waits for viewers.
const RING_BYTES: usize = 2 << 20;
/// A message carries so many lines, of so many bytes together.
const PIECE_LINES: usize = 200;
const PIECE_BYTES: usize = 64 * 1024;
/// How long lines gather before they are told, and before they are stored.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(100);
const STORE_EVERY: Duration = Duration::from_secs(1);
/// So much is stored at once; with more, it does not wait for the second.
const CHUNK_BYTES: usize = 512 * 1024;
/// What waits for a database that does not answer. Then the oldest of it goes.
const WAITING_BYTES: usize = 8 << 20;
/// So much is kept of a log, before it is compressed: its beginning, and the rest from the end.
const LOG_BYTES: u64 = 32 << 20;
const BEGINNING_BYTES: u64 = 4 << 20;
/// So many steps are told apart.
const MOST_STEPS: usize = 500;
/// A step's name, and the reason of its failure, are not longer.
const NAME_CHARS: usize = 300;

/// What viewers see of a build.
#[derive(Debug)]
pub(super) struct Shared {
    pub build: BuildId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The number of the last line that was put here.
    pub last: u64,
    /// This process is at it, so nobody needs to look into the database.
    pub here: bool,
    /// A task looks into the database while nobody here is at it.
    pub looked: bool,
}

#[derive(Debug)]
struct Piece {
    last: u64,
    bytes: usize,
    json: Arc<str>,
}

impl Shared {
    pub fn new(build: BuildId, last: u64) -> Self {
        Self { build, state: Mutex::new(State { last, ..State::default() }) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is whole, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message after a line, and the last line in it.
    pub fn after(&self, line: u64) -> Option<(u64, Arc<str>)> {
        let state = self.state();
        let at = state.pieces.partition_point(|piece| piece.last <= line);
        state.pieces.get(at).map(|piece| (piece.last, piece.json.clone()))
    }

    /// Puts lines behind those that are there. What is there already is left as it is.
    pub fn push(&self, lines: Vec<BuildLine>) {
        let mut pieces = Vec::new();
        let mut gathered = Vec::new();
        let mut bytes = 0;
        for line in lines {
            let size = line.line.size();
            if gathered.len() >= PIECE_LINES || bytes + size > PIECE_BYTES {
                pieces.extend(self.piece(std::mem::take(&mut gathered), bytes));
                bytes = 0;
            }
            bytes += size;
            gathered.push(line);
        }
        pieces.extend(self.piece(gathered, bytes));

        let mut state = self.state();
        for piece in pieces {
            if piece.last <= state.last {
                continue;
            }
            state.last = piece.last;
            state.bytes += piece.bytes;
            state.pieces.push_back(piece);
        }
        while state.bytes > RING_BYTES
            && state.pieces.len() > 1
            && let Some(oldest) = state.pieces.pop_front()
        {
            state.bytes -= oldest.bytes;
        }
    }

    fn piece(&self, lines: Vec<BuildLine>, bytes: usize) -> Option<Piece> {
        let last = lines.last()?.number;
        let message = Message::BuildLog(BuildPiece { build: self.build, lines });
        let json = serde_json::to_string(&message).ok()?;
        Some(Piece { last, bytes, json: json.into() })
    }
}

/// The one who writes.
#[derive(Debug)]
pub(super) struct Book {
    held: Held,
    shared: Arc<Shared>,
    place: crate::live::Place,
    pub phase: Phase,
    pub since: OffsetDateTime,
    pub steps: Vec<BuildStep>,
    progress: Option<String>,
    /// Not told yet, and not stored yet.
    untold: Vec<BuildLine>,
    unstored: VecDeque<BuildLine>,
    unstored_bytes: usize,
    pub written: u64,
    pub left_out: u64,
    /// Those that may go, oldest first, and how much is kept in all.
    middle: VecDeque<Chunk>,
    beginning_bytes: u64,
    kept_bytes: u64,
    told_at: Instant,
    stored_at: Instant,
    changed: bool,
}

impl Book {
    /// Goes on after what is stored.
    pub fn open(
        claimed: &store::builds::claims::Claimed,
        shared: Arc<Shared>,
        chunks: Vec<Chunk>,
    ) -> Self {
        // What was stored last counts, also where the row was not saved with it.
        let stored = chunks.last().map_or(0, |last| last.first_line + u64::from(last.lines) - 1);
        let written = claimed.lines_written.max(stored);
        {
            let mut state = shared.state();
            state.last = state.last.max(written);
            state.here = true;
        }
        let now = Instant::now();
        let mut book = Self {
            held: claimed.held,
            shared,
            place: crate::live::Place {
                project: Some(claimed.project_name.to_string()),
                environment: None,
            },
            phase: claimed.phase,
            since: claimed.since,
            steps: claimed.steps.clone(),
            progress: None,
            untold: Vec::new(),
            unstored: VecDeque::new(),
            unstored_bytes: 0,
            written,
            left_out: claimed.lines_left_out,
            middle: VecDeque::new(),
            beginning_bytes: 0,
            kept_bytes: 0,
            told_at: now,
            stored_at: now,
            changed: true,
        };
        chunks.into_iter().for_each(|chunk| book.keep(chunk));
        book
    }

    /// A line of a step, or of none.
    pub fn line(&mut self, step: Option<u32>, line: LogLine) {
        self.written += 1;
        let line = BuildLine { number: self.written, step, line };
        self.unstored_bytes += line.line.size();
        self.untold.push(line.clone());
        self.unstored.push_back(line);
        while self.unstored_bytes > WAITING_BYTES
            && let Some(oldest) = self.unstored.pop_front()
        {
            self.unstored_bytes -= oldest.line.size();
            self.left_out += 1;
        }
    }

    /// A line of ours.
    pub fn say(&mut self, text: impl Into<String>) {
        let at_ns = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(0);
        self.line(None, LogLine { at_ns, source: Source::Out, text: text.into(), left_out: 0 });
    }

    /// A step begins. Those that are too many are not told apart from what was before them.
    pub fn step_begins(&mut self, number: u32, name: &str, at: OffsetDateTime) {
        self.changed = true;
        if self.steps.len() < MOST_STEPS && self.steps.iter().all(|step| step.number != number) {
            self.steps.push(BuildStep {
                number,
                name: name.chars().take(NAME_CHARS).collect(),
                started_at: at,
                took_ms: None,
                cached: false,
                failed: None,
            });
        }
    }

    /// A step is over.
    pub fn step_ends(&mut self, number: u32, took_ms: u64, cached: bool, failed: Option<&str>) {
        self.changed = true;
        let step = self.steps.iter_mut().find(|step| step.number == number);
        if let Some(step) = step.filter(|step| step.took_ms.is_none()) {
            step.took_ms = Some(took_ms);
            step.cached = cached;
            step.failed = failed.map(|why| why.chars().take(NAME_CHARS).collect());
        }
    }

    /// Whatever still runs does not any more: the build has ended.
    pub fn end_steps(&mut self, at: OffsetDateTime) {
        for step in self.steps.iter_mut().filter(|step| step.took_ms.is_none()) {
            let took = (at - step.started_at).whole_milliseconds();
            step.took_ms = Some(u64::try_from(took).unwrap_or(0));
            self.changed = true;
        }
    }

    /// How far something is, in words. Empty: nothing is moved any more.
    pub fn progress(&mut self, words: &str) {
        let words =
            Some(words.chars().take(NAME_CHARS).collect()).filter(|w: &String| !w.is_empty());
        self.changed |= self.progress != words;
        self.progress = words;
    }

    /// A phase was entered.
    pub fn enters(&mut self, phase: Phase, at: OffsetDateTime) {
        (self.phase, self.since, self.progress, self.changed) = (phase, at, None, true);
    }

    /// When there is something to tell or to store, at the latest.
    pub fn due(&self) -> Instant {
        let tell = !self.untold.is_empty() || self.changed;
        if tell { self.told_at + TELL_EVERY } else { self.stored_at + STORE_EVERY }
    }

    /// Tells and stores what is due. False: the build is not ours any more.
    pub async fn turn(&mut self, context: &Context) -> bool {
        if self.told_at.elapsed() >= TELL_EVERY {
            self.tell(context);
        }
        if self.stored_at.elapsed() >= STORE_EVERY || self.unstored_bytes >= CHUNK_BYTES {
            return self.store(context).await;
        }
        true
    }

    /// Tells at once what was not told.
    pub fn tell(&mut self, context: &Context) {
        self.told_at = Instant::now();
        if !self.untold.is_empty() {
            self.shared.push(std::mem::take(&mut self.untold));
        }
        if std::mem::take(&mut self.changed) {
            let state = BuildState {
                phase: self.phase,
                since: self.since,
                steps: self.steps.clone(),
                progress: self.progress.clone(),
            };
            let message = Message::Build { build: self.held.build, state: Box::new(state) };
            context.hub.tell(self.place.clone(), Visibility::View, message);
        }
    }

    /// Stores at once what was not stored. False: the build is not ours any more. A database that
    /// does not answer is asked again a second later.
    pub async fn store(&mut self, context: &Context) -> bool {
        self.stored_at = Instant::now();
        match self.try_store(context).await {
            Ok(ours) => ours,
            Err(error) => {
                warn!(build.id = %self.held.build, error = crate::chain(&error), "What a build wrote could not be stored yet");
                true
            }
        }
    }

    async fn try_store(&mut self, context: &Context) -> store::Result<bool> {
        let mut conn = context.pool.acquire().await?;
        while !self.unstored.is_empty() {
            let mut count = 0;
            let mut bytes = 0;
            for line in &self.unstored {
                if count > 0 && bytes + line.line.size() > CHUNK_BYTES {
                    break;
                }
                bytes += line.line.size();
                count += 1;
            }
            let lines: Vec<BuildLine> = self.unstored.range(..count).cloned().collect();
            let Some(chunk) = store::builds::logs::append(&mut conn, &self.held, &lines).await?
            else {
                return Ok(false);
            };
            self.unstored.drain(..count);
            self.unstored_bytes -= bytes;
            self.keep(chunk);
        }
        while self.kept_bytes > LOG_BYTES
            && self.middle.len() > 1
            && let Some(oldest) = self.middle.pop_front()
        {
            store::builds::logs::let_go(&mut conn, self.held.build, oldest.first_line).await?;
            self.kept_bytes -= u64::from(oldest.bytes);
            self.left_out += u64::from(oldest.lines);
        }
        store::builds::save_progress(
            &mut conn,
            &self.held,
            &self.steps,
            self.written,
            self.left_out,
        )
        .await
    }

    fn keep(&mut self, chunk: Chunk) {
        self.kept_bytes += u64::from(chunk.bytes);
        if self.beginning_bytes < BEGINNING_BYTES {
            self.beginning_bytes += u64::from(chunk.bytes);
        } else {
            self.middle.push_back(chunk);
        }
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        // Whoever still follows finds the rest in the database.
        self.shared.state().here = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::RangeInclusive<u64>, text: &str) -> Vec<BuildLine> {
        numbers
            .map(|number| BuildLine {
                number,
                step: None,
                line: LogLine { at_ns: 0, source: Source::Out, text: text.to_owned(), left_out: 0 },
            })
            .collect()
    }

    #[test]
    fn a_viewer_hears_each_line_once_and_in_order() {
        let shared = Shared::new(BuildId(uuid::Uuid::nil()), 0);
        shared.push(lines(1..=450, "x"));
        shared.push(lines(400..=450, "again"));
        shared.push(lines(451..=460, "y"));

        let (mut told, mut lasts) = (0, Vec::new());
        while let Some((last, _)) = shared.after(told) {
            lasts.push(last);
            told = last;
        }

        assert_eq!(lasts, [200, 400, 450, 460]);
    }

    #[test]
    fn what_waits_for_viewers_has_a_bound() {
        let shared = Shared::new(BuildId(uuid::Uuid::nil()), 0);
        for at in 0..1000 {
            shared.push(lines(at * 10 + 1..=at * 10 + 10, &"x".repeat(4096)));
        }

        assert!(shared.state().bytes <= RING_BYTES);
        let (first, _) = shared.after(0).expect("the newest are there");
        assert!(first > 9000, "{first}");
    }
}
