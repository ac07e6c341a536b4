//! The engine's progress in its own words -> what happened, step by step. Pure.

use super::wire::{Status, Vertex};
use crate::build::{BuildEvent, BuildFailure, Hidden};
use bytes::Bytes;
use domain::log::{LogLine, Source, cut::Cutter};
use std::{collections::HashMap, time::Duration};
use time::OffsetDateTime;

/// The most steps a build may have: those beyond are not told apart.
const STEPS: usize = 2000;

/// What a failure keeps of the last lines.
const LAST_LINES: usize = 10;
const LAST_LINE: usize = 300;

/// What the classic builder puts around standard error.
const RED: &str = "\u{1b}[91m";
const PLAIN: &str = "\u{1b}[0m";

/// Follows a build.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// By the engine's digest.
    steps: HashMap<String, Step>,
    begun: u32,
    secrets: Vec<String>,
    failed: Option<(u32, String, String)>,
    /// The classic builder's current step.
    current: Option<String>,
    /// It said something of itself, whose line is not over.
    own_line: bool,
}

#[derive(Debug)]
struct Step {
    number: u32,
    name: String,
    started: OffsetDateTime,
    is_over: bool,
    cached: bool,
    out: Cutter,
    err: Cutter,
    last: std::collections::VecDeque<String>,
}

impl Steps {
    /// `secrets`: what no line may show, each line of each.
    pub fn new(secrets: &[(String, Hidden)]) -> Self {
        let lines = secrets.iter().flat_map(|(_, value)| value.expose().lines());
        let mut secrets: Vec<String> =
            lines.map(|line| line.trim().to_owned()).filter(|line| line.len() >= 4).collect();
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, ..Self::default() }
    }

    /// Takes a piece of `BuildKit`'s progress.
    pub fn take(&mut self, status: &Status<'_>) -> Vec<BuildEvent> {
        let mut events = Vec::new();
        for vertex in &status.vertexes {
            if let Some(at) = vertex.started.or(vertex.completed) {
                self.start(&vertex.digest, &vertex.name, at, status.vertexes.len(), &mut events);
            }
        }
        for log in &status.written {
            self.write(&log.vertex, log.at, log.stderr, log.bytes, &mut events);
        }
        for vertex in &status.vertexes {
            if let Some(at) = vertex.completed {
                self.end(vertex, at, &mut events);
            }
        }
        events
    }

    fn start(
        &mut self,
        digest: &str,
        name: &str,
        at: OffsetDateTime,
        total: usize,
        events: &mut Vec<BuildEvent>,
    ) {
        if self.steps.contains_key(digest) || self.steps.len() >= STEPS {
            return;
        }
        self.begun += 1;
        let name = self.masked(name.chars().take(500).collect());
        let step = Step {
            number: self.begun,
            name: name.clone(),
            started: at,
            is_over: false,
            cached: false,
            out: Cutter::new(Source::Out),
            err: Cutter::new(Source::Err),
            last: std::collections::VecDeque::new(),
        };
        self.steps.insert(digest.to_owned(), step);
        let total = u32::try_from(total).unwrap_or(0).max(self.begun);
        events.push(BuildEvent::StepStarted { number: self.begun, total, name, at });
    }

    fn write(
        &mut self,
        digest: &str,
        at: OffsetDateTime,
        stderr: bool,
        bytes: &[u8],
        events: &mut Vec<BuildEvent>,
    ) {
        let Some(step) = self.steps.get_mut(digest) else { return };
        let at_ns = i64::try_from(at.unix_timestamp_nanos()).unwrap_or(0);
        let mut lines = Vec::new();
        if stderr { &mut step.err } else { &mut step.out }.push(at_ns, bytes, &mut lines);
        self.tell(digest, lines, events);
    }

    fn tell(&mut self, digest: &str, lines: Vec<LogLine>, events: &mut Vec<BuildEvent>) {
        for line in lines {
            let (at, stderr, left_out) = (line.at(), line.source == Source::Err, line.left_out);
            let text = self.masked(line.text);
            let Some(step) = self.steps.get_mut(digest) else { return };
            if step.last.len() == LAST_LINES {
                step.last.pop_front();
            }
            step.last.push_back(text.chars().take(LAST_LINE).collect());
            events.push(BuildEvent::Line {
                step: step.number,
                stderr,
                at,
                text: Bytes::from(text),
                left_out,
            });
        }
    }

    fn end(&mut self, vertex: &Vertex, at: OffsetDateTime, events: &mut Vec<BuildEvent>) {
        self.flush(&vertex.digest, events);
        let error = (!vertex.error.is_empty()).then(|| self.masked(short(&vertex.error)));
        let Some(step) = self.steps.get_mut(&vertex.digest) else { return };
        if std::mem::replace(&mut step.is_over, true) {
            return;
        }
        let took = Duration::try_from(at - step.started).unwrap_or_default();
        // Others end because one failed; that one is the reason.
        if let Some(error) = &error
            && self.failed.is_none()
            && !error.contains("context canceled")
        {
            self.failed = Some((step.number, vertex.digest.clone(), error.clone()));
        }
        events.push(BuildEvent::StepEnded {
            number: step.number,
            cached: vertex.cached || step.cached,
            took,
            error,
            at,
        });
    }

    fn flush(&mut self, digest: &str, events: &mut Vec<BuildEvent>) {
        let Some(step) = self.steps.get_mut(digest) else { return };
        let lines = step.out.end().into_iter().chain(step.err.end()).collect();
        self.tell(digest, lines, events);
    }

    /// Takes a piece of what the classic builder prints.
    pub fn take_text(&mut self, text: &str, at: OffsetDateTime) -> Vec<BuildEvent> {
        let mut events = Vec::new();
        if let Some((number, total, name)) = classic_step(text)
            && number == self.begun + 1
        {
            self.end_current(at, None, &mut events);
            self.own_line = !text.ends_with('\n');
            let digest = number.to_string();
            let name = format!("[{number}/{total}] {name}");
            self.start(&digest, &name, at, total as usize, &mut events);
            self.current = Some(digest);
            return events;
        }
        let Some(digest) = self.current.clone() else { return events };
        // What the builder says of itself, sometimes without its line break, which comes next.
        let is_own =
            text.starts_with(" ---> ") || text.starts_with("Removing intermediate container ");
        if std::mem::replace(&mut self.own_line, is_own && !text.ends_with('\n')) && text == "\n" {
            return events;
        }
        if text.trim() == "---> Using cache"
            && let Some(step) = self.steps.get_mut(&digest)
        {
            step.cached = true;
        }
        if !is_own {
            // It paints what came on standard error red, and says so in no other way.
            let red = text.strip_prefix(RED).and_then(|text| text.strip_suffix(PLAIN));
            self.write(&digest, at, red.is_some(), red.unwrap_or(text).as_bytes(), &mut events);
        }
        events
    }

    /// The classic builder goes on to the next step, or is at its end.
    pub fn end_current(
        &mut self,
        at: OffsetDateTime,
        error: Option<&str>,
        events: &mut Vec<BuildEvent>,
    ) {
        if let Some(digest) = self.current.take() {
            let error = error.unwrap_or_default().to_owned();
            self.end(&Vertex { digest, error, ..Vertex::default() }, at, events);
        }
    }

    /// Why the build came to no image, after the engine's last word.
    pub fn failure(&self, last_word: &str) -> BuildFailure {
        let said = match &self.failed {
            Some((_, _, error)) => error.clone(),
            None => self.masked(short(last_word)),
        };
        let exit_code = exit_code(&said).or_else(|| exit_code(last_word));
        let step = self.failed.as_ref().and_then(|(_, digest, _)| self.steps.get(digest));
        let why = match (step, exit_code) {
            (Some(step), Some(137)) => format!(
                "Step {}, {}, was killed: it ended with exit code 137, often for want of memory.",
                step.number, step.name
            ),
            (Some(step), Some(code)) => {
                format!("Step {}, {}, ended with exit code {code}.", step.number, step.name)
            }
            (Some(step), None) => format!(
                "Step {}, {}, failed: {}.",
                step.number,
                step.name,
                said.trim_end_matches('.')
            ),
            (None, _) => format!(
                "The engine could not carry out the recipe: {}.",
                said.trim_end_matches('.')
            ),
        };
        BuildFailure {
            step: step.map(|step| step.number),
            name: step.map(|step| step.name.clone()),
            exit_code,
            why: why.chars().take(1000).collect(),
            last_lines: step.map(|step| step.last.iter().cloned().collect()).unwrap_or_default(),
        }
    }

    fn masked(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "•••");
            }
        }
        text
    }
}

/// "Step 2/5 : RUN make"
fn classic_step(text: &str) -> Option<(u32, u32, String)> {
    let (numbers, name) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = numbers.split_once('/')?;
    Some((number.parse().ok()?, total.parse().ok()?, name.trim().to_owned()))
}

/// The number after "exit code: " or "returned a non-zero code: ".
fn exit_code(said: &str) -> Option<i64> {
    let rest = ["exit code: ", "non-zero code: "].iter().find_map(|sign| said.split_once(sign))?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn short(said: &str) -> String {
    said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::build::wire::Written;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).expect("in range")
    }

    fn vertex(digest: &str, completed: Option<i64>, error: &str) -> Vertex {
        Vertex {
            digest: digest.to_owned(),
            name: format!("RUN {digest}"),
            cached: false,
            started: Some(at(10)),
            completed: completed.map(at),
            error: error.to_owned(),
        }
    }

    #[test]
    fn the_step_that_failed_is_named_and_not_the_one_that_was_cancelled() {
        let mut steps = Steps::new(&[("token".to_owned(), Hidden::new("hunter22"))]);
        let written = Written {
            vertex: "b".to_owned(),
            at: at(11),
            stderr: true,
            bytes: b"no hunter22\nlast",
        };
        let status = Status {
            vertexes: vec![vertex("a", None, ""), vertex("b", None, "")],
            written: vec![written],
        };
        let events = steps.take(&status);
        assert_eq!(events.len(), 3, "{events:?}");

        let ended = Status {
            vertexes: vec![
                vertex("a", Some(12), "context canceled"),
                vertex("b", Some(12), "executor failed running [sh hunter22]: exit code: 3"),
            ],
            written: vec![],
        };
        let events = steps.take(&ended);
        assert_eq!(events.len(), 3, "the last line, and two ends: {events:?}");
        assert!(steps.take(&ended).is_empty(), "said again, told once");

        let failure = steps.failure("failed to solve");
        assert_eq!((failure.step, failure.exit_code), (Some(2), Some(3)));
        assert_eq!(failure.last_lines, ["no •••", "last"]);
        assert!(!format!("{failure:?}").contains("hunter22"));
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_it_may() {
        let mut steps = Steps::new(&[]);
        let started =
            steps.take(&Status { vertexes: vec![vertex("a", None, "")], written: vec![] });
        assert_eq!(started.len(), 1);
        let piece = vec![b'x'; 1 << 20];
        let mut told = Vec::new();
        for _ in 0..100 {
            let written =
                Written { vertex: "a".to_owned(), at: at(11), stderr: false, bytes: &piece };
            told.extend(steps.take(&Status { vertexes: vec![], written: vec![written] }));
        }
        assert_eq!(told.len(), 1);
        assert!(
            matches!(&told[0], BuildEvent::Line { text, left_out, .. } if text.len() <= 16 * 1024 && *left_out > 0)
        );
    }

    #[test]
    fn the_classic_builder_is_read_too() {
        let mut steps = Steps::new(&[]);
        let mut events = Vec::new();
        for text in [
            "Step 1/2 : FROM a\n",
            " ---> 0123\n",
            "Step 2/2 : RUN exit 7",
            "\n",
            " ---> Running in 1",
            "\n",
            "\u{1b}[91mout\n\u{1b}[0m",
            "Step 1/2 : not one\n",
        ] {
            events.extend(steps.take_text(text, at(1)));
        }
        steps.end_current(at(2), Some("The command 'x' returned a non-zero code: 7"), &mut events);

        let failure = steps.failure("x");
        assert_eq!((failure.step, failure.exit_code), (Some(2), Some(7)));
        assert_eq!(failure.last_lines, ["out", "Step 1/2 : not one"]);
        assert_eq!(failure.name.as_deref(), Some("[2/2] RUN exit 7"));
        assert_eq!(events.len(), 6, "{events:?}");
    }
}
