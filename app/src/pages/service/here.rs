//! The service that the address of a page names.

use crate::api::{Answer, services};
use domain::{error::Problem, name::Name, view::ServicePage};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// Loads it. What can not be a name is the name of nothing.
pub fn service_here() -> Resource<Answer<ServicePage>> {
    let params = use_params_map();
    let names = Memo::new(move |_| {
        params.with(|params| {
            let named =
                |part: &str| params.get_str(part).and_then(|name| name.parse::<Name>().ok());
            named("project").zip(named("service"))
        })
    });
    Resource::new_blocking(
        move || names.get(),
        |names| async move {
            match names {
                Some((project, service)) => services::service(project, service).await,
                None => Err(Problem::not_found("service").into()),
            }
        },
    )
}
