//! Listens for keys that lead somewhere, and lists them.

use super::palette::Opener;
use crate::{
    recent,
    session::session,
    shortcuts::{self, GO, Meaning, Press, SECOND_WITHIN_MS, Wanted},
};
use leptos::{
    ev::{self, KeyboardEvent},
    html::Dialog,
    prelude::*,
    wasm_bindgen::JsCast,
    web_sys::{Element, HtmlElement},
};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

/// What the page's filter is found by.
const FILTER: &str = "main [data-filter], main input[type=search]";
/// What is typed into.
const FIELD: &str = "input, textarea, select, [contenteditable]";

/// The keys of every page, and the dialog that lists them.
#[component]
pub fn Shortcuts() -> impl IntoView {
    let wanted = expect_context::<shortcuts::Shortcuts>().0;
    let (session, opener) = (session(), expect_context::<Opener>());
    let (place, navigate) = (use_location(), use_navigate());
    let dialog = NodeRef::<Dialog>::new();
    let begun_until_ms = StoredValue::new(0.0_f64);
    Effect::new(move |_| {
        let path = place.pathname.get();
        if session.viewer().is_some() {
            recent::note(&path);
        } else if session.is_over() {
            recent::forget();
        }
    });
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let press = move |event: KeyboardEvent| {
            if session.viewer().is_none() {
                return;
            }
            let key = event.key();
            let now_ms = event.time_stamp();
            let begun = now_ms < begun_until_ms.get_value();
            begun_until_ms.set_value(0.0);
            let press = Press {
                key: &key,
                command: event.ctrl_key() || event.meta_key(),
                alt: event.alt_key(),
                typing: event.target().is_some_and(|target| {
                    let target = target.dyn_into::<Element>().ok();
                    target.is_some_and(|target| target.closest(FIELD).is_ok_and(|at| at.is_some()))
                }),
                dialog_open: document()
                    .query_selector("dialog[open]")
                    .is_ok_and(|open| open.is_some()),
                begun,
            };
            let Some(meaning) = shortcuts::meaning(press, wanted.get_untracked()) else { return };
            event.prevent_default();
            match meaning {
                Meaning::Palette => opener.open(),
                Meaning::Help => {
                    if let Some(dialog) = dialog.get_untracked() {
                        let _ = dialog.show_modal();
                    }
                }
                Meaning::Filter => focus_filter(opener),
                Meaning::Begin => begun_until_ms.set_value(now_ms + SECOND_WITHIN_MS),
                Meaning::Go(path) => navigate(path, NavigateOptions::default()),
            }
        };
        let listens = window_event_listener(ev::keydown, press);
        on_cleanup(move || listens.remove());
    });
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <dialog node_ref=dialog class="ask keys" aria-labelledby="keys-title">
            <header>
                <h2 id="keys-title">"Keys"</h2>
                <button type="button" class="plain small" aria-label="Close" on:click=close>
                    <super::icon::Icon of=icondata::LuX />
                </button>
            </header>
            <dl class="facts-list">
                <Keys keys="Ctrl K, ⌘ K" means="Go anywhere, or ask for something" />
                <Keys keys="/" means="The filter of this page" />
                <Keys keys="?" means="This list" />
                {GO
                    .iter()
                    .map(|(letter, page, _)| {
                        view! { <Keys keys=format!("g {letter}") means=*page /> }
                    })
                    .collect_view()}
            </dl>
            <p class="aside">
                "Never while you type. Those of single letters can be "
                <a href="/account#keys" on:click=close>
                    "turned off"
                </a> "."
            </p>
        </dialog>
    }
}

#[component]
fn Keys(#[prop(into)] keys: String, means: &'static str) -> impl IntoView {
    view! {
        <div>
            <dt>
                <kbd>{keys}</kbd>
            </dt>
            <dd>{means}</dd>
        </div>
    }
}

/// The filter may be folded away; where a page has none, everything can be looked for.
fn focus_filter(opener: Opener) {
    let filter = document().query_selector(FILTER).ok().flatten();
    match filter.and_then(|filter| filter.dyn_into::<HtmlElement>().ok()) {
        Some(filter) => {
            if filter.tag_name().eq_ignore_ascii_case("summary")
                && let Some(around) = filter.parent_element()
            {
                let _ = around.set_attribute("open", "");
            }
            let _ = filter.focus();
        }
        None => opener.open(),
    }
}

/// Whether single letters do something, chosen on the account's page.
#[component]
pub fn ShortcutsChoice() -> impl IntoView {
    use super::form::Form;
    let choose = ServerAction::<shortcuts::ChooseShortcuts>::new();
    let wanted = expect_context::<shortcuts::Shortcuts>().0;
    let one = move |choice: Wanted, label: &'static str| {
        let is_chosen = move || if wanted.get() == choice { "true" } else { "false" };
        let hidden = vec![("shortcuts", choice.as_str().to_owned())];
        view! {
            <Form action=choose hidden class="inline">
                <button
                    type="submit"
                    class="small"
                    aria-pressed=is_chosen
                    on:click=move |_| wanted.set(choice)
                >
                    {label}
                </button>
            </Form>
        }
    };
    view! {
        <div class="buttons">{one(Wanted::On, "On")} {one(Wanted::Off, "Off")}</div>
        <p class="faint">
            "g and a letter lead to a page, / to its filter, ? lists them all. Off, only Ctrl K is \
             left. Kept in this browser only."
        </p>
    }
}
