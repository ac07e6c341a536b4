//! What instances in memory wrote.

use super::{Call, Fake, refused};
use crate::Result;
use domain::{
    id::PlacementId,
    log::{LogLine, LogWish, Source, cut::Cutter},
    target::InstanceState,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::{collections::VecDeque, sync::Arc};
use time::OffsetDateTime;
use tokio::sync::watch;

/// The log of one container.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    out: Cutter,
    err: Cutter,
}

impl Default for Log {
    fn default() -> Self {
        let (out, err) = (Cutter::new(Source::Out), Cutter::new(Source::Err));
        Self { lines: Vec::new(), out, err }
    }
}

impl Log {
    pub fn write(&mut self, source: Source, bytes: &[u8]) {
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        // No two lines have one time, as on a real machine.
        let mut last = self.lines.last().map_or(0, |line| line.at_ns);
        let cutter = match source {
            Source::Out => &mut self.out,
            Source::Err => &mut self.err,
        };
        let from = self.lines.len();
        cutter.push(now, bytes, &mut self.lines);
        for line in &mut self.lines[from..] {
            line.at_ns = line.at_ns.max(last + 1);
            last = line.at_ns;
        }
    }
}

/// Counts those who follow.
#[derive(Debug, Default)]
pub(super) struct Followed(Arc<()>);

impl Followed {
    pub fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

struct Reading {
    fake: Fake,
    changed: watch::Receiver<u64>,
    placement: PlacementId,
    instance: String,
    wish: LogWish,
    /// How many lines were read. `None`: none were asked for yet.
    read: Option<usize>,
    ready: VecDeque<LogLine>,
    over: bool,
    _follows: Option<Arc<()>>,
}

impl Fake {
    pub(super) fn lines(
        &self,
        placement: PlacementId,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>> {
        let follows = wish.follow.then(|| self.machine().followed.0.clone());
        let reading = Reading {
            fake: self.clone(),
            changed: self.changed.subscribe(),
            placement,
            instance: instance.to_owned(),
            wish,
            read: None,
            ready: VecDeque::new(),
            over: false,
            _follows: follows,
        };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|line| (line, reading)))
        })
        .boxed()
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            if self.over {
                return Ok(None);
            }
            self.changed.mark_unchanged();
            self.look()?;
            if self.ready.is_empty() && !self.over && self.changed.changed().await.is_err() {
                self.over = true;
            }
        }
    }

    fn look(&mut self) -> Result<()> {
        let first = self.read.is_none();
        let machine = if first { self.fake.called(Call::Logs)? } else { self.fake.machine() };
        let mut ours = machine.of(self.fake.installation, self.placement);
        let Some(one) = ours.find(|one| one.id == self.instance) else {
            self.over = true;
            return if first {
                Err(refused("this instance is not there any more."))
            } else {
                Ok(())
            };
        };
        let lines = &one.log.lines;
        let after = |line: &&LogLine| self.wish.after_ns.is_none_or(|after| line.at_ns > after);
        let from = self.read.unwrap_or_else(|| {
            let last = self.wish.last.map_or(usize::MAX, |last| last as usize);
            lines.len().saturating_sub(last)
        });
        self.ready.extend(lines[from..].iter().filter(after).cloned());
        self.read = Some(lines.len());
        self.over = !self.wish.follow || matches!(one.state(), InstanceState::Exited { .. });
        Ok(())
    }
}
