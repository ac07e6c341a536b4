//! The contract, against a real container engine and the real router.
//!
//! Each test has an installation, a router and a pool of networks of its own, and takes all of it
//! away at its end. It needs a running engine, the image `hello:1.0.0` (`make example`) and the
//! router (`cargo build -p router`).

use async_trait::async_trait;
use bollard::{
    Docker,
    models::{ContainerCreateBody, ContainerUpdateBody},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
        ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use domain::{
    name::Name,
    slot::Slot,
    target::{Instance, Place, Plan},
};
use std::{
    collections::HashMap,
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use targets::{
    Error, Target,
    contract::Harness,
    docker::{DockerTarget, Options},
    fake::sample,
    names,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
};
use uuid::Uuid;

const IMAGE: &str = "hello:1.0.0";

struct Machine {
    target: DockerTarget,
    other: DockerTarget,
    installations: [Uuid; 2],
    prefix: Name,
    engine: Docker,
    image: String,
    /// Stands between the driver and the engine, so that one can go away for the other.
    engine_answers: Arc<AtomicBool>,
    stranger: Mutex<Option<String>>,
    routers: [Router; 2],
}

/// A router's process, with a directory of its own.
struct Router {
    dir: PathBuf,
    process: Mutex<Option<Child>>,
}

async fn machine() -> Machine {
    let engine_socket = match std::env::var("DOCKER_HOST") {
        Ok(host) => PathBuf::from(host.trim_start_matches("unix://")),
        Err(_) => PathBuf::from("/var/run/docker.sock"),
    };
    let engine = Docker::connect_with_unix(
        engine_socket.to_str().expect("a path"),
        120,
        bollard::API_DEFAULT_VERSION,
    )
    .expect("a container engine must run")
    .negotiate_version()
    .await
    .expect("a container engine must run");
    let image = engine.inspect_image(IMAGE).await.expect("make example builds the image");

    let id = sample::id();
    let dir = std::env::temp_dir().join(format!("pilothouse-{}", id.simple()));
    let routers = [Router::new(dir.join("one")), Router::new(dir.join("two"))];
    let proxy = dir.join("engine.sock");
    let engine_answers = Arc::new(AtomicBool::new(true));
    tokio::spawn(between(
        UnixListener::bind(&proxy).expect("a socket"),
        engine_socket,
        engine_answers.clone(),
    ));

    // Tests run side by side: each has a /20 of its own.
    static POOLS: AtomicU8 = AtomicU8::new(0);
    let pool = POOLS.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() as u8) % 64;
    let pool = (Ipv4Addr::new(10, 212 + pool / 16, (pool % 16) * 16, 0), 20);
    let installations = [id, sample::id()];
    let prefix: Name = format!("pt-{}", &id.simple().to_string()[20..]).parse().expect("a name");
    let options = |index: usize, prefix: Name| Options {
        engine_socket: proxy.clone(),
        router_socket: routers[index].socket(),
        installation: installations[index],
        prefix,
        pool,
        grace: Duration::from_secs(2),
        outgoing: targets::outgoing::Outgoing::new(vec!["127.0.0.1".parse().expect("good")]),
    };
    let others: Name = format!("{prefix}-other").parse().expect("a name");
    let target = DockerTarget::new(options(0, prefix.clone())).expect("a driver");
    let other = DockerTarget::new(options(1, others)).expect("a driver");
    for router in &routers {
        router.start().await;
    }
    Machine {
        target,
        other,
        installations,
        prefix,
        engine,
        image: image.id.expect("an id"),
        engine_answers,
        stranger: Mutex::default(),
        routers,
    }
}

/// Passes connections on while the engine is to answer, and drops them while it is not.
async fn between(listener: UnixListener, engine: PathBuf, answers: Arc<AtomicBool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        if !answers.load(Ordering::Relaxed) {
            continue;
        }
        let engine = engine.clone();
        tokio::spawn(async move {
            if let Ok(mut engine) = UnixStream::connect(engine).await {
                let _ = copy_bidirectional(&mut client, &mut engine).await;
            }
        });
    }
}

impl Router {
    fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).expect("a directory");
        Self { dir, process: Mutex::default() }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    async fn start(&self) {
        let child = Command::new(binary())
            .arg("serve")
            .arg("--state-dir")
            .arg(&self.dir)
            .args(["--listen", "127.0.0.1:0", "--workers", "1"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("cargo build -p router makes it");
        *self.process.lock().expect("whole") = Some(child);
        for _ in 0..100 {
            if ask(&self.socket()).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the router does not start");
    }

    /// As `kill -9` does.
    fn kill(&self) {
        if let Some(mut child) = self.process.lock().expect("whole").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The router, beside the tests in the target directory.
fn binary() -> PathBuf {
    let me = std::env::current_exe().expect("a path");
    me.ancestors().nth(2).expect("a target directory").join("pilothouse-router")
}

/// Asks the router who it is.
async fn ask(socket: &Path) -> Option<domain::route::Hello> {
    read(socket, "/v1/hello").await
}

async fn read<T: serde::de::DeserializeOwned>(socket: &Path, path: &str) -> Option<T> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: router\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
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
        Plan { image: self.image.parse().expect("a content id"), ..sample::plan(place, size) }
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

    async fn served_by(&self, place: &Place) -> Option<Slot> {
        let hello = ask(&self.routers[0].socket()).await.expect("the router runs");
        let mut stream = TcpStream::connect(hello.listeners[0].address).await.expect("it listens");
        let host = &place.host_names[0];
        let request = format!("GET /version HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        let slot = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-hello-slot").then(|| value.trim().parse().ok())?
        });
        assert_eq!(slot.is_some(), answer.starts_with("HTTP/1.1 200"), "{answer}");
        slot
    }

    async fn restart(&self, instance: &Instance) {
        let found = self.engine.inspect_container(&instance.id, None::<InspectContainerOptions>);
        let pid = found.await.expect("there").state.expect("a state").pid.expect("a process");
        // Not through the engine, which would take it for a wish that it ends.
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    async fn write(&self, instance: &Instance, bytes: &[u8]) {
        let found = self.engine.inspect_container(&instance.id, None::<InspectContainerOptions>);
        let pid = found.await.expect("there").state.expect("a state").pid.expect("a process");
        let bytes = bytes.to_vec();
        let written = tokio::task::spawn_blocking(move || {
            let pipe = format!("/proc/{pid}/fd/1");
            std::fs::OpenOptions::new().write(true).open(pipe)?.write_all(&bytes)
        });
        written.await.expect("ended").expect("the engine reads it");
    }

    async fn change_by_hand(&self, instance: &Instance) {
        let update = ContainerUpdateBody {
            memory: Some(48 << 20),
            memory_swap: Some(48 << 20),
            ..Default::default()
        };
        self.engine.update_container(&instance.id, update).await.expect("updated");
    }

    async fn remove_by_hand(&self, instance: &Instance) {
        remove(&self.engine, &instance.id).await;
    }

    async fn occupy(&self, plan: &Plan, slot: Slot) {
        let instance = names::instance(slot, plan.maker, 1);
        let name = names::container(&self.prefix, &plan.place, &instance);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let body = ContainerCreateBody { image: Some(self.image.clone()), ..Default::default() };
        let made = self.engine.create_container(Some(options), body).await.expect("made");
        *self.stranger.lock().expect("whole") = Some(made.id);
    }

    async fn stranger_is_there(&self) -> bool {
        let id = self.stranger.lock().expect("whole").clone().expect("there is one");
        self.engine.inspect_container(&id, None::<InspectContainerOptions>).await.is_ok()
    }

    async fn switch_by_hand(&self, place: &Place, live: Option<Slot>, reason: &str) {
        let to = live.map_or("none", Slot::as_str);
        let switched = Command::new(binary())
            .args(["switch", "--state-dir"])
            .arg(&self.routers[0].dir)
            .args([&place.placement.to_string(), to, "--reason", reason])
            .stdout(Stdio::null())
            .status();
        assert!(switched.expect("it runs").success());
    }

    async fn restart_router(&self) {
        self.routers[0].kill();
        self.routers[0].start().await;
    }

    async fn lose_routes(&self) {
        self.routers[0].kill();
        std::fs::remove_file(self.routers[0].dir.join("routes.json")).expect("it was there");
        self.routers[0].start().await;
    }

    async fn set_reachable(&self, reachable: bool) {
        self.engine_answers.store(reachable, Ordering::Relaxed);
    }
}

async fn remove(engine: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    engine.remove_container(id, Some(options)).await.expect("removed");
}

/// Takes away what the installations made, and the stranger.
async fn clean_up(engine: Docker, installations: [Uuid; 2], stranger: Option<String>) {
    for installation in installations {
        let label = format!("pilothouse.installation={installation}");
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for one in engine.list_containers(Some(options)).await.expect("a list") {
            remove(&engine, &one.id.expect("an id")).await;
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for one in engine.list_networks(Some(options)).await.expect("a list") {
            engine.remove_network(&one.id.expect("an id")).await.expect("removed");
        }
    }
    if let Some(stranger) = stranger {
        remove(&engine, &stranger).await;
    }
}

impl Drop for Machine {
    /// Also when a test has failed.
    fn drop(&mut self) {
        for router in &self.routers {
            router.kill();
        }
        let (engine, installations) = (self.engine.clone(), self.installations);
        let stranger = self.stranger.get_mut().ok().and_then(Option::take);
        let cleaner = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().expect("a runtime").block_on(clean_up(
                engine,
                installations,
                stranger,
            ));
        });
        let cleaned = cleaner.join();
        if let Some(dir) = self.routers[0].dir.parent() {
            let _ = std::fs::remove_dir_all(dir);
        }
        if !std::thread::panicking() {
            cleaned.expect("cleaned up");
        }
    }
}

targets::contract!(machine);

#[tokio::test]
async fn an_engine_that_never_answers_holds_nobody_longer_than_the_deadline() {
    let dir = std::env::temp_dir().join(format!("pilothouse-{}", sample::id().simple()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let socket = dir.join("silent.sock");
    // Takes connections into its queue and says nothing.
    let _silent = UnixListener::bind(&socket).expect("a socket");
    let target = DockerTarget::new(Options {
        engine_socket: socket.clone(),
        router_socket: socket,
        installation: sample::id(),
        prefix: "silent".parse().expect("a name"),
        pool: Options::POOL,
        grace: Options::GRACE,
        outgoing: targets::outgoing::Outgoing::default(),
    })
    .expect("a driver");
    let place = sample::place("silent");
    let begun = std::time::Instant::now();

    let outcome = tokio::join!(
        target.observe(&place),
        target.traffic(&place, 0),
        target.check(),
        target.usage(&[])
    );

    assert!(begun.elapsed() < targets::DEADLINE * 2, "{:?}", begun.elapsed());
    assert!(matches!(outcome.0, Err(Error::Unreachable { .. })), "{outcome:?}");
    assert!(matches!(outcome.1, Err(Error::Unreachable { .. })), "{outcome:?}");
    assert!(matches!(outcome.2, Err(Error::Unreachable { .. })), "{outcome:?}");
    assert!(matches!(outcome.3, Err(Error::Unreachable { .. })), "{outcome:?}");
    std::fs::remove_dir_all(dir).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_not_the_releases_fault() {
    let machine = machine().await;
    // Nobody listens on the port of "discard".
    let reference = "127.0.0.1:9/team/api:1".parse().expect("a reference");

    let told = targets::registry::Told::default();
    let local = machine.target.image(&reference).await;
    let pulled = machine.target.pull(&reference, None, &told).await;

    assert!(matches!(local, Err(Error::Refused { .. })), "{local:?}");
    assert!(matches!(pulled, Err(Error::Unreachable { .. })), "{pulled:?}");
}

/// What was sent to whom, and not taken by the first that was asked.
async fn missed(machine: &Machine, place: &Place) -> (u64, u64) {
    let path = format!("/v1/traffic/{}?since=0", place.placement);
    let socket = machine.routers[0].socket();
    let traffic: domain::route::traffic::Traffic = read(&socket, &path).await.expect("traffic");
    let totals = &traffic.slots.blue.totals;
    (totals.retried, totals.failures.sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn growing_and_healing_a_live_slot_costs_no_request() {
    let machine = machine().await;
    let (target, place) = (&machine.target, sample::place("costless"));
    let mut plan = machine.slow_plan(&place, 1);
    let maker = Some(plan.maker);
    let by = |rollout| domain::target::Claim { placement: place.placement, epoch: 1, rollout };
    // Asks for the plan, and for pages meanwhile, until it is so.
    let all_in = async |plan: &Plan, rollout| {
        for _ in 0..200 {
            target.ensure(&by(rollout), Slot::Blue, plan).await.expect("asked");
            for _ in 0..if rollout.is_none() { 10 } else { 0 } {
                assert_eq!(machine.served_by(&place).await, Some(Slot::Blue));
            }
            let probe = domain::target::Probe { port: 8080, check: plan.spec.readiness.clone() };
            let answers = target.probe(&place, Slot::Blue, plan.maker, &probe).await;
            let passed = answers.expect("asked").iter().filter(|answer| answer.passed).count();
            let slot = target.observe(&place).await.expect("seen").slots.blue;
            if passed == usize::from(plan.size) && slot.iter().all(|one| one.in_route) {
                return slot;
            }
        }
        panic!("not all came into the route");
    };
    all_in(&plan, maker).await;
    let revision = target.observe(&place).await.expect("seen").route.expect("a route").revision;
    target.route(&by(maker), &place, revision, Some(Slot::Blue)).await.expect("live");

    plan.size = 2;
    let two = all_in(&plan, None).await;
    assert_eq!((two.len(), missed(&machine, &place).await), (2, (0, 0)));

    machine.remove_by_hand(&two[0]).await;
    target.ensure(&by(None), Slot::Blue, &plan).await.expect("begun");
    let healed = all_in(&plan, None).await;
    assert_ne!(healed[0].id, two[0].id);
    assert_eq!(missed(&machine, &place).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_started_as_tightly_as_the_plan_says() {
    let machine = machine().await;
    let place = sample::place("tight");
    let plan = machine.plan(&place, 1);
    let claim =
        domain::target::Claim { placement: place.placement, epoch: 1, rollout: Some(plan.maker) };
    machine.target.ensure(&claim, Slot::Blue, &plan).await.expect("filled");
    let id = machine.target.observe(&place).await.expect("seen").slots.blue[0].id.clone();

    let found = machine.engine.inspect_container(&id, None::<InspectContainerOptions>).await;
    let found = found.expect("there");
    let pid = found.state.expect("a state").pid.expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs here");

    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapBnd:"), "0000000000000000");
    assert_eq!(field("Seccomp:"), "2");
    assert_ne!(field("Uid:").split_whitespace().next(), Some("0"));
    let host = found.host_config.expect("there");
    assert_eq!(host.readonly_rootfs, Some(true));
    assert!(host.port_bindings.unwrap_or_default().is_empty(), "no port of its own");
    assert_eq!(found.mounts.unwrap_or_default().len(), 0, "nothing of the host");
}
