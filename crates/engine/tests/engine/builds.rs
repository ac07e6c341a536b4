//! Builds from the queue to their end, cut off wherever one can be cut off.

use crate::{
    builder::{BASE, Directory, Hand, How, facts},
    world::World,
};
use anyhow::Context;
use domain::{
    build::{Phase, SIZE_BUDGET_BYTES, Source, given::login_about, view::BuildRow},
    configuration::secret::Version,
    id::{BuildId, GrantId, SecretId},
    registry::{PushRule, Standing, tags},
    role::{Role, Scope},
    source::Recipe,
};
use engine::{Engine, builds::Settings};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use store::builds::{self, pages};
use tokio::time::Instant;
use uuid::Uuid;
use vault::Vault;

/// A world in which is built.
struct Yard {
    world: World,
    hand: Hand,
    directory: Directory,
}

impl Yard {
    async fn new(pool: PgPool) -> anyhow::Result<Self> {
        Ok(Self {
            world: World::new(pool).await?,
            hand: Hand::default(),
            directory: Directory::new(),
        })
    }

    fn settings(&self) -> Settings {
        Settings {
            builder: Arc::new(self.hand.clone()),
            at_once: 1,
            within: Duration::from_secs(60),
            directory: self.directory.0.clone(),
        }
    }

    async fn start(&self, node: u128) -> anyhow::Result<Engine> {
        self.world.start_building(node, self.settings()).await
    }

    async fn ask(&self) -> anyhow::Result<BuildId> {
        self.ask_for(false).await
    }

    async fn ask_for(&self, pushes: bool) -> anyhow::Result<BuildId> {
        let source = Source {
            url: "https://git.example.org/team/api.git".parse()?,
            default_ref: "main".parse()?,
            recipe: Recipe::default(),
            size_budget_bytes: SIZE_BUDGET_BYTES,
        };
        let new = builds::New {
            id: BuildId(Uuid::now_v7()),
            service: self.world.service,
            batch: None,
            asked: &source.default_ref,
            source: &source,
            pushes,
            by: self.world.user,
            by_name: "Ana",
        };
        let mut conn = self.world.pool.acquire().await?;
        builds::queue(&mut conn, &new).await?;
        store::wake::work(&mut conn, "build").await?;
        Ok(new.id)
    }

    async fn cancel(&self, build: BuildId) -> anyhow::Result<()> {
        let mut conn = self.world.pool.acquire().await?;
        builds::ask_cancel(&mut conn, build, "Bo").await?;
        Ok(store::wake::work(&mut conn, "build").await?)
    }

    async fn row(&self, build: BuildId) -> anyhow::Result<BuildRow> {
        let mut conn = self.world.pool.acquire().await?;
        let which = pages::Which { build: Some(build), ..pages::Which::default() };
        let (_, row) = pages::rows(&mut conn, &which, 1).await?.pop().context("a build")?;
        Ok(row)
    }

    async fn until(&self, build: BuildId, phase: Phase) -> anyhow::Result<BuildRow> {
        let what = format!("build {phase}");
        self.world.until(&what, async || Ok(self.row(build).await?.phase == phase)).await?;
        self.row(build).await
    }

    /// Until it is in the middle of a phase: what is done for it has begun.
    async fn in_the_middle_of(&self, build: BuildId, phase: Phase) -> anyhow::Result<()> {
        self.until(build, phase).await?;
        self.world.until("begun", async || Ok(self.hand.open() == 1)).await
    }

    async fn log(&self, build: BuildId) -> anyhow::Result<String> {
        let mut conn = self.world.pool.acquire().await?;
        let (mut text, mut last) = (String::new(), 0);
        loop {
            let lines = builds::logs::after(&mut conn, build, last).await?;
            let Some(newest) = lines.last() else { return Ok(text) };
            last = newest.number;
            lines.iter().for_each(|line| text.push_str(&format!("{}\n", line.line.text)));
        }
    }

    fn is_clean(&self) -> bool {
        self.hand.tree().is_none_or(|tree| !tree.exists())
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_makes_a_release_and_tells_of_every_phase(pool: PgPool) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let build = yard.ask().await?;
    let second = yard.ask().await?;
    assert_eq!(yard.row(second).await?.before_it, Some(1));
    let engine = yard.start(1).await?;
    let mut viewer = engine.build_logs().follow(build, 0).context("followed")?;

    let row = yard.until(build, Phase::Succeeded).await?;

    assert_eq!(row.release.as_ref().map(|release| release.name.as_str()), Some("v1.0"));
    assert_eq!((row.count.steps, row.count.cached), (2, 1));
    assert!(row.is_over(), "600 MiB");
    assert_eq!(
        yard.until(second, Phase::Succeeded).await?.release.map(|r| r.name),
        Some("v1.0-2".to_owned())
    );
    let mut conn = yard.world.pool.acquire().await?;
    let rows = store::history::of_build(&mut conn, build, "api", row.asked_at).await?;
    let told = rows.iter().map(|row| row.shown().sentence.to_text()).collect::<Vec<_>>().join("\n");
    for words in [
        "is fetching",
        "is building: commit 01234567, tag v1.0",
        "succeeded: release v1.0, 600 MiB, 2 steps",
    ] {
        assert!(told.contains(words), "{words} is not in {told}");
    }
    assert!(yard.log(build).await?.contains("\u{1b}[32mcompiling"));
    let mut heard = String::new();
    while let Some(json) = viewer.take() {
        heard.push_str(&json);
    }
    assert!(heard.contains("compiling"), "{heard}");
    yard.world.until("cleared", async || Ok(yard.is_clean())).await?;
    assert!(yard.world.prove().await?);
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_is_a_release_only_after_its_push_and_none_when_it_can_not_be_pushed(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let vault = Vault::in_memory();
    let registry = yard.world.add_registry("registry.example.org", None, &vault).await?;
    let rule = PushRule {
        registry,
        repository: "registry.example.org/demo/api".parse()?,
        tags: tags::read("{commit}\n{version}")?,
        after_build: true,
    };
    let mut conn = yard.world.pool.acquire().await?;
    store::registries::set_rule(&mut conn, yard.world.service, &rule).await?;
    let build = yard.ask_for(true).await?;
    yard.world.target.add_image(facts(build));
    let engine = yard.start(1).await?;

    let row = yard.until(build, Phase::Succeeded).await?;

    assert!(row.release.is_some());
    let digests = store::pushes::digests(&mut conn, &facts(build).id).await?;
    assert_eq!(digests[0].repository, rule.repository);
    let log = yard.log(build).await?;
    assert!(log.contains("Pushing to registry.example.org/demo/api as 01234567"), "{log}");
    assert!(log.contains(digests[0].digest.as_str()), "{log}");

    // The registry is away: there is an image, and no release of it.
    yard.world.target.trouble_registry(Some(Standing::Slow));
    let build = yard.ask_for(true).await?;
    yard.world.target.add_image(facts(build));
    let row = yard.until(build, Phase::Failed).await?;
    let ending = row.ending.context("an ending")?;
    assert_eq!(ending.step.as_deref(), Some("push"));
    assert!(ending.why.contains("did not answer in time"), "{}", ending.why);
    assert!(row.release.is_none());

    // A transfer that is under way is dropped when somebody says stop.
    yard.world.target.trouble_registry(None);
    yard.world.target.hold_transfers(true);
    let build = yard.ask_for(true).await?;
    yard.world.target.add_image(facts(build));
    yard.until(build, Phase::Pushing).await?;
    yard.cancel(build).await?;
    yard.until(build, Phase::Cancelled).await?;
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_failed_build_says_which_step_and_why_and_never_moves_again(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    yard.hand.does(How::Fails);
    let build = yard.ask().await?;
    let engine = yard.start(1).await?;

    let row = yard.until(build, Phase::Failed).await?;

    let ending = row.ending.context("an ending")?;
    assert_eq!(ending.step.as_deref(), Some("[2/2] RUN make"));
    assert_eq!(ending.why, "make ended with 2.");
    assert!(row.release.is_none());
    assert!(yard.log(build).await?.contains("The build failed at [2/2] RUN make"));
    engine.stop().await;
    let again = sqlx::query(
        "update builds set phase = 'building', ended_at = null, ending = null where id = $1",
    );
    let refused = again.bind(build.0).execute(&yard.world.pool).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("never moves again")));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_cancelled_stops_really_in_every_phase(pool: PgPool) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let engine = yard.start(1).await?;
    for (how, phase) in
        [(How::FetchesForEver, Phase::Fetching), (How::BuildsForEver, Phase::Building)]
    {
        yard.hand.does(how);
        let build = yard.ask().await?;
        yard.in_the_middle_of(build, phase).await?;

        let asked = Instant::now();
        yard.cancel(build).await?;
        let row = yard.until(build, Phase::Cancelled).await?;

        assert!(asked.elapsed() < Duration::from_secs(2), "{phase}: {:?}", asked.elapsed());
        assert_eq!(row.ending.context("an ending")?.why, "Bo cancelled it");
        assert_eq!(yard.hand.open(), 0, "{phase}: it is dropped");
        yard.world.until("cleared", async || Ok(yard.is_clean())).await?;
    }
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn so_many_run_and_the_others_wait_in_their_order(pool: PgPool) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    yard.hand.does(How::BuildsForEver);
    let (first, second, third) = (yard.ask().await?, yard.ask().await?, yard.ask().await?);
    let engine = yard.start(1).await?;
    yard.in_the_middle_of(first, Phase::Building).await?;

    // Another node has no more room than this one.
    let other = yard.start(2).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;

    assert_eq!(yard.hand.began(), [first]);
    assert_eq!(yard.row(second).await?.before_it, Some(0));
    assert_eq!(yard.row(third).await?.before_it, Some(1));
    yard.hand.does(How::Well);
    yard.cancel(first).await?;
    yard.until(third, Phase::Succeeded).await?;
    assert_eq!(yard.hand.began(), [first, second, third]);
    engine.stop().await;
    other.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_whose_engine_died_is_found_again_or_said_to_be_interrupted(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    for (how, phase, end) in [
        (How::FetchesForEver, Phase::Fetching, Phase::Interrupted),
        (How::BuildsForEver, Phase::Building, Phase::Interrupted),
        (How::BuildsUnheard, Phase::Building, Phase::Succeeded),
    ] {
        yard.hand.does(how);
        let engine = yard.start(1).await?;
        let build = yard.ask().await?;
        yard.in_the_middle_of(build, phase).await?;
        drop(engine);
        yard.world.until("it is dead", async || Ok(yard.hand.open() == 0)).await?;

        let engine = yard.start(1).await?;
        let row = yard.until(build, end).await?;

        assert_eq!(row.release.is_some(), end == Phase::Succeeded, "{how:?}");
        if end == Phase::Interrupted {
            assert!(row.ending.context("an ending")?.why.contains("build again"), "{how:?}");
        }
        yard.world.until("cleared", async || Ok(yard.is_clean())).await?;
        engine.stop().await;
    }
    assert!(yard.world.prove().await?);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_node_takes_what_was_left_when_the_lease_is_over(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    yard.hand.does(How::BuildsUnheard);
    let engine = yard.start(1).await?;
    let build = yard.ask().await?;
    yard.in_the_middle_of(build, Phase::Building).await?;
    drop(engine);

    let other = yard.start(2).await?;
    let row = yard.until(build, Phase::Succeeded).await?;

    assert_eq!(row.commit.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
    assert_eq!(row.release.map(|release| release.name), Some("v1.0".to_owned()));
    other.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_that_takes_too_long_fails_and_says_so(pool: PgPool) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    yard.hand.does(How::BuildsForEver);
    let settings = Settings { within: Duration::from_secs(1), ..yard.settings() };
    let engine = yard.world.start_building(1, settings).await?;
    let build = yard.ask().await?;

    let row = yard.until(build, Phase::Failed).await?;

    let ending = row.ending.context("an ending")?;
    assert_eq!(ending.step.as_deref(), Some("[2/2] RUN make"));
    assert!(ending.why.starts_with("It took longer than"), "{}", ending.why);
    assert_eq!(yard.hand.open(), 0);
    engine.stop().await;
    Ok(())
}

/// The act of the one who asked, if he may still do it when the release is there.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn build_and_deploy_rolls_out_unless_the_right_is_gone(pool: PgPool) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let grant = GrantId(Uuid::now_v7());
    let mut conn = yard.world.pool.acquire().await?;
    store::grants::give(&mut conn, grant, yard.world.user, Role::Deployer, Scope::Everything, None)
        .await?;
    // Somebody has to stay an admin.
    let admin = domain::id::UserId(Uuid::now_v7());
    store::users::add(&mut conn, admin, "Root", "no password").await?;
    let other = GrantId(Uuid::now_v7());
    store::grants::give(&mut conn, other, admin, Role::Admin, Scope::Everything, None).await?;
    let engine = yard.start(1).await?;

    let build = yard.ask().await?;
    builds::deploys::add(&mut conn, build, yard.world.id, None).await?;
    yard.until(build, Phase::Succeeded).await?;
    let deploys = async |build| {
        let mut conn = yard.world.pool.acquire().await?;
        anyhow::Ok(builds::deploys::of(&mut conn, build).await?.pop().context("a deploy")?)
    };
    yard.world.until("deployed", async || Ok(deploys(build).await?.rollout.is_some())).await?;
    let rollout = deploys(build).await?.rollout.context("a rollout")?;
    assert!(yard.world.said("deployer in everything").await?, "who did it, by which role");

    // Meanwhile the same person asks again, and loses the right before the release is there.
    yard.hand.does(How::BuildsForEver);
    let late = yard.ask().await?;
    builds::deploys::add(&mut conn, late, yard.world.id, Some(rollout)).await?;
    yard.in_the_middle_of(late, Phase::Building).await?;
    store::grants::take(&mut conn, grant).await?;
    yard.cancel(late).await?;
    yard.until(late, Phase::Cancelled).await?;
    assert!(deploys(late).await?.refused.context("refused")?.contains("cancelled"));
    yard.hand.does(How::Well);
    let last = yard.ask().await?;
    builds::deploys::add(&mut conn, last, yard.world.id, Some(rollout)).await?;
    yard.until(last, Phase::Succeeded).await?;

    yard.world.until("refused", async || Ok(deploys(last).await?.refused.is_some())).await?;
    let refused = deploys(last).await?.refused.context("refused")?;
    assert!(refused.contains("Ana may not roll out in staging any more"), "{refused}");
    assert!(yard.world.said("build_not_deployed").await?);
    engine.stop().await;
    Ok(())
}

const SECRET: &str = "a-value-for-steps-41";
const TOKEN: &str = "a-token-for-git-42";
const PASSWORD: &str = "a-password-for-bases-43";

impl Yard {
    /// A secret, a login at `host`, and two registries, sealed by `vault`.
    async fn gives(&self, host: &str, vault: &Vault) -> anyhow::Result<()> {
        let service = self.world.service;
        let version = Version { secret: SecretId(Uuid::now_v7()), version: 1 };
        let mut conn = self.world.pool.acquire().await?;
        let sealed = vault.seal(&version.about(), SECRET);
        let name = &"npm".parse()?;
        let by = self.world.user;
        let new =
            builds::given::New { service, name, version, sealed: &sealed, by, by_name: "Ana" };
        builds::given::set(&mut conn, &new).await?;
        let sealed = vault.seal(&login_about(service, host), TOKEN);
        let login = (host, &"reader".parse()?, sealed.as_slice());
        builds::given::set_login(&mut conn, service, login, by, "Ana").await?;
        drop(conn);
        self.world.add_registry(BASE, Some(PASSWORD), vault).await?;
        Ok(())
    }

    async fn told(&self) -> anyhow::Result<String> {
        let bodies: Vec<Vec<u8>> = sqlx::query_scalar("select body from history order by number")
            .fetch_all(&self.world.pool)
            .await?;
        Ok(bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect())
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_is_given_what_is_sealed_for_it_and_each_use_is_a_row_without_the_value(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let vault = Arc::new(Vault::in_memory());
    yard.gives("git.example.org:443", &vault).await?;
    let engine = yard.world.start_building_with(1, yard.settings(), vault).await?;

    let build = yard.ask().await?;
    let row = yard.until(build, Phase::Succeeded).await?;

    let login = yard.hand.from().and_then(|from| from.login).context("a login")?;
    assert_eq!((login.user.as_str(), login.token.expose()), ("reader", TOKEN));
    let order = yard.hand.order().context("an order")?;
    let secrets: Vec<_> = order.secrets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((secrets, order.secrets[0].1.expose()), (vec!["npm"], SECRET));
    let registries: Vec<_> = order.registries.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(registries, [BASE]);
    assert_eq!(row.subject.as_deref(), Some("Say hello"));
    let (told, log) = (yard.told().await?, yard.log(build).await?);
    for said in ["the secret npm version 1", "the login of base.example.org", "to fetch build 1"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    for hidden in [SECRET, TOKEN, PASSWORD] {
        assert!(
            !told.contains(hidden)
                && !log.contains(hidden)
                && !format!("{order:?}").contains(hidden)
        );
    }
    engine.stop().await;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_login_of_another_host_stays_here_and_a_secret_of_a_lost_key_ends_the_build(
    pool: PgPool,
) -> anyhow::Result<()> {
    let yard = Yard::new(pool).await?;
    let theirs = Vault::in_memory();
    yard.gives("git.example.org:8443", &theirs).await?;
    let engine = yard.start(1).await?;

    let build = yard.ask().await?;
    let row = yard.until(build, Phase::Failed).await?;

    assert!(yard.hand.from().context("it was fetched")?.login.is_none());
    assert!(yard.hand.order().is_none(), "nothing was built without it");
    let why = row.ending.context("an ending")?.why;
    assert!(why.contains("The secret npm can not be read") && why.contains("Set it anew"), "{why}");
    engine.stop().await;
    Ok(())
}
