//! Bodies on their way, and what may be sent twice.

use super::{
    client::{HOST, ask, post},
    process::{SOON, until},
    stage::Stage,
    upstream::{Said, Upstream, nobody},
};
use bytes::Bytes;
use domain::slot::Slot;
use http_body_util::BodyExt;
use hyper::Request;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const PIECE: usize = 64 * 1024;
const PIECES: usize = 512;

#[tokio::test]
async fn a_large_body_streams_both_ways_at_once() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let (say, said) = Said::stream();
    let request = Request::post("/echo").header("host", HOST).body(said).unwrap();
    let piece = Bytes::from(vec![7; PIECE]);
    say.send(Ok(piece.clone())).await.unwrap();

    // The answer begins although the request has not ended.
    let mut back = client.begin(request).await.into_body();
    let sending = tokio::spawn(async move {
        for _ in 1..PIECES {
            say.send(Ok(piece.clone())).await.unwrap();
        }
    });
    let mut received = 0;
    while let Some(frame) = timeout(SOON, back.frame()).await.unwrap() {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.iter().all(|byte| *byte == 7));
        received += data.len();
    }

    sending.await.unwrap();
    assert_eq!(received, PIECE * PIECES);
    let totals = stage.seen(Slot::Blue).await.totals;
    let all = (PIECE * PIECES) as u64;
    assert_eq!((totals.bytes_in, totals.bytes_out, totals.failures.sum()), (all, all, 0));
}

#[tokio::test]
async fn an_upload_is_counted_while_it_lasts_and_when_it_fails() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let (say, said) = Said::stream();
    let request = Request::post("/echo").header("host", HOST).body(said).unwrap();
    let received = async || stage.seen(Slot::Blue).await.totals.bytes_in;

    let piece = Bytes::from(vec![7; PIECE]);
    say.send(Ok(piece.clone())).await.unwrap();
    let mut back = client.begin(request).await.into_body();
    // Frames are cut anew on the way, so their number says nothing.
    let mut came = 0;
    for whole in 1..8 {
        say.send(Ok(piece.clone())).await.unwrap();
        while came < whole * PIECE {
            came += back.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    }
    until("most of it is counted in the middle", async || received().await >= 4 * PIECE as u64)
        .await;

    // The client breaks off.
    say.send(Err(std::io::Error::other("gone"))).await.unwrap();
    drop((say, back, client));
    let all = 8 * PIECE as u64;
    timeout(SOON, async {
        while received().await < all {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("all that came is counted");
    assert_eq!(received().await, all);
}

#[tokio::test]
async fn a_request_of_which_bytes_were_written_is_not_sent_again() {
    let stage = Stage::set().await;
    let (one, other) = (Upstream::abrupt("").await, Upstream::abrupt("").await);
    stage.put_blue(&[one.address, other.address]).await;

    let answer = ask(stage.router.address, post("/", "pay once")).await;

    assert_eq!(answer.status, 502);
    assert_eq!(one.requests() + other.requests(), 1);
    let totals = stage.seen(Slot::Blue).await.totals;
    assert_eq!((totals.requests, totals.failures.cut_off, totals.retried), (1, 1, 0));
}

#[tokio::test]
async fn a_request_of_which_nothing_was_written_goes_to_another_instance() {
    let stage = Stage::set().await;
    stage.put_blue(&[nobody().await, stage.blue.address]).await;

    // Two, for they take turns in who is asked first.
    for _ in 0..2 {
        let answer = ask(stage.router.address, post("/echo", "pay once")).await;
        assert_eq!((answer.status, answer.text()), (200, "pay once"));
    }

    assert_eq!(stage.blue.requests(), 2);
    let totals = stage.seen(Slot::Blue).await.totals;
    assert_eq!((totals.requests, totals.failures.sum(), totals.retried), (2, 0, 1));
}

#[tokio::test]
async fn a_connection_that_an_instance_closed_meanwhile_costs_no_request() {
    let stage = Stage::set().await;
    // Says that it keeps the connection, and closes it.
    let fickle = Upstream::abrupt("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    stage.put_blue(&[fickle.address]).await;
    let mut client = stage.client().await;

    for n in 0..10 {
        let answer = client.begin(post("/", "pay once")).await;
        assert_eq!(answer.status(), 200, "request {n}");
        answer.into_body().collect().await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }

    assert_eq!(fickle.requests(), 10);
}

#[tokio::test]
async fn nobody_notices_that_one_of_two_instances_dies() {
    let stage = Stage::set().await;
    let dying = Upstream::named("dying").await;
    stage.put_blue(&[dying.address, stage.blue.address]).await;
    let mut client = stage.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert!(dying.requests() > 0);

    drop(dying);
    sleep(Duration::from_millis(50)).await;

    for _ in 0..50 {
        assert_eq!(client.get("/").await.text(), "blue");
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(stage.seen(Slot::Blue).await.totals.failures.sum(), 0);
}
