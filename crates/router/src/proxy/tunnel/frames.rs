//! Follows the frames of a WebSocket that passes by, to know where one ends. Reads no payload.

/// A frame's opcode that ends the conversation.
const CLOSE: u8 = 0x8;

/// Where in its frames one direction of a WebSocket is (RFC 6455, 5.2).
#[derive(Debug, Default)]
pub struct Frames {
    head: Vec<u8>,
    payload_left: u64,
    saw_close: bool,
}

impl Frames {
    /// Bytes that passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let passed =
                    bytes.len().min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
                self.payload_left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(payload) = payload(&self.head) {
                self.saw_close |= self.head[0] & 0x0F == CLOSE;
                self.payload_left = payload;
                self.head.clear();
            }
        }
    }

    /// Nothing of a frame is outstanding.
    pub fn at_boundary(&self) -> bool {
        self.head.is_empty() && self.payload_left == 0
    }

    /// A close frame passed.
    pub const fn saw_close(&self) -> bool {
        self.saw_close
    }
}

/// How long the payload is, once the head is whole.
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let length = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if head.len() < 2 + length + mask {
        return None;
    }
    let extended = &head[2..2 + length];
    Some(match length {
        0 => u64::from(second & 0x7F),
        _ => extended.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        // A masked text of 3, a binary of 300, a close.
        let mut all = vec![0x81, 0x83, 1, 2, 3, 4, b'a', b'b', b'c'];
        all.extend([0x82, 126, 1, 44]);
        all.extend([7; 300]);
        let before_close = all.len();
        all.extend([0x88, 2, 3, 0xE9]);
        for cut in 0..=all.len() {
            let mut frames = Frames::default();

            frames.pass(&all[..cut]);
            let boundary = frames.at_boundary();
            frames.pass(&all[cut..]);

            assert_eq!(boundary, [0, 9, before_close, all.len()].contains(&cut), "{cut}");
            assert!(frames.at_boundary() && frames.saw_close());
        }
    }
}
