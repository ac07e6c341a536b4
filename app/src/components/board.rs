//! Services down, environments across: the board, and the page of one project.

mod cell;

use cell::BoardCell;
use domain::view::{BoardEnvironment, BoardProject, BoardService};
use leptos::prelude::*;

/// The table. `body` draws its groups, because a page may choose which.
#[component]
pub fn BoardTable(
    #[prop(into)] caption: String,
    columns: Vec<BoardEnvironment>,
    children: Children,
) -> impl IntoView {
    view! {
        <table class="board">
            <caption class="unseen">{caption}</caption>
            <thead>
                <tr>
                    <th class="name" scope="col">
                        "Service"
                    </th>
                    {columns.into_iter().map(|column| view! { <Column column /> }).collect_view()}
                </tr>
            </thead>
            <tbody>{children()}</tbody>
        </table>
    }
}

#[component]
fn Column(column: BoardEnvironment) -> impl IntoView {
    let name = column.name.to_string();
    let home = format!("/environments/{name}");
    view! {
        <th scope="col" class:prod=column.protected>
            <a href=home>
                <b>{name}</b>
            </a>
            " "
            <span class="frame">{column.target}</span>
            {column.protected.then(|| view! { <span class="unseen">", protected"</span> })}
            {column
                .trouble
                .map(|says| {
                    view! {
                        <p class="trouble">
                            "✕ does not answer: " {says}
                        </p>
                    }
                })}
        </th>
    }
}

/// The services of a project.
#[component]
pub fn Group(
    project: BoardProject,
    columns: Vec<BoardEnvironment>,
    /// The page says the project's name already.
    #[prop(optional)]
    alone: bool,
) -> impl IntoView {
    let name = project.name.to_string();
    view! {
        {(!alone)
            .then(|| {
                view! {
                    <tr class="group">
                        <th scope="rowgroup" colspan=columns.len() + 1>
                            <a href=format!("/projects/{name}")>{name.clone()}</a>
                        </th>
                    </tr>
                }
            })}
        {project
            .services
            .into_iter()
            .map(|service| {
                view! { <ServiceRow project=name.clone() service columns=columns.clone() /> }
            })
            .collect_view()}
    }
}

#[component]
fn ServiceRow(
    project: String,
    service: BoardService,
    columns: Vec<BoardEnvironment>,
) -> impl IntoView {
    let name = service.name.to_string();
    let home = format!("/projects/{project}/services/{name}");
    let nothing_yet = service
        .cells
        .iter()
        .all(|cell| cell.live.is_none() && cell.next.is_none() && cell.active.is_none());
    let may_release = service.cells.iter().any(|cell| cell.may.release);
    let mut cells = service.cells;
    view! {
        <tr>
            <th scope="row" class="name">
                <a href=home.clone()>{name.clone()}</a>
                <div>{service.note}</div>
                {(nothing_yet && may_release)
                    .then(|| {
                        view! {
                            <a class="button small" href=format!("{home}/releases/new")>
                                "Make its first release"
                            </a>
                        }
                    })}
            </th>
            {columns
                .into_iter()
                .map(|column| {
                    let at = cells.iter().position(|cell| cell.environment == column.id);
                    let cell = at.map(|at| cells.remove(at));
                    match cell {
                        Some(cell) => {
                            view! { <BoardCell service=name.clone() cell /> }.into_any()
                        }
                        None => {
                            view! {
                                <td class="cell none" class:prod=column.protected>
                                    <span class="faint">"nothing here for you to see"</span>
                                </td>
                            }
                                .into_any()
                        }
                    }
                })
                .collect_view()}
        </tr>
    }
}
