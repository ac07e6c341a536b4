//! Registries with their sealed passwords, and where the images of each service go.

use crate::{Conn, Result, words::word, words::words};
use domain::{
    id::{PlacementId, RegistryId, ServiceId, UserId},
    name::{Name, RegistryAddress, RegistryUser, Repository},
    registry::{MOST, PushRule},
};
use time::OffsetDateTime;

/// A registry that is used.
#[derive(Clone, Debug)]
pub struct Registry {
    pub id: RegistryId,
    pub name: Name,
    pub address: RegistryAddress,
    /// Who signs in there, with the password as it is sealed. `None`: nobody does.
    pub login: Option<Login>,
    pub set_by: String,
    pub set_at: OffsetDateTime,
}

/// A user and a password that only the vault can read.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: RegistryUser,
    pub sealed: Vec<u8>,
}

struct Raw {
    id: RegistryId,
    name: String,
    address: String,
    username: Option<String>,
    password: Option<Vec<u8>>,
    set_by: String,
    set_at: OffsetDateTime,
}

impl TryFrom<Raw> for Registry {
    type Error = crate::Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let login = match raw.username.zip(raw.password) {
            Some((user, sealed)) => Some(Login { user: word(&user)?, sealed }),
            None => None,
        };
        Ok(Self {
            id: raw.id,
            name: word(&raw.name)?,
            address: word(&raw.address)?,
            login,
            set_by: raw.set_by,
            set_at: raw.set_at,
        })
    }
}

/// All that are used, by name.
pub async fn all(conn: &mut Conn) -> Result<Vec<Registry>> {
    let rows = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: RegistryId", name, address, username, password, set_by_name as set_by, set_at
        from registries where archived_at is null order by name limit $1
        "#,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// One that is used.
pub async fn load(conn: &mut Conn, id: RegistryId) -> Result<Option<Registry>> {
    let row = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: RegistryId", name, address, username, password, set_by_name as set_by, set_at
        from registries where id = $1 and archived_at is null
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The one at an address.
pub async fn by_address(conn: &mut Conn, address: &RegistryAddress) -> Result<Option<Registry>> {
    let row = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: RegistryId", name, address, username, password, set_by_name as set_by, set_at
        from registries where address = $1 and archived_at is null
        "#,
        address.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Locks one for the rest of the transaction. False: it is not used any more.
pub async fn lock(conn: &mut Conn, id: RegistryId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from registries where id = $1 and archived_at is null for update"#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// A registry to add.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: RegistryId,
    pub name: &'a Name,
    pub address: &'a RegistryAddress,
    pub login: Option<&'a Login>,
    pub by: UserId,
    pub by_name: &'a str,
}

/// Adds one. False when there are too many. Refused by `registries_one_name` and
/// `registries_one_address`.
pub async fn add(conn: &mut Conn, new: &New<'_>) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        insert into registries (id, name, address, username, password, set_by, set_by_name)
        select $1, $2, $3, $4, $5, $6, $7
        where (select count(*) from registries where archived_at is null) < $8
        "#,
        new.id.0,
        new.name.as_str(),
        new.address.as_str(),
        new.login.map(|login| login.user.as_str()),
        new.login.map(|login| login.sealed.as_slice()),
        new.by.0,
        new.by_name,
        MOST,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts other credentials in the place of those that are there, or none.
pub async fn set_login(
    conn: &mut Conn,
    id: RegistryId,
    login: Option<&Login>,
    by: UserId,
    by_name: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        update registries
        set username = $2, password = $3, set_by = $4, set_by_name = $5, set_at = clock_timestamp()
        where id = $1
        "#,
        id.0,
        login.map(|login| login.user.as_str()),
        login.map(|login| login.sealed.as_slice()),
        by.0,
        by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses it no more, and forgets its credentials.
pub async fn archive(conn: &mut Conn, id: RegistryId) -> Result<()> {
    sqlx::query!(
        r#"
        update registries
        set archived_at = clock_timestamp(), username = null, password = null
        where id = $1 and archived_at is null
        "#,
        id.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many services push to each registry.
pub async fn counts(conn: &mut Conn) -> Result<Vec<(RegistryId, i64)>> {
    let rows = sqlx::query!(
        r#"
        select r.registry_id as "registry: RegistryId", count(*) as "services!"
        from push_rules r join services s on s.id = r.service_id
        where s.archived_at is null
        group by r.registry_id
        "#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.registry, row.services)).collect())
}

/// Names of services that push to a registry, at most 5.
pub async fn pushed_to_by(conn: &mut Conn, id: RegistryId) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        r#"
        select p.name || '/' || s.name as "name!"
        from push_rules r
        join services s on s.id = r.service_id
        join projects p on p.id = s.project_id
        where r.registry_id = $1 and s.archived_at is null
        order by 1 limit 5
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?)
}

/// Where the images of a service go.
pub async fn rule(conn: &mut Conn, service: ServiceId) -> Result<Option<PushRule>> {
    let row = sqlx::query!(
        r#"
        select registry_id as "registry: RegistryId", repository, tags, after_build
        from push_rules where service_id = $1
        "#,
        service.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(PushRule {
            registry: row.registry,
            repository: word(&row.repository)?,
            tags: words(&row.tags)?,
            after_build: row.after_build,
        })
    })
    .transpose()
}

/// The repository that the images of a placement's service go to.
pub async fn rule_of_placement(
    conn: &mut Conn,
    placement: PlacementId,
) -> Result<Option<Repository>> {
    let repository = sqlx::query_scalar!(
        r#"
        select r.repository from push_rules r
        join placements p on p.service_id = r.service_id where p.id = $1
        "#,
        placement.0,
    )
    .fetch_optional(conn)
    .await?;
    repository.as_deref().map(word).transpose()
}

/// Writes where the images of a service go.
pub async fn set_rule(conn: &mut Conn, service: ServiceId, rule: &PushRule) -> Result<()> {
    let tags: Vec<String> = rule.tags.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"
        insert into push_rules (service_id, registry_id, repository, tags, after_build)
        values ($1, $2, $3, $4, $5)
        on conflict (service_id) do update set
            registry_id = excluded.registry_id, repository = excluded.repository,
            tags = excluded.tags, after_build = excluded.after_build
        "#,
        service.0,
        rule.registry.0,
        rule.repository.as_str(),
        &tags,
        rule.after_build,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// They go nowhere any more.
pub async fn drop_rule(conn: &mut Conn, service: ServiceId) -> Result<()> {
    sqlx::query!("delete from push_rules where service_id = $1", service.0).execute(conn).await?;
    Ok(())
}
