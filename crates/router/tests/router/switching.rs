//! What a switch and the end of a drain mean to who is connected.

use super::{
    client::{Client, HOST, get, rest, whole},
    process::{EPOCH, SOON, until},
    stage::Stage,
};
use bytes::Bytes;
use domain::{
    route::{Close, Closed, RefusalCode},
    slot::Slot,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::test]
async fn a_client_that_keeps_its_connection_meets_the_new_slot_with_its_next_request() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    assert_eq!(client.get("/").await.text(), "blue");

    stage.switch(Slot::Green).await;

    assert_eq!(client.get("/").await.text(), "green");
    stage.switch(Slot::Blue).await;
    assert_eq!(client.get("/").await.text(), "blue");
}

#[tokio::test]
async fn a_request_in_flight_ends_in_the_slot_where_it_began() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let waiting = tokio::spawn(async move { client.get("/wait").await.text().to_owned() });
    until("the request waits", async || stage.blue.requests() == 1).await;

    stage.switch(Slot::Green).await;
    assert_eq!(stage.get("/").await.text(), "green");
    assert_eq!(stage.seen(Slot::Blue).await.in_flight.all, 1);
    stage.blue.let_go();

    assert_eq!(waiting.await.unwrap(), "blue");
    let seen = stage.seen(Slot::Blue).await;
    assert_eq!((seen.in_flight.all, seen.totals.failures.sum(), seen.late_answers), (0, 0, 0));
}

#[tokio::test]
async fn an_event_stream_stays_with_the_old_slot_until_that_is_closed_and_ends_cleanly() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let mut events = client.begin(get(HOST, "/events")).await.into_body();
    assert_eq!(piece(&mut events).await.unwrap(), "data: blue\n\n");

    stage.switch(Slot::Green).await;
    for _ in 0..3 {
        assert_eq!(piece(&mut events).await.unwrap(), "data: blue\n\n");
    }
    assert_eq!(stage.seen(Slot::Blue).await.in_flight.streams, 1);
    assert_eq!(stage.close(Slot::Blue).await, 1);

    while piece(&mut events).await.is_some() {}
    until("the slot is empty", async || stage.seen(Slot::Blue).await.in_flight.all == 0).await;
    let totals = stage.seen(Slot::Blue).await.totals;
    assert_eq!((totals.failures.sum(), totals.abandoned), (0, 0));
    assert_eq!(client.get("/").await.text(), "green");
}

#[tokio::test]
async fn a_websocket_stays_with_the_old_slot_until_that_is_closed_and_is_told_goodbye() {
    let stage = Stage::set().await;
    let mut socket = websocket(&stage).await;
    assert_eq!(spoken(&mut socket).await, *b"\x81\x04blue");

    stage.switch(Slot::Green).await;
    assert_eq!(spoken(&mut socket).await, *b"\x81\x04blue");
    let in_flight = stage.seen(Slot::Blue).await.in_flight;
    assert_eq!((in_flight.all, in_flight.upgrades), (1, 1));
    assert_eq!(stage.close(Slot::Blue).await, 1);

    let mut goodbye = Vec::new();
    timeout(SOON, socket.read_to_end(&mut goodbye)).await.unwrap().unwrap();
    assert_eq!(goodbye, [0x88, 2, 3, 0xE9]);
    until("the slot is empty", async || stage.seen(Slot::Blue).await.in_flight.all == 0).await;
    assert_eq!(stage.seen(Slot::Blue).await.totals.failures.sum(), 0);
}

#[tokio::test]
async fn what_is_no_stream_is_cut_by_a_close_so_that_no_part_looks_whole() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let answer = client.begin(get(HOST, "/trickle")).await;
    let mut waiting = Client::connect(stage.router.address).await;
    let waiting = tokio::spawn(async move { waiting.get("/wait").await.status });
    until("both are there", async || stage.blue.requests() == 2).await;
    stage.switch(Slot::Green).await;

    assert_eq!(stage.close(Slot::Blue).await, 2);

    assert!(timeout(SOON, answer.into_body().collect()).await.unwrap().is_err());
    assert_eq!(waiting.await.unwrap(), 502);
    assert_eq!(stage.seen(Slot::Blue).await.totals.failures.cut_off, 2);
}

#[tokio::test]
async fn the_live_slot_is_not_closed() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let mut events = client.begin(get(HOST, "/events")).await.into_body();

    let path = format!("/v1/routes/{}/close", stage.placement);
    let close = Close { epoch: EPOCH, slot: Slot::Blue };
    let refused = stage.router.call::<Closed>("POST", &path, &close).await.unwrap_err();

    assert_eq!(refused.code, RefusalCode::SlotIsLive);
    assert!(piece(&mut events).await.is_some() && piece(&mut events).await.is_some());
}

#[tokio::test]
async fn a_router_that_stops_accepts_nothing_and_lets_what_is_in_flight_end() {
    let stage = Stage::set().await;
    let address = stage.router.address;
    let mut client = Client::connect(address).await;
    let waiting = tokio::spawn(async move { whole(client.begin(get(HOST, "/wait")).await).await });
    until("the request waits", async || stage.blue.requests() == 1).await;

    let mut process = stage.router.terminate();
    until("nobody accepts", async || TcpStream::connect(address).await.is_err()).await;
    stage.blue.let_go();

    assert_eq!(waiting.await.unwrap().text(), "blue");
    assert!(timeout(SOON, process.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_websocket_may_go_on_while_the_router_stops_and_is_then_told_goodbye() {
    let stage = Stage::set_with(&["--stop-timeout", "700ms"]).await;
    let mut socket = websocket(&stage).await;

    let mut process = stage.router.terminate();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(spoken(&mut socket).await, *b"\x81\x04blue");

    assert!(rest(&mut socket).await.starts_with('\u{FFFD}'), "a close frame");
    assert!(timeout(SOON, process.wait()).await.unwrap().unwrap().success());
}

/// A piece of an answer. None: it ended as it should.
async fn piece(body: &mut Incoming) -> Option<Bytes> {
    let frame = timeout(SOON, body.frame()).await.expect("something comes");
    frame.map(|frame| frame.expect("it is not cut").into_data().unwrap())
}

async fn websocket(stage: &Stage) -> TcpStream {
    let mut socket = TcpStream::connect(stage.router.address).await.unwrap();
    let head = format!(
        "GET /socket HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(SOON, socket.read_u8()).await.unwrap().unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    socket
}

/// Sends a frame and reads the one that comes back.
async fn spoken(socket: &mut TcpStream) -> [u8; 6] {
    socket.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'?']).await.unwrap();
    let mut frame = [0; 6];
    timeout(SOON, socket.read_exact(&mut frame)).await.unwrap().unwrap();
    frame
}
