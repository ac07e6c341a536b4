//! What is changed in heads on their way, and which heads are not let in.

use super::{
    client::{Client, HOST, ask, get, rest, say},
    stage::Stage,
    upstream::{Said, Upstream},
};
use http_body_util::BodyExt;
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What the upstream got when the client sent `headers`.
async fn forwarded(stage: &Stage, headers: &[(&'static str, &str)]) -> String {
    let mut request = get(HOST, "/head");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let answer = ask(stage.router.address, request).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

#[tokio::test]
async fn what_is_between_two_hops_is_not_passed_on() {
    let stage = Stage::set().await;

    let got = forwarded(
        &stage,
        &[
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic abc"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("x-yours", "1"),
        ],
    )
    .await;
    let answer = stage.get("/head").await;

    for gone in ["x-mine", "keep-alive", "te:", "proxy-", "upgrade", "connection"] {
        assert!(!got.contains(gone), "{gone} in {got}");
    }
    assert!(got.contains("x-yours: 1\n"));
    for gone in ["x-between-us", "keep-alive", "proxy-authenticate", "connection"] {
        assert!(!answer.headers.contains_key(gone), "{gone} in {:?}", answer.headers);
    }
    assert_eq!(answer.headers["x-kept"], "1");
}

#[tokio::test]
async fn claims_about_the_client_are_ours_alone() {
    let stage = Stage::set().await;

    let got = forwarded(
        &stage,
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "bank.example"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
        ],
    )
    .await;

    let mut claims: Vec<_> =
        got.lines().filter(|line| line.contains("forwarded") || line.contains("real-ip")).collect();
    claims.sort_unstable();
    assert_eq!(
        claims,
        [
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: api.example.org",
            "x-forwarded-proto: http"
        ]
    );
}

#[tokio::test]
async fn the_console_s_cookie_is_withheld_and_the_others_arrive() {
    let stage = Stage::set().await;

    let got = forwarded(&stage, &[("cookie", "a=1; __Host-pilothouse=secret; b=2")]).await;

    assert!(got.contains("cookie: a=1; b=2\n") && !got.contains("secret"), "{got}");
}

#[tokio::test]
async fn http2_in_clear_text_is_served_and_its_cookies_arrive_as_one_header() {
    let stage = Stage::set().await;
    let stream = TcpStream::connect(stage.router.address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    let request = Request::get(format!("http://{HOST}/head"))
        .header("cookie", "a=1")
        .header("cookie", "__Host-pilothouse=secret")
        .header("cookie", "b=2")
        .body(Said::whole(""))
        .unwrap();
    let answer = client.send_request(request).await.unwrap();

    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let got = std::str::from_utf8(&body).unwrap();
    assert!(got.contains(&format!("host: {HOST}\n")), "{got}");
    assert!(got.contains("cookie: a=1; b=2\n"), "{got}");
}

#[tokio::test]
async fn a_request_with_two_lengths_can_not_smuggle_another_past_us() {
    let stage = Stage::set().await;
    let host = format!("Host: {HOST}\r\n");
    let inner = format!("GET /smuggled HTTP/1.1\r\n{host}\r\n");

    // The body is empty by one header and holds a request by the other.
    let length = format!("Content-Length: {}\r\n", inner.len() + 5);
    let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
    for both in [length.clone() + &chunked, chunked + &length] {
        let request = format!("POST /head HTTP/1.1\r\n{host}{both}\r\n0\r\n\r\n{inner}");
        let served = stage.blue.requests();
        let answer = say(stage.router.address, request.as_bytes()).await;

        // One length is believed, the instance is told only that, and what follows is not read.
        let told = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(told.contains("transfer-encoding: chunked\n"), "{answer}");
        assert!(!told.contains("content-length"), "{answer}");
        assert_eq!(stage.blue.requests(), served + 1);
    }

    let odd = [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: 1\r\n Transfer-Encoding: chunked\r\n",
    ];
    for odd in odd {
        let request = format!("POST / HTTP/1.1\r\n{host}{odd}Connection: close\r\n\r\nabcdef");
        let answer = say(stage.router.address, request.as_bytes()).await;

        assert!(answer.starts_with("HTTP/1.1 400 "), "{odd:?} {answer}");
    }
    assert_eq!(stage.blue.requests(), 2);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let stage = Stage::set().await;
    let large = "x".repeat(100 * 1024);
    let many = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();

    for headers in [format!("X: {large}\r\n"), many] {
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n");
        let answer = say(stage.router.address, request.as_bytes()).await;

        // A client that still sends may lose the answer with the connection.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(stage.blue.requests(), 0);
    assert_eq!(stage.get("/").await.status, 200);
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_closed_and_one_that_uploads_slowly_is_not() {
    let stage = Stage::set_with(&["--head-timeout", "300ms"]).await;
    let head = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: ");
    let mut slow = TcpStream::connect(stage.router.address).await.unwrap();
    let mut uploading = TcpStream::connect(stage.router.address).await.unwrap();
    let post = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 8\r\nConnection: close\r\n\r\n"
    );
    uploading.write_all(post.as_bytes()).await.unwrap();

    let began = Instant::now();
    let upload = async {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            uploading.write_all(b"x").await.unwrap();
        }
        rest(&mut uploading).await
    };
    let drip = async {
        slow.write_all(head.as_bytes()).await.unwrap();
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(began.elapsed() < Duration::from_secs(9), "it is never closed");
        }
    };
    let (answer, ()) = tokio::join!(upload, drip);

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(stage.blue.requests(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_to_upgrade_is_not_passed_on() {
    let stage = Stage::set().await;
    let rude = Upstream::abrupt(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: mine\r\n\r\n",
    )
    .await;
    stage.put_blue(&[rude.address]).await;

    let answer = Client::connect(stage.router.address).await.get("/").await;

    assert_eq!(answer.status, 502);
}
