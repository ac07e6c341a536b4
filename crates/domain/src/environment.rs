//! Environments: places in the order local, staging, production, shared by all projects.

use crate::{id::EnvironmentId, name::Name, policy::Policy, role::Protection};
use serde::{Deserialize, Serialize};

/// A place where services run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub id: EnvironmentId,
    pub name: Name,
    /// Where it stands in the order; unique.
    pub position: i32,
    /// Whether it asks for *releaser* where an open one asks for *deployer*.
    pub protected: bool,
    pub policy: Policy,
}

impl Environment {
    /// For the permission table.
    #[must_use]
    pub const fn protection(&self) -> Protection {
        if self.protected { Protection::Protected } else { Protection::Open }
    }
}
