//! All that somebody may go to, in one statement: names and addresses, nothing more.

use crate::{Conn, Result, words::word};
use domain::{
    id::{EnvironmentId, PlacementId, ProjectId, ReleaseId, RolloutId, UserId},
    name::Name,
    role::Scope,
    rollout::Phase,
};
use uuid::Uuid;

/// The most placements, and so services, that are offered.
const MOST_PLACEMENTS: i64 = 3000;
/// The most rollouts that run, and as many of those that ended.
const MOST_ROLLOUTS: i64 = 50;
/// The most releases.
const MOST_RELEASES: i64 = 100;
/// The most people.
const MOST_PEOPLE: i64 = 500;

/// Where a thing is.
#[derive(Clone, Debug)]
pub struct There {
    pub project: ProjectId,
    pub project_name: Name,
    pub service_name: Name,
}

/// A thing to go to.
#[derive(Clone, Debug)]
pub enum Known {
    Environment {
        id: EnvironmentId,
        name: Name,
        protected: bool,
    },
    Placement {
        id: PlacementId,
        there: There,
        environment: EnvironmentId,
        environment_name: Name,
        protected: bool,
        /// A slot is warm and nothing rolls.
        goes_back: bool,
        released: bool,
    },
    Rollout {
        id: RolloutId,
        there: There,
        environment: EnvironmentId,
        environment_name: Name,
        release: String,
        phase: Phase,
        protected: bool,
    },
    Release {
        id: ReleaseId,
        there: There,
        name: String,
    },
    Person {
        id: UserId,
        name: String,
    },
}

/// What lies in one of the scopes, each kind in the order it is offered in. People only if they are
/// wanted. Whether each may be seen is the caller's to ask again.
pub async fn known(conn: &mut Conn, scopes: &[Scope], people: bool) -> Result<Vec<Known>> {
    let projects: Vec<_> = scopes.iter().map(|scope| scope.project().map(|id| id.0)).collect();
    let environments: Vec<_> =
        scopes.iter().map(|scope| scope.environment().map(|id| id.0)).collect();
    let rows = sqlx::query!(
        r#"
        with through as (
            select project, environment
            from unnest($1::uuid[], $2::uuid[]) as g (project, environment)
        ),
        seen as materialized (
            select p.id, p.warm_slot, s.id as service, s.name as service_name,
                pr.id as project, pr.name as project_name,
                e.id as environment, e.name as environment_name, e.protected,
                row_number() over (order by pr.name, s.name, e.position) as place
            from placements p
            join services s on s.id = p.service_id
            join projects pr on pr.id = s.project_id
            join environments e on e.id = p.environment_id
            where p.archived_at is null
              and exists (
                  select from through t
                  where (t.project is null or t.project = pr.id)
                    and (t.environment is null or t.environment = e.id)
              )
            order by pr.name, s.name, e.position
            limit $4
        ),
        services_seen as (
            select distinct service, service_name, project, project_name from seen
        )
        select * from (
            select 1 as sort, place as at, id, project, project_name, service_name, service,
                environment, environment_name, protected, '' as name, '' as phase,
                (warm_slot is not null and not exists (
                    select from rollouts r where r.placement_id = seen.id and r.active
                )) as goes_back,
                exists (
                    select from releases r
                    where r.service_id = seen.service and r.retired_at is null
                ) as released
            from seen
            union all
            (select 2, -r.number, r.id, project, project_name, service_name, service,
                environment, environment_name, protected, rel.name, r.phase, false, false
            from seen
            join rollouts r on r.placement_id = seen.id and (r.active or r.waiting)
            join releases rel on rel.id = r.release_id
            order by r.number desc limit $5)
            union all
            (select 3, -r.number, r.id, project, project_name, service_name, service,
                environment, environment_name, protected, rel.name, r.phase, false, false
            from seen
            join rollouts r on r.placement_id = seen.id and r.ended_at is not null
            join releases rel on rel.id = r.release_id
            order by r.number desc limit $5)
            union all
            (select 4, row_number() over (order by r.id desc), r.id, project, project_name,
                service_name, service, null, null, false, r.name, '', false, false
            from services_seen s
            join releases r on r.service_id = s.service and r.retired_at is null
            order by r.id desc limit $6)
            union all
            select 5, e.position, e.id, null, null, null, null, e.id, e.name, e.protected, e.name,
                '', false, false
            from environments e
            where e.archived_at is null
            union all
            (select 6, row_number() over (order by lower(u.name)), u.id, null, null, null, null,
                null, null, false, u.name, '', false, false
            from users u
            where $3 and u.disabled_at is null
            order by lower(u.name) limit $7)
        ) known (sort, at, id, project, project_name, service_name, service, environment,
                 environment_name, protected, name, phase, goes_back, released)
        order by sort, at
        "#,
        &projects as &[Option<Uuid>],
        &environments as &[Option<Uuid>],
        people,
        MOST_PLACEMENTS,
        MOST_ROLLOUTS,
        MOST_RELEASES,
        MOST_PEOPLE,
    )
    .fetch_all(conn)
    .await?;

    let mut known = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(sort), Some(id), Some(name)) = (row.sort, row.id, row.name) else { continue };
        let there = match (row.project, row.project_name, row.service_name) {
            (Some(project), Some(project_name), Some(service_name)) => Some(There {
                project: ProjectId(project),
                project_name: word(&project_name)?,
                service_name: word(&service_name)?,
            }),
            _ => None,
        };
        let environment = match (row.environment, row.environment_name) {
            (Some(id), Some(name)) => Some((EnvironmentId(id), word::<Name>(&name)?)),
            _ => None,
        };
        let protected = row.protected.unwrap_or(true);
        known.extend(match (sort, there, environment) {
            (1, Some(there), Some((environment, environment_name))) => Some(Known::Placement {
                id: PlacementId(id),
                there,
                environment,
                environment_name,
                protected,
                goes_back: row.goes_back.unwrap_or_default(),
                released: row.released.unwrap_or_default(),
            }),
            (2 | 3, Some(there), Some((environment, environment_name))) => Some(Known::Rollout {
                id: RolloutId(id),
                there,
                environment,
                environment_name,
                release: name,
                phase: phase(row.phase.as_deref())?,
                protected,
            }),
            (4, Some(there), _) => Some(Known::Release { id: ReleaseId(id), there, name }),
            (5, _, Some((id, name))) => Some(Known::Environment { id, name, protected }),
            (6, ..) => Some(Known::Person { id: UserId(id), name }),
            _ => None,
        });
    }
    Ok(known)
}

fn phase(text: Option<&str>) -> Result<Phase> {
    let known = Phase::ALL.into_iter().find(|phase| Some(phase.as_str()) == text);
    known.ok_or_else(|| crate::Error::unreadable("phase", text.unwrap_or_default()))
}
