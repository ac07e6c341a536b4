//! The cluster of a test, beside the driver: a namespace of its own, what happens behind the driver's
//! back, and the way from the driver to the API server, which can be cut.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod, Service},
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

/// What every namespace of the tests begins with.
const PREFIX: &str = "pt-";

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(3);

/// A cluster that was started for the tests, or somebody's own.
pub struct Cluster {
    pub client: Client,
    config: Config,
    /// Where `tools/cluster` keeps it. `None`: it is somebody's own.
    pub dir: Option<PathBuf>,
    /// The part of namespaces' names that no other test has.
    pub prefix: String,
    made: std::sync::Mutex<Vec<String>>,
    way: Way,
}

/// The way to the API server, for a driver: open or cut, quick or long.
struct Way {
    address: SocketAddr,
    open: watch::Sender<bool>,
    /// How long the server's words are on it.
    long: watch::Sender<Duration>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Cluster {
    /// The cluster that the variables of `tools/test` lead to.
    pub async fn reach(id: uuid::Uuid) -> Self {
        let file = variable("PILOTHOUSE_TEST_KUBECONFIG").expect(
            "PILOTHOUSE_TEST_KUBECONFIG names the cluster of these tests; `tools/test tests` brings \
             one up",
        );
        let read = Kubeconfig::read_from(file).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .expect("a kubeconfig that can be used");
        let client = Client::try_from(config.clone()).expect("credentials");
        let server = api_server(&config).await;
        let id = id.simple().to_string();
        Self {
            client,
            way: Way::to(server).await,
            config,
            dir: variable("PILOTHOUSE_TEST_CLUSTER_DIR").map(PathBuf::from),
            prefix: format!("{PREFIX}{}", &id[id.len() - 10..]),
            made: std::sync::Mutex::default(),
        }
    }

    /// For a driver: over the way that can be cut.
    pub fn config(&self) -> Config {
        let mut config = self.config.clone();
        let name = config.cluster_url.host().expect("a host").to_owned();
        config.cluster_url =
            format!("https://{}", self.way.address).parse().expect("an address is a URL");
        // The certificate is still the API server's.
        config.tls_server_name.get_or_insert(name);
        config
    }

    /// Cuts the way, with all that is being said on it, or opens it again.
    pub fn set_reachable(&self, reachable: bool) {
        self.way.open.send_replace(reachable);
    }

    /// What the API server says is on its way for so long.
    pub fn set_long(&self, long: Duration) {
        self.way.long.send_replace(long);
    }

    /// Makes a namespace that is called as the pattern of [`Cluster::pattern`] fills it.
    pub async fn make_namespace(&self, name: &str, pod_security: &str) {
        let labels = json!({ "pod-security.kubernetes.io/enforce": pod_security });
        let namespace = json!({ "metadata": { "name": name, "labels": labels } });
        let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
        let all: Api<Namespace> = Api::all(self.client.clone());
        all.create(&PostParams::default(), &namespace).await.expect("made");
        self.made.lock().expect("whole").push(name.to_owned());
        // A pod before its account would be refused.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(self.client.clone(), name);
        for _ in 0..100 {
            if accounts.get_opt("default").await.expect("asked").is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the namespace {name} gets no account");
    }

    /// Makes an object of any kind that the typed interface has, from its text.
    pub async fn make<K>(&self, namespace: &str, object: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object).expect("an object");
        self.api::<K>(namespace).create(&PostParams::default(), &object).await.expect("made");
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Changes an object as somebody with `kubectl patch` does.
    pub async fn patch<K>(&self, namespace: &str, name: &str, change: Value) -> kube::Result<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        self.api(namespace).patch(name, &by("kubectl-patch"), &Patch::Merge(change)).await
    }

    /// Changes an object as somebody with `kubectl edit` does, who need not write down its lists.
    pub async fn edit<K>(&self, namespace: &str, name: &str, change: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let change = Patch::Strategic(change);
        self.api(namespace).patch(name, &by("kubectl-edit"), &change).await.expect("edited")
    }

    /// The pod that the driver calls so.
    pub async fn pod(&self, namespace: &str, instance: &str) -> Pod {
        let pods = self.api::<Pod>(namespace).list(&ListParams::default()).await.expect("pods");
        pods.items
            .into_iter()
            .find(|pod| {
                [&pod.metadata.uid, &pod.metadata.name]
                    .iter()
                    .any(|id| id.as_deref() == Some(instance))
            })
            .unwrap_or_else(|| panic!("there is no pod {instance}"))
    }

    /// As `kubectl delete pod --force`: at once.
    pub async fn kill_pod(&self, namespace: &str, instance: &str) {
        let name = self.pod(namespace, instance).await.metadata.name.expect("a name");
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api::<Pod>(namespace).delete(&name, &now).await.expect("removed");
    }

    /// Somebody's own Deployment, of no pods.
    pub async fn strange_deployment(&self, namespace: &str, name: &str) -> String {
        let labels = json!({ "app": "strange" });
        let pod = json!({ "containers": [{ "name": "it", "image": "strange" }] });
        let deployment = json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        });
        self.make::<Deployment>(namespace, deployment).await;
        self.identity_of(namespace, name).await.expect("there")
    }

    /// Which Deployment has this name, how it is labelled, and what it is told to be.
    pub async fn identity_of(&self, namespace: &str, name: &str) -> Option<String> {
        let found = self.api::<Deployment>(namespace).get_opt(name).await.expect("asked")?;
        let meta = &found.metadata;
        Some(format!("{:?} {:?} {:?}", meta.uid, meta.labels, found.spec))
    }

    /// Asks a Service through the API server: the status, and which slot answered. `None`: there is
    /// no such Service, or nobody behind it.
    pub async fn ask(
        &self,
        namespace: &str,
        service: &str,
        path: &str,
    ) -> Option<(u16, Option<String>)> {
        let found = self.api::<Service>(namespace).get_opt(service).await.expect("asked")?;
        let port = found.spec?.ports?.first()?.port;
        let at = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}");
        let request = http::Request::get(at).body(kube::client::Body::empty()).expect("a request");
        // It may try to reach a pod that is gone.
        let answer = tokio::time::timeout(ANSWER, self.client.send(request)).await.ok()?;
        let answer = answer.expect("the API server answers");
        let slot = answer.headers().get("x-hello-slot");
        let slot = slot.and_then(|slot| slot.to_str().ok()).map(str::to_owned);
        (answer.status() != 503 || slot.is_some()).then_some((answer.status().as_u16(), slot))
    }

    /// The process of a pod's only program, as this machine numbers it. Control groups carry the
    /// pod's id in their names.
    pub async fn process(&self, namespace: &str, instance: &str) -> i32 {
        assert!(self.dir.is_some(), "the node of somebody's own cluster can not be looked into");
        let group =
            format!("pod{}", self.pod(namespace, instance).await.metadata.uid.expect("an id"));
        for _ in 0..100 {
            for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
                let path = entry.path();
                let read =
                    |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
                if read("cgroup").contains(&group) && read("comm").trim() == "hello" {
                    return entry
                        .file_name()
                        .to_str()
                        .and_then(|pid| pid.parse().ok())
                        .expect("one");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no process of {instance} runs");
    }

    /// As `kubectl apply -f` would, under the path of its kind.
    pub async fn apply_yaml(&self, path: &str, yaml: &str) {
        let request = http::Request::patch(format!("{path}?fieldManager=kubectl"))
            .header("content-type", "application/apply-patch+yaml")
            .body(yaml.as_bytes().to_vec())
            .expect("a request");
        let applied: kube::Result<Value> = self.client.request(request).await;
        applied.unwrap_or_else(|error| panic!("{error}: {yaml}"));
    }

    /// Runs `tools/cluster` and returns what it said.
    pub fn tool(&self, arguments: &[&str]) -> String {
        let dir = self.dir.as_ref().expect("a cluster of the tests");
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (command, rest) = arguments.split_first().expect("a command");
        let done = std::process::Command::new(root.join("tools/cluster"))
            .arg(command)
            .arg(dir)
            .args(rest)
            .output()
            .expect("tools/cluster runs");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text").trim().to_owned()
    }
}

/// Somebody who writes with a tool of this name.
fn by(manager: &str) -> PatchParams {
    PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }
}

/// The address of the API server.
async fn api_server(config: &Config) -> SocketAddr {
    let url = &config.cluster_url;
    let host = url.host().expect("a host").to_owned();
    let port = url.port_u16().unwrap_or(443);
    let mut found = tokio::net::lookup_host((host, port)).await.expect("a name that leads there");
    found.next().expect("an address")
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (open, is_open) = watch::channel(true);
        let (long, how_long) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut is_open, how_long) = (is_open.clone(), how_long.clone());
                if !*is_open.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    let asked = async {
                        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                        let _ = to_server.shutdown().await;
                    };
                    let said = late(from_server, to_client, how_long);
                    tokio::select! {
                        _ = async { tokio::join!(asked, said) } => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open, long }
    }
}

/// Hands on what comes, each piece as much later as the way is long.
async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, long: watch::Receiver<Duration>) {
    let (pieces, mut on_the_way) = mpsc::unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + *long.borrow();
            if pieces.send((due, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = on_the_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

impl Drop for Cluster {
    /// Begins to remove the namespaces, also when a test has failed; the cluster does the rest.
    fn drop(&mut self) {
        let made = std::mem::take(self.made.get_mut().expect("whole"));
        let config = self.config.clone();
        let remover = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let client = Client::try_from(config).expect("credentials");
                let all: Api<Namespace> = Api::all(client);
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                for name in made {
                    all.delete(&name, &now).await.expect("removed");
                }
            });
        });
        let removed = remover.join();
        if !std::thread::panicking() {
            removed.expect("the namespaces are removed");
        }
    }
}
