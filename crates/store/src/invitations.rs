//! Invitations and the grants they carry. A link holds a secret, a row its SHA-256.

use crate::{
    Conn, Error, Result,
    sessions::{Held, Secret},
};
use domain::{
    id::{EnvironmentId, InvitationId, ProjectId, UserId},
    invitation::Standing,
    role::{Granted, Role, Scope},
};
use std::time::Duration;
use time::OffsetDateTime;

/// An invitation with the names of whoever had to do with it.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: InvitationId,
    pub name: String,
    pub inviter: UserId,
    pub by: String,
    pub invited_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub standing: Standing,
    pub ended_at: Option<OffsetDateTime>,
    pub ended_by: Option<String>,
}

struct Raw {
    id: InvitationId,
    name: String,
    inviter: UserId,
    by: String,
    invited_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    ended: Option<String>,
    ended_at: Option<OffsetDateTime>,
    ended_by: Option<String>,
    is_over: bool,
    may_invite: bool,
}

impl TryFrom<Raw> for Invitation {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let standing = match raw.ended.as_deref() {
            Some("accepted") => Standing::Accepted,
            Some("withdrawn") => Standing::Withdrawn,
            Some("expired") => Standing::Expired,
            Some(other) => return Err(Error::unreadable("end of an invitation", other)),
            None if raw.is_over => Standing::Expired,
            None if raw.may_invite => Standing::Open,
            None => Standing::Void,
        };
        Ok(Self {
            id: raw.id,
            name: raw.name,
            inviter: raw.inviter,
            by: raw.by,
            invited_at: raw.invited_at,
            expires_at: raw.expires_at,
            standing,
            ended_at: raw.ended_at.or(raw.is_over.then_some(raw.expires_at)),
            ended_by: raw.ended_by,
        })
    }
}

/// Makes one. A name that is invited already is refused by `invitations_one_open`.
pub async fn add(
    conn: &mut Conn,
    id: InvitationId,
    token: &Secret,
    name: &str,
    by: UserId,
    valid_for: Duration,
) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar!(
        r#"
        insert into invitations (id, token, name, invited_by, expires_at)
        values ($1, $2, $3, $4, now() + make_interval(secs => $5))
        returning expires_at
        "#,
        id.0,
        &token[..],
        name,
        by.0,
        valid_for.as_secs_f64(),
    )
    .fetch_one(conn)
    .await?)
}

/// Lets an invitation carry a grant. The same again is refused by `invitation_grants_once`.
pub async fn carry(conn: &mut Conn, id: InvitationId, role: Role, scope: Scope) -> Result<()> {
    sqlx::query!(
        r#"
        insert into invitation_grants (invitation_id, role, project_id, environment_id)
        values ($1, $2, $3, $4)
        "#,
        id.0,
        role.as_str(),
        scope.project().map(|project| project.0),
        scope.environment().map(|environment| environment.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that are open, and those that ended in the last 30 days, the newest first, at most 200.
pub async fn all(conn: &mut Conn) -> Result<Vec<Invitation>> {
    find(conn, None).await
}

/// The invitation of a link.
pub async fn of_token(conn: &mut Conn, token: &Secret) -> Result<Option<Invitation>> {
    Ok(find(conn, Some(token)).await?.pop())
}

/// The one of a token, else those that people are shown.
async fn find(conn: &mut Conn, token: Option<&Secret>) -> Result<Vec<Invitation>> {
    sqlx::query_as!(
        Raw,
        r#"
        select i.id as "id: InvitationId", i.name, i.invited_by as "inviter: UserId",
            b.name as by, i.invited_at, i.expires_at, i.ended, i.ended_at,
            e.name as "ended_by?",
            i.expires_at <= now() as "is_over!",
            b.disabled_at is null and exists (
                select from grants g
                where g.user_id = b.id
                    and g.role = 'admin'
                    and g.project_id is null
                    and g.environment_id is null
            ) as "may_invite!"
        from invitations i
        join users b on b.id = i.invited_by
        left join users e on e.id = i.ended_by
        where i.token = $1
            or $1 is null and (i.ended_at is null or i.ended_at > now() - interval '30 days')
        order by (i.ended is null and i.expires_at > now()) desc, i.invited_at desc, i.id
        limit 200
        "#,
        token.map(|token| &token[..]),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Invitation::try_from)
    .collect()
}

/// Keeps an invitation, and what whoever made it may do, from being changed until the transaction
/// ends. What is read of both afterwards is what holds. False: it is not there.
pub async fn lock(conn: &mut Conn, id: InvitationId) -> Result<bool> {
    let inviter = sqlx::query_scalar!(
        r#"select invited_by as "inviter: UserId" from invitations where id = $1 for update"#,
        id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(inviter) = inviter else { return Ok(false) };
    // Whoever disables him or takes his grant changes, or locks, this row first.
    sqlx::query!("select id from users where id = $1 for share", inviter.0)
        .fetch_optional(conn)
        .await?;
    Ok(true)
}

/// One invitation.
pub async fn one(conn: &mut Conn, id: InvitationId) -> Result<Option<Invitation>> {
    let token = sqlx::query_scalar!("select token from invitations where id = $1", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    match token.and_then(|token| Secret::try_from(token).ok()) {
        Some(token) => of_token(conn, &token).await,
        None => Ok(None),
    }
}

/// What invitations carry.
pub async fn carried(conn: &mut Conn, of: &[InvitationId]) -> Result<Vec<(InvitationId, Held)>> {
    let ids: Vec<_> = of.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select g.invitation_id as "invitation: InvitationId", g.role,
            g.project_id as "project_id: ProjectId",
            g.environment_id as "environment_id: EnvironmentId",
            p.name as "project?", e.name as "environment?"
        from invitation_grants g
        left join projects p on p.id = g.project_id
        left join environments e on e.id = g.environment_id
        where g.invitation_id = any ($1)
        order by g.invitation_id, g.role, p.name nulls first, e.position nulls first
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let role = row.role.parse().map_err(|why| Error::unreadable("role", why))?;
            let scope = Scope::of(row.project_id, row.environment_id);
            let granted = Granted { role, scope };
            Ok((
                row.invitation,
                Held { granted, project: row.project, environment: row.environment },
            ))
        })
        .collect()
}

/// Notes that it was accepted by `person`. False if it had ended.
pub async fn accept(conn: &mut Conn, id: InvitationId, person: UserId) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update invitations set ended = 'accepted', ended_at = now(), ended_by = $2
        where id = $1 and ended is null
        "#,
        id.0,
        person.0,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Withdraws it. To be asked with the invitation locked.
pub async fn withdraw(conn: &mut Conn, id: InvitationId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update invitations set ended = 'withdrawn', ended_at = now(), ended_by = $2
        where id = $1 and ended is null
        "#,
        id.0,
        by.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many are open.
pub async fn open(conn: &mut Conn) -> Result<i64> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "open!" from invitations where ended is null"#)
        .fetch_one(conn)
        .await?)
}

/// Notes which have expired, and removes what ended 90 days ago: the history keeps it.
pub async fn sweep(conn: &mut Conn) -> Result<()> {
    sqlx::query!(
        r#"
        update invitations set ended = 'expired', ended_at = expires_at
        where ended is null and expires_at <= now()
        "#
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from invitations where ended_at < now() - interval '90 days'")
        .execute(conn)
        .await?;
    Ok(())
}
