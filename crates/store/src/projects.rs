//! Projects: a team's services, and a scope of grants.

use crate::{Conn, Result, words::word};
use domain::{id::ProjectId, name::Name};

/// A project by id and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    pub name: Name,
}

/// All projects by name, at most 1000.
pub async fn all(conn: &mut Conn) -> Result<Vec<Project>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: ProjectId", name from projects
        where archived_at is null order by name limit 1000
        "#,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok(Project { id: row.id, name: word(&row.name)? })).collect()
}

/// The project of a name.
pub async fn by_name(conn: &mut Conn, name: &Name) -> Result<Option<ProjectId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: ProjectId" from projects where name = $1 and archived_at is null"#,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?)
}

/// Adds a project. False when the name is taken, also by one that was archived.
pub async fn add(conn: &mut Conn, id: ProjectId, name: &Name) -> Result<bool> {
    let done = sqlx::query!(
        "insert into projects (id, name) values ($1, $2) on conflict (name) do nothing",
        id.0,
        name.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
