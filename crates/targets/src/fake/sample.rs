//! Places and plans for tests.

use domain::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    service::{Check, Exposure, Limits, ServiceSpec, Strategy},
    target::{Place, Plan, PlanVariables},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// An id that no other test has: the clock and a counter, no randomness needed.
#[must_use]
pub fn id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let next = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    // The counter comes last, so that names made of the last digits differ.
    Uuid::from_u128((now << 32) ^ (u128::from(std::process::id()) << 16) ^ next)
}

/// A placement of its own, under a host name of its own.
///
/// # Panics
///
/// When `service` is no name.
#[must_use]
pub fn place(service: &str) -> Place {
    let placement = PlacementId(id());
    let short = placement.short();
    Place {
        placement,
        project: "demo".parse().expect("a name"),
        environment: "staging".parse().expect("a name"),
        service: service.parse().expect("a name"),
        host_names: vec![format!("{service}-{short}.localhost").parse().expect("a host name")],
        preview_host_names: vec![
            format!("next--{service}-{short}.localhost").parse().expect("a host name"),
        ],
    }
}

/// A plan by a maker of its own: HTTP on 8080, asked at `/health`, 32 MiB.
///
/// # Panics
///
/// Never: its words are good ones.
#[must_use]
pub fn plan(place: &Place, size: u16) -> Plan {
    Plan {
        place: place.clone(),
        maker: RolloutId(id()),
        release: ReleaseId(id()),
        release_name: "1.0.0".parse().expect("a name"),
        configuration: ConfigurationId(id()),
        image: format!("sha256:{}", "a".repeat(64)).parse().expect("a content id"),
        image_user: "65532".to_owned(),
        pull: None,
        spec: ServiceSpec {
            exposure: Exposure::Http { port: 8080 },
            readiness: Check {
                timeout: Duration::from_secs(1),
                ..Check::of("/health".parse().expect("a path"))
            },
            version_field: None,
            command: vec![],
            user: None,
            strategy: Strategy::BlueGreen,
            writable_root: false,
        },
        variables: PlanVariables::default(),
        limits: Limits { cpu_millis: 200, memory_bytes: 32 << 20, pids: 64 },
        size,
        root_allowed: false,
    }
}
