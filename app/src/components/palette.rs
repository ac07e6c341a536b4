//! Go anywhere by typing a few letters. An act leads to where it is confirmed. Without scripts the
//! button leads to a page that finds the same.

use super::icon::Icon;
use crate::{api, recent};
use domain::palette::{Entry, found};
use leptos::{
    ev::KeyboardEvent,
    html::{Dialog, Input},
    prelude::*,
    wasm_bindgen::{JsCast, JsValue},
    web_sys::js_sys::{Array, Function, Object, Reflect},
};
use leptos_router::{NavigateOptions, hooks::use_navigate};

/// Opens the palette from anywhere.
#[derive(Clone, Copy)]
pub struct Opener(RwSignal<u32>);

impl Opener {
    /// Opens it.
    pub fn open(self) {
        self.0.update(|times| *times += 1);
    }
}

/// Lays it ready for everything inside the app.
pub fn provide() {
    provide_context(Opener(RwSignal::new(0)));
}

/// The button in the bar, and the dialog that it opens.
#[component]
pub fn PaletteButton() -> impl IntoView {
    let opener = expect_context::<Opener>();
    let click = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        opener.open();
    };
    view! {
        <form class="find" action="/search" method="get" role="search" aria-label="Everything">
            <button
                type="submit"
                aria-haspopup="dialog"
                aria-keyshortcuts="Control+K Meta+K"
                aria-label="Go to or do something"
                title="Go to or do something (Ctrl K)"
                on:click=click
            >
                <Icon of=icondata::LuSearch />
                <span>"Go to …"</span>
                <kbd aria-hidden="true">"Ctrl K"</kbd>
            </button>
        </form>
        <Palette opener />
    }
}

#[component]
fn Palette(opener: Opener) -> impl IntoView {
    let (dialog, field) = (NodeRef::<Dialog>::new(), NodeRef::<Input>::new());
    let navigate = StoredValue::new(use_navigate());
    let load = Action::new(|(): &()| api::palette::palette());
    let entries = Memo::new(move |_| match load.value().get() {
        Some(Ok(palette)) => palette.entries(),
        Some(Err(_)) | None => Vec::new(),
    });
    let (words, recent) = (RwSignal::new(String::new()), RwSignal::new(Vec::<String>::new()));
    let at = RwSignal::new(0_usize);
    let shown = Memo::new(move |_| {
        entries
            .with(|entries| words.with(|words| recent.with(|recent| found(entries, words, recent))))
    });
    Effect::new(move |before: Option<u32>| {
        let times = opener.0.get();
        if before.is_some_and(|before| before != times)
            && let Some(dialog) = dialog.get_untracked()
        {
            words.set(String::new());
            at.set(0);
            recent.set(recent::paths());
            load.dispatch(());
            let _ = dialog.show_modal();
            if let Some(field) = field.get_untracked() {
                let _ = field.focus();
            }
        }
        times
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let go = move |to: usize| {
        if let Some(path) = shown.with_untracked(|shown| shown.get(to).map(|one| one.path.clone()))
        {
            close();
            navigate.with_value(|navigate| navigate(&path, NavigateOptions::default()));
        }
    };
    let press = move |event: KeyboardEvent| {
        let last = shown.with_untracked(Vec::len).saturating_sub(1);
        let now = at.get_untracked();
        let next = match event.key().as_str() {
            "ArrowDown" if now >= last => 0,
            "ArrowDown" => now + 1,
            "ArrowUp" if now == 0 => last,
            "ArrowUp" => now - 1,
            "PageDown" => (now + 8).min(last),
            "PageUp" => now.saturating_sub(8),
            "Enter" => {
                event.prevent_default();
                return go(now);
            }
            _ => return,
        };
        event.prevent_default();
        at.set(next);
        scroll_to(&option_id(next));
    };
    let typed = move |event| {
        words.set(event_target_value(&event));
        at.set(0);
        scroll_to(&option_id(0));
    };
    // A click beside the dialog is on its backdrop, which is the dialog itself.
    let beside = move |event: leptos::ev::MouseEvent| {
        if event.target() == event.current_target() {
            close();
        }
    };
    view! {
        <dialog node_ref=dialog class="palette" aria-label="Go to or do something" on:click=beside>
            <div class="inside">
                <div class="ask-for">
                    <Icon of=icondata::LuSearch />
                    <input
                        node_ref=field
                        type="text"
                        role="combobox"
                        aria-label="Go to or do something"
                        aria-expanded="true"
                        aria-controls="palette-list"
                        aria-autocomplete="list"
                        aria-activedescendant=move || {
                            shown.with(|shown| !shown.is_empty()).then(|| option_id(at.get()))
                        }
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        maxlength="100"
                        placeholder="A service, a rollout, “deploy api” …"
                        prop:value=move || words.get()
                        on:input=typed
                        on:keydown=press
                    />
                    <button type="button" class="plain small" on:click=move |_| close()>
                        "Close"
                    </button>
                </div>
                <ul id="palette-list" role="listbox" aria-label="Where to">
                    {move || {
                        shown
                            .get()
                            .into_iter()
                            .enumerate()
                            .map(|(number, entry)| {
                                view! { <One number entry at on_pick=Callback::new(go) /> }
                            })
                            .collect_view()
                    }}
                </ul>
                <p class="none" role="status">
                    {move || match load.value().get() {
                        Some(Err(error)) => error.to_string(),
                        None => "Loading …".to_owned(),
                        Some(Ok(_)) if shown.with(Vec::is_empty) => {
                            "Nothing that you may see is called like that.".to_owned()
                        }
                        Some(Ok(_)) => String::new(),
                    }}
                </p>
            </div>
        </dialog>
    }
}

fn option_id(number: usize) -> String {
    format!("palette-{number}")
}

#[component]
fn One(
    number: usize,
    entry: Entry,
    at: RwSignal<usize>,
    on_pick: Callback<usize>,
) -> impl IntoView {
    view! {
        <li
            id=option_id(number)
            role="option"
            aria-selected=move || if at.get() == number { "true" } else { "false" }
            on:mousemove=move |_| at.maybe_update(|at| std::mem::replace(at, number) != number)
            on:click=move |_| on_pick.run(number)
        >
            <EntryWords entry />
        </li>
    }
}

/// What a result says of itself.
#[component]
pub fn EntryWords(entry: Entry) -> impl IntoView {
    view! {
        <b>{entry.name}</b>
        " "
        <span class="under">{entry.under}</span>
        " "
        <span class="sort">{entry.sort.as_words()}</span>
    }
}

/// Brings a result into view, and moves no more than that needs.
fn scroll_to(id: &str) {
    let id = id.to_owned();
    request_animation_frame(move || {
        let Some(option) = document().get_element_by_id(&id) else { return };
        let how = Object::new();
        let _ = Reflect::set(&how, &"block".into(), &"nearest".into());
        let verb = Reflect::get(&option, &JsValue::from_str("scrollIntoView")).ok();
        if let Some(verb) = verb.and_then(|verb| verb.dyn_into::<Function>().ok()) {
            let _ = Reflect::apply(&verb, &option, &Array::of1(&how));
        }
    });
}
