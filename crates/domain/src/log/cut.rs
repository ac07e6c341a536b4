//! From bytes as they come to lines, of which none is longer than it may be.

use super::{LINE_BYTES, LogLine, Source, text::shown};

/// A line of which more than this is missing is given out before its end: it may have none.
pub const GIVEN_UP: u64 = 1 << 20;

/// Cuts what comes from one source into lines. Holds at most [`LINE_BYTES`].
#[derive(Clone, Debug)]
pub struct Cutter {
    source: Source,
    /// When the line began that is not over yet.
    begun_ns: Option<i64>,
    held: Vec<u8>,
    left_out: u64,
    /// The line was given out, and its end did not come yet.
    given_up: bool,
}

impl Cutter {
    /// For what an instance writes to `source`.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self { source, begun_ns: None, held: Vec::new(), left_out: 0, given_up: false }
    }

    /// Takes some bytes, and puts the lines that are over into `lines`.
    pub fn push(&mut self, at_ns: i64, bytes: &[u8], lines: &mut Vec<LogLine>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, over) = match part {
                [rest @ .., b'\n'] => (rest, true),
                part => (part, false),
            };
            if !self.given_up {
                self.begun_ns.get_or_insert(at_ns);
                let room = LINE_BYTES - self.held.len();
                let (kept, cut) = part.split_at(part.len().min(room));
                self.held.extend_from_slice(kept);
                self.left_out += cut.len() as u64;
            }
            if over {
                lines.extend(self.end());
                self.given_up = false;
            } else if self.left_out > GIVEN_UP {
                lines.extend(self.end());
                self.given_up = true;
            }
        }
    }

    /// The line that was begun and did not end: nothing comes any more.
    pub fn end(&mut self) -> Option<LogLine> {
        let at_ns = self.begun_ns.take()?;
        let mut held = std::mem::take(&mut self.held);
        let mut left_out = std::mem::take(&mut self.left_out);
        if left_out == 0 {
            // A terminal would only go back to the start of a line that is over anyway.
            held.truncate(without_returns(&held));
        } else {
            let whole = whole_characters(&held);
            left_out += (held.len() - whole) as u64;
            held.truncate(whole);
        }
        Some(LogLine { at_ns, source: self.source, text: shown(&held), left_out })
    }
}

/// The length without carriage returns at the end.
fn without_returns(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1)
}

/// How many of the bytes are left when a character that was cut through at the end is not counted.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<LogLine> {
        let mut cutter = Cutter::new(Source::Out);
        let mut lines = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            cutter.push(i64::try_from(at).unwrap(), piece, &mut lines);
        }
        lines.extend(cutter.end());
        lines
    }

    #[test]
    fn pieces_become_lines_with_the_time_they_began() {
        let lines = cut(&[b"one\ntw", b"o\r\n", b"\n", b"unfinished"]);

        let said: Vec<_> = lines.iter().map(|line| (line.at_ns, line.text.as_str())).collect();
        assert_eq!(said, [(0, "one"), (0, "two"), (2, ""), (3, "unfinished")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_says_how_much_is_missing() {
        let mut long = vec![b'x'; 1_000_000];
        long.push(b'\n');
        let exact = [vec![b'y'; LINE_BYTES], vec![b'\n']].concat();
        // 'é' has two bytes, of which the second would be over the end.
        let through = [vec![b'z'; LINE_BYTES - 1], "é\n".as_bytes().to_vec()].concat();

        let lines = cut(&[&long[..20_000], &long[20_000..], &exact, &through, b"next\n"]);

        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].text.len(), LINE_BYTES);
        assert_eq!(lines[0].left_out, (1_000_000 - LINE_BYTES) as u64);
        assert_eq!((lines[1].text.len(), lines[1].left_out), (LINE_BYTES, 0));
        assert_eq!((lines[2].text.len(), lines[2].left_out), (LINE_BYTES - 1, 2));
        assert_eq!((lines[3].text.as_str(), lines[3].left_out), ("next", 0));
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_and_is_given_out_once() {
        let mut cutter = Cutter::new(Source::Err);
        let mut lines = Vec::new();
        let piece = vec![b'x'; 64 * 1024];

        for _ in 0..1600 {
            cutter.push(1, &piece, &mut lines);
            assert!(cutter.held.capacity() <= 2 * LINE_BYTES);
        }
        cutter.push(2, b"its end\nanother\n", &mut lines);

        assert_eq!(lines.len(), 2);
        assert!(lines[0].left_out >= GIVEN_UP);
        assert_eq!(lines[1].text, "another");
    }
}
