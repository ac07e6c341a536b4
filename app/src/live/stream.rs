//! The one `EventSource` of this tab. Only in the browser.
//!
//! It is always reopened by us, never by the browser: so the address says after which row to go on,
//! with one back-off for a dropped connection, an HTTP error and a server that says goodbye.

use super::{Connection, Live};
use domain::live::Message;
use leptos::{
    leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle},
    prelude::*,
};
use std::{cell::RefCell, time::Duration};
use time::OffsetDateTime;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

/// A hidden tab lets go of its stream after this time.
const HIDDEN_FOR: Duration = Duration::from_secs(30);
/// After so many failures in a row the session may be over: ask.
const TRIES_BEFORE_ASKING: u32 = 3;

/// What must live as long as the source does.
struct Open {
    source: EventSource,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(web_sys::Event)>,
}

#[derive(Default)]
struct Tab {
    open: Option<Open>,
    tries: u32,
    retry: Option<TimeoutHandle>,
    hide: Option<TimeoutHandle>,
}

thread_local! {
    static TAB: RefCell<Tab> = RefCell::default();
}

/// Opens the stream unless it is open; `fresh` opens it anew because the topics are others.
pub fn ensure_open(live: Live, fresh: bool) {
    let is_open = TAB.with_borrow(|tab| tab.open.is_some());
    let is_hidden = document().hidden();
    if (fresh || !is_open) && !is_hidden {
        open(live);
    }
}

/// Lets go of the stream and of every plan to open it.
pub fn close(_live: Live) {
    TAB.with_borrow_mut(|tab| {
        if let Some(retry) = tab.retry.take() {
            retry.clear();
        }
        if let Some(open) = tab.open.take() {
            open.source.set_onmessage(None);
            open.source.set_onerror(None);
            open.source.close();
        }
    });
}

/// Closes the stream of a tab that nobody sees, and goes on where it was when it is seen again.
pub fn watch_visibility(live: Live) {
    let handle = window_event_listener_untyped("visibilitychange", move |_| changed(live));
    // The event is the document's; it bubbles to the window.
    on_cleanup(move || handle.remove());
}

fn changed(live: Live) {
    if document().hidden() {
        let hide = set_timeout_with_handle(
            move || {
                close(live);
                live.connection.set(Connection::Quiet);
            },
            HIDDEN_FOR,
        );
        TAB.with_borrow_mut(|tab| tab.hide = hide.ok());
        return;
    }
    let hide = TAB.with_borrow_mut(|tab| tab.hide.take());
    if let Some(hide) = hide {
        hide.clear();
    }
    let follows = live.held.with_value(|held| held.topics.is_some());
    let is_open = TAB.with_borrow(|tab| tab.open.is_some());
    if follows && !is_open {
        open(live);
    }
}

fn open(live: Live) {
    close(live);
    let Some((after, topics)) = live
        .held
        .with_value(|held| held.topics.as_ref().map(|topics| (held.after, topics.as_words())))
    else {
        return;
    };
    if live.connection.get_untracked() != Connection::Lost {
        live.connection.set(Connection::Connecting);
    }
    let Ok(source) = EventSource::new(&format!("/live?after={after}&topics={topics}")) else {
        live.connection.set(Connection::Quiet);
        return;
    };

    let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        // A message of a newer build may not be understood; its greeting has said so before.
        let said = event.data().as_string();
        if let Some(message) = said.and_then(|said| serde_json::from_str::<Message>(&said).ok()) {
            heard(live, message);
        }
    });
    let error = Closure::<dyn FnMut(web_sys::Event)>::new(move |_| lost(live));
    source.set_onmessage(Some(message.as_ref().unchecked_ref()));
    source.set_onerror(Some(error.as_ref().unchecked_ref()));
    TAB.with_borrow_mut(|tab| {
        tab.open = Some(Open { source, _message: message, _error: error });
    });
}

fn heard(live: Live, message: Message) {
    TAB.with_borrow_mut(|tab| tab.tries = 0);
    let goes = matches!(message, Message::Goodbye);
    let missed = matches!(message, Message::Reset);
    let now = OffsetDateTime::now_utc();
    live.hear(message, crate::clock::ms(now));
    if missed {
        // The page asks again, and then follows from the number it was drawn at.
        later(move || close(live), Duration::ZERO);
    }
    if goes {
        later(move || lost(live), Duration::ZERO);
    }
}

/// Says at once that the stream is lost, and opens it again: soon, then less and less often.
fn lost(live: Live) {
    // Its own closures may be running: they are dropped when this task is over.
    later(move || close_and_retry(live), Duration::ZERO);
    live.connection.set(Connection::Lost);
}

fn close_and_retry(live: Live) {
    close(live);
    let tries = TAB.with_borrow_mut(|tab| {
        tab.tries += 1;
        tab.tries
    });
    if tries == TRIES_BEFORE_ASKING {
        live.ask_who_looks();
    }
    let wait = Duration::from_millis((250_u64 << tries.min(5)).min(5000));
    let retry = set_timeout_with_handle(move || open(live), wait);
    TAB.with_borrow_mut(|tab| tab.retry = retry.ok());
}

fn later(act: impl FnOnce() + 'static, wait: Duration) {
    set_timeout(act, wait);
}
