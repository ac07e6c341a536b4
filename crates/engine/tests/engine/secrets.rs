//! Secrets reach their instances and nothing that is kept; a lost key stops what needs it, and says
//! which values are lost.

use crate::world::World;
use domain::{
    rollout::{Kind, Phase},
    slot::Slot,
};
use sqlx::PgPool;
use std::sync::Arc;
use vault::Vault;

const VALUE: &str = "hunter2-and-more";

async fn told(world: &World, slot: Slot) -> anyhow::Result<Option<String>> {
    let observed = world.observed().await?;
    let instance = &observed.slots.of(slot)[0].id;
    Ok(world.target.told(instance, "API_KEY"))
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_secret_reaches_its_instances_and_a_rollback_brings_back_the_old_one(
    pool: PgPool,
) -> anyhow::Result<()> {
    let mut world = World::new(pool).await?;
    let vault = Arc::new(Vault::in_memory());
    let engine = world.start_with(1, vault.clone()).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    world.set_secret("API_KEY", VALUE, &vault).await?;
    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    assert_eq!(told(&world, Slot::Blue).await?.as_deref(), Some(VALUE));

    let live = world.placement().await?.live.expect("live").pair;
    world.set_secret("API_KEY", "another-value-2", &vault).await?;
    let second = world.deploy(v2).await?;
    assert_eq!(world.end(second).await?, Phase::Succeeded);
    assert_eq!(told(&world, Slot::Green).await?.as_deref(), Some("another-value-2"));

    // Until warmth has ended: the slot is filled again, with the value of then.
    world
        .until("blue is empty", async || {
            Ok(world.placement().await?.warm.is_none() && world.count(Slot::Blue).await? == 0)
        })
        .await?;
    let back = world.queue_pair(Kind::Rollback, live).await?;
    assert_eq!(world.end(back).await?, Phase::Succeeded);
    assert_eq!(told(&world, Slot::Blue).await?.as_deref(), Some(VALUE));

    let state = serde_json::to_string(&world.state(first).await?)?;
    assert!(state.contains("API_KEY version 1"), "which secrets were used is told: {state}");
    assert!(!state.contains(VALUE));
    assert_eq!(world.times_said(VALUE).await?, 0);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_key_stops_a_deploy_and_says_which_values_are_lost(
    pool: PgPool,
) -> anyhow::Result<()> {
    let mut world = World::new(pool).await?;
    let vault = Arc::new(Vault::in_memory());
    let engine = world.start_with(1, vault.clone()).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    world.set_secret("API_KEY", VALUE, &vault).await?;
    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    engine.stop().await;

    let other = Arc::new(Vault::in_memory());
    let engine = world.start_with(1, other.clone()).await?;
    let refused = world.deploy(v2).await?;
    assert_eq!(world.end(refused).await?, Phase::Failed);
    let why = world.state(refused).await?.ending.expect("an ending").why;
    assert!(why.contains("the value of API_KEY is lost"), "{why}");
    assert_eq!(world.routed().await?, Some(Slot::Blue), "what runs goes on");

    // Set anew, it goes on as before.
    world.set_secret("API_KEY", "set-anew-1", &other).await?;
    let again = world.deploy(v2).await?;
    assert_eq!(world.end(again).await?, Phase::Succeeded);
    assert_eq!(told(&world, Slot::Green).await?.as_deref(), Some("set-anew-1"));

    // The warm slot runs already, with a value that nobody can open any more: it may come back.
    let back = world.queue_pair(Kind::Rollback, world.placement().await?.warm.expect("warm").pair);
    assert_eq!(world.end(back.await?).await?, Phase::Succeeded);
    assert_eq!(told(&world, Slot::Blue).await?.as_deref(), Some(VALUE));
    engine.stop().await;
    Ok(())
}
