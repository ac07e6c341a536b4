//! What a placement did and used, for its charts. Whoever may see it may see this.

use crate::{Asked, Control, OrProblem, places};
use domain::{
    error::Problem,
    id::{PlacementId, RolloutId},
    name::Name,
    role::Action,
    rollout::Phase,
    samples::{Range, Span, course::Course},
    target::Place,
    view::{Mark, MarkOf, Past},
};
use store::{Conn, board::Which, placements::Placement, rollouts::pages::Marked};

impl Control {
    /// The past of a service in an environment. Without one: in the first where something is live.
    pub async fn past(
        &self,
        asked: &Asked,
        project: &Name,
        service: &Name,
        environment: Option<&Name>,
        range: Range,
    ) -> Result<Past, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("service");
        let mut conn = self.connection(origin).await?;
        let id = store::services::by_name(&mut conn, project, service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let drawn = self.visible_cells(&mut conn, asked, Which::Service(id)).await?;
        let chosen = match environment {
            Some(name) => drawn.iter().find(|drawn| drawn.cell.environment_name == *name),
            None => drawn.iter().find(|drawn| drawn.cell.live.is_some()).or(drawn.first()),
        };
        let Some(chosen) = chosen else { return Err(missing()) };
        let placement = self.placement_to_see(&mut conn, asked, chosen.cell.placement).await?;
        let now = store::now(&mut conn).await.or_problem(origin)?.unix_timestamp();
        let environments = drawn.iter().map(|drawn| drawn.cell.environment_name.clone()).collect();
        let past = Past { environments, range: Some(range), ..of(&placement, true) };
        self.read(&mut conn, asked, past, Span::last(range, now)).await
    }

    /// The past of a rollout's placement while the rollout lasted, with some time around it.
    pub async fn past_of_rollout(&self, asked: &Asked, id: RolloutId) -> Result<Past, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let (placement, span, goes_on) = self.span_of_rollout(&mut conn, asked, id).await?;
        self.read(&mut conn, asked, of(&placement, goes_on), span).await
    }

    /// The same figures for a file: of a rollout where one is named, else of a range. The rollout must
    /// be of the placement.
    pub async fn course_of(
        &self,
        asked: &Asked,
        placement: PlacementId,
        rollout: Option<RolloutId>,
        range: Range,
    ) -> Result<(Place, Course), Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let found = self.placement_to_see(&mut conn, asked, placement).await?;
        let span = match rollout {
            Some(rollout) => {
                let (of, span, _) = self.span_of_rollout(&mut conn, asked, rollout).await?;
                if of.id != placement {
                    return Err(Problem::not_found("rollout"));
                }
                span
            }
            None => {
                let now = store::now(&mut conn).await.or_problem(origin)?;
                Span::last(range, now.unix_timestamp())
            }
        };
        let course = store::samples::course(&mut conn, placement, span).await.or_problem(origin)?;
        Ok((found.place, course))
    }

    async fn placement_to_see(
        &self,
        conn: &mut Conn,
        asked: &Asked,
        id: PlacementId,
    ) -> Result<Placement, Problem> {
        let found = store::placements::load_ever(conn, id).await.or_problem(&asked.origin)?;
        let placement = found.ok_or_else(|| Problem::not_found("service"))?;
        self.permit(asked, Action::View, &places::of_placement(&placement, "service")).await?;
        Ok(placement)
    }

    /// Where a rollout is, how long it lasted, and whether it still does.
    async fn span_of_rollout(
        &self,
        conn: &mut Conn,
        asked: &Asked,
        id: RolloutId,
    ) -> Result<(Placement, Span, bool), Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("rollout");
        let shown =
            store::rollouts::pages::load(conn, id).await.or_problem(origin)?.ok_or_else(missing)?;
        // What was removed since has its past still.
        let placement = store::placements::load_ever(conn, shown.placement)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        self.permit(asked, Action::View, &places::of_placement(&placement, "rollout")).await?;
        let now = store::now(conn).await.or_problem(origin)?.unix_timestamp();
        let ended = shown.card.ended_at.map(|at| at.unix_timestamp());
        let span = Span::around(shown.card.asked_at.unix_timestamp(), ended, now);
        // What comes soon after the end is still shown.
        let goes_on = span.to + span.step >= now;
        Ok((placement, span, goes_on))
    }

    async fn read(
        &self,
        conn: &mut Conn,
        asked: &Asked,
        past: Past,
        span: Span,
    ) -> Result<Past, Problem> {
        let origin = &asked.origin;
        let id = past.placement;
        let course = store::samples::course(conn, id, span).await.or_problem(origin)?;
        let instances = store::samples::instances(conn, id, span, Past::MOST_INSTANCES)
            .await
            .or_problem(origin)?;
        let marked = store::rollouts::pages::marked(conn, id, span.from, span.to)
            .await
            .or_problem(origin)?;
        let mut marks: Vec<_> = marked.iter().flat_map(marks).collect();
        marks.retain(|mark| (span.from * 1000..span.to * 1000).contains(&mark.at_ms));
        marks.sort_by_key(|mark| mark.at_ms);
        let over = marks.len().saturating_sub(Past::MOST_MARKS);
        marks.drain(..over);
        let marks_left_out = u32::try_from(over).unwrap_or(u32::MAX);
        Ok(Past { course, instances, marks, marks_left_out, ..past })
    }
}

/// Still without figures.
fn of(placement: &Placement, goes_on: bool) -> Past {
    let span = Span { from: 0, to: 0, step: 1, grain: domain::samples::Grain::Seconds };
    Past {
        placement: placement.id,
        environment: placement.place.environment.clone(),
        environments: Vec::new(),
        range: None,
        goes_on,
        course: Course { span, read_to: 0, points: Vec::new() },
        marks: Vec::new(),
        marks_left_out: 0,
        instances: Vec::new(),
    }
}

/// The moments of a rollout that a chart shows.
fn marks(rollout: &Marked) -> Vec<Mark> {
    let mark = |at: time::OffsetDateTime, what| Mark {
        at_ms: i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
        what,
        rollout: rollout.id,
        release: rollout.release.clone(),
    };
    let mut marks = vec![mark(rollout.asked_at, MarkOf::Asked)];
    let evidence = &rollout.state.evidence;
    if let Some(pinned) = rollout.state.pinned {
        marks.extend(evidence.confirmed_at.map(|at| mark(at, MarkOf::Switched(pinned.new))));
        let back = MarkOf::Back(pinned.new.other());
        marks.extend(evidence.back_confirmed_at.map(|at| mark(at, back)));
    }
    // How a good one went is told by its switch.
    let phase = rollout.state.phase;
    let told = matches!(phase, Phase::Failed | Phase::Aborted | Phase::RolledBack);
    marks.extend(rollout.ended_at.filter(|_| told).map(|at| mark(at, MarkOf::Ended(phase))));
    marks
}
