//! Keys that lead somewhere: which there are, what a press means, and whether they are wanted.
//!
//! Whoever dictates or presses keys by accident can turn those of a single letter off (WCAG 2.1.4);
//! kept in a cookie as the theme is. `Ctrl K` and `⌘ K` hold always.

use crate::api::ApiError;
use leptos::prelude::*;

/// The cookie's name. It holds a word and no secret.
#[cfg(feature = "ssr")]
const COOKIE: &str = "pilothouse_shortcuts";

/// How long after `g` the second letter may come, in milliseconds.
pub const SECOND_WITHIN_MS: f64 = 1_500.0;

/// Where `g` and a letter lead: the letter, the page, its address.
pub const GO: [(&str, &str, &str); 8] = [
    ("b", "Board", "/"),
    ("o", "Projects", "/projects"),
    ("e", "Environments", "/environments"),
    ("u", "Builds", "/builds"),
    ("h", "History", "/history"),
    ("p", "People", "/people"),
    ("s", "New service", "/services/new"),
    ("a", "Account", "/account"),
];

/// Whether single letters do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    On,
    Off,
}

impl Wanted {
    /// The word in the cookie and in `data-shortcuts`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Anything else than `off` is on.
    #[must_use]
    pub fn of(word: &str) -> Self {
        if word == "off" { Self::Off } else { Self::On }
    }
}

/// What a press of keys means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The palette.
    Palette,
    /// The list of shortcuts.
    Help,
    /// The field that filters the page, or the palette where there is none.
    Filter,
    /// The first half of a way.
    Begin,
    /// A page.
    Go(&'static str),
}

/// A key that was pressed, and what was so when it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Press<'a> {
    /// As the browser calls it: `k`, `?`, `/`.
    pub key: &'a str,
    /// Control, or ⌘.
    pub command: bool,
    pub alt: bool,
    /// What is typed goes into a field.
    pub typing: bool,
    pub dialog_open: bool,
    /// `g` was pressed a moment ago.
    pub begun: bool,
}

/// What a press means, if anything of ours.
#[must_use]
pub fn meaning(press: Press<'_>, wanted: Wanted) -> Option<Meaning> {
    if press.dialog_open || press.alt {
        return None;
    }
    if press.command {
        return press.key.eq_ignore_ascii_case("k").then_some(Meaning::Palette);
    }
    if press.typing || wanted == Wanted::Off {
        return None;
    }
    if press.begun {
        let way = GO.iter().find(|(letter, ..)| *letter == press.key);
        return way.map(|(_, _, path)| Meaning::Go(path));
    }
    match press.key {
        "?" => Some(Meaning::Help),
        "/" => Some(Meaning::Filter),
        "g" => Some(Meaning::Begin),
        _ => None,
    }
}

/// Whether single letters are wanted, for everything inside the app: known after hydration.
#[derive(Clone, Copy)]
pub struct Shortcuts(pub RwSignal<Wanted>);

/// Lays it ready.
pub fn provide() {
    let wanted = RwSignal::new(asked());
    provide_context(Shortcuts(wanted));
    Effect::new(move |_| {
        let root = document().document_element();
        let word = root.and_then(|root| root.get_attribute("data-shortcuts"));
        wanted.set(word.map_or(Wanted::On, |word| Wanted::of(&word)));
    });
}

/// "Board (g b)", or the page alone where the keys are off.
#[must_use]
pub fn tooltip(path: &'static str) -> Signal<Option<String>> {
    let wanted = expect_context::<Shortcuts>().0;
    Signal::derive(move || {
        let (letter, page, _) = GO.iter().find(|(.., way)| *way == path)?;
        (wanted.get() == Wanted::On).then(|| format!("{page} (g {letter})"))
    })
}

/// What the request's cookie says.
#[cfg(feature = "ssr")]
#[must_use]
pub fn asked() -> Wanted {
    crate::cookie::sent(COOKIE).map_or(Wanted::On, |word| Wanted::of(&word))
}

/// In a browser the page has what it was drawn with.
#[cfg(not(feature = "ssr"))]
#[must_use]
pub const fn asked() -> Wanted {
    Wanted::On
}

/// Keeps the choice for a year. Needs no sign-in: it changes nothing but what keys of this browser
/// do.
#[server(prefix = "/api", endpoint = "shortcuts")]
pub async fn choose_shortcuts(shortcuts: String) -> Result<(), ApiError> {
    use axum::http::{HeaderValue, header};
    let wanted = Wanted::of(&shortcuts).as_str();
    let cookie = format!("{COOKIE}={wanted}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
    let response = expect_context::<leptos_axum::ResponseOptions>();
    let cookie = HeaderValue::from_str(&cookie).expect("made of ASCII words");
    response.append_header(header::SET_COOKIE, cookie);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(key: &str) -> Press<'_> {
        Press { key, ..Press::default() }
    }

    #[test]
    fn each_key_means_what_the_list_says() {
        let on = |press| meaning(press, Wanted::On);
        assert_eq!(on(press("?")), Some(Meaning::Help));
        assert_eq!(on(press("/")), Some(Meaning::Filter));
        assert_eq!(on(press("b")), None);
        for (letter, _, path) in GO {
            let second = Press { begun: true, ..press(letter) };
            assert_eq!(on(second), Some(Meaning::Go(path)));
        }
    }

    #[test]
    fn while_one_types_or_a_dialog_is_open_letters_are_letters() {
        for key in ["?", "/", "g"] {
            assert_eq!(meaning(Press { typing: true, ..press(key) }, Wanted::On), None);
            assert_eq!(meaning(Press { dialog_open: true, ..press(key) }, Wanted::On), None);
        }
    }

    #[test]
    fn turned_off_only_what_is_pressed_with_control_is_left() {
        for key in ["?", "/", "g"] {
            assert_eq!(meaning(press(key), Wanted::Off), None);
        }
        for typing in [false, true] {
            let held = Press { command: true, typing, ..press("k") };
            assert_eq!(meaning(held, Wanted::Off), Some(Meaning::Palette));
        }
    }

    #[test]
    fn what_the_browser_does_with_control_stays_its_own() {
        for key in ["g", "/", "?", "b"] {
            assert_eq!(meaning(Press { command: true, ..press(key) }, Wanted::On), None);
        }
    }
}
