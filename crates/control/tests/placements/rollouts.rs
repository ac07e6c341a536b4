//! One active, one waiting, and who gives way to whom.

use crate::world::World;
use domain::{
    error::Problem,
    history::Deed,
    release::Pair,
    rollout::{Ask, Kind, Phase},
};
use sqlx::PgPool;

fn conflict(problem: &Problem) -> (&str, Option<domain::id::RolloutId>) {
    match problem {
        Problem::Conflict { sentence, rollout } => (sentence, *rollout),
        other => panic!("a conflict, not {other:?}"),
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_two_who_click_at_once_one_wins_and_the_other_is_told_who(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1.0.0").await;
    let everything = domain::role::Scope::Everything;
    let ana = world.person("Ana", domain::role::Role::Releaser, everything).await;
    let bo = world.person("Bo", domain::role::Role::Releaser, everything).await;

    let (first, second) = tokio::join!(
        world.control.start_rollout(&ana, staging, one, None, None, false),
        world.control.start_rollout(&bo, staging, one, None, None, false),
    );

    let (won, lost, winner) = match (first, second) {
        (Ok(won), Err(lost)) => (won, lost, "Ana"),
        (Err(lost), Ok(won)) => (won, lost, "Bo"),
        both => panic!("one wins: {both:?}"),
    };
    let (sentence, rollout) = conflict(&lost);
    assert!(sentence.contains(winner) && sentence.contains("1.0.0"), "{sentence}");
    assert_eq!(rollout, Some(won));
    let queued = world.rows().await;
    let queued = queued.iter().filter(|row| matches!(row.deed, Deed::RolloutQueued { .. }));
    assert_eq!(queued.count(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_newer_waiting_one_supersedes_the_older_with_a_row(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);

    let older = world.start(staging, one).await;
    let newer = world.start(staging, two).await;

    assert_eq!(world.phase(older).await, Phase::Superseded);
    assert_eq!(world.phase(newer).await, Phase::Queued);
    let rows = world.rows().await;
    let told = rows.iter().find(|row| row.subject.rollout == Some(older)).map(|row| &row.deed);
    assert!(matches!(told, Some(Deed::RolloutQueued { .. })));
    let superseded = rows.iter().find(|row| {
        matches!(&row.deed, Deed::RolloutEntered { phase: Phase::Superseded, outcome, .. }
            if outcome.contains("Root asked for 2"))
    });
    assert_eq!(superseded.expect("a row").subject.rollout, Some(older));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_deploy_waits_behind_what_is_active_or_asks_it_to_give_way(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    let active = world.start(staging, one).await;
    world.enter(staging, Phase::Preflight).await;

    let waiting = world.start(staging, two).await;
    let current = world.current(staging).await.expect("the active one");
    assert_eq!((current.rollout.id, current.rollout.request), (active, None));

    let replace = world
        .control
        .start_rollout(&world.admin, staging, two, Some(waiting), Some("now".into()), true)
        .await
        .expect("replaces");
    let current = world.current(staging).await.expect("the active one");
    let request = current.rollout.request.expect("asked");
    assert_eq!((request.what, request.reason.as_str()), (Ask::Abort, "now"));
    assert_eq!(world.phase(waiting).await, Phase::Superseded);

    world.enter(staging, Phase::Aborted).await;
    assert_eq!(world.current(staging).await.expect("the waiting one").rollout.id, replace);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stale_page_starts_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    world.deploy(staging, one).await;
    let before = world.rows().await.len();

    let refused = world.control.start_rollout(&world.admin, staging, one, None, None, false).await;
    let long = Some("é".repeat(501));
    let newest = world.newest(staging).await;
    let wordy = world.control.start_rollout(&world.admin, staging, one, newest, long, false).await;
    assert_eq!(wordy.expect_err("too long").field(), Some("reason"));
    let back = world.control.roll_back(&world.admin, staging, None, None, None, None).await;

    assert!(matches!(refused, Err(Problem::Conflict { .. })), "{refused:?}");
    assert!(back.is_err());
    assert_eq!(world.rows().await.len(), before);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rollback_asks_the_active_one_to_abort_and_no_deploy_takes_its_place(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let mut releases = Vec::new();
    for tag in ["1", "2", "3"] {
        releases.push(world.release(hello, tag).await);
    }
    let first = world.deploy(staging, releases[0]).await;
    world.deploy(staging, releases[1]).await;
    let active = world.start(staging, releases[2]).await;
    world.enter(staging, Phase::Preflight).await;
    world.enter(staging, Phase::Preparing).await;
    let waiting = world.start(staging, releases[2]).await;

    let (release, configuration) = (Some(first.release), Some(first.configuration));
    let reason = Some("errors".to_owned());
    let back = world
        .control
        .roll_back(&world.admin, staging, release, configuration, Some(waiting), reason)
        .await
        .expect("goes back");

    let current = world.current(staging).await.expect("the active one");
    assert_eq!(current.rollout.id, active);
    assert_eq!(current.rollout.request.expect("asked").what, Ask::Abort);
    assert_eq!(world.phase(waiting).await, Phase::Superseded);
    let again = world
        .control
        .roll_back(&world.admin, staging, release, configuration, Some(waiting), None)
        .await;
    assert_eq!(again.expect("joins"), back);
    let deploy = world
        .control
        .start_rollout(&world.admin, staging, releases[2], Some(back), None, true)
        .await
        .expect_err("no deploy takes its place");
    assert_eq!(conflict(&deploy).1, Some(back));

    world.enter(staging, Phase::Aborted).await;
    let current = world.current(staging).await.expect("the rollback");
    assert_eq!((current.rollout.id, current.rollout.kind), (back, Kind::Rollback));
    assert_eq!(current.rollout.pair, first);
    assert_eq!(current.reason.as_deref(), Some("errors"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn back_to_what_is_being_replaced_is_an_abort_and_who_clicks_again_joins(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    world.deploy(staging, one).await;
    let active = world.start(staging, two).await;
    for phase in [Phase::Preflight, Phase::Preparing, Phase::Observing] {
        world.enter(staging, phase).await;
    }

    let back = world.control.roll_back(&world.admin, staging, None, None, Some(active), None).await;
    assert_eq!(back.expect("goes back"), active);
    let request = world.current(staging).await.expect("active").rollout.request;
    assert_eq!(request.expect("asked").what, Ask::Abort);
    let rows = world.rows().await.len();

    let again = world.control.roll_back(&world.admin, staging, None, None, None, None).await;
    assert_eq!(again.expect("joins"), active);
    assert_eq!(world.rows().await.len(), rows);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn back_leads_to_the_warm_pair_or_to_any_that_was_live_and_to_no_other(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    let never = world.release(hello, "3").await;
    let control = &world.control;
    let nowhere = control.roll_back(&world.admin, staging, None, None, None, None).await;
    assert_eq!(nowhere.expect_err("nothing was live").field(), Some("release"));
    let first = world.deploy(staging, one).await;
    let second = world.deploy(staging, two).await;
    let newest = world.newest(staging).await;
    let to = |pair: Pair| (Some(pair.release), Some(pair.configuration));

    let (release, configuration) = to(second);
    let live = control.roll_back(&world.admin, staging, release, configuration, newest, None).await;
    assert!(conflict(&live.expect_err("is live")).0.contains("is live"));
    let (release, configuration) = to(Pair { release: never, ..first });
    let never =
        control.roll_back(&world.admin, staging, release, configuration, newest, None).await;
    assert_eq!(never.expect_err("never live").field(), Some("release"));

    sqlx::query("update releases set retired_at = now()").execute(&world.pool).await.unwrap();
    let deploy = control.start_rollout(&world.admin, staging, one, newest, None, false).await;
    assert_eq!(deploy.expect_err("retired").field(), Some("release"));
    control.roll_back(&world.admin, staging, None, None, newest, None).await.expect("warm");
    assert_eq!(world.current(staging).await.expect("queued").rollout.pair, first);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_asked_is_heard_once_and_only_when_it_can_be(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    let (control, admin) = (&world.control, &world.admin);
    let id = world.start(staging, one).await;

    control.ask_rollout(admin, id, Ask::Abort, None).await.expect("it only waited");
    assert_eq!(world.phase(id).await, Phase::Aborted);
    assert!(world.told().await.contains("was aborted"));
    let ended = control.ask_rollout(admin, id, Ask::Abort, None).await;
    assert_eq!(conflict(&ended.expect_err("ended")).1, Some(id));

    let id = world.start(staging, one).await;
    world.enter(staging, Phase::Preflight).await;
    assert!(control.ask_rollout(admin, id, Ask::Promote, None).await.is_err());
    assert!(control.ask_rollout(admin, id, Ask::Retry, None).await.is_err());
    control.ask_rollout(admin, id, Ask::Abort, Some("wrong one".into())).await.expect("heard");
    assert!(control.ask_rollout(admin, id, Ask::Abort, None).await.is_err());
    let row = world.rows().await.pop().expect("a row");
    assert_eq!(row.reason.as_deref(), Some("wrong one"));
    assert!(matches!(row.deed, Deed::RolloutAsked { ask: Ask::Abort, .. }));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_same_key_is_the_same_click(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    let mut asked = world.admin.clone();
    asked.idempotency_key = Some("form-1".to_owned());

    let first = world.control.start_rollout(&asked, staging, one, None, None, false).await;
    let second = world.control.start_rollout(&asked, staging, one, None, None, false).await;

    let first = first.expect("started");
    assert_eq!(first, second.expect("the same"));
    let bo = world.person("Bo", domain::role::Role::Admin, domain::role::Scope::Everything).await;
    asked.actor = bo.actor;
    let his = world.control.start_rollout(&asked, staging, one, Some(first), None, false).await;
    assert_ne!(his.expect("a key is one person's"), first);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rollout_keeps_the_policy_and_the_configuration_of_its_start(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let one = world.release(hello, "1").await;
    world.start(staging, one).await;
    let before = world.current(staging).await.expect("queued");

    let environment = world.environment("staging").await;
    let policy = domain::policy::Policy { passes: 7, ..before.rollout.policy.clone() };
    world.control.edit_policy(&world.admin, environment, policy, "").await.expect("edited");
    let none = domain::configuration::Variables::default();
    let variables = domain::configuration::Variables::parse("A=1", &none).expect("good");
    let limits = domain::service::Limits::DEFAULT;
    let changed =
        world.control.change_configuration(&world.admin, staging, variables, limits, 1).await;
    assert_eq!(changed.expect("made"), 2);

    let after = world.current(staging).await.expect("queued");
    assert_eq!(after.rollout.policy, before.rollout.policy);
    assert_eq!(after.parts.configuration.number, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn warmth_is_extended_up_to_a_day_and_never_ended_under_a_rollout(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    let staging = world.placement(hello, "staging").await;
    let (one, two) = (world.release(hello, "1").await, world.release(hello, "2").await);
    let (control, admin) = (&world.control, &world.admin);
    assert!(control.extend_warmth(admin, staging, 5).await.is_err(), "nothing is warm");
    world.deploy(staging, one).await;
    world.deploy(staging, two).await;
    let warm = async || {
        let mut conn = world.pool.acquire().await.unwrap();
        let placement = store::placements::load(&mut conn, staging).await.unwrap().unwrap();
        (placement.warm.unwrap(), store::now(&mut conn).await.unwrap())
    };
    let (before, _) = warm().await;

    control.extend_warmth(admin, staging, 10).await.expect("extended");
    assert_eq!(warm().await.0.until - before.until, time::Duration::minutes(10));
    control.extend_warmth(admin, staging, 24 * 60).await.expect("extended");
    conflict(&control.extend_warmth(admin, staging, 24 * 60).await.expect_err("a day already"));
    let (extended, now) = warm().await;
    assert!(extended.until <= now + time::Duration::hours(24));
    let rows = world.rows().await;
    let told = rows.iter().rev().find_map(|row| match row.deed {
        Deed::WarmthExtended { minutes, .. } => Some(minutes),
        _ => None,
    });
    assert!(told.is_some_and(|minutes| minutes < 24 * 60), "what it became: {told:?}");
    assert_eq!(
        control.extend_warmth(admin, staging, 0).await.unwrap_err().field(),
        Some("minutes")
    );

    let rollout = world.start(staging, one).await;
    conflict(&control.end_warmth(admin, staging).await.expect_err("a rollout is under way"));
    control.ask_rollout(admin, rollout, Ask::Abort, None).await.expect("aborted");
    control.end_warmth(admin, staging).await.expect("ended");
    let (ended, now) = warm().await;
    assert!(ended.until <= now && ended.end_asked);
    conflict(&control.end_warmth(admin, staging).await.expect_err("once"));
}
