//! Samples that are kept: written once a second in one statement for everything, rolled up to minutes,
//! read back for a span.
//!
//! Only the holder of a placement writes of it, and a second that is known is completed, never added
//! to: so neither two nodes nor a second that is told twice count anything twice.

mod packed;
mod roll_up;

use crate::{Conn, Error, Result, words::word};
use domain::{
    id::{NodeId, PlacementId},
    observing::Window,
    samples::{
        Grain, Measured, SECONDS_FOR, Span, Used,
        course::{Course, Gather},
    },
    slot::Slot,
    view::InstancePast,
};
pub use roll_up::roll_up;
use std::collections::HashMap;

/// How far a sample's time may differ from the database's clock, in seconds. For so much there are
/// always partitions, and so far back is filled in from what the router remembers.
pub const APART: i64 = 900;

/// A second of a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotSecond {
    pub placement: PlacementId,
    /// Unix time.
    pub at: i64,
    pub slot: Slot,
    pub traffic: Option<Window>,
    pub used: Option<Used>,
}

/// A second of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSecond {
    pub placement: PlacementId,
    pub at: i64,
    pub slot: Slot,
    /// Its name.
    pub instance: String,
    pub cpu_percent: f32,
    pub memory_bytes: u64,
    pub restarts: u16,
}

/// Keeps seconds of placements that `node` holds, in one statement. No slot's or instance's second may
/// be among them twice. Returns how many were new or completed.
pub async fn keep(
    conn: &mut Conn,
    node: NodeId,
    slots: &[SlotSecond],
    instances: &[InstanceSecond],
) -> Result<u64> {
    let small = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let large = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    let traffic = || slots.iter().map(|second| second.traffic.as_ref());
    let used = || slots.iter().map(|second| second.used);
    let placements: Vec<_> = slots.iter().map(|second| second.placement.0).collect();
    let ats: Vec<_> = slots.iter().map(|second| second.at).collect();
    let words: Vec<_> = slots.iter().map(|second| second.slot.as_str().to_owned()).collect();
    let requests: Vec<_> = traffic().map(|t| t.map(|t| large(t.requests))).collect();
    let failures: Vec<_> = traffic().map(|t| t.map(|t| large(t.failures))).collect();
    let gaps: Vec<_> = traffic().map(|t| t.map(|t| small(t.longest_gap_ms))).collect();
    let latencies: Vec<_> = traffic().map(|t| t.map(|t| packed::pack(&t.latencies))).collect();
    let cpus: Vec<_> = used().map(|u| u.map(|u| single(u.cpu_percent))).collect();
    let memories: Vec<_> = used().map(|u| u.map(|u| bytes(u.memory_bytes_most))).collect();
    let counts: Vec<_> = used().map(|u| u.map(|u| short(u.instances.into()))).collect();
    let restarts: Vec<_> = used().map(|u| u.map(|u| short(u.restarts))).collect();

    let of: Vec<_> = instances.iter().map(|second| second.placement.0).collect();
    let of_ats: Vec<_> = instances.iter().map(|second| second.at).collect();
    let of_words: Vec<_> = instances.iter().map(|s| s.slot.as_str().to_owned()).collect();
    let names: Vec<_> = instances.iter().map(|second| second.instance.clone()).collect();
    let of_cpus: Vec<_> = instances.iter().map(|second| second.cpu_percent).collect();
    let of_memories: Vec<_> = instances.iter().map(|second| bytes(second.memory_bytes)).collect();
    let of_restarts: Vec<_> = instances.iter().map(|s| short(s.restarts.into())).collect();

    let done = sqlx::query!(
        r#"
        with held as (
            select id, extract(epoch from clock_timestamp())::bigint as now
            from placements where holder = $1
        ), slots as (
            insert into slot_seconds (
                placement_id, at, slot, requests, failures, longest_gap_ms, latencies,
                cpu_percent, memory_bytes, instances, restarts)
            select g.*
            from unnest($2::uuid[], $3::bigint[], $4::text[], $5::int[], $6::int[], $7::int[],
                $8::bytea[], $9::real[], $10::bigint[], $11::smallint[], $12::smallint[])
                as g (placement_id, at, slot, requests, failures, longest_gap_ms, latencies,
                    cpu_percent, memory_bytes, instances, restarts)
            join held h on h.id = g.placement_id and abs(g.at - h.now) < $20
            on conflict (placement_id, at, slot) do update set
                requests = coalesce(slot_seconds.requests, excluded.requests),
                failures = coalesce(slot_seconds.failures, excluded.failures),
                longest_gap_ms = coalesce(slot_seconds.longest_gap_ms, excluded.longest_gap_ms),
                latencies = coalesce(slot_seconds.latencies, excluded.latencies),
                cpu_percent = coalesce(slot_seconds.cpu_percent, excluded.cpu_percent),
                memory_bytes = coalesce(slot_seconds.memory_bytes, excluded.memory_bytes),
                instances = coalesce(slot_seconds.instances, excluded.instances),
                restarts = coalesce(slot_seconds.restarts, excluded.restarts)
            where slot_seconds.requests is null or slot_seconds.cpu_percent is null
            returning 1 as one
        ), instances as (
            insert into instance_seconds (
                placement_id, at, slot, instance, cpu_percent, memory_bytes, restarts)
            select g.*
            from unnest($13::uuid[], $14::bigint[], $15::text[], $16::text[], $17::real[],
                $18::bigint[], $19::smallint[])
                as g (placement_id, at, slot, instance, cpu_percent, memory_bytes, restarts)
            join held h on h.id = g.placement_id and abs(g.at - h.now) < $20
            on conflict do nothing
        )
        select count(*) as "count!" from slots
        "#,
        node.0,
        &placements,
        &ats,
        &words,
        &requests as &[Option<i32>],
        &failures as &[Option<i32>],
        &gaps as &[Option<i32>],
        &latencies as &[Option<Vec<u8>>],
        &cpus as &[Option<f32>],
        &memories as &[Option<i64>],
        &counts as &[Option<i16>],
        &restarts as &[Option<i16>],
        &of,
        &of_ats,
        &of_words,
        &names,
        &of_cpus,
        &of_memories,
        &of_restarts,
        APART,
    )
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(done.count).unwrap_or(0))
}

/// Up to where something is kept of a placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptTo {
    /// The last second in which traffic was counted.
    pub counted: Option<i64>,
    /// The beginning of the last minute.
    pub minute: Option<i64>,
}

/// Up to where something is kept of each placement.
pub async fn kept_to(
    conn: &mut Conn,
    placements: &[PlacementId],
) -> Result<HashMap<PlacementId, KeptTo>> {
    let ids: Vec<_> = placements.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select p.id as "id!: PlacementId",
            (select max(s.at) from slot_seconds s
             where s.placement_id = p.id and s.requests is not null) as counted,
            (select max(m.at) from slot_minutes m where m.placement_id = p.id) as minute
        from unnest($1::uuid[]) as p (id)
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let kept =
        rows.into_iter().map(|row| (row.id, KeptTo { counted: row.counted, minute: row.minute }));
    Ok(kept.collect())
}

/// Makes the partitions that are needed soon, and drops those that are too old.
pub async fn keep_house(conn: &mut Conn) -> Result<()> {
    sqlx::query!("select samples_keep_house()").execute(conn).await?;
    Ok(())
}

/// What a placement did over a span.
pub async fn course(conn: &mut Conn, placement: PlacementId, span: Span) -> Result<Course> {
    let mut gather = Gather::new(span);
    match span.grain {
        Grain::Seconds => {
            for (at, (_, slot), measured) in seconds_of(conn, placement, span.from, span.to).await?
            {
                gather.add(at, slot, &measured);
            }
        }
        Grain::Minutes => {
            let made = minutes(conn, placement, span, &mut gather).await?;
            // The minute that is not over, and one that is not made yet: of their seconds.
            let rest = made.map_or(span.from, |minute| minute + 60).max(span.to - SECONDS_FOR);
            for (at, (_, slot), measured) in seconds_of(conn, placement, rest, span.to).await? {
                gather.add(at, slot, &measured);
            }
        }
    }
    Ok(gather.course())
}

type OfSlot = (PlacementId, Slot);

/// A row of a second.
struct Row {
    placement: PlacementId,
    at: i64,
    slot: String,
    requests: Option<i32>,
    failures: Option<i32>,
    longest_gap_ms: Option<i32>,
    latencies: Option<Vec<u8>>,
    cpu_percent: Option<f32>,
    memory_bytes: Option<i64>,
    instances: Option<i16>,
    restarts: Option<i16>,
}

impl Row {
    fn measured(self) -> Result<(i64, OfSlot, Measured)> {
        let traffic = match (self.requests, self.failures, self.longest_gap_ms, self.latencies) {
            (Some(requests), Some(failures), Some(gap), Some(latencies)) => Window {
                seconds: 1,
                requests: count(requests.into()),
                failures: count(failures.into()),
                latencies: unpacked(&latencies)?,
                longest_gap_ms: u32::try_from(gap).unwrap_or(0),
            },
            _ => Window::default(),
        };
        let used = match (self.cpu_percent, self.memory_bytes, self.instances, self.restarts) {
            (Some(cpu), Some(memory), Some(instances), Some(restarts)) => Used::read(
                cpu.into(),
                count(memory),
                u16::try_from(instances).unwrap_or(0),
                u32::try_from(restarts).unwrap_or(0),
            ),
            _ => Used::default(),
        };
        Ok((self.at, (self.placement, word(&self.slot)?), Measured { traffic, used }))
    }
}

async fn seconds_of(
    conn: &mut Conn,
    placement: PlacementId,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, OfSlot, Measured)>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select placement_id as "placement: PlacementId", at, slot, requests, failures,
            longest_gap_ms, latencies, cpu_percent, memory_bytes, instances, restarts
        from slot_seconds
        where placement_id = $1 and at >= $2 and at < $3
        "#,
        placement.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::measured).collect()
}

/// Seconds of everything that a node holds.
async fn seconds_held(
    conn: &mut Conn,
    holder: NodeId,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, OfSlot, Measured)>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select s.placement_id as "placement: PlacementId", s.at, s.slot, s.requests, s.failures,
            s.longest_gap_ms, s.latencies, s.cpu_percent, s.memory_bytes, s.instances, s.restarts
        from placements p
        join slot_seconds s on s.placement_id = p.id
        where p.holder = $1 and s.at >= $2 and s.at < $3
        "#,
        holder.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::measured).collect()
}

/// Adds the minutes that are made, and says which is the last.
async fn minutes(
    conn: &mut Conn,
    placement: PlacementId,
    span: Span,
    gather: &mut Gather,
) -> Result<Option<i64>> {
    let rows = sqlx::query!(
        r#"
        select at, slot, counted, metered, requests, failures, longest_gap_ms, latencies,
            cpu_percent, cpu_percent_most, memory_bytes, memory_bytes_most, instances, restarts
        from slot_minutes
        where placement_id = $1 and at >= $2 and at < $3
        "#,
        placement.0,
        span.from,
        span.to,
    )
    .fetch_all(conn)
    .await?;
    let last = rows.iter().map(|row| row.at).max();
    for row in rows {
        let small = |number: i16| u32::try_from(number).unwrap_or(0);
        let traffic = Window {
            seconds: small(row.counted),
            requests: count(row.requests),
            failures: count(row.failures),
            latencies: unpacked(&row.latencies)?,
            longest_gap_ms: u32::try_from(row.longest_gap_ms).unwrap_or(0),
        };
        #[allow(clippy::cast_precision_loss)] // Less than 2^53 bytes.
        let used = Used {
            seconds: small(row.metered),
            cpu_percent: row.cpu_percent.into(),
            cpu_percent_most: row.cpu_percent_most.into(),
            memory_bytes: row.memory_bytes as f64,
            memory_bytes_most: count(row.memory_bytes_most),
            instances: u16::try_from(row.instances).unwrap_or(0),
            restarts: small(row.restarts),
        };
        gather.add(row.at, word(&row.slot)?, &Measured { traffic, used });
    }
    Ok(last)
}

/// What each instance used over a span, by name, at most so many.
pub async fn instances(
    conn: &mut Conn,
    placement: PlacementId,
    span: Span,
    at_most: i64,
) -> Result<Vec<InstancePast>> {
    // The same columns of both, a second being all of itself.
    let rows = sqlx::query!(
        r#"
        with read as (
            select at, slot, instance, 1::smallint as metered, cpu_percent,
                cpu_percent as cpu_percent_most, memory_bytes,
                memory_bytes as memory_bytes_most, restarts
            from instance_seconds
            where $2 and placement_id = $1 and at >= $3 and at < $4
            union all
            select at, slot, instance, metered, cpu_percent, cpu_percent_most, memory_bytes,
                memory_bytes_most, restarts
            from instance_minutes
            where not $2 and placement_id = $1 and at >= $3 and at < $4
        )
        select slot as "slot!", instance as "instance!", min(at) as "first!", max(at) as "last!",
            (sum(cpu_percent * metered) / sum(metered))::real as "cpu_percent!",
            max(cpu_percent_most) as "cpu_percent_most!",
            (sum(memory_bytes::float8 * metered) / sum(metered))::bigint as "memory_bytes!",
            max(memory_bytes_most) as "memory_bytes_most!",
            sum(restarts) as "restarts!"
        from read
        group by slot, instance
        order by max(at) desc, instance
        limit $5
        "#,
        placement.0,
        span.grain == Grain::Seconds,
        span.from,
        span.to,
        at_most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(InstancePast {
                name: row.instance,
                slot: word(&row.slot)?,
                from: row.first,
                to: row.last,
                cpu_percent: row.cpu_percent,
                cpu_percent_most: row.cpu_percent_most,
                memory_bytes: count(row.memory_bytes),
                memory_bytes_most: count(row.memory_bytes_most),
                restarts: u32::try_from(row.restarts).unwrap_or(0),
            })
        })
        .collect()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<(u32, u64)>> {
    packed::unpack(bytes).ok_or_else(|| Error::unreadable("histogram", "it ends too early"))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn short(number: u32) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

#[allow(clippy::cast_possible_truncation)] // A percentage for a picture.
const fn single(number: f64) -> f32 {
    number as f32
}
