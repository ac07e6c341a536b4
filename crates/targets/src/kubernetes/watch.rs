//! Hints from the cluster's watches that something of ours changed.
//!
//! One watch for each kind and namespace, however many listen. A watch goes on where it was cut off
//! (bookmarks tell how far it had come); one that is too far behind lists anew (410), and that is a
//! hint for everything, as each loss is. What fails is asked again later and later.
//!
//! Where the pattern of namespaces has a project or an environment in it, a namespace is watched from
//! the first call on that names a place in it.

use super::{KubernetesTarget, lock, names};
use crate::Hint;
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{Event, Pod, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt, utils::Backoff, watcher, watcher::Event as Watched},
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
};
use uuid::Uuid;

/// Hints that a listener may be behind; one that is further behind is told that all may have changed.
const BEHIND: usize = 256;
/// How long one watch is held before it is asked for anew, where it left off. A connection that died
/// without a word is noticed after this.
const HELD_S: u32 = 60;
/// How long after a failure the first and the last attempts come.
const SOON: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(10);

/// What listeners share.
#[derive(Debug)]
pub(super) struct Hub {
    hints: broadcast::Sender<Hint>,
    namespaces: watch::Sender<BTreeSet<String>>,
    task: Arc<Task>,
}

/// Who hears, if somebody does.
type Task = Mutex<Option<JoinHandle<()>>>;

impl Default for Hub {
    fn default() -> Self {
        Self {
            hints: broadcast::Sender::new(BEHIND),
            namespaces: watch::Sender::default(),
            task: Arc::default(),
        }
    }
}

impl Hub {
    /// Watches this namespace too from now on.
    pub fn learn(&self, namespace: &str) {
        self.namespaces.send_if_modified(|known| {
            let is_new = !known.contains(namespace);
            if is_new {
                known.insert(namespace.to_owned());
            }
            is_new
        });
    }

    fn listen(self: &Arc<Self>, client: &Client, installation: Uuid) -> broadcast::Receiver<Hint> {
        let mut task = lock(&self.task);
        // Before the first hint can come, and never between the last look for listeners and the end.
        let receiver = self.hints.subscribe();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let (hints, namespaces) = (self.hints.clone(), self.namespaces.subscribe());
            let hearing = Hearing { hints, task: Arc::clone(&self.task) };
            *task = Some(tokio::spawn(hear(client.clone(), installation, namespaces, hearing)));
        }
        receiver
    }
}

/// Whom it is told to.
struct Hearing {
    hints: broadcast::Sender<Hint>,
    task: Arc<Task>,
}

impl Hearing {
    /// False: nobody listens any more, and whoever comes next finds nobody hearing and begins anew.
    fn tell(&self, hint: Hint) -> bool {
        self.hints.send(hint).is_ok() || !self.leaves()
    }

    /// Under the lock of who begins to listen: either he is counted here, or he finds nobody.
    fn leaves(&self) -> bool {
        let mut task = lock(&self.task);
        let nobody = self.hints.receiver_count() == 0;
        if nobody {
            *task = None;
        }
        nobody
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// `Target::watch`.
pub(super) fn watch(target: &KubernetesTarget) -> BoxStream<'static, Hint> {
    let pattern = target.options.namespaces.as_str();
    if !pattern.contains('{') {
        target.hub.learn(pattern);
    }
    let hub = Arc::clone(&target.hub);
    let receiver = hub.listen(target.client(), target.options.installation);
    // Holds the hub: who listens hears on, also when the target itself is gone.
    stream::unfold((hub, receiver, true), |(hub, mut receiver, first)| async move {
        if first {
            return Some((Hint::All, (hub, receiver, false)));
        }
        let hint = match receiver.recv().await {
            Ok(hint) => hint,
            Err(broadcast::error::RecvError::Lagged(_)) => Hint::All,
            // The hub holds a sender, so this never comes.
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((hint, (hub, receiver, false)))
    })
    .boxed()
}

/// Hears all namespaces, those that become known later too, until nobody listens.
async fn hear(
    client: Client,
    installation: Uuid,
    mut namespaces: watch::Receiver<BTreeSet<String>>,
    listeners: Hearing,
) {
    let mut heard: SelectAll<BoxStream<'static, Hint>> = SelectAll::new();
    let mut known = BTreeSet::new();
    loop {
        let wanted = namespaces.borrow_and_update().clone();
        for namespace in wanted.difference(&known) {
            heard.extend(of_namespace(&client, namespace, installation));
        }
        known = wanted;
        let hint = if heard.is_empty() {
            match namespaces.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        } else {
            tokio::select! {
                changed = namespaces.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                hint = heard.select_next_some() => hint,
            }
        };
        if !listeners.tell(hint) {
            return;
        }
        // What came in the same moment and says the same is one hint.
        let mut last = hint;
        while let Some(Some(more)) = heard.next().now_or_never() {
            if more != last && !listeners.tell(more) {
                return;
            }
            last = more;
        }
        tokio::task::yield_now().await;
    }
}

/// One watch of each kind.
fn of_namespace(
    client: &Client,
    namespace: &str,
    installation: Uuid,
) -> Vec<BoxStream<'static, Hint>> {
    let ours = watcher::Config::default().timeout(HELD_S).labels(&names::selector_of(installation));
    let warnings = watcher::Config::default().timeout(HELD_S).fields("type=Warning");
    vec![
        of_kind::<Deployment>(client, namespace, installation, ours.clone()),
        of_kind::<ReplicaSet>(client, namespace, installation, ours.clone()),
        of_kind::<Pod>(client, namespace, installation, ours.clone()),
        of_kind::<Service>(client, namespace, installation, ours.clone()),
        of_kind::<EndpointSlice>(client, namespace, installation, ours),
        // Events carry no labels of ours: any warning may be about one of our pods.
        of_kind::<Event>(client, namespace, installation, warnings),
    ]
}

fn of_kind<K>(
    client: &Client,
    namespace: &str,
    installation: Uuid,
    config: watcher::Config,
) -> BoxStream<'static, Hint>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let events = watcher(api, config).backoff(Patience::default());
    let mut lost = false;
    events
        .filter_map(move |event| {
            let hint = match event {
                Ok(Watched::Apply(object) | Watched::Delete(object)) => {
                    Some(placed(&object, installation))
                }
                // Listed anew: at the beginning, and after a loss. What it lists is told by one hint.
                Ok(Watched::Init) => {
                    lost = true;
                    None
                }
                Ok(Watched::InitApply(_)) => None,
                Ok(Watched::InitDone) => std::mem::take(&mut lost).then_some(Hint::All),
                Err(error) => {
                    if is_expired(&error) {
                        tracing::debug!(kind, %error, "A watch had expired: all is listed anew");
                    } else {
                        tracing::debug!(kind, %error, "A watch was lost");
                    }
                    // Once: that it fails again and again is no news.
                    (!std::mem::replace(&mut lost, true)).then_some(Hint::All)
                }
            };
            futures::future::ready(hint)
        })
        .boxed()
}

/// The API server has forgotten what came after where the watch had been (410).
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

fn placed<K: Resource>(object: &K, installation: Uuid) -> Hint {
    names::placement_of(object.meta().labels.as_ref(), installation).map_or(Hint::All, Hint::Of)
}

/// Twice as long after each failure, up to [`LATE`]; from the start again after a quiet minute. A list
/// that begins is no success yet, so being told of one changes nothing.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
    last: Option<Instant>,
}

/// After so long without a failure the next one is the first again.
const QUIET: Duration = Duration::from_secs(60);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > QUIET) {
            self.failures = 0;
        }
        self.last = Some(Instant::now());
        let wait = SOON.saturating_mul(1 << self.failures.min(10)).min(LATE);
        self.failures += 1;
        Some(wait)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_asked_later_and_later_and_never_at_once() {
        let mut patience = Patience::default();

        let waits: Vec<_> = (0..40)
            .filter_map(|_| {
                // A watcher says so whenever it begins to list, also if that fails.
                patience.reset();
                patience.next()
            })
            .collect();

        assert_eq!(waits.len(), 40, "it never gives up");
        assert_eq!(waits[..3], [SOON, SOON * 2, SOON * 4]);
        assert!(waits[10..].iter().all(|wait| *wait == LATE));
    }

    #[tokio::test]
    async fn who_begins_to_listen_while_the_last_hint_finds_nobody_is_heard_for() {
        let hub = Hub::default();
        let listeners = Hearing { hints: hub.hints.clone(), task: Arc::clone(&hub.task) };
        *lock(&hub.task) = Some(tokio::spawn(futures::future::pending()));

        // The hint finds nobody, and then somebody comes, who sees that there is one who hears.
        assert!(listeners.hints.send(Hint::All).is_err());
        let mut comes = hub.hints.subscribe();
        assert!(!listeners.leaves(), "so he stays");
        assert!(listeners.tell(Hint::All));
        assert_eq!(comes.try_recv().expect("told"), Hint::All);

        drop(comes);
        let hears = lock(&hub.task).as_ref().map(JoinHandle::abort_handle);
        assert!(!listeners.tell(Hint::All));
        assert!(lock(&hub.task).is_none(), "the next one finds nobody, and begins anew");
        hears.expect("there was one").abort();
    }

    #[tokio::test]
    async fn a_namespace_is_learned_once() {
        let hub = Hub::default();
        let mut seen = hub.namespaces.subscribe();

        hub.learn("shop");
        assert!(seen.has_changed().expect("open"));
        seen.borrow_and_update();
        hub.learn("shop");

        assert!(!seen.has_changed().expect("open"));
        assert_eq!(hub.namespaces.borrow().iter().collect::<Vec<_>>(), ["shop"]);
    }
}
