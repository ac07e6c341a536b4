//! The engine against a real Postgres and a target in memory: whole rollouts, cut off wherever one
//! can be cut off.

mod builder;
mod builds;
mod daily;
mod logs;
mod registries;
mod samples;
mod secrets;
mod targets_of;
mod world;

use domain::{
    rollout::{Ask, Kind, Phase},
    slot::Slot,
    target::{Instance, InstanceState},
};
use sqlx::PgPool;
use std::time::Duration;
use targets::{
    Target,
    fake::{Behaviour, Load},
};
use world::World;

const ALL: [Phase; 7] = [
    Phase::Preflight,
    Phase::Preparing,
    Phase::Verifying,
    Phase::Switching,
    Phase::Observing,
    Phase::Draining,
    Phase::Succeeded,
];

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_first_deploy_and_a_second_leave_the_first_warm(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);

    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    let second = world.deploy(v2).await?;
    assert_eq!(world.end(second).await?, Phase::Succeeded);

    assert_eq!(world.phases(second).await?, ALL);
    let placement = world.placement().await?;
    let (live, warm) = (placement.live.expect("live"), placement.warm.expect("warm"));
    assert_eq!((live.slot, live.pair.release), (Slot::Green, v2));
    assert_eq!((warm.slot, warm.pair.release), (Slot::Blue, v1));
    assert_eq!(world.routed().await?, Some(Slot::Green));

    // Warmth ends by itself, and the slot is empty then.
    world
        .until("the warm slot is empty", async || {
            Ok(world.placement().await?.warm.is_none() && world.count(Slot::Blue).await? == 0)
        })
        .await?;
    assert!(world.prove().await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rollback_to_the_warm_slot_neither_prepares_nor_verifies(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    for release in [v1, v2] {
        let rollout = world.deploy(release).await?;
        assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    }

    let back = world.queue(Kind::Rollback, v1).await?;
    assert_eq!(world.end(back).await?, Phase::Succeeded);

    use Phase::*;
    assert_eq!(world.phases(back).await?, [Preflight, Switching, Observing, Draining, Succeeded]);
    let placement = world.placement().await?;
    assert_eq!(placement.live.expect("live").pair.release, v1);
    assert!(placement.warm.is_none(), "what a rollback leaves is not kept");
    assert!(placement.held, "what deploys by itself waits for a person");
    assert_eq!(world.count(Slot::Green).await?, 0);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_kill_in_any_phase_ends_in_the_same_place_with_one_row_each(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let first = world.deploy(world.release("1.0.0").await?).await?;
    world.end(first).await?;
    drop(engine);

    for (n, phase) in ALL.into_iter().enumerate() {
        let release = world.release(&format!("2.0.{n}")).await?;
        let mut engine = world.start(1).await?;
        let mut hub = engine.hub().subscribe();
        let rollout = world.deploy(release).await?;
        world.hears(&mut hub, rollout, phase).await?;
        // No farewell: as after kill -9, whatever it was doing is left as it is.
        drop(engine);

        engine = world.start(1).await?;
        assert_eq!(world.end(rollout).await?, Phase::Succeeded, "killed in {phase}");
        assert_eq!(world.phases(rollout).await?, ALL, "killed in {phase}");
        assert_eq!(world.placement().await?.live.expect("live").pair.release, release);
        drop(engine);
    }
    assert!(world.prove().await?);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_version_that_breaks_after_the_switch_is_taken_back_by_itself(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    world.end(first).await?;
    let good = Load { requests: 100, failures: 0, latency_us: 2000 };
    world.target.load(world.id, Slot::Blue, good);
    world.target.load(world.id, Slot::Green, Load { failures: 60, ..good });

    let second = world.deploy(v2).await?;
    assert_eq!(world.end(second).await?, Phase::RolledBack);

    assert_eq!(world.routed().await?, Some(Slot::Blue));
    assert_eq!(world.count(Slot::Green).await?, 0);
    let state = world.state(second).await?;
    let took = state.evidence.back_confirmed_at.expect("back")
        - state.evidence.confirmed_at.expect("switched");
    assert!(took < time::Duration::seconds(5), "{took}");
    assert_eq!(world.placement().await?.live.expect("live").pair.release, v1);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_version_that_never_gets_ready_never_gets_traffic(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    world.end(first).await?;
    world.target.behave(v2, Behaviour { status: 503, ..Behaviour::default() });

    let second = world.deploy(v2).await?;
    assert_eq!(world.end(second).await?, Phase::Failed);

    let phases = world.phases(second).await?;
    assert!(!phases.contains(&Phase::Switching), "{phases:?}");
    assert_eq!((world.routed().await?, world.count(Slot::Green).await?), (Some(Slot::Blue), 0));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_abort_while_observing_goes_back(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    world.end(first).await?;

    let mut hub = engine.hub().subscribe();
    let second = world.deploy(v2).await?;
    world.hears(&mut hub, second, Phase::Observing).await?;
    world.ask(second, Ask::Abort).await?;

    assert_eq!(world.end(second).await?, Phase::RolledBack);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn when_one_control_plane_dies_another_goes_on_after_its_lease(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let one = world.start(1).await?;
    let release = world.release("1.0.0").await?;
    let mut hub = one.hub().subscribe();
    let rollout = world.deploy(release).await?;
    world.hears(&mut hub, rollout, Phase::Preparing).await?;
    let two = world.start(2).await?;
    drop(one);

    let begun = std::time::Instant::now();
    assert_eq!(world.end(rollout).await?, Phase::Succeeded);

    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    assert_eq!(world.phases(rollout).await?, ALL);
    two.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_hand_on_the_machine_stops_a_rollout_and_is_adopted_when_settled(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    world.end(first).await?;

    let mut hub = engine.hub().subscribe();
    let second = world.deploy(v2).await?;
    world.hears(&mut hub, second, Phase::Observing).await?;
    world.target.switch_by_hand(world.id, Some(Slot::Blue), "the pager");
    world.until("it is errored", async || Ok(world.state(second).await?.trouble.is_some())).await?;
    assert_eq!(world.routed().await?, Some(Slot::Blue), "nothing is written over");
    world.ask(second, Ask::Abort).await?;
    assert_eq!(world.end(second).await?, Phase::RolledBack);

    // Settled: what the hand did is where traffic goes, so it is live.
    let third = world.deploy(v2).await?;
    assert_eq!(world.end(third).await?, Phase::Succeeded);
    world.target.switch_by_hand(world.id, Some(Slot::Blue), "the pager");
    world
        .until("it is adopted", async || {
            Ok(world.placement().await?.live.is_some_and(|live| live.slot == Slot::Blue))
        })
        .await?;
    assert!(world.said("route_foreign").await?);

    // What is written afterwards, by us, is not taken for that hand again.
    let told = world.times_said("route_foreign").await?;
    world.resize(2).await?;
    let grown = async || {
        let slot = world.observed().await?.slots.blue;
        Ok(slot.len() == 2 && slot.iter().all(|one| one.in_route))
    };
    world.until("it has grown", grown).await?;
    let fourth = world.deploy(v2).await?;
    assert_eq!(world.end(fourth).await?, Phase::Succeeded);
    assert_eq!(world.times_said("route_foreign").await?, told);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_live_slot_grows_into_the_route_when_it_is_ready_and_tells_it_once(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let release = world.release("1.0.0").await?;
    let first = world.deploy(release).await?;
    world.end(first).await?;
    let ready_after = Duration::from_secs(2);
    world.target.behave(release, Behaviour { ready_after, ..Behaviour::default() });

    world.resize(2).await?;
    let second = async |is: fn(&Instance) -> bool| {
        Ok(world.observed().await?.slots.blue.get(1).is_some_and(is))
    };
    let waits = |one: &Instance| one.state == InstanceState::Running && !one.in_route;
    world.until("it runs and gets no request", async || second(waits).await).await?;
    world.until("it gets requests", async || second(|one| one.in_route).await).await?;

    assert!(world.observed().await?.slots.blue[0].in_route);
    assert_eq!(world.times_said("instances_restored").await?, 1);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_image_that_nobody_needs_is_let_go_by_whoever_comes_after_who_kept_it(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let needed = world.release("1.0.0").await?;
    let left = world.release("2.0.0").await?;
    let (kept, let_go) = (world::image(needed)?, world::image(left)?);
    world.target.keep_image(&let_go).await?;
    world.deploy(needed).await?;

    let engine = world.start(1).await?;
    let tidy = async || Ok(world.target.keeps(&kept) && !world.target.keeps(&let_go));
    world.until("only what is needed is kept", tidy).await?;

    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_router_that_lost_its_routes_gets_them_back_with_a_row(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let first = world.deploy(world.release("1.0.0").await?).await?;
    world.end(first).await?;

    world.target.lose_routes();
    world
        .until("the route is back", async || Ok(world.routed().await? == Some(Slot::Blue)))
        .await?;

    world.until("there is a row", async || world.said("route_restored").await).await?;
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_live_instance_that_was_removed_is_restored_with_a_row(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let first = world.deploy(world.release("1.0.0").await?).await?;
    world.end(first).await?;
    let instance = world.observed().await?.slots.blue[0].id.clone();

    world.target.remove_by_hand(&instance);
    world
        .until("it is there again", async || {
            let blue = world.observed().await?.slots.blue;
            Ok(blue.len() == 1 && blue[0].id != instance)
        })
        .await?;

    assert!(world.said("instances_restored").await?);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_target_that_is_away_for_a_while_is_waited_for(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let first = world.deploy(world.release("1.0.0").await?).await?;
    world.end(first).await?;

    let mut hub = engine.hub().subscribe();
    let second = world.deploy(world.release("2.0.0").await?).await?;
    world.hears(&mut hub, second, Phase::Observing).await?;
    world.target.set_unreachable(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        world.state(second).await?.phase,
        Phase::Observing,
        "never passed by the clock alone"
    );
    world.target.set_unreachable(false);

    assert_eq!(world.end(second).await?, Phase::Succeeded);
    engine.stop().await;
    Ok(())
}

/// The others answer for it, so not one request fails: what is not ready counts all the same.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_of_three_that_dies_while_it_is_observed_is_taken_back(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(3).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    let good = Load { requests: 100, failures: 0, latency_us: 2000 };
    world.target.load(world.id, Slot::Blue, good);
    world.target.load(world.id, Slot::Green, good);

    let mut hub = engine.hub().subscribe();
    let second = world.deploy(v2).await?;
    world.hears(&mut hub, second, Phase::Observing).await?;
    let instance = world.observed().await?.slots.green[1].id.clone();
    world.target.kill(&instance, "exit code 1");

    assert_eq!(world.end(second).await?, Phase::RolledBack);
    assert_eq!((world.routed().await?, world.count(Slot::Green).await?), (Some(Slot::Blue), 0));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_live_instance_that_died_and_was_then_removed_is_restored_with_one_row(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(2).await?;
    let engine = world.start(1).await?;
    let first = world.deploy(world.release("1.0.0").await?).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    let instance = world.observed().await?.slots.blue[0].id.clone();

    world.target.kill(&instance, "exit code 1");
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.target.remove_by_hand(&instance);
    world
        .until("it is there again", async || {
            let blue = world.observed().await?.slots.blue;
            Ok(blue.len() == 2 && blue.iter().all(|one| one.id != instance))
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;

    assert_eq!(world.times_said("instances_restored").await?, 1);
    engine.stop().await;
    Ok(())
}

/// Withdrawn by hand: nothing is told that is not so, and one rollout puts it back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_hand_withdrew_is_put_back_in_one_switch(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let v1 = world.release("1.0.0").await?;
    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);
    let instance = world.observed().await?.slots.blue[0].id.clone();

    world.target.switch_by_hand(world.id, None, "the pager");
    world
        .until("it is told", async || {
            let placement = world.placement().await?;
            Ok(placement.drift.as_ref().is_some_and(|drift| drift.contains("withdrawn"))
                && placement.to_put_back() == Some(Slot::Blue))
        })
        .await?;
    let back = world.queue(Kind::Rollback, v1).await?;
    assert_eq!(world.end(back).await?, Phase::Succeeded);

    use Phase::*;
    assert_eq!(world.phases(back).await?, [Preflight, Switching, Observing, Draining, Succeeded]);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    assert_eq!(world.observed().await?.slots.blue[0].id, instance, "nothing was started again");
    world
        .until("nothing differs", async || {
            let placement = world.placement().await?;
            Ok(placement.drift.is_none() && placement.moved_by.is_none() && !placement.held)
        })
        .await?;
    assert_eq!(world.times_said("drift").await?, 0, "the hand has a row of its own");
    engine.stop().await;
    Ok(())
}

/// The hand chose the warm slot: it is live now, and said to be a hand's doing while there is a way
/// back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_hand_moved_is_live_and_can_be_put_back_while_it_is_warm(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    for release in [v1, v2] {
        let rollout = world.deploy(release).await?;
        assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    }

    world.target.switch_by_hand(world.id, Some(Slot::Blue), "the pager");
    world
        .until("it is adopted", async || {
            let placement = world.placement().await?;
            Ok(placement.live.is_some_and(|live| live.slot == Slot::Blue)
                && placement.drift.as_ref().is_some_and(|drift| drift.contains("the pager"))
                && placement.to_put_back() == Some(Slot::Green))
        })
        .await?;
    let back = world.queue(Kind::Rollback, v2).await?;
    assert_eq!(world.end(back).await?, Phase::Succeeded);

    assert_eq!(world.routed().await?, Some(Slot::Green));
    world.until("nothing differs", async || Ok(world.placement().await?.drift.is_none())).await?;
    engine.stop().await;
    Ok(())
}

/// Nobody has confirmed a route yet: that there is none any more is seen all the same.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_router_that_loses_the_route_of_a_first_deploy_gets_it_back(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let release = world.release("1.0.0").await?;
    world
        .target
        .behave(release, Behaviour { ready_after: Duration::from_secs(1), ..Behaviour::default() });
    let mut hub = engine.hub().subscribe();
    let first = world.deploy(release).await?;
    world.hears(&mut hub, first, Phase::Verifying).await?;

    world.target.lose_routes();

    assert_eq!(world.end(first).await?, Phase::Succeeded);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    assert!(world.said("route_restored").await?);
    engine.stop().await;
    Ok(())
}

/// Two faults at once: the slot that went back to is healthy, so it gets the traffic.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_route_and_a_lost_new_slot_still_leave_a_way_back(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let (v1, v2) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.deploy(v1).await?;
    assert_eq!(world.end(first).await?, Phase::Succeeded);

    let mut hub = engine.hub().subscribe();
    let second = world.deploy(v2).await?;
    world.hears(&mut hub, second, Phase::Observing).await?;
    for instance in world.observed().await?.slots.green {
        world.target.remove_by_hand(&instance.id);
    }
    world.target.lose_routes();
    world
        .until("traffic is on the old slot", async || Ok(world.routed().await? == Some(Slot::Blue)))
        .await?;
    if !world.state(second).await?.phase.is_end() {
        world.ask(second, Ask::Abort).await?;
    }

    assert_eq!(world.end(second).await?, Phase::RolledBack);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    engine.stop().await;
    Ok(())
}
