//! The promise of the router: a switch costs nobody a request, and is true when it is acknowledged.

use super::{
    client::{Answer, Client, HOST, get, whole},
    stage::Stage,
};
use domain::slot::Slot;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
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

/// A request: when it was sent, and who answered it.
struct Asked {
    sent: Instant,
    status: u16,
    by: String,
}

#[tokio::test]
async fn ten_switches_under_load_lose_no_request_and_bring_no_late_answer() {
    let stage = Stage::set().await;
    let all = Arc::new(Mutex::new(Vec::new()));
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..KEEPING + CLOSING)
        .map(|n| {
            let keep = n < KEEPING;
            tokio::spawn(keep_asking(stage.router.address, keep, all.clone(), done.clone()))
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
    for client in clients {
        client.await.unwrap();
    }

    let all = all.lock().unwrap();
    assert!(all.len() > 500, "too little load: {}", all.len());
    let failed = all.iter().filter(|asked| asked.status != 200).count();
    assert_eq!(failed, 0, "of {}", all.len());
    for (live, from, to) in certain {
        let within: Vec<_> = all.iter().filter(|a| a.sent > from && a.sent < to).collect();
        assert!(!within.is_empty());
        // Sent, though not yet arrived, before the next switch: that one is not certain.
        let sure = within.iter().filter(|asked| asked.sent + Duration::from_millis(100) < to);
        for asked in sure {
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

async fn keep_asking(
    address: SocketAddr,
    keep: bool,
    all: Arc<Mutex<Vec<Asked>>>,
    done: Arc<AtomicBool>,
) {
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
        all.lock().unwrap().push(Asked { sent, status, by });
        client = keep.then_some(mine);
        sleep(PAUSE).await;
    }
}
