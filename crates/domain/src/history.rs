//! The history: every act, phase entered, sign-in and refusal, numbered and chained.
//!
//! A row stores the exact bytes that are hashed. The hash covers the number, the format version and
//! the hash before it, so a row that was changed, removed or put in between breaks the chain from
//! there on. Writing rows is `store`'s; this is what they mean and how they are proven.

pub mod sentence;

use crate::{
    build::{self, given::SecretName},
    id::{
        BuildId, GrantId, InvitationId, PlacementId, RegistryId, ReleaseId, RolloutId, SessionId,
        TargetId, UserId,
    },
    name::{
        ContentId, Digest, ImageTag, Name, RegistryAddress, ReleaseName, Repository, VariableName,
    },
    role::{Action, Role},
    rollout::{Ask, Kind, Phase, Trouble},
    slot::Slot,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The format of bodies written now.
pub const VERSION: i16 = 1;

/// The hash before the first row.
pub const GENESIS: Hash = [0; 32];

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash of a row: SHA-256 over a tag, the version and the number (big-endian), the previous
/// row's hash and the body's bytes.
#[must_use]
pub fn chain(version: i16, number: i64, previous: &Hash, body: &[u8]) -> Hash {
    let mut sum = Sha256::new();
    sum.update(b"pilothouse history\0");
    sum.update(version.to_be_bytes());
    sum.update(number.to_be_bytes());
    sum.update(previous);
    sum.update(body);
    sum.finalize().into()
}

/// A row as it is stored, for proving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub number: i64,
    pub version: i16,
    pub body: Vec<u8>,
    pub hash: Hash,
}

/// What is wrong with a chain, at the first row where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("row {number} is missing")]
    Missing { number: i64 },
    #[error("row {number} is not what was written, or the row before it was another")]
    Changed { number: i64 },
    #[error("row {number} is the last, but {head} rows were written")]
    CutOff { number: i64, head: i64 },
    #[error("the last row, {number}, has another hash than was noted when it was written")]
    Head { number: i64 },
}

/// Proves rows in order, one after the other, from a known start.
#[derive(Clone, Debug)]
pub struct Prover {
    number: i64,
    hash: Hash,
}

impl Prover {
    /// Begins after row `number`, whose hash is `hash`. For a whole history: 0 and [`GENESIS`].
    #[must_use]
    pub const fn after(number: i64, hash: Hash) -> Self {
        Self { number, hash }
    }

    /// Proves the next row.
    pub fn prove(&mut self, link: &Link) -> Result<(), Broken> {
        let expected = self.number + 1;
        if link.number != expected {
            return Err(Broken::Missing { number: expected });
        }
        if chain(link.version, link.number, &self.hash, &link.body) != link.hash {
            return Err(Broken::Changed { number: link.number });
        }
        self.number = link.number;
        self.hash = link.hash;
        Ok(())
    }

    /// The last row that was proven, and its hash.
    #[must_use]
    pub const fn head(&self) -> (i64, Hash) {
        (self.number, self.hash)
    }

    /// Compares where we are with the head row: what was noted when the last row was written.
    pub fn end(&self, head: i64, hash: &Hash) -> Result<(), Broken> {
        if self.number != head {
            return Err(Broken::CutOff { number: self.number, head });
        }
        if &self.hash != hash {
            return Err(Broken::Head { number: head });
        }
        Ok(())
    }
}

/// The body of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub by: By,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    #[serde(flatten)]
    pub subject: Subject,
    pub deed: Deed,
    /// What was before and what is after, where something was edited.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<Change>,
    /// What the person wrote into the reason field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum By {
    Person {
        id: UserId,
        name: String,
        /// The role that allowed it, in its scope, in words.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        role: Option<String>,
    },
    /// What the system does on its own.
    Engine,
    /// A command on the machine itself, by a user id of that machine.
    Machine { uid: u32 },
    /// Somebody who is not signed in.
    Nobody,
}

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The request's id, which error pages and logs also show.
    pub request: String,
    /// The peer's address, or the one a trusted proxy named.
    pub address: String,
    /// What the browser calls itself, cut to 200 characters.
    pub agent: String,
}

/// What a row is about: for filters and for who may read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub environment: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub placement: Option<PlacementId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollout: Option<RolloutId>,
}

/// Who may read a row besides those with `history.view`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Whoever may see the thing it is about.
    View,
    /// Only those who may read the history.
    HistoryView,
}

/// One thing that was edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// What happened. Names are kept beside ids: a row must read the same when the thing is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "did")]
pub enum Deed {
    FirstAdminMade {
        person: UserId,
        name: String,
    },
    AccessRecovered {
        person: UserId,
        name: String,
    },
    SignedIn {
        session: SessionId,
    },
    /// One row a minute and peer when there are many: `times` says how many it stands for.
    SignInFailed {
        name: String,
        times: u32,
    },
    SignedOut,
    SessionEnded {
        session: SessionId,
    },
    PasswordChanged,
    PersonAdded {
        person: UserId,
        name: String,
    },
    PersonDisabled {
        person: UserId,
        name: String,
    },
    PersonEnabled {
        person: UserId,
        name: String,
    },
    PasswordReset {
        person: UserId,
        name: String,
    },
    GrantGiven {
        grant: GrantId,
        person: UserId,
        name: String,
        role: Role,
        scope: String,
    },
    GrantTaken {
        grant: GrantId,
        person: UserId,
        name: String,
        role: Role,
        scope: String,
    },
    /// A link was made with which this person makes an account. What it carries are the changes.
    PersonInvited {
        invitation: InvitationId,
        name: String,
    },
    InvitationWithdrawn {
        invitation: InvitationId,
        name: String,
    },
    /// Whoever had the link made an account: the actor of the row. `name` is who was invited.
    InvitationAccepted {
        invitation: InvitationId,
        person: UserId,
        name: String,
        by: String,
    },
    /// Somebody asked for what he may not do.
    Refused {
        action: Action,
        what: String,
        needs: Role,
    },
    /// So many refusals of a person that came too quickly to be told one by one.
    RefusedMore {
        times: u32,
    },
    ProjectAdded,
    ServiceAdded,
    ServiceChanged,
    PlacementChanged,
    EnvironmentChanged,
    ConfigurationMade {
        number: i32,
    },
    /// A secret has another value, by its version: the value is nowhere in a row. `number` is the
    /// configuration that names it.
    SecretSet {
        name: VariableName,
        version: i32,
        number: i32,
    },
    SecretRemoved {
        name: VariableName,
        number: i32,
    },
    ReleaseMade {
        release: ReleaseId,
        name: ReleaseName,
        image: ContentId,
    },
    RolloutQueued {
        kind: Kind,
        release: ReleaseName,
        from: Option<ReleaseName>,
        configuration: i32,
    },
    RolloutAsked {
        ask: Ask,
        release: ReleaseName,
    },
    /// A phase was entered: what came of the last one, and what this one is about to do.
    RolloutEntered {
        phase: Phase,
        release: ReleaseName,
        from: Option<ReleaseName>,
        outcome: String,
        /// Rows of before it was told are of rollouts that make something live.
        #[serde(default = "deploy")]
        kind: Kind,
    },
    RolloutErrored {
        phase: Phase,
        release: ReleaseName,
        trouble: Trouble,
    },
    /// A breach while a rollback is observed: said, not acted upon.
    Alarm {
        release: ReleaseName,
        why: String,
    },
    WarmthExtended {
        slot: Slot,
        minutes: u32,
    },
    WarmthEnded {
        slot: Slot,
        why: String,
    },
    HoldLifted,
    /// A person wants every instance of the live slot restarted, one after the other.
    RestartAsked {
        slot: Slot,
    },
    InstanceRestarted {
        instance: String,
        done: u16,
        of: u16,
    },
    /// One did not come up, or something else took the place: the others were left as they are.
    RestartStopped {
        done: u16,
        of: u16,
        why: String,
    },
    PlacementStopped {
        slot: Slot,
        release: ReleaseName,
    },
    PlacementStarted {
        release: ReleaseName,
    },
    /// A service is in an environment again.
    PlacementAdded,
    PlacementRemoved,
    /// It died by itself and was started again. `times`: how often its slot did within `minutes`.
    InstanceDied {
        instance: String,
        why: String,
        times: u32,
        minutes: u32,
    },
    /// An instance of the live slot has not been ready for so long.
    InstanceNotReady {
        instance: String,
        minutes: u32,
        why: String,
    },
    InstancesRestored {
        slot: Slot,
        count: u16,
        why: String,
    },
    StraysRemoved {
        slot: Slot,
        count: u16,
    },
    RouteRestored {
        slot: Option<Slot>,
    },
    /// Traffic was moved on the machine itself, past us.
    RouteForeign {
        slot: Option<Slot>,
        who: String,
    },
    Drift {
        what: String,
    },
    RegistryAdded {
        registry: RegistryId,
        name: Name,
        address: RegistryAddress,
    },
    /// Its credentials were set anew or taken away. They are never among the changes.
    RegistryChanged {
        registry: RegistryId,
        name: Name,
    },
    RegistryArchived {
        registry: RegistryId,
        name: Name,
    },
    /// Somebody tried whether it can be used, with the credentials that are stored for it.
    RegistryTried {
        registry: RegistryId,
        name: Name,
    },
    /// A cluster was connected. Its credentials are never among the changes.
    TargetAdded {
        target: TargetId,
        name: String,
    },
    /// How it is reached, or what is used of it.
    TargetChanged {
        target: TargetId,
        name: String,
    },
    TargetArchived {
        target: TargetId,
        name: String,
    },
    /// Somebody asked what is there, with the credentials that are stored for it.
    TargetLookedAt {
        target: TargetId,
        name: String,
    },
    /// Where an environment is answered no more, and why.
    TargetSilent {
        name: String,
        says: String,
    },
    /// It answers again.
    TargetAnswers {
        name: String,
        says: String,
    },
    /// A new place for services.
    EnvironmentAdded {
        target: String,
    },
    /// It leads to another target from now on. Nothing ran there yet.
    EnvironmentMoved {
        from: String,
        to: String,
    },
    /// Where the images of a service go, and under which tags.
    PushRuleChanged,
    PushAsked {
        release: ReleaseName,
        repository: Repository,
    },
    ImagePushed {
        release: ReleaseName,
        repository: Repository,
        tags: Vec<ImageTag>,
        digest: Digest,
    },
    PushFailed {
        release: ReleaseName,
        repository: Repository,
        why: String,
    },
    /// The image of a release was not on the target, and was fetched by its digest.
    ImageFetched {
        release: ReleaseName,
        repository: Repository,
        digest: Digest,
    },
    /// The stored credentials of a registry were used to look something up.
    CredentialsUsed {
        address: RegistryAddress,
        what: String,
    },
    /// What differed does not any more.
    DriftEnded,
    HistoryExported {
        rows: i64,
        format: String,
    },
    Started {
        version: String,
    },
    /// The key that secrets were sealed with is gone; `new` seals from now on.
    KeyLost {
        lost: String,
        new: String,
    },
    /// Where the code of a service is, or how it is built. What changed are the changes.
    SourceChanged,
    /// A secret of builds got a value. The value is nowhere here.
    BuildSecretSet {
        name: SecretName,
        version: i32,
    },
    BuildSecretRemoved {
        name: SecretName,
    },
    /// Who reads the repository, or that nobody signs in there any more.
    SourceLoginChanged {
        host: String,
    },
    /// What a build is given, before it is: names and versions, and addresses of registries.
    BuildGiven {
        build: BuildId,
        number: i32,
        what: Vec<String>,
    },
    /// The login of a repository was used.
    SourceLoginUsed {
        host: String,
        what: String,
    },
    /// `asked` is the branch, tag or commit; `deploy_to` names the environments that follow.
    BuildAsked {
        build: BuildId,
        number: i32,
        asked: String,
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        deploy_to: Vec<Name>,
    },
    BuildCancelAsked {
        build: BuildId,
        number: i32,
    },
    /// A phase was entered: what came of the last one, or why it ended.
    BuildEntered {
        build: BuildId,
        number: i32,
        phase: build::Phase,
        outcome: String,
    },
    /// "Build and deploy" built, and did not deploy.
    BuildNotDeployed {
        build: BuildId,
        number: i32,
        why: String,
    },
}

const fn deploy() -> Kind {
    Kind::Deploy
}

impl Deed {
    /// The build it is about, where it is about one.
    #[must_use]
    pub const fn build(&self) -> Option<BuildId> {
        match self {
            Self::BuildAsked { build, .. }
            | Self::BuildCancelAsked { build, .. }
            | Self::BuildEntered { build, .. }
            | Self::BuildNotDeployed { build, .. } => Some(*build),
            _ => None,
        }
    }

    /// Who may read a row of this kind.
    #[must_use]
    pub const fn visibility(&self) -> Visibility {
        match self {
            Self::ProjectAdded
            | Self::ServiceAdded
            | Self::ServiceChanged
            | Self::PlacementChanged
            | Self::EnvironmentChanged
            | Self::EnvironmentAdded { .. }
            | Self::EnvironmentMoved { .. }
            | Self::ConfigurationMade { .. }
            | Self::SecretSet { .. }
            | Self::SecretRemoved { .. }
            | Self::ReleaseMade { .. }
            | Self::RolloutQueued { .. }
            | Self::RolloutAsked { .. }
            | Self::RolloutEntered { .. }
            | Self::RolloutErrored { .. }
            | Self::Alarm { .. }
            | Self::WarmthExtended { .. }
            | Self::WarmthEnded { .. }
            | Self::HoldLifted
            | Self::RestartAsked { .. }
            | Self::InstanceRestarted { .. }
            | Self::RestartStopped { .. }
            | Self::PlacementStopped { .. }
            | Self::PlacementStarted { .. }
            | Self::PlacementAdded
            | Self::PlacementRemoved
            | Self::TargetSilent { .. }
            | Self::TargetAnswers { .. }
            | Self::InstanceDied { .. }
            | Self::InstanceNotReady { .. }
            | Self::InstancesRestored { .. }
            | Self::StraysRemoved { .. }
            | Self::RouteRestored { .. }
            | Self::RouteForeign { .. }
            | Self::PushRuleChanged
            | Self::PushAsked { .. }
            | Self::ImagePushed { .. }
            | Self::PushFailed { .. }
            | Self::ImageFetched { .. }
            | Self::Drift { .. }
            | Self::SourceChanged
            | Self::BuildSecretSet { .. }
            | Self::BuildSecretRemoved { .. }
            | Self::SourceLoginChanged { .. }
            | Self::BuildGiven { .. }
            | Self::BuildAsked { .. }
            | Self::BuildCancelAsked { .. }
            | Self::BuildEntered { .. }
            | Self::BuildNotDeployed { .. }
            | Self::DriftEnded => Visibility::View,
            Self::FirstAdminMade { .. }
            | Self::AccessRecovered { .. }
            | Self::SignedIn { .. }
            | Self::SignInFailed { .. }
            | Self::SignedOut
            | Self::SessionEnded { .. }
            | Self::PasswordChanged
            | Self::PersonAdded { .. }
            | Self::PersonDisabled { .. }
            | Self::PersonEnabled { .. }
            | Self::PasswordReset { .. }
            | Self::GrantGiven { .. }
            | Self::GrantTaken { .. }
            | Self::PersonInvited { .. }
            | Self::InvitationWithdrawn { .. }
            | Self::InvitationAccepted { .. }
            | Self::Refused { .. }
            | Self::RefusedMore { .. }
            | Self::RegistryAdded { .. }
            | Self::RegistryChanged { .. }
            | Self::RegistryArchived { .. }
            | Self::RegistryTried { .. }
            | Self::TargetAdded { .. }
            | Self::TargetChanged { .. }
            | Self::TargetArchived { .. }
            | Self::TargetLookedAt { .. }
            | Self::CredentialsUsed { .. }
            | Self::SourceLoginUsed { .. }
            | Self::HistoryExported { .. }
            | Self::Started { .. }
            | Self::KeyLost { .. } => Visibility::HistoryView,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: i64) -> Vec<Link> {
        let mut previous = GENESIS;
        (1..=count)
            .map(|number| {
                let body = format!("{{\"row\":{number}}}").into_bytes();
                let hash = chain(VERSION, number, &previous, &body);
                previous = hash;
                Link { number, version: VERSION, body, hash }
            })
            .collect()
    }

    fn prove(rows: &[Link]) -> Result<(), Broken> {
        let mut prover = Prover::after(0, GENESIS);
        rows.iter().try_for_each(|row| prover.prove(row))
    }

    #[test]
    fn an_untouched_history_is_whole() {
        assert_eq!(prove(&rows(50)), Ok(()));
    }

    #[test]
    fn every_changed_byte_of_every_row_is_found_at_that_row() {
        for at in 0..20 {
            for byte in 0..5 {
                let mut rows = rows(20);
                rows[at].body[byte] ^= 1;
                assert_eq!(prove(&rows), Err(Broken::Changed { number: rows[at].number }));
            }
        }
    }

    #[test]
    fn a_removed_row_and_one_put_in_between_are_found() {
        let mut removed = rows(20);
        removed.remove(7);
        assert_eq!(prove(&removed), Err(Broken::Missing { number: 8 }));

        let mut forged = rows(20);
        forged[7].body = b"{}".to_vec();
        forged[7].hash = chain(VERSION, 8, &forged[6].hash, b"{}");
        assert_eq!(prove(&forged), Err(Broken::Changed { number: 9 }));
    }

    #[test]
    fn a_history_that_was_cut_off_is_found_by_its_head() {
        let rows = rows(20);
        let head = rows[19].hash;
        let mut prover = Prover::after(0, GENESIS);
        for row in &rows[..19] {
            prover.prove(row).expect("whole so far");
        }

        assert_eq!(prover.end(20, &head), Err(Broken::CutOff { number: 19, head: 20 }));
    }
}
