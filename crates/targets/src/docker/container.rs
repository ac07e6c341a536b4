//! What a container of ours is, from a plan: pure, so that "no host path, no privilege, always a
//! limit" is a test and not a hope.

use super::{changed, labels::Identity};
use crate::names;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use domain::target::Plan;
use std::collections::HashMap;
use uuid::Uuid;

/// A log file of a container, and how many of them there are.
const LOG_SIZE: &str = "10m";
const LOG_FILES: &str = "3";

/// The most that `/tmp` takes; it counts against the memory limit.
const LARGEST_TMP: u64 = 64 << 20;

/// The user a container of `plan` runs as: the service's, else the image's own.
pub(super) fn user(plan: &Plan, image_user: &str) -> String {
    plan.spec.user.map_or_else(|| image_user.to_owned(), |uid| format!("{uid}:{uid}"))
}

pub(super) use domain::target::is_root;

/// The container of one instance in the network `network` (its id).
pub(super) fn body(
    plan: &Plan,
    identity: &Identity,
    installation: Uuid,
    network: &str,
    image_user: &str,
) -> ContainerCreateBody {
    let user = user(plan, image_user);
    let instance = names::instance(identity.slot, identity.maker, identity.number);
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(identity.address.to_string()),
            ..Default::default()
        }),
        ..Default::default()
    };
    changed::mark(ContainerCreateBody {
        hostname: Some(format!("{}-{instance}", plan.place.service)),
        image: Some(plan.image.to_string()),
        cmd: (!plan.spec.command.is_empty()).then(|| plan.spec.command.clone()),
        env: Some(environment(plan, identity, &instance)),
        labels: Some(identity.labels(&plan.place, installation)),
        host_config: Some(host_config(plan, network, &user)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
        }),
        // Readiness is asked from outside; the image's own check would only start processes.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..Default::default()
        }),
        user: (!user.is_empty()).then_some(user),
        ..Default::default()
    })
}

fn host_config(plan: &Plan, network: &str, user: &str) -> HostConfig {
    let memory = i64::try_from(plan.limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        network_mode: Some(network.to_owned()),
        // Started again by the engine, also when we are away, and not after a stop.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(
                [("max-size", LOG_SIZE), ("max-file", LOG_FILES)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
        }),
        memory: Some(memory),
        // Equal to memory: no swap, so that the limit is the limit.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(plan.limits.cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(plan.limits.pids)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        readonly_rootfs: Some(!plan.spec.writable_root),
        tmpfs: (!plan.spec.writable_root)
            .then(|| HashMap::from([("/tmp".to_owned(), tmp(plan.limits.memory_bytes, user))])),
        ipc_mode: Some("private".to_owned()),
        privileged: Some(false),
        publish_all_ports: Some(false),
        ..Default::default()
    }
}

/// Options of `/tmp`. Some runtimes give a tmpfs the mode of the image's directory whatever `mode`
/// says, so it belongs to the user instead, where the user is a number.
fn tmp(memory_bytes: u64, user: &str) -> String {
    let size = (memory_bytes / 2).min(LARGEST_TMP);
    let mut parts = user.split(':');
    let uid = parts.next().and_then(|uid| uid.parse::<u32>().ok());
    let owner = match (uid, parts.next().map(str::parse::<u32>)) {
        (Some(uid), Some(Ok(gid))) => format!(",uid={uid},gid={gid}"),
        (Some(uid), _) => format!(",uid={uid}"),
        (None, _) => String::new(),
    };
    format!("rw,noexec,nosuid,nodev,size={size},mode=1777{owner}")
}

/// The plan's variables, then ours, which nobody can take over.
fn environment(plan: &Plan, identity: &Identity, instance: &str) -> Vec<String> {
    let port = identity.port.map(|port| ("PORT", port.to_string()));
    let ours: Vec<(&str, String)> = [
        ("PILOTHOUSE_SLOT", identity.slot.to_string()),
        ("PILOTHOUSE_INSTANCE", instance.to_owned()),
        ("PILOTHOUSE_RELEASE", plan.release_name.to_string()),
        ("PILOTHOUSE_SERVICE", plan.place.service.to_string()),
        ("PILOTHOUSE_ENVIRONMENT", plan.place.environment.to_string()),
    ]
    .into_iter()
    .chain(port)
    .collect();
    plan.variables
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| ours.iter().all(|(our, _)| our != name))
        .chain(ours.iter().map(|(name, value)| (*name, value.as_str())))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use domain::{
        slot::Slot,
        target::{Claim, PlanVariables},
    };
    use std::net::Ipv4Addr;

    fn made(plan: &Plan, image_user: &str) -> ContainerCreateBody {
        let claim = Claim { placement: plan.place.placement, epoch: 1, rollout: Some(plan.maker) };
        let identity = Identity::of(&claim, Slot::Blue, plan, 1, Ipv4Addr::new(10, 211, 0, 2));
        body(plan, &identity, Uuid::from_u128(1), "net", image_user)
    }

    #[test]
    fn a_container_can_touch_nothing_of_its_host_and_always_has_limits() {
        let body = made(&sample::plan(&sample::place("api"), 1), "65532:65532");

        let host = body.host_config.expect("there");
        assert_eq!(host.binds, None);
        assert_eq!(host.mounts, None);
        assert_eq!(host.volumes_from, None);
        assert_eq!(host.devices, None);
        assert_eq!(host.port_bindings, None);
        assert_eq!(host.cap_add, None);
        assert_eq!((host.pid_mode, host.uts_mode, host.userns_mode), (None, None, None));
        assert_eq!(host.ipc_mode.as_deref(), Some("private"));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert!(host.memory > Some(0) && host.memory == host.memory_swap);
        assert!(host.nano_cpus > Some(0) && host.pids_limit > Some(0));
        assert_eq!(body.exposed_ports, None);
    }

    #[test]
    fn tmp_belongs_to_the_user_because_its_mode_is_not_heeded() {
        let host = made(&sample::plan(&sample::place("api"), 1), "65532:1000").host_config;

        let tmpfs = host.expect("there").tmpfs.expect("there");
        assert!(tmpfs["/tmp"].ends_with("mode=1777,uid=65532,gid=1000"), "{tmpfs:?}");
        assert!(tmpfs["/tmp"].starts_with("rw,noexec,nosuid,nodev,size="), "{tmpfs:?}");
    }

    #[test]
    fn root_is_known_under_all_its_names() {
        for root in ["", "0", "root", "00", "0:1000", "root:root"] {
            assert!(is_root(root), "{root}");
        }
        for other in ["1", "1000:0", "nobody", "app:app"] {
            assert!(!is_root(other), "{other}");
        }
    }

    #[test]
    fn a_value_is_in_the_environment_of_a_container_and_nowhere_else() {
        let mut plan = sample::plan(&sample::place("api"), 1);
        let told = [("KEY".parse().expect("good"), "hunter2".to_owned())];
        plan.variables = PlanVariables::from_iter(told);
        let mut body = made(&plan, "1000");

        let env = body.env.take().expect("there");
        assert!(env.contains(&"KEY=hunter2".to_owned()));
        assert!(!format!("{body:?}{plan:?}").contains("hunter2"));
    }

    #[test]
    fn a_configuration_can_not_take_over_the_port() {
        let mut plan = sample::plan(&sample::place("api"), 1);
        plan.variables = PlanVariables::from_iter([
            ("PORT".parse().expect("good"), "1".to_owned()),
            ("GREETING".parse().expect("good"), "a=b".to_owned()),
        ]);

        let env = made(&plan, "1000").env.expect("there");

        assert_eq!(env.iter().filter(|line| line.starts_with("PORT=")).count(), 1);
        assert!(env.contains(&"PORT=8080".to_owned()) && env.contains(&"GREETING=a=b".to_owned()));
    }
}
