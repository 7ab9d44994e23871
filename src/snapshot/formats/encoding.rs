//! Text in UTF-8 or UTF-16, with a byte order mark or without, read as UTF-8.

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};
use std::io::{self, Read};

/// UTF-16 that is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("broken UTF-16 within the {read} bytes that were read")]
pub(super) struct Malformed {
    read: u64,
}

/// The encoding of a text, if it is not UTF-8, by its first bytes: JSON and YAML begin with a character of ASCII.
pub(super) fn utf_16(beginning: &[u8]) -> Option<&'static Encoding> {
    match *beginning {
        // The same mark and two zeros begin UTF-32.
        [0xFF, 0xFE, 0, 0, ..] => None,
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        [first, 0, second, 0, ..] if first != 0 && second != 0 => Some(UTF_16LE),
        [0, first, 0, second, ..] if first != 0 && second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// Reads UTF-16 as UTF-8.
pub(super) struct Utf8<R> {
    input: R,
    decoder: Decoder,
    piece: Vec<u8>,
    /// What of the piece is not decoded yet.
    from: usize,
    to: usize,
    read: u64,
    ended: bool,
    finished: bool,
}

const PIECE: usize = 64 << 10;

/// One character of UTF-8.
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
    /// Whoever reads has room for a character.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match out.len() {
            0 => Ok(0),
            1..LONGEST => Err(io::Error::from(io::ErrorKind::InvalidInput)),
            _ => self.decode(out),
        }
    }
}
