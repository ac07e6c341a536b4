//! A list that stays at its end while something is added, until one pauses it or scrolls up: whoever
//! reads is not scrolled away from what he reads.

use leptos::{html::Div, prelude::*};

/// So near to the end, in pixels, one is at the end.
const NEAR: i32 = 48;

/// Whether a list follows.
#[derive(Clone, Copy)]
pub struct Following {
    /// The element that scrolls.
    pub list: NodeRef<Div>,
    /// Asked for.
    paused: RwSignal<bool>,
    /// Because one scrolled up.
    away: RwSignal<bool>,
    goes_on: Callback<()>,
}

impl Following {
    /// Follows what `tracks` reads. `goes_on` is called when one has paused and goes on.
    pub fn new(
        tracks: impl Fn() + Send + Sync + 'static,
        goes_on: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let me = Self {
            list: NodeRef::new(),
            paused: RwSignal::new(false),
            away: RwSignal::new(false),
            goes_on: Callback::new(move |()| goes_on()),
        };
        Effect::new(move |_| {
            tracks();
            me.list.track();
            if !me.holds() {
                // After the lines are in the page.
                request_animation_frame(move || me.to_the_end());
            }
        });
        me
    }

    /// Whether what comes has to wait. Not reactive.
    #[must_use]
    pub fn holds(self) -> bool {
        self.paused.get_untracked() || self.away.get_untracked()
    }

    /// The same, reactive.
    #[must_use]
    pub fn is_held(self) -> bool {
        self.paused.get() || self.away.get()
    }

    /// The button was pressed: pauses, or goes on.
    pub fn press(self) {
        if self.holds() { self.go_on() } else { self.paused.set(true) }
    }

    /// The list was scrolled.
    pub fn scrolled(self) {
        let Some(list) = self.list.get_untracked() else { return };
        let left = list.scroll_height() - list.scroll_top() - list.client_height();
        if left > NEAR {
            self.away.maybe_update(|away| !std::mem::replace(away, true));
        } else if self.away.get_untracked() && !self.paused.get_untracked() {
            self.go_on();
        }
    }

    fn go_on(self) {
        self.paused.set(false);
        self.away.set(false);
        self.goes_on.run(());
    }

    fn to_the_end(self) {
        if let Some(list) = self.list.try_get_untracked().flatten() {
            list.set_scroll_top(list.scroll_height());
        }
    }
}
