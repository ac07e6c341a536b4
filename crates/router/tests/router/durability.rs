//! What survives, and who owns a state directory.

use super::{
    client::{Client, HOST, ask, get},
    process::{Dir, Router, SOON, serve, until},
    stage::Stage,
};
use domain::slot::Slot;
use std::{fs, os::unix::fs::PermissionsExt};
use tokio::time::timeout;

#[tokio::test]
async fn an_acknowledged_switch_survives_kill_9() {
    let mut stage = Stage::set().await;

    for round in 0..5 {
        let live = if round % 2 == 0 { Slot::Green } else { Slot::Blue };
        let acknowledged = stage.switch(live).await;
        let boot = stage.router.hello().await.boot;
        let Stage { router, dir, blue, green, placement, route } = stage;
        router.kill().await;
        let router = Router::start(dir.path(), &[]).await;
        stage = Stage { router, dir, blue, green, placement, route };

        let routed = stage.router.routed(stage.placement).await;
        assert_eq!((routed.revision, routed.epoch), (acknowledged.revision, acknowledged.epoch));
        assert_eq!(routed.live(), Some(live));
        assert_eq!(stage.get("/").await.text(), live.as_str());
        let hello = stage.router.hello().await;
        assert!(hello.boot != boot && !hello.lost_routes);
    }
}

#[tokio::test]
async fn a_damaged_state_file_is_set_aside_and_its_loss_is_said() {
    let Stage { router, dir, blue: _blue, placement, route, .. } = Stage::set().await;
    router.kill().await;
    let file = dir.path().join("routes.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();

    let router = Router::start(dir.path(), &[]).await;

    assert!(router.hello().await.lost_routes);
    assert_eq!(ask(router.address, get(HOST, "/")).await.status, 404);
    let aside = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .find(|entry| entry.file_name().to_string_lossy().starts_with("routes.json.damaged-"));
    assert_eq!(fs::read(aside.unwrap().path()).unwrap(), &whole[..whole.len() / 2]);

    // Given back, it serves; after the next start nothing is lost.
    router.put(placement, 0, &route).await.unwrap();
    assert_eq!(ask(router.address, get(HOST, "/")).await.text(), "blue");
    router.kill().await;
    let router = Router::start(dir.path(), &[]).await;
    assert!(!router.hello().await.lost_routes);
}

#[tokio::test]
async fn a_state_file_that_is_gone_is_a_loss_and_a_new_directory_is_none() {
    let dir = Dir::new();
    let router = Router::start(dir.path(), &[]).await;
    assert!(!router.hello().await.lost_routes);
    router.kill().await;
    fs::remove_file(dir.path().join("routes.json")).unwrap();

    let router = Router::start(dir.path(), &[]).await;

    assert!(router.hello().await.lost_routes);
}

#[tokio::test]
async fn a_state_file_of_a_newer_router_is_neither_read_nor_touched() {
    let dir = Dir::new();
    Router::start(dir.path(), &[]).await.kill().await;
    let file = dir.path().join("routes.json");
    let newer = r#"{"format":1000,"something":"else"}"#;
    fs::write(&file, newer).unwrap();

    let mut process = serve(dir.path(), &[]);

    assert!(!timeout(SOON, process.wait()).await.unwrap().unwrap().success());
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
}

#[tokio::test]
async fn a_state_directory_has_one_router() {
    let stage = Stage::set().await;

    let mut second = serve(stage.dir.path(), &[]);

    assert!(!timeout(SOON, second.wait()).await.unwrap().unwrap().success());
    assert_eq!(stage.get("/").await.text(), "blue");
    stage.switch(Slot::Green).await;
}

#[tokio::test]
async fn the_socket_and_the_state_are_for_nobody_else() {
    let stage = Stage::set().await;

    let mode = |name: &str| {
        fs::metadata(stage.dir.path().join(name)).unwrap().permissions().mode() & 0o777
    };

    assert_eq!((mode("control.sock"), mode("routes.json"), mode("")), (0o600, 0o600, 0o700));
}

#[tokio::test]
async fn a_state_directory_in_which_others_may_write_is_refused() {
    let dir = Dir::new();
    fs::create_dir(dir.path()).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();

    let mut process = serve(dir.path(), &[]);

    assert!(!timeout(SOON, process.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_router_that_takes_over_has_the_routes_and_the_older_one_ends_what_it_has() {
    let stage = Stage::set().await;
    let older = stage.router.hello().await;
    let mut client = Client::connect(stage.router.address).await;
    let waiting = tokio::spawn(async move { client.get("/wait").await.text().to_owned() });
    until("the request waits", async || stage.blue.requests() == 1).await;

    let newer = Router::start(stage.dir.path(), &["--take-over"]).await;

    assert_ne!(newer.hello().await.pid, older.pid);
    let routed = newer.switch(stage.placement, 1, Some(Slot::Green)).await.unwrap();
    assert_eq!(routed.revision, 2);
    assert_eq!(ask(newer.address, get(HOST, "/")).await.text(), "green");
    stage.blue.let_go();
    assert_eq!(waiting.await.unwrap(), "blue");
}
