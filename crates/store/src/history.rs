//! The history: appended to at the end of every transaction that does something, read by number.
//!
//! What a row means and how rows are proven is `domain::history`'s. Number, time and hash come from
//! the function `history_append` in the database, where the head row is locked last.

mod pages;
mod proving;

pub use pages::{
    Exported, FilterLists, Selection, Window, after, count, export, filter_lists, of_build,
    of_rollout, page,
};
pub use proving::{grants_protect_history, prove};

use crate::{Conn, Error, Result, Tx};
use domain::{
    history::{
        By, Change, Deed, Entry, Hash, Origin, Subject, VERSION, Visibility,
        sentence::{Sentence, Tone, Word},
    },
    live::Row,
};
use serde::Serialize;
use time::OffsetDateTime;

/// A row to be written. Its time is the database's, taken where its number is.
#[derive(Clone, Debug, Serialize)]
pub struct NewEntry {
    pub by: By,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    #[serde(flatten)]
    pub subject: Subject,
    pub deed: Deed,
    /// What was before and what is after, where something was edited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What the person wrote into the reason field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl NewEntry {
    /// A row about `subject`.
    #[must_use]
    pub const fn new(by: By, subject: Subject, deed: Deed) -> Self {
        Self { by, origin: None, subject, deed, changes: Vec::new(), reason: None }
    }

    /// A row of what the system does on its own.
    #[must_use]
    pub const fn engine(subject: Subject, deed: Deed) -> Self {
        Self::new(By::Engine, subject, deed)
    }

    /// With what was edited.
    #[must_use]
    pub fn with_changes(mut self, changes: Vec<Change>) -> Self {
        self.changes = changes;
        self
    }

    /// With what the person gave as the reason. An empty one is none.
    #[must_use]
    pub fn with_reason(mut self, reason: &str) -> Self {
        let reason = reason.trim();
        self.reason = (!reason.is_empty()).then(|| reason.to_owned());
        self
    }

    /// The body without its beginning, which `history_append` writes: `{"at":"…",`.
    fn to_body(&self) -> Result<String> {
        let fault = |error| Error::unreadable("history entry", error);
        let mut body = serde_json::to_string(self).map_err(fault)?;
        if body.contains("\\u0000") {
            // Postgres has no place for this character, in text or in JSON.
            let mut value = serde_json::to_value(self).map_err(fault)?;
            without_nul(&mut value);
            body = value.to_string();
        }
        body.remove(0);
        Ok(body)
    }
}

fn without_nul(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = text.replace('\0', "\u{fffd}"),
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nul),
        serde_json::Value::Object(map) => map.values_mut().for_each(without_nul),
        _ => {}
    }
}

/// What was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub number: i64,
    pub at: OffsetDateTime,
}

/// Appends rows and commits all that the transaction did with them: all of it or none.
///
/// It consumes the transaction, so nothing can be locked after the head row, and rows commit in the
/// order of their numbers.
pub async fn append_and_commit(mut tx: Tx, entries: &[NewEntry]) -> Result<Appended> {
    let visibilities = entries
        .iter()
        .map(|entry| visibility_word(entry.deed.visibility()).to_owned())
        .collect::<Vec<_>>();
    let bodies = entries.iter().map(NewEntry::to_body).collect::<Result<Vec<_>>>()?;
    let last = sqlx::query_as!(
        Appended,
        r#"select number as "number!", at as "at!" from history_append($1, $2, $3)"#,
        VERSION,
        &visibilities,
        &bodies,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::NotWritten)?;
    tx.commit().await.map_err(Error::NotWritten)?;
    Ok(last)
}

/// The last number, and what was noted when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub number: i64,
    pub hash: Hash,
}

/// Reads the head. A page reads it before its first query, so the stream goes on from there.
pub async fn head(conn: &mut Conn) -> Result<Head> {
    let row = sqlx::query!("select number, hash from history_head").fetch_one(conn).await?;
    Ok(Head { number: row.number, hash: to_hash(&row.hash)? })
}

/// A row as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub number: i64,
    pub version: i16,
    pub visibility: Visibility,
    pub project: Option<String>,
    pub environment: Option<String>,
    pub at: OffsetDateTime,
    pub body: Vec<u8>,
    pub hash: Hash,
}

impl Stored {
    /// What the row says.
    pub fn entry(&self) -> Result<Entry> {
        if self.version != VERSION {
            let why = format!("row {} has version {}", self.number, self.version);
            return Err(Error::unreadable("history row", why));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::unreadable("history row", format!("row {}: {error}", self.number))
        })
    }

    /// The row as lists and the live stream carry it.
    pub fn row(&self) -> Result<Row> {
        Ok(row_of(self.number, &self.entry()?))
    }

    /// The row for a page, which shows also one that can not be read: somebody tampered with it, or
    /// a newer program wrote it. A page that failed instead would hide all the others.
    #[must_use]
    pub fn shown(&self) -> Row {
        self.row().unwrap_or_else(|_| {
            let text = "This row can not be read. Prove the history to see whether it was changed.";
            Row {
                number: self.number,
                at: self.at,
                sentence: Sentence(vec![Word::Plain(text.to_owned())]),
                result: "unreadable".to_owned(),
                tone: Tone::Red,
                environment: self.environment.clone(),
                placement: None,
                rollout: None,
                phase: None,
                build: None,
            }
        })
    }
}

/// An entry as lists and the live stream carry it.
#[must_use]
pub fn row_of(number: i64, entry: &Entry) -> Row {
    let (result, tone) = entry.result();
    let phase = match &entry.deed {
        Deed::RolloutEntered { phase, .. } | Deed::RolloutErrored { phase, .. } => Some(*phase),
        _ => None,
    };
    Row {
        number,
        at: entry.at,
        sentence: entry.sentence(),
        result,
        tone,
        environment: entry.subject.environment.as_ref().map(ToString::to_string),
        placement: entry.subject.placement,
        rollout: entry.subject.rollout,
        phase,
        build: entry.deed.build(),
    }
}

const fn visibility_word(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::View => "view",
        Visibility::HistoryView => "history_view",
    }
}

fn to_hash(bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| Error::unreadable("hash", format!("{} bytes", bytes.len())))
}
