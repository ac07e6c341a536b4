//! Variables as rows: what is there, and room for what is new. With scripts a row follows its type,
//! and says what is wrong while it is typed.

use super::BasedOn;
use crate::{
    api::{
        configurations::ChangeVariables,
        service_form::LimitsForm,
        variable_rows::{VariableRow, field},
    },
    components::{
        field::escaped,
        form::{Fields, Form, Send},
        spec_fields::LimitFields,
    },
};
use domain::{
    configuration::{MOST_VARIABLES, VariableType},
    error::Problem,
    name::VariableName,
    view::ConfigurationPage as Page,
};
use leptos::prelude::*;

/// Empty rows below those that are there.
const EMPTY: usize = 2;

#[component]
pub(super) fn Rows(page: Page) -> impl IntoView {
    let card = page.card;
    let configuration = card.configuration;
    if !card.cell.may.configure {
        return view! { <Read rows=configuration.variables.0.into_iter().collect() /> }.into_any();
    }
    let action = expect_context::<ServerAction<ChangeVariables>>();
    let rows: Vec<_> = configuration
        .variables
        .0
        .iter()
        .map(|(name, variable)| VariableRow::of(name, variable))
        .collect();
    view! {
        <Form action hidden=vec![("placement", card.cell.placement.to_string())] class="wide told">
            <BasedOn number=configuration.number />
            <RowsOf rows />
            <fieldset>
                <legend>"What each instance may use"</legend>
                <LimitFields limits=LimitsForm::of(&configuration.limits) />
            </fieldset>
            <div class="buttons">
                <Send label="Save" sending="Saving …" class="primary" />
                <span class="faint">
                    {format!(
                        "It becomes configuration {}. What runs keeps its own until the next rollout.",
                        configuration.number + 1,
                    )}
                </span>
            </div>
        </Form>
    }
    .into_any()
}

#[component]
fn RowsOf(rows: Vec<VariableRow>) -> impl IntoView {
    let fields = Fields::here();
    // A form that came back may have more rows than there are now.
    let none = "\u{0}";
    let came = (0..=MOST_VARIABLES)
        .take_while(|at| fields.first(&field(*at, "name"), none.to_owned()) != none)
        .count();
    let came = if fields.came_back() { came } else { 0 };
    let count = RwSignal::new((rows.len() + EMPTY).max(came));
    let rows = StoredValue::new(rows);
    view! {
        <ol class="told-rows">
            <For
                each=move || 0..count.get()
                key=|at| *at
                children=move |at| {
                    let row = rows.with_value(|rows| rows.get(at).cloned());
                    view! { <OneRow at row /> }
                }
            />
        </ol>
        <p class="scripted">
            <button
                type="button"
                class="small"
                on:click=move |_| {
                    count.update(|count| *count = (*count + 1).min(MOST_VARIABLES + EMPTY));
                }
            >
                "One more row"
            </button>
        </p>
        <p class="hint">
            "No secrets here: everybody who sees the service reads this. A yes or no gets a switch on the page of the service."
        </p>
    }
}

#[component]
fn OneRow(
    at: usize,
    /// None: there is nothing yet.
    row: Option<VariableRow>,
) -> impl IntoView {
    let fields = Fields::here();
    let is_new = row.is_none();
    let row = row.unwrap_or_default();
    let first = |part: &str, is: &str| fields.first(&field(at, part), is.to_owned());
    let legend = if is_new { "New variable".to_owned() } else { row.name.clone() };
    let name = RwSignal::new(first("name", &row.name));
    let kind = RwSignal::new(first("kind", if is_new { "text" } else { &row.kind }));
    let value = RwSignal::new(first("value", &row.value));
    let options = RwSignal::new(first("options", &row.options));
    let description = first("description", &row.description);
    let remove = fields.first_checked(&field(at, "remove"), false);
    let gone = RwSignal::new(remove);
    let touched = RwSignal::new(false);
    let refused = refused(&fields);
    // A new refusal is about what was sent: it speaks again until the next edit.
    Effect::new(move |_| {
        let ours = refused.with(|problem| {
            let named = problem.as_ref().and_then(Problem::field);
            named.is_some_and(|named| named.starts_with(&format!("rows[{at}][")))
        });
        if ours {
            touched.set(false);
        }
    });
    let said = move |part: &'static str, wrong: Option<String>| {
        if touched.get() {
            return wrong;
        }
        let refused = refused.get()?;
        (refused.field() == Some(&*field(at, part))).then(|| refused.to_string())
    };
    let empty = move || name.with(|n| n.trim().is_empty()) && value.with(String::is_empty);
    let name_wrong = Memo::new(move |_| {
        let wrong = || name.get().parse::<VariableName>().err().map(|wrong| wrong.to_string());
        said("name", if empty() { None } else { wrong() })
    });
    let read = move || VariableType::read(&kind.get(), &options.get());
    let value_wrong = Memo::new(move |_| {
        let wrong = read().ok().and_then(|kind| kind.value(&value.get()).err());
        said("value", wrong.filter(|_| !empty()).map(|wrong| wrong.to_string()))
    });
    let options_wrong =
        Memo::new(move |_| said("options", read().err().map(|wrong| wrong.to_string())));
    let description_wrong = Memo::new(move |_| said("description", None));
    let edit = move |into: RwSignal<String>, typed: String| {
        touched.set(true);
        into.set(typed);
    };
    let id = |part: &str| fields.id_of(&field(at, part)).replace(['[', ']'], "-");
    let (name_id, kind_id, value_id) = (id("name"), id("kind"), id("value"));
    let (options_id, description_id, remove_id) = (id("options"), id("description"), id("remove"));
    let list_id = id("list");
    view! {
        <li>
            <fieldset class="told-row" class:gone=move || gone.get()>
                <legend class="unseen">{legend}</legend>
                <div class="field">
                    <label for=name_id.clone()>"Name"</label>
                    <input
                        id=name_id.clone()
                        name=field(at, "name")
                        class="mono"
                        value=name.get_untracked()
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        placeholder=is_new.then_some("NEW_NAME")
                        aria-invalid=move || name_wrong.get().is_some().then_some("true")
                        aria-describedby=format!("{name_id}-says")
                        on:input=move |event| edit(name, event_target_value(&event))
                    />
                    <Wrong id=name_id wrong=name_wrong />
                </div>
                <div class="field">
                    <label for=kind_id.clone()>"Type"</label>
                    <select
                        id=kind_id
                        name=field(at, "kind")
                        on:change=move |event| edit(kind, event_target_value(&event))
                    >
                        {VariableType::WORDS
                            .map(|(sent, read)| {
                                let selected = kind.get_untracked() == sent;
                                view! {
                                    <option value=sent selected=selected>
                                        {read}
                                    </option>
                                }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="field">
                    <label for=value_id.clone()>"Value"</label>
                    {
                        let value_id = value_id.clone();
                        move || {
                            value_field(
                                at,
                                value_id.clone(),
                                list_id.clone(),
                                &kind.get(),
                                value,
                                options,
                                value_wrong,
                                edit,
                            )
                        }
                    }
                    <Wrong id=value_id wrong=value_wrong />
                </div>
                <div class="field">
                    <label for=description_id.clone()>"What it is for"</label>
                    <input
                        id=description_id.clone()
                        name=field(at, "description")
                        value=description
                        autocomplete="off"
                        aria-invalid=move || description_wrong.get().is_some().then_some("true")
                        aria-describedby=format!("{description_id}-says")
                        on:input=move |_| touched.set(true)
                    />
                    <Wrong id=description_id wrong=description_wrong />
                </div>
                <div class="check">
                    <input
                        id=remove_id.clone()
                        name=field(at, "remove")
                        type="checkbox"
                        value="yes"
                        checked=remove
                        on:change=move |event| gone.set(event_target_checked(&event))
                    />
                    <label for=remove_id>"Remove"</label>
                </div>
                <div class="field options" class:idle=move || kind.get() != "choice">
                    <label for=options_id.clone()>"Options of a choice, with commas between"</label>
                    <input
                        id=options_id.clone()
                        name=field(at, "options")
                        class="mono"
                        value=options.get_untracked()
                        autocomplete="off"
                        aria-invalid=move || options_wrong.get().is_some().then_some("true")
                        aria-describedby=format!("{options_id}-says")
                        on:input=move |event| edit(options, event_target_value(&event))
                    />
                    <Wrong id=options_id wrong=options_wrong />
                </div>
            </fieldset>
        </li>
    }
}

/// The refusal, as often as it changes.
fn refused(fields: &Fields) -> Memo<Option<Problem>> {
    let refusal = fields.refusal;
    Memo::new(move |_| refusal.get())
}

/// What fits the type: a choice of two, a line, or lines.
#[allow(clippy::too_many_arguments, reason = "the signals of one row")]
fn value_field(
    at: usize,
    id: String,
    list: String,
    kind: &str,
    value: RwSignal<String>,
    options: RwSignal<String>,
    wrong: Memo<Option<String>>,
    edit: impl Fn(RwSignal<String>, String) + Copy + 'static,
) -> AnyView {
    let now = value.get_untracked();
    let says = format!("{id}-says");
    let invalid = move || wrong.get().is_some().then_some("true");
    match kind {
        "yes_no" => {
            let is = VariableType::YesNo.value(&now).unwrap_or_else(|_| "false".to_owned());
            // What stands there is what is meant: a text that was no answer is one now.
            if is != now {
                value.set(is.clone());
            }
            view! {
                <select
                    id=id
                    name=field(at, "value")
                    aria-describedby=says
                    on:change=move |event| edit(value, event_target_value(&event))
                >
                    <option value="true" selected=is == "true">
                        "yes"
                    </option>
                    <option value="false" selected=is == "false">
                        "no"
                    </option>
                </select>
            }
            .into_any()
        }
        "text" => {
            let rows = now.lines().count().clamp(1, 8).to_string();
            view! {
                <textarea
                    id=id
                    name=field(at, "value")
                    class="mono line"
                    rows=rows
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    aria-invalid=invalid
                    aria-describedby=says
                    inner_html=escaped(&now)
                    on:input=move |event| edit(value, event_target_value(&event))
                />
            }
            .into_any()
        }
        kind => {
            let decimal = (kind == "number").then_some("decimal");
            let offered = move || {
                let options = options.get();
                let options = options.split(',').map(|one| one.trim().to_owned());
                let options = options.filter(|one| !one.is_empty());
                options.map(|one| view! { <option value=one /> }).collect_view()
            };
            view! {
                <input
                    id=id
                    name=field(at, "value")
                    class="mono"
                    value=now
                    inputmode=decimal
                    list=list.clone()
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    aria-invalid=invalid
                    aria-describedby=says
                    on:input=move |event| edit(value, event_target_value(&event))
                />
                <datalist id=list>{offered}</datalist>
            }
            .into_any()
        }
    }
}

#[component]
fn Wrong(id: String, wrong: Memo<Option<String>>) -> impl IntoView {
    view! {
        <div class="says" id=format!("{id}-says")>
            <p class="wrong" aria-live="polite">
                {move || wrong.get()}
            </p>
        </div>
    }
}

/// For those who may only look.
#[component]
fn Read(rows: Vec<(VariableName, domain::configuration::Variable)>) -> impl IntoView {
    if rows.is_empty() {
        return view! { <p class="faint">"No variables."</p> }.into_any();
    }
    view! {
        <dl class="facts-list told-read">
            {rows
                .into_iter()
                .map(|(name, variable)| {
                    view! {
                        <div>
                            <dt class="mono">{name.to_string()}</dt>
                            <dd>
                                <span class="mono">{variable.shown()}</span>
                                <p class="faint">{variable.description().to_owned()}</p>
                            </dd>
                        </div>
                    }
                })
                .collect_view()}
        </dl>
    }
    .into_any()
}
