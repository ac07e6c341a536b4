//! Host names of placements: unique on a router, which is one a target.

use crate::{Conn, Result, words::word};
use domain::{
    id::{EnvironmentId, PlacementId, TargetId},
    name::{HostName, Name},
};

/// Gives a placement its host names instead of those it had. Returns the first that another
/// placement of the target has already: the caller then gives up its transaction.
pub async fn set(
    conn: &mut Conn,
    placement: PlacementId,
    target: TargetId,
    names: &[HostName],
    previews: &[HostName],
) -> Result<Option<HostName>> {
    sqlx::query!("delete from host_names where placement_id = $1", placement.0)
        .execute(&mut *conn)
        .await?;
    for (names, preview) in [(names, false), (previews, true)] {
        for (position, name) in (0_i16..).zip(names) {
            let done = sqlx::query!(
                r#"
                insert into host_names (target_id, name, placement_id, preview, position)
                values ($1, $2, $3, $4, $5)
                on conflict (target_id, name) do nothing
                "#,
                target.0,
                name.as_str(),
                placement.0,
                preview,
                position,
            )
            .execute(&mut *conn)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(Some(name.clone()));
            }
        }
    }
    Ok(None)
}

/// A placement on a target, by the names that a host name is made of.
#[derive(Clone, Debug)]
pub struct Named {
    pub placement: PlacementId,
    pub service: Name,
    pub project: Name,
    pub environment: Name,
}

/// All placements on a target, or of them those in one environment, at most so many.
pub async fn on_target(
    conn: &mut Conn,
    target: TargetId,
    environment: Option<EnvironmentId>,
    most: i64,
) -> Result<Vec<Named>> {
    let rows = sqlx::query!(
        r#"
        select p.id as "id: PlacementId", s.name as service, j.name as project,
            e.name as environment
        from placements p
        join services s on s.id = p.service_id
        join projects j on j.id = s.project_id
        join environments e on e.id = p.environment_id
        where e.target_id = $1 and p.archived_at is null and ($2::uuid is null or e.id = $2)
        order by p.id
        limit $3
        "#,
        target.0,
        environment.map(|environment| environment.0),
        most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Named {
                placement: row.id,
                service: word(&row.service)?,
                project: word(&row.project)?,
                environment: word(&row.environment)?,
            })
        })
        .collect()
}

/// Takes all host names of a target away, so that others can be given.
pub async fn clear(conn: &mut Conn, target: TargetId) -> Result<()> {
    sqlx::query!("delete from host_names where target_id = $1", target.0).execute(conn).await?;
    Ok(())
}
