//! What the pages about builds show.

use super::{BuildStep, Ending, Phase, Source, StepCount, log::BuildLog};
use crate::{
    id::{BatchId, BuildId, EnvironmentId, PlacementId, ProjectId, RolloutId, ServiceId},
    live::Row,
    name::{Name, Repository, Wrong},
    registry::tags::TagPattern,
    view::ReleaseName,
};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use time::OffsetDateTime;

/// A build in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildRow {
    pub id: BuildId,
    /// Counted from 1 in its service: people say "build 12".
    pub number: i32,
    pub project: Name,
    pub service: Name,
    pub service_id: ServiceId,
    /// The branch, tag or commit that was asked for.
    pub asked: String,
    /// Forty digits, once it is known.
    pub commit: Option<String>,
    /// The tag that names the release, where there is one.
    pub tag: Option<String>,
    /// First line of the commit's message, once it is known. Text of a stranger.
    pub subject: Option<String>,
    pub phase: Phase,
    /// When the phase was entered.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// How many wait before it, from 0, while it is queued.
    pub before_it: Option<u32>,
    /// Who asked that it stops, while it has not.
    pub cancel_asked_by: Option<String>,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// When it was taken out of the queue.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub count: StepCount,
    pub size_bytes: Option<u64>,
    pub size_budget_bytes: u64,
    pub release: Option<ReleaseName>,
    pub ending: Option<Ending>,
    pub batch: Option<BatchId>,
    pub may: BuildMay,
}

impl BuildRow {
    /// How long it took, without the time in the queue, in milliseconds; or has taken at `now`.
    #[must_use]
    pub fn took_ms(&self, now: OffsetDateTime) -> Option<u64> {
        let took = self.ended_at.unwrap_or(now) - self.started_at?;
        Some(u64::try_from(took.whole_milliseconds()).unwrap_or(0))
    }

    /// Its image is larger than its budget.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.size_bytes.is_some_and(|size| super::is_over(size, self.size_budget_bytes))
    }
}

/// What the viewer may do with a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildMay {
    pub start: bool,
    pub cancel: bool,
    /// Reading its log needs more than seeing it.
    pub logs: bool,
}

/// `/builds`: what runs, what waits and what was, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildsPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub filter: BuildsFilter,
    /// At most 50.
    pub rows: Vec<BuildRow>,
    /// Ask for builds before this one to go on.
    pub older: Option<BuildId>,
    /// Of all that may be seen: how many run, how many wait, and how many run side by side at most.
    pub running: u32,
    pub waiting: u32,
    pub at_once: u32,
    /// Where the viewer may look: for the filter's list and for "build all".
    pub projects: Vec<BuildsProject>,
    /// Services that have a source and the viewer may build.
    pub services: Vec<BuildableService>,
}

/// A project in the filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildsProject {
    pub id: ProjectId,
    pub name: Name,
    pub may_build: bool,
}

/// A service that can be built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildableService {
    pub id: ServiceId,
    pub project: Name,
    pub name: Name,
    pub default_ref: String,
}

/// All parts are optional and are in the address of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsFilter {
    pub project: Option<Name>,
    pub service: Option<Name>,
    pub state: Option<State>,
    /// Only builds that were asked for before this one.
    pub before: Option<BuildId>,
}

/// How builds stand, as people ask for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits, or somebody is at it.
    Open,
    Succeeded,
    Failed,
    Cancelled,
    Interrupted,
}

impl State {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The word in the address of the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The phases that are meant.
    #[must_use]
    pub const fn phases(self) -> &'static [Phase] {
        match self {
            Self::Open => &[Phase::Queued, Phase::Fetching, Phase::Building, Phase::Pushing],
            Self::Succeeded => &[Phase::Succeeded],
            Self::Failed => &[Phase::Failed],
            Self::Cancelled => &[Phase::Cancelled],
            Self::Interrupted => &[Phase::Interrupted],
        }
    }
}

impl FromStr for State {
    type Err = Wrong;

    fn from_str(word: &str) -> Result<Self, Wrong> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| {
            Wrong::new("Builds are open, succeeded, failed, cancelled or interrupted.")
        })
    }
}

/// `/builds/:id`: one build, live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildPage {
    pub number: i64,
    pub row: BuildRow,
    /// What it was asked for with.
    pub source: Source,
    pub steps: Vec<BuildStep>,
    /// The last lines. `None`: the viewer may not read logs here. The stream goes on after the last.
    pub log: Option<BuildLog>,
    /// All rows of the history about this build, oldest first.
    pub rows: Vec<Row>,
    /// The phases entered so far, with their times, oldest first.
    pub phases: Vec<BuildPhaseTime>,
    /// Where the release is rolled out when it is there.
    pub deploys: Vec<BuildDeploy>,
    /// The last builds of the service that ended, oldest first, for the trends.
    pub trend: Vec<BuildPoint>,
}

/// When a phase was entered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildPhaseTime {
    pub phase: Phase,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// "Build and deploy": a place the release goes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildDeploy {
    pub placement: PlacementId,
    pub environment: Name,
    pub protected: bool,
    /// It was started.
    pub rollout: Option<RolloutId>,
    /// Why it was not.
    pub refused: Option<String>,
}

/// A build in a trend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildPoint {
    pub id: BuildId,
    pub number: i32,
    pub phase: Phase,
    #[serde(with = "time::serde::rfc3339")]
    pub ended_at: OffsetDateTime,
    pub took_ms: u64,
    pub size_bytes: Option<u64>,
    pub count: StepCount,
}

/// The builds of a project that were asked for together, or the last of each of its services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectBuildsPage {
    pub number: i64,
    pub project: Name,
    pub project_id: ProjectId,
    /// Which click it is about. `None`: nobody asked for all yet.
    pub batch: Option<Batch>,
    /// A row for each service that has a source.
    pub services: Vec<ProjectBuild>,
    /// Services without a source, which "build all" passes over.
    pub without_source: Vec<Name>,
    pub budget_ms: u64,
    pub may_build: bool,
}

/// One click on "build all".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub id: BatchId,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// When the last of them ended; nothing while one has not.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub succeeded: u32,
    pub unhappy: u32,
    pub open: u32,
}

impl Batch {
    /// From the click to the last end, or to `now`, in milliseconds: what is held against the budget.
    #[must_use]
    pub fn total_ms(&self, now: OffsetDateTime) -> u64 {
        let took = self.ended_at.unwrap_or(now) - self.asked_at;
        u64::try_from(took.whole_milliseconds()).unwrap_or(0)
    }
}

/// A service of "build all".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectBuild {
    pub service: Name,
    pub service_id: ServiceId,
    pub default_ref: String,
    pub build: Option<BuildRow>,
}

/// Where a service's code is, its last builds, and the forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourcePage {
    pub number: i64,
    pub project: Name,
    pub service: Name,
    pub service_id: ServiceId,
    pub source: Option<Source>,
    /// Newest first, at most 10.
    pub builds: Vec<BuildRow>,
    /// Oldest first.
    pub trend: Vec<BuildPoint>,
    /// Where the image goes after a build, and under which tags.
    pub pushes: Option<Pushes>,
    /// Where "build and deploy" may go: what the viewer may roll out to now.
    pub deploy_to: Vec<DeployTo>,
    pub may_edit: bool,
    pub may_build: bool,
}

/// Where the image of each build goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushes {
    pub repository: Repository,
    pub tags: Vec<TagPattern>,
}

/// A place to deploy to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeployTo {
    pub placement: PlacementId,
    pub environment: Name,
    pub environment_id: EnvironmentId,
    pub protected: bool,
}

/// Where a build stands between two rows of the history, as the stream carries it. Latest wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildState {
    pub phase: Phase,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// The steps so far.
    pub steps: Vec<BuildStep>,
    /// What git, the context or the push has moved so far, in words that are true: "Receiving
    /// objects: 41 %".
    pub progress: Option<String>,
}

/// Where a release comes from, where it was built here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltFrom {
    pub build: BuildId,
    pub number: i32,
    pub url: String,
    pub commit: String,
    pub tag: Option<String>,
}

/// A commit that was built here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltCommit {
    pub build: BuildId,
    pub number: i32,
    pub commit: String,
    /// Its first line, where it is known: text of a stranger.
    pub subject: Option<String>,
    /// When the build was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
}

/// The commits that lie between two releases, as far as they were built here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commits {
    pub now: Option<BuiltCommit>,
    pub then: Option<BuiltCommit>,
    /// Built after one and before the other, each commit once, newest first.
    pub between: Vec<BuiltCommit>,
    /// There are more than these.
    pub more: bool,
}
