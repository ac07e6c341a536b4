//! Which node has a build. A claim raises the build's epoch, which voids what an older holder saves.

use crate::{Conn, Result, Tx, builds::uncount, nodes::LEASE, words::word};
use domain::{
    build::{BuildStep, Phase, Source},
    history::Subject,
    id::{BuildId, NodeId, ProjectId, ServiceId, UserId},
    name::Name,
    source::{Commit, GitRef},
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// A build in the hands of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub build: BuildId,
    pub node: NodeId,
    pub epoch: i64,
}

/// A claimed build with all that is needed to go on with it.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub held: Held,
    pub number: i32,
    pub service: ServiceId,
    pub project: ProjectId,
    pub project_name: Name,
    pub service_name: Name,
    pub asked: GitRef,
    pub source: Source,
    pub pushes: bool,
    pub phase: Phase,
    pub since: OffsetDateTime,
    pub commit: Option<Commit>,
    pub tag: Option<String>,
    pub requester: UserId,
    pub requester_name: String,
    /// Who was disabled meanwhile gets nothing built.
    pub requester_enabled: bool,
    pub cancel_asked_by: Option<String>,
    pub steps: Vec<BuildStep>,
    pub lines_written: u64,
    pub lines_left_out: u64,
    /// When it was first taken: its time is counted from there.
    pub started_at: OffsetDateTime,
}

impl Claimed {
    /// What rows of the history about it are about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            project: Some(self.project_name.clone()),
            service: Some(self.service_name.clone()),
            ..Subject::default()
        }
    }
}

/// One at a time decides whether there is room, whatever nodes there are.
const ROOM: i64 = 0x7069_6c6f_7401;

/// Takes the build that waits longest, if fewer than `at_once` are under way. It is `fetching` then;
/// the caller appends the row that says so and commits.
pub async fn next(tx: &mut Tx, node: NodeId, at_once: u32) -> Result<Option<Claimed>> {
    sqlx::query!(r#"select pg_advisory_xact_lock($1) as "done?: ()""#, ROOM)
        .execute(&mut **tx)
        .await?;
    let taken = sqlx::query!(
        r#"
        update builds
        set phase = 'fetching', holder = $1, epoch = epoch + 1,
            since = clock_timestamp(), fetching_at = clock_timestamp()
        where id = (
            select id from builds
            where phase = 'queued' and (select count(*) from builds where active) < $2
            order by id
            limit 1
            for no key update skip locked)
        returning id as "id: BuildId", epoch
        "#,
        node.0,
        i64::from(at_once),
    )
    .fetch_optional(&mut **tx)
    .await?;
    match taken {
        Some(row) => load(tx, Held { build: row.id, node, epoch: row.epoch }).await,
        None => Ok(None),
    }
}

/// Takes a build whose node died, or that this node had before it was started again. `running` are
/// those that this process is at.
pub async fn lost(conn: &mut Conn, node: NodeId, running: &[BuildId]) -> Result<Option<Claimed>> {
    let running: Vec<_> = running.iter().map(|build| build.0).collect();
    let taken = sqlx::query!(
        r#"
        update builds
        set holder = $1, epoch = epoch + 1
        where id = (
            select b.id from builds b
            left join nodes n on n.id = b.holder
            where b.active and b.id <> all($2)
              and (n.id is null or n.id = $1
                   or n.seen_at < clock_timestamp() - make_interval(secs => $3))
            order by b.id
            limit 1
            for no key update of b skip locked)
        returning id as "id: BuildId", epoch
        "#,
        node.0,
        &running,
        LEASE.as_secs_f64(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    match taken {
        Some(row) => load(conn, Held { build: row.id, node, epoch: row.epoch }).await,
        None => Ok(None),
    }
}

async fn load(conn: &mut Conn, held: Held) -> Result<Option<Claimed>> {
    let row = sqlx::query!(
        r#"
        select
            b.number, b.service_id as "service: ServiceId", s.project_id as "project: ProjectId",
            p.name as project_name, s.name as service_name, b.asked,
            b.source as "source: Json<Source>", b.pushes, b.phase, b.since, b.commit, b.tag,
            b.requested_by as "requester: UserId", b.requested_by_name,
            u.disabled_at is null as "requester_enabled!", b.cancel_asked_by,
            b.steps as "steps: Json<Vec<BuildStep>>", b.lines_written, b.lines_left_out,
            coalesce(b.fetching_at, b.since) as "started_at!: OffsetDateTime"
        from builds b
        join services s on s.id = b.service_id
        join projects p on p.id = s.project_id
        join users u on u.id = b.requested_by
        where b.id = $1
        "#,
        held.build.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Claimed {
            held,
            number: row.number,
            service: row.service,
            project: row.project,
            project_name: word(&row.project_name)?,
            service_name: word(&row.service_name)?,
            asked: word(&row.asked)?,
            source: row.source.0,
            pushes: row.pushes,
            phase: word(&row.phase)?,
            since: row.since,
            commit: row.commit.as_deref().map(word).transpose()?,
            tag: row.tag,
            requester: row.requester,
            requester_name: row.requested_by_name,
            requester_enabled: row.requester_enabled,
            cancel_asked_by: row.cancel_asked_by,
            steps: row.steps.0,
            lines_written: uncount(row.lines_written),
            lines_left_out: uncount(row.lines_left_out),
            started_at: row.started_at,
        })
    })
    .transpose()
}

/// Whether a claim still stands; and who asked that the build stops, if somebody did.
pub async fn still(conn: &mut Conn, held: &Held) -> Result<Option<Option<String>>> {
    Ok(sqlx::query_scalar!(
        r#"
        select cancel_asked_by from builds
        where id = $1 and holder = $2 and epoch = $3 and ended_at is null
        "#,
        held.build.0,
        held.node.0,
        held.epoch,
    )
    .fetch_optional(conn)
    .await?)
}

/// The builds of a node that are to stop, and who asked.
pub async fn to_stop(conn: &mut Conn, node: NodeId) -> Result<Vec<(BuildId, String)>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: BuildId", cancel_asked_by as "by!" from builds
        where holder = $1 and active and cancel_asked_by is not null
        "#,
        node.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.by)).collect())
}

/// The builds that a node holds and has not ended.
pub async fn held(conn: &mut Conn, node: NodeId) -> Result<Vec<BuildId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: BuildId" from builds where holder = $1 and active"#,
        node.0,
    )
    .fetch_all(conn)
    .await?)
}
