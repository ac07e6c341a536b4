//! A click that matters is asked about once, in a dialog that names the thing, the place and the
//! effect. The browser opens it by itself (`command="show-modal"`), so it also works before the wasm
//! and without it. While it is open it stays: if what it asks about changes, it says so.

use super::icon::Icon;
use crate::api::ApiError;
use leptos::{html::Dialog, prelude::*, reactive::owner::WeakOwner};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
};
use server_fn::ServerFn;
use std::collections::HashMap;

/// A button, and the dialog that it opens. The children are the form in it.
#[component]
pub fn Ask(
    /// Unique on the page.
    id: String,
    /// The word on the button.
    #[prop(into)]
    trigger: Signal<String>,
    /// Classes of the button.
    #[prop(optional)]
    class: &'static str,
    /// Names what is done to what, and where.
    #[prop(into)]
    title: Signal<String>,
    /// What will happen, in a sentence or two.
    #[prop(into)]
    effect: Signal<String>,
    /// Draws the ink frame of a protected environment.
    #[prop(optional)]
    protected: bool,
    /// The form came back with a refusal, without scripts: it is shown where it was.
    #[prop(optional)]
    came_back: bool,
    /// Why it can not be done now. The button is then dark and says so.
    #[prop(optional, into)]
    dark: Signal<Option<String>>,
    /// The address asks for it: it opens by itself, once.
    #[prop(optional, into)]
    opens: Signal<bool>,
    /// Counts what was done: the dialog closes by it.
    #[prop(into)]
    done: Signal<usize>,
    children: Children,
) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let asking = asking();
    // What it said when it was opened: if that is another by now, one must be told.
    let said = RwSignal::new(None::<(String, String)>);
    let says = move || (title.get_untracked(), effect.get_untracked());
    let is_opened = move || {
        if said.with_untracked(Option::is_none) {
            asking.update(|open| *open += 1);
        }
        said.set(Some(says()));
    };
    let is_closed = move || {
        if said.try_update(Option::take).flatten().is_some() {
            let _ = asking.try_update(|open| *open = open.saturating_sub(1));
        }
    };
    on_cleanup(is_closed);
    let changed = Memo::new(move |_| {
        let now = (title.get(), effect.get());
        said.with(|said| said.as_ref().is_some_and(|said| *said != now))
    });
    let (place, navigate) = (use_location(), use_navigate());
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get().filter(|_| opens.get()) {
            // A page that is just being drawn is not in the document yet.
            request_animation_frame(move || {
                if opens.try_get_untracked() == Some(true) && dialog.is_connected() {
                    // What the server drew open holds no focus yet.
                    let _ = dialog.remove_attribute("open");
                    let _ = dialog.show_modal();
                    is_opened();
                }
            });
        }
    });
    let closed = move |_| {
        is_closed();
        // The same way leads here again, and a reload does not ask a second time.
        if opens.try_get_untracked() == Some(true) {
            let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
            navigate(&place.pathname.get_untracked(), options);
        }
    };
    Effect::new(move |before: Option<usize>| {
        let now = done.get();
        if before.is_some_and(|before| before != now)
            && let Some(dialog) = dialog.get_untracked()
        {
            dialog.close();
        }
        now
    });
    // Browsers that do not know `command` yet are helped by the wasm; the others are not hindered.
    // It is seen only afterwards whether the browser opened it.
    let open = move |_| {
        is_opened();
        let help = move || {
            let closed = dialog.try_get_untracked().flatten().filter(|dialog| !dialog.open());
            if let Some(dialog) = closed {
                let _ = dialog.show_modal();
            }
        };
        set_timeout(help, std::time::Duration::ZERO);
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let title_id = format!("{id}-title");
    let effect_id = format!("{id}-effect");
    view! {
        <button
            type="button"
            class=class
            command="show-modal"
            commandfor=id.clone()
            aria-haspopup="dialog"
            disabled=move || dark.with(Option::is_some)
            title=move || dark.get()
            on:click=open
        >
            {trigger}
        </button>
        <dialog
            on:close=closed
            node_ref=dialog
            id=id.clone()
            class="ask"
            class:protected=protected
            open=came_back || opens.get_untracked()
            aria-labelledby=title_id.clone()
            aria-describedby=effect_id.clone()
        >
            <header>
                <h2 id=title_id.clone()>{title}</h2>
                <button
                    type="button"
                    class="plain small"
                    command="close"
                    commandfor=id.clone()
                    aria-label="Close, change nothing"
                    on:click=close
                >
                    <Icon of=icondata::LuX />
                </button>
            </header>
            <p class="effect" id=effect_id.clone()>
                {effect}
            </p>
            <div role="status">
                {move || {
                    let why = dark.get().filter(|_| said.with(Option::is_some));
                    let news = match why {
                        Some(why) => format!("This changed while you looked. {why}"),
                        None if changed.get() => {
                            "This changed while you looked: what it says now is what will happen."
                                .to_owned()
                        }
                        None => return None,
                    };
                    Some(view! { <p class="notice warn">{news}</p> })
                }}
            </div>
            {children()}
        </dialog>
    }
}

/// How many dialogs that ask are open.
#[derive(Clone, Copy)]
struct Asking(RwSignal<usize>);

/// Lays it ready for everything inside the app.
pub fn provide() {
    provide_context(Asking(RwSignal::new(0)));
}

fn asking() -> RwSignal<usize> {
    use_context::<Asking>().map_or_else(|| RwSignal::new(0), |asking| asking.0)
}

/// Follows `now`, but stands still while a dialog is open: what is drawn by it, and the dialog in
/// it, stays until the person has closed it.
#[must_use]
pub fn held<T: Clone + PartialEq + Send + Sync + 'static>(now: Memo<T>) -> Memo<T> {
    let asking = asking();
    Memo::new(move |before: Option<&T>| {
        let now = now.get();
        match before {
            Some(before) if asking.get() > 0 => before.clone(),
            _ => {
                asking.track();
                now
            }
        }
    })
}

/// Server actions by name, that outlive the redrawing of what is around their forms: a refusal is
/// still there, and a button still says "Asking …", when a row makes the page ask again.
pub struct Actions<S: ServerFn + 'static>
where
    S::Output: 'static,
    S::Error: 'static,
{
    /// Weak: what an owner holds must not hold the owner, or the page would never be let go.
    owner: StoredValue<WeakOwner>,
    by_name: StoredValue<HashMap<String, ServerAction<S>>>,
}

impl<S: ServerFn + 'static> Clone for Actions<S>
where
    S::Output: 'static,
    S::Error: 'static,
{
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: ServerFn + 'static> Copy for Actions<S>
where
    S::Output: 'static,
    S::Error: 'static,
{
}

impl<S> Actions<S>
where
    S: ServerFn<Error = ApiError> + Clone + Send + Sync + 'static,
    S::Output: Send + Sync + 'static,
{
    /// Lays them ready for everything inside the page that calls this.
    pub fn provide() {
        let owner = Owner::current().expect("a page has an owner").downgrade();
        provide_context(Self {
            owner: StoredValue::new(owner),
            by_name: StoredValue::new(HashMap::new()),
        });
    }

    /// The action called `name`.
    #[must_use]
    pub fn of(name: &str) -> ServerAction<S> {
        let me = expect_context::<Self>();
        if let Some(known) = me.by_name.with_value(|known| known.get(name).copied()) {
            return known;
        }
        let Some(owner) = me.owner.get_value().upgrade() else { return ServerAction::new() };
        let made = owner.with(ServerAction::new);
        me.by_name.update_value(|known| {
            known.insert(name.to_owned(), made);
        });
        made
    }
}

/// Which answer each form waits for, by the form's id. Outlives the redrawing as [`Actions`] do.
#[derive(Clone, Copy)]
pub struct Sent {
    owner: StoredValue<WeakOwner>,
    by_form: StoredValue<HashMap<String, RwSignal<Option<usize>>>>,
}

impl Sent {
    /// Lays it ready for everything inside the page that calls this.
    pub fn provide() {
        let owner = Owner::current().expect("a page has an owner").downgrade();
        provide_context(Self {
            owner: StoredValue::new(owner),
            by_form: StoredValue::new(HashMap::new()),
        });
    }

    /// Of the form with this id. On a page that is not redrawn it is the form's own.
    #[must_use]
    pub fn of(form: &str) -> RwSignal<Option<usize>> {
        let Some(me) = use_context::<Self>() else { return RwSignal::new(None) };
        if let Some(known) = me.by_form.with_value(|known| known.get(form).copied()) {
            return known;
        }
        let Some(owner) = me.owner.get_value().upgrade() else { return RwSignal::new(None) };
        let made = owner.with(|| RwSignal::new(None));
        me.by_form.update_value(|known| {
            known.insert(form.to_owned(), made);
        });
        made
    }
}

/// How often `action` was answered with success: what a dialog closes by.
pub fn done<S>(action: ServerAction<S>) -> Signal<usize>
where
    S: ServerFn<Error = ApiError> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    let (version, value) = (action.version(), action.value());
    let times = Memo::new(move |before: Option<&usize>| {
        let version = version.get();
        let good = value.with_untracked(|value| matches!(value, Some(Ok(_))));
        if good { version } else { before.copied().unwrap_or_default() }
    });
    times.into()
}

/// Whether the form with these fixed fields came back with a refusal, without scripts.
#[must_use]
pub fn came_back<S: ServerFn>(hidden: &[(&'static str, String)]) -> bool {
    crate::api::kept::came_back(&use_query_map().get_untracked(), S::PATH, hidden)
}
