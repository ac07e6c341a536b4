//! Environments: places in an order, shared by all projects. Each has a target and a policy.

use crate::{
    Conn, Result,
    targets::{Reach, ReachColumns},
    words::word,
};
use domain::{
    environment::Environment,
    id::{EnvironmentId, ProjectId, TargetId},
    policy::Policy,
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// An environment and where it runs.
#[derive(Clone, Debug)]
pub struct Known {
    pub environment: Environment,
    pub target: TargetId,
    /// "Docker, this machine".
    pub target_name: String,
    /// How services are reached there.
    pub target_reach: Reach,
    /// Whether the target answered when it was asked last.
    pub target_answers: Option<bool>,
    /// What it is, or why it did not answer.
    pub target_says: String,
    /// When that was.
    pub target_asked_at: Option<OffsetDateTime>,
}

/// All environments in their order.
pub async fn all(conn: &mut Conn) -> Result<Vec<Known>> {
    let rows = sqlx::query!(
        r#"
        select
            e.id as "id: EnvironmentId", e.name, e.position, e.protected,
            e.policy as "policy: Json<Policy>",
            t.id as "target: TargetId", t.name as target_name, t.answers, t.says, t.checked_at,
            t.namespaces, t.hosts, t.entrance_class, t.certificate
        from environments e
        join targets t on t.id = e.target_id
        where e.archived_at is null
        order by e.position
        limit 100
        "#,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Known {
                environment: Environment {
                    id: row.id,
                    name: word(&row.name)?,
                    position: row.position,
                    protected: row.protected,
                    policy: row.policy.0,
                },
                target: row.target,
                target_name: row.target_name,
                target_reach: Reach::try_from(ReachColumns {
                    namespaces: row.namespaces,
                    hosts: row.hosts,
                    entrance_class: row.entrance_class,
                    certificate: row.certificate,
                })?,
                target_answers: row.answers,
                target_says: row.says,
                target_asked_at: row.checked_at,
            })
        })
        .collect()
}

/// How many services of a project have a place in an environment, and how many of them are live.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub environment: EnvironmentId,
    pub project: ProjectId,
    pub placements: i64,
    pub live: i64,
}

/// Counts by environment and project, because not everybody sees every project.
pub async fn counts(conn: &mut Conn) -> Result<Vec<Count>> {
    Ok(sqlx::query_as!(
        Count,
        r#"
        select p.environment_id as "environment: EnvironmentId", s.project_id as "project: ProjectId",
            count(*) as "placements!", count(p.live_slot) as "live!"
        from placements p join services s on s.id = p.service_id
        where p.archived_at is null
        group by 1, 2
        "#,
    )
    .fetch_all(conn)
    .await?)
}

/// One environment, locked until the transaction ends.
pub async fn lock(conn: &mut Conn, id: EnvironmentId) -> Result<Option<Environment>> {
    let row = sqlx::query!(
        r#"
        select name, position, protected, policy as "policy: Json<Policy>"
        from environments where id = $1 and archived_at is null
        for no key update
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Environment {
            id,
            name: word(&row.name)?,
            position: row.position,
            protected: row.protected,
            policy: row.policy.0,
        })
    })
    .transpose()
}

/// Locks the order of all environments until the transaction ends.
pub async fn lock_order(conn: &mut Conn) -> Result<()> {
    sqlx::query!("lock table environments in share row exclusive mode").execute(conn).await?;
    Ok(())
}

/// Keeps every environment where it is, and on its target, until the transaction ends. Any number may.
pub async fn hold_order(conn: &mut Conn) -> Result<()> {
    sqlx::query!("lock table environments in share mode").execute(conn).await?;
    Ok(())
}

/// Makes room for one after a place in the order: all behind it move back by one. Places are unique,
/// so they step aside first.
pub async fn make_room(conn: &mut Conn, after: i32) -> Result<()> {
    sqlx::query!("update environments set position = -position - 1 where position > $1", after)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("update environments set position = -position where position < 0")
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds an environment.
pub async fn add(conn: &mut Conn, environment: &Environment, target: TargetId) -> Result<()> {
    sqlx::query!(
        r#"
        insert into environments (id, name, position, protected, target_id, policy)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        environment.id.0,
        environment.name.as_str(),
        environment.position,
        environment.protected,
        target.0,
        Json(&environment.policy) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what can be edited: the policy, and whether it is protected. Rollouts that started keep
/// the policy they pinned.
pub async fn edit(conn: &mut Conn, environment: &Environment) -> Result<()> {
    sqlx::query!(
        "update environments set policy = $2, protected = $3 where id = $1",
        environment.id.0,
        Json(&environment.policy) as _,
        environment.protected,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether anything was ever rolled out by a service that has its place there. Nothing can be from
/// now on until the transaction ends: a rollout begins with the lock of its placement.
pub async fn is_used(conn: &mut Conn, id: EnvironmentId) -> Result<bool> {
    let there = sqlx::query_scalar!(
        r#"
        select id from placements where environment_id = $1 and archived_at is null
        order by id for no key update
        "#,
        id.0,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(sqlx::query_scalar!(
        r#"select exists (select from rollouts where placement_id = any($1)) as "used!""#,
        &there,
    )
    .fetch_one(conn)
    .await?)
}

/// Leads an environment to another target.
pub async fn lead_to(conn: &mut Conn, id: EnvironmentId, target: TargetId) -> Result<()> {
    sqlx::query!("update environments set target_id = $2 where id = $1", id.0, target.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there is none at all: a new installation. Others that ask at the same time wait until
/// this transaction ends.
pub async fn none_yet(conn: &mut Conn) -> Result<bool> {
    sqlx::query!("lock table environments in share row exclusive mode").execute(&mut *conn).await?;
    Ok(sqlx::query_scalar!(r#"select not exists (select from environments) as "none!""#)
        .fetch_one(conn)
        .await?)
}
