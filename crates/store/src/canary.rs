//! The canary of the vault: a sealed value of no worth, by which a lost key is noticed at start.

use crate::{Conn, Result};

/// The canary, and nobody else looks at it until the transaction ends. None in a new database.
pub async fn lock(conn: &mut Conn) -> Result<Option<Vec<u8>>> {
    // The table is empty at first, so there is no row to lock.
    sqlx::query!("lock table vault_canary in share row exclusive mode").execute(&mut *conn).await?;
    Ok(sqlx::query_scalar!("select sealed from vault_canary").fetch_optional(conn).await?)
}

/// Puts a new one in place of the old.
pub async fn put(conn: &mut Conn, sealed: &[u8]) -> Result<()> {
    sqlx::query!(
        r#"
        insert into vault_canary (sealed) values ($1)
        on conflict (one) do update set sealed = excluded.sealed, sealed_at = clock_timestamp()
        "#,
        sealed,
    )
    .execute(conn)
    .await?;
    Ok(())
}
