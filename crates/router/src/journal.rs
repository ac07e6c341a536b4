//! The append-only journal of switches by hand, one JSON object a line.
//!
//! Written and synced before the switch it tells of. The control plane reads it and enters what it
//! finds into the history; nothing here is ever changed or removed.

use anyhow::Context;
use domain::route::{Journal, JournalEntry};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tracing::warn;

const FILE: &str = "journal.jsonl";

/// The journal in a state directory.
#[derive(Clone, Debug)]
pub struct JournalFile {
    path: PathBuf,
}

impl JournalFile {
    /// The journal in `state_dir`, which need not exist yet.
    pub fn of(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE) }
    }

    /// The number the next entry gets.
    pub fn next_number(&self) -> anyhow::Result<u64> {
        Ok(self.entries()?.last().map_or(1, |entry| entry.number + 1))
    }

    /// Appends an entry and syncs it.
    pub fn append(&self, entry: &JournalEntry) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // A line that a crash cut short stays as it is; ours begins on a line of its own.
        if !self.ends_whole()? {
            line.insert(0, b'\n');
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)
            .context("opening the journal")?;
        file.write_all(&line).context("writing the journal")?;
        file.sync_all().context("syncing the journal")?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all().context("syncing the state directory")?;
        }
        Ok(())
    }

    /// The entries with greater numbers than `after`, a page of them.
    pub fn after(&self, after: u64) -> anyhow::Result<Journal> {
        let mut entries = self.entries()?;
        entries.retain(|entry| entry.number > after);
        let more = entries.len() > Journal::PAGE;
        entries.truncate(Journal::PAGE);
        Ok(Journal { entries, more })
    }

    /// All of it: people write it by hand, so it stays short.
    fn entries(&self) -> anyhow::Result<Vec<JournalEntry>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).context("opening the journal"),
        };
        let mut entries = Vec::new();
        for (at, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.context("reading the journal")?;
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(entry) => entries.push(entry),
                Err(e) => warn!(line = at + 1, error = %e, "Skipping a line of the journal"),
            }
        }
        Ok(entries)
    }

    fn ends_whole(&self) -> anyhow::Result<bool> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(bytes.is_empty() || bytes.ends_with(b"\n")),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
            Err(e) => Err(e).context("reading the journal"),
        }
    }
}
