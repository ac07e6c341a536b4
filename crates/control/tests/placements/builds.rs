//! Builds as people ask for them: who may, what is pinned, and what two clicks come to.

use crate::world::{World, facts, name};
use control::{Asked, BuildWish, LogWish};
use domain::{
    build::{
        Ending, Phase, SIZE_BUDGET_BYTES, Source,
        log::BuildLine,
        view::{BuildsFilter, BuiltCommit},
    },
    error::Problem,
    history::Deed,
    id::{BuildId, NodeId, ReleaseId, ServiceId},
    log::{LINES_SHOWN, LogLine, find::Needle},
    name::Name,
    release::Release,
    role::{Role, Scope},
    source::Recipe,
};
use sqlx::PgPool;
use store::builds::{self, Saved, claims::Held, pages};
use uuid::Uuid;

fn source() -> Source {
    Source {
        url: "https://git.example.org/team/hello.git".parse().expect("an address"),
        default_ref: "main".parse().expect("a branch"),
        recipe: Recipe::default(),
        size_budget_bytes: SIZE_BUDGET_BYTES,
    }
}

struct Stage {
    world: World,
    service: ServiceId,
}

impl Stage {
    async fn new(pool: PgPool) -> Self {
        let world = World::new(pool).await;
        let service = world.service("hello").await;
        let control = &world.control;
        control.edit_source(&world.admin, service, source()).await.expect("a source");
        Self { world, service }
    }

    async fn start(&self, asked: &Asked) -> Result<BuildId, Problem> {
        self.world.control.start_build(asked, self.service, BuildWish::default()).await
    }

    /// As a node would: takes the build that waits longest.
    async fn take(&self) -> Held {
        let node = NodeId(Uuid::now_v7());
        let mut tx = self.world.pool.begin().await.expect("a transaction");
        store::nodes::register(&mut tx, node, None).await.expect("a node");
        let taken =
            builds::claims::next(&mut tx, node, 99).await.expect("taken").expect("one waits");
        tx.commit().await.expect("committed");
        taken.held
    }

    async fn write(&self, held: &Held, numbers: std::ops::RangeInclusive<u64>) {
        let lines: Vec<_> = numbers
            .map(|number| BuildLine {
                number,
                step: Some(1),
                line: LogLine {
                    at_ns: 0,
                    source: domain::log::Source::Out,
                    text: format!("line {number}"),
                    left_out: 0,
                },
            })
            .collect();
        let mut conn = self.world.pool.acquire().await.expect("a connection");
        assert!(builds::logs::append(&mut conn, held, &lines).await.expect("written").is_some());
    }

    async fn fail(&self, held: &Held) {
        let mut conn = self.world.pool.acquire().await.expect("a connection");
        let ending = Ending { step: None, why: "the test says so".to_owned() };
        let saved = Saved { ending: Some(&ending), ..Saved::default() };
        let done = builds::advance(&mut conn, held, Phase::Fetching, Phase::Failed, &saved).await;
        assert!(done.expect("advanced"));
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_build_is_asked_for_once_and_pins_what_the_source_was(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (control, admin) = (&stage.world.control, &stage.world.admin);
    let twice = Asked { idempotency_key: Some("a".to_owned()), ..admin.clone() };

    let build = stage.start(&twice).await.expect("asked");
    assert_eq!(stage.start(&twice).await.expect("the same"), build);
    let mut changed = source();
    changed.recipe.no_cache = true;
    control.edit_source(admin, stage.service, changed).await.expect("changed");

    let page = control.build(admin, build).await.expect("a page");
    assert_eq!((page.row.number, page.row.phase), (1, Phase::Queued));
    assert_eq!(page.source, source(), "as it was when it was asked for");
    assert_eq!(page.rows.len(), 1, "{:?}", page.rows);
    assert_eq!(page.rows[0].sentence.to_text(), "Root asked to build hello at main, build 1");
    let entries = stage.world.rows().await;
    let edits = entries.iter().filter(|entry| entry.deed == Deed::SourceChanged);
    let edits: Vec<_> = edits.map(|entry| entry.changes.clone()).collect();
    assert_eq!(edits.len(), 2);
    assert_eq!((edits[1].len(), edits[1][0].what.as_str()), (1, "without cache"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_may_not_roll_out_there_can_not_build_and_deploy(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let world = &stage.world;
    let deployer = world.person("Dora", Role::Deployer, Scope::Everything).await;
    let deploy_to = |placement| BuildWish { deploy_to: vec![placement], ..BuildWish::default() };
    let (local, production) = (
        world.placement(stage.service, "local").await,
        world.placement(stage.service, "production").await,
    );

    let refused = world.control.start_build(&deployer, stage.service, deploy_to(production)).await;
    assert!(matches!(refused, Err(Problem::Forbidden { .. })), "{refused:?}");
    let build = world.control.start_build(&deployer, stage.service, deploy_to(local)).await;

    let page = world.control.build(&deployer, build.expect("asked")).await.expect("a page");
    assert_eq!(page.row.number, 1, "the refused one left nothing");
    assert_eq!(page.deploys.len(), 1);
    assert!(page.rows[0].sentence.to_text().ends_with("and to deploy it to local"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_viewer_sees_a_build_without_its_lines_and_can_not_stop_it(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let world = &stage.world;
    let viewer = world.person("Vera", Role::Viewer, Scope::Everything).await;
    let stranger = world.stranger("Stan").await;
    let build = stage.start(&world.admin).await.expect("asked");

    let page = world.control.build(&viewer, build).await.expect("a page");
    assert!(page.log.is_none() && !page.row.may.cancel && !page.row.may.logs);
    for refused in [
        world.control.cancel_build(&viewer, build).await.err(),
        stage.start(&viewer).await.err(),
        world.control.build_log(&viewer, build, LogWish::default()).await.err(),
    ] {
        assert!(matches!(refused, Some(Problem::Forbidden { .. })), "{refused:?}");
    }
    let unseen = world.control.build(&stranger, build).await;
    assert!(matches!(unseen, Err(Problem::NotFound { .. })), "{unseen:?}");
    let none = world.control.builds(&stranger, BuildsFilter::default()).await.expect("a page");
    assert!(none.rows.is_empty() && none.projects.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_that_waits_is_cancelled_at_once_and_one_that_runs_is_asked_to_stop(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (control, admin) = (&stage.world.control, &stage.world.admin);
    let runs = stage.start(admin).await.expect("asked");
    stage.take().await;
    let waits = stage.start(admin).await.expect("asked");

    control.cancel_build(admin, waits).await.expect("cancelled");
    control.cancel_build(admin, runs).await.expect("asked to stop");

    let waited = control.build(admin, waits).await.expect("a page");
    assert_eq!(waited.row.phase, Phase::Cancelled);
    let running = control.build(admin, runs).await.expect("a page");
    assert_eq!(running.row.phase, Phase::Fetching);
    assert_eq!(running.row.cancel_asked_by.as_deref(), Some("Root"));
    for again in [waits, runs] {
        let refused = control.cancel_build(admin, again).await;
        assert!(matches!(refused, Err(Problem::Conflict { .. })), "{refused:?}");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn build_all_builds_what_has_a_source_and_only_once_at_a_time(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (control, admin) = (&stage.world.control, &stage.world.admin);
    let other = stage.world.service("other").await;
    control.edit_source(admin, other, source()).await.expect("a source");
    stage.world.service("bare").await;
    let project: Name = name("demo");

    let batch = control.build_all(admin, &project).await.expect("asked");

    let page = control.project_builds(admin, &project, None).await.expect("a page");
    let shown = page.batch.expect("one click");
    assert_eq!((shown.id, shown.open, shown.ended_at), (batch, 2, None));
    assert!(page.services.iter().all(|one| one.build.is_some()));
    assert_eq!(page.without_source, [name("bare")]);
    let refused = control.build_all(admin, &project).await;
    assert!(matches!(&refused, Err(Problem::Conflict { .. })), "{refused:?}");
    for _ in 0..2 {
        let held = stage.take().await;
        stage.fail(&held).await;
    }
    let page = control.project_builds(admin, &project, Some(batch)).await.expect("a page");
    let ended = page.batch.expect("one click");
    assert!(ended.ended_at.is_some() && ended.unhappy == 2 && ended.open == 0);
    control.build_all(admin, &project).await.expect("again");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_log_is_read_from_its_end_searched_and_let_go(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (control, admin) = (&stage.world.control, &stage.world.admin);
    let build = stage.start(admin).await.expect("asked");
    let held = stage.take().await;
    for at in 0..4 {
        stage.write(&held, at * 200 + 1..=at * 200 + 200).await;
    }
    let numbers = |log: &domain::build::log::BuildLog| {
        (log.lines.first().map(|line| line.number), log.lines.last().map(|line| line.number))
    };

    let last = control.build_log(admin, build, LogWish::default()).await.expect("lines");
    assert_eq!((numbers(&last), last.lines.len()), ((Some(301), Some(800)), LINES_SHOWN));
    assert!(last.earlier);
    let before = LogWish { before: Some(301), ..LogWish::default() };
    let before = control.build_log(admin, build, before).await.expect("lines");
    assert_eq!((numbers(&before), before.earlier), ((Some(1), Some(300)), false));
    let after = LogWish { after: Some(795), ..LogWish::default() };
    let after = control.build_log(admin, build, after).await.expect("lines");
    assert_eq!(numbers(&after), (Some(796), Some(800)));
    let needle = Needle::new("LINE 77");
    let found = control.build_log(admin, build, LogWish { needle, ..LogWish::default() }).await;
    assert_eq!(found.expect("found").matched, Some(11), "77 and 770 to 779");

    // What still runs is never let go, however little may be kept.
    let mut conn = stage.world.pool.acquire().await.expect("a connection");
    let keep = std::time::Duration::from_secs(60);
    assert_eq!(builds::logs::sweep(&mut conn, keep, 0).await.expect("swept"), 0);
    stage.fail(&held).await;
    assert_eq!(builds::logs::sweep(&mut conn, keep, 1 << 20).await.expect("swept"), 0);
    assert_eq!(builds::logs::sweep(&mut conn, keep, 0).await.expect("swept"), 1);
    let gone = control.build_log(admin, build, LogWish::default()).await.expect("a page");
    assert!(gone.gone && gone.lines.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_lost_the_claim_writes_nothing_and_moves_nothing(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let build = stage.start(&stage.world.admin).await.expect("asked");
    let old = stage.take().await;
    let mut conn = stage.world.pool.acquire().await.expect("a connection");
    store::nodes::leave(&mut conn, old.node).await.expect("left");
    let node = NodeId(Uuid::now_v7());
    store::nodes::register(&mut conn, node, None).await.expect("a node");

    let new =
        builds::claims::lost(&mut conn, node, &[]).await.expect("taken").expect("it was left");

    assert_eq!((new.held.build, new.held.epoch), (build, old.epoch + 1));
    assert!(builds::claims::lost(&mut conn, node, &[build]).await.expect("asked").is_none());
    let ending = Ending { step: None, why: "late".to_owned() };
    let saved = Saved { ending: Some(&ending), ..Saved::default() };
    let moved = builds::advance(&mut conn, &old, Phase::Fetching, Phase::Failed, &saved).await;
    assert!(!moved.expect("asked"));
    assert!(!builds::save_progress(&mut conn, &old, &[], 9, 0).await.expect("asked"));
    let which = pages::Which { build: Some(build), ..pages::Which::default() };
    let rows = pages::rows(&mut conn, &which, 1).await.expect("read");
    assert_eq!(rows[0].1.phase, Phase::Fetching);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_builds_are_given_goes_in_and_never_comes_out(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (world, control) = (&stage.world, &stage.world.control);
    let deployer = world.person("Dora", Role::Deployer, Scope::Everything).await;
    let viewer = world.person("Vera", Role::Viewer, Scope::Everything).await;
    let name = "npm_token".parse().expect("a name");
    let set = async |asked, value, based_on| {
        control.set_build_secret(asked, stage.service, &name, value, based_on).await
    };
    let user = || Some("reader".parse().expect("a user"));

    assert_eq!(set(&deployer, "first-value-7", 0).await, Ok(1));
    assert!(matches!(set(&deployer, "late", 0).await, Err(Problem::Conflict { .. })));
    assert_eq!(set(&deployer, "second-value-8", 1).await, Ok(2));
    control.set_source_login(&deployer, stage.service, user(), "token-9").await.expect("stored");
    for refused in [
        set(&viewer, "x", 2).await.err(),
        control.remove_build_secret(&viewer, stage.service, &name, 2).await.err(),
        control.set_source_login(&viewer, stage.service, None, "").await.err(),
    ] {
        assert!(matches!(refused, Some(Problem::Forbidden { .. })), "{refused:?}");
    }

    let given = control.build_given(&viewer, stage.service).await.expect("seen");
    assert_eq!((given.secrets[0].version, given.secrets[0].set_by.as_str()), (2, "Dora"));
    let login = given.login.clone().expect("one");
    assert_eq!((login.host.as_str(), login.user), ("git.example.org:443", None));
    let told: Vec<_> = world.rows().await.iter().map(|row| row.sentence().to_text()).collect();
    let told = told.join("\n");
    for said in ["set the secret npm_token of builds of hello, version 2", "reads the repository"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    for value in ["first-value-7", "second-value-8", "token-9"] {
        assert!(!told.contains(value) && !format!("{given:?}").contains(value));
    }

    // Removed, and set again: it goes on counting.
    control.remove_build_secret(&deployer, stage.service, &name, 2).await.expect("removed");
    assert!(control.build_given(&deployer, stage.service).await.expect("seen").secrets.is_empty());
    assert_eq!(set(&deployer, "third", 0).await, Ok(3));
    control.set_source_login(&deployer, stage.service, None, "").await.expect("dropped");
    assert!(control.build_given(&deployer, stage.service).await.expect("seen").login.is_none());
}

/// Builds a commit and makes a release of it, as a node would.
async fn built(stage: &Stage, commit: char, tag: &str) -> ReleaseId {
    stage.start(&stage.world.admin).await.expect("asked");
    let held = stage.take().await;
    let mut conn = stage.world.pool.acquire().await.expect("a connection");
    let commit = commit.to_string().repeat(40).parse().expect("a commit");
    let subject = format!("Say {tag}");
    let saved = Saved { commit: Some(&commit), subject: Some(&subject), ..Saved::default() };
    let moved = builds::advance(&mut conn, &held, Phase::Fetching, Phase::Building, &saved).await;
    assert!(moved.expect("advanced"));
    let facts = facts(tag);
    let release = Release {
        id: ReleaseId(Uuid::now_v7()),
        service: stage.service,
        name: tag.parse().expect("a name"),
        image: facts.id.clone(),
        reference: facts.reference.clone(),
        spec: store::services::load(&mut conn, stage.service)
            .await
            .expect("read")
            .expect("a service")
            .spec,
        made_at: time::OffsetDateTime::now_utc(),
    };
    let by = stage.world.admin.actor.id;
    store::releases::add_built(&mut conn, &release, &facts, by, "Root", held.build)
        .await
        .expect("a release");
    let saved = Saved { release: Some(release.id), facts: Some(&facts), ..Saved::default() };
    let moved = builds::advance(&mut conn, &held, Phase::Building, Phase::Succeeded, &saved).await;
    assert!(moved.expect("advanced"));
    release.id
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_commits_between_two_releases_are_those_that_were_built(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let first = built(&stage, 'a', "1.0").await;
    built(&stage, 'b', "1.1").await;
    let held = {
        stage.start(&stage.world.admin).await.expect("asked");
        stage.take().await
    };
    stage.fail(&held).await;
    built(&stage, 'b', "1.2").await;
    let last = built(&stage, 'c', "2.0").await;
    let elsewhere = stage.world.release(stage.service, "other").await;
    let mut conn = stage.world.pool.acquire().await.expect("a connection");
    let mut between = async |now, then| {
        let found = builds::commits::between(&mut conn, now, then).await.expect("read");
        let told = |of: &BuiltCommit| (of.number, of.subject.clone().unwrap_or_default());
        let rows: Vec<_> = found.between.iter().map(told).collect();
        (found.now.as_ref().map(told), rows, found.then.as_ref().map(told))
    };
    let row = |number, subject: &str| (number, subject.to_owned());

    let forth = between(Some(first), Some(last)).await;
    let back = between(Some(last), Some(first)).await;
    let unknown = between(Some(elsewhere), Some(last)).await;
    let only = between(None, Some(first)).await;

    let middle = vec![row(4, "Say 1.2")];
    assert_eq!(forth, (Some(row(1, "Say 1.0")), middle.clone(), Some(row(5, "Say 2.0"))));
    assert_eq!(back, (Some(row(5, "Say 2.0")), middle, Some(row(1, "Say 1.0"))));
    assert_eq!(unknown, (None, vec![], Some(row(5, "Say 2.0"))));
    assert_eq!(only, (None, vec![], Some(row(1, "Say 1.0"))));
}
