//! One pod, read and put into words. Pure.

use super::{
    changed::{Made, foreign_owner},
    names::{self, FIELD_MANAGER, Identity},
    objects, reasons,
};
use crate::names as instances;
use domain::target::{Instance, InstanceState, Place};
use k8s_openapi::{
    api::core::v1::{ContainerStatus, Event, Pod},
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time},
};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A pod of ours.
#[derive(Clone, Debug)]
pub(super) struct SeenPod {
    /// Its name, which no other pod gets: the id of the instance.
    pub name: String,
    pub uid: String,
    pub resource_version: Option<String>,
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
    /// Somebody else wrote one of the labels by which it is ours, or is routed: they are left as they are.
    pub relabelled: bool,
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
        let mut identity = Identity::read(meta.labels.as_ref(), installation)?;
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
        let relabelled = relabelled(meta, &as_made(place, installation, made.as_ref()));
        // A Deployment has one maker for its whole life, whatever a hand writes on a pod of it.
        if let Some(maker) = made.as_ref().and_then(Made::maker) {
            identity.maker = maker;
        }
        Some(Self {
            name: meta.name.clone()?,
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone(),
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
            relabelled: relabelled.is_some(),
            changed: made.and_then(|made| made.differs(spec)).or(relabelled),
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

/// The labels that a pod was made with, as far as something else than its labels says so.
fn as_made(place: &Place, installation: Uuid, made: Option<&Made>) -> BTreeMap<String, String> {
    let mut labels = names::of_place(place, installation);
    labels.insert(names::ROUTED.to_owned(), names::YES.to_owned());
    if let Some(maker) = made.and_then(Made::maker) {
        labels.insert(names::MAKER.to_owned(), maker.to_string());
    }
    if let Some(release) = made.and_then(Made::release) {
        labels.insert(names::RELEASE.to_owned(), release.to_string());
    }
    labels
}

/// Which of these labels is another now, by a hand that is neither ours nor its maker's, as a part of a
/// sentence with whose it was. Put back as it was made, it is no change any more, whoever did that.
fn relabelled(meta: &ObjectMeta, made: &BTreeMap<String, String>) -> Option<String> {
    // Without them nobody can say whose hand it was, and a pod that leaves the Services is ours too.
    let fields = meta.managed_fields.as_deref()?;
    let is_of = |entry: &ManagedFieldsEntry, path: &[&str]| {
        let all = entry.fields_v1.as_ref().map(|fields| &fields.0);
        all.and_then(|all| path.iter().try_fold(all, |below, key| below.get(key))).is_some()
    };
    // The controller that made it, which has a name of its own in some distributions, wrote what nobody
    // can write later.
    let makers = fields.iter().find(|entry| is_of(entry, &["f:metadata", "f:generateName"]));
    let maker = makers.and_then(|entry| entry.manager.as_deref());
    let others: Vec<_> =
        fields.iter().filter(|entry| entry.manager.as_deref() != maker).cloned().collect();
    made.iter().find_map(|(key, made)| {
        let is = meta.labels.as_ref().and_then(|labels| labels.get(key));
        let field = format!("f:{key}");
        let path = ["f:metadata", "f:labels", &field];
        match is {
            Some(is) if is == made => None,
            Some(is) => {
                let ours = fields.iter().any(|entry| {
                    entry.manager.as_deref() == Some(FIELD_MANAGER) && is_of(entry, &path)
                });
                let by = foreign_owner(&others, &path).filter(|_| !ours)?;
                Some(format!("the label {key} is {is}, and was made as {made}, by {by}"))
            }
            // What is gone is nobody's, and we take none away.
            None => Some(format!("the label {key} was taken away")),
        }
    })
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

    /// A pod that a controller made and `manager` has written a label of.
    fn labelled(key: &str, value: Option<&str>, manager: &str) -> SeenPod {
        let plan = sample::plan(&sample::place("api"), 1);
        let mut labels = names::of_pod(&plan, OURS, Slot::Blue);
        labels.insert(names::ROUTED.to_owned(), names::YES.to_owned());
        match value {
            Some(value) => labels.insert(key.to_owned(), value.to_owned()),
            None => labels.remove(key),
        };
        let template = objects::sample()["spec"]["template"].take();
        let made = template["metadata"]["annotations"][objects::MADE].as_str().expect("text");
        let mut made: Value = serde_json::from_str(made).expect("it is read");
        (made["maker"], made["release"]) = (json!(plan.maker), json!(plan.release));
        let owned = |manager: &str, fields: Value| {
            json!({
                "manager": manager,
                "operation": "Update",
                "time": "2026-11-21T14:03:22Z",
                "fieldsV1": { "f:metadata": fields },
            })
        };
        let label = format!("f:{key}");
        let pod = json!({
            "metadata": {
                "name": "api-blue-1",
                "labels": labels,
                "annotations": { objects::MADE: made.to_string() },
                "managedFields": [
                    owned("k3s", json!({ "f:generateName": {}, "f:labels": { ".": {} } })),
                    owned(manager, json!({ "f:labels": { label: {} } })),
                ],
            },
            "spec": template["spec"],
        });
        let pod = serde_json::from_value(pod).expect("a pod");
        SeenPod::read(&pod, &[], &plan.place, OURS).expect("ours")
    }

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
    fn a_label_that_a_hand_wrote_is_told_and_our_own_and_the_controllers_are_not() {
        let told = |key: &str, value: Option<&str>, manager: &str| {
            let one = labelled(key, value, manager);
            assert_eq!(one.relabelled, one.changed.is_some(), "{one:?}");
            one.changed.unwrap_or_default()
        };
        let hand = "kubectl-label";

        assert_eq!(
            told(names::ROUTED, Some(names::NO), hand),
            "the label pilothouse/routed is no, and was made as yes, by kubectl-label at 14:03:22 UTC \
             on 21 November"
        );
        let gone = "the label pilothouse/routed was taken away";
        assert_eq!(told(names::ROUTED, None, hand), gone);
        assert_eq!(told(names::ROUTED, Some(names::NO), FIELD_MANAGER), "", "a stop of ours");
        assert_eq!(told(names::ROUTED, Some(names::NO), "k3s"), "", "whoever made it");
        assert_eq!(told(names::ROUTED, Some(names::YES), hand), "", "it is as it was made");
        let other = "00000000-0000-0000-0000-000000000000";
        let release = told(names::RELEASE, Some(other), hand);
        assert!(
            release.starts_with(&format!("the label pilothouse/release is {other}, ")),
            "{release}"
        );
        assert_eq!(told("somebodys/own", Some("yes"), hand), "");
    }

    #[test]
    fn a_pod_is_its_makers_whatever_a_hand_writes_on_it() {
        let other = "00000000-0000-0000-0000-000000000000";

        let one = labelled(names::MAKER, Some(other), "kubectl-label");

        assert_ne!(one.identity.maker.to_string(), other);
        assert!(one.changed.expect("told").starts_with("the label pilothouse/maker is 0000"));
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
