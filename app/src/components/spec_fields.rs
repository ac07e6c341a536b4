//! The fields of a service's spec and limits, for a new service and for one that is edited.

use super::field::{Check, Checkbox, Field, TextField, reads};
use crate::api::service_form::{self, LimitsForm, SpecForm};
use domain::{name::UrlPath, service::VersionField};
use leptos::prelude::*;

/// The names of the fields that [`MoreSpec`] and [`LimitFields`] hold: what opens the part of a
/// form they are in when one of them is refused.
pub const MORE: [&str; 13] = [
    "health_path",
    "interval",
    "timeout",
    "start_period",
    "retries",
    "version_field",
    "command",
    "user",
    "writable_root",
    "cpu",
    "memory_mib",
    "pids",
    "size",
];

/// The port alone: the one line of a spec that nobody can guess.
#[component]
pub fn PortField(#[prop(into)] value: String) -> impl IntoView {
    view! {
        <Field
            name="port"
            label="Port"
            value
            hint="The one that the program inside the image listens on, for HTTP."
            check=|typed: &str| said(service_form::port(typed))
            inputmode="numeric"
            required=true
            mono=true
        />
    }
}

/// All of a spec but the port.
#[component]
pub fn MoreSpec(spec: SpecForm) -> impl IntoView {
    let seconds: Check = |typed| said(service_form::seconds("seconds", typed, 1, 60));
    view! {
        <fieldset class="form">
            <legend>"Is it well?"</legend>
            <Field
                name="health_path"
                label="Path of the check"
                value=spec.health_path
                hint="Asked of each instance. 2xx and 3xx mean ready."
                check={reads::<UrlPath>}
                required=true
                mono=true
            />
            <div class="row">
                <Field
                    name="interval"
                    label="Every"
                    value=spec.interval
                    hint="seconds"
                    check=seconds
                    inputmode="numeric"
                    required=true
                />
                <Field
                    name="timeout"
                    label="Answer within"
                    value=spec.timeout
                    hint="seconds"
                    check=seconds
                    inputmode="numeric"
                    required=true
                />
                <Field
                    name="start_period"
                    label="Time to start"
                    value=spec.start_period
                    hint="seconds"
                    check=|typed: &str| said(service_form::seconds("seconds", typed, 0, 3600))
                    inputmode="numeric"
                    required=true
                />
                <Field
                    name="retries"
                    label="Forgiven failures"
                    value=spec.retries
                    hint="in a row"
                    check=|typed: &str| said(service_form::within("retries", typed, 0_u16, 100))
                    inputmode="numeric"
                    required=true
                />
            </div>
            <Field
                name="version_field"
                label="Field that names the version"
                value=spec.version_field
                hint="Of the check's JSON answer, for example version. A rollout then proves that the \
                      release itself answers. Empty: not asked."
                check={reads::<VersionField>}
                mono=true
            />
        </fieldset>
        <fieldset class="form">
            <legend>"How is it started?"</legend>
            <TextField
                name="command"
                label="Command"
                value=spec.command
                hint="One argument a line, never a shell. Empty: the image's own."
                check=|typed: &str| said(service_form::command(typed))
                mono=true
            />
            <Field
                name="user"
                label="User id"
                value=spec.user
                hint="A number. Empty: the image's own, which must not be root unless the environment allows it."
                check=|typed: &str| said(service_form::user(typed))
                inputmode="numeric"
                mono=true
            />
            <Checkbox
                name="writable_root"
                label="The root file system is writable"
                checked=spec.writable_root.is_some()
                hint="Only for programs that write beside themselves. /tmp is always writable."
            />
        </fieldset>
    }
}

/// What one instance may use.
#[component]
pub fn LimitFields(limits: LimitsForm) -> impl IntoView {
    view! {
        <div class="row">
            <Field
                name="cpu"
                label="CPU"
                value=limits.cpu
                hint="cores, for example 0.5"
                check=|typed: &str| said(service_form::cpu(typed))
                inputmode="decimal"
                required=true
            />
            <Field
                name="memory_mib"
                label="Memory"
                value=limits.memory_mib
                hint="MiB"
                check=|typed: &str| said(service_form::memory(typed))
                inputmode="numeric"
                required=true
            />
            <Field
                name="pids"
                label="Processes"
                value=limits.pids
                hint="and threads, at most"
                check=|typed: &str| said(service_form::pids(typed))
                inputmode="numeric"
                required=true
            />
        </div>
    }
}

/// What the reader of a field has against it.
pub fn said<T>(read: Result<T, domain::error::Problem>) -> Option<String> {
    read.err().map(|problem| problem.to_string())
}
