//! The releases of a service and its last rollouts. Tables that become lists on a phone.

use crate::{
    components::{rollout_rows::RolloutRows, when::Ago},
    format,
};
use domain::view::{ReleaseRow, RolloutRow};
use leptos::prelude::*;

/// Newest first.
#[component]
pub fn Releases(releases: Vec<ReleaseRow>) -> impl IntoView {
    if releases.is_empty() {
        return ().into_any();
    }
    view! {
        <section>
            <h2>"Releases"</h2>
            <table class="listed">
                <thead>
                    <tr>
                        <th scope="col">"Release"</th>
                        <th scope="col">"Live in"</th>
                        <th scope="col">"Image"</th>
                        <th scope="col">"Made by"</th>
                        <th scope="col" class="n">"Made"</th>
                    </tr>
                </thead>
                <tbody>
                    {releases
                        .into_iter()
                        .map(|row| {
                            let live = if row.live_in.is_empty() {
                                "–".to_owned()
                            } else {
                                row.live_in.join(", ")
                            };
                            view! {
                                <tr>
                                    <th scope="row">
                                        <a class="mono v" href=format!("/releases/{}", row.release.id)>
                                            {row.release.name}
                                        </a>
                                    </th>
                                    <td data-label="live in">{live}</td>
                                    <td data-label="image">
                                        <div>
                                            <span class="mono" title=row.image.clone()>
                                                {row.reference}
                                            </span>
                                            " "
                                            <span class="mono faint">{format::image(&row.image)}</span>
                                        </div>
                                    </td>
                                    <td data-label="by">{row.by}</td>
                                    <td data-label="made" class="n faint">
                                        <Ago at=row.made_at />
                                    </td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </section>
    }
    .into_any()
}

/// Newest first.
#[component]
pub fn Rollouts(rollouts: Vec<RolloutRow>) -> impl IntoView {
    let rows = rollouts.into_iter().map(|row| (None, row)).collect();
    view! { <RolloutRows rows /> }
}
