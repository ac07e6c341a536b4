//! A form in a dialog of its own: what is dangerous asks once and names the thing and the effect.

use super::{
    ask::{Ask, came_back, done},
    form::{Form, Send},
};
use crate::api::ApiError;
use leptos::{form::FromFormData, prelude::*, web_sys::FormData};
use serde::de::DeserializeOwned;
use server_fn::{Http, ServerFn, client::Client, codec::PostUrl, request::ClientReq};

/// A button that opens a dialog with a form of `action`. `children` are more fields of it.
#[component]
pub fn AskForm<S, Out>(
    action: ServerAction<S>,
    hidden: Vec<(&'static str, String)>,
    /// Unique on the page.
    #[prop(into)]
    id: String,
    /// The word on the button that opens it.
    #[prop(into)]
    trigger: Signal<String>,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] effect: Signal<String>,
    /// The word on the button that does it.
    #[prop(into)]
    yes: Signal<String>,
    #[prop(default = "small")] class: &'static str,
    #[prop(optional)] protected: bool,
    /// Why it can not be asked now.
    #[prop(optional, into)]
    dark: Signal<Option<String>>,
    /// The address asks for it.
    #[prop(optional, into)]
    opens: Signal<bool>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView
where
    S: ServerFn<Protocol = Http<PostUrl, Out>, Error = ApiError>
        + DeserializeOwned
        + FromFormData
        + Clone
        + Send
        + Sync
        + 'static,
    S::Output: Clone + Send + Sync + 'static,
    S::Client: Client<ApiError>,
    <<S::Client as Client<ApiError>>::Request as ClientReq<ApiError>>::FormData: From<FormData>,
    Out: 'static,
{
    let came_back = came_back::<S>(&hidden);
    view! {
        <Ask id trigger class title effect protected came_back dark opens done=done(action)>
            <Form action hidden>
                {children.map(|children| children())}
                <div class="buttons">
                    <Send label=yes sending="Asking …" class="primary" dark />
                </div>
            </Form>
        </Ask>
    }
}
