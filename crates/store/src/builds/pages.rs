//! Builds as pages show them: lists, one in full, and how the last ones were.

use super::uncount;
use crate::{Conn, Result, words::word};
use domain::{
    build::{
        BuildStep, Ending, Phase, Source, StepCount,
        view::{Batch, BuildMay, BuildPhaseTime, BuildPoint, BuildRow, BuiltFrom, State},
    },
    id::{BatchId, BuildId, ProjectId, ReleaseId, ServiceId},
    view::ReleaseName,
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// Which builds are wanted. What is `None` is any.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub build: Option<BuildId>,
    pub service: Option<ServiceId>,
    /// Only what lies in these projects.
    pub projects: Option<Vec<ProjectId>>,
    pub batch: Option<BatchId>,
    pub state: Option<State>,
    pub before: Option<BuildId>,
}

/// Some builds, newest first, each with its project, for the check; what the viewer may do is not
/// filled in.
pub async fn rows(
    conn: &mut Conn,
    which: &Which,
    at_most: i64,
) -> Result<Vec<(ProjectId, BuildRow)>> {
    let projects: Option<Vec<_>> =
        which.projects.as_ref().map(|all| all.iter().map(|project| project.0).collect());
    let phases: Option<Vec<String>> =
        which.state.map(|state| state.phases().iter().map(ToString::to_string).collect());
    let rows = sqlx::query!(
        r#"
        select
            b.id as "id: BuildId", b.number, p.id as "project_id: ProjectId", p.name as project,
            s.name as service, s.id as "service_id: ServiceId", b.asked, b.commit, b.tag, b.subject,
            b.phase, b.since, b.cancel_asked_by, b.requested_by_name, b.asked_at, b.fetching_at, b.ended_at,
            jsonb_array_length(b.steps) as "steps!",
            (select count(*) from jsonb_array_elements(b.steps) as step
             where (step ->> 'cached')::boolean) as "cached!",
            b.size_bytes, (b.source ->> 'size_budget_bytes')::bigint as "budget!",
            r.id as "release?: ReleaseId", r.name as "release_name?",
            b.ending as "ending: Json<Ending>", b.batch_id as "batch: BatchId",
            case when b.phase = 'queued' then
                (select count(*) from builds q where q.phase = 'queued' and q.id < b.id)
            end as before_it
        from builds b
        join services s on s.id = b.service_id
        join projects p on p.id = s.project_id
        left join releases r on r.id = b.release_id
        where ($1::uuid is null or b.id = $1)
          and ($2::uuid is null or b.service_id = $2)
          and ($3::uuid[] is null or s.project_id = any($3))
          and ($4::uuid is null or b.batch_id = $4)
          and ($5::uuid is null or b.id < $5)
          and ($7::text[] is null or b.phase = any($7))
        order by b.id desc
        limit $6
        "#,
        which.build.map(|id| id.0),
        which.service.map(|id| id.0),
        projects.as_deref() as _,
        which.batch.map(|id| id.0),
        which.before.map(|id| id.0),
        at_most,
        phases.as_deref() as _,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let build = BuildRow {
                id: row.id,
                number: row.number,
                project: word(&row.project)?,
                service: word(&row.service)?,
                service_id: row.service_id,
                asked: row.asked,
                commit: row.commit,
                tag: row.tag,
                subject: row.subject,
                phase: word(&row.phase)?,
                since: row.since,
                before_it: row.before_it.map(small),
                cancel_asked_by: row.cancel_asked_by.filter(|_| row.ended_at.is_none()),
                by: row.requested_by_name,
                asked_at: row.asked_at,
                started_at: row.fetching_at,
                ended_at: row.ended_at,
                count: StepCount { steps: small(row.steps.into()), cached: small(row.cached) },
                size_bytes: row.size_bytes.map(uncount),
                size_budget_bytes: uncount(row.budget),
                release: row
                    .release
                    .zip(row.release_name)
                    .map(|(id, name)| ReleaseName { id, name }),
                ending: row.ending.map(|ending| ending.0),
                batch: row.batch,
                may: BuildMay::default(),
            };
            Ok((row.project_id, build))
        })
        .collect()
}

fn small(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

/// What the page of a build has besides its row.
#[derive(Clone, Debug)]
pub struct Detail {
    pub source: Source,
    pub steps: Vec<BuildStep>,
    pub phases: Vec<BuildPhaseTime>,
    pub lines_written: u64,
    pub lines_left_out: u64,
    pub log_gone: bool,
}

/// The rest of one build.
pub async fn detail(conn: &mut Conn, id: BuildId) -> Result<Option<Detail>> {
    let row = sqlx::query!(
        r#"
        select source as "source: Json<Source>", steps as "steps: Json<Vec<BuildStep>>", phase,
            asked_at, fetching_at, building_at, pushing_at, ended_at, lines_written,
            lines_left_out, log_gone
        from builds where id = $1
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let phase: Phase = word(&row.phase)?;
    let times = [
        (Phase::Queued, Some(row.asked_at)),
        (Phase::Fetching, row.fetching_at),
        (Phase::Building, row.building_at),
        (Phase::Pushing, row.pushing_at),
        (phase, row.ended_at),
    ];
    Ok(Some(Detail {
        source: row.source.0,
        steps: row.steps.0,
        phases: times
            .into_iter()
            .filter_map(|(phase, at)| Some(BuildPhaseTime { phase, at: at? }))
            .collect(),
        lines_written: uncount(row.lines_written),
        lines_left_out: uncount(row.lines_left_out),
        log_gone: row.log_gone,
    }))
}

/// The last builds of a service that were begun and ended, oldest first.
pub async fn trend(conn: &mut Conn, service: ServiceId, at_most: usize) -> Result<Vec<BuildPoint>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: BuildId", number, phase, fetching_at as "fetching_at!",
            ended_at as "ended_at!", size_bytes, jsonb_array_length(steps) as "steps!",
            (select count(*) from jsonb_array_elements(steps) as step
             where (step ->> 'cached')::boolean) as "cached!"
        from builds
        where service_id = $1 and ended_at is not null and fetching_at is not null
        order by number desc
        limit $2
        "#,
        service.0,
        i64::try_from(at_most).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .rev()
        .map(|row| {
            let took = row.ended_at - row.fetching_at;
            Ok(BuildPoint {
                id: row.id,
                number: row.number,
                phase: word(&row.phase)?,
                ended_at: row.ended_at,
                took_ms: u64::try_from(took.whole_milliseconds()).unwrap_or(0),
                size_bytes: row.size_bytes.map(uncount),
                count: StepCount { steps: small(row.steps.into()), cached: small(row.cached) },
            })
        })
        .collect()
}

/// How many run and how many wait in some projects.
pub async fn counts(conn: &mut Conn, projects: &[ProjectId]) -> Result<(u32, u32)> {
    let projects: Vec<_> = projects.iter().map(|project| project.0).collect();
    let row = sqlx::query!(
        r#"
        select count(*) filter (where b.active) as "running!",
            count(*) filter (where b.phase = 'queued') as "waiting!"
        from builds b join services s on s.id = b.service_id
        where b.ended_at is null and s.project_id = any($1)
        "#,
        &projects,
    )
    .fetch_one(conn)
    .await?;
    Ok((small(row.running), small(row.waiting)))
}

/// One click on "build all" of a project, or the newest.
pub async fn batch(
    conn: &mut Conn,
    project: ProjectId,
    batch: Option<BatchId>,
) -> Result<Option<Batch>> {
    let row = sqlx::query!(
        r#"
        select b.batch_id as "id!: BatchId", min(b.requested_by_name) as "by!",
            min(b.asked_at) as "asked_at!: OffsetDateTime",
            max(b.ended_at) as "ended_at: OffsetDateTime",
            count(*) filter (where b.phase = 'succeeded') as "succeeded!",
            count(*) filter (where b.ended_at is null) as "open!", count(*) as "all!"
        from builds b join services s on s.id = b.service_id
        where s.project_id = $1 and b.batch_id is not null
          and ($2::uuid is null or b.batch_id = $2)
        group by b.batch_id
        order by b.batch_id desc
        limit 1
        "#,
        project.0,
        batch.map(|batch| batch.0),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Batch {
        id: row.id,
        by: row.by,
        asked_at: row.asked_at,
        ended_at: row.ended_at.filter(|_| row.open == 0),
        succeeded: small(row.succeeded),
        unhappy: small(row.all - row.open - row.succeeded),
        open: small(row.open),
    }))
}

/// Where a release was built, and what its size was held against; where it was built here.
pub async fn behind(conn: &mut Conn, release: ReleaseId) -> Result<Option<(BuiltFrom, u64)>> {
    let row = sqlx::query!(
        r#"
        select b.id as "build: BuildId", b.number, b.source as "source: Json<Source>",
            b.commit as "commit!", b.tag
        from releases r join builds b on b.id = r.build_id
        where r.id = $1
        "#,
        release.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let from = BuiltFrom {
            build: row.build,
            number: row.number,
            url: row.source.0.url.to_string(),
            commit: row.commit,
            tag: row.tag,
        };
        (from, row.source.0.size_budget_bytes)
    }))
}
