//! The old slot after a switch: who still has a connection to it, and the way back meanwhile, where there
//! is room for two slots and not for one pod more.

use super::{
    harness::Machine,
    switching::{answers, way_in},
};
use domain::{
    slot::Slot::{self, Blue, Green},
    target::{Goodbye, InstanceState, Place, Plan},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::ResourceQuota},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::json;
use std::time::{Duration, Instant};
use targets::{
    Error, Target,
    contract::{Harness, PATIENCE, claim, fill, make_live, observed, probe, route_of, until},
    fake::sample,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Two slots of `size` instances under a quota that fits just those, and the traffic on green.
async fn two_slots_and_no_more(machine: &Machine, size: u16) -> (Place, Plan, Plan, TcpStream) {
    let place = sample::place("exact");
    let (old, new) = (machine.plan(&place, size), machine.plan(&place, size));
    let hard = json!({ "pods": (2 * size).to_string() });
    let quota = json!({ "metadata": { "name": "two-slots" }, "spec": { "hard": hard } });
    machine.cluster.make::<ResourceQuota>(&machine.namespace, quota).await;
    make_live(machine, Blue, &old).await;
    let address = way_in(machine, &place).await;
    until("clients are answered", async || (answers(&address).await == Some(Blue)).then_some(()))
        .await;
    let mut kept = TcpStream::connect(&address).await.expect("connected");
    assert_eq!(answered_on(&mut kept).await, Some(Blue));
    fill(machine, &claim(&new, 1), Green, &new).await;
    let revision = route_of(machine, &place).await.revision;
    let switched = machine.target.route(&claim(&new, 1), &place, revision, Some(Green)).await;
    switched.expect("switched");
    (place, old, new, kept)
}

/// A moment between two looks, as long as there is patience.
async fn pause(begun: Instant) {
    assert!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Which slot answers on a connection that is kept. `None`: it was closed.
async fn answered_on(kept: &mut TcpStream) -> Option<Slot> {
    kept.write_all(b"GET /version HTTP/1.1\r\nhost: it\r\n\r\n").await.ok()?;
    let mut answer = [0; 4096];
    let length = kept.read(&mut answer).await.ok().filter(|length| *length > 0)?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    let slot = answer.lines().find_map(|line| line.strip_prefix("x-hello-slot: "))?;
    slot.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_connections_are_answered_until_their_pods_end_and_that_needs_no_room() {
    let machine = Machine::under("restricted").await;
    let (place, _, new, mut kept) = two_slots_and_no_more(&machine, 1).await;
    assert_eq!(answered_on(&mut kept).await, Some(Blue), "a Service moves new connections only");
    let old = observed(&machine, &place).await.slots.blue[0].id.clone();

    let begun = Instant::now();
    let mut stages = Vec::new();
    let (mut closed, mut ended) = (None, None);
    loop {
        if closed.is_none() && answered_on(&mut kept).await.is_none() {
            closed = Some(begun.elapsed());
        }
        let stage = machine.target.close_streams(&claim(&new, 1), &place, Blue).await;
        let stage = stage.expect("asked");
        if stages.last() != Some(&stage) {
            println!("{stage:?} after {:?}", begun.elapsed());
            stages.push(stage);
        }
        if stage != Goodbye::Ending {
            ended.get_or_insert_with(|| begun.elapsed());
        }
        if stage == Goodbye::Done {
            break;
        }
        pause(begun).await;
    }
    let back = begun.elapsed();

    let (closed, ended) = (closed.expect("closed"), ended.expect("told"));
    println!("closed after {closed:?}, told after {ended:?}, ready again after {back:?}");
    assert_eq!((stages[0], stages.last()), (Goodbye::Ending, Some(&Goodbye::Done)));
    // What is told is when nobody was left to answer: never before the connection ended.
    assert!(ended + Duration::from_millis(150) >= closed, "{ended:?} before {closed:?}");
    let seen = observed(&machine, &place).await.slots.blue;
    assert!(seen.len() == 1 && seen[0].id != old && seen[0].in_route, "{seen:?}");
    assert_eq!(machine.served_by(&place).await, Some(Green));
    // And the way back is one write.
    let revision = route_of(&machine, &place).await.revision;
    let back = machine.target.route(&claim(&new, 1), &place, revision, Some(Blue)).await;
    assert_eq!(back.expect("back").live, Some(Blue));
}

/// By whoever comes in that moment: who goes back in the same rollout, and another one that fills the
/// slot anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_in_the_middle_of_a_goodbye_needs_no_third_slots_room() {
    for anew in [false, true] {
        let machine = Machine::under("restricted").await;
        let (place, old, new, _) = two_slots_and_no_more(&machine, 1).await;
        until("the old pod is told to end", async || {
            let stage = machine.target.close_streams(&claim(&new, 1), &place, Blue).await;
            assert_ne!(stage.expect("asked"), Goodbye::Done);
            let seen = observed(&machine, &place).await.slots.blue;
            seen.iter().all(|one| one.state != InstanceState::Running).then_some(())
        })
        .await;
        let plan = if anew { machine.plan(&place, 1) } else { old };
        let claim = claim(if anew { &plan } else { &new }, 1);

        let begun = Instant::now();
        until("it is ready", async || {
            machine.target.ensure(&claim, Blue, &plan).await.expect("it is waited for");
            let said = machine.target.probe(&place, Blue, plan.maker, &probe(&plan)).await;
            let said = said.expect("asked");
            (said.len() == 1 && said[0].passed).then_some(())
        })
        .await;
        let ready = begun.elapsed();
        let revision = route_of(&machine, &place).await.revision;
        let back = machine.target.route(&claim, &place, revision, Some(Blue)).await;

        println!("anew: {anew}, ready after {ready:?}");
        assert_eq!(back.expect("back").live, Some(Blue));
        assert_eq!(machine.served_by(&place).await, Some(Blue));
        assert!(ready < Duration::from_secs(15), "{ready:?}");
    }
}

/// Whoever goes back just when the only pod is about to end does not get a slot that is empty a moment
/// later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_not_given_to_a_pod_that_is_about_to_end() {
    let machine = Machine::under("restricted").await;
    let (place, _, new, _) = two_slots_and_no_more(&machine, 1).await;
    let claim = claim(&new, 1);
    let mut refused = 0;

    // The way back is tried at each moment of the goodbye.
    let begun = Instant::now();
    loop {
        pause(begun).await;
        machine.target.close_streams(&claim, &place, Blue).await.ok();
        let deployment = machine.cluster.api::<Deployment>(&machine.namespace);
        let there = deployment.get(&format!("{}-blue", place.service)).await.expect("there");
        let rolling = there.spec.and_then(|spec| spec.strategy?.rolling_update?.max_surge);
        if rolling != Some(IntOrString::Int(0)) {
            continue;
        }
        let revision = route_of(&machine, &place).await.revision;
        match machine.target.route(&claim, &place, revision, Some(Blue)).await {
            Ok(seen) => {
                assert_eq!(seen.live, Some(Blue));
                break;
            }
            Err(Error::Unreachable { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    assert!(refused > 0, "it was asked before a new pod was ready");
    let seen = observed(&machine, &place).await.slots.blue;
    assert!(seen.iter().any(|one| one.state == InstanceState::Running), "{seen:?}");
    assert_eq!(machine.served_by(&place).await, Some(Blue));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_room_a_goodbye_leaves_the_way_back_open_all_the_time() {
    let machine = Machine::under("restricted").await;
    let place = sample::place("roomy");
    let (old, new) = (machine.plan(&place, 1), machine.plan(&place, 1));
    make_live(&machine, Blue, &old).await;
    make_live(&machine, Green, &new).await;
    let before = observed(&machine, &place).await.slots.blue[0].id.clone();

    until("nobody has an old connection", async || {
        let stage = machine.target.close_streams(&claim(&new, 1), &place, Blue).await;
        let said = machine.target.probe(&place, Blue, old.maker, &probe(&old)).await;
        assert!(said.expect("asked").iter().any(|one| one.passed), "somebody is ready");
        (stage.expect("asked") == Goodbye::Done).then_some(())
    })
    .await;

    let after = observed(&machine, &place).await.slots.blue;
    assert!(after.len() == 1 && after[0].id != before, "{after:?}");
}
