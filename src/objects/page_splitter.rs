//! Splits a page of a list, which arrives in frames, into small pages with some of its objects.
//!
//! The API server decides the length of a page, and a hostile server or proxy may send a gigabyte. So no page is
//! buffered as a whole: complete objects leave as a small page, with the opening and closing of the real one. An object
//! above the maximum length is skipped and counted. Anything that is not a list is left unchanged, and its decoder reports
//! the error.

use super::skip::after_closing_bracket;
use bytes::{Buf as _, BufMut as _, BytesMut};

/// Maximum length of an object. etcd accepts 1.5 MiB, which JSON may multiply.
pub const LONGEST_OBJECT: usize = 16 << 20;

/// Bytes of complete objects per piece.
const PIECE: usize = 128 << 10;

/// Opening of a JSON piece other than the first.
const JSON_OPENING: &[u8] = b"{\"items\":[";

/// Closing of a JSON piece other than the last.
const JSON_CLOSING: &[u8] = b"]}";

/// The first bytes of every protobuf response.
const ENVELOPE: &[u8] = b"k8s\0";

/// Tag of the envelope's field that holds the list.
const RAW: u8 = 0x12;

/// Bytes reserved for a length that is not known yet.
const LENGTH: usize = 5;

/// Splits one page.
#[derive(Debug)]
pub struct PageSplitter {
    /// Bytes that were not taken yet. They begin with the opening of a page.
    buffer: BytesMut,
    /// End of the opening.
    opening: usize,
    /// End of the last complete object.
    whole: usize,
    /// Length of the buffer at which it is examined again.
    examine_at: usize,
    expected: Expected,
    passed_over: u64,
    /// Opening of a protobuf piece, without its length.
    envelope: Vec<u8>,
}

/// What may follow after the last complete object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// The start of the page.
    Beginning,
    /// An object, or the end of the array. `first` if there was none before.
    Json { first: bool },
    /// Remaining bytes of the list.
    Protobuf { left: usize },
    /// The rest of a skipped object, up to its closing bracket.
    PassingJson { open: usize, in_string: bool, escaped: bool },
    /// Remaining bytes of a skipped object, and of the list after it.
    PassingProtobuf { pass: usize, left: usize },
    /// Nothing that can be split.
    End,
}

impl Default for PageSplitter {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            opening: 0,
            whole: 0,
            examine_at: 0,
            expected: Expected::Beginning,
            passed_over: 0,
            envelope: Vec::new(),
        }
    }
}

impl PageSplitter {
    /// Adds bytes of the page.
    pub fn push(&mut self, mut bytes: &[u8]) {
        match &mut self.expected {
            Expected::PassingJson { open, in_string, escaped } => {
                loop {
                    if *in_string && !*escaped {
                        // Without quotes or backslashes, the bytes are part of a long string.
                        bytes = &bytes[memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())..];
                    }
                    let Some((byte, rest)) = bytes.split_first() else { return };
                    bytes = rest;
                    match byte {
                        _ if std::mem::take(escaped) => {}
                        b'\\' if *in_string => *escaped = true,
                        b'"' => *in_string = !*in_string,
                        b'{' | b'[' if !*in_string => *open += 1,
                        b'}' | b']' if !*in_string => *open -= 1,
                        _ => {}
                    }
                    if *open == 0 {
                        break;
                    }
                }
                self.expected = Expected::Json { first: false };
            }
            Expected::PassingProtobuf { pass, left } => {
                let passed = (*pass).min(bytes.len());
                bytes = &bytes[passed..];
                *pass -= passed;
                if *pass > 0 {
                    return;
                }
                self.expected = Expected::Protobuf { left: *left };
            }
            _ => {}
        }
        make_room(&mut self.buffer, bytes.len());
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.examine_at {
            self.examine();
        }
    }

    /// Returns the complete objects if they are enough for a piece. `spare` is a buffer for the bytes after them.
    pub fn take(&mut self, spare: impl FnOnce() -> BytesMut) -> Option<BytesMut> {
        if self.whole - self.opening < PIECE || self.expected == Expected::End {
            return None;
        }
        let mut next = spare();
        next.clear();
        if self.envelope.is_empty() {
            next.extend_from_slice(JSON_OPENING);
        } else {
            next.extend_from_slice(&self.envelope);
            next.put_bytes(0, LENGTH);
        }
        let opening = next.len();
        next.extend_from_slice(&self.buffer[self.whole..]);
        let mut piece = std::mem::replace(&mut self.buffer, next);
        piece.truncate(self.whole);
        if self.envelope.is_empty() {
            piece.extend_from_slice(JSON_CLOSING);
        } else {
            write_length(&mut piece[self.envelope.len()..], self.whole - self.opening);
        }
        (self.opening, self.whole, self.examine_at) = (opening, opening, 0);
        Some(piece)
    }

    /// Returns the rest, after everything was pushed.
    #[must_use]
    pub fn rest(mut self) -> BytesMut {
        self.examine();
        if !self.envelope.is_empty() {
            let in_list = match self.expected {
                Expected::Protobuf { left: 0 } => self.whole - self.opening,
                // The page is truncated, and its decoder will report that.
                _ => self.buffer.len() - self.opening + 1,
            };
            write_length(&mut self.buffer[self.envelope.len()..], in_list);
        }
        self.buffer
    }

    /// Number of buffered bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Whether more is buffered than any object takes, without being an object.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.buffer.len() - self.whole > LONGEST_OBJECT + PIECE
    }

    /// Number of skipped objects.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Looks for complete objects.
    fn examine(&mut self) {
        loop {
            let goes_on = match self.expected {
                Expected::Beginning if self.buffer.len() < ENVELOPE.len() => None,
                Expected::Beginning if self.buffer.starts_with(ENVELOPE) => self.open_protobuf(),
                Expected::Beginning => self.open_json(),
                Expected::Json { first } => self.json_object(first),
                Expected::Protobuf { left: 0 } => None,
                Expected::Protobuf { left } => self.protobuf_field(left),
                _ => None,
            };
            if goes_on.is_none() {
                return;
            }
        }
    }

    /// Looks for the `items` of a list.
    fn open_json(&mut self) -> Option<()> {
        let text = &self.buffer[..];
        let mut at = after_space(text, 0)?;
        if text[at] != b'{' {
            return self.end();
        }
        loop {
            let key = after_space(text, at + 1)?;
            if text[key] != b'"' {
                return self.end();
            }
            let key_end = after_string(text, key)?;
            let colon = after_space(text, key_end)?;
            let value = after_space(text, colon + 1)?;
            if &text[key..key_end] == b"\"items\"" {
                if text[value] != b'[' {
                    return self.end();
                }
                (self.opening, self.whole) = (value + 1, value + 1);
                self.expected = Expected::Json { first: true };
                return Some(());
            }
            at = after_space(text, after_value(text, value)?)?;
            if text[at] != b',' {
                return self.end();
            }
        }
    }

    fn json_object(&mut self, first: bool) -> Option<()> {
        let mut at = after_space(&self.buffer, self.whole)?;
        if !first {
            if self.buffer[at] != b',' {
                return self.end();
            }
            if self.whole == self.opening {
                // It followed an object that is in another piece or was skipped.
                self.buffer.copy_within(at + 1.., self.whole);
                self.buffer.truncate(self.buffer.len() - (at + 1 - self.whole));
                at = self.whole;
            } else {
                at += 1;
            }
        }
        let Some(start) = after_space(&self.buffer, at) else {
            // The comma is gone: the next object begins an array.
            self.expected = Expected::Json { first: first || self.whole == self.opening };
            return None;
        };
        if self.buffer[start] != b'{' {
            return self.end();
        }
        self.examine_at = 0;
        let end = after_closing_bracket(&self.buffer, start + 1);
        let length = end.unwrap_or(self.buffer.len()) - start;
        if length > LONGEST_OBJECT {
            self.pass_over(start, Expected::PassingJson { open: 0, in_string: false, escaped: false });
            return None;
        }
        if let Some(end) = end {
            self.whole = end;
            self.expected = Expected::Json { first: false };
            return Some(());
        }
        if at == self.whole {
            self.expected = Expected::Json { first: true };
        }
        self.examine_at = self.buffer.len() + length.min(LONGEST_OBJECT - length + 1);
        None
    }

    /// Reads the envelope up to the list in it.
    fn open_protobuf(&mut self) -> Option<()> {
        let mut rest = &self.buffer[ENVELOPE.len()..];
        loop {
            let field = rest;
            let tag = number(&mut rest)?;
            if tag & 7 != 2 {
                return self.end();
            }
            let length = number(&mut rest)?;
            if tag == usize::from(RAW) {
                let head = self.buffer.len() - field.len();
                let behind = self.buffer.len() - rest.len();
                self.envelope = [&self.buffer[..head], &[RAW]].concat();
                let list = self.buffer.split_off(behind);
                self.buffer.clear();
                self.buffer.extend_from_slice(&self.envelope);
                self.buffer.put_bytes(0, LENGTH);
                (self.opening, self.whole) = (self.buffer.len(), self.buffer.len());
                self.buffer.extend_from_slice(&list);
                self.expected = Expected::Protobuf { left: length };
                return Some(());
            }
            rest = rest.get(length..)?;
        }
    }

    fn protobuf_field(&mut self, left: usize) -> Option<()> {
        let mut rest = &self.buffer[self.whole..];
        let there = rest.len();
        let tag = number(&mut rest)?;
        let length = match tag & 7 {
            2 => number(&mut rest)?,
            0 => number(&mut rest).map(|_| 0)?,
            _ => return self.end(),
        };
        let field = (there - rest.len()).saturating_add(length);
        let Some(behind) = left.checked_sub(field) else { return self.end() };
        self.examine_at = 0;
        if length > LONGEST_OBJECT {
            self.pass_over(self.whole, Expected::PassingProtobuf { pass: field, left: behind });
            return None;
        }
        if field > there {
            self.examine_at = self.whole + field;
            return None;
        }
        self.whole += field;
        self.expected = Expected::Protobuf { left: behind };
        Some(())
    }

    /// Skips the object that begins at `start`.
    fn pass_over(&mut self, start: usize, passing: Expected) {
        // Only a small part of a large buffer is still needed.
        let kept = BytesMut::from(&self.buffer[..self.whole]);
        let object = std::mem::replace(&mut self.buffer, kept);
        self.passed_over += 1;
        self.expected = passing;
        self.push(&object[start..]);
    }

    /// Nothing more can be split.
    fn end(&mut self) -> Option<()> {
        self.expected = Expected::End;
        self.examine_at = usize::MAX;
        None
    }
}

/// Reserves memory for `bytes` more bytes. A buffer that doubles would take two or three times the memory of a long
/// object; untouched memory costs nothing.
pub fn make_room(buffer: &mut BytesMut, bytes: usize) {
    let length = buffer.len() + bytes;
    if length > buffer.capacity() && length > 4 * PIECE {
        buffer.reserve((LONGEST_OBJECT + 4 * PIECE).max(length) - buffer.len());
    }
}

/// The position of the next byte that is not white space.
fn after_space(text: &[u8], from: usize) -> Option<usize> {
    let space = text.get(from..)?.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))?;
    Some(from + space)
}

fn after_string(text: &[u8], quote: usize) -> Option<usize> {
    let mut escaped = false;
    let end = text.get(quote + 1..)?.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(quote + 1 + end + 1)
}

fn after_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'{' | b'[' => after_closing_bracket(text, at + 1),
        b'"' => after_string(text, at),
        _ => {
            let end = text[at..].iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n'))?;
            Some(at + end)
        }
    }
}

/// Reads a varint from the start of `rest`.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let (mut number, mut at) = (0_usize, 0);
    loop {
        let byte = *rest.get(at)?;
        number |= usize::from(byte & 0x7F).checked_shl(7 * u32::try_from(at).ok()?).unwrap_or(usize::MAX);
        at += 1;
        if byte < 0x80 {
            rest.advance(at);
            return Some(number);
        }
    }
}

/// Writes a varint with exactly the reserved number of bytes.
fn write_length(out: &mut [u8], mut length: usize) {
    for byte in &mut out[..LENGTH] {
        *byte = 0x80 | u8::try_from(length & 0x7F).unwrap_or(0);
        length >>= 7;
    }
    out[LENGTH - 1] &= 0x7F;
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_OBJECT, PageSplitter};
    use crate::objects::{Resource, decode_list, decode_list_meta};
    use bytes::BytesMut;
    use proptest::prelude::*;

    /// Reads a page that comes in frames: names, version, number of skipped objects, and number of pieces.
    fn read(page: &[u8], frame: usize) -> Result<(Vec<String>, String, u64, usize), String> {
        let mut pieces = PageSplitter::default();
        let mut cut = Vec::new();
        let mut most = 0;
        for frame in page.chunks(frame) {
            pieces.push(frame);
            while let Some(piece) = pieces.take(BytesMut::new) {
                cut.push(piece);
            }
            most = most.max(pieces.held());
            assert!(!pieces.is_too_long());
        }
        assert!(most <= LONGEST_OBJECT + frame + (256 << 10), "{most} bytes are held");
        let passed_over = pieces.passed_over();
        cut.push(pieces.rest());
        let (mut names, mut version) = (Vec::new(), String::new());
        for piece in &cut {
            let meta = decode_list(Resource::Pods, piece, &mut |object| names.push(object.meta.name.to_string()));
            version += &meta.map_err(|error| error.to_string())?.resource_version;
        }
        let first = decode_list_meta(Resource::Pods, &cut[0]).map(|meta| meta.resource_version);
        assert!(cut.len() == 1 || first.is_ok_and(|first| first.is_empty() || first == version));
        Ok((names, version, passed_over, cut.len()))
    }

    fn pod(name: &str, padding: usize) -> String {
        format!(r#"{{"metadata":{{"name":"{name}","labels":{{"x":"]}}\"{}"}}}}}}"#, "y".repeat(padding))
    }

    fn json(pods: &[String]) -> String {
        let items = pods.join(" ,\n");
        format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7"}},"items": [ {items} ], "apiVersion":"v1"}}"#)
    }

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            out.push(0x80 | u8::try_from(length & 0x7F).unwrap());
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend_from_slice(content);
        out
    }

    fn protobuf(pods: &[(&str, usize)]) -> Vec<u8> {
        let mut list = field(1, &field(2, b"7"));
        for (name, padding) in pods {
            // A field that pods do not have.
            list.extend(field(2, &[field(1, &field(1, name.as_bytes())), field(15, &vec![b'y'; *padding])].concat()));
        }
        let type_meta = [field(1, b"v1"), field(2, b"PodList")].concat();
        [&b"k8s\0"[..], &field(1, &type_meta), &field(2, &list), &field(3, b""), &field(4, b"")].concat()
    }

    #[test]
    fn a_long_page_comes_in_pieces_and_nothing_is_lost() {
        let names: Vec<String> = (0..1_000).map(|number| format!("pod-{number}")).collect();
        let pods: Vec<String> = names.iter().map(|name| pod(name, 2_000)).collect();
        let of_protobuf: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 2_000)).collect();
        for page in [json(&pods).into_bytes(), protobuf(&of_protobuf)] {
            for frame in [999, 70_000, 10_000_000] {
                let (read, version, passed_over, pieces) = read(&page, frame).unwrap();
                assert_eq!((read, version.as_str(), passed_over), (names.clone(), "7", 0));
                assert_eq!(pieces > 5, frame < 1_000_000, "{pieces}");
            }
        }
    }

    #[test]
    fn an_object_that_is_too_long_is_skipped_at_any_position() {
        const LONG: usize = LONGEST_OBJECT + 1;
        for sizes in [[LONG, 5, 5], [200_000, LONG, 200_000], [5, LONG, LONG]] {
            let pods: Vec<(String, usize)> =
                sizes.iter().enumerate().map(|(at, size)| (format!("pod-{at}"), *size)).collect();
            let expected: Vec<String> =
                pods.iter().filter(|(_, size)| *size < LONG).map(|(name, _)| name.clone()).collect();
            let of_json: Vec<String> = pods.iter().map(|(name, size)| pod(name, *size)).collect();
            let of_protobuf: Vec<(&str, usize)> = pods.iter().map(|(name, size)| (name.as_str(), *size)).collect();
            for page in [json(&of_json).into_bytes(), protobuf(&of_protobuf)] {
                let (read, version, passed_over, _) = read(&page, 300_000).unwrap();
                assert_eq!((read, version.as_str()), (expected.clone(), "7"), "{sizes:?}");
                assert_eq!(usize::try_from(passed_over).unwrap(), 3 - expected.len(), "{sizes:?}");
            }
        }
    }

    #[test]
    fn an_object_that_is_just_short_enough_is_read() {
        let long = pod("long", LONGEST_OBJECT - pod("long", 0).len());
        assert_eq!(long.len(), LONGEST_OBJECT);
        let (names, _, passed_over, _) = read(json(&[pod("a", 0), long]).as_bytes(), 400_000).unwrap();
        assert_eq!((names.len(), passed_over), (2, 0));
    }

    #[test]
    fn anything_but_a_list_is_left_unchanged() {
        for text in [
            "",
            "<html>",
            "{",
            "{}",
            "[]",
            "{\"kind\":\"Status\"}",
            "{\"items\":null}",
            "{\"items\":[1]}",
            "k8s\0",
            "k8s",
        ] {
            for frame in [1, 100] {
                let mut pieces = PageSplitter::default();
                text.as_bytes().chunks(frame).for_each(|frame| pieces.push(frame));
                assert!(pieces.take(BytesMut::new).is_none());
                assert_eq!(&pieces.rest()[..], text.as_bytes(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_frames_give_the_same_and_any_end_within_is_noticed(
            sizes in proptest::collection::vec(prop_oneof![4 => 0_usize..40, 1 => 60_000_usize..140_000], 0..12),
            frame in 1_usize..5_000,
            end: prop::sample::Index,
        ) {
            let pods: Vec<(String, usize)> =
                sizes.iter().enumerate().map(|(at, size)| (format!("pod-{at}"), *size)).collect();
            let names: Vec<String> = pods.iter().map(|(name, _)| name.clone()).collect();
            let of_json: Vec<String> = pods.iter().map(|(name, size)| pod(name, *size)).collect();
            let of_protobuf: Vec<(&str, usize)> = pods.iter().map(|(name, size)| (name.as_str(), *size)).collect();
            for page in [json(&of_json).into_bytes(), protobuf(&of_protobuf)] {
                let whole = read(&page, frame);
                prop_assert!(whole.is_ok(), "{:?}", whole);
                prop_assert_eq!(&whole.unwrap().0, &names);
                // After the list, protobuf has two empty fields that are not needed.
                let end = end.index(page.len() - 4);
                prop_assert!(read(&page[..end], frame).is_err(), "cut at {} of {}", end, page.len());
            }
        }
    }
}
