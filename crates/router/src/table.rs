//! The table by which requests find their way: built from the [`State`], published as a whole.
//!
//! Never changed, only replaced. A request looks once and stays with what it found.

use crate::{state::State, upstream::Pool, witness::Witness};
use domain::{
    id::PlacementId,
    route::{Route, Routed},
    slot::{PerSlot, Slot},
};
use std::{collections::HashMap, sync::Arc};

/// All routes.
#[derive(Debug, Default)]
pub struct Table {
    /// By listener, in the order in which the router was given them.
    hosts: Vec<HashMap<Box<str>, Found>>,
    placements: HashMap<PlacementId, Arc<Placed>>,
}

/// A placement as the router serves it.
#[derive(Debug)]
pub struct Placed {
    pub placement: PlacementId,
    pub route: Option<Route>,
    pub live: Option<Slot>,
    pub preview: Option<Slot>,
    pub pools: PerSlot<Arc<Pool>>,
    pub witness: Arc<Witness>,
}

/// What a host name leads to.
#[derive(Clone, Debug)]
pub struct Found {
    pub placed: Arc<Placed>,
    /// It is a preview host name.
    pub preview: bool,
}

impl Table {
    /// The table for `state`. What did not change is taken over from `before`: pools with their
    /// connections, and everything the witnesses saw.
    pub fn build(state: &State, before: &Self, listeners: &[String], workers: usize) -> Self {
        let mut hosts: Vec<HashMap<Box<str>, Found>> = vec![HashMap::new(); listeners.len()];
        let mut placements = HashMap::new();
        for (id, routed) in &state.routes {
            let placed = match before.placements.get(id) {
                Some(old) if old.route == routed.route => old.clone(),
                old => Arc::new(Placed::new(routed, old.map(Arc::as_ref), workers)),
            };
            if let Some(route) = &routed.route
                && let Some(at) = listeners.iter().position(|name| *name == route.listener)
            {
                for (names, preview) in
                    [(&route.host_names, false), (&route.preview_host_names, true)]
                {
                    for name in names {
                        let found = Found { placed: placed.clone(), preview };
                        hosts[at].insert(name.as_str().into(), found);
                    }
                }
            }
            placements.insert(*id, placed);
        }
        Self { hosts, placements }
    }

    /// What a normalized host name leads to on a listener.
    pub fn find(&self, listener: usize, host: &str) -> Option<&Found> {
        self.hosts.get(listener)?.get(host)
    }

    /// A placement the router has heard of.
    pub fn placed(&self, placement: PlacementId) -> Option<&Arc<Placed>> {
        self.placements.get(&placement)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.placements.values()
    }
}

impl Placed {
    fn new(routed: &Routed, before: Option<&Self>, workers: usize) -> Self {
        let route = routed.route.as_ref();
        let pool = |slot| {
            let addresses = route.map_or(&[][..], |route| route.upstreams.of(slot));
            let before = before.map(|before| before.pools.of(slot));
            match before {
                Some(pool) if pool.is_of(addresses) => pool.clone(),
                _ => Arc::new(Pool::new(addresses, before.map(Arc::as_ref), workers)),
            }
        };
        Self {
            placement: routed.placement,
            route: routed.route.clone(),
            live: routed.live(),
            preview: route.and_then(Route::preview),
            pools: PerSlot { blue: pool(Slot::Blue), green: pool(Slot::Green) },
            witness: before
                .map_or_else(|| Arc::new(Witness::new(workers)), |old| old.witness.clone()),
        }
    }
}
