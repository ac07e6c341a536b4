//! Figures about the whole installation, for its own monitoring.

use crate::{Conn, Result};

/// Rollouts that have not ended: each phase with how many are in it.
pub async fn rollouts_by_phase(conn: &mut Conn) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"
        select phase, count(*) as "count!" from rollouts
        where ended_at is null
        group by phase
        order by phase
        "#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.phase, row.count)).collect())
}
