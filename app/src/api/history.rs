//! Reading the history and proving it. Taking it away is a plain download, `/history/export.csv`.

use super::Answer;
use domain::view::{HistoryFilter, HistoryPage, Proven};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::context::{asked, control};

/// A page of rows, newest first.
#[server(name = SeeHistory, prefix = "/api", endpoint = "history/page")]
pub async fn history(#[server(default)] filter: HistoryFilter) -> Answer<HistoryPage> {
    Ok(control().history(&asked()?, filter).await?)
}

/// Proves the chain from its first row, now.
#[server(prefix = "/api", endpoint = "history/verify")]
pub async fn verify_history() -> Answer<Proven> {
    Ok(control().verify_history(&asked()?).await?)
}
