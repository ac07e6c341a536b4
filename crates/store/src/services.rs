//! Services: one deployable application of a project, with a placement in each environment.

use crate::{Conn, Result, words::word};
use domain::{
    id::{ConfigurationId, EnvironmentId, PlacementId, ProjectId, ServiceId, UserId},
    name::Name,
    role::Scope,
    service::{Limits, ServiceSpec, Size},
};
use sqlx::types::Json;

/// A service by its names.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: ServiceId,
    pub project: ProjectId,
    pub project_name: Name,
    pub name: Name,
    /// For the next release.
    pub spec: ServiceSpec,
}

impl Service {
    /// Where it lies, for permits.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        Scope::Project { project: self.project }
    }
}

/// One service.
pub async fn load(conn: &mut Conn, id: ServiceId) -> Result<Option<Service>> {
    let row = sqlx::query!(
        r#"
        select s.project_id as "project: ProjectId", p.name as project_name, s.name,
            s.spec as "spec: Json<ServiceSpec>"
        from services s join projects p on p.id = s.project_id
        where s.id = $1 and s.archived_at is null
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Service {
            id,
            project: row.project,
            project_name: word(&row.project_name)?,
            name: word(&row.name)?,
            spec: row.spec.0,
        })
    })
    .transpose()
}

/// Locks a service for the rest of the transaction: names of its releases and its spec stay.
pub async fn lock(conn: &mut Conn, id: ServiceId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from services where id = $1 and archived_at is null for no key update"#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// The service of two names.
pub async fn by_name(conn: &mut Conn, project: &Name, name: &Name) -> Result<Option<ServiceId>> {
    Ok(sqlx::query_scalar!(
        r#"
        select s.id as "id: ServiceId"
        from services s join projects p on p.id = s.project_id
        where p.name = $1 and s.name = $2 and s.archived_at is null
        "#,
        project.as_str(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?)
}

/// Adds a service. False when its project has one of that name already.
pub async fn add(
    conn: &mut Conn,
    id: ServiceId,
    project: ProjectId,
    name: &Name,
    spec: &ServiceSpec,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        insert into services (id, project_id, name, spec) values ($1, $2, $3, $4)
        on conflict (project_id, name) do nothing
        "#,
        id.0,
        project.0,
        name.as_str(),
        Json(spec) as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the spec that the next release will carry.
pub async fn edit(conn: &mut Conn, id: ServiceId, spec: &ServiceSpec) -> Result<()> {
    sqlx::query!("update services set spec = $2 where id = $1", id.0, Json(spec) as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// A place for a service in an environment, with its first configuration: no variables.
#[derive(Clone, Copy, Debug)]
pub struct NewPlacement<'a> {
    pub id: PlacementId,
    pub service: ServiceId,
    pub environment: EnvironmentId,
    pub size: Size,
    pub configuration: ConfigurationId,
    pub limits: &'a Limits,
    pub by: UserId,
    pub by_name: &'a str,
}

/// Adds a placement. Its host names follow, by [`crate::placements::hosts::set`].
pub async fn add_placement(conn: &mut Conn, new: &NewPlacement<'_>) -> Result<()> {
    sqlx::query!(
        r#"
        insert into placements (id, service_id, environment_id, size) values ($1, $2, $3, $4)
        "#,
        new.id.0,
        new.service.0,
        new.environment.0,
        i16::try_from(new.size.count()).unwrap_or(i16::MAX),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        insert into configurations (id, placement_id, number, variables, limits, made_by, made_by_name)
        values ($1, $2, 1, '{}', $3, $4, $5)
        "#,
        new.configuration.0,
        new.id.0,
        Json(new.limits) as _,
        new.by.0,
        new.by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The placement that a service had last in an environment and has no more.
pub async fn placed_before(
    conn: &mut Conn,
    service: ServiceId,
    environment: EnvironmentId,
) -> Result<Option<PlacementId>> {
    Ok(sqlx::query_scalar!(
        r#"
        select id as "id: PlacementId" from placements
        where service_id = $1 and environment_id = $2 and archived_at is not null
        order by archived_at desc
        limit 1
        "#,
        service.0,
        environment.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Whether a service is in an environment now.
pub async fn is_placed(
    conn: &mut Conn,
    service: ServiceId,
    environment: EnvironmentId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select exists (select from placements
                       where service_id = $1 and environment_id = $2 and archived_at is null)
            as "is!"
        "#,
        service.0,
        environment.0,
    )
    .fetch_one(conn)
    .await?)
}
