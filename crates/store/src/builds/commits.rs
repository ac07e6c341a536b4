//! The commits between two releases, as far as they were built here.

use crate::{Conn, Result};
use domain::{
    build::view::{BuiltCommit, Commits},
    id::{BuildId, ReleaseId, ServiceId},
};

/// The most that are told of between two releases.
const MOST: usize = 50;

/// What was built after `now` and before `then`, whichever is older.
pub async fn between(
    conn: &mut Conn,
    now: Option<ReleaseId>,
    then: Option<ReleaseId>,
) -> Result<Commits> {
    let (mut commits, mut service) = (Commits::default(), None);
    for (release, to) in [(now, &mut commits.now), (then, &mut commits.then)] {
        let Some(release) = release else { continue };
        if let Some((of, built)) = of_release(conn, release).await? {
            *to = Some(built);
            service = Some(of);
        }
    }
    let (Some(now), Some(then), Some(service)) = (&commits.now, &commits.then, service) else {
        return Ok(commits);
    };
    let (first, last) = (now.number.min(then.number), now.number.max(then.number));
    let rows = sqlx::query_as!(
        BuiltCommit,
        r#"
        select * from (
            select distinct on (commit) id as "build: BuildId", number, commit as "commit!", subject,
                asked_at
            from builds
            where service_id = $1 and phase = 'succeeded' and number > $2 and number < $3
                and commit not in ($4, $5)
            order by commit, number desc
        ) built
        order by number desc
        limit $6
        "#,
        service.0,
        first,
        last,
        now.commit,
        then.commit,
        i64::try_from(MOST + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await?;
    commits.between = rows;
    commits.more = commits.between.len() > MOST;
    commits.between.truncate(MOST);
    Ok(commits)
}

async fn of_release(
    conn: &mut Conn,
    release: ReleaseId,
) -> Result<Option<(ServiceId, BuiltCommit)>> {
    let row = sqlx::query!(
        r#"
        select b.service_id as "service: ServiceId", b.id as "build: BuildId", b.number,
            b.commit as "commit!", b.subject, b.asked_at
        from releases r join builds b on b.id = r.build_id
        where r.id = $1
        "#,
        release.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let built = BuiltCommit {
            build: row.build,
            number: row.number,
            commit: row.commit,
            subject: row.subject,
            asked_at: row.asked_at,
        };
        (row.service, built)
    }))
}
