//! Fields: a label, a hint, and what is wrong with what is typed, said while it is typed by the
//! function that will read it on the server.

use super::{file_text::FileText, form::Fields};
use domain::error::Problem;
use leptos::{html, prelude::*, wasm_bindgen::JsCast, web_sys::HtmlElement};
use std::{fmt::Display, str::FromStr};

/// Says what is wrong with a field, or nothing.
pub type Check = fn(&str) -> Option<String>;

/// The check of a field that is read as a `T`.
pub fn reads<T>(typed: &str) -> Option<String>
where
    T: FromStr,
    T::Err: Display,
{
    typed.parse::<T>().err().map(|wrong| wrong.to_string())
}

/// What a field shows below it: what is wrong with what stands there, else what the server said
/// about what was sent, until that is edited.
#[derive(Clone, Copy)]
struct Said {
    wrong: Memo<Option<String>>,
    typed: RwSignal<Option<String>>,
}

impl Said {
    fn of(fields: &Fields, name: &'static str, check: Option<Check>, required: bool) -> Self {
        let refusal = fields.refusal;
        let typed = RwSignal::new(None::<String>);
        // A new refusal is about what was sent: from now on it speaks, until the next edit, and
        // who sent it is led to where it is mended.
        let id = fields.id_of(name);
        Effect::new(move |_| {
            if refusal.with(|refused| refused.as_ref().and_then(Problem::field) == Some(name)) {
                typed.set(None);
                focus_soon(id.clone());
            }
        });
        let wrong = Memo::new(move |_| match typed.get() {
            Some(typed) if typed.trim().is_empty() && !required => None,
            Some(typed) => check.and_then(|check| check(&typed)),
            None => {
                let refused = refusal.get()?;
                (refused.field() == Some(name)).then(|| refused.to_string())
            }
        });
        Self { wrong, typed }
    }
}

/// Gives the element the focus, once what it is folded away in has opened.
fn focus_soon(id: String) {
    request_animation_frame(move || {
        let field = document().get_element_by_id(&id);
        if let Some(field) = field.and_then(|field| field.dyn_into::<HtmlElement>().ok()) {
            let _ = field.focus();
        }
    });
}

/// A line to type in.
#[component]
pub fn Field(
    name: &'static str,
    #[prop(into)] label: String,
    /// What is so now; what was typed before goes before it.
    #[prop(optional, into)]
    value: String,
    #[prop(optional, into)] hint: String,
    /// `text` if not said.
    #[prop(optional)]
    kind: Option<&'static str>,
    #[prop(optional)] check: Option<Check>,
    #[prop(optional)] autocomplete: Option<&'static str>,
    /// `numeric` and `decimal` bring up the right keyboard of a phone.
    #[prop(optional)]
    inputmode: Option<&'static str>,
    #[prop(optional)] placeholder: Option<&'static str>,
    /// The id of a `datalist`.
    #[prop(optional)]
    list: Option<&'static str>,
    #[prop(optional)] required: bool,
    #[prop(optional)] mono: bool,
    #[prop(optional)] autofocus: bool,
    /// Told of each edit.
    #[prop(optional, into)]
    on_typed: Option<Callback<String>>,
) -> impl IntoView {
    let fields = Fields::here();
    let said = Said::of(&fields, name, check, required);
    let id = fields.id_of(name);
    let first = fields.first(name, value);
    let typed = move |typed: String| {
        said.typed.set(Some(typed.clone()));
        if let Some(told) = on_typed {
            told.run(typed);
        }
    };
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                id=id.clone()
                name=name
                type=kind.unwrap_or("text")
                class:mono=mono
                value=first
                required=required
                autofocus=autofocus
                autocomplete=autocomplete.unwrap_or("off")
                autocapitalize="none"
                spellcheck="false"
                inputmode=inputmode
                placeholder=placeholder
                list=list
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                on:input=move |event| typed(event_target_value(&event))
            />
            <Says id said hint />
        </div>
    }
}

/// The names that a secret field can have: what [`crate::api::kept`] never gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    Password,
    Again,
    Current,
    Token,
    /// What an instance is told and nobody else.
    Value,
}

impl Secret {
    /// The field's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Again => "again",
            Self::Current => "current",
            Self::Token => "token",
            Self::Value => "secret",
        }
    }
}

/// A password. Never filled in by us, never given back.
#[component]
pub fn SecretField(
    name: Secret,
    #[prop(into)] label: String,
    /// `current-password` or `new-password`.
    autocomplete: &'static str,
    #[prop(optional, into)] hint: String,
    #[prop(optional)] check: Option<Check>,
    /// It may be left empty.
    #[prop(optional)]
    optional: bool,
) -> impl IntoView {
    let fields = Fields::here();
    let said = Said::of(&fields, name.as_str(), check, !optional);
    let id = fields.id_of(name.as_str());
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                id=id.clone()
                name=name.as_str()
                type="password"
                required=!optional
                autocomplete=autocomplete
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                on:input=move |event| said.typed.set(Some(event_target_value(&event)))
            />
            <Says id said hint />
        </div>
    }
}

/// The value of a secret: lines, because keys have them. Never filled in by us, never given back.
#[component]
pub fn SecretText(#[prop(into)] label: String) -> impl IntoView {
    let fields = Fields::here();
    let name = Secret::Value.as_str();
    let check: Check =
        |typed| domain::configuration::secret::value(typed).err().map(|wrong| wrong.to_string());
    let said = Said::of(&fields, name, Some(check), true);
    let id = fields.id_of(name);
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <textarea
                id=id.clone()
                name=name
                class="mono"
                rows="3"
                required=true
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                on:input=move |event| said.typed.set(Some(event_target_value(&event)))
            />
            <Says
                id
                said
                hint="It is sealed at once and shown to nobody again. The line break at its end is left out."
                    .to_owned()
            />
        </div>
    }
}

/// Credentials of several lines, pasted or out of a file. Never filled in by us, never given back.
#[component]
pub fn SecretLines(
    #[prop(into)] label: String,
    #[prop(into)] hint: String,
    /// The most bytes that a file may have.
    most: usize,
) -> impl IntoView {
    let fields = Fields::here();
    let name = Secret::Value.as_str();
    let said = Said::of(&fields, name, None, false);
    let id = fields.id_of(name);
    let node = NodeRef::<html::Textarea>::new();
    let on_text = Callback::new(move |text: String| {
        if let Some(lines) = node.get_untracked() {
            lines.set_value(&text);
            said.typed.set(Some(text));
        }
    });
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <textarea
                id=id.clone()
                node_ref=node
                name=name
                class="mono"
                rows="6"
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                on:input=move |event| said.typed.set(Some(event_target_value(&event)))
            />
            <Says id=id.clone() said hint />
        </div>
        <FileText id label="Or out of a file" most on_text />
    }
}

/// Lines to type in.
#[component]
pub fn TextField(
    name: &'static str,
    #[prop(into)] label: String,
    #[prop(optional, into)] value: String,
    #[prop(optional, into)] hint: String,
    #[prop(optional)] check: Option<Check>,
    #[prop(optional)] mono: bool,
    #[prop(optional)] placeholder: Option<&'static str>,
    #[prop(default = 3)] rows: u8,
    /// Told of each edit.
    #[prop(optional, into)]
    on_typed: Option<Callback<String>>,
) -> impl IntoView {
    let fields = Fields::here();
    let said = Said::of(&fields, name, check, false);
    let id = fields.id_of(name);
    let first = fields.first(name, value);
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <textarea
                id=id.clone()
                name=name
                class:mono=mono
                rows=rows.to_string()
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                placeholder=placeholder
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                inner_html=escaped(&first)
                on:input=move |event| {
                    let typed = event_target_value(&event);
                    said.typed.set(Some(typed.clone()));
                    if let Some(told) = on_typed {
                        told.run(typed);
                    }
                }
            />
            <Says id said hint />
        </div>
    }
}

/// A choice out of a list: pairs of what is sent and what is read.
#[component]
pub fn Choice(
    name: &'static str,
    #[prop(into)] label: String,
    options: Vec<(String, String)>,
    #[prop(optional, into)] value: String,
    #[prop(optional, into)] hint: String,
    /// Told of each other choice.
    #[prop(optional, into)]
    on_typed: Option<Callback<String>>,
) -> impl IntoView {
    let fields = Fields::here();
    let said = Said::of(&fields, name, None, true);
    let id = fields.id_of(name);
    let first = fields.first(name, value);
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select
                id=id.clone()
                name=name
                aria-invalid=move || said.wrong.get().is_some().then_some("true")
                aria-describedby=format!("{id}-says")
                on:change=move |event| {
                    let chosen = event_target_value(&event);
                    said.typed.set(Some(chosen.clone()));
                    if let Some(told) = on_typed {
                        told.run(chosen);
                    }
                }
            >
                {options
                    .into_iter()
                    .map(|(sent, read)| {
                        let selected = sent == first;
                        view! {
                            <option value=sent selected=selected>
                                {read}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
            <Says id said hint />
        </div>
    }
}

/// A box to check. What it means stands beside it.
#[component]
pub fn Checkbox(
    name: &'static str,
    #[prop(into)] label: String,
    #[prop(optional)] checked: bool,
    #[prop(optional, into)] hint: String,
) -> impl IntoView {
    let fields = Fields::here();
    let id = fields.id_of(name);
    let checked = fields.first_checked(name, checked);
    let says = format!("{id}-says");
    view! {
        <div class="check">
            <input
                id=id.clone()
                name=name
                type="checkbox"
                value="yes"
                checked=checked
                aria-describedby=says.clone()
            />
            <div>
                <label for=id>{label}</label>
                <p class="hint" id=says>
                    {hint}
                </p>
            </div>
        </div>
    }
}

/// The text of a `textarea`. A child would not do: an empty one is drawn as a space.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The hint and what is wrong, read out together with the field.
#[component]
fn Says(id: String, said: Said, hint: String) -> impl IntoView {
    let hint = (!hint.is_empty()).then(|| view! { <p class="hint">{hint}</p> });
    view! {
        <div class="says" id=format!("{id}-says")>
            {hint}
            <p class="wrong" aria-live="polite">
                {move || said.wrong.get()}
            </p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, escaped};
    use crate::api::kept::SECRET;

    #[test]
    fn what_was_typed_can_not_leave_its_field() {
        assert_eq!(escaped("</textarea><b>&lt;"), "&lt;/textarea&gt;&lt;b&gt;&amp;lt;");
    }

    #[test]
    fn no_secret_field_is_ever_given_back_in_an_address() {
        for secret in [Secret::Password, Secret::Again, Secret::Current, Secret::Value] {
            assert!(SECRET.contains(&secret.as_str()), "{secret:?}");
        }
    }
}
