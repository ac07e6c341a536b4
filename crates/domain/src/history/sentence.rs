//! A row as a sentence: *Ana* deployed *api 1.8.2* to *production*. The board, the rollout and the
//! history page all say it with these words.

use super::{By, Deed, Entry};
use crate::{
    build,
    name::ImageTag,
    rollout::{Ask, Kind, Phase},
};
use serde::{Deserialize, Serialize};

/// A sentence with its weight: names stand out from the words between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence(pub Vec<Word>);

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "as", content = "text")]
pub enum Word {
    Plain(String),
    /// A name: of a person, a service, a release.
    Strong(String),
    /// A role or another word of the vocabulary.
    Term(String),
}

/// How the result of a row is to be drawn: trouble is loud, everything else is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Quiet,
    Amber,
    Red,
}

impl Sentence {
    /// The sentence without its weight: for exports and titles.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0
            .iter()
            .map(|word| match word {
                Word::Plain(text) | Word::Strong(text) | Word::Term(text) => text.as_str(),
            })
            .collect()
    }
}

impl By {
    /// The name on screen.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Person { name, .. } => name.clone(),
            Self::Engine => "engine".to_owned(),
            Self::Machine { uid } => format!("user {uid} of this machine"),
            Self::Nobody => "somebody".to_owned(),
        }
    }
}

fn plain(text: impl Into<String>) -> Word {
    Word::Plain(text.into())
}

fn strong(text: impl ToString) -> Word {
    Word::Strong(text.to_string())
}

fn term(text: impl ToString) -> Word {
    Word::Term(text.to_string())
}

impl Entry {
    /// The whole row as one sentence. The environment has a column of its own on the page, so it is
    /// not in it.
    #[must_use]
    pub fn sentence(&self) -> Sentence {
        if self.begins_with_its_thing() {
            return Sentence(self.deed_words());
        }
        let mut words = vec![strong(self.by.name()), plain(" ")];
        words.extend(self.deed_words());
        Sentence(words)
    }

    /// A phase that a rollout or a build is in, or how it ended, is told of it, not of the engine. Who
    /// made the first account was nobody yet.
    fn begins_with_its_thing(&self) -> bool {
        match &self.deed {
            Deed::RolloutEntered { phase, .. } => {
                !matches!(phase, Phase::Succeeded | Phase::RolledBack)
            }
            Deed::BuildEntered { .. }
            | Deed::FirstAdminMade { .. }
            | Deed::TargetSilent { .. }
            | Deed::TargetAnswers { .. }
            | Deed::InstanceDied { .. }
            | Deed::InstanceNotReady { .. } => true,
            _ => false,
        }
    }

    /// The service's name, or what stands for it.
    fn thing(&self) -> String {
        let name = self.subject.service.as_ref().or(self.subject.project.as_ref());
        name.or(self.subject.environment.as_ref()).map(ToString::to_string).unwrap_or_default()
    }

    fn deed_words(&self) -> Vec<Word> {
        let thing = self.thing();
        let of = |release: &dyn ToString| strong(format!("{thing} {}", release.to_string()));
        match &self.deed {
            Deed::FirstAdminMade { name, .. } => {
                vec![strong(name), plain(" became the first admin, by the one-time link")]
            }
            Deed::AccessRecovered { name, .. } => {
                vec![plain("gave back access to "), strong(name)]
            }
            Deed::SignedIn { .. } => vec![plain("signed in")],
            Deed::SignInFailed { name, times: 1 } => {
                vec![plain("failed to sign in as "), strong(name)]
            }
            Deed::SignInFailed { name, times } => {
                vec![plain(format!("failed {times} times to sign in, last as ")), strong(name)]
            }
            Deed::SignedOut => vec![plain("signed out")],
            Deed::SessionEnded { .. } => vec![plain("ended a session")],
            Deed::PasswordChanged => vec![plain("changed the password")],
            Deed::PersonAdded { name, .. } => vec![plain("added "), strong(name)],
            Deed::PersonDisabled { name, .. } => vec![plain("disabled "), strong(name)],
            Deed::PersonEnabled { name, .. } => vec![plain("enabled "), strong(name)],
            Deed::PasswordReset { name, .. } => {
                vec![plain("set a new password for "), strong(name)]
            }
            Deed::GrantGiven { name, role, scope, .. } => vec![
                plain("gave "),
                strong(name),
                plain(" the role "),
                term(role),
                plain(format!(" in {scope}")),
            ],
            Deed::GrantTaken { name, role, scope, .. } => vec![
                plain("took from "),
                strong(name),
                plain(" the role "),
                term(role),
                plain(format!(" in {scope}")),
            ],
            Deed::PersonInvited { name, .. } => vec![plain("invited "), strong(name)],
            Deed::InvitationWithdrawn { name, .. } => {
                vec![plain("withdrew the invitation of "), strong(name)]
            }
            Deed::InvitationAccepted { name, by, .. } => {
                vec![plain("accepted the invitation for "), strong(name), plain(" by "), strong(by)]
            }
            Deed::Refused { action, what, needs } => vec![
                plain(format!("was refused to {}", action.as_words())),
                plain(if what.is_empty() { "" } else { " " }),
                strong(what),
                plain(": needs "),
                term(needs),
            ],
            Deed::RefusedMore { times } => vec![plain(format!(
                "was refused {times} more times, too often to be told one by one"
            ))],
            Deed::ProjectAdded => vec![plain("added the project "), strong(thing)],
            Deed::ServiceAdded => vec![plain("added the service "), strong(thing)],
            Deed::ServiceChanged => vec![plain("changed the service "), strong(thing)],
            Deed::PlacementChanged => vec![plain("changed where "), strong(thing), plain(" runs")],
            Deed::EnvironmentChanged => vec![plain("changed the environment "), strong(thing)],
            Deed::ConfigurationMade { number } => vec![
                plain("changed the configuration of "),
                strong(thing),
                plain(format!(", now number {number}")),
            ],
            Deed::SecretSet { name, version, number } => vec![
                plain("set the secret "),
                strong(name),
                plain(" of "),
                strong(thing),
                plain(format!(", version {version}, in configuration {number}")),
            ],
            Deed::SecretRemoved { name, number } => vec![
                plain("removed the secret "),
                strong(name),
                plain(" of "),
                strong(thing),
                plain(format!(", from configuration {number} on")),
            ],
            Deed::ReleaseMade { name, image, .. } => vec![
                plain("made the release "),
                of(name),
                plain(format!(" from {}", image.short())),
            ],
            // What is live is what was live: only the traffic had gone elsewhere.
            Deed::RolloutQueued { kind: Kind::Rollback, release, from: Some(from), .. }
                if from == release =>
            {
                vec![plain("puts the traffic back to "), of(release)]
            }
            Deed::RolloutQueued { kind: Kind::Rollback, release, from, .. } => {
                let mut words = vec![plain("rolls "), strong(&thing), plain(" back to ")];
                words.push(strong(release));
                if let Some(from) = from {
                    words.extend([plain(" from "), strong(from)]);
                }
                words
            }
            Deed::RolloutQueued { kind: Kind::Deploy, release, .. } => {
                vec![plain("deploys "), of(release)]
            }
            Deed::RolloutQueued { kind: Kind::Remove, .. } => {
                vec![plain("removes "), strong(thing)]
            }
            Deed::RolloutAsked { ask, release } => {
                let asked = match ask {
                    Ask::Abort => "asked to abort ",
                    Ask::Promote => "promoted ",
                    Ask::Retry => "asked to retry ",
                };
                vec![plain(asked), of(release)]
            }
            Deed::RolloutEntered { phase, outcome, kind: Kind::Remove, .. } => {
                removal(*phase, &thing, outcome)
            }
            Deed::RolloutEntered { phase, release, outcome, .. } => {
                let mut words = match phase {
                    Phase::Succeeded => vec![plain("made "), of(release), plain(" live")],
                    Phase::Failed => vec![of(release), plain(" failed")],
                    Phase::Aborted => vec![of(release), plain(" was aborted")],
                    Phase::RolledBack => vec![plain("took "), of(release), plain(" back")],
                    Phase::Superseded => vec![of(release), plain(" gave way to a newer one")],
                    Phase::Queued
                    | Phase::Preflight
                    | Phase::AwaitingApproval
                    | Phase::Preparing
                    | Phase::Verifying
                    | Phase::AwaitingPromotion
                    | Phase::Switching
                    | Phase::Observing
                    | Phase::Draining
                    | Phase::SwitchingBack
                    | Phase::CleaningUp => {
                        let is = if *phase == Phase::Preflight { "is in" } else { "is" };
                        vec![of(release), plain(format!(" {is} {phase}"))]
                    }
                };
                if !outcome.is_empty() {
                    words.push(plain(format!(": {outcome}")));
                }
                words
            }
            Deed::RolloutErrored { phase, release, trouble } => vec![
                plain("needs a person for "),
                of(release),
                plain(format!(" while {phase}: {trouble}")),
            ],
            Deed::Alarm { release, why } => {
                vec![plain("raised an alarm for "), of(release), plain(format!(": {why}"))]
            }
            Deed::WarmthExtended { slot, minutes } => vec![
                plain(format!("keeps {slot} of ")),
                strong(thing),
                plain(format!(" warm for {minutes} more minutes")),
            ],
            Deed::WarmthEnded { slot, why } => vec![
                plain(format!("ended the warmth of {slot} of ")),
                strong(thing),
                plain(format!(": {why}")),
            ],
            Deed::HoldLifted => vec![plain("lifted the hold of "), strong(thing)],
            Deed::RestartAsked { slot } => vec![
                plain(format!("restarts {slot} of ")),
                strong(thing),
                plain(", one instance after the other"),
            ],
            Deed::InstanceRestarted { instance, done, of } => vec![
                plain(format!("restarted {done} of {of} of ")),
                strong(thing),
                plain(format!(": {instance}")),
            ],
            Deed::RestartStopped { done, of, why } => vec![
                plain("stopped the restart of "),
                strong(thing),
                plain(format!(" at {done} of {of}: {why}")),
            ],
            Deed::PlacementStopped { release, .. } => vec![plain("stopped "), of(release)],
            Deed::PlacementStarted { release } => {
                vec![plain("starts "), of(release), plain(" again")]
            }
            Deed::PlacementAdded => vec![plain("placed "), strong(thing), plain(" here again")],
            Deed::PlacementRemoved => vec![plain("removed "), strong(thing), plain(" from here")],
            Deed::InstanceDied { instance, why, times, minutes } => {
                let mut words = vec![
                    strong(format!("{thing} {instance}")),
                    plain(format!(" {} and was started again", ended(why))),
                ];
                if *times > 1 {
                    words.push(plain(format!(", {} time in {minutes} min", ordinal(*times))));
                }
                words
            }
            Deed::InstanceNotReady { instance, minutes, why } => vec![
                strong(format!("{thing} {instance}")),
                plain(format!(" has not been ready for {minutes} min: {why}")),
            ],
            Deed::InstancesRestored { slot, count, why } => vec![
                plain(format!("restored {count} of {slot} of ")),
                strong(thing),
                plain(format!(": {why}")),
            ],
            Deed::StraysRemoved { slot, count } => {
                vec![plain(format!("removed {count} left over in {slot} of ")), strong(thing)]
            }
            Deed::RouteRestored { slot } => {
                vec![plain("gave the route of "), strong(thing), plain(back_to(*slot))]
            }
            Deed::RouteForeign { slot, who } => vec![
                plain("found the route of "),
                strong(thing),
                plain(format!("{}, by {who}", moved_to(*slot))),
            ],
            Deed::Drift { what } => {
                vec![plain("found a difference at "), strong(thing), plain(format!(": {what}"))]
            }
            Deed::RegistryAdded { name, address, .. } => {
                vec![plain("added the registry "), strong(name), plain(format!(" at {address}"))]
            }
            Deed::RegistryChanged { name, .. } => {
                vec![plain("changed the credentials of the registry "), strong(name)]
            }
            Deed::RegistryArchived { name, .. } => {
                vec![plain("archived the registry "), strong(name)]
            }
            Deed::RegistryTried { name, .. } => {
                vec![plain("tried the registry "), strong(name)]
            }
            Deed::TargetAdded { name, .. } => vec![plain("connected the target "), strong(name)],
            Deed::TargetChanged { name, .. } => {
                vec![plain("changed how the target "), strong(name), plain(" is reached and used")]
            }
            Deed::TargetArchived { name, .. } => {
                vec![plain("archived the target "), strong(name)]
            }
            Deed::TargetLookedAt { name, .. } => {
                vec![plain("asked the target "), strong(name), plain(" what is there")]
            }
            Deed::TargetSilent { name, says } => vec![
                plain("The target "),
                strong(name),
                plain(" of "),
                strong(thing),
                plain(format!(" does not answer: {says}")),
            ],
            Deed::TargetAnswers { name, says } => vec![
                plain("The target "),
                strong(name),
                plain(" of "),
                strong(thing),
                plain(format!(" answers again: {says}")),
            ],
            Deed::EnvironmentMoved { from, to } => vec![
                plain("moved the environment "),
                strong(thing),
                plain(" from "),
                strong(from),
                plain(" to "),
                strong(to),
            ],
            Deed::EnvironmentAdded { target } => {
                vec![plain("added the environment "), strong(thing), plain(" on "), strong(target)]
            }
            Deed::PushRuleChanged => {
                vec![plain("changed where the images of "), strong(thing), plain(" go")]
            }
            Deed::PushAsked { release, repository } => {
                vec![plain("pushes "), of(release), plain(format!(" to {repository}"))]
            }
            Deed::ImagePushed { release, repository, tags, digest } => {
                let tags: Vec<_> = tags.iter().map(ImageTag::as_str).collect();
                vec![
                    plain("pushed "),
                    of(release),
                    plain(format!(" to {repository} as {}", tags.join(", "))),
                    plain(format!(", digest {}", digest.short())),
                ]
            }
            Deed::PushFailed { release, repository, why } => vec![
                plain("could not push "),
                of(release),
                plain(format!(" to {repository}: {why}")),
            ],
            Deed::ImageFetched { release, repository, digest } => vec![
                plain("fetched the image of "),
                of(release),
                plain(format!(" from {repository} by its digest {}", digest.short())),
            ],
            Deed::CredentialsUsed { address, what } => {
                vec![plain(format!("used the credentials of {address} {what}"))]
            }
            Deed::DriftEnded => {
                vec![plain("found "), strong(thing), plain(" as it should be again")]
            }
            Deed::HistoryExported { rows, format } => {
                vec![plain(format!("took away {rows} rows of the history as {format}"))]
            }
            Deed::Started { version } => vec![plain(format!("started Pilothouse {version}"))],
            Deed::KeyLost { lost, new } => vec![plain(format!(
                "missed the key {lost} that secrets were sealed with; new ones are sealed with {new}"
            ))],
            Deed::SourceChanged => {
                vec![plain("changed where "), strong(thing), plain(" is built from")]
            }
            Deed::BuildSecretSet { name, version } => vec![
                plain("set the secret "),
                strong(name),
                plain(" of builds of "),
                strong(thing),
                plain(format!(", version {version}")),
            ],
            Deed::BuildSecretRemoved { name } => vec![
                plain("removed the secret "),
                strong(name),
                plain(" of builds of "),
                strong(thing),
            ],
            Deed::SourceLoginChanged { host } => vec![
                plain("changed who reads the repository of "),
                strong(thing),
                plain(format!(" at {host}")),
            ],
            Deed::BuildGiven { number, what, .. } => {
                vec![
                    plain("gave "),
                    build_of(&thing, *number),
                    plain(format!(" {}", what.join(", "))),
                ]
            }
            Deed::SourceLoginUsed { host, what } => {
                vec![plain("used the login at "), strong(host), plain(format!(" {what}"))]
            }
            Deed::BuildAsked { number, asked, deploy_to, .. } => {
                let mut words = vec![
                    plain("asked to build "),
                    strong(&thing),
                    plain(" at "),
                    strong(asked),
                    plain(format!(", build {number}")),
                ];
                if !deploy_to.is_empty() {
                    let names: Vec<_> = deploy_to.iter().map(ToString::to_string).collect();
                    words.push(plain(format!(", and to deploy it to {}", names.join(", "))));
                }
                words
            }
            Deed::BuildCancelAsked { number, .. } => {
                vec![plain("asked to cancel "), build_of(&thing, *number)]
            }
            Deed::BuildEntered { number, phase, outcome, .. } => {
                let is = match phase {
                    build::Phase::Succeeded | build::Phase::Failed => format!(" {phase}"),
                    build::Phase::Cancelled | build::Phase::Interrupted => format!(" was {phase}"),
                    build::Phase::Queued
                    | build::Phase::Fetching
                    | build::Phase::Building
                    | build::Phase::Pushing => format!(" is {phase}"),
                };
                let mut words = vec![build_of(&thing, *number), plain(is)];
                if !outcome.is_empty() {
                    words.push(plain(format!(": {outcome}")));
                }
                words
            }
            Deed::BuildNotDeployed { number, why, .. } => {
                vec![plain("did not deploy "), build_of(&thing, *number), plain(format!(": {why}"))]
            }
        }
    }

    /// The result column, and how loud it is.
    #[must_use]
    pub fn result(&self) -> (String, Tone) {
        let (word, tone) = match &self.deed {
            Deed::SignInFailed { .. } | Deed::Refused { .. } | Deed::RefusedMore { .. } => {
                ("refused", Tone::Amber)
            }
            Deed::RolloutEntered { phase, .. } => match phase {
                Phase::Succeeded
                    if matches!(&self.deed, Deed::RolloutEntered { kind: Kind::Remove, .. }) =>
                {
                    ("removed", Tone::Quiet)
                }
                Phase::Failed => ("failed", Tone::Red),
                Phase::RolledBack => ("rolled back", Tone::Red),
                Phase::Aborted => ("aborted", Tone::Amber),
                Phase::SwitchingBack => ("switching back", Tone::Amber),
                other => (other.as_words(), Tone::Quiet),
            },
            Deed::RolloutErrored { .. } => ("needs a person", Tone::Red),
            Deed::PushFailed { .. } => ("failed", Tone::Red),
            Deed::PushAsked { .. } => ("asked", Tone::Quiet),
            Deed::Alarm { .. } => ("alarm", Tone::Red),
            Deed::KeyLost { .. } => ("lost", Tone::Red),
            Deed::InstanceDied { .. } => ("died", Tone::Amber),
            Deed::TargetSilent { .. } => ("silent", Tone::Amber),
            Deed::InstanceNotReady { .. } => ("not ready", Tone::Amber),
            Deed::RestartStopped { .. } => ("stopped", Tone::Amber),
            Deed::RouteForeign { .. } | Deed::Drift { .. } => ("differs", Tone::Amber),
            Deed::RolloutQueued { .. } | Deed::BuildAsked { .. } => ("queued", Tone::Quiet),
            Deed::BuildEntered { phase, .. } => match phase {
                build::Phase::Failed => ("failed", Tone::Red),
                build::Phase::Interrupted => ("interrupted", Tone::Red),
                build::Phase::Cancelled => ("cancelled", Tone::Amber),
                other => (other.as_str(), Tone::Quiet),
            },
            Deed::BuildCancelAsked { .. } => ("asked", Tone::Quiet),
            Deed::BuildNotDeployed { .. } => ("not deployed", Tone::Amber),
            Deed::RolloutAsked { .. } => ("asked", Tone::Quiet),
            _ => ("done", Tone::Quiet),
        };
        (word.to_owned(), tone)
    }
}

/// "api build 12".
fn build_of(thing: &str, number: i32) -> Word {
    strong(format!("{thing} build {number}"))
}

/// A removal makes nothing live: its phases are told of the service.
fn removal(phase: Phase, thing: &str, outcome: &str) -> Vec<Word> {
    let mut words = match phase {
        Phase::Switching => vec![plain("the route of "), strong(thing), plain(" is withdrawn")],
        Phase::Draining => vec![strong(thing), plain(" finishes what it has")],
        Phase::SwitchingBack => vec![strong(thing), plain(" gets its requests back")],
        Phase::CleaningUp => vec![plain("the instances of "), strong(thing), plain(" are removed")],
        Phase::Succeeded => vec![plain("ended the removal of "), strong(thing)],
        Phase::Failed => vec![plain("the removal of "), strong(thing), plain(" failed")],
        Phase::Aborted => vec![plain("the removal of "), strong(thing), plain(" was aborted")],
        other => vec![plain("the removal of "), strong(thing), plain(format!(" is {other}"))],
    };
    if !outcome.is_empty() {
        words.push(plain(format!(": {outcome}")));
    }
    words
}

/// Why an instance died, with its verb.
fn ended(why: &str) -> String {
    if why.starts_with("killed") {
        format!("was {why}")
    } else if why.starts_with("exit code") {
        format!("ended with {why}")
    } else {
        why.to_owned()
    }
}

/// "3rd".
fn ordinal(n: u32) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

fn back_to(slot: Option<crate::slot::Slot>) -> String {
    slot.map_or_else(
        || " back to the router".to_owned(),
        |slot| format!(" back to the router: {slot}"),
    )
}

fn moved_to(slot: Option<crate::slot::Slot>) -> String {
    slot.map_or_else(|| " withdrawn".to_owned(), |slot| format!(" moved to {slot}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Subject;
    use time::macros::datetime;

    fn said(deed: Deed) -> String {
        let subject =
            Subject { service: Some("web".parse().expect("a name")), ..Subject::default() };
        let entry = Entry {
            at: datetime!(2026-11-21 12:00 UTC),
            by: By::Engine,
            origin: None,
            subject,
            deed,
            changes: Vec::new(),
            reason: None,
        };
        entry.sentence().to_text()
    }

    #[test]
    fn an_instance_that_died_says_why_and_how_often() {
        let died = |why: &str, times| {
            let (instance, why) = ("blue-c19f-1".to_owned(), why.to_owned());
            said(Deed::InstanceDied { instance, why, times, minutes: 10 })
        };

        assert_eq!(
            died("killed for memory (limit 256 MiB)", 3),
            "web blue-c19f-1 was killed for memory (limit 256 MiB) and was started again, \
             3rd time in 10 min"
        );
        assert_eq!(
            died("exit code 1", 1),
            "web blue-c19f-1 ended with exit code 1 and was started again"
        );
        assert_eq!([11, 12, 21, 22, 103].map(ordinal), ["11th", "12th", "21st", "22nd", "103rd"]);
    }

    /// Rows that were written before a removal could be told have no kind.
    #[test]
    fn an_old_row_of_a_phase_is_read() {
        let old = r#"{"did":"rollout_entered","phase":"succeeded","release":"1.0.0","from":null,"outcome":""}"#;

        let deed: Deed = serde_json::from_str(old).expect("readable");

        assert_eq!(said(deed), "engine made web 1.0.0 live");
    }
}
