//! Who holds a placement and what a holder may still write, in a real database with several nodes.

use domain::{
    configuration::Configuration,
    environment::Environment,
    id::{
        ConfigurationId, EnvironmentId, InquiryId, NodeId, PlacementId, ProjectId, ReleaseId,
        RolloutId, ServiceId, TargetId, UserId,
    },
    name::Name,
    policy::Policy,
    release::{ImageFacts, Pair, Release},
    rollout::{Ask, Kind, Phase, Request, State},
    service::{Check, Exposure, Limits, ServiceSpec, Size, Strategy},
    slot::Slot,
    view::InquiryAnswer,
};
use sqlx::PgPool;
use std::{collections::HashSet, time::Duration};
use store::{
    inquiries::{self, Question},
    nodes::{self, LEASE},
    placements::{self, Confirmed, Held, Live, Warm, claims},
    rollouts,
    services::NewPlacement,
    targets,
    wake::{self, Of, Wakes},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// A service with some placements, one release, and somebody who asks.
struct World {
    pool: PgPool,
    user: UserId,
    target: TargetId,
    project: ProjectId,
    service: ServiceId,
    placements: Vec<PlacementId>,
    pair: Pair,
}

fn new<T>(id: fn(Uuid) -> T) -> T {
    id(Uuid::now_v7())
}

impl World {
    async fn new(pool: PgPool, environments: usize) -> anyhow::Result<Self> {
        let mut conn = pool.acquire().await?;
        let user = new(UserId);
        sqlx::query("insert into users (id, name, password) values ($1, 'Ana', 'none')")
            .bind(user.0)
            .execute(&mut *conn)
            .await?;
        let target = new(TargetId);
        let kind = "fake".to_owned();
        targets::add(&mut conn, &targets::Target { id: target, name: kind.clone(), kind }).await?;
        let (project, service) = (new(ProjectId), new(ServiceId));
        let name: Name = "demo".parse()?;
        assert!(store::projects::add(&mut conn, project, &name).await?);
        let spec = ServiceSpec {
            exposure: Exposure::Http { port: 8080 },
            readiness: Check::of("/health".parse()?),
            version_field: None,
            command: Vec::new(),
            user: None,
            strategy: Strategy::BlueGreen,
            writable_root: false,
        };
        assert!(store::services::add(&mut conn, service, project, &name, &spec).await?);
        let mut ids = Vec::new();
        let mut configuration = None;
        for position in 0..environments {
            let environment = Environment {
                id: new(EnvironmentId),
                name: format!("e{position}").parse()?,
                position: i32::try_from(position)?,
                protected: false,
                policy: Policy::of_new(false),
            };
            store::environments::add(&mut conn, &environment, target).await?;
            let placement = NewPlacement {
                id: new(PlacementId),
                service,
                environment: environment.id,
                size: Size::ONE,
                configuration: new(ConfigurationId),
                limits: &Limits::DEFAULT,
                by: user,
                by_name: "Ana",
            };
            store::services::add_placement(&mut conn, &placement).await?;
            configuration.get_or_insert(placement.configuration);
            ids.push(placement.id);
        }
        let facts = ImageFacts {
            id: format!("sha256:{}", "a".repeat(64)).parse()?,
            reference: "hello:1".parse()?,
            size_bytes: 1,
            platform: "linux/amd64".to_owned(),
            user: "1000".to_owned(),
            ports: vec![8080],
            command: Vec::new(),
            created_at: None,
        };
        let release = Release {
            id: new(ReleaseId),
            service,
            name: "1".parse()?,
            image: facts.id.clone(),
            reference: facts.reference.clone(),
            spec,
            made_at: OffsetDateTime::now_utc(),
        };
        store::releases::add(&mut conn, &release, &facts, user, "Ana").await?;
        let configuration = configuration.expect("at least one placement");
        let pair = Pair { release: release.id, configuration };
        Ok(Self { user, target, project, service, placements: ids, pair, pool })
    }

    async fn node(&self) -> anyhow::Result<NodeId> {
        let node = new(NodeId);
        nodes::register(&mut *self.pool.acquire().await?, node, None).await?;
        Ok(node)
    }

    /// As if the node had been silent for longer than its lease.
    async fn silence(&self, node: NodeId) -> anyhow::Result<()> {
        sqlx::query("update nodes set seen_at = now() - interval '1 minute' where id = $1")
            .bind(node.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn claim(&self, node: NodeId) -> anyhow::Result<Vec<Held>> {
        Ok(claims::claim(&mut *self.pool.acquire().await?, node, LEASE).await?)
    }

    async fn queue(&self, kind: Kind) -> anyhow::Result<RolloutId> {
        let mut conn = self.pool.acquire().await?;
        let placement = placements::load(&mut conn, self.placements[0]).await?.expect("there");
        let (id, pair) = (new(RolloutId), self.pair);
        let new = rollouts::New { id, kind, pair, by: self.user, by_name: "Ana", reason: None };
        rollouts::queue(&mut conn, &placement, &new).await?;
        Ok(id)
    }

    async fn state(&self) -> anyhow::Result<(Phase, State, Option<Request>)> {
        let mut conn = self.pool.acquire().await?;
        let current = rollouts::current(&mut conn, self.placements[0]).await?.expect("there");
        let rollout = current.rollout;
        Ok((rollout.state.phase, rollout.state, rollout.request))
    }

    fn live(&self, slot: Slot) -> Live {
        let since = OffsetDateTime::now_utc();
        Live { slot, pair: self.pair, maker: new(RolloutId), since }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn two_nodes_that_claim_at_once_never_hold_one_placement(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 40).await?;
    let (one, two) = (world.node().await?, world.node().await?);

    let (first, second) = tokio::try_join!(world.claim(one), world.claim(two))?;
    let rest = world.claim(two).await?;

    let held: Vec<_> = [first, second, rest].concat();
    let placements: HashSet<_> = held.iter().map(|held| held.placement).collect();
    assert_eq!((held.len(), placements.len()), (40, 40));
    assert!(held.iter().all(|held| held.epoch == 1));
    let mut conn = world.pool.acquire().await?;
    let (one, two) = (claims::held(&mut conn, one).await?, claims::held(&mut conn, two).await?);
    assert_eq!(one.len() + two.len(), 40);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_silent_node_held_is_taken_over_and_a_living_ones_is_not(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool, 2).await?;
    let (old, new) = (world.node().await?, world.node().await?);
    let before = world.claim(old).await?;

    assert!(world.claim(new).await?.is_empty(), "its heart beats");
    world.silence(old).await?;
    let after = world.claim(new).await?;

    assert_eq!((before.len(), after.len()), (2, 2));
    assert!(after.iter().all(|held| held.node == new && held.epoch == 2));
    nodes::beat(&mut *world.pool.acquire().await?, old).await?.expect("it is still known");
    assert!(world.claim(old).await?.is_empty(), "it came back too late");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_verb_has_locked_is_passed_over_and_not_waited_for(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool, 2).await?;
    let node = world.node().await?;
    let mut tx = world.pool.begin().await?;
    assert!(placements::lock(&mut tx, world.placements[0]).await?);

    let claimed = tokio::time::timeout(Duration::from_secs(2), world.claim(node)).await??;
    tx.rollback().await?;

    assert_eq!(claimed.len(), 1);
    assert_eq!(world.claim(node).await?.len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_orderly_stop_hands_over_at_once(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 3).await?;
    let (one, two) = (world.node().await?, world.node().await?);
    world.claim(one).await?;

    assert_eq!(nodes::leave(&mut *world.pool.acquire().await?, one).await?, 3);

    assert_eq!(world.claim(two).await?.len(), 3);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_older_epoch_writes_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let (old, new) = (world.node().await?, world.node().await?);
    let rollout = world.queue(Kind::Deploy).await?;
    let stale = world.claim(old).await?[0];
    world.silence(old).await?;
    let fresh = world.claim(new).await?[0];
    let mut conn = world.pool.acquire().await?;
    let (from, mut state, _) = world.state().await?;
    state.phase = Phase::Preflight;
    let route = Confirmed { epoch: 2, revision: 1, slot: None };
    let live = world.live(Slot::Blue);

    for (held, is) in [(stale, false), (fresh, true)] {
        let advanced =
            rollouts::advance(&mut conn, &held, rollout, from, &state, None, false).await;
        assert_eq!(advanced?, is);
        assert_eq!(placements::confirm_route(&mut conn, &held, &route).await?, is);
        assert_eq!(placements::set_live(&mut conn, &held, Some(&live)).await?, is);
        assert_eq!(placements::set_warm(&mut conn, &held, None).await?, is);
        assert_eq!(placements::set_hold(&mut conn, &held).await?, is);
        let drift = placements::note_drift(&mut conn, &held, Some("gone"), false).await?;
        assert_eq!(drift, is.then_some(true));
        assert_eq!(claims::raise_epoch(&mut conn, &held, 0).await?.is_some(), is);
    }
    assert_eq!(world.state().await?.0, Phase::Preflight);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn neither_the_epoch_nor_the_confirmed_route_goes_back(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let node = world.node().await?;
    let held = world.claim(node).await?[0];
    let mut conn = world.pool.acquire().await?;
    let route = |epoch, revision| Confirmed { epoch, revision, slot: Some(Slot::Blue) };
    assert!(placements::confirm_route(&mut conn, &held, &route(1, 5)).await?);
    assert!(placements::confirm_route(&mut conn, &held, &route(1, 5)).await?, "repeatable");
    assert!(!placements::confirm_route(&mut conn, &held, &route(1, 4)).await?);

    let raised = claims::raise_epoch(&mut conn, &held, 41).await?.expect("still ours");

    assert_eq!(raised.epoch, 42);
    assert!(!placements::confirm_route(&mut conn, &held, &route(42, 1)).await?, "the old claim");
    assert!(placements::confirm_route(&mut conn, &raised, &route(42, 1)).await?);
    for back in [
        "epoch = epoch - 1",
        "route_revision = 0",
        "route_epoch = null, route_revision = null, route_slot = null",
    ] {
        let statement = format!("update placements set {back}");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *conn).await;
        assert!(refused.is_err(), "{back}");
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_placement_has_one_active_rollout_and_one_waiting(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let node = world.node().await?;
    let held = world.claim(node).await?[0];
    let first = world.queue(Kind::Deploy).await?;
    let second = world.queue(Kind::Deploy).await;
    assert!(second.expect_err("one waits").to_string().contains("rollouts_one_waiting"));
    let mut conn = world.pool.acquire().await?;
    let (_, mut state, _) = world.state().await?;
    state.phase = Phase::Preparing;
    assert!(rollouts::advance(&mut conn, &held, first, Phase::Queued, &state, None, false).await?);

    let second = world.queue(Kind::Rollback).await?;

    assert_eq!(world.state().await?.0, Phase::Preparing, "the active one comes first");
    let holding = claims::held(&mut conn, node).await?[0];
    assert_eq!((holding.active, holding.waiting), (Some(first), Some(second)));
    let placement = placements::load(&mut conn, world.placements[0]).await?.expect("there");
    assert_eq!(placement.busy_with, [Kind::Deploy, Kind::Rollback]);
    let both =
        rollouts::advance(&mut conn, &held, second, Phase::Queued, &state, None, false).await;
    assert!(both.expect_err("one is active").is_refused_by("rollouts_one_active"));
    state.phase = Phase::Failed;
    let from = Phase::Preparing;
    assert!(rollouts::advance(&mut conn, &held, first, from, &state, None, false).await?);
    assert_eq!(world.state().await?.0, Phase::Queued, "the waiting one is next");
    state.phase = Phase::Preparing;
    let again =
        rollouts::advance(&mut conn, &held, first, Phase::Failed, &state, None, false).await?;
    assert!(!again, "what has ended never moves again");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_step_that_did_not_see_the_phase_or_the_request_saves_nothing(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let node = world.node().await?;
    let held = world.claim(node).await?[0];
    let id = world.queue(Kind::Deploy).await?;
    let mut conn = world.pool.acquire().await?;
    let (_, mut state, _) = world.state().await?;
    state.phase = Phase::AwaitingPromotion;
    assert!(rollouts::advance(&mut conn, &held, id, Phase::Queued, &state, None, false).await?);
    let wrong = rollouts::advance(&mut conn, &held, id, Phase::Queued, &state, None, false).await?;
    assert!(!wrong, "it is in another phase by now");
    let request =
        |what| Request { what, by: world.user, by_name: "Ana".to_owned(), reason: String::new() };
    let (promote, abort) = (request(Ask::Promote), request(Ask::Abort));
    assert!(rollouts::ask(&mut conn, id, &promote).await?);
    assert!(rollouts::ask(&mut conn, id, &abort).await?);

    let from = Phase::AwaitingPromotion;
    state.phase = Phase::Switching;
    let promoted =
        rollouts::advance(&mut conn, &held, id, from, &state, Some(&promote), true).await?;
    assert!(!promoted, "right after it somebody asked to abort");
    state.phase = Phase::CleaningUp;
    assert!(rollouts::advance(&mut conn, &held, id, from, &state, Some(&abort), true).await?);

    let (phase, _, request) = world.state().await?;
    assert_eq!((phase, request), (Phase::CleaningUp, None));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_rollout_and_a_release_pinned_never_changes(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    world.queue(Kind::Deploy).await?;
    let forbidden = [
        "update rollouts set policy = '{}'",
        "update rollouts set kind = 'rollback'",
        "update rollouts set state = state || '{\"phase\": \"dancing\"}'",
        "update rollouts set state = state || '{\"phase\": \"failed\"}'",
        "delete from rollouts",
        "update releases set reference = 'other:1'",
        "delete from releases",
        "update configurations set variables = '{\"A\": \"1\"}'",
        "delete from configurations",
    ];

    for statement in forbidden {
        let refused = sqlx::query(statement).execute(&world.pool).await;
        assert!(refused.is_err(), "{statement}");
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_slot_that_becomes_live_is_not_warm_any_more(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let node = world.node().await?;
    let held = world.claim(node).await?[0];
    let mut conn = world.pool.acquire().await?;
    let load = async || {
        let mut conn = world.pool.acquire().await?;
        anyhow::Ok(placements::load(&mut conn, world.placements[0]).await?.expect("there"))
    };
    let green = world.live(Slot::Green);
    let until = OffsetDateTime::now_utc();
    let warm =
        Warm { slot: Slot::Green, pair: green.pair, maker: green.maker, until, end_asked: false };
    placements::set_live(&mut conn, &held, Some(&world.live(Slot::Blue))).await?;
    placements::set_warm(&mut conn, &held, Some(&warm)).await?;
    assert_eq!(load().await?.warm.map(|warm| warm.slot), Some(Slot::Green));

    placements::set_live(&mut conn, &held, Some(&green)).await?;

    let placement = load().await?;
    assert_eq!(placement.live.map(|live| live.slot), Some(Slot::Green));
    assert_eq!(placement.warm, None);
    assert_eq!(placement.previous().map(|previous| previous.maker), Some(green.maker));
    assert_eq!(placements::note_drift(&mut conn, &held, Some("x"), false).await?, Some(true));
    assert_eq!(placements::note_drift(&mut conn, &held, Some("x"), false).await?, Some(false));
    assert_eq!(placements::note_drift(&mut conn, &held, None, false).await?, Some(true));
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_inquiry_is_taken_once_answered_once_and_expires(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 1).await?;
    let (one, two) = (world.node().await?, world.node().await?);
    let mut conn = world.pool.acquire().await?;
    let question = Question::Image { reference: "hello:1".parse()?, pull: false };
    let ask = async |id: InquiryId| {
        let (target, project, service) = (world.target, world.project, world.service);
        let new = inquiries::New {
            id,
            question: &question,
            target,
            place: Some((project, service)),
            by: world.user,
        };
        inquiries::ask(&mut *world.pool.acquire().await?, &new).await
    };
    let id = new(InquiryId);
    assert!(ask(id).await?);

    let taken = inquiries::take(&mut conn, one).await?.expect("it is open");
    assert_eq!((taken.id, &taken.question), (id, &question));
    assert!(inquiries::take(&mut conn, two).await?.is_none(), "somebody is at it");
    world.silence(one).await?;
    assert!(inquiries::take(&mut conn, two).await?.is_some(), "he died over it");
    let answer = InquiryAnswer::Refused { why: "no".to_owned() };
    assert!(inquiries::answer(&mut conn, id, &answer).await?);
    assert!(!inquiries::answer(&mut conn, id, &answer).await?);
    let known = inquiries::load(&mut conn, id).await?.expect("there");
    assert!(known.good && known.answer == answer);

    let late = new(InquiryId);
    assert!(ask(late).await?);
    sqlx::query("update inquiries set expires_at = now() where id = $1")
        .bind(late.0)
        .execute(&world.pool)
        .await?;
    assert!(inquiries::take(&mut conn, two).await?.is_none());
    assert!(!inquiries::answer(&mut conn, late, &answer).await?);
    let known = inquiries::load(&mut conn, late).await?.expect("there");
    assert_eq!(known.answer, InquiryAnswer::Expired);

    let mut asked = 0;
    while ask(new(InquiryId)).await? {
        asked += 1;
    }
    assert_eq!(asked, inquiries::MOST_OPEN);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sleeper_wakes_when_it_commits_and_by_itself(pool: PgPool) -> anyhow::Result<()> {
    let wakes = Wakes::listen(pool.clone());
    let mut sleeper = wakes.subscribe();
    // The connection is made, and what it missed is told.
    sleeper.work().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    sleeper.work().await;

    let began = tokio::time::Instant::now();
    let placement = new(PlacementId);
    wake::work(&mut *pool.acquire().await?, &placement.to_string()).await?;
    assert_eq!(sleeper.work().await, [Of::One(placement)], "and nobody else is woken");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());

    let began = tokio::time::Instant::now();
    assert_eq!(sleeper.work().await, []);
    let polled = began.elapsed();
    assert!(polled > Duration::from_millis(500) && polled < Duration::from_secs(3), "{polled:?}");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_configuration_belongs_to_one_placement(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool, 2).await?;
    let mut conn = world.pool.acquire().await?;
    let second = placements::load(&mut conn, world.placements[1]).await?.expect("there");
    let (id, kind, by) = (new(RolloutId), Kind::Deploy, world.user);
    let new = rollouts::New { id, kind, pair: world.pair, by, by_name: "Ana", reason: None };

    let refused = rollouts::queue(&mut conn, &second, &new).await;

    assert!(refused.is_err(), "the configuration is the first placement's");
    let Configuration { number, .. } =
        store::configurations::newest(&mut conn, second.id).await?.expect("there");
    assert_eq!(number, 1);
    Ok(())
}
