//! What containers wrote, as lines.
//!
//! The engine keeps a file for each container and sends it in frames: the time, a space, and what was
//! written, of which 16 KiB are in one frame at most. A frame without a line break at its end goes on
//! in the next one of the same source. The usual log driver keeps text only, so bytes that are no
//! UTF-8 come back as U+FFFD; drivers that keep them are shown with escapes.

use super::{DockerTarget, error, in_time, labels::Identity};
use crate::{DEADLINE, Error, Result};
use anyhow::anyhow;
use bollard::{
    Docker,
    container::LogOutput,
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder},
};
use bytes::Bytes;
use domain::{
    id::PlacementId,
    log::{LogLine, LogWish, Source, cut::Cutter},
    target::Place,
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use std::{collections::VecDeque, path::PathBuf};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Longer than any time the engine writes before a line.
const LONGEST_TIME: usize = 40;

/// What is read, for as long as somebody reads it.
struct Reading {
    /// Owns the connection.
    _engine: Docker,
    frames: BoxStream<'static, Result<LogOutput, bollard::errors::Error>>,
    wish: LogWish,
    out: Cutter,
    err: Cutter,
    last_ns: i64,
    ready: VecDeque<LogLine>,
    over: bool,
}

impl DockerTarget {
    /// `Target::logs`.
    pub(super) fn lines(
        &self,
        place: &Place,
        instance: &str,
        wish: LogWish,
    ) -> BoxStream<'static, Result<LogLine>> {
        let opened = in_time(open(
            self.options.engine_socket.clone(),
            self.options.installation,
            place.placement,
            instance.to_owned(),
            wish,
        ));
        stream::once(opened)
            .map_ok(|reading| {
                stream::try_unfold(reading, |mut reading| async move {
                    Ok(reading.next().await?.map(|line| (line, reading)))
                })
            })
            .try_flatten()
            .boxed()
    }
}

/// Each reading connects anew: one that is slow to take what it asked for holds up nothing else.
async fn open(
    socket: PathBuf,
    installation: Uuid,
    placement: PlacementId,
    instance: String,
    wish: LogWish,
) -> Result<Reading> {
    let path = socket
        .to_str()
        .ok_or_else(|| error::unreachable(anyhow!("{} is no text", socket.display())))?;
    let seconds = crate::PULL_DEADLINE.as_secs();
    let engine = Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION)
        .map_err(error::unreachable)?
        .negotiate_version()
        .await
        .map_err(error::unreachable)?;

    let found = engine.inspect_container(&instance, None::<InspectContainerOptions>).await;
    let found = match found {
        Err(gone) if error::is_gone(&gone) => return Err(not_there()),
        other => other?,
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let identity = Identity::read(&labels, installation);
    // By its id alone: a name could be a stranger's by the time it is read.
    let is_ours = identity.is_some_and(|identity| identity.placement == placement);
    let Some(id) = found.id.filter(|id| is_ours && *id == instance) else {
        return Err(not_there());
    };

    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(wish.follow)
        .since(wish.after_ns.map_or(0, seconds_of))
        .tail(&wish.last.map_or_else(|| "all".to_owned(), |last| last.to_string()))
        .build();
    let frames = engine.logs(&id, Some(options)).boxed();
    Ok(Reading {
        _engine: engine,
        frames,
        wish,
        out: Cutter::new(Source::Out),
        err: Cutter::new(Source::Err),
        last_ns: 0,
        ready: VecDeque::new(),
        over: false,
    })
}

fn not_there() -> Error {
    error::refused("this instance is not there any more.")
}

/// The engine counts in seconds: what came earlier in that second is left out here.
fn seconds_of(ns: i64) -> i32 {
    i32::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(i32::MAX)
}

impl Reading {
    async fn next(&mut self) -> Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                if self.wish.after_ns.is_some_and(|after| line.at_ns <= after) {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.over {
                return Ok(None);
            }
            match self.frame().await? {
                Some(frame) => self.take(frame),
                None => {
                    self.over = true;
                    self.ready.extend(self.out.end());
                    self.ready.extend(self.err.end());
                }
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<LogOutput>> {
        // Who follows waits for what is not written yet. Else the engine has it all.
        let frame = if self.wish.follow {
            self.frames.try_next().await
        } else {
            tokio::time::timeout(DEADLINE, self.frames.try_next())
                .await
                .map_err(|_| error::unreachable(anyhow!("no line in {DEADLINE:?}")))?
        };
        match frame {
            Err(gone) if error::is_gone(&gone) => Err(not_there()),
            other => Ok(other?),
        }
    }

    fn take(&mut self, frame: LogOutput) {
        let (cutter, bytes): (&mut Cutter, Bytes) = match frame {
            LogOutput::StdErr { message } => (&mut self.err, message),
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => (&mut self.out, message),
        };
        let (at_ns, bytes) = match timed(&bytes) {
            Some(timed) => timed,
            None => (self.last_ns, &bytes[..]),
        };
        self.last_ns = at_ns;
        let mut lines = Vec::new();
        cutter.push(at_ns, bytes, &mut lines);
        self.ready.extend(lines);
    }
}

/// The time before a line, and the line.
fn timed(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let end = bytes.iter().take(LONGEST_TIME).position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&bytes[..end]).ok()?;
    let at = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    Some((i64::try_from(at.unix_timestamp_nanos()).ok()?, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stands_before_the_line() {
        let (at, rest) = timed(b"2026-11-21T07:04:24.832881529Z hello there\n").unwrap();

        assert_eq!((at, rest), (1_795_244_664_832_881_529, &b"hello there\n"[..]));
        assert_eq!(timed(b"2026-11-21T07:04:24Z \n").unwrap().1, b"\n");
        for none in [&b"hello there"[..], b"", b" x", &[b'x'; 100], b"\xff\xfe x"] {
            assert_eq!(timed(none), None);
        }
    }
}
