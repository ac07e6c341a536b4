//! The only way out that git has: a proxy of ours on the loopback address, for one server.
//!
//! git looks up names by itself, and would connect to whatever they lead to. So it is given a proxy
//! that opens one host's port, after [`Outgoing`] looked at its addresses, and counts what comes back.
//! TLS is between git and the server; the proxy sees none of it.

use crate::outgoing::{Failure, Outgoing};
use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// The longest nothing may come while a connection is open.
const SILENCE: Duration = Duration::from_secs(120);

/// The most connections at a time: git needs two at most.
const CONNECTIONS: usize = 8;

/// Ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    pub port: u16,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Seen {
    outgoing: Outgoing,
    host: String,
    port: u16,
    /// What may still come back.
    left: AtomicU64,
    too_much: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Proxy {
    /// Opens a proxy to one port, through which at most `bytes` come back.
    pub async fn open(outgoing: Outgoing, host: &str, port: u16, bytes: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let seen = Arc::new(Seen {
            outgoing,
            host: host.to_owned(),
            port,
            left: AtomicU64::new(bytes),
            too_much: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, seen.clone()));
        Ok(Self { port: own, seen, _tasks: tasks })
    }

    /// Why the server was not connected to, where that was so.
    pub fn failure(&self) -> Option<Failure> {
        self.seen.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was ended because the server sent more than it may.
    pub fn had_too_much(&self) -> bool {
        self.seen.too_much.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        if open.len() >= CONNECTIONS {
            open.join_next().await;
        }
        let Ok((client, _)) = listener.accept().await else { continue };
        let seen = seen.clone();
        open.spawn(async move {
            // What goes wrong here git sees as a connection that ends.
            let _ = serve(client, &seen).await;
        });
    }
}

async fn serve(mut client: TcpStream, seen: &Seen) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 8 * 1024 {
            return Ok(());
        }
        head.push(timeout(SILENCE, client.read_u8()).await??);
    }
    let host = &seen.host;
    let authority = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let wanted = format!("CONNECT {authority}:{} HTTP/1.", seen.port);
    if !head.starts_with(wanted.as_bytes()) {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    }
    let server = match seen.outgoing.connect(&seen.host, seen.port).await {
        Ok(server) => server,
        Err(failure) => {
            *seen.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            return client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    };
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The end of one direction is the end of both: HTTP is asked and answered.
    tokio::select! {
        done = copy(from_client, to_server, |_| true) => done,
        done = copy(from_server, to_client, |bytes| seen.count(bytes)) => done,
    }
}

impl Seen {
    /// Whether so many more bytes may come back.
    fn count(&self, bytes: u64) -> bool {
        let fits = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok();
        if !fits {
            self.too_much.store(true, Ordering::Relaxed);
        }
        fits
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    may_pass: impl Fn(u64) -> bool,
) -> io::Result<()> {
    let mut some = vec![0; 64 * 1024];
    loop {
        let n = timeout(SILENCE, from.read(&mut some)).await??;
        if n == 0 || !may_pass(n as u64) {
            return Ok(());
        }
        to.write_all(&some[..n]).await?;
    }
}
