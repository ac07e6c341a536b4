//! "Build", and "Build and deploy" in one go. Dialogs: what is typed in them is not drawn anew while
//! they are open.

use super::{
    ask::Actions,
    ask_form::AskForm,
    field::{Checkbox, Choice, Field, reads},
    planned_tags::PlannedTags,
};
use crate::api::builds::StartBuild;
use domain::{
    build::view::{DeployTo, Pushes, SourcePage},
    registry::tags::{BuiltFrom, TagPattern, planned},
    source::GitRef,
};
use leptos::prelude::*;

/// The id of the list of branches and tags, where a page has one.
pub const OFFERED: &str = "offered-refs";

/// Lays the action of these forms ready for a page.
pub fn provide() {
    Actions::<StartBuild>::provide();
}

/// The buttons. Nothing where there is no source yet, or where the viewer may not build.
#[component]
pub fn BuildForms(page: SourcePage) -> impl IntoView {
    let Some(source) = page.source.clone().filter(|_| page.may_build) else {
        return ().into_any();
    };
    let service = page.service.to_string();
    let at = source.default_ref.to_string();
    let usual = at.clone();
    let id = format!("build-{}", page.service_id);
    let action = Actions::<StartBuild>::of(&id);
    let (guarded, open): (Vec<_>, Vec<_>) =
        page.deploy_to.iter().cloned().partition(|place| place.protected);
    let hidden = vec![("service", page.service_id.to_string())];
    let pushes = page.pushes.clone();
    let places = open
        .iter()
        .map(|place| (place.placement.to_string(), format!("deploy it to {}", place.environment)));
    let options: Vec<(String, String)> =
        std::iter::once((String::new(), "keep the release, deploy nothing".to_owned()))
            .chain(places)
            .collect();
    view! {
        <AskForm
            action
            hidden
            id
            trigger="Build …"
            title=format!("Build {service}")
            effect="The commit is fetched, its recipe is carried out, and the image becomes a release. What runs is not touched by it."
            yes="Build"
            class="primary"
        >
            <Goes pushes at=usual />
            {(options.len() > 1)
                .then(|| {
                    view! {
                        <Choice
                            name="deploy_to"
                            label="And then"
                            options
                            hint="It is rolled out as soon as the release is made, by the checks of the environment."
                        />
                    }
                })}
            <CacheField unused=source.recipe.no_cache />
        </AskForm>
        {guarded
            .into_iter()
            .map(|place| {
                view! {
                    <Guarded
                        place
                        service=service.clone()
                        service_id=page.service_id.to_string()
                        at=at.clone()
                        pushes=page.pushes.clone()
                    />
                }
            })
            .collect_view()}
    }
    .into_any()
}

/// A protected environment is asked about by name, in its frame.
#[component]
fn Guarded(
    place: DeployTo,
    service: String,
    service_id: String,
    at: String,
    pushes: Option<Pushes>,
) -> impl IntoView {
    let id = format!("build-to-{}", place.placement);
    let action = Actions::<StartBuild>::of(&id);
    let environment = place.environment.to_string();
    let hidden = vec![("service", service_id), ("deploy_to", place.placement.to_string())];
    let label = format!("Build and deploy to {environment}");
    view! {
        <AskForm
            action
            hidden
            id
            trigger=format!("{label} …")
            title=format!("Build {service} and deploy it to {environment}")
            effect=format!(
                "When the build succeeds, its release is rolled out to {environment} by itself: it is started in the idle slot and checked, then all new requests move in one switch. If the build fails, nothing there is touched.",
            )
            yes=label
            class=""
            protected=true
        >
            <Goes pushes at />
        </AskForm>
    }
}

/// What is built, and where its image goes then: under which tags, as far as what is typed tells.
#[component]
fn Goes(pushes: Option<Pushes>, at: String) -> impl IntoView {
    let typed = RwSignal::new(at.clone());
    view! {
        <div class="what-goes" on:input=move |event| typed.set(event_target_value(&event))>
            <RefField at />
        </div>
        {pushes
            .map(|pushes| {
                let repository = pushes.repository.to_string();
                view! {
                    <div class="goes-to">
                        <p>
                            "Then the image is pushed to " <span class="mono wrap">{repository}</span>
                            " as:"
                        </p>
                        {move || view! { <Tags patterns=pushes.tags.clone() at=typed.get() /> }}
                    </div>
                }
            })}
    }
}

/// A plain name may be a branch or a tag: only the repository knows, so both are said.
#[component]
fn Tags(patterns: Vec<TagPattern>, at: String) -> impl IntoView {
    let built = |branch: Option<&str>, tag: Option<&str>, commit: &str| BuiltFrom {
        commit: commit.to_owned(),
        branch: branch.map(str::to_owned),
        tag: tag.map(str::to_owned),
    };
    // Which one it is turns out when it is fetched.
    let later = "COMMIT";
    let ways = match at.parse::<GitRef>() {
        Err(_) => Vec::new(),
        Ok(GitRef::Commit(commit)) => {
            vec![("the commit", built(None, None, commit.short()))]
        }
        Ok(GitRef::Branch(name)) => vec![("the branch", built(Some(name.as_str()), None, later))],
        Ok(GitRef::Tag(name)) => vec![("the tag", built(None, Some(name.as_str()), later))],
        Ok(GitRef::Named(name)) => vec![
            ("if it is a branch", built(Some(name.as_str()), None, later)),
            ("if it is a tag", built(None, Some(name.as_str()), later)),
        ],
    };
    view! {
        <dl class="facts-list">
            {ways
                .into_iter()
                .map(|(said, built)| {
                    let planned = planned(&patterns, &built);
                    view! {
                        <div>
                            <dt>{said}</dt>
                            <dd>
                                <PlannedTags planned />
                            </dd>
                        </div>
                    }
                })
                .collect_view()}
        </dl>
        <p class="faint">
            "COMMIT stands for the first digits of the commit. A tag at the same commit counts, too."
        </p>
    }
}

#[component]
fn RefField(at: String) -> impl IntoView {
    view! {
        <Field
            name="git_ref"
            label="Branch, tag or commit"
            value=at
            hint="A tag names the release; else its short commit does."
            check={reads::<GitRef>}
            list=OFFERED
            required=true
            mono=true
        />
    }
}

#[component]
fn CacheField(unused: bool) -> impl IntoView {
    if unused {
        return ().into_any();
    }
    view! {
        <Checkbox
            name="no_cache"
            label="Build everything anew"
            hint="Takes longer. For a base image or a package list that has changed under the same name."
        />
    }
    .into_any()
}
