//! Why a cluster can't be used, as a sentence each: as it is found when it is connected, and as it is
//! found by the looks that go on from then on. Certificates are made with openssl.

use super::cluster::Cluster;
use base64::Engine as _;
use domain::{
    namespace::NamespacePattern,
    target::{TargetFacts, Verdict},
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use targets::{
    Error, Target,
    kubernetes::{Clusters, KubernetesTarget, Options},
    open::{Open, Reached},
    outgoing::Outgoing,
};

/// What an engine gives a look before it says so itself.
const SAID_WITHIN: Duration = Duration::from_secs(4);

/// A folder of a test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("pilothouse-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(&self.0).output();
        let done = done.expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("it was made")
    }

    /// A key and a certificate of its own, good for 127.0.0.1.
    fn make_server(&self) {
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
            "-days",
            "1",
            "-subj",
            "/CN=of the tests",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A kubeconfig that stands alone. What is JSON is YAML.
pub fn kubeconfig(server: &str, authority: &[u8], user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [{ "name": "tests", "cluster": {
            "server": server,
            "certificate-authority-data": base64(authority),
        } }],
        "users": [{ "name": "robot", "user": user }],
        "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "robot" } }],
    })
    .to_string()
}

fn token() -> Value {
    json!({ "token": "hunter2" })
}

async fn opened(text: &str) -> Result<Arc<dyn Target>, String> {
    let allowed = vec!["127.0.0.1".parse().expect("an address")];
    let namespaces = NamespacePattern::default();
    let reached = Reached {
        name: "tests",
        credentials: Some(text),
        context: None,
        namespaces: &namespaces,
        probe_image: None,
        entrance: None,
        used: &[],
    };
    Clusters::new(uuid::Uuid::now_v7(), Outgoing::new(allowed)).open(&reached).await
}

/// What a look says, in one line, and in time.
async fn said(target: &dyn Target) -> Result<TargetFacts, String> {
    let begun = Instant::now();
    let said = target.check().await.map_err(|error| match error {
        Error::Unreachable { target, source } => format!("{target} can't be reached: {source:#}"),
        other => other.to_string(),
    });
    println!("{said:?} after {:?}", begun.elapsed());
    assert!(begun.elapsed() < SAID_WITHIN, "{:?}", begun.elapsed());
    said
}

/// Where the cluster of the tests is: with its own authority and what an admin has.
fn server(cluster: &Cluster) -> String {
    let text = std::fs::read_to_string(pki(cluster).join("admin.kubeconfig")).expect("made by it");
    let read = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
    read.clusters[0].cluster.clone().expect("one").server.expect("an address")
}

fn pki(cluster: &Cluster) -> PathBuf {
    cluster.dir.as_deref().unwrap_or(Path::new("")).join("pki")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_credentials_are_told_when_they_are_pasted_and_when_they_expire_in_use() {
    let cluster = Cluster::reach(uuid::Uuid::now_v7()).await;
    let (pki, folder) = (pki(&cluster), Folder::new());
    let [authority, authority_key] =
        ["ca.crt", "ca.key"].map(|name| pki.join(name).to_string_lossy().into_owned());
    folder.openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-out", "raw.pem"]);
    folder.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "raw.pem", "-out", "key.pem"]);
    let subject = "/O=system:masters/CN=robot";
    // With an extension it is of the version that clients know.
    let use_it = "extendedKeyUsage=clientAuth";
    folder.openssl(&[
        "req",
        "-new",
        "-key",
        "key.pem",
        "-subj",
        subject,
        "-addext",
        use_it,
        "-out",
        "asked.csr",
    ]);
    folder.openssl(&[
        "x509",
        "-req",
        "-in",
        "asked.csr",
        "-CA",
        &authority,
        "-CAkey",
        &authority_key,
        "-copy_extensions",
        "copy",
        "-set_serial",
        "7",
        "-days",
        "-1",
        "-out",
        "certificate.pem",
    ]);
    let user = json!({
        "client-certificate-data": base64(&folder.read("certificate.pem")),
        "client-key-data": base64(&folder.read("key.pem")),
    });
    let authority = std::fs::read(&authority).expect("the authority");
    let text = kubeconfig(&server(&cluster), &authority, &user);

    let pasted = opened(&text).await.expect_err("it is over");
    assert!(pasted.contains("was good until 20") && pasted.contains("Make a new one"), "{pasted}");

    // Opened while it was good, and over since: the API server says so.
    let read = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let target = KubernetesTarget::new(Options {
        installation: uuid::Uuid::now_v7(),
        name: "tests".into(),
        config: config.expect("it can be read"),
        namespaces: NamespacePattern::default(),
        probe_image: None,
        grace: Options::GRACE,
    });
    let later = said(&target.expect("a driver")).await.expect_err("refused");
    assert!(later.contains("credentials are not accepted any more (401)"), "{later}");
    assert!(later.contains("Give the target new ones"), "{later}");

    let nobody = opened(&kubeconfig(&server(&cluster), &authority, &token())).await.expect("read");
    let nobody = said(nobody.as_ref()).await.expect_err("refused");
    assert!(nobody.contains("(401)") && !nobody.contains("hunter2"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_is_told_as_expired_credentials_are() {
    let cluster = Cluster::reach(uuid::Uuid::now_v7()).await;
    let other = std::fs::read(pki(&cluster).join("front-proxy-ca.crt")).expect("another one");

    let target = opened(&kubeconfig(&server(&cluster), &other, &token())).await.expect("opened");

    let told = said(target.as_ref()).await.expect_err("not trusted");
    assert!(told.contains("its certificate is not one that the kubeconfig trusts"), "{told}");
    assert!(told.contains("Check the address and the certificate authority"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_nobody_answers_is_told_in_time() {
    let folder = Folder::new();
    folder.make_server();
    let authority = folder.read("certificate.pem");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("https://{}", silent.local_addr().expect("bound"));
    let at = |address: &str| kubeconfig(address, &authority, &token());

    // A port that nobody has: it was one a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let target = opened(&at(&format!("https://{closed}"))).await.expect("opened");
    let told = said(target.as_ref()).await.expect_err("nobody there");
    assert!(told.starts_with("The cluster tests can't be reached: "), "{told}");

    let target = opened(&at(&silent)).await.expect("opened");
    let told = said(target.as_ref()).await.expect_err("it says nothing");
    assert!(told.starts_with("The cluster tests can't be reached: "), "{told}");

    let forbidden = opened(&at("https://169.254.169.254")).await.expect_err("never");
    assert!(forbidden.contains("outgoing_allow"), "{forbidden}");
}

/// Answers each request with a version of long ago.
fn answer_as_an_old_one(folder: &Folder) -> String {
    let certificate = CertificateDer::from_pem_slice(&folder.read("certificate.pem"));
    let key = PrivateKeyDer::from_pem_slice(&folder.read("key.pem")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(vec![certificate.expect("a certificate")], key)
    .expect("they belong together");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = rustls::StreamOwned::new(connection, client);
            let mut asked = [0; 4096];
            if stream.read(&mut asked).is_err() {
                continue;
            }
            let version = json!({
                "major": "1", "minor": "24", "gitVersion": "v1.24.17", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            })
            .to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{version}", version.len());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    format!("https://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_too_old_is_told_so_and_asked_nothing_else() {
    let folder = Folder::new();
    folder.make_server();
    let server = answer_as_an_old_one(&folder);

    let text = kubeconfig(&server, &folder.read("certificate.pem"), &token());
    let target = opened(&text).await.expect("opened");

    let facts = said(target.as_ref()).await.expect("it answered");
    assert_eq!(facts.summary, "Kubernetes 1.24.17");
    let [finding] = facts.findings.as_slice() else { panic!("one: {facts:?}") };
    assert_eq!(finding.verdict, Verdict::Refuse);
    assert!(finding.detail.contains("1.24.17 is too old: 1.30 is the oldest"), "{finding:?}");
}
