//! `/builds/{id}/log`: what a build wrote, as text or compressed, sent as it is read.

use crate::{answer::Asker, state::Console};
use axum::{
    body::{Body, Bytes},
    extract::{Extension, Path, Query, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use control::{Actor, Asked, LogFile};
use domain::{
    build::log::BuildLine,
    error::Problem,
    id::BuildId,
    log::{ansi::without_styles, cut::GIVEN_UP},
};
use serde::Deserialize;
use std::{convert::Infallible, fmt::Write as _, time::Duration};
use time::format_description::well_known::Rfc3339;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// How long a download may take, how long a client may take nothing, and how many pieces wait.
const LONGEST: Duration = Duration::from_secs(10 * 60);
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
const WAITING: usize = 4;
/// How often it is decided again whether he may.
const DECIDE_EVERY: Duration = Duration::from_secs(4);
const DECIDE_WITHIN: Duration = Duration::from_secs(1);

/// How it is wanted: `gz`, or as text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    #[serde(rename = "as")]
    form: String,
}

/// Sends what is kept of a build's log.
pub async fn download(
    State(console): State<Console>,
    Extension(asker): Extension<Asker>,
    Extension(asked): Extension<Option<Asked>>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(asked) = asked else { return asker.problem(&Problem::SignedOut) };
    let Ok(build) = id.parse::<BuildId>() else {
        return asker.problem(&Problem::not_found("page"));
    };
    // It costs something, so a foreign page must not be able to ask for it.
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return asker
            .refuse(StatusCode::FORBIDDEN, "This was asked for by a page that is not ours.");
    }
    let file = match console.control.build_log_file(&asked, build).await {
        Ok(file) => file,
        Err(problem) => return asker.problem(&problem),
    };
    let packed = wish.form == "gz";
    let (content, ending) = match packed {
        true => ("application/gzip", "log.gz"),
        false => ("text/plain; charset=utf-8", "log"),
    };
    // All of it is names, which need no quotes.
    let LogFile { project, service, number, .. } = &file;
    let name = format!("attachment; filename=\"{project}-{service}-build-{number}.{ending}\"");
    let (to, pieces) = mpsc::channel(WAITING);
    tokio::spawn(send(console, asked.actor, file, packed, to));
    let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (Ok::<_, Infallible>(piece), pieces))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// Reads into the pieces of the answer, a chunk of the log each, and says why they end where they do,
/// if that is before their end.
async fn send(
    console: Console,
    actor: Actor,
    file: LogFile,
    packed: bool,
    to: mpsc::Sender<Bytes>,
) {
    let began = Instant::now();
    let mut decided = began;
    let mut last = 0;
    loop {
        let mut text = String::new();
        let lines = match console.control.build_lines(&file, last).await {
            Ok(lines) => lines,
            Err(error) => {
                tracing::warn!(build.id = %file.build, %error, "A log could not be read to its end");
                text.push_str("# The rest could not be read. Ask again.\n");
                Vec::new()
            }
        };
        for line in &lines {
            write(&mut text, line, last);
            last = line.number;
        }
        let mut over = lines.is_empty();
        if decided.elapsed() >= DECIDE_EVERY {
            let asking = timeout(DECIDE_WITHIN, console.control.still(&actor));
            if !matches!(asking.await, Ok(Ok(Some(now))) if now.grants() == actor.grants()) {
                text = "# What you may read has changed. Ask again.\n".to_owned();
                over = true;
            }
            decided = Instant::now();
        }
        if began.elapsed() >= LONGEST {
            text.push_str("# This took too long. There is more.\n");
            over = true;
        }
        if !text.is_empty() {
            // Files of gzip that stand behind each other are one.
            let piece = match packed {
                true => store::builds::logs::gzip(text.as_bytes()).unwrap_or_default(),
                false => text.into_bytes(),
            };
            if to.send_timeout(piece.into(), TAKEN_WITHIN).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
    }
}

/// "2026-11-21T07:04:24.832881529Z [3] what it wrote".
fn write(out: &mut String, line: &BuildLine, last: u64) {
    let at = line.line.at().format(&Rfc3339).unwrap_or_default();
    let step = line.step.map(|step| format!("[{step}] ")).unwrap_or_default();
    // Writing to a string can not fail.
    if line.number > last + 1 {
        let missing = line.number - last - 1;
        let _ = writeln!(out, "# {missing} lines are not kept: there were too many.");
    }
    let _ = write!(out, "{at} {step}{}", without_styles(&line.line.text));
    if line.line.left_out > 0 {
        let least = if line.line.left_out >= GIVEN_UP { "at least " } else { "" };
        let _ = write!(out, " [cut: {least}{} bytes more]", line.line.left_out);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::{LogLine, Source};

    #[test]
    fn a_line_of_the_file_steers_no_terminal_and_says_what_is_missing() {
        let line = BuildLine {
            number: 12,
            step: Some(3),
            line: LogLine {
                at_ns: 1_795_244_664_832_881_529,
                source: Source::Err,
                text: "\u{1b}[31mred\u{1b}[0m \u{1b}[2J".to_owned(),
                left_out: 5,
            },
        };
        let mut out = String::new();

        write(&mut out, &line, 9);

        assert_eq!(
            out,
            "# 2 lines are not kept: there were too many.\n\
             2026-11-21T07:04:24.832881529Z [3] red \\e[2J [cut: 5 bytes more]\n"
        );
    }
}
