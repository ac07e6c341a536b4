//! Hints from the engine's event stream that something of ours changed.
//!
//! A hint is no news: whoever hears one observes. So a stream that broke is replaced by a new one
//! and a hint, and nothing is lost that the next observation does not see.

use super::{DockerTarget, deaths::Deaths, labels};
use crate::{DEADLINE, Hint};
use bollard::{Docker, models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

/// What of a container matters. Health checks of strangers' making and execs do not.
const EVENTS: [&str; 11] = [
    "create", "start", "die", "oom", "stop", "kill", "destroy", "pause", "unpause", "update",
    "rename",
];

/// How long after a stream broke the next one is asked for.
const AGAIN: Duration = Duration::from_millis(500);
/// A stream that says nothing is replaced after this time: the engine may be gone without a word.
const SILENCE: Duration = Duration::from_secs(60);

struct Watch {
    socket: PathBuf,
    installation: Uuid,
    deaths: Deaths,
    heard: Heard,
}

enum Heard {
    Never,
    Lost,
    Events(BoxStream<'static, Hint>),
}

impl DockerTarget {
    /// `Target::watch`.
    pub(super) fn hints(&self) -> BoxStream<'static, Hint> {
        let watch = Watch {
            socket: self.options.engine_socket.clone(),
            installation: self.options.installation,
            deaths: self.deaths.clone(),
            heard: Heard::Never,
        };
        stream::unfold(watch, |mut watch| async move {
            let hint = watch.next().await;
            Some((hint, watch))
        })
        .boxed()
    }
}

impl Watch {
    /// Returns when there is a reason to observe.
    async fn next(&mut self) -> Hint {
        if let Heard::Events(events) = &mut self.heard
            && let Ok(Some(hint)) = tokio::time::timeout(SILENCE, events.next()).await
        {
            return hint;
        }
        loop {
            if !matches!(self.heard, Heard::Never) {
                tokio::time::sleep(AGAIN).await;
            }
            self.heard = Heard::Lost;
            if let Some(events) = listen(&self.socket, self.installation, self.deaths.clone()).await
            {
                self.heard = Heard::Events(events);
                return Hint::All;
            }
        }
    }
}

/// A new stream, if the engine answers. Each connects anew: one that was restarted has another
/// engine behind the same socket.
async fn listen(
    socket: &Path,
    installation: Uuid,
    deaths: Deaths,
) -> Option<BoxStream<'static, Hint>> {
    let seconds = crate::PULL_DEADLINE.as_secs();
    let engine =
        Docker::connect_with_unix(socket.to_str()?, seconds, bollard::API_DEFAULT_VERSION).ok()?;
    let engine = tokio::time::timeout(DEADLINE, engine.negotiate_version()).await.ok()?.ok()?;
    let filters: HashMap<&str, Vec<String>> = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("event", EVENTS.map(str::to_owned).to_vec()),
        ("label", vec![format!("{}={installation}", labels::INSTALLATION)]),
    ]);
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let events = engine.events(Some(options)).boxed();
    // Owns the engine's client for as long as its events are read; ends with the first error.
    let heard = (engine, events, deaths);
    let hints = stream::unfold(heard, |(engine, mut events, deaths)| async move {
        let event = events.next().await?.ok()?;
        deaths.note(&event);
        Some((hint(event), (engine, events, deaths)))
    });
    Some(hints.boxed())
}

/// Which placement's container it was, by its label.
fn hint(event: EventMessage) -> Hint {
    let labels = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
    let placement = labels.get(labels::PLACEMENT).and_then(|id| id.parse().ok());
    placement.map_or(Hint::All, Hint::Of)
}
