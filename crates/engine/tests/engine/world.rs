//! A placement on a target in memory, with everything a test asks and does.

#![allow(clippy::missing_errors_doc, dead_code)]

use anyhow::{Context, bail};
use domain::{
    configuration::secret::Version,
    environment::Environment,
    history::{GENESIS, Prover},
    id::{
        ConfigurationId, EnvironmentId, NodeId, PlacementId, ProjectId, PushId, RegistryId,
        ReleaseId, RolloutId, SecretId, ServiceId, TargetId, UserId,
    },
    live::Message,
    name::{ContentId, VariableName},
    policy::Policy,
    release::{ImageFacts, Pair, Release},
    rollout::{Ask, Kind, Phase, Request, State},
    service::{Check, Exposure, Limits, ServiceSpec, Size, Strategy},
    slot::Slot,
    target::Observed,
};
use engine::{Engine, Settings, live::Heard};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use store::{placements::Placement, rollouts};
use targets::{Target, fake::Fake};
use time::OffsetDateTime;
use tokio::{sync::broadcast::Receiver, time::Instant};
use uuid::Uuid;
use vault::Vault;

/// The longest anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub pool: PgPool,
    pub target: Fake,
    pub id: PlacementId,
    pub service: ServiceId,
    configuration: ConfigurationId,
    pub user: UserId,
    spec: ServiceSpec,
}

fn new() -> Uuid {
    Uuid::now_v7()
}

/// The image of a release: each has its own.
pub fn image(release: ReleaseId) -> anyhow::Result<ContentId> {
    let hex = release.0.simple();
    Ok(format!("sha256:{hex}{hex}").parse()?)
}

/// Quick, and otherwise as any other.
fn policy() -> Policy {
    Policy {
        passes: 1,
        verify_within: Duration::from_secs(3),
        observe_for: Duration::from_secs(2),
        drain_for: Duration::from_millis(300),
        warm_for: Duration::from_secs(4),
        ..Policy::of_new(false)
    }
}

impl World {
    pub async fn new(pool: PgPool) -> anyhow::Result<Self> {
        let mut tx = pool.begin().await?;
        let user = UserId(new());
        store::users::add(&mut tx, user, "Ana", "no password").await?;
        let target = TargetId(new());
        let kind = "fake".to_owned();
        store::targets::add(
            &mut tx,
            &store::targets::Target { id: target, name: "memory".to_owned(), kind },
        )
        .await?;
        let environment = Environment {
            id: EnvironmentId(new()),
            name: "staging".parse()?,
            position: 1,
            protected: false,
            policy: policy(),
        };
        store::environments::add(&mut tx, &environment, target).await?;
        let project = ProjectId(new());
        store::projects::add(&mut tx, project, &"demo".parse()?).await?;
        let service = ServiceId(new());
        let spec = ServiceSpec {
            exposure: Exposure::Http { port: 8080 },
            readiness: Check {
                timeout: Duration::from_millis(500),
                start_period: Duration::from_secs(1),
                retries: 1,
                ..Check::of("/health".parse()?)
            },
            version_field: None,
            command: vec![],
            user: None,
            strategy: Strategy::BlueGreen,
            writable_root: false,
        };
        store::services::add(&mut tx, service, project, &"api".parse()?, &spec).await?;
        let (id, configuration) = (PlacementId(new()), ConfigurationId(new()));
        let placement = store::services::NewPlacement {
            id,
            service,
            environment: environment.id,
            size: Size::ONE,
            configuration,
            limits: &Limits::DEFAULT,
            by: user,
            by_name: "Ana",
        };
        store::services::add_placement(&mut tx, &placement).await?;
        let host = "api.demo.staging.localhost".parse()?;
        if let Some(taken) =
            store::placements::hosts::set(&mut tx, id, target, &[host], &[]).await?
        {
            bail!("{taken} is taken");
        }
        tx.commit().await?;
        Ok(Self { pool, target: Fake::new(), id, service, configuration, user, spec })
    }

    /// Changes how many instances a slot has.
    pub async fn resize(&self, count: u16) -> anyhow::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let size = Size::try_from(count).map_err(|_| anyhow::anyhow!("{count} is no size"))?;
        Ok(store::placements::wishes::set_size(&mut conn, self.id, size).await?)
    }

    /// Starts a control plane. The same number is the same node after a restart.
    pub async fn start(&self, node: u128) -> anyhow::Result<Engine> {
        self.start_with(node, Arc::new(Vault::in_memory())).await
    }

    /// The same with a key that a test knows.
    pub async fn start_with(&self, node: u128, vault: Arc<Vault>) -> anyhow::Result<Engine> {
        let settings =
            Settings { node: NodeId(Uuid::from_u128(node)), vault, builds: None, elsewhere: None };
        Engine::start(settings, self.pool.clone(), Arc::new(self.target.clone())).await
    }

    /// The same with a part in clusters.
    pub async fn start_elsewhere(
        &self,
        node: u128,
        vault: Arc<Vault>,
        elsewhere: Arc<dyn targets::open::Open>,
    ) -> anyhow::Result<Engine> {
        let node = NodeId(Uuid::from_u128(node));
        let settings = Settings { node, vault, builds: None, elsewhere: Some(elsewhere) };
        Engine::start(settings, self.pool.clone(), Arc::new(self.target.clone())).await
    }

    /// The same with a part in builds.
    pub async fn start_building(
        &self,
        node: u128,
        builds: engine::builds::Settings,
    ) -> anyhow::Result<Engine> {
        self.start_building_with(node, builds, Arc::new(Vault::in_memory())).await
    }

    /// The same with a key that a test knows.
    pub async fn start_building_with(
        &self,
        node: u128,
        builds: engine::builds::Settings,
        vault: Arc<Vault>,
    ) -> anyhow::Result<Engine> {
        let node = NodeId(Uuid::from_u128(node));
        let settings = Settings { node, vault, builds: Some(builds), elsewhere: None };
        Engine::start(settings, self.pool.clone(), Arc::new(self.target.clone())).await
    }

    /// Makes a release whose image is on the target.
    pub async fn release(&self, name: &str) -> anyhow::Result<ReleaseId> {
        let id = ReleaseId(new());
        let image = image(id)?;
        let facts = ImageFacts {
            id: image.clone(),
            reference: format!("api:{name}").parse()?,
            size_bytes: 1,
            platform: "linux/amd64".to_owned(),
            user: "1000".to_owned(),
            ports: vec![8080],
            command: vec![],
            created_at: None,
        };
        self.target.add_image(facts.clone());
        let release = Release {
            id,
            service: self.service,
            name: name.parse()?,
            image,
            reference: facts.reference.clone(),
            spec: self.spec.clone(),
            made_at: OffsetDateTime::now_utc(),
        };
        let mut conn = self.pool.acquire().await?;
        store::releases::add(&mut conn, &release, &facts, self.user, "Ana").await?;
        Ok(id)
    }

    pub async fn deploy(&self, release: ReleaseId) -> anyhow::Result<RolloutId> {
        self.queue(Kind::Deploy, release).await
    }

    /// Seals a value and makes the next configuration, which names it: what is queued from here on
    /// has it.
    pub async fn set_secret(
        &mut self,
        name: &str,
        value: &str,
        vault: &Vault,
    ) -> anyhow::Result<()> {
        let name: VariableName = name.parse()?;
        let mut conn = self.pool.acquire().await?;
        let version = match store::secrets::newest(&mut conn, self.id, &name).await? {
            Some(known) => Version { version: known.version + 1, ..known },
            None => {
                let secret = SecretId(new());
                store::secrets::add(&mut conn, secret, self.id, &name).await?;
                Version { secret, version: 1 }
            }
        };
        let sealed = vault.seal(&version.about(), value);
        store::secrets::set(&mut conn, version, &sealed, self.user, "Ana").await?;
        let mut next =
            store::configurations::newest(&mut conn, self.id).await?.context("a configuration")?;
        (next.id, next.number) = (ConfigurationId(new()), next.number + 1);
        next.secrets.0.insert(name, version);
        store::configurations::add(&mut conn, self.id, &next, self.user, "Ana").await?;
        self.configuration = next.id;
        Ok(())
    }

    /// A registry, with a password where it has one.
    pub async fn add_registry(
        &self,
        address: &str,
        password: Option<&str>,
        vault: &Vault,
    ) -> anyhow::Result<RegistryId> {
        let id = RegistryId(new());
        let login = match password {
            Some(password) => Some(store::registries::Login {
                user: "robot".parse()?,
                sealed: vault.seal(&domain::registry::sealed_about(id), password),
            }),
            None => None,
        };
        let new = store::registries::New {
            id,
            name: &"company".parse()?,
            address: &address.parse()?,
            login: login.as_ref(),
            by: self.user,
            by_name: "Ana",
        };
        store::registries::add(&mut *self.pool.acquire().await?, &new).await?;
        Ok(id)
    }

    /// Asks for a push of a release to the registry at an address.
    pub async fn push(
        &self,
        release: ReleaseId,
        address: &str,
        tag: &str,
    ) -> anyhow::Result<PushId> {
        let mut conn = self.pool.acquire().await?;
        let known = store::registries::by_address(&mut conn, &address.parse()?).await?;
        let id = PushId(new());
        let push = store::pushes::New {
            id,
            release,
            registry: known.context("a registry")?.id,
            repository: &format!("{address}/demo/api").parse()?,
            tags: &[tag.parse()?],
            by: self.user,
            by_name: "Ana",
        };
        store::pushes::add(&mut conn, &push).await?;
        Ok(id)
    }

    pub async fn queue(&self, kind: Kind, release: ReleaseId) -> anyhow::Result<RolloutId> {
        self.queue_pair(kind, Pair { release, configuration: self.configuration }).await
    }

    pub async fn queue_pair(&self, kind: Kind, pair: Pair) -> anyhow::Result<RolloutId> {
        let id = RolloutId(new());
        let mut tx = self.pool.begin().await?;
        store::placements::lock(&mut tx, self.id).await?;
        let placement = store::placements::load(&mut tx, self.id).await?.context("placement")?;
        let rollout = rollouts::New { id, kind, pair, by: self.user, by_name: "Ana", reason: None };
        rollouts::queue(&mut tx, &placement, &rollout).await?;
        store::wake::work(&mut tx, &self.id.to_string()).await?;
        tx.commit().await?;
        Ok(id)
    }

    pub async fn ask(&self, rollout: RolloutId, what: Ask) -> anyhow::Result<()> {
        let request =
            Request { what, by: self.user, by_name: "Ana".to_owned(), reason: String::new() };
        let mut conn = self.pool.acquire().await?;
        rollouts::ask(&mut conn, rollout, &request).await?;
        store::wake::work(&mut conn, &self.id.to_string()).await?;
        Ok(())
    }

    pub async fn state(&self, rollout: RolloutId) -> anyhow::Result<State> {
        let state: sqlx::types::Json<State> =
            sqlx::query_scalar("select state from rollouts where id = $1")
                .bind(rollout.0)
                .fetch_one(&self.pool)
                .await?;
        Ok(state.0)
    }

    /// Waits for the end of a rollout.
    pub async fn end(&self, rollout: RolloutId) -> anyhow::Result<Phase> {
        let begun = Instant::now();
        loop {
            let state = self.state(rollout).await?;
            if state.phase.is_end() {
                return Ok(state.phase);
            }
            if begun.elapsed() > PATIENCE {
                bail!("it never ended: {state:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `what` is so.
    pub async fn until(
        &self,
        what: &str,
        is_so: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !is_so().await? {
            if begun.elapsed() > PATIENCE {
                bail!("never: {what}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the hub tells that the rollout entered `phase`.
    pub async fn hears(
        &self,
        hub: &mut Receiver<Heard>,
        rollout: RolloutId,
        phase: Phase,
    ) -> anyhow::Result<()> {
        let heard = async {
            loop {
                if let Heard::Event(event) = hub.recv().await?
                    && let Message::Rollout { rollout: of, state, .. } = &event.message
                    && *of == rollout
                    && state.phase == phase
                {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.with_context(|| format!("never {phase}"))?
    }

    pub async fn placement(&self) -> anyhow::Result<Placement> {
        let mut conn = self.pool.acquire().await?;
        store::placements::load(&mut conn, self.id).await?.context("placement")
    }

    pub async fn observed(&self) -> anyhow::Result<Observed> {
        let place = self.placement().await?.place;
        Ok(self.target.observe(&place).await?)
    }

    pub async fn routed(&self) -> anyhow::Result<Option<Slot>> {
        Ok(self.observed().await?.route.and_then(|route| route.live))
    }

    pub async fn count(&self, slot: Slot) -> anyhow::Result<usize> {
        Ok(self.observed().await?.slots.of(slot).len())
    }

    /// The phases of which the history tells, in order.
    pub async fn phases(&self, rollout: RolloutId) -> anyhow::Result<Vec<Phase>> {
        let mut conn = self.pool.acquire().await?;
        let rows = store::history::of_rollout(&mut conn, rollout).await?;
        let rows = rows.iter().map(|row| row.row()).collect::<Result<Vec<_>, _>>()?;
        Ok(rows.into_iter().filter_map(|row| row.phase).collect())
    }

    /// Whether the history tells of a deed of this kind.
    pub async fn said(&self, kind: &str) -> anyhow::Result<bool> {
        Ok(self.times_said(kind).await? > 0)
    }

    /// How many rows of the history tell of a deed of this kind.
    pub async fn times_said(&self, kind: &str) -> anyhow::Result<usize> {
        let mut conn = self.pool.acquire().await?;
        let rows = store::history::after(&mut conn, 0, 1000).await?;
        Ok(rows.iter().filter(|row| String::from_utf8_lossy(&row.body).contains(kind)).count())
    }

    /// Whether the whole history is as it was written.
    pub async fn prove(&self) -> anyhow::Result<bool> {
        let mut conn = self.pool.acquire().await?;
        let mut prover = Prover::after(0, GENESIS);
        for row in store::history::after(&mut conn, 0, 10_000).await? {
            let (number, version) = (row.number, row.version);
            let link = domain::history::Link { number, version, body: row.body, hash: row.hash };
            prover.prove(&link)?;
        }
        let head = store::history::head(&mut conn).await?;
        prover.end(head.number, &head.hash)?;
        Ok(true)
    }
}
