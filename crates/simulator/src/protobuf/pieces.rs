//! Encoded bytes with blanks. The length of a message depends on the values that replace them.

use crate::time::Time;

/// The wire type of an integer.
pub(super) const VARINT: u32 = 0;
/// The wire type of a value with a length.
pub(super) const LENGTH: u32 = 2;

/// Maximum size of a tag, a length or a time.
const MOST_BYTES: usize = 16;

/// Encoded pieces, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// A value as it is.
    Value(usize),
    /// The time that a value has as text, with its length.
    Timestamp(usize),
    /// Content with a length that depends on the values in it.
    Nested(Pieces),
}

/// The tag of a field.
pub(super) fn tag(number: u32, wire: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire), out);
}

/// A varint: seven bits in each byte.
#[expect(clippy::cast_possible_truncation, reason = "seven bits are taken at a time")]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Size of a number as a varint.
pub(super) fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The content of a timestamp's message: seconds, and no nanoseconds.
pub(super) fn timestamp(time: Time, out: &mut Vec<u8>) {
    tag(1, VARINT, out);
    varint(time.seconds().cast_unsigned(), out);
    tag(2, VARINT, out);
    out.push(0);
}

impl Pieces {
    /// The buffer for bytes without blanks.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0.last(), Some(Piece::Bytes(_))) {
            self.0.push(Piece::Bytes(Vec::new()));
        }
        match self.0.last_mut() {
            Some(Piece::Bytes(bytes)) => bytes,
            _ => unreachable!("bytes were pushed just now"),
        }
    }

    pub(super) fn value(&mut self, index: usize) {
        self.0.push(Piece::Value(index));
    }

    pub(super) fn timestamp(&mut self, index: usize) {
        self.0.push(Piece::Timestamp(index));
    }

    /// Appends content and its length.
    pub(super) fn nested(&mut self, inner: Self) {
        match inner.as_bytes() {
            Some(content) => {
                varint(content.len() as u64, self.bytes());
                self.bytes().extend_from_slice(content);
            }
            None => self.0.push(Piece::Nested(inner)),
        }
    }

    /// The bytes, if there is no blank.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0[..] {
            [] => Some(&[]),
            [Piece::Bytes(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// Maximum number of bytes once these values are filled in.
    pub(super) fn most_bytes(&self, values: &[&str]) -> usize {
        let of = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Value(index) => values.get(*index).map_or(0, |value| value.len()),
            Piece::Timestamp(_) => MOST_BYTES,
            Piece::Nested(inner) => MOST_BYTES + inner.most_bytes(values),
        };
        self.0.iter().map(of).sum()
    }

    /// Writes it with the values filled in; `None` if a value that must be a timestamp is not one.
    pub(super) fn write(&self, values: &[&str], out: &mut Backwards) -> Option<()> {
        for piece in self.0.iter().rev() {
            match piece {
                Piece::Bytes(bytes) => out.put(bytes),
                Piece::Value(index) => out.put(values.get(*index)?.as_bytes()),
                Piece::Timestamp(index) => {
                    let mut content = Vec::with_capacity(MOST_BYTES);
                    timestamp(Time::parse(values.get(*index)?)?, &mut content);
                    out.put(&content);
                    out.put_length(content.len());
                }
                Piece::Nested(inner) => {
                    let end = out.start;
                    inner.write(values, out)?;
                    out.put_length(end - out.start);
                }
            }
        }
        Some(())
    }
}

/// Bytes that are written from the end to the beginning, so that a length is written after its content.
pub(super) struct Backwards {
    buffer: Vec<u8>,
    start: usize,
}

impl Backwards {
    /// A buffer with this capacity.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes], start: bytes }
    }

    /// The bytes written so far.
    pub(super) fn written(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn put(&mut self, bytes: &[u8]) {
        let start = self.start - bytes.len();
        self.buffer[start..self.start].copy_from_slice(bytes);
        self.start = start;
    }

    fn put_length(&mut self, length: usize) {
        let mut bytes = Vec::with_capacity(MOST_BYTES);
        varint(length as u64, &mut bytes);
        self.put(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Backwards, LENGTH, Pieces, tag, varint, varint_bytes};

    #[test]
    fn varint_bytes_is_the_length_of_a_varint() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, usize::MAX] {
            let mut bytes = Vec::new();
            varint(value as u64, &mut bytes);
            assert_eq!(bytes.len(), varint_bytes(value), "{value}");
        }
    }

    #[test]
    fn lengths_follow_the_values() {
        let mut inner = Pieces::default();
        inner.bytes().extend_from_slice(b"a-");
        inner.value(0);
        let mut pieces = Pieces::default();
        tag(1, LENGTH, pieces.bytes());
        pieces.nested(inner);
        let value = "x".repeat(200);
        for values in [["b"], [value.as_str()]] {
            let mut out = Backwards::with_room(pieces.most_bytes(&values));
            pieces.write(&values, &mut out).unwrap();
            let mut expected = vec![0x0a];
            varint(2 + values[0].len() as u64, &mut expected);
            expected.extend_from_slice(format!("a-{}", values[0]).as_bytes());
            assert_eq!(out.written(), expected);
        }
    }
}
