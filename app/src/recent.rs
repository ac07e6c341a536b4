//! Where somebody was last, so that the palette offers it first. Addresses only, kept by this
//! browser, let go when the person signs out.

use leptos::{
    prelude::*,
    wasm_bindgen::{JsCast, JsValue},
    web_sys::js_sys::{Function, Reflect},
};

/// The key in the browser's storage.
const KEY: &str = "pilothouse_recent";
/// How many are kept.
const KEPT: usize = 12;

/// The addresses, newest first. To be called in an effect or a handler.
#[must_use]
pub fn paths() -> Vec<String> {
    let kept = call("getItem", &[KEY]).and_then(|kept| kept.as_string()).unwrap_or_default();
    kept.lines().map(str::to_owned).collect()
}

/// Notes that somebody is at `path`.
pub fn note(path: &str) {
    let _ = call("setItem", &[KEY, &after(&paths(), path).join("\n")]);
}

/// Lets go of all.
pub fn forget() {
    let _ = call("removeItem", &[KEY]);
}

fn after(before: &[String], path: &str) -> Vec<String> {
    let others = before.iter().filter(|known| *known != path).cloned();
    std::iter::once(path.to_owned()).chain(others).take(KEPT).collect()
}

/// A storage that is full, or that the person has forbidden, keeps nothing: that is all.
fn call(verb: &str, words: &[&str]) -> Option<JsValue> {
    let storage = Reflect::get(&window(), &"localStorage".into()).ok()?;
    let verb = Reflect::get(&storage, &verb.into()).ok()?.dyn_into::<Function>().ok()?;
    let words = words.iter().map(|word| JsValue::from_str(word)).collect();
    Reflect::apply(&verb, &storage, &words).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_is_first_once_and_the_oldest_go() {
        let mut kept = Vec::new();
        for at in 0..20 {
            kept = after(&kept, &format!("/{at}"));
        }
        kept = after(&kept, "/15");

        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[..3], ["/15", "/19", "/18"]);
        assert_eq!(kept.iter().filter(|path| *path == "/15").count(), 1);
    }
}
