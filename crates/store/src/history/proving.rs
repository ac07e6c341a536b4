//! Proving the stored history, from its first row to its head.

use super::{Head, head, to_hash, visibility_word};
use crate::{Conn, Pool, Result};
use domain::{
    history::{Broken, By, Entry, GENESIS, Link, Prover, VERSION},
    name::Name,
};
use futures::TryStreamExt;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

/// Rows read at once while proving: some megabytes.
const BATCH: i64 = 5_000;

/// Whether the database's grants protect the history from the program itself: it signs in as a role
/// that may not change it, and is not its owner under another name.
pub async fn grants_protect_history(conn: &mut Conn) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select not bool_or(
            has_table_privilege(c.oid, 'insert, update, delete, truncate')
            or pg_has_role(c.relowner, 'member')
        ) as "protected!"
        from pg_class c
        where c.relnamespace = 'public'::regnamespace
            and (c.relname = 'history_head' or c.relname like 'history%' and c.relkind in ('r', 'p'))
        "#
    )
    .fetch_one(conn)
    .await?)
}

/// Proves every row against the one before it and the last against the head, in one snapshot.
///
/// The columns that only repeat what a body says are compared too: who changes them hides a row from
/// a filter without touching the chain.
pub async fn prove(pool: &Pool) -> Result<std::result::Result<Head, Broken>> {
    let mut tx = pool.begin_with("begin isolation level repeatable read, read only").await?;
    let head = head(&mut tx).await?;
    let mut prover = Prover::after(0, GENESIS);
    loop {
        let (from, _) = prover.head();
        match prove_batch(&mut tx, &mut prover).await? {
            Some(broken) => return Ok(Err(broken)),
            None if prover.head().0 == from => break,
            None => {}
        }
    }
    Ok(prover.end(head.number, &head.hash).map(|()| head))
}

async fn prove_batch(conn: &mut Conn, prover: &mut Prover) -> Result<Option<Broken>> {
    let (from, _) = prover.head();
    let mut rows = sqlx::query_as!(
        Proven,
        r#"
        select number, version, body, hash, visibility, kind, actor, actor_name,
            project, environment, service, placement, rollout, at
        from history
        where number > $1
        order by number
        limit $2
        "#,
        from,
        BATCH,
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let number = row.number;
        let (link, noted) = row.split()?;
        if let Err(broken) = prover.prove(&link) {
            return Ok(Some(broken));
        }
        if !noted.agrees_with(&link) {
            return Ok(Some(Broken::Changed { number }));
        }
        // Hashing is short work, but a million times of it must not hold up other requests.
        if number % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(None)
}

/// A row with everything that is stored of it.
struct Proven {
    number: i64,
    version: i16,
    body: Vec<u8>,
    hash: Vec<u8>,
    visibility: String,
    kind: String,
    actor: Option<Uuid>,
    actor_name: String,
    project: Option<String>,
    environment: Option<String>,
    service: Option<String>,
    placement: Option<Uuid>,
    rollout: Option<Uuid>,
    at: OffsetDateTime,
}

/// The columns of a row that only repeat what its body says.
struct Noted {
    visibility: String,
    kind: String,
    actor: Option<Uuid>,
    actor_name: String,
    project: Option<String>,
    environment: Option<String>,
    service: Option<String>,
    placement: Option<Uuid>,
    rollout: Option<Uuid>,
    at: OffsetDateTime,
}

impl Proven {
    fn split(self) -> Result<(Link, Noted)> {
        let link = Link {
            number: self.number,
            version: self.version,
            body: self.body,
            hash: to_hash(&self.hash)?,
        };
        let noted = Noted {
            visibility: self.visibility,
            kind: self.kind,
            actor: self.actor,
            actor_name: self.actor_name,
            project: self.project,
            environment: self.environment,
            service: self.service,
            placement: self.placement,
            rollout: self.rollout,
            at: self.at,
        };
        Ok((link, noted))
    }
}

impl Noted {
    /// A body of another version, or one that can not be read, is held by its hash alone.
    fn agrees_with(&self, link: &Link) -> bool {
        if link.version != VERSION {
            return true;
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(&link.body) else { return true };
        let (actor, name) = match &entry.by {
            By::Person { id, name, .. } => (Some(id.0), name.as_str()),
            By::Engine => (None, "engine"),
            By::Machine { .. } => (None, "machine"),
            By::Nobody => (None, "nobody"),
        };
        let subject = &entry.subject;
        let same = |column: &Option<String>, name: &Option<Name>| {
            column.as_deref() == name.as_ref().map(Name::as_str)
        };
        self.visibility == visibility_word(entry.deed.visibility())
            && self.at == entry.at
            && self.actor == actor
            && self.actor_name == name
            && same(&self.project, &subject.project)
            && same(&self.environment, &subject.environment)
            && same(&self.service, &subject.service)
            && self.placement == subject.placement.map(|placement| placement.0)
            && self.rollout == subject.rollout.map(|rollout| rollout.0)
            && serde_json::from_slice::<Kind>(&link.body).is_ok_and(|k| k.deed.did == self.kind)
    }
}

/// The word a deed is filed under.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    deed: Did<'a>,
}

#[derive(Deserialize)]
struct Did<'a> {
    did: &'a str,
}
