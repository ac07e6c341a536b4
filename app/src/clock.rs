//! What time it is, equally for the server's drawing and for the browser that takes it over.
//!
//! A page is drawn with the server's time and in UTC. The browser hydrates with that very time, then
//! ticks, and shows clock times in the person's own zone. So no text differs at hydration.

use leptos::prelude::*;
use std::time::Duration;
use time::{OffsetDateTime, UtcOffset};

/// The page's clock. In the context of everything inside the app.
#[derive(Clone, Copy)]
pub struct Clock {
    now_ms: RwSignal<i64>,
    /// Whether the browser has taken over and may use its own zone.
    taken_over: RwSignal<bool>,
}

/// Starts the clock at the server's time; in a browser it ticks each second.
pub fn provide() {
    let drawn_at = SharedValue::new(machine_ms).into_inner();
    let clock = Clock { now_ms: RwSignal::new(drawn_at), taken_over: RwSignal::new(false) };
    provide_context(clock);

    Effect::new(move |_| {
        // A browser whose clock is off would show countdowns that are wrong: then go on from the
        // server's time. A few seconds are only the page's way here.
        let off = drawn_at - machine_ms();
        let off = if off.abs() > 10_000 { off } else { 0 };
        let tick = move || clock.now_ms.set(machine_ms() + off);
        clock.taken_over.set(true);
        tick();
        if let Ok(ticking) = set_interval_with_handle(tick, Duration::from_secs(1)) {
            on_cleanup(move || ticking.clear());
        }
    });
}

/// The clock of this tab.
#[must_use]
pub fn clock() -> Clock {
    expect_context()
}

impl Clock {
    /// Milliseconds of Unix time. Reactive, once a second.
    #[must_use]
    pub fn now_ms(self) -> i64 {
        self.now_ms.get()
    }

    /// Milliseconds since `at`, negative if it is still to come. Reactive.
    #[must_use]
    pub fn since_ms(self, at: OffsetDateTime) -> i64 {
        self.now_ms() - ms(at)
    }

    /// `at` as the person's wall clock says it: UTC until the browser has taken over. Reactive.
    #[must_use]
    pub fn at_home(self, at: OffsetDateTime) -> OffsetDateTime {
        if self.taken_over.get() {
            at.to_offset(home_offset(at))
        } else {
            at.to_offset(UtcOffset::UTC)
        }
    }
}

/// Milliseconds of Unix time.
#[must_use]
pub fn ms(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * 1000 + i64::from(at.millisecond())
}

fn machine_ms() -> i64 {
    ms(OffsetDateTime::now_utc())
}

/// Only a browser has a person's zone; asking the server's would tell where the machine stands.
#[cfg(feature = "hydrate")]
fn home_offset(at: OffsetDateTime) -> UtcOffset {
    UtcOffset::local_offset_at(at).unwrap_or(UtcOffset::UTC)
}

#[cfg(not(feature = "hydrate"))]
const fn home_offset(_at: OffsetDateTime) -> UtcOffset {
    UtcOffset::UTC
}
