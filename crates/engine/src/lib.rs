//! What the system does on its own: drives rollouts, keeps settled placements as they should be,
//! samples what runs, answers inquiries, and tells everybody who listens.
//!
//! It never talks to `control`. A person's request is a row and a notification; the engine wakes on
//! it, and would have found it on its next poll. What it does becomes rows again.
//!
//! ```text
//! node      heartbeat, claims        one loop a process
//! targets   opened from rows, each listened to and checked by a task of its own
//! placement a task for each that we hold: a rollout is advanced, else it is settled
//! sampler   one round a second       -> hub, and rows that go by themselves
//! history   rows after the last      -> hub
//! inquiries questions to the target  -> rows
//! pushes    images to registries     -> rows
//! builds    the queue, as far as there is room -> images, releases, rows
//! logs      what instances write     -> those who follow, search, take away; the last lines -> rows
//! ```

mod beat;
pub mod builds;
mod context;
mod exits;
mod fetching;
mod health;
mod images;
mod inquiries;
mod keeper;
pub mod live;
pub mod logs;
mod look;
mod perform;
mod placement;
mod pushes;
mod registries;
mod rollouts;
mod rows;
mod sampler;
mod settled;
mod targets;
mod told;

use ::targets::{Target, open::Open};
use context::Context;
use domain::id::NodeId;
use live::Hub;
use logs::Logs;
use std::{sync::Arc, time::Duration};
use store::Pool;
use tokio::task::JoinSet;
use tracing::info;
use vault::Vault;

/// What an engine needs to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are: the same after a restart, so that what we held is still ours.
    pub node: NodeId,
    /// Opens the secrets that a target has to be given.
    pub vault: Arc<Vault>,
    /// How builds are carried out. `None`: they wait for a node that does.
    pub builds: Option<builds::Settings>,
    /// How clusters are opened. `None`: none of them answers here.
    pub elsewhere: Option<Arc<dyn Open>>,
}

/// A running engine. Dropping it stops everything at once; [`Engine::stop`] hands over first.
#[derive(Debug)]
pub struct Engine {
    context: Arc<Context>,
    logs: Logs,
    tasks: JoinSet<()>,
}

/// The longest a stop waits for a step that has been begun.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts every loop. The database must be migrated; no target need be there. `machine` is the
    /// target of this machine.
    pub async fn start(
        settings: Settings,
        pool: Pool,
        machine: Arc<dyn Target>,
    ) -> anyhow::Result<Self> {
        let vault = settings.vault;
        let targets = Arc::new(targets::Targets::new(
            pool.clone(),
            vault.clone(),
            machine.clone(),
            settings.elsewhere,
        ));
        let logs = Logs::new(targets.clone(), pool.clone());
        let builds = settings.builds.map(Arc::new);
        if let Some(builds) = &builds {
            builds::clear(&builds.directory).await;
        }
        let context =
            Arc::new(Context::new(settings.node, pool, machine, targets, vault, builds.clone()));
        let mut conn = context.pool.acquire().await?;
        store::nodes::register(&mut conn, settings.node, None).await?;
        drop(conn);

        let attending = targets::begin(&context).await?;

        let mut tasks = JoinSet::new();
        tasks.spawn(beat::run(context.clone()));
        tasks.spawn(context::wake(context.clone()));
        tasks.spawn(targets::run(context.clone(), attending));
        tasks.spawn(sampler::run(context.clone()));
        tasks.spawn(rows::run(context.clone()));
        tasks.spawn(inquiries::run(context.clone()));
        tasks.spawn(images::run(context.clone()));
        tasks.spawn(pushes::run(context.clone()));
        if let Some(builds) = builds {
            tasks.spawn(builds::run(context.clone(), builds));
        }
        info!(node.id = %settings.node, "The engine runs as node {}", settings.node.short());
        Ok(Self { context, logs, tasks })
    }

    /// Where live messages come from.
    #[must_use]
    pub fn hub(&self) -> Hub {
        self.context.hub.clone()
    }

    /// Where instances' logs are read.
    #[must_use]
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }

    /// Where what builds write is followed.
    #[must_use]
    pub fn build_logs(&self) -> builds::BuildLogs {
        self.context.build_logs.clone()
    }

    /// Stops claiming, lets begun steps end, and hands everything over.
    pub async fn stop(mut self) {
        self.context.stopping.cancel();
        let ended = tokio::time::timeout(STOP_WITHIN, async {
            while self.tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            self.tasks.shutdown().await;
        }
        if let Ok(mut conn) = self.context.pool.acquire().await
            && let Err(error) = store::nodes::leave(&mut conn, self.context.node).await
        {
            tracing::warn!(%error, "What we held could not be handed over; its lease lapses");
        }
    }
}

/// An error with its reasons, in one line for people.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(reason) = next {
        let said = reason.to_string();
        if !all.contains(&said) {
            all.push_str(": ");
            all.push_str(&said);
        }
        next = reason.source();
    }
    all
}
