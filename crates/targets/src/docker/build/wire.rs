//! As much of protocol buffers as `BuildKit` needs of us: reading its progress, and answering it.
//!
//! A few fields of three messages (`moby.buildkit.v1.StatusResponse` and the session's
//! `GetSecret`); a library with its generated code would be a hundred times as much.

use time::OffsetDateTime;

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of fixed width: nothing here has one, but it can be stepped over.
    Fixed,
}

/// The fields of a message in order. Ends where it can not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A step as the engine last saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vertex {
    pub digest: String,
    pub name: String,
    pub cached: bool,
    pub started: Option<OffsetDateTime>,
    pub completed: Option<OffsetDateTime>,
    pub error: String,
}

/// Something a step wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written<'a> {
    pub vertex: String,
    pub at: OffsetDateTime,
    pub stderr: bool,
    pub bytes: &'a [u8],
}

/// One piece of progress: `moby.buildkit.v1.StatusResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status<'a> {
    pub vertexes: Vec<Vertex>,
    pub written: Vec<Written<'a>>,
}

impl<'a> Status<'a> {
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut status = Self::default();
        for field in Fields(bytes) {
            match field {
                (1, Value::Bytes(vertex)) => status.vertexes.push(read_vertex(vertex)),
                (3, Value::Bytes(log)) => status.written.push(read_log(log)),
                _ => {}
            }
        }
        status
    }
}

fn read_vertex(bytes: &[u8]) -> Vertex {
    let mut vertex = Vertex::default();
    for field in Fields(bytes) {
        match field {
            (1, Value::Bytes(digest)) => vertex.digest = text(digest),
            (3, Value::Bytes(name)) => vertex.name = text(name),
            (4, Value::Number(cached)) => vertex.cached = cached != 0,
            (5, Value::Bytes(at)) => vertex.started = read_time(at),
            (6, Value::Bytes(at)) => vertex.completed = read_time(at),
            (7, Value::Bytes(error)) => vertex.error = text(error),
            _ => {}
        }
    }
    vertex
}

fn read_log(bytes: &[u8]) -> Written<'_> {
    let mut log = Written {
        vertex: String::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        stderr: false,
        bytes: &[],
    };
    for field in Fields(bytes) {
        match field {
            (1, Value::Bytes(digest)) => log.vertex = text(digest),
            (2, Value::Bytes(at)) => log.at = read_time(at).unwrap_or(log.at),
            (3, Value::Number(stream)) => log.stderr = stream == 2,
            (4, Value::Bytes(message)) => log.bytes = message,
            _ => {}
        }
    }
    log
}

fn read_time(bytes: &[u8]) -> Option<OffsetDateTime> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Fields(bytes) {
        match field {
            (1, Value::Number(number)) => seconds = number.cast_signed(),
            (2, Value::Number(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    let whole = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    whole.checked_add(time::Duration::nanoseconds(nanos))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One field of bytes, as a whole message.
pub(super) fn message(field: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 12);
    put_varint(&mut out, field << 3 | 2);
    put_varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// One field with a number, as a whole message.
pub(super) fn number(field: u64, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, field << 3);
    put_varint(&mut out, number);
    out
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let long = vec![7; 300];
        let mut both = message(3, &long);
        both.extend(number(4, 300));

        let read: Vec<_> = Fields(&both).collect();

        assert_eq!(read, [(3, Value::Bytes(&long[..])), (4, Value::Number(300))]);
    }

    #[test]
    fn a_torn_message_ends_and_does_no_harm() {
        let whole = message(1, &message(3, b"name"));
        assert_eq!(Status::read(&whole).vertexes[0].name, "name");
        for end in 0..whole.len() {
            Status::read(&whole[..end]);
        }
        assert_eq!(Fields(&[0xff; 20]).next(), None);
    }
}
