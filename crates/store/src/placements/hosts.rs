//! Host names of placements: unique on a router, which is one a target.

use crate::{Conn, Result};
use domain::{
    id::{PlacementId, TargetId},
    name::HostName,
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
