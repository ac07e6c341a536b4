//! Images on their way to registries, and by which digest each can be fetched from where.

use crate::{Conn, Error, Result, words::word, words::words};
use domain::{
    history::Subject,
    id::{NodeId, PushId, RegistryId, ReleaseId, UserId},
    name::{ContentId, Digest, ImageTag, ReleaseName, Repository},
    registry::{Progress, PushRow, PushState, StoredDigest},
};

/// A push to begin.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: PushId,
    pub release: ReleaseId,
    pub registry: RegistryId,
    pub repository: &'a Repository,
    pub tags: &'a [ImageTag],
    pub by: UserId,
    pub by_name: &'a str,
}

/// Queues a push. Refused by `pushes_one_open` while one of the release is not over.
pub async fn add(conn: &mut Conn, new: &New<'_>) -> Result<()> {
    let tags: Vec<String> = new.tags.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"
        insert into pushes (id, release_id, registry_id, repository, tags, state, asked_by, asked_by_name)
        values ($1, $2, $3, $4, $5, 'waiting', $6, $7)
        "#,
        new.id.0,
        new.release.0,
        new.registry.0,
        new.repository.as_str(),
        &tags,
        new.by.0,
        new.by_name,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "push").await
}

/// Who pushes a release now.
pub async fn open(conn: &mut Conn, release: ReleaseId) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        "select asked_by_name from pushes where release_id = $1 and ended_at is null",
        release.0,
    )
    .fetch_optional(conn)
    .await?)
}

/// A push in the hands of the node that carries it out.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: PushId,
    pub registry: RegistryId,
    pub repository: Repository,
    pub tags: Vec<ImageTag>,
    pub image: ContentId,
    pub release: ReleaseName,
    pub subject: Subject,
    /// From 1. More than one: a node ended in the middle of it.
    pub attempt: i32,
}

/// Takes the oldest push that no living node is at, skipping those that others take now.
pub async fn take(conn: &mut Conn, node: NodeId) -> Result<Option<Taken>> {
    let row = sqlx::query!(
        r#"
        update pushes p
        set taken_by = $1, taken_at = clock_timestamp(), attempts = attempts + 1, state = 'pushing'
        from releases r
        join services s on s.id = r.service_id
        join projects j on j.id = s.project_id
        where p.id = (
            select o.id from pushes o
            where o.ended_at is null
              and not exists (
                  select from nodes n
                  where n.id = o.taken_by
                    and (n.started_at <= o.taken_at
                         and n.seen_at > clock_timestamp() - make_interval(secs => $2)))
            order by o.asked_at
            for update of o skip locked
            limit 1
        ) and r.id = p.release_id
        returning p.id as "id: PushId", p.registry_id as "registry: RegistryId", p.repository,
            p.tags, p.attempts, r.image_id, r.name as release, s.name as service, j.name as project
        "#,
        node.0,
        crate::nodes::LEASE.as_secs_f64(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Taken {
            id: row.id,
            registry: row.registry,
            repository: word(&row.repository)?,
            tags: words(&row.tags)?,
            image: word(&row.image_id)?,
            release: word(&row.release)?,
            subject: Subject {
                project: Some(word(&row.project)?),
                service: Some(word(&row.service)?),
                ..Subject::default()
            },
            attempt: row.attempts,
        })
    })
    .transpose()
}

/// Notes how far it is. False: it is somebody else's by now.
pub async fn note(conn: &mut Conn, id: PushId, node: NodeId, progress: &Progress) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update pushes set bytes = $3, of_bytes = $4, says = $5
        where id = $1 and taken_by = $2 and ended_at is null
        "#,
        id.0,
        node.0,
        signed(progress.bytes),
        signed(progress.of_bytes),
        progress.says,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends it, with the registry's digest or with why not. False: it is somebody else's by now.
pub async fn end(
    conn: &mut Conn,
    id: PushId,
    node: NodeId,
    came: std::result::Result<&Digest, &str>,
) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update pushes
        set state = case when $3::text is null then 'failed' else 'pushed' end,
            digest = $3, why = $4, says = '', bytes = case when $3::text is null then bytes else of_bytes end,
            ended_at = clock_timestamp()
        where id = $1 and taken_by = $2 and ended_at is null
        "#,
        id.0,
        node.0,
        came.ok().map(Digest::as_str),
        came.err(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The newest pushes of a release, newest first.
pub async fn of_release(conn: &mut Conn, release: ReleaseId, at_most: i64) -> Result<Vec<PushRow>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: PushId", repository, tags, state, bytes, of_bytes, says, digest, why,
            asked_by_name, asked_at, ended_at
        from pushes where release_id = $1 order by asked_at desc limit $2
        "#,
        release.0,
        at_most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = PushState::ALL.into_iter().find(|state| state.as_str() == row.state);
            Ok(PushRow {
                id: row.id,
                repository: word(&row.repository)?,
                tags: words(&row.tags)?,
                state: state.ok_or_else(|| Error::unreadable("state of a push", &row.state))?,
                progress: Progress {
                    bytes: u64::try_from(row.bytes).unwrap_or(0),
                    of_bytes: u64::try_from(row.of_bytes).unwrap_or(0),
                    says: row.says,
                },
                digest: row.digest.as_deref().map(word).transpose()?,
                why: row.why,
                by: row.asked_by_name,
                asked_at: row.asked_at,
                ended_at: row.ended_at,
            })
        })
        .collect()
}

/// Remembers by which digest an image can be fetched from a repository. `how` is `pushed` or
/// `pulled`.
pub async fn remember_digest(
    conn: &mut Conn,
    image: &ContentId,
    repository: &Repository,
    digest: &Digest,
    how: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into image_digests (image_id, repository, digest, how) values ($1, $2, $3, $4)
        on conflict (image_id, repository) do update
        set digest = excluded.digest, how = excluded.how, at = clock_timestamp()
        where image_digests.digest <> excluded.digest
        "#,
        image.as_str(),
        repository.as_str(),
        digest.as_str(),
        how,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// From where an image can be fetched, the newest first, at most 20.
pub async fn digests(conn: &mut Conn, image: &ContentId) -> Result<Vec<StoredDigest>> {
    let rows = sqlx::query!(
        r#"
        select repository, digest, how, at from image_digests
        where image_id = $1 order by at desc, repository limit 20
        "#,
        image.as_str(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StoredDigest {
                repository: word(&row.repository)?,
                digest: word(&row.digest)?,
                how: row.how,
                at: row.at,
            })
        })
        .collect()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
