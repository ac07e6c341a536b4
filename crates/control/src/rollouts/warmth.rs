//! Warmth and hold: for how long the way back stays instant, and whether deploys start by
//! themselves. Both belong to the placement, not to a rollout.

use crate::{Asked, Control, OrProblem, places};
use domain::{error::Problem, history::Deed, id::PlacementId, role::Action};
use store::placements::wishes;
use time::Duration;

/// The longest that a slot is kept warm from now on.
const LONGEST: Duration = Duration::hours(24);

impl Control {
    /// Keeps the old slot up for so many more minutes, at most a day from now.
    pub async fn extend_warmth(
        &self,
        asked: &Asked,
        placement: PlacementId,
        minutes: u32,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        if !(1..=24 * 60).contains(&minutes) {
            return Err(Problem::invalid("minutes", "Between 1 minute and a day."));
        }
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::RolloutRollBack, &place).await?;
        let now = store::now(&mut tx).await.or_problem(origin)?;
        let Some(warm) = placement.warm.filter(|warm| warm.until > now) else {
            return Err(Problem::conflict("Nothing is warm here any more."));
        };

        let until =
            (warm.until + Duration::minutes(minutes.into())).min(now + LONGEST).max(warm.until);
        // The row says what it became, where a day from now is less than was asked for.
        let minutes = match u32::try_from((until - warm.until).whole_minutes()) {
            Ok(0) | Err(_) => {
                return Err(Problem::conflict(
                    "It is kept for a day already, the longest there is.",
                ));
            }
            Ok(minutes) => minutes,
        };
        wishes::set_warm_until(&mut tx, placement.id, until).await.or_problem(origin)?;
        let deed = Deed::WarmthExtended { slot: warm.slot, minutes };
        let row = asked.entry(&permit, placement.subject(None), deed);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row]).await
    }

    /// Lets the old slot go now. The engine removes it.
    pub async fn end_warmth(&self, asked: &Asked, placement: PlacementId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::RolloutRollBack, &place).await?;
        let Some(warm) = placement.warm.filter(|warm| !warm.end_asked) else {
            return Err(Problem::conflict("Nothing is warm here any more."));
        };
        places::expect_settled(&placement)?;

        wishes::end_warmth(&mut tx, placement.id).await.or_problem(origin)?;
        let deed = Deed::WarmthEnded { slot: warm.slot, why: "ended by hand".to_owned() };
        let row = asked.entry(&permit, placement.subject(None), deed);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row]).await
    }

    /// Lets deploys start by themselves again after a rollback. Where there is no hold, nothing
    /// happens.
    pub async fn lift_hold(&self, asked: &Asked, placement: PlacementId) -> Result<(), Problem> {
        let origin = &asked.origin;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::RolloutStart, &place).await?;
        if !placement.held {
            return Ok(());
        }

        wishes::lift_hold(&mut tx, placement.id).await.or_problem(origin)?;
        let row = asked.entry(&permit, placement.subject(None), Deed::HoldLifted);
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &[row]).await
    }
}
