//! What instances write, through the engine: followed, found, and still there when they are gone.

use crate::world::World;
use domain::{
    id::RolloutId,
    live::Message,
    log::{LogLine, Source, Which, find::Needle},
    rollout::Phase,
    slot::Slot,
};
use engine::{Engine, logs::Viewer};
use sqlx::PgPool;
use std::time::Duration;
use targets::fake::Behaviour;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(10);

/// What a viewer is told until a line with these words comes: numbers with their lines.
async fn hears(viewer: &mut Viewer, words: &str) -> anyhow::Result<Vec<(u64, LogLine)>> {
    let begun = Instant::now();
    let mut heard = Vec::new();
    while begun.elapsed() < PATIENCE {
        while let Some(json) = viewer.take() {
            if let Message::Log(piece) = serde_json::from_str(&json)? {
                heard.extend((piece.first..).zip(piece.lines));
            }
        }
        if heard.iter().any(|(_, line)| line.text.contains(words)) {
            return Ok(heard);
        }
        sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("{words:?} was never heard, only {heard:?}")
}

async fn live_instance(world: &World) -> anyhow::Result<String> {
    let v1 = world.release("1.0.0").await?;
    let rollout = world.deploy(v1).await?;
    assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    Ok(world.observed().await?.slots.blue[0].id.clone())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_instance_is_read_once_however_many_look(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let instance = live_instance(&world).await?;
    let place = world.placement().await?.place;
    world.target.write(&instance, Source::Out, b"before anybody looked\n");

    let mut first = engine.logs().follow(&place, Which::All).expect("room");
    hears(&mut first, "before anybody").await?;
    let mut second = engine.logs().follow(&place, Which::Slot(Slot::Blue)).expect("room");
    hears(&mut second, "before anybody").await?;
    let mut other = engine.logs().follow(&place, Which::Slot(Slot::Green)).expect("room");
    world.target.write(&instance, Source::Err, b"while they look\n");

    let heard = hears(&mut first, "while they").await?;
    assert_eq!(heard.last().map(|(_, line)| line.source), Some(Source::Err));
    hears(&mut second, "while they").await?;
    let told = std::iter::from_fn(|| other.take()).filter(|json| json.contains("look")).count();
    assert_eq!(told, 0, "it is of another slot");
    assert_eq!(world.target.followed(), 1);

    drop((first, second, other));
    world.until("nobody reads", async || Ok(world.target.followed() == 0)).await?;
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_restart_goes_on_and_an_instance_that_goes_ends_nothing_else(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(2).await?;
    let engine = world.start(1).await?;
    let first = live_instance(&world).await?;
    let place = world.placement().await?.place;
    let second = world.observed().await?.slots.blue[1].id.clone();
    let mut viewer = engine.logs().follow(&place, Which::All).expect("room");
    world.target.write(&first, Source::Out, b"one\n");
    hears(&mut viewer, "one").await?;

    world.target.kill(&first, "exit code 1");
    sleep(Duration::from_millis(1500)).await;
    world.target.restart(&first);
    world.target.write(&first, Source::Out, b"back again\n");
    let heard = hears(&mut viewer, "back again").await?;
    assert!(heard.iter().all(|(_, line)| line.text != "one"), "no line is told twice: {heard:?}");

    world.target.remove_by_hand(&first);
    world.target.write(&second, Source::Out, b"the other goes on\n");
    hears(&mut viewer, "the other").await?;
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_a_flood_the_newest_is_told_and_all_of_it_is_found(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let instance = live_instance(&world).await?;
    let place = world.placement().await?.place;
    let mut viewer = engine.logs().follow(&place, Which::All).expect("room");
    world.target.write(&instance, Source::Out, b"it begins\n");
    hears(&mut viewer, "it begins").await?;

    let flood: String = (0..40_000).map(|number| format!("line {number} of a flood\n")).collect();
    world.target.write(&instance, Source::Out, flood.as_bytes());
    let heard = hears(&mut viewer, "line 39999").await?;
    assert!(heard.len() < 3000, "{}", heard.len());
    assert_eq!(heard.last().map(|(number, _)| *number), Some(40_001), "numbers tell of the rest");

    let found = engine.logs().find(&place, &Which::All, Needle::new("LINE 17 OF").as_ref()).await;
    assert_eq!((found.matched, found.searched, found.cut_short), (1, 40_001, false));
    assert_eq!(found.lines[0].1.text, "line 17 of a flood");
    engine.stop().await;
    Ok(())
}

/// What was kept of the instances of a rollout that failed.
async fn found_of(
    world: &World,
    engine: &Engine,
    rollout: RolloutId,
) -> anyhow::Result<domain::log::LogFound> {
    let place = world.placement().await?.place;
    let words = Needle::new("last words");
    Ok(engine.logs().find(&place, &Which::Maker(rollout), words.as_ref()).await)
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_an_instance_wrote_before_it_was_removed_is_still_there(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let never_ready = world.release("2.0.0").await?;
    world.target.behave(never_ready, Behaviour { status: 503, ..Behaviour::default() });
    let rollout = world.deploy(never_ready).await?;
    world.until("it runs", async || Ok(world.count(Slot::Blue).await? == 1)).await?;
    let instance = world.observed().await?.slots.blue[0].clone();
    world.target.write(&instance.id, Source::Err, b"last words: no database\n");

    assert_eq!(world.end(rollout).await?, Phase::Failed);
    world.until("it is gone", async || Ok(world.count(Slot::Blue).await? == 0)).await?;

    let found = found_of(&world, &engine, rollout).await?;
    assert_eq!(found.lines.len(), 1, "{found:?}");
    assert_eq!(found.lines[0].1.text, "last words: no database");
    let kept = &found.instances[0];
    assert_eq!((&kept.id, kept.kept, &kept.name), (&instance.id, true, &instance.name));
    let place = world.placement().await?.place;
    let mut viewer = engine.logs().follow(&place, Which::Maker(rollout)).expect("room");
    hears(&mut viewer, "last words").await?;

    // Also for the next engine, and not for ever.
    drop(viewer);
    engine.stop().await;
    let engine = world.start(1).await?;
    assert_eq!(found_of(&world, &engine, rollout).await?.lines.len(), 1);
    let mut conn = world.pool.acquire().await?;
    sqlx::query("update kept_logs set kept_at = kept_at - interval '8 days'")
        .execute(&mut *conn)
        .await?;
    store::logs::sweep(&mut conn).await?;
    assert_eq!(found_of(&world, &engine, rollout).await?.lines.len(), 0);
    engine.stop().await;
    Ok(())
}
