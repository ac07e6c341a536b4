//! An invitation: a link with which somebody makes an account of his own, once, until it expires. The
//! account begins with the grants that the link carries.

use crate::{access::Places, id::InvitationId, role::Role};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Days that a link may work.
pub const DAYS: std::ops::RangeInclusive<u8> = 1..=14;

/// Grants that one link can carry at most.
pub const MOST_GRANTS: usize = 3;

/// Links that may be open at a time.
pub const MOST_OPEN: i64 = 100;

/// Whether a link still works, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Open,
    Accepted,
    Withdrawn,
    Expired,
    /// Whoever invited may not manage people now: a link can do no more than who made it.
    Void,
}

impl Standing {
    /// The word on the list.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Void => "void",
        }
    }

    /// What whoever opens the link is told. None: the link works. `by` is who invited.
    #[must_use]
    pub fn refusal(self, by: &str) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Accepted => Some(format!(
                "This invitation was used, and it works once. If it was not by you, tell {by}."
            )),
            Self::Withdrawn => {
                Some(format!("This invitation was withdrawn. Ask {by} if you did not expect that."))
            }
            Self::Expired => Some(format!("This invitation has expired. Ask {by} for a new one.")),
            Self::Void => Some(format!(
                "This invitation is void: {by} may not manage people any more. Ask another admin."
            )),
        }
    }
}

/// What is said of a link that was never made, or long ago.
pub const UNKNOWN: &str = "This is no invitation of this console. Was the link copied whole? If it is old, ask for a new one.";

/// A grant that a link carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub role: Role,
    /// "everything", "newstalk", "staging", "newstalk in staging".
    pub scope_words: String,
}

impl Carried {
    /// What the role allows, to somebody who has no other and knows none: "you may …".
    #[must_use]
    pub const fn allows(&self) -> &'static str {
        match self.role {
            Role::Viewer => "see what runs and how it is",
            Role::Deployer => "make releases, and roll out where the environment is open",
            Role::Releaser => "make releases, and roll out in protected environments too",
            Role::Auditor => "see what runs, read the whole history and take it away",
            Role::Admin => "do everything",
        }
    }
}

/// An invitation on the admins' list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRow {
    pub id: InvitationId,
    /// What the person was called by who invited.
    pub name: String,
    pub by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub invited_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    pub standing: Standing,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// Who was made with it, or who withdrew it.
    pub ended_by: Option<String>,
    pub carries: Vec<Carried>,
}

/// The page of invitations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationsPage {
    pub rows: Vec<InvitationRow>,
    pub places: Places,
    /// A link that was made just now by a form without scripts. Shown once.
    pub made: Option<Made>,
}

/// A link that was made just now. It is shown once and kept nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub name: String,
    pub link: String,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Without the link: it must not get into a log.
impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What whoever opens a link sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum InvitationPage {
    Open {
        /// What the person was called by who invited: a proposal.
        name: String,
        by: String,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
        carries: Vec<Carried>,
    },
    /// It works no more, or never did. Nothing is told but why.
    Over { why: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_link_works_and_every_other_says_why() {
        let all = [Standing::Accepted, Standing::Withdrawn, Standing::Expired, Standing::Void];
        let mut said: Vec<_> = all.map(|standing| standing.refusal("Ana").expect("a why")).into();
        assert!(said.iter().all(|why| why.contains("Ana")), "{said:?}");
        said.dedup();
        assert_eq!(said.len(), all.len());
        assert_eq!(Standing::Open.refusal("Ana"), None);
    }

    #[test]
    fn a_link_is_never_in_a_debug_print() {
        let made = Made {
            name: "Bo".to_owned(),
            link: "https://x/invitation?token=abc".to_owned(),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        assert!(!format!("{made:?}").contains("abc"));
    }
}
