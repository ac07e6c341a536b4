//! Who may do what where: people down, environments across. Each cell says by which grant.

mod cell;
mod question;

use crate::{
    api::people,
    components::{loaded::Loaded, people_tabs::PeopleTabs},
};
use cell::Cell;
use domain::{
    access::{AccessPage as View, Column, allowing},
    view::Person,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use question::{Ask, Question};

/// The page.
#[component]
pub fn AccessPage() -> impl IntoView {
    let query = use_query_map();
    let page = Resource::new_blocking(|| (), |()| people::access());
    view! {
        <Title text="Access" />
        <PeopleTabs here="/access" />
        <Loaded
            page
            headed=true
            draw=move |view: View| {
                let question = Question::read(&query.read(), &view.places);
                view! { <Matrix view question /> }.into_any()
            }
        />
    }
}

#[component]
fn Matrix(view: View, question: Question) -> impl IntoView {
    let View { people, places } = view;
    let columns = places.environments.clone();
    let said = question.in_words(&places);
    let heads = columns
        .iter()
        .map(|column| view! { <Head column=column.clone() people=people.clone() question /> })
        .collect_view();
    view! {
        <Ask question places=places.clone() />
        <p class="lead">{said}</p>
        // Roles are said, because a table that is drawn as a list on a phone would lose them.
        <table class="matrix" role="table">
            <thead role="rowgroup">
                <tr role="row">
                    <th scope="col" role="columnheader">"Person"</th>
                    {heads}
                </tr>
            </thead>
            <tbody role="rowgroup">
                {people
                    .into_iter()
                    .map(|person| {
                        view! { <Row person columns=columns.clone() question /> }
                    })
                    .collect_view()}
            </tbody>
        </table>
        <p class="aside">
            "A grant in everything or in an environment also reaches projects that are added later. \
             What somebody was refused stands in the "
            <a href="/history?about=refusals">"history"</a> "."
        </p>
    }
}

/// An environment, and how many may do there what is asked for.
#[component]
fn Head(column: Column, people: Vec<Person>, question: Question) -> impl IntoView {
    let count = question.action.map(|action| {
        let may = |person: &&Person| {
            !person.disabled
                && !allowing(&person.grants, action, question.project, &column).is_empty()
        };
        format!("{} of {}", people.iter().filter(may).count(), people.len())
    });
    view! {
        <th scope="col" role="columnheader" class:prod=column.protected>
            <b>{column.name.to_string()}</b>
            {column.protected.then_some(" protected")}
            {count.map(|count| view! { <span class="soft">" " {count}</span> })}
        </th>
    }
}

#[component]
fn Row(person: Person, columns: Vec<Column>, question: Question) -> impl IntoView {
    let Person { id, name, disabled, grants, .. } = person;
    view! {
        <tr role="row" class:off=disabled>
            <th scope="row" role="rowheader" class="name">
                <a href=format!("/people/{id}")>{name}</a>
                {disabled.then(|| view! { <p class="amber">"▲ disabled"</p> })}
            </th>
            {columns
                .into_iter()
                .map(|column| {
                    view! { <Cell grants=grants.clone() disabled column question /> }
                })
                .collect_view()}
        </tr>
    }
}
