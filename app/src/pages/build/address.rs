//! Which build, and which words are searched for in its log: the address of the page.

use domain::{id::BuildId, log::find};
use leptos_router::params::ParamsMap;

/// What the address asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub build: BuildId,
    pub words: String,
}

impl Wanted {
    /// `None`: this is the address of no build.
    pub fn read(params: &ParamsMap, query: &ParamsMap) -> Option<Self> {
        let words = query.get("words").unwrap_or_default();
        Some(Self {
            build: params.get("id")?.parse().ok()?,
            words: words.trim().chars().take(find::LONGEST).collect(),
        })
    }

    /// The page without its query.
    pub fn home(&self) -> String {
        format!("/builds/{}", self.build)
    }

    /// All that is kept of the log, as a file.
    pub fn download(&self) -> String {
        format!("/builds/{}/log", self.build)
    }
}
