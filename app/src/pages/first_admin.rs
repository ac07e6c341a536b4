//! The very first account, made with the one-time token that the program printed.

use crate::{
    api::people::MakeFirstAdmin,
    components::{
        account_fields::AccountFields,
        form::{Form, Send},
    },
    session::session,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// The form. Without a token in the address there is nothing to fill in.
#[component]
pub fn FirstAdminPage() -> impl IntoView {
    let make = ServerAction::<MakeFirstAdmin>::new();
    session().follow(make);
    let token = use_query_map().get_untracked().get("token").filter(|token| !token.is_empty());

    view! {
        <Title text="The first admin" />
        <div class="gate">
            <h1>"The first admin"</h1>
            {match token {
                Some(token) => view! { <FirstForm make token /> }.into_any(),
                None => view! { <NoToken /> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn FirstForm(make: ServerAction<MakeFirstAdmin>, token: String) -> impl IntoView {
    view! {
        <p class="lead">
            "Nobody can sign in yet. Make the account of the first admin: it may do everything, and \
             adds the others on the page People. The address you came by works once."
        </p>
        <Form action=make hidden=vec![("token", token)]>
            <AccountFields />
            <div class="buttons">
                <Send label="Make the first admin" sending="Making the account …" class="primary" />
            </div>
        </Form>
        <p class="aside">
            "Was the token refused? It was used, or the program was started again and printed \
             another: take the address that it printed last. If an admin is there already, "
            <a href="/sign-in">"sign in"</a> "."
        </p>
    }
}

#[component]
fn NoToken() -> impl IntoView {
    view! {
        <div class="notice warn">
            <p>
                <strong>"A one-time token is needed to make the first admin."</strong>
            </p>
            <p>
                "Where nobody can sign in yet, the program prints an address with it when it starts: \
                 look at the terminal or the log it was started in, and open that address. If an \
                 admin is there already, " <a href="/sign-in">"sign in"</a> "."
            </p>
        </div>
    }
}
