//! How instances are called, by people and by an engine. The same in every driver.

use domain::{
    id::RolloutId,
    name::Name,
    slot::Slot,
    target::{Place, Plan},
};

/// As people see an instance: `blue-c19f-1`.
#[must_use]
pub fn instance(slot: Slot, maker: RolloutId, number: u16) -> String {
    let maker = maker.short();
    format!("{slot}-{}-{number}", &maker[maker.len() - 4..])
}

/// As an engine knows it: `PREFIX-PROJECT-ENVIRONMENT-SERVICE-blue-c19f-1`.
#[must_use]
pub fn container(prefix: &Name, place: &Place, instance: &str) -> String {
    let Place { project, environment, service, .. } = place;
    container_of(prefix, (project, environment, service), instance)
}

/// The same of the three names alone.
#[must_use]
pub(crate) fn container_of(
    prefix: &Name,
    (project, environment, service): (&Name, &Name, &Name),
    instance: &str,
) -> String {
    format!("{prefix}-{project}-{environment}-{service}-{instance}")
}

/// All names that a plan may need, in either slot.
pub(crate) fn of_plan(prefix: &Name, plan: &Plan) -> Vec<String> {
    let numbers = 1..=plan.size;
    Slot::ALL
        .iter()
        .flat_map(|slot| numbers.clone().map(|number| instance(*slot, plan.maker, number)))
        .map(|instance| container(prefix, &plan.place, &instance))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use uuid::Uuid;

    #[test]
    fn a_name_says_where_it_belongs() {
        let place = sample::place("api");
        let prefix = "pilothouse".parse().expect("good");

        let instance = instance(Slot::Blue, RolloutId(Uuid::from_u128(0xc19f)), 1);

        assert_eq!(instance, "blue-c19f-1");
        assert_eq!(
            container(&prefix, &place, &instance),
            "pilothouse-demo-staging-api-blue-c19f-1"
        );
    }
}
