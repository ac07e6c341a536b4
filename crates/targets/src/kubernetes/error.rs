//! Sorts what the API server answers into what the caller does next.

use super::patience::Busy;
use crate::{DEADLINE, Error, Result};
use anyhow::anyhow;
use kube::core::Status;
use std::{error::Error as _, time::Duration};

/// Errors of one cluster: they name it.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    target: String,
}

impl Errors {
    /// Of the cluster that people call `name`.
    pub fn of(name: &str) -> Self {
        Self { target: format!("The cluster {name}") }
    }

    /// The cluster understood and said no, or we did on its behalf.
    pub fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused { target: self.target.clone(), reason: reason.into() }
    }

    /// The cluster has no room for anybody.
    pub fn full(&self, reason: impl Into<String>) -> Error {
        Error::Full { target: self.target.clone(), reason: reason.into() }
    }

    /// Somebody newer was there.
    pub fn stale(&self, reason: impl Into<String>) -> Error {
        Error::Stale { target: self.target.clone(), reason: reason.into() }
    }

    /// No answer, or one that says that the cluster is not well.
    pub fn unreachable(&self, source: impl Into<anyhow::Error>) -> Error {
        Error::Unreachable { target: self.target.clone(), source: source.into() }
    }

    /// What an answer of the API server means for who asked.
    pub fn sorted(&self, error: kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => self.status(&status),
            kube::Error::Auth(error) => self.unreachable(anyhow!(
                "its credentials could not be used: {}. Give the target new ones",
                sentence(&error.to_string())
            )),
            kube::Error::Service(error) if error.is::<Busy>() => {
                self.unreachable(anyhow!("{error}"))
            }
            other => match tls(&other) {
                Some(why) => self.unreachable(anyhow!(
                    "its certificate is not one that the kubeconfig trusts ({why}). Check the \
                     address and the certificate authority of the target"
                )),
                None => self.unreachable(other),
            },
        }
    }

    fn status(&self, status: &Status) -> Error {
        let said = sentence(&status.message);
        match status.code {
            401 => self.unreachable(anyhow!(
                "its credentials are not accepted any more (401). Give the target new ones"
            )),
            403 if is_quota(status) => self.full(format!("{}.", said.trim_end_matches('.'))),
            403 => self.refused(format!(
                "{}. Whoever administers the cluster can allow it.",
                said.trim_end_matches('.')
            )),
            404 if status.message.contains("namespaces \"") => self.refused(format!(
                "{}. Whoever administers the cluster can make the namespace, or the target gets \
                 another pattern for namespaces.",
                said.trim_end_matches('.')
            )),
            // Not there (any more), or changed by somebody in the same moment: the next look tells.
            404 | 409 | 410 => self.unreachable(anyhow!("{said} ({})", status.code)),
            429 => self.unreachable(anyhow!("it has too much to do (429): {said}")),
            400..=499 => self.refused(format!("{}.", said.trim_end_matches('.'))),
            code => self.unreachable(anyhow!("{said} ({code})")),
        }
    }

    /// Ends `work`, which asks the API server several times, each with its own deadline
    /// ([`answered`]), when it takes too long as a whole.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(WHOLE, work)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(anyhow!("it was not done in {WHOLE:?}"))))
    }

    /// Ends `work` that is asked for again each second when a single answer should be there.
    pub async fn soon<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(DEADLINE, work)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(anyhow!("no answer in {DEADLINE:?}"))))
    }
}

/// How long a call of the driver may take where the API server answers, and slowly. One that stands
/// still is known after [`DEADLINE`], with the first answer that does not come.
const WHOLE: Duration = Duration::from_secs(8);

/// One answer of the API server, in time or never.
pub(super) async fn answered<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    tokio::time::timeout(DEADLINE, call)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(format!("no answer in {DEADLINE:?}").into())))
}

/// Whether what was asked for is not there (any more).
pub(super) fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether somebody wrote the object since it was read, owns a field that was written, or made
/// another one of that name.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// A namespace's quota is the one thing that is 403 and nobody's missing right.
fn is_quota(status: &Status) -> bool {
    status.message.contains("exceeded quota")
}

/// What is wrong with a certificate, if that is what is wrong.
fn tls(error: &kube::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if said.contains("certificate") {
            return Some(sentence(&said));
        }
        cause = error.source();
    }
    None
}

/// The API server's words in one line, of a length that fits on a page.
pub(super) fn sentence(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(code: u16, message: &str) -> Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        Errors::of("staging").sorted(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_answer_is_sorted_by_what_to_do_next() {
        assert!(matches!(sorted(401, "Unauthorized"), Error::Unreachable { .. }));
        assert!(matches!(sorted(409, "the object has been modified"), Error::Unreachable { .. }));
        assert!(matches!(sorted(429, "too many requests"), Error::Unreachable { .. }));
        assert!(matches!(sorted(503, "apiserver is shutting down"), Error::Unreachable { .. }));
        assert!(matches!(sorted(422, "spec.replicas: Invalid value"), Error::Refused { .. }));
        let nowhere = sorted(404, "namespaces \"shop-local\" not found");
        assert!(matches!(nowhere, Error::Refused { .. }), "{nowhere:?}");
        assert!(matches!(sorted(404, "pods \"a\" not found"), Error::Unreachable { .. }));
        let quota = sorted(403, "pods \"a\" is forbidden: exceeded quota: small");
        assert!(matches!(quota, Error::Full { .. }), "{quota:?}");
    }

    #[test]
    fn a_missing_right_says_who_can_unblock_it() {
        let Error::Refused { reason, .. } = sorted(403, "services is forbidden: cannot patch")
        else {
            panic!("a refusal");
        };

        assert!(reason.ends_with("Whoever administers the cluster can allow it."), "{reason}");
    }
}
