//! What people do to a placement from day to day, and what the machine does to it: restarts, stops,
//! removals, deaths, changes by hand. Cut off wherever one can be cut off.

use crate::world::World;
use domain::{
    restart::Restart,
    rollout::{Ask, Kind, Phase, Trouble},
    slot::Slot,
};
use sqlx::PgPool;
use std::time::Duration;
use store::placements::wishes;
use targets::{Target, fake::Behaviour};
use time::OffsetDateTime;

impl World {
    async fn ask_restart(&self) -> anyhow::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let restart = Restart::asked("Ana".to_owned(), OffsetDateTime::now_utc());
        wishes::ask_restart(&mut conn, self.id, &restart).await?;
        Ok(store::wake::work(&mut conn, &self.id.to_string()).await?)
    }

    async fn ask_stop(&self) -> anyhow::Result<()> {
        let mut conn = self.pool.acquire().await?;
        wishes::stop(&mut conn, self.id, "Ana").await?;
        Ok(store::wake::work(&mut conn, &self.id.to_string()).await?)
    }

    async fn archived(&self) -> anyhow::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        Ok(store::placements::load(&mut conn, self.id).await?.is_none())
    }

    /// Those of a slot that get requests now.
    async fn serving(&self, slot: Slot) -> anyhow::Result<usize> {
        let seen = self.observed().await?;
        Ok(seen.slots.of(slot).iter().filter(|one| one.in_route).count())
    }

    async fn deployed(&self, name: &str) -> anyhow::Result<domain::id::ReleaseId> {
        let release = self.release(name).await?;
        let rollout = self.deploy(release).await?;
        assert_eq!(self.end(rollout).await?, Phase::Succeeded);
        Ok(release)
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn three_are_restarted_one_after_the_other_and_two_always_answer(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(3).await?;
    let mut engine = world.start(1).await?;
    let release = world.deployed("1.0.0").await?;
    let ready_after = Duration::from_millis(300);
    world.target.behave(release, Behaviour { ready_after, ..Behaviour::default() });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let before = world.observed().await?.slots.blue;

    world.ask_restart().await?;
    let mut fewest = usize::MAX;
    let mut kills = 0;
    let mut turn = 0;
    while world.placement().await?.restart.is_some() {
        let serving = world.serving(Slot::Blue).await?;
        fewest = fewest.min(serving);
        turn += 1;
        // As after kill -9, whatever it was doing is left as it is.
        if serving < 3 && kills < 6 && turn % 7 == 0 {
            drop(engine);
            engine = world.start(1).await?;
            kills += 1;
        }
        assert!(turn < 2000, "{:?}", world.placement().await?.restart);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(fewest, 2, "one of three is away at a time");
    assert!(kills > 2, "it was killed in the middle");
    let after = world.observed().await?.slots.blue;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.id, after.id, "the same one, so its log is still there");
        assert!(after.started_at > before.started_at, "{after:?}");
        assert!(after.in_route);
    }
    assert_eq!(world.times_said("\"instance_restarted\"").await?, 3, "one row each");
    assert!(!world.said("restart_stopped").await? && !world.said("instance_died").await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_only_instance_gets_another_one_beside_it_first(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    world.deployed("1.0.0").await?;
    let before = world.observed().await?.slots.blue[0].clone();

    world.ask_restart().await?;
    let mut most = 0;
    while world.placement().await?.restart.is_some() {
        assert!(world.serving(Slot::Blue).await? >= 1, "somebody always answers");
        most = most.max(world.count(Slot::Blue).await?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(most, 2);
    world.until("the spare one is gone", async || Ok(world.count(Slot::Blue).await? == 1)).await?;
    let after = world.observed().await?.slots.blue[0].clone();
    assert_eq!(after.id, before.id);
    assert!(after.started_at > before.started_at && after.in_route);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_restart_whose_first_does_not_come_up_stops_and_says_so(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(2).await?;
    let engine = world.start(1).await?;
    let release = world.deployed("1.0.0").await?;
    let second = world.observed().await?.slots.blue[1].clone();
    world.until("it is looked after", async || Ok(world.serving(Slot::Blue).await? == 2)).await?;
    let ready_after = Duration::from_secs(3600);
    world.target.behave(release, Behaviour { ready_after, ..Behaviour::default() });

    world.ask_restart().await?;
    world
        .until("it stopped", async || {
            let restart = world.placement().await?.restart;
            Ok(restart.is_some_and(|restart| restart.failed.is_some()))
        })
        .await?;

    let restart = world.placement().await?.restart.expect("there");
    assert_eq!(restart.progress(), Some((0, 2)));
    assert!(restart.failed.expect("why").contains("503"), "it says what was answered");
    assert!(world.said("restart_stopped").await?);
    let slot = world.observed().await?.slots.blue;
    assert_eq!((slot[0].in_route, slot[1].in_route), (false, true), "the other one answers");
    assert_eq!(slot[1].started_at, second.started_at, "and was not touched");
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_ends_everything_after_its_drain_and_a_start_brings_the_pair_back(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut engine = world.start(1).await?;
    world.deployed("1.0.0").await?;
    let v2 = world.deployed("2.0.0").await?;
    world.target.set_in_flight(world.id, Slot::Green, 3);

    world.ask_stop().await?;
    world.until("it is withdrawn", async || Ok(world.routed().await?.is_none())).await?;
    assert_eq!(world.count(Slot::Green).await?, 1, "it finishes what it has");
    drop(engine);
    engine = world.start(1).await?;
    let empty =
        async || Ok(world.count(Slot::Green).await? == 0 && world.count(Slot::Blue).await? == 0);
    world.until("nothing runs", empty).await?;
    let placement = world.placement().await?;
    assert_eq!(placement.live.map(|live| live.pair.release), Some(v2), "it stays written down");
    assert_eq!((placement.warm, placement.to_put_back()), (None, None));
    assert_eq!(placement.drift, None, "it is as somebody wanted it");

    let start = world.queue(Kind::Rollback, v2).await?;
    assert_eq!(world.end(start).await?, Phase::Succeeded);
    let placement = world.placement().await?;
    assert!(placement.stopped.is_none() && !placement.held);
    assert_eq!(placement.live.map(|live| (live.slot, live.pair.release)), Some((Slot::Green, v2)));
    assert_eq!(world.routed().await?, Some(Slot::Green));
    assert_eq!(world.serving(Slot::Green).await?, 1);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_stopped_stays_so_when_a_start_fails_and_a_deploy_ends_it(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let v1 = world.deployed("1.0.0").await?;
    world.ask_stop().await?;
    world.until("nothing runs", async || Ok(world.count(Slot::Blue).await? == 0)).await?;
    world.target.behave(v1, Behaviour { status: 503, ..Behaviour::default() });

    let start = world.queue(Kind::Rollback, v1).await?;
    assert_eq!(world.end(start).await?, Phase::Failed);
    assert!(world.placement().await?.stopped.is_some());
    world.until("it is emptied again", async || Ok(world.count(Slot::Blue).await? == 0)).await?;
    assert_eq!(world.routed().await?, None);

    let v2 = world.deployed("2.0.0").await?;
    let placement = world.placement().await?;
    assert!(placement.stopped.is_none());
    assert_eq!(placement.live.map(|live| live.pair.release), Some(v2));
    assert!(world.routed().await?.is_some());
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_removal_killed_in_any_phase_leaves_nothing_and_one_row_each(
    pool: PgPool,
) -> anyhow::Result<()> {
    use Phase::*;
    let world = World::new(pool).await?;
    let mut engine = world.start(1).await?;
    let v1 = world.deployed("1.0.0").await?;
    world.deployed("2.0.0").await?;
    world.target.set_in_flight(world.id, Slot::Green, 2);
    let place = world.placement().await?.place;
    let phases = [Preflight, Switching, Draining, CleaningUp, Succeeded];

    let mut hub = engine.hub().subscribe();
    let removal = world.queue(Kind::Remove, v1).await?;
    for phase in phases {
        world.hears(&mut hub, removal, phase).await?;
        drop(engine);
        engine = world.start(1).await?;
        hub = engine.hub().subscribe();
        if world.state(removal).await?.phase > phase {
            // It was quicker than the kill.
            break;
        }
    }

    assert_eq!(world.end(removal).await?, Succeeded);
    assert_eq!(world.phases(removal).await?, phases);
    assert!(world.archived().await?);
    let seen = world.target.observe(&place).await?;
    assert_eq!(seen.route, None, "nothing is answered under its names");
    assert!(seen.slots.blue.is_empty() && seen.slots.green.is_empty());
    assert_eq!(world.times_said("\"placement_removed\"").await?, 1);
    assert!(world.prove().await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_removal_that_is_aborted_while_it_drains_gives_the_requests_back(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut policy = world.placement().await?.policy;
    policy.drain_for = Duration::from_secs(20);
    sqlx::query("update environments set policy = $1")
        .bind(sqlx::types::Json(policy))
        .execute(&world.pool)
        .await?;
    let engine = world.start(1).await?;
    let v1 = world.deployed("1.0.0").await?;
    world.target.set_in_flight(world.id, Slot::Blue, 1);
    let mut hub = engine.hub().subscribe();

    let removal = world.queue(Kind::Remove, v1).await?;
    world.hears(&mut hub, removal, Phase::Draining).await?;
    assert_eq!(world.routed().await?, None);
    world.ask(removal, Ask::Abort).await?;

    assert_eq!(world.end(removal).await?, Phase::Aborted);
    assert_eq!(world.routed().await?, Some(Slot::Blue));
    assert_eq!(world.placement().await?.live.map(|live| live.pair.release), Some(v1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.placement().await?.drift, None, "and everything is as it was");
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn deaths_are_told_with_their_reason_and_a_loop_does_not_flood(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    world.deployed("1.0.0").await?;
    let one = world.observed().await?.slots.blue[0].id.clone();
    tokio::time::sleep(Duration::from_millis(500)).await;

    for _ in 0..20 {
        world.target.die(&one, "killed for memory (limit 256 MiB)");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    world
        .until("it is told", async || Ok(world.times_said("\"instance_died\"").await? >= 2))
        .await?;

    let rows = world.times_said("\"instance_died\"").await?;
    assert!(rows <= 5, "{rows} rows of 20 deaths");
    assert!(world.said("killed for memory (limit 256 MiB)").await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_somebody_changed_is_shown_and_an_ordinary_rollout_makes_it_anew(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    let v1 = world.deployed("1.0.0").await?;
    let one = world.observed().await?.slots.blue[0].id.clone();

    world.target.change_by_hand(&one, "its memory limit is 128 MiB, and was made with 64 MiB");
    world
        .until("it is shown", async || {
            let placement = world.placement().await?;
            let drift = placement.drift.clone().unwrap_or_default();
            Ok(drift.contains("128 MiB") && placement.to_put_back() == Some(Slot::Blue))
        })
        .await?;
    assert!(world.said("\"drift\"").await?);

    let again = world.deploy(v1).await?;
    assert_eq!(world.end(again).await?, Phase::Succeeded);
    world
        .until("nothing differs", async || {
            let placement = world.placement().await?;
            Ok(placement.drift.is_none() && placement.to_put_back().is_none())
        })
        .await?;
    assert_eq!(world.routed().await?, Some(Slot::Green));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_removed_by_hand_is_shown_until_it_is_there_again(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.resize(2).await?;
    let engine = world.start(1).await?;
    let release = world.deployed("1.0.0").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ready_after = Duration::from_secs(2);
    world.target.behave(release, Behaviour { ready_after, ..Behaviour::default() });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let one = world.observed().await?.slots.blue[0].id.clone();

    world.target.remove_by_hand(&one);
    world
        .until("it is shown", async || {
            Ok(world.placement().await?.drift.is_some_and(|drift| drift.contains("1 of 2")))
        })
        .await?;
    world
        .until("it is over", async || {
            let over = world.placement().await?.drift.is_none();
            Ok(over && world.said("drift_ended").await?)
        })
        .await?;
    assert_eq!(world.serving(Slot::Blue).await?, 2);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_machine_without_room_waits_for_a_person_and_fails_no_release(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    world.target.set_full(Some("no /24 of the pool is free."));

    let rollout = world.deploy(world.release("1.0.0").await?).await?;
    world
        .until("it is errored", async || Ok(world.state(rollout).await?.trouble.is_some()))
        .await?;
    let state = world.state(rollout).await?;
    assert!(matches!(state.trouble, Some(Trouble::NoRoom { .. })), "{state:?}");
    world.target.set_full(None);
    world.ask(rollout, Ask::Retry).await?;

    assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    engine.stop().await;
    Ok(())
}

/// Rule 10, of an instance: the rollout stops, says what it found, and goes on when it is as it was.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_somebody_changes_during_a_rollout_stops_it_until_a_person_decides(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let engine = world.start(1).await?;
    world.deployed("1.0.0").await?;
    let mut policy = world.placement().await?.policy;
    policy.promote_by_hand = true;
    sqlx::query("update environments set policy = $1")
        .bind(sqlx::types::Json(policy))
        .execute(&world.pool)
        .await?;
    let release = world.release("2.0.0").await?;
    let rollout = world.deploy(release).await?;
    world
        .until("it waits to be promoted", async || {
            Ok(world.state(rollout).await?.phase == Phase::AwaitingPromotion)
        })
        .await?;
    let one = world.observed().await?.slots.green[0].id.clone();

    world.target.change_by_hand(&one, "it runs the image x, and was made of y");
    let errored = || async {
        world
            .until("it is errored", async || Ok(world.state(rollout).await?.trouble.is_some()))
            .await?;
        anyhow::Ok(world.state(rollout).await?.trouble.expect("just seen").to_string())
    };
    let told = errored().await?;
    assert!(told.contains("it runs the image x") && told.contains("green-"), "{told}");
    assert!(world.said("\"rollout_errored\"").await?);
    assert_eq!(world.routed().await?, Some(Slot::Blue));

    // It is still so: whoever retries is told again.
    world.ask(rollout, Ask::Retry).await?;
    world
        .until("it is errored again", async || {
            Ok(world.times_said("\"rollout_errored\"").await? == 2)
        })
        .await?;
    world.ask(rollout, Ask::Abort).await?;
    assert_eq!(world.end(rollout).await?, Phase::Aborted);
    assert_eq!((world.routed().await?, world.count(Slot::Green).await?), (Some(Slot::Blue), 0));
    engine.stop().await;
    Ok(())
}
