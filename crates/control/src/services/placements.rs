//! What is edited of one placement: size, host names, configuration.

use crate::{Asked, Control, OrProblem, changes, places};
use domain::{
    configuration::{Configuration, MOST_VARIABLES, Variables},
    error::Problem,
    history::Deed,
    id::{ConfigurationId, PlacementId},
    name::HostName,
    role::Action,
    service::{Limits, Size},
};
use store::placements::wishes;
use uuid::Uuid;

/// The most names one placement is reached under.
const MOST_HOSTS: usize = 16;

impl Control {
    /// Changes how many instances a placement has and under which names it is reached. Refused
    /// during a rollout. The engine follows.
    pub async fn edit_placement(
        &self,
        asked: &Asked,
        placement: PlacementId,
        size: Size,
        host_names: Vec<HostName>,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::PlacementScale, &place).await?;
        if host_names.is_empty() {
            let sentence = "A service needs a host name, or nothing reaches it.";
            return Err(Problem::invalid("host_names", sentence));
        }
        if host_names.len() > MOST_HOSTS {
            let sentence = format!("At most {MOST_HOSTS} host names.");
            return Err(Problem::invalid("host_names", sentence));
        }
        let twice =
            host_names.iter().enumerate().find(|(at, name)| host_names[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(Problem::invalid("host_names", format!("{name} is there twice.")));
        }
        let before = &placement.place.host_names;
        let changes = changes::of_placement(Some((placement.size, before)), (size, &host_names));
        if changes.is_empty() {
            return Ok(());
        }
        places::expect_settled(&placement)?;

        if *before != host_names {
            self.set_hosts(
                &mut tx,
                origin,
                placement.id,
                placement.target,
                &host_names,
                "host_names",
            )
            .await?;
        }
        wishes::set_size(&mut tx, placement.id, size).await.or_problem(origin)?;
        let row = asked.entry(&permit, placement.subject(None), Deed::PlacementChanged);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Makes the next configuration. `based_on` is the number that the page showed. What runs is
    /// not touched: a rollout brings it there. Returns the number of what is newest now.
    pub async fn change_configuration(
        &self,
        asked: &Asked,
        placement: PlacementId,
        variables: Variables,
        limits: Limits,
        based_on: i32,
    ) -> Result<i32, Problem> {
        let origin = &asked.origin;
        limits.checked().map_err(|wrong| Problem::invalid("limits", wrong))?;
        if variables.0.len() > MOST_VARIABLES {
            let sentence = format!("A configuration has at most {MOST_VARIABLES} variables.");
            return Err(Problem::invalid("variables", sentence));
        }
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ConfigurationEdit, &place).await?;
        let newest = store::configurations::newest(&mut tx, placement.id)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("configuration"))?;
        if newest.number != based_on {
            return Err(Problem::conflict(format!(
                "Configuration {} was made since this page was drawn with {based_on}. Nothing was \
                 saved: load the page and put your change into the newest.",
                newest.number
            )));
        }
        let changes = changes::of_configuration(
            Some((&newest.variables, &newest.limits)),
            (&variables, &limits),
        );
        if changes.is_empty() {
            return Ok(newest.number);
        }

        let next = Configuration {
            id: ConfigurationId(Uuid::now_v7()),
            number: newest.number + 1,
            variables,
            limits,
        };
        let (by, by_name) = (asked.actor.id, &asked.actor.name);
        store::configurations::add(&mut tx, placement.id, &next, by, by_name)
            .await
            .or_problem(origin)?;
        let deed = Deed::ConfigurationMade { number: next.number };
        let row = asked.entry(&permit, placement.subject(None), deed).with_changes(changes);
        self.commit(tx, origin, &[row]).await?;
        Ok(next.number)
    }
}
