//! What the instances of a service wrote, and write: followed, paused, searched, taken away.

mod filter;
mod found;
mod line;
mod rows;
mod tail;

use crate::{
    api::{ApiError, logs},
    components::{loaded::Loaded, slot::SlotMark},
    live::{Topics, live},
};
use domain::{error::Problem, name::Name, view::LogsPage as Page};
use filter::{Chips, Wanted};
use found::Found;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use tail::Tail;

/// Loads the newest lines, or what is searched for, and follows where nothing is.
#[component]
pub fn LogsPage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let wanted =
        Memo::new(move |_| params.with(|params| query.with(|query| Wanted::read(params, query))));
    let page = Resource::new_blocking(
        move || wanted.get(),
        |wanted| async move {
            let Some(Wanted { project, service, environment, of, words }) = wanted else {
                return Err(ApiError::from(Problem::not_found("service")));
            };
            let named = |name: Option<Name>| name.map(|name| name.to_string()).unwrap_or_default();
            logs::logs(project, service, named(environment), of.to_string(), words).await
        },
    );
    let live = live();
    Effect::new(move |_| {
        let Some(Ok(page)) = page.get() else { return };
        let wanted = wanted.get_untracked();
        let of = wanted.as_ref().map(|wanted| wanted.of.to_string()).unwrap_or_default();
        let follows = wanted.is_some_and(|wanted| wanted.words.is_empty());
        let topics = if follows {
            Topics::Logs { placement: page.placement, of }
        } else {
            Topics::Placements(vec![page.placement])
        };
        live.follow(page.number, topics);
    });
    // No row changes what was written. But what the stream lost, or what one may read, can.
    live.on_rows(|_| false, move || page.refetch());
    view! {
        <Loaded
            page=page
            draw=move |page| {
                match wanted.get_untracked() {
                    Some(wanted) => view! { <Logs page wanted /> }.into_any(),
                    None => ().into_any(),
                }
            }
        />
    }
}

#[component]
fn Logs(page: Page, wanted: Wanted) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let title = format!("Logs of {} in {}", page.service, page.environment);
    // The links below keep the environment that was chosen for somebody who named none.
    let wanted = Wanted { environment: Some(page.environment.clone()), ..wanted };
    let searched = !wanted.words.is_empty();
    view! {
        <Title text=title.clone() />
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href=format!("/projects/{}", page.project)>{page.project.to_string()}</a>
                    " / "
                    <a href=home>{page.service.to_string()}</a>
                    " / "
                    <span>"logs"</span>
                </nav>
                <h1>{title}</h1>
                <p class="by">
                    {page
                        .live
                        .map(|live| {
                            view! {
                                <SlotMark of=live is="live" />
                                " · "
                            }
                        })} "times are UTC, as the machine took them"
                </p>
            </div>
        </div>
        <Chips page=page.clone() wanted=wanted.clone() />
        {if searched {
            view! { <Found found=page.found wanted /> }.into_any()
        } else {
            view! { <Tail page wanted /> }.into_any()
        }}
    }
}
