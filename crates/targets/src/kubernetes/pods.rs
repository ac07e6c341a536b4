//! One pod, read and put into words. Pure.

use super::{
    changed::Made,
    names::{self, Identity},
    objects, reasons,
};
use crate::names as instances;
use domain::target::{Instance, InstanceState, Place};
use k8s_openapi::{
    api::core::v1::{ContainerStatus, Event, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// A pod of ours.
#[derive(Clone, Debug)]
pub(super) struct SeenPod {
    /// Its name, which no other pod gets: the id of the instance.
    pub name: String,
    pub uid: String,
    pub identity: Identity,
    pub state: InstanceState,
    /// It carries the label that the Services select by.
    pub routed: bool,
    /// It was told to end.
    pub ending: bool,
    /// Whether it takes requests at all.
    pub has_port: bool,
    /// The path of its own readiness check.
    pub check: Option<String>,
    pub created_at: Option<OffsetDateTime>,
    pub started_at: Option<OffsetDateTime>,
    pub restarts: u32,
    pub died: Option<String>,
    pub changed: Option<String>,
    /// Which instance it is. Given once, and kept in an annotation.
    pub number: u16,
    /// It has its number by an annotation already.
    pub numbered: bool,
    /// It passes its own readiness check.
    pub ready: bool,
    /// For which move of the traffic it was started, where that is why.
    pub goodbye: Option<String>,
}

impl SeenPod {
    /// `None`: it is not of this placement and installation.
    pub fn read(pod: &Pod, events: &[Event], place: &Place, installation: Uuid) -> Option<Self> {
        let meta = &pod.metadata;
        let identity = Identity::read(meta.labels.as_ref(), installation)?;
        if identity.placement != place.placement {
            return None;
        }
        let status = pod.status.as_ref();
        let statuses = status.and_then(|status| status.container_statuses.as_deref());
        let app = statuses.unwrap_or_default().iter().find(|one| one.name == objects::CONTAINER);
        let spec = pod.spec.as_ref()?;
        let container = spec.containers.iter().find(|one| one.name == objects::CONTAINER);
        let probe = container.and_then(|one| one.readiness_probe.as_ref());
        let ending = meta.deletion_timestamp.is_some();
        let state = if ending {
            InstanceState::Exited { why: "is being stopped".to_owned() }
        } else {
            condition(pod, app, events)
        };
        let died = match &state {
            InstanceState::Exited { why } => Some(why.clone()),
            InstanceState::Starting | InstanceState::Running => reasons::died(pod),
        };
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
        let number = annotation(objects::NUMBER).and_then(|text| text.parse().ok());
        let label = |key: &str| meta.labels.as_ref().and_then(|all| all.get(key));
        let made = Made::read(meta.annotations.as_ref());
        Some(Self {
            name: meta.name.clone()?,
            uid: meta.uid.clone().unwrap_or_default(),
            identity,
            state,
            routed: label(names::ROUTED).is_some_and(|word| word == names::YES),
            ending,
            has_port: container
                .is_some_and(|one| one.ports.as_ref().is_some_and(|p| !p.is_empty())),
            check: probe.and_then(|probe| probe.http_get.as_ref()?.path.clone()),
            created_at: meta.creation_timestamp.as_ref().and_then(instant),
            started_at: app.and_then(started_at),
            restarts: app.and_then(|app| u32::try_from(app.restart_count).ok()).unwrap_or(0),
            died,
            changed: made.and_then(|made| made.differs(spec)),
            number: number.unwrap_or(0),
            numbered: number.is_some(),
            ready: app.is_some_and(|app| app.ready),
            goodbye: annotation(objects::GOODBYE).cloned(),
        })
    }

    /// In the words of the trait. `in_route` is for the caller to know.
    pub fn instance(&self, in_route: bool, of_all: Option<&String>) -> Instance {
        let identity = &self.identity;
        Instance {
            id: self.name.clone(),
            name: instances::instance(identity.slot, identity.maker, self.number),
            number: self.number,
            maker: identity.maker,
            release: identity.release,
            configuration: identity.configuration,
            state: self.state.clone(),
            in_route,
            started_at: self.started_at,
            restarts: self.restarts,
            died: self.died.clone(),
            changed: self.changed.as_ref().or(of_all).cloned(),
        }
    }

    /// Its process runs, and nobody told it to end.
    pub fn runs(&self) -> bool {
        self.state == InstanceState::Running
    }
}

/// Gives a slot's pods numbers: who has one keeps it, the others get the lowest that are free, the
/// oldest first. Who was told to end keeps nothing for itself.
pub(super) fn number(pods: &mut [SeenPod]) {
    let mut makers: Vec<_> = pods.iter().map(|one| one.identity.maker).collect();
    makers.sort_unstable();
    makers.dedup();
    pods.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    for maker in makers {
        let mut taken = BTreeSet::new();
        let ours = |one: &&mut SeenPod| one.identity.maker == maker;
        for one in pods.iter_mut().filter(ours).filter(|one| one.numbered && !one.ending) {
            // Two that have the same were copied by somebody.
            one.numbered = taken.insert(one.number);
        }
        for one in pods.iter_mut().filter(ours).filter(|one| !one.numbered) {
            let free = (1..).find(|number| !taken.contains(number)).unwrap_or(u16::MAX);
            one.number = free;
            if !one.ending {
                taken.insert(free);
            }
        }
    }
    pods.sort_by(|a, b| {
        (a.number, a.identity.maker, a.ending).cmp(&(b.number, b.identity.maker, b.ending))
    });
}

/// The cluster's state in the words of the trait.
fn condition(pod: &Pod, app: Option<&ContainerStatus>, events: &[Event]) -> InstanceState {
    let is_up = app.is_some_and(|app| app.state.as_ref().is_some_and(|s| s.running.is_some()));
    if is_up {
        return InstanceState::Running;
    }
    reasons::of_pod(pod, events)
        .map_or(InstanceState::Starting, |why| InstanceState::Exited { why })
}

fn started_at(app: &ContainerStatus) -> Option<OffsetDateTime> {
    let state = app.state.as_ref()?;
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref());
    let last = app.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    instant(running.or(terminated).or_else(|| last.and_then(|last| last.started_at.as_ref()))?)
}

/// The cluster's time as ours.
pub(super) fn instant(time: &Time) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(time.0.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use domain::{slot::Slot, target::Plan};
    use serde_json::{Value, json};

    const OURS: Uuid = Uuid::from_u128(1);

    fn pod(plan: &Plan, name: &str, created_s: u32, status: Value) -> SeenPod {
        let mut labels = names::of_pod(plan, OURS, Slot::Blue);
        labels.insert(names::ROUTED.to_owned(), names::YES.to_owned());
        let pod = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "creationTimestamp": format!("2026-11-21T14:00:{created_s:02}Z"),
            },
            "spec": { "containers": [{
                "name": "app",
                "resources": { "limits": { "memory": "64Mi" } },
            }] },
            "status": status,
        });
        let pod = serde_json::from_value(pod).expect("a pod");
        SeenPod::read(&pod, &[], &plan.place, OURS).expect("ours")
    }

    fn with(state: &Value, last: &Value) -> SeenPod {
        let plan = sample::plan(&sample::place("api"), 1);
        let status = json!({ "containerStatuses": [{
            "name": "app", "image": "a", "imageID": "b", "ready": false, "restartCount": 2,
            "state": state, "lastState": last,
        }] });
        pod(&plan, "api-blue-1", 0, status)
    }

    fn why(state: &Value, last: &Value) -> String {
        match with(state, last).state {
            InstanceState::Exited { why } => why,
            InstanceState::Starting => "starting".to_owned(),
            InstanceState::Running => "running".to_owned(),
        }
    }

    #[test]
    fn a_dead_pod_says_why_in_words() {
        let died = |code: i32, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason } });
        let waits = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
        let none = json!({});

        assert_eq!(why(&died(1, "Error"), &none), "exit code 1");
        assert_eq!(why(&died(137, "OOMKilled"), &none), "killed for memory (limit 64 MiB)");
        assert_eq!(why(&waits("CrashLoopBackOff", ""), &died(3, "Error")), "exit code 3");
        assert_eq!(why(&waits("ContainerCreating", ""), &none), "starting");
        let pull = why(&waits("ImagePullBackOff", "not found"), &none);
        assert_eq!(
            pull,
            "its image a can't be pulled: it is not found in its registry. Push it again"
        );
        assert_eq!(why(&json!({ "running": {} }), &none), "running");
    }

    #[test]
    fn why_a_pod_died_is_known_when_it_runs_again() {
        let died = json!({ "terminated": { "exitCode": 2, "reason": "Error" } });

        let again = with(&json!({ "running": { "startedAt": "2026-11-21T14:00:09Z" } }), &died);

        assert_eq!((again.died.as_deref(), again.restarts), (Some("exit code 2"), 2));
        assert!(again.runs() && again.started_at.is_some());
    }

    #[test]
    fn a_pod_that_no_node_takes_is_not_starting_for_ever() {
        let plan = sample::plan(&sample::place("api"), 1);
        let status = json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient memory.",
        }] });

        let InstanceState::Exited { why } = pod(&plan, "a", 0, status).state else { panic!("why") };

        assert_eq!(why, "no node takes it (of 1 node): 1 × not enough memory");
    }

    #[test]
    fn who_has_a_number_keeps_it_and_who_is_new_gets_the_lowest_that_is_free() {
        let plan = sample::plan(&sample::place("api"), 3);
        let new = |name: &str, created| pod(&plan, name, created, Value::Null);
        let kept = |name: &str, number: u16| SeenPod { number, numbered: true, ..new(name, 1) };
        let numbers = |mut pods: Vec<SeenPod>| {
            number(&mut pods);
            pods.iter().map(|one| (one.name.clone(), one.number)).collect::<Vec<_>>()
        };
        let is = |pods: Vec<SeenPod>, all: &[(&str, u16)]| {
            let all: Vec<_> = all.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
            assert_eq!(numbers(pods), all);
        };

        is(vec![new("b", 2), new("a", 3)], &[("b", 1), ("a", 2)]);
        is(vec![kept("b", 2), new("a", 3)], &[("a", 1), ("b", 2)]);
        is(vec![kept("b", 2), kept("c", 1), new("a", 0)], &[("c", 1), ("b", 2), ("a", 3)]);
        let ending = SeenPod { ending: true, ..kept("old", 1) };
        is(vec![ending, new("a", 3), kept("b", 2)], &[("a", 1), ("old", 1), ("b", 2)]);
        is(vec![kept("a", 1), kept("b", 1)], &[("a", 1), ("b", 2)]);
    }
}
