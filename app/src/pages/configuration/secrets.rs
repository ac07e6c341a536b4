//! Secrets by name, version and age. A value goes in here and never comes out: nothing of it is drawn,
//! given back or asked for.

use super::BasedOn;
use crate::{
    api::configurations::{RemoveSecret, SetSecret},
    components::{
        ask_form::AskForm,
        field::{Check, Field, SecretText, reads},
        form::{Form, Send},
        when::LongAgo,
    },
};
use domain::{
    configuration::secret::{ROTATE_AFTER, SecretCard},
    name::VariableName,
    view::{ConfigurationPage as Page, PlacementCard},
};
use leptos::prelude::*;

#[component]
pub(super) fn Secrets(page: Page) -> impl IntoView {
    let card = page.card;
    let may = card.cell.may.secrets;
    let none = card.secrets.is_empty();
    let days = ROTATE_AFTER.as_secs() / 86_400;
    view! {
        <p class="lead">
            {format!(
                "Sealed with a key that is not in the database, and read by instances only. A value is due to be set anew after {days} days. Setting one makes the next configuration; it comes live by a rollout, and a rollback brings back the value of then.",
            )}
        </p>
        <div class="sections">
            <section>
                <h2>"Secrets"</h2>
                {none.then(|| view! { <p class="faint">"There is none yet."</p> })}
                <ul class="list">
                    {card
                        .secrets
                        .clone()
                        .into_iter()
                        .map(|secret| view! { <One card=card.clone() secret /> })
                        .collect_view()}
                </ul>
            </section>
            {may
                .then(|| {
                    view! {
                        <section>
                            <h2>"New secret"</h2>
                            <New card=card.clone() />
                        </section>
                    }
                })}
        </div>
    }
}

#[component]
fn One(card: PlacementCard, secret: SecretCard) -> impl IntoView {
    let set = expect_context::<ServerAction<SetSecret>>();
    let remove = expect_context::<ServerAction<RemoveSecret>>();
    let cell = card.cell;
    let name = secret.name.to_string();
    let hidden = vec![("placement", cell.placement.to_string()), ("name", name.clone())];
    let version = secret.version;
    let environment = cell.environment_name.to_string();
    view! {
        <li class="with-act">
            <div>
                <h3 class="mono">{name.clone()}</h3>
                <p class="faint">
                    {format!("version {version}, set by {} ", secret.set_by)}
                    <LongAgo at=secret.set_at />
                </p>
                <Flags secret />
            </div>
            {cell
                .may
                .secrets
                .then(|| {
                    view! {
                        <div class="buttons">
                            <AskForm
                                action=set
                                hidden=hidden.clone()
                                id=format!("set-{name}")
                                trigger="Set anew"
                                title=format!("Set {name} anew in {environment}")
                                effect=format!(
                                    "It becomes version {}. What runs keeps version {version} until the next rollout.",
                                    version + 1,
                                )
                                yes="Set"
                                protected=cell.protected
                            >
                                <BasedOn number=version />
                                <SecretText label="Value" />
                            </AskForm>
                            <AskForm
                                action=remove
                                hidden=hidden.clone()
                                id=format!("remove-{name}")
                                trigger="Remove"
                                class="small plain"
                                title=format!("Remove {name} in {environment}")
                                effect="The next configuration is without it. Earlier ones keep it, so that a rollback can bring it back."
                                yes="Remove"
                                protected=cell.protected
                            >
                                <BasedOn number=version />
                            </AskForm>
                        </div>
                    }
                })}
        </li>
    }
}

/// What is wrong with a secret, in words.
#[component]
pub fn Flags(secret: SecretCard) -> impl IntoView {
    view! {
        {secret
            .lost
            .then(|| {
                view! {
                    <p class="bad">
                        "the value is lost with its key: set it anew before the next rollout"
                    </p>
                }
            })}
        {(secret.due && !secret.lost)
            .then(|| view! { <p class="flag">"due: older than 90 days"</p> })}
    }
}

#[component]
fn New(card: PlacementCard) -> impl IntoView {
    let action = expect_context::<ServerAction<SetSecret>>();
    let check: Check = reads::<VariableName>;
    view! {
        <Form action hidden=vec![("placement", card.cell.placement.to_string())]>
            <input type="hidden" name="based_on" value="0" />
            <Field
                name="name"
                label="Name"
                hint="As instances read it, for example API_KEY."
                check=check
                mono=true
                required=true
            />
            <SecretText label="Value" />
            <div class="buttons">
                <Send label="Set" sending="Setting …" class="primary" />
            </div>
        </Form>
    }
}
