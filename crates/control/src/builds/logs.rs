//! What builds wrote, for those who may read it. It lies in the database, so a page needs no engine;
//! what is newer than a second comes by the stream.

use crate::{Actor, Asked, Control, OrProblem, places};
use domain::{
    build::log::{BuildLine, BuildLog},
    error::Problem,
    history::Origin,
    id::BuildId,
    log::{LINES_SHOWN, find::Needle},
    name::Name,
    role::{Action, Protection},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use store::{
    Conn,
    builds::{logs, pages},
    services::Service,
};

/// How long a search may take.
const SEARCH_FOR: Duration = Duration::from_secs(10);
/// How much a page carries: some lines are long.
const SHOWN_BYTES: usize = 2 << 20;

/// Which lines are wanted. Without anything: the last.
#[derive(Clone, Debug, Default)]
pub struct LogWish {
    /// Only lines before this number, …
    pub before: Option<u64>,
    /// … or after this one: what a stream did not tell.
    pub after: Option<u64>,
    pub needle: Option<Needle>,
}

/// A log that may be taken away.
#[derive(Clone, Debug)]
pub struct LogFile {
    pub build: BuildId,
    pub number: i32,
    pub project: Name,
    pub service: Name,
}

impl Control {
    /// Some lines of a build.
    pub async fn build_log(
        &self,
        asked: &Asked,
        build: BuildId,
        wish: LogWish,
    ) -> Result<BuildLog, Problem> {
        self.build_log_file(asked, build).await?;
        let mut conn = self.connection(&asked.origin).await?;
        read(&mut conn, build, &wish, &asked.origin).await
    }

    /// The check for one who takes the log away; [`Control::build_lines`] reads it then.
    pub async fn build_log_file(&self, asked: &Asked, build: BuildId) -> Result<LogFile, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("build");
        let mut conn = self.connection(origin).await?;
        let (number, service) =
            self.service_of(&mut conn, build).await.or_problem(origin)?.ok_or_else(missing)?;
        drop(conn);
        self.permit(asked, Action::LogsView, &places::of_service(&service, "build")).await?;
        Ok(LogFile { build, number, project: service.project_name, service: service.name })
    }

    /// Whether a stream may tell what a build writes. Its page was refused already, with a row.
    pub async fn may_follow_build(&self, actor: &Actor, build: BuildId) -> store::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        let found = self.service_of(&mut conn, build).await?;
        Ok(found.is_some_and(|(_, service)| {
            actor.may(Action::LogsView, service.scope(), Protection::Open)
        }))
    }

    /// The lines after a number, some at a time. Empty: there are no more now.
    pub async fn build_lines(&self, file: &LogFile, after: u64) -> store::Result<Vec<BuildLine>> {
        let mut conn = self.pool.acquire().await?;
        logs::after(&mut conn, file.build, after).await
    }

    async fn service_of(
        &self,
        conn: &mut Conn,
        build: BuildId,
    ) -> store::Result<Option<(i32, Service)>> {
        let which = pages::Which { build: Some(build), ..pages::Which::default() };
        let Some((_, row)) = pages::rows(conn, &which, 1).await?.pop() else { return Ok(None) };
        let service = store::services::load(conn, row.service_id).await?;
        Ok(service.map(|service| (row.number, service)))
    }
}

/// Reads lines for a page, as far as one carries them.
pub(super) async fn read(
    conn: &mut Conn,
    build: BuildId,
    wish: &LogWish,
    origin: &Origin,
) -> Result<BuildLog, Problem> {
    let detail = pages::detail(conn, build)
        .await
        .or_problem(origin)?
        .ok_or_else(|| Problem::not_found("build"))?;
    let mut log = BuildLog {
        written: detail.lines_written,
        left_out: detail.lines_left_out,
        gone: detail.log_gone,
        ..BuildLog::default()
    };
    let lines = match (&wish.needle, wish.after) {
        (Some(needle), _) => search(conn, build, needle, &mut log).await,
        (None, Some(after)) => forwards(conn, build, after).await,
        (None, None) => backwards(conn, build, wish.before.unwrap_or(u64::MAX)).await,
    };
    log.lines = lines.or_problem(origin)?;
    if let (None, Some(first)) = (&wish.needle, log.lines.first()) {
        let before = logs::before(conn, build, first.number).await.or_problem(origin)?;
        log.earlier = !before.is_empty();
    }
    Ok(log)
}

async fn forwards(conn: &mut Conn, build: BuildId, after: u64) -> store::Result<Vec<BuildLine>> {
    let mut shown = Vec::new();
    let mut last = after;
    let mut bytes = 0;
    while shown.len() < LINES_SHOWN && bytes < SHOWN_BYTES {
        let lines = logs::after(conn, build, last).await?;
        let Some(newest) = lines.last() else { break };
        last = newest.number;
        bytes += lines.iter().map(|line| line.line.size()).sum::<usize>();
        shown.extend(lines);
    }
    shown.truncate(LINES_SHOWN);
    Ok(shown)
}

async fn backwards(conn: &mut Conn, build: BuildId, before: u64) -> store::Result<Vec<BuildLine>> {
    let mut shown: VecDeque<BuildLine> = VecDeque::new();
    // The numbers of the database are signed.
    let mut first = before.min(i64::MAX as u64);
    let mut bytes = 0;
    while shown.len() < LINES_SHOWN && bytes < SHOWN_BYTES {
        let lines = logs::before(conn, build, first).await?;
        let Some(oldest) = lines.first() else { break };
        first = oldest.number;
        for line in lines.into_iter().rev() {
            bytes += line.line.size();
            if shown.len() < LINES_SHOWN && (bytes < SHOWN_BYTES || shown.is_empty()) {
                shown.push_front(line);
            }
        }
    }
    Ok(shown.into())
}

/// The last lines with something in them.
async fn search(
    conn: &mut Conn,
    build: BuildId,
    needle: &Needle,
    log: &mut BuildLog,
) -> store::Result<Vec<BuildLine>> {
    let until = Instant::now() + SEARCH_FOR;
    let mut shown: VecDeque<BuildLine> = VecDeque::new();
    let (mut last, mut bytes, mut matched) = (0, 0, 0);
    loop {
        let lines = logs::after(conn, build, last).await?;
        let Some(newest) = lines.last() else { break };
        last = newest.number;
        for line in lines.into_iter().filter(|line| needle.is_in(&line.line)) {
            matched += 1;
            bytes += line.line.size();
            shown.push_back(line);
            while shown.len() > LINES_SHOWN || bytes > SHOWN_BYTES && shown.len() > 1 {
                bytes -= shown.pop_front().map_or(0, |line| line.line.size());
            }
        }
        if Instant::now() >= until {
            log.earlier = true;
            break;
        }
    }
    log.matched = Some(matched);
    Ok(shown.into())
}
