//! Rollouts as pages show them: one in full, lists of them, and the pairs one can go back to.

use crate::{
    Conn, Result,
    words::{kind, word},
};
use domain::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId, ServiceId},
    policy::Policy,
    release::Pair,
    rollout::{Request, State},
    view::{Earlier, ReleaseName, RolloutCard, RolloutRow, RolloutThere},
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// One rollout with what its page needs besides its placement.
#[derive(Clone, Debug)]
pub struct Shown {
    pub placement: PlacementId,
    pub card: RolloutCard,
    pub pair: Pair,
    /// What was live when it was asked for.
    pub from: Option<Pair>,
    pub request: Option<Request>,
    pub image: String,
}

/// One rollout.
pub async fn load(conn: &mut Conn, id: RolloutId) -> Result<Option<Shown>> {
    let row = sqlx::query!(
        r#"
        select
            r.placement_id as "placement: PlacementId", r.kind,
            rel.id as "release: ReleaseId", rel.name as release_name, rel.image_id,
            r.configuration_id as "configuration: ConfigurationId",
            f.id as "from?: ReleaseId", f.name as "from_name?",
            r.from_configuration_id as "from_configuration: ConfigurationId",
            r.requested_by_name, r.reason, r.asked_at, r.ended_at,
            r.policy as "policy: Json<Policy>", r.state as "state: Json<State>",
            r.request as "request: Json<Request>"
        from rollouts r
        join releases rel on rel.id = r.release_id
        left join releases f on f.id = r.from_release_id
        where r.id = $1
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let from = row
            .from
            .zip(row.from_configuration)
            .map(|(release, configuration)| Pair { release, configuration });
        Ok(Shown {
            placement: row.placement,
            card: RolloutCard {
                id,
                kind: kind(&row.kind)?,
                release: ReleaseName { id: row.release, name: row.release_name },
                from: row.from.zip(row.from_name).map(|(id, name)| ReleaseName { id, name }),
                by: row.requested_by_name,
                reason: row.reason,
                asked_at: row.asked_at,
                ended_at: row.ended_at,
                policy: row.policy.0,
                state: row.state.0,
            },
            pair: Pair { release: row.release, configuration: row.configuration },
            from,
            request: row.request.map(|request| request.0),
            image: row.image_id,
        })
    })
    .transpose()
}

/// The newest rollouts of some placements of a service, newest first.
pub async fn newest(
    conn: &mut Conn,
    service: ServiceId,
    placements: &[PlacementId],
    at_most: i64,
) -> Result<Vec<RolloutRow>> {
    let placements: Vec<_> = placements.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select
            r.id as "id: RolloutId", e.name as environment, r.kind, r.errored as "errored!",
            rel.id as "release: ReleaseId", rel.name as release_name,
            r.requested_by_name, r.asked_at, r.ended_at, r.state as "state: Json<State>"
        from rollouts r
        join releases rel on rel.id = r.release_id
        join placements p on p.id = r.placement_id
        join environments e on e.id = p.environment_id
        where rel.service_id = $1 and r.placement_id = any($2)
        order by r.number desc
        limit $3
        "#,
        service.0,
        &placements,
        at_most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = row.state.0;
            Ok(RolloutRow {
                id: row.id,
                environment: word(&row.environment)?,
                kind: kind(&row.kind)?,
                phase: state.phase,
                errored: row.errored,
                release: ReleaseName { id: row.release, name: row.release_name },
                by: row.requested_by_name,
                asked_at: row.asked_at,
                ended_at: row.ended_at,
                requests: state.evidence.requests,
                failures: state.evidence.failures,
            })
        })
        .collect()
}

/// The newest rollouts of some placements of any service, newest first.
pub async fn newest_there(
    conn: &mut Conn,
    placements: &[PlacementId],
    at_most: i64,
) -> Result<Vec<RolloutThere>> {
    let placements: Vec<_> = placements.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select
            r.id as "id: RolloutId", e.name as environment, r.kind, r.errored as "errored!",
            rel.id as "release: ReleaseId", rel.name as release_name,
            s.name as service, pr.name as project,
            r.requested_by_name, r.asked_at, r.ended_at, r.state as "state: Json<State>"
        from rollouts r
        join releases rel on rel.id = r.release_id
        join services s on s.id = rel.service_id
        join projects pr on pr.id = s.project_id
        join placements p on p.id = r.placement_id
        join environments e on e.id = p.environment_id
        where r.placement_id = any($1)
        order by r.number desc
        limit $2
        "#,
        &placements,
        at_most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = row.state.0;
            Ok(RolloutThere {
                project: word(&row.project)?,
                service: word(&row.service)?,
                row: RolloutRow {
                    id: row.id,
                    environment: word(&row.environment)?,
                    kind: kind(&row.kind)?,
                    phase: state.phase,
                    errored: row.errored,
                    release: ReleaseName { id: row.release, name: row.release_name },
                    by: row.requested_by_name,
                    asked_at: row.asked_at,
                    ended_at: row.ended_at,
                    requests: state.evidence.requests,
                    failures: state.evidence.failures,
                },
            })
        })
        .collect()
}

/// A rollout as charts mark it.
#[derive(Clone, Debug)]
pub struct Marked {
    pub id: RolloutId,
    pub release: String,
    pub asked_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub state: State,
}

/// The most rollouts of a chart.
const MOST_MARKED: i64 = 60;

/// The rollouts of a placement that lasted in some of the time between two moments, in seconds of
/// Unix time: the newest of them, newest first.
pub async fn marked(
    conn: &mut Conn,
    placement: PlacementId,
    from: i64,
    to: i64,
) -> Result<Vec<Marked>> {
    let rows = sqlx::query!(
        r#"
        select r.id as "id: RolloutId", rel.name as release, r.asked_at, r.ended_at,
            r.state as "state: Json<State>"
        from rollouts r
        join releases rel on rel.id = r.release_id
        where r.placement_id = $1
            and r.asked_at < to_timestamp($3)
            and (r.ended_at is null or r.ended_at >= to_timestamp($2))
        order by r.number desc
        limit $4
        "#,
        placement.0,
        from as f64,
        to as f64,
        MOST_MARKED,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| Marked {
        id: row.id,
        release: row.release,
        asked_at: row.asked_at,
        ended_at: row.ended_at,
        state: row.state.0,
    });
    Ok(rows.collect())
}

/// How far back a way back is looked for, and how many pairs are offered.
const LOOK_BACK: i64 = 200;
const MOST_EARLIER: i64 = 10;

/// The pairs that were live in some placements, newest first, without the live one: at most ten for
/// each.
pub async fn earlier(
    conn: &mut Conn,
    placements: &[PlacementId],
) -> Result<Vec<(PlacementId, Earlier)>> {
    let placements: Vec<_> = placements.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        with were as (
            select p.id as placement_id, r.release_id, r.configuration_id, r.number,
                lead(r.ended_at) over (partition by p.id order by r.number) as live_until
            from placements p
            cross join lateral (
                select * from rollouts r
                where r.placement_id = p.id and r.phase = 'succeeded'
                order by r.ended_at desc
                limit $2
            ) r
            where p.id = any($1)
        ), pairs as (
            select distinct on (placement_id, release_id, configuration_id) *
            from were
            order by placement_id, release_id, configuration_id, number desc
        ), ranked as (
            select w.*, row_number() over (partition by w.placement_id order by w.number desc) as rank,
                (w.release_id, w.configuration_id)
                    is not distinct from (p.warm_release_id, p.warm_configuration_id) as warm
            from pairs w
            join placements p on p.id = w.placement_id
            where (w.release_id, w.configuration_id)
                is distinct from (p.live_release_id, p.live_configuration_id)
        )
        select
            k.placement_id as "placement!: PlacementId",
            k.release_id as "release!: ReleaseId", rel.name,
            k.configuration_id as "configuration!: ConfigurationId", c.number,
            coalesce(k.live_until, clock_timestamp()) as "live_until!: OffsetDateTime",
            k.warm as "warm!"
        from ranked k
        join releases rel on rel.id = k.release_id
        join configurations c on c.id = k.configuration_id
        where k.rank <= $3
        order by k.placement_id, k.rank
        "#,
        &placements,
        LOOK_BACK,
        MOST_EARLIER,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let earlier = Earlier {
                release: ReleaseName { id: row.release, name: row.name },
                configuration: row.configuration,
                configuration_number: row.number,
                live_until: row.live_until,
                warm: row.warm,
            };
            (row.placement, earlier)
        })
        .collect())
}

/// Whether a pair was ever live in a placement, so that one can go back to it.
pub async fn was_live(conn: &mut Conn, placement: PlacementId, pair: Pair) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select exists (
            select from rollouts
            where placement_id = $1 and release_id = $2 and configuration_id = $3
              and phase = 'succeeded') as "was!"
        "#,
        placement.0,
        pair.release.0,
        pair.configuration.0,
    )
    .fetch_one(conn)
    .await?)
}
