//! Who holds which role in which scope.

use crate::{Conn, Error, Result};
use domain::{
    access::{Column, Places},
    id::{EnvironmentId, GrantId, ProjectId, UserId},
    name::Name,
    role::{Role, Scope},
};
use time::OffsetDateTime;

/// A grant with the names of its scope.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub user: UserId,
    pub role: Role,
    pub scope: Scope,
    pub project: Option<String>,
    pub environment: Option<String>,
    /// Nobody: by the one-time link or by a command on the machine.
    pub by: Option<String>,
    pub given_at: OffsetDateTime,
}

struct Raw {
    id: GrantId,
    user: UserId,
    role: String,
    project_id: Option<ProjectId>,
    environment_id: Option<EnvironmentId>,
    project: Option<String>,
    environment: Option<String>,
    by: Option<String>,
    given_at: OffsetDateTime,
}

impl TryFrom<Raw> for Grant {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        Ok(Self {
            id: raw.id,
            user: raw.user,
            role: raw.role.parse().map_err(|why| Error::unreadable("role", why))?,
            scope: Scope::of(raw.project_id, raw.environment_id),
            project: raw.project,
            environment: raw.environment,
            by: raw.by,
            given_at: raw.given_at,
        })
    }
}

/// All grants of one person, or of everybody, in the order they were given, at most 5,000.
pub async fn of(conn: &mut Conn, user: Option<UserId>) -> Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        Raw,
        r#"
        select g.id as "id: GrantId", g.user_id as "user: UserId", g.role,
            g.project_id as "project_id: ProjectId",
            g.environment_id as "environment_id: EnvironmentId",
            p.name as "project?", e.name as "environment?", b.name as "by?", g.given_at
        from grants g
        left join projects p on p.id = g.project_id
        left join environments e on e.id = g.environment_id
        left join users b on b.id = g.given_by
        where $1::uuid is null or g.user_id = $1
        order by g.given_at, g.id
        limit 5000
        "#,
        user.map(|user| user.0),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// One grant, kept from being changed until the transaction ends.
pub async fn locked(conn: &mut Conn, id: GrantId) -> Result<Option<Grant>> {
    sqlx::query_as!(
        Raw,
        r#"
        select g.id as "id: GrantId", g.user_id as "user: UserId", g.role,
            g.project_id as "project_id: ProjectId",
            g.environment_id as "environment_id: EnvironmentId",
            p.name as "project?", e.name as "environment?", b.name as "by?", g.given_at
        from grants g
        left join projects p on p.id = g.project_id
        left join environments e on e.id = g.environment_id
        left join users b on b.id = g.given_by
        where g.id = $1
        for update of g
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?
    .map(Grant::try_from)
    .transpose()
}

/// Gives a role in a scope. The same again is refused by `grants_once`.
pub async fn give(
    conn: &mut Conn,
    id: GrantId,
    user: UserId,
    role: Role,
    scope: Scope,
    by: Option<UserId>,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into grants (id, user_id, role, project_id, environment_id, given_by)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        id.0,
        user.0,
        role.as_str(),
        scope.project().map(|project| project.0),
        scope.environment().map(|environment| environment.0),
        by.map(|by| by.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a grant away. The last admin's is refused by `people_last_admin`.
pub async fn take(conn: &mut Conn, id: GrantId) -> Result<()> {
    sqlx::query!("delete from grants where id = $1", id.0).execute(conn).await?;
    Ok(())
}

/// Whether somebody is admin of everything.
pub async fn is_admin(conn: &mut Conn, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select exists (
            select from grants
            where user_id = $1
                and role = 'admin'
                and project_id is null
                and environment_id is null
        ) as "exists!"
        "#,
        user.0,
    )
    .fetch_one(conn)
    .await?)
}

/// Whether somebody is admin of everything, may sign in, and is the only one of these.
pub async fn is_last_admin(conn: &mut Conn, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select coalesce(array_agg(distinct u.id) = array[$1::uuid], false) as "last!"
        from grants g
        join users u on u.id = g.user_id
        where g.role = 'admin'
            and g.project_id is null
            and g.environment_id is null
            and u.disabled_at is null
        "#,
        user.0,
    )
    .fetch_one(conn)
    .await?)
}

/// The names of a scope: what is null in it is null here. None when a part of it is not there.
pub async fn scope_names(conn: &mut Conn, scope: Scope) -> Result<Option<ScopeNames>> {
    let (project, environment) = (scope.project(), scope.environment());
    let names = sqlx::query_as!(
        ScopeNames,
        r#"
        select
            (select name from projects where id = $1 and archived_at is null) as project,
            (select name from environments where id = $2 and archived_at is null) as environment
        "#,
        project.map(|project| project.0),
        environment.map(|environment| environment.0),
    )
    .fetch_one(conn)
    .await?;
    let whole = names.project.is_some() == project.is_some()
        && names.environment.is_some() == environment.is_some();
    Ok(whole.then_some(names))
}

/// Names of a scope.
#[derive(Clone, Debug)]
pub struct ScopeNames {
    pub project: Option<String>,
    pub environment: Option<String>,
}

/// Scopes that a grant can be given in: projects and environments, by name and in order.
pub async fn places(
    conn: &mut Conn,
) -> Result<(Vec<(ProjectId, Name)>, Vec<(EnvironmentId, Name)>)> {
    let name = |word: String| word.parse::<Name>().map_err(|why| Error::unreadable("name", why));
    let projects = sqlx::query!(
        r#"select id as "id: ProjectId", name from projects
        where archived_at is null order by name limit 500"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let environments = sqlx::query!(
        r#"select id as "id: EnvironmentId", name from environments
        where archived_at is null order by position limit 100"#
    )
    .fetch_all(conn)
    .await?;
    Ok((
        projects.into_iter().map(|row| Ok((row.id, name(row.name)?))).collect::<Result<_>>()?,
        environments.into_iter().map(|row| Ok((row.id, name(row.name)?))).collect::<Result<_>>()?,
    ))
}

/// All places a grant can be given in, with how careful each environment is: for saying what a grant
/// would change.
pub async fn where_granted(conn: &mut Conn) -> Result<Places> {
    let (projects, _) = places(&mut *conn).await?;
    let environments = sqlx::query!(
        r#"select id as "id: EnvironmentId", name, protected from environments
        where archived_at is null order by position limit 100"#
    )
    .fetch_all(conn)
    .await?;
    let environments = environments
        .into_iter()
        .map(|row| {
            let name = row.name.parse().map_err(|why| Error::unreadable("name", why))?;
            Ok(Column { id: row.id, name, protected: row.protected })
        })
        .collect::<Result<_>>()?;
    Ok(Places { projects, environments })
}

/// Tells streams that what people may do has changed. Heard when the transaction commits.
pub async fn tell(conn: &mut Conn, user: UserId) -> Result<()> {
    sqlx::query!(r#"select pg_notify('pilothouse_access', $1) as "told""#, user.to_string())
        .execute(conn)
        .await?;
    Ok(())
}
