//! What could not be done: a page that could not be loaded, or a click that was refused. Says what
//! happened, what was kept, what to do, and what to quote.

use crate::api::typed;
use domain::error::Problem;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

/// A refusal, inside a form or a page.
#[component]
pub fn Failure(
    problem: Problem,
    /// It is about a form whose fields still hold what was typed.
    #[prop(optional)]
    kept: bool,
) -> impl IntoView {
    let class = if is_refusal(&problem) { "notice warn" } else { "notice bad" };
    let next = what_next(&problem, kept);
    view! {
        <div class=class>
            <p>{problem.to_string()}</p>
            {next}
        </div>
    }
}

/// In place of a page that could not be loaded.
#[component]
pub fn FailedPage(
    problem: Problem,
    /// It stands under the heading of the page it is in place of.
    #[prop(optional)]
    headed: bool,
) -> impl IntoView {
    let title = match &problem {
        Problem::SignedOut => "Sign in first",
        Problem::NotFound { .. } => "Not here",
        Problem::Forbidden { .. } => "Not allowed",
        _ => "This page can not be shown now",
    };
    let signed_out = matches!(problem, Problem::SignedOut);
    let sign_in = sign_in_address();
    let next = what_next(&problem, false).filter(|_| !signed_out);
    view! {
        <Title text=title />
        <section class="failure">
            {if headed {
                view! { <h2>{title}</h2> }.into_any()
            } else {
                view! { <h1>{title}</h1> }.into_any()
            }}
            <p>{problem.to_string()}</p>
            <div class="soft">{next}</div>
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

/// In place of a form that the viewer's roles do not reach: nobody fills in what would be refused.
#[component]
pub fn NotForYou(
    /// Begins the sentence: "Making a release".
    what: &'static str,
    role: &'static str,
) -> impl IntoView {
    view! {
        <div class="notice warn">
            <p>{format!("{what} needs the role {role} in this project.")}</p>
            <p>"An admin can give it to you."</p>
        </div>
    }
}

/// Signing in leads back here. Reactive.
fn sign_in_address() -> impl Fn() -> String + Clone {
    let place = use_location();
    move || {
        let here = format!("{}{}", place.pathname.get(), place.search.get());
        format!("/sign-in?next={}", typed::escaped(&here))
    }
}

/// Refused, or somebody was first: nothing is broken.
const fn is_refusal(problem: &Problem) -> bool {
    match problem {
        Problem::SignedOut
        | Problem::TooMany { .. }
        | Problem::NotFound { .. }
        | Problem::Forbidden { .. }
        | Problem::Conflict { .. } => true,
        Problem::WrongPassword
        | Problem::Invalid { .. }
        | Problem::Unavailable { .. }
        | Problem::Internal { .. } => false,
    }
}

/// What was kept and what to do, where the sentence of the problem does not say it.
fn what_next(problem: &Problem, kept: bool) -> Option<AnyView> {
    let typed = if kept { "What you typed is still here. " } else { "" };
    let say = |sentence: String| Some(view! { <p>{sentence}</p> }.into_any());
    match problem {
        Problem::SignedOut => {
            let sign_in = sign_in_address();
            let next = view! {
                <p>
                    "Your session has ended. Nothing was changed. " <a href=sign_in>"Sign in"</a>
                    " and do it again."
                </p>
            };
            Some(next.into_any())
        }
        Problem::WrongPassword => {
            say("Nothing tells which of the two it was. An admin can set you a new password."
                .to_owned())
        }
        Problem::TooMany { .. } => say(format!("{typed}Nothing was changed.")),
        Problem::NotFound { .. } => {
            say("It may be gone, or an admin has not given you a role that reaches it.".to_owned())
        }
        Problem::Forbidden { needs, .. } => say(format!(
            "{typed}An admin can give you the role {needs}. The refusal stands in the history."
        )),
        Problem::Invalid { .. } if kept => {
            say("Nothing was saved. The rest of the form is as you typed it.".to_owned())
        }
        Problem::Invalid { .. } => None,
        Problem::Conflict { rollout: Some(rollout), .. } => {
            let other = format!("/rollouts/{rollout}");
            Some(view! { <p>{typed} <a href=other>"Look at that rollout"</a></p> }.into_any())
        }
        Problem::Conflict { rollout: None, .. } => kept.then(|| {
            view! { <p>{typed} "Load the page again to see how it is now."</p> }.into_any()
        }),
        Problem::Unavailable { .. } => say(format!("{typed}Try again in a moment.")),
        Problem::Internal { .. } => say(format!("{typed}Try again; if it stays so, report it.")),
    }
}
