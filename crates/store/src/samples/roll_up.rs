//! Minutes of seconds. A minute is made anew of all its seconds whenever some of them came: doing it
//! twice, or after a restart, gives the same minute.

use super::{OfSlot, bytes, packed, seconds_held, short, single};
use crate::{Conn, Result};
use domain::{id::NodeId, samples::Measured};
use std::collections::BTreeMap;

/// Makes the minute that begins at `minute` of the seconds that are kept of it, for all placements
/// that `node` holds.
pub async fn roll_up(conn: &mut Conn, node: NodeId, minute: i64) -> Result<()> {
    let mut slots = BTreeMap::<OfSlot, Measured>::new();
    for (_, slot, measured) in seconds_held(conn, node, minute, minute + 60).await? {
        slots.entry(slot).or_default().add(&measured);
    }
    if slots.is_empty() {
        return Ok(());
    }
    keep_slots(conn, minute, &slots).await?;
    keep_instances(conn, node, minute).await
}

#[allow(clippy::cast_possible_truncation)] // Bytes, rounded.
async fn keep_slots(
    conn: &mut Conn,
    minute: i64,
    slots: &BTreeMap<OfSlot, Measured>,
) -> Result<()> {
    let large = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let gap = |measured: &Measured| i32::try_from(measured.traffic.longest_gap_ms);
    let placements: Vec<_> = slots.keys().map(|(placement, _)| placement.0).collect();
    let words: Vec<_> = slots.keys().map(|(_, slot)| slot.as_str().to_owned()).collect();
    let counted: Vec<_> = slots.values().map(|m| short(m.traffic.seconds)).collect();
    let metered: Vec<_> = slots.values().map(|m| short(m.used.seconds)).collect();
    let requests: Vec<_> = slots.values().map(|m| large(m.traffic.requests)).collect();
    let failures: Vec<_> = slots.values().map(|m| large(m.traffic.failures)).collect();
    let gaps: Vec<_> = slots.values().map(|m| gap(m).unwrap_or(i32::MAX)).collect();
    let latencies: Vec<_> = slots.values().map(|m| packed::pack(&m.traffic.latencies)).collect();
    let cpus: Vec<_> = slots.values().map(|m| single(m.used.cpu_percent)).collect();
    let cpus_most: Vec<_> = slots.values().map(|m| single(m.used.cpu_percent_most)).collect();
    let memories: Vec<_> = slots.values().map(|m| m.used.memory_bytes.round() as i64).collect();
    let memories_most: Vec<_> = slots.values().map(|m| bytes(m.used.memory_bytes_most)).collect();
    let instances: Vec<_> = slots.values().map(|m| short(m.used.instances.into())).collect();
    let restarts: Vec<_> = slots.values().map(|m| short(m.used.restarts)).collect();
    sqlx::query!(
        r#"
        insert into slot_minutes (
            placement_id, at, slot, counted, metered, requests, failures, longest_gap_ms, latencies,
            cpu_percent, cpu_percent_most, memory_bytes, memory_bytes_most, instances, restarts)
        select g.placement_id, $1, g.slot, g.counted, g.metered, g.requests, g.failures, g.gap,
            g.latencies, g.cpu, g.cpu_most, g.memory, g.memory_most, g.instances, g.restarts
        from unnest($2::uuid[], $3::text[], $4::smallint[], $5::smallint[], $6::bigint[],
            $7::bigint[], $8::int[], $9::bytea[], $10::real[], $11::real[], $12::bigint[],
            $13::bigint[], $14::smallint[], $15::smallint[])
            as g (placement_id, slot, counted, metered, requests, failures, gap, latencies, cpu,
                cpu_most, memory, memory_most, instances, restarts)
        on conflict (placement_id, at, slot) do update set
            counted = excluded.counted, metered = excluded.metered, requests = excluded.requests,
            failures = excluded.failures, longest_gap_ms = excluded.longest_gap_ms,
            latencies = excluded.latencies, cpu_percent = excluded.cpu_percent,
            cpu_percent_most = excluded.cpu_percent_most, memory_bytes = excluded.memory_bytes,
            memory_bytes_most = excluded.memory_bytes_most, instances = excluded.instances,
            restarts = excluded.restarts
        -- Seconds go before minutes do: a minute never loses what it had.
        where excluded.counted >= slot_minutes.counted and excluded.metered >= slot_minutes.metered
        "#,
        minute,
        &placements,
        &words,
        &counted,
        &metered,
        &requests,
        &failures,
        &gaps,
        &latencies,
        &cpus,
        &cpus_most,
        &memories,
        &memories_most,
        &instances,
        &restarts,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn keep_instances(conn: &mut Conn, node: NodeId, minute: i64) -> Result<()> {
    sqlx::query!(
        r#"
        insert into instance_minutes (
            placement_id, at, slot, instance, metered, cpu_percent, cpu_percent_most, memory_bytes,
            memory_bytes_most, restarts)
        select placement_id, $2, min(slot), instance, count(*), avg(cpu_percent), max(cpu_percent),
            avg(memory_bytes), max(memory_bytes), sum(restarts)
        from instance_seconds
        where at >= $2 and at < $2 + 60
            and placement_id in (select id from placements where holder = $1)
        group by placement_id, instance
        on conflict (placement_id, at, instance) do update set
            metered = excluded.metered, cpu_percent = excluded.cpu_percent,
            cpu_percent_most = excluded.cpu_percent_most, memory_bytes = excluded.memory_bytes,
            memory_bytes_most = excluded.memory_bytes_most, restarts = excluded.restarts
        where excluded.metered >= instance_minutes.metered
        "#,
        node.0,
        minute,
    )
    .execute(conn)
    .await?;
    Ok(())
}
