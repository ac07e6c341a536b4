//! Sorts what the container engine and the router answer into what the caller does next.

use super::router;
use crate::Error;
use domain::route::RefusalCode;

/// As the engine is called in sentences.
pub(super) const ENGINE: &str = "The container engine";
/// As the router is called in sentences.
pub(super) const ROUTER: &str = "The router";

/// The engine understood and said no.
pub(super) fn refused(reason: impl Into<String>) -> Error {
    Error::Refused { target: ENGINE.to_owned(), reason: reason.into() }
}

/// The engine has no room for anybody.
pub(super) fn full(reason: impl Into<String>) -> Error {
    Error::Full { target: ENGINE.to_owned(), reason: reason.into() }
}

/// The router said no, or we did on its behalf.
pub(super) fn router_refused(reason: impl Into<String>) -> Error {
    Error::Refused { target: ROUTER.to_owned(), reason: reason.into() }
}

/// The router does not have what it must have had. That is not the fault of what was asked for.
pub(super) fn router_lost(what: &'static str) -> Error {
    Error::Unreachable { target: ROUTER.to_owned(), source: anyhow::anyhow!(what) }
}

/// The router routes otherwise than the caller thinks.
pub(super) fn router_stale(reason: impl Into<String>) -> Error {
    Error::Stale { target: ROUTER.to_owned(), reason: reason.into() }
}

/// The engine gave no answer, or one that says it is not well.
pub(super) fn unreachable(source: impl Into<anyhow::Error>) -> Error {
    Error::Unreachable { target: ENGINE.to_owned(), source: source.into() }
}

impl From<bollard::errors::Error> for Error {
    fn from(error: bollard::errors::Error) -> Self {
        match status(&error) {
            // Gone or just being changed, by whoever: the next look tells.
            Some((404 | 408 | 409 | 429, _)) => unreachable(error),
            Some((400..=499, message)) => refused(sentence(message)),
            _ => unreachable(error),
        }
    }
}

impl From<router::Failure> for Error {
    fn from(failure: router::Failure) -> Self {
        let target = ROUTER.to_owned();
        match failure {
            router::Failure::Unreachable(source) => Self::Unreachable { target, source },
            // Says nothing of what was asked for.
            router::Failure::NotOurs(reason) => {
                Self::Unreachable { target, source: anyhow::anyhow!(reason) }
            }
            router::Failure::Refused(refusal) => match refusal.code {
                RefusalCode::StaleEpoch | RefusalCode::WrongRevision => {
                    Self::Stale { target, reason: refusal.message }
                }
                RefusalCode::HostTaken
                | RefusalCode::EmptySlot
                | RefusalCode::SlotIsLive
                | RefusalCode::Malformed => Self::Refused { target, reason: refusal.message },
                // The router is not well, lost what it had, or is not the one we know.
                RefusalCode::NotDurable
                | RefusalCode::Draining
                | RefusalCode::NoRoute
                | RefusalCode::UnknownPlacement
                | RefusalCode::UnknownCall
                | RefusalCode::Forbidden => {
                    Self::Unreachable { target, source: anyhow::Error::new(refusal) }
                }
            },
        }
    }
}

/// The engine's status and message, where it answered at all.
pub(super) fn status(error: &bollard::errors::Error) -> Option<(u16, &str)> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            Some((*status_code, message))
        }
        _ => None,
    }
}

/// Whether what was asked for is not there (any more).
pub(super) fn is_gone(error: &bollard::errors::Error) -> bool {
    matches!(status(error), Some((404, _)))
}

/// Whether somebody has that name, or the thing is just being changed. Podman says 500.
pub(super) fn is_conflict(error: &bollard::errors::Error) -> bool {
    match status(error) {
        Some((409, _)) => true,
        Some((500, message)) => message.contains("already in use") && message.contains("name"),
        _ => false,
    }
}

/// The engine's words in one line, of a length that fits on a page.
pub(super) fn sentence(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
