//! A switch by hand, for the hour in which the control plane is gone.

use super::{
    client::{HOST, ask, get},
    process::{Router, run},
    stage::Stage,
};
use domain::{
    route::{Journal, JournalEntry},
    slot::Slot,
};
use std::path::Path;

async fn switch(dir: &Path, placement: &str, to: &str, reason: &str) -> (bool, String) {
    let dir = dir.to_str().unwrap();
    let output = run(&["switch", "--state-dir", dir, placement, to, "--reason", reason]).await;
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn moved(entry: &JournalEntry) -> (u64, Option<Slot>, Option<Slot>, i64, &str) {
    (entry.number, entry.from, entry.to, entry.revision, &entry.reason)
}

#[tokio::test]
async fn a_person_can_switch_a_router_that_runs_and_the_journal_tells() {
    let stage = Stage::set().await;

    let (done, said) = switch(stage.dir.path(), HOST, "green", "the database is gone").await;

    assert!(done && said.contains("green"), "{said}");
    assert_eq!(stage.get("/").await.text(), "green");
    let routed = stage.router.routed(stage.placement).await;
    assert_eq!((routed.revision, routed.epoch, routed.break_glass), (2, 1, Some(1)));
    let journal: Journal = stage.router.get("/v1/journal?after=0").await;
    assert_eq!(
        moved(&journal.entries[0]),
        (1, Some(Slot::Blue), Some(Slot::Green), 2, "the database is gone")
    );
    assert_eq!(journal.entries[0].placement, stage.placement);
    assert_eq!(journal.entries[0].uid, rustix::process::getuid().as_raw());

    // Who did not know of it looks again before they write, and then the mark is gone.
    let wrong = stage.router.switch(stage.placement, 1, Some(Slot::Blue)).await.unwrap_err();
    assert_eq!(wrong.current.unwrap().break_glass, Some(1));
    assert_eq!(stage.switch(Slot::Blue).await.break_glass, None);
    let later: Journal = stage.router.get("/v1/journal?after=1").await;
    assert!(later.entries.is_empty() && !later.more);
}

#[tokio::test]
async fn a_person_can_switch_in_the_state_file_when_no_router_runs() {
    let Stage { router, dir, blue: _blue, green: _green, placement, .. } = Stage::set().await;
    let id = placement.to_string();
    assert!(switch(dir.path(), &id, "none", "first").await.0);
    router.kill().await;

    let (done, said) = switch(dir.path(), &id, "green", "second").await;
    assert!(done && said.contains("No router runs"), "{said}");

    let router = Router::start(dir.path(), &[]).await;
    assert_eq!(ask(router.address, get(HOST, "/")).await.text(), "green");
    assert_eq!(router.routed(placement).await.break_glass, Some(2));
    let journal: Journal = router.get("/v1/journal").await;
    let all: Vec<_> = journal.entries.iter().map(moved).collect();
    assert_eq!(
        all,
        [(1, Some(Slot::Blue), None, 2, "first"), (2, None, Some(Slot::Green), 3, "second")]
    );
}

#[tokio::test]
async fn a_switch_by_hand_needs_a_reason_a_placement_and_a_slot_with_instances() {
    let stage = Stage::set().await;
    let mut route = stage.route.clone();
    route.upstreams.green.clear();
    stage.router.put(stage.placement, 1, &route).await.unwrap();
    let dir = stage.dir.path();

    assert!(!switch(dir, HOST, "none", "  ").await.0);
    assert!(!switch(dir, "other.example.org", "none", "why not").await.0);
    assert!(!switch(dir, HOST, "green", "why not").await.0);

    let journal: Journal = stage.router.get("/v1/journal").await;
    assert!(journal.entries.is_empty());
    assert_eq!(stage.get("/").await.text(), "blue");
}

#[tokio::test]
async fn a_line_of_the_journal_that_a_crash_cut_short_spoils_no_other() {
    let stage = Stage::set().await;
    assert!(switch(stage.dir.path(), HOST, "green", "first").await.0);
    let file = stage.dir.path().join("journal.jsonl");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(br#"{"number":2,"at":"20"#);
    std::fs::write(&file, torn).unwrap();

    assert!(switch(stage.dir.path(), HOST, "blue", "second").await.0);

    let journal: Journal = stage.router.get("/v1/journal").await;
    let reasons: Vec<_> = journal.entries.iter().map(|e| (e.number, e.reason.as_str())).collect();
    assert_eq!(reasons, [(1, "first"), (2, "second")]);
}

#[tokio::test]
async fn status_prints_what_is_served() {
    let stage = Stage::set().await;
    stage.get("/").await;

    let output = run(&["status", "--state-dir", stage.dir.path().to_str().unwrap()]).await;

    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(HOST) && said.contains("blue"), "{said}");
    assert!(said.contains(&stage.placement.to_string()), "{said}");
}
