//! The page of one rollout.

use crate::{Asked, Control, OrProblem, board, changes, places};
use domain::{
    error::Problem,
    history::Deed,
    id::RolloutId,
    role::Action,
    rollout::Phase,
    view::{PhaseTime, RolloutPage},
};
use store::board::Which;

impl Control {
    /// All of one rollout, and its placement as it is now.
    pub async fn rollout(&self, asked: &Asked, id: RolloutId) -> Result<RolloutPage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("rollout");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let shown = store::rollouts::pages::load(&mut conn, id)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let placement = store::placements::load_ever(&mut conn, shown.placement)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_placement(&placement, "rollout");
        self.permit(asked, Action::View, &place).await?;

        let which = Which::Placement(placement.id);
        let mut drawn = store::board::cells(&mut conn, which).await.or_problem(origin)?;
        store::board::with_cards(&mut conn, &mut drawn).await.or_problem(origin)?;
        let mut drawn = drawn.pop().ok_or_else(missing)?;
        // Of what was taken away only what was is told.
        if !placement.archived {
            drawn.cell.may =
                board::may_placement(&asked.actor, placement.scope(), placement.protection());
        }

        let rows = store::history::of_rollout(&mut conn, id).await.or_problem(origin)?;
        let mut phases = vec![PhaseTime { phase: Phase::Queued, at: shown.card.asked_at }];
        for row in &rows {
            if let Some(Deed::RolloutEntered { phase, .. }) =
                row.entry().ok().map(|entry| entry.deed)
            {
                phases.push(PhaseTime { phase, at: row.at });
            }
        }
        let rows = rows.iter().map(store::history::Stored::shown).collect();

        let pairs: Vec<_> = shown.from.into_iter().chain([shown.pair]).collect();
        let parts = store::releases::plan_parts_of(&mut conn, &pairs).await.or_problem(origin)?;
        let changes = match parts.as_slice() {
            [from, to] => changes::of_parts(Some(from), to),
            [to] => changes::of_parts(None, to),
            _ => Vec::new(),
        };
        let addresses = self.addresses(&placement);
        Ok(RolloutPage {
            number,
            project: placement.place.project.clone(),
            service: placement.place.service.clone(),
            service_id: placement.service,
            environment: placement.place.environment.clone(),
            protected: placement.protected,
            placement: placement.id,
            address: addresses.live,
            preview_address: addresses.preview,
            may: drawn.cell.may,
            cell: drawn.cell,
            asked: shown.request.map(|request| (request.what, request.by_name)),
            image: shown.image,
            card: shown.card,
            rows,
            phases,
            changes,
        })
    }
}
