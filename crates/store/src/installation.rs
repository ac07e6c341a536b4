//! What must be in a Postgres of our own before the first migration: two roles and a database.
//!
//! In somebody else's Postgres the same is made by hand, as docs/OPERATING.md says. Statements that
//! make roles and databases take no parameters, so the names are constants.

use crate::{Conn, Result};

/// The role that owns the tables: it migrates, and does nothing else.
pub const OWNER: &str = "pilothouse_owner";
/// The role of the program: of the history it may only read, and append.
pub const APPLICATION: &str = "pilothouse_app";
/// The database.
pub const DATABASE: &str = "pilothouse";

/// Makes what is missing. `superuser` is connected to another database of the same Postgres.
pub async fn make_roles_and_database(superuser: &mut Conn) -> Result<()> {
    if !has_role(superuser, OWNER).await? {
        sqlx::query("create role pilothouse_owner login").execute(&mut *superuser).await?;
    }
    if !has_role(superuser, APPLICATION).await? {
        sqlx::query("create role pilothouse_app login").execute(&mut *superuser).await?;
    }
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut *superuser)
            .await?;
    if !there {
        sqlx::query("create database pilothouse owner pilothouse_owner")
            .execute(&mut *superuser)
            .await?;
    }
    Ok(())
}

async fn has_role(conn: &mut Conn, name: &str) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(name)
        .fetch_one(conn)
        .await?)
}
