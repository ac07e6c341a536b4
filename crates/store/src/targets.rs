//! Targets: how a machine or a cluster is reached, and what it said when it was asked last.

use crate::{Conn, Error, Result, words::word};
use domain::{
    id::{EnvironmentId, PlacementId, TargetId, UserId},
    name::{ImageReference, Name},
    namespace::NamespacePattern,
    target::cluster::MOST,
};
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
    Cluster(Cluster),
}

/// How a cluster is reached.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The kubeconfig as it is sealed. `None`: the service account that we run as.
    pub credentials: Option<Vec<u8>>,
    /// Which of the contexts is used. `None`: the service account needs none.
    pub context: Option<String>,
    /// Those that the kubeconfig has.
    pub contexts: Vec<String>,
    pub namespaces: NamespacePattern,
    /// What sends requests inside the cluster. `None`: the API server passes them on.
    pub probe_image: Option<ImageReference>,
    pub set_by: String,
    pub set_at: OffsetDateTime,
}

impl Known {
    /// How the cluster is reached. `None`: it is this machine.
    #[must_use]
    pub const fn cluster(&self) -> Option<&Cluster> {
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
    contexts: Vec<String>,
    namespaces: Option<String>,
    probe_image: Option<String>,
    set_by: Option<String>,
    set_at: Option<OffsetDateTime>,
    added_at: OffsetDateTime,
}

impl TryFrom<Raw> for Known {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let kind = match raw.namespaces {
            Some(namespaces) if raw.kind == "kubernetes" => Kind::Cluster(Cluster {
                credentials: raw.credentials,
                context: raw.context,
                contexts: raw.contexts,
                namespaces: word(&namespaces)?,
                probe_image: raw.probe_image.as_deref().map(word).transpose()?,
                set_by: raw.set_by.unwrap_or_default(),
                set_at: raw.set_at.unwrap_or(raw.added_at),
            }),
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

/// All targets that are used, oldest first.
pub async fn all(conn: &mut Conn) -> Result<Vec<Known>> {
    let rows = sqlx::query_as!(
        Raw,
        r#"
        select id as "id: TargetId", name, kind, version, answers, says, checked_at as asked_at,
            credentials, context, contexts, namespaces, probe_image, set_by_name as set_by, set_at,
            added_at
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
            credentials, context, contexts, namespaces, probe_image, set_by_name as set_by, set_at,
            added_at
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
    pub contexts: &'a [String],
    pub namespaces: &'a NamespacePattern,
    pub by: UserId,
    pub by_name: &'a str,
}

/// Adds a cluster. False: there are as many targets as there may be.
pub async fn add_cluster(conn: &mut Conn, new: &New<'_>) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        insert into targets (id, name, kind, credentials, context, contexts, namespaces, set_by,
            set_by_name, set_at)
        select $1, $2, 'kubernetes', $3, $4, $5, $6, $7, $8, clock_timestamp()
        where (select count(*) from targets where archived_at is null) < $9
        "#,
        new.id.0,
        new.name.as_str(),
        new.credentials,
        new.context,
        new.contexts,
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
    pub contexts: &'a [String],
    pub by: UserId,
    pub by_name: &'a str,
}

/// Puts other credentials in the place of those that are there.
pub async fn set_credentials(conn: &mut Conn, id: TargetId, new: &Credentials<'_>) -> Result<()> {
    sqlx::query!(
        r#"
        update targets set credentials = $2, context = $3, contexts = $4, set_by = $5,
            set_by_name = $6, set_at = clock_timestamp(), version = version + 1, answers = null,
            says = '', checked_at = null
        where id = $1 and kind = 'kubernetes'
        "#,
        id.0,
        new.sealed,
        new.context,
        new.contexts,
        new.by.0,
        new.by_name,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "target").await
}

/// Writes what can be chosen of a cluster.
pub async fn choose(
    conn: &mut Conn,
    id: TargetId,
    context: Option<&str>,
    namespaces: &NamespacePattern,
    probe_image: Option<&ImageReference>,
) -> Result<()> {
    sqlx::query!(
        r#"
        update targets set context = $2, namespaces = $3, probe_image = $4, version = version + 1,
            answers = null, says = '', checked_at = null
        where id = $1 and kind = 'kubernetes'
        "#,
        id.0,
        context,
        namespaces.as_str(),
        probe_image.map(ImageReference::as_str),
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
/// minute old, and nothing of one that is reached differently by now.
pub async fn note(
    conn: &mut Conn,
    id: TargetId,
    version: i32,
    answers: bool,
    says: &str,
) -> Result<()> {
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
    Ok(())
}

/// The namespaces that placements on a target lead to, by its pattern. What is too long is left out.
pub async fn namespaces_used(
    conn: &mut Conn,
    id: TargetId,
    pattern: &NamespacePattern,
) -> Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"
        select distinct j.name as project, e.name as environment
        from environments e
        cross join projects j
        where e.target_id = $1 and e.archived_at is null and j.archived_at is null
        order by 2, 1
        limit 20
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?;
    let mut filled = Vec::new();
    for row in rows {
        if let Ok(namespace) = pattern.fill(&word(&row.project)?, &word(&row.environment)?)
            && !filled.contains(&namespace)
        {
            filled.push(namespace);
        }
    }
    Ok(filled)
}
