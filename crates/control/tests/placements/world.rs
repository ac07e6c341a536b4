//! A new installation with people in it, and a hand that does what an engine would.

use control::{Asked, Control, Settings};
use domain::{
    history::{Entry, Origin},
    id::{NodeId, PlacementId, ReleaseId, RolloutId, ServiceId, UserId},
    name::{ContentId, Name},
    release::{ImageFacts, Pair},
    role::{Role, Scope},
    rollout::{Ending, Phase, Pinned},
    service::{Check, Exposure, Limits, ServiceSpec, Size, Strategy},
    slot::Slot,
    view::InquiryAnswer,
};
use sqlx::PgPool;
use std::sync::Arc;
use store::{
    placements::{Held, Live, Warm, claims},
    rollouts::Current,
};
use uuid::Uuid;
use vault::Vault;

pub struct World {
    pub control: Control,
    pub pool: PgPool,
    pub admin: Asked,
    pub vault: Arc<Vault>,
    node: NodeId,
}

pub fn name(word: &str) -> Name {
    word.parse().expect("a name")
}

pub fn spec() -> ServiceSpec {
    ServiceSpec {
        exposure: Exposure::Http { port: 8080 },
        readiness: Check::of("/health".parse().expect("a path")),
        version_field: None,
        command: Vec::new(),
        user: None,
        strategy: Strategy::BlueGreen,
        writable_root: false,
    }
}

impl World {
    pub async fn new(pool: PgPool) -> Self {
        let vault = Arc::new(Vault::in_memory());
        let control = Control::new(pool.clone(), Settings::default(), vault.clone());
        control.begin_installation().await.expect("environments");
        let admin = person(&control, &pool, "Root", &[(Role::Admin, Scope::Everything)]).await;
        let node = NodeId(Uuid::now_v7());
        let mut conn = pool.acquire().await.expect("a connection");
        store::nodes::register(&mut conn, node, None).await.expect("a node");
        Self { control, pool, admin, vault, node }
    }

    pub async fn person(&self, name: &str, role: Role, scope: Scope) -> Asked {
        person(&self.control, &self.pool, name, &[(role, scope)]).await
    }

    pub async fn stranger(&self, name: &str) -> Asked {
        person(&self.control, &self.pool, name, &[]).await
    }

    pub async fn service(&self, service: &str) -> ServiceId {
        self.service_in("demo", service).await
    }

    pub async fn service_in(&self, project: &str, service: &str) -> ServiceId {
        let (project, service) = (name(project), name(service));
        let size = Size::ONE;
        self.control
            .add_service(&self.admin, &project, &service, spec(), Limits::DEFAULT, size)
            .await
            .expect("a service")
    }

    pub async fn placement(&self, service: ServiceId, environment: &str) -> PlacementId {
        PlacementId(
            sqlx::query_scalar(
                "select p.id from placements p join environments e on e.id = p.environment_id
                 where p.service_id = $1 and e.name = $2",
            )
            .bind(service.0)
            .bind(environment)
            .fetch_one(&self.pool)
            .await
            .expect("a placement"),
        )
    }

    pub async fn environment(&self, environment: &str) -> domain::id::EnvironmentId {
        let id = sqlx::query_scalar("select id from environments where name = $1")
            .bind(environment)
            .fetch_one(&self.pool)
            .await;
        domain::id::EnvironmentId(id.expect("an environment"))
    }

    /// As a person would: look the image up, wait for the engine, make the release.
    pub async fn release(&self, service: ServiceId, tag: &str) -> ReleaseId {
        let reference = format!("hello:{tag}").parse().expect("a reference");
        let inquiry = self
            .control
            .look_up_image(&self.admin, service, reference, false)
            .await
            .expect("asked");
        let mut conn = self.pool.acquire().await.expect("a connection");
        let taken = store::inquiries::take(&mut conn, self.node).await.expect("taken");
        assert_eq!(taken.expect("one is open").id, inquiry);
        let answer = InquiryAnswer::Image(facts(tag));
        assert!(store::inquiries::answer(&mut conn, inquiry, &answer).await.expect("answered"));
        self.control.make_release(&self.admin, service, inquiry, None).await.expect("a release")
    }

    /// Starts with the newest rollout there is, as a page just drawn would.
    pub async fn start(&self, placement: PlacementId, release: ReleaseId) -> RolloutId {
        let newest = self.newest(placement).await;
        self.control
            .start_rollout(&self.admin, placement, release, newest, None, false)
            .await
            .expect("started")
    }

    pub async fn newest(&self, placement: PlacementId) -> Option<RolloutId> {
        sqlx::query_scalar(
            "select id from rollouts where placement_id = $1 order by number desc limit 1",
        )
        .bind(placement.0)
        .fetch_optional(&self.pool)
        .await
        .expect("read")
        .map(RolloutId)
    }

    pub async fn held(&self, placement: PlacementId) -> Held {
        let mut conn = self.pool.acquire().await.expect("a connection");
        store::nodes::beat(&mut conn, self.node).await.expect("beat");
        claims::claim(&mut conn, self.node, store::nodes::LEASE).await.expect("claimed");
        let held = claims::held(&mut conn, self.node).await.expect("held");
        held.into_iter().find(|h| h.held.placement == placement).expect("we hold it").held
    }

    pub async fn current(&self, placement: PlacementId) -> Option<Current> {
        let mut conn = self.pool.acquire().await.expect("a connection");
        store::rollouts::current(&mut conn, placement).await.expect("read")
    }

    pub async fn phase(&self, rollout: RolloutId) -> Phase {
        let mut conn = self.pool.acquire().await.expect("a connection");
        let shown = store::rollouts::pages::load(&mut conn, rollout).await.expect("read");
        shown.expect("a rollout").card.state.phase
    }

    /// Moves the current rollout to `phase`, as the engine would, and answers what was asked.
    pub async fn enter(&self, placement: PlacementId, phase: Phase) {
        let held = self.held(placement).await;
        let current = self.current(placement).await.expect("a rollout");
        let mut conn = self.pool.acquire().await.expect("a connection");
        let place = store::placements::load(&mut conn, placement).await.unwrap().expect("there");
        let from = current.rollout.state.phase;
        let mut state = current.rollout.state.clone();
        state.phase = phase;
        if phase == Phase::Preparing {
            let previous = place.previous();
            let new = previous.map_or(Slot::Blue, |previous| previous.slot.other());
            let maker = current.rollout.id;
            state.pinned =
                Some(Pinned { new, maker, previous, size: 1, warm: false, puts_back: false });
        }
        if phase.is_end() {
            state.ending = Some(Ending { end: phase, why: "the test says so".to_owned() });
        }
        let (id, request) = (current.rollout.id, current.rollout.request.as_ref());
        let answered = request.is_some();
        let done =
            store::rollouts::advance(&mut conn, &held, id, from, &state, request, answered).await;
        assert!(done.expect("advanced"), "{from:?} to {phase:?}");
    }

    /// Brings the current rollout to its good end: live, with what was before warm.
    pub async fn succeed(&self, placement: PlacementId) {
        let held = self.held(placement).await;
        let mut conn = self.pool.acquire().await.expect("a connection");
        let before = store::placements::load(&mut conn, placement).await.unwrap().expect("there");
        let current = self.current(placement).await.expect("a rollout");
        for phase in [Phase::Preflight, Phase::Preparing, Phase::Observing, Phase::Succeeded] {
            self.enter(placement, phase).await;
        }
        let now = store::now(&mut conn).await.expect("the time");
        let slot = before.live.map_or(Slot::Blue, |live| live.slot.other());
        let (pair, maker) = (current.rollout.pair, current.rollout.id);
        let live = Live { slot, pair, maker, since: now };
        assert!(store::placements::set_live(&mut conn, &held, Some(&live)).await.expect("live"));
        let warm = before.live.map(|live| Warm {
            slot: live.slot,
            pair: live.pair,
            maker: live.maker,
            until: now + time::Duration::minutes(5),
            end_asked: false,
        });
        assert!(store::placements::set_warm(&mut conn, &held, warm.as_ref()).await.expect("warm"));
    }

    /// Deploys a release to its end.
    pub async fn deploy(&self, placement: PlacementId, release: ReleaseId) -> Pair {
        self.start(placement, release).await;
        let pair = self.current(placement).await.expect("a rollout").rollout.pair;
        self.succeed(placement).await;
        pair
    }

    /// The rows of the history, oldest first.
    pub async fn rows(&self) -> Vec<Entry> {
        let mut conn = self.pool.acquire().await.expect("a connection");
        let rows = store::history::after(&mut conn, 0, 10_000).await.expect("rows");
        rows.iter().map(|row| row.entry().expect("an entry")).collect()
    }

    /// The newest row, as a sentence.
    pub async fn told(&self) -> String {
        self.rows().await.last().expect("a row").sentence().to_text()
    }
}

/// Somebody signed in with these grants.
async fn person(control: &Control, pool: &PgPool, name: &str, grants: &[(Role, Scope)]) -> Asked {
    let user = UserId(Uuid::now_v7());
    sqlx::query("insert into users (id, name, password) values ($1, $2, 'none')")
        .bind(user.0)
        .bind(name)
        .execute(pool)
        .await
        .expect("a person");
    for (role, scope) in grants {
        sqlx::query(
            "insert into grants (id, user_id, role, project_id, environment_id)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(Uuid::now_v7())
        .bind(user.0)
        .bind(role.as_str())
        .bind(scope.project().map(|id| id.0))
        .bind(scope.environment().map(|id| id.0))
        .execute(pool)
        .await
        .expect("a grant");
    }
    let secret = format!("{}{}", user.0.simple(), Uuid::now_v7().simple());
    sqlx::query(
        "insert into sessions (id, secret, user_id, address, agent)
         values ($1, sha256(decode($2, 'hex')), $3, '127.0.0.1', 'tests')",
    )
    .bind(Uuid::now_v7())
    .bind(&secret)
    .bind(user.0)
    .execute(pool)
    .await
    .expect("a session");
    let origin =
        Origin { request: "r1".into(), address: "127.0.0.1".into(), agent: "tests".into() };
    let found = control.authenticate(&origin, &secret).await.expect("asked").expect("signed in");
    Asked { actor: found.actor, origin, idempotency_key: None }
}

/// What the engine says of an image: another tag, another content.
pub fn facts(tag: &str) -> ImageFacts {
    let digits: String = tag.bytes().map(|byte| format!("{byte:02x}")).collect();
    let id: ContentId = format!("sha256:{digits:0<64}").parse().expect("a content id");
    ImageFacts {
        id,
        reference: format!("hello:{tag}").parse().expect("a reference"),
        size_bytes: 1 << 20,
        platform: "linux/amd64".to_owned(),
        user: "1000".to_owned(),
        ports: vec![8080],
        command: vec!["/hello".to_owned()],
        created_at: None,
    }
}
