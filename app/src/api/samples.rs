//! What placements did and used. The same as a file is a plain download,
//! `/samples/{placement}/download`.

use super::Answer;
use domain::{id::RolloutId, name::Name, view::Past};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control},
    typed,
};
#[cfg(feature = "ssr")]
use domain::samples::Range;

/// A service in an environment, over a range. Without an environment: where something is live.
#[server(name = SeePast, prefix = "/api", endpoint = "samples/service")]
pub async fn past(
    project: Name,
    service: Name,
    #[server(default)] environment: String,
    #[server(default)] range: String,
) -> Answer<Past> {
    let environment = typed::optional::<Name>("environment", &environment)?;
    let range = typed::optional::<Range>("range", &range)?.unwrap_or_default();
    Ok(control().past(&asked()?, &project, &service, environment.as_ref(), range).await?)
}

/// A rollout's placement while the rollout lasted.
#[server(name = SeePastOfRollout, prefix = "/api", endpoint = "samples/rollout")]
pub async fn past_of_rollout(id: RolloutId) -> Answer<Past> {
    Ok(control().past_of_rollout(&asked()?, id).await?)
}
