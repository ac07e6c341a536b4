//! Clients that stay: WebSockets that talk, and followers of `/events`. Each comes back at
//! once when its connection ends.

use super::{
    Load,
    report::{End, Kind},
    requests,
};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Incoming, header};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const BETWEEN_MESSAGES: Duration = Duration::from_millis(100);
const BEFORE_COMING_BACK: Duration = Duration::from_millis(100);

/// One WebSocket client: ten messages a second, each of which must come back.
pub async fn talk(load: Arc<Load>) {
    let mut number = 0;
    while !load.over.is_cancelled() {
        let end = converse(&load, &mut number).await;
        if matches!(end, Ok(End::Over)) {
            return;
        }
        load.report().stream_ended(Kind::WebSocket, end);
        sleep(BEFORE_COMING_BACK).await;
    }
}

async fn converse(load: &Load, number: &mut u64) -> Result<End> {
    let deadline = load.options.deadline;
    let mut socket = timeout(deadline, open(load)).await.context("not opened in time")??;
    load.report().streams(Kind::WebSocket).opened += 1;
    loop {
        tokio::select! {
            () = sleep(BETWEEN_MESSAGES) => {}
            () = load.over.cancelled() => {
                // The report does not depend on the other side's answer to our goodbye.
                let _ = timeout(deadline, socket.close(None)).await;
                return Ok(End::Over);
            }
            early = socket.next() => match early {
                Some(Ok(Message::Close(_))) => return Ok(End::Closed { unanswered: false }),
                Some(Ok(_)) => bail!("a message came that nobody asked for"),
                Some(Err(_)) | None => return Ok(End::Cut),
            },
        }
        *number += 1;
        let text = format!("message {number}");
        if socket.send(Message::text(text.clone())).await.is_err() {
            return Ok(End::Cut);
        }
        match timeout(deadline, socket.next()).await.context("no echo in time")? {
            Some(Ok(Message::Close(_))) => return Ok(End::Closed { unanswered: true }),
            Some(Ok(message)) => {
                ensure!(message == Message::text(text), "the echo says something else")
            }
            Some(Err(_)) | None => return Ok(End::Cut),
        }
        load.report().streams(Kind::WebSocket).messages += 1;
    }
}

async fn open(load: &Load) -> Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(load.options.address).await.context("connecting")?;
    let url = format!("ws://{}/ws", load.options.authority);
    let (socket, _) =
        client_async(url.into_client_request()?, stream).await.context("opening the WebSocket")?;
    Ok(socket)
}

/// One follower of `/events`, which must hear something before the deadline, again and again.
pub async fn follow(load: Arc<Load>) {
    while !load.over.is_cancelled() {
        let end = listen(&load).await;
        if matches!(end, Ok(End::Over)) {
            return;
        }
        load.report().stream_ended(Kind::Events, end);
        sleep(BEFORE_COMING_BACK).await;
    }
}

async fn listen(load: &Load) -> Result<End> {
    let deadline = load.options.deadline;
    let (_sender, mut body) =
        timeout(deadline, subscribe(load)).await.context("not opened in time")??;
    load.report().streams(Kind::Events).opened += 1;
    loop {
        let frame = tokio::select! {
            frame = timeout(deadline, body.frame()) => frame.context("silent for too long")?,
            () = load.over.cancelled() => return Ok(End::Over),
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if data.starts_with(b"event: goodbye") {
                    return Ok(End::Closed { unanswered: false });
                }
                load.report().streams(Kind::Events).messages += 1;
            }
            // The whole body came: whoever ended it did so in order, and a browser comes back.
            None => return Ok(End::Closed { unanswered: false }),
            Some(Err(_)) => return Ok(End::Cut),
        }
    }
}

async fn subscribe(load: &Load) -> Result<(requests::Sender, Incoming)> {
    let mut sender = requests::connect(load).await?;
    let request = Request::get("/events")
        .header(header::HOST, &load.options.authority)
        .header(header::ACCEPT, "text/event-stream")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await.context("asking for the events")?;
    ensure!(answer.status() == StatusCode::OK, "{} instead of events", answer.status());
    Ok((sender, answer.into_body()))
}
