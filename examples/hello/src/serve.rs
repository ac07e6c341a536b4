//! The server: accepts, answers, and leaves in order when asked to.

use crate::{answers, switches::Switches};
use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{
    process,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 8192;
/// How long after SIGTERM answers say that their connection ends with them.
const LEAVING: Duration = Duration::from_secs(1);
/// How long requests and streams get to end then.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a client may take to send its request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);

/// What all connections share.
pub struct Hello {
    pub switches: Switches,
    /// Requests of users answered since the start.
    pub answered: Arc<AtomicU64>,
    /// Requests to `/fail`, so that a rate is met exactly and without dice.
    pub asked_to_fail: AtomicU64,
    /// Cancelled when the process is asked to end; streams say goodbye.
    pub ending: CancellationToken,
    /// WebSockets, which the HTTP server no longer knows about.
    pub sockets: TaskTracker,
    first_request: OnceLock<Instant>,
}

impl Hello {
    fn new(switches: Switches) -> Self {
        Self {
            switches,
            answered: Arc::new(AtomicU64::new(0)),
            asked_to_fail: AtomicU64::new(0),
            ending: CancellationToken::new(),
            sockets: TaskTracker::new(),
            first_request: OnceLock::new(),
        }
    }

    /// Counts a request of a user, and says whether the version has broken by now.
    pub fn count_and_is_broken(&self) -> bool {
        self.answered.fetch_add(1, Relaxed);
        let first = self.first_request.get_or_init(Instant::now);
        self.switches.fail_after.is_some_and(|after| first.elapsed() >= after)
    }
}

/// Serves until SIGTERM or SIGINT.
pub async fn run() -> Result<()> {
    let switches = Switches::from_env()?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let asked_to_end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(asked_to_end);

    if let Some(after) = switches.crash_after {
        tokio::spawn(async move {
            sleep(after).await;
            eprintln!("hello: crashing, as the image says (HELLO_CRASH_AFTER_S)");
            process::exit(1);
        });
    }
    tokio::select! {
        () = sleep(switches.start_delay) => {}
        () = &mut asked_to_end => return Ok(()),
    }

    let address = ("0.0.0.0", switches.port);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address:?}"))?;
    println!(
        "hello {} in slot {} listens on {}",
        switches.version,
        switches.slot,
        listener.local_addr()?
    );
    let hello = Arc::new(Hello::new(switches));
    serve(&listener, &hello, asked_to_end).await;
    Ok(())
}

/// Answers whoever connects until `end`, and then until nobody is there any more.
///
/// Who keeps a connection may send on it in the very moment in which it is closed, and then has no answer.
/// So for [`LEAVING`] each answer says that its connection ends with it, and only then is closed what is
/// left: connections on which nothing was asked for so long.
async fn serve(listener: &TcpListener, hello: &Arc<Hello>, end: impl Future<Output = ()>) {
    let door = Door::new(listener, hello);
    door.accept_until(end).await;

    println!("hello: ending, {} requests answered", hello.answered.load(Relaxed));
    hello.ending.cancel();
    hello.sockets.close();
    door.connections.close();
    let nobody_is_there = timeout(LEAVING, door.connections.wait());
    door.accept_until(async { drop(nobody_is_there.await) }).await;
    let all_done = async { tokio::join!(door.graceful.shutdown(), hello.sockets.wait()) };
    if timeout(FAREWELL, all_done).await.is_err() {
        eprintln!("hello: some clients were still there after {FAREWELL:?}");
    }
}

/// Where connections come in.
struct Door<'a> {
    listener: &'a TcpListener,
    hello: &'a Arc<Hello>,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    connections: TaskTracker,
    room: Arc<Semaphore>,
}

impl<'a> Door<'a> {
    fn new(listener: &'a TcpListener, hello: &'a Arc<Hello>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
        Self {
            listener,
            hello,
            builder,
            graceful: GracefulShutdown::new(),
            connections: TaskTracker::new(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    async fn accept_until(&self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let next = async {
                let permit = Arc::clone(&self.room).acquire_owned().await;
                (permit.expect("the semaphore is never closed"), self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                next = next => next,
                () = &mut end => return,
            };
            match accepted {
                Ok((stream, _)) => self.answer(stream, permit),
                Err(error) => {
                    eprintln!("hello: cannot accept a connection: {error}");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn answer(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // Small answers should not wait for more to send. Where it cannot be set they just do.
        let _ = stream.set_nodelay(true);
        let service = {
            let hello = Arc::clone(self.hello);
            service_fn(move |request| {
                let hello = Arc::clone(&hello);
                async move { answers::answer(&hello, request).await }
            })
        };
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection.into_owned());
        self.connections.spawn(async move {
            // A client that goes away in the middle is not news.
            let _ = connection.await;
            drop(permit);
        });
    }
}
