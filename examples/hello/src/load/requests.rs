//! Requests at a fixed rate, some on connections that are kept and some on their own.

use super::Load;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

/// Requests that wait for their answer at once. More can't be sent, which counts as failed.
const IN_FLIGHT: usize = 2_000;
/// Connections kept for the next request, as a browser or a proxy would.
const KEPT: usize = 32;

pub(super) type Sender = http1::SendRequest<Empty<Bytes>>;

/// Sends until the load is over, then waits for what is still in flight.
pub async fn send_all(load: Arc<Load>) {
    if load.options.rate <= 0.0 {
        return;
    }
    let kept = Arc::new(Mutex::new(VecDeque::new()));
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut in_flight = JoinSet::new();
    let mut tick = interval(Duration::from_secs_f64(1.0 / load.options.rate));
    // A late tick is made up for, else a busy machine would quietly lower the rate.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0_u64.. {
        tokio::select! {
            _ = tick.tick() => {}
            () = load.over.cancelled() => break,
        }
        while in_flight.try_join_next().is_some() {}
        load.report().sent();
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            load.report().failed("request", "too many are waiting for an answer");
            continue;
        };
        let (load, kept) = (Arc::clone(&load), Arc::clone(&kept));
        // Spreads the closing ones evenly instead of sending a block of them.
        let closing = (number * load.options.closing) % 100 < load.options.closing;
        in_flight.spawn(async move {
            let sent = Instant::now();
            let answer = timeout(load.options.deadline, send(&load, &kept, closing)).await;
            drop(permit);
            let what = if closing {
                "request on its own connection"
            } else {
                "request on a kept connection"
            };
            match answer {
                Ok(Ok(version)) => load.report().answered(sent, &version),
                Ok(Err(error)) => load.report().failed(what, &format!("{error:#}")),
                Err(_) => load.report().failed(what, "no answer in time"),
            }
        });
    }
    while in_flight.join_next().await.is_some() {}
}

/// Sends one request, reads all of its answer, and says which version gave it.
async fn send(load: &Load, kept: &Mutex<VecDeque<Sender>>, closing: bool) -> Result<String> {
    let mut request = Request::get(&load.options.path)
        .header(header::HOST, &load.options.authority)
        .header(header::CONNECTION, if closing { "close" } else { "keep-alive" })
        .body(Empty::new())
        .context("making the request")?;
    // In turn, so that none rests for long.
    let take = || kept.lock().expect("nothing panics while it holds the connections").pop_front();

    // A kept connection may have been closed meanwhile by the other side. A request of which
    // nothing was written is sent again, as every client does; any other is lost.
    let (answer, sender) = loop {
        let mut sender = match if closing { None } else { take() } {
            Some(sender) if sender.is_closed() => continue,
            Some(sender) => sender,
            None => {
                let mut fresh = connect(load).await?;
                let answer = fresh.send_request(request).await.context("sending")?;
                break (answer, fresh);
            }
        };
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(answer) => break (answer, sender),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(error.into_error()).context("sending"),
            },
        }
    };

    let status = answer.status();
    let version = answer.headers().get("x-hello-version").and_then(|value| value.to_str().ok());
    let version = version.unwrap_or("unknown").to_owned();
    answer.into_body().collect().await.context("reading the answer")?;
    ensure!(status.is_success() || status.is_redirection(), "{status} from version {version}");
    if !closing {
        let mut kept = kept.lock().expect("nothing panics while it holds the connections");
        if kept.len() < KEPT {
            kept.push_back(sender);
        }
    }
    Ok(version)
}

/// Opens a connection to the service.
pub(super) async fn connect(load: &Load) -> Result<Sender> {
    let stream = TcpStream::connect(load.options.address).await.context("connecting")?;
    stream.set_nodelay(true).context("connecting")?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("connecting")?;
    // What ends the connection also ends the request on it, which is where it is told.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}
