//! A witness for a cluster without one of its own: requests of ours through the API server's service
//! proxy, a few a second, while the traffic of a placement may move and some minutes longer.

use super::{KubernetesTarget, error::answered, lock, names::Names, objects, probe::said_itself};
use crate::BODY_KEPT;
use anyhow::anyhow;
use domain::{
    id::PlacementId,
    slot::Slot,
    target::Place,
    witness::{Counted, Counter, Ended},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::client::Body;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

/// Who this is, for people.
pub(super) const WHO: &str = "the API server's service proxy";
/// What it can not see.
pub(super) const UNSEEN: &str = "It asks through the API server, twice a second: it sees neither \
    what clients in the cluster see of the nodes' packet rules and of connections that stay open, \
    nor other clients' requests. What the API server does not hand on is not counted.";

/// Twice a second.
const EVERY: Duration = Duration::from_millis(500);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that wait at once: those that a silent service would gather.
const AT_ONCE: usize = 10;
/// How long it goes on after it was wanted last.
const LONGER: Duration = Duration::from_secs(6 * 60);
/// What nearly all answers are quicker than.
const SOON: Duration = Duration::from_secs(1);
/// How much of an answer is read.
const MOST_BYTES: usize = 64 * 1024;
/// What the API server says of a service: nobody is there, or nobody answers.
const OF_THE_SERVICE: [&str; 2] = ["no endpoints available", "error trying to reach service"];

/// The witnesses of all placements that are watched now.
#[derive(Debug, Default)]
pub(super) struct Asking(Mutex<HashMap<PlacementId, Watch>>);

#[derive(Debug)]
struct Watch {
    until: Arc<Mutex<Instant>>,
    counter: Arc<Mutex<Counter>>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks from now on, or goes on for some minutes more. Does nothing for a service without a port.
pub(super) fn wanted(target: &KubernetesTarget, place: &Place) {
    let mut all = lock(&target.asked.0);
    all.retain(|_, watch| !watch.task.is_finished());
    let until = Instant::now() + LONGER;
    if let Some(watch) = all.get(&place.placement) {
        *lock(&watch.until) = until;
        return;
    }
    let Ok(namespace) = target.namespace(place) else { return };
    let until = Arc::new(Mutex::new(until));
    let counter = Arc::new(Mutex::new(Counter::new(boot(place))));
    let asker = Asker {
        client: target.asking.clone(),
        namespace,
        place: place.clone(),
        until: Arc::clone(&until),
        counter: Arc::clone(&counter),
    };
    let task = tokio::spawn(asker.run());
    all.insert(place.placement, Watch { until, counter, task });
}

/// What was counted. `None`: nobody asks.
pub(super) fn counted(target: &KubernetesTarget, place: &Place, since: i64) -> Option<Counted> {
    let all = lock(&target.asked.0);
    let watch = all.get(&place.placement).filter(|watch| !watch.task.is_finished())?;
    Some(lock(&watch.counter).counted(since, now_ms()))
}

/// Nobody is to ask any more.
pub(super) fn forget(target: &KubernetesTarget, place: &Place) {
    lock(&target.asked.0).remove(&place.placement);
}

/// A name that no other life of a witness has.
fn boot(place: &Place) -> String {
    format!("{}-{}-{}", place.placement, std::process::id(), now_ms())
}

fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

struct Asker {
    client: kube::Client,
    namespace: String,
    place: Place,
    until: Arc<Mutex<Instant>>,
    counter: Arc<Mutex<Counter>>,
}

impl Asker {
    async fn run(self) {
        let Some(path) = self.path().await else { return };
        let name = Names::of(&self.place).active();
        let (namespace, port) = (&self.namespace, objects::PORT);
        let url: Arc<str> =
            format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy{path}").into();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = tokio::task::JoinSet::new();
        while Instant::now() < *lock(&self.until) {
            ticks.tick().await;
            while waiting.try_join_next().is_some() {}
            if waiting.len() < AT_ONCE {
                let (client, counter) = (self.client.clone(), Arc::clone(&self.counter));
                waiting.spawn(one(client, counter, Arc::clone(&url)));
            }
        }
    }

    /// The path of the service's readiness check, from whichever slot there is.
    async fn path(&self) -> Option<String> {
        let api = kube::Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        let names = Names::of(&self.place);
        while Instant::now() < *lock(&self.until) {
            for slot in Slot::ALL {
                let found = answered(api.get_opt(&names.deployment(slot))).await.ok().flatten();
                let container = found
                    .and_then(|found| found.spec?.template.spec)
                    .and_then(|pod| pod.containers.into_iter().next());
                if let Some(container) = container {
                    return container.readiness_probe?.http_get?.path;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
        None
    }
}

async fn one(client: kube::Client, counter: Arc<Mutex<Counter>>, url: Arc<str>) {
    let (sent_ms, begun) = (now_ms(), Instant::now());
    lock(&counter).sent(sent_ms);
    let answer = tokio::time::timeout(PATIENCE, exchange(&client, &url));
    let outcome = tokio::select! {
        answer = answer => match answer {
            Ok(Ok(Some((status, body)))) => outcome(status, &body),
            Ok(Ok(None)) => Outcome::Unknown,
            // Cut off or silent: the service, if the API server is there.
            Ok(Err(_)) | Err(_) if is_there(&client).await => Outcome::Failed,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        },
        () = is_gone(&client) => Outcome::Unknown,
    };
    // The API server chooses a pod for each request.
    let how = |latency, failed| Ended { opened_ms: sent_ms, version: None, latency, failed };
    let mut counter = lock(&counter);
    match outcome {
        Outcome::Answered { good } => {
            counter.ended(how(Some(begun.elapsed()), !good), now_ms());
        }
        Outcome::Failed => counter.ended(how(None, true), now_ms()),
        Outcome::Unknown => counter.unknown(now_ms()),
    }
}

/// Whether the API server answers for itself.
async fn is_there(client: &kube::Client) -> bool {
    tokio::time::timeout(SOON, client.apiserver_version()).await.is_ok_and(|answer| answer.is_ok())
}

/// Ends when the API server does not answer, and looks only where an answer takes long.
async fn is_gone(client: &kube::Client) {
    loop {
        tokio::time::sleep(SOON).await;
        if !is_there(client).await {
            return;
        }
    }
}

/// What a request says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered {
        good: bool,
    },
    /// There is nobody, or who is there does not answer.
    Failed,
    /// It did not get as far as the service.
    Unknown,
}

/// Credentials that expired, a server with too much to do and the like are no fault of a service.
fn outcome(status: StatusCode, body: &str) -> Outcome {
    match said_itself(status, body) {
        None => Outcome::Answered { good: !status.is_server_error() },
        Some(said) if OF_THE_SERVICE.iter().any(|part| said.contains(part)) => Outcome::Failed,
        Some(_) => Outcome::Unknown,
    }
}

/// The whole answer, of which the beginning is kept. `None`: not even the API server gave one.
async fn exchange(
    client: &kube::Client,
    url: &str,
) -> Result<Option<(StatusCode, String)>, anyhow::Error> {
    let request =
        Request::get(url).header(header::USER_AGENT, "pilothouse-witness").body(Body::empty())?;
    let Ok(answer) = client.send(request).await else { return Ok(None) };
    let status = answer.status();
    let mut body = answer.into_body();
    let (mut read, mut kept) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else { continue };
        read += data.len();
        if read > MOST_BYTES {
            return Err(anyhow!("an answer of more than {MOST_BYTES} bytes"));
        }
        let room = BODY_KEPT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(Some((status, String::from_utf8_lossy(&kept).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_says_of_itself_is_no_fault_of_the_service() {
        let own = |code: u16, message: &str| {
            let body = serde_json::json!({ "kind": "Status", "message": message, "code": code });
            // As it is written by Go.
            let body = body.to_string().replace("\": ", "\":");
            outcome(StatusCode::from_u16(code).expect("a status"), &body)
        };

        assert_eq!(own(401, "Unauthorized"), Outcome::Unknown);
        assert_eq!(own(403, "services \"api\" is forbidden"), Outcome::Unknown);
        assert_eq!(own(429, "too many requests, please try again later."), Outcome::Unknown);
        assert_eq!(own(404, "services \"api\" not found"), Outcome::Unknown);
        assert_eq!(own(503, "no endpoints available for service \"api\""), Outcome::Failed);
        assert_eq!(own(503, "error trying to reach service: dial tcp: refused"), Outcome::Failed);
        assert_eq!(outcome(StatusCode::NOT_FOUND, "{}"), Outcome::Answered { good: true });
        let busy = outcome(StatusCode::SERVICE_UNAVAILABLE, "busy");
        assert_eq!(busy, Outcome::Answered { good: false });
    }
}
