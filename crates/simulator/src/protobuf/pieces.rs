//! Encoded bytes, which may have blanks: a message is as long as the words that are filled into it.

use crate::time::Time;

/// The wire type of an integer.
pub(super) const VARINT: u32 = 0;
/// The wire type of what has a length.
pub(super) const LENGTH: u32 = 2;

/// More than a tag's, a length's or a time's bytes.
const MOST_BYTES: usize = 16;

/// What was encoded, in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// A word as it is.
    Word(usize),
    /// The moment that a word tells, with its length.
    Moment(usize),
    /// What has a length, which depends on the words in it.
    Nested(Pieces),
}

/// The key of a field.
pub(super) fn tag(number: u32, wire: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire), out);
}

/// A number in as few bytes as it takes, seven bits in each.
#[expect(clippy::cast_possible_truncation, reason = "seven bits are taken at a time")]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes that takes.
pub(super) fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The content of a moment's message: seconds, and no nanoseconds.
pub(super) fn moment(time: Time, out: &mut Vec<u8>) {
    tag(1, VARINT, out);
    varint(time.seconds().cast_unsigned(), out);
    tag(2, VARINT, out);
    out.push(0);
}

impl Pieces {
    /// Where to go on writing bytes.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0.last(), Some(Piece::Bytes(_))) {
            self.0.push(Piece::Bytes(Vec::new()));
        }
        match self.0.last_mut() {
            Some(Piece::Bytes(bytes)) => bytes,
            _ => unreachable!("bytes were pushed just now"),
        }
    }

    pub(super) fn word(&mut self, index: usize) {
        self.0.push(Piece::Word(index));
    }

    pub(super) fn moment(&mut self, index: usize) {
        self.0.push(Piece::Moment(index));
    }

    /// Appends a length and what has it.
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

    /// At most so many bytes are written when these words are filled in.
    pub(super) fn most_bytes(&self, words: &[&str]) -> usize {
        let of = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Word(index) => words.get(*index).map_or(0, |word| word.len()),
            Piece::Moment(_) => MOST_BYTES,
            Piece::Nested(inner) => MOST_BYTES + inner.most_bytes(words),
        };
        self.0.iter().map(of).sum()
    }

    /// Writes it with its blanks filled; `None` if a word ought to tell a moment and does not.
    pub(super) fn write(&self, words: &[&str], out: &mut Backwards) -> Option<()> {
        for piece in self.0.iter().rev() {
            match piece {
                Piece::Bytes(bytes) => out.put(bytes),
                Piece::Word(index) => out.put(words.get(*index)?.as_bytes()),
                Piece::Moment(index) => {
                    let mut content = Vec::with_capacity(MOST_BYTES);
                    moment(Time::parse(words.get(*index)?)?, &mut content);
                    out.put(&content);
                    out.put_length(content.len());
                }
                Piece::Nested(inner) => {
                    let end = out.start;
                    inner.write(words, out)?;
                    out.put_length(end - out.start);
                }
            }
        }
        Some(())
    }
}

/// Bytes that are written from their end to their beginning: a length is known when what has it is written.
pub(super) struct Backwards {
    buffer: Vec<u8>,
    start: usize,
}

impl Backwards {
    /// Room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes], start: bytes }
    }

    /// What was written.
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
    fn a_varint_is_as_long_as_it_says() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, usize::MAX] {
            let mut bytes = Vec::new();
            varint(value as u64, &mut bytes);
            assert_eq!(bytes.len(), varint_bytes(value), "{value}");
        }
    }

    #[test]
    fn lengths_follow_the_words() {
        let mut inner = Pieces::default();
        inner.bytes().extend_from_slice(b"a-");
        inner.word(0);
        let mut pieces = Pieces::default();
        tag(1, LENGTH, pieces.bytes());
        pieces.nested(inner);
        let word = "x".repeat(200);
        for words in [["b"], [word.as_str()]] {
            let mut out = Backwards::with_room(pieces.most_bytes(&words));
            pieces.write(&words, &mut out).unwrap();
            let mut expected = vec![0x0a];
            varint(2 + words[0].len() as u64, &mut expected);
            expected.extend_from_slice(format!("a-{}", words[0]).as_bytes());
            assert_eq!(out.written(), expected);
        }
    }
}
