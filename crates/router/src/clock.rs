//! One monotonic clock for everything that is compared, and its translation to the wall's.

use std::{sync::LazyLock, time::Instant};
use time::OffsetDateTime;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the clock was first asked, from 1 on: 0 stands for "never" in atomics.
pub fn now_ns() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// The wall clock's time of an instant of [`now_ns`]. None for 0.
///
/// Counted back from now, so a wall clock that was set right meanwhile is right for old instants.
pub fn wall(at_ns: u64) -> Option<OffsetDateTime> {
    let ago = i64::try_from(now_ns().saturating_sub(at_ns)).unwrap_or(i64::MAX);
    (at_ns != 0).then(|| OffsetDateTime::now_utc() - time::Duration::nanoseconds(ago))
}
