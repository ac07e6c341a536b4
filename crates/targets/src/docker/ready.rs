//! Which instances of a live slot may get requests: those that answered their readiness check.

use super::{DockerTarget, lock, probe, seen::Container};
use domain::target::Plan;
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// After so long it is asked again, should whoever asked have vanished. Longer than any check takes.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// For how long an answer is good enough to bring an instance into the route.
const HOLDS: Duration = Duration::from_secs(5);

/// What is remembered of each container that was asked, by its id.
pub(super) type Asked = Arc<Mutex<HashMap<String, Outcome>>>;

/// What came of asking.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    UnderWay(Instant),
    Passed(Instant),
}

impl DockerTarget {
    /// Asks running instances whether they are ready, each with the check's own timeout. The ids of
    /// those that said so until `until`; an answer that takes longer is found by the next call.
    pub(super) async fn ready(
        &self,
        plan: &Plan,
        instances: &[&Container],
        until: Instant,
    ) -> HashSet<String> {
        let Some(port) = plan.spec.exposure.port() else { return HashSet::new() };
        let fresh = |at: &Instant| at.elapsed() < HOLDS;
        let unasked: Vec<_> = {
            let mut asked = lock(&self.asked);
            asked.retain(|_, outcome| match outcome {
                Outcome::UnderWay(since) => since.elapsed() < FORGOTTEN,
                Outcome::Passed(at) => fresh(at),
            });
            let new = |one: &&&Container| !asked.contains_key(&one.id);
            let unasked: Vec<_> = instances.iter().filter(new).copied().collect();
            let under_way = Outcome::UnderWay(Instant::now());
            asked.extend(unasked.iter().map(|one| (one.id.clone(), under_way)));
            unasked
        };
        // Spawned: who is slower than this call is heard all the same.
        let asking = unasked.into_iter().map(|one| {
            let (id, place, check) =
                (one.id.clone(), plan.place.clone(), plan.spec.readiness.clone());
            let address = SocketAddr::from((one.identity.address, port));
            let asked = Arc::clone(&self.asked);
            tokio::spawn(async move {
                let passed = probe::passes(&place, address, &check).await;
                let mut asked = lock(&asked);
                asked.remove(&id);
                if passed {
                    asked.insert(id, Outcome::Passed(Instant::now()));
                }
            })
        });
        // Cut off or not: what counts is what was heard.
        let _ = tokio::time::timeout_at(until, futures::future::join_all(asking)).await;

        let asked = lock(&self.asked);
        let passed = |id: &String| matches!(asked.get(id), Some(Outcome::Passed(at)) if fresh(at));
        instances.iter().map(|one| one.id.clone()).filter(passed).collect()
    }
}
