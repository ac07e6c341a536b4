//! Targets: this machine and the clusters beside it, and whether they answer. A kubeconfig goes in
//! here and never comes out.

use super::environment::Answers;
use crate::{
    api::targets::{self, AddTarget},
    components::{
        field::{Checkbox, Field, SecretLines, reads},
        form::{Form, Send},
        loaded::Loaded,
        shared_tabs::SharedTabs,
    },
};
use domain::{
    name::Name,
    target::cluster::{CREDENTIALS_BYTES, TargetRow, TargetsPage as View},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn TargetsPage() -> impl IntoView {
    let add = ServerAction::<AddTarget>::new();
    let page = Resource::new_blocking(|| (), |()| targets::targets());
    view! {
        <Title text="Targets" />
        <SharedTabs here="/targets" heading="Targets" />
        <p class="lead">
            "Where environments are. Images, builds and registries are always this machine's; a \
             cluster fetches its images from a registry."
        </p>
        <Loaded page headed=true draw=move |view: View| view! { <All view add /> }.into_any() />
    }
}

#[component]
fn All(view: View, add: ServerAction<AddTarget>) -> impl IntoView {
    let View { targets, may_edit } = view;
    view! {
        <div class="sections">
            <section aria-labelledby="targets">
                <h2 id="targets">"Targets"</h2>
                <ul class="list">
                    {targets.into_iter().map(|row| view! { <One row may_edit /> }).collect_view()}
                </ul>
            </section>
            {may_edit.then(|| view! { <Add action=add /> })}
        </div>
    }
}

#[component]
fn One(row: TargetRow, may_edit: bool) -> impl IntoView {
    let TargetRow { id, name, is_cluster, answers, says, environments } = row;
    let heading = format!("target-{id}");
    let kind = if is_cluster { "a cluster" } else { "this machine's container engine" };
    let on_it = match environments.as_slice() {
        [] => "no environment is on it".to_owned(),
        names => format!("{} on it", names.join(", ")),
    };
    view! {
        <li aria-labelledby=heading>
            <h3 id=heading.clone()>
                <a href=format!("/targets/{id}")>{name}</a>
            </h3>
            <p class="soft">{kind}</p>
            <Answers ok=answers says />
            {may_edit.then(|| view! { <p class="faint">{on_it}</p> })}
        </li>
    }
}

#[component]
fn Add(action: ServerAction<AddTarget>) -> impl IntoView {
    view! {
        <section aria-labelledby="add">
            <h2 id="add">"Connect a cluster"</h2>
            <Form action>
                <Field
                    name="name"
                    label="Name"
                    hint="As people call it here: staging-cluster."
                    check={reads::<Name>}
                    required=true
                />
                <Credentials />
                <div class="buttons">
                    <Send label="Connect it" sending="Reading it …" class="primary" />
                </div>
            </Form>
        </section>
    }
}

/// By what a cluster knows us.
#[component]
pub fn Credentials() -> impl IntoView {
    view! {
        <SecretLines
            label="Kubeconfig"
            most=CREDENTIALS_BYTES
            hint="Pasted whole: “kubectl config view --raw --minify --flatten” prints one that stands alone. It is stored encrypted and shown nowhere again. One that runs programs, names files or goes through a proxy is refused."
        />
        <Checkbox
            name="own_account"
            label="Use the service account that Pilothouse runs as"
            hint="Where Pilothouse itself runs inside the cluster. Leave the kubeconfig empty then."
        />
    }
}
