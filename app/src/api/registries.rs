//! Registries, where a service's images go, and releases on their way there.

use super::Answer;
use domain::{
    id::{InquiryId, PushId, RegistryId, ReleaseId, ServiceId},
    registry::{PushRulePage, RegistriesPage, Stored},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};
#[cfg(feature = "ssr")]
use domain::{error::Problem, registry::tags};

/// The page of all registries.
#[server(name = SeeRegistries, prefix = "/api", endpoint = "registries/page")]
pub async fn registries() -> Answer<RegistriesPage> {
    Ok(control().registries(&asked()?).await?)
}

/// Adds a registry. Without a user nobody signs in there.
#[server(prefix = "/api", endpoint = "registries/add")]
pub async fn add_registry(
    name: String,
    address: String,
    #[server(default)] user: String,
    #[server(default)] password: String,
) -> Answer<RegistryId> {
    let asked = asked()?;
    let name = typed::field("name", &name)?;
    let address = typed::field("address", &address)?;
    let user = typed::optional("user", &user)?;
    Ok(control().add_registry(&asked, &name, &address, user, &password).await?)
}

/// Puts other credentials in the place of those that are stored, or none.
#[server(prefix = "/api", endpoint = "registries/change")]
pub async fn change_registry(
    registry: RegistryId,
    #[server(default)] user: String,
    #[server(default)] password: String,
) -> Answer<()> {
    let user = typed::optional("user", &user)?;
    Ok(control().change_registry(&asked()?, registry, user, &password).await?)
}

/// Uses a registry no more, and forgets its credentials.
#[server(prefix = "/api", endpoint = "registries/archive")]
pub async fn archive_registry(registry: RegistryId) -> Answer<()> {
    Ok(control().archive_registry(&asked()?, registry).await?)
}

/// Asks whether a registry can be used. The page follows the answer.
#[server(prefix = "/api", endpoint = "registries/try")]
pub async fn try_registry(registry: RegistryId) -> Answer<InquiryId> {
    let inquiry = control().try_registry(&asked()?, registry).await?;
    go_to(&format!("/registries?of={registry}&inquiry={inquiry}"));
    Ok(inquiry)
}

/// Where the images of a service go.
#[server(name = SeePushRule, prefix = "/api", endpoint = "registries/rule")]
pub async fn push_rule(service: ServiceId) -> Answer<PushRulePage> {
    Ok(control().push_rule(&asked()?, service).await?)
}

/// Says where the images of a service go, and under which tags, one a line. An empty `registry` is
/// nowhere; `after_build` is a checkbox.
#[server(prefix = "/api", endpoint = "registries/set-rule")]
pub async fn set_push_rule(
    service: ServiceId,
    #[server(default)] registry: String,
    #[server(default)] path: String,
    #[server(default)] tags: String,
    #[server(default)] after_build: Option<String>,
) -> Answer<()> {
    let registry = typed::optional_id("registry", &registry)?;
    let tags = match registry {
        Some(_) => tags::read(&tags).map_err(|wrong| Problem::invalid("tags", wrong))?,
        None => Vec::new(),
    };
    let after_build = typed::checked(&after_build);
    Ok(control().set_push_rule(&asked()?, service, registry, &path, tags, after_build).await?)
}

/// In which registries a release is.
#[server(name = SeeStored, prefix = "/api", endpoint = "registries/stored")]
pub async fn stored(release: ReleaseId) -> Answer<Stored> {
    Ok(control().stored(&asked()?, release).await?)
}

/// Sends a release to where its service's images go.
#[server(prefix = "/api", endpoint = "registries/push")]
pub async fn push_release(release: ReleaseId) -> Answer<PushId> {
    Ok(control().push_release(&asked()?, release).await?)
}

/// Asks where the tags of a release point now. Its page follows the answer.
#[server(prefix = "/api", endpoint = "registries/ask-tags")]
pub async fn ask_tags(release: ReleaseId) -> Answer<InquiryId> {
    let inquiry = control().ask_tags(&asked()?, release).await?;
    go_to(&format!("/releases/{release}?in=tags&inquiry={inquiry}"));
    Ok(inquiry)
}
