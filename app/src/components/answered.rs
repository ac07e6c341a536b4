//! What came of an inquiry, under the thing that was asked about. A page may have many such things;
//! its address says which one was meant.

use crate::{
    api::Answer,
    components::{gates::Findings, loaded::Awaited},
};
use domain::view::{InquiryAnswer, InquiryPage};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The findings, the refusal, or that it still waits; nothing where another thing was asked about.
#[component]
pub fn Answered(
    /// The parameter of the address that says what was asked about …
    of: &'static str,
    /// … and what it says when it is this.
    is: String,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    /// "The target is asked …"
    waits: &'static str,
) -> impl IntoView {
    let query = use_query_map();
    let draw = move |found: Answer<Option<InquiryPage>>| {
        if query.read_untracked().get(of).as_deref() != Some(is.as_str()) {
            return ().into_any();
        }
        // An inquiry that is not there is one that has expired.
        match found.ok().flatten().map(|found| found.answer) {
            None => ().into_any(),
            Some(InquiryAnswer::Findings { findings }) => {
                view! { <Findings findings /> }.into_any()
            }
            Some(InquiryAnswer::Refused { why }) => {
                view! { <p class="amber" role="alert">{why}</p> }.into_any()
            }
            Some(InquiryAnswer::Waiting) => view! {
                <p class="soft" role="status">
                    {waits} " " <a href="">"Look again"</a>
                </p>
            }
            .into_any(),
            Some(_) => view! { <p class="soft">"The answer is too old: ask again."</p> }.into_any(),
        }
    };
    view! {
        <Awaited of=inquiry draw />
    }
}
