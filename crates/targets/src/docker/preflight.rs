//! The questions that a rollout asks before anything is begun, as far as the machine can answer.

use super::{
    DockerTarget, container, error,
    facts::{finding, gib, router_findings},
    labels,
    labels::Identity,
    make,
};
use crate::{Error, Result, names};
use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum, SystemInfo},
    query_parameters::{InspectContainerOptions, ListNetworksOptions},
};
use domain::{
    route::Routed,
    slot::Slot,
    target::{Finding, Plan, Verdict},
};
use futures::{StreamExt, stream};

/// Room that stays for the engine and for logs.
const LEAST_DISK: u64 = 512 << 20;
const SCANT_DISK: u64 = 2 << 30;
/// How many strangers are asked for their limit; more than that are only counted.
const STRANGERS_ASKED: usize = 100;
const AT_ONCE: usize = 8;

impl DockerTarget {
    /// `Target::preflight`.
    pub(super) async fn questions(&self, plan: &Plan, live: Option<Slot>) -> Result<Vec<Finding>> {
        let engine = self.engine().await?;
        let everything = || async { self.listed([]).await };
        let networks = || async { Ok(engine.list_networks(None::<ListNetworksOptions>).await?) };
        let info = || async { Ok::<_, Error>(engine.info().await?) };
        let routes = || async { Ok::<_, Error>(self.router.routes().await?) };
        let image = self.inspected_image(plan.image.as_str());
        let (image, info, containers, networks, routes) =
            tokio::try_join!(image, info(), everything(), networks(), routes())?;

        let mut findings = router_findings(&self.router.hello().await);
        match image {
            Some(image) => {
                let said = format!("{}, on the machine", plan.image.short());
                findings.push(finding("Image is there, same content", Verdict::Pass, said));
                let config = image.config.unwrap_or_default();
                findings.push(user_finding(plan, config.user.as_deref().unwrap_or_default()));
                findings.extend(volumes_finding(config.volumes.as_deref().unwrap_or_default()));
            }
            None => findings.push(finding(
                "Image is there, same content",
                Verdict::Refuse,
                format!(
                    "{} is gone: load or pull it again on the machine, or deploy another release",
                    plan.image.short()
                ),
            )),
        }
        findings.push(host_names(plan, &routes));
        findings.push(self.names(plan, &containers));
        findings.push(match self.network_there(&plan.place).await? {
            Some(network) => finding("Network", Verdict::Pass, network.subnet.to_string()),
            None => match self.network_name_free(&plan.place, &networks) {
                Ok(()) => finding("Network", Verdict::Pass, "is made"),
                Err(Error::Refused { reason, .. } | Error::Full { reason, .. }) => {
                    finding("Network", Verdict::Refuse, reason)
                }
                Err(other) => return Err(other),
            },
        });
        findings.push(cores(plan, &info));
        findings.push(self.memory(plan, live, &info, &containers).await?);
        findings.push(disk(&info));
        Ok(findings)
    }

    /// Whether a name that is to be used belongs to somebody else. Strangers that merely begin with
    /// our prefix are none of our business.
    fn names(&self, plan: &Plan, containers: &[ContainerSummary]) -> Finding {
        let question = "Names are free";
        let wanted = names::of_plan(&self.options.prefix, plan);
        let taken = containers
            .iter()
            .filter(|one| {
                let labels = one.labels.as_ref();
                labels
                    .and_then(|labels| Identity::read(labels, self.options.installation))
                    .is_none_or(|identity| identity.placement != plan.place.placement)
            })
            .flat_map(|one| one.names.iter().flatten())
            .find_map(|name| wanted.iter().find(|wanted| name.strip_prefix('/') == Some(wanted)));
        match taken {
            Some(name) => finding(question, Verdict::Refuse, make::name_taken(name)),
            None => finding(question, Verdict::Pass, "no container of somebody else has them"),
        }
    }

    /// Memory for the doubled footprint: what is limited already, and the new slot.
    async fn memory(
        &self,
        plan: &Plan,
        live: Option<Slot>,
        info: &SystemInfo,
        containers: &[ContainerSummary],
    ) -> Result<Finding> {
        let question = "Room for both slots, memory";
        let total = info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let need = plan.limits.memory_bytes.saturating_mul(u64::from(plan.size));
        let running =
            containers.iter().filter(|one| one.state == Some(ContainerSummaryStateEnum::RUNNING));
        let mut promised = 0_u64;
        let mut strangers = Vec::new();
        for one in running {
            let label = |key| one.labels.as_ref().and_then(|labels| labels.get(key));
            let identity =
                one.labels.as_ref().and_then(|all| Identity::read(all, self.options.installation));
            let goes_away = identity.is_some_and(|identity| {
                identity.placement == plan.place.placement && Some(identity.slot) != live
            });
            match label(labels::MEMORY).and_then(|bytes| bytes.parse::<u64>().ok()) {
                _ if goes_away => {}
                Some(bytes) => promised = promised.saturating_add(bytes),
                None => strangers.extend(one.id.clone()),
            }
        }
        let unasked = strangers.len().saturating_sub(STRANGERS_ASKED);
        let (limited, without) = self.limits_of(strangers).await?;
        let unlimited = without + unasked;
        promised = promised.saturating_add(limited);
        let free = total.saturating_sub(promised);
        let others = match unlimited {
            0 => String::new(),
            1 => ", and 1 container has no limit".to_owned(),
            n => format!(", and {n} containers have no limit"),
        };
        let figures = format!(
            "{} needed, {} of {} not promised to others{others}",
            gib(need),
            gib(free),
            gib(total)
        );
        Ok(if need > free {
            let detail = format!(
                "{figures}. Lower the size or the memory limit, end what is kept warm, or use a \
                 larger machine"
            );
            finding(question, Verdict::Refuse, detail)
        } else if unlimited > 0 {
            finding(question, Verdict::Warn, figures)
        } else {
            finding(question, Verdict::Pass, figures)
        })
    }

    /// The sum of the limits of strangers' containers, and how many have none.
    async fn limits_of(&self, ids: Vec<String>) -> Result<(u64, usize)> {
        let engine = self.engine().await?;
        let limits: Vec<Result<u64>> = stream::iter(ids.into_iter().take(STRANGERS_ASKED))
            .map(|id| async move {
                match engine.inspect_container(&id, None::<InspectContainerOptions>).await {
                    Ok(found) => {
                        let limit = found.host_config.and_then(|host| host.memory).unwrap_or(0);
                        Ok(u64::try_from(limit).unwrap_or(0))
                    }
                    Err(gone) if error::is_gone(&gone) => Ok(0),
                    Err(other) => Err(other.into()),
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let limits = limits.into_iter().collect::<Result<Vec<_>>>()?;
        let without = limits.iter().filter(|limit| **limit == 0).count();
        Ok((limits.iter().fold(0, |sum, limit| sum.saturating_add(*limit)), without))
    }
}

fn user_finding(plan: &Plan, image_user: &str) -> Finding {
    let question = "Runs as an ordinary user";
    let user = container::user(plan, image_user);
    match (container::is_root(&user), plan.root_allowed) {
        (false, _) => finding(question, Verdict::Pass, format!("user {user}")),
        (true, true) => finding(question, Verdict::Warn, "as root, which the policy allows"),
        (true, false) => finding(question, Verdict::Refuse, make::runs_as_root()),
    }
}

/// A volume of an image lives as long as its instance: said before somebody trusts it.
fn volumes_finding(volumes: &[String]) -> Option<Finding> {
    let detail = format!("{} is lost whenever an instance is replaced", volumes.join(", "));
    (!volumes.is_empty()).then(|| finding("Keeps nothing on the machine", Verdict::Warn, detail))
}

fn host_names(plan: &Plan, routes: &[Routed]) -> Finding {
    let question = "Host names are free";
    let wanted = || plan.place.host_names.iter().chain(&plan.place.preview_host_names);
    let taken = routes.iter().filter(|routed| routed.placement != plan.place.placement).find_map(
        |routed| {
            let route = routed.route.as_ref()?;
            let name = wanted().find(|name| {
                route.host_names.contains(name) || route.preview_host_names.contains(name)
            })?;
            Some((name, routed.placement))
        },
    );
    match taken {
        Some((name, owner)) => finding(
            question,
            Verdict::Refuse,
            format!(
                "{name} belongs to the placement {}: give one of the two another host name",
                owner.short()
            ),
        ),
        None => {
            let names: Vec<_> = plan.place.host_names.iter().map(ToString::to_string).collect();
            finding(question, Verdict::Pass, names.join(", "))
        }
    }
}

fn cores(plan: &Plan, info: &SystemInfo) -> Finding {
    let question = "CPU limit fits the machine";
    let cores = info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let wanted = f64::from(plan.limits.cpu_millis) / 1000.0;
    let figures = format!("{wanted} of {cores} cores for an instance");
    if wanted > f64::from(cores) {
        let detail = format!("{figures}: lower the limit in the configuration");
        finding(question, Verdict::Refuse, detail)
    } else {
        finding(question, Verdict::Pass, figures)
    }
}

/// Free disk where the engine keeps its containers, if that is a directory of this machine.
fn disk(info: &SystemInfo) -> Finding {
    let question = "Room for both slots, disk";
    let Some(free) = info.docker_root_dir.as_deref().and_then(|path| {
        let disk = rustix::fs::statvfs(path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }) else {
        return finding(question, Verdict::Warn, "can't be read from here");
    };
    let figures = format!("{} free", gib(free));
    if free < LEAST_DISK {
        let detail = format!(
            "{figures}, {} needed: somebody with access to the machine must free some, for \
             example with docker image prune",
            gib(LEAST_DISK)
        );
        finding(question, Verdict::Refuse, detail)
    } else if free < SCANT_DISK {
        finding(question, Verdict::Warn, figures)
    } else {
        finding(question, Verdict::Pass, figures)
    }
}
