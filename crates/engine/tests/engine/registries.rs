//! Images that are sent to a registry, and fetched from one where a target lost them.

use super::world::{World, image};
use domain::{
    id::{PushId, ReleaseId},
    registry::{PushRow, PushState, Standing},
    rollout::{Ask, Phase},
};
use sqlx::PgPool;
use std::sync::Arc;
use vault::Vault;

const PASSWORD: &str = "a password that nobody may read";

impl World {
    /// Asks for a push and waits for its end.
    async fn pushed(&self, release: ReleaseId) -> anyhow::Result<PushRow> {
        let id = self.push(release, "registry.example.org", "1.0.0").await?;
        self.push_ends(release, id).await
    }

    async fn push_ends(&self, release: ReleaseId, id: PushId) -> anyhow::Result<PushRow> {
        let row = async || {
            let mut conn = self.pool.acquire().await?;
            let all = store::pushes::of_release(&mut conn, release, 10).await?;
            anyhow::Ok(all.into_iter().find(|push| push.id == id).expect("it was asked for"))
        };
        self.until("the push is over", async || Ok(!row().await?.state.is_open())).await?;
        row().await
    }

    /// All rows of the history as text.
    async fn told(&self) -> anyhow::Result<String> {
        let bodies: Vec<Vec<u8>> = sqlx::query_scalar("select body from history order by number")
            .fetch_all(&self.pool)
            .await?;
        Ok(bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect())
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_image_that_is_gone_is_fetched_by_the_digest_it_was_pushed_under(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let vault = Arc::new(Vault::in_memory());
    world.target.lock_registry("robot", PASSWORD);
    world.add_registry("registry.example.org", Some(PASSWORD), &vault).await?;
    let engine = world.start_with(1, vault).await?;
    let release = world.release("1.0.0").await?;

    let push = world.pushed(release).await?;
    assert_eq!((push.state, push.why.as_deref()), (PushState::Pushed, None));
    assert_ne!(push.digest.expect("a digest").as_str(), image(release)?.as_str());
    world.target.forget_image(&image(release)?);
    let rollout = world.deploy(release).await?;

    assert_eq!(world.end(rollout).await?, Phase::Succeeded);
    let told = world.told().await?;
    for deed in ["image_pushed", "image_fetched"] {
        assert!(told.contains(deed), "{deed}");
    }
    assert!(!told.contains(PASSWORD));
    assert!(world.prove().await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_registry_says_no_with_is_told_and_the_release_is_not_begun(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let vault = Arc::new(Vault::in_memory());
    world.add_registry("registry.example.org", Some(PASSWORD), &vault).await?;
    let engine = world.start_with(1, vault).await?;
    let release = world.release("1.0.0").await?;
    assert_eq!(world.pushed(release).await?.state, PushState::Pushed);

    // Its password was changed there, and not here.
    world.target.lock_registry("robot", "another");
    let push = world.pushed(release).await?;
    world.target.forget_image(&image(release)?);
    let rollout = world.deploy(release).await?;

    assert_eq!(push.state, PushState::Failed);
    assert!(push.why.expect("a sentence").contains("did not accept"));
    assert_eq!(world.end(rollout).await?, Phase::Failed);
    let ending = world.state(rollout).await?.ending.expect("an ending");
    assert!(ending.why.contains("did not accept the user name and the password"), "{}", ending.why);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_password_of_another_key_is_said_to_be_lost_and_nothing_is_sent_without_it(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.add_registry("registry.example.org", Some(PASSWORD), &Vault::in_memory()).await?;
    let engine = world.start(1).await?;

    let push = world.pushed(world.release("1.0.0").await?).await?;

    assert_eq!(push.state, PushState::Failed);
    assert!(push.why.expect("a sentence").contains("Set it anew under Registries"));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_push_is_done_by_whoever_comes_next_and_not_for_ever(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.add_registry("registry.example.org", None, &Vault::in_memory()).await?;
    let (one, two) = (world.release("1.0.0").await?, world.release("2.0.0").await?);
    let first = world.push(one, "registry.example.org", "1.0.0").await?;
    let second = world.push(two, "registry.example.org", "2.0.0").await?;
    // A node that has had both, the second again and again, and is gone.
    sqlx::query(
        "update pushes set state = 'pushing', attempts = case id when $1 then 1 else 3 end",
    )
    .bind(first.0)
    .execute(&world.pool)
    .await?;

    let engine = world.start(1).await?;

    assert_eq!(world.push_ends(one, first).await?.state, PushState::Pushed);
    let given_up = world.push_ends(two, second).await?;
    assert_eq!(given_up.state, PushState::Failed);
    assert!(given_up.why.expect("a sentence").contains("never came to an end"));
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_registry_that_is_away_ends_a_rollout_with_its_own_sentence(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.add_registry("registry.example.org", None, &Vault::in_memory()).await?;
    let engine = world.start(1).await?;
    let release = world.release("1.0.0").await?;
    assert_eq!(world.pushed(release).await?.state, PushState::Pushed);
    world.target.forget_image(&image(release)?);
    world.target.trouble_registry(Some(Standing::Gone { said: "connection refused".to_owned() }));

    let rollout = world.deploy(release).await?;

    assert_eq!(world.end(rollout).await?, Phase::Failed);
    let why = world.state(rollout).await?.ending.expect("an ending").why;
    assert!(why.contains("Nobody answers at registry.example.org"), "{why}");
    // It is well again: the next one goes.
    world.target.trouble_registry(None);
    let again = world.deploy(release).await?;
    assert_eq!(world.end(again).await?, Phase::Succeeded);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_abort_does_not_wait_for_a_transfer(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.add_registry("registry.example.org", None, &Vault::in_memory()).await?;
    let engine = world.start(1).await?;
    let release = world.release("1.0.0").await?;
    assert_eq!(world.pushed(release).await?.state, PushState::Pushed);
    world.target.forget_image(&image(release)?);
    world.target.hold_transfers(true);

    let rollout = world.deploy(release).await?;
    world
        .until("it is in preflight", async || {
            Ok(world.state(rollout).await?.phase == Phase::Preflight)
        })
        .await?;
    world.ask(rollout, Ask::Abort).await?;

    assert_eq!(world.end(rollout).await?, Phase::Aborted);
    engine.stop().await;
    Ok(())
}
