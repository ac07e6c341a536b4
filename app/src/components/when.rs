//! Moments: an age that grows while one looks, or a wall clock. The exact time is a hover away.

use crate::{clock::clock, format};
use leptos::prelude::*;
use time::OffsetDateTime;

/// How long ago, in one unit: `2 min`.
#[component]
pub fn Ago(at: OffsetDateTime) -> impl IntoView {
    let clock = clock();
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {move || format::age(clock.since_ms(at))}
        </time>
    }
}

/// How long ago, inside a sentence: `just now`, `2 min ago`.
#[component]
pub fn LongAgo(at: OffsetDateTime) -> impl IntoView {
    let clock = clock();
    let text = move || match format::age(clock.since_ms(at)) {
        now if now == "just now" => now,
        age => format!("{age} ago"),
    };
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {text}
        </time>
    }
}

/// The wall clock, in the person's own zone once the browser has taken over: `12:06:02`.
#[component]
pub fn At(
    at: OffsetDateTime,
    /// To the millisecond.
    #[prop(optional)]
    exactly: bool,
) -> impl IntoView {
    let clock = clock();
    let text = move || {
        let home = clock.at_home(at);
        if exactly { format::clock_ms(home) } else { format::clock(home) }
    };
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {text}
        </time>
    }
}

/// The clock for what is of today, else the day too: for lists that reach back.
#[component]
pub fn Moment(at: OffsetDateTime) -> impl IntoView {
    let clock = clock();
    let text = move || {
        let home = clock.at_home(at);
        if clock.since_ms(at) < 20 * 3_600_000 { format::clock(home) } else { format::day(home) }
    };
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {text}
        </time>
    }
}

/// The day, inside a sentence: `3 May`, with its year where that is not long this one.
#[component]
pub fn OnDay(at: OffsetDateTime) -> impl IntoView {
    /// From here on a day without its year could be taken for one to come.
    const LONG_AGO_MS: i64 = 300 * 24 * 3_600_000;
    let clock = clock();
    let text = move || {
        let date = format::date(clock.at_home(at));
        if clock.since_ms(at) < LONG_AGO_MS { date } else { format!("{date} {}", at.year()) }
    };
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {text}
        </time>
    }
}

/// A moment to come, as day and minute: `24 Nov 07:31`.
#[component]
pub fn Until(at: OffsetDateTime) -> impl IntoView {
    let clock = clock();
    view! {
        <time datetime=format::machine(at) title=format::exact(at)>
            {move || format::day(clock.at_home(at))}
        </time>
    }
}
