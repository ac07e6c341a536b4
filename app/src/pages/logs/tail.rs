//! The newest lines, and those that are written while one looks. Whoever reads further up, or asks
//! for a pause, is not scrolled away from what he reads.

use super::{
    filter::{Wanted, name_of},
    line::{drawn, gap},
    rows::{Is, Rows},
};
use crate::{components::following::Following, format, live::live};
use domain::{
    live::Message,
    log::{LogInstance, LogPiece, Which},
    view::LogsPage as Page,
};
use leptos::prelude::*;
use std::collections::VecDeque;

/// How many messages wait while one pauses. What is more is counted when one goes on.
const WAITING: usize = 64;

#[component]
pub(super) fn Tail(page: Page, wanted: Wanted) -> impl IntoView {
    let rows = RwSignal::new(Rows::drawn(&page.found));
    let waiting = RwSignal::new(VecDeque::<LogPiece>::new());
    let following = Following::new(
        move || rows.track(),
        move || {
            let heard = waiting.try_update(std::mem::take).unwrap_or_default();
            rows.update(|rows| heard.into_iter().for_each(|piece| rows.hear(piece)));
        },
    );

    live().on_lines(move |message| match message {
        Message::LogInstances(told) => rows.update(|rows| rows.know(told)),
        Message::Log(piece) if following.holds() => waiting.update(|waiting| {
            waiting.push_back(piece);
            if waiting.len() > WAITING {
                waiting.pop_front();
            }
        }),
        Message::Log(piece) => rows.update(|rows| rows.hear(piece)),
        _ => {}
    });
    let count = Memo::new(move |_| rows.with(Rows::lines));
    let state = move || {
        if !following.is_held() {
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
            <p class="follows" class:held=move || following.is_held()>
                {state}
            </p>
            <button
                type="button"
                class="small"
                on:click=move |_| following.press()
            >
                {move || if following.is_held() { "Follow" } else { "Pause" }}
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
            node_ref=following.list
            on:scroll=move |_| following.scrolled()
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
