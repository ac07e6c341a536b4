//! The form that invites: whom, for how long, and what the account begins with.

use crate::{
    api::{
        invitations::{Carries, InvitePerson},
        kept, typed,
    },
    components::{
        ask::came_back,
        field::{Choice, Field, reads},
        form::{Form, Send},
        would_change::WouldChange,
    },
    pages::person::give::options,
};
use domain::{
    access::{Places, differences},
    name::PersonName,
    role::{Granted, Role, Scope},
};
use leptos::{prelude::*, web_sys::HtmlInputElement};
use leptos_router::hooks::use_query_map;

/// The names of the fields of each role that a link can carry.
const ROWS: [[&str; 3]; 3] = [
    ["role", "project", "environment"],
    ["role_2", "project_2", "environment_2"],
    ["role_3", "project_3", "environment_3"],
];

/// With scripts, what the roles allow follows the choice; without them it is shown on request.
#[component]
pub(super) fn Invite(places: Places, action: ServerAction<InvitePerson>) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let back = came_back::<InvitePerson>(&[]);
    let first = |name: &str| {
        let typed = if back { query.get(&kept::key(name)) } else { query.get(name) };
        typed.unwrap_or_default()
    };
    let mut typed_before = Carries {
        role: first("role"),
        project: first("project"),
        environment: first("environment"),
        role_2: first("role_2"),
        project_2: first("project_2"),
        environment_2: first("environment_2"),
        role_3: first("role_3"),
        project_3: first("project_3"),
        environment_3: first("environment_3"),
    };
    let looked = !typed_before.role.is_empty();
    if !looked {
        typed_before.role = Role::Viewer.to_string();
    }
    let more = !typed_before.role_2.is_empty() || !typed_before.role_3.is_empty();
    let name = first("name");
    let days = Some(first("days")).filter(|days| !days.is_empty()).unwrap_or("3".to_owned());
    let carries = RwSignal::new(typed_before);
    let scripts = RwSignal::new(false);
    Effect::new(move |_| scripts.set(true));
    let chosen = move |event: leptos::ev::Event| {
        let field: HtmlInputElement = event_target(&event);
        carries.update(|carries| set(carries, &field.name(), field.value()));
    };
    let (projects, environments) = options(&places);
    let row = move |index: usize| {
        let now = carries.get_untracked();
        let [role, project, environment] = now.rows()[index].map(str::to_owned);
        let (projects, environments) = (projects.clone(), environments.clone());
        let [role_name, project_name, environment_name] = ROWS[index];
        view! {
            <div class="row">
                <Choice name=role_name label="Role" options=roles(index > 0) value=role />
                <Choice name=project_name label="Project" options=projects value=project />
                <Choice
                    name=environment_name
                    label="Environment"
                    options=environments
                    value=environment
                />
            </div>
        }
    };

    view! {
        <Form action>
            <Field
                name="name"
                label="Name"
                value=name
                hint="Whom it is for. The person may choose another name."
                check={reads::<PersonName>}
                required=true
            />
            <Choice
                name="days"
                label="The link works for"
                options=[("1", "a day"), ("3", "3 days"), ("7", "a week"), ("14", "two weeks")]
                    .map(|(days, said)| (days.to_owned(), said.to_owned()))
                    .into()
                value=days
            />
            <div class="form" on:change=chosen>
                {row(0)} <details class="more" open=more>
                    <summary>"More roles"</summary>
                    <div class="form">{row(1)} {row(2)}</div>
                </details>
            </div>
            <div aria-live="polite">
                {move || {
                    (looked || scripts.get())
                        .then(|| {
                            let gained = differences(&[], &carried(&carries.read()), &places);
                            view! {
                                <WouldChange differences=gained nothing="Choose a role." />
                            }
                        })
                }}
            </div>
            <div class="buttons">
                {move || {
                    (looked || scripts.get())
                        .then(|| {
                            view! {
                                <Send label="Make the link" sending="Making it …" class="primary" />
                            }
                        })
                }}
                {move || {
                    (!scripts.get())
                        .then(|| {
                            view! {
                                <button
                                    type="submit"
                                    formmethod="get"
                                    formaction="/people/invitations"
                                >
                                    "Show what it allows"
                                </button>
                            }
                        })
                }}
            </div>
        </Form>
    }
}

fn roles(may_be_none: bool) -> Vec<(String, String)> {
    let none = may_be_none.then(|| (String::new(), "none".to_owned()));
    let all = Role::ALL.into_iter().map(|role| (role.to_string(), role.to_string()));
    none.into_iter().chain(all).collect()
}

fn set(carries: &mut Carries, name: &str, value: String) {
    let field = match name {
        "role" => &mut carries.role,
        "project" => &mut carries.project,
        "environment" => &mut carries.environment,
        "role_2" => &mut carries.role_2,
        "project_2" => &mut carries.project_2,
        "environment_2" => &mut carries.environment_2,
        "role_3" => &mut carries.role_3,
        "project_3" => &mut carries.project_3,
        "environment_3" => &mut carries.environment_3,
        _ => return,
    };
    *field = value;
}

/// The grants of the rows that can be read.
fn carried(carries: &Carries) -> Vec<Granted> {
    let read = |[role, project, environment]: [&str; 3]| {
        let role = role.parse().ok()?;
        let project = typed::optional_id("project", project).ok()?;
        let environment = typed::optional_id("environment", environment).ok()?;
        Some(Granted { role, scope: Scope::of(project, environment) })
    };
    carries.rows().into_iter().filter_map(read).collect()
}
