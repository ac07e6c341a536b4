//! The live stream from a client's side.

use super::{
    http::{Ask, Rest},
    world::{Person, Place, World},
};
use domain::{
    history::{Deed, Subject},
    id::UserId,
};
use std::time::Duration;
use store::history::NewEntry;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_has_no_gaps_and_ends_when_it_must() {
    let world = World::start("stream").await;
    let admin = world.first_admin().await;

    nobody_hears_nothing(&world).await;
    what_happens_is_heard_and_replayed_without_a_gap(&world, &admin).await;
    a_number_that_never_was_is_answered_with_reset(&world, &admin).await;
    everybody_hears_only_what_he_may_see(&world, &admin).await;
    whoever_loses_his_rights_hears_no_more(&world, &admin).await;
    one_person_can_not_take_all_streams(&world, &admin).await;
    a_client_that_does_not_read_is_told_to_begin_again(&world, &admin).await;

    let (_, mut stream) = world.get(&admin, "/live").open().await;
    stream.until("\"is\":\"hello\"").await;
    let stop = world.stop.clone();
    stop.cancel();
    stream.until("\"is\":\"goodbye\"").await;
    assert!(stream.ends(SOON).await);
    world.end().await;
}

async fn open(world: &World, who: &Person, query: &str) -> Rest {
    let (answer, rest) = world.get(who, &format!("/live{query}")).open().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    rest
}

async fn nobody_hears_nothing(world: &World) {
    assert_eq!(Ask::get(world.port, "/live").send().await.status, 401);
    let bad = world.get(&Person::default(), "/live").header("Cookie", "__Host-pilothouse=x");
    assert_eq!(bad.send().await.status, 401);
}

/// The numbers of the rows in what was read.
fn numbers(read: &str) -> Vec<i64> {
    read.lines().filter_map(|line| line.strip_prefix("id: ")?.trim().parse().ok()).collect()
}

async fn what_happens_is_heard_and_replayed_without_a_gap(world: &World, admin: &Person) {
    let before = world.board(admin).await["number"].as_i64().unwrap();
    let mut stream = open(world, admin, &format!("?after={before}&topics=board")).await;
    let hello = stream.until("\"is\":\"hello\"").await;
    assert!(hello.contains("\"build\":\"1-2-3\""), "{hello}");

    for name in ["alpha", "beta", "gamma"] {
        world.add_service(admin, "stream", name).await;
    }
    let heard = stream.until("gamma").await;
    drop(stream);

    let rows = numbers(&heard);
    assert_eq!(rows.first(), Some(&(before + 1)));
    assert!(rows.windows(2).all(|pair| pair[1] == pair[0] + 1), "{rows:?}");
    // The connection is lost in the middle, and taken up where the browser says it was.
    let middle = rows[rows.len() / 2];
    let resumed = world.get(admin, "/live?after=0").header("Last-Event-ID", &middle.to_string());
    let (_, mut resumed) = resumed.open().await;
    let heard = resumed.until("gamma").await;
    assert_eq!(numbers(&heard).first(), Some(&(middle + 1)));
}

async fn a_number_that_never_was_is_answered_with_reset(world: &World, admin: &Person) {
    for after in ["1000000", "-1"] {
        let mut stream = open(world, admin, &format!("?after={after}")).await;
        stream.until("\"is\":\"reset\"").await;
        assert!(stream.ends(SOON).await, "it ends, so that the page begins again");
    }
    let bad = world.get(admin, "/live?topics=everything").send().await;
    assert_eq!(bad.status, 400);
}

async fn everybody_hears_only_what_he_may_see(world: &World, admin: &Person) {
    let project = world.board(admin).await["projects"][0]["id"].as_str().unwrap().to_owned();
    let place = Place { project: Some(project), environment: None };
    let viewer = world.person(admin, "Vera", "viewer", &place).await;
    let mut stream = open(world, &viewer, "?topics=board").await;
    stream.until("\"is\":\"hello\"").await;

    world.add_service(admin, "secret", "hidden").await;
    world.person(admin, "Nobody Else", "viewer", &place).await;
    world.add_service(admin, "stream", "visible").await;

    let heard = stream.until("visible").await;
    assert!(!heard.contains("hidden"), "{heard}");
    assert!(!heard.contains("Nobody Else"), "{heard}");
}

async fn whoever_loses_his_rights_hears_no_more(world: &World, admin: &Person) {
    let place = Place::default();
    let form = [("name", "Lena"), ("password", super::world::PASSWORD)];
    let id = world.post(admin, "people/add", &form).send().await.id();
    let grant = world.grant(admin, &id, "viewer", &place).await;
    let lena = world.sign_in("Lena").await;

    let mut stream = open(world, &lena, "").await;
    stream.until("\"is\":\"hello\"").await;
    let taken = world.post(admin, "people/take-grant", &[("grant", &grant)]).send().await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert!(stream.ends(SOON).await, "a grant was taken");

    let lena = world.sign_in("Lena").await;
    let mut stream = open(world, &lena, "").await;
    stream.until("\"is\":\"hello\"").await;
    let disabled = world.post(admin, "people/disable", &[("person", &id)]).send().await;
    assert_eq!(disabled.status, 200, "{}", disabled.body);
    assert!(stream.ends(SOON).await, "the person was disabled");
}

async fn one_person_can_not_take_all_streams(world: &World, admin: &Person) {
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(open(world, admin, "").await);
    }

    let refused = world.get(admin, "/live").send().await;

    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    drop(held);
    // The server notices a client that is gone when it writes to it, or reads its end.
    for _ in 0..100 {
        let (answer, _) = world.get(admin, "/live").open().await;
        if answer.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("seats do not come back");
}

async fn a_client_that_does_not_read_is_told_to_begin_again(world: &World, admin: &Person) {
    let mut stream = open(world, admin, "").await;

    // More than the sockets between us can hold.
    let (batches, rows) = (30, 100);
    for _ in 0..batches {
        let entries: Vec<NewEntry> = (0..rows)
            .map(|_| {
                let person = UserId(uuid::Uuid::now_v7());
                let deed = Deed::PersonAdded { person, name: "x".repeat(8000) };
                NewEntry::engine(Subject::default(), deed)
            })
            .collect();
        let tx = world.pool.begin().await.unwrap();
        store::history::append_and_commit(tx, &entries).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    let read = stream.until("\"is\":\"reset\"").await;
    assert!(numbers(&read).len() < batches * rows, "it was spared what it could not take");
    assert!(stream.ends(SOON).await);
    let figures = Ask::get(world.port, "/metrics").send().await.body;
    let resets = figures.lines().find(|line| line.starts_with("pilothouse_streams_reset_total "));
    assert!(resets.is_some_and(|line| !line.ends_with(" 0")), "{resets:?}");
}
