//! Who may write a route, and what a write replaces.

use super::{
    stage::{Stage, placement},
    upstream::nobody,
};
use domain::{
    route::{Fence, Put, Refusal, RefusalCode, Remove, Routed, Routes, Switch},
    slot::Slot,
};
use serde_json::json;

async fn fence(stage: &Stage, epoch: i64) -> Result<Routed, Refusal> {
    let path = format!("/v1/routes/{}/fence", stage.placement);
    stage.router.call("POST", &path, &Fence { epoch }).await
}

#[tokio::test]
async fn after_a_fence_writes_of_an_older_epoch_are_refused() {
    let stage = Stage::set().await;

    let fenced = fence(&stage, 5).await.unwrap();
    assert_eq!((fenced.epoch, fenced.revision), (5, 1));

    let stale = stage.router.switch(stage.placement, 1, Some(Slot::Green)).await.unwrap_err();
    assert_eq!(stale.code, RefusalCode::StaleEpoch);
    assert_eq!(stale.current.unwrap().epoch, 5);
    let stale = stage.router.put(stage.placement, 1, &stage.route).await.unwrap_err();
    assert_eq!(stale.code, RefusalCode::StaleEpoch);
    assert_eq!(fence(&stage, 4).await.unwrap_err().code, RefusalCode::StaleEpoch);
    assert_eq!(fence(&stage, 5).await.unwrap(), fenced);
    assert_eq!(stage.get("/").await.text(), "blue");
}

#[tokio::test]
async fn a_fence_may_come_before_any_route() {
    let stage = Stage::set().await;
    let unknown = placement();
    assert_eq!(stage.router.routed(unknown).await, Routed::unknown(unknown));

    let path = format!("/v1/routes/{unknown}/fence");
    let fenced: Routed = stage.router.call("POST", &path, &Fence { epoch: 7 }).await.unwrap();
    let mut route = stage.route.clone();
    route.host_names = vec!["other.example.org".parse().unwrap()];
    route.preview_host_names.clear();
    let stale = stage.router.put(unknown, 0, &route).await.unwrap_err();

    assert_eq!((fenced.epoch, fenced.revision, fenced.route), (7, 0, None));
    assert_eq!(stale.code, RefusalCode::StaleEpoch);
}

#[tokio::test]
async fn a_write_that_replaces_another_revision_is_refused_with_what_is() {
    let stage = Stage::set().await;
    let now = stage.switch(Slot::Green).await;

    let wrong = stage.router.switch(stage.placement, 1, Some(Slot::Blue)).await.unwrap_err();

    assert_eq!((wrong.code, wrong.code.status()), (RefusalCode::WrongRevision, 409));
    assert_eq!(*wrong.current.unwrap(), now);
    assert_eq!(stage.get("/").await.text(), "green");
}

#[tokio::test]
async fn of_two_writes_that_replace_the_same_revision_one_wins() {
    let stage = Stage::set().await;

    let (one, other) = tokio::join!(
        stage.router.switch(stage.placement, 1, Some(Slot::Green)),
        stage.router.switch(stage.placement, 1, None),
    );

    assert!(one.is_ok() != other.is_ok());
    let refused = one.err().or(other.err()).unwrap();
    assert_eq!(refused.code, RefusalCode::WrongRevision);
    assert_eq!(stage.router.routed(stage.placement).await.revision, 2);
}

#[tokio::test]
async fn a_write_that_asks_for_what_is_already_so_changes_nothing() {
    let stage = Stage::set().await;
    let before = stage.router.routed(stage.placement).await;

    let put = stage.router.put(stage.placement, 1, &stage.route).await.unwrap();
    let switch = stage.router.switch(stage.placement, 1, Some(Slot::Blue)).await.unwrap();

    assert_eq!(put, before);
    assert_eq!(switch, before);
}

#[tokio::test]
async fn a_host_name_of_another_placement_is_refused_with_its_owner() {
    let stage = Stage::set().await;
    let mut route = stage.route.clone();
    route.host_names = vec!["other.example.org".parse().unwrap()];

    // The preview host name is still the other's.
    let taken = stage.router.put(placement(), 0, &route).await.unwrap_err();
    assert_eq!((taken.code, taken.owner), (RefusalCode::HostTaken, Some(stage.placement)));

    let remove = Remove { epoch: 1, replaces: 1 };
    let path = format!("/v1/routes/{}", stage.placement);
    let removed: Routed = stage.router.call("DELETE", &path, &remove).await.unwrap();
    assert_eq!((removed.revision, removed.route), (2, None));
    assert_eq!(stage.get("/").await.status, 404);
    stage.router.put(placement(), 0, &stage.route).await.unwrap();
    assert_eq!(stage.get("/").await.text(), "blue");
}

#[tokio::test]
async fn traffic_is_not_moved_to_a_slot_without_instances() {
    let stage = Stage::set().await;
    let mut route = stage.route.clone();
    route.upstreams.green.clear();
    stage.router.put(stage.placement, 1, &route).await.unwrap();

    let empty = stage.router.switch(stage.placement, 2, Some(Slot::Green)).await.unwrap_err();
    let none = stage.router.switch(placement(), 0, Some(Slot::Green)).await.unwrap_err();

    assert_eq!(empty.code, RefusalCode::EmptySlot);
    assert_eq!(none.code, RefusalCode::NoRoute);
    assert_eq!(stage.get("/").await.text(), "blue");
}

#[tokio::test]
async fn what_is_malformed_or_out_of_bounds_is_refused_and_changes_nothing() {
    let stage = Stage::set().await;
    let path = format!("/v1/routes/{}", stage.placement);
    let put = |route: &domain::route::Route| {
        serde_json::to_value(Put { epoch: 1, replaces: 1, route: route.clone() }).unwrap()
    };
    let mut no_listener = stage.route.clone();
    no_listener.listener = "none".into();
    let mut circle = stage.route.clone();
    circle.upstreams.blue = vec![stage.router.address];
    let mut many = stage.route.clone();
    many.upstreams.blue = vec![nobody().await; 257];
    let mut twice = stage.route.clone();
    twice.preview_host_names = twice.host_names.clone();
    let mut unknown_word = put(&stage.route);
    unknown_word["weight"] = json!(5);

    for body in [put(&no_listener), put(&circle), put(&many), put(&twice), unknown_word, json!(1)] {
        let refused = stage.router.call::<Routed>("PUT", &path, &body).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Malformed, "{body}");
    }
    let switch = Switch { epoch: 1, replaces: 1, rollout: None, live: None };
    for (method, path) in [("POST", "/v1/routes/x/switch"), ("GET", "/v1/traffic?since=x")] {
        let refused = stage.router.call::<Routed>(method, path, &switch).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Malformed, "{path}");
    }
    let refused = stage.router.call::<Routed>("GET", "/v2/hello", &()).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::UnknownCall);

    let all: Routes = stage.router.get("/v1/routes").await;
    assert_eq!(all.routes, [stage.router.routed(stage.placement).await]);
    assert_eq!(all.routes[0].revision, 1);
}
