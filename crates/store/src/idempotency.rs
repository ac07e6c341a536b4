//! Requests that carried a key: sending a form twice does it once.

use crate::{Conn, Result};
use domain::id::UserId;

/// Takes the key, or says what came of it before. A request with the same key that is under way is
/// waited for: its transaction holds the row.
///
/// Whoever is told `None` must [`remember`] in the same transaction.
pub async fn earlier(
    conn: &mut Conn,
    user: UserId,
    verb: &str,
    key: &str,
) -> Result<Option<String>> {
    let taken = sqlx::query!(
        r#"
        insert into idempotency (user_id, verb, key) values ($1, $2, $3)
        on conflict do nothing
        "#,
        user.0,
        verb,
        key,
    )
    .execute(&mut *conn)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(sqlx::query_scalar!(
        "select result from idempotency where user_id = $1 and verb = $2 and key = $3",
        user.0,
        verb,
        key,
    )
    .fetch_optional(conn)
    .await?
    .flatten())
}

/// Keeps what came of it, for a day.
pub async fn remember(
    conn: &mut Conn,
    user: UserId,
    verb: &str,
    key: &str,
    result: &str,
) -> Result<()> {
    sqlx::query!(
        "update idempotency set result = $4 where user_id = $1 and verb = $2 and key = $3",
        user.0,
        verb,
        key,
        result,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes keys of yesterday.
pub async fn sweep(conn: &mut Conn) -> Result<()> {
    sqlx::query!("delete from idempotency where at < now() - interval '1 day'")
        .execute(conn)
        .await?;
    Ok(())
}
