//! In which registries a release is, how far a push of it is, and where its tags point now.

use crate::{
    api::{
        Answer,
        registries::{self, AskTags, PushRelease},
    },
    components::{
        answered::Answered,
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        when::LongAgo,
    },
    format,
};
use domain::{
    id::ReleaseId,
    registry::{PushRow, PushState, Stored as View, StoredDigest},
    view::InquiryPage,
};
use leptos::prelude::*;
use std::time::Duration;

/// How often it is asked how far a push is.
const ASK_AGAIN: Duration = Duration::from_millis(700);

/// The section. It loads apart from the page, so that following a push touches nothing else.
#[component]
pub fn Stored(
    release: ReleaseId,
    service_page: String,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
) -> impl IntoView {
    let (push, ask) = (ServerAction::<PushRelease>::new(), ServerAction::<AskTags>::new());
    let changes = Changes::new();
    changes.follow(push, "The push was asked for.");
    let again = RwSignal::new(0_u32);
    let source = move || (changes.count(), again.get());
    let page = Resource::new_blocking(source, move |_| registries::stored(release));
    Effect::new(move |_| {
        let under_way = page.with(|page| match page {
            Some(Ok(view)) => view.pushes.iter().any(|push| push.state.is_open()),
            _ => false,
        });
        if !under_way {
            return;
        }
        if let Ok(soon) = set_timeout_with_handle(move || again.update(|n| *n += 1), ASK_AGAIN) {
            on_cleanup(move || soon.clear());
        }
    });
    let draw = move |view: View| {
        let service_page = service_page.clone();
        view! { <Draw view release service_page push ask /> }.into_any()
    };
    view! {
        <section aria-labelledby="stored">
            <h2 id="stored">"In registries"</h2>
            <Done changes />
            <Loaded page headed=true draw />
            <Answered of="in" is="tags".to_owned() inquiry waits="The registry is asked …" />
        </section>
    }
}

#[component]
fn Draw(
    view: View,
    release: ReleaseId,
    service_page: String,
    push: ServerAction<PushRelease>,
    ask: ServerAction<AskTags>,
) -> impl IntoView {
    let View { digests, pushes, would_go, may_push, may_ask } = view;
    let hidden = move || vec![("release", release.to_string())];
    let none = digests.is_empty();
    let open = pushes.iter().any(|push| push.state.is_open());
    let act = match (may_push && !open, would_go) {
        (false, _) => ().into_any(),
        (true, Some((repository, tags))) => {
            let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
            view! {
                <Form action=push hidden=hidden()>
                    <p class="soft wrap">
                        "It goes to " <span class="mono">{repository.to_string()}</span> " as "
                        <span class="mono">{tags.join(", ")}</span> "."
                    </p>
                    <div class="buttons">
                        <Send label="Push" sending="Asking …" />
                    </div>
                </Form>
            }
            .into_any()
        }
        (true, None) => view! {
            <p class="soft">
                "Say on "
                <a href=service_page>"the service's page"</a>
                " where its images go, and it can be pushed."
            </p>
        }
        .into_any(),
    };
    let can_ask = may_ask && !none;
    view! {
        {none
            .then(|| {
                view! {
                    <p class="faint">
                        "In none that is known: the image is only where it was built or loaded."
                    </p>
                }
            })}
        <dl class="facts-list">{digests.into_iter().map(digest).collect_view()}</dl>
        <ul class="list pushes">{pushes.into_iter().map(pushed).collect_view()}</ul>
        {act}
        {can_ask
            .then(|| {
                view! {
                    <Form action=ask hidden=hidden() stays=true>
                        <Send label="Where do its tags point?" sending="Asking …" class="small" />
                    </Form>
                }
            })}
    }
}

fn digest(stored: StoredDigest) -> impl IntoView {
    let StoredDigest { repository, digest, how, at } = stored;
    view! {
        <div>
            <dt>{how} " " <LongAgo at /></dt>
            <dd class="mono wrap">{format!("{repository}@{digest}")}</dd>
        </div>
    }
}

fn pushed(push: PushRow) -> impl IntoView {
    let PushRow { repository, tags, state, progress, why, by, asked_at, .. } = push;
    let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
    let far = (progress.of_bytes > 0).then(|| {
        format!("{} of {}", format::bytes(progress.bytes), format::bytes(progress.of_bytes))
    });
    let (sign, class) = match state {
        PushState::Waiting => ("○ waits", "faint"),
        PushState::Pushing => ("◐ is being pushed", ""),
        PushState::Pushed => ("✓ pushed", ""),
        PushState::Failed => ("✕ not pushed", "red"),
    };
    let bar = (state == PushState::Pushing && progress.of_bytes > 0).then(|| {
        view! {
            <progress
                max=progress.of_bytes.to_string()
                value=progress.bytes.to_string()
                aria-label="How far the push is"
            />
        }
    });
    let says = (state == PushState::Pushing && !progress.says.is_empty()).then_some(progress.says);
    view! {
        <li>
            <p>
                <span class=class>{sign}</span>
                " "
                <span class="mono wrap">{format!("{repository} {}", tags.join(", "))}</span>
            </p>
            {bar}
            <p class="faint">{far} {says.map(|says| format!(" {says}"))}</p>
            {why.map(|why| view! { <p class="red">{why}</p> })}
            <p class="faint">"asked by " {by} ", " <LongAgo at=asked_at /></p>
        </li>
    }
}
