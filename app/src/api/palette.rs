//! Where one may go.

use super::Answer;
use domain::palette::Palette;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::context::{asked, control};

/// Everything the viewer may go to.
#[server(name = SeePalette, prefix = "/api", endpoint = "palette")]
pub async fn palette() -> Answer<Palette> {
    Ok(control().palette(&asked()?).await?)
}
