//! Where an invitation leads: whoever opens the link chooses a name and a password, and is in.

use crate::{
    api::invitations::{self, AcceptInvitation},
    components::{
        account_fields::AccountFields,
        form::{Form, Send},
        loaded::Loaded,
        when::Until,
    },
    session::session,
};
use domain::invitation::{Carried, InvitationPage as View};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use time::OffsetDateTime;

/// The page. Nobody needs to be signed in: the token in the address is the right.
#[component]
pub fn InvitationPage() -> impl IntoView {
    let accept = ServerAction::<AcceptInvitation>::new();
    let session = session();
    let token = use_query_map().get_untracked().get("token").unwrap_or_default();
    Effect::new(move |_| {
        if matches!(accept.value().get(), Some(Ok(()))) {
            session.ask_again();
        }
    });
    let asked = token.clone();
    let page = Resource::new_blocking(|| (), move |()| invitations::invitation(asked.clone()));
    view! {
        <Title text="Invitation" />
        <div class="gate">
            <h1>"You are invited"</h1>
            <Loaded
                page
                headed=true
                draw=move |view: View| {
                    match view {
                        View::Over { why } => view! { <Over why /> }.into_any(),
                        View::Open { name, by, expires_at, carries } => {
                            let token = token.clone();
                            view! { <Accept accept token name by expires_at carries /> }.into_any()
                        }
                    }
                }
            />
        </div>
    }
}

/// The link works no more.
#[component]
fn Over(why: String) -> impl IntoView {
    view! {
        <div class="notice warn">
            <p>
                <strong>{why}</strong>
            </p>
            <p>"If you have an account, " <a href="/sign-in">"sign in"</a> "."</p>
        </div>
    }
}

#[component]
fn Accept(
    accept: ServerAction<AcceptInvitation>,
    token: String,
    name: String,
    by: String,
    expires_at: OffsetDateTime,
    carries: Vec<Carried>,
) -> impl IntoView {
    let session = session();
    view! {
        <p class="lead">
            <strong>{by}</strong>
            " invites you to this Pilothouse. Choose a name and a password. The link works once, \
             until "
            <Until at=expires_at />
            "."
        </p>
        <Transition>
            {move || {
                session
                    .viewer()
                    .map(|viewer| {
                        view! {
                            <div class="notice">
                                <p>
                                    "You are signed in as " <strong>{viewer.name}</strong>
                                    ". This makes another account, and signs you in as that one."
                                </p>
                            </div>
                        }
                    })
            }}
        </Transition>
        <Form action=accept hidden=vec![("token", token)]>
            <AccountFields name />
            <div class="buttons">
                <Send label="Make my account" sending="Making the account …" class="primary" />
            </div>
        </Form>
        <Carries carries />
    }
}

/// What the account begins with.
#[component]
fn Carries(carries: Vec<Carried>) -> impl IntoView {
    view! {
        <h2 class="after">"Your account begins with"</h2>
        <ul class="grants">
            {carries
                .into_iter()
                .map(|carried| {
                    let allows = carried.allows();
                    let Carried { role, scope_words } = carried;
                    view! {
                        <li>
                            <p>
                                <strong>{role.as_str()}</strong>
                                " in "
                                {scope_words}
                                <span class="faint">": you may " {allows} "."</span>
                            </p>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
}
