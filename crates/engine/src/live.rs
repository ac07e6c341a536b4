//! The hub: what happens, told once to everybody who listens.
//!
//! Messages are made into JSON once, whoever reads them. A listener that can not keep up is told
//! how many it missed and must begin again; nobody waits for it.

use domain::{
    history::Visibility,
    id::{BuildId, PlacementId, RolloutId},
    live::Message,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, broadcast};

/// Samples kept of a placement: two minutes.
const KEPT: usize = 120;

/// How many events a listener may be behind. Two seconds of 500 placements.
const BEHIND: usize = 1024;

/// Where something happened, by name. `None`: in none, so that whoever may see anything may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub project: Option<String>,
    pub environment: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where, for the permit of the one who listens.
    pub place: Place,
    pub visibility: Visibility,
    pub placement: Option<PlacementId>,
    pub rollout: Option<RolloutId>,
    pub build: Option<BuildId>,
    /// The row's number, where it is one.
    pub number: Option<i64>,
    pub message: Message,
    /// The message as JSON.
    pub json: Arc<str>,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    Event(Arc<Event>),
    /// Grants or sessions changed: decide again who may listen.
    Access,
}

/// Where live messages come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sender: broadcast::Sender<Heard>,
    rows: Notify,
    /// The last samples of each placement, oldest first, at most [`KEPT`]: somebody who comes now
    /// sees something at once.
    samples: Mutex<HashMap<PlacementId, VecDeque<Arc<Event>>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let (sender, _) = broadcast::channel(BEHIND);
        Self { inner: Arc::new(Inner { sender, rows: Notify::new(), samples: Mutex::default() }) }
    }

    /// Hears everything from now on. Who listens filters by permit and topic.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Heard> {
        self.inner.sender.subscribe()
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.inner.sender.receiver_count()
    }

    /// The newest sample of every placement.
    #[must_use]
    pub fn samples(&self) -> Vec<Arc<Event>> {
        self.samples_map().values().filter_map(|kept| kept.back().cloned()).collect()
    }

    /// The last two minutes of a placement, of every `step`-th second. `None`: nothing is known.
    #[must_use]
    pub fn recent(&self, placement: PlacementId, step: usize) -> Option<Message> {
        let map = self.samples_map();
        let kept = map.get(&placement)?;
        let samples = kept
            .iter()
            .rev()
            .step_by(step.max(1))
            .filter_map(|event| match &event.message {
                Message::Sample(sample) => Some(sample.clone()),
                _ => None,
            })
            .collect::<Vec<_>>();
        Some(Message::Samples { placement, samples: samples.into_iter().rev().collect() })
    }

    fn samples_map(&self) -> std::sync::MutexGuard<'_, HashMap<PlacementId, VecDeque<Arc<Event>>>> {
        self.inner.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a message about `place`.
    pub(crate) fn tell(&self, place: Place, visibility: Visibility, message: Message) {
        let Ok(json) = serde_json::to_string(&message) else {
            tracing::error!("A live message can not be written as JSON");
            return;
        };
        let (placement, rollout, number) = match &message {
            Message::Row(row) => (row.placement, row.rollout, Some(row.number)),
            Message::Rollout { rollout, placement, .. } => (Some(*placement), Some(*rollout), None),
            Message::Sample(sample) => (Some(sample.placement), None, None),
            Message::Samples { placement, .. } => (Some(*placement), None, None),
            Message::Log(piece) => (Some(piece.placement), None, None),
            Message::Build { .. }
            | Message::BuildLog(_)
            | Message::Hello { .. }
            | Message::LogInstances(_)
            | Message::Reset
            | Message::Goodbye => (None, None, None),
        };
        let build = match &message {
            Message::Build { build, .. } => Some(*build),
            Message::Row(row) => row.build,
            _ => None,
        };
        let sample = matches!(message, Message::Sample(_));
        let event = Arc::new(Event {
            place,
            visibility,
            placement,
            rollout,
            build,
            number,
            message,
            json: json.into(),
        });
        if let (true, Some(placement)) = (sample, placement) {
            let mut map = self.samples_map();
            let kept = map.entry(placement).or_default();
            kept.push_back(event.clone());
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        // Nobody listening is no error.
        let _ = self.inner.sender.send(Heard::Event(event));
    }

    /// Forgets the sample of a placement that is not ours any more.
    pub(crate) fn forget(&self, placement: PlacementId) {
        self.samples_map().remove(&placement);
    }

    pub(crate) fn access_changed(&self) {
        let _ = self.inner.sender.send(Heard::Access);
    }

    /// There are new rows to be read.
    pub(crate) fn wake_rows(&self) {
        self.inner.rows.notify_one();
    }

    pub(crate) async fn rows(&self) {
        self.inner.rows.notified().await;
    }
}
