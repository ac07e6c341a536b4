//! The newest lines, and those that are written while one looks. Whoever reads further up, or asks
//! for a pause, is not scrolled away from what he reads.

use super::{
    filter::{Wanted, name_of},
    line::{drawn, gap},
    rows::{Is, Rows},
};
use crate::{format, live::live};
use domain::{
    live::Message,
    log::{LogInstance, LogPiece, Which},
    view::LogsPage as Page,
};
use leptos::{html::Div, prelude::*};
use std::collections::VecDeque;

/// How many messages wait while one pauses. What is more is counted when one goes on.
const WAITING: usize = 64;
/// So near to the end, in pixels, one is at the end.
const NEAR: i32 = 48;

#[component]
pub(super) fn Tail(page: Page, wanted: Wanted) -> impl IntoView {
    let rows = RwSignal::new(Rows::drawn(&page.found));
    let waiting = RwSignal::new(VecDeque::<LogPiece>::new());
    // Asked for, or because one scrolled up.
    let paused = RwSignal::new(false);
    let away = RwSignal::new(false);
    let list = NodeRef::<Div>::new();
    let holds = move || paused.get_untracked() || away.get_untracked();

    live().on_lines(move |message| match message {
        Message::LogInstances(told) => rows.update(|rows| rows.know(told)),
        Message::Log(piece) if holds() => waiting.update(|waiting| {
            waiting.push_back(piece);
            if waiting.len() > WAITING {
                waiting.pop_front();
            }
        }),
        Message::Log(piece) => rows.update(|rows| rows.hear(piece)),
        _ => {}
    });
    let to_the_end = move || {
        if let Some(list) = list.get_untracked() {
            list.set_scroll_top(list.scroll_height());
        }
    };
    Effect::new(move |_| {
        rows.track();
        list.track();
        if !holds() {
            // After the lines are in the page.
            request_animation_frame(to_the_end);
        }
    });
    let go_on = move || {
        paused.set(false);
        away.set(false);
        let heard = waiting.try_update(std::mem::take).unwrap_or_default();
        rows.update(|rows| heard.into_iter().for_each(|piece| rows.hear(piece)));
    };
    let scrolled = move |_| {
        let Some(list) = list.get_untracked() else { return };
        let left = list.scroll_height() - list.scroll_top() - list.client_height();
        if left > NEAR {
            away.maybe_update(|away| !std::mem::replace(away, true));
        } else if away.get_untracked() && !paused.get_untracked() {
            go_on();
        }
    };
    let is_held = move || paused.get() || away.get();
    let count = Memo::new(move |_| rows.with(Rows::lines));
    let state = move || {
        if !is_held() {
            return format!("Following · {}", format::counted(count.get() as u64, "line", "lines"));
        }
        // What is told once more, after a stream was opened again, is not new.
        let newest = rows.with(Rows::newest_ns);
        let is_new = |piece: &LogPiece| piece.lines.iter().filter(|l| l.at_ns > newest).count();
        match waiting.with(|waiting| waiting.iter().map(is_new).sum::<usize>()) {
            0 => "Paused".to_owned(),
            new => format!("Paused · {} since", format::counted(new as u64, "line", "lines")),
        }
    };
    let instances = Memo::new(move |_| rows.with(|rows| rows.instances.clone()));
    let trouble = Memo::new(move |_| rows.with(|rows| rows.trouble.clone()));
    let chosen = wanted.of.clone();
    let empty = move || rows.with(|rows| rows.rows.is_empty());
    view! {
        <div class="said-of">
            <p class="follows" class:held=is_held>
                {state}
            </p>
            <button
                type="button"
                class="small"
                on:click=move |_| if is_held() { go_on() } else { paused.set(true) }
            >
                {move || if is_held() { "Follow" } else { "Pause" }}
            </button>
        </div>
        {move || {
            trouble
                .get()
                .map(|trouble| {
                    view! { <p class="notice warn">{trouble}</p> }
                })
        }}
        <div
            class="lines"
            tabindex="0"
            role="log"
            aria-live="off"
            aria-label="Lines, the newest last"
            node_ref=list
            on:scroll=scrolled
        >
            <ol>
                <For
                    each=move || rows.with(|rows| rows.rows.iter().cloned().collect::<Vec<_>>())
                    key=|row| row.key
                    children=|row| match &row.is {
                        Is::Line(line) => drawn(&row.whose, line, None),
                        Is::Gap(count) => gap(*count),
                    }
                />
            </ol>
        </div>
        {move || {
            empty()
                .then(|| {
                    view! {
                        <p class="soft">
                            "Nothing was written yet, or it is not kept any more. New lines appear here by themselves."
                        </p>
                    }
                })
        }}
        <section class="instances">
            <h2>"Instances"</h2>
            <ul>
                {move || {
                    instances
                        .get()
                        .into_iter()
                        .map(|instance| {
                            view! { <OneOf instance wanted=wanted.clone() chosen=chosen.clone() /> }
                        })
                        .collect_view()
                }}
            </ul>
        </section>
    }
}

/// An instance with what there is to say about it, and its own lines a click away.
#[component]
fn OneOf(instance: LogInstance, wanted: Wanted, chosen: Which) -> impl IntoView {
    let of = Which::Instance(instance.id.clone());
    let is_chosen = chosen == of;
    let name = name_of(std::slice::from_ref(&instance), &instance.id);
    let said = match (&instance.ended, instance.kept, instance.followed) {
        (Some(why), true, _) => format!("gone ({why}); its last lines were kept"),
        (Some(why), false, _) => why.clone(),
        (None, _, true) => "runs".to_owned(),
        (None, _, false) => "runs; its lines are read by a search or a download".to_owned(),
    };
    let class = match instance.slot {
        domain::slot::Slot::Blue => "slot blue",
        domain::slot::Slot::Green => "slot green",
    };
    view! {
        <li>
            <span class=class></span>
            <a class="mono" href=wanted.with(of) aria-current=is_chosen.then_some("true")>
                {name}
            </a>
            <span class="soft">{said}</span>
        </li>
    }
}
