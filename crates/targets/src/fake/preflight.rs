//! The questions that the fake can answer.

use super::machine::Machine;
use crate::names;
use domain::{
    name::Name,
    slot::Slot,
    target::{Finding, Plan, Verdict},
};
use uuid::Uuid;

pub(super) fn questions(
    machine: &Machine,
    installation: Uuid,
    prefix: &Name,
    plan: &Plan,
    live: Option<Slot>,
) -> Vec<Finding> {
    let image = machine.images.iter().find(|image| image.id == plan.image);
    let is_root = image.is_some_and(|image| match plan.spec.user {
        Some(uid) => uid == 0,
        None => image.runs_as_root(),
    });
    let host_taken = machine.routes.iter().any(|(owner, route)| {
        *owner != plan.place.placement
            && plan.place.host_names.iter().any(|name| route.host_names.contains(name))
    });
    let name_taken =
        names::of_plan(prefix, plan).iter().any(|name| machine.strangers.contains(name));
    let need = plan.limits.memory_bytes * u64::from(plan.size);
    let promised: u64 = machine
        .containers
        .iter()
        .filter(|one| {
            let ours = one.installation == installation && one.placement == plan.place.placement;
            !ours || Some(one.slot) == live
        })
        .map(|one| one.memory_bytes)
        .sum();
    let free = machine.memory_bytes.saturating_sub(promised);
    let asked = |question: &str, good: bool, detail: &str| Finding {
        question: question.to_owned(),
        verdict: if good { Verdict::Pass } else { Verdict::Refuse },
        detail: detail.to_owned(),
    };
    vec![
        asked("Router reachable and ours", true, "in memory"),
        asked(
            "Image is there, same content",
            image.is_some(),
            "load or pull it again, or deploy another release",
        ),
        asked(
            "Runs as an ordinary user",
            !is_root || plan.root_allowed,
            "set a user in the image or in the service, or have an admin allow root",
        ),
        asked("Host names are free", !host_taken, "give one of the two another host name"),
        asked("Names are free", !name_taken, "somebody must remove or rename a container"),
        asked(
            "CPU limit fits the machine",
            plan.limits.cpu_millis <= machine.cores * 1000,
            "lower the limit in the configuration",
        ),
        asked(
            "Room for both slots, memory",
            need <= free,
            "lower the size or the limit, or end what is kept warm",
        ),
    ]
}
