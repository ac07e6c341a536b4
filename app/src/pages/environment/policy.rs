//! A policy in words, and the form that edits it.

use crate::{
    api::{
        environments::EditPolicy,
        policy_form::{self, PolicyForm},
        service_form::within,
    },
    components::{
        ask::came_back,
        diff::Diff,
        field::{Check, Checkbox, Field},
        form::{Form, Send},
        spec_fields::said,
    },
};
use domain::{
    id::EnvironmentId,
    policy::{Policy, differences, shown},
};
use leptos::{
    html::Div,
    prelude::*,
    wasm_bindgen::JsCast,
    web_sys::{FormData, HtmlFormElement},
};
use leptos_router::hooks::use_query_map;

macro_rules! check_time {
    ($name:literal) => {
        (|typed: &str| said(policy_form::time($name, typed))) as Check
    };
}

macro_rules! check_within {
    ($least:expr, $most:expr) => {
        (|typed: &str| said(within("", typed, $least, $most))) as Check
    };
}

/// All of a policy, folded away until somebody wants to edit it, with what the edit would change.
///
/// With scripts that follows what is typed. Without them the form is sent to the page itself first,
/// which then shows it.
#[component]
pub(super) fn EditForm(
    id: EnvironmentId,
    name: String,
    policy: Policy,
    action: ServerAction<EditPolicy>,
) -> impl IntoView {
    let hidden = vec![("environment", id.to_string()), ("based_on", shown(&policy))];
    let looked = use_query_map().with_untracked(PolicyForm::of_query);
    let open = looked.is_some() || came_back::<EditPolicy>(&hidden);
    let form = looked.clone().unwrap_or_else(|| PolicyForm::of(&policy));
    let typed = RwSignal::new(looked);
    let scripts = RwSignal::new(false);
    Effect::new(move |_| scripts.set(true));
    let fields = NodeRef::<Div>::new();
    let read = move |_| {
        let form = fields.get_untracked().and_then(|fields| fields.closest("form").ok().flatten());
        let form = form.and_then(|form| form.dyn_into::<HtmlFormElement>().ok());
        let sent = form.and_then(|form| FormData::new_with_form(&form).ok());
        typed.set(sent.map(|sent| PolicyForm::of_fields(|name| sent.get(name).as_string())));
    };
    let page = format!("/environments/{name}");
    view! {
        <details class="more" open=open>
            <summary>"Edit the policy"</summary>
            <Form action hidden class="wide">
                <div class="form wide" node_ref=fields on:input=read on:change=read>
                    <Before form=form.clone() />
                    <After form />
                </div>
                <div aria-live="polite">
                    {move || typed.get().map(|form| view! { <WouldBe policy=policy.clone() form /> })}
                </div>
                <div class="buttons">
                    <Send label="Save the policy" sending="Saving …" class="primary" />
                    {move || {
                        (!scripts.get())
                            .then(|| {
                                view! {
                                    <button
                                        type="submit"
                                        formmethod="get"
                                        formaction=page.clone()
                                        formnovalidate=true
                                    >
                                        "Show what it changes"
                                    </button>
                                }
                            })
                    }}
                </div>
            </Form>
        </details>
    }
}

/// What saving would change, line by line.
#[component]
fn WouldBe(policy: Policy, form: PolicyForm) -> impl IntoView {
    match form.parse() {
        Err(problem) => {
            let why = problem.to_string();
            view! { <p class="soft">"It can not be saved like this: " {why}</p> }.into_any()
        }
        Ok(next) => {
            let changes = differences(&policy, &next);
            if changes.is_empty() {
                return view! { <p class="soft">"Nothing changes."</p> }.into_any();
            }
            view! {
                <div class="would">
                    <h3>"What changes for the next rollout"</h3>
                    <Diff changes />
                </div>
            }
            .into_any()
        }
    }
}

/// Up to the switch. Approvals are not offered yet, so what is so stays so.
#[component]
fn Before(form: PolicyForm) -> impl IntoView {
    view! {
        <input type="hidden" name="approvals" value=form.approvals />
        <fieldset class="form wide">
            <legend>"Before the switch"</legend>
            <div class="row">
                <Line name="prepare_within" label="Start within" value=form.prepare_within hint="seconds" check=check_time!("prepare_within") />
                <Line name="passes" label="Passes in a row" value=form.passes hint="of every instance" check=check_within!(1_u8, 60) />
                <Line name="verify_within" label="Verify within" value=form.verify_within hint="seconds" check=check_time!("verify_within") />
                <Line name="switch_within" label="Switch within" value=form.switch_within hint="seconds, else it failed" check=check_time!("switch_within") />
            </div>
            <Checkbox
                name="promote_by_hand"
                label="A person promotes between verified and the switch"
                checked=form.promote_by_hand.is_some()
                hint="Until then it is seen at its preview address, and gets no requests."
            />
            <div class="row">
                <Line name="expire_after_hours" label="A wait for a person ends after" value=form.expire_after_hours hint="hours: then it is aborted" check=check_time!("expire_after_hours") />
            </div>
            <Checkbox
                name="root_allowed"
                label="Images that run as root are let in"
                checked=form.root_allowed.is_some()
                hint="Else preflight refuses them."
            />
        </fieldset>
    }
}

/// From the switch on.
#[component]
fn After(form: PolicyForm) -> impl IntoView {
    view! {
        <fieldset class="form wide">
            <legend>"After the switch"</legend>
            <div class="row">
                <Line name="observe_for" label="Observe for" value=form.observe_for hint="seconds of windows read" check=check_time!("observe_for") />
                <Line name="window_requests" label="Requests in a window" value=form.window_requests hint="before it is judged" check=check_within!(1_u32, 100_000) />
                <Line name="drain_for" label="Drain for" value=form.drain_for hint="seconds at most" check=check_time!("drain_for") />
                <Line name="warm_for_minutes" label="Keep warm for" value=form.warm_for_minutes hint="minutes" check=check_time!("warm_for_minutes") />
            </div>
            <div class="row">
                <Line name="error_points" label="Errors above the old slot" value=form.error_points hint="percentage points" check=|typed| said(policy_form::share("", typed)) />
                <Line name="error_floor" label="But at least" value=form.error_floor hint="failures in a window" check=check_within!(1_u32, 100_000) />
                <Line name="error_absolute" label="Errors on a first deploy" value=form.error_absolute hint="percent: nothing to compare" check=|typed| said(policy_form::share("", typed)) />
                <Line name="slower_times" label="p95 beyond" value=form.slower_times hint="times the old slot's" check=|typed| said(policy_form::times("", typed)) />
                <Line name="slower_ms" label="And beyond it by" value=form.slower_ms hint="milliseconds, both at once" check=check_within!(1_u32, 600_000) />
            </div>
        </fieldset>
    }
}

/// A number of the policy.
#[component]
fn Line(
    name: &'static str,
    label: &'static str,
    value: String,
    hint: &'static str,
    check: Check,
) -> impl IntoView {
    view! { <Field name label value hint check inputmode="decimal" required=true /> }
}
