//! A page or a click that did not work: what happened, what was kept, where to go.

use crate::api::ApiError;
use domain::error::Problem;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// In place of a page that could not be loaded.
#[component]
pub fn Failure(error: ApiError) -> impl IntoView {
    let title = match &error.0 {
        Problem::SignedOut => "Sign in first",
        Problem::NotFound { .. } => "Not here",
        Problem::Forbidden { .. } => "Not allowed",
        _ => "This page can not be shown now",
    };
    let signed_out = matches!(error.0, Problem::SignedOut);
    let place = use_location();
    let sign_in = move || {
        let here = format!("{}{}", place.pathname.get(), place.search.get());
        format!("/sign-in?next={}", crate::api::typed::escaped(&here))
    };
    view! {
        <section class="failure">
            <h1>{title}</h1>
            <p class="soft">{error.to_string()}</p>
            <p>
                {if signed_out {
                    view! { <a class="button primary" href=sign_in>"Sign in"</a> }.into_any()
                } else {
                    view! { <a class="button" href="/">"Back to the board"</a> }.into_any()
                }}
            </p>
        </section>
    }
}

/// What a click was refused with. The place is always there, so that a screen reader hears it.
#[component]
pub fn Refusal(#[prop(into)] error: Signal<Option<ApiError>>) -> impl IntoView {
    let notice = move |error: ApiError| {
        let other = match &error.0 {
            Problem::Conflict { rollout: Some(rollout), .. } => Some(*rollout),
            _ => None,
        };
        view! {
            <div class="notice bad">
                <p>{error.to_string()}</p>
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
    };
    view! { <div role="alert">{move || error.get().map(notice)}</div> }
}
