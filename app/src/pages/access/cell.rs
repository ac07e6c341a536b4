//! A cell: what somebody may do in an environment, and by which grant, in a sentence.

use super::question::Question;
use crate::components::when::OnDay;
use domain::{
    access::{Column, allowing, reasons},
    role::Protection,
    view::GrantRow,
};
use leptos::prelude::*;

/// "may roll out: *releaser* in newstalk, granted 3 May by Ana".
#[component]
pub(super) fn Cell(
    grants: Vec<GrantRow>,
    disabled: bool,
    column: Column,
    question: Question,
) -> impl IntoView {
    let protection = Protection::from(column.protected);
    let found: Vec<(String, GrantRow)> = match question.action {
        None => reasons(&grants, question.project, &column)
            .into_iter()
            .map(|(ability, grant)| (ability.as_words().to_owned(), grant.clone()))
            .collect(),
        Some(action) => allowing(&grants, action, question.project, &column)
            .into_iter()
            .map(|grant| (format!("may {}", action.as_words()), grant.clone()))
            .collect(),
    };
    let mut found = found.into_iter();
    let said = match found.next() {
        _ if disabled => view! { <span class="faint">"nothing while disabled"</span> }.into_any(),
        Some((may, grant)) => view! {
            <b>{may}</b>
            <Why grant />
        }
        .into_any(),
        None => match question.action {
            Some(action) => view! {
                <span class="faint">
                    "may not: needs " <em>{action.needs(protection).as_str()}</em>
                </span>
            }
            .into_any(),
            None => view! { <span class="faint">"sees nothing"</span> }.into_any(),
        },
    };
    let others: Vec<_> = found.collect();
    view! {
        <td role="cell" class:prod=column.protected data-label=column.name.to_string()>
            <div class="says-why">
                {said}
                {(!disabled && !others.is_empty())
                    .then(|| {
                        view! {
                            <details>
                                <summary>{format!("and {} more", others.len())}</summary>
                                <ul>
                                    {others
                                        .into_iter()
                                        .map(|(may, grant)| {
                                            view! {
                                                <li>
                                                    <b>{may}</b>
                                                    <Why grant />
                                                </li>
                                            }
                                        })
                                        .collect_view()}
                                </ul>
                            </details>
                        }
                    })}
            </div>
        </td>
    }
}

#[component]
fn Why(grant: GrantRow) -> impl IntoView {
    let GrantRow { role, scope_words, by, given_at, .. } = grant;
    view! {
        <span class="soft">
            ": " <em>{role.as_str()}</em> " in " {scope_words} ", granted " <OnDay at=given_at /> " by "
            {by}
        </span>
    }
}
