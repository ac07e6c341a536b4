//! What the matrix is asked: in which project, and who may do one certain thing. It stands in the
//! address, so that an answer can be sent.

use domain::{access::Places, id::ProjectId, role::Action};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What can be asked for, with its word in the address: what is done to what runs, and reading.
const ACTIONS: [(&str, Action); 10] = [
    ("roll_out", Action::RolloutStart),
    ("roll_back", Action::RolloutRollBack),
    ("abort", Action::RolloutAbort),
    ("approve", Action::RolloutApprove),
    ("scale", Action::PlacementScale),
    ("configure", Action::ConfigurationEdit),
    ("set_secrets", Action::SecretSet),
    ("remove", Action::PlacementRemove),
    ("read_logs", Action::LogsView),
    ("read_history", Action::HistoryView),
];

/// A question. Without an action each cell says the most that somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) project: Option<ProjectId>,
    pub(super) action: Option<Action>,
}

impl Question {
    /// From the address. A project that is not there, or a word that is none, is not asked for.
    pub(super) fn read(query: &ParamsMap, places: &Places) -> Self {
        let project = query.get_str("project").and_then(|id| id.parse().ok());
        let action = query.get_str("may").and_then(|word| {
            ACTIONS.iter().find(|(known, _)| *known == word).map(|(_, action)| *action)
        });
        let known = |id: &ProjectId| places.projects.iter().any(|(project, _)| project == id);
        Self { project: project.filter(known), action }
    }

    /// The question as a sentence over its answer.
    pub(super) fn in_words(self, places: &Places) -> String {
        let project = self.project.and_then(|id| {
            places.projects.iter().find(|(known, _)| *known == id).map(|(_, name)| name)
        });
        match (self.action, project) {
            (None, None) => "The most that each may do in an environment, in any project, and \
                             by which role."
                .to_owned(),
            (None, Some(project)) => format!("The most that each may do with {project}."),
            (Some(action), None) => format!("Who may {}, in any project.", action.as_words()),
            (Some(action), Some(project)) => {
                format!("Who may {} with {project}.", action.as_words())
            }
        }
    }
}

/// The form. It only reads, so it is a plain GET.
#[component]
pub(super) fn Ask(question: Question, places: Places) -> impl IntoView {
    let projects =
        places.projects.into_iter().map(|(id, name)| (id.to_string(), name.to_string())).collect();
    let actions = ACTIONS
        .iter()
        .map(|(word, action)| ((*word).to_owned(), action.as_words().to_owned()))
        .collect();
    let chosen = question.action.and_then(|action| {
        ACTIONS.iter().find(|(_, known)| *known == action).map(|(word, _)| (*word).to_owned())
    });
    let project = question.project.map(|project| project.to_string());
    view! {
        <form method="get" action="/access" class="asks">
            <Pick name="project" label="Project" any="any" options=projects chosen=project />
            <Pick name="may" label="Who may …" any="the most each may do" options=actions chosen />
            <button type="submit">"Show"</button>
        </form>
    }
}

#[component]
fn Pick(
    name: &'static str,
    label: &'static str,
    any: &'static str,
    options: Vec<(String, String)>,
    chosen: Option<String>,
) -> impl IntoView {
    let id = format!("asks-{name}");
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name>
                <option value="">{any}</option>
                {options
                    .into_iter()
                    .map(|(word, said)| {
                        let selected = chosen.as_ref() == Some(&word);
                        view! {
                            <option value=word selected=selected>
                                {said}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_what_is_there_is_asked_for() {
        let newstalk = ProjectId(Uuid::from_u128(1));
        let places = Places {
            projects: vec![(newstalk, "newstalk".parse().unwrap())],
            environments: Vec::new(),
        };
        let read = |project: &str, may: &str| {
            let mut query = ParamsMap::new();
            query.insert("project", project.to_owned());
            query.insert("may", may.to_owned());
            Question::read(&query, &places)
        };

        let both = read(&newstalk.to_string(), "roll_out");
        assert_eq!(both, Question { project: Some(newstalk), action: Some(Action::RolloutStart) });
        assert_eq!(both.in_words(&places), "Who may roll out with newstalk.");
        assert_eq!(read(&Uuid::from_u128(2).to_string(), "fly"), Question::default());
        assert_eq!(read("", ""), Question::default());
    }
}
