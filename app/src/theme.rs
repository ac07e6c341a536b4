//! Dark or light: the system's choice, or the person's own, kept in a cookie so that the server
//! draws the first paint right. A browser keeps this, whether keys of a single letter are wanted
//! ([`crate::shortcuts`]), and where its person was last ([`crate::recent`]), and nothing else.

use crate::api::ApiError;
use leptos::prelude::*;

/// The cookie's name. It holds a word and no secret.
#[cfg(feature = "ssr")]
const COOKIE: &str = "pilothouse_theme";

/// Which scheme a page is drawn in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// The word in the cookie and in `data-theme`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the switch changes to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light | Self::System => Self::Dark,
        }
    }

    /// Anything else than `light` and `dark` is the system's.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }
}

/// What the request's cookie says.
#[cfg(feature = "ssr")]
#[must_use]
pub fn asked() -> Theme {
    crate::cookie::sent(COOKIE).map_or(Theme::System, |word| Theme::of(&word))
}

/// The shell is drawn by the server only; in a browser the page has what it was drawn with.
#[cfg(not(feature = "ssr"))]
#[must_use]
pub const fn asked() -> Theme {
    Theme::System
}

/// The choice that the page in this browser is drawn by. To be called in an effect.
#[must_use]
pub fn chosen() -> Theme {
    let root = document().document_element();
    let word = root.and_then(|root| root.get_attribute("data-theme"));
    word.map_or(Theme::System, |word| Theme::of(&word))
}

/// Draws the page in this browser by `theme` at once; the form keeps it for the next one.
pub fn draw_by(theme: Theme) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-theme", theme.as_str());
    }
}

/// Keeps the choice for a year. Needs no sign-in: it changes nothing but this browser's colours.
#[server(prefix = "/api", endpoint = "theme")]
pub async fn choose_theme(theme: String) -> Result<(), ApiError> {
    use axum::http::{HeaderValue, header};
    let theme = Theme::of(&theme).as_str();
    let cookie = format!("{COOKIE}={theme}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
    let response = expect_context::<leptos_axum::ResponseOptions>();
    let cookie = HeaderValue::from_str(&cookie).expect("made of ASCII words");
    response.append_header(header::SET_COOKIE, cookie);
    Ok(())
}
