//! What the router says it saw.

use super::{
    client::{Client, HOST, get, post, say, whole},
    process::until,
    stage::Stage,
    upstream::Upstream,
};
use domain::{
    route::{
        RefusalCode,
        traffic::{AllTraffic, Second, Traffic},
    },
    slot::Slot,
};
use http_body_util::BodyExt;
use std::{collections::HashSet, time::Duration};
use time::OffsetDateTime;
use tokio::time::sleep;

#[tokio::test]
async fn every_request_is_counted_and_each_failure_by_its_kind() {
    let stage = Stage::set_with(&["--answer-timeout", "300ms"]).await;
    let mut client = stage.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }

    assert_eq!(stage.get("/error").await.status, 500);
    let mut cut = stage.client().await;
    let part = cut.begin(get(HOST, "/cut")).await;
    assert!(part.into_body().collect().await.is_err());
    assert_eq!(stage.get("/wait").await.status, 504);

    let totals = stage.seen(Slot::Blue).await.totals;
    let failures = totals.failures;
    assert_eq!((failures.server_errors, failures.cut_off, failures.timed_out), (1, 1, 1));
    assert_eq!((totals.requests, failures.sum(), totals.abandoned), (6, 3, 0));
    assert_eq!(stage.seen(Slot::Green).await.totals.requests, 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_no_failure() {
    let stage = Stage::set().await;
    let mut uploading = stage.client().await;
    let (say, said) = super::upstream::Said::stream();
    let upload = hyper::Request::post("/").header("host", HOST).header("content-length", 1000);
    say.send(Ok("a part".into())).await.unwrap();

    // One without an answer, one with a part of it, one with a part of the request.
    let waiting = tokio::spawn({
        let mut client = stage.client().await;
        async move { client.get("/wait").await.status }
    });
    let mut reading = stage.client().await;
    let part = reading.begin(get(HOST, "/trickle")).await;
    let uploading = tokio::spawn(async move {
        let _ = uploading.try_begin(upload.body(said).unwrap()).await;
    });
    until("all are there", async || stage.blue.requests() == 3).await;
    waiting.abort();
    drop((part, reading));
    uploading.abort();
    drop(say);

    until("nothing is in flight", async || stage.seen(Slot::Blue).await.in_flight.all == 0).await;
    let totals = stage.seen(Slot::Blue).await.totals;
    assert_eq!((totals.abandoned, totals.failures.sum()), (3, 0));
    assert_eq!(totals.requests, 1, "only one had an answer");
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_its_request_is_no_failure() {
    let stage = Stage::set_with(&["--answer-timeout", "300ms"]).await;

    let half = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nhalf");
    let answer = say(stage.router.address, half.as_bytes()).await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let seen = stage.seen(Slot::Blue).await;
    assert_eq!((seen.totals.abandoned, seen.totals.failures.sum()), (1, 0));
    assert_eq!(seen.in_flight.all, 0);
}

#[tokio::test]
async fn the_time_in_which_somebody_waited_and_nobody_got_an_answer_is_a_gap() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    client.get("/").await;
    // Nobody waits in this time: no gap.
    sleep(Duration::from_millis(1200)).await;

    let waiting = tokio::spawn(async move { client.get("/wait").await.status });
    sleep(Duration::from_millis(400)).await;
    stage.blue.let_go();
    assert_eq!(waiting.await.unwrap(), 200);
    sleep(Duration::from_millis(1100)).await;

    let seconds = stage.seen(Slot::Blue).await.seconds;
    let longest = seconds.iter().map(|s| s.longest_gap_us).max().unwrap();
    assert!((300_000..1_200_000).contains(&longest), "{longest}");
}

#[tokio::test]
async fn seconds_are_whole_in_order_and_empty_ones_are_left_out() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let began = OffsetDateTime::now_utc().unix_timestamp();

    for _ in 0..5 {
        client.get("/").await;
    }
    sleep(Duration::from_millis(2100)).await;
    for _ in 0..7 {
        client.get("/").await;
    }
    sleep(Duration::from_millis(1100)).await;

    let traffic = stage.router.traffic(stage.placement).await;
    let seconds = &traffic.slots.blue.seconds;
    let now = traffic.now.unix_timestamp();
    assert!(seconds.windows(2).all(|pair| pair[0].second < pair[1].second));
    assert!(seconds.iter().all(|s| (began..now).contains(&s.second) && s.requests > 0));
    assert!((2..=4).contains(&seconds.len()), "{seconds:?}");
    assert_eq!(seconds.iter().map(|s| s.requests).sum::<u64>(), 12);
    assert_eq!(seconds.iter().map(|s| s.latencies.count()).sum::<u64>(), 12);
    assert!(seconds.iter().all(|s| s.max_in_flight >= 1));

    // Read bit by bit they are the same: what was said once does not change.
    let last = seconds.last().unwrap().second;
    let path = format!("/v1/traffic/{}?since={last}", stage.placement);
    let later: Traffic = stage.router.get(&path).await;
    assert_eq!(later.slots.blue.seconds, seconds[seconds.len() - 1..]);
    let path = format!("/v1/traffic?since={began}");
    let all: AllTraffic = stage.router.get(&path).await;
    assert_eq!(all.placements[0].slots.blue.seconds, *seconds);
}

#[tokio::test]
async fn no_request_falls_between_two_seconds() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let mut since = OffsetDateTime::now_utc().unix_timestamp();
    let mut read: Vec<Second> = Vec::new();

    // Read as an engine does, while requests go on.
    for round in 0..30 {
        for _ in 0..10 {
            client.get("/").await;
            sleep(Duration::from_millis(8)).await;
        }
        if round == 29 {
            sleep(Duration::from_millis(1100)).await;
        }
        let path = format!("/v1/traffic/{}?since={since}", stage.placement);
        let traffic: Traffic = stage.router.get(&path).await;
        since = traffic.now.unix_timestamp();
        read.extend(traffic.slots.blue.seconds);
    }

    let distinct: HashSet<i64> = read.iter().map(|s| s.second).collect();
    assert_eq!(distinct.len(), read.len());
    assert_eq!(read.iter().map(|s| s.requests).sum::<u64>(), 300);
}

#[tokio::test]
async fn what_is_in_flight_is_counted_until_it_ends() {
    let stage = Stage::set().await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let address = stage.router.address;
            tokio::spawn(async move { Client::connect(address).await.get("/wait").await.status })
        })
        .collect();
    // Open and idle is not in flight.
    let mut idle = stage.client().await;
    idle.get("/").await;

    until("three are in flight", async || stage.seen(Slot::Blue).await.in_flight.all == 3).await;
    for _ in 0..3 {
        stage.blue.let_go();
    }
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }

    let seen = stage.seen(Slot::Blue).await;
    assert_eq!((seen.in_flight.all, seen.totals.requests), (0, 4));
    assert!(seen.last_answer_at.is_some());
}

#[tokio::test]
async fn the_traffic_of_a_switch_says_when_it_was_and_that_nothing_came_late() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    client.get("/").await;

    let before = OffsetDateTime::now_utc();
    let routed = stage.switch(Slot::Green).await;
    let after = OffsetDateTime::now_utc();
    let answer = client.begin(post("/", "x")).await;
    assert_eq!(whole(answer).await.text(), "green");

    let traffic = stage.router.traffic(stage.placement).await;
    assert_eq!((traffic.revision, traffic.live), (2, Some(Slot::Green)));
    for at in [traffic.switched_at.unwrap(), routed.switched_at.unwrap()] {
        assert!(before <= at && at <= after, "{before} {at} {after}");
    }
    assert_eq!(traffic.slots.blue.late_answers, 0);
    assert!(traffic.slots.blue.last_answer_at.unwrap() < traffic.switched_at.unwrap());
    assert_eq!(traffic.boot, stage.router.hello().await.boot);
}

#[tokio::test]
async fn an_instance_that_comes_back_is_used_again() {
    let stage = Stage::set().await;
    let gone = super::upstream::nobody().await;
    stage.put_blue(&[gone]).await;
    assert_eq!(stage.get("/").await.status, 502);

    let back = Upstream::named("back").await;
    stage.put_blue(&[gone, back.address]).await;

    assert_eq!(stage.get("/").await.text(), "back");
}

#[tokio::test]
async fn a_placement_nobody_wrote_has_no_traffic_to_read() {
    let stage = Stage::set().await;

    let path = format!("/v1/traffic/{}", super::stage::placement());
    let refused = stage.router.call::<Traffic>("GET", &path, &()).await.unwrap_err();

    assert_eq!(refused.code, RefusalCode::UnknownPlacement);
}
