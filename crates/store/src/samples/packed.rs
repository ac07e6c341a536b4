//! Histograms as bytes: for each bucket how far its bound is from the one before, and its count, seven
//! bits a byte. A second of a busy slot takes some twenty bytes.

/// A histogram, its bounds ascending.
pub(super) fn pack(latencies: &[(u32, u64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(latencies.len() * 4);
    let mut before = 0;
    for &(bound, count) in latencies {
        push(&mut bytes, u64::from(bound.saturating_sub(before)));
        push(&mut bytes, count);
        before = bound;
    }
    bytes
}

/// The histogram. `None`: these are not the bytes of one.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<(u32, u64)>> {
    let mut latencies = Vec::new();
    let (mut bound, mut rest) = (0u32, bytes);
    while !rest.is_empty() {
        bound = bound.checked_add(u32::try_from(pull(&mut rest)?).ok()?)?;
        latencies.push((bound, pull(&mut rest)?));
    }
    Some(latencies)
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(0x80 | low(number));
        number >>= 7;
    }
    bytes.push(low(number));
}

/// The low seven bits.
fn low(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_comes_back_as_it_was_and_anything_else_is_refused() {
        let full = vec![(100, 1), (110, 300), (56_000_000, u64::MAX)];

        assert_eq!(unpack(&pack(&full)), Some(full.clone()));
        assert_eq!(unpack(&pack(&[])), Some(Vec::new()));
        assert_eq!(unpack(&pack(&full)[..3]), None);
        assert_eq!(unpack(&[0xff; 11]), None);
        assert!(pack(&[(1100, 40), (1210, 9)]).len() <= 5);
    }
}
