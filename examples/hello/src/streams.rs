//! What stays open: server-sent events and WebSockets. Both say goodbye when the process ends.

use crate::{
    answers::{Body, text},
    serve::Hello,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{
        CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
    },
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(500);
/// A WebSocket that is silent for so long is closed.
const SILENCE: Duration = Duration::from_secs(10 * 60);
const LONGEST_MESSAGE_BYTES: usize = 1 << 20;

/// `count` events twice a second: what was answered, and by whom. The last is `goodbye`.
pub fn events(hello: &Hello) -> Response<Body> {
    let who = json!({
        "version": hello.switches.version,
        "slot": hello.switches.slot,
        "instance": hello.switches.instance,
    });
    let seen =
        Follow { ending: hello.ending.clone(), started: Instant::now(), number: 0, over: false };
    let answered = Arc::clone(&hello.answered);
    let pieces =
        stream::unfold((seen, who, answered), |(mut seen, mut who, answered)| async move {
            if seen.over {
                return None;
            }
            if seen.number > 0 {
                tokio::select! {
                    () = sleep(EVERY) => {}
                    () = seen.ending.cancelled() => {
                        seen.over = true;
                        let goodbye = Bytes::from_static(b"event: goodbye\ndata: {}\n\n");
                        return Some((Ok(Frame::data(goodbye)), (seen, who, answered)));
                    }
                }
            }
            seen.number += 1;
            who["answered"] = answered.load(Relaxed).into();
            who["open_ms"] = (seen.started.elapsed().as_millis() as u64).into();
            let event = format!("id: {}\nevent: count\nretry: 500\ndata: {who}\n\n", seen.number);
            Some((Ok(Frame::data(Bytes::from(event))), (seen, who, answered)))
        });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Where one follower of `/events` stands.
struct Follow {
    ending: CancellationToken,
    started: Instant,
    number: u64,
    over: bool,
}

/// Sends every message back.
pub fn web_socket(hello: &Hello, mut request: Request<Incoming>) -> Response<Body> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let wants = request
        .headers()
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let (Some(key), true) = (key, wants) else {
        return text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
    };

    let ending = hello.ending.clone();
    hello.sockets.spawn(async move {
        // An error here means that the client went away before the socket was one.
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            let limits = WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE_BYTES));
            let socket = WebSocketStream::from_raw_socket(
                TokioIo::new(upgraded),
                Role::Server,
                Some(limits),
            )
            .await;
            echo(socket, ending).await;
        }
    });

    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn echo(mut socket: Socket, ending: CancellationToken) {
    loop {
        let message = tokio::select! {
            next = timeout(SILENCE, socket.next()) => match next {
                Ok(Some(Ok(message))) => message,
                _ => return,
            },
            () = ending.cancelled() => {
                let goodbye = CloseFrame { code: CloseCode::Away, reason: "this instance ends".into() };
                // The other side answers the close; what it sent before that is read and dropped.
                let _ = socket.close(Some(goodbye)).await;
                let _ = timeout(Duration::from_secs(2), async { while let Some(Ok(_)) = socket.next().await {} }).await;
                return;
            }
        };
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
