//! A file whose text goes into a field. It is read in the browser and sent like what is typed there, so
//! it needs scripts; without them there is the field to paste into.

use leptos::{
    ev::Event,
    html,
    prelude::*,
    wasm_bindgen::{JsCast, JsValue, closure::Closure},
    web_sys::{Blob, FileReader, HtmlInputElement, js_sys},
};

/// Chooses a file and hands on its text. What is refused is said, and hands on nothing.
#[component]
pub fn FileText(
    /// The beginning of its own ids.
    id: String,
    #[prop(into)] label: String,
    /// The most bytes that are taken.
    most: usize,
    on_text: Callback<String>,
) -> impl IntoView {
    let ready = RwSignal::new(false);
    Effect::new(move |_| ready.set(true));
    let wrong = RwSignal::new(None::<String>);
    let node = NodeRef::<html::Input>::new();
    let chosen = move |_: Event| {
        let Some(input) = node.get_untracked() else { return };
        let Some((name, file)) = first_of(&input) else { return };
        wrong.set(None);
        if let Some(refused) = too_large(&name, file.size(), most) {
            input.set_value("");
            wrong.set(Some(refused));
            return;
        }
        let cannot_read = format!("{name} could not be read. Nothing was taken from it.");
        let Ok(reader) = FileReader::new() else {
            wrong.set(Some(cannot_read));
            return;
        };
        let read = reader.clone();
        let failed = cannot_read.clone();
        let done = Closure::once_into_js(move |_: Event| {
            let text = read.result().ok().and_then(|read| read.as_string());
            // The page may have gone meanwhile.
            match text.ok_or(failed).and_then(|text| checked(&name, text)) {
                Ok(text) => drop(on_text.try_run(text)),
                Err(refused) => drop(wrong.try_set(Some(refused))),
            }
            // So that the same file, mended, can be chosen again.
            input.set_value("");
        });
        reader.set_onloadend(Some(done.unchecked_ref::<js_sys::Function>()));
        if reader.read_as_text(&file).is_err() {
            wrong.set(Some(cannot_read));
        }
    };
    view! {
        {move || {
            let (id, label) = (id.clone(), label.clone());
            ready
                .get()
                .then(|| {
                    view! {
                        <div class="field file">
                            <label for=format!("{id}-file")>{label}</label>
                            <input
                                id=format!("{id}-file")
                                node_ref=node
                                type="file"
                                aria-describedby=format!("{id}-file-says")
                                on:change=chosen
                            />
                            <div class="says" id=format!("{id}-file-says")>
                                <p class="wrong" aria-live="polite">
                                    {move || wrong.get()}
                                </p>
                            </div>
                        </div>
                    }
                })
        }}
    }
}

/// The file that was chosen, and its name. What is not among the bindings is asked for by its name.
fn first_of(input: &HtmlInputElement) -> Option<(String, Blob)> {
    let part = |of: &JsValue, name: &str| js_sys::Reflect::get(of, &name.into()).ok();
    let file = part(&part(input, "files")?, "0")?.dyn_into::<Blob>().ok()?;
    Some((part(&file, "name")?.as_string()?, file))
}

fn too_large(name: &str, bytes: f64, most: usize) -> Option<String> {
    (bytes > most as f64).then(|| {
        format!(
            "{name} has {:.0} KiB, and {} KiB is the most. Nothing was taken from it.",
            (bytes / 1024.0).ceil(),
            most / 1024
        )
    })
}

/// A text has no zero bytes, and the browser puts a sign of its own in the place of what is no UTF-8.
fn checked(name: &str, text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err(format!("{name} is empty. Nothing was taken from it."));
    }
    if text.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err(format!("{name} is no text. Nothing was taken from it."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_empty_or_no_text_is_refused_by_its_name() {
        assert_eq!(too_large("a", 1024.0, 1024), None);
        let large = too_large("config", 1_048_577.0, 262_144).expect("refused");
        assert!(large.starts_with("config has 1025 KiB, and 256 KiB"), "{large}");

        for odd in ["", " \n", "a\0b", "a\u{fffd}b"] {
            assert!(checked("config", odd.to_owned()).is_err(), "{odd:?}");
        }
        assert_eq!(checked("config", "apiVersion: v1".to_owned()).as_deref(), Ok("apiVersion: v1"));
    }
}
