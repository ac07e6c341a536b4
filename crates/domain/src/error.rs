//! What a person is told when something can not be done. The same type crosses the wire, so the
//! browser knows more than a sentence: which field, who was first, where to go.

use crate::{id::RolloutId, role::Role};
use serde::{Deserialize, Serialize};

/// A refusal or a failure, sorted by what the reader does next. The code of each is stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Problem {
    /// 401.
    #[error("Sign in first.")]
    SignedOut,
    /// 401. One answer for an unknown name, a wrong password and a disabled person.
    #[error("The name or the password is wrong.")]
    WrongPassword,
    /// 429.
    #[error("Too many attempts. Try again in {seconds} s.")]
    TooMany { seconds: u32 },
    /// 404. Also for what one may not see.
    #[error("There is no such {what}, or you may not see it.")]
    NotFound { what: String },
    /// 403.
    #[error("You may not {action} here: it needs the role {needs}. Nothing was changed.")]
    Forbidden { action: String, needs: Role },
    /// 422. The rest of the form is kept as it was typed.
    #[error("{sentence}")]
    Invalid { field: String, sentence: String },
    /// 409. Somebody else was first; nothing was changed by this click.
    #[error("{sentence}")]
    Conflict { sentence: String, rollout: Option<RolloutId> },
    /// 503. The history or the database can not be written, so nothing is done.
    #[error("{sentence}")]
    Unavailable { sentence: String },
    /// 500. Our fault; the log says more under the request's id.
    #[error(
        "Something failed on our side. Nothing was changed. Quote {request} when you report it."
    )]
    Internal { request: String },
}

impl Problem {
    /// A wrong field.
    pub fn invalid(field: impl Into<String>, sentence: impl ToString) -> Self {
        Self::Invalid { field: field.into(), sentence: sentence.to_string() }
    }

    /// Something that is not there, or not for these eyes.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// Somebody was first.
    pub fn conflict(sentence: impl Into<String>) -> Self {
        Self::Conflict { sentence: sentence.into(), rollout: None }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::SignedOut | Self::WrongPassword => 401,
            Self::TooMany { .. } => 429,
            Self::NotFound { .. } => 404,
            Self::Forbidden { .. } => 403,
            Self::Invalid { .. } => 422,
            Self::Conflict { .. } => 409,
            Self::Unavailable { .. } => 503,
            Self::Internal { .. } => 500,
        }
    }

    /// The field it is about, where it is about one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            _ => None,
        }
    }
}
