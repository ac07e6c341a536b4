//! A form of a server function: with scripts it stays on the page, without them it is posted.
//!
//! What came back is the same in both cases. A refusal is shown by the form, or by the field that
//! it is about, and what was typed is still there: with scripts because nothing left the page,
//! without them because [`crate::api::kept`] gave it back in the address. Only secrets are typed
//! again.

use super::{ask::Sent, failure::Failure};
use crate::api::{ApiError, kept};
use domain::error::Problem;
use leptos::{
    context::Provider, ev::SubmitEvent, form::FromFormData, html, prelude::*, web_sys::FormData,
};
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use serde::de::DeserializeOwned;
use server_fn::{Http, ServerFn, client::Client, codec::PostUrl, request::ClientReq};

/// What the fields of a form need to know about it. In the context of everything inside one.
#[derive(Clone)]
pub struct Fields {
    /// Begins the ids of its fields, so that twins on one page differ.
    id: String,
    /// The last refusal, until the form is sent again.
    pub refusal: Signal<Option<Problem>>,
    /// What was typed before, if this form came back without scripts.
    kept: Option<ParamsMap>,
    pub pending: Signal<bool>,
}

impl Fields {
    /// The form around.
    #[must_use]
    pub fn here() -> Self {
        expect_context()
    }

    /// The id of the field `name`.
    #[must_use]
    pub fn id_of(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// Whether the form came back with a refusal, without scripts.
    #[must_use]
    pub const fn came_back(&self) -> bool {
        self.kept.is_some()
    }

    /// What stands in the field `name` at first: what was typed before, else what is so.
    #[must_use]
    pub fn first(&self, name: &str, is: String) -> String {
        match &self.kept {
            Some(kept) => kept.get(&kept::key(name)).unwrap_or(is),
            None => is,
        }
    }

    /// The same of a checkbox, of which nothing comes back where it was not checked.
    #[must_use]
    pub fn first_checked(&self, name: &str, is: bool) -> bool {
        match &self.kept {
            Some(kept) => kept.get(&kept::key(name)).is_some(),
            None => is,
        }
    }
}

/// A form that asks `action`.
///
/// `hidden` are its fixed fields. They also tell it from its twins, of which a page may have one
/// for each row: a refusal that came back without scripts belongs to one of them.
#[component]
pub fn Form<S, Out>(
    action: ServerAction<S>,
    #[prop(optional)] hidden: Vec<(&'static str, String)>,
    /// More classes than `form`.
    #[prop(optional)]
    class: &'static str,
    /// What was sent stays in the fields after it was answered: a question, not an entry.
    #[prop(optional)]
    stays: bool,
    children: Children,
) -> impl IntoView
where
    S: ServerFn<Protocol = Http<PostUrl, Out>, Error = ApiError>
        + DeserializeOwned
        + FromFormData
        + Clone
        + Send
        + Sync
        + 'static,
    S::Output: Send + Sync + 'static,
    S::Client: Client<ApiError>,
    <<S::Client as Client<ApiError>>::Request as ClientReq<ApiError>>::FormData: From<FormData>,
    Out: 'static,
{
    let query = use_query_map().get_untracked();
    let ours = kept::came_back(&query, S::PATH, &hidden);
    let (answered, value) = (action.version(), action.value());
    // Twins may share one action. The answer that this form waits for, or has, is the one after
    // what had been answered when it was sent.
    let waits_for = Sent::of(&id_of(S::PATH, &hidden));
    let pending = Signal::derive(move || {
        action.pending().get() && waits_for.get() == Some(answered.get() + 1)
    });
    let refusal = Signal::derive(move || {
        let is_ours = match waits_for.get() {
            Some(version) => version == answered.get(),
            // Nothing was sent from here yet, but perhaps without scripts: the page says.
            None => ours && answered.get() == 0,
        };
        let refused = value.with(|answer| match answer {
            Some(Err(error)) => Some(error.0.clone()),
            Some(Ok(_)) | None => None,
        });
        refused.filter(|_| is_ours)
    });
    // What was done is not to be sent again by a second press: an empty form is for the next one.
    let node = NodeRef::<html::Form>::new();
    Effect::new(move |_| {
        let is_ours = waits_for.get_untracked() == Some(answered.get());
        let done = value.with_untracked(|answer| matches!(answer, Some(Ok(_))));
        if is_ours
            && done
            && !stays
            && let Some(form) = node.get_untracked()
        {
            form.reset();
        }
    });
    let fields =
        Fields { id: id_of(S::PATH, &hidden), refusal, kept: ours.then_some(query), pending };

    let submit = move |event: SubmitEvent| {
        // A dialog or a list may have had something to say about it first.
        if event.default_prevented() {
            return;
        }
        event.prevent_default();
        if action.pending().get_untracked() {
            return;
        }
        match S::from_event(&event) {
            Ok(asked) => {
                waits_for.set(Some(answered.get_untracked() + 1));
                action.dispatch(asked);
            }
            Err(wrong) => {
                waits_for.set(Some(answered.get_untracked()));
                value.set(Some(Err(crate::api::typed::not_a_form(&wrong.to_string()).into())));
            }
        }
    };

    view! {
        <form node_ref=node method="post" action=S::url() class=format!("form {class}") on:submit=submit>
            {hidden
                .into_iter()
                .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
                .collect_view()}
            <Provider value=fields>{children()}</Provider>
            <div class="refusal" role="alert">
                {move || refusal.get().map(|problem| view! { <Failure problem kept=true /> })}
            </div>
        </form>
    }
}

/// The button that sends the form around it. While it is being sent it says so, and a second press
/// does nothing.
#[component]
pub fn Send(
    #[prop(into)] label: Signal<String>,
    /// "Saving …".
    #[prop(into)]
    sending: String,
    #[prop(optional)] class: &'static str,
    /// Why it can not be sent now.
    #[prop(optional, into)]
    dark: Signal<Option<String>>,
) -> impl IntoView {
    let pending = Fields::here().pending;
    let said = move || if pending.get() { sending.clone() } else { label.get() };
    view! {
        <button
            type="submit"
            class=class
            disabled=move || dark.with(Option::is_some)
            aria-disabled=move || pending.get().then_some("true")
        >
            {said}
        </button>
    }
}

/// Counts what was changed on a page, so that it can load again, and says what was done.
///
/// Only what went well counts: after a refusal nothing is drawn anew, or what was typed would go.
#[derive(Clone, Copy)]
pub struct Changes {
    count: RwSignal<u32>,
    said: RwSignal<&'static str>,
}

impl Changes {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { count: RwSignal::new(0), said: RwSignal::new("") }
    }

    /// How often something was changed. Reactive: the source of the page's resource.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// Counts what `action` does, and then says `done`.
    pub fn follow<S>(self, action: ServerAction<S>, done: &'static str)
    where
        S: ServerFn<Error = ApiError> + Clone + Send + Sync + 'static,
        S::Output: Send + Sync + 'static,
    {
        Effect::new(move |_| {
            let went_well =
                action.value().with(|answer| answer.as_ref().map(|answer| answer.is_ok()));
            if let Some(went_well) = went_well {
                self.said.set(if went_well { done } else { "" });
                if went_well {
                    self.count.update(|count| *count += 1);
                }
            }
        });
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a page says what was done. Outside of what is drawn anew, so that it is read out.
#[component]
pub fn Done(changes: Changes) -> impl IntoView {
    view! {
        <p class="done" role="status">
            {move || {
                let said = changes.said.get();
                (!said.is_empty()).then(|| format!("✓ {said}"))
            }}
        </p>
    }
}

/// An id out of the function's address and the fixed fields: equal on the server and in the browser.
fn id_of(path: &str, hidden: &[(&'static str, String)]) -> String {
    let mut id = path.trim_start_matches("/api/").replace('/', "-");
    let tells = |name: &str| !kept::SECRET.contains(&name) && !kept::DRAWN_WITH.contains(&name);
    for (_, value) in hidden.iter().filter(|(name, _)| tells(name)) {
        id.push('-');
        id.extend(value.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-'));
    }
    id
}
