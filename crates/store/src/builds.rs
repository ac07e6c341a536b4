//! Builds: asked for by people, moved by the node that took them.
//!
//! A node moves a build by [`advance`], which compares the phase it saw *and* its claim, and changes
//! nothing when either is no longer so, or when somebody asked meanwhile that the build stops. What
//! has ended is kept from moving by the database.

pub mod claims;
pub mod commits;
pub mod deploys;
pub mod given;
pub mod logs;
pub mod pages;

use crate::{Conn, Result, words::word};
use claims::Held;
use domain::{
    build::{BuildStep, Ending, Phase, Source},
    id::{BatchId, BuildId, ProjectId, ReleaseId, ServiceId, UserId},
    name::Name,
    release::ImageFacts,
    source::{Commit, GitRef},
};
use sqlx::types::Json;

/// Of so many builds of a service the image is kept, whether its release runs or not.
const KEPT_IMAGES: i64 = 20;

/// Where the code of a service is. `None`: nobody said.
pub async fn source(conn: &mut Conn, service: ServiceId) -> Result<Option<Source>> {
    let row = sqlx::query!(
        r#"select source as "source: Json<Source>" from sources where service_id = $1"#,
        service.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| row.source.0))
}

/// Says where the code of a service is, for its next build.
pub async fn set_source(conn: &mut Conn, service: ServiceId, source: &Source) -> Result<()> {
    sqlx::query!(
        r#"
        insert into sources (service_id, source) values ($1, $2)
        on conflict (service_id) do update
        set source = excluded.source, changed_at = clock_timestamp()
        "#,
        service.0,
        Json(source) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A service with its source.
#[derive(Clone, Debug)]
pub struct Buildable {
    pub service: ServiceId,
    pub name: Name,
    pub project: ProjectId,
    pub project_name: Name,
    /// `None`: nobody said where its code is.
    pub source: Option<Source>,
}

/// The services of some projects by project and name, at most 1000.
pub async fn buildable(conn: &mut Conn, projects: &[ProjectId]) -> Result<Vec<Buildable>> {
    let projects: Vec<_> = projects.iter().map(|project| project.0).collect();
    let rows = sqlx::query!(
        r#"
        select s.id as "service: ServiceId", s.name, s.project_id as "project: ProjectId",
            p.name as project_name, c.source as "source?: Json<Source>"
        from services s
        join projects p on p.id = s.project_id
        left join sources c on c.service_id = s.id
        where s.archived_at is null and s.project_id = any($1)
        order by p.name, s.name
        limit 1000
        "#,
        &projects,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Buildable {
                service: row.service,
                name: word(&row.name)?,
                project: row.project,
                project_name: word(&row.project_name)?,
                source: row.source.map(|source| source.0),
            })
        })
        .collect()
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: BuildId,
    pub service: ServiceId,
    pub batch: Option<BatchId>,
    pub asked: &'a GitRef,
    pub source: &'a Source,
    /// The image goes to a repository afterwards.
    pub pushes: bool,
    pub by: UserId,
    pub by_name: &'a str,
}

/// Puts a build behind those that wait, and gives it its number: the service is locked.
pub async fn queue(conn: &mut Conn, new: &New<'_>) -> Result<i32> {
    Ok(sqlx::query_scalar!(
        r#"
        insert into builds (
            id, service_id, number, batch_id, asked, source, pushes, requested_by, requested_by_name)
        values (
            $1, $2, (select coalesce(max(number), 0) + 1 from builds where service_id = $2),
            $3, $4, $5, $6, $7, $8)
        returning number
        "#,
        new.id.0,
        new.service.0,
        new.batch.map(|batch| batch.0),
        new.asked.to_string(),
        Json(new.source) as _,
        new.pushes,
        new.by.0,
        new.by_name,
    )
    .fetch_one(conn)
    .await?)
}

/// How many builds of a service have not ended: there is a most.
pub async fn open_of(conn: &mut Conn, service: ServiceId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from builds where service_id = $1 and ended_at is null"#,
        service.0,
    )
    .fetch_one(conn)
    .await?)
}

/// Whether a build has ended, or is not there.
pub async fn has_ended(conn: &mut Conn, id: BuildId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select not exists (select from builds where id = $1 and ended_at is null) as "ended!"
        "#,
        id.0,
    )
    .fetch_one(conn)
    .await?)
}

/// Builds of a service whose images are kept for them no more: newer ones have made theirs. Each is
/// named some times, in case the engine did not answer.
pub async fn outlived(conn: &mut Conn, service: ServiceId) -> Result<Vec<BuildId>> {
    Ok(sqlx::query_scalar!(
        r#"
        select id as "id: BuildId" from builds
        where service_id = $1 and phase = 'succeeded'
        order by number desc
        offset $2 limit 5
        "#,
        service.0,
        KEPT_IMAGES,
    )
    .fetch_all(conn)
    .await?)
}

/// A build as a verb weighs it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub service: ServiceId,
    pub number: i32,
    pub phase: Phase,
    pub cancel_asked_by: Option<String>,
}

/// One build, kept from being moved until the transaction ends.
pub async fn lock(conn: &mut Conn, id: BuildId) -> Result<Option<Standing>> {
    let row = sqlx::query!(
        r#"
        select service_id as "service: ServiceId", number, phase, cancel_asked_by
        from builds where id = $1 for no key update
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Standing {
            service: row.service,
            number: row.number,
            phase: word(&row.phase)?,
            cancel_asked_by: row.cancel_asked_by,
        })
    })
    .transpose()
}

/// Ends a build that nobody took yet. It is locked.
pub async fn end_queued(
    conn: &mut Conn,
    id: BuildId,
    phase: Phase,
    ending: &Ending,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update builds
        set phase = $2, ending = $3, since = clock_timestamp(), ended_at = clock_timestamp()
        where id = $1 and phase = 'queued'
        "#,
        id.0,
        phase.as_str(),
        Json(ending) as _,
    )
    .execute(&mut *conn)
    .await?;
    deploys::refuse_all(conn, id, &not_made(phase)).await?;
    Ok(done.rows_affected() == 1)
}

/// Stores who asks that a build stops. Its node does so.
pub async fn ask_cancel(conn: &mut Conn, id: BuildId, by: &str) -> Result<()> {
    sqlx::query!(
        "update builds set cancel_asked_by = $2 where id = $1 and ended_at is null",
        id.0,
        by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a node saves with a step. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Saved<'a> {
    pub commit: Option<&'a Commit>,
    pub tag: Option<&'a str>,
    /// First line of the commit's message.
    pub subject: Option<&'a str>,
    pub facts: Option<&'a ImageFacts>,
    pub release: Option<ReleaseId>,
    pub ending: Option<&'a Ending>,
    pub steps: &'a [BuildStep],
    pub lines_written: u64,
    pub lines_left_out: u64,
}

/// Moves a build on. False when it is not ours any more, when it is in another phase, or when
/// somebody asked that it stops and this is another end: read [`claims::still`].
pub async fn advance(
    conn: &mut Conn,
    held: &Held,
    from: Phase,
    to: Phase,
    saved: &Saved<'_>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update builds set
            phase = $5, since = clock_timestamp(),
            building_at = case when $5 = 'building' then clock_timestamp() else building_at end,
            pushing_at = case when $5 = 'pushing' then clock_timestamp() else pushing_at end,
            ended_at = case when $6 then clock_timestamp() end,
            commit = coalesce($7, commit), tag = coalesce($8, tag),
            facts = coalesce($9, facts), size_bytes = coalesce($10, size_bytes),
            release_id = $11, ending = $12, steps = $13, lines_written = $14, lines_left_out = $15,
            subject = coalesce($16, subject)
        where id = $1 and holder = $2 and epoch = $3 and phase = $4
          and (cancel_asked_by is null or $5 = 'cancelled')
        "#,
        held.build.0,
        held.node.0,
        held.epoch,
        from.as_str(),
        to.as_str(),
        to.is_end(),
        saved.commit.map(ToString::to_string),
        saved.tag,
        saved.facts.map(Json) as _,
        saved.facts.map(|facts| i64::try_from(facts.size_bytes).unwrap_or(i64::MAX)),
        saved.release.map(|release| release.0),
        saved.ending.map(Json) as _,
        Json(saved.steps) as _,
        count(saved.lines_written),
        count(saved.lines_left_out),
        saved.subject,
    )
    .execute(&mut *conn)
    .await?;
    let moved = done.rows_affected() == 1;
    if moved && to.is_end() && to != Phase::Succeeded {
        deploys::refuse_all(conn, held.build, &not_made(to)).await?;
    }
    Ok(moved)
}

fn not_made(phase: Phase) -> String {
    match phase {
        Phase::Failed => "The build failed, so there is nothing to deploy.".to_owned(),
        other => format!("The build was {other}, so there is nothing to deploy."),
    }
}

/// Saves how far the steps and the log are. False: it is not ours any more.
pub async fn save_progress(
    conn: &mut Conn,
    held: &Held,
    steps: &[BuildStep],
    lines_written: u64,
    lines_left_out: u64,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update builds set steps = $4, lines_written = $5, lines_left_out = $6
        where id = $1 and holder = $2 and epoch = $3 and ended_at is null
        "#,
        held.build.0,
        held.node.0,
        held.epoch,
        Json(steps) as _,
        count(lines_written),
        count(lines_left_out),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn uncount(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
