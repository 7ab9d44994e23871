//! Finds the ends of strings and brackets, many bytes at a time.
//!
//! Most of a text is skipped, so this determines the speed. A block of 64 bytes becomes four words with a bit per byte:
//! quotes, backslashes, opening and closing brackets. A few operations on words then determine for all 64 bytes which
//! quotes are escaped, which bytes are inside of strings, and how deep brackets are nested.

use wide::{u8x16, u8x32};

/// Bytes per block: one for each bit of a word.
const BLOCK: usize = 64;

/// Bytes that are compared at once: a vector on every x86-64 and ARM64.
const PART: usize = 16;

/// The position of a string's first quote or backslash at or after `from`, which is within the string.
#[inline]
pub(super) fn quote_or_backslash(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Most strings are longer than one part and shorter than two: comparing both at once avoids a branch.
    while let Some(parts) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let parts = u8x32::new(*parts);
        let found = parts.simd_eq(u8x32::splat(b'"')) | parts.simd_eq(u8x32::splat(b'\\'));
        let found = found.to_bitmask();
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += 2 * PART;
    }
    let rest = text.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found)
}

/// The position after the bracket that closes the one before `from`.
pub(super) fn after_closing_bracket(text: &[u8], from: usize) -> Option<usize> {
    let mut strings = Strings::default();
    let mut open = 1_usize;
    let mut at = from;
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let bits = rest.first_chunk().map_or_else(|| Bits::of_last(rest), Bits::of);
        let outside = !strings.inside(bits.quotes, bits.backslashes);
        let (mut opening, mut closing) = (bits.opening & outside, bits.closing & outside);
        // An empty pair cancels out, and `managedFields` are full of them.
        let pairs = (opening << 1) & closing;
        closing ^= pairs;
        opening ^= pairs >> 1;
        if closing != 0 {
            let closed = closing.count_ones() as usize;
            if closed >= open {
                // It may close here: check one closing bracket after the other.
                let mut before = 0;
                while closing != 0 {
                    let bit = closing.trailing_zeros();
                    let opened = (opening & ((1 << bit) - 1)).count_ones() as usize;
                    before += 1;
                    if open + opened == before {
                        return Some(at + bit as usize + 1);
                    }
                    closing &= closing - 1;
                }
            }
            open += opening.count_ones() as usize;
            open -= closed;
        } else if opening != 0 {
            open += opening.count_ones() as usize;
        }
        at += BLOCK;
    }
}

/// State between blocks.
#[derive(Default)]
struct Strings {
    /// All ones if the last block ended inside of a string.
    inside: u64,
    /// 1 if the last block ended with a backslash that escapes the next byte.
    escaping: u64,
}

impl Strings {
    /// The bytes inside of strings, with their opening quotes.
    fn inside(&mut self, quotes: u64, backslashes: u64) -> u64 {
        let quotes = quotes & !self.escaped(backslashes);
        // Each bit becomes the parity of the quotes up to it.
        let mut parity = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        let inside = parity ^ self.inside;
        self.inside = 0_u64.wrapping_sub(inside >> 63);
        inside
    }

    /// The bytes after a backslash that is not escaped itself.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let first_escaped = std::mem::take(&mut self.escaping);
        if backslashes == 0 {
            return first_escaped;
        }
        // Every second backslash of a run escapes, beginning with the first. A subtraction's borrow, which carries
        // through to the end of the run, distinguishes runs that begin at an even bit from those at an odd one.
        let runs = backslashes & !first_escaped;
        let escaping = (((runs << 1) | ODD).wrapping_sub(runs) ^ ODD) & runs;
        self.escaping = escaping >> 63;
        (escaping << 1) | first_escaped
    }
}

/// A bit for each byte of a block.
#[derive(PartialEq, Eq, Debug)]
struct Bits {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Bits {
    /// The last, incomplete block, padded.
    fn of_last(rest: &[u8]) -> Self {
        let mut block = [b' '; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        Self::of(&block)
    }

    fn of(block: &[u8; BLOCK]) -> Self {
        let mut bits = Self { quotes: 0, backslashes: 0, opening: 0, closing: 0 };
        for (index, part) in block.as_chunks().0.iter().enumerate() {
            let (part, shift) = (u8x16::new(*part), index * PART);
            // Maps `[` to `{` and `]` to `}`, and no other byte to either.
            let braces = part | u8x16::splat(0x20);
            bits.quotes |= equal(part, b'"') << shift;
            bits.backslashes |= equal(part, b'\\') << shift;
            bits.opening |= equal(braces, b'{') << shift;
            bits.closing |= equal(braces, b'}') << shift;
        }
        bits
    }
}

/// A bit for each byte that equals `byte`.
fn equal(part: u8x16, byte: u8) -> u64 {
    part.simd_eq(u8x16::splat(byte)).to_bitmask().into()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Bits, after_closing_bracket, quote_or_backslash};
    use proptest::prelude::*;

    /// The same, a byte at a time.
    fn slowly(text: &[u8], from: usize) -> Option<usize> {
        let (mut open, mut inside, mut escaped) = (1, false, false);
        for (at, byte) in text.iter().enumerate().skip(from) {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'\\' => escaped = !was_escaped,
                b'"' if !was_escaped => inside = !inside,
                b'{' | b'[' if !inside => open += 1,
                b'}' | b']' if !inside => {
                    open -= 1;
                    if open == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn telling_bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => prop::sample::select(&b"\"\\{}[]"[..]),
            3 => Just(b'\\'),
            3 => prop::sample::select(&b"\x02\x1b\x3b\x5f\x7f\xdb\xfb\xfd aZ:,"[..]),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_bit_stands_for_each_byte(block in telling_bytes(BLOCK)) {
            let block: &[u8; BLOCK] = block.first_chunk().unwrap();
            let bits = Bits::of(block);
            for (at, byte) in block.iter().enumerate() {
                prop_assert_eq!(bits.quotes >> at & 1 == 1, *byte == b'"');
                prop_assert_eq!(bits.backslashes >> at & 1 == 1, *byte == b'\\');
                prop_assert_eq!(bits.opening >> at & 1 == 1, b"{[".contains(byte));
                prop_assert_eq!(bits.closing >> at & 1 == 1, b"}]".contains(byte));
            }
        }

        #[test]
        fn a_bracket_closes_where_it_does_byte_by_byte(
            text in (0_usize..400).prop_flat_map(telling_bytes),
            nested in 0_usize..100,
            from in 0_usize..70,
        ) {
            let mut text = text;
            let end = text.len() / 2;
            // So deep that whole blocks are skipped.
            text.splice(0..0, std::iter::repeat_n(b'[', nested));
            text.splice(end..end, std::iter::repeat_n(b'{', nested));
            text.extend(std::iter::repeat_n(b'}', 2 * nested));
            prop_assert_eq!(after_closing_bracket(&text, from), slowly(&text, from));
        }

        #[test]
        fn a_string_ends_where_it_does_byte_by_byte(
            mut text in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..100),
            end: prop::sample::Index,
            from in 0_usize..100,
        ) {
            text.push(b'a');
            let end = end.index(text.len());
            text[end] = b'"';
            let expected = text.iter().skip(from).position(|byte| b"\"\\".contains(byte)).map(|found| from + found);
            prop_assert_eq!(quote_or_backslash(&text, from), expected);
        }
    }
}
