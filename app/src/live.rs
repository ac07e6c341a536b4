//! What happens while one looks: the event stream as signals, resumed where it left off.
//!
//! One stream a tab. A page says what it shows ([`Live::follow`]) and from which row on; rows about it
//! make the page ask again, states of rollouts and samples are put in place as they come. On the
//! server there is no stream: everything here is empty, and pages draw what they loaded.

#[cfg(feature = "hydrate")]
mod stream;

use crate::{
    api::people,
    session::{Session, session},
};
use domain::{
    build::view::BuildState,
    id::{BuildId, PlacementId, RolloutId},
    live::{Message, Row, Sample},
    rollout::State,
};
use leptos::{
    leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle},
    prelude::*,
};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// How many seconds of samples a chart reaches back.
pub const SECONDS_KEPT: i64 = 120;
/// Rows come in bursts: one question answers them all.
const GATHER_ROWS_FOR: Duration = Duration::from_millis(150);
/// States of ended rollouts, and of ended builds, are let go when there are more than so many.
const ROLLOUTS_KEPT: usize = 100;

/// How the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Nothing is followed: a page without live data, or a hidden tab.
    Quiet,
    Connecting,
    Live,
    /// It was lost, and is being opened again.
    Lost,
}

/// What a page wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// Rows only.
    Rows,
    /// Every placement that the viewer may see.
    Board,
    /// These placements and their rollouts.
    Placements(Vec<PlacementId>),
    /// A placement, and what instances of it write: in the words of [`domain::log::Which`].
    Logs { placement: PlacementId, of: String },
    /// Where every build stands that the viewer may see.
    Builds,
    /// Where a build stands, and what it writes after a line: the last that the page was drawn with.
    /// Another line opens another stream, so a page keeps the one it began with. A line may come
    /// twice after a gap; its number tells.
    Build { build: BuildId, after: u64 },
}

impl Topics {
    /// As it stands in the stream's address.
    #[must_use]
    pub fn as_words(&self) -> String {
        match self {
            Self::Rows => String::new(),
            Self::Board => "board".to_owned(),
            Self::Placements(ids) => {
                ids.iter().map(|id| format!("placement:{id}")).collect::<Vec<_>>().join(",")
            }
            Self::Logs { placement, of } => {
                format!("placement:{placement},logs:{placement}:{of}")
            }
            Self::Builds => "builds".to_owned(),
            Self::Build { build, after } => format!("build:{build},build-log:{build}:{after}"),
        }
    }
}

/// The last seconds of a placement, oldest first.
pub type Seconds = VecDeque<Sample>;

/// The stream of this tab.
#[derive(Clone, Copy)]
pub struct Live {
    pub connection: RwSignal<Connection>,
    /// When the last message came, by this machine's clock in milliseconds of Unix time.
    pub heard_ms: RwSignal<i64>,
    /// The server is of another build than this tab.
    pub new_build: RwSignal<bool>,
    heard_samples: RwSignal<bool>,
    session: Session,
    held: StoredValue<Held>,
}

/// What is not shown itself.
#[derive(Default)]
struct Held {
    /// The build that the first greeting named: the one this page came from.
    build: Option<String>,
    /// The number of the last row that was heard, or that the page was drawn at.
    after: i64,
    topics: Option<Topics>,
    samples: HashMap<PlacementId, ArcRwSignal<Seconds>>,
    rollouts: HashMap<RolloutId, ArcRwSignal<Option<State>>>,
    builds: HashMap<BuildId, ArcRwSignal<Option<BuildState>>>,
    listeners: Vec<(u64, Listener)>,
    next_listener: u64,
    /// Who shows what instances write, if the page does.
    lines: Option<(u64, Callback<Message>)>,
}

#[derive(Clone, Copy)]
struct Listener {
    about: Callback<Row, bool>,
    ask_again: Callback<()>,
}

/// Lays the stream ready. It is opened when a page follows something. Needs the session.
pub fn provide() {
    let live = Live {
        connection: RwSignal::new(Connection::Quiet),
        heard_ms: RwSignal::new(0),
        new_build: RwSignal::new(false),
        heard_samples: RwSignal::new(false),
        session: session(),
        held: StoredValue::new(Held::default()),
    };
    provide_context(live);
    #[cfg(feature = "hydrate")]
    Effect::new(move |_| stream::watch_visibility(live));
}

/// The stream of this tab.
#[must_use]
pub fn live() -> Live {
    expect_context()
}

impl Live {
    /// Follows `topics` from the row `after` on, which is where the page was drawn. To be called in
    /// an effect, each time the page was loaded.
    pub fn follow(self, after: i64, topics: Topics) {
        let fresh = self.held.try_update_value(|held| {
            let fresh = held.topics.as_ref() != Some(&topics);
            // A page that was drawn earlier than what was heard since needs those rows once more.
            held.after = if fresh { after } else { held.after.max(after) };
            if let Topics::Placements(ids) = &topics {
                held.samples.retain(|placement, _| ids.contains(placement));
            }
            held.topics = Some(topics);
            fresh
        });
        #[cfg(feature = "hydrate")]
        stream::ensure_open(self, fresh.unwrap_or_default());
        #[cfg(not(feature = "hydrate"))]
        let _ = fresh;
    }

    /// Stops following: nobody is signed in.
    pub fn stop(self) {
        self.held.update_value(|held| held.topics = None);
        #[cfg(feature = "hydrate")]
        stream::close(self);
        self.connection.set(Connection::Quiet);
    }

    /// Calls `ask_again` soon after rows that are `about` what the page shows, and when rows were
    /// missed. Until the owner is cleaned up.
    pub fn on_rows(
        self,
        about: impl Fn(&Row) -> bool + Send + Sync + 'static,
        ask_again: impl Fn() + Send + Sync + 'static,
    ) {
        let about = Callback::new(move |row: Row| about(&row));
        let waiting = StoredValue::new(None::<TimeoutHandle>);
        let asks = Callback::new(move |()| ask_again());
        let ask_again = Callback::new(move |()| {
            if !waiting.with_value(Option::is_some) {
                ask_soon(waiting, asks);
            }
        });
        let me = self.held.try_update_value(|held| {
            held.next_listener += 1;
            held.listeners.push((held.next_listener, Listener { about, ask_again }));
            held.next_listener
        });
        on_cleanup(move || {
            let _ = self.held.try_update_value(|held| {
                held.listeners.retain(|(number, _)| Some(*number) != me);
            });
        });
    }

    /// Hands what instances write to `hear`, and which instances there are. Until the owner is cleaned
    /// up, or another one asks for it.
    pub fn on_lines(self, hear: impl Fn(Message) + Send + Sync + 'static) {
        let hear = Callback::new(hear);
        let me = self.held.try_update_value(|held| {
            held.next_listener += 1;
            held.lines = Some((held.next_listener, hear));
            held.next_listener
        });
        on_cleanup(move || {
            let _ = self.held.try_update_value(|held| {
                held.lines.take_if(|(number, _)| Some(*number) == me);
            });
        });
    }

    /// The last seconds of a placement. Empty until the stream has told of it.
    #[must_use]
    pub fn samples(self, placement: PlacementId) -> ArcRwSignal<Seconds> {
        let known =
            self.held.try_update_value(|held| held.samples.entry(placement).or_default().clone());
        known.unwrap_or_default()
    }

    /// What the stream said last of a rollout. `None` if it said nothing since it was opened.
    #[must_use]
    pub fn rollout(self, rollout: RolloutId) -> ArcRwSignal<Option<State>> {
        let known =
            self.held.try_update_value(|held| held.rollouts.entry(rollout).or_default().clone());
        known.unwrap_or_default()
    }

    /// What the stream said last of a build. `None` if it said nothing since it was opened.
    #[must_use]
    pub fn build(self, build: BuildId) -> ArcRwSignal<Option<BuildState>> {
        let known =
            self.held.try_update_value(|held| held.builds.entry(build).or_default().clone());
        known.unwrap_or_default()
    }

    /// Whether something that runs is followed, so that something is said each second.
    #[must_use]
    pub fn expects_samples(self) -> bool {
        self.heard_samples.get()
    }

    /// Puts a message in its place.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
    fn hear(self, message: Message, now_ms: i64) {
        self.heard_ms.set(now_ms);
        match message {
            Message::Hello { build, .. } => self.greet(build),
            Message::Row(row) => self.tell(&row),
            Message::Rollout { rollout, state, .. } => {
                self.held.update_value(|held| held.forget_ended_rollouts());
                self.rollout(rollout).set(Some(*state));
            }
            Message::Sample(sample) => {
                self.heard_samples.maybe_update(|heard| !std::mem::replace(heard, true));
                let seconds = self.samples(sample.placement);
                seconds.update(|seconds| keep(seconds, sample));
            }
            Message::Samples { placement, samples } => {
                self.samples(placement).update(|seconds| {
                    for sample in samples {
                        keep(seconds, sample);
                    }
                });
            }
            Message::Reset => self.ask_everything_again(),
            Message::Build { build, state } => {
                self.held.update_value(|held| held.forget_ended_builds());
                self.build(build).set(Some(*state));
            }
            Message::Log(_) | Message::LogInstances(_) | Message::BuildLog(_) => {
                if let Some(Some((_, hear))) = self.held.try_with_value(|held| held.lines) {
                    hear.run(message);
                }
            }
            // The stream itself answers to this.
            Message::Goodbye => {}
        }
    }

    fn greet(self, build: String) {
        self.connection.set(Connection::Live);
        self.heard_samples.set(false);
        let rollouts = self.held.try_update_value(|held| {
            let known = held.build.get_or_insert_with(|| build.clone());
            let rollouts = held.rollouts.values().cloned().collect::<Vec<_>>();
            let builds = held.builds.values().cloned().collect::<Vec<_>>();
            (*known != build, rollouts, builds)
        });
        if let Some((other, rollouts, builds)) = rollouts {
            self.new_build.set(other);
            // What was said before a gap may be over; the rows since then make the page ask again.
            rollouts.iter().for_each(|state| state.set(None));
            builds.iter().for_each(|state| state.set(None));
        }
    }

    fn tell(self, row: &Row) {
        let listeners = self.held.try_update_value(|held| {
            held.after = held.after.max(row.number);
            held.listeners.clone()
        });
        for (_, listener) in listeners.unwrap_or_default() {
            if listener.about.run(row.clone()) {
                listener.ask_again.run(());
            }
        }
    }

    /// The stream is refused again and again: the session may be over.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code))]
    fn ask_who_looks(self) {
        leptos::task::spawn_local(async move {
            // A server that does not answer says nothing about the session.
            if matches!(people::viewer().await, Ok(None)) {
                self.session.ask_again();
            }
        });
    }

    fn ask_everything_again(self) {
        for (_, listener) in self.held.with_value(|held| held.listeners.clone()) {
            listener.ask_again.run(());
        }
    }
}

impl Held {
    fn forget_ended_rollouts(&mut self) {
        if self.rollouts.len() > ROLLOUTS_KEPT {
            let ended = |state: &ArcRwSignal<Option<State>>| {
                state.with_untracked(|state| state.as_ref().is_some_and(|s| s.phase.is_end()))
            };
            self.rollouts.retain(|_, state| !ended(state));
        }
    }

    fn forget_ended_builds(&mut self) {
        if self.builds.len() > ROLLOUTS_KEPT {
            let ended = |state: &ArcRwSignal<Option<BuildState>>| {
                state.with_untracked(|state| state.as_ref().is_some_and(|s| s.phase.is_end()))
            };
            self.builds.retain(|_, state| !ended(state));
        }
    }
}

/// Asks once the rows that come together are here, and nobody is in the middle of a dialog: to draw
/// a page anew closes its dialogs and takes back what was chosen in them. A click that is too late
/// is refused by the server, which knows what is newest.
fn ask_soon(waiting: StoredValue<Option<TimeoutHandle>>, asks: Callback<()>) {
    let ask = move || {
        // The page may be gone by now, and its timer with it.
        if waiting.try_update_value(Option::take).is_none() {
            return;
        }
        if a_dialog_is_open() {
            ask_soon(waiting, asks);
        } else {
            asks.run(());
        }
    };
    waiting.set_value(set_timeout_with_handle(ask, GATHER_ROWS_FOR).ok());
}

fn a_dialog_is_open() -> bool {
    document().query_selector("dialog[open]").is_ok_and(|open| open.is_some())
}

/// Adds a second in its place: after a gap the server says again what it still has.
fn keep(seconds: &mut Seconds, sample: Sample) {
    let newest = seconds.back().map_or(sample.at, |last| last.at.max(sample.at));
    match seconds.binary_search_by_key(&sample.at, |known| known.at) {
        Ok(at) => seconds[at] = sample,
        Err(at) => seconds.insert(at, sample),
    }
    while seconds.front().is_some_and(|first| first.at <= newest - SECONDS_KEPT) {
        seconds.pop_front();
    }
}

/// Of the state a page was drawn with and the one the stream said, the one that is newer.
///
/// The stream says more often, the page knows what happened while the stream was away: the phase
/// that was entered later is right, and of one phase what the stream said.
#[must_use]
pub fn newer(drawn: &State, heard: Option<&State>) -> State {
    match heard {
        Some(heard) if !drawn.phase.is_end() && heard.since >= drawn.since => heard.clone(),
        _ => drawn.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{rollout::Phase, slot::PerSlot};
    use time::macros::datetime;
    use uuid::Uuid;

    fn sample(at: i64) -> Sample {
        Sample {
            placement: PlacementId(Uuid::nil()),
            at,
            live: None,
            slots: PerSlot::default(),
            trouble: None,
        }
    }

    #[test]
    fn seconds_are_in_order_none_is_there_twice_and_old_ones_go() {
        let mut seconds = Seconds::default();

        for at in [5, 7, 6, 7, 5, 1 + SECONDS_KEPT + 4] {
            keep(&mut seconds, sample(at));
        }

        let ats: Vec<i64> = seconds.iter().map(|second| second.at).collect();
        assert_eq!(ats, [6, 7, 125]);
    }

    #[test]
    fn the_phase_that_was_entered_later_is_shown() {
        let early = State::queued(datetime!(2026-11-21 12:00 UTC));
        let mut late = State::queued(datetime!(2026-11-21 12:01 UTC));
        late.phase = Phase::Preparing;

        assert_eq!(newer(&early, Some(&late)).phase, Phase::Preparing);
        assert_eq!(newer(&late, Some(&early)).phase, Phase::Preparing);
        assert_eq!(newer(&late, None).phase, Phase::Preparing);
    }

    #[test]
    fn an_end_is_never_undone_by_what_was_heard() {
        let mut ended = State::queued(datetime!(2026-11-21 12:00 UTC));
        ended.phase = Phase::Succeeded;
        let heard = State::queued(datetime!(2026-11-21 12:00 UTC));

        assert_eq!(newer(&ended, Some(&heard)).phase, Phase::Succeeded);
    }
}
