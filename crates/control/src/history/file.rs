//! Proving an exported file, offline: no database, only what is in the file.
//!
//! A whole history is proven from its first row to the head that the file names. In an extract each
//! row is proven against the hash before it; that no row was left out can not be told.

use crate::hex;
use domain::history::{Broken, GENESIS, Hash, Link, Prover, chain};
use serde::Deserialize;
use std::io::{self, BufRead, Read};

/// A line is at most this long: a row is some KiB.
const LONGEST: u64 = 4 << 20;

/// What a file proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileProof {
    pub rows: i64,
    /// Whether it is the whole history up to its head, or an extract.
    pub whole: bool,
    /// The history's last number when the file was made.
    pub head: i64,
    /// The hash of that row. A file that was cut and given another head is as whole as any: only who
    /// noted this hash elsewhere can tell.
    pub head_hash: Hash,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileBroken {
    #[error("the file can not be read")]
    Unreadable(#[source] io::Error),
    #[error("line {line} is not of an exported history")]
    Foreign { line: u64 },
    #[error("the file was cut off: it ends without its last line")]
    CutOff,
    #[error("the file says it has {said} rows and has {found}")]
    Count { said: i64, found: i64 },
    #[error(transparent)]
    Chain(#[from] Broken),
}

#[derive(Deserialize)]
struct First {
    pilothouse_history: u32,
    part: String,
    head: i64,
    head_hash: String,
}

#[derive(Deserialize)]
struct Line {
    number: i64,
    version: i16,
    previous: String,
    hash: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    rows: i64,
}

/// Proves a JSON Lines file, line by line.
pub fn prove_file(mut file: impl BufRead) -> Result<FileProof, FileBroken> {
    let mut lines = 0;
    let first = next_line(&mut file, &mut lines)?.ok_or(FileBroken::CutOff)?;
    let first: First = read(&first, lines)?;
    if first.pilothouse_history != 1 {
        return Err(FileBroken::Foreign { line: lines });
    }
    let head_hash = hash(&first.head_hash, lines)?;
    let whole = first.part == "whole";
    let mut prover = Prover::after(0, GENESIS);
    let mut rows = 0;
    let mut before = 0;
    loop {
        let text = next_line(&mut file, &mut lines)?.ok_or(FileBroken::CutOff)?;
        if let Ok(last) = serde_json::from_slice::<Last>(&text) {
            if last.rows != rows {
                return Err(FileBroken::Count { said: last.rows, found: rows });
            }
            break;
        }
        let line: Line = read(&text, lines)?;
        let previous = hash(&line.previous, lines)?;
        let link = Link {
            number: line.number,
            version: line.version,
            hash: hash(&line.hash, lines)?,
            body: line.body.into_bytes(),
        };
        if whole {
            prover.prove(&link)?;
        } else {
            prove_alone(&link, &previous, before)?;
        }
        before = link.number;
        rows += 1;
    }
    if whole {
        prover.end(first.head, &head_hash)?;
    }
    if next_line(&mut file, &mut lines)?.is_some() {
        return Err(FileBroken::Foreign { line: lines });
    }
    Ok(FileProof { rows, whole, head: first.head, head_hash })
}

fn prove_alone(link: &Link, previous: &Hash, before: i64) -> Result<(), Broken> {
    let right = chain(link.version, link.number, previous, &link.body) == link.hash;
    if right && link.number > before {
        Ok(())
    } else {
        Err(Broken::Changed { number: link.number })
    }
}

fn next_line(file: &mut impl BufRead, lines: &mut u64) -> Result<Option<Vec<u8>>, FileBroken> {
    let mut text = Vec::new();
    let read = file.take(LONGEST).read_until(b'\n', &mut text).map_err(FileBroken::Unreadable)?;
    if read == 0 {
        return Ok(None);
    }
    *lines += 1;
    // A line without its end was cut, or is longer than any of ours.
    if text.pop() == Some(b'\n') { Ok(Some(text)) } else { Err(FileBroken::CutOff) }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8], line: u64) -> Result<T, FileBroken> {
    serde_json::from_slice(text).map_err(|_| FileBroken::Foreign { line })
}

fn hash(text: &str, line: u64) -> Result<Hash, FileBroken> {
    hex::decode(text).ok_or(FileBroken::Foreign { line })
}
