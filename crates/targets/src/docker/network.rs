//! The network that a project has in an environment, and the addresses in it.
//!
//! Each network is a /24 of the pool. We choose the addresses of our instances, from the lower part,
//! so that they outlive a restart and the router's upstreams with them; what a person attaches by
//! hand gets one from the upper part.

use super::{DockerTarget, error, labels, lock};
use crate::Result;
use anyhow::{anyhow, ensure};
use bollard::{
    models::{Ipam, IpamConfig, Network as Listed, NetworkCreateRequest},
    query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder},
};
use domain::{id::PlacementId, slot::Slot, target::Place};
use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How often another /24 is tried when the engine says that one is taken.
const TRIES: usize = 8;

/// How long an address is not given again while the engine does not show who got it.
const PROMISE: Duration = Duration::from_secs(60);

/// The first and the last address of a /24 that instances get.
const FIRST: u8 = 2;
const LAST: u8 = 239;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    base: u32,
    length: u8,
}

impl Subnet {
    fn new(base: Ipv4Addr, length: u8) -> Option<Self> {
        (length <= 32).then(|| Self { base: u32::from(base) & mask(length), length })
    }

    /// Reads `10.211.3.0/24`.
    fn parse(text: &str) -> Option<Self> {
        let (base, length) = text.split_once('/')?;
        Self::new(base.parse().ok()?, length.parse().ok()?)
    }

    fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.length.min(other.length));
        self.base & mask == other.base & mask
    }

    fn host(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(self.base + u32::from(number))
    }

    /// Addresses for `count` instances that nobody has: `preferred` ones first.
    fn free(
        self,
        count: usize,
        preferred: &[Ipv4Addr],
        taken: &HashSet<Ipv4Addr>,
    ) -> Option<Vec<Ipv4Addr>> {
        let ours: Vec<_> = (FIRST..=LAST).map(|number| self.host(number)).collect();
        let mut seen = HashSet::new();
        let found: Vec<_> = preferred
            .iter()
            .filter(|address| ours.contains(address))
            .chain(&ours)
            .filter(|address| !taken.contains(address) && seen.insert(**address))
            .take(count)
            .copied()
            .collect();
        (found.len() == count).then_some(found)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.length)
    }
}

const fn mask(length: u8) -> u32 {
    match length {
        0 => 0,
        length => u32::MAX << (32 - length),
    }
}

/// Where networks come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool(Subnet);

impl Pool {
    pub fn new(base: Ipv4Addr, length: u8) -> anyhow::Result<Self> {
        ensure!((8..=24).contains(&length), "The pool of networks is a /8 to a /24.");
        let pool = Subnet::new(base, length).ok_or_else(|| anyhow!("The pool is no network."))?;
        ensure!(pool.base == u32::from(base), "{base}/{length} is no network: write {pool}.");
        Ok(Self(pool))
    }

    /// The /24s that overlap with nothing.
    fn free(self, taken: &[Subnet]) -> impl Iterator<Item = Subnet> {
        let count = 1_u32 << (24 - self.0.length);
        (0..count)
            .map(move |index| Subnet { base: self.0.base + (index << 8), length: 24 })
            .filter(|subnet| taken.iter().all(|other| !subnet.overlaps(*other)))
    }
}

/// An address that was given, while the engine may not show it yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    since: Instant,
    to: Option<(PlacementId, Slot)>,
}

/// A network of ours.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub id: String,
    pub subnet: Subnet,
}

impl DockerTarget {
    /// The network of the place's project in its environment, made if it is not there.
    pub(super) async fn network(&self, place: &Place) -> Result<Network> {
        if let Some(network) = self.network_there(place).await? {
            return Ok(network);
        }
        let _one_at_a_time = self.networks.lock().await;
        if let Some(network) = self.network_there(place).await? {
            return Ok(network);
        }
        let made = self.make_network(place).await?;
        // Another control plane may have made one at the same moment: both keep the older one.
        let kept = self
            .network_there(place)
            .await?
            .ok_or_else(|| error::unreachable(anyhow!("a network that was made is not there")))?;
        if kept.id != made {
            self.engine().await?.remove_network(&made).await?;
        }
        Ok(kept)
    }

    /// The network, if it is there: the oldest, should there be two.
    pub(super) async fn network_there(&self, place: &Place) -> Result<Option<Network>> {
        let labels = labels::of_network(place, self.options.installation);
        let filters =
            labels::filter(labels.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let mut found = self.engine().await?.list_networks(Some(options)).await?;
        found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        let Some(network) = found.into_iter().next() else { return Ok(None) };
        match (network.id.clone(), subnets(&network).first()) {
            (Some(id), Some(&subnet)) if subnet.length == 24 => Ok(Some(Network { id, subnet })),
            _ => Err(error::refused(format!(
                "the network {} has our labels and no /24: remove it.",
                network.name.unwrap_or_default()
            ))),
        }
    }

    /// Takes away a network that nobody uses any more. The engine keeps one that is in use.
    pub(super) async fn tidy_network(&self, place: &Place) -> Result<()> {
        let labels = labels::of_network(place, self.options.installation);
        let users = labels.iter().map(|(key, value)| (key.as_str(), value.clone()));
        if !self.listed(users).await?.is_empty() {
            return Ok(());
        }
        if let Some(network) = self.network_there(place).await? {
            match self.engine().await?.remove_network(&network.id).await {
                Err(error) if error::status(&error).is_none() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn network_name(&self, place: &Place) -> String {
        format!("{}-{}-{}", self.options.prefix, place.project, place.environment)
    }

    /// Refuses a name that a stranger's network has.
    pub(super) fn network_name_free(&self, place: &Place, all: &[Listed]) -> Result<()> {
        let name = self.network_name(place);
        match all.iter().find(|network| network.name.as_deref() == Some(&name)) {
            Some(_) => Err(error::refused(format!(
                "the name {name} is taken by a network that is not ours. Somebody with access to \
                 the machine must remove it."
            ))),
            None => Ok(()),
        }
    }

    async fn make_network(&self, place: &Place) -> Result<String> {
        let engine = self.engine().await?;
        let all = engine.list_networks(None::<ListNetworksOptions>).await?;
        self.network_name_free(place, &all)?;
        let mut taken: Vec<_> = all.iter().flat_map(subnets).collect();
        taken.extend(host_routes());
        for subnet in self.pool.free(&taken).take(TRIES) {
            let request = NetworkCreateRequest {
                name: self.network_name(place),
                driver: Some("bridge".to_owned()),
                ipam: Some(Ipam {
                    config: Some(vec![IpamConfig {
                        subnet: Some(subnet.to_string()),
                        gateway: Some(subnet.host(1).to_string()),
                        ip_range: Some(format!("{}/28", subnet.host(LAST + 1))),
                        auxiliary_addresses: None,
                    }]),
                    ..Ipam::default()
                }),
                labels: Some(labels::of_network(place, self.options.installation)),
                ..NetworkCreateRequest::default()
            };
            match engine.create_network(request).await {
                Ok(made) => return Ok(made.id),
                Err(error)
                    if error::status(&error)
                        .is_some_and(|(_, message)| message.to_lowercase().contains("overlap")) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(error::full(format!(
            "no /24 of the pool {} is free. Remove networks that nobody uses, or set another pool.",
            self.pool.0
        )))
    }

    /// Chooses addresses for a slot, and does not give them to another one for a while. `taken` are
    /// those that containers and routes name; `preferred` ones, of the slot's own route, come first.
    pub(super) fn promise(
        &self,
        of: (PlacementId, Slot),
        subnet: Subnet,
        count: usize,
        preferred: &[Ipv4Addr],
        mut taken: HashSet<Ipv4Addr>,
    ) -> Result<Vec<Ipv4Addr>> {
        let now = Instant::now();
        let mut promised = lock(&self.promised);
        promised.retain(|_, promise| now.duration_since(promise.since) < PROMISE);
        let own = |address: &Ipv4Addr| {
            preferred.contains(address) && promised.get(address).is_some_and(|p| p.to == Some(of))
        };
        taken.extend(promised.keys().filter(|address| !own(address)));
        let found = subnet.free(count, preferred, &taken).ok_or_else(|| {
            error::full(format!(
                "the network {subnet} has no {count} free addresses. Lower the size of a service, \
                 or end what is kept warm."
            ))
        })?;
        promised.extend(found.iter().map(|at| (*at, Promise { since: now, to: Some(of) })));
        Ok(found)
    }

    /// Gives an address to nobody for a while: something that is not ours has it.
    pub(super) fn avoid(&self, address: Ipv4Addr) {
        lock(&self.promised).insert(address, Promise { since: Instant::now(), to: None });
    }
}

/// The IPv4 networks of a network.
pub(super) fn subnets(network: &Listed) -> Vec<Subnet> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    configs.iter().filter_map(|config| Subnet::parse(config.subnet.as_deref()?)).collect()
}

/// What this machine has routes to, so that no network of ours hides a private one. Unknown where
/// the kernel does not say.
fn host_routes() -> Vec<Subnet> {
    std::fs::read_to_string("/proc/net/route").map(|table| parse_routes(&table)).unwrap_or_default()
}

/// Reads the kernel's table: addresses in hexadecimal, in the order of the bytes in memory.
fn parse_routes(table: &str) -> Vec<Subnet> {
    let address = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::swap_bytes);
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (base, mask) = (address(fields.get(1)?)?, address(fields.get(7)?)?);
            let length = u8::try_from(mask.leading_ones()).ok()?;
            // The default route covers everything and says nothing.
            (length > 0).then_some(Subnet { base, length })
        })
        .collect()
}

/// For reading what somebody else's label says.
pub(super) fn addresses_of<'a>(
    labels: impl Iterator<Item = &'a HashMap<String, String>>,
) -> HashSet<Ipv4Addr> {
    labels.filter_map(|labels| labels.get(labels::ADDRESS)?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).expect("a network")
    }

    #[test]
    fn a_free_network_overlaps_with_nothing() {
        let pool = Pool::new(Ipv4Addr::new(10, 211, 0, 0), 16).expect("a pool");
        let taken = [subnet("10.211.0.0/24"), subnet("10.211.1.128/25"), subnet("172.17.0.0/16")];

        assert_eq!(pool.free(&taken).next(), Some(subnet("10.211.2.0/24")));
        assert_eq!(pool.free(&[subnet("10.0.0.0/8")]).next(), None);
        assert_eq!(pool.free(&[]).count(), 256);
    }

    #[test]
    fn a_pool_is_a_network_and_not_just_an_address() {
        assert!(Pool::new(Ipv4Addr::new(10, 211, 0, 0), 25).is_err());
        assert!(Pool::new(Ipv4Addr::new(10, 211, 0, 1), 16).is_err());
        assert!(Pool::new(Ipv4Addr::new(10, 211, 7, 0), 24).is_ok());
    }

    #[test]
    fn an_instance_that_is_made_again_gets_the_address_that_its_route_still_has() {
        let net = subnet("10.211.3.0/24");
        let address = |n| Ipv4Addr::new(10, 211, 3, n);
        let taken = HashSet::from([address(2), address(4)]);

        assert_eq!(net.free(2, &[address(7)], &taken), Some(vec![address(7), address(3)]));
        assert_eq!(net.free(2, &[address(2)], &taken), Some(vec![address(3), address(5)]));
        assert_eq!(net.free(1, &[Ipv4Addr::new(10, 9, 9, 9)], &taken), Some(vec![address(3)]));
        assert_eq!(net.free(237, &[], &taken), None);
    }

    #[test]
    fn the_default_route_hides_no_pool() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\n\
                     tun0\t0000D30A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";

        assert_eq!(parse_routes(table), [subnet("10.211.0.0/16")]);
    }
}
