//! The one click that helps where preflight refused an image that is on this machine only.

use crate::{
    api::registries::PushRelease,
    components::form::{Changes, Done, Form, Send},
};
use domain::{id::ReleaseId, registry::IN_A_REGISTRY, rollout::State, target::Verdict};
use leptos::prelude::*;

/// The button, while the image is said not to be in a registry. `may`: the viewer may push.
#[component]
pub fn PushFirst(release: ReleaseId, may: bool, state: Memo<State>) -> impl IntoView {
    let push = ServerAction::<PushRelease>::new();
    let changes = Changes::new();
    changes.follow(push, "It is on its way to the registry. Roll out again once it is there.");
    let missing = Memo::new(move |_| {
        state.with(|state| {
            state.findings.iter().any(|finding| {
                finding.verdict == Verdict::Refuse && finding.question == IN_A_REGISTRY
            })
        })
    });
    view! {
        {move || {
            missing
                .get()
                .then(|| {
                    view! {
                        <section aria-labelledby="push">
                            <h2 id="push">"It has to be in a registry"</h2>
                            <p class="soft">
                                "The cluster fetches images by itself. How far a push is, is on "
                                <a href=format!("/releases/{release}")>"the page of the release"</a>
                                "."
                            </p>
                            <Done changes />
                            {may
                                .then(|| {
                                    view! {
                                        <Form
                                            action=push
                                            hidden=vec![("release", release.to_string())]
                                        >
                                            <div class="buttons">
                                                <Send
                                                    label="Push it to its registry"
                                                    sending="Asking …"
                                                    class="primary"
                                                />
                                            </div>
                                        </Form>
                                    }
                                })}
                        </section>
                    }
                })
        }}
    }
}
