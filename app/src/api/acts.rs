//! What people do from day to day: restart, stop, start, remove, place again, and look at what would
//! change before a release goes to the next environment.

use super::Answer;
use domain::{
    id::{EnvironmentId, PlacementId, RolloutId, ServiceId},
    name::Name,
    view::PromotionPage,
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};

/// Restarts every instance of the live slot, one after the other.
#[server(prefix = "/api", endpoint = "placements/restart")]
pub async fn restart_placement(
    placement: PlacementId,
    #[server(default)] reason: String,
) -> Answer<()> {
    let reason = typed::reason(&reason)?;
    Ok(control().restart(&asked()?, placement, reason).await?)
}

/// Ends what runs, and answers 503 until it is started or deployed to.
#[server(prefix = "/api", endpoint = "placements/stop")]
pub async fn stop_placement(
    placement: PlacementId,
    #[server(default)] reason: String,
) -> Answer<()> {
    let reason = typed::reason(&reason)?;
    Ok(control().stop_placement(&asked()?, placement, reason).await?)
}

/// Brings back what was live when it was stopped.
#[server(prefix = "/api", endpoint = "placements/start")]
pub async fn start_placement(
    placement: PlacementId,
    #[server(default)] newest: String,
    #[server(default)] reason: String,
) -> Answer<RolloutId> {
    let newest = typed::optional_id("newest", &newest)?;
    let reason = typed::reason(&reason)?;
    let rollout = control().start_placement(&asked()?, placement, newest, reason).await?;
    go_to(&format!("/rollouts/{rollout}"));
    Ok(rollout)
}

/// Takes a service from an environment, and goes `back` where there is nothing to follow. `typed` is
/// the service's name, asked for in a protected environment.
#[server(prefix = "/api", endpoint = "placements/remove")]
pub async fn remove_placement(
    placement: PlacementId,
    #[server(default)] newest: String,
    #[server(default)] typed: String,
    #[server(default)] reason: String,
    #[server(default)] back: String,
) -> Answer<Option<RolloutId>> {
    let newest = typed::optional_id("newest", &newest)?;
    let reason = typed::reason(&reason)?;
    let removal = control().remove_placement(&asked()?, placement, newest, &typed, reason).await?;
    match removal {
        Some(rollout) => go_to(&format!("/rollouts/{rollout}")),
        None => go_to(typed::next(&back)),
    }
    Ok(removal)
}

/// Places a service in an environment where it is not, and goes `back`.
#[server(prefix = "/api", endpoint = "placements/place")]
pub async fn place_service(
    service: ServiceId,
    environment: EnvironmentId,
    #[server(default)] back: String,
) -> Answer<PlacementId> {
    let placed = control().place_service(&asked()?, service, environment).await?;
    go_to(typed::next(&back));
    Ok(placed)
}

/// What would change if a release went to an environment. Without one it is what is live before it.
#[server(name = SeePromotion, prefix = "/api", endpoint = "rollouts/promotion")]
pub async fn promotion(
    project: Name,
    service: Name,
    environment: Name,
    #[server(default)] release: String,
) -> Answer<PromotionPage> {
    let release = typed::optional_id("release", &release)?;
    Ok(control().promotion(&asked()?, &project, &service, &environment, release).await?)
}
