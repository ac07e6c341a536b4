//! Where the images of a service go, and under which tags: with what would come of it.

use crate::{
    api::registries::{self, SetPushRule},
    components::{
        field::{Checkbox, Choice, Field, TextField},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        planned_tags::PlannedTags,
    },
};
use domain::{
    id::ServiceId,
    registry::{
        PushRule, PushRulePage as View,
        tags::{self, BuiltFrom, USUAL},
    },
};
use leptos::prelude::*;

/// The section.
#[component]
pub fn Pushing(service: ServiceId) -> impl IntoView {
    let action = ServerAction::<SetPushRule>::new();
    let changes = Changes::new();
    changes.follow(action, "It was saved. It holds from the next build or push on.");
    let page =
        Resource::new_blocking(move || changes.count(), move |_| registries::push_rule(service));
    let draw = move |view: View| view! { <Draw view service action /> }.into_any();
    view! {
        <section aria-labelledby="images-go">
            <h2 id="images-go">"Where its images go"</h2>
            <Done changes />
            <Loaded page headed=true draw />
        </section>
    }
}

#[component]
fn Draw(view: View, service: ServiceId, action: ServerAction<SetPushRule>) -> impl IntoView {
    let View { rule, registries, suggested, may_edit } = view;
    let now = match &rule {
        None => {
            view! { <p class="faint">"To no registry: they stay on the machine."</p> }.into_any()
        }
        Some(rule) => view! { <InWords rule=rule.clone() /> }.into_any(),
    };
    let no_registry = registries.is_empty();
    let form = (may_edit && !no_registry).then(|| {
        let chosen = rule.as_ref().map(|rule| rule.registry.to_string()).unwrap_or_default();
        let path = rule.as_ref().map_or(suggested, |rule| rule.repository.path().to_owned());
        let lines = rule.as_ref().map_or_else(
            || USUAL.to_owned(),
            |rule| {
                let lines: Vec<_> = rule.tags.iter().map(ToString::to_string).collect();
                lines.join("\n")
            },
        );
        let after = rule.as_ref().is_none_or(|rule| rule.after_build);
        let nowhere = (String::new(), "to no registry".to_owned());
        let options = std::iter::once(nowhere)
            .chain(
                registries
                    .into_iter()
                    .map(|row| (row.id.to_string(), format!("{} ({})", row.name, row.address))),
            )
            .collect();
        view! {
            <details class="more">
                <summary>"Change where they go"</summary>
                <Form action hidden=vec![("service", service.to_string())] stays=true>
                    <Choice name="registry" label="Registry" options value=chosen />
                    <Field
                        name="path"
                        label="Name in it"
                        value=path
                        hint="Without the registry and without a tag."
                        mono=true
                    />
                    <TextField
                        name="tags"
                        label="Tags"
                        value=lines
                        hint="One a line: {version}, {branch}, {commit}, or a word. A line that \
                              has nothing to say gives no tag; latest moves with whole versions \
                              alone."
                        check={reads_tags}
                        rows=4
                        mono=true
                    />
                    <Checkbox
                        name="after_build"
                        label="Push after each build"
                        checked=after
                        hint="Else releases are pushed by hand, on their page."
                    />
                    <div class="buttons">
                        <Send label="Save" sending="Saving …" class="primary" />
                    </div>
                </Form>
            </details>
        }
    });
    view! {
        {now}
        {(may_edit && no_registry)
            .then(|| {
                view! {
                    <p class="soft">
                        "An admin adds " <a href="/registries">"a registry"</a> " first."
                    </p>
                }
            })}
        {form}
    }
}

fn reads_tags(typed: &str) -> Option<String> {
    tags::read(typed).err().map(|wrong| wrong.to_string())
}

/// The rule, and what it would come to for a branch and for a version.
#[component]
fn InWords(rule: PushRule) -> impl IntoView {
    let built = |branch: Option<&str>, tag: Option<&str>| BuiltFrom {
        commit: "3f9c1a2".to_owned(),
        branch: branch.map(str::to_owned),
        tag: tag.map(str::to_owned),
    };
    let when = if rule.after_build { "after each build" } else { "by hand" };
    let of_branch = tags::planned(&rule.tags, &built(Some("main"), None));
    let of_version = tags::planned(&rule.tags, &built(None, Some("v1.2.3")));
    view! {
        <dl class="facts-list">
            <div>
                <dt>{when}</dt>
                <dd class="mono wrap">{rule.repository.to_string()}</dd>
            </div>
            <div>
                <dt>"branch main"</dt>
                <dd>
                    <PlannedTags planned=of_branch />
                </dd>
            </div>
            <div>
                <dt>"tag v1.2.3"</dt>
                <dd>
                    <PlannedTags planned=of_version />
                </dd>
            </div>
        </dl>
    }
}
