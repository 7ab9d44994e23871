//! Decodes UTF-8 and UTF-16 text, with or without a byte order mark.

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};
use std::io::{self, Read};

/// Invalid UTF-16.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("broken UTF-16 within the {read} bytes that were read")]
pub(super) struct Malformed {
    read: u64,
}

/// The encoding of a text, if it is not UTF-8, by its first bytes: JSON and YAML begin with an ASCII character.
pub(super) fn utf_16(beginning: &[u8]) -> Option<&'static Encoding> {
    match *beginning {
        // UTF-32 begins with the same mark and two zeros.
        [0xFF, 0xFE, 0, 0, ..] => None,
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        [first, 0, second, 0, ..] if first != 0 && second != 0 => Some(UTF_16LE),
        [0, first, 0, second, ..] if first != 0 && second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// A reader that converts UTF-16 to UTF-8.
pub(super) struct Utf8<R> {
    input: R,
    decoder: Decoder,
    piece: Vec<u8>,
    /// Start of the undecoded rest of the buffer.
    from: usize,
    to: usize,
    read: u64,
    ended: bool,
    finished: bool,
}

const PIECE: usize = 64 << 10;

/// Maximum bytes of a UTF-8 character.
const LONGEST: usize = 4;

impl<R: Read> Utf8<R> {
    pub(super) fn new(input: R, encoding: &'static Encoding) -> Self {
        Self {
            input,
            decoder: encoding.new_decoder_with_bom_removal(),
            piece: vec![0; PIECE],
            from: 0,
            to: 0,
            read: 0,
            ended: false,
            finished: false,
        }
    }

    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.finished {
                return Ok(0);
            }
            if self.from == self.to && !self.ended {
                self.to = self.input.read(&mut self.piece)?;
                self.from = 0;
                self.ended = self.to == 0;
                self.read += self.to as u64;
            }
            let piece = &self.piece[self.from..self.to];
            let (result, taken, written) = self.decoder.decode_to_utf8_without_replacement(piece, out, self.ended);
            self.from += taken;
            match result {
                DecoderResult::Malformed(..) => return Err(io::Error::other(Malformed { read: self.read })),
                DecoderResult::InputEmpty if self.ended => self.finished = true,
                DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

impl<R: Read> Read for Utf8<R> {
    /// The buffer has room for a character.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match out.len() {
            0 => Ok(0),
            1..LONGEST => Err(io::Error::from(io::ErrorKind::InvalidInput)),
            _ => self.decode(out),
        }
    }
}
