//! What the next release of a service carries. Releases that are made keep what they have.

use crate::{
    api::{service_form::SpecForm, services::EditService},
    components::{
        failure::NotForYou,
        form::{Form, Send},
        loaded::Loaded,
        spec_fields::{MoreSpec, PortField},
    },
    pages::service::service_here,
};
use domain::view::ServicePage as View;
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn ServiceEditPage() -> impl IntoView {
    let edit = ServerAction::<EditService>::new();
    let page = service_here();
    view! {
        <Loaded page draw=move |view: View| view! { <Edit view edit /> }.into_any() />
    }
}

#[component]
fn Edit(view: View, edit: ServerAction<EditService>) -> impl IntoView {
    let spec = SpecForm::of(&view.spec);
    let home = format!("/projects/{}/services/{}", view.project, view.name);
    let hidden = vec![("service", view.id.to_string()), ("back", home.clone())];
    view! {
        <Title text=format!("Edit {}", view.name) />
        <p class="crumb">
            <a href=home.clone()>{format!("{} / {}", view.project, view.name)}</a>
        </p>
        <h1>{format!("Edit {}", view.name)}</h1>
        <p class="lead">
            "Touches the next release of this service. Releases that are made already, and what \
             runs, keep what they have."
        </p>
        {if view.may.edit {
            view! {
                <Form action=edit hidden>
                    <PortField value=spec.port.clone() />
                    <MoreSpec spec />
                    <div class="buttons">
                        <Send label="Save" sending="Saving …" class="primary" />
                        <a class="button" href=home>
                            "Cancel"
                        </a>
                    </div>
                </Form>
            }
                .into_any()
        } else {
            view! { <NotForYou what="Changing a service" role="deployer" /> }.into_any()
        }}
    }
}
