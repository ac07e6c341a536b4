//! Rollouts: asked for by people, moved by the placement's holder.
//!
//! A person's side ([`queue`], [`ask`], [`supersede`]) locks the placement first. The holder's side
//! ([`advance`], [`save_progress`]) compares the phase it saw *and* its claim, and changes nothing
//! when either is no longer so.

pub mod pages;

use crate::{
    Conn, Error, Result,
    placements::{Held, Placement, claims},
    releases::{self, PlanParts},
    words::{kind, word},
};
use domain::{
    history::Subject,
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId, TargetId, UserId},
    name::{ContentId, ReleaseName},
    policy::Policy,
    release::Pair,
    rollout::{Ending, Kind, Phase, Request, Rollout, State},
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// A rollout with what its holder needs to move it and to tell of it.
#[derive(Clone, Debug)]
pub struct Current {
    pub rollout: Rollout,
    /// Rises in the order in which rollouts were asked for.
    pub number: i64,
    pub subject: Subject,
    /// Release and configuration of its pair.
    pub parts: PlanParts,
    /// The release that was live when it was asked for.
    pub from: Option<ReleaseName>,
    pub target: TargetId,
    pub requester: UserId,
    pub requester_name: String,
    /// A requester who is disabled before `preparing` ends the rollout.
    pub requester_enabled: bool,
    pub reason: Option<String>,
    pub asked_at: OffsetDateTime,
}

/// The rollout that holds the placement, else the one that waits for it.
pub async fn current(conn: &mut Conn, placement: PlacementId) -> Result<Option<Current>> {
    let row = sqlx::query!(
        r#"
        select
            r.id as "id: RolloutId", r.number, r.kind,
            r.release_id as "release: ReleaseId",
            r.configuration_id as "configuration: ConfigurationId",
            r.policy as "policy: Json<Policy>", r.target_id as "target: TargetId",
            r.state as "state: Json<State>", r.request as "request: Json<Request>",
            r.requested_by as "requester: UserId", r.requested_by_name, r.reason, r.asked_at,
            u.disabled_at is null as "requester_enabled!",
            f.name as "from?", s.name as service, pr.name as project, e.name as environment
        from rollouts r
        join placements p on p.id = r.placement_id
        join services s on s.id = p.service_id
        join projects pr on pr.id = s.project_id
        join environments e on e.id = p.environment_id
        join users u on u.id = r.requested_by
        left join releases f on f.id = r.from_release_id
        where r.placement_id = $1 and r.ended_at is null
        order by r.active desc
        limit 1
        "#,
        placement.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };

    let pair = Pair { release: row.release, configuration: row.configuration };
    let parts = releases::plan_parts(conn, pair)
        .await?
        .ok_or_else(|| Error::unreadable("pair", pair.release))?;
    Ok(Some(Current {
        rollout: Rollout {
            id: row.id,
            placement,
            kind: kind(&row.kind)?,
            pair,
            policy: row.policy.0,
            state: row.state.0,
            request: row.request.map(|request| request.0),
        },
        number: row.number,
        subject: Subject {
            project: Some(word(&row.project)?),
            environment: Some(word(&row.environment)?),
            service: Some(word(&row.service)?),
            placement: Some(placement),
            rollout: Some(row.id),
        },
        parts,
        from: row.from.as_deref().map(word).transpose()?,
        target: row.target,
        requester: row.requester,
        requester_name: row.requested_by_name,
        requester_enabled: row.requester_enabled,
        reason: row.reason,
        asked_at: row.asked_at,
    }))
}

/// Moves a rollout on, or only saves what it read: the same statement, because both are refused for
/// the same reasons. False when a person or a newer holder moved it meanwhile: look again.
///
/// `seen` is the request that the step knew of. Where another one stands there by now, nothing is
/// saved, so that no request is ever passed over, also not by an end. `answered` takes it off.
pub async fn advance(
    conn: &mut Conn,
    held: &Held,
    rollout: RolloutId,
    from: Phase,
    state: &State,
    seen: Option<&Request>,
    answered: bool,
) -> Result<bool> {
    if !claims::still(conn, held).await? {
        return Ok(false);
    }
    let done = sqlx::query!(
        r#"
        update rollouts set
            state = $4,
            request = case when $6 or $7 then null else request end,
            ended_at = case when $7 then clock_timestamp() end
        where id = $1 and placement_id = $2 and phase = $3 and ended_at is null
          and request is not distinct from $5
        "#,
        rollout.0,
        held.placement.0,
        from.as_str(),
        Json(state) as _,
        seen.map(Json) as _,
        answered,
        state.phase.is_end(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The images that must not be pruned: live, warm, of rollouts that have not ended, and of the last
/// ten releases that were live in each placement.
pub async fn keepers(conn: &mut Conn) -> Result<Vec<ContentId>> {
    let ids = sqlx::query_scalar!(
        r#"
        select distinct r.image_id as "image!"
        from releases r
        join (
            select live_release_id as release_id from placements where archived_at is null
            union
            select warm_release_id from placements where archived_at is null
            union
            select release_id from rollouts where ended_at is null
            union
            select was.release_id
            from placements p
            cross join lateral (
                select l.release_id
                from (select release_id, max(number) as last from rollouts
                      where placement_id = p.id and phase = 'succeeded'
                      group by release_id) l
                order by l.last desc
                limit 10
            ) was
            where p.archived_at is null
        ) kept on kept.release_id = r.id
        order by 1
        "#,
    )
    .fetch_all(conn)
    .await?;
    ids.iter().map(|id| word(id)).collect()
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: RolloutId,
    pub kind: Kind,
    pub pair: Pair,
    pub by: UserId,
    pub by_name: &'a str,
    pub reason: Option<&'a str>,
}

/// Puts a rollout into the waiting place, which must be free: the placement is locked, and whoever
/// waited was superseded. It pins the environment's policy as it is now.
pub async fn queue(
    conn: &mut Conn,
    placement: &Placement,
    new: &New<'_>,
) -> Result<OffsetDateTime> {
    let at = crate::now(conn).await?;
    let live = placement.live.map(|live| live.pair);
    sqlx::query!(
        r#"
        insert into rollouts (
            id, placement_id, kind, release_id, configuration_id, from_release_id,
            from_configuration_id, policy, target_id, state, requested_by, requested_by_name,
            reason, asked_at
        ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        "#,
        new.id.0,
        placement.id.0,
        new.kind.as_str(),
        new.pair.release.0,
        new.pair.configuration.0,
        live.map(|pair| pair.release.0),
        live.map(|pair| pair.configuration.0),
        Json(&placement.policy) as _,
        placement.target.0,
        Json(State::queued(at)) as _,
        new.by.0,
        new.by_name,
        new.reason,
        at,
    )
    .execute(conn)
    .await?;
    Ok(at)
}

/// A rollout that has not ended, or the newest, as a verb weighs it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub id: RolloutId,
    pub kind: Kind,
    pub pair: Pair,
    pub release: ReleaseName,
    pub from: Option<ReleaseName>,
    pub by_name: String,
    pub state: State,
    pub request: Option<Request>,
    pub asked_at: OffsetDateTime,
}

/// The newest rollout of a placement and those that have not ended: at most three, newest first.
pub async fn standing(conn: &mut Conn, placement: PlacementId) -> Result<Vec<Standing>> {
    let rows = sqlx::query!(
        r#"
        select
            r.id as "id: RolloutId", r.kind,
            r.release_id as "release: ReleaseId",
            r.configuration_id as "configuration: ConfigurationId",
            rel.name as release_name, f.name as "from?", r.requested_by_name,
            r.state as "state: Json<State>", r.request as "request: Json<Request>", r.asked_at
        from rollouts r
        join releases rel on rel.id = r.release_id
        left join releases f on f.id = r.from_release_id
        where r.placement_id = $1
          and (r.ended_at is null
               or r.number = (select max(n.number) from rollouts n where n.placement_id = $1))
        order by r.number desc
        "#,
        placement.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                id: row.id,
                kind: kind(&row.kind)?,
                pair: Pair { release: row.release, configuration: row.configuration },
                release: word(&row.release_name)?,
                from: row.from.as_deref().map(word).transpose()?,
                by_name: row.requested_by_name,
                state: row.state.0,
                request: row.request.map(|request| request.0),
                asked_at: row.asked_at,
            })
        })
        .collect()
}

/// The placement of a rollout.
pub async fn placement_of(conn: &mut Conn, rollout: RolloutId) -> Result<Option<PlacementId>> {
    Ok(sqlx::query_scalar!(
        r#"select placement_id as "id: PlacementId" from rollouts where id = $1"#,
        rollout.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Ends a waiting rollout, because a newer one takes its place or because it was asked to stop.
/// False when the engine picked it up meanwhile.
pub async fn end_waiting(conn: &mut Conn, waiting: &Standing, ending: Ending) -> Result<bool> {
    let at = crate::now(conn).await?;
    let state =
        State { phase: ending.end, since: at, ending: Some(ending), ..waiting.state.clone() };
    let done = sqlx::query!(
        r#"
        update rollouts set state = $2, request = null, ended_at = $3
        where id = $1 and waiting
        "#,
        waiting.id.0,
        Json(state) as _,
        at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores what a person asks of a rollout that has not ended. Whether it may be asked is decided
/// before, by `Rollout::accept`, with the placement locked.
pub async fn ask(conn: &mut Conn, rollout: RolloutId, request: &Request) -> Result<bool> {
    let done = sqlx::query!(
        "update rollouts set request = $2 where id = $1 and ended_at is null",
        rollout.0,
        Json(request) as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
