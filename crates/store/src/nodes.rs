//! Nodes: one row for each running control plane. The row's heartbeat is the lease of all that the
//! node holds, on the database's clock, so a node that died needs no cleaning up.

use crate::{Conn, Result};
use domain::id::NodeId;
use std::time::Duration;
use time::OffsetDateTime;

/// How often a node says that it lives.
pub const HEARTBEAT: Duration = Duration::from_millis(1500);
/// After so long without a heartbeat everything the node held is free.
pub const LEASE: Duration = Duration::from_secs(5);

/// Says that `node` has started. It goes on with what it held, if nobody claimed it meanwhile.
pub async fn register(
    conn: &mut Conn,
    node: NodeId,
    address: Option<&str>,
) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar!(
        r#"
        insert into nodes (id, address) values ($1, $2)
        on conflict (id) do update
        set address = excluded.address, started_at = clock_timestamp(), seen_at = clock_timestamp()
        returning seen_at
        "#,
        node.0,
        address,
    )
    .fetch_one(conn)
    .await?)
}

/// Renews the lease and reports the database's clock. `None`: the node was never registered here,
/// for example because the database was restored.
pub async fn beat(conn: &mut Conn, node: NodeId) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "update nodes set seen_at = clock_timestamp() where id = $1 returning seen_at",
        node.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Hands everything over at once: the end of an orderly stop. Another node need not wait for the
/// lease to lapse. Returns how many placements were given up.
pub async fn leave(conn: &mut Conn, node: NodeId) -> Result<u64> {
    let given_up = sqlx::query!("update placements set holder = null where holder = $1", node.0)
        .execute(&mut *conn)
        .await?
        .rows_affected();
    sqlx::query!("update nodes set seen_at = to_timestamp(0) where id = $1", node.0)
        .execute(conn)
        .await?;
    Ok(given_up)
}

/// The nodes whose heart beats: how many share the work.
pub async fn alive(conn: &mut Conn) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from nodes
        where seen_at > clock_timestamp() - make_interval(secs => $1)
        "#,
        LEASE.as_secs_f64(),
    )
    .fetch_one(conn)
    .await?)
}
