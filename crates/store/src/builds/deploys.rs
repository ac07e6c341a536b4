//! "Build and deploy": where a release goes when it is there.

use crate::{Conn, Result, words::word};
use domain::{
    build::view::BuildDeploy,
    history::Subject,
    id::{BuildId, PlacementId, ReleaseId, RolloutId, UserId},
    name::Name,
};

/// Notes that the release of a build goes to a placement. `newest` is its newest rollout now.
pub async fn add(
    conn: &mut Conn,
    build: BuildId,
    placement: PlacementId,
    newest: Option<RolloutId>,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into build_deploys (build_id, placement_id, newest_rollout_id) values ($1, $2, $3)
        on conflict do nothing
        "#,
        build.0,
        placement.0,
        newest.map(|rollout| rollout.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where the release of a build goes, in the order of the environments.
pub async fn of(conn: &mut Conn, build: BuildId) -> Result<Vec<BuildDeploy>> {
    let rows = sqlx::query!(
        r#"
        select d.placement_id as "placement: PlacementId", e.name as environment, e.protected,
            d.rollout_id as "rollout: RolloutId", d.refused
        from build_deploys d
        join placements p on p.id = d.placement_id
        join environments e on e.id = p.environment_id
        where d.build_id = $1
        order by e.position
        "#,
        build.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(BuildDeploy {
                placement: row.placement,
                environment: word::<Name>(&row.environment)?,
                protected: row.protected,
                rollout: row.rollout,
                refused: row.refused,
            })
        })
        .collect()
}

/// A rollout that is to be started.
#[derive(Clone, Debug)]
pub struct Due {
    pub build: BuildId,
    pub number: i32,
    pub placement: PlacementId,
    pub newest: Option<RolloutId>,
    pub release: ReleaseId,
    pub requester: UserId,
    pub requester_name: String,
    pub requester_enabled: bool,
    /// What a row about the build is about.
    pub subject: Subject,
}

/// The next rollout that is to be started, kept from others until the transaction ends.
pub async fn due(conn: &mut Conn) -> Result<Option<Due>> {
    let row = sqlx::query!(
        r#"
        select d.build_id as "build: BuildId", b.number, d.placement_id as "placement: PlacementId",
            d.newest_rollout_id as "newest: RolloutId", b.release_id as "release!: ReleaseId",
            b.requested_by as "requester: UserId", b.requested_by_name,
            u.disabled_at is null as "requester_enabled!", s.name as service, pr.name as project
        from build_deploys d
        join builds b on b.id = d.build_id
        join users u on u.id = b.requested_by
        join services s on s.id = b.service_id
        join projects pr on pr.id = s.project_id
        where d.rollout_id is null and d.refused is null and b.release_id is not null
        order by d.build_id
        limit 1
        for no key update of d skip locked
        "#,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Due {
            build: row.build,
            number: row.number,
            placement: row.placement,
            newest: row.newest,
            release: row.release,
            requester: row.requester,
            requester_name: row.requested_by_name,
            requester_enabled: row.requester_enabled,
            subject: Subject {
                project: Some(word(&row.project)?),
                service: Some(word(&row.service)?),
                ..Subject::default()
            },
        })
    })
    .transpose()
}

/// Notes that the rollout was started.
pub async fn started(
    conn: &mut Conn,
    build: BuildId,
    placement: PlacementId,
    rollout: RolloutId,
) -> Result<()> {
    sqlx::query!(
        "update build_deploys set rollout_id = $3 where build_id = $1 and placement_id = $2",
        build.0,
        placement.0,
        rollout.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes why the rollout was not started.
pub async fn refuse(
    conn: &mut Conn,
    build: BuildId,
    placement: PlacementId,
    why: &str,
) -> Result<()> {
    sqlx::query!(
        "update build_deploys set refused = $3 where build_id = $1 and placement_id = $2",
        build.0,
        placement.0,
        why,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// There will be nothing to deploy.
pub(crate) async fn refuse_all(conn: &mut Conn, build: BuildId, why: &str) -> Result<()> {
    sqlx::query!(
        r#"
        update build_deploys set refused = $2
        where build_id = $1 and rollout_id is null and refused is null
        "#,
        build.0,
        why,
    )
    .execute(conn)
    .await?;
    Ok(())
}
