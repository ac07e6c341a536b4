//! The last lines of instances that are gone, for some days.

use crate::{Conn, Error, Result, words::word};
use domain::{
    id::{PlacementId, RolloutId},
    log::{LogInstance, LogLine},
};
use std::time::Duration;

/// How long they are kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Of so many instances of a placement, …
pub const OF_A_PLACEMENT: i64 = 50;
/// … and of so many in all: the oldest go first.
pub const IN_ALL: i64 = 2000;

/// Keeps the last lines of an instance in place of those kept of it before, and lets go of what is
/// too much for its placement. Nothing is kept of an instance that wrote nothing.
pub async fn keep(
    conn: &mut Conn,
    placement: PlacementId,
    instance: &LogInstance,
    lines: &[LogLine],
) -> Result<()> {
    let Some(last) = lines.last() else { return Ok(()) };
    let bytes = serde_json::to_vec(lines).map_err(|wrong| Error::unreadable("lines", wrong))?;
    sqlx::query!(
        r#"
        insert into kept_logs (instance, placement_id, name, slot, rollout_id, ended, lines, last_ns)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (instance) do update
        set ended = excluded.ended, lines = excluded.lines, last_ns = excluded.last_ns,
            kept_at = clock_timestamp()
        where kept_logs.placement_id = excluded.placement_id
        "#,
        instance.id,
        placement.0,
        instance.name,
        instance.slot.as_str(),
        instance.maker.0,
        instance.ended,
        bytes,
        last.at_ns,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        delete from kept_logs
        where placement_id = $1 and instance in (
            select k.instance from kept_logs k
            where k.placement_id = $1
            order by k.last_ns desc
            offset $2)
        "#,
        placement.0,
        OF_A_PLACEMENT,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of which instances of a placement there are kept lines, the newest first, but for those of
/// `there`, which the target still has.
pub async fn of_placement(
    conn: &mut Conn,
    placement: PlacementId,
    there: &[String],
) -> Result<Vec<LogInstance>> {
    let rows = sqlx::query!(
        r#"
        select instance, name, slot, rollout_id as "maker: RolloutId", ended from kept_logs
        where placement_id = $1 and not instance = any($2)
        order by last_ns desc
        "#,
        placement.0,
        there,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(LogInstance {
                id: row.instance,
                name: row.name,
                slot: word(&row.slot)?,
                maker: row.maker,
                ended: Some(row.ended.unwrap_or_else(|| "removed".to_owned())),
                kept: true,
                followed: false,
            })
        })
        .collect()
}

/// The kept lines of an instance, oldest first. Empty when there are none, or it is not of
/// `placement`.
pub async fn lines(
    conn: &mut Conn,
    placement: PlacementId,
    instance: &str,
) -> Result<Vec<LogLine>> {
    let bytes = sqlx::query_scalar!(
        "select lines from kept_logs where instance = $1 and placement_id = $2",
        instance,
        placement.0,
    )
    .fetch_optional(conn)
    .await?;
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes).map_err(|wrong| Error::unreadable("lines", wrong))
}

/// Lets go of what was kept long enough, and of what is too much in all.
pub async fn sweep(conn: &mut Conn) -> Result<()> {
    sqlx::query!(
        "delete from kept_logs where kept_at < clock_timestamp() - make_interval(secs => $1)",
        KEPT_FOR.as_secs_f64(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        delete from kept_logs where instance in (
            select k.instance from kept_logs k order by k.kept_at desc offset $1)
        "#,
        IN_ALL,
    )
    .execute(conn)
    .await?;
    Ok(())
}
