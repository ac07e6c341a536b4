//! Targets: how a machine or a cluster is reached, and what it said when it was asked last.

use crate::{Conn, Error, Result, words::word};
use domain::{
    id::{EnvironmentId, PlacementId, TargetId, UserId},
    name::{ImageReference, Name},
    namespace::NamespacePattern,
    target::{
        cluster::{ContextRead, Home, MOST, MOST_HOMES},
        entrance::Entrance,
    },
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// This machine's target, as it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: TargetId,
    /// "Docker, this machine".
    pub name: String,
    /// Which driver speaks to it: `docker` or `fake`.
    pub kind: String,
}

/// A target as it is stored.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: TargetId,
    pub name: String,
    pub kind: Kind,
    /// Goes up with each change of how it is reached.
    pub version: i32,
    /// Whether it answered when it was asked last.
    pub answers: Option<bool>,
    /// What it is, or why it did not answer.
    pub says: String,
    pub asked_at: Option<OffsetDateTime>,
}

/// What a target is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// This machine: its containers, images and registries.
    Machine,
    Cluster(Box<Cluster>),
}

/// How a cluster is reached.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The kubeconfig as it is sealed. `None`: the service account that we run as.
    pub credentials: Option<Vec<u8>>,
    /// Which of the contexts is used. `None`: the service account needs none.
    pub context: Option<String>,
    /// Those that the kubeconfig has.
    pub contexts: Vec<ContextRead>,
    pub namespaces: NamespacePattern,
    /// `None`: nothing comes in from outside.
    pub entrance: Option<Entrance>,
    /// What sends requests inside the cluster. `None`: the API server passes them on.
    pub probe_image: Option<ImageReference>,
    pub set_by: String,
    pub set_at: OffsetDateTime,
}

impl Known {
    /// How the cluster is reached. `None`: it is this machine.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        match &self.kind {
            Kind::Machine => None,
            Kind::Cluster(cluster) => Some(cluster),
        }
    }
}

struct Raw {
    id: TargetId,
    name: String,
    kind: String,
    version: i32,
    answers: Option<bool>,
    says: String,
    asked_at: Option<OffsetDateTime>,
    credentials: Option<Vec<u8>>,
    context: Option<String>,
    ways: Json<Vec<ContextRead>>,
    namespaces: Option<String>,
    hosts: Option<String>,
    entrance_class: Option<String>,
    certificate: Option<String>,
    probe_image: Option<String>,
    set_by: Option<String>,
    set_at: Option<OffsetDateTime>,
    added_at: OffsetDateTime,
}

impl TryFrom<Raw> for Known {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let entrance = entrance(raw.hosts, raw.entrance_class, raw.certificate)?;
        let kind = match raw.namespaces {
            Some(namespaces) if raw.kind == "kubernetes" => Kind::Cluster(Box::new(Cluster {
                credentials: raw.credentials,
                context: raw.context,
                contexts: raw.ways.0,
                namespaces: word(&namespaces)?,
                entrance,
                probe_image: raw.probe_image.as_deref().map(word).transpose()?,
                set_by: raw.set_by.unwrap_or_default(),
                set_at: raw.set_at.unwrap_or(raw.added_at),
            })),
            _ => Kind::Machine,
        };
        Ok(Self {
            id: raw.id,
            name: raw.name,
            kind,
            version: raw.version,
            answers: raw.answers,
            says: raw.says,
            asked_at: raw.asked_at,
        })
    }
}

/// How services on a target are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By names of their own, through this machine's router.
    Router,
    /// In the namespace of their project and environment; from outside where there is an entrance.
    Cluster { namespaces: NamespacePattern, entrance: Option<Entrance> },
}

/// The columns of a target that say how its services are reached.
#[derive(Clone, Debug)]
pub(crate) struct ReachColumns {
    pub namespaces: Option<String>,
    pub hosts: Option<String>,
    pub entrance_class: Option<String>,
    pub certificate: Option<String>,
}

impl TryFrom<ReachColumns> for Reach {
    type Error = Error;

    fn try_from(raw: ReachColumns) -> Result<Self> {
        let Some(namespaces) = raw.namespaces else { return Ok(Self::Router) };
        Ok(Self::Cluster {
            namespaces: word(&namespaces)?,
            entrance: entrance(raw.hosts, raw.entrance_class, raw.certificate)?,
        })
    }
}

fn entrance(
    hosts: Option<String>,
    class: Option<String>,
    certificate: Option<String>,
) -> Result<Option<Entrance>> {
    let Some(hosts) = hosts else { return Ok(None) };
    Ok(Some(Entrance {
        hosts: word(&hosts)?,
        class: class.as_deref().map(word).transpose()?,
        certificate: certificate.as_deref().map(word).transpose()?,
    }))
}

/// How services on a target are reached, which stays so until the transaction ends.
pub async fn reach(conn: &mut Conn, id: TargetId) -> Result<Option<Reach>> {
    let row = sqlx::query_as!(
        ReachColumns,
        "select namespaces, hosts, entrance_class, certificate from targets where id = $1 for share",
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// All targets that are used, oldest first.
pub async fn all(conn: &mut Conn) -> Result<Vec<Known>> {
    let rows = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: TargetId", name, kind, version, answers, says, checked_at as asked_at,
            credentials, context, ways as "ways: Json<Vec<ContextRead>>", namespaces, hosts,
            entrance_class, certificate, probe_image, set_by_name as set_by, set_at, added_at
        from targets where archived_at is null order by id limit $1
        "#,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// One that is used.
pub async fn load(conn: &mut Conn, id: TargetId) -> Result<Option<Known>> {
    let row = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: TargetId", name, kind, version, answers, says, checked_at as asked_at,
            credentials, context, ways as "ways: Json<Vec<ContextRead>>", namespaces, hosts,
            entrance_class, certificate, probe_image, set_by_name as set_by, set_at, added_at
        from targets where id = $1 and archived_at is null
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Which targets are used, and the version of each: cheap enough to look often.
pub async fn versions(conn: &mut Conn) -> Result<Vec<(TargetId, i32)>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: TargetId", version from targets where archived_at is null
        order by id limit $1
        "#,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

/// This machine, to which questions about images, builds and registries go. `None`: there is no
/// installation yet.
pub async fn machine(conn: &mut Conn) -> Result<Option<TargetId>> {
    Ok(sqlx::query_scalar!(
        r#"
        select id as "id: TargetId" from targets
        where kind <> 'kubernetes' and archived_at is null order by id limit 1
        "#,
    )
    .fetch_optional(conn)
    .await?)
}

/// Where a placement runs.
pub async fn of_placement(conn: &mut Conn, placement: PlacementId) -> Result<Option<TargetId>> {
    Ok(sqlx::query_scalar!(
        r#"
        select e.target_id as "id: TargetId" from placements p
        join environments e on e.id = p.environment_id where p.id = $1
        "#,
        placement.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// Adds this machine.
pub async fn add(conn: &mut Conn, target: &Target) -> Result<()> {
    sqlx::query!(
        "insert into targets (id, name, kind) values ($1, $2, $3)",
        target.id.0,
        target.name,
        target.kind,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A cluster to add.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: TargetId,
    pub name: &'a Name,
    pub credentials: Option<&'a [u8]>,
    pub context: Option<&'a str>,
    pub contexts: &'a [ContextRead],
    pub namespaces: &'a NamespacePattern,
    pub by: UserId,
    pub by_name: &'a str,
}

/// Adds a cluster. False: there are as many targets as there may be.
pub async fn add_cluster(conn: &mut Conn, new: &New<'_>) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        insert into targets (id, name, kind, credentials, context, ways, namespaces, set_by,
            set_by_name, set_at)
        select $1, $2, 'kubernetes', $3, $4, $5, $6, $7, $8, clock_timestamp()
        where (select count(*) from targets where archived_at is null) < $9
        "#,
        new.id.0,
        new.name.as_str(),
        new.credentials,
        new.context,
        Json(new.contexts) as _,
        new.namespaces.as_str(),
        new.by.0,
        new.by_name,
        MOST,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "target").await?;
    Ok(done.rows_affected() == 1)
}

/// Locks one for the rest of the transaction. False: it is not used any more.
pub async fn lock(conn: &mut Conn, id: TargetId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from targets where id = $1 and archived_at is null for update"#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Other credentials, with the contexts that they have.
#[derive(Clone, Debug)]
pub struct Credentials<'a> {
    pub sealed: Option<&'a [u8]>,
    pub context: Option<&'a str>,
    pub contexts: &'a [ContextRead],
    pub by: UserId,
    pub by_name: &'a str,
}

/// Puts other credentials in the place of those that are there.
pub async fn set_credentials(conn: &mut Conn, id: TargetId, new: &Credentials<'_>) -> Result<()> {
    sqlx::query!(
        r#"
        update targets set credentials = $2, context = $3, ways = $4, set_by = $5,
            set_by_name = $6, set_at = clock_timestamp(), version = version + 1, answers = null,
            says = '', checked_at = null
        where id = $1 and kind = 'kubernetes'
        "#,
        id.0,
        new.sealed,
        new.context,
        Json(new.contexts) as _,
        new.by.0,
        new.by_name,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "target").await
}

/// What can be chosen of a cluster.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    pub context: Option<&'a str>,
    pub namespaces: &'a NamespacePattern,
    pub probe_image: Option<&'a ImageReference>,
    pub entrance: Option<&'a Entrance>,
}

/// Writes what was chosen.
pub async fn choose(conn: &mut Conn, id: TargetId, chosen: &Chosen<'_>) -> Result<()> {
    let entrance = chosen.entrance;
    sqlx::query!(
        r#"
        update targets set context = $2, namespaces = $3, probe_image = $4, hosts = $5,
            entrance_class = $6, certificate = $7, version = version + 1, answers = null, says = '',
            checked_at = null
        where id = $1 and kind = 'kubernetes'
        "#,
        id.0,
        chosen.context,
        chosen.namespaces.as_str(),
        chosen.probe_image.map(ImageReference::as_str),
        entrance.map(|entrance| entrance.hosts.as_str()),
        entrance.and_then(|entrance| Some(entrance.class.as_ref()?.as_str())),
        entrance.and_then(|entrance| Some(entrance.certificate.as_ref()?.as_str())),
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "target").await
}

/// The environments on a target, in their order.
pub async fn environments(conn: &mut Conn, id: TargetId) -> Result<Vec<(EnvironmentId, String)>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: EnvironmentId", name from environments
        where target_id = $1 and archived_at is null order by position limit 100
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Uses a cluster no more, and forgets its credentials.
pub async fn archive(conn: &mut Conn, id: TargetId) -> Result<()> {
    sqlx::query!(
        r#"
        update targets set archived_at = clock_timestamp(), credentials = null,
            version = version + 1
        where id = $1 and kind = 'kubernetes' and archived_at is null
        "#,
        id.0,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "target").await
}

/// Notes whether a target answered, and what it is or why not. Writes only what is news, or a
/// minute old, and nothing of one that is reached differently by now. Returns whether it was thought
/// to answer before; `None`: it is reached differently.
pub async fn note(
    conn: &mut Conn,
    id: TargetId,
    version: i32,
    answers: bool,
    says: &str,
) -> Result<Option<bool>> {
    let before = sqlx::query_scalar!(
        "select answers from targets where id = $1 and version = $2 for no key update",
        id.0,
        version,
    )
    .fetch_optional(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        update targets set answers = $2, says = $3, checked_at = clock_timestamp()
        where id = $1
          and version = $4
          and (answers is distinct from $2 or says <> $3 or checked_at is null
               or checked_at < clock_timestamp() - interval '1 minute')
        "#,
        id.0,
        answers,
        says,
        version,
    )
    .execute(conn)
    .await?;
    // Who was never asked is not thought to be silent.
    Ok(before.map(|answered| answered.unwrap_or(true)))
}

/// For whom the pattern of a target is filled: projects in environments, those on the target first.
pub async fn homes(conn: &mut Conn, id: TargetId) -> Result<Vec<Home>> {
    let most = i64::try_from(MOST_HOMES).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"
        select j.name as project, e.name as environment, e.target_id = $1 as "is_here!"
        from environments e
        cross join projects j
        where e.archived_at is null and j.archived_at is null
        order by e.target_id = $1 desc, e.position, j.name
        limit $2
        "#,
        id.0,
        most,
    )
    .fetch_all(conn)
    .await?;
    let home = |project: &str, environment: &str, is_here| {
        Ok(Home { project: word(project)?, environment: word(environment)?, is_here })
    };
    rows.into_iter().map(|row| home(&row.project, &row.environment, row.is_here)).collect()
}
