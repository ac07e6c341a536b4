//! Who a session belongs to now, for what stays open for longer than a request.

use super::{Found, Held, RawGrant};
use crate::{Pool, Result};
use domain::id::{SessionId, UserId};
use sqlx::types::Json;

/// Finds a session by its id. Neither notes it as seen nor renews it: a stream is no sign that
/// somebody is there.
pub async fn again(pool: &Pool, session: SessionId) -> Result<Option<Found>> {
    let row = sqlx::query!(
        r#"
        select s.id as "session: SessionId", u.id as "user: UserId", u.name,
            coalesce(
                (
                    select jsonb_agg(
                        jsonb_build_object(
                            'role', g.role,
                            'project_id', g.project_id,
                            'environment_id', g.environment_id,
                            'project', p.name,
                            'environment', e.name
                        )
                        order by g.given_at, g.id
                    )
                    from grants g
                    left join projects p on p.id = g.project_id
                    left join environments e on e.id = g.environment_id
                    where g.user_id = u.id
                ),
                '[]'
            ) as "grants!: Json<Vec<RawGrant>>"
        from sessions s
        join users u on u.id = s.user_id
        where s.id = $1
            and u.disabled_at is null
            and s.seen_at > now() - interval '30 minutes'
            and s.started_at > now() - interval '12 hours'
        "#,
        session.0,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Found {
        session: row.session,
        user: row.user,
        name: row.name,
        grants: row.grants.0.into_iter().map(Held::try_from).collect::<Result<_>>()?,
        renew: false,
        stale: false,
    }))
}
