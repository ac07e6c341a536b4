//! A build makes an image of a source at a commit, and a release of that image.
//!
//! Two things move a build. A person asks for it, or asks that it stops; what was asked is stored on
//! it. The engine does one thing at a time and takes a [`step`] with what came of it. Which phase
//! follows is decided there, for the engine that works and for the one that finds a build whose
//! engine died.
//!
//! ```text
//! queued -> fetching -> building -> pushing? -> succeeded
//!
//! queued and later:   a person says stop               -> cancelled
//! fetching and later: it can not be done, or takes too long -> failed { step, why }
//! fetching and later: its engine died, and left no image    -> interrupted
//! ```
//!
//! `pushing` is entered only where the service names a repository. A build that succeeded has made a
//! release, in the same transaction.

pub mod given;
pub mod log;
pub mod step;
pub mod view;

use crate::{
    name::{ContentId, ReleaseName, Wrong},
    release::free_name,
    source::{Commit, GitRef, GitUrl, Recipe},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};
use time::OffsetDateTime;

/// What all builds of a project may take together before the page says that it is too much.
pub const PROJECT_BUDGET: Duration = Duration::from_secs(10 * 60);

/// How large an image may be before its release says so, where the service does not say otherwise.
pub const SIZE_BUDGET_BYTES: u64 = 500 << 20;

/// How many builds back trends are drawn.
pub const TREND: usize = 30;

/// Where a build stands, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked for. So many run at a time; the others wait in their order.
    Queued,
    /// The commit is found out and its files are brought here.
    Fetching,
    /// The recipe is carried out.
    Building,
    /// The image goes to the service's repository.
    Pushing,
    /// There is an image, and a release of it.
    Succeeded,
    Failed,
    Cancelled,
    /// Its engine died, and nobody knows how far it would have come.
    Interrupted,
}

impl Phase {
    /// All of them, in the order of the drawing above.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Fetching,
        Self::Building,
        Self::Pushing,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Fetching => "fetching",
            Self::Building => "building",
            Self::Pushing => "pushing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// It never moves again.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Interrupted)
    }

    /// Somebody is at it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Fetching | Self::Building | Self::Pushing)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no phase.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("A build is queued, fetching, building, pushing, or has ended.")]
pub struct NotAPhase;

impl FromStr for Phase {
    type Err = NotAPhase;

    fn from_str(word: &str) -> Result<Self, NotAPhase> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word).ok_or(NotAPhase)
    }
}

/// Why a build did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What it was at: "[3/5] RUN make". Nothing where it did not come as far as a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// A sentence.
    pub why: String,
}

/// Where the code of a service is, and how an image is made of it. For the next build: each build
/// carries what this was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub url: GitUrl,
    /// What is built when nothing else is asked for.
    pub default_ref: GitRef,
    pub recipe: Recipe,
    /// A larger image is a finding on its release.
    pub size_budget_bytes: u64,
}

impl Source {
    /// Refuses what the types alone can not.
    pub fn checked(self) -> Result<Self, Wrong> {
        if !(1 << 20..=1_u64 << 40).contains(&self.size_budget_bytes) {
            return Err(Wrong::new("The size budget is 1 MiB to 1 TiB."));
        }
        self.recipe.check()?;
        Ok(self)
    }
}

/// One step of a recipe, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStep {
    /// Counted from 1 in the order in which they began; lines of the log name it.
    pub number: u32,
    /// "[3/5] RUN make".
    pub name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Nothing while it runs.
    pub took_ms: Option<u64>,
    /// Nothing was done: what an earlier build left was taken.
    pub cached: bool,
    /// Why it failed, where it did.
    pub failed: Option<String>,
}

/// How many steps there were, and how many of them an earlier build had left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCount {
    pub steps: u32,
    pub cached: u32,
}

impl StepCount {
    /// Of some steps.
    #[must_use]
    pub fn of(steps: &[BuildStep]) -> Self {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            steps: count(steps.len()),
            cached: count(steps.iter().filter(|step| step.cached).count()),
        }
    }
}

/// The name of a release that was built: the tag, else the short commit; `-2` and so on where taken.
///
/// What a release's name can not have in it becomes a dash; a tag of which nothing is left is none.
pub fn name_for(
    tag: Option<&str>,
    commit: &Commit,
    taken: &[String],
) -> Result<ReleaseName, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let tag = tag.map(|tag| {
        let tag: String = tag.chars().map(|c| if fits(c) { c } else { '-' }).take(58).collect();
        tag.trim_start_matches(['_', '.', '-', '+']).to_owned()
    });
    match tag.filter(|tag| !tag.is_empty()) {
        Some(tag) => free_name(&tag, taken),
        None => free_name(commit.short(), taken),
    }
}

/// What is to be said of an image's size where it is over the budget: for the release's findings.
#[must_use]
pub const fn is_over(size_bytes: u64, budget_bytes: u64) -> bool {
    size_bytes > budget_bytes
}

/// What a build made, once there is an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub image: ContentId,
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_release_is_named_by_its_tag_else_by_its_commit() {
        let commit: Commit = "0123456789abcdef0123456789abcdef01234567".parse().expect("good");
        let name = |tag: Option<&str>, taken: &[&str]| {
            let taken: Vec<String> = taken.iter().map(|t| (*t).to_owned()).collect();
            name_for(tag, &commit, &taken).expect("good").to_string()
        };

        assert_eq!(name(Some("v1.8.2"), &[]), "v1.8.2");
        assert_eq!(name(Some("v1.8.2"), &["v1.8.2", "v1.8.2-2"]), "v1.8.2-3");
        assert_eq!(name(Some("api/v1.8.2"), &[]), "api-v1.8.2");
        assert_eq!(name(Some("-/-"), &[]), commit.short());
        assert_eq!(name(None, &[commit.short()]), format!("{}-2", commit.short()));
        assert!(name(Some(&"ä".repeat(200)), &[]).len() <= 63);
    }

    #[test]
    fn every_phase_is_its_word() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
            assert!(!(phase.is_end() && phase.is_active()), "{phase}");
        }
        assert_eq!("done".parse::<Phase>(), Err(NotAPhase));
    }
}
