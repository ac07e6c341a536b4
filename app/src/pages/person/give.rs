//! The form that gives a role: what is chosen, and what it would change.

use super::{held, seen_in};
use crate::{
    api::{kept, people::GiveGrant, typed},
    components::{
        field::Choice,
        form::{Fields, Form, Send},
        would_change::WouldChange,
    },
};
use domain::{
    access::{Change, PersonPage, Places, differences},
    role::{Granted, Role, Scope},
};
use leptos::{prelude::*, web_sys::HtmlInputElement};
use leptos_router::hooks::use_query_map;

/// With scripts, what it changes follows the choice. Without them the choice is sent to the page
/// itself first, which then shows it, and only then can be given.
#[component]
pub(super) fn Give(view: PersonPage, action: ServerAction<GiveGrant>) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let hidden = vec![("person", view.person.id.to_string())];
    let came_back = crate::components::ask::came_back::<GiveGrant>(&hidden);
    let first = |name: &'static str| {
        let typed = if came_back { query.get(&kept::key(name)) } else { query.get(name) };
        typed.unwrap_or_default()
    };
    let looked = !first("role").is_empty();
    let role = RwSignal::new(if looked { first("role") } else { Role::Viewer.to_string() });
    let project = RwSignal::new(first("project"));
    let environment = RwSignal::new(first("environment"));
    let (first_project, first_environment) = (first("project"), first("environment"));
    let scripts = RwSignal::new(false);
    Effect::new(move |_| scripts.set(true));
    let chosen = move |event: leptos::ev::Event| {
        let field: HtmlInputElement = event_target(&event);
        match field.name().as_str() {
            "role" => role.set(field.value()),
            "project" => project.set(field.value()),
            "environment" => environment.set(field.value()),
            _ => {}
        }
    };

    let view = StoredValue::new(view);
    let granted = Memo::new(move |_| read(&role.read(), &project.read(), &environment.read()));
    let seen = move || {
        granted
            .get()
            .map(|granted| view.with_value(|view| seen_in(view, Change::Give(granted))))
            .unwrap_or_default()
    };
    let (projects, environments) = view.with_value(|view| options(&view.places));
    let page = view.with_value(|view| format!("/people/{}", view.person.id));
    view! {
        <Form action hidden>
            <div class="form" on:change=chosen>
                <Roles first=role.get_untracked() />
                <div class="row">
                    <Choice name="project" label="Project" options=projects value=first_project />
                    <Choice
                        name="environment"
                        label="Environment"
                        options=environments
                        value=first_environment
                    />
                </div>
            </div>
            <input type="hidden" name="seen" value=seen />
            <div aria-live="polite">
                {move || {
                    let shown = looked || scripts.get();
                    let granted = granted.get().filter(|_| shown)?;
                    Some(view.with_value(|view| view! { <Effect view=view.clone() granted /> }))
                }}
            </div>
            <div class="buttons">
                {move || {
                    (looked || scripts.get())
                        .then(|| {
                            view! {
                                <Send label="Give the role" sending="Giving …" class="primary" />
                            }
                        })
                }}
                {
                    let page = page.clone();
                    move || {
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
                    }
                }
            </div>
        </Form>
    }
}

/// What is chosen, where it is a role in a scope.
fn read(role: &str, project: &str, environment: &str) -> Option<Granted> {
    let role = role.parse().ok()?;
    let project = typed::optional_id("project", project).ok()?;
    let environment = typed::optional_id("environment", environment).ok()?;
    Some(Granted { role, scope: Scope::of(project, environment) })
}

/// What is sent and what is read.
type Options = Vec<(String, String)>;

/// The lists to choose a scope from.
pub(crate) fn options(places: &Places) -> (Options, Options) {
    let any = |word: &str| (String::new(), word.to_owned());
    let projects = places.projects.iter().map(|(id, name)| (id.to_string(), name.to_string()));
    let environments = places.environments.iter().map(|column| {
        let protected = if column.protected { ", protected" } else { "" };
        (column.id.to_string(), format!("{}{protected}", column.name))
    });
    (
        std::iter::once(any("any project")).chain(projects).collect(),
        std::iter::once(any("any environment")).chain(environments).collect(),
    )
}

#[component]
fn Effect(view: PersonPage, granted: Granted) -> impl IntoView {
    let name = view.person.name.clone();
    let same = view
        .person
        .grants
        .iter()
        .find(|grant| grant.role == granted.role && grant.scope == granted.scope);
    let nothing = match same {
        Some(same) => {
            format!("{name} is {} in {} already, by {}.", same.role, same.scope_words, same.by)
        }
        None => format!("Nothing: {name} may do all that already."),
    };
    let before = held(&view, None);
    let mut after = before.clone();
    after.push(granted);
    let gained = differences(&before, &after, &view.places);
    view! { <WouldChange differences=gained nothing /> }
}

/// The roles to choose from, each with what it means.
#[component]
fn Roles(first: String) -> impl IntoView {
    let fields = Fields::here();
    view! {
        <fieldset>
            <legend>"Role"</legend>
            {Role::ALL
                .into_iter()
                .map(|role| {
                    let id = fields.id_of(role.as_str());
                    view! {
                        <div class="check">
                            <input
                                type="radio"
                                id=id.clone()
                                name="role"
                                value=role.as_str()
                                checked=role.as_str() == first
                            />
                            <label for=id>
                                <strong>{role.as_str()}</strong>
                                " "
                                <span class="soft">{role.means()}</span>
                            </label>
                        </div>
                    }
                })
                .collect_view()}
        </fieldset>
    }
}
