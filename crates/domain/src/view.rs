//! What the pages show: one struct a page, filled by one verb of `control`, drawn by `app`.
//!
//! Everything here was allowed to the one who asks. `may` says which buttons are lit; pressing one
//! is checked again.

use crate::{
    build::view::{BuiltFrom, Commits},
    configuration::{Configuration, secret::SecretCard},
    environment::Environment,
    history::{Change, Origin},
    id::{
        ConfigurationId, EnvironmentId, GrantId, InquiryId, PlacementId, ProjectId, ReleaseId,
        RolloutId, ServiceId, SessionId, TargetId, UserId,
    },
    live::Row,
    log::LogFound,
    name::{HostName, Name},
    policy::Policy,
    release::ImageFacts,
    role::{Role, Scope},
    rollout::{Ask, Kind, Phase, State},
    samples::{Range, course::Course},
    service::{ServiceSpec, Size},
    slot::Slot,
    source::{RecipeGuess, Refs},
    target::{Finding, cluster::ClusterSeen},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Who looks. On every page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    pub id: UserId,
    pub name: String,
    /// May see the history page.
    pub history: bool,
    /// May manage people.
    pub people: bool,
    /// May change environments.
    pub environments: bool,
    /// May add projects and services somewhere.
    pub services: bool,
}

/// What the viewer may do with a placement or a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    pub start: bool,
    pub abort: bool,
    pub roll_back: bool,
    pub promote: bool,
    pub configure: bool,
    pub secrets: bool,
    pub release: bool,
    pub edit: bool,
    pub logs: bool,
    /// Restart, stop and start.
    pub restart: bool,
    pub remove: bool,
}

/// The first page: services down, environments across.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub environments: Vec<BoardEnvironment>,
    pub projects: Vec<BoardProject>,
    /// The newest rows the viewer may see, newest first, at most 12.
    pub happening: Vec<Row>,
    pub may_add_service: bool,
}

/// A column of the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardEnvironment {
    pub id: EnvironmentId,
    pub name: Name,
    pub protected: bool,
    /// "Docker, this machine".
    pub target: String,
    /// Why its target did not answer when it was asked last.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// Where something is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "at")]
pub enum Address {
    /// By whoever has the link.
    Link(String),
    /// Inside its cluster alone: a host and a port.
    Inside(String),
}

impl Address {
    /// As it is read: without what every link begins with.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Link(url) => url.trim_start_matches("https://").trim_start_matches("http://"),
            Self::Inside(at) => at,
        }
    }

    /// Where a click leads. `None`: nowhere from here.
    #[must_use]
    pub fn href(&self) -> Option<&str> {
        match self {
            Self::Link(url) => Some(url),
            Self::Inside(_) => None,
        }
    }

    /// The same with the names of a service and its project filled in.
    #[must_use]
    pub fn filled(&self, service: &Name, project: &Name) -> Self {
        let fill = |pattern: &str| {
            pattern.replace("{service}", service.as_str()).replace("{project}", project.as_str())
        };
        match self {
            Self::Link(url) => Self::Link(fill(url)),
            Self::Inside(at) => Self::Inside(fill(at)),
        }
    }
}

/// A group of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardProject {
    pub id: ProjectId,
    pub name: Name,
    pub services: Vec<BoardService>,
}

/// A row of the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardService {
    pub id: ServiceId,
    pub name: Name,
    /// "port 8080".
    pub note: String,
    /// One for each environment the viewer may see it in, in the board's order.
    pub cells: Vec<Cell>,
}

/// One placement: a service in an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub placement: PlacementId,
    pub environment: EnvironmentId,
    pub environment_name: Name,
    pub protected: bool,
    pub size: Size,
    pub live: Option<Running>,
    pub warm: Option<Warm>,
    /// The rollout that holds the placement, if there is one.
    pub active: Option<RolloutCard>,
    /// The one that waits, if there is one.
    pub waiting: Option<RolloutCard>,
    /// The last one that ended, if it did not succeed.
    pub failed: Option<RolloutCard>,
    /// What to bring here next: the newest release in the first environment, in the others what has
    /// succeeded in one before. Never an older one than is live.
    pub next: Option<ReleaseName>,
    /// Deploys that start by themselves wait until a person lifts it.
    pub held: bool,
    /// What differs from what should be.
    pub drift: Option<String>,
    /// What gets the traffic when what a foreign hand did is put back, where there is something to.
    pub put_back: Option<ReleaseName>,
    /// What differs is the instances themselves: putting back makes them anew.
    pub changed: bool,
    /// Who stopped it, and when: requests are answered 503 until it is started or deployed to.
    pub stopped: Option<Stopped>,
    /// A restart that is under way, or that could not go on.
    pub restart: Option<Restarting>,
    pub may: Allowed,
    /// The newest rollout of the placement: a start names it, and is refused if there is a newer.
    pub newest: Option<RolloutId>,
}

/// A placement that a person stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A restart, one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarting {
    pub by: String,
    pub done: u16,
    /// 0: nobody has looked yet how many there are.
    pub of: u16,
    pub failed: Option<String>,
}

/// A release by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseName {
    pub id: ReleaseId,
    pub name: String,
}

/// What is live in a placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub slot: Slot,
    pub release: ReleaseName,
    pub configuration: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// What could take the traffic back in one switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warm {
    pub slot: Slot,
    pub release: ReleaseName,
    pub configuration: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

/// A rollout in a cell or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutCard {
    pub id: RolloutId,
    pub kind: Kind,
    pub release: ReleaseName,
    pub from: Option<ReleaseName>,
    pub by: String,
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub policy: Policy,
    pub state: State,
}

/// One service: what runs where, releases, configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePage {
    pub number: i64,
    pub id: ServiceId,
    pub project: Name,
    pub name: Name,
    pub spec: ServiceSpec,
    pub placements: Vec<PlacementCard>,
    /// Newest first, at most 50.
    pub releases: Vec<ReleaseRow>,
    /// Newest first, at most 50, of all placements the viewer may see.
    pub rollouts: Vec<RolloutRow>,
    /// Environments it is not in, where the viewer may place it.
    pub elsewhere: Vec<(EnvironmentId, Name)>,
    pub may: Allowed,
}

/// What would change if a release went to the next environment: seen before the click.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromotionPage {
    pub number: i64,
    pub project: Name,
    pub service: Name,
    /// Where it comes from, if it is live in an environment before.
    pub from: Option<Name>,
    /// Where it would go, as it is now.
    pub cell: Cell,
    /// `None`: nothing is live in an environment before, and none was named.
    pub release: Option<ReleaseRow>,
    /// How large the image is, and how large the one that is live there.
    pub size_bytes: Option<u64>,
    pub live_size_bytes: Option<u64>,
    pub live_image: Option<String>,
    pub commits: Commits,
    /// Image, spec and limits, against what is live there.
    pub changes: Vec<Change>,
    /// The variables of both environments by name, in order.
    pub variables: Vec<VariableHere>,
    pub policy: Policy,
    pub address: Option<Address>,
    pub preview_address: Option<Address>,
}

/// A variable by its name, in two environments. Values are not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableHere {
    pub name: String,
    pub description: String,
    pub is: InBoth,
}

/// How a variable of the next environment stands to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InBoth {
    Same,
    Differs,
    /// A secret in both: whether it is the same can not be told.
    Secret,
    /// Only where it comes from: it would be missing.
    Missing,
    /// Only where it goes.
    Added,
}

/// A placement on its service's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementCard {
    pub cell: Cell,
    /// On this machine with the router's port: `http://hello.demo.local.localhost:7380`.
    pub address: Option<Address>,
    pub preview_address: Option<Address>,
    /// Its host names follow from its target, and are not given one by one.
    pub names_follow: bool,
    /// All that it is reached by; the address has the first one.
    pub host_names: Vec<HostName>,
    pub configuration: Configuration,
    /// Those that the configuration names, in the order of their names.
    pub secrets: Vec<SecretCard>,
    pub policy: Policy,
    /// Pairs that were live, newest first, at most 10, not the live one: where one can go back to.
    pub earlier: Vec<Earlier>,
}

/// A pair that was live before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    pub release: ReleaseName,
    pub configuration: ConfigurationId,
    pub configuration_number: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub live_until: OffsetDateTime,
    /// It is the warm pair: going back is one switch.
    pub warm: bool,
}

/// A release in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    pub release: ReleaseName,
    pub reference: String,
    /// The content id.
    pub image: String,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
    /// Names of the environments where it is live now.
    pub live_in: Vec<String>,
}

/// A rollout in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutRow {
    pub id: RolloutId,
    pub environment: Name,
    pub kind: Kind,
    pub phase: Phase,
    pub errored: bool,
    pub release: ReleaseName,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub requests: u64,
    pub failures: u64,
}

/// One rollout, live: the product's centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutPage {
    pub number: i64,
    pub project: Name,
    pub service: Name,
    pub service_id: ServiceId,
    pub environment: Name,
    pub protected: bool,
    pub placement: PlacementId,
    pub address: Option<Address>,
    pub preview_address: Option<Address>,
    pub card: RolloutCard,
    /// What was asked of it and not yet answered, and by whom.
    pub asked: Option<(Ask, String)>,
    pub image: String,
    /// The placement now: after the end it tells whether one can still go back, and how long.
    pub cell: Cell,
    /// All rows of this rollout, oldest first.
    pub rows: Vec<Row>,
    /// The phases entered so far, with their times, oldest first.
    pub phases: Vec<PhaseTime>,
    /// What differs between what was live and this pair.
    pub changes: Vec<Change>,
    /// Why each of the three buttons is dark, if it is: abort, promote, retry.
    pub may: Allowed,
}

/// When a phase was entered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    pub phase: Phase,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What is in a release, and where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleasePage {
    pub number: i64,
    pub project: Name,
    pub service: Name,
    pub row: ReleaseRow,
    pub spec: ServiceSpec,
    pub facts: Option<ImageFacts>,
    /// Where it was built, if it was built here.
    pub built_from: Option<BuiltFrom>,
    /// What is worth knowing before it is rolled out: an image over the budget.
    pub findings: Vec<Finding>,
    /// For each placement: what would change there.
    pub against: Vec<ReleaseAgainst>,
    pub may: Allowed,
}

/// A release held against what is live in a placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseAgainst {
    pub cell: Cell,
    pub changes: Vec<Change>,
}

/// An inquiry as its page follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InquiryPage {
    pub id: InquiryId,
    pub question: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    pub answer: InquiryAnswer,
}

/// How far an inquiry is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum InquiryAnswer {
    Waiting,
    Image(ImageFacts),
    /// "Could I?": the panel of preflight before the click.
    Findings {
        findings: Vec<Finding>,
    },
    /// The branches and tags of a repository.
    Refs(Refs),
    /// How a folder of it would be built, and why.
    Recipe(RecipeGuess),
    /// What is there on a cluster.
    Cluster(Box<ClusterSeen>),
    /// What the target, or git, said, as a sentence.
    Refused {
        why: String,
    },
    Expired,
}

/// The history, filtered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The head when the page was drawn.
    pub number: i64,
    pub filter: HistoryFilter,
    /// Newest first, at most 50.
    pub rows: Vec<HistoryRow>,
    /// Ask for rows before this number to go on.
    pub older: Option<i64>,
    /// How far the chain was proven by this server, and when.
    pub proven: Proven,
    /// Whether the database's grants protect the history from the program itself.
    pub protected_by_grants: bool,
    /// May prove all of it and take it away.
    pub may_prove: bool,
    /// For the filter's lists.
    pub people: Vec<String>,
    pub services: Vec<String>,
    pub environments: Vec<String>,
}

/// What the badge of the history says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Proven {
    Whole {
        number: i64,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    Broken {
        why: String,
    },
    NotYet,
}

/// All parts are optional and are in the address of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryFilter {
    pub person: Option<String>,
    pub project: Option<String>,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub rollout: Option<RolloutId>,
    /// A kind of deed: `rollouts`, `people`, `sign_ins`, `refusals`, `changes`.
    pub about: Option<String>,
    /// `1`, `7`, `30` … days back from now.
    pub days: Option<u32>,
    /// Only rows with a smaller number.
    pub before: Option<i64>,
}

/// A row that opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    pub row: Row,
    pub role: Option<String>,
    pub origin: Option<Origin>,
    pub changes: Vec<Change>,
    pub reason: Option<String>,
    /// Hexadecimal.
    pub hash: String,
}

/// People and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeoplePage {
    pub people: Vec<Person>,
    pub projects: Vec<(ProjectId, Name)>,
    pub environments: Vec<(EnvironmentId, Name)>,
}

/// Somebody who signs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub id: UserId,
    pub name: String,
    pub disabled: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub added_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    pub grants: Vec<GrantRow>,
}

/// A grant in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantRow {
    pub id: GrantId,
    pub role: Role,
    pub scope: Scope,
    /// "everything", "newstalk", "staging", "newstalk in staging".
    pub scope_words: String,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub given_at: OffsetDateTime,
}

/// Environments and their policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentsPage {
    pub environments: Vec<EnvironmentCard>,
    pub may_edit: bool,
    /// Where a new one can be, for those who may add one.
    pub targets: Vec<(TargetId, String)>,
}

/// The projects that the viewer may see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectsPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    /// By name.
    pub projects: Vec<BoardProject>,
    pub may_add_service: bool,
}

/// One project: its services across environments, and what happened last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub environments: Vec<BoardEnvironment>,
    pub project: BoardProject,
    /// The newest rows about it that the viewer may see, newest first, at most 12.
    pub happening: Vec<Row>,
    pub may_add_service: bool,
    /// May see who may do what here.
    pub may_see_access: bool,
}

/// One environment: where it leads, how careful it is, what runs there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub card: EnvironmentCard,
    /// When the target answered, or did not, last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub target_asked_at: Option<OffsetDateTime>,
    /// The targets that it could lead to instead. None once anything was rolled out there.
    pub other_targets: Vec<(TargetId, String)>,
    /// By project, with the one cell of each service that is here.
    pub projects: Vec<BoardProject>,
    /// Newest first, at most 20.
    pub rollouts: Vec<RolloutThere>,
    /// The newest rows about it that the viewer may see, newest first, at most 12.
    pub happening: Vec<Row>,
}

/// A rollout of any service in one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutThere {
    pub project: Name,
    pub service: Name,
    pub row: RolloutRow,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentCard {
    pub environment: Environment,
    /// "Docker, this machine".
    pub target: String,
    /// Whether the target answered last, and what it is or why not.
    pub target_ok: Option<bool>,
    pub target_says: String,
    pub placements: u32,
    pub live: u32,
    pub may_edit: bool,
}

/// The viewer's own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountPage {
    pub name: String,
    pub sessions: Vec<SessionRow>,
    pub grants: Vec<GrantRow>,
}

/// A session of the viewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: SessionId,
    pub current: bool,
    pub address: String,
    pub agent: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
}

/// The form for a new service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewServicePage {
    pub projects: Vec<Name>,
    /// Where it would be reached in each environment: `{service}` and `{project}` stand in it.
    pub addresses: Vec<(Name, Address)>,
}

/// What a service is told in one environment, to be changed there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub project: Name,
    pub service: Name,
    /// The newest, which a change is based on.
    pub card: PlacementCard,
    /// Where else the viewer sees this service, in order, and here.
    pub environments: Vec<Name>,
}

/// What a service wrote in one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogsPage {
    /// The history's head before the first query: the stream goes on from here.
    pub number: i64,
    pub project: Name,
    pub service: Name,
    pub environment: Name,
    pub protected: bool,
    pub placement: PlacementId,
    /// Which slot has the traffic.
    pub live: Option<Slot>,
    /// Where else the viewer may read the logs of this service, in order, and here.
    pub environments: Vec<Name>,
    /// The newest lines, or what was searched for.
    pub found: LogFound,
}

/// What a placement did and used, over a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    pub placement: PlacementId,
    pub environment: Name,
    /// Where else the viewer may see this service, in order, and here.
    pub environments: Vec<Name>,
    /// How far back it reaches. `None`: the span of a rollout.
    pub range: Option<Range>,
    /// It ends now, so that what is heard is added to it.
    pub goes_on: bool,
    pub course: Course,
    /// Oldest first. Of more than [`Past::MOST_MARKS`] the newest.
    pub marks: Vec<Mark>,
    /// How many are missing.
    pub marks_left_out: u32,
    /// By name, at most [`Past::MOST_INSTANCES`].
    pub instances: Vec<InstancePast>,
}

impl Past {
    pub const MOST_MARKS: usize = 40;
    pub const MOST_INSTANCES: i64 = 60;
}

/// Something that a chart marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Milliseconds of Unix time.
    pub at_ms: i64,
    pub what: MarkOf,
    pub rollout: RolloutId,
    pub release: String,
}

/// What happened there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkOf {
    /// A rollout was asked for.
    Asked,
    /// The traffic moved to its slot.
    Switched(Slot),
    /// The traffic moved back to the other.
    Back(Slot),
    /// It ended, in this phase.
    Ended(Phase),
}

/// What one instance used over the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstancePast {
    pub name: String,
    pub slot: Slot,
    /// Unix time of its first and last sample in it.
    pub from: i64,
    pub to: i64,
    pub cpu_percent: f32,
    pub cpu_percent_most: f32,
    pub memory_bytes: u64,
    pub memory_bytes_most: u64,
    pub restarts: u32,
}
