//! Targets: where environments are, and how clusters are reached.

// The fields of a form are the arguments of its function, and the macro makes more functions of them.
#![allow(clippy::too_many_arguments)]

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
#[cfg(feature = "ssr")]
use control::TargetWish;
#[cfg(feature = "ssr")]
use domain::{
    error::Problem,
    target::entrance::{Entrance, HostPattern},
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

/// Chooses the context, how namespaces are called, what the witness is made of and how requests come in
/// from outside. `based_on` is the version that the page showed.
#[server(prefix = "/api", endpoint = "targets/choose")]
pub async fn choose_target(
    target: TargetId,
    #[server(default)] context: String,
    namespaces: String,
    #[server(default)] probe_image: String,
    #[server(default)] hosts: String,
    #[server(default)] class: String,
    #[server(default)] certificate: String,
    #[server(default)] based_on: String,
) -> Answer<()> {
    let asked = asked()?;
    let context = Some(context.as_str()).filter(|context| !context.is_empty());
    let namespaces = typed::field("namespaces", &namespaces)?;
    let image = typed::optional("probe_image", &probe_image)?;
    let hosts: Option<HostPattern> = typed::optional("hosts", &hosts)?;
    let class = typed::optional("class", &class)?;
    let certificate = typed::optional("certificate", &certificate)?;
    if hosts.is_none() && (class.is_some() || certificate.is_some()) {
        let sentence = "Nothing comes in without a pattern of host names. Give one, or leave class and \
                        certificate empty.";
        return Err(Problem::invalid("hosts", sentence).into());
    }
    let entrance = hosts.map(|hosts| Entrance { hosts, class, certificate });
    let based_on = match based_on.as_str() {
        "" => None,
        version => Some(typed::number("based_on", version)?),
    };
    let wish = TargetWish {
        context,
        namespaces: &namespaces,
        probe_image: image.as_ref(),
        entrance: entrance.as_ref(),
    };
    Ok(control().choose_target(&asked, target, &wish, based_on).await?)
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
