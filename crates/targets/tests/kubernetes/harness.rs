//! A cluster as the contract needs it.

use super::cluster::Cluster;
use async_trait::async_trait;
use domain::{
    name::Repository,
    slot::Slot,
    target::{Instance, Place, Plan, Pull},
};
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::json;
use std::{io::Write, process::Command, sync::Mutex, time::Duration};
use targets::{
    Target,
    contract::Harness,
    fake::sample,
    kubernetes::{KubernetesTarget, Options},
};

/// A cluster under a driver.
pub struct Machine {
    pub target: KubernetesTarget,
    pub other: KubernetesTarget,
    pub cluster: Cluster,
    pub installation: uuid::Uuid,
    /// Where `demo` lives in `staging`: all places of [`sample`].
    pub namespace: String,
    stranger: Mutex<Option<(String, String)>>,
}

/// With namespaces that let root run, where the plan and the placement say so.
pub async fn machine() -> Machine {
    Machine::under("baseline").await
}

impl Machine {
    /// With namespaces that enforce this level of pod security.
    pub async fn under(pod_security: &str) -> Self {
        let id = sample::id();
        let cluster = Cluster::reach(id).await;
        let driver = |installation, pattern: String| {
            KubernetesTarget::new(Options {
                installation,
                name: "of the tests".into(),
                config: cluster.config(),
                namespaces: pattern.parse().expect("a pattern"),
                probe_image: None,
                grace: Duration::from_secs(2),
            })
            .expect("a driver")
        };
        let target = driver(id, format!("{}-{{project}}-{{environment}}", cluster.prefix));
        let other = driver(sample::id(), format!("{}-other", cluster.prefix));
        let namespace = format!("{}-demo-staging", cluster.prefix);
        cluster.make_namespace(&namespace, pod_security).await;
        cluster.make_namespace(&format!("{}-other", cluster.prefix), pod_security).await;
        Self { target, other, cluster, installation: id, namespace, stranger: Mutex::default() }
    }

    /// As the driver under test was made: for another of the same installation.
    pub fn options(&self) -> Options {
        Options {
            installation: self.installation,
            name: "of the tests".into(),
            config: self.cluster.config(),
            namespaces: format!("{}-{{project}}-{{environment}}", self.cluster.prefix)
                .parse()
                .expect("a pattern"),
            probe_image: None,
            grace: Duration::from_secs(2),
        }
    }

    /// Another control plane's driver for the same namespaces.
    pub fn rival(&self) -> KubernetesTarget {
        KubernetesTarget::new(Options {
            installation: sample::id(),
            name: "of somebody else".into(),
            config: self.cluster.config(),
            namespaces: format!("{}-{{project}}-{{environment}}", self.cluster.prefix)
                .parse()
                .expect("a pattern"),
            probe_image: None,
            grace: Duration::from_secs(2),
        })
        .expect("a driver")
    }
}

/// The image of the example, where the cluster can fetch it.
pub fn hello() -> Pull {
    let image = std::env::var("PILOTHOUSE_TEST_IMAGE").expect(
        "PILOTHOUSE_TEST_IMAGE is hello:1.0.0 where the cluster can fetch it; `tools/test tests` pushes it",
    );
    let (repository, digest) = image.split_once('@').expect("NAME@sha256:...");
    let repository: Repository = repository.parse().expect("a repository");
    Pull { repository, digest: digest.parse().expect("a digest"), login: None }
}

#[async_trait]
impl Harness for Machine {
    fn target(&self) -> &dyn Target {
        &self.target
    }

    fn other(&self) -> &dyn Target {
        &self.other
    }

    fn plan(&self, place: &Place, size: u16) -> Plan {
        Plan { pull: Some(hello()), ..sample::plan(place, size) }
    }

    fn slow_plan(&self, place: &Place, size: u16) -> Plan {
        let delay = ("HELLO_START_DELAY_MS".parse().expect("a name"), "1500".to_owned());
        Plan { variables: [delay].into_iter().collect(), ..self.plan(place, size) }
    }

    fn dying_plan(&self, place: &Place) -> Plan {
        let crash = ("HELLO_CRASH_AFTER_S".parse().expect("a name"), "0.2".to_owned());
        Plan { variables: [crash].into_iter().collect(), ..self.plan(place, 1) }
    }

    fn root_plan(&self, place: &Place) -> Plan {
        let mut plan = self.plan(place, 1);
        plan.spec.user = Some(0);
        plan
    }

    fn gone_plan(&self, place: &Place) -> (Plan, &'static str) {
        (Plan { pull: None, ..self.plan(place, 1) }, "registry")
    }

    fn refused_questions(&self) -> (&'static [&'static str], &'static [&'static str]) {
        (&["Image is there, same content"], &["Nodes have room"])
    }

    fn replaces(&self) -> bool {
        true
    }

    fn hand(&self) -> (&'static str, bool) {
        ("kubectl", true)
    }

    async fn served_by(&self, place: &Place) -> Option<Slot> {
        let name = place.service.to_string();
        let (status, slot) = self.cluster.ask(&self.namespace, &name, "/version").await?;
        assert_eq!(slot.is_some(), status == 200, "{status} by {slot:?}");
        slot.map(|slot| slot.parse().expect("a slot"))
    }

    async fn restart(&self, instance: &Instance) {
        let pid = self.cluster.process(&self.namespace, &instance.id).await;
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    async fn write(&self, instance: &Instance, bytes: &[u8]) {
        let pid = self.cluster.process(&self.namespace, &instance.id).await;
        let bytes = bytes.to_vec();
        let written = tokio::task::spawn_blocking(move || {
            let pipe = format!("/proc/{pid}/fd/1");
            std::fs::OpenOptions::new().write(true).open(pipe)?.write_all(&bytes)
        });
        written.await.expect("ended").expect("the node reads it");
    }

    async fn change_by_hand(&self, instance: &Instance) {
        let pod = self.cluster.pod(&self.namespace, &instance.id).await;
        let name = pod.metadata.name.expect("a name");
        let container = pod.spec.expect("a pod").containers[0].name.clone();
        let resources = json!({ "limits": { "memory": "48Mi" } });
        let change =
            json!({ "spec": { "containers": [{ "name": container, "resources": resources }] } });
        let by = kube::api::PatchParams::default();
        self.cluster
            .api::<Pod>(&self.namespace)
            .patch_subresource("resize", &name, &by, &kube::api::Patch::Strategic(change))
            .await
            .expect("changed");
    }

    async fn remove_by_hand(&self, instance: &Instance) {
        self.cluster.kill_pod(&self.namespace, &instance.id).await;
    }

    async fn occupy(&self, plan: &Plan, slot: Slot) {
        let name = format!("{}-{slot}", plan.place.service);
        let made = self.cluster.strange_deployment(&self.namespace, &name).await;
        *self.stranger.lock().expect("whole") = Some((name, made));
    }

    async fn stranger_is_there(&self) -> bool {
        let (name, made) = self.stranger.lock().expect("whole").clone().expect("there is one");
        self.cluster.identity_of(&self.namespace, &name).await == Some(made)
    }

    async fn switch_by_hand(&self, place: &Place, live: Option<Slot>, reason: &str) {
        let slot = live.map_or("none", Slot::as_str);
        let change = json!({
            "metadata": { "annotations": { "kubernetes.io/change-cause": reason } },
            "spec": { "selector": { "pilothouse/slot": slot } },
        });
        let name = place.service.to_string();
        self.cluster.patch::<Service>(&self.namespace, &name, change).await.expect("patched");
    }

    async fn restart_router(&self) {
        unreachable!("nothing of ours stands between clients and a cluster's pods")
    }

    async fn lose_routes(&self) {
        let services = self.cluster.api::<Service>(&self.namespace);
        let all = services.list(&kube::api::ListParams::default()).await.expect("Services");
        for one in all {
            let name = one.metadata.name.expect("a name");
            services.delete(&name, &Default::default()).await.expect("removed");
        }
    }

    async fn set_reachable(&self, reachable: bool) {
        self.cluster.set_reachable(reachable);
    }
}
