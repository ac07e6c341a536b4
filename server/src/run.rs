//! The server's life: made ready from below, serving, and stopped from above.

use crate::{
    builder,
    config::{Settings, public_url::PublicUrl},
    database::{Database, lock::Lock},
    first_admin,
    guard::Door,
    housekeeping,
    live::seats::Seats,
    metrics::Metrics,
    probes::Health,
    routes, serve as connections,
    state::Console,
};
use anyhow::Context;
use control::Control;
use domain::{
    history::{Deed, Subject},
    id::TargetId,
    policy::Policy,
};
use engine::Engine;
use leptos::config::LeptosOptions;
use std::{path::Path, sync::Arc, time::Duration};
use store::history::NewEntry;
use targets::{
    Target,
    docker::{DockerTarget, Options},
    kubernetes::Clusters,
    open::Open,
    outgoing::Outgoing,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use vault::Vault;

/// Serves until SIGTERM or SIGINT, then stops in order. A second signal ends it at once.
pub async fn until_stopped(settings: Settings) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let lock = Lock::take(&settings.data_dir)?;
    connections::raise_open_files(settings.limits.connections);
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("listen: {} can not be used", settings.listen))?;
    let database = Database::open(&settings).await?;

    let served = async {
        let vault = Arc::new(Vault::open(&settings.data_dir)?);
        let control = begin(&settings, &database, vault.clone()).await?;
        let target = target(&settings, &database).await?;
        let builds = Some(builds(&settings, &database).await?);
        let installation = this_machine(&database).await?.0;
        let outgoing = Outgoing::new(settings.outgoing_allow.clone());
        let elsewhere: Option<Arc<dyn Open>> =
            Some(Arc::new(Clusters::new(installation, outgoing)));
        let node = engine::Settings { node: lock.node, vault, builds, elsewhere };
        serve(&settings, &database, control, target, listener, node, stop).await
    };
    let served = served.await;

    database.close().await;
    drop(lock);
    tracing::info!("Stopped");
    served
}

/// Makes what a new installation begins with, where it is not there yet, and says in the history
/// that a program starts.
pub async fn begin(
    settings: &Settings,
    database: &Database,
    vault: Arc<Vault>,
) -> anyhow::Result<Control> {
    let control = Control::new(database.pool.clone(), of_control(settings)?, vault);
    control.begin_installation().await.context("making the first environments")?;
    let started = Deed::Started { version: env!("CARGO_PKG_VERSION").to_owned() };
    let tx = database.pool.begin().await?;
    store::history::append_and_commit(tx, &[NewEntry::engine(Subject::default(), started)])
        .await
        .context("writing the first row of this start into the history")?;
    if let Some(lost) = control.check_key().await.context("asking whether the key is the same")? {
        tracing::error!("{lost}");
    }
    Ok(control)
}

/// Drives and serves until `stop` is cancelled. The database stays open.
pub async fn serve(
    settings: &Settings,
    database: &Database,
    control: Control,
    target: Arc<dyn Target>,
    listener: TcpListener,
    node: engine::Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // Port 0 was chosen for us: links must name the one we got.
    let public_url = match settings.listen.port() {
        0 => PublicUrl::localhost(listener.local_addr()?.port()),
        _ => settings.public_url.clone(),
    };
    let engine = Engine::start(node, database.pool.clone(), target.clone())
        .await
        .context("starting the engine")?;

    let metrics = Arc::new(Metrics::default());
    let limits = settings.limits;
    let seats = Seats::new(limits.streams, limits.streams_per_person, metrics.clone());
    let console = Console {
        control: control.clone(),
        hub: engine.hub(),
        logs: engine.logs(),
        build_logs: engine.build_logs(),
        seats: Arc::new(seats),
        metrics: metrics.clone(),
        health: Health { pool: database.pool.clone(), target },
        build: build_of(&settings.site_dir)?,
        stop: stop.clone(),
        leptos: of_leptos(settings, &listener)?,
    };
    let door = Arc::new(Door {
        public_url: public_url.clone(),
        trusted_proxy: settings.trusted_proxy.clone(),
        limits,
        metrics: metrics.clone(),
    });
    let routes = routes::all(&console, &door, &settings.site_dir);
    let mut beside = JoinSet::new();
    let link = settings.first_admin_link();
    if first_admin::offer(&control, &public_url, &link).await? {
        beside.spawn(first_admin::remove_when_used(database.pool.clone(), link));
    }
    beside.spawn(housekeeping::run(control));
    tracing::info!("Pilothouse {} is at {public_url}", env!("CARGO_PKG_VERSION"));

    // Streams say goodbye as soon as `stop` is cancelled; the engine hands over meanwhile.
    let stopping = stop.clone();
    let serving = tokio::spawn(connections::serve(
        listener,
        routes,
        limits.connections,
        metrics,
        async move { stopping.cancelled().await },
        // The engine and the database need their part of the time too.
        settings.stop_within.saturating_sub(Duration::from_secs(4)),
    ));
    stop.cancelled().await;
    tracing::info!("Stopping: nothing new is begun, what is held is handed over");
    drop(beside);
    let ended = async { tokio::join!(engine.stop(), serving) };
    if timeout(settings.stop_within, ended).await.is_err() {
        tracing::warn!("Not everything ended in time");
    }
    Ok(())
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                tracing::warn!("Told twice: ending at once");
                std::process::exit(1);
            }
            told.cancel();
        }
    });
    Ok(stop)
}

fn of_control(settings: &Settings) -> anyhow::Result<control::Settings> {
    Ok(control::Settings {
        router_port: settings.router_public.port(),
        console_host: settings.public_url.host().to_owned(),
        console_url: settings.public_url.to_string(),
        base_domain: settings.base_domain.parse().context("base_domain")?,
        policy_of_open: settings.policy.apply(Policy::of_new(false)),
        policy_of_protected: settings.policy.apply(Policy::of_new(true)),
        builds_at_once: settings.builds.at_once,
        build_logs_for: settings.builds.logs_for,
        build_logs_bytes: settings.builds.logs_bytes,
        read_credentials: targets::kubernetes::kubeconfig::read,
    })
}

/// Who carries builds out: the engine of the one target there is.
async fn builds(
    settings: &Settings,
    database: &Database,
) -> anyhow::Result<engine::builds::Settings> {
    Ok(engine::builds::Settings {
        builder: Arc::new(builder::of(settings, this_machine(database).await?)),
        at_once: settings.builds.at_once,
        within: settings.builds.within,
        directory: settings.data_dir.join("builds"),
    })
}

async fn this_machine(database: &Database) -> anyhow::Result<TargetId> {
    let mut conn = database.pool.acquire().await?;
    let known = store::targets::machine(&mut conn).await.context("reading the targets")?;
    known.context("the database has no target")
}

/// The one target there is: this machine's container engine and its router.
async fn target(settings: &Settings, database: &Database) -> anyhow::Result<Arc<dyn Target>> {
    let docker = DockerTarget::new(Options {
        engine_socket: settings.docker.clone(),
        router_socket: settings.router_socket.clone(),
        // Whose containers these are: stays the same when the database is restored elsewhere.
        installation: this_machine(database).await?.0,
        prefix: settings.name_prefix.clone(),
        pool: (settings.address_pool.start, settings.address_pool.bits),
        grace: Options::GRACE,
        outgoing: Outgoing::new(settings.outgoing_allow.clone()),
    })?;
    Ok(Arc::new(docker))
}

/// What names this build of the pages: the hashes of its files.
fn build_of(site: &Path) -> anyhow::Result<Arc<str>> {
    let path = site.join("hash.txt");
    let hashes = std::fs::read_to_string(&path).with_context(|| {
        format!("site_dir: {} is not there. Build the site, or name where it is.", path.display())
    })?;
    let words: Vec<&str> =
        hashes.lines().filter_map(|line| line.split_once(": ").map(|(_, hash)| hash)).collect();
    Ok(words.join("-").into())
}

fn of_leptos(settings: &Settings, listener: &TcpListener) -> anyhow::Result<LeptosOptions> {
    let site = settings.site_dir.to_str().context("site_dir: its name is no text")?;
    let hashes = settings.site_dir.join("hash.txt");
    let hashes: Arc<str> = hashes.to_str().context("site_dir: its name is no text")?.into();
    Ok(LeptosOptions::builder()
        .output_name("app")
        .site_root(site)
        .site_pkg_dir("pkg")
        .site_addr(listener.local_addr()?)
        .hash_files(true)
        .hash_file(hashes)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Around, Given};

    #[test]
    fn a_change_of_the_policy_leaves_the_rest_of_a_protected_one_as_it_is() {
        let given = Given {
            data_dir: Some("/x".into()),
            policy: Some("passes=1".parse().unwrap()),
            ..Given::default()
        };
        let around = Around { directory: "/".into(), program: "/x".into(), ..Around::default() };
        let settings = of_control(&Settings::from_given(given, &around).unwrap()).unwrap();

        let protected = Policy { passes: 1, ..Policy::of_new(true) };
        assert_eq!(settings.policy_of_protected, protected);
        assert_eq!(settings.policy_of_open, Policy { passes: 1, ..Policy::of_new(false) });
    }
}
