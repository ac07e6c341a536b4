//! Who is invited: links that are open, and those that ended lately; and how one is made.

mod invite;

use crate::{
    api::invitations::{self, InvitePerson, WithdrawInvitation},
    components::{
        ask_form::AskForm,
        form::{Changes, Done},
        loaded::Loaded,
        people_tabs::PeopleTabs,
        when::{LongAgo, Until},
    },
};
use domain::invitation::{Carried, InvitationRow, InvitationsPage as View, Made, Standing};
use invite::Invite;
use leptos::{prelude::*, web_sys::HtmlInputElement};
use leptos_meta::Title;

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    invite: ServerAction<InvitePerson>,
    withdraw: ServerAction<WithdrawInvitation>,
}

/// The page.
#[component]
pub fn InvitationsPage() -> impl IntoView {
    let acts = Acts { invite: ServerAction::new(), withdraw: ServerAction::new() };
    let changes = Changes::new();
    changes.follow(acts.invite, "The invitation was made. Send its link.");
    changes.follow(acts.withdraw, "The invitation was withdrawn: its link is void.");
    let page = Resource::new_blocking(move || changes.count(), |_| invitations::invitations());
    let made = move || match acts.invite.value().get() {
        Some(Ok(made)) => Some(view! { <Link made /> }),
        _ => None,
    };
    view! {
        <Title text="Invitations" />
        <PeopleTabs here="/people/invitations" />
        <Done changes />
        {made}
        <Loaded page headed=true draw=move |view: View| view! { <All view acts /> }.into_any() />
    }
}

/// The link that was just made. It is nowhere else.
#[component]
fn Link(made: Made) -> impl IntoView {
    let Made { name, link, expires_at } = made;
    let take = move |event: leptos::ev::FocusEvent| {
        event_target::<HtmlInputElement>(&event).select();
    };
    view! {
        <div class="notice made">
            <p>
                <strong>"The link for " {name}</strong>
                ". It is shown this once: send it by a way that only "
                "this person reads. It works once, until " <Until at=expires_at /> "."
            </p>
            <div class="field">
                <label for="made-link">"Link"</label>
                <input
                    id="made-link"
                    class="mono"
                    type="text"
                    readonly=true
                    value=link
                    autocomplete="off"
                    spellcheck="false"
                    on:focus=take
                />
            </div>
        </div>
    }
}

#[component]
fn All(view: View, acts: Acts) -> impl IntoView {
    let View { rows, places, made } = view;
    let (open, ended): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.standing == Standing::Open);
    let none = open.is_empty();
    let list = |rows: Vec<InvitationRow>| {
        rows.into_iter().map(|row| view! { <OneInvitation row acts /> }).collect_view()
    };
    let any_ended = !ended.is_empty();
    view! {
        {made.map(|made| view! { <Link made /> })}
        <div class="sections">
            <section aria-labelledby="invite">
                <h2 id="invite">"Invite a person"</h2>
                <Invite places action=acts.invite />
            </section>
            <section aria-labelledby="open">
                <h2 id="open">"Open"</h2>
                {none
                    .then(|| {
                        view! {
                            <p class="faint">"Nobody is invited now. Who accepts stands on the page Everybody."</p>
                        }
                    })}
                <ul class="list">{list(open)}</ul>
                {any_ended
                    .then(|| {
                        view! {
                            <h2 class="after">"Ended in the last 30 days"</h2>
                            <ul class="list">{list(ended)}</ul>
                        }
                    })}
            </section>
        </div>
    }
}

#[component]
fn OneInvitation(row: InvitationRow, acts: Acts) -> impl IntoView {
    let InvitationRow {
        id,
        name,
        by,
        invited_at,
        expires_at,
        standing,
        ended_at,
        ended_by,
        carries,
    } = row;
    let heading = format!("invitation-{id}");
    let carries: Vec<_> = carries
        .into_iter()
        .map(|Carried { role, scope_words }| format!("{role} in {scope_words}"))
        .collect();
    let can_go = matches!(standing, Standing::Open | Standing::Void);
    let word = standing.as_words();
    let ended = match (standing, ended_at) {
        (Standing::Open, _) | (_, None) => None,
        (_, Some(at)) => Some(view! { " " <LongAgo at /> }),
    };
    let void =
        (standing == Standing::Void).then(|| format!(": {by} may not manage people any more"));
    let who = ended_by.map(|who| format!(" by {who}"));
    view! {
        <li class="with-act" aria-labelledby=heading>
            <div>
                <h3 id=heading.clone()>{name.clone()}</h3>
                <p>{carries.join(", ")}</p>
                <p class="faint">"invited by " {by} ", " <LongAgo at=invited_at /></p>
                <p class="faint">
                    {if standing == Standing::Open {
                        view! { "works until " <Until at=expires_at /> }.into_any()
                    } else {
                        view! {
                            <strong>{word}</strong>
                            {who}
                            {ended}
                            {void}
                        }
                            .into_any()
                    }}
                </p>
            </div>
            {can_go
                .then(|| {
                    view! {
                        <AskForm
                            action=acts.withdraw
                            hidden=vec![("invitation", id.to_string())]
                            id=format!("withdraw-{id}")
                            trigger="Withdraw"
                            title=format!("Withdraw the invitation of {name}")
                            effect="The link is void from now on, whoever has it. An account that was made with it already stays."
                            yes="Withdraw the invitation"
                        />
                    }
                })}
        </li>
    }
}
