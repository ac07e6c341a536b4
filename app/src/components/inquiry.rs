//! Following an inquiry: what only the target can answer is asked, and the page looks again until
//! it was answered. Without scripts a link does the same.

use crate::api::{Answer, releases};
use domain::{
    error::Problem,
    id::InquiryId,
    view::{InquiryAnswer, InquiryPage},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use std::time::Duration;

/// How often the page asks how far the inquiry is.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The inquiry that the address names with `?inquiry=`, if it names one.
#[must_use]
pub fn follow() -> Resource<Answer<Option<InquiryPage>>> {
    let query = use_query_map();
    let asked_again = RwSignal::new(0_u32);
    let source = move || (query.read().get("inquiry"), asked_again.get());
    let inquiry = Resource::new_blocking(source, |(id, _)| async move {
        let Some(id) = id else { return Ok(None) };
        match id.parse::<InquiryId>() {
            Ok(id) => releases::inquiry(id).await.map(Some),
            Err(_) => Err(Problem::not_found("inquiry").into()),
        }
    });
    Effect::new(move |_| {
        let waits = inquiry.with(|inquiry| match inquiry {
            Some(Ok(Some(inquiry))) => inquiry.answer == InquiryAnswer::Waiting,
            _ => false,
        });
        if !waits {
            return;
        }
        let again = move || asked_again.update(|count| *count += 1);
        if let Ok(soon) = set_timeout_with_handle(again, ASK_AGAIN) {
            on_cleanup(move || soon.clear());
        }
    });
    inquiry
}
