//! What somebody changed on a Deployment or a pod of ours: what it was made with stands in an
//! annotation, and is compared with what the cluster says of it now. Pure.

use super::{
    compared::{Applied, by},
    objects,
};
use domain::{
    id::{ReleaseId, RolloutId},
    target::{Plan, Pull},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, PodSpec},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ManagedFieldsEntry},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The one container, as managed fields are called.
const APP: &str = "k:{\"name\":\"app\"}";

/// What pods are made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    image: String,
    cpu_millis: u64,
    memory_bytes: u64,
    args: Vec<String>,
    user: Option<u32>,
    /// Where its variables come from.
    configuration: String,
    /// Whose and of what they are. Pods that were made before this was written down have none.
    #[serde(default)]
    maker: Option<RolloutId>,
    #[serde(default)]
    release: Option<ReleaseId>,
}

impl Made {
    pub fn of(plan: &Plan, pull: &Pull) -> Self {
        Self {
            image: pull.repository.pinned(&pull.digest).to_string(),
            cpu_millis: plan.limits.cpu_millis.into(),
            memory_bytes: plan.limits.memory_bytes,
            args: plan.spec.command.clone(),
            user: plan.spec.user,
            configuration: super::names::Names::of(&plan.place).configuration(plan.configuration),
            maker: Some(plan.maker),
            release: Some(plan.release),
        }
    }

    pub fn maker(&self) -> Option<RolloutId> {
        self.maker
    }

    pub fn release(&self) -> Option<ReleaseId> {
        self.release
    }

    /// As it is written into an annotation.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: somebody took it away, or there never was one.
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> Option<Self> {
        serde_json::from_str(annotations?.get(objects::MADE)?).ok()
    }

    /// What is not as it was made, as a part of a sentence.
    pub fn differs(&self, pod: &PodSpec) -> Option<String> {
        self.difference(pod).map(|(what, _)| what)
    }

    /// With the part of a container, or of a pod, that it is about, as managed fields are called.
    fn difference(&self, pod: &PodSpec) -> Option<(String, &'static [&'static str])> {
        let Some(app) = pod.containers.iter().find(|one| one.name == objects::CONTAINER) else {
            return Some(("its container was taken out".to_owned(), &["f:containers"]));
        };
        let image = app.image.as_deref().unwrap_or_default();
        if image != self.image {
            let what = format!("it runs the image {image}, and was made of {}", self.image);
            return Some((what, &["f:containers", APP, "f:image"]));
        }
        let memory = limit(app, "memory").and_then(bytes);
        if memory != Some(self.memory_bytes) {
            let (is, made) =
                (memory.map_or_else(|| "none".to_owned(), mebibytes), self.memory_bytes);
            let what = format!("its memory limit is {is}, and was made with {}", mebibytes(made));
            return Some((what, &["f:containers", APP, "f:resources", "f:limits", "f:memory"]));
        }
        let cpu = limit(app, "cpu").and_then(millis);
        if cpu != Some(self.cpu_millis) {
            let cores = |millis: u64| format!("{}", millis as f64 / 1000.0);
            let is = cpu.map_or_else(|| "any number of".to_owned(), cores);
            let made = cores(self.cpu_millis);
            let what = format!("it may use {is} cores, and was made with {made}");
            return Some((what, &["f:containers", APP, "f:resources", "f:limits", "f:cpu"]));
        }
        if app.args.clone().unwrap_or_default() != self.args || app.command.is_some() {
            let what = "its command is not the one it was made with".to_owned();
            return Some((what, &["f:containers", APP, "f:args"]));
        }
        let user = pod.security_context.as_ref().and_then(|context| context.run_as_user);
        let own = app.security_context.as_ref().and_then(|context| context.run_as_user);
        if own.or(user) != self.user.map(i64::from) && (own.is_some() || self.user.is_some()) {
            let what = "it runs as another user than it was made with".to_owned();
            return Some((what, &["f:securityContext", "f:runAsUser"]));
        }
        let sources = app.env_from.iter().flatten();
        let named = sources.flat_map(|source| {
            let map = source.config_map_ref.as_ref().map(|one| one.name.as_str());
            map.into_iter().chain(source.secret_ref.as_ref().map(|one| one.name.as_str()))
        });
        let mut named: Vec<_> = named.collect();
        named.dedup();
        if named != [self.configuration.as_str()] {
            let what = "its variables are not those it was made with".to_owned();
            return Some((what, &["f:containers", APP, "f:envFrom"]));
        }
        None
    }
}

/// What is not as we wrote a Deployment, as a part of a sentence, with whose hand it was.
pub(super) fn of_deployment(deployment: &Deployment) -> Option<String> {
    let annotations = deployment.metadata.annotations.as_ref();
    let spec = deployment.spec.as_ref()?;
    let fields = deployment.metadata.managed_fields.as_deref().unwrap_or_default();
    if let Some(made) = Made::read(annotations)
        && let Some(pod) = &spec.template.spec
        && let Some((what, part)) = made.difference(pod)
    {
        let path = [&["f:spec", "f:template", "f:spec"], part].concat();
        return Some(format!("{what}{}", by(fields, &path)));
    }
    resized(deployment).or_else(|| Applied::read(deployment)?.differs(deployment))
}

/// Somebody else asked for another number of pods.
pub(super) fn resized(deployment: &Deployment) -> Option<String> {
    let made: i32 = deployment.metadata.annotations.as_ref()?.get(objects::SIZE)?.parse().ok()?;
    let is = deployment.spec.as_ref()?.replicas.unwrap_or(1);
    let fields = deployment.metadata.managed_fields.as_deref().unwrap_or_default();
    (is != made).then(|| {
        let by = by(fields, &["f:spec", "f:replicas"]);
        format!("it has {is} replicas, and was made with {made}{by}")
    })
}

/// Who else than us has written a field, or something below it, last.
pub(super) fn foreign_owner(fields: &[ManagedFieldsEntry], path: &[&str]) -> Option<String> {
    let last = foreign_entry(fields, path)?;
    let manager = last.manager.as_deref().unwrap_or("somebody");
    Some(match &last.time {
        Some(time) => format!("{manager} at {}", time.0.strftime("%H:%M:%S UTC on %-d %B")),
        None => manager.to_owned(),
    })
}

/// Whether somebody else than us has written a field, or something below it.
pub(super) fn owned_by_others(fields: &[ManagedFieldsEntry], path: &[&str]) -> bool {
    foreign_entry(fields, path).is_some()
}

/// That act itself.
pub(super) fn foreign_entry<'a>(
    fields: &'a [ManagedFieldsEntry],
    path: &[&str],
) -> Option<&'a ManagedFieldsEntry> {
    let owns = |entry: &ManagedFieldsEntry| {
        let all = entry.fields_v1.as_ref().map(|fields| &fields.0);
        all.and_then(|all| path.iter().try_fold(all, |below, key| below.get(key))).is_some()
    };
    let ours =
        |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(super::names::FIELD_MANAGER);
    fields
        .iter()
        .filter(|entry| !ours(entry) && owns(entry))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
}

fn limit<'a>(container: &'a Container, of: &str) -> Option<&'a Quantity> {
    container.resources.as_ref()?.limits.as_ref()?.get(of)
}

/// `200m` or `0.2` or `2` of a core, in thousandths.
pub(super) fn millis(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.as_str();
    if let Some(millis) = text.strip_suffix('m') {
        return millis.parse().ok();
    }
    let cores: f64 = text.parse().ok()?;
    (cores >= 0.0).then_some((cores * 1000.0).round() as u64)
}

/// `33554432`, `32Mi`, `64M`.
pub(super) fn bytes(quantity: &Quantity) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
    ];
    let text = quantity.0.as_str();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))
        .unwrap_or((text, 1));
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let number: f64 = number.parse().ok()?;
    (number >= 0.0).then_some((number * unit as f64) as u64)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Deployment {
        serde_json::from_value(objects::sample()).expect("a Deployment")
    }

    fn said(change: impl FnOnce(&mut Deployment)) -> String {
        let mut there = deployment();
        change(&mut there);
        of_deployment(&there).unwrap_or_default()
    }

    fn app(deployment: &mut Deployment) -> &mut Container {
        let spec = deployment.spec.as_mut().expect("there");
        &mut spec.template.spec.as_mut().expect("there").containers[0]
    }

    fn set_limit(deployment: &mut Deployment, of: &str, quantity: &str) {
        let limits = app(deployment).resources.as_mut().and_then(|it| it.limits.as_mut());
        limits.expect("there").insert(of.to_owned(), Quantity(quantity.to_owned()));
    }

    #[test]
    fn what_is_as_it_was_made_is_not_changed_and_every_change_is_told() {
        assert_eq!(of_deployment(&deployment()), None);

        let memory = said(|it| set_limit(it, "memory", "48Mi"));
        assert_eq!(memory, "its memory limit is 48 MiB, and was made with 32 MiB");
        let cpu = said(|it| set_limit(it, "cpu", "2"));
        assert_eq!(cpu, "it may use 2 cores, and was made with 0.2");
        let image = said(|it| app(it).image = Some("nginx:latest".to_owned()));
        assert!(image.starts_with("it runs the image nginx:latest"), "{image}");
        let args = said(|it| app(it).args = Some(vec!["--debug".to_owned()]));
        assert!(args.contains("command"), "{args}");
        let env = said(|it| app(it).env_from = None);
        assert!(env.contains("variables"), "{env}");
        let replicas = said(|it| it.spec.as_mut().expect("there").replicas = Some(5));
        assert_eq!(replicas, "it has 5 replicas, and was made with 2");
    }

    #[test]
    fn the_same_amount_in_other_words_is_no_change() {
        let same = said(|it| {
            set_limit(it, "memory", "32Mi");
            set_limit(it, "cpu", "0.2");
        });

        assert_eq!(same, "");
    }

    #[test]
    fn whose_hand_it_was_is_said_with_its_time() {
        let entry = |manager: &str, fields: serde_json::Value| {
            serde_json::from_value::<ManagedFieldsEntry>(json!({
                "manager": manager,
                "time": "2026-11-21T14:03:22Z",
                "fieldsV1": fields,
            }))
            .expect("an entry")
        };
        let fields = [
            entry("pilothouse", json!({ "f:spec": { "f:replicas": {}, "f:selector": {} } })),
            entry("kubectl-edit", json!({ "f:spec": { "f:replicas": {} } })),
        ];

        let owner = |path: &[&str]| foreign_owner(&fields, path);

        let hand = owner(&["f:spec", "f:replicas"]);
        assert_eq!(hand.as_deref(), Some("kubectl-edit at 14:03:22 UTC on 21 November"));
        assert_eq!(owner(&["f:spec", "f:selector"]), None);
    }
}
