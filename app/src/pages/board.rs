//! The first page: services down, environments across. A cell is one placement.

mod shown;
mod welcome;

use crate::{
    api::services,
    components::{
        board::{BoardTable, Group},
        loaded::Loaded,
        moves,
        rows::Feed,
    },
    live::{Topics, live},
};
use domain::view::Board;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use shown::{Counts, Shown};
use welcome::{NothingShown, Welcome};

/// Loads the board and follows everything on it.
#[component]
pub fn BoardPage() -> impl IntoView {
    let board = Resource::new_blocking(|| (), |()| services::board());
    let live = live();
    Effect::new(move |_| {
        if let Some(Ok(board)) = board.get() {
            live.follow(board.number, Topics::Board);
        }
    });
    live.on_rows(|_| true, move || board.refetch());
    moves::provide();

    view! {
        <Title text="Board" />
        <Loaded page=board draw=|board| view! { <Services board /> }.into_any() />
    }
}

#[component]
fn Services(board: Board) -> impl IntoView {
    if board.projects.iter().all(|project| project.services.is_empty()) {
        return view! { <Welcome may_add=board.may_add_service /> }.into_any();
    }
    let query = use_query_map();
    let counts = Counts::of(&board);
    let Board { environments, projects, happening, may_add_service, .. } = board;
    let names: Vec<String> = projects.iter().map(|project| project.name.to_string()).collect();
    let across = environments.len() + 1;
    let rows = StoredValue::new(projects);
    let columns = StoredValue::new(environments);
    let shown = Memo::new(move |_| query.with(Shown::of));
    let body = move || {
        let chosen = rows.with_value(|rows| shown.get().choose(rows));
        if chosen.is_empty() {
            let none = view! { <NothingShown across /> };
            return none.into_any();
        }
        chosen
            .into_iter()
            .map(|project| view! { <Group project columns=columns.get_value() /> })
            .collect_view()
            .into_any()
    };

    view! {
        <div class="status">
            <h1>"Board"</h1>
            <Says counts />
            <span class="spacer"></span>
            {may_add_service
                .then(|| {
                    view! {
                        <a class="button small" href="/services/new">
                            "New service"
                        </a>
                    }
                })}
        </div>
        <Filter names shown />
        <div class="layout">
            <BoardTable
                caption="Services and what runs of them in each environment"
                columns=columns.get_value()
            >
                {body}
            </BoardTable>
            <aside aria-labelledby="happening">
                <h2 id="happening">"Happening"</h2>
                <Feed rows=happening />
            </aside>
        </div>
    }
    .into_any()
}

/// How many there are of what one should know first.
#[component]
fn Says(counts: Counts) -> impl IntoView {
    let said = |number: usize, one: &'static str, many: &'static str, class: &'static str| {
        (number > 0).then(|| {
            view! {
                <span class=class>
                    <b>{number}</b>
                    " "
                    {if number == 1 { one } else { many }}
                </span>
            }
        })
    };
    view! {
        {said(counts.stuck, "rollout needs a person", "rollouts need a person", "red")}
        {said(counts.running, "rollout running", "rollouts running", "")}
        {said(counts.waiting, "rollout waits", "rollouts wait", "")}
        {said(counts.failed, "failed last", "failed last", "red")}
        {said(counts.drift, "differs from what it should be", "differ from what they should be", "amber")}
        {said(counts.silent, "environment does not answer", "environments do not answer", "amber")}
        {counts
            .is_quiet()
            .then(|| view! { <span class="soft">"All quiet: nothing rolls, nothing differs."</span> })}
    }
}

/// Which services are shown. Links, so that a view can be sent to somebody.
#[component]
fn Filter(names: Vec<String>, shown: Memo<Shown>) -> impl IntoView {
    let chip = |label: String, to: Shown, now: &Shown| {
        let current = (to == *now).then_some("true");
        view! {
            <a class="chip" href=to.address() aria-current=current>
                {label}
            </a>
        }
    };
    view! {
        <nav class="shown-filter" aria-label="Which services are shown">
            {move || {
                let now = shown.get();
                let mut chips = vec![chip("Everything".to_owned(), Shown::default(), &now)];
                if names.len() > 1 {
                    for name in &names {
                        let to = Shown { project: Some(name.clone()), ..now.clone() };
                        chips.push(chip(name.clone(), to, &now));
                    }
                }
                for only in shown::Only::ALL {
                    let to = Shown { only: Some(only), ..now.clone() };
                    chips.push(chip(only.as_words().to_owned(), to, &now));
                }
                chips
            }}
        </nav>
    }
}
