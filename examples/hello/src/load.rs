//! `hello load`: a witness of what clients saw while versions changed.
//!
//! Requests are sent at a fixed rate whether or not earlier ones were answered, so a stall
//! shows as failures and as a gap instead of as fewer requests. It is bounded in time, rate
//! and requests in flight, and speaks to this machine only: it is no weapon.

mod options;
mod report;
mod requests;
mod streams;

use anyhow::{Context, Result};
use options::Options;
use report::Report;
use std::sync::{Arc, Mutex};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What every client of the load shares.
struct Load {
    options: Options,
    report: Mutex<Report>,
    /// Cancelled when the time is over; streams then close politely.
    over: CancellationToken,
}

impl Load {
    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().expect("nothing panics while it holds the report")
    }
}

/// Puts load on a service and prints the report.
pub async fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let load = Arc::new(Load {
        report: Mutex::new(Report::new()),
        over: CancellationToken::new(),
        options,
    });

    let mut clients = JoinSet::new();
    clients.spawn(requests::send_all(Arc::clone(&load)));
    for _ in 0..load.options.websockets {
        clients.spawn(streams::talk(Arc::clone(&load)));
    }
    for _ in 0..load.options.events {
        clients.spawn(streams::follow(Arc::clone(&load)));
    }

    tokio::select! {
        () = sleep(load.options.lasts) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    load.over.cancel();
    // Every client has deadlines of its own; this one is for a mistake in them.
    let last = load.options.deadline * 2;
    if timeout(last, async { while clients.join_next().await.is_some() {} }).await.is_err() {
        load.report().failed("the load itself", "clients did not end in time");
    }
    println!("{:#}", load.report().to_json());
    Ok(())
}
