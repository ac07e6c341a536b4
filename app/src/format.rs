//! Durations, sizes, counts and times the way people read them. Pure: what time it is comes in as
//! an argument, so the server and the browser write the same text.

use time::OffsetDateTime;

/// A length of time, as exact as it matters: `8 ms`, `1.9 s`, `42 s`, `2 m 04 s`, `1 h 12 m`, `3 d`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A length of time in whole seconds at the finest: for what is counted while one looks.
#[must_use]
pub fn seconds(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    if seconds < 60 { format!("{seconds} s") } else { duration(seconds * 1000) }
}

/// A countdown: `14:32`, `1:02:09`, `0:00` when it is over.
#[must_use]
pub fn countdown(left_ms: i64) -> String {
    // The last second is still there while any of it is left.
    let left = (left_ms.max(0) + 999) / 1000;
    let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// How old something is, in one unit: `just now`, `42 s`, `2 min`, `5 h`, `3 d`. What is still to
/// come by a clock that differs a little is just now.
#[must_use]
pub fn age(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        ..10 => "just now".to_owned(),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Bytes in binary units: `141 MiB`, `1.1 GiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // Shown with one digit after the point.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 9.95 && unit > 2 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A count with its thousands apart: `9,120`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 request`, `3 requests`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A load in whole percent: `12 %`.
#[must_use]
pub fn load(percent: f32) -> String {
    format!("{:.0} %", percent.max(0.0))
}

/// A share of errors: `0 %` is exactly none, `0.02 %` is not.
#[must_use]
pub fn errors(percent: f64) -> String {
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent < 0.01 {
        "< 0.01 %".to_owned()
    } else if percent < 10.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Microseconds as people read latencies: `0.4 ms`, `38 ms`, `1.2 s`.
#[must_use]
pub fn latency(us: u32) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// Cores of a limit in thousandths: `1 core`, `0.5 cores`.
#[must_use]
pub fn cores(millis: u32) -> String {
    if millis == 1000 {
        return "1 core".to_owned();
    }
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    format!("{} cores", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A wall clock in the offset that `at` carries: `12:06:02`.
#[must_use]
pub fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// The same to the millisecond: `12:06:02.114`.
#[must_use]
pub fn clock_ms(at: OffsetDateTime) -> String {
    format!("{}.{:03}", clock(at), at.millisecond())
}

/// A day: `21 Nov`.
#[must_use]
pub fn date(at: OffsetDateTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    format!("{} {month}", at.day())
}

/// A day and a minute: `21 Nov 12:06`.
#[must_use]
pub fn day(at: OffsetDateTime) -> String {
    format!("{} {:02}:{:02}", date(at), at.hour(), at.minute())
}

/// The exact moment, for a title: `2026-11-21 12:06:02.114 UTC`.
#[must_use]
pub fn exact(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{}-{:02}-{:02} {} UTC", at.year(), u8::from(at.month()), at.day(), clock_ms(at))
}

/// The moment for machines, as `<time datetime>` wants it: `2026-11-21T12:06:02.114Z`.
#[must_use]
pub fn machine(at: OffsetDateTime) -> String {
    exact(at).replacen(' ', "T", 1).replace(" UTC", "Z")
}

/// A content id as people see it: `sha256:9c1e…77af`.
#[must_use]
pub fn image(id: &str) -> String {
    match id.strip_prefix("sha256:") {
        Some(hex) if hex.len() > 12 => {
            format!("sha256:{}…{}", &hex[..4], &hex[hex.len() - 4..])
        }
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_duration_is_as_exact_as_it_matters() {
        let cases = [
            (-5, "0 ms"),
            (8, "8 ms"),
            (1900, "1.9 s"),
            (9999, "9.9 s"),
            (42_000, "42 s"),
            (124_000, "2 m 04 s"),
            (4_320_000, "1 h 12 m"),
            (3 * 86_400_000, "3 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(seconds(38_900), "38 s");
    }

    #[test]
    fn a_countdown_says_nothing_only_when_nothing_is_left() {
        assert_eq!(countdown(872_000), "14:32");
        assert_eq!(countdown(1), "0:01");
        assert_eq!(countdown(0), "0:00");
        assert_eq!(countdown(-1), "0:00");
        assert_eq!(countdown(3_729_000), "1:02:09");
    }

    #[test]
    fn an_age_has_one_unit_and_no_future() {
        for (ms, text) in [
            (-3000, "just now"),
            (9000, "just now"),
            (12_000, "12 s"),
            (150_000, "2 min"),
            (7_300_000, "2 h"),
            (2 * 86_400_000, "2 d"),
        ] {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn sizes_counts_and_shares_read_like_the_board() {
        assert_eq!(bytes(141 << 20), "141 MiB");
        assert_eq!(bytes(1_181_116_006), "1.1 GiB");
        assert_eq!(bytes(12 << 30), "12 GiB");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(
            (count(9120), count(12), count(1_234_567)),
            ("9,120".into(), "12".into(), "1,234,567".into())
        );
        assert_eq!(
            (errors(0.0), errors(0.02), errors(0.001)),
            ("0 %".into(), "0.02 %".into(), "< 0.01 %".into())
        );
        assert_eq!(
            (latency(400), latency(38_200), latency(1_250_000)),
            ("0.4 ms".into(), "38 ms".into(), "1.2 s".into())
        );
        assert_eq!(
            (cores(1000), cores(500), cores(1250)),
            ("1 core".into(), "0.5 cores".into(), "1.25 cores".into())
        );
    }

    #[test]
    fn moments_are_exact_for_people_and_for_machines() {
        let at = datetime!(2026-11-21 12:06:02.114 UTC);

        assert_eq!(exact(at), "2026-11-21 12:06:02.114 UTC");
        assert_eq!(machine(at), "2026-11-21T12:06:02.114Z");
        assert_eq!(clock_ms(at), "12:06:02.114");
        assert_eq!(day(at), "21 Nov 12:06");
    }

    #[test]
    fn an_image_is_shown_short_and_still_told_apart() {
        let id = format!("sha256:9c1e{}77af", "0".repeat(56));
        assert_eq!(image(&id), "sha256:9c1e…77af");
        assert_eq!(image("odd"), "odd");
    }
}
