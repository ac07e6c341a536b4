//! What a change of grants gains and loses: every action is asked in every place, before and after,
//! and what differs is put together into few words.

use super::Places;
use crate::{
    id::ProjectId,
    role::{Action, Granted, Protection, Scope, allowed},
};
use uuid::Uuid;

/// Actions that are gained, or lost, in the same places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub gained: bool,
    pub actions: Vec<Action>,
    /// "in newstalk in staging", "everywhere", "for the whole installation".
    pub places: String,
}

/// In which kind of place an action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Installation,
    Project,
    Environment,
    /// What runs: a project in an environment.
    Running,
}

/// As the verbs of `control` ask for it.
const fn level(action: Action) -> Level {
    match action {
        Action::TargetEdit | Action::PeopleManage | Action::SettingsEdit => Level::Installation,
        Action::BuildStart | Action::BuildCancel | Action::ReleaseCreate | Action::ServiceEdit => {
            Level::Project
        }
        Action::EnvironmentEdit => Level::Environment,
        Action::View
        | Action::LogsView
        | Action::HistoryView
        | Action::RolloutStart
        | Action::RolloutPromote
        | Action::RolloutApprove
        | Action::RolloutAbort
        | Action::RolloutRollBack
        | Action::PlacementScale
        | Action::PlacementRestart
        | Action::PlacementRemove
        | Action::ConfigurationEdit
        | Action::SecretSet => Level::Running,
    }
}

/// The project that is not there yet: what is granted in every project is granted in it too.
const TO_COME: ProjectId = ProjectId(Uuid::nil());

/// What `after` allows and `before` did not, then what it allows no more. Empty: nothing changes.
#[must_use]
pub fn differences(before: &[Granted], after: &[Granted], places: &Places) -> Vec<Difference> {
    let mut found: Vec<(Level, Cells, Difference)> = Vec::new();
    for gained in [true, false] {
        let (has, had) = if gained { (after, before) } else { (before, after) };
        for action in Action::ALL {
            let level = level(action);
            let cells = cells(level, places, |place, protection| {
                allowed(has, action, place, protection) && !allowed(had, action, place, protection)
            });
            if cells.is_empty() {
                continue;
            }
            let same = found.iter_mut().find(|(other, others, difference)| {
                *other == level && *others == cells && difference.gained == gained
            });
            if let Some((_, _, difference)) = same {
                difference.actions.push(action);
            } else {
                let words = words(level, &cells, places);
                let difference = Difference { gained, actions: vec![action], places: words };
                found.push((level, cells, difference));
            }
        }
    }
    found.into_iter().map(|(_, _, difference)| difference).collect()
}

/// Indexes of projects and environments. The project after the last is the one to come.
type Cells = Vec<(usize, usize)>;

fn cells(level: Level, places: &Places, differs: impl Fn(Scope, Protection) -> bool) -> Cells {
    let projects = || {
        let known = places.projects.iter().map(|(project, _)| *project);
        known.chain([TO_COME]).enumerate()
    };
    let environments = || places.environments.iter().enumerate();
    match level {
        Level::Installation => {
            let differs = differs(Scope::Everything, Protection::Open);
            differs.then_some((0, 0)).into_iter().collect()
        }
        Level::Project => projects()
            .filter(|(_, project)| differs(Scope::Project { project: *project }, Protection::Open))
            .map(|(index, _)| (index, 0))
            .collect(),
        Level::Environment => environments()
            .filter(|(_, column)| {
                differs(Scope::Environment { environment: column.id }, column.protected.into())
            })
            .map(|(index, _)| (0, index))
            .collect(),
        Level::Running => projects()
            .flat_map(|project| environments().map(move |environment| (project, environment)))
            .filter(|((_, project), (_, column))| {
                let place = Scope::Both { project: *project, environment: column.id };
                differs(place, column.protected.into())
            })
            .map(|((project, _), (environment, _))| (project, environment))
            .collect(),
    }
}

fn words(level: Level, cells: &Cells, places: &Places) -> String {
    match level {
        Level::Installation => "for the whole installation".to_owned(),
        Level::Project => {
            let projects: Vec<_> = cells.iter().map(|(project, _)| *project).collect();
            format!("in {}", projects_in_words(&projects, places))
        }
        Level::Environment => {
            let environments: Vec<_> = cells.iter().map(|(_, environment)| *environment).collect();
            format!("of {}", environments_in_words(&environments, places))
        }
        Level::Running => running_in_words(cells, places),
    }
}

/// Environments with the same projects are said together.
fn running_in_words(cells: &Cells, places: &Places) -> String {
    let mut together: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for environment in 0..places.environments.len() {
        let projects: Vec<_> =
            cells.iter().filter(|(_, e)| *e == environment).map(|(project, _)| *project).collect();
        if projects.is_empty() {
            continue;
        }
        match together.iter_mut().find(|(others, _)| *others == projects) {
            Some((_, environments)) => environments.push(environment),
            None => together.push((projects, vec![environment])),
        }
    }
    let said = together.iter().map(|(projects, environments)| {
        let everywhere = environments.len() == places.environments.len();
        let all = projects.len() == places.projects.len() + 1;
        match (all, everywhere) {
            (true, true) => "everywhere".to_owned(),
            (true, false) => format!("in {}", environments_in_words(environments, places)),
            (false, true) => format!("in {}", projects_in_words(projects, places)),
            (false, false) => format!(
                "in {} in {}",
                projects_in_words(projects, places),
                environments_in_words(environments, places)
            ),
        }
    });
    said.collect::<Vec<_>>().join(", ")
}

fn projects_in_words(projects: &[usize], places: &Places) -> String {
    let known = places.projects.len();
    let name = |index: &usize| places.projects.get(*index).map(|(_, name)| name.to_string());
    if !projects.contains(&known) {
        return listed(projects.iter().filter_map(name).collect());
    }
    let missing: Vec<_> =
        (0..known).filter(|index| !projects.contains(index)).filter_map(|i| name(&i)).collect();
    if missing.is_empty() {
        "every project".to_owned()
    } else {
        format!("every project but {}", listed(missing))
    }
}

fn environments_in_words(environments: &[usize], places: &Places) -> String {
    if environments.len() == places.environments.len() {
        return "every environment".to_owned();
    }
    let name = |index: &usize| places.environments.get(*index).map(|c| c.name.to_string());
    listed(environments.iter().filter_map(name).collect())
}

/// "a", "a and b", "a, b and c", "a, b, c, d and 3 more".
fn listed(mut names: Vec<String>) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let last = if more > 0 { Some(format!("{more} more")) } else { names.pop() };
    match last {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Column, id::EnvironmentId, role::Role};

    const NEWSTALK: ProjectId = ProjectId(Uuid::from_u128(1));
    const SHOP: ProjectId = ProjectId(Uuid::from_u128(2));
    const STAGING: EnvironmentId = EnvironmentId(Uuid::from_u128(4));
    const PRODUCTION: EnvironmentId = EnvironmentId(Uuid::from_u128(5));

    fn places() -> Places {
        let column = |id: u128, name: &str, protected| Column {
            id: EnvironmentId(Uuid::from_u128(id)),
            name: name.parse().unwrap(),
            protected,
        };
        Places {
            projects: vec![
                (NEWSTALK, "newstalk".parse().unwrap()),
                (SHOP, "shop".parse().unwrap()),
            ],
            environments: vec![
                column(3, "local", false),
                column(4, "staging", false),
                column(5, "production", true),
            ],
        }
    }

    fn every_grant() -> Vec<Granted> {
        let scopes = [
            Scope::Everything,
            Scope::Project { project: NEWSTALK },
            Scope::Environment { environment: PRODUCTION },
            Scope::Both { project: SHOP, environment: STAGING },
        ];
        let each = |scope| Role::ALL.map(|role| Granted { role, scope });
        scopes.into_iter().flat_map(each).collect()
    }

    fn said(before: &[Granted], after: &[Granted]) -> Vec<String> {
        differences(before, after, &places())
            .into_iter()
            .map(|one| {
                let sign = if one.gained { "+" } else { "-" };
                let actions: Vec<_> = one.actions.iter().map(|action| action.as_words()).collect();
                format!("{sign} {} {}", actions.join(", "), one.places)
            })
            .collect()
    }

    #[test]
    fn a_first_grant_says_what_is_gained_and_where() {
        let viewer = Granted { role: Role::Viewer, scope: Scope::Everything };
        assert_eq!(said(&[], &[viewer]), ["+ see everywhere"]);

        let deployer =
            Granted { role: Role::Deployer, scope: Scope::Project { project: NEWSTALK } };
        assert_eq!(
            said(&[viewer], &[viewer, deployer]),
            [
                "+ read logs in newstalk",
                "+ build, cancel a build, make a release, change services and projects in newstalk",
                "+ roll out, promote a rollout, abort a rollout, roll back, scale, restart, \
                 change the configuration, set a secret in newstalk in local and staging",
            ]
        );
    }

    #[test]
    fn what_is_allowed_already_is_no_gain_and_what_stays_allowed_no_loss() {
        let everywhere = Granted { role: Role::Releaser, scope: Scope::Everything };
        let here = Granted {
            role: Role::Deployer,
            scope: Scope::Both { project: SHOP, environment: STAGING },
        };
        assert_eq!(said(&[everywhere], &[everywhere, here]), [""; 0]);
        assert_eq!(said(&[everywhere, here], &[everywhere]), [""; 0]);

        let seen = said(&[everywhere, here], &[here]);
        assert!(seen.iter().all(|one| one.starts_with("- ")), "{seen:?}");
        assert!(
            seen.iter().any(|one| one.contains("every project but shop in staging")),
            "{seen:?}"
        );
    }

    /// The rule that the page stands on, for every pair of grants: giving only gains, taking is giving
    /// backwards, and nothing is said exactly where the table answers as before everywhere.
    #[test]
    fn gains_and_losses_are_what_the_table_says_for_every_pair_of_grants() {
        let places = places();
        let projects = [NEWSTALK, SHOP, TO_COME];
        let spots: Vec<_> = std::iter::once((Scope::Everything, Protection::Open))
            .chain(projects.map(|project| (Scope::Project { project }, Protection::Open)))
            .chain(places.environments.iter().flat_map(|column| {
                let (environment, protection) = (column.id, column.protected.into());
                let running =
                    projects.map(|project| (Scope::Both { project, environment }, protection));
                running.into_iter().chain([(Scope::Environment { environment }, protection)])
            }))
            .collect();
        let all = |grants: &[Granted]| -> Vec<bool> {
            let may = |action| {
                spots
                    .iter()
                    .map(move |(place, protection)| allowed(grants, action, *place, *protection))
            };
            Action::ALL.into_iter().flat_map(may).collect()
        };

        for one in every_grant() {
            for two in every_grant() {
                let given = differences(&[one], &[one, two], &places);
                let taken = differences(&[one, two], &[one], &places);

                assert!(given.iter().all(|difference| difference.gained), "{one:?} {two:?}");
                assert!(taken.iter().all(|difference| !difference.gained), "{one:?} {two:?}");
                let what = |all: &[Difference]| -> Vec<(Vec<Action>, String)> {
                    all.iter().map(|d| (d.actions.clone(), d.places.clone())).collect()
                };
                assert_eq!(what(&given), what(&taken));
                assert!(given.iter().all(|one| !one.places.is_empty()), "{given:?}");
                let same = all(&[one]) == all(&[one, two]);
                assert!(!same || given.is_empty(), "{one:?} {two:?} {given:?}");
                let runs = |grants: &[Granted]| {
                    let place = Scope::Both { project: SHOP, environment: STAGING };
                    allowed(grants, Action::RolloutStart, place, Protection::Open)
                };
                if !runs(&[one]) && runs(&[one, two]) {
                    let told = given.iter().any(|d| d.actions.contains(&Action::RolloutStart));
                    assert!(told, "{one:?} {two:?} {given:?}");
                }
            }
        }
    }

    #[test]
    fn a_list_of_names_has_an_end() {
        let names = |count: usize| (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>();
        assert_eq!(listed(names(1)), "p0");
        assert_eq!(listed(names(3)), "p0, p1 and p2");
        assert_eq!(listed(names(9)), "p0, p1, p2, p3, p4, p5 and 3 more");
    }
}
