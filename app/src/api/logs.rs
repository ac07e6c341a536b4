//! What instances write. Taking it away is a plain download, `/logs/{placement}/download`; following
//! it is the stream's.

use super::Answer;
use domain::{name::Name, view::LogsPage};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control},
    typed,
};
#[cfg(feature = "ssr")]
use domain::log::{LogFound, Which, find::Needle};
#[cfg(feature = "ssr")]
use std::{pin::Pin, sync::Arc};

/// Reads lines: the engine's, laid into the context by `server`. Only after the check.
#[cfg(feature = "ssr")]
#[derive(Clone)]
pub struct Find(pub Arc<FindLines>);

/// The newest lines of some instances of a place, with some words in them.
#[cfg(feature = "ssr")]
pub type FindLines = dyn Fn(
        domain::target::Place,
        Which,
        Option<Needle>,
    ) -> Pin<Box<dyn Future<Output = LogFound> + Send>>
    + Send
    + Sync;

/// The page: the newest lines, or those with `words` in them. `of` says of which instances, in the
/// words of [`domain::log::Which`].
#[server(name = SeeLogs, prefix = "/api", endpoint = "logs/page")]
pub async fn logs(
    project: Name,
    service: Name,
    #[server(default)] environment: String,
    #[server(default)] of: String,
    #[server(default)] words: String,
) -> Answer<LogsPage> {
    let asked = asked()?;
    let environment = typed::optional::<Name>("environment", &environment)?;
    let which: Which = typed::optional("of", &of)?.unwrap_or_default();
    let (page, place) = control().logs(&asked, &project, &service, environment.as_ref()).await?;
    let Find(find) = expect_context();
    let found = find(place, which, Needle::new(&words)).await;
    Ok(LogsPage { found, ..page })
}
