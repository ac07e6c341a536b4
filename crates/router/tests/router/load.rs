//! The promise of the router: a switch costs nobody a request, and is true when it is acknowledged.

use super::{
    client::{Answer, Client, HOST, get, whole},
    process::Router,
    stage::Stage,
};
use domain::slot::Slot;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

const KEEPING: usize = 8;
const CLOSING: usize = 4;
/// Between two requests of a client: 12 clients make some hundred a second.
const PAUSE: Duration = Duration::from_millis(25);
const SWITCHES: usize = 10;

/// A request: when it was sent and answered, and by whom.
struct Asked {
    sent: Instant,
    answered: Instant,
    status: u16,
    by: String,
}

#[tokio::test]
async fn ten_switches_under_load_lose_no_request_and_bring_no_late_answer() {
    let stage = Stage::set().await;
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..KEEPING + CLOSING)
        .map(|n| {
            let keep = n < KEEPING;
            tokio::spawn(keep_asking(stage.router.address, keep, done.clone()))
        })
        .collect();
    sleep(Duration::from_millis(300)).await;

    // From the acknowledgement of a switch until the next one is asked for.
    let mut certain = Vec::new();
    let mut live = Slot::Blue;
    for _ in 0..SWITCHES {
        live = live.other();
        stage.switch(live).await;
        let acknowledged = Instant::now();
        sleep(Duration::from_millis(250)).await;
        certain.push((live, acknowledged, Instant::now()));
    }
    done.store(true, SeqCst);
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }

    assert!(all.len() > 500, "too little load: {}", all.len());
    let failed = all.iter().filter(|asked| asked.status != 200).count();
    assert_eq!(failed, 0, "of {}", all.len());
    for (live, from, to) in certain {
        let within: Vec<_> = all.iter().filter(|a| a.sent > from && a.answered < to).collect();
        assert!(!within.is_empty());
        for asked in within {
            assert_eq!(asked.by, live.as_str());
        }
    }
    let mut counted = 0;
    for slot in Slot::ALL {
        let seen = stage.seen(slot).await;
        assert_eq!((seen.totals.failures.sum(), seen.late_answers, seen.in_flight.all), (0, 0, 0));
        counted += seen.totals.requests;
    }
    assert_eq!(counted, all.len() as u64);
}

#[tokio::test]
async fn a_router_that_takes_over_under_load_loses_no_request_of_new_connections() {
    let stage = Stage::set().await;
    let done = Arc::new(AtomicBool::new(false));
    let address = stage.router.address;
    let clients: Vec<_> =
        (0..KEEPING).map(|_| tokio::spawn(keep_asking(address, false, done.clone()))).collect();
    sleep(Duration::from_millis(200)).await;

    let mut router = stage.router;
    for _ in 0..3 {
        let listen = address.to_string();
        let newer = Router::start(stage.dir.path(), &["--take-over", "--listen", &listen]).await;
        assert_eq!(newer.address, address);
        sleep(Duration::from_millis(200)).await;
        router = newer;
    }
    done.store(true, SeqCst);

    let mut all = 0;
    for client in clients {
        for asked in client.await.unwrap() {
            assert_eq!((asked.status, asked.by.as_str()), (200, "blue"));
            all += 1;
        }
    }
    assert!(all > 100, "too little load: {all}");
    assert_eq!(router.routed(stage.placement).await.revision, 1);
}

async fn keep_asking(address: SocketAddr, keep: bool, done: Arc<AtomicBool>) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut client = None;
    while !done.load(SeqCst) {
        let mut mine = match client.take() {
            Some(client) => client,
            None => Client::connect(address).await,
        };
        let mut request = get(HOST, "/");
        if !keep {
            request.headers_mut().insert("connection", "close".parse().unwrap());
        }
        let sent = Instant::now();
        let Answer { status, body, .. } = whole(mine.begin(request).await).await;
        let by = String::from_utf8_lossy(&body).into_owned();
        all.push(Asked { sent, answered: Instant::now(), status, by });
        client = keep.then_some(mine);
        sleep(PAUSE).await;
    }
    all
}
