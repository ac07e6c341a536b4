//! What grants amount to: why somebody may do something somewhere, and what a change of grants would
//! gain and lose. Asks the one permission table, `role`, and decides nothing beside it.

mod differences;

pub use differences::{Difference, differences};

use crate::{
    history::Hash,
    id::{EnvironmentId, GrantId, ProjectId},
    name::Name,
    role::{Action, Granted, Protection, Role, Scope},
    view::{GrantRow, Person},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// All places there are: what a change of grants is worked out on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    pub projects: Vec<(ProjectId, Name)>,
    /// In their order.
    pub environments: Vec<Column>,
}

/// An environment, as far as it matters to who may do what there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub id: EnvironmentId,
    pub name: Name,
    pub protected: bool,
}

/// People and what they may do in each environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessPage {
    pub people: Vec<Person>,
    pub places: Places,
}

/// One person, and all that is needed to say what a change of his grants would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonPage {
    pub person: Person,
    pub places: Places,
    /// It is the viewer, who does not change his own rights.
    pub mine: bool,
    /// Nobody else is admin of everything.
    pub last_admin: bool,
    /// Sign-ins that have not ended.
    pub sessions: u32,
}

/// How much somebody may do in an environment, in one word. From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    Look,
    ReadLogs,
    ReadHistory,
    RollOut,
    Everything,
}

impl Ability {
    /// What the table allows this role where a service runs.
    #[must_use]
    pub const fn of(role: Role, protection: Protection) -> Self {
        if role.allows(Action::EnvironmentEdit, protection) {
            Self::Everything
        } else if role.allows(Action::RolloutStart, protection) {
            Self::RollOut
        } else if role.allows(Action::HistoryView, protection) {
            Self::ReadHistory
        } else if role.allows(Action::LogsView, protection) {
            Self::ReadLogs
        } else {
            Self::Look
        }
    }

    /// After a name: "Bo *may roll out*".
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Look => "may look",
            Self::ReadLogs => "may look and read logs",
            Self::ReadHistory => "may read the history",
            Self::RollOut => "may roll out",
            Self::Everything => "may do everything",
        }
    }
}

/// Why somebody may do something in an environment: the grants that reach it, what gives most first.
/// Without a project also those that reach only a part of the environment.
#[must_use]
pub fn reasons<'a>(
    grants: &'a [GrantRow],
    project: Option<ProjectId>,
    environment: &Column,
) -> Vec<(Ability, &'a GrantRow)> {
    let place = Scope::of(project, Some(environment.id));
    let protection = Protection::from(environment.protected);
    let mut found: Vec<_> = grants
        .iter()
        .filter(|grant| grant.scope.touches(place))
        .map(|grant| (Ability::of(grant.role, protection), grant))
        .collect();
    // Of two that give as much, the one that reaches further says more.
    let narrow = |scope: Scope| {
        u8::from(scope.project().is_some()) * 2 + u8::from(scope.environment().is_some())
    };
    found.sort_by_key(|(ability, grant)| {
        (std::cmp::Reverse(*ability), narrow(grant.scope), grant.given_at)
    });
    found
}

/// The grants by which somebody may do `action` to what runs in an environment, in `project` or in
/// any. Empty: he may not.
#[must_use]
pub fn allowing<'a>(
    grants: &'a [GrantRow],
    action: Action,
    project: Option<ProjectId>,
    environment: &Column,
) -> Vec<&'a GrantRow> {
    let protection = Protection::from(environment.protected);
    reasons(grants, project, environment)
        .into_iter()
        .map(|(_, grant)| grant)
        .filter(|grant| grant.role.allows(action, protection))
        .collect()
}

/// A change of somebody's grants that is looked at before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Give(Granted),
    Take(GrantId),
}

/// A word for what was looked at: it differs when the grants, the protection of an environment or the
/// change itself is another. So what is saved is what was shown.
#[must_use]
pub fn seen(grants: &[GrantId], environments: &[(EnvironmentId, bool)], change: Change) -> String {
    let mut grants: Vec<_> = grants.iter().map(|grant| grant.0).collect();
    grants.sort_unstable();
    let mut environments = environments.to_vec();
    environments.sort_unstable();
    let mut sum = Sha256::new();
    for grant in grants {
        sum.update(grant.as_bytes());
    }
    for (environment, protected) in environments {
        sum.update(b"in");
        sum.update(environment.0.as_bytes());
        sum.update([u8::from(protected)]);
    }
    match change {
        Change::Take(grant) => {
            sum.update(b"take");
            sum.update(grant.0.as_bytes());
        }
        Change::Give(Granted { role, scope }) => {
            sum.update(b"give");
            sum.update(role.as_str());
            for id in [scope.project().map(|id| id.0), scope.environment().map(|id| id.0)] {
                sum.update(id.unwrap_or_default().as_bytes());
            }
        }
    }
    let hash: Hash = sum.finalize().into();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    const NEWSTALK: ProjectId = ProjectId(Uuid::from_u128(1));
    const OTHER: ProjectId = ProjectId(Uuid::from_u128(2));

    fn column(id: u128, protected: bool) -> Column {
        let name = if protected { "production" } else { "staging" };
        Column { id: EnvironmentId(Uuid::from_u128(id)), name: name.parse().unwrap(), protected }
    }

    fn grant(id: u128, role: Role, scope: Scope) -> GrantRow {
        GrantRow {
            id: GrantId(Uuid::from_u128(id)),
            role,
            scope,
            scope_words: String::new(),
            by: "Ana".to_owned(),
            given_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_cell_names_the_grant_that_gives_most_there() {
        let (staging, production) = (column(3, false), column(4, true));
        let grants = [
            grant(1, Role::Viewer, Scope::Everything),
            grant(2, Role::Deployer, Scope::Project { project: NEWSTALK }),
            grant(3, Role::Releaser, Scope::Both { project: NEWSTALK, environment: production.id }),
        ];
        let first = |project, environment: &Column| {
            let (ability, grant) = reasons(&grants, project, environment)[0];
            (ability, grant.id.0.as_u128())
        };

        assert_eq!(first(Some(NEWSTALK), &staging), (Ability::RollOut, 2));
        assert_eq!(first(Some(NEWSTALK), &production), (Ability::RollOut, 3));
        assert_eq!(first(Some(OTHER), &production), (Ability::Look, 1));
        assert_eq!(first(None, &staging), (Ability::RollOut, 2));
        let who = |action, project, environment: &Column| {
            let found = allowing(&grants, action, project, environment);
            found.iter().map(|grant| grant.id.0.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(who(Action::RolloutStart, Some(NEWSTALK), &production), [3]);
        assert_eq!(who(Action::RolloutStart, Some(OTHER), &staging), [0; 0]);
        assert_eq!(who(Action::View, Some(OTHER), &staging), [1]);
    }

    #[test]
    fn a_word_for_an_ability_never_promises_what_the_table_refuses() {
        for role in Role::ALL {
            for protection in [Protection::Open, Protection::Protected] {
                let ability = Ability::of(role, protection);
                assert_eq!(
                    ability >= Ability::RollOut,
                    role.allows(Action::RolloutStart, protection),
                    "{role} {protection:?}"
                );
                assert!(role.allows(Action::View, protection));
            }
        }
    }

    #[test]
    fn what_was_seen_is_the_same_word_only_for_the_same_change_of_the_same_grants() {
        let (one, two) = (GrantId(Uuid::from_u128(1)), GrantId(Uuid::from_u128(2)));
        let staging = EnvironmentId(Uuid::from_u128(3));
        let give = |role, scope| Change::Give(Granted { role, scope });
        let viewer = give(Role::Viewer, Scope::Everything);
        let word = seen(&[one, two], &[(staging, false)], viewer);

        assert_eq!(seen(&[two, one], &[(staging, false)], viewer), word);
        let others = [
            seen(&[one], &[(staging, false)], viewer),
            seen(&[one, two], &[(staging, true)], viewer),
            seen(&[one, two], &[(staging, false)], give(Role::Auditor, Scope::Everything)),
            seen(
                &[one, two],
                &[(staging, false)],
                give(Role::Viewer, Scope::Environment { environment: staging }),
            ),
            seen(&[one, two], &[(staging, false)], Change::Take(one)),
        ];
        assert!(!others.contains(&word), "{others:?}");
    }
}
