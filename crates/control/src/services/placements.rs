//! What is edited of one placement: size and host names.

use crate::{Asked, Control, OrProblem, changes, places};
use domain::{
    error::Problem,
    history::Deed,
    id::PlacementId,
    name::HostName,
    role::Action,
    service::{Size, placed},
};
use store::{placements::wishes, targets::Reach};

/// The most names one placement is reached under.
const MOST_HOSTS: usize = 16;

impl Control {
    /// Changes how many instances a placement has and under which names it is reached. Refused
    /// during a rollout. The engine follows.
    ///
    /// `based_on` is what the page showed, in the words of [`placed`]; if it is another by now the
    /// later of two people is refused. Empty: whatever is so now. Where names follow from the target,
    /// none are given here.
    pub async fn edit_placement(
        &self,
        asked: &Asked,
        placement: PlacementId,
        size: Size,
        host_names: Vec<HostName>,
        based_on: &str,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::PlacementScale, &place).await?;
        let before = &placement.place.host_names;
        let follow = matches!(placement.reach, Reach::Cluster { .. });
        if follow && !host_names.is_empty() && host_names != *before {
            let sentence = "On this target host names follow from the pattern of the target. Change \
                            that under Targets.";
            return Err(Problem::invalid("host_names", sentence));
        }
        let host_names = if follow { before.clone() } else { host_names };
        if host_names.is_empty() && !follow {
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
        if !based_on.is_empty() && based_on != placed(placement.size, before) {
            return Err(Problem::conflict(format!(
                "Somebody changed this since the page was drawn: {} now, under {}. That was \
                 kept and yours was not saved. Close this, look at what is so now, and change it \
                 again.",
                match placement.size.count() {
                    1 => "there is 1 instance".to_owned(),
                    count => format!("there are {count} instances"),
                },
                before.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            )));
        }
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
}
