//! What clients of the Service see while traffic moves. Their requests go through the node's own rules, as
//! any pod's would, and are counted by a witness that knows nothing of us.

use super::harness::Machine;
use domain::{
    slot::Slot::{self, Blue, Green},
    target::{Place, Plan, Verdict},
};
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use targets::{
    Error, Target,
    contract::{Harness, claim, fill, make_live, observed, route_of, settled, until},
    fake::sample,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// `hello load`, against a port of this machine that leads to a Service.
pub struct Load {
    child: Child,
}

/// The example's program, where `tools/example` puts it.
fn hello() -> PathBuf {
    let me = std::env::current_exe().expect("a path");
    me.ancestors().nth(3).expect("a target directory").join("example/hello")
}

impl Load {
    /// 300 requests a second, half of them on connections of their own.
    pub fn on(address: &str) -> Self {
        let child = Command::new(hello())
            .args(["load", &format!("http://{address}/")])
            .args(["--rate", "300", "--closing", "50", "--seconds", "120"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("make example builds it");
        Self { child }
    }

    /// Ends it, and says what it saw.
    pub fn report(mut self) -> Value {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.expect("kill runs").success());
        let mut said = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
        serde_json::from_str(&said).expect("a report")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of this machine whose connections are dialled inside the cluster, to the active Service.
pub async fn way_in(machine: &Machine, place: &Place) -> String {
    let name = place.service.to_string();
    let service =
        machine.cluster.api::<Service>(&machine.namespace).get(&name).await.expect("made");
    let spec = service.spec.expect("a Service");
    let port = spec.ports.expect("ports")[0].port;
    machine.cluster.tool(&["forward", &format!("{}:{port}", spec.cluster_ip.expect("an address"))])
}

/// Which slot answers on a connection of its own. `None`: nobody.
pub async fn answers(address: &str) -> Option<Slot> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = "GET /version HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let slot = answer.lines().find_map(|line| line.strip_prefix("x-hello-slot: "))?;
    slot.trim().parse().ok()
}

/// A plan whose answers say which slot gave them.
pub fn versioned(machine: &Machine, place: &Place, size: u16, slot: Slot) -> Plan {
    let version = ("HELLO_VERSION".parse().expect("a name"), slot.to_string());
    Plan { variables: [version].into_iter().collect(), ..machine.plan(place, size) }
}

/// Both slots filled with two instances each, blue live, and clients answered by it.
pub async fn two_slots(machine: &Machine, service: &str) -> (Place, Plan, Plan, String) {
    let place = sample::place(service);
    let (blue, green) = (versioned(machine, &place, 2, Blue), versioned(machine, &place, 2, Green));
    make_live(machine, Blue, &blue).await;
    fill(machine, &claim(&green, 1), Green, &green).await;
    let address = way_in(machine, &place).await;
    until("the node knows the Service", async || {
        (answers(&address).await == Some(Blue)).then_some(())
    })
    .await;
    (place, blue, green, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_switches_forth_and_back_under_load_cost_no_request() {
    let machine = Machine::under("restricted").await;
    let (place, _, green, address) = two_slots(&machine, "busy").await;
    let load = Load::on(&address);
    let mut slowest = Duration::ZERO;

    for number in 1..=10 {
        let to = if number % 2 == 1 { Green } else { Blue };
        let revision = route_of(&machine, &place).await.revision;
        let begun = Instant::now();
        let seen = machine.target.route(&claim(&green, 1), &place, revision, Some(to)).await;
        assert_eq!(seen.expect("switched").live, Some(to));
        let confirmed = begun.elapsed();
        until("new connections come to the new slot", async || {
            (answers(&address).await == Some(to)).then_some(())
        })
        .await;
        println!(
            "switch {number}: confirmed after {confirmed:?}, there after {:?}",
            begun.elapsed()
        );
        slowest = slowest.max(begun.elapsed());
    }

    // The old slot gets rid of who stayed, by ending its pods. Each says in its answers for a while that
    // the connection ends, so that who keeps one asks on another.
    let before = observed(&machine, &place).await.slots.green;
    machine.target.close_streams(&claim(&green, 1), &place, Green).await.expect("begun");
    until("its pods are others", async || {
        let now = observed(&machine, &place).await.slots.green;
        let fresh = now.iter().all(|one| before.iter().all(|old| old.id != one.id));
        (fresh && now.len() == 2).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let report = load.report();

    assert_eq!(report["failed"], 0, "{report:#}");
    let sent = report["sent"].as_u64().expect("a figure");
    assert!(sent > 300 && report["answered"] == sent, "{report:#}");
    for slot in Slot::ALL {
        assert!(report["versions"][slot.as_str()]["answers"].as_u64() > Some(0), "{report:#}");
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    println!("{sent} requests, the longest gap {} ms", report["longest_gap_ms"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_stands_still_holds_nobody_up_and_costs_no_request() {
    let machine = Machine::under("restricted").await;
    let (place, blue, green, address) = two_slots(&machine, "still").await;
    let load = Load::on(&address);
    let revision = route_of(&machine, &place).await.revision;

    machine.cluster.tool(&["signal", "kube-apiserver", "STOP"]);
    let begun = Instant::now();
    let claim = claim(&green, 1);
    let outcomes = tokio::join!(
        machine.target.observe(&place),
        machine.target.route(&claim, &place, revision, Some(Green)),
        machine.target.ensure(&claim, Green, &green),
        machine.target.remove(&claim, &place, Green),
        machine.target.check(),
        machine.target.preflight(&green, Some(Blue)),
        machine.target.close_streams(&claim, &place, Green),
    );
    let held = begun.elapsed();
    machine.cluster.tool(&["signal", "kube-apiserver", "CONT"]);

    assert!(held < targets::DEADLINE + Duration::from_secs(1), "{held:?}");
    let unreachable = |error: Option<targets::Error>| {
        assert!(matches!(error, Some(targets::Error::Unreachable { .. })), "{error:?}");
    };
    unreachable(outcomes.0.err());
    unreachable(outcomes.1.err());
    unreachable(outcomes.2.err());
    unreachable(outcomes.3.err());
    unreachable(outcomes.4.err());
    unreachable(outcomes.5.err());
    unreachable(outcomes.6.err());
    // What it was told while it stood still it may do now, or not at all: the next look decides.
    let seen = until("it answers", async || {
        let seen = machine.target.observe(&place).await.ok()?;
        seen.route
    })
    .await;
    let live = seen.live.expect("one is live");
    let back = settled(&place, 1);
    for plan in [&blue, &green] {
        let slot = if plan.maker == blue.maker { Blue } else { Green };
        fill(&machine, if slot == live { &back } else { &claim }, slot, plan).await;
    }
    assert_eq!(load.report()["failed"], 0, "traffic never noticed");
}

/// Each answer takes 400 ms to come, and much needs several: a rollout is slower and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_answers_slowly_is_worked_with() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("slowly");
    let (blue, green) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(&machine, Blue, &blue).await;
    machine.cluster.set_long(Duration::from_millis(400));
    let claim = claim(&green, 1);

    let mut took = Vec::new();
    let mut begun = Instant::now();
    let mut lap = |what: &'static str| {
        took.push((what, std::mem::replace(&mut begun, Instant::now()).elapsed()));
    };
    machine.target.check().await.expect("checked");
    lap("check");
    let findings = machine.target.preflight(&green, Some(Blue)).await.expect("asked");
    lap("preflight");
    machine.target.fence(&claim, &place).await.expect("claimed");
    lap("fence");
    machine.target.ensure(&claim, Green, &green).await.expect("filled");
    lap("ensure");
    machine.target.observe(&place).await.expect("looked");
    lap("observe");
    fill(&machine, &claim, Green, &green).await;
    lap("until it is ready");
    let revision = route_of(&machine, &place).await.revision;
    machine.target.route(&claim, &place, revision, Some(Green)).await.expect("switched");
    lap("route");
    let route = until("it is followed", async || {
        let route = machine.target.observe(&place).await.expect("looked").route?;
        (!route.arriving).then_some(route)
    })
    .await;
    machine.target.close_streams(&claim, &place, Blue).await.expect("begun");
    lap("close_streams");
    // The goodbye is under way: what the cluster writes of it is sometimes written in between, and the
    // command is given again, as each phase does.
    until("it is begun", async || {
        let begun = machine.target.remove(&claim, &place, Blue).await;
        assert!(matches!(begun, Ok(()) | Err(Error::Stale { .. })), "{begun:?}");
        begun.ok()
    })
    .await;
    lap("remove");

    println!("{took:#?}");
    assert!(findings.iter().all(|one| one.verdict != Verdict::Refuse), "{findings:#?}");
    assert_eq!(route.live, Some(Green));
    let preflight = took.iter().find(|(what, _)| *what == "preflight").expect("asked").1;
    assert!(preflight > Duration::from_millis(400), "the way was not long: {preflight:?}");
}
