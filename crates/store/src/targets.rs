//! Targets: how a machine is reached, and what it said when it was asked last.

use crate::{Conn, Result};
use domain::id::TargetId;

/// A target as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: TargetId,
    /// "Docker, this machine".
    pub name: String,
    /// Which driver speaks to it: `docker` or `fake`.
    pub kind: String,
}

/// All targets, oldest first.
pub async fn all(conn: &mut Conn) -> Result<Vec<Target>> {
    Ok(sqlx::query_as!(
        Target,
        r#"select id as "id: TargetId", name, kind from targets order by id limit 100"#
    )
    .fetch_all(conn)
    .await?)
}

/// Adds a target.
pub async fn add(conn: &mut Conn, target: &Target) -> Result<()> {
    sqlx::query!(
        "insert into targets (id, name, kind) values ($1, $2, $3)",
        target.id.0,
        target.name,
        target.kind,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes whether a target answered, and what it is or why not. Writes only what is news, or a
/// minute old.
pub async fn note(conn: &mut Conn, id: TargetId, answers: bool, says: &str) -> Result<()> {
    sqlx::query!(
        r#"
        update targets set answers = $2, says = $3, checked_at = clock_timestamp()
        where id = $1
          and (answers is distinct from $2 or says <> $3 or checked_at is null
               or checked_at < clock_timestamp() - interval '1 minute')
        "#,
        id.0,
        answers,
        says,
    )
    .execute(conn)
    .await?;
    Ok(())
}
