//! A cluster as a target: what its credentials hold, what is seen of it, and what we may do there.

use super::Finding;
use crate::{id::TargetId, name::ImageReference, namespace::NamespacePattern};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The most targets there can be, this machine among them.
pub const MOST: i64 = 50;
/// The most bytes of credentials that are taken.
pub const CREDENTIALS_BYTES: usize = 256 * 1024;
/// The most contexts that credentials may have.
pub const MOST_CONTEXTS: usize = 100;
/// The most namespaces that are shown.
pub const MOST_NAMESPACES: usize = 500;

/// What a target's credentials are sealed about: moved into another row they open no more.
#[must_use]
pub fn sealed_about(target: TargetId) -> String {
    format!("target/{target}/credentials")
}

/// What credentials hold, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsRead {
    /// Those that can be used, in their order. Never empty.
    pub contexts: Vec<ContextRead>,
    /// The one that the credentials themselves name first.
    pub current: Option<String>,
}

impl CredentialsRead {
    /// The names of all contexts.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.contexts.iter().map(|context| context.name.clone()).collect()
    }

    /// The context to begin with: `wanted` if it is there, else the one that is named, else the first.
    #[must_use]
    pub fn first(&self, wanted: Option<&str>) -> Option<&ContextRead> {
        let find = |name: &str| self.contexts.iter().find(|context| context.name.as_str() == name);
        wanted
            .and_then(find)
            .or_else(|| self.current.as_deref().and_then(find))
            .or_else(|| self.contexts.first())
    }
}

/// One way into a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextRead {
    pub name: String,
    /// The address of the cluster.
    pub server: String,
    /// As whom.
    pub user: String,
    pub namespace: Option<String>,
}

/// What is there, as the cluster itself said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSeen {
    /// "Kubernetes 1.34.4, 3 nodes".
    pub summary: String,
    /// The contexts of the credentials.
    pub contexts: Vec<String>,
    /// `None`: they may not be listed.
    pub namespaces: Option<Vec<String>>,
    /// What works and what does not.
    pub findings: Vec<Finding>,
    /// What is needed, and whether it is granted, by the namespace it was asked for.
    pub needs: Vec<Need>,
    /// The smallest role and binding that would do, as text to apply.
    pub role: String,
}

/// One thing that is needed of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// "deployments.apps".
    pub on: String,
    /// "get", "patch".
    pub verbs: Vec<String>,
    /// Those of them that are not granted.
    pub missing: Vec<String>,
    /// What it is needed for.
    pub what_for: String,
    /// What does not work without it, as a sentence.
    pub without: String,
    /// Whether rollouts work without it.
    pub optional: bool,
}

/// The page of all targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetsPage {
    /// Oldest first: this machine.
    pub targets: Vec<TargetRow>,
    pub may_edit: bool,
}

/// A target in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRow {
    pub id: TargetId,
    pub name: String,
    /// Else it is this machine.
    pub is_cluster: bool,
    /// Whether it answered when it was asked last, and what it is or why it did not.
    pub answers: Option<bool>,
    pub says: String,
    /// The environments on it, for those who may edit targets.
    pub environments: Vec<String>,
}

/// The page of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPage {
    pub row: TargetRow,
    #[serde(with = "time::serde::rfc3339::option")]
    pub asked_at: Option<OffsetDateTime>,
    /// For those who may edit it.
    pub cluster: Option<ClusterCard>,
    pub may_edit: bool,
}

/// How a cluster is reached, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCard {
    /// Else the service account that we run as.
    pub has_credentials: bool,
    pub context: Option<String>,
    pub contexts: Vec<String>,
    pub namespaces: NamespacePattern,
    pub probe_image: Option<ImageReference>,
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
}
