//! Samples that are kept, through the engine: without a hole where the control plane was away, without
//! a second that counts twice where two of them run.

use crate::world::World;
use domain::{rollout::Phase, slot::Slot};
use sqlx::PgPool;
use std::time::Duration;
use targets::{Target, fake::Load};
use tokio::time::sleep;

/// Seconds in which blue's traffic is known, with their requests, oldest first.
async fn counted(pool: &PgPool) -> anyhow::Result<Vec<(i64, i32)>> {
    Ok(sqlx::query_as(
        "select at, requests from slot_seconds
         where slot = 'blue' and requests is not null order by at",
    )
    .fetch_all(pool)
    .await?)
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_control_plane_that_was_killed_fills_its_gap_and_counts_nothing_twice(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let engine = world.start(1).await?;
    let v1 = world.release("1.0.0").await?;
    let rollout = world.deploy(v1).await?;
    assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    let load = Load { requests: 20, latency_us: 900, ..Load::default() };
    world.target.load(world.id, Slot::Blue, load);
    world.until("some is kept", async || Ok(counted(&pool).await?.iter().any(|s| s.1 > 0))).await?;

    drop(engine);
    let last = counted(&pool).await?.last().expect("some").0;
    sleep(Duration::from_secs(4)).await;
    assert!(counted(&pool).await?.last().expect("some").0 <= last + 1, "nobody writes");
    // Another node waits for the lease, and writes nothing of what it does not hold.
    let other = world.start(2).await?;
    let engine = world.start(1).await?;
    world
        .until("it goes on", async || {
            Ok(counted(&pool).await?.last().is_some_and(|(at, _)| *at >= last + 6))
        })
        .await?;

    let kept = counted(&pool).await?;
    assert!(kept.windows(2).all(|two| two[1].0 == two[0].0 + 1), "no hole: {kept:?}");
    let place = world.placement().await?.place;
    let told = world.target.traffic(&place, kept[0].0).await?;
    for (at, requests) in &kept {
        let second = told.slots.blue.seconds.iter().find(|second| second.at == *at);
        assert_eq!(second.map(|second| i64::from(second.requests)), Some(i64::from(*requests)));
    }
    let used: i64 = sqlx::query_scalar(
        "select count(*) from slot_seconds where cpu_percent is not null and at > $1",
    )
    .bind(last + 1)
    .fetch_one(&pool)
    .await?;
    assert!(used > 0 && used < 6, "what was used meanwhile nobody knows: {used}");
    let instances: i64 =
        sqlx::query_scalar("select count(*) from instance_seconds").fetch_one(&pool).await?;
    assert!(instances > 0);
    other.stop().await;
    engine.stop().await;
    Ok(())
}
