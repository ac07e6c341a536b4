//! Who holds a placement. A claim raises its epoch, which voids what an older holder still has.

use super::Held;
use crate::{Conn, Result};
use domain::id::{NodeId, PlacementId, RolloutId};
use sqlx::Connection;
use std::time::Duration;
use time::OffsetDateTime;

/// The most placements that one claim takes, so that it never locks for long. Claim again.
const MOST_AT_ONCE: i64 = 64;

/// A placement that a node holds, and whether there is something to do in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub held: Held,
    pub active: Option<RolloutId>,
    pub waiting: Option<RolloutId>,
    pub live: bool,
    pub warm_until: Option<OffsetDateTime>,
}

/// Claims placements that nobody holds, or whose holder's heart stopped, skipping those that others
/// are claiming or that a verb has locked.
///
/// Two statements: the first locks, the second looks again with the lock held. One statement alone
/// could take what another node claimed between its snapshot and its lock.
pub async fn claim(conn: &mut Conn, node: NodeId, lease: Duration) -> Result<Vec<Held>> {
    let mut tx = conn.begin().await?;
    let free = sqlx::query_scalar!(
        r#"
        select p.id
        from placements p
        left join nodes n on n.id = p.holder
        where p.archived_at is null
          and (n.id is null or n.seen_at < clock_timestamp() - make_interval(secs => $1))
        order by p.id
        limit $2
        for no key update of p skip locked
        "#,
        lease.as_secs_f64(),
        MOST_AT_ONCE,
    )
    .fetch_all(&mut *tx)
    .await?;
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let claimed = sqlx::query!(
        r#"
        update placements p
        set holder = $2, epoch = p.epoch + 1
        where p.id = any($1)
          and not exists (
              select from nodes n
              where n.id = p.holder
                and n.seen_at >= clock_timestamp() - make_interval(secs => $3))
        returning p.id as "id: PlacementId", p.epoch
        "#,
        &free,
        node.0,
        lease.as_secs_f64(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(claimed.into_iter().map(|row| Held { placement: row.id, node, epoch: row.epoch }).collect())
}

/// Raises the epoch above `at_least`: the target has seen a greater one, because the database was
/// restored or the router lost its file. `None` when somebody newer holds the placement.
pub async fn raise_epoch(conn: &mut Conn, held: &Held, at_least: i64) -> Result<Option<Held>> {
    let epoch = sqlx::query_scalar!(
        r#"
        update placements set epoch = greatest(epoch, $4) + 1
        where id = $1 and holder = $2 and epoch = $3
        returning epoch
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
        at_least,
    )
    .fetch_optional(conn)
    .await?;
    Ok(epoch.map(|epoch| Held { epoch, ..*held }))
}

/// What `node` holds, with what there is to do. One query, however many.
pub async fn held(conn: &mut Conn, node: NodeId) -> Result<Vec<Holding>> {
    let rows = sqlx::query!(
        r#"
        select
            p.id as "id: PlacementId", p.epoch, p.live_slot is not null as "live!", p.warm_until,
            active.id as "active?: RolloutId", waiting.id as "waiting?: RolloutId"
        from placements p
        left join rollouts active on active.placement_id = p.id and active.active
        left join rollouts waiting on waiting.placement_id = p.id and waiting.waiting
        where p.holder = $1 and p.archived_at is null
        order by p.id
        "#,
        node.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Holding {
            held: Held { placement: row.id, node, epoch: row.epoch },
            active: row.active,
            waiting: row.waiting,
            live: row.live,
            warm_until: row.warm_until,
        })
        .collect())
}

/// Whether the claim still stands, and the row is ours until the transaction ends.
pub async fn still(conn: &mut Conn, held: &Held) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"
        select true as "found!" from placements
        where id = $1 and holder = $2 and epoch = $3
        for no key update
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
