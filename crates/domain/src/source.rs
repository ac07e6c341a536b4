//! Where an image is made from: a git repository, a commit in it, and the recipe in that.
//!
//! All of it is typed by people, so each part is a type that only its parser can make, and the
//! parser is what keeps options, links and paths from being something else than a name. What the
//! words point to is only known by asking the repository; that is for `targets`.

pub mod ignore;
pub mod recipe;
mod url;

pub use recipe::{ArgumentName, FilePath, Folder, Platform, Recipe, RecipeGuess, StageName};
pub use url::GitUrl;

use crate::name::{Wrong, words};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};
use time::OffsetDateTime;

/// The most branches, and the most tags, that are offered.
pub const REFS_OFFERED: usize = 500;

/// The longest subject of a commit that is kept, in characters.
pub const SUBJECT_KEPT: usize = 200;

words! {
    /// Name of a branch or a tag, as git allows it and a little narrower: at most 200 characters of
    /// letters, digits and `. _ - / + @ #`. Never begins with a dash, so it can not be an option.
    RefName = |typed| {
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > 200 {
            return Err(Wrong::new("The name of a branch or tag has 1 to 200 characters."));
        }
        let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | '@' | '#');
        if let Some(odd) = typed.chars().find(|c| !good(*c)) {
            return Err(Wrong::new(format!("“{}” can not be in the name of a branch or tag here.", odd.escape_default())));
        }
        if typed.starts_with(['-', '/', '.', '@']) || typed.ends_with(['/', '.']) {
            return Err(Wrong::new("The name of a branch or tag begins with a letter or digit, and does not end with / or a full stop."));
        }
        let parts_are_good = typed.split('/').all(|part| {
            !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock")
        });
        if typed.contains("..") || typed.contains("@{") || !parts_are_good {
            return Err(Wrong::new("That can not be the name of a branch or tag: git does not allow it."));
        }
        Ok(typed.to_owned())
    };

    /// A commit, in full: 40 hexadecimal digits, or 64 in a repository with SHA-256.
    Commit = |typed| {
        let typed = typed.trim().to_ascii_lowercase();
        let is_hex = typed.bytes().all(|b| b.is_ascii_hexdigit());
        match typed.len() {
            40 | 64 if is_hex => Ok(typed),
            4..40 if is_hex => Err(Wrong::new("A commit is written in full, with its 40 digits: git servers do not look up short ones.")),
            _ => Err(Wrong::new("A commit is 40 hexadecimal digits.")),
        }
    };
}

impl Commit {
    /// The first eight digits, as people see it and as a release without a tag is named.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.as_str()[..8]
    }
}

/// What is to be built of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum GitRef {
    Branch(RefName),
    Tag(RefName),
    Commit(Commit),
    /// As typed, without saying which: the branch of that name, else the tag.
    Named(RefName),
}

impl FromStr for GitRef {
    type Err = Wrong;

    /// Reads `refs/heads/…`, `refs/tags/…`, a full commit, or a plain name.
    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        if let Some(branch) = typed.strip_prefix("refs/heads/") {
            return branch.parse().map(Self::Branch);
        }
        if let Some(tag) = typed.strip_prefix("refs/tags/") {
            return tag.parse().map(Self::Tag);
        }
        if typed.starts_with("refs/") {
            return Err(Wrong::new(
                "Only branches and tags can be built: refs/heads/… or refs/tags/…",
            ));
        }
        let is_hex = typed.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && matches!(typed.len(), 40 | 64) {
            return typed.parse().map(Self::Commit);
        }
        typed.parse().map(Self::Named)
    }
}

/// Reads back as the same by [`GitRef::from_str`].
impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "refs/heads/{name}"),
            Self::Tag(name) => write!(f, "refs/tags/{name}"),
            Self::Commit(commit) => commit.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl GitRef {
    /// As people say it: "main", "v1.2.0", "3f2a9c01".
    #[must_use]
    pub fn short(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) | Self::Named(name) => name.as_str(),
            Self::Commit(commit) => commit.short(),
        }
    }
}

/// What a repository offers, at most [`REFS_OFFERED`] of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refs {
    /// The branch that is meant where nobody names one. `None`: the repository is empty, or says none.
    pub default: Option<RefName>,
    /// The default one first, then by name.
    pub branches: Vec<Offered>,
    /// The newest version first, as far as their names tell.
    pub tags: Vec<Offered>,
    /// Branches and tags there are beyond those offered, or whose name we do not build.
    pub left_out: u32,
}

/// One branch or tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    pub name: RefName,
    pub commit: Commit,
}

impl Refs {
    /// Sorts and bounds what a repository said.
    #[must_use]
    pub fn new(
        default: Option<RefName>,
        mut branches: Vec<Offered>,
        mut tags: Vec<Offered>,
    ) -> Self {
        branches.sort_by(|a, b| {
            let is_default = |one: &Offered| Some(&one.name) == default.as_ref();
            is_default(b).cmp(&is_default(a)).then_with(|| a.name.cmp(&b.name))
        });
        tags.sort_by_key(|tag| std::cmp::Reverse(version_of(&tag.name)));
        let over = |list: &Vec<Offered>| list.len().saturating_sub(REFS_OFFERED);
        let left_out = u32::try_from(over(&branches) + over(&tags)).unwrap_or(u32::MAX);
        branches.truncate(REFS_OFFERED);
        tags.truncate(REFS_OFFERED);
        Self { default, branches, tags, left_out }
    }
}

/// Orders `v1.10.0` after `v1.9.0`: numbers by value, the rest as text. A version without a suffix
/// comes after the same one with a suffix, as `1.0.0` after `1.0.0-rc1`.
fn version_of(name: &RefName) -> (Vec<u64>, bool, String) {
    let plain = name.as_str().trim_start_matches(['v', 'V']);
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let (numbers, suffix) = plain.split_at(end);
    let numbers = numbers.split('.').filter_map(|part| part.parse().ok()).collect();
    (numbers, suffix.is_empty(), suffix.to_owned())
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    pub commit: Commit,
    /// First line of its message, at most [`SUBJECT_KEPT`] characters. Text of a stranger.
    pub subject: String,
    /// Name of its author, as the commit says it. Text of a stranger.
    pub author: String,
    /// When it was committed, by the committer's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Tags that point at it, the newest version first, at most 20.
    pub tags: Vec<RefName>,
    /// The branch it was fetched by, where it was.
    pub branch: Option<RefName>,
}

#[cfg(test)]
mod tests;
