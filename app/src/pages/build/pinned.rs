//! What a build was asked for with: it does not change, whatever becomes of the branch or the settings.

use crate::format;
use domain::build::view::{BuildDeploy, BuildPage as Page};
use leptos::prelude::*;

#[component]
pub(super) fn Pinned(now: Memo<Page>) -> impl IntoView {
    view! {
        <section aria-labelledby="pinned">
            <h2 id="pinned">"What is built"</h2>
            {move || view! { <Facts page=now.get() /> }}
        </section>
        {move || {
            let deploys = now.with(|page| page.deploys.clone());
            (!deploys.is_empty()).then(|| view! { <Then deploys /> })
        }}
    }
}

#[component]
fn Facts(page: Page) -> impl IntoView {
    let (row, source) = (page.row, page.source);
    let recipe = source.recipe;
    let commit = row.commit.unwrap_or_else(|| "not known yet".to_owned());
    let arguments: Vec<String> =
        recipe.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let facts = [
        ("From", source.url.to_string()),
        ("Asked for", row.asked),
        ("Commit", commit),
        ("Tag", row.tag.unwrap_or_default()),
        ("Folder", recipe.folder.to_string()),
        ("Recipe", recipe.file.map(|file| file.to_string()).unwrap_or_default()),
        ("Stage", recipe.stage.map(|stage| stage.to_string()).unwrap_or_default()),
        ("Arguments", arguments.join("\n")),
        ("Cache", if recipe.no_cache { "not used".to_owned() } else { "used".to_owned() }),
        ("Platform", recipe.platform.map(|platform| platform.to_string()).unwrap_or_default()),
        ("Size budget", format::bytes(source.size_budget_bytes)),
    ];
    view! {
        <dl class="facts-list">
            {facts
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| {
                    view! {
                        <div>
                            <dt>{name}</dt>
                            <dd class="mono wrap">{value}</dd>
                        </div>
                    }
                })
                .collect_view()}
        </dl>
    }
}

/// Where the release goes when it is there.
#[component]
fn Then(deploys: Vec<BuildDeploy>) -> impl IntoView {
    view! {
        <section aria-labelledby="then">
            <h2 id="then">"Then it is deployed"</h2>
            <ul class="list">
                {deploys
                    .into_iter()
                    .map(|deploy| {
                        view! {
                            <li class="with-act">
                                <div>
                                    <b>{deploy.environment.to_string()}</b>
                                    {deploy
                                        .refused
                                        .clone()
                                        .map(|why| view! { <p class="amber">{format!("▲ {why}")}</p> })}
                                </div>
                                {match (deploy.rollout, deploy.refused.is_some()) {
                                    (Some(rollout), _) => {
                                        view! {
                                            <a class="link" href=format!("/rollouts/{rollout}")>
                                                "its rollout"
                                            </a>
                                        }
                                            .into_any()
                                    }
                                    (None, true) => {
                                        view! { <span class="soft">"not deployed"</span> }.into_any()
                                    }
                                    (None, false) => {
                                        view! { <span class="soft">"when it succeeded"</span> }
                                            .into_any()
                                    }
                                }}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </section>
    }
}
