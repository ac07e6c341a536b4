//! A real registry and a real container engine: what is sent, fetched and asked, and what is said when it
//! does not work.
//!
//! Each test starts a registry of its own (Debian's `docker-registry`) on a free port, with a storage in
//! a directory of its own, and ends it by its process. It needs a running engine and the image
//! `hello:1.0.0` (`make example`). Engines take plain HTTP from 127.0.0.0/8.

use domain::{
    id::BuildId,
    name::{ContentId, Digest, ImageReference, ImageTag, RegistryAddress, Repository},
    registry::Standing,
    source::Recipe,
};
use futures::StreamExt;
use std::{
    net::TcpListener as Port,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use targets::{
    Error, Target,
    build::{BuildEvent, BuildLimits, BuildOrder, Builder},
    docker::{BuilderOptions, DockerBuilder, DockerTarget, Options},
    git,
    outgoing::Outgoing,
    registry::{Credentials, Push, Told},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

const USER: &str = "robot";
const PASSWORD: &str = "correct-Registry-horse-7";
/// The password as `htpasswd -B` writes it.
const HTPASSWD: &str = "robot:$2b$05$abcdefghijklmnopqrstuu0kH82w/knkzPZbuzwg.iXyOM9C78S62\n";
const IMAGE: &str = "hello:1.0.0";
const LOOPBACK: &str = "127.0.0.1";

/// A registry's process, with a directory of its own.
struct Registry {
    dir: PathBuf,
    /// Where it answers, as an address without a port.
    host: String,
    port: u16,
    /// It answers over TLS, with the certificate that lies in its directory.
    tls: bool,
    process: Option<Child>,
}

impl Registry {
    async fn start() -> Self {
        Self::of("docker-registry", &[]).await
    }

    /// One whose disk is full from the beginning: a file system of a few blocks, in a namespace of its
    /// own so that nobody has to be root.
    async fn full() -> Self {
        let mount =
            "mount -t tmpfs -o size=64k tmpfs \"$1/data\" && exec docker-registry serve \"$2\"";
        Self::of("unshare", &["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
            .await
    }

    async fn of(program: &str, before: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("pilothouse-registry-{}", Uuid::now_v7()));
        std::fs::create_dir_all(dir.join("data")).expect("a directory");
        Self::begun(
            Self { dir, host: LOOPBACK.to_owned(), port: 0, tls: false, process: None },
            program,
            before,
        )
        .await
    }

    async fn begun(mut registry: Self, program: &str, before: &[&str]) -> Self {
        // A port that was free a moment ago may be taken by now: another one is tried.
        for _ in 0..5 {
            registry.port = Port::bind((registry.host.as_str(), 0))
                .and_then(|p| p.local_addr())
                .expect("free")
                .port();
            if registry.begin(program, before).await {
                return registry;
            }
        }
        panic!("docker-registry does not start; please run: tools/setup gate");
    }

    async fn begin(&mut self, program: &str, before: &[&str]) -> bool {
        let (dir, host, port) = (self.dir.display(), &self.host, self.port);
        let tls = match self.tls {
            true => format!(", tls: {{certificate: \"{dir}/cert.pem\", key: \"{dir}/key.pem\"}}"),
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: \"{dir}/data\"}}}}\n\
             http: {{addr: \"{host}:{port}\", secret: x{tls}}}\n\
             auth: {{htpasswd: {{realm: tests, path: \"{dir}/htpasswd\"}}}}\n"
        );
        std::fs::write(self.dir.join("htpasswd"), HTPASSWD).expect("written");
        let file = self.dir.join("config.yml");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(program);
        command.args(before);
        if before.is_empty() {
            command.arg("serve").arg(&file);
        } else {
            command.arg(&self.dir).arg(&file);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = child.ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            match self.process.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => {}
                _ => return false,
            }
            if TcpStream::connect((self.host.as_str(), self.port)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn address(&self) -> RegistryAddress {
        format!("{}:{}", self.host, self.port).parse().expect("an address")
    }

    fn repository(&self, path: &str) -> Repository {
        Repository::of(&self.address(), path).expect("a repository")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn at(port: u16) -> RegistryAddress {
    format!("127.0.0.1:{port}").parse().expect("an address")
}

fn login(password: &str) -> Credentials {
    Credentials::new(USER.parse().expect("a user"), password)
}

fn tag(word: &str) -> ImageTag {
    word.parse().expect("a tag")
}

fn socket() -> PathBuf {
    match std::env::var("DOCKER_HOST") {
        Ok(host) => PathBuf::from(host.trim_start_matches("unix://")),
        Err(_) => PathBuf::from("/var/run/docker.sock"),
    }
}

fn engine() -> DockerTarget {
    // Registries of tests are on this machine.
    engine_with(Outgoing::new(vec!["127.0.0.1".parse().expect("good")]))
}

fn engine_with(outgoing: Outgoing) -> DockerTarget {
    DockerTarget::new(Options {
        engine_socket: socket(),
        router_socket: Path::new("/nowhere").to_owned(),
        installation: Uuid::now_v7(),
        prefix: "registry-test".parse().expect("a name"),
        pool: Options::POOL,
        grace: Options::GRACE,
        outgoing,
    })
    .expect("the pool is one")
}

/// The image of the example, under its content: nothing here touches its own names.
async fn image(engine: &DockerTarget) -> ContentId {
    engine.image(&IMAGE.parse().expect("good")).await.expect("make example").id
}

async fn send(
    engine: &DockerTarget,
    image: &ContentId,
    to: &Repository,
    tags: &[&str],
    password: &str,
) -> (targets::Result<Digest>, u64) {
    let tags: Vec<_> = tags.iter().map(|word| tag(word)).collect();
    let (told, credentials) = (Told::default(), login(password));
    let push = Push { image, to, tags: &tags, credentials: Some(&credentials) };
    let digest = engine.push(&push, &told).await;
    let bytes = told.borrow().bytes;
    (digest, bytes)
}

fn sentence<T: std::fmt::Debug>(result: targets::Result<T>) -> String {
    match result {
        Err(Error::Refused { reason, .. }) => reason,
        Err(Error::Unreachable { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_fetched_by_its_digest_whatever_its_tag_says_later() {
    let (registry, engine) = (Registry::start().await, engine());
    let image = image(&engine).await;
    let to = registry.repository("demo/api");
    let names = || async { engine.digests(&image).await.expect("asked") };

    let (digest, bytes) = send(&engine, &image, &to, &["1.0.0", "latest"], PASSWORD).await;
    let digest = digest.expect("pushed");
    let points = |word: &'static str| {
        let (reference, credentials) = (to.tagged(&tag(word)), login(PASSWORD));
        let engine = &engine;
        async move { engine.points_to(&reference, Some(&credentials)).await.expect("asked") }
    };

    assert!(bytes > 100_000, "{bytes}");
    assert_ne!(digest.as_str(), image.as_str(), "a manifest is no image");
    assert_eq!(
        (points("1.0.0").await, points("latest").await),
        (Ok(digest.clone()), Ok(digest.clone()))
    );
    assert_eq!(points("2.0.0").await, Err(Standing::Missing));
    // The names it was sent by are taken away again, so that they keep nothing from being pruned.
    assert!(!names().await.iter().any(|(repository, _)| *repository == to), "{:?}", names().await);

    // Somebody moves the tag. What was released is still there.
    let other = engine.image(&"hello:1.1.0".parse().expect("good")).await.expect("make example").id;
    let (moved, _) = send(&engine, &other, &to, &["1.0.0"], PASSWORD).await;
    let moved = moved.expect("pushed");
    assert_eq!(points("1.0.0").await, Ok(moved.clone()));
    assert_ne!(moved, digest);

    let pinned: ImageReference = to.pinned(&digest);
    let told = Told::default();
    engine.pull(&pinned, Some(&login(PASSWORD)), &told).await.expect("fetched by its digest");
    assert_eq!(engine.image(&pinned).await.expect("there").id, image);
    assert!(names().await.contains(&(to.clone(), digest)));
    forget(&pinned);
}

/// Takes one name away, as a person would.
fn forget(reference: &ImageReference) {
    let done = Command::new("docker").args(["image", "rm", reference.as_str()]).output();
    assert!(done.expect("docker runs").status.success(), "{reference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_tried_with_what_is_stored_and_says_what_is_wrong() {
    let (mut registry, engine) = (Registry::start().await, engine());
    let address = registry.address();
    let right = login(PASSWORD);

    let good = engine.try_registry(&address, Some(&right)).await.expect("asked");
    let wrong = engine.try_registry(&address, Some(&login("wrong"))).await.expect("asked");
    let nobody = engine.try_registry(&address, None).await.expect("asked");
    registry.stop();
    let gone = engine.try_registry(&address, Some(&right)).await.expect("asked");

    assert_eq!(good, Standing::Accepted);
    assert_eq!(wrong, Standing::WrongPassword);
    assert_eq!(nobody, Standing::WantsLogin);
    assert!(matches!(gone, Standing::Gone { .. }), "{gone:?}");
    assert!(gone.sentence(&address).contains("Nobody answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_otherwise_is_no_registry_and_who_does_not_answer_is_slow() {
    let engine = engine();
    let (page, silent) = (page().await, silent().await);
    let begun = Instant::now();

    let credentials = login(PASSWORD);
    let not_one = engine.try_registry(&page, Some(&credentials));
    let slow = engine.try_registry(&silent, Some(&credentials));
    let (not_one, slow) = tokio::join!(not_one, slow);

    assert_eq!(not_one.expect("asked"), Standing::NotARegistry);
    assert_eq!(slow.expect("asked"), Standing::Slow);
    assert!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
}

/// A server that answers everything with a page, as many do.
async fn page() -> RegistryAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = at(listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\
                            connection: close\r\n\r\n<html>hi\n";
                let _ = stream.write_all(page.as_bytes()).await;
            });
        }
    });
    address
}

/// A server that takes connections and says nothing.
async fn silent() -> RegistryAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = at(listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// Passes bytes on to `port`, and of what is sent there at most `rate` bytes a tenth of a second.
async fn trickle(port: u16, rate: usize) -> RegistryAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = at(listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let (mut from, mut back) = client.into_split();
                let (mut answers, mut to) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
                let mut piece = vec![0; rate];
                while let Ok(read @ 1..) = from.read(&mut piece).await {
                    if to.write_all(&piece[..read]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_push_says_how_far_it_is_and_arrives_and_one_that_is_dropped_stops() {
    let (registry, engine) = (Registry::start().await, engine());
    let image = image(&engine).await;
    // About 2 MB go over the wire: some seconds.
    let slow = trickle(registry.port, 64 << 10).await;
    let to = Repository::of(&slow, "demo/slow").expect("good");
    let (tags, credentials) = ([tag("1")], login(PASSWORD));
    let push = Push { image: &image, to: &to, tags: &tags, credentials: Some(&credentials) };
    let told = Told::default();
    let mut progress = told.subscribe();

    let sent = engine.push(&push, &told);
    let seen = async {
        let mut seen = Vec::new();
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            if now.of_bytes > 0 && now.bytes == now.of_bytes {
                break;
            }
            seen.push(now.bytes);
        }
        seen
    };
    let (sent, seen) = tokio::join!(sent, seen);
    sent.expect("it arrives");
    let different = seen.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(seen.is_sorted() && different >= 3, "{seen:?}");

    // By another address: else the registry would be told to copy what it has.
    let again = trickle(registry.port, 16 << 10).await;
    let dropped = Repository::of(&again, "demo/dropped").expect("good");
    let push = Push { to: &dropped, ..push };
    let told = Told::default();
    assert!(
        tokio::time::timeout(Duration::from_millis(700), engine.push(&push, &told)).await.is_err()
    );
    let points = engine.points_to(&dropped.tagged(&tags[0]), Some(&credentials)).await;
    assert_eq!(points.expect("asked"), Err(Standing::Missing));
    forget(&dropped.tagged(&tags[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_registry_that_went_away_are_said_and_never_the_password() {
    let (mut registry, engine) = (Registry::start().await, engine());
    let image = image(&engine).await;
    let to = registry.repository("demo/api");

    let wrong = sentence(send(&engine, &image, &to, &["1"], "hunter-two-is-wrong").await.0);
    let nothing = to.pinned(&format!("sha256:{}", "0".repeat(64)).parse().expect("good"));
    let told = Told::default();
    let missing = sentence(engine.pull(&nothing, Some(&login(PASSWORD)), &told).await);
    registry.stop();
    let gone = send(&engine, &image, &to, &["1"], PASSWORD).await.0;

    assert!(wrong.contains("did not accept the user name and the password"), "{wrong}");
    assert!(!wrong.contains("hunter"), "{wrong}");
    assert!(missing.contains("is not there"), "{missing}");
    assert!(matches!(gone, Err(Error::Unreachable { .. })), "{gone:?}");
    assert!(sentence(gone).contains("Nobody answers"));
}

/// The engine tries five times, with longer and longer waits, before it says so: most of this test is
/// waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_whose_disk_is_full_is_said_to_be() {
    let (registry, engine) = (Registry::full().await, engine());
    let image = image(&engine).await;

    let full = send(&engine, &image, &registry.repository("demo/api"), &["1"], PASSWORD).await.0;

    assert!(matches!(full, Err(Error::Unreachable { .. })), "{full:?}");
    let said = sentence(full);
    assert!(said.contains("can not do this now") && said.contains("disk"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_this_machine_is_not_asked_unless_an_admin_listed_it() {
    let registry = Registry::start().await;
    let strict = engine_with(Outgoing::default());
    let image = image(&strict).await;
    let (to, right) = (registry.repository("demo/api"), login(PASSWORD));
    let reference = to.tagged(&tag("1"));

    let tried = strict.try_registry(&registry.address(), Some(&right)).await.expect("asked");
    let points = strict.points_to(&reference, Some(&right)).await.expect("asked");
    let pushed = sentence(send(&strict, &image, &to, &["1"], PASSWORD).await.0);
    let pulled = sentence(strict.pull(&reference, Some(&right), &Told::default()).await);
    let metadata = "169.254.169.254".parse().expect("an address");
    let metadata = strict.try_registry(&metadata, None).await.expect("asked");

    for said in [tried.sentence(&registry.address()), pushed, pulled] {
        assert!(said.contains("outgoing_allow") && said.contains("this machine itself"), "{said}");
    }
    for standing in [tried, points.expect_err("never asked"), metadata] {
        assert!(matches!(standing, Standing::Forbidden { .. }), "{standing:?}");
    }
    let (there, _) = send(&engine(), &image, &to, &["1"], PASSWORD).await;
    there.expect("where it is listed");
}

/// A server of TLS on an address that engines do not take for this machine's own: there they would
/// not look at the certificate.
async fn with_certificate(names: &str, days: i32) -> Registry {
    let host = command(
        "docker",
        &["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],
    );
    let dir = std::env::temp_dir().join(format!("pilothouse-registry-{}", Uuid::now_v7()));
    std::fs::create_dir_all(dir.join("data")).expect("a directory");
    let at = |name: &str| dir.join(name).to_str().expect("text").to_owned();
    let (key, csr, cert, extensions) = (at("key.pem"), at("csr.pem"), at("cert.pem"), at("names"));
    std::fs::write(&extensions, format!("subjectAltName={}\n", names.replace("HOST", &host)))
        .expect("written");
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let request = ["-subj", "/CN=registry", "-keyout", &key, "-out", &csr];
    command("openssl", &[&["req"], &curve[..], &request].concat());
    let days = days.to_string();
    let signed =
        ["-days", &days, "-in", &csr, "-signkey", &key, "-extfile", &extensions, "-out", &cert];
    command("openssl", &[&["x509", "-req"], &signed[..]].concat());
    Registry::begun(
        Registry { dir, host, port: 0, tls: true, process: None },
        "docker-registry",
        &[],
    )
    .await
}

fn command(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().expect("started");
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_believed_is_said_with_its_fault_and_no_password_is_sent() {
    let (engine, right) = (engine(), login(PASSWORD));
    let image = image(&engine).await;
    for (names, days, fault) in [
        ("IP:HOST", 2, "unknown authority"),
        ("IP:HOST", -1, "expired"),
        ("DNS:elsewhere.example.org", 2, "valid for"),
    ] {
        let registry = with_certificate(names, days).await;
        let address = registry.address();

        let tried = engine.try_registry(&address, Some(&right)).await.expect("asked");
        let pushed =
            send(&engine, &image, &registry.repository("demo/api"), &["1"], PASSWORD).await.0;

        assert!(matches!(tried, Standing::Tls { .. }), "{fault}: {tried:?}");
        for said in [tried.sentence(&address), sentence(pushed)] {
            assert!(said.contains("is not safe"), "{fault}: {said}");
            // A certificate without the address says only that it is not valid for it.
            assert!(
                said.contains(fault) || fault == "valid for" && said.contains("IP SANs"),
                "{said}"
            );
        }
    }
}

/// A builder of the same machine, which may ask registries on it.
fn builder(classic_only: bool, work: &Path) -> DockerBuilder {
    DockerBuilder::new(BuilderOptions {
        engine_socket: socket(),
        installation: Uuid::now_v7(),
        classic_only,
        git: git::Options {
            outgoing: Outgoing::new(vec![LOOPBACK.parse().expect("good")]),
            ca_file: None,
            paths: Vec::new(),
            work_dir: work.join("work"),
            limits: git::Limits::default(),
        },
    })
}

async fn last_event(builder: &DockerBuilder, order: &BuildOrder) -> String {
    let mut events: Vec<_> = builder.build(order.clone()).collect().await;
    format!("{:?}", events.pop().expect("an event"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_is_fetched_with_the_login_of_its_registry_and_of_no_other() {
    let (registry, other, engine) = (Registry::start().await, Registry::start().await, engine());
    let base = registry.repository("demo/base");
    let tree = registry.dir.join("tree");
    std::fs::create_dir_all(&tree).expect("a directory");

    for classic in [false, true] {
        let word = if classic { "classic" } else { "buildkit" };
        let builder = builder(classic, &registry.dir);
        let mut order = BuildOrder {
            build: BuildId(Uuid::now_v7()),
            tree: tree.clone(),
            recipe: Recipe::default(),
            secrets: Vec::new(),
            registries: Vec::new(),
            labels: Vec::new(),
            tags: Vec::new(),
            limits: BuildLimits::default(),
        };
        // An image of its own: what an engine has, or has fetched before, it does not fetch.
        let of_its_own = format!("FROM {IMAGE}\nLABEL base={}\n", Uuid::now_v7());
        std::fs::write(tree.join("Dockerfile"), of_its_own).expect("written");
        let made = builder.build(order.clone()).collect::<Vec<_>>().await.pop();
        let Some(Ok(BuildEvent::Done(made))) = made else { panic!("{word}: {made:?}") };
        let digest = send(&engine, &made.id, &base, &[word], PASSWORD).await.0.expect("pushed");
        builder.forget(order.build).await.expect("forgotten");
        order.build = BuildId(Uuid::now_v7());
        let recipe =
            format!("ARG FROM={base}\nFROM ${{FROM}}@{digest}\nLABEL test={}\n", Uuid::now_v7());
        std::fs::write(tree.join("Dockerfile"), recipe).expect("written");
        let stored = [registry.address(), other.address(), "ghcr.io".parse().expect("good")];

        let named = builder.bases(&tree, &order.recipe, &stored).await.expect("read");
        assert_eq!(named, [registry.address()], "{word}");
        let without = last_event(&builder, &order).await;
        order.registries = vec![(registry.address(), login("wrong-password-17"))];
        let wrong = last_event(&builder, &order).await;
        order.registries = vec![(other.address(), login(PASSWORD))];
        let elsewhere = last_event(&builder, &order).await;
        order.registries =
            vec![(registry.address(), login(PASSWORD)), (other.address(), login("x"))];
        let good = last_event(&builder, &order).await;

        for refused in [&without, &wrong, &elsewhere] {
            assert!(!refused.contains("Done"), "{word}: {refused}");
            assert!(!refused.contains("wrong-password-17") && !refused.contains(PASSWORD));
        }
        assert!(good.contains("Done"), "{word}: {good}");
        builder.forget(order.build).await.expect("forgotten");
        forget_quietly(&base.pinned(&digest));
    }
}

/// `BuildKit` keeps a base image by no name, the classic builder by this one.
fn forget_quietly(reference: &ImageReference) {
    let _ = Command::new("docker").args(["image", "rm", reference.as_str()]).output();
}
