//! The fields of an account that somebody makes for himself.

use super::field::{Field, Secret, SecretField, reads};
use crate::api::typed;
use domain::name::PersonName;
use leptos::prelude::*;

/// Name and password, to be placed in a form.
#[component]
pub fn AccountFields(
    /// Offered, where somebody wrote it into an invitation.
    #[prop(optional, into)]
    name: String,
) -> impl IntoView {
    view! {
        <Field
            name="name"
            label="Name"
            value=name
            hint="What you sign in with, and what the history calls you."
            check={reads::<PersonName>}
            autocomplete="username"
            required=true
            autofocus=true
        />
        <SecretField
            name=Secret::Password
            label="Password"
            hint="12 to 128 characters. A sentence that only you would say is good."
            autocomplete="new-password"
            check=typed::password
        />
        <SecretField name=Secret::Again label="Password again" autocomplete="new-password" />
    }
}
