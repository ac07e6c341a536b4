//! The configuration as an `.env` file: to take away, to bring, to edit as text. What a file would
//! change is shown before anything is saved, by the function that reads it on the server.

use super::BasedOn;
use crate::{
    api::{
        configurations::ImportVariables, service_form::LimitsForm, services::ChangeConfiguration,
        typed::escaped,
    },
    components::{
        field::{Choice, TextField},
        form::{Fields, Form, Send},
        spec_fields::LimitFields,
    },
};
use domain::{
    configuration::{
        Configuration, Variables,
        import::{self, Import, Missing},
    },
    name::VariableName,
    view::ConfigurationPage as Page,
};
use leptos::prelude::*;

#[component]
pub(super) fn File(page: Page) -> impl IntoView {
    let card = page.card;
    let file = card.configuration.to_env_file();
    let called = format!("{}.{}.env", page.service, card.cell.environment_name);
    let rows = file.lines().count().clamp(3, 16).to_string();
    let configuration = card.configuration.clone();
    let placement = card.cell.placement.to_string();
    view! {
        <div class="sections">
            {card
                .cell
                .may
                .configure
                .then(|| {
                    view! {
                        <section>
                            <h2>"Import"</h2>
                            <Bring placement=placement.clone() configuration=configuration.clone() />
                        </section>
                    }
                })}
            <section>
                <h2>"Export"</h2>
                <div class="form">
                    <div class="field">
                        <label for="exported">{called.clone()}</label>
                        <textarea
                            id="exported"
                            class="mono"
                            readonly=true
                            rows=rows
                            inner_html=crate::components::field::escaped(&file)
                        />
                        <p class="hint">"Secrets are named in comments; their values are not here."</p>
                    </div>
                    <div class="buttons">
                        <a
                            class="button"
                            download=called
                            href=format!("data:text/plain;charset=utf-8,{}", escaped(&file))
                        >
                            "Download"
                        </a>
                    </div>
                </div>
                {card
                    .cell
                    .may
                    .configure
                    .then(|| view! { <AsText placement configuration /> })}
            </section>
        </div>
    }
}

/// All variables at once.
#[component]
fn AsText(placement: String, configuration: Configuration) -> impl IntoView {
    let action = expect_context::<ServerAction<ChangeConfiguration>>();
    let hidden = vec![("placement", placement)];
    let came_back = crate::components::ask::came_back::<ChangeConfiguration>(&hidden);
    view! {
        <details class="more" open=came_back>
            <summary>"Edit as text"</summary>
            <Form action hidden>
                <BasedOn number=configuration.number />
                <TextField
                    name="variables"
                    label="Variables"
                    value=configuration.variables.to_lines()
                    hint="One a line, NAME=value. What you take away is removed; what stays keeps its type and what it is for."
                    rows=10
                    mono=true
                    check=|typed: &str| {
                        Variables::parse(typed, &Variables::default())
                            .err()
                            .map(|wrong| wrong.to_string())
                    }
                />
                <LimitFields limits=LimitsForm::of(&configuration.limits) />
                <div class="buttons">
                    <Send label="Save" sending="Saving …" class="primary" />
                </div>
            </Form>
        </details>
    }
}

#[component]
fn Bring(placement: String, configuration: Configuration) -> impl IntoView {
    let action = expect_context::<ServerAction<ImportVariables>>();
    view! {
        <Form action hidden=vec![("placement", placement)]>
            <BasedOn number=configuration.number />
            <Typed configuration />
        </Form>
    }
}

/// The text, what it would change, and the button. Without scripts the first press shows what would
/// change, the second one saves it.
#[component]
fn Typed(configuration: Configuration) -> impl IntoView {
    let fields = Fields::here();
    let text = RwSignal::new(fields.first("text", String::new()));
    let missing = RwSignal::new(fields.first("missing", Missing::Keep.as_str().to_owned()));
    let how = move || missing.with(|word| Missing::read(word)).unwrap_or(Missing::Keep);
    let number = configuration.number;
    let seen = move || text.with(|text| import::seen(text, how(), number));
    let held = Memo::new(move |_| text.with(|text| import::import(text, how(), &configuration)));
    view! {
        <TextField
            name="text"
            label="Lines of an .env file"
            hint="NAME=value, with quotes, comments and export as such files have them. Nothing is expanded. What is new is text; its type can be changed afterwards."
            rows=10
            mono=true
            on_typed=Callback::new(move |typed| text.set(typed))
        />
        <Choice
            name="missing"
            label="Variables that are not in it"
            options=vec![
                ("keep".to_owned(), "stay as they are".to_owned()),
                ("remove".to_owned(), "are removed".to_owned()),
            ]
            value="keep"
            on_typed=Callback::new(move |word| missing.set(word))
        />
        <input type="hidden" name="seen" prop:value=seen value=untrack(seen) />
        {move || {
            (!text.with(|text| text.trim().is_empty()))
                .then(|| match held.get() {
                    Ok(import) => view! { <Preview import /> }.into_any(),
                    Err(wrong) => {
                        view! { <p class="bad">{wrong.to_string()}</p> }.into_any()
                    }
                })
        }}
        <div class="buttons">
            <Send label="Import" sending="Saving …" class="primary" />
            <span class="faint">{format!("It becomes configuration {}.", number + 1)}</span>
        </div>
    }
}

#[component]
fn Preview(import: Import) -> impl IntoView {
    let nothing = import.changes_nothing();
    let names = |names: &[VariableName]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (same, kept) = (names(&import.same), names(&import.kept));
    let sounds = names(&import.sound_secret);
    view! {
        <div class="would preview" role="group" aria-label="What would change">
            {nothing.then(|| view! { <p class="soft">"Nothing would change."</p> })}
            {(!nothing)
                .then(|| {
                    view! {
                        <h3>
                            {format!(
                                "Adds {}, changes {}, removes {}",
                                import.added.len(),
                                import.changed.len(),
                                import.removed.len(),
                            )}
                        </h3>
                        <ul class="diff">
                            {import
                                .added
                                .into_iter()
                                .map(|(name, value)| {
                                    view! { <li class="a"><ins>{format!("{name} {value}")}</ins></li> }
                                })
                                .collect_view()}
                            {import
                                .changed
                                .into_iter()
                                .map(|(name, before, after)| {
                                    view! {
                                        <li class="d"><del>{format!("{name} {before}")}</del></li>
                                        <li class="a"><ins>{format!("{name} {after}")}</ins></li>
                                    }
                                })
                                .collect_view()}
                            {import
                                .removed
                                .into_iter()
                                .map(|(name, value)| {
                                    view! { <li class="d"><del>{format!("{name} {value}")}</del></li> }
                                })
                                .collect_view()}
                        </ul>
                    }
                })}
            {(!kept.is_empty()).then(|| view! { <p class="soft">{format!("Not in it, and kept: {kept}")}</p> })}
            {(!same.is_empty()).then(|| view! { <p class="soft">{format!("The same as now: {same}")}</p> })}
            {(!sounds.is_empty())
                .then(|| {
                    view! {
                        <p class="flag">
                            {format!(
                                "{sounds}: the name promises a secret, and everybody who sees the service reads a variable. Set it under Secrets instead.",
                            )}
                        </p>
                    }
                })}
            {(!import.refused.is_empty())
                .then(|| {
                    view! {
                        <h3>"Refused, and left out"</h3>
                        <ul class="refused">
                            {import
                                .refused
                                .iter()
                                .map(|refused| view! { <li class="bad">{refused.to_string()}</li> })
                                .collect_view()}
                        </ul>
                    }
                })}
        </div>
    }
}
