//! Placements: a service in an environment, the unit that is rolled out. Who holds one, what the
//! target confirmed last, what is live and what is warm.
//!
//! Every write of a holder names its [`Held`]: placement, node and epoch. The database compares
//! them, so what an older holder still has in its hands changes nothing and is told so by `false`.

pub mod claims;
pub mod hosts;
pub mod wishes;

use crate::{
    Conn, Error, Result,
    targets::{Reach, ReachColumns},
    words::{kind, slot, word, words},
};
use domain::{
    history::Subject,
    id::{
        ConfigurationId, EnvironmentId, NodeId, PlacementId, ProjectId, ReleaseId, RolloutId,
        ServiceId, TargetId,
    },
    policy::Policy,
    release::Pair,
    restart::Restart,
    role::{Protection, Scope},
    rollout::{Kind, Previous},
    service::{ServiceSpec, Size},
    slot::Slot,
    target::{Claim, Place},
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// The proof in a holder's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub placement: PlacementId,
    pub node: NodeId,
    pub epoch: i64,
}

impl Held {
    /// What a target is shown.
    #[must_use]
    pub const fn claim(&self, rollout: Option<RolloutId>) -> Claim {
        Claim { placement: self.placement, epoch: self.epoch, rollout }
    }
}

/// A placement with everything that is needed to act on it or to decide about it.
#[derive(Clone, Debug)]
pub struct Placement {
    pub id: PlacementId,
    pub project: ProjectId,
    pub environment: EnvironmentId,
    pub service: ServiceId,
    pub target: TargetId,
    /// How it is reached there.
    pub reach: Reach,
    /// Names and host names, as a driver needs them.
    pub place: Place,
    pub protected: bool,
    /// The environment's policy now. A rollout goes by the one it pinned.
    pub policy: Policy,
    /// The service's spec now. A release carries its own.
    pub spec: ServiceSpec,
    pub size: Size,
    pub route: Option<Confirmed>,
    pub live: Option<Live>,
    pub warm: Option<Warm>,
    /// What deploys by itself waits until a person lifts it.
    pub held: bool,
    pub drift: Option<String>,
    /// What differs is the instances of the live slot themselves.
    pub changed: bool,
    /// A person stopped it: nothing is routed, and nothing runs.
    pub stopped: Option<Stopped>,
    /// A restart that is under way, or that could not go on.
    pub restart: Option<Restart>,
    /// Who moved the traffic past us since our last switch.
    pub moved_by: Option<String>,
    /// It was taken away: only what was is told of it.
    pub archived: bool,
    pub epoch: i64,
    pub holder: Option<NodeId>,
    /// The kinds of the rollouts that are active or wait: warmth does not end by time while one is
    /// a rollback, and size does not change while there is any.
    pub busy_with: Vec<Kind>,
}

impl Placement {
    /// Where it lies, for permits.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        Scope::Both { project: self.project, environment: self.environment }
    }

    /// How careful one must be here.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protected.into()
    }

    /// What a row of the history about it is about.
    #[must_use]
    pub fn subject(&self, rollout: Option<RolloutId>) -> Subject {
        Subject {
            project: Some(self.place.project.clone()),
            environment: Some(self.place.environment.clone()),
            service: Some(self.place.service.clone()),
            placement: Some(self.id),
            rollout,
        }
    }

    /// Which slot's pair gets the traffic when what a foreign hand did is put back. `None`: nothing
    /// is to be put back.
    #[must_use]
    pub fn to_put_back(&self) -> Option<Slot> {
        put_back(
            self.route.map(|route| route.slot),
            self.live.map(|live| live.slot),
            self.warm.map(|warm| warm.slot),
            self.moved_by.is_some(),
            self.changed,
        )
        .filter(|_| self.stopped.is_none())
    }

    /// The live slot as a rollout pins it before it replaces it.
    #[must_use]
    pub fn previous(&self) -> Option<Previous> {
        self.live.map(|live| Previous { slot: live.slot, maker: live.maker, pair: live.pair })
    }
}

/// Who stopped a placement, by the name of that moment, and when.
pub type Stopped = domain::view::Stopped;

/// The route that the target confirmed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub epoch: i64,
    pub revision: i64,
    pub slot: Option<Slot>,
}

/// What is live, as the engine read it from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    pub slot: Slot,
    pub pair: Pair,
    pub maker: RolloutId,
    pub since: OffsetDateTime,
}

/// What could take the traffic back in one switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    pub slot: Slot,
    pub pair: Pair,
    pub maker: RolloutId,
    pub until: OffsetDateTime,
    /// A person ended it, and the history has that already.
    pub end_asked: bool,
}

/// Locks a placement for the rest of the transaction: first of all locks, always.
pub async fn lock(conn: &mut Conn, id: PlacementId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from placements where id = $1 and archived_at is null for no key update"#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// One placement. `None` when there is none, or it is archived.
pub async fn load(conn: &mut Conn, id: PlacementId) -> Result<Option<Placement>> {
    Ok(load_all(conn, &[id]).await?.pop())
}

/// One placement, archived or not: for pages that tell what was.
pub async fn load_ever(conn: &mut Conn, id: PlacementId) -> Result<Option<Placement>> {
    Ok(read(conn, &[id], true).await?.pop())
}

/// Some placements in the order of their ids, without those that are not there.
pub async fn load_all(conn: &mut Conn, ids: &[PlacementId]) -> Result<Vec<Placement>> {
    read(conn, ids, false).await
}

async fn read(conn: &mut Conn, ids: &[PlacementId], archived: bool) -> Result<Vec<Placement>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select
            p.id as "id: PlacementId", p.size, p.epoch, p.holder as "holder: NodeId", p.held, p.drift,
            p.changed, p.stopped_at, p.stopped_by, p.restart as "restart: Json<Restart>",
            p.archived_at is not null as "archived!",
            p.moved_by, p.route_epoch, p.route_revision, p.route_slot,
            p.live_slot, p.live_release_id as "live_release: ReleaseId",
            p.live_configuration_id as "live_configuration: ConfigurationId",
            p.live_maker as "live_maker: RolloutId", p.live_since,
            p.warm_slot, p.warm_release_id as "warm_release: ReleaseId",
            p.warm_configuration_id as "warm_configuration: ConfigurationId",
            p.warm_maker as "warm_maker: RolloutId", p.warm_until, p.warm_end_asked,
            s.id as "service_id: ServiceId", s.name as service, s.spec as "spec: Json<ServiceSpec>",
            pr.id as "project_id: ProjectId", pr.name as project,
            e.id as "environment_id: EnvironmentId", e.name as environment, e.protected,
            e.policy as "policy: Json<Policy>", e.target_id as "target_id: TargetId",
            t.namespaces, t.hosts, t.entrance_class, t.certificate,
            array(select h.name from host_names h where h.placement_id = p.id and not h.preview
                  order by h.position) as "host_names!",
            array(select h.name from host_names h where h.placement_id = p.id and h.preview
                  order by h.position) as "preview_host_names!",
            array(select r.kind from rollouts r where r.placement_id = p.id and r.active
                  union all
                  select r.kind from rollouts r where r.placement_id = p.id and r.waiting)
                as "busy_with!"
        from placements p
        join services s on s.id = p.service_id
        join projects pr on pr.id = s.project_id
        join environments e on e.id = p.environment_id
        join targets t on t.id = e.target_id
        where p.id = any($1) and (p.archived_at is null or $2)
        order by p.id
        "#,
        &ids,
        archived,
    )
    .fetch_all(conn)
    .await?;

    rows.into_iter()
        .map(|row| {
            let live = match (
                slot(row.live_slot.as_deref())?,
                row.live_release,
                row.live_configuration,
                row.live_maker,
                row.live_since,
            ) {
                (Some(slot), Some(release), Some(configuration), Some(maker), Some(since)) => {
                    Some(Live { slot, pair: Pair { release, configuration }, maker, since })
                }
                _ => None,
            };
            let warm = match (
                slot(row.warm_slot.as_deref())?,
                row.warm_release,
                row.warm_configuration,
                row.warm_maker,
                row.warm_until,
            ) {
                (Some(slot), Some(release), Some(configuration), Some(maker), Some(until)) => {
                    let pair = Pair { release, configuration };
                    Some(Warm { slot, pair, maker, until, end_asked: row.warm_end_asked })
                }
                _ => None,
            };
            let route = match (row.route_epoch, row.route_revision) {
                (Some(epoch), Some(revision)) => {
                    Some(Confirmed { epoch, revision, slot: slot(row.route_slot.as_deref())? })
                }
                _ => None,
            };
            Ok(Placement {
                id: row.id,
                project: row.project_id,
                environment: row.environment_id,
                service: row.service_id,
                target: row.target_id,
                reach: Reach::try_from(ReachColumns {
                    namespaces: row.namespaces,
                    hosts: row.hosts,
                    entrance_class: row.entrance_class,
                    certificate: row.certificate,
                })?,
                place: Place {
                    placement: row.id,
                    project: word(&row.project)?,
                    environment: word(&row.environment)?,
                    service: word(&row.service)?,
                    host_names: words(&row.host_names)?,
                    preview_host_names: words(&row.preview_host_names)?,
                },
                protected: row.protected,
                policy: row.policy.0,
                spec: row.spec.0,
                size: size(row.size)?,
                route,
                live,
                warm,
                held: row.held,
                drift: row.drift,
                changed: row.changed,
                stopped: row.stopped_at.zip(row.stopped_by).map(|(at, by)| Stopped { by, at }),
                restart: row.restart.map(|restart| restart.0),
                archived: row.archived,
                moved_by: row.moved_by,
                epoch: row.epoch,
                holder: row.holder,
                busy_with: row.busy_with.iter().map(|k| kind(k)).collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// The rule of [`Placement::to_put_back`]: what is live, if traffic goes elsewhere or nowhere; else what
/// was live before a hand moved it, as long as it is warm; else what is live, if somebody changed its
/// instances. `routed`: as it was confirmed last.
pub(crate) fn put_back(
    routed: Option<Option<Slot>>,
    live: Option<Slot>,
    warm: Option<Slot>,
    moved: bool,
    changed: bool,
) -> Option<Slot> {
    match (routed?, live) {
        (routed, Some(live)) if routed != Some(live) => Some(live),
        _ => warm.filter(|_| moved).or(live.filter(|_| changed)),
    }
}

/// A size in a column.
pub(crate) fn size(count: i16) -> Result<Size> {
    u16::try_from(count)
        .map_err(|wrong| Error::unreadable("size", wrong))
        .and_then(|count| Size::try_from(count).map_err(|w| Error::unreadable("size", w)))
}

/// Notes the route that the target confirmed. False when somebody newer holds the placement, or the
/// route would go back: after a router lost its file, raise the epoch first ([`claims::raise_epoch`]).
pub async fn confirm_route(conn: &mut Conn, held: &Held, route: &Confirmed) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update placements set route_epoch = $4, route_revision = $5, route_slot = $6
        where id = $1 and holder = $2 and epoch = $3
          and (route_epoch is null or (route_epoch, route_revision) <= ($4, $5))
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
        route.epoch,
        route.revision,
        route.slot.map(Slot::as_str),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes what is live. `None`: nothing. What was warm in that slot is not warm any more.
pub async fn set_live(conn: &mut Conn, held: &Held, live: Option<&Live>) -> Result<bool> {
    let slot = live.map(|live| live.slot.as_str());
    let done = sqlx::query!(
        r#"
        update placements set
            live_slot = $4, live_release_id = $5, live_configuration_id = $6, live_maker = $7,
            live_since = $8,
            warm_slot = case when warm_slot = $4 then null else warm_slot end,
            warm_release_id = case when warm_slot = $4 then null else warm_release_id end,
            warm_configuration_id = case when warm_slot = $4 then null else warm_configuration_id end,
            warm_maker = case when warm_slot = $4 then null else warm_maker end,
            warm_until = case when warm_slot = $4 then null else warm_until end,
            warm_end_asked = warm_end_asked and warm_slot is distinct from $4
        where id = $1 and holder = $2 and epoch = $3
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
        slot,
        live.map(|live| live.pair.release.0),
        live.map(|live| live.pair.configuration.0),
        live.map(|live| live.maker.0),
        live.map(|live| live.since),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes which slot stays warm, or that none does.
pub async fn set_warm(conn: &mut Conn, held: &Held, warm: Option<&Warm>) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update placements set
            warm_slot = $4, warm_release_id = $5, warm_configuration_id = $6, warm_maker = $7,
            warm_until = $8, warm_end_asked = $9
        where id = $1 and holder = $2 and epoch = $3
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
        warm.map(|warm| warm.slot.as_str()),
        warm.map(|warm| warm.pair.release.0),
        warm.map(|warm| warm.pair.configuration.0),
        warm.map(|warm| warm.maker.0),
        warm.map(|warm| warm.until),
        warm.is_some_and(|warm| warm.end_asked),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Holds what deploys by itself: after a rollback.
pub async fn set_hold(conn: &mut Conn, held: &Held) -> Result<bool> {
    let done = sqlx::query!(
        "update placements set held = true where id = $1 and holder = $2 and epoch = $3",
        held.placement.0,
        held.node.0,
        held.epoch,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes who moved the traffic past us, or that where it goes is our own doing again.
pub async fn set_moved_by(conn: &mut Conn, held: &Held, who: Option<&str>) -> Result<bool> {
    let done = sqlx::query!(
        "update placements set moved_by = left($4, 1000) where id = $1 and holder = $2 and epoch = $3",
        held.placement.0,
        held.node.0,
        held.epoch,
        who,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes what differs from what should be, or that nothing does. Returns whether this was news to
/// the database, so that one difference becomes one row of the history; `None` when somebody newer
/// holds the placement.
pub async fn note_drift(
    conn: &mut Conn,
    held: &Held,
    drift: Option<&str>,
    changed: bool,
) -> Result<Option<bool>> {
    let before = sqlx::query!(
        "select drift, changed from placements where id = $1 and holder = $2 and epoch = $3 for no key update",
        held.placement.0,
        held.node.0,
        held.epoch,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match before {
        None => Ok(None),
        Some(before) if before.drift.as_deref() == drift && before.changed == changed => {
            Ok(Some(false))
        }
        Some(_) => {
            sqlx::query!(
                "update placements set drift = $2, changed = $3 where id = $1",
                held.placement.0,
                drift,
                changed,
            )
            .execute(conn)
            .await?;
            Ok(Some(true))
        }
    }
}

/// Notes how far a restart is. `None`: there is none any more. False when somebody newer holds the
/// placement, or a person has asked for something else meanwhile.
pub async fn set_restart(
    conn: &mut Conn,
    held: &Held,
    seen: &Restart,
    restart: Option<&Restart>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update placements set restart = $5
        where id = $1 and holder = $2 and epoch = $3 and restart = $4
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
        Json(seen) as _,
        restart.map(Json) as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Something was made live: it is not stopped any more, and what was to be restarted is gone.
pub async fn set_running(conn: &mut Conn, held: &Held) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update placements set stopped_at = null, stopped_by = null, restart = null, changed = false
        where id = $1 and holder = $2 and epoch = $3
        "#,
        held.placement.0,
        held.node.0,
        held.epoch,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a placement off every list, and gives its host names back. What was live in it stays written
/// in its rollouts.
pub async fn archive(conn: &mut Conn, id: PlacementId) -> Result<()> {
    sqlx::query!("delete from host_names where placement_id = $1", id.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        r#"
        update placements set
            archived_at = clock_timestamp(), holder = null, held = false, drift = null, moved_by = null,
            changed = false, restart = null, stopped_at = null, stopped_by = null,
            live_slot = null, live_release_id = null, live_configuration_id = null, live_maker = null,
            live_since = null, warm_slot = null, warm_release_id = null,
            warm_configuration_id = null, warm_maker = null, warm_until = null, warm_end_asked = false
        where id = $1
        "#,
        id.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}
