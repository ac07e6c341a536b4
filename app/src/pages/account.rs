//! One's own account: password, sessions, and what one may do.

use crate::{
    api::{
        people::{self, ChangePassword, EndOtherSessions, EndSession, SignOut},
        typed,
    },
    components::{
        agent::browser,
        ask_form::AskForm,
        field::{Secret, SecretField},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        shortcuts::ShortcutsChoice,
        when::LongAgo,
    },
    session::session,
    theme::{self, ChooseTheme, Theme},
};
use domain::view::{AccountPage as View, GrantRow, SessionRow};
use leptos::prelude::*;
use leptos_meta::Title;

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    password: ServerAction<ChangePassword>,
    end: ServerAction<EndSession>,
    end_others: ServerAction<EndOtherSessions>,
    sign_out: ServerAction<SignOut>,
}

/// The page.
#[component]
pub fn AccountPage() -> impl IntoView {
    let acts = Acts {
        password: ServerAction::new(),
        end: ServerAction::new(),
        end_others: ServerAction::new(),
        sign_out: ServerAction::new(),
    };
    let changes = Changes::new();
    changes.follow(acts.password, "Your password was changed and your other sessions were ended.");
    changes.follow(acts.end, "The session was ended.");
    changes.follow(acts.end_others, "Your other sessions were ended.");
    session().follow(acts.sign_out);
    let page = Resource::new_blocking(move || changes.count(), |_| people::account());

    view! {
        <Title text="Account" />
        <Done changes />
        <Loaded page draw=move |view: View| view! { <Account view acts /> }.into_any() />
    }
}

#[component]
fn Account(view: View, acts: Acts) -> impl IntoView {
    let others = view.sessions.iter().filter(|session| !session.current).count();
    view! {
        <div class="head">
            <h1>{view.name}</h1>
            <Form action=acts.sign_out class="inline">
                <Send label="Sign out" sending="Signing out …" />
            </Form>
        </div>
        <div class="sections">
            <section aria-labelledby="may">
                <h2 id="may">"What you may do"</h2>
                <Grants grants=view.grants />
            </section>
            <section aria-labelledby="look">
                <h2 id="look">"Light and dark"</h2>
                <Look />
            </section>
            <section aria-labelledby="keys">
                <h2 id="keys">"Keys of a single letter"</h2>
                <ShortcutsChoice />
            </section>
            <section aria-labelledby="sessions">
                <h2 id="sessions">"Where you are signed in"</h2>
                <ul class="list">
                    {view
                        .sessions
                        .into_iter()
                        .map(|session| view! { <OneSession session end=acts.end /> })
                        .collect_view()}
                </ul>
                {(others > 0)
                    .then(|| {
                        view! {
                            <Form action=acts.end_others class="inline">
                                <Send
                                    label="End all other sessions"
                                    sending="Ending them …"
                                    class="small"
                                />
                            </Form>
                        }
                    })}
            </section>
            <section aria-labelledby="password">
                <h2 id="password">"Password"</h2>
                <Form action=acts.password>
                    <SecretField
                        name=Secret::Current
                        label="Password now"
                        autocomplete="current-password"
                    />
                    <SecretField
                        name=Secret::Password
                        label="New password"
                        hint="12 to 128 characters. Your other sessions end."
                        autocomplete="new-password"
                        check=typed::password
                    />
                    <SecretField
                        name=Secret::Again
                        label="New password again"
                        autocomplete="new-password"
                    />
                    <div class="buttons">
                        <Send label="Change password" sending="Changing it …" />
                    </div>
                </Form>
            </section>
        </div>
    }
}

#[component]
fn Grants(grants: Vec<GrantRow>) -> impl IntoView {
    if grants.is_empty() {
        return view! {
            <p class="soft">"Nothing yet. An admin gives you a role on the page People."</p>
        }
        .into_any();
    }
    view! {
        <ul class="list">
            {grants
                .into_iter()
                .map(|grant| {
                    view! {
                        <li>
                            <p>
                                <strong>{grant.role.as_str()}</strong> " in "
                                {grant.scope_words.clone()}
                            </p>
                            <p class="soft">{grant.role.means()}</p>
                            <p class="faint">
                                "given by " {grant.by.clone()} ", " <LongAgo at=grant.given_at />
                            </p>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
    .into_any()
}

#[component]
fn OneSession(session: SessionRow, end: ServerAction<EndSession>) -> impl IntoView {
    let id = session.id;
    view! {
        <li class="with-act">
            <div>
                <p>
                    <strong>{session.address}</strong>
                    {session.current.then_some(" · this one")}
                </p>
                <p class="soft" title=session.agent.clone()>
                    {browser(&session.agent)}
                </p>
                <p class="faint">
                    "signed in " <LongAgo at=session.started_at /> ", last seen "
                    <LongAgo at=session.seen_at />
                </p>
            </div>
            {(!session.current)
                .then(|| {
                    view! {
                        <AskForm
                            action=end
                            hidden=vec![("session", id.to_string())]
                            id=format!("end-{id}")
                            trigger="End"
                            title="End this session?"
                            effect="Whoever uses it is signed out at once and sees nothing more."
                            yes="End the session"
                        />
                    }
                })}
        </li>
    }
}

/// The colours of this browser. Each choice is a button of its own, so that it works without
/// scripts.
#[component]
fn Look() -> impl IntoView {
    let choose = ServerAction::<ChooseTheme>::new();
    let chosen = RwSignal::new(theme::asked());
    // The server knows it by the cookie, the browser by what it was sent.
    Effect::new(move |_| chosen.set(theme::chosen()));
    let one = move |theme: Theme, label: &'static str| {
        let apply = move |_| {
            theme::draw_by(theme);
            chosen.set(theme);
        };
        let is_chosen = move || if chosen.get() == theme { "true" } else { "false" };
        view! {
            <Form action=choose hidden=vec![("theme", theme.as_str().to_owned())] class="inline">
                <button type="submit" class="small" aria-pressed=is_chosen on:click=apply>
                    {label}
                </button>
            </Form>
        }
    };
    view! {
        <div class="buttons">
            {one(Theme::System, "As the system")} {one(Theme::Light, "Light")}
            {one(Theme::Dark, "Dark")}
        </div>
        <p class="faint">"Kept in this browser only."</p>
    }
}
