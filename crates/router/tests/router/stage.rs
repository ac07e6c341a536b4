//! A router with one placement: an instance in each slot, a host name, a preview host name.

use super::{
    client::{self, Answer, Client, HOST},
    process::{Dir, Router},
    upstream::Upstream,
};
use domain::{
    id::PlacementId,
    route::{MAIN_LISTENER, Route, Routed, traffic::SlotTraffic},
    slot::{PerSlot, Slot},
};
use std::net::SocketAddr;
use uuid::Uuid;

pub const PREVIEW: &str = "preview.example.org";

pub struct Stage {
    pub router: Router,
    pub blue: Upstream,
    pub green: Upstream,
    pub placement: PlacementId,
    pub route: Route,
    pub dir: Dir,
}

impl Stage {
    /// With the blue slot live.
    pub async fn set() -> Self {
        Self::set_with(&[]).await
    }

    /// The same with more arguments for the router.
    pub async fn set_with(args: &[&str]) -> Self {
        let dir = Dir::new();
        let router = Router::start(dir.path(), args).await;
        let (blue, green) = (Upstream::named("blue").await, Upstream::named("green").await);
        let route = route(&[blue.address], &[green.address], Some(Slot::Blue));
        let placement = placement();
        router.put(placement, 0, &route).await.unwrap();
        Self { router, blue, green, placement, route, dir }
    }

    /// Replaces the instances of the blue slot, which is live.
    pub async fn put_blue(&self, blue: &[SocketAddr]) {
        let mut route = self.route.clone();
        route.upstreams.blue = blue.to_vec();
        let revision = self.router.routed(self.placement).await.revision;
        self.router.put(self.placement, revision, &route).await.unwrap();
    }

    pub async fn switch(&self, live: Slot) -> Routed {
        let revision = self.router.routed(self.placement).await.revision;
        self.router.switch(self.placement, revision, Some(live)).await.unwrap()
    }

    pub async fn close(&self, slot: Slot) -> u64 {
        let path = format!("/v1/routes/{}/close", self.placement);
        let close = domain::route::Close { epoch: super::process::EPOCH, slot };
        let closed: domain::route::Closed = self.router.call("POST", &path, &close).await.unwrap();
        closed.told
    }

    /// What the router saw of the slot.
    pub async fn seen(&self, slot: Slot) -> SlotTraffic {
        self.router.traffic(self.placement).await.slots.of(slot).clone()
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.router.address).await
    }

    /// Asks over a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        client::ask(self.router.address, client::get(HOST, path)).await
    }
}

pub fn placement() -> PlacementId {
    PlacementId(Uuid::new_v4())
}

/// A route of the host names of the stage.
pub fn route(blue: &[SocketAddr], green: &[SocketAddr], live: Option<Slot>) -> Route {
    Route {
        rollout: None,
        host_names: vec![HOST.parse().unwrap()],
        preview_host_names: vec![PREVIEW.parse().unwrap()],
        listener: MAIN_LISTENER.to_owned(),
        upstreams: PerSlot { blue: blue.to_vec(), green: green.to_vec() },
        live,
    }
}
