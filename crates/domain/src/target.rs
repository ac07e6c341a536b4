//! What is said to a target and what it answers: the words of the driver trait, equal for every
//! driver. Nothing here knows Docker, a router or Kubernetes.

pub mod cluster;
pub mod entrance;

use crate::{
    id::{ConfigurationId, PlacementId, ReleaseId, RolloutId},
    name::{
        ContentId, Digest, HostName, Name, RegistryUser, ReleaseName, Repository, VariableName,
    },
    service::{Check, Limits, ServiceSpec},
    slot::{PerSlot, Slot},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};
use time::OffsetDateTime;

/// A placement as a driver needs it: its names, and where its requests come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub placement: PlacementId,
    pub project: Name,
    pub environment: Name,
    pub service: Name,
    /// Normalized, unique on a router. The first is the one that is shown.
    pub host_names: Vec<HostName>,
    /// Reach the idle slot.
    pub preview_host_names: Vec<HostName>,
}

/// The right to change a placement. Written where the switch happens, which refuses an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub placement: PlacementId,
    /// Goes up by one each time somebody claims the placement.
    pub epoch: i64,
    /// For whom the change is made. `None`: for the settled placement itself.
    pub rollout: Option<RolloutId>,
}

/// All that is needed to fill a slot with instances. The same plan gives the same slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub place: Place,
    /// The rollout whose instances these are. Its id is in their names and labels.
    pub maker: RolloutId,
    pub release: ReleaseId,
    pub release_name: ReleaseName,
    pub configuration: ConfigurationId,
    pub image: ContentId,
    /// Whom the image names as its user; empty where it names nobody, which is root.
    pub image_user: String,
    /// Where a target that fetches images by itself gets it from. `None`: no registry is known to
    /// have it.
    pub pull: Option<Pull>,
    pub spec: ServiceSpec,
    /// Secrets among them.
    pub variables: PlanVariables,
    pub limits: Limits,
    /// How many instances.
    pub size: u16,
    /// Whether the environment's policy lets an image run as root.
    pub root_allowed: bool,
}

impl Plan {
    /// As whom its instances run: whom the service says, else whom the image names.
    #[must_use]
    pub fn user(&self) -> String {
        self.spec.user.map_or_else(|| self.image_user.clone(), |uid| format!("{uid}:{uid}"))
    }
}

/// Whether that user is root, by number, by name, or because nothing is said.
#[must_use]
pub fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default().trim();
    user.is_empty() || user == "root" || user.parse::<u64>() == Ok(0)
}

/// An image in a registry, by what it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    pub repository: Repository,
    pub digest: Digest,
    /// `None`: everybody may fetch it.
    pub login: Option<Login>,
}

/// By what a registry knows us. A secret is in it, so it is neither stored nor printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: RegistryUser,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What instances are told. The values of secrets are among them, so it is neither stored nor printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PlanVariables {
    all: Vec<(VariableName, String)>,
    /// Which of them are secrets.
    secret: BTreeSet<VariableName>,
}

impl PlanVariables {
    /// Names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableName, &str)> {
        self.all.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// Those that anybody may read who may read configurations.
    pub fn plain(&self) -> impl Iterator<Item = (&VariableName, &str)> {
        self.iter().filter(|(name, _)| !self.secret.contains(*name))
    }

    /// The secrets, for targets that keep those apart.
    pub fn secret(&self) -> impl Iterator<Item = (&VariableName, &str)> {
        self.iter().filter(|(name, _)| self.secret.contains(*name))
    }

    /// Adds the value of a secret.
    pub fn add_secret(&mut self, name: VariableName, value: String) {
        self.secret.insert(name.clone());
        self.all.push((name, value));
    }
}

impl FromIterator<(VariableName, String)> for PlanVariables {
    fn from_iter<I: IntoIterator<Item = (VariableName, String)>>(variables: I) -> Self {
        Self { all: variables.into_iter().collect(), secret: BTreeSet::new() }
    }
}

impl Extend<(VariableName, String)> for PlanVariables {
    fn extend<I: IntoIterator<Item = (VariableName, String)>>(&mut self, variables: I) {
        self.all.extend(variables);
    }
}

impl fmt::Debug for PlanVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all.iter().map(|(name, _)| name.as_str())).finish()
    }
}

/// What a target says of a placement. A target that can not be reached is an error, never this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// `None`: the target has no route of this placement at all.
    pub route: Option<RouteSeen>,
    pub slots: PerSlot<Vec<Instance>>,
    /// What somebody changed by hand on what a slot's instances are made from, which holds for all of
    /// them, also for those that are not there. Nothing where instances are made one by one.
    #[serde(default)]
    pub changed: PerSlot<Option<Changed>>,
}

/// What a hand changed on what instances are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Whose instances are made from it.
    pub maker: RolloutId,
    /// Which object, which part of it, and by whom as far as that is known: for people.
    pub what: String,
}

/// What became of a goodbye to those who still have a connection to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// They were told. Who counts requests knows how many are left.
    Told,
    /// Instances end because of it. Who has a connection to one of them is answered until then.
    Ending,
    /// All of those have ended, and others are not up in their place yet.
    Starting,
    /// Nobody has an old connection any more, and the slot is as ready as before.
    Done,
}

/// A route as the target has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSeen {
    pub live: Option<Slot>,
    pub epoch: i64,
    /// Goes up with each write of this route.
    pub revision: i64,
    /// The rollout that wrote it last, where one did.
    pub rollout: Option<RolloutId>,
    #[serde(with = "time::serde::rfc3339")]
    pub applied_at: OffsetDateTime,
    /// It is written, and not everything on the target follows it yet: some requests still go where
    /// they went before. Never so where the write is the switch itself.
    #[serde(default)]
    pub arriving: bool,
    /// Whose hand decided where traffic goes, where it was not us.
    pub foreign: Option<Hand>,
}

/// A person who moved the traffic on the target itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// A sentence for people ("uid 0 with pilothouse-router switch").
    pub who: String,
    /// The revision that this act made. Later writes of ours leave the hand there until one of them
    /// moves the traffic, so an act is news only to who has not confirmed this revision.
    pub revision: i64,
}

/// One container or pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The target's own id. Stops name this, never the name.
    pub id: String,
    /// As people see it: `blue-c19f-1`.
    pub name: String,
    /// From 1 to the size.
    pub number: u16,
    pub maker: RolloutId,
    pub release: ReleaseId,
    pub configuration: ConfigurationId,
    pub state: InstanceState,
    /// Whether requests come to it while its slot is live: the route holds its address. Never so
    /// for an instance that takes no requests.
    pub in_route: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// How often it was started again after it died.
    pub restarts: u32,
    /// Why it died last, as far as that was seen: for people, as in [`InstanceState::Exited`].
    #[serde(default)]
    pub died: Option<String>,
    /// What somebody changed on it since it was made, for people: "its memory limit is 128 MiB, and
    /// was made with 64 MiB".
    #[serde(default)]
    pub changed: Option<String>,
}

/// What the target says of an instance. Whether it is *ready* is another question: `probe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum InstanceState {
    /// Made or being made, not running yet.
    Starting,
    Running,
    /// Died; the target will start it again, or not. `why` is for people: "exit code 1",
    /// "killed for memory".
    Exited {
        why: String,
    },
}

/// What one instance answered to a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The instance's id.
    pub instance: String,
    pub number: u16,
    pub passed: bool,
    /// What was asked and answered, for people: "GET /health 503 in 4 ms", "refused".
    pub said: String,
    /// The beginning of the body, at most 4 KiB, as text.
    pub body: String,
    #[serde(with = "crate::duration")]
    pub took: Duration,
}

/// A check as a driver runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub port: u16,
    pub check: Check,
}

/// One thing that preflight asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Short, in a list: "Image is there, same content".
    pub question: String,
    pub verdict: Verdict,
    /// The figure or the reason: "6 of 8 GiB", "who can unblock it".
    pub detail: String,
}

/// What came of a question. Cut off or missing is never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    /// Worth knowing, and no reason to stop.
    Warn,
    Refuse,
}

/// Traffic of a placement as the witness saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Changes when the witness restarted: cumulative counters begin again.
    pub boot: String,
    /// Who counted, for people: "router".
    #[serde(default)]
    pub witness: String,
    /// What it can not see, as a sentence. Empty where it sees every request.
    #[serde(default)]
    pub unseen: String,
    /// Unix time of the witness when it answered, in seconds.
    pub now: i64,
    pub slots: PerSlot<SlotTraffic>,
}

/// Traffic of one slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotTraffic {
    /// Since the witness started.
    pub requests: u64,
    pub failures: u64,
    /// Requests, streams and upgraded connections that have not ended. `None`: the witness does not
    /// see others' requests, so nobody can say.
    pub in_flight: Option<u64>,
    /// Time of the last answer, in milliseconds of Unix time.
    pub last_answer_ms: Option<i64>,
    /// Whole seconds that are over, oldest first, at most 300, none twice.
    pub seconds: Vec<Second>,
}

/// One second of a slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Unix time.
    pub at: i64,
    pub requests: u32,
    /// 5xx, refused, cut off by the instance, timed out. Not: the client went away.
    pub failures: u32,
    /// How many answers took how long: (upper bound in microseconds, count), ascending.
    pub latencies: Vec<(u32, u32)>,
    /// The longest time between two answers that ended in this second, in milliseconds.
    pub longest_gap_ms: u32,
}

/// What an instance used, read once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The instance's id.
    pub instance: String,
    /// Hundredths of a core: 100 is one core.
    pub cpu_percent: f32,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// Since the instance started.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Nought where nobody has counted them yet.
    pub processes: u32,
}

/// What a target is, asked by its page and by preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// "Docker 20.10.24 on debian, 2 cores, 24 GiB".
    pub summary: String,
    pub cores: u32,
    pub memory_bytes: u64,
    /// What works and what does not, each a finding.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    use super::PlanVariables;

    #[test]
    fn a_plan_that_is_printed_names_its_variables_and_no_value() {
        let told =
            PlanVariables::from_iter([("KEY".parse().expect("a name"), "hunter2".to_owned())]);

        assert_eq!(format!("{told:?}"), "{\"KEY\"}");
    }

    #[test]
    fn secrets_are_told_apart_from_what_anybody_may_read() {
        let name = |word: &str| word.parse().expect("a name");
        let mut told = PlanVariables::from_iter([(name("LEVEL"), "debug".to_owned())]);
        told.add_secret(name("KEY"), "hunter2".to_owned());

        let values = |of: &mut dyn Iterator<Item = (&super::VariableName, &str)>| {
            of.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values(&mut told.plain()), ["debug"]);
        assert_eq!(values(&mut told.secret()), ["hunter2"]);
        assert_eq!(told.iter().count(), 2);
    }
}
