//! What keeps the cluster from making pods, and for how long that is no news.

use super::{KubernetesTarget, lock, objects, reasons};
use crate::Result;
use domain::target::Place;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long there must be no room for anybody to be told so. Pods that end, ours or a neighbour's, give
/// theirs back late, and the cluster tries again later and later.
const NO_ROOM: Duration = Duration::from_secs(8);
/// How often the cluster is asked to try again meanwhile.
const AGAIN: Duration = Duration::from_secs(2);

/// Since when a slot's pods find no room, and when they were last tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    since: Instant,
    tried: Instant,
}

/// What keeps the cluster from making a pod at all.
pub(super) async fn held_up(
    target: &KubernetesTarget,
    place: &Place,
    deployment: &Deployment,
    ending: bool,
) -> Result<()> {
    let name = deployment.name_any();
    let key = (place.placement, name.clone());
    let why = reasons::not_made(deployment);
    let room = no_room(deployment);
    let Some(why) = why.filter(|_| !(room && ending)) else {
        lock(&target.waiting).remove(&key);
        return Ok(());
    };
    let said = format!("no pod can be made: {}.", why.trim_end_matches('.'));
    if !room {
        return Err(target.errors.refused(said));
    }
    let now = Instant::now();
    let again = {
        let mut waiting = lock(&target.waiting);
        let one = waiting.entry(key).or_insert(Waiting { since: now, tried: now });
        if now - one.since >= NO_ROOM {
            return Err(target.errors.full(said));
        }
        let again = one.tried == now || now - one.tried >= AGAIN;
        if again {
            one.tried = now;
        }
        again
    };
    if again {
        // A Deployment hands its annotations on, and who gets one looks at what it has to make.
        let at = time::OffsetDateTime::now_utc().unix_timestamp().to_string();
        let patch = json!({ "metadata": { "annotations": { objects::AGAIN: at } } });
        target.change::<Deployment>(place, &name, &patch).await?;
    }
    Ok(())
}

/// A quota says no to another pod.
pub(super) fn no_room(there: &Deployment) -> bool {
    reasons::not_made(there).is_some_and(|why| why.contains("quota"))
}
