//! Registries: where images are kept for more than one machine, under which names a service's images
//! go there, and what came of asking one.
//!
//! A tag is a name that may point elsewhere tomorrow; what is deployed is a digest.

pub mod tags;

use crate::{
    id::{PushId, RegistryId},
    name::{Digest, ImageReference, ImageTag, RegistryAddress, RegistryUser, Repository},
    target::{Finding, Verdict},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use tags::TagPattern;
use time::OffsetDateTime;

/// What preflight asks of an image where a target fetches it by itself. Refused, it takes a push.
pub const IN_A_REGISTRY: &str = "The image is in a registry";

/// The most registries there can be.
pub const MOST: i64 = 100;

/// What a registry's password is sealed about: moved into another row it opens no more.
#[must_use]
pub fn sealed_about(registry: RegistryId) -> String {
    format!("registry/{registry}/password")
}

/// What is wrong with a password or token that is typed for a registry.
#[must_use]
pub fn password(typed: &str) -> Option<String> {
    match typed.chars().count() {
        0 => Some("A password or a token is needed with the user name.".to_owned()),
        4097.. => Some("A password or a token has at most 4096 characters.".to_owned()),
        _ if typed.chars().any(char::is_control) => {
            Some("A password or a token has no line break: was more copied than it?".to_owned())
        }
        _ => None,
    }
}

/// What came of asking a registry, as the machine found that will use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Standing {
    /// It knows us, or whoever asks.
    Accepted,
    /// It wants to know who asks, and nothing is stored to tell it.
    WantsLogin,
    WrongPassword,
    /// It knows who asks, and does not let him do this.
    Denied {
        said: String,
    },
    /// The address is one that is never connected to: a sentence.
    Forbidden {
        said: String,
    },
    /// Nobody answers at the address.
    Gone {
        said: String,
    },
    /// It did not answer in time.
    Slow,
    /// The certificate is not believed, or there is none where one is needed.
    Tls {
        said: String,
    },
    /// Something answers that does not speak as registries do.
    NotARegistry,
    /// It is a registry, and not well: full, or broken.
    Failing {
        said: String,
    },
    /// Nothing of that name is there.
    Missing,
    /// Anything else, in its own words.
    Other {
        said: String,
    },
}

impl Standing {
    /// Whether asking again, unchanged, may end otherwise.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Slow | Self::Failing { .. })
    }

    /// As a sentence about the registry at `address`, with what to do.
    #[must_use]
    pub fn sentence(&self, address: &RegistryAddress) -> String {
        match self {
            Self::Accepted => format!("{address} can be reached and accepted the login."),
            Self::WantsLogin => format!(
                "{address} can be reached and asks who we are: an admin stores a user name and a \
                 password for it under Registries."
            ),
            Self::WrongPassword => format!(
                "{address} can be reached and did not accept the user name and the password. Set \
                 them anew under Registries."
            ),
            Self::Denied { said } => format!(
                "{address} does not let this user do that: {said}. Give the user the right there, \
                 or store another one under Registries."
            ),
            Self::Forbidden { said } => format!("{address} was not asked: {said}"),
            Self::Gone { said } => format!(
                "Nobody answers at {address}: {said}. Check the address and the port, and that the \
                 registry runs."
            ),
            Self::Slow => {
                format!(
                    "{address} did not answer in time. It may be busy, or something between \
                         holds the connection back. Try again later."
                )
            }
            Self::Tls { said } => format!(
                "The connection to {address} is not safe: {said}. Give the registry a certificate \
                 that this machine believes; docs/OPERATING.md says how."
            ),
            Self::NotARegistry => format!(
                "Something answers at {address}, but it is no image registry. Check the address \
                 and the port."
            ),
            Self::Failing { said } => format!(
                "{address} answers that it can not do this now: {said}. Its disk may be full; its \
                 own log says more."
            ),
            Self::Missing => format!("{address} does not have it, or does not show it to us."),
            Self::Other { said } => format!("{address} said no: {said}."),
        }
    }

    /// As a finding of a test.
    #[must_use]
    pub fn finding(&self, address: &RegistryAddress, with_login: bool) -> Finding {
        let (verdict, detail) = match self {
            Self::Accepted | Self::Missing if with_login => {
                (Verdict::Pass, "it can be reached and accepted the login".to_owned())
            }
            Self::Accepted | Self::Missing => {
                (Verdict::Pass, "it can be reached and asks for no login".to_owned())
            }
            other => (Verdict::Refuse, other.sentence(address)),
        };
        Finding { question: format!("{address} can be used"), verdict, detail }
    }
}

/// How far a transfer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub bytes: u64,
    /// As far as it is known already.
    pub of_bytes: u64,
    /// What the engine says it does now.
    pub says: String,
}

/// Where a service's images go, and under which tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRule {
    pub registry: RegistryId,
    pub repository: Repository,
    pub tags: Vec<TagPattern>,
    /// Each build that succeeds is pushed; else only by hand.
    pub after_build: bool,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    Waiting,
    Pushing,
    Pushed,
    Failed,
}

impl PushState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Pushing, Self::Pushed, Self::Failed];

    /// The word in the database and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pushing => "pushing",
            Self::Pushed => "pushed",
            Self::Failed => "failed",
        }
    }

    /// Whether it is still to come to an end.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Pushing)
    }
}

impl fmt::Display for PushState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The page of all registries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistriesPage {
    pub registries: Vec<RegistryRow>,
    pub may_edit: bool,
}

/// One registry. The password is nowhere in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistryRow {
    pub id: RegistryId,
    pub name: String,
    pub address: RegistryAddress,
    /// Only for those who may edit it. `None` besides: nobody signs in there.
    pub user: Option<RegistryUser>,
    pub has_login: bool,
    /// Who set the credentials, and when.
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
    /// How many services push to it.
    pub services: i64,
}

/// The push rule of a service with what a form for it offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRulePage {
    pub rule: Option<PushRule>,
    pub registries: Vec<RegistryRow>,
    /// What is offered where there is no rule yet: `PROJECT/SERVICE`.
    pub suggested: String,
    pub may_edit: bool,
}

/// In which registries a release is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub digests: Vec<StoredDigest>,
    /// The newest first, at most 10.
    pub pushes: Vec<PushRow>,
    /// Where a push would go, and under which tags.
    pub would_go: Option<(Repository, Vec<ImageTag>)>,
    pub may_push: bool,
    /// Tags can be asked where they point now.
    pub may_ask: bool,
}

/// An image in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDigest {
    pub repository: Repository,
    pub digest: Digest,
    /// `pushed` or `pulled`.
    pub how: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// One push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRow {
    pub id: PushId,
    pub repository: Repository,
    pub tags: Vec<ImageTag>,
    pub state: PushState,
    pub progress: Progress,
    pub digest: Option<Digest>,
    /// Why it failed.
    pub why: Option<String>,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

/// Whether a tag still points to what was deployed.
#[must_use]
pub fn tag_finding(
    reference: &ImageReference,
    expected: &Digest,
    now: Result<Digest, String>,
) -> Finding {
    let question = format!("{reference} points to this release");
    let (verdict, detail) = match now {
        Ok(now) if now == *expected => (Verdict::Pass, format!("digest {}", expected.short())),
        Ok(now) => (
            Verdict::Warn,
            format!(
                "it points elsewhere now, to {}. This release is still {}, and is fetched by that",
                now.short(),
                expected.short()
            ),
        ),
        Err(why) => (Verdict::Warn, why),
    };
    Finding { question, verdict, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_a_host_and_perhaps_a_port_and_nothing_else() {
        for good in ["ghcr.io", "localhost", "127.0.0.1:5000", "registry:5000", "Registry.Example"]
        {
            let address: RegistryAddress = good.parse().unwrap();
            assert_eq!(address.as_str(), good.to_ascii_lowercase());
        }
        for bad in [
            "",
            "https://ghcr.io",
            "ghcr.io/team",
            "me@ghcr.io",
            "registry",
            "a.b:0",
            "a.b:x",
            "-a.b",
        ] {
            assert!(bad.parse::<RegistryAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_takes_apart_and_together() {
        let digest: Digest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
        let repository: Repository = "127.0.0.1:5000/team/api".parse().unwrap();

        assert_eq!(repository.address().as_str(), "127.0.0.1:5000");
        assert_eq!(repository.path(), "team/api");
        for typed in [
            repository.tagged(&"1.0".parse().unwrap()).to_string(),
            repository.pinned(&digest).to_string(),
            format!("{repository}:1.0@{digest}"),
            repository.to_string(),
        ] {
            let reference: ImageReference = typed.parse().unwrap();
            assert_eq!(reference.repository().as_ref(), Some(&repository), "{typed}");
        }
        for local in ["hello:1", "team/hello:1", &format!("sha256:{}", "a".repeat(64))] {
            assert_eq!(local.parse::<ImageReference>().unwrap().repository(), None, "{local}");
        }
        for bad in ["team/api", "ghcr.io/team/api:1", "ghcr.io/Team", "ghcr.io/", "ghcr.io/--x"] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tag_that_points_elsewhere_is_said_and_what_is_deployed_stays() {
        let digest =
            |two: &str| -> Digest { format!("sha256:{}", two.repeat(32)).parse().unwrap() };
        let reference = "ghcr.io/team/api:1".parse().unwrap();

        let same = tag_finding(&reference, &digest("0a"), Ok(digest("0a")));
        let moved = tag_finding(&reference, &digest("0a"), Ok(digest("0b")));

        assert_eq!(same.verdict, Verdict::Pass);
        assert_eq!(moved.verdict, Verdict::Warn);
        assert!(moved.detail.contains("0b0b") && moved.detail.contains("still 0a0a"), "{moved:?}");
    }
}
