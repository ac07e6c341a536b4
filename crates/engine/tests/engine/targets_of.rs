//! Several targets: a placement's own is asked and no other, rows are opened and closed while the
//! engine runs, and one that is silent holds up no other.

use crate::world::{World, image};
use anyhow::Context as _;
use async_trait::async_trait;
use domain::{
    history::Deed,
    id::TargetId,
    live::Message,
    rollout::Phase,
    slot::Slot,
    target::cluster::{ClusterSeen, ContextRead, sealed_about},
};
use engine::live::Heard;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use targets::{
    Target,
    fake::Fake,
    open::{Open, Reached},
};
use uuid::Uuid;
use vault::Vault;

/// Opens every cluster as one in memory, if its credentials are these.
#[derive(Debug)]
struct Elsewhere {
    cluster: Fake,
    credentials: &'static str,
}

#[async_trait]
impl Open for Elsewhere {
    async fn open(&self, reached: &Reached<'_>) -> Result<Arc<dyn Target>, String> {
        if reached.credentials != Some(self.credentials) {
            return Err("these are not its credentials".to_owned());
        }
        Ok(Arc::new(self.cluster.clone()))
    }

    async fn look(&self, _: &Reached<'_>) -> Result<ClusterSeen, String> {
        Err("nobody looks".to_owned())
    }
}

const CREDENTIALS: &str = "a kubeconfig";

fn elsewhere() -> (Fake, Arc<Elsewhere>) {
    let cluster = Fake::new();
    cluster.fetch_images();
    (cluster.clone(), Arc::new(Elsewhere { cluster, credentials: CREDENTIALS }))
}

/// Adds a cluster, and lets the world's environment be there.
async fn move_to_cluster(
    world: &World,
    vault: &Vault,
    credentials: &str,
) -> anyhow::Result<TargetId> {
    let id = TargetId(Uuid::now_v7());
    let sealed = vault.seal(&sealed_about(id), credentials);
    let mut conn = world.pool.acquire().await?;
    let new = store::targets::New {
        id,
        name: &"cluster".parse()?,
        credentials: Some(&sealed),
        context: Some("staging"),
        contexts: &[ContextRead { name: "staging".to_owned(), ..ContextRead::default() }],
        namespaces: &Default::default(),
        by: world.user,
        by_name: "Ana",
    };
    assert!(store::targets::add_cluster(&mut conn, &new).await?);
    sqlx::query("update environments set target_id = $1").bind(id.0).execute(&mut *conn).await?;
    Ok(id)
}

async fn known(world: &World, id: TargetId) -> anyhow::Result<store::targets::Known> {
    let mut conn = world.pool.acquire().await?;
    store::targets::load(&mut conn, id).await?.context("the target")
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_placement_is_driven_on_its_own_target(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (cluster, elsewhere) = elsewhere();
    let vault = Arc::new(Vault::in_memory());
    move_to_cluster(&world, &vault, CREDENTIALS).await?;
    let engine = world.start_elsewhere(1, vault, elsewhere).await?;
    let v1 = world.release("1.0.0").await?;

    let only_here = world.deploy(v1).await?;
    assert_eq!(world.end(only_here).await?, Phase::Failed);
    let why = format!("{:?}", world.state(only_here).await?);
    assert!(why.contains("is only on this machine"), "{why}");

    let mut conn = world.pool.acquire().await?;
    let (repository, digest) = ("registry.example.org/demo/api".parse()?, image(v1)?);
    let digest = digest.as_str().parse()?;
    store::pushes::remember_digest(&mut conn, &image(v1)?, &repository, &digest, "pushed").await?;
    drop(conn);
    let facts = world.target.image(&image(v1)?.as_str().parse()?).await?;
    cluster.add_image(facts);
    let deployed = world.deploy(v1).await?;
    assert_eq!(world.end(deployed).await?, Phase::Succeeded);

    let place = world.placement().await?.place;
    let there = cluster.observe(&place).await?;
    assert_eq!(there.route.and_then(|route| route.live), Some(Slot::Blue));
    let here = world.target.observe(&place).await?;
    assert!(here.route.is_none() && here.slots.of(Slot::Blue).is_empty());
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_can_not_be_opened_says_why_and_is_opened_with_other_credentials(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (_, elsewhere) = elsewhere();
    let vault = Arc::new(Vault::in_memory());
    let engine = world.start_elsewhere(1, vault.clone(), elsewhere).await?;
    let id = move_to_cluster(&world, &vault, "others").await?;
    let says = async |answers: bool, words: &str| {
        let known = known(&world, id).await?;
        Ok(known.answers == Some(answers) && known.says.contains(words))
    };

    world.until("told why", async || says(false, "not its credentials").await).await?;
    let mut conn = world.pool.acquire().await?;
    let sealed = vault.seal(&sealed_about(id), CREDENTIALS);
    let new = store::targets::Credentials {
        sealed: Some(&sealed),
        context: Some("staging"),
        contexts: &[],
        by: world.user,
        by_name: "Ana",
    };
    store::targets::set_credentials(&mut conn, id, &new).await?;
    world.until("opened", async || says(true, "A machine in memory").await).await?;

    // Sealed about another row, as after a lost key.
    let lost = store::targets::Credentials { sealed: Some(b"lost"), ..new };
    store::targets::set_credentials(&mut conn, id, &lost).await?;
    world
        .until("told that it is lost", async || says(false, "key of this installation").await)
        .await?;
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_silent_target_holds_up_no_other(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (cluster, elsewhere) = elsewhere();
    let vault = Arc::new(Vault::in_memory());
    let engine = world.start_elsewhere(1, vault.clone(), elsewhere).await?;
    let deployed = world.deploy(world.release("1.0.0").await?).await?;
    assert_eq!(world.end(deployed).await?, Phase::Succeeded);

    // Another environment's placement, which only its target knows of.
    cluster.set_mute(true);
    let silent = move_another_to_cluster(&world, &vault).await?;
    world
        .until("it is said not to answer", async || {
            let known = known(&world, silent).await?;
            Ok(known.answers == Some(false) && known.says.contains("did not answer in"))
        })
        .await?;

    let mut hub = engine.hub().subscribe();
    let heard = async {
        let mut samples = 0;
        while samples < 3 {
            if let Heard::Event(event) = hub.recv().await?
                && let Message::Sample(sample) = &event.message
                && sample.placement == world.id
            {
                samples += 1;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(8), heard).await.context("no samples")??;
    let mut conn = world.pool.acquire().await?;
    let machine = store::targets::machine(&mut conn).await?.context("this machine")?;
    assert_eq!(known(&world, machine).await?.answers, Some(true));
    engine.stop().await;
    Ok(())
}

/// Every environment on it is told, so that a board that is open draws itself anew.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_target_that_falls_silent_is_told_within_ten_seconds_and_so_is_its_return(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (cluster, elsewhere) = elsewhere();
    let vault = Arc::new(Vault::in_memory());
    let engine = world.start_elsewhere(1, vault.clone(), elsewhere).await?;
    let id = move_another_to_cluster(&world, &vault).await?;
    let is = async |answers: bool| Ok(known(&world, id).await?.answers == Some(answers));
    world.until("it answers", async || is(true).await).await?;
    let told = async || {
        let mut conn = world.pool.acquire().await?;
        let rows = store::history::after(&mut conn, 0, 10_000).await?;
        let entries = rows.iter().map(|row| row.entry()).collect::<Result<Vec<_>, _>>()?;
        let of_it = entries.into_iter().filter(|entry| {
            matches!(entry.deed, Deed::TargetSilent { .. } | Deed::TargetAnswers { .. })
        });
        anyhow::Ok(of_it.collect::<Vec<_>>())
    };
    assert_eq!(told().await?, [], "that it answers is no news");

    let begun = std::time::Instant::now();
    cluster.set_mute(true);
    world.until("it is told", async || Ok(!told().await?.is_empty())).await?;
    assert!(begun.elapsed() < Duration::from_secs(10), "after {:?}", begun.elapsed());
    assert!(is(false).await?);
    let row = told().await?.remove(0);
    let sentence = row.sentence().to_text();
    assert_eq!(row.subject.environment.as_ref().map(|name| name.as_str()), Some("production"));
    assert!(
        sentence.starts_with("The target cluster of production does not answer: "),
        "{sentence}"
    );

    cluster.set_mute(false);
    world.until("its return is told", async || Ok(told().await?.len() == 2)).await?;
    assert!(matches!(told().await?[1].deed, Deed::TargetAnswers { .. }));
    assert!(is(true).await?);
    engine.stop().await;
    Ok(())
}

/// A cluster with an environment and a placement of its own.
async fn move_another_to_cluster(world: &World, vault: &Vault) -> anyhow::Result<TargetId> {
    let id = TargetId(Uuid::now_v7());
    let sealed = vault.seal(&sealed_about(id), CREDENTIALS);
    let mut tx = world.pool.begin().await?;
    let new = store::targets::New {
        id,
        name: &"cluster".parse()?,
        credentials: Some(&sealed),
        context: Some("staging"),
        contexts: &[ContextRead { name: "staging".to_owned(), ..ContextRead::default() }],
        namespaces: &Default::default(),
        by: world.user,
        by_name: "Ana",
    };
    store::targets::add_cluster(&mut tx, &new).await?;
    let environment = domain::environment::Environment {
        id: domain::id::EnvironmentId(Uuid::now_v7()),
        name: "production".parse()?,
        position: 2,
        protected: true,
        policy: domain::policy::Policy::of_new(true),
    };
    store::environments::add(&mut tx, &environment, id).await?;
    let placement = domain::id::PlacementId(Uuid::now_v7());
    let new = store::services::NewPlacement {
        id: placement,
        service: world.service,
        environment: environment.id,
        size: domain::service::Size::ONE,
        configuration: domain::id::ConfigurationId(Uuid::now_v7()),
        limits: &domain::service::Limits::DEFAULT,
        by: world.user,
        by_name: "Ana",
    };
    store::services::add_placement(&mut tx, &new).await?;
    store::wake::work(&mut tx, &placement.to_string()).await?;
    tx.commit().await?;
    Ok(id)
}
