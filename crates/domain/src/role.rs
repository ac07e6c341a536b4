//! Who may do what: one table, written as a function.
//!
//! The check that uses it is `control`'s permit. The browser asks the same table which buttons to
//! light, and never decides anything by it.

use crate::id::{EnvironmentId, ProjectId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A set of actions with a name. A person holds roles in scopes, by grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees what runs and how it is.
    Viewer,
    /// Makes releases and rolls out where the environment is open.
    Deployer,
    /// Rolls out everywhere, protected environments included.
    Releaser,
    /// Reads the whole history and takes it away. Changes nothing.
    Auditor,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Deployer, Self::Releaser, Self::Auditor, Self::Admin];

    /// The word on screen and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Releaser => "releaser",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// One sentence for the person who grants it.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::Viewer => "Sees what runs and how it is.",
            Self::Deployer => "Also makes releases and rolls out in open environments.",
            Self::Releaser => "Also rolls out in protected environments.",
            Self::Auditor => "Sees what runs, reads the whole history and exports it.",
            Self::Admin => "Everything: people, environments, services, rollouts, history.",
        }
    }

    /// The one permission table. A protected environment asks for more.
    #[must_use]
    pub const fn allows(self, action: Action, protection: Protection) -> bool {
        use {Action::*, Protection::*, Role::*};
        match (action, protection) {
            (View, _) => true,
            (LogsView, _) => matches!(self, Deployer | Releaser | Auditor | Admin),
            (HistoryView, _) => matches!(self, Auditor | Admin),
            (BuildStart | BuildCancel | ReleaseCreate, _) => {
                matches!(self, Deployer | Releaser | Admin)
            }
            (
                RolloutStart | RolloutPromote | RolloutAbort | RolloutRollBack | PlacementScale
                | PlacementRestart | ConfigurationEdit | SecretSet,
                Open,
            ) => matches!(self, Deployer | Releaser | Admin),
            (
                RolloutStart | RolloutPromote | RolloutAbort | RolloutRollBack | PlacementScale
                | PlacementRestart | ConfigurationEdit | SecretSet,
                Protected,
            ) => matches!(self, Releaser | Admin),
            (RolloutApprove, _) => matches!(self, Releaser | Admin),
            (ServiceEdit, _) => matches!(self, Deployer | Releaser | Admin),
            (PlacementRemove, Open) => matches!(self, Releaser | Admin),
            (PlacementRemove | EnvironmentEdit | TargetEdit | PeopleManage | SettingsEdit, _) => {
                matches!(self, Admin)
            }
        }
    }
}

/// Everything that can be allowed. The words of the model, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    View,
    LogsView,
    HistoryView,
    BuildStart,
    BuildCancel,
    ReleaseCreate,
    RolloutStart,
    RolloutPromote,
    RolloutApprove,
    RolloutAbort,
    RolloutRollBack,
    PlacementScale,
    PlacementRestart,
    PlacementRemove,
    ConfigurationEdit,
    SecretSet,
    ServiceEdit,
    EnvironmentEdit,
    TargetEdit,
    PeopleManage,
    SettingsEdit,
}

impl Action {
    /// All of them, for tables and for tests over every one.
    pub const ALL: [Self; 21] = [
        Self::View,
        Self::LogsView,
        Self::HistoryView,
        Self::BuildStart,
        Self::BuildCancel,
        Self::ReleaseCreate,
        Self::RolloutStart,
        Self::RolloutPromote,
        Self::RolloutApprove,
        Self::RolloutAbort,
        Self::RolloutRollBack,
        Self::PlacementScale,
        Self::PlacementRestart,
        Self::PlacementRemove,
        Self::ConfigurationEdit,
        Self::SecretSet,
        Self::ServiceEdit,
        Self::EnvironmentEdit,
        Self::TargetEdit,
        Self::PeopleManage,
        Self::SettingsEdit,
    ];

    /// The action as people say it: "Chris was refused: *roll out* needs …".
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::View => "see",
            Self::LogsView => "read logs",
            Self::HistoryView => "read the history",
            Self::BuildStart => "build",
            Self::BuildCancel => "cancel a build",
            Self::ReleaseCreate => "make a release",
            Self::RolloutStart => "roll out",
            Self::RolloutPromote => "promote a rollout",
            Self::RolloutApprove => "approve a rollout",
            Self::RolloutAbort => "abort a rollout",
            Self::RolloutRollBack => "roll back",
            Self::PlacementScale => "scale",
            Self::PlacementRestart => "restart",
            Self::PlacementRemove => "remove a service from an environment",
            Self::ConfigurationEdit => "change the configuration",
            Self::SecretSet => "set a secret",
            Self::ServiceEdit => "change services and projects",
            Self::EnvironmentEdit => "change environments",
            Self::TargetEdit => "change targets",
            Self::PeopleManage => "manage people",
            Self::SettingsEdit => "change settings",
        }
    }

    /// The least role that allows it: for "needs *releaser*".
    #[must_use]
    pub fn needs(self, protection: Protection) -> Role {
        Role::ALL.into_iter().find(|role| role.allows(self, protection)).unwrap_or(Role::Admin)
    }
}

/// Whether an environment asks for more than the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    Open,
    Protected,
}

impl From<bool> for Protection {
    fn from(protected: bool) -> Self {
        if protected { Self::Protected } else { Self::Open }
    }
}

/// Where a grant holds, or where something is that one wants to touch.
///
/// As the place of a grant it covers all that lies in it; as the place of a thing it is exact:
/// a placement is `Both`, a service is `Project`, the list of people is `Everything`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "in")]
pub enum Scope {
    Everything,
    Project { project: ProjectId },
    Environment { environment: EnvironmentId },
    Both { project: ProjectId, environment: EnvironmentId },
}

impl Scope {
    /// From the two columns of a table, where null means "any".
    #[must_use]
    pub const fn of(project: Option<ProjectId>, environment: Option<EnvironmentId>) -> Self {
        match (project, environment) {
            (None, None) => Self::Everything,
            (Some(project), None) => Self::Project { project },
            (None, Some(environment)) => Self::Environment { environment },
            (Some(project), Some(environment)) => Self::Both { project, environment },
        }
    }

    /// The project, where it is bound to one.
    #[must_use]
    pub const fn project(self) -> Option<ProjectId> {
        match self {
            Self::Project { project } | Self::Both { project, .. } => Some(project),
            Self::Everything | Self::Environment { .. } => None,
        }
    }

    /// The environment, where it is bound to one.
    #[must_use]
    pub const fn environment(self) -> Option<EnvironmentId> {
        match self {
            Self::Environment { environment } | Self::Both { environment, .. } => Some(environment),
            Self::Everything | Self::Project { .. } => None,
        }
    }

    /// Whether a grant held here reaches a thing that lies at `place`.
    #[must_use]
    pub fn covers(self, place: Self) -> bool {
        self.project().is_none_or(|mine| place.project() == Some(mine))
            && self.environment().is_none_or(|mine| place.environment() == Some(mine))
    }

    /// Whether a grant held here reaches anything that lies in or around `place`: enough to *see*
    /// that a project exists of which one may see a single environment.
    #[must_use]
    pub fn touches(self, place: Self) -> bool {
        let meets = |mine: Option<_>, theirs: Option<_>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        meets(self.project().map(|p| p.0), place.project().map(|p| p.0))
            && meets(self.environment().map(|e| e.0), place.environment().map(|e| e.0))
    }
}

/// A role in a scope, as the check needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub role: Role,
    pub scope: Scope,
}

impl Granted {
    /// Whether this grant allows `action` on a thing at `place`.
    ///
    /// Seeing is enough with a grant that touches the place: who may see `api` in staging may see
    /// that the project exists. Everything else needs a grant that covers it.
    #[must_use]
    pub fn allows(self, action: Action, place: Scope, protection: Protection) -> bool {
        let reaches = if matches!(action, Action::View) {
            self.scope.touches(place)
        } else {
            self.scope.covers(place)
        };
        reaches && self.role.allows(action, protection)
    }
}

/// Whether any of the grants allows `action` on a thing at `place`.
#[must_use]
pub fn allowed(grants: &[Granted], action: Action, place: Scope, protection: Protection) -> bool {
    grants.iter().any(|grant| grant.allows(action, place, protection))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("A role is viewer, deployer, releaser, auditor or admin.")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(word: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or(NotARole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn admin_may_everything_and_viewer_only_see() {
        for action in Action::ALL {
            for protection in [Protection::Open, Protection::Protected] {
                assert!(Role::Admin.allows(action, protection), "{action:?}");
                let viewer = Role::Viewer.allows(action, protection);
                assert_eq!(viewer, action == Action::View, "{action:?}");
            }
        }
    }

    #[test]
    fn protection_never_gives_more() {
        for role in Role::ALL {
            for action in Action::ALL {
                let open = role.allows(action, Protection::Open);
                let protected = role.allows(action, Protection::Protected);
                assert!(open || !protected, "{role} {action:?}");
            }
        }
    }

    #[test]
    fn an_auditor_changes_nothing() {
        for action in Action::ALL {
            let allowed = Role::Auditor.allows(action, Protection::Open);
            let reads = matches!(action, Action::View | Action::LogsView | Action::HistoryView);
            assert_eq!(allowed, reads, "{action:?}");
        }
    }

    #[test]
    fn a_grant_in_one_environment_does_not_reach_another() {
        let project = ProjectId(Uuid::from_u128(1));
        let staging = EnvironmentId(Uuid::from_u128(2));
        let production = EnvironmentId(Uuid::from_u128(3));
        let grant =
            Granted { role: Role::Releaser, scope: Scope::Both { project, environment: staging } };
        let at = |environment| Scope::Both { project, environment };

        assert!(grant.allows(Action::RolloutStart, at(staging), Protection::Open));
        assert!(!grant.allows(Action::RolloutStart, at(production), Protection::Open));
        assert!(!grant.allows(Action::View, at(production), Protection::Open));
        assert!(grant.allows(Action::View, Scope::Project { project }, Protection::Open));
        assert!(!grant.allows(Action::ReleaseCreate, Scope::Project { project }, Protection::Open));
        assert!(!grant.allows(Action::PeopleManage, Scope::Everything, Protection::Open));
    }
}
