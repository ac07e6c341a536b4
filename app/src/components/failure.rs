//! What could not be done: a page that could not be loaded, or a click that was refused. Says what
//! happened, what was kept, and where to go.

use crate::api::typed;
use domain::error::Problem;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// A refusal, inside a form or a page.
#[component]
pub fn Failure(
    problem: Problem,
    /// It is about a form whose fields still hold what was typed.
    #[prop(optional)]
    kept: bool,
) -> impl IntoView {
    let other = match &problem {
        Problem::Conflict { rollout: Some(rollout), .. } => Some(*rollout),
        _ => None,
    };
    let unsure = matches!(problem, Problem::Unavailable { .. } | Problem::Internal { .. });
    view! {
        <div class="notice bad">
            <p>{problem.to_string()}</p>
            {(kept && unsure).then(|| view! { <p>"What you typed is still here."</p> })}
            {other
                .map(|rollout| {
                    view! {
                        <p>
                            <a href=format!("/rollouts/{rollout}")>"Look at that rollout"</a>
                        </p>
                    }
                })}
        </div>
    }
}

/// In place of a page that could not be loaded.
#[component]
pub fn FailedPage(problem: Problem) -> impl IntoView {
    let title = match &problem {
        Problem::SignedOut => "Sign in first",
        Problem::NotFound { .. } => "Not here",
        Problem::Forbidden { .. } => "Not allowed",
        _ => "This page can not be shown now",
    };
    let signed_out = matches!(problem, Problem::SignedOut);
    let place = use_location();
    let sign_in = move || {
        let here = format!("{}{}", place.pathname.get(), place.search.get());
        format!("/sign-in?next={}", typed::escaped(&here))
    };
    view! {
        <section class="failure">
            <h1>{title}</h1>
            <p class="soft">{problem.to_string()}</p>
            {if signed_out {
                view! {
                    <a class="button primary" href=sign_in>
                        "Sign in"
                    </a>
                }
                    .into_any()
            } else {
                view! {
                    <a class="button" href="/">
                        "Back to the board"
                    </a>
                }
                    .into_any()
            }}
        </section>
    }
}
