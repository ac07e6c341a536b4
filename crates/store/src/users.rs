//! Those who sign in, and the link that makes the first of them.

use crate::{Conn, Result};
use domain::id::UserId;
use time::OffsetDateTime;

/// Somebody who may be signing in.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: UserId,
    pub name: String,
    /// A PHC string.
    pub password: String,
    pub disabled: bool,
}

/// Finds somebody by name, without regard to case.
pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Known>> {
    Ok(sqlx::query_as!(
        Known,
        r#"
        select id as "id: UserId", name, password, disabled_at is not null as "disabled!"
        from users
        where lower(name) = lower($1)
        "#,
        name,
    )
    .fetch_optional(conn)
    .await?)
}

/// Finds somebody and keeps him from being changed until the transaction ends.
pub async fn locked(conn: &mut Conn, id: UserId) -> Result<Option<Known>> {
    Ok(sqlx::query_as!(
        Known,
        r#"
        select id as "id: UserId", name, password, disabled_at is not null as "disabled!"
        from users
        where id = $1
        for no key update
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Adds somebody. A name that is taken is refused by `users_name`.
pub async fn add(conn: &mut Conn, id: UserId, name: &str, password: &str) -> Result<()> {
    sqlx::query!(
        "insert into users (id, name, password) values ($1, $2, $3)",
        id.0,
        name,
        password
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives somebody another password.
pub async fn set_password(conn: &mut Conn, id: UserId, password: &str) -> Result<()> {
    sqlx::query!("update users set password = $2 where id = $1", id.0, password)
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores the same password, hashed with today's parameters, unless it was changed meanwhile.
pub async fn rehash(conn: &mut Conn, id: UserId, old: &str, new: &str) -> Result<()> {
    sqlx::query!("update users set password = $3 where id = $1 and password = $2", id.0, old, new)
        .execute(conn)
        .await?;
    Ok(())
}

/// Disables somebody. False if he was already. The last admin is refused by `people_last_admin`.
pub async fn disable(conn: &mut Conn, id: UserId) -> Result<bool> {
    let done = sqlx::query!(
        "update users set disabled_at = now() where id = $1 and disabled_at is null",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets somebody in again. False if he was not disabled.
pub async fn enable(conn: &mut Conn, id: UserId) -> Result<bool> {
    let done = sqlx::query!(
        "update users set disabled_at = null where id = $1 and disabled_at is not null",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Somebody on the list of people.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: UserId,
    pub name: String,
    pub disabled: bool,
    pub added_at: OffsetDateTime,
    pub last_seen_at: Option<OffsetDateTime>,
}

/// Everybody, by name, at most 500.
pub async fn all(conn: &mut Conn) -> Result<Vec<Listed>> {
    Ok(sqlx::query_as!(
        Listed,
        r#"
        select id as "id: UserId", name, disabled_at is not null as "disabled!",
            added_at, last_seen_at
        from users
        order by lower(name)
        limit 500
        "#
    )
    .fetch_all(conn)
    .await?)
}

/// Somebody on the list, by id.
pub async fn listed(conn: &mut Conn, id: UserId) -> Result<Option<Listed>> {
    Ok(sqlx::query_as!(
        Listed,
        r#"
        select id as "id: UserId", name, disabled_at is not null as "disabled!",
            added_at, last_seen_at
        from users
        where id = $1
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Whether there is somebody who can manage people.
pub async fn is_there_an_admin(conn: &mut Conn) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select exists (
            select
            from grants g
            join users u on u.id = g.user_id
            where g.role = 'admin'
                and g.project_id is null
                and g.environment_id is null
                and u.disabled_at is null
        ) as "exists!"
        "#
    )
    .fetch_one(conn)
    .await?)
}

/// Puts a new one-time link in the place of an older one.
pub async fn renew_first_admin(conn: &mut Conn, token: &[u8; 32]) -> Result<()> {
    sqlx::query!(
        r#"
        insert into first_admin (token) values ($1)
        on conflict (one) do update set token = excluded.token, made_at = now()
        "#,
        &token[..],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether this is the one-time link, unused.
pub async fn is_first_admin(conn: &mut Conn, token: &[u8; 32]) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from first_admin where token = $1) as "exists!""#,
        &token[..],
    )
    .fetch_one(conn)
    .await?)
}

/// Uses the one-time link up. Of two who try at once, one is told false.
pub async fn use_first_admin(conn: &mut Conn, token: &[u8; 32]) -> Result<bool> {
    let done =
        sqlx::query!("delete from first_admin where token = $1", &token[..]).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
