//! `pilothouse-router serve`: puts the parts together, and takes them apart in order.

use crate::{
    bell::Bell,
    cli::{LogForm, Serve},
    client::Client,
    control::{self, Control},
    journal::JournalFile,
    proxy::{Proxy, Settings},
    sockets,
    state::{Known, file::StateDir},
    table::Table,
    upstream::Patience,
    worker::{self, Crew},
    writer::{Beginning, Writer},
};
use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use domain::route::{Hello, Listener};
use std::{
    fs,
    future::poll_fn,
    io::IsTerminal,
    net::TcpListener,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// A router that is going gives its directory free within this time.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// Streams and WebSockets that outlasted the time to stop are told so, and may take it in.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// Serves until told to stop.
pub fn run(settings: &Serve) -> anyhow::Result<()> {
    init_log(settings.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

fn init_log(form: LogForm) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match form {
        LogForm::Text => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogForm::Json => log.json().flatten_event(true).init(),
    }
}

async fn serve(settings: &Serve) -> anyhow::Result<()> {
    let workers = settings.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(256),
        usize::from,
    );
    let state_dir = settings.at.state_dir.as_deref().context("give --state-dir")?;
    let socket = settings.at.socket()?;
    check_listeners(settings)?;
    // A client's and an instance's connection, and some for ourselves.
    sockets::raise_open_files(u64::from(settings.max_connections) * 2 + 256);

    let older = if settings.take_over { hand_over(&socket).await? } else { None };
    let dir = StateDir::take(state_dir, LOCK_WITHIN)?;
    let loaded = dir.load(OffsetDateTime::now_utc())?;
    let (listeners, sockets) = listen(settings, workers)?;
    let crew = Arc::new(crew(settings, workers));
    let known = listeners.iter().map(|l| (l.name.clone(), l.address)).collect();
    let writer = Writer::start(Beginning {
        dir,
        state: loaded.state,
        known: Known { listeners: known },
        crew: crew.clone(),
        workers,
    })?;
    let control = Arc::new(Control {
        boot: Uuid::new_v4(),
        started_at: OffsetDateTime::now_utc(),
        listeners: listeners.clone(),
        lost_routes: loaded.lost,
        draining: AtomicBool::new(false),
        crew: crew.clone(),
        writer,
        journal: JournalFile::of(state_dir),
        taken_over: Bell::new(1),
    });
    let calls = bind_control(&socket, older.is_some())?;
    let threads = start_workers(&crew, sockets)?;
    let serving = tokio::spawn(control::serve(control.clone(), calls));
    for listener in &listeners {
        info!("Listening for {} on {}", listener.name, listener.address);
    }
    info!(boot = %control.boot, routes = control.writer.applied().routes.len(), "The router serves");
    if let Some(mut older) = older {
        let gone: Hello = older.post("/v1/taken-over", &()).await.context("taking over")?;
        info!(pid = gone.pid, "Took over from the router with pid {}", gone.pid);
    }

    let taken_over = wait_for_the_end(&control).await?;
    stop(settings, &control, &crew, threads, &socket, taken_over).await;
    serving.abort();
    Ok(())
}

/// Plain HTTP leaves the machine only if somebody said so.
fn check_listeners(settings: &Serve) -> anyhow::Result<()> {
    for (at, listen) in settings.listen.iter().enumerate() {
        ensure!(
            listen.address.ip().is_loopback() || settings.allow_plain_http,
            "{} is not a loopback address: there is no TLS here, so say --allow-plain-http if the \
             network is private or a proxy of yours ends TLS",
            listen.address
        );
        ensure!(
            settings.listen[..at].iter().all(|other| other.name != listen.name),
            "the listener {} is given twice",
            listen.name
        );
    }
    Ok(())
}

/// Binds every listener once for each worker.
#[allow(clippy::type_complexity, reason = "named by what follows: a worker's numbered sockets")]
fn listen(
    settings: &Serve,
    workers: usize,
) -> anyhow::Result<(Vec<Listener>, Vec<Vec<(usize, TcpListener)>>)> {
    let mut listeners = Vec::new();
    let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, listen) in settings.listen.iter().enumerate() {
        let mut address = listen.address;
        for mine in &mut sockets {
            let socket = worker::listen(address)?;
            // With port 0 the first socket says which port the others share.
            address = socket.local_addr()?;
            mine.push((number, socket));
        }
        listeners.push(Listener { name: listen.name.clone(), address });
    }
    Ok((listeners, sockets))
}

fn crew(settings: &Serve, workers: usize) -> Crew {
    Crew {
        proxy: Proxy {
            table: ArcSwap::from_pointee(Table::default()),
            settings: Settings {
                patience: Patience {
                    connect: settings.connect_timeout,
                    idle: settings.upstream_idle,
                },
                answer_within: settings.answer_timeout,
                withheld_cookie: settings.console_cookie.clone(),
            },
        },
        head_within: settings.head_timeout,
        // Each acceptor holds one while it waits.
        connections: Arc::new(Semaphore::new(
            settings.max_connections as usize + workers * settings.listen.len(),
        )),
        stop: Bell::new(workers),
        open: Arc::new(AtomicUsize::new(0)),
    }
}

type Thread = JoinHandle<anyhow::Result<()>>;

fn start_workers(
    crew: &Arc<Crew>,
    sockets: Vec<Vec<(usize, TcpListener)>>,
) -> anyhow::Result<Vec<Thread>> {
    let start = |(worker, listeners): (usize, Vec<_>)| {
        let crew = crew.clone();
        std::thread::Builder::new()
            .name(format!("worker-{worker}"))
            .spawn(move || worker::run(worker, crew, listeners))
            .context("starting a worker")
    };
    sockets.into_iter().enumerate().map(start).collect()
}

/// Asks the router that runs to give its directory free. None: there is none.
async fn hand_over(socket: &Path) -> anyhow::Result<Option<Client>> {
    let Some(mut older) = Client::connect(socket).await? else {
        info!("No router runs: nothing to take over");
        return Ok(None);
    };
    let _: Hello = older.post("/v1/hand-over", &()).await.context("asking it to hand over")?;
    Ok(Some(older))
}

/// While taking over, the older router still has the socket's name: ours is put in its place.
fn bind_control(socket: &Path, taking_over: bool) -> anyhow::Result<UnixListener> {
    if !taking_over {
        return control::bind(socket);
    }
    let beside = socket.with_extension("new");
    let listener = control::bind(&beside)?;
    fs::rename(&beside, socket).context("taking the control socket over")?;
    Ok(listener)
}

/// Returns whether it was another router that ended us.
async fn wait_for_the_end(control: &Control) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut place = control.taken_over.place();
    let taken_over = poll_fn(|cx| control.taken_over.poll(&mut place, cx));
    Ok(tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = taken_over => true,
    })
}

/// Accepts nothing more, gives the directory free for the next router, and waits for what is in
/// flight.
async fn stop(
    settings: &Serve,
    control: &Control,
    crew: &Crew,
    threads: Vec<Thread>,
    socket: &Path,
    taken_over: bool,
) {
    info!("Stopping: up to {:?} for what is in flight", settings.stop_timeout);
    control.draining.store(true, Ordering::SeqCst);
    crew.stop.ring();
    if !taken_over {
        // Before the directory is free: afterwards the name may be the next router's.
        if let Err(e) = fs::remove_file(socket) {
            warn!(error = %e, "The control socket could not be removed");
        }
        let _ = control.writer.hand_over().await;
    }
    {
        let mut all_done = pin!(async {
            while !threads.iter().all(JoinHandle::is_finished) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        if timeout(settings.stop_timeout, &mut all_done).await.is_err() {
            let connections = crew.open.load(Ordering::SeqCst);
            warn!(connections, "Time is over: ending what is left");
            crew.proxy.close_all();
            let _ = timeout(LAST_WORDS_WITHIN, &mut all_done).await;
        }
    }
    for thread in threads.into_iter().filter(JoinHandle::is_finished) {
        if let Ok(Err(e)) = thread.join() {
            warn!(error = format!("{e:#}"), "A worker ended badly");
        }
    }
    info!("Stopped");
}
