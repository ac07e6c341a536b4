//! Logs of several instances as one, once through, in the order they were written.

use super::{instances, kept};
use crate::chain;
use domain::{
    id::PlacementId,
    log::{LogInstance, LogLine, LogWish, Which},
    target::Place,
};
use futures::{StreamExt, stream, stream::BoxStream};
use std::sync::Arc;
use store::Pool;
use targets::Target;
use tokio::sync::OwnedSemaphorePermit;

/// How many instances are read at a time: a page, a file.
const MOST: usize = 64;

/// Lines of some instances. Dropping it ends it.
pub struct Reading {
    instances: Vec<LogInstance>,
    sources: Vec<Source>,
    troubles: Vec<String>,
    /// Held as long as it is read.
    turn: Option<OwnedSemaphorePermit>,
}

/// One instance, and the line of it that comes next.
struct Source {
    index: usize,
    lines: BoxStream<'static, targets::Result<LogLine>>,
    head: Option<LogLine>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("instances", &self.instances.len()).finish_non_exhaustive()
    }
}

impl Reading {
    pub(super) async fn begin(
        target: &Arc<dyn Target>,
        pool: &Pool,
        place: &Place,
        which: &Which,
        wish: LogWish,
    ) -> Self {
        let mut troubles = Vec::new();
        let mut all = match target.observe(place).await {
            Ok(observed) => instances(&observed),
            Err(error) => {
                troubles.push(chain(&error));
                Vec::new()
            }
        };
        match kept(pool, place.placement, &all).await {
            Ok(kept) => all.extend(kept),
            Err(error) => troubles.push(chain(&error)),
        }
        all.retain(|instance| which.takes(instance));
        if all.len() > MOST {
            troubles.push(format!("Only {MOST} of {} instances are read at a time.", all.len()));
            all.truncate(MOST);
        }
        let sources = all
            .iter()
            .enumerate()
            .map(|(index, instance)| {
                let lines = if instance.kept {
                    of_kept(pool.clone(), place.placement, instance.id.clone(), wish)
                } else {
                    target.logs(place, &instance.id, wish)
                };
                Source { index, lines, head: None }
            })
            .collect();
        Self { instances: all, sources, troubles, turn: None }
    }

    pub(super) fn with_turn(mut self, turn: OwnedSemaphorePermit) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Whose lines these are.
    #[must_use]
    pub fn instances(&self) -> &[LogInstance] {
        &self.instances
    }

    /// What could not be read so far.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        (!self.troubles.is_empty()).then(|| self.troubles.join(" "))
    }

    /// The next line, with the index of its instance.
    pub async fn next(&mut self) -> Option<(usize, LogLine)> {
        let mut at = 0;
        while let Some(source) = self.sources.get_mut(at) {
            if source.head.is_none() {
                match source.lines.next().await {
                    Some(Ok(line)) => source.head = Some(line),
                    ended => {
                        if let Some(Err(error)) = ended {
                            let name = &self.instances[source.index].name;
                            self.troubles
                                .push(format!("{name}: {}.", chain(&error).trim_end_matches('.')));
                        }
                        self.sources.swap_remove(at);
                        continue;
                    }
                }
            }
            at += 1;
        }
        let next = self
            .sources
            .iter_mut()
            .min_by_key(|source| source.head.as_ref().map(|line| line.at_ns))?;
        Some((next.index, next.head.take()?))
    }
}

fn of_kept(
    pool: Pool,
    placement: PlacementId,
    instance: String,
    wish: LogWish,
) -> BoxStream<'static, targets::Result<LogLine>> {
    let read = async move {
        let lines = match pool.acquire().await {
            Ok(mut conn) => store::logs::lines(&mut conn, placement, &instance).await,
            Err(error) => Err(error.into()),
        };
        match lines {
            Ok(mut lines) => {
                let last = wish.last.map_or(usize::MAX, |last| last as usize);
                lines.drain(..lines.len().saturating_sub(last));
                lines.into_iter().map(Ok).collect()
            }
            Err(error) => {
                let target = "The database".to_owned();
                vec![Err(targets::Error::Unreachable { target, source: error.into() })]
            }
        }
    };
    stream::once(read).flat_map(stream::iter).boxed()
}
