//! Kept samples: who may see them, and what is marked in them.

use crate::world::{World, name};
use domain::{
    error::Problem,
    observing::Window,
    role::{Role, Scope},
    samples::Range,
    slot::Slot,
    view::MarkOf,
};
use sqlx::PgPool;
use store::samples::SlotSecond;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_may_see_a_service_sees_its_past_and_nobody_else(pool: PgPool) {
    let world = World::new(pool).await;
    let hello = world.service("hello").await;
    world.service_in("zoo", "other").await;
    let staging = world.placement(hello, "staging").await;
    let local = world.placement(hello, "local").await;
    let release = world.release(hello, "1").await;
    world.deploy(staging, release).await;
    let rollout = world.newest(staging).await.expect("a rollout");
    let held = world.held(staging).await;
    let mut conn = world.pool.acquire().await.expect("a connection");
    let now = store::now(&mut conn).await.expect("the time").unix_timestamp();
    let traffic = Window { seconds: 1, requests: 42, ..Window::default() };
    let row = SlotSecond {
        placement: staging,
        at: now - 5,
        slot: Slot::Blue,
        traffic: Some(traffic),
        used: None,
    };
    store::samples::keep(&mut conn, held.node, &[row], &[]).await.expect("kept");
    drop(conn);
    let environment = world.environment("staging").await;
    let sees = world.person("Vera", Role::Viewer, Scope::Environment { environment }).await;
    let stranger = world.stranger("Stan").await;
    let (project, service) = (name("demo"), name("hello"));
    let control = &world.control;

    // A point is shown when it is over, and a mark with it: that takes two seconds.
    let mut past;
    let mut asked = 0;
    loop {
        past = control.past(&sees, &project, &service, None, Range::Quarter).await.expect("seen");
        asked += 1;
        if !past.marks.is_empty() || asked == 50 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let requests: u64 = past.course.points.iter().filter_map(|p| p.blue).map(|p| p.requests).sum();
    assert_eq!((past.placement, requests), (staging, 42));
    assert_eq!(past.environments, [name("staging")], "not those that she does not see");
    let marked: Vec<_> = past.marks.iter().map(|mark| (mark.what, mark.rollout)).collect();
    assert_eq!(marked, [(MarkOf::Asked, rollout)]);
    let of_rollout = control.past_of_rollout(&sees, rollout).await.expect("seen");
    assert!(of_rollout.goes_on && of_rollout.range.is_none());
    let (place, course) =
        control.course_of(&sees, staging, Some(rollout), Range::Quarter).await.expect("seen");
    assert_eq!(place.service, service);
    assert!(course.to_csv().contains(",blue,42,"));

    let missing = Problem::not_found("service");
    let other = Some(name("local"));
    for refused in [
        control.past(&sees, &project, &service, other.as_ref(), Range::Quarter).await,
        control.past(&stranger, &project, &service, None, Range::Quarter).await,
    ] {
        assert_eq!(refused.expect_err("not seen"), missing);
    }
    let refused = control.past_of_rollout(&stranger, rollout).await.expect_err("not seen");
    assert_eq!(refused, Problem::not_found("rollout"));
    for (who, placement) in [(&stranger, staging), (&sees, local)] {
        let refused = control.course_of(who, placement, None, Range::Week).await;
        assert_eq!(refused.expect_err("not seen"), missing);
    }
    let refused = control.course_of(&world.admin, local, Some(rollout), Range::Week).await;
    assert_eq!(refused.expect_err("of another place"), Problem::not_found("rollout"));

    sqlx::query("update placements set archived_at = now(), holder = null where id = $1")
        .bind(staging.0)
        .execute(&world.pool)
        .await
        .expect("removed");
    let told = control.past_of_rollout(&sees, rollout).await.expect("what was removed has a past");
    assert_eq!(told.placement, staging);
}
