//! Which services the board shows, as its address says, and what it counts. Pure.

use crate::api::typed::escaped;
use domain::{
    rollout::Phase,
    view::{Board, BoardProject, BoardService, Cell},
};
use leptos_router::params::ParamsMap;

/// The filter. All parts are optional and in the address of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub project: Option<String>,
    pub only: Option<Only>,
}

/// What must be so of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Something rolls or waits.
    Running,
    /// The last rollout failed, or needs a person, or something drifted.
    Trouble,
    /// Not the same release in every environment it runs in.
    Differs,
}

impl Only {
    pub const ALL: [Self; 3] = [Self::Running, Self::Trouble, Self::Differs];

    /// The word in the address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Trouble => "trouble",
            Self::Differs => "differs",
        }
    }

    /// The word on the chip.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Running => "Rolling now",
            Self::Trouble => "In trouble",
            Self::Differs => "Differs between environments",
        }
    }

    fn is_so(self, service: &BoardService) -> bool {
        match self {
            Self::Running => service.cells.iter().any(|cell| cell.active.is_some()),
            Self::Trouble => service.cells.iter().any(in_trouble),
            Self::Differs => differs(&service.cells),
        }
    }
}

impl Shown {
    /// What the address asks for. A word nobody knows asks for nothing.
    pub fn of(query: &ParamsMap) -> Self {
        let only = query.get_str("only");
        Self {
            project: query.get("project").filter(|project| !project.is_empty()),
            only: Only::ALL.into_iter().find(|known| Some(known.as_str()) == only),
        }
    }

    /// The address that asks for it.
    pub fn address(&self) -> String {
        let project = self.project.as_ref().map(|project| format!("project={}", escaped(project)));
        let only = self.only.map(|only| format!("only={}", only.as_str()));
        let query: Vec<String> = [project, only].into_iter().flatten().collect();
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }

    /// The services that are shown, in their projects.
    pub fn choose(&self, projects: &[BoardProject]) -> Vec<BoardProject> {
        projects
            .iter()
            .filter(|project| {
                self.project.as_deref().is_none_or(|name| project.name.as_str() == name)
            })
            .map(|project| BoardProject {
                services: project
                    .services
                    .iter()
                    .filter(|service| self.only.is_none_or(|only| only.is_so(service)))
                    .cloned()
                    .collect(),
                ..project.clone()
            })
            .filter(|project| !project.services.is_empty())
            .collect()
    }
}

/// What the status line counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub stuck: usize,
    pub running: usize,
    pub waiting: usize,
    pub failed: usize,
    pub drift: usize,
    /// Environments whose target does not answer.
    pub silent: usize,
}

impl Counts {
    pub fn of(board: &Board) -> Self {
        let services = board.projects.iter().flat_map(|project| &project.services);
        let cells: Vec<&Cell> = services.flat_map(|service| &service.cells).collect();
        let count = |is: fn(&Cell) -> bool| cells.iter().filter(|cell| is(cell)).count();
        Self {
            stuck: count(is_stuck),
            running: count(|cell| cell.active.is_some() && !is_stuck(cell)),
            waiting: count(|cell| cell.waiting.is_some()),
            failed: count(has_failed),
            drift: count(|cell| cell.drift.is_some()),
            silent: board.environments.iter().filter(|one| one.trouble.is_some()).count(),
        }
    }

    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

fn is_stuck(cell: &Cell) -> bool {
    cell.active.as_ref().is_some_and(|active| active.state.trouble.is_some())
}

fn has_failed(cell: &Cell) -> bool {
    let bad = |phase| matches!(phase, Phase::Failed | Phase::RolledBack);
    cell.active.is_none() && cell.failed.as_ref().is_some_and(|failed| bad(failed.state.phase))
}

fn in_trouble(cell: &Cell) -> bool {
    is_stuck(cell) || has_failed(cell) || cell.drift.is_some()
}

fn differs(cells: &[Cell]) -> bool {
    let mut releases =
        cells.iter().filter_map(|cell| cell.live.as_ref().map(|live| live.release.id));
    let first = releases.next();
    releases.any(|release| Some(release) != first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::ProjectId;

    fn query(text: &str) -> ParamsMap {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn the_address_says_what_is_shown_and_reads_back_the_same() {
        for only in [None, Some(Only::Running), Some(Only::Trouble), Some(Only::Differs)] {
            let shown = Shown { project: Some("newstalk".into()), only };
            let address = shown.address();
            assert_eq!(Shown::of(&query(address.trim_start_matches("/?"))), shown);
        }
        assert_eq!(Shown::default().address(), "/");
        assert_eq!(Shown::of(&query("only=nonsense")), Shown::default());
    }

    #[test]
    fn a_project_without_a_service_that_is_shown_is_not_there() {
        let project = |name: &str| BoardProject {
            id: ProjectId(Default::default()),
            name: name.parse().expect("good"),
            services: vec![BoardService {
                id: domain::id::ServiceId(Default::default()),
                name: "api".parse().expect("good"),
                note: String::new(),
                cells: Vec::new(),
            }],
        };
        let projects = [project("one"), project("two")];

        let one = Shown { project: Some("one".into()), only: None }.choose(&projects);
        let none = Shown { project: None, only: Some(Only::Trouble) }.choose(&projects);

        assert_eq!(one.len(), 1);
        assert!(none.is_empty());
        assert_eq!(Shown::default().choose(&projects).len(), 2);
    }
}
