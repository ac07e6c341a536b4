//! Until when a certificate is good: the one thing that is read of X.509 (RFC 5280, 4.1), so that
//! expired credentials are told by their date and not by a refused handshake.

use time::{Date, Month, OffsetDateTime, Time};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, in which the version stands.
const VERSION: u8 = 0xa0;

/// Until when a certificate in DER is good. `None`: it can not be read.
pub(super) fn good_until(der: &[u8]) -> Option<OffsetDateTime> {
    let (SEQUENCE, certificate, _) = element(der)? else { return None };
    let (SEQUENCE, signed, _) = element(certificate)? else { return None };
    let (first, _, rest) = element(signed)?;
    let serial_and_on = if first == VERSION { rest } else { signed };
    let (INTEGER, _, rest) = element(serial_and_on)? else { return None };
    let (SEQUENCE, _algorithm, rest) = element(rest)? else { return None };
    let (SEQUENCE, _issuer, rest) = element(rest)? else { return None };
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _not_before, rest) = element(validity)?;
    let (kind, not_after, _) = element(rest)?;
    let text = std::str::from_utf8(not_after).ok()?.strip_suffix('Z')?;
    match kind {
        UTC_TIME => {
            let year: i32 = text.get(..2)?.parse().ok()?;
            // Two digits mean 1950 to 2049.
            moment(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => moment(text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => None,
    }
}

/// MMDDhhmmss of a year.
fn moment(year: i32, text: &str) -> Option<OffsetDateTime> {
    let two = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(two(0)?).ok()?, two(2)?).ok()?;
    let time = Time::from_hms(two(4)?, two(6)?, two(8)?).ok()?;
    Some(date.with_time(time).assume_utc())
}

/// The tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(digits)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut all = vec![tag, u8::try_from(content.len()).expect("short")];
        all.extend_from_slice(content);
        all
    }

    #[test]
    fn the_end_of_a_certificate_is_read_and_nonsense_is_not() {
        let certificate = |times: &[u8]| {
            let parts = [
                wrap(VERSION, &wrap(INTEGER, &[2])),
                wrap(INTEGER, &[7]),
                wrap(SEQUENCE, &[]),
                wrap(SEQUENCE, &[]),
                wrap(SEQUENCE, times),
            ];
            wrap(SEQUENCE, &wrap(SEQUENCE, &parts.concat()))
        };
        let utc = [wrap(UTC_TIME, b"250101000000Z"), wrap(UTC_TIME, b"260203040506Z")].concat();
        let late =
            [wrap(UTC_TIME, b"250101000000Z"), wrap(GENERALIZED_TIME, b"20510101000000Z")].concat();
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();

        assert_eq!(good_until(&certificate(&utc)), at(1_770_091_506));
        assert_eq!(good_until(&certificate(&late)), at(2_556_144_000));
        let whole = certificate(&utc);
        for cut in 0..whole.len() {
            assert_eq!(good_until(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(good_until(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
