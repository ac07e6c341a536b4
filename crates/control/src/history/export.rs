//! Taking the history away: exactly what is filtered, as CSV for people or JSON Lines for a proof.
//!
//! Rows are read in batches, so a slow download holds no connection. A filtered export says that it
//! is an extract: gaps in it prove nothing.

use super::role;
use crate::{Asked, Control, OrProblem, Place, hex};
use domain::{
    error::Problem,
    history::{Deed, Subject},
    role::{Action, Scope},
    view::HistoryFilter,
};
use futures::{StreamExt, stream, stream::BoxStream};
use serde_json::json;
use store::history::{self, Exported, Head, Selection, Stored};
use time::format_description::well_known::Rfc3339;

/// Rows read at once: some hundreds of KiB.
const BATCH: i64 = 500;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a spreadsheet.
    Csv,
    /// Each row with its exact bytes, for `pilothouse history verify FILE`.
    JsonLines,
}

impl Format {
    /// From the ending of a file's name.
    #[must_use]
    pub fn of(ending: &str) -> Option<Self> {
        match ending {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The ending of the file's name.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    /// What a browser is told it is.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

/// An export that has begun: its row is in the history.
pub struct Export {
    /// `pilothouse-history-1234.csv`, or `…-extract-…`.
    pub file_name: String,
    pub media_type: &'static str,
    /// Pieces of the file. An error ends it early: a JSON Lines file then lacks its last line.
    pub pieces: BoxStream<'static, store::Result<String>>,
}

impl Control {
    /// Begins an export of what the filter shows, up to now. It is a row of the history itself, which
    /// is not in the export.
    pub async fn export_history(
        &self,
        asked: &Asked,
        filter: HistoryFilter,
        format: Format,
    ) -> Result<Export, Problem> {
        let origin = &asked.origin;
        let grants = asked.actor.grants();
        // In the widest place where he may read the history; where there is none, a refusal.
        let scope = grants
            .iter()
            .filter(|grant| grant.role.allows(Action::HistoryView, false.into()))
            .map(|grant| grant.scope)
            .min_by_key(|scope| (scope.project().is_some(), scope.environment().is_some()))
            .unwrap_or(Scope::Everything);
        let place = Place { scope, ..Place::everything() };
        let permit = self.permit(asked, Action::HistoryView, &place).await?;

        let whole = filter == HistoryFilter::default() && scope == Scope::Everything;
        let mut tx = self.begin(origin).await?;
        let head = history::head(&mut tx).await.or_problem(origin)?;
        let now = store::now(&mut tx).await.or_problem(origin)?;
        let selection = Selection::new(&asked.actor.windows(), &filter, now);
        let rows = history::count(&mut tx, &selection, head.number).await.or_problem(origin)?;
        let deed = Deed::HistoryExported { rows, format: format.ending().to_owned() };
        self.commit(tx, origin, &[asked.entry(&permit, Subject::default(), deed)]).await?;

        let first = match format {
            Format::Csv => format!("\u{feff}{}\r\n", COLUMNS.join(",")),
            Format::JsonLines => line(&json!({
                "pilothouse_history": 1,
                "part": part(whole),
                "filter": filter,
                "exported_at": now.format(&Rfc3339).unwrap_or_default(),
                "head": head.number,
                "head_hash": hex::encode(&head.hash),
            })),
        };
        let last = match format {
            Format::Csv => String::new(),
            Format::JsonLines => line(&json!({ "rows": rows })),
        };
        let body = self.clone().batches(selection, head, move |row| match format {
            Format::Csv => csv_row(row, whole),
            Format::JsonLines => json_row(row),
        });
        let label = if whole { "" } else { "extract-" };
        Ok(Export {
            file_name: format!("pilothouse-history-{label}{}.{}", head.number, format.ending()),
            media_type: format.media_type(),
            pieces: stream::once(async { Ok(first) })
                .chain(body)
                .chain(stream::once(async { Ok(last) }).filter(|last| {
                    let some = last.as_ref().is_ok_and(|last: &String| !last.is_empty());
                    async move { some }
                }))
                .boxed(),
        })
    }

    fn batches(
        self,
        selection: Selection,
        head: Head,
        write: impl Fn(&Exported) -> String + Send + 'static,
    ) -> BoxStream<'static, store::Result<String>> {
        let start = Some((self, selection, write, 0));
        stream::try_unfold(start, move |state| async move {
            let Some((control, selection, write, after)) = state else { return Ok(None) };
            let mut conn = control.pool.acquire().await?;
            let rows = history::export(&mut conn, &selection, after, head.number, BATCH).await?;
            drop(conn);
            let Some(last) = rows.last() else { return Ok(None) };
            let next = last.row.number;
            let piece = rows.iter().map(&write).collect::<String>();
            Ok(Some((piece, Some((control, selection, write, next)))))
        })
        .boxed()
    }
}

const fn part(whole: bool) -> &'static str {
    if whole { "whole" } else { "extract" }
}

fn line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}

/// The body is a string, so that its exact bytes come out again.
fn json_row(exported: &Exported) -> String {
    let row = &exported.row;
    // Bytes that are no text were tampered with: what stands here then does not fit the hash either.
    let body = String::from_utf8_lossy(&row.body);
    line(&json!({
        "number": row.number,
        "version": row.version,
        "previous": hex::encode(&exported.previous),
        "hash": hex::encode(&row.hash),
        "body": body,
    }))
}

const COLUMNS: [&str; 17] = [
    "number",
    "part",
    "time",
    "who",
    "role",
    "project",
    "environment",
    "service",
    "what",
    "result",
    "reason",
    "changes",
    "rollout",
    "address",
    "agent",
    "request",
    "hash",
];

fn csv_row(exported: &Exported, whole: bool) -> String {
    let row = &exported.row;
    let Ok(entry) = row.entry() else { return csv_unreadable(row, whole) };
    let name = |name: &Option<domain::name::Name>| {
        name.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let changes = entry
        .changes
        .iter()
        .map(|change| {
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
            format!("{}: {} to {}", change.what, side(&change.before), side(&change.after))
        })
        .collect::<Vec<_>>()
        .join("; ");
    let origin = entry.origin.as_ref();
    let fields: [String; COLUMNS.len()] = [
        row.number.to_string(),
        part(whole).to_owned(),
        entry.at.format(&Rfc3339).unwrap_or_default(),
        entry.by.name(),
        role(&entry.by).unwrap_or_default(),
        name(&entry.subject.project),
        name(&entry.subject.environment),
        name(&entry.subject.service),
        entry.sentence().to_text(),
        entry.result().0,
        entry.reason.clone().unwrap_or_default(),
        changes,
        entry.subject.rollout.map(|rollout| rollout.to_string()).unwrap_or_default(),
        origin.map(|origin| origin.address.clone()).unwrap_or_default(),
        origin.map(|origin| origin.agent.clone()).unwrap_or_default(),
        origin.map(|origin| origin.request.clone()).unwrap_or_default(),
        hex::encode(&row.hash),
    ];
    csv_line(&fields)
}

/// A row that was tampered with is in the file too, as what it is.
fn csv_unreadable(row: &Stored, whole: bool) -> String {
    let mut fields = [const { String::new() }; COLUMNS.len()];
    fields[0] = row.number.to_string();
    fields[1] = part(whole).to_owned();
    fields[2] = row.at.format(&Rfc3339).unwrap_or_default();
    fields[8] = row.shown().sentence.to_text();
    fields[16] = hex::encode(&row.hash);
    csv_line(&fields)
}

fn csv_line(fields: &[String; COLUMNS.len()]) -> String {
    format!("{}\r\n", fields.each_ref().map(|field| csv_field(field)).join(","))
}

/// Quoted where it must be, and never a formula: spreadsheets run what begins with these. What would
/// steer a terminal is escaped.
fn csv_field(text: &str) -> String {
    let text = text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\t' | '\n' | '\r' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    });
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', '\n', '\r']) || formula {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::csv_field;

    #[test]
    fn a_cell_is_never_a_formula_and_never_breaks_out() {
        assert_eq!(csv_field("plain words"), "plain words");
        assert_eq!(csv_field("a,b"), "\"a,b\"");
        assert_eq!(csv_field("say \"so\""), "\"say \"\"so\"\"\"");
        assert_eq!(csv_field("A=\u{1b}[31mred"), "A=\\u{1b}[31mred");
        for start in ["=", "+", "-", "@", "\t", "\r", "\n"] {
            let cell = csv_field(&format!("{start}cmd|' /C calc'!A0"));
            assert!(cell.starts_with("\"'"), "{cell}");
        }
    }
}
