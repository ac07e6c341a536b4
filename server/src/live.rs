//! The live stream: history rows without a gap, then states and samples as they happen.
//!
//! ```text
//! hub --> follow (one task a stream: topic, permit, order) --> outbox (bounded) --> the client
//! ```
//!
//! A client is never waited for: what it does not take in time is merged, or it is told to begin
//! again. Who may listen is decided at opening, when grants change, and every few seconds.

pub mod outbox;
pub mod seats;
pub mod wanted;

use crate::{
    answer::{Asker, database_is_gone},
    state::Console,
};
use axum::{
    body::{Body, Bytes},
    extract::{Extension, Query, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use control::{Actor, Asked};
use domain::{error::Problem, live::Message};
use engine::{
    builds::BuildViewer,
    live::{Event, Heard},
    logs::Viewer,
};
use outbox::{Line, Outbox};
use seats::Seat;
use serde::Deserialize;
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::history::Window;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use wanted::{Topics, may_hear};

/// Between two messages, so that neither side takes a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is decided again who may listen, when nobody said that grants changed.
const DECIDE_EVERY: Duration = Duration::from_secs(4);
/// How long one such question may take, and how long it is asked again when it fails.
const DECIDE_WITHIN: Duration = Duration::from_secs(1);
const GIVE_UP_AFTER: Duration = Duration::from_secs(3);
/// A client that missed more rows than these loads its page again: that is quicker.
const REPLAY: usize = outbox::ROWS - 16;
/// How often lines that instances wrote are looked for.
const LOOK_FOR_LINES: Duration = Duration::from_millis(150);
/// A large board begins its lines anew: their past would be megabytes.
const MOST_WITH_A_PAST: usize = 60;
/// Rows that are asked of the database at once.
const BATCH: u16 = 100;

/// How a stream is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    after: Option<i64>,
    topics: String,
}

/// Opens a stream.
pub async fn open(
    State(console): State<Console>,
    Extension(asker): Extension<Asker>,
    Extension(asked): Extension<Option<Asked>>,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
) -> Response<Body> {
    let Some(asked) = asked else { return asker.problem(&Problem::SignedOut) };
    let Some(topics) = Topics::parse(&wish.topics) else {
        return asker.refuse(StatusCode::BAD_REQUEST, "These are no topics of the stream.");
    };
    if console.stop.is_cancelled() {
        return asker.problem(&Problem::Unavailable { sentence: "The server stops.".to_owned() });
    }
    let Some(seat) = console.seats.take(asked.actor.id) else {
        return asker.problem(&Problem::TooMany { seconds: 30 });
    };
    let logs = match follow_logs(&console, &asked.actor, &topics).await {
        Ok(logs) => logs,
        Err(problem) => return asker.problem(&problem),
    };
    let build_log = match follow_build(&console, &asked.actor, &topics).await {
        Ok(build_log) => build_log,
        Err(problem) => return asker.problem(&problem),
    };
    // A browser that reconnects by itself says where it was in a header.
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let follower = Follower {
        heard: console.hub.subscribe(),
        after: resumed.or(wish.after),
        outbox: Arc::new(Outbox::default()),
        windows: asked.actor.windows(),
        actor: asked.actor,
        console,
        topics,
        logs,
        build_log,
    };
    stream(follower, seat)
}

/// The lines that the page shows, if he may read them. Else the stream tells of none: that he may not
/// is said by the page.
async fn follow_logs(
    console: &Console,
    actor: &Actor,
    topics: &Topics,
) -> Result<Option<Viewer>, Problem> {
    let Some((placement, which)) = topics.logs() else { return Ok(None) };
    let asking = timeout(DECIDE_WITHIN, console.control.logs_to_follow(actor, placement));
    let Ok(Ok(place)) = asking.await else { return Err(database_is_gone()) };
    let Some(place) = place else { return Ok(None) };
    match console.logs.follow(&place, which.clone()) {
        Some(viewer) => Ok(Some(viewer)),
        None => Err(Problem::TooMany { seconds: 30 }),
    }
}

/// The lines of a build that the page shows, by the same rule.
async fn follow_build(
    console: &Console,
    actor: &Actor,
    topics: &Topics,
) -> Result<Option<BuildViewer>, Problem> {
    let Some((build, after)) = topics.build_log() else { return Ok(None) };
    let asking = timeout(DECIDE_WITHIN, console.control.may_follow_build(actor, build));
    let Ok(Ok(may)) = asking.await else { return Err(database_is_gone()) };
    if !may {
        return Ok(None);
    }
    match console.build_logs.follow(build, after) {
        Some(viewer) => Ok(Some(viewer)),
        None => Err(Problem::TooMany { seconds: 30 }),
    }
}

fn stream(follower: Follower, seat: Seat) -> Response<Body> {
    let outbox = Arc::clone(&follower.outbox);
    let following = Following(tokio::spawn(follower.run()).abort_handle());
    let said = async_stream::stream! {
        // Both live exactly as long as somebody listens.
        let _held = (seat, following);
        loop {
            match timeout(KEEP_ALIVE, outbox.take()).await {
                Ok(Some(text)) => yield Ok::<_, Infallible>(Bytes::from(text)),
                Ok(None) => break,
                Err(_) => yield Ok(Bytes::from_static(b":\n\n")),
            }
        }
    };
    let mut response = Response::new(Body::from_stream(said));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold ours back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Ends the task of a stream with the stream.
struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Puts into the outbox what one client is to hear.
struct Follower {
    console: Console,
    actor: Actor,
    /// What his grants let him see, as long as they stay as they are.
    windows: Vec<Window>,
    topics: Topics,
    after: Option<i64>,
    /// Subscribed before the first query, so nothing falls between replay and following.
    heard: Receiver<Heard>,
    outbox: Arc<Outbox>,
    /// What instances write, where the page shows it.
    logs: Option<Viewer>,
    /// What a build writes, where the page shows it.
    build_log: Option<BuildViewer>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// What the client has does not fit what we have, or it can not keep up.
    Reset,
    /// The session is over. No last word: whoever is not signed in is told nothing.
    Closed,
    /// The server stops.
    Goodbye,
}

impl Follower {
    async fn run(mut self) {
        let outbox = Arc::clone(&self.outbox);
        let metrics = Arc::clone(&self.console.metrics);
        match self.follow().await {
            End::Reset => {
                metrics.streams_reset.fetch_add(1, Ordering::Relaxed);
                outbox.end(Some(json(&Message::Reset)));
            }
            End::Closed => outbox.end(None),
            End::Goodbye => outbox.end_after_all(json(&Message::Goodbye)),
        }
    }

    async fn follow(&mut self) -> End {
        let mut last = match self.greet_and_replay().await {
            Ok(last) => last,
            Err(end) => return end,
        };
        self.show_past();
        let stop = self.console.stop.clone();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut standing = Standing::now();
        let mut looks = interval(LOOK_FOR_LINES);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heard = tokio::select! {
                heard = self.heard.recv() => heard,
                () = stop.cancelled() => return End::Goodbye,
                _ = looks.tick(), if self.logs.is_some() || self.build_log.is_some() => {
                    self.pass_on_lines();
                    continue;
                }
                _ = ticks.tick() => {
                    if let Some(end) = self.decide_again(&mut standing).await {
                        return end;
                    }
                    continue;
                }
            };
            match heard {
                Ok(Heard::Event(event)) => match event.number {
                    Some(number) if number <= last => {}
                    Some(number) => {
                        last = number;
                        if may_hear(&self.windows, &event)
                            && self.outbox.push(line(&event)).is_err()
                        {
                            return End::Reset;
                        }
                    }
                    None => self.pass_on(&event),
                },
                Ok(Heard::Access) => standing.doubted(),
                // So far behind that rows may be lost.
                Err(RecvError::Lagged(_)) => return End::Reset,
                Err(RecvError::Closed) => return End::Goodbye,
            }
        }
    }

    /// What was sampled before this stream was opened, of the placements that the page shows.
    fn show_past(&self) {
        let shown = self
            .console
            .hub
            .samples()
            .into_iter()
            .filter(|event| self.topics.want(event) && may_hear(&self.windows, event));
        for event in shown.take(MOST_WITH_A_PAST) {
            let past = event.placement.and_then(|placement| {
                self.console.hub.recent(placement, self.topics.density(placement))
            });
            if let Some(past) = past
                && self.outbox.push(Line::new(json(&past))).is_err()
            {
                // Its present comes with the next second all the same.
                return;
            }
        }
    }

    /// Greets, and says what happened since the page was drawn. Returns the last number said.
    async fn greet_and_replay(&self) -> Result<i64, End> {
        let control = &self.console.control;
        let head = control.history_number().await.map_err(|_| End::Reset)?;
        let hello = Message::Hello { build: self.console.build.to_string(), number: head };
        self.outbox.push(Line::new(json(&hello))).map_err(|_| End::Reset)?;
        let Some(after) = self.after else { return Ok(head) };
        let mut last = after;
        let mut said = 0;
        loop {
            let replay = control.rows_after(&self.actor, last, BATCH).await;
            // `None`: a restored database does not reach as far as the page was.
            let Ok(Some(replay)) = replay else { return Err(End::Reset) };
            said += replay.rows.len();
            if said > REPLAY {
                return Err(End::Reset);
            }
            for row in replay.rows {
                let number = Some(row.number);
                let line = Line { number, json: json(&Message::Row(row)) };
                self.outbox.push(line).map_err(|_| End::Reset)?;
            }
            last = replay.number;
            if replay.done {
                return Ok(last);
            }
        }
    }

    /// States and samples: only the newest of each waits.
    fn pass_on(&self, event: &Event) {
        if !self.topics.want(event) || !may_hear(&self.windows, event) {
            return;
        }
        match &event.message {
            Message::Rollout { rollout, .. } => {
                self.outbox.put_rollout(*rollout, Arc::clone(&event.json));
            }
            Message::Sample(sample) => {
                self.outbox.put_sample(sample.placement, Arc::clone(&event.json));
            }
            Message::Build { build, .. } => {
                self.outbox.put_build(*build, Arc::clone(&event.json));
            }
            Message::Row(_)
            | Message::BuildLog(_)
            | Message::Hello { .. }
            | Message::Samples { .. }
            | Message::Log(_)
            | Message::LogInstances(_)
            | Message::Reset
            | Message::Goodbye => {}
        }
    }

    /// Lines, as long as the client takes them. What it does not take in time is not there any more
    /// when it does, and it is told how much that was.
    fn pass_on_lines(&mut self) {
        let (logs, build_log) = (&mut self.logs, &mut self.build_log);
        let mut next = || {
            let instance = logs.as_mut().and_then(Viewer::take);
            instance.or_else(|| build_log.as_mut().and_then(BuildViewer::take))
        };
        while self.outbox.has_room_for_lines()
            && let Some(json) = next()
        {
            self.outbox.put_lines(json);
        }
    }

    /// Whether the session still is, and still may what it might.
    async fn decide_again(&self, standing: &mut Standing) -> Option<End> {
        if !standing.is_due() {
            return None;
        }
        let asking = self.console.control.still(&self.actor);
        match timeout(DECIDE_WITHIN, asking).await {
            Ok(Ok(Some(actor))) if actor.grants() == self.actor.grants() => {
                *standing = Standing::now();
                None
            }
            // What is on the page may be more, or less, than he may see now.
            Ok(Ok(Some(_))) => Some(End::Reset),
            Ok(Ok(None)) => Some(End::Closed),
            // It is asked again in a second. If it can not be known in time, the answer is no.
            Ok(Err(_)) | Err(_) => standing.is_over().then_some(End::Closed),
        }
    }
}

/// How sure it is that the one who listens still may.
#[derive(Clone, Copy, Debug)]
struct Standing {
    decided: Instant,
    /// Since when it is said that grants have changed.
    doubted: Option<Instant>,
}

impl Standing {
    fn now() -> Self {
        Self { decided: Instant::now(), doubted: None }
    }

    fn doubted(&mut self) {
        self.doubted.get_or_insert_with(Instant::now);
    }

    fn is_due(&self) -> bool {
        self.doubted.is_some() || self.decided.elapsed() >= DECIDE_EVERY
    }

    /// A change must have its effect within five seconds, also one that nobody heard of.
    fn is_over(&self) -> bool {
        let since = self.doubted.unwrap_or(self.decided + DECIDE_EVERY);
        since.elapsed() >= GIVE_UP_AFTER
    }
}

fn line(event: &Event) -> Line {
    Line { number: event.number, json: Arc::clone(&event.json) }
}

fn json(message: &Message) -> Arc<str> {
    // Our own messages are plain structs with string keys: they can always be written.
    serde_json::to_string(message).unwrap_or_default().into()
}
