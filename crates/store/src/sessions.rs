//! Sign-ins that have not ended. The cookie holds a secret, a row its SHA-256.
//!
//! A session ends 30 minutes after it was last seen, and 12 hours after it began.

use crate::{Conn, Error, Pool, Result};
use domain::{
    id::{EnvironmentId, ProjectId, SessionId, UserId},
    role::{Granted, Scope},
};
use serde::Deserialize;
use sqlx::types::Json;
use time::OffsetDateTime;

/// A SHA-256 of a cookie's secret.
pub type Secret = [u8; 32];

/// Who is behind a cookie, with all he was granted.
#[derive(Clone, Debug)]
pub struct Found {
    pub session: SessionId,
    pub user: UserId,
    pub name: String,
    pub grants: Vec<Held>,
    /// His rights have changed: the cookie gets a new secret.
    pub renew: bool,
    /// Was not noted as seen for a minute and more.
    pub stale: bool,
}

/// A grant with the names of its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub granted: Granted,
    pub project: Option<String>,
    pub environment: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawGrant {
    role: String,
    project_id: Option<ProjectId>,
    environment_id: Option<EnvironmentId>,
    project: Option<String>,
    environment: Option<String>,
}

impl TryFrom<RawGrant> for Held {
    type Error = Error;

    fn try_from(raw: RawGrant) -> Result<Self> {
        let role = raw.role.parse().map_err(|why| Error::unreadable("role", why))?;
        let scope = Scope::of(raw.project_id, raw.environment_id);
        Ok(Self {
            granted: Granted { role, scope },
            project: raw.project,
            environment: raw.environment,
        })
    }
}

/// One statement for session, person and grants, written once: `$which` finds the session by `$one`,
/// `$renew` says whether its secret is to be renewed now.
macro_rules! find {
    ($pool:expr, $which:literal, $renew:literal, $one:expr) => {{
        let row = sqlx::query!(
            r#"
            select s.id as "session: SessionId", u.id as "user: UserId", u.name,
                "#
                + $renew
                + r#" as "renew!",
                s.seen_at < now() - interval '1 minute' as "stale!",
                coalesce(
                    (
                        select jsonb_agg(
                            jsonb_build_object(
                                'role', g.role,
                                'project_id', g.project_id,
                                'environment_id', g.environment_id,
                                'project', p.name,
                                'environment', e.name
                            )
                            order by g.given_at, g.id
                        )
                        from grants g
                        left join projects p on p.id = g.project_id
                        left join environments e on e.id = g.environment_id
                        where g.user_id = u.id
                    ),
                    '[]'
                ) as "grants!: Json<Vec<RawGrant>>"
            from sessions s
            join users u on u.id = s.user_id
            where ("#
                + $which
                + r#")
                and u.disabled_at is null
                and s.seen_at > now() - interval '30 minutes'
                and s.started_at > now() - interval '12 hours'
            "#,
            $one,
        )
        .fetch_optional($pool)
        .await?;
        row.map(|row| {
            Ok(Found {
                session: row.session,
                user: row.user,
                name: row.name,
                grants: row.grants.0.into_iter().map(Held::try_from).collect::<Result<_>>()?,
                renew: row.renew,
                stale: row.stale,
            })
        })
        .transpose()
    }};
}

/// Finds the session of a cookie.
///
/// For 30 seconds after a secret was renewed the one before it is good too: requests were under way.
pub async fn find(pool: &Pool, secret: &Secret) -> Result<Option<Found>> {
    find!(
        pool,
        "s.secret = $1 or s.previous = $1 and s.renewed_at > now() - interval '30 seconds'",
        "s.renew and s.secret = $1",
        &secret[..]
    )
}

/// Finds a session by its id: who it belongs to now, for what stays open for longer than a request.
/// It is neither noted as seen nor renewed: a stream is no sign that somebody is there.
pub async fn again(pool: &Pool, session: SessionId) -> Result<Option<Found>> {
    find!(pool, "s.id = $1", "false", session.0)
}

/// Notes that a session is in use.
pub async fn touch(pool: &Pool, session: SessionId) -> Result<()> {
    sqlx::query!(
        r#"
        with seen as (
            update sessions set seen_at = now() where id = $1 returning user_id
        )
        update users set last_seen_at = now() from seen where id = seen.user_id
        "#,
        session.0,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Begins a session.
pub async fn begin(
    conn: &mut Conn,
    session: SessionId,
    secret: &Secret,
    user: UserId,
    address: &str,
    agent: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        with person as (
            update users set last_seen_at = now() where id = $3
        )
        insert into sessions (id, secret, user_id, address, agent) values ($1, $2, $3, $4, $5)
        "#,
        session.0,
        &secret[..],
        user.0,
        address,
        agent,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a new secret in the place of the old one. False if another request did it first.
pub async fn renew(
    conn: &mut Conn,
    session: SessionId,
    old: &Secret,
    new: &Secret,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update sessions
        set secret = $3, previous = $2, renewed_at = now(), renew = false
        where id = $1 and secret = $2 and renew
        "#,
        session.0,
        &old[..],
        &new[..],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a new secret in the place of the old one, which is void at once.
pub async fn replace(conn: &mut Conn, session: SessionId, new: &Secret) -> Result<()> {
    sqlx::query!(
        r#"
        update sessions
        set secret = $2, previous = null, renewed_at = null, renew = false
        where id = $1
        "#,
        session.0,
        &new[..],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The rights of somebody have changed: each of his sessions gets a new secret when next seen.
pub async fn renew_all(conn: &mut Conn, user: UserId) -> Result<()> {
    sqlx::query!("update sessions set renew = true where user_id = $1", user.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends one session of a person. False if it was not his or has ended.
pub async fn end(conn: &mut Conn, user: UserId, session: SessionId) -> Result<bool> {
    let done =
        sqlx::query!("delete from sessions where id = $2 and user_id = $1", user.0, session.0)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all sessions of a person but one, and says which.
pub async fn end_others(
    conn: &mut Conn,
    user: UserId,
    but: Option<SessionId>,
) -> Result<Vec<SessionId>> {
    Ok(sqlx::query_scalar!(
        r#"
        delete from sessions
        where user_id = $1 and id is distinct from $2::uuid
        returning id as "id: SessionId"
        "#,
        user.0,
        but.map(|session| session.0),
    )
    .fetch_all(conn)
    .await?)
}

/// A session on its owner's page.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: SessionId,
    pub address: String,
    pub agent: String,
    pub started_at: OffsetDateTime,
    pub seen_at: OffsetDateTime,
}

/// The sessions of a person that have not ended, the one seen last first, at most 100.
pub async fn of(conn: &mut Conn, user: UserId) -> Result<Vec<Listed>> {
    Ok(sqlx::query_as!(
        Listed,
        r#"
        select id as "id: SessionId", address, agent, started_at, seen_at
        from sessions
        where user_id = $1
            and seen_at > now() - interval '30 minutes'
            and started_at > now() - interval '12 hours'
        order by seen_at desc
        limit 100
        "#,
        user.0,
    )
    .fetch_all(conn)
    .await?)
}

/// Removes sessions that ended by themselves.
pub async fn sweep(conn: &mut Conn) -> Result<()> {
    sqlx::query!(
        r#"
        delete from sessions
        where seen_at < now() - interval '30 minutes'
            or started_at < now() - interval '12 hours'
        "#
    )
    .execute(conn)
    .await?;
    Ok(())
}
