//! What the next release of a service carries. Releases that are made keep what they have.

use crate::{
    api::{
        service_form::SpecForm,
        services::{self, EditService},
    },
    components::{
        form::{Form, Send},
        loaded::Loaded,
        spec_fields::{MoreSpec, PortField},
    },
};
use domain::{name::Name, view::ServicePage as View};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

/// The page.
#[component]
pub fn ServiceEditPage() -> impl IntoView {
    let edit = ServerAction::<EditService>::new();
    let params = use_params_map();
    let names = move || {
        let params = params.read();
        (params.get("project").unwrap_or_default(), params.get("service").unwrap_or_default())
    };
    let page = Resource::new_blocking(names, |(project, service)| async move {
        let (project, service) = named(&project, &service)?;
        services::service(project, service).await
    });
    view! {
        <Title text=move || format!("Edit {}", names().1) />
        <Loaded page draw=move |view: View| view! { <Edit view edit /> }.into_any() />
    }
}

/// The names of an address. What can not be a name is the name of nothing.
pub fn named(project: &str, service: &str) -> crate::api::Answer<(Name, Name)> {
    match (project.parse(), service.parse()) {
        (Ok(project), Ok(service)) => Ok((project, service)),
        _ => Err(domain::error::Problem::not_found("service").into()),
    }
}

#[component]
fn Edit(view: View, edit: ServerAction<EditService>) -> impl IntoView {
    let spec = SpecForm::of(&view.spec);
    let home = format!("/projects/{}/services/{}", view.project, view.name);
    let hidden = vec![("service", view.id.to_string()), ("back", home.clone())];
    view! {
        <p class="crumb">
            <a href=home.clone()>{format!("{} / {}", view.project, view.name)}</a>
        </p>
        <h1>{format!("Edit {}", view.name)}</h1>
        <p class="lead">
            "Touches the next release of this service. Releases that are made already, and what \
             runs, keep what they have."
        </p>
        {(!view.may.edit)
            .then(|| {
                view! {
                    <div class="notice warn">
                        <p>
                            "You may look, but not change it: that needs the role deployer in this \
                             project."
                        </p>
                    </div>
                }
            })}
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
}
