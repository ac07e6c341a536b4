//! Secrets of placements: sealed values by version. Nothing here can open one.

use crate::{Conn, Result, words::word};
use domain::{
    configuration::secret::Version,
    id::{PlacementId, SecretId, UserId},
    name::VariableName,
};
use std::fmt;
use time::OffsetDateTime;

/// A version as it is kept.
#[derive(Clone)]
pub struct Sealed {
    pub version: Version,
    pub name: VariableName,
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

/// The secret of this name and its newest version, also where no configuration names it any more.
pub async fn newest(
    conn: &mut Conn,
    placement: PlacementId,
    name: &VariableName,
) -> Result<Option<Version>> {
    let row = sqlx::query!(
        r#"
        select s.id as "secret: SecretId", max(v.version) as "version!"
        from secrets s join secret_versions v on v.secret_id = s.id
        where s.placement_id = $1 and s.name = $2
        group by s.id
        "#,
        placement.0,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Version { secret: row.secret, version: row.version }))
}

/// Adds a secret without a value. The placement is locked, and has none of that name.
pub async fn add(
    conn: &mut Conn,
    id: SecretId,
    placement: PlacementId,
    name: &VariableName,
) -> Result<()> {
    sqlx::query!(
        "insert into secrets (id, placement_id, name) values ($1, $2, $3)",
        id.0,
        placement.0,
        name.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a version. The placement is locked.
pub async fn set(
    conn: &mut Conn,
    version: Version,
    sealed: &[u8],
    by: UserId,
    by_name: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into secret_versions (secret_id, version, sealed, set_by, set_by_name)
        values ($1, $2, $3, $4, $5)
        "#,
        version.secret.0,
        version.version,
        sealed,
        by.0,
        by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// These versions, in no order, without those that are not there.
pub async fn sealed(conn: &mut Conn, versions: &[Version]) -> Result<Vec<Sealed>> {
    if versions.is_empty() {
        return Ok(Vec::new());
    }
    let secrets: Vec<_> = versions.iter().map(|version| version.secret.0).collect();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    let rows = sqlx::query!(
        r#"
        select s.id as "secret: SecretId", s.name, v.version, v.sealed, v.set_by_name, v.set_at
        from unnest($1::uuid[], $2::integer[]) as w (secret_id, version)
        join secret_versions v on v.secret_id = w.secret_id and v.version = w.version
        join secrets s on s.id = v.secret_id
        "#,
        &secrets,
        &numbers,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sealed {
                version: Version { secret: row.secret, version: row.version },
                name: word(&row.name)?,
                value: row.sealed,
                set_by: row.set_by_name,
                set_at: row.set_at,
            })
        })
        .collect()
}
