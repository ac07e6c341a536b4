//! Signing in.

use crate::{
    api::{people::SignIn, typed},
    components::{
        field::{Field, Secret, SecretField, reads},
        form::{Form, Send},
    },
    session::session,
};
use domain::name::PersonName;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// The form, and for those who are signed in already, the way on.
#[component]
pub fn SignInPage() -> impl IntoView {
    let sign_in = ServerAction::<SignIn>::new();
    let session = session();
    let next = use_query_map().get_untracked().get("next").unwrap_or_default();
    let next = typed::next(&next).to_owned();
    let onward = next.clone();
    session.follow(sign_in);

    view! {
        <Title text="Sign in" />
        <div class="gate">
            <h1>"Sign in"</h1>
            <Transition>
                {move || {
                    let onward = onward.clone();
                    session
                        .viewer()
                        .map(|viewer| {
                            view! {
                                <div class="notice">
                                    <p>
                                        "You are signed in as " <strong>{viewer.name}</strong> ". "
                                        <a href=onward>"Go on"</a> ", or sign in as somebody else."
                                    </p>
                                </div>
                            }
                        })
                }}
            </Transition>
            <Form action=sign_in hidden=vec![("next", next)]>
                <Field
                    name="name"
                    label="Name"
                    check={reads::<PersonName>}
                    autocomplete="username"
                    required=true
                    autofocus=true
                />
                <SecretField
                    name=Secret::Password
                    label="Password"
                    autocomplete="current-password"
                />
                <div class="buttons">
                    <Send label="Sign in" sending="Signing in …" class="primary" />
                </div>
            </Form>
            <p class="aside">
                "Forgotten? An admin can set a new password on the page People. There is no account \
                 yet? The program prints the address of the first one when it starts."
            </p>
        </div>
    }
}
