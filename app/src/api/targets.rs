//! Targets: where environments are, and how clusters are reached.

use super::Answer;
use domain::{
    id::{InquiryId, TargetId},
    target::cluster::{TargetPage, TargetsPage},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};

/// The page of all targets.
#[server(name = SeeTargets, prefix = "/api", endpoint = "targets/page")]
pub async fn targets() -> Answer<TargetsPage> {
    Ok(control().targets(&asked()?).await?)
}

/// The page of one target.
#[server(name = SeeTarget, prefix = "/api", endpoint = "targets/one")]
pub async fn target(target: TargetId) -> Answer<TargetPage> {
    Ok(control().target(&asked()?, target).await?)
}

/// Connects a cluster. `own_account` is a checkbox: without a kubeconfig, as the service account that
/// we run as.
#[server(prefix = "/api", endpoint = "targets/add")]
pub async fn add_target(
    name: String,
    #[server(default)] own_account: Option<String>,
    #[server(default)] secret: String,
) -> Answer<TargetId> {
    let name = typed::field("name", &name)?;
    let own_account = typed::checked(&own_account);
    let (target, inquiry) = control().add_target(&asked()?, &name, own_account, &secret).await?;
    lead_to(target, inquiry);
    Ok(target)
}

/// Puts other credentials in the place of those that are stored.
#[server(prefix = "/api", endpoint = "targets/replace")]
pub async fn replace_credentials(
    target: TargetId,
    #[server(default)] own_account: Option<String>,
    #[server(default)] secret: String,
) -> Answer<InquiryId> {
    let own_account = typed::checked(&own_account);
    let inquiry = control().replace_credentials(&asked()?, target, own_account, &secret).await?;
    lead_to(target, Some(inquiry));
    Ok(inquiry)
}

/// Chooses the context, how namespaces are called, and what the witness is made of.
#[server(prefix = "/api", endpoint = "targets/choose")]
pub async fn choose_target(
    target: TargetId,
    #[server(default)] context: String,
    namespaces: String,
    #[server(default)] probe_image: String,
) -> Answer<()> {
    let asked = asked()?;
    let context = Some(context.as_str()).filter(|context| !context.is_empty());
    let namespaces = typed::field("namespaces", &namespaces)?;
    let image = typed::optional("probe_image", &probe_image)?;
    Ok(control().choose_target(&asked, target, context, &namespaces, image.as_ref()).await?)
}

/// Asks what is there and what may be done. The page follows the answer.
#[server(prefix = "/api", endpoint = "targets/look")]
pub async fn look_at_target(target: TargetId) -> Answer<InquiryId> {
    let inquiry = control().look_at_target(&asked()?, target).await?;
    lead_to(target, Some(inquiry));
    Ok(inquiry)
}

/// Uses a cluster no more, and forgets its credentials.
#[server(prefix = "/api", endpoint = "targets/archive")]
pub async fn archive_target(target: TargetId) -> Answer<()> {
    control().archive_target(&asked()?, target).await?;
    go_to("/targets");
    Ok(())
}

#[cfg(feature = "ssr")]
fn lead_to(target: TargetId, inquiry: Option<InquiryId>) {
    match inquiry {
        Some(inquiry) => go_to(&format!("/targets/{target}?inquiry={inquiry}")),
        None => go_to(&format!("/targets/{target}")),
    }
}
