//! What the palette finds, as a page: for browsers without scripts, and to be sent to somebody.

use crate::{
    api::palette,
    components::{loaded::Loaded, palette::EntryWords},
};
use domain::palette::{Palette, found};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// The page.
#[component]
pub fn SearchPage() -> impl IntoView {
    let query = use_query_map();
    let words = Memo::new(move |_| query.with(|query| query.get("q").unwrap_or_default()));
    let page = Resource::new_blocking(|| (), |()| palette::palette());
    view! {
        <Title text="Search" />
        <h1>"Go to or do something"</h1>
        <form class="form search" method="get" action="/search" role="search">
            <div class="field">
                <label for="search-words">"What"</label>
                <input
                    id="search-words"
                    type="search"
                    name="q"
                    value=move || words.get()
                    maxlength="100"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    placeholder="A service, a rollout, “deploy api” …"
                />
            </div>
            <div class="buttons">
                <button type="submit" class="primary">
                    "Search"
                </button>
            </div>
        </form>
        <Loaded page headed=true draw=move |palette| view! { <Found palette words /> }.into_any() />
    }
}

#[component]
fn Found(palette: Palette, words: Memo<String>) -> impl IntoView {
    let entries = StoredValue::new(palette.entries());
    view! {
        <ul class="results">
            {move || {
                let found = entries.with_value(|entries| words.with(|words| found(entries, words, &[])));
                if found.is_empty() {
                    return view! {
                        <li class="none">"Nothing that you may see is called like that."</li>
                    }
                    .into_any();
                }
                found
                    .into_iter()
                    .map(|entry| {
                        let to = entry.path.clone();
                        view! {
                            <li>
                                <a href=to>
                                    <EntryWords entry />
                                </a>
                            </li>
                        }
                    })
                    .collect_view()
                    .into_any()
            }}
        </ul>
    }
}
