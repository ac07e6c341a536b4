//! What pages show of placements: a cell each, in few queries however many there are.
//!
//! Buttons are dark here: who may press which is `control`'s to say.

use crate::{
    Conn, Result,
    placements::{put_back, size},
    words::{kind, slot, word},
};
use domain::{
    id::{EnvironmentId, PlacementId, ProjectId, ReleaseId, RolloutId, ServiceId},
    name::Name,
    policy::Policy,
    restart::Restart,
    rollout::State,
    service::Exposure,
    view::{Allowed, Cell, ReleaseName, Restarting, RolloutCard, Running, Stopped, Warm},
};
use sqlx::types::Json;
use std::collections::HashMap;

/// The most cells that are drawn at once.
const MOST: i64 = 3000;

/// A cell and the row and the group it is drawn in.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub project: ProjectId,
    pub project_name: Name,
    pub service: ServiceId,
    pub service_name: Name,
    pub exposure: Exposure,
    pub cell: Cell,
}

/// Which placements are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    All,
    Project(ProjectId),
    Environment(EnvironmentId),
    Service(ServiceId),
    Placement(PlacementId),
}

/// Cells by project, service and the order of environments. Without the cards of rollouts, which
/// [`with_cards`] adds to those that may be seen.
pub async fn cells(conn: &mut Conn, which: Which) -> Result<Vec<Drawn>> {
    let (mut project, mut environment, mut service, mut placement) = (None, None, None, None);
    match which {
        Which::All => {}
        Which::Project(id) => project = Some(id.0),
        Which::Environment(id) => environment = Some(id.0),
        Which::Service(id) => service = Some(id.0),
        Which::Placement(id) => placement = Some(id.0),
    }
    let rows = sqlx::query!(
        r#"
        select
            p.id as "placement: PlacementId", p.size, p.held, p.drift,
            p.changed, p.stopped_at, p.stopped_by, p.restart as "restart: Json<Restart>",
            p.moved_by, p.route_epoch, p.route_slot,
            s.id as "service: ServiceId", s.name as service_name,
            s.spec -> 'exposure' as "exposure!: Json<Exposure>",
            pr.id as "project: ProjectId", pr.name as project_name,
            e.id as "environment: EnvironmentId", e.name as environment_name, e.protected,
            p.live_slot, p.live_since,
            live.id as "live?: ReleaseId", live.name as "live_name?", live_c.number as "live_number?",
            p.warm_slot, p.warm_until,
            warm.id as "warm?: ReleaseId", warm.name as "warm_name?", warm_c.number as "warm_number?",
            (select r.id from rollouts r where r.placement_id = p.id
             order by r.number desc limit 1) as "newest: RolloutId",
            next.id as "next?: ReleaseId", next.name as "next_name?"
        from placements p
        join services s on s.id = p.service_id
        join projects pr on pr.id = s.project_id
        join environments e on e.id = p.environment_id
        left join releases live on live.id = p.live_release_id
        left join configurations live_c on live_c.id = p.live_configuration_id
        left join releases warm on warm.id = p.warm_release_id
        left join configurations warm_c on warm_c.id = p.warm_configuration_id
        left join lateral (
            -- What to bring here next: in the first environment the newest release, in the others
            -- what has proven itself in one before. Never back to an older one than is live.
            select r.id, r.name from releases r
            where r.service_id = s.id and r.retired_at is null
              and (p.live_release_id is null or r.id > p.live_release_id)
              and (not exists (select from environments first
                               where first.position < e.position and first.archived_at is null)
                   or exists (select from rollouts was
                              join placements there on there.id = was.placement_id
                              join environments before on before.id = there.environment_id
                              where was.release_id = r.id and was.phase = 'succeeded'
                                and before.position < e.position))
            order by r.id desc limit 1
        ) next on true
        -- The page of a rollout asks for its placement by name, also when it is archived.
        where (p.archived_at is null or $2::uuid is not null)
          and ($1::uuid is null or s.id = $1)
          and ($2::uuid is null or p.id = $2)
          and ($3::uuid is null or s.project_id = $3)
          and ($4::uuid is null or p.environment_id = $4)
        order by pr.name, s.name, e.position
        limit $5
        "#,
        service,
        placement,
        project,
        environment,
        MOST,
    )
    .fetch_all(conn)
    .await?;

    rows.into_iter()
        .map(|row| {
            let named = |id: Option<ReleaseId>, name: Option<String>| {
                id.zip(name).map(|(id, name)| ReleaseName { id, name })
            };
            let live = named(row.live, row.live_name);
            let next = named(row.next, row.next_name)
                .filter(|next| live.as_ref().is_none_or(|live| live.id != next.id));
            let live =
                match (slot(row.live_slot.as_deref())?, live, row.live_number, row.live_since) {
                    (Some(slot), Some(release), Some(configuration), Some(since)) => {
                        Some(Running { slot, release, configuration, since })
                    }
                    _ => None,
                };
            let warm = named(row.warm, row.warm_name);
            let warm =
                match (slot(row.warm_slot.as_deref())?, warm, row.warm_number, row.warm_until) {
                    (Some(slot), Some(release), Some(configuration), Some(until)) => {
                        Some(Warm { slot, release, configuration, until })
                    }
                    _ => None,
                };
            let routed = match row.route_epoch {
                Some(_) => Some(slot(row.route_slot.as_deref())?),
                None => None,
            };
            let put_back = put_back(
                routed,
                live.as_ref().map(|live| live.slot),
                warm.as_ref().map(|warm| warm.slot),
                row.moved_by.is_some(),
                row.changed,
            )
            .filter(|_| row.stopped_at.is_none());
            let put_back = put_back.and_then(|to| {
                let live = live.as_ref().filter(|live| live.slot == to).map(|live| &live.release);
                let warm = warm.as_ref().filter(|warm| warm.slot == to).map(|warm| &warm.release);
                live.or(warm).cloned()
            });
            Ok(Drawn {
                project: row.project,
                project_name: word(&row.project_name)?,
                service: row.service,
                service_name: word(&row.service_name)?,
                exposure: row.exposure.0,
                cell: Cell {
                    placement: row.placement,
                    environment: row.environment,
                    environment_name: word(&row.environment_name)?,
                    protected: row.protected,
                    size: size(row.size)?,
                    live,
                    warm,
                    active: None,
                    waiting: None,
                    failed: None,
                    next,
                    held: row.held,
                    drift: row.drift,
                    put_back,
                    changed: row.changed,
                    stopped: row.stopped_at.zip(row.stopped_by).map(|(at, by)| Stopped { by, at }),
                    restart: row.restart.map(|restart| restarting(restart.0)),
                    may: Allowed::default(),
                    newest: row.newest,
                },
            })
        })
        .collect()
}

fn restarting(restart: Restart) -> Restarting {
    let (done, of) = restart.progress().unwrap_or_default();
    Restarting { by: restart.by, done, of, failed: restart.failed }
}

/// Gives cells the cards of their rollouts: the active one, the waiting one, and the last that
/// ended, where it did not succeed.
pub async fn with_cards(conn: &mut Conn, cells: &mut [Drawn]) -> Result<()> {
    let placements: Vec<_> = cells.iter().map(|drawn| drawn.cell.placement.0).collect();
    let rows = sqlx::query!(
        r#"
        select
            p.id as "placement: PlacementId",
            r.id as "id!: RolloutId", r.kind as "kind!", r.active as "active!", r.waiting as "waiting!",
            rel.id as "release: ReleaseId", rel.name as release_name,
            f.id as "from?: ReleaseId", f.name as "from_name?",
            r.requested_by_name as "by!", r.reason, r.asked_at as "asked_at!", r.ended_at,
            r.policy as "policy!: Json<Policy>", r.state as "state!: Json<State>"
        from unnest($1::uuid[]) p (id)
        cross join lateral (
            select * from rollouts where placement_id = p.id and active
            union all
            select * from rollouts where placement_id = p.id and waiting
            union all
            (select * from rollouts
             where placement_id = p.id and ended_at is not null and phase <> 'superseded'
             order by number desc limit 1)
        ) r
        join releases rel on rel.id = r.release_id
        left join releases f on f.id = r.from_release_id
        where r.phase <> 'succeeded'
        "#,
        &placements,
    )
    .fetch_all(conn)
    .await?;

    let mut at: HashMap<PlacementId, &mut Cell> =
        cells.iter_mut().map(|drawn| (drawn.cell.placement, &mut drawn.cell)).collect();
    for row in rows {
        let Some(cell) = row.placement.and_then(|placement| at.get_mut(&placement)) else {
            continue;
        };
        let card = RolloutCard {
            id: row.id,
            kind: kind(&row.kind)?,
            release: ReleaseName { id: row.release, name: row.release_name },
            from: row.from.zip(row.from_name).map(|(id, name)| ReleaseName { id, name }),
            by: row.by,
            reason: row.reason,
            asked_at: row.asked_at,
            ended_at: row.ended_at,
            policy: row.policy.0,
            state: row.state.0,
        };
        let place = match (row.active, row.waiting) {
            (true, _) => &mut cell.active,
            (_, true) => &mut cell.waiting,
            _ => &mut cell.failed,
        };
        *place = Some(card);
    }
    Ok(())
}
