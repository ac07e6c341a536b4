//! Which slot a request reaches, and what is said when it reaches none.

use super::{
    client::{HOST, ask, get, say},
    stage::{PREVIEW, Stage},
    upstream::nobody,
};
use domain::slot::Slot;

#[tokio::test]
async fn a_request_reaches_the_live_slot_by_its_host_name_however_it_is_written() {
    let stage = Stage::set().await;

    for host in [HOST, "API.Example.ORG", "api.example.org.", "api.example.org:7380"] {
        let answer = ask(stage.router.address, get(host, "/")).await;

        assert_eq!((answer.status, answer.text()), (200, "blue"), "{host}");
    }
}

#[tokio::test]
async fn a_request_that_names_no_host_or_two_is_refused() {
    let stage = Stage::set().await;

    for hosts in ["", "Host: \r\n", "Host: a b\r\n", "Host: api.example.org:x\r\n", "Host: ä\r\n"]
        .map(String::from)
        .into_iter()
        .chain([format!("Host: {HOST}\r\nHost: {HOST}\r\n")])
    {
        let request = format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let answer = say(stage.router.address, request.as_bytes()).await;

        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?} {answer}");
    }
    assert_eq!(stage.blue.requests(), 0);
}

#[tokio::test]
async fn a_target_in_absolute_form_goes_before_the_host_header() {
    let stage = Stage::set().await;

    let request =
        format!("GET http://{HOST}/head HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
    let answer = say(stage.router.address, request.as_bytes()).await;

    assert!(answer.contains(&format!("\nhost: {HOST}\n")), "{answer}");
}

#[tokio::test]
async fn an_unknown_host_name_is_answered_with_a_page_that_names_it() {
    let stage = Stage::set().await;

    let answer = ask(stage.router.address, get("other.example.org", "/")).await;

    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.text().contains("other.example.org"));
}

#[tokio::test]
async fn without_a_live_slot_the_answer_is_a_page_and_the_request_is_counted_apart() {
    let stage = Stage::set().await;
    stage.router.switch(stage.placement, 1, None).await.unwrap();

    let answer = stage.get("/").await;

    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.text().contains(HOST));
    let traffic = stage.router.traffic(stage.placement).await;
    assert_eq!(traffic.without_slot, 1);
    assert_eq!(traffic.slots.blue.totals.requests + traffic.slots.green.totals.requests, 0);
}

#[tokio::test]
async fn an_instance_that_takes_no_connection_is_a_bad_gateway() {
    let stage = Stage::set().await;
    stage.put_blue(&[nobody().await]).await;

    let answer = stage.get("/").await;

    assert_eq!(answer.status, 502);
    assert!(answer.text().contains(HOST));
    let totals = stage.seen(Slot::Blue).await.totals;
    assert_eq!((totals.requests, totals.failures.refused, totals.retried), (1, 1, 0));
}

#[tokio::test]
async fn a_preview_host_name_reaches_the_slot_that_is_not_live_and_counts_apart() {
    let stage = Stage::set().await;

    let before = ask(stage.router.address, get(PREVIEW, "/")).await;
    stage.switch(Slot::Green).await;
    let after = ask(stage.router.address, get(PREVIEW, "/")).await;

    assert_eq!((before.text(), after.text()), ("green", "blue"));
    for slot in Slot::ALL {
        let seen = stage.seen(slot).await;
        assert_eq!((seen.totals.previews, seen.totals.requests), (1, 0));
        assert!(seen.seconds.is_empty());
    }
}
