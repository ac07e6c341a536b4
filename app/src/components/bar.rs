//! The bar on top of every page: where one can go, how fresh the data is, who looks.

use crate::{
    api::typed,
    clock::clock,
    live::{Connection, live},
    session::session,
    shortcuts::tooltip,
    theme::{self, ChooseTheme, Theme},
};
use domain::view::Viewer;
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

use super::{icon::Icon, palette::PaletteButton};

/// After so long without a message that was to come each second, the figures are called old.
const OLD_AFTER_MS: i64 = 5_000;

/// The mark, the pages the viewer may see, the state of the live data.
#[component]
pub fn Bar() -> impl IntoView {
    let session = session();
    let live = live();
    let (place, navigate) = (use_location(), use_navigate());
    Effect::new(move |over: Option<bool>| {
        let now = session.is_over();
        if over == Some(false) && now {
            // It ended while the page was open. Signing out has led to another page already.
            live.stop();
            let here = place.pathname.get_untracked();
            if !matches!(here.as_str(), "/sign-in" | "/first-admin" | "/invitation") {
                let next = typed::escaped(&format!("{here}{}", place.search.get_untracked()));
                navigate(&format!("/sign-in?next={next}"), NavigateOptions::default());
            }
        }
        now
    });

    view! {
        <header class="bar">
            <a class="mark" href="/" aria-label="Pilothouse, to the board">
                <Mark />
                "pilothouse"
            </a>
            <Transition>
                {move || {
                    session.viewer().map(|viewer| view! { <Places viewer /> })
                }}
            </Transition>
        </header>
    }
}

/// A house with a bridge window.
#[component]
fn Mark() -> impl IntoView {
    view! {
        <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
            <path
                d="M2.5 17V8.2L10 3l7.5 5.2V17z"
                fill="none"
                stroke="currentColor"
                stroke-width="1.6"
                stroke-linejoin="round"
            />
            <path d="M5.6 9.6h8.8v3H5.6z" fill="currentColor" />
        </svg>
    }
}

#[component]
fn Places(viewer: Viewer) -> impl IntoView {
    let path = use_location().pathname;
    // A release and a rollout are places of the board.
    let on_board = move || {
        let path = path.get();
        path == "/"
            || ["/releases/", "/rollouts/", "/services/"]
                .iter()
                .any(|under| path.starts_with(under))
    };
    let on_people = move || {
        let path = path.get();
        path == "/access" || path == "/people" || path.starts_with("/people/")
    };
    let under = move |place: &'static str| {
        path.with(|path| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let on_shared = move || ["/environments", "/targets", "/registries"].into_iter().any(under);
    let label = format!("Account of {}", viewer.name);
    let initial = viewer.name.chars().next().map(String::from).unwrap_or_default();
    view! {
        <nav aria-label="Pages">
            <a href="/" title=tooltip("/") aria-current=move || on_board().then_some("page")>
                "Board"
            </a>
            <a
                href="/projects"
                title=tooltip("/projects")
                aria-current=move || under("/projects").then_some("page")
            >
                "Projects"
            </a>
            <a
                href="/builds"
                title=tooltip("/builds")
                aria-current=move || under("/builds").then_some("page")
            >
                "Builds"
            </a>
            {viewer
                .environments
                .then(|| {
                    view! {
                        <a
                            href="/environments"
                            title=tooltip("/environments")
                            aria-current=move || on_shared().then_some("page")
                        >
                            "Environments"
                        </a>
                    }
                })}
            {viewer
                .history
                .then(|| {
                    view! {
                        <a
                            href="/history"
                            title=tooltip("/history")
                            aria-current=move || under("/history").then_some("page")
                        >
                            "History"
                        </a>
                    }
                })}
            {viewer
                .people
                .then(|| {
                    view! {
                        <a
                            href="/people"
                            title=tooltip("/people")
                            aria-current=move || on_people().then_some("page")
                        >
                            "People"
                        </a>
                    }
                })}
        </nav>
        <div class="end">
            <Freshness />
            <PaletteButton />
            <ThemeSwitch />
            <a class="who" href="/account" aria-label=label>
                <i aria-hidden="true">{initial}</i>
                <span>{viewer.name}</span>
            </a>
        </div>
    }
}

/// Whether what one sees is of now. Trouble shows at once, and reads as words.
#[component]
fn Freshness() -> impl IntoView {
    let (live, clock) = (live(), clock());
    // Read at each tick, not at each message: else it would always be of this very moment.
    let age_ms = move || clock.now_ms() - live.heard_ms.get_untracked();
    let old = move || {
        live.connection.get() == Connection::Live
            && live.expects_samples()
            && age_ms() > OLD_AFTER_MS
    };
    let class = move || match live.connection.get() {
        Connection::Lost => "live stale",
        Connection::Live if old() => "live stale",
        Connection::Live => "live",
        Connection::Quiet | Connection::Connecting => "live quiet",
    };
    let text = move || match live.connection.get() {
        Connection::Lost => "reconnecting…".to_owned(),
        Connection::Live if live.expects_samples() => {
            let tenths = age_ms().max(0) / 100;
            if tenths < 100 {
                format!("live, {}.{} s ago", tenths / 10, tenths % 10)
            } else {
                format!("live, {} s ago", tenths / 10)
            }
        }
        Connection::Live => "live".to_owned(),
        Connection::Connecting => "connecting…".to_owned(),
        Connection::Quiet => "".to_owned(),
    };
    view! { <span class=class hidden=move || live.connection.get() == Connection::Quiet>{text}</span> }
}

/// Dark or light, to and fro. A form, so that it works without scripts.
#[component]
fn ThemeSwitch() -> impl IntoView {
    let choose = ServerAction::<ChooseTheme>::new();
    let wanted = RwSignal::new(theme::asked().other());
    // What the page is drawn in is known to the browser alone: the system may have chosen it.
    Effect::new(move |_| wanted.set(shown_theme().other()));
    let apply = move |_| {
        let theme = wanted.get_untracked();
        theme::draw_by(theme);
        // After the form has taken the value.
        set_timeout(move || wanted.set(theme.other()), std::time::Duration::ZERO);
    };
    view! {
        <ActionForm action=choose>
            <input type="hidden" name="theme" value=move || wanted.get().as_str() />
            <button
                type="submit"
                class="icon-only"
                on:click=apply
                aria-label=move || format!("Draw everything {}", wanted.get().as_str())
                title=move || format!("Draw everything {}", wanted.get().as_str())
            >
                {move || {
                    let icon = if wanted.get() == Theme::Dark {
                        icondata::LuMoon
                    } else {
                        icondata::LuSun
                    };
                    view! { <Icon of=icon /> }
                }}
            </button>
        </ActionForm>
    }
}

/// The scheme on screen: the person's choice, else the system's.
fn shown_theme() -> Theme {
    match theme::chosen() {
        theme @ (Theme::Light | Theme::Dark) => theme,
        Theme::System => {
            let dark = window().match_media("(prefers-color-scheme: dark)").ok().flatten();
            if dark.is_some_and(|query| query.matches()) { Theme::Dark } else { Theme::Light }
        }
    }
}
