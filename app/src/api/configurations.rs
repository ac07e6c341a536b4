//! What placements are told: variables, secrets, files, flags.

use super::{Answer, service_form::LimitsForm, variable_rows::VariableRow};
use domain::{
    id::{PlacementId, RolloutId},
    name::Name,
    view::ConfigurationPage,
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed, variable_rows,
};
#[cfg(feature = "ssr")]
use domain::{configuration::import::Missing, error::Problem, name::VariableName};

/// The page of what a service is told in an environment: the first one the viewer sees, where none
/// is named.
#[server(name = SeeConfiguration, prefix = "/api", endpoint = "configurations/page")]
pub async fn configuration(
    project: Name,
    service: Name,
    #[server(default)] environment: String,
) -> Answer<ConfigurationPage> {
    let environment = typed::optional::<Name>("environment", &environment)?;
    Ok(control().configuration(&asked()?, &project, &service, environment.as_ref()).await?)
}

/// Makes the next configuration out of rows. `based_on` is the number that the page showed: with a
/// newer one by now the answer is 409.
#[server(prefix = "/api", endpoint = "configurations/change")]
pub async fn change_variables(
    placement: PlacementId,
    #[server(default)] rows: Vec<VariableRow>,
    based_on: String,
    #[server(flatten)] limits: LimitsForm,
) -> Answer<i32> {
    let asked = asked()?;
    let variables = variable_rows::read(&rows)?;
    let limits = limits.parse()?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().change_configuration(&asked, placement, variables, limits, based_on).await?)
}

/// Takes over an `.env` file. `missing` is `keep` or `remove`; `seen` says which text was looked at.
#[server(prefix = "/api", endpoint = "configurations/import")]
pub async fn import_variables(
    placement: PlacementId,
    #[server(default)] text: String,
    missing: String,
    #[server(default)] seen: String,
    based_on: String,
) -> Answer<i32> {
    let asked = asked()?;
    let missing = Missing::read(&missing)
        .ok_or_else(|| Problem::invalid("missing", "This is keep or remove."))?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().import_variables(&asked, placement, &text, missing, &seen, based_on).await?)
}

/// Sets a secret. `based_on` is the version that the page showed, 0 for a new one.
#[server(prefix = "/api", endpoint = "configurations/set-secret")]
pub async fn set_secret(
    placement: PlacementId,
    #[server(default)] name: String,
    #[server(default)] secret: String,
    based_on: String,
) -> Answer<i32> {
    let asked = asked()?;
    let name: VariableName = typed::field("name", &name)?;
    let value = domain::configuration::secret::value(&secret)
        .map_err(|wrong| Problem::invalid("secret", wrong))?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().set_secret(&asked, placement, &name, &value, based_on).await?)
}

/// Takes a secret out of the next configuration.
#[server(prefix = "/api", endpoint = "configurations/remove-secret")]
pub async fn remove_secret(placement: PlacementId, name: String, based_on: String) -> Answer<()> {
    let asked = asked()?;
    let name: VariableName = typed::field("name", &name)?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().remove_secret(&asked, placement, &name, based_on).await?)
}

/// Turns a flag `on` (`yes` or `no`), and rolls out what is live again with it.
#[server(prefix = "/api", endpoint = "configurations/switch")]
pub async fn switch_flag(
    placement: PlacementId,
    name: String,
    on: String,
    based_on: String,
    #[server(default)] newest: String,
    #[server(default)] reason: String,
) -> Answer<Option<RolloutId>> {
    let asked = asked()?;
    let name: VariableName = typed::field("name", &name)?;
    let on = typed::yes_or_no("on", &on)?;
    let based_on = typed::number("based_on", &based_on)?;
    let newest = typed::optional_id("newest", &newest)?;
    let reason = typed::reason(&reason)?;
    let rollout =
        control().switch_flag(&asked, placement, &name, on, based_on, newest, reason).await?;
    if let Some(rollout) = rollout {
        go_to(&format!("/rollouts/{rollout}"));
    }
    Ok(rollout)
}
