//! Where a person may go, and what he may ask there, for the palette and the search page.

use crate::{Asked, Control, OrProblem};
use domain::{
    error::Problem,
    palette::{Page, Palette, PalettePlace, PaletteRelease, PaletteRollout, PaletteService},
    role::{Action, Protection, Scope},
};
use store::palette::Known;

impl Control {
    /// Everything at once, in one query: what is typed never leaves the browser.
    pub async fn palette(&self, asked: &Asked) -> Result<Palette, Problem> {
        let origin = &asked.origin;
        let actor = &asked.actor;
        let everywhere = |action| actor.may(action, Scope::Everything, Protection::Open);
        let people = everywhere(Action::PeopleManage);
        let scopes: Vec<_> = actor.grants().iter().map(|granted| granted.scope).collect();
        let mut conn = self.connection(origin).await?;
        let known = store::palette::known(&mut conn, &scopes, people).await.or_problem(origin)?;
        drop(conn);

        let mut palette = Palette { pages: pages(asked, people), ..Palette::default() };
        for one in known {
            match one {
                Known::Environment { id, name, protected } => {
                    let scope = Scope::Environment { environment: id };
                    if actor.may(Action::View, scope, Protection::from(protected)) {
                        palette.environments.push(name);
                    }
                }
                Known::Placement {
                    id,
                    there,
                    environment,
                    environment_name,
                    protected,
                    goes_back,
                    released,
                } => {
                    let scope = Scope::Both { project: there.project, environment };
                    let may = |action| actor.may(action, scope, Protection::from(protected));
                    if !may(Action::View) {
                        continue;
                    }
                    if palette.projects.last() != Some(&there.project_name) {
                        palette.projects.push(there.project_name.clone());
                    }
                    let place = PalettePlace {
                        placement: id,
                        environment: environment_name,
                        may_deploy: may(Action::RolloutStart),
                        goes_back: goes_back && may(Action::RolloutRollBack),
                    };
                    match palette.services.last_mut() {
                        Some(last)
                            if last.project == there.project_name
                                && last.name == there.service_name =>
                        {
                            last.places.push(place);
                        }
                        _ => palette.services.push(PaletteService {
                            project: there.project_name,
                            name: there.service_name,
                            places: vec![place],
                            released,
                        }),
                    }
                }
                Known::Rollout {
                    id,
                    there,
                    environment,
                    environment_name,
                    release,
                    phase,
                    protected,
                } => {
                    let scope = Scope::Both { project: there.project, environment };
                    if actor.may(Action::View, scope, Protection::from(protected)) {
                        palette.rollouts.push(PaletteRollout {
                            id,
                            project: there.project_name,
                            service: there.service_name,
                            environment: environment_name,
                            release,
                            phase,
                        });
                    }
                }
                Known::Release { id, there, name } => {
                    let scope = Scope::Project { project: there.project };
                    if actor.may(Action::View, scope, Protection::Open) {
                        palette.releases.push(PaletteRelease {
                            id,
                            project: there.project_name,
                            service: there.service_name,
                            name,
                        });
                    }
                }
                Known::Person { id, name } => palette.people.push((id, name)),
            }
        }
        Ok(palette)
    }
}

/// The pages that do not refuse this person.
fn pages(asked: &Asked, people: bool) -> Vec<Page> {
    let may = |page: &Page| match page {
        Page::Board
        | Page::Projects
        | Page::Environments
        | Page::Targets
        | Page::Builds
        | Page::Registries
        | Page::History
        | Page::Account => true,
        Page::People | Page::Access | Page::Invitations => people,
        Page::NewService => asked.actor.may_somewhere(Action::ServiceEdit),
    };
    Page::ALL.into_iter().filter(may).collect()
}
