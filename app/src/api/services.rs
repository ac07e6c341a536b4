//! Services, their placements and configurations.

use super::{
    Answer,
    service_form::{LimitsForm, SpecForm},
};
use domain::{
    id::{PlacementId, ServiceId},
    name::Name,
    view::{Board, NewServicePage, ServicePage},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};
#[cfg(feature = "ssr")]
use domain::name::ImageReference;

/// The first page.
#[server(name = SeeBoard, prefix = "/api", endpoint = "services/board")]
pub async fn board() -> Answer<Board> {
    Ok(control().board(&asked()?).await?)
}

/// The page of one service.
#[server(name = SeeService, prefix = "/api", endpoint = "services/page")]
pub async fn service(project: Name, service: Name) -> Answer<ServicePage> {
    Ok(control().service(&asked()?, &project, &service).await?)
}

/// What the form for a new service offers.
#[server(name = SeeNewService, prefix = "/api", endpoint = "services/new")]
pub async fn new_service() -> Answer<NewServicePage> {
    Ok(control().new_service(&asked()?).await?)
}

/// Adds a service, and its project where there is none of that name. With an image, goes on to the
/// form of its first release, where the image is being looked up.
#[server(prefix = "/api", endpoint = "services/add")]
pub async fn add_service(
    project: String,
    name: String,
    #[server(default)] image: String,
    #[server(default)] size: String,
    #[server(flatten)] spec: SpecForm,
    #[server(flatten)] limits: LimitsForm,
) -> Answer<ServiceId> {
    let asked = asked()?;
    let project: Name = typed::field("project", &project)?;
    let name: Name = typed::field("name", &name)?;
    let image = typed::optional::<ImageReference>("image", &image)?;
    let size = super::service_form::size(&size)?;
    let spec = spec.parse()?;
    let limits = limits.parse()?;

    let added = control().add_service(&asked, &project, &name, spec, limits, size).await?;
    let home = format!("/projects/{project}/services/{name}");
    match image {
        None => go_to(&home),
        Some(image) => {
            let shown = typed::escaped(image.as_str());
            let inquiry = control().look_up_image(&asked, added, image, false).await?;
            go_to(&format!("{home}/releases/new?inquiry={inquiry}&image={shown}"));
        }
    }
    Ok(added)
}

/// Changes what the next release of a service carries, and goes `back`, where that is a page of
/// ours.
#[server(prefix = "/api", endpoint = "services/edit")]
pub async fn edit_service(
    service: ServiceId,
    #[server(default)] back: String,
    #[server(flatten)] spec: SpecForm,
) -> Answer<()> {
    control().edit_service(&asked()?, service, spec.parse()?).await?;
    go_to(typed::next(&back));
    Ok(())
}

/// Changes how many instances a placement has and under which names it is reached, one a line.
/// `based_on` is what the page showed of both: if it is another by now the answer is 409.
#[server(prefix = "/api", endpoint = "services/edit-placement")]
pub async fn edit_placement(
    placement: PlacementId,
    size: String,
    #[server(default)] host_names: String,
    #[server(default)] based_on: String,
) -> Answer<()> {
    let size = super::service_form::size(&size)?;
    let host_names = typed::lines(&host_names)
        .map(|line| typed::field("host_names", line))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(control().edit_placement(&asked()?, placement, size, host_names, &based_on).await?)
}

/// Makes the next configuration of a placement out of `NAME=value` lines. `based_on` is the number
/// that the page showed: with a newer one by now the answer is 409.
#[server(prefix = "/api", endpoint = "services/change-configuration")]
pub async fn change_configuration(
    placement: PlacementId,
    #[server(default)] variables: String,
    based_on: String,
    #[server(flatten)] limits: LimitsForm,
) -> Answer<i32> {
    let limits = limits.parse()?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().write_configuration(&asked()?, placement, &variables, limits, based_on).await?)
}
