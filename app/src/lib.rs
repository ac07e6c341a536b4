//! What a person sees: pages in the browser, drawn first by the server.
//!
//! Compiled twice: with `ssr` into the server, with `hydrate` to wasm. Pages live in [`pages`], what
//! two or more share in [`components`], the doors to the server in [`api`].

pub mod api;
pub mod clock;
pub mod components;
#[cfg(feature = "ssr")]
mod cookie;
pub mod format;
pub mod live;
pub mod pages;
pub mod phases;
pub mod recent;
pub mod routes;
pub mod session;
pub mod shortcuts;
pub mod theme;

use components::{bar::Bar, follow_focus::FollowFocus, new_build::NewBuild, shortcuts::Shortcuts};
use leptos::{html::Main, prelude::*};
use leptos_meta::{HashedStylesheet, Link, MetaTags, Title, provide_meta_context};
use leptos_router::components::Router;

/// The HTML around the app. The server wraps it and sets the headers that belong to it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html
            lang="en"
            data-theme=theme::asked().as_str()
            data-shortcuts=shortcuts::asked().as_str()
        >
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link
                    rel="preload"
                    href="/fonts/inter.woff2"
                    r#as="font"
                    r#type="font/woff2"
                    crossorigin="anonymous"
                />
                <HashedStylesheet options=options.clone() id="css" />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// Everything inside `body`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    clock::provide();
    session::provide();
    live::provide();
    shortcuts::provide();
    components::ask::provide();
    components::palette::provide();
    let main = NodeRef::<Main>::new();
    // Tests and the impatient can see when the page answers to clicks by itself.
    Effect::new(|| {
        if let Some(body) = document().body() {
            let _ = body.set_attribute("data-hydrated", "yes");
        }
    });

    view! {
        <Title formatter=|title: String| {
            if title.is_empty() { "Pilothouse".to_owned() } else { format!("{title} · Pilothouse") }
        } />
        <Link rel="manifest" href="/site.webmanifest" />
        <Router>
            <a class="skip" href="#main">
                "Skip to the content"
            </a>
            <Bar />
            <NewBuild />
            <FollowFocus main />
            <Shortcuts />
            <main id="main" tabindex="-1" node_ref=main>
                <routes::Pages />
            </main>
        </Router>
    }
}

/// Takes over the page that the server drew.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
}
