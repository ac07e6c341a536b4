//! Environments and how careful they are.

use super::{Answer, policy_form::PolicyForm};
use domain::{
    id::EnvironmentId,
    name::Name,
    view::{EnvironmentPage, EnvironmentsPage},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control},
    typed,
};

/// The page of all environments.
#[server(name = SeeEnvironments, prefix = "/api", endpoint = "environments/page")]
pub async fn environments() -> Answer<EnvironmentsPage> {
    Ok(control().environments(&asked()?).await?)
}

/// The page of one environment.
#[server(name = SeeEnvironment, prefix = "/api", endpoint = "environments/one")]
pub async fn environment(environment: Name) -> Answer<EnvironmentPage> {
    Ok(control().environment(&asked()?, &environment).await?)
}

/// Adds an environment on a target. An empty `after` is before all others; `protected` is a checkbox.
#[server(prefix = "/api", endpoint = "environments/add")]
pub async fn add_environment(
    name: String,
    #[server(default)] after: String,
    #[server(default)] protected: Option<String>,
    target: String,
) -> Answer<()> {
    let asked = asked()?;
    let name = typed::field("name", &name)?;
    let after = typed::optional_id("after", &after)?;
    let target = typed::id("target", &target)?;
    let protected = typed::checked(&protected);
    Ok(control().add_environment(&asked, &name, after, protected, target).await?)
}

/// Leads it to another target. Refused once anything was rolled out there.
#[server(prefix = "/api", endpoint = "environments/move")]
pub async fn move_environment(environment: EnvironmentId, target: String) -> Answer<()> {
    let asked = asked()?;
    let target = typed::id("target", &target)?;
    Ok(control().move_environment(&asked, environment, target).await?)
}

/// Changes the policy. Rollouts that have started keep the one they pinned. `based_on` is what the
/// page showed, in the words of [`domain::policy::shown`]; empty: whatever it is now.
#[server(prefix = "/api", endpoint = "environments/edit-policy")]
pub async fn edit_policy(
    environment: EnvironmentId,
    #[server(default)] based_on: String,
    #[server(flatten)] policy: PolicyForm,
) -> Answer<()> {
    Ok(control().edit_policy(&asked()?, environment, policy.parse()?, &based_on).await?)
}

/// Whether an environment asks for more than the ordinary. `protected` is `yes` or `no`.
#[server(prefix = "/api", endpoint = "environments/set-protected")]
pub async fn set_protected(environment: EnvironmentId, protected: String) -> Answer<()> {
    let protected = typed::yes_or_no("protected", &protected)?;
    Ok(control().set_protected(&asked()?, environment, protected).await?)
}
