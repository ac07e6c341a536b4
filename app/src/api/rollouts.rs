//! Starting, stopping and taking back.

use super::Answer;
use domain::{
    id::{InquiryId, PlacementId, ReleaseId, RolloutId},
    view::RolloutPage,
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};

/// Asks what preflight would say, before the click. The release's page follows the answer.
#[server(prefix = "/api", endpoint = "rollouts/could-i")]
pub async fn could_i(placement: PlacementId, release: ReleaseId) -> Answer<InquiryId> {
    let inquiry = control().could_i(&asked()?, placement, release).await?;
    go_to(&format!("/releases/{release}?in={placement}&inquiry={inquiry}"));
    Ok(inquiry)
}

/// Queues a rollout. `newest` is the newest rollout that the page showed, or empty: with a newer
/// one by now the answer is 409. `replace` is a checkbox: abort what is active.
#[server(prefix = "/api", endpoint = "rollouts/start")]
pub async fn start_rollout(
    placement: PlacementId,
    release: ReleaseId,
    #[server(default)] newest: String,
    #[server(default)] reason: String,
    #[server(default)] replace: Option<String>,
) -> Answer<RolloutId> {
    let newest = typed::optional_id("newest", &newest)?;
    let reason = typed::reason(&reason)?;
    let replace = typed::checked(&replace);
    let rollout =
        control().start_rollout(&asked()?, placement, release, newest, reason, replace).await?;
    go_to(&format!("/rollouts/{rollout}"));
    Ok(rollout)
}

/// Restores a pair that was live. Empty ids mean the warm or the previous one.
#[server(prefix = "/api", endpoint = "rollouts/roll-back")]
pub async fn roll_back(
    placement: PlacementId,
    #[server(default)] release: String,
    #[server(default)] configuration: String,
    #[server(default)] newest: String,
    #[server(default)] reason: String,
) -> Answer<RolloutId> {
    let release = typed::optional_id("release", &release)?;
    let configuration = typed::optional_id("configuration", &configuration)?;
    let newest = typed::optional_id("newest", &newest)?;
    let reason = typed::reason(&reason)?;
    let rollout =
        control().roll_back(&asked()?, placement, release, configuration, newest, reason).await?;
    go_to(&format!("/rollouts/{rollout}"));
    Ok(rollout)
}

/// Asks something of an active rollout: `abort`, `promote` or `retry`.
#[server(prefix = "/api", endpoint = "rollouts/ask")]
pub async fn ask_rollout(
    rollout: RolloutId,
    ask: String,
    #[server(default)] reason: String,
) -> Answer<()> {
    let ask = typed::ask(&ask)?;
    let reason = typed::reason(&reason)?;
    Ok(control().ask_rollout(&asked()?, rollout, ask, reason).await?)
}

/// Keeps the old slot up for so many more minutes.
#[server(prefix = "/api", endpoint = "rollouts/extend-warmth")]
pub async fn extend_warmth(placement: PlacementId, minutes: String) -> Answer<()> {
    let minutes = typed::number("minutes", &minutes)?;
    Ok(control().extend_warmth(&asked()?, placement, minutes).await?)
}

/// Lets the old slot go now.
#[server(prefix = "/api", endpoint = "rollouts/end-warmth")]
pub async fn end_warmth(placement: PlacementId) -> Answer<()> {
    Ok(control().end_warmth(&asked()?, placement).await?)
}

/// Lets deploys start by themselves again after a rollback.
#[server(prefix = "/api", endpoint = "rollouts/lift-hold")]
pub async fn lift_hold(placement: PlacementId) -> Answer<()> {
    Ok(control().lift_hold(&asked()?, placement).await?)
}

/// The page of one rollout.
#[server(name = SeeRollout, prefix = "/api", endpoint = "rollouts/page")]
pub async fn rollout(id: RolloutId) -> Answer<RolloutPage> {
    Ok(control().rollout(&asked()?, id).await?)
}
