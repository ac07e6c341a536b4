//! Services: added with a placement in every environment, and edited for the next release.

mod page;
mod placements;

pub(crate) use page::release_row;

use crate::{Asked, Control, OrProblem, Place, changes, places};
use domain::{
    error::Problem,
    history::{Deed, Origin, Subject},
    id::{ConfigurationId, PlacementId, ProjectId, ServiceId, TargetId},
    name::{HostName, Name},
    role::{Action, Protection},
    service::{Exposure, Limits, ServiceSpec, Size, Strategy},
    view::NewServicePage,
};
use store::{Tx, placements::hosts::Named, projects::Project, services::NewPlacement};
use uuid::Uuid;

/// What preview host names begin with. No name of ours has two dashes in a row, so none can be
/// taken for one.
const PREVIEW: &str = "next--";

/// What is not offered yet is refused here too, not only absent from the form.
fn checked(spec: &ServiceSpec) -> Result<(), Problem> {
    match (spec.exposure, spec.strategy) {
        (Exposure::None | Exposure::Http { port: 0 }, _) => {
            Err(Problem::invalid("port", "A service needs a port, 1 to 65535."))
        }
        (Exposure::Http { .. }, Strategy::Recreate) => {
            Err(Problem::invalid("strategy", "Services are rolled out blue-green."))
        }
        (Exposure::Http { .. }, Strategy::BlueGreen) => Ok(()),
    }
}

impl Control {
    /// What the form for a new service offers.
    pub async fn new_service(&self, asked: &Asked) -> Result<NewServicePage, Problem> {
        let origin = &asked.origin;
        if !asked.actor.may_somewhere(Action::ServiceEdit) {
            self.permit(asked, Action::ServiceEdit, &Place::everything()).await?;
        }
        let mut conn = self.connection(origin).await?;
        let projects = store::projects::all(&mut conn).await.or_problem(origin)?;
        let environments = store::environments::all(&mut conn).await.or_problem(origin)?;
        let may = |action, place: &Place| asked.actor.may(action, place.scope, place.protection);
        Ok(NewServicePage {
            projects: projects
                .into_iter()
                .filter(|project| may(Action::ServiceEdit, &places::of_project(project)))
                .map(|project| project.name)
                .collect(),
            addresses: environments
                .into_iter()
                .filter(|known| may(Action::View, &places::of_environment(&known.environment)))
                .map(|known| {
                    let address = self.shape(&known.target_reach, &known.environment.name);
                    (known.environment.name, address)
                })
                .collect(),
        })
    }

    /// Adds a service, and its project where there is none of that name: that needs the right
    /// everywhere. It gets a placement in every environment, each with a host name and a first
    /// configuration.
    pub async fn add_service(
        &self,
        asked: &Asked,
        project: &Name,
        name: &Name,
        spec: ServiceSpec,
        limits: Limits,
        size: Size,
    ) -> Result<ServiceId, Problem> {
        let origin = &asked.origin;
        checked(&spec)?;
        limits.checked().map_err(|wrong| Problem::invalid("limits", wrong))?;
        let mut tx = self.begin(origin).await?;
        let known = store::projects::by_name(&mut tx, project).await.or_problem(origin)?;
        // A project that may not be seen is answered like one that would be new: both need the
        // right everywhere.
        let seen = known.filter(|id| {
            let scope = domain::role::Scope::Project { project: *id };
            asked.actor.may(Action::View, scope, Protection::Open)
        });
        let place = match seen {
            Some(id) => places::of_project(&Project { id, name: project.clone() }),
            None => Place { subject: places::subject_of_project(project), ..Place::everything() },
        };
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ServiceEdit, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "services/add").await? {
            return Ok(made);
        }

        let mut rows = Vec::new();
        let project_id = match known {
            Some(id) => id,
            None => {
                let id = ProjectId(Uuid::now_v7());
                if !store::projects::add(&mut tx, id, project).await.or_problem(origin)? {
                    let sentence = format!("Somebody added {project} just now. Try again.");
                    return Err(Problem::conflict(sentence));
                }
                let subject = places::subject_of_project(project);
                rows.push(asked.entry(&permit, subject, Deed::ProjectAdded));
                id
            }
        };
        let service = ServiceId(Uuid::now_v7());
        let added = store::services::add(&mut tx, service, project_id, name, &spec).await;
        if !added.or_problem(origin)? {
            let sentence = format!("{project} has a service {name} already.");
            return Err(Problem::invalid("name", sentence));
        }
        store::environments::hold_order(&mut tx).await.or_problem(origin)?;
        for known in store::environments::all(&mut tx).await.or_problem(origin)? {
            let new = NewPlacement {
                id: PlacementId(Uuid::now_v7()),
                service,
                environment: known.environment.id,
                size,
                configuration: ConfigurationId(Uuid::now_v7()),
                limits: &limits,
                by: asked.actor.id,
                by_name: &asked.actor.name,
            };
            store::services::add_placement(&mut tx, &new).await.or_problem(origin)?;
            let named = Named {
                placement: new.id,
                service: name.clone(),
                project: project.clone(),
                environment: known.environment.name,
            };
            self.give_names(&mut tx, origin, known.target, &named, "name").await?;
        }
        let subject =
            Subject { service: Some(name.clone()), ..places::subject_of_project(project) };
        let row = asked.entry(&permit, subject, Deed::ServiceAdded);
        rows.push(row.with_changes(changes::of_spec(None, &spec)));
        self.remember(&mut tx, asked, "services/add", &service).await?;
        store::wake::work(&mut tx, "").await.or_problem(origin)?;
        self.commit(tx, origin, &rows).await?;
        Ok(service)
    }

    /// Changes what the next release will carry. Nothing that runs is touched.
    pub async fn edit_service(
        &self,
        asked: &Asked,
        service: ServiceId,
        spec: ServiceSpec,
    ) -> Result<(), Problem> {
        let origin = &asked.origin;
        checked(&spec)?;
        let mut tx = self.begin(origin).await?;
        store::services::lock(&mut tx, service).await.or_problem(origin)?;
        let before = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        let place = places::of_service(&before, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ServiceEdit, &place).await?;
        let changes = changes::of_spec(Some(&before.spec), &spec);
        if changes.is_empty() {
            return Ok(());
        }

        store::services::edit(&mut tx, service, &spec).await.or_problem(origin)?;
        let row = asked.entry(&permit, places::subject_of(&before), Deed::ServiceChanged);
        self.commit(tx, origin, &[row.with_changes(changes)]).await
    }

    /// Gives a placement its names, and each its preview name. Refused when one is not ours to give.
    pub(crate) async fn set_hosts(
        &self,
        tx: &mut Tx,
        origin: &Origin,
        placement: PlacementId,
        target: TargetId,
        names: &[HostName],
        field: &str,
    ) -> Result<(), Problem> {
        let previews = names
            .iter()
            .map(|name| self.preview_of(name).map_err(|wrong| Problem::invalid(field, wrong)))
            .collect::<Result<Vec<_>, _>>()?;
        let taken = store::placements::hosts::set(tx, placement, target, names, &previews)
            .await
            .or_problem(origin)?;
        match taken {
            None => Ok(()),
            Some(name) => Err(Problem::invalid(
                field,
                format!("{name} is taken on this router: choose another."),
            )),
        }
    }

    /// The preview name of a host name, if a service may have that one.
    fn preview_of(&self, name: &HostName) -> Result<HostName, String> {
        let host = name.as_str();
        if host == self.settings.console_host || host == "localhost" {
            return Err(format!("{host} is the console's own name, and cookies ignore ports."));
        }
        if host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err("A host name is needed here, not an address.".to_owned());
        }
        if host.starts_with(PREVIEW) {
            return Err(format!("Names that begin with {PREVIEW} are given by Pilothouse itself."));
        }
        format!("{PREVIEW}{host}").parse().map_err(|_| {
            format!(
                "{host} is too long: its first word has at most {} letters.",
                63 - PREVIEW.len()
            )
        })
    }
}
