//! `/logs/{placement}/download`: what instances wrote, as a file, sent as it is read. And the reader
//! of lines that pages are drawn with.

use crate::{answer::Asker, state::Console};
use app::api::logs::Find;
use axum::{
    body::{Body, Bytes},
    extract::{Extension, Path, Query, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use control::{Actor, Asked};
use domain::{
    error::Problem,
    id::PlacementId,
    log::{LogLine, Which, ansi::without_styles, cut::GIVEN_UP},
    target::Place,
};
use engine::logs::Reading;
use serde::Deserialize;
use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// The most that one download sends, and how long it may take.
const MOST_BYTES: usize = 256 << 20;
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// How often it is decided again whether he may.
const DECIDE_EVERY: Duration = Duration::from_secs(4);
const DECIDE_WITHIN: Duration = Duration::from_secs(1);
/// Sent at once, how many wait to be sent, and how long one waits.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Whose lines are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    of: String,
}

/// The reader of lines, for the pages.
#[must_use]
pub fn find(console: &Console) -> Find {
    let logs = console.logs.clone();
    Find(Arc::new(move |place, which, needle| {
        let logs = logs.clone();
        Box::pin(async move { logs.find(&place, &which, needle.as_ref()).await })
    }))
}

/// Sends everything that is held of some instances.
pub async fn download(
    State(console): State<Console>,
    Extension(asker): Extension<Asker>,
    Extension(asked): Extension<Option<Asked>>,
    Path(placement): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(asked) = asked else { return asker.problem(&Problem::SignedOut) };
    let (Ok(placement), Ok(which)) = (placement.parse::<PlacementId>(), wish.of.parse::<Which>())
    else {
        return asker.problem(&Problem::not_found("page"));
    };
    // It costs the machine something, so a foreign page must not be able to ask for it.
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return asker
            .refuse(StatusCode::FORBIDDEN, "This was asked for by a page that is not ours.");
    }
    let place = match console.control.logs_of(&asked, placement).await {
        Ok(place) => place,
        Err(problem) => return asker.problem(&problem),
    };
    let Some(reading) = console.logs.take_away(&place, &which).await else {
        return asker.problem(&Problem::TooMany { seconds: 10 });
    };
    let (to, pieces) = mpsc::channel(WAITING);
    tokio::spawn(send(console, asked.actor, reading, to));
    let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (Ok::<_, Infallible>(piece), pieces))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = format!("attachment; filename=\"{}\"", file_name(&place));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// "demo-hello-staging-20261121T071500Z.log". All of it is names, which need no quotes.
fn file_name(place: &Place) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::now_utc().format(&format).unwrap_or_default();
    format!("{}-{}-{}-{now}.log", place.project, place.service, place.environment)
}

/// Reads into the pieces of the answer, and says why they end where they do, if that is before
/// their end. A client that takes nothing for a while is let go, and his turn with him.
async fn send(console: Console, actor: Actor, mut reading: Reading, to: mpsc::Sender<Bytes>) {
    let began = Instant::now();
    let mut decided = began;
    let mut bytes = 0;
    let mut piece = String::with_capacity(PIECE);
    let mut why = None;
    while let Some((instance, line)) = reading.next().await {
        write(&mut piece, &reading.instances()[instance].name, &line);
        if piece.len() < PIECE {
            continue;
        }
        bytes += piece.len();
        let full = std::mem::replace(&mut piece, String::with_capacity(PIECE));
        if to.send_timeout(full.into(), TAKEN_WITHIN).await.is_err() {
            return;
        }
        if bytes >= MOST_BYTES || began.elapsed() >= LONGEST {
            why = Some("This is as much as one download sends. There is more.".to_owned());
            break;
        }
        if decided.elapsed() >= DECIDE_EVERY {
            if !still(&console, &actor).await {
                why = Some("What you may read has changed. Ask again.".to_owned());
                break;
            }
            decided = Instant::now();
        }
    }
    if let Some(why) = why.or_else(|| reading.trouble()) {
        // Writing to a string can not fail.
        let _ = writeln!(piece, "# {why}");
    }
    if !piece.is_empty() {
        // Whoever is gone misses nothing.
        let _ = to.send_timeout(piece.into(), TAKEN_WITHIN).await;
    }
}

/// Whether he is still signed in, with the same rights. If it can not be known, he is not.
async fn still(console: &Console, actor: &Actor) -> bool {
    let asking = timeout(DECIDE_WITHIN, console.control.still(actor));
    matches!(asking.await, Ok(Ok(Some(now))) if now.grants() == actor.grants())
}

/// "2026-11-21T07:04:24.832881529Z blue-c19f-1 what it wrote".
fn write(out: &mut String, instance: &str, line: &LogLine) {
    let at = line.at().format(&Rfc3339).unwrap_or_default();
    // Writing to a string can not fail.
    let _ = write!(out, "{at} {instance} {}", without_styles(&line.text));
    if line.left_out > 0 {
        let least = if line.left_out >= GIVEN_UP { "at least " } else { "" };
        let _ = write!(out, " [cut: {least}{} bytes more]", line.left_out);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::Source;

    #[test]
    fn a_line_of_the_file_steers_no_terminal_and_says_what_is_missing() {
        let line = LogLine {
            at_ns: 1_795_244_664_832_881_529,
            source: Source::Err,
            text: "\u{1b}[31mred\u{1b}[0m \u{1b}[2J".to_owned(),
            left_out: 5,
        };
        let mut out = String::new();

        write(&mut out, "blue-1", &line);

        assert_eq!(out, "2026-11-21T07:04:24.832881529Z blue-1 red \\e[2J [cut: 5 bytes more]\n");
    }
}
