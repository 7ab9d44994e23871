//! Fragments: text that is deflated once and used in any number of response bodies.
//!
//! Each fragment is deflated on its own, so none refers to another. It ends with a sync flush, so it ends on a byte boundary.
//! Any sequence of fragments plus an empty last block is a valid deflate stream.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Header of a gzip member: deflate, no name, no time, unknown system.
pub(super) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The empty last block that ends a deflate stream.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// A deflated piece of text.
#[derive(Clone)]
pub(super) struct Fragment {
    pub deflated: Bytes,
    /// Checksum of the text.
    pub sum: Checksum,
}

/// CRC32 and length of a text, which the trailer of a gzip member needs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Checksum {
    crc: u32,
    pub length: u64,
}

/// Deflates texts with one reused state.
pub(super) struct Deflater {
    state: Compress,
    output: Vec<u8>,
}

/// Inflates fragments with one reused state.
pub(super) struct Inflater {
    state: Decompress,
}

impl Fragment {
    pub(super) fn new(text: &str, deflater: &mut Deflater) -> Self {
        Self { deflated: deflater.deflate(text.as_bytes()), sum: Checksum::of(text.as_bytes()) }
    }
}

impl Checksum {
    pub(super) fn of(text: &[u8]) -> Self {
        Self { crc: crc32fast::hash(text), length: text.len() as u64 }
    }

    /// The checksum of this text followed by another.
    pub(super) fn then(self, next: Self) -> Self {
        let mut whole = crc32fast::Hasher::new_with_initial_len(self.crc, self.length);
        whole.combine(&crc32fast::Hasher::new_with_initial_len(next.crc, next.length));
        Self { crc: whole.finalize(), length: self.length + next.length }
    }

    /// The trailer of a gzip member with this text.
    pub(super) fn gzip_trailer(self) -> [u8; 10] {
        let mut trailer = [0; 10];
        #[allow(clippy::cast_possible_truncation, reason = "RFC 1952 requires the length modulo 2^32")]
        let length = self.length as u32;
        trailer[..2].copy_from_slice(&LAST_BLOCK);
        trailer[2..6].copy_from_slice(&self.crc.to_le_bytes());
        trailer[6..].copy_from_slice(&length.to_le_bytes());
        trailer
    }
}

impl Deflater {
    /// Compression level 2: on this text a tenth larger than the default level in less than half its time, and a
    /// quarter smaller than level 1.
    pub(super) fn new() -> Self {
        Self { state: Compress::new(Compression::new(2), false), output: Vec::new() }
    }

    pub(super) fn deflate(&mut self, text: &[u8]) -> Bytes {
        self.state.reset();
        self.output.clear();
        let mut rest = text;
        loop {
            self.output.reserve(rest.len() / 4 + 64);
            let before = self.state.total_in();
            if self.state.compress_vec(rest, &mut self.output, FlushCompress::Sync).is_err() {
                // zlib has no reason to fail here. If it does, the text is stored uncompressed.
                return stored(text);
            }
            let consumed = usize::try_from(self.state.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(consumed..).unwrap_or_default();
            // The flush is complete if the buffer has room left.
            if rest.is_empty() && self.output.len() < self.output.capacity() {
                return Bytes::copy_from_slice(&self.output);
            }
        }
    }
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { state: Decompress::new(false) }
    }

    /// Returns the text of a fragment.
    pub(super) fn inflate(&mut self, fragment: &Fragment) -> String {
        self.state.reset(false);
        let mut deflated = fragment.deflated.clone();
        let length = usize::try_from(fragment.sum.length).unwrap_or_default();
        // One byte more, to read the sync flush, too.
        String::from_utf8(self.inflate_piece(&mut deflated, length + 1)).unwrap_or_default()
    }

    /// Returns the next piece of text, at most `limit` bytes, and consumes its input; empty at the end.
    pub(super) fn inflate_piece(&mut self, deflated: &mut Bytes, limit: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(limit);
        while text.len() < limit {
            let before = (self.state.total_in(), text.len());
            // The input was deflated by this process, so it is valid.
            let outcome = self.state.decompress_vec(deflated, &mut text, FlushDecompress::None);
            let consumed = usize::try_from(self.state.total_in() - before.0).unwrap_or_default();
            let _ = deflated.split_to(consumed.min(deflated.len()));
            if outcome.is_err() || (consumed == 0 && text.len() == before.1) {
                break;
            }
        }
        text
    }
}

/// Encodes a text as stored deflate blocks.
fn stored(text: &[u8]) -> Bytes {
    let mut blocks = Vec::with_capacity(text.len() + 64);
    for block in text.chunks(usize::from(u16::MAX)) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        blocks.push(0);
        blocks.extend_from_slice(&length.to_le_bytes());
        blocks.extend_from_slice(&(!length).to_le_bytes());
        blocks.extend_from_slice(block);
    }
    blocks.into()
}

#[cfg(test)]
mod tests {
    use super::{Checksum, Deflater, Fragment, Inflater, stored};
    use bytes::Bytes;

    fn texts() -> [String; 4] {
        ["a".to_owned(), "podskew ".repeat(20_000), "ü".repeat(70_000), (0..9999).map(|n| n.to_string()).collect()]
    }

    #[test]
    fn fragments_in_any_order_are_one_stream() {
        let mut deflater = Deflater::new();
        let texts = texts();
        let fragments: Vec<_> = texts.iter().rev().map(|text| Fragment::new(text, &mut deflater)).collect();
        let (mut inflater, mut all) = (Inflater::new(), Vec::new());
        for mut rest in fragments.iter().map(|fragment| fragment.deflated.clone()) {
            loop {
                let piece = inflater.inflate_piece(&mut rest, 1000);
                assert!(piece.len() <= 1000);
                if piece.is_empty() {
                    break;
                }
                all.extend(piece);
            }
        }
        let whole: String = texts.iter().rev().map(String::as_str).collect();
        assert!(String::from_utf8(all).is_ok_and(|all| all == whole));
        let sum = fragments.iter().fold(Checksum::default(), |sum, fragment| sum.then(fragment.sum));
        assert_eq!(sum, Checksum::of(whole.as_bytes()));
    }

    #[test]
    fn a_fragment_can_be_read_again() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        for text in texts() {
            let fragment = Fragment::new(&text, &mut deflater);
            assert!(inflater.inflate(&fragment) == text && fragment.deflated.len() < text.len() + 64);
        }
    }

    #[test]
    fn text_can_be_stored_without_compression() {
        let mut inflater = Inflater::new();
        for text in texts() {
            let fragment = Fragment { deflated: stored(text.as_bytes()), sum: Checksum::of(text.as_bytes()) };
            assert!(inflater.inflate(&fragment) == text);
        }
        assert_eq!(stored(b""), Bytes::new());
    }
}
