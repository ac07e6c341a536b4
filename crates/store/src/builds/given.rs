//! What builds are given: sealed secrets by version, and who reads a repository. Nothing here can
//! open one.

use crate::{Conn, Result, words::word};
use domain::{
    build::given::{GitUser, SecretName},
    configuration::secret::Version,
    id::{SecretId, ServiceId, UserId},
};
use std::fmt;
use time::OffsetDateTime;

/// The newest version of a secret.
#[derive(Clone)]
pub struct Sealed {
    pub name: SecretName,
    pub version: Version,
    pub value: Vec<u8>,
    pub set_by: String,
    pub set_at: OffsetDateTime,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = (&self.name, self.version.version);
        f.debug_struct("Sealed")
            .field("name", name)
            .field("version", &version)
            .finish_non_exhaustive()
    }
}

/// The secrets that builds of a service are given, by name.
pub async fn secrets(conn: &mut Conn, service: ServiceId) -> Result<Vec<Sealed>> {
    let rows = sqlx::query!(
        r#"
        select distinct on (s.name)
            s.id as "secret: SecretId", s.name, v.version, v.sealed, v.set_by_name, v.set_at
        from build_secrets s join build_secret_versions v on v.secret_id = s.id
        where s.service_id = $1 and s.removed_at is null
        order by s.name, v.version desc
        "#,
        service.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sealed {
                name: word(&row.name)?,
                version: Version { secret: row.secret, version: row.version },
                value: row.sealed,
                set_by: row.set_by_name,
                set_at: row.set_at,
            })
        })
        .collect()
}

/// The secret of this name and its newest version, also one that was removed.
pub async fn newest(
    conn: &mut Conn,
    service: ServiceId,
    name: &SecretName,
) -> Result<Option<Version>> {
    let row = sqlx::query!(
        r#"
        select s.id as "secret: SecretId", max(v.version) as "version!"
        from build_secrets s join build_secret_versions v on v.secret_id = s.id
        where s.service_id = $1 and s.name = $2
        group by s.id
        "#,
        service.0,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Version { secret: row.secret, version: row.version }))
}

/// A version to add.
#[derive(Debug)]
pub struct New<'a> {
    pub service: ServiceId,
    pub name: &'a SecretName,
    pub version: Version,
    pub sealed: &'a [u8],
    pub by: UserId,
    pub by_name: &'a str,
}

/// Adds a version, and the secret with its first. The service is locked.
pub async fn set(conn: &mut Conn, new: &New<'_>) -> Result<()> {
    sqlx::query!(
        r#"
        insert into build_secrets (id, service_id, name) values ($1, $2, $3)
        on conflict (service_id, name) do update set removed_at = null
        "#,
        new.version.secret.0,
        new.service.0,
        new.name.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        insert into build_secret_versions (secret_id, version, sealed, set_by, set_by_name)
        values ($1, $2, $3, $4, $5)
        "#,
        new.version.secret.0,
        new.version.version,
        new.sealed,
        new.by.0,
        new.by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// No build is given it any more.
pub async fn remove(conn: &mut Conn, secret: SecretId) -> Result<()> {
    sqlx::query!(
        "update build_secrets set removed_at = clock_timestamp() where id = $1 and removed_at is null",
        secret.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who reads the repository of a service, at one host.
#[derive(Clone)]
pub struct Login {
    /// `HOST:PORT`.
    pub host: String,
    pub user: GitUser,
    pub sealed: Vec<u8>,
    pub set_by: String,
    pub set_at: OffsetDateTime,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The login of a service's repository. `None`: nobody signs in.
pub async fn login(conn: &mut Conn, service: ServiceId) -> Result<Option<Login>> {
    let row = sqlx::query!(
        r#"
        select host, username, password, set_by_name, set_at
        from source_logins where service_id = $1
        "#,
        service.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Login {
            host: row.host,
            user: word(&row.username)?,
            sealed: row.password,
            set_by: row.set_by_name,
            set_at: row.set_at,
        })
    })
    .transpose()
}

/// Puts a login in the place of the one that is there.
pub async fn set_login(
    conn: &mut Conn,
    service: ServiceId,
    (host, user, sealed): (&str, &GitUser, &[u8]),
    by: UserId,
    by_name: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into source_logins (service_id, host, username, password, set_by, set_by_name)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (service_id) do update set
            host = excluded.host, username = excluded.username, password = excluded.password,
            set_by = excluded.set_by, set_by_name = excluded.set_by_name,
            set_at = clock_timestamp()
        "#,
        service.0,
        host,
        user.as_str(),
        sealed,
        by.0,
        by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody signs in any more, and the token is forgotten.
pub async fn drop_login(conn: &mut Conn, service: ServiceId) -> Result<()> {
    sqlx::query!("delete from source_logins where service_id = $1", service.0)
        .execute(conn)
        .await?;
    Ok(())
}
