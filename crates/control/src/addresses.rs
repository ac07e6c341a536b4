//! Under which names a placement is reached, and what pages show of that. Names of this machine's
//! router are given to each placement; on a cluster they follow from its target.

use crate::{Control, OrProblem};
use domain::{
    error::Problem,
    history::Origin,
    id::{PlacementId, TargetId},
    name::{HostName, Name, Wrong},
    target::entrance::inside,
    view::Address,
};
use store::{
    Tx,
    placements::{Placement, hosts::Named},
    targets::Reach,
};

/// Where a placement is reached, and its idle slot.
pub(crate) struct Addresses {
    pub live: Option<Address>,
    pub preview: Option<Address>,
}

impl Control {
    /// Where a placement is reached.
    pub(crate) fn addresses(&self, placement: &Placement) -> Addresses {
        let place = &placement.place;
        let (namespaces, entrance) = match &placement.reach {
            Reach::Router => {
                let link = |host: &HostName| {
                    Address::Link(format!("http://{host}:{}", self.settings.router_port))
                };
                return Addresses {
                    live: place.host_names.first().map(link),
                    preview: place.preview_host_names.first().map(link),
                };
            }
            Reach::Cluster { namespaces, entrance } => (namespaces, entrance),
        };
        // What takes no requests has no Service that anybody could ask.
        let namespace = namespaces
            .fill(&place.project, &place.environment)
            .ok()
            .filter(|_| placement.spec.exposure.port().is_some());
        let within = |service: &str| {
            namespace.as_ref().map(|namespace| Address::Inside(inside(service, namespace)))
        };
        let outside = entrance
            .as_ref()
            .zip(place.host_names.first())
            .map(|(entrance, host)| Address::Link(entrance.url(host)));
        let service = place.service.as_str();
        Addresses {
            live: outside.or_else(|| within(service)),
            preview: within(&format!("{service}-preview")),
        }
    }

    /// How addresses of services in an environment look: names stand in braces.
    pub(crate) fn shape(&self, reach: &Reach, environment: &Name) -> Address {
        let filled = |pattern: &str| pattern.replace("{environment}", environment.as_str());
        match reach {
            Reach::Router => Address::Link(format!(
                "http://{{service}}.{{project}}.{environment}.{}:{}",
                self.settings.base_domain, self.settings.router_port
            )),
            Reach::Cluster { entrance: Some(entrance), .. } => {
                let scheme = if entrance.certificate.is_some() { "https" } else { "http" };
                Address::Link(format!("{scheme}://{}", filled(entrance.hosts.as_str())))
            }
            Reach::Cluster { namespaces, entrance: None } => {
                Address::Inside(inside("{service}", &filled(namespaces.as_str())))
            }
        }
    }

    /// Gives a new placement the names that it begins with. What its target says stays so until the
    /// transaction ends.
    pub(crate) async fn give_names(
        &self,
        tx: &mut Tx,
        origin: &Origin,
        target: TargetId,
        named: &Named,
        field: &str,
    ) -> Result<(), Problem> {
        let reach = store::targets::reach(tx, target).await.or_problem(origin)?;
        let reach = reach.ok_or_else(|| Problem::not_found("target"))?;
        let hosts =
            self.names_of(&reach, named).map_err(|wrong| Problem::invalid(field, wrong.0))?;
        match reach {
            Reach::Router => {
                self.set_hosts(tx, origin, named.placement, target, &hosts, field).await
            }
            Reach::Cluster { .. } => {
                self.set_hosts_there(tx, origin, named.placement, target, &hosts, field).await
            }
        }
    }

    /// The names that follow from those of a service.
    pub(crate) fn names_of(&self, reach: &Reach, named: &Named) -> Result<Vec<HostName>, Wrong> {
        let Named { service, project, environment, .. } = named;
        match reach {
            Reach::Router => {
                let host =
                    format!("{service}.{project}.{environment}.{}", self.settings.base_domain);
                Ok(vec![host.parse()?])
            }
            Reach::Cluster { entrance: None, .. } => Ok(Vec::new()),
            Reach::Cluster { entrance: Some(entrance), .. } => {
                let host = entrance.hosts.fill(service, project, environment)?;
                if host.as_str() == self.settings.console_host {
                    return Err(Wrong::new(format!(
                        "{host} would be the console's own name. Choose another."
                    )));
                }
                Ok(vec![host])
            }
        }
    }

    /// Gives a placement its names on a cluster, where the idle slot has none.
    pub(crate) async fn set_hosts_there(
        &self,
        tx: &mut Tx,
        origin: &Origin,
        placement: PlacementId,
        target: TargetId,
        hosts: &[HostName],
        field: &str,
    ) -> Result<(), Problem> {
        let taken = store::placements::hosts::set(tx, placement, target, hosts, &[])
            .await
            .or_problem(origin)?;
        let Some(name) = taken else { return Ok(()) };
        let sentence = format!(
            "{name} would be the name of two services on this target. Put {{project}} and \
             {{environment}} into the target's pattern of host names."
        );
        Err(Problem::invalid(field, sentence))
    }
}
