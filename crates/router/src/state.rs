//! What must survive: the routes of all placements, and the rules by which they may be changed.
//!
//! Pure: time comes in as an argument, nothing is written here ([`file`] does that).

use domain::{
    id::PlacementId,
    route::{
        Fence, MAX_HOST_NAMES, MAX_UPSTREAMS_PER_SLOT, Put, Refusal, RefusalCode, Remove, Route,
        Routed, Switch,
    },
    slot::Slot,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};
use time::OffsetDateTime;

pub mod file;

/// More placements than this are refused. Bounds the state file and the time to write it.
pub const MAX_PLACEMENTS: usize = 10_000;

/// How long the epoch of a placement without a route is remembered.
const REMEMBER_REMOVED: time::Duration = time::Duration::days(30);

/// Everything the router was told, by placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub routes: BTreeMap<PlacementId, Routed>,
}

/// What a control plane may ask.
#[derive(Clone, Debug)]
pub enum Write {
    Put(Put),
    Switch(Switch),
    Fence(Fence),
    Remove(Remove),
}

impl Write {
    const fn epoch(&self) -> i64 {
        match self {
            Self::Put(Put { epoch, .. })
            | Self::Switch(Switch { epoch, .. })
            | Self::Fence(Fence { epoch })
            | Self::Remove(Remove { epoch, .. }) => *epoch,
        }
    }

    /// The revision it replaces. A fence replaces none.
    const fn replaces(&self) -> Option<i64> {
        match self {
            Self::Put(Put { replaces, .. })
            | Self::Switch(Switch { replaces, .. })
            | Self::Remove(Remove { replaces, .. }) => Some(*replaces),
            Self::Fence(_) => None,
        }
    }
}

/// What a route may refer to in this router.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names and addresses of the listeners.
    pub listeners: Vec<(String, SocketAddr)>,
}

/// A [`Refusal`] without the particulars of a placement.
pub fn refusal(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into(), current: None, owner: None }
}

impl State {
    /// What is held for a placement, be it nothing.
    pub fn of(&self, placement: PlacementId) -> Routed {
        self.routes.get(&placement).cloned().unwrap_or_else(|| Routed::unknown(placement))
    }

    /// Does what a control plane asks, or says why not. False: all was so already.
    pub fn apply(
        &mut self,
        placement: PlacementId,
        write: &Write,
        known: &Known,
        now: OffsetDateTime,
    ) -> Result<bool, Refusal> {
        let current = self.of(placement);
        let refuse = |code, message: String| {
            Err(Refusal { code, message, current: Some(Box::new(current.clone())), owner: None })
        };

        if write.epoch() < current.epoch {
            let message =
                format!("Epoch {} is older than {}, which holds.", write.epoch(), current.epoch);
            return refuse(RefusalCode::StaleEpoch, message);
        }
        if let Some(replaces) = write.replaces()
            && replaces != current.revision
        {
            let message =
                format!("Revision {replaces} was to be replaced, but it is {}.", current.revision);
            return refuse(RefusalCode::WrongRevision, message);
        }
        if current.revision == 0 && current.epoch == 0 && self.routes.len() >= MAX_PLACEMENTS {
            let message = format!("This router holds {MAX_PLACEMENTS} placements, its limit.");
            return refuse(RefusalCode::Malformed, message);
        }

        let wanted = match write {
            Write::Fence(_) => {
                let fenced = Routed { epoch: write.epoch(), ..current.clone() };
                return Ok(self.replace(fenced));
            }
            Write::Put(put) => {
                check_bounds(&put.route, known)?;
                self.check_host_names(placement, &put.route)?;
                Some(put.route.clone())
            }
            Write::Switch(switch) => {
                let Some(route) = &current.route else {
                    return refuse(RefusalCode::NoRoute, "There is no route to switch.".into());
                };
                let rollout = switch.rollout.or(route.rollout);
                Some(Route { rollout, live: switch.live, ..route.clone() })
            }
            Write::Remove(_) => None,
        };

        let live = wanted.as_ref().and_then(|route| route.live);
        let empty = |slot| wanted.as_ref().is_none_or(|r| r.upstreams.of(slot).is_empty());
        if let Some(slot) = live
            && current.live() != live
            && empty(slot)
        {
            let message = format!("The {slot} slot has no upstreams: traffic is not moved there.");
            return refuse(RefusalCode::EmptySlot, message);
        }
        if wanted == current.route {
            return Ok(self.replace(Routed { epoch: write.epoch(), ..current }));
        }

        let switched = current.live() != live;
        // A person's hand is on the traffic until we move it, not until we write an address.
        let by_hand = !switched && wanted.is_some();
        self.replace(Routed {
            placement,
            epoch: write.epoch(),
            revision: current.revision + 1,
            route: wanted,
            applied_at: Some(now),
            switched_at: if switched { Some(now) } else { current.switched_at },
            break_glass: current.break_glass.filter(|_| by_hand),
            break_glass_revision: current.break_glass_revision.filter(|_| by_hand),
        });
        Ok(true)
    }

    /// Moves the traffic on the word of a person on this host, whatever the epoch.
    /// Returns what was, and what is now.
    pub fn break_glass(
        &mut self,
        of: &str,
        live: Option<Slot>,
        journal: u64,
        now: OffsetDateTime,
    ) -> Result<(Routed, Routed), Refusal> {
        let before = self.find(of)?;
        let refuse = |code, message: String| {
            Err(Refusal { code, message, current: Some(Box::new(before.clone())), owner: None })
        };
        let Some(route) = &before.route else {
            return refuse(RefusalCode::NoRoute, "There is no route to switch.".into());
        };
        if let Some(slot) = live
            && route.upstreams.of(slot).is_empty()
        {
            let message = format!("The {slot} slot has no upstreams: traffic is not moved there.");
            return refuse(RefusalCode::EmptySlot, message);
        }

        let after = Routed {
            revision: before.revision + 1,
            route: Some(Route { live, ..route.clone() }),
            applied_at: Some(now),
            switched_at: if route.live == live { before.switched_at } else { Some(now) },
            break_glass: Some(journal),
            break_glass_revision: Some(before.revision + 1),
            ..before.clone()
        };
        self.replace(after.clone());
        Ok((before, after))
    }

    /// By a placement's id, or by a host name that only one placement has.
    fn find(&self, of: &str) -> Result<Routed, Refusal> {
        if let Ok(id) = of.parse::<PlacementId>()
            && let Some(routed) = self.routes.get(&id)
        {
            return Ok(routed.clone());
        }
        let wanted = of.trim().trim_end_matches('.').to_ascii_lowercase();
        let has = |routed: &&Routed| {
            let names = routed.route.iter().flat_map(|route| &route.host_names);
            names.into_iter().any(|name| name.as_str() == wanted)
        };
        let mut found = self.routes.values().filter(has);
        match (found.next(), found.next()) {
            (Some(routed), None) => Ok(routed.clone()),
            (Some(_), Some(_)) => Err(refusal(
                RefusalCode::Malformed,
                format!("{of} is a host name on several listeners: give the placement's id."),
            )),
            (None, _) => Err(refusal(
                RefusalCode::UnknownPlacement,
                format!("No placement has the id or host name {of}."),
            )),
        }
    }

    fn check_host_names(&self, placement: PlacementId, route: &Route) -> Result<(), Refusal> {
        for other in self.routes.values().filter(|other| other.placement != placement) {
            let Some(theirs) = &other.route else { continue };
            if theirs.listener != route.listener {
                continue;
            }
            if let Some(taken) = names(route).find(|name| names(theirs).any(|n| n == *name)) {
                return Err(Refusal {
                    code: RefusalCode::HostTaken,
                    message: format!("The host name {taken} belongs to another placement."),
                    current: Some(Box::new(self.of(placement))),
                    owner: Some(other.placement),
                });
            }
        }
        Ok(())
    }

    fn replace(&mut self, routed: Routed) -> bool {
        let placement = routed.placement;
        self.routes.insert(placement, routed.clone()).as_ref() != Some(&routed)
    }

    /// Forgets the epochs of placements whose routes were withdrawn long ago.
    pub fn prune(&mut self, now: OffsetDateTime) {
        self.routes.retain(|_, routed| {
            routed.route.is_some()
                || routed.applied_at.is_some_and(|at| now - at < REMEMBER_REMOVED)
                || routed.revision == 0
        });
    }
}

fn names(route: &Route) -> impl Iterator<Item = &domain::name::HostName> {
    route.host_names.iter().chain(&route.preview_host_names)
}

fn check_bounds(route: &Route, known: &Known) -> Result<(), Refusal> {
    let malformed = |message: String| Err(refusal(RefusalCode::Malformed, message));

    if route.host_names.len().max(route.preview_host_names.len()) > MAX_HOST_NAMES {
        return malformed(format!("A route has at most {MAX_HOST_NAMES} host names."));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names(route).find(|name| !seen.insert(*name)) {
        return malformed(format!("The host name {twice} stands twice in the route."));
    }
    if !known.listeners.iter().any(|(name, _)| *name == route.listener) {
        return malformed(format!("This router has no listener named {}.", route.listener));
    }
    for slot in Slot::ALL {
        let upstreams = route.upstreams.of(slot);
        if upstreams.len() > MAX_UPSTREAMS_PER_SLOT {
            return malformed(format!("A slot has at most {MAX_UPSTREAMS_PER_SLOT} upstreams."));
        }
        if let Some(odd) = upstreams.iter().find(|a| a.port() == 0 || a.ip().is_unspecified()) {
            return malformed(format!("{odd} is not an address to connect to."));
        }
        // Would be sent to ourselves, in a circle.
        if let Some(own) = upstreams.iter().find(|a| known.listeners.iter().any(|l| l.1 == **a)) {
            return malformed(format!("{own} is this router's own address."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
