//! What people want of a placement outside of a rollout: size, warmth, hold, a restart, a stop. Stored here, carried
//! out by its holder. The placement is locked by the verb.

use crate::{Conn, Result};
use domain::{id::PlacementId, restart::Restart, service::Size};
use sqlx::types::Json;
use time::OffsetDateTime;

/// Changes how many instances a slot has. The holder follows on the live slot.
pub async fn set_size(conn: &mut Conn, id: PlacementId, size: Size) -> Result<()> {
    sqlx::query!(
        "update placements set size = $2 where id = $1",
        id.0,
        i16::try_from(size.count()).unwrap_or(i16::MAX),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the warm slot until another time.
pub async fn set_warm_until(conn: &mut Conn, id: PlacementId, until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        r#"
        update placements set warm_until = $2, warm_end_asked = false
        where id = $1 and warm_slot is not null
        "#,
        id.0,
        until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the warmth now; the holder removes the slot.
pub async fn end_warmth(conn: &mut Conn, id: PlacementId) -> Result<()> {
    sqlx::query!(
        r#"
        update placements set warm_until = least(warm_until, clock_timestamp()), warm_end_asked = true
        where id = $1 and warm_slot is not null
        "#,
        id.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets what deploys by itself go on.
pub async fn lift_hold(conn: &mut Conn, id: PlacementId) -> Result<()> {
    sqlx::query!("update placements set held = false where id = $1", id.0).execute(conn).await?;
    Ok(())
}

/// Wants every instance of the live slot restarted, one after the other, in place of what was wanted
/// before.
pub async fn ask_restart(conn: &mut Conn, id: PlacementId, restart: &Restart) -> Result<()> {
    sqlx::query!("update placements set restart = $2 where id = $1", id.0, Json(restart) as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Wants nothing to run. The holder withdraws the traffic, drains, and ends the instances.
pub async fn stop(conn: &mut Conn, id: PlacementId, by: &str) -> Result<()> {
    sqlx::query!(
        r#"
        update placements set stopped_at = clock_timestamp(), stopped_by = $2, restart = null
        where id = $1
        "#,
        id.0,
        by,
    )
    .execute(conn)
    .await?;
    Ok(())
}
