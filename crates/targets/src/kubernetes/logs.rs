//! What pods wrote, as lines.
//!
//! The cluster does not tell standard output from standard error: every line counts as output. It
//! keeps what the container wrote that runs now, and the one before it; what earlier ones wrote is
//! gone. Each line comes with its time, a space before it, and whole, however the node's runtime
//! stored it.

use super::{KubernetesTarget, error::Errors, names::Identity, objects};
use crate::Result;
use anyhow::anyhow;
use bytes::BytesMut;
use domain::{
    id::PlacementId,
    log::{LogLine, LogWish, Source, cut::Cutter},
    target::Place,
};
use futures::{AsyncRead, AsyncReadExt, Stream, StreamExt, stream::BoxStream};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{Api, api::LogParams};
use std::{collections::VecDeque, pin::Pin, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Longer than any time that is written before a line.
const LONGEST_TIME: usize = 40;
/// How much is read at once.
const CHUNK: usize = 16 * 1024;
/// How often a container that does not run yet is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Who is read.
struct Reader {
    api: Api<Pod>,
    errors: Errors,
    installation: Uuid,
    placement: PlacementId,
    instance: String,
}

/// `Target::logs`.
pub(super) fn logs(
    target: &KubernetesTarget,
    place: &Place,
    instance: &str,
    wish: LogWish,
) -> BoxStream<'static, Result<LogLine>> {
    let api = match target.api::<Pod>(place) {
        Ok(api) => api,
        Err(error) => return futures::stream::iter([Err(error)]).boxed(),
    };
    let reader = Reader {
        api,
        errors: target.errors.clone(),
        installation: target.options.installation,
        placement: place.placement,
        instance: instance.to_owned(),
    };
    lines(reader, wish).boxed()
}

fn lines(reader: Reader, wish: LogWish) -> impl Stream<Item = Result<LogLine>> + Send {
    async_stream::try_stream! {
        let restarts = reader.found().await?;
        let is_meant = |line: &LogLine| wish.after_ns.is_none_or(|after| line.at_ns > after);
        match wish.last {
            None => {
                let before =
                    if restarts > 0 { reader.open(&wish, true, None).await? } else { None };
                if let Some(bytes) = before {
                    for await line in reader.read(bytes, false) {
                        let line = line?;
                        if is_meant(&line) { yield line; }
                    }
                }
            }
            // The last ones of both containers together: first what the newer one has.
            Some(last) => {
                let now = reader.last(&wish, false, last).await?;
                let missing = last.saturating_sub(u32::try_from(now.len()).unwrap_or(u32::MAX));
                let before = if restarts > 0 && missing > 0 {
                    reader.last(&wish, true, missing).await?
                } else {
                    VecDeque::new()
                };
                let newest_ns = now.back().map(|line| line.at_ns);
                for line in before.into_iter().chain(now) {
                    yield line;
                }
                if !wish.follow {
                    return;
                }
                let after_ns = newest_ns.max(wish.after_ns).or_else(|| (last == 0).then(now_ns));
                let rest = LogWish { last: None, after_ns, follow: true };
                if let Some(bytes) = reader.open(&rest, false, None).await? {
                    for await line in reader.read(bytes, true) {
                        let line = line?;
                        if after_ns.is_none_or(|after| line.at_ns > after) { yield line; }
                    }
                }
                return;
            }
        }
        if let Some(bytes) = reader.open(&wish, false, None).await? {
            for await line in reader.read(bytes, wish.follow) {
                let line = line?;
                if is_meant(&line) { yield line; }
            }
        }
    }
}

fn now_ns() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

/// What an open log is read from.
type Bytes = Pin<Box<dyn AsyncRead + Send>>;

impl Reader {
    /// How often the instance was started again. Refused when it is not there, or not of the place.
    async fn found(&self) -> Result<i32> {
        let found = self.errors.in_time(async {
            self.api.get_opt(&self.instance).await.map_err(|error| self.errors.sorted(error))
        });
        let pod = found.await?.ok_or_else(|| self.not_there())?;
        let identity = Identity::read(pod.metadata.labels.as_ref(), self.installation);
        if identity.is_none_or(|identity| identity.placement != self.placement) {
            return Err(self.not_there());
        }
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let app = statuses.into_iter().find(|one| one.name == objects::CONTAINER);
        Ok(app.map_or(0, |app| app.restart_count))
    }

    fn not_there(&self) -> crate::Error {
        self.errors.refused("this instance is not there any more.")
    }

    /// Opens a log. `None`: that container wrote nothing, and will not. Who follows waits for its
    /// start.
    async fn open(
        &self,
        wish: &LogWish,
        previous: bool,
        last: Option<u32>,
    ) -> Result<Option<Bytes>> {
        let follow = wish.follow && !previous;
        let params = LogParams {
            container: Some(objects::CONTAINER.to_owned()),
            follow,
            previous,
            // The API counts in seconds: what came earlier in that second is left out here.
            since_time: wish
                .after_ns
                .and_then(|after| Timestamp::from_second(after.div_euclid(1_000_000_000)).ok()),
            tail_lines: last.map(i64::from),
            timestamps: true,
            ..LogParams::default()
        };
        loop {
            let opened =
                tokio::time::timeout(crate::DEADLINE, self.api.log_stream(&self.instance, &params));
            let error = match opened.await {
                Ok(Ok(bytes)) => return Ok(Some(Box::pin(bytes))),
                Ok(Err(error)) => error,
                Err(_) => {
                    let silent = anyhow!("no log in {:?}", crate::DEADLINE);
                    return Err(self.errors.unreachable(silent));
                }
            };
            match &error {
                kube::Error::Api(status) if status.code == 404 => return Err(self.not_there()),
                // There is no such container (yet): it waits to be started, or is the first one.
                kube::Error::Api(status) if status.code == 400 => {
                    if !follow {
                        return Ok(None);
                    }
                    tokio::time::sleep(AGAIN).await;
                    self.found().await?;
                }
                _ => return Err(self.errors.sorted(error)),
            }
        }
    }

    /// The last lines that a container wrote until now.
    async fn last(&self, wish: &LogWish, previous: bool, last: u32) -> Result<VecDeque<LogLine>> {
        let mut kept = VecDeque::new();
        let wish = LogWish { follow: false, ..*wish };
        let Some(bytes) = self.open(&wish, previous, Some(last)).await? else { return Ok(kept) };
        let lines = self.read(bytes, false);
        futures::pin_mut!(lines);
        while let Some(line) = lines.next().await {
            let line = line?;
            if wish.after_ns.is_none_or(|after| line.at_ns > after) {
                kept.push_back(line);
            }
            if kept.len() > last as usize {
                kept.pop_front();
            }
        }
        Ok(kept)
    }

    /// Cuts what comes into lines, until it ends.
    fn read(&self, mut bytes: Bytes, follow: bool) -> impl Stream<Item = Result<LogLine>> + Send {
        let errors = self.errors.clone();
        async_stream::try_stream! {
            let mut lines = Lines::new();
            let mut buffer = BytesMut::zeroed(CHUNK);
            let mut ready = Vec::new();
            loop {
                let read = bytes.read(&mut buffer);
                let read = if follow {
                    read.await
                } else {
                    tokio::time::timeout(crate::DEADLINE, read)
                        .await
                        .map_err(|_| errors.unreachable(anyhow!("no line in {:?}", crate::DEADLINE)))?
                };
                match read {
                    Ok(0) => break,
                    Ok(count) => lines.take(&buffer[..count], &mut ready),
                    // A stream that is cut off in the middle of a chunk: its node or container ended.
                    Err(error) if follow => {
                        tracing::debug!(%error, "A log that was followed was cut off");
                        break;
                    }
                    Err(error) => Err(errors.unreachable(error))?,
                }
                for line in ready.drain(..) {
                    yield line;
                }
            }
            if let Some(line) = lines.end() {
                yield line;
            }
        }
    }
}

/// Lines with their time before each. Holds a time, and what [`Cutter`] holds.
struct Lines {
    cutter: Cutter,
    /// The beginning of a line, until its time is whole.
    time: Vec<u8>,
    in_time: bool,
    at_ns: i64,
}

impl Lines {
    fn new() -> Self {
        Self { cutter: Cutter::new(Source::Out), time: Vec::new(), in_time: true, at_ns: 0 }
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Vec<LogLine>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = part;
            if self.in_time {
                let end = part.iter().position(|byte| *byte == b' ' || *byte == b'\n');
                let (head, tail) = part.split_at(end.unwrap_or(part.len()));
                self.time.extend_from_slice(head);
                if end.is_none() && self.time.len() <= LONGEST_TIME {
                    continue;
                }
                rest = self.dated(tail, lines);
            }
            self.cutter.push(self.at_ns, rest, lines);
            self.in_time = part.ends_with(b"\n");
        }
    }

    /// Reads the time that is held. What is none belongs to the line.
    fn dated<'a>(&mut self, tail: &'a [u8], lines: &mut Vec<LogLine>) -> &'a [u8] {
        let time = std::mem::take(&mut self.time);
        let at = std::str::from_utf8(&time)
            .ok()
            .and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok())
            .and_then(|at| i64::try_from(at.unix_timestamp_nanos()).ok());
        match at {
            Some(at) => {
                self.at_ns = at;
                tail.strip_prefix(b" ").unwrap_or(tail)
            }
            None => {
                self.cutter.push(self.at_ns, &time, lines);
                tail
            }
        }
    }

    fn end(&mut self) -> Option<LogLine> {
        let mut lines = Vec::new();
        if !self.time.is_empty() {
            let _ = self.dated(b"", &mut lines);
        }
        lines.into_iter().next().or_else(|| self.cutter.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::LINE_BYTES;

    fn read(pieces: &[&[u8]]) -> Vec<(i64, String)> {
        let mut lines = Lines::new();
        let mut ready = Vec::new();
        for piece in pieces {
            lines.take(piece, &mut ready);
        }
        ready.extend(lines.end());
        ready.into_iter().map(|line| (line.at_ns, line.text)).collect()
    }

    const LINES: &[u8] = b"2026-11-21T07:04:24.832881529Z hello there\n\
        2026-11-21T07:04:25Z \n2026-11-21T07:04:26Z the end";

    #[test]
    fn lines_are_the_same_however_they_come_in_pieces() {
        let whole = read(&[LINES]);

        let told: Vec<_> = whole.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(told, ["hello there", "", "the end"]);
        assert_eq!(whole[0].0, 1_795_244_664_832_881_529);
        for at in 0..LINES.len() {
            let (one, two) = LINES.split_at(at);
            assert_eq!(read(&[one, two]), whole, "cut at {at}");
        }
    }

    #[test]
    fn what_has_no_time_is_still_a_line() {
        let told = read(&[b"2026-11-21T07:04:25Z a\nunable to retrieve container logs\n"]);

        assert_eq!(told[1].1, "unable to retrieve container logs");
        assert_eq!(told[1].0, told[0].0);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_than_it_may() {
        let mut lines = Lines::new();
        let mut ready = Vec::new();
        lines.take(b"2026-11-21T07:04:25Z ", &mut ready);
        for _ in 0..50 {
            lines.take(&[b'x'; 10_000], &mut ready);
        }
        lines.take(b"\n2026-11-21T07:04:26Z behind it\n", &mut ready);

        assert_eq!(
            (ready[0].text.len(), ready[0].left_out),
            (LINE_BYTES, 500_000 - LINE_BYTES as u64)
        );
        assert_eq!(ready[1].text, "behind it");
    }

    #[test]
    fn a_beginning_that_is_no_time_is_not_held_for_ever() {
        let mut lines = Lines::new();
        let mut ready = Vec::new();

        lines.take(&[b'y'; 10_000], &mut ready);

        assert!(lines.time.is_empty());
        assert_eq!(lines.end().expect("a line").text.len(), 10_000);
    }
}
