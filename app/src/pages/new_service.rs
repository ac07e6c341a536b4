//! A new service: four fields to begin with, the rest has good answers already.

use crate::{
    api::{
        service_form::{self, LimitsForm, SpecForm},
        services::{self, AddService},
    },
    components::{
        field::{Field, reads},
        form::{Fields, Form, Send},
        loaded::Loaded,
        spec_fields::{LimitFields, MORE, MoreSpec, PortField, said},
    },
};
use domain::{
    name::{ImageReference, Name},
    view::{Address, NewServicePage as View},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// The page.
#[component]
pub fn NewServicePage() -> impl IntoView {
    let add = ServerAction::<AddService>::new();
    let page = Resource::new_blocking(|| (), |()| services::new_service());
    view! {
        <Title text="New service" />
        <h1>"New service"</h1>
        <p class="lead">
            "One deployable application of a project. It gets a place in every environment; nothing \
             runs before its first rollout."
        </p>
        <Loaded page headed=true draw=move |view: View| view! { <NewForm view add /> }.into_any() />
    }
}

#[component]
fn NewForm(view: View, add: ServerAction<AddService>) -> impl IntoView {
    view! {
        <datalist id="projects">
            {view
                .projects
                .iter()
                .map(|project| view! { <option value=project.to_string()></option> })
                .collect_view()}
        </datalist>
        <Form action=add>
            <Names addresses=view.addresses />
            <Field
                name="image"
                label="Image"
                hint="Optional: the first release is made of it. For example hello:1.0.0."
                check={reads::<ImageReference>}
                mono=true
            />
            <PortField value=SpecForm::default().port />
            <More>
                <MoreSpec spec=SpecForm::default() />
                <fieldset class="form">
                    <legend>"What may it use?"</legend>
                    <LimitFields limits=LimitsForm::default() />
                    <Field
                        name="size"
                        label="Instances"
                        value="1"
                        hint="in each slot, 1 to 50; can be changed for each environment"
                        check=|typed: &str| said(service_form::size(typed))
                        inputmode="numeric"
                        required=true
                    />
                </fieldset>
            </More>
            <div class="buttons">
                <Send label="Add service" sending="Adding …" class="primary" />
                <a class="button" href="/">
                    "Cancel"
                </a>
            </div>
        </Form>
    }
}

/// Project and name, and the host names that follow from them.
#[component]
fn Names(addresses: Vec<(Name, Address)>) -> impl IntoView {
    let fields = Fields::here();
    // The page of a project leads here with its name.
    let here = use_query_map().get_untracked().get("project").unwrap_or_default();
    let project = RwSignal::new(fields.first("project", here.clone()));
    let name = RwSignal::new(fields.first("name", String::new()));
    let hosts = move || {
        let (Ok(project), Ok(name)) = (project.read().parse::<Name>(), name.read().parse::<Name>())
        else {
            return view! { <li class="faint">"follows from project and name"</li> }.into_any();
        };
        addresses
            .iter()
            .map(|(environment, address)| {
                let environment = environment.to_string();
                let address = address.filled(&name, &project);
                let inside = address.href().is_none().then_some(", inside its cluster");
                view! {
                    <li>
                        <span class="mono wrap">{address.shown().to_owned()}</span>
                        <span class="faint">" in " {environment} {inside}</span>
                    </li>
                }
            })
            .collect_view()
            .into_any()
    };
    view! {
        <Field
            name="project"
            label="Project"
            value=here
            hint="One that is there, or a new one."
            list="projects"
            check={reads::<Name>}
            required=true
            on_typed=move |typed| project.set(typed)
        />
        <Field
            name="name"
            label="Name"
            hint="a-z, 0-9 and dashes; a part of its host names."
            check={reads::<Name>}
            required=true
            on_typed=move |typed| name.set(typed)
        />
        <div class="field">
            <p class="hint">"Reached as"</p>
            <ul class="hosts">{hosts}</ul>
        </div>
    }
}

/// The rest of the form. Open where a field in it was refused, and where the form came back.
#[component]
fn More(children: Children) -> impl IntoView {
    let fields = Fields::here();
    let (came_back, refusal) = (fields.came_back(), fields.refusal);
    let refused = move || {
        refusal.with(|refusal| {
            let field = refusal.as_ref().and_then(|problem| problem.field());
            came_back || field.is_some_and(|field| MORE.contains(&field))
        })
    };
    view! {
        <details class="more" open=refused>
            <summary>"More: checks, command, limits, instances"</summary>
            <div class="form">{children()}</div>
        </details>
    }
}
