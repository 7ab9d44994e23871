//! Splits JSON that arrives in pieces into objects, and buffers at most one of them.
//!
//! kubectl and API servers print one list with its objects in `items`; several calls print several lists. A document
//! may also be a single object, or an array.

use super::page_splitter::LONGEST_OBJECT;
use super::skip;

/// Bytes to read at once.
const PIECE: usize = 256 << 10;

/// Maximum depth of lists within arrays and lists.
const DEEPEST: usize = 8;

/// Splits its input into objects.
#[derive(Debug, Default)]
pub struct JsonSplitter {
    buffer: Vec<u8>,
    /// Position in the buffer.
    at: usize,
    /// Number of bytes read into the buffer.
    filled: usize,
    /// Number of bytes dropped before the buffer.
    before: u64,
    ended: bool,
    /// Whether anything but white space came.
    begun: bool,
    /// The enclosing arrays and lists, outermost first; empty between documents.
    enclosing: Vec<Enclosing>,
    /// Head of the list that ended last.
    left: ListHead,
}

/// A list's `apiVersion` and `kind`, as far as they were read.
#[derive(Clone, Debug, Default)]
struct ListHead {
    api_version: String,
    kind: String,
}

/// An array, or a list with `items`.
#[derive(Debug)]
struct Enclosing {
    /// The list's head so far; `None` for an array.
    list: Option<ListHead>,
    next: Next,
}

/// What may follow in an array or a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The first object, or the end of the array.
    First,
    /// An object, after a comma.
    Object,
    /// A comma, or the end of the array.
    Comma,
    /// The fields of a list after its `items`.
    Fields,
}

/// The next item.
#[derive(PartialEq, Eq, Debug)]
pub enum JsonItem<'c> {
    /// An object.
    Object {
        /// Its JSON.
        json: &'c [u8],
        /// Its first byte, counted from 1.
        byte: u64,
        /// `apiVersion` and `kind` of its list, if they come before it; `None` outside of a list.
        list: Option<(&'c str, &'c str)>,
    },
    /// The end of a list, with its `apiVersion` and `kind`.
    ListEnd(&'c str, &'c str),
    /// More input is needed, through [`room`](JsonSplitter::room).
    More,
    /// The end of the input.
    End,
}

/// The text is not a sequence of JSON objects. The error does not quote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {byte}")]
pub struct SplitError {
    /// The problem.
    pub what: &'static str,
    /// Byte position, counted from 1.
    pub byte: u64,
}

/// Why no complete value was found.
enum Stop {
    More,
    Broken(&'static str, usize),
}

type Step<T> = Result<T, Stop>;

/// What was found.
enum Found {
    Object(usize, usize),
    ListEnd,
    End,
}

const BROKEN: &str = "broken JSON";
const TRUNCATED: &str = "truncated JSON";
const TOO_LONG: &str = "an object of more than 16 MiB";

impl JsonSplitter {
    /// The buffer for the next piece; call [`filled`](Self::filled) with the number of bytes read. Its size grows, so
    /// that reading a long object in small pieces takes linear and not quadratic time.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.before += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        // An object that does not fit is parsed again from its start, so the buffer doubles each time.
        let most = (LONGEST_OBJECT + PIECE).saturating_sub(self.filled).max(PIECE);
        let wanted = self.filled + self.filled.clamp(PIECE, most);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        &mut self.buffer[self.filled..wanted]
    }

    /// Records the number of bytes read; 0 is the end of the input.
    pub fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
        self.ended |= bytes == 0;
    }

    /// Whether a document has begun; otherwise only white space and byte order marks were read.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the position is between documents.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        self.enclosing.is_empty()
    }

    /// Whether the input has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The unprocessed input.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    /// Skips `bytes` bytes of it.
    pub fn pass(&mut self, bytes: usize) {
        self.at = self.filled.min(self.at + bytes);
    }

    /// Returns the next item.
    ///
    /// # Errors
    ///
    /// The text is not JSON, or an object is too long.
    pub fn next_item(&mut self) -> Result<JsonItem<'_>, SplitError> {
        match self.step() {
            Ok(Found::End) => Ok(JsonItem::End),
            Ok(Found::ListEnd) => Ok(JsonItem::ListEnd(&self.left.api_version, &self.left.kind)),
            Ok(Found::Object(start, end)) if end - start > LONGEST_OBJECT => {
                Err(SplitError { what: TOO_LONG, byte: self.before + start as u64 + 1 })
            }
            Ok(Found::Object(start, end)) => Ok(JsonItem::Object {
                json: &self.buffer[start..end],
                byte: self.before + start as u64 + 1,
                list: self
                    .enclosing
                    .last()
                    .and_then(|enclosing| enclosing.list.as_ref())
                    .map(|list| (&*list.api_version, &*list.kind)),
            }),
            Err(Stop::More) if self.ended => {
                Err(SplitError { what: TRUNCATED, byte: self.before + self.filled as u64 + 1 })
            }
            Err(Stop::More) if self.filled - self.at > LONGEST_OBJECT => {
                Err(SplitError { what: TOO_LONG, byte: self.before + self.at as u64 + 1 })
            }
            Err(Stop::More) => Ok(JsonItem::More),
            Err(Stop::Broken(what, at)) => Err(SplitError { what, byte: self.before + at as u64 + 1 }),
        }
    }

    /// Finds the start and end of the next object.
    fn step(&mut self) -> Step<Found> {
        loop {
            // White space between objects is dropped as it comes.
            let found = match self.after_space(self.at) {
                Ok((at, found)) => {
                    self.at = at;
                    found
                }
                Err(stop) => {
                    self.at = self.filled;
                    return if self.ended && self.enclosing.is_empty() { Ok(Found::End) } else { Err(stop) };
                }
            };
            let at = self.at;
            match (self.enclosing.last().map(|enclosing| enclosing.next), found) {
                // A byte order mark, which some editors and shells write before a text.
                (None, 0xEF) => {
                    let mark = self.buffer.get(at..at + 3).filter(|_| at + 3 <= self.filled).ok_or(Stop::More)?;
                    if mark != b"\xEF\xBB\xBF" {
                        return Err(Stop::Broken(BROKEN, at));
                    }
                    self.at = at + 3;
                }
                (None, b'[') => {
                    self.begun = true;
                    self.at = at + 1;
                    self.enter(None)?;
                }
                (None, b'{') => {
                    self.begun = true;
                    if let Some(found) = self.document()? {
                        return Ok(found);
                    }
                }
                (Some(Next::First | Next::Comma), b']') => {
                    self.at = at + 1;
                    self.leave_array();
                }
                (Some(Next::Comma), b',') => {
                    self.at = at + 1;
                    self.expect(Next::Object);
                }
                (Some(Next::First | Next::Object), b'{') if self.is_in_list() => {
                    let end = self.value(at)?;
                    self.at = end;
                    self.expect(Next::Comma);
                    return Ok(Found::Object(at, end));
                }
                // An item of an array may be a list.
                (Some(Next::First | Next::Object), b'{') => {
                    if let Some(found) = self.document()? {
                        self.expect(Next::Comma);
                        return Ok(found);
                    }
                }
                (Some(Next::First | Next::Object), b'"' | b'[' | b'a'..=b'z' | b'0'..=b'9' | b'-') => {
                    return Err(Stop::Broken("something that is not an object", at));
                }
                (Some(Next::Fields), b'}') => {
                    self.at = at + 1;
                    self.left = self.enclosing.pop().and_then(|enclosing| enclosing.list).unwrap_or_default();
                    self.expect(Next::Comma);
                    return Ok(Found::ListEnd);
                }
                (Some(Next::Fields), b',') => {
                    let mut head =
                        self.enclosing.last_mut().and_then(|enclosing| enclosing.list.take()).unwrap_or_default();
                    let field = self.field(at + 1, &mut head);
                    if let Some(enclosing) = self.enclosing.last_mut() {
                        enclosing.list = Some(head);
                    }
                    match field? {
                        Field::Other(end) => self.at = end,
                        Field::Items { at, .. } => return Err(Stop::Broken("a second `items` in one list", at)),
                    }
                }
                _ => return Err(Stop::Broken(BROKEN, at)),
            }
        }
    }

    fn is_in_list(&self) -> bool {
        self.enclosing.last().is_some_and(|enclosing| enclosing.list.is_some())
    }

    fn expect(&mut self, next: Next) {
        if let Some(enclosing) = self.enclosing.last_mut() {
            enclosing.next = next;
        }
    }

    fn enter(&mut self, list: Option<ListHead>) -> Step<()> {
        if self.enclosing.len() >= DEEPEST {
            return Err(Stop::Broken("lists that are nested too deeply", self.at));
        }
        self.enclosing.push(Enclosing { list, next: Next::First });
        Ok(())
    }

    fn leave_array(&mut self) {
        if self.is_in_list() {
            self.expect(Next::Fields);
        } else {
            self.enclosing.pop();
            self.expect(Next::Comma);
        }
    }

    /// Reads a document at its opening bracket. Returns its end, or `None` if it is a list, whose objects follow.
    fn document(&mut self) -> Step<Option<Found>> {
        let start = self.at;
        let mut head = ListHead::default();
        let (mut at, found) = self.after_space(start + 1)?;
        if found == b'}' {
            self.at = at + 1;
            return Ok(Some(Found::Object(start, at + 1)));
        }
        loop {
            let end = match self.field(at, &mut head)? {
                Field::Other(end) => end,
                Field::Items { after, is_empty, .. } => {
                    self.at = after;
                    self.enter(Some(head))?;
                    if is_empty {
                        self.expect(Next::Fields);
                    }
                    return Ok(None);
                }
            };
            match self.after_space(end)? {
                (at, b'}') => {
                    self.at = at + 1;
                    return Ok(Some(Found::Object(start, at + 1)));
                }
                (comma, b',') => at = comma + 1,
                (at, _) => return Err(Stop::Broken(BROKEN, at)),
            }
        }
    }

    /// Reads a field of a document.
    fn field(&self, from: usize, head: &mut ListHead) -> Step<Field> {
        let (start, quote) = self.after_space(from)?;
        if quote != b'"' {
            return Err(Stop::Broken(BROKEN, start));
        }
        let key_end = self.value(start)?;
        let (colon, found) = self.after_space(key_end)?;
        if found != b':' {
            return Err(Stop::Broken(BROKEN, colon));
        }
        let (at, found) = self.after_space(colon + 1)?;
        let key = &self.buffer[start + 1..key_end - 1];
        if key == b"items" && found == b'[' {
            return Ok(Field::Items { at: start, after: at + 1, is_empty: false });
        }
        let end = self.value(at)?;
        // Go writes an empty list as `null`.
        if key == b"items" && found == b'n' {
            return Ok(Field::Items { at: start, after: end, is_empty: true });
        }
        let text = || String::from_utf8_lossy(&self.buffer[at + 1..end - 1]).into_owned();
        match key {
            b"kind" if found == b'"' => head.kind = text(),
            b"apiVersion" if found == b'"' => head.api_version = text(),
            _ => {}
        }
        Ok(Field::Other(end))
    }

    /// The position after the value that begins at `at`.
    fn value(&self, at: usize) -> Step<usize> {
        let text = &self.buffer[..self.filled];
        match text.get(at) {
            None => Err(Stop::More),
            Some(b'{' | b'[') => skip::after_closing_bracket(text, at + 1).ok_or(Stop::More),
            Some(b'"') => {
                let mut from = at + 1;
                loop {
                    let end = skip::quote_or_backslash(text, from).ok_or(Stop::More)?;
                    if text[end] == b'"' {
                        return Ok(end + 1);
                    }
                    from = end + 2;
                }
            }
            Some(b'a'..=b'z' | b'0'..=b'9' | b'-') => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
                // A scalar that reaches the end of the input may continue.
                text[at..].iter().position(|byte| !is_part(byte)).map(|length| at + length).ok_or(Stop::More)
            }
            Some(_) => Err(Stop::Broken(BROKEN, at)),
        }
    }

    /// The next byte that is not white space, with its position.
    fn after_space(&self, from: usize) -> Step<(usize, u8)> {
        let rest = self.buffer[..self.filled].get(from..).unwrap_or_default();
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r')).ok_or(Stop::More)?;
        Ok((from + space, rest[space]))
    }
}

/// A field of a document.
enum Field {
    /// The `items` of a list: position of the name, and after the opening bracket or `null`.
    Items { at: usize, after: usize, is_empty: bool },
    /// Any other field: the position after its value.
    Other(usize),
}

#[cfg(test)]
mod tests {
    use super::{JsonItem, JsonSplitter, SplitError, TRUNCATED};
    use proptest::prelude::*;

    /// All items, reading `piece` bytes at a time: each object with its list's kind.
    fn split(text: &[u8], piece: usize) -> Result<Vec<(String, String)>, SplitError> {
        let mut splitter = JsonSplitter::default();
        let mut found = Vec::new();
        let mut rest = text;
        loop {
            match splitter.next_item()? {
                JsonItem::End => return Ok(found),
                JsonItem::ListEnd(api_version, kind) => found.push((String::new(), format!("{api_version} {kind}"))),
                JsonItem::Object { json, byte, list } => {
                    let at = usize::try_from(byte).unwrap() - 1;
                    assert_eq!(&text[at..at + json.len()], json);
                    let list = list.unwrap_or_default();
                    found.push((String::from_utf8(json.to_vec()).unwrap(), format!("{} {}", list.0, list.1)));
                }
                JsonItem::More => {
                    let room = splitter.room();
                    let length = piece.min(rest.len()).min(room.len());
                    room[..length].copy_from_slice(&rest[..length]);
                    rest = &rest[length..];
                    splitter.filled(length);
                }
            }
        }
    }

    fn objects(text: &str) -> Vec<String> {
        let found = split(text.as_bytes(), 1 << 16).unwrap().into_iter();
        found.map(|(object, _)| object).filter(|object| !object.is_empty()).collect()
    }

    #[test]
    fn lists_arrays_and_single_objects_one_after_another() {
        let text = "\u{feff} {\"apiVersion\": \"v1\",\n \"items\": [{\"a\": \"]}\"} , {}], \"kind\": \"List\", \"metadata\": {\"x\":1}}\n\
                    {\"kind\":\"Pod\",\"a\":[1,-2.5e3,null,true]}[{\"b\":1},{\"c\":{}}]{\"items\":[]}{\"items\":null,\"kind\":\"List\"}[]{}\n";
        assert_eq!(
            objects(text),
            ["{\"a\": \"]}\"}", "{}", "{\"kind\":\"Pod\",\"a\":[1,-2.5e3,null,true]}", "{\"b\":1}", "{\"c\":{}}", "{}"]
        );
        assert_eq!(objects(""), Vec::<String>::new());
    }

    #[test]
    fn the_kind_of_a_list_is_known_if_it_comes_before_the_items() {
        let text = b"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"a\":1}]}{\"items\":[{\"b\":1}],\"kind\":\"List\"}";
        let kinds: Vec<String> = split(text, 7).unwrap().into_iter().map(|(_, list)| list).collect();
        assert_eq!(kinds, ["v1 PodList", "v1 PodList", " ", " List"]);
        let lists = b"[{\"kind\":\"A\",\"items\":[{\"a\":1}]},{\"x\":1},{\"items\":null,\"kind\":\"B\"}]";
        let kinds: Vec<String> = split(lists, 5).unwrap().into_iter().map(|(_, list)| list).collect();
        assert_eq!(kinds, [" A", " A", " ", " B"]);
    }

    #[test]
    fn broken_json_is_refused() {
        for text in [
            "x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"items\":[1]}",
            "{\"items\":[{} {}]}",
            "{\"items\":[{},]}",
            "{\"items\":[]]",
            "]",
            "[[]]",
            "{\"a\":1 \"b\":2}",
            "{\"items\":[{}],\"items\":[{}]}",
            "[{},]",
            "[1]",
            "[{\"items\":[{\"a\":1}]",
            "{\"items\":[{}],}",
        ] {
            assert!(split(text.as_bytes(), 3).is_err(), "{text}");
        }
    }

    #[test]
    fn white_space_between_objects_is_dropped() {
        let space = " ".repeat(1 << 20);
        let text =
            format!("{space}[{space}{{}}{space},{space}{{}}{space}]{space}{{\"items\":[{space}]{space}}}{space}");
        let mut splitter = JsonSplitter::default();
        let mut rest = text.as_bytes();
        let mut objects = 0;
        loop {
            match splitter.next_item().unwrap() {
                JsonItem::End => break,
                JsonItem::Object { .. } => objects += 1,
                JsonItem::ListEnd(..) => {}
                JsonItem::More => {
                    let length = splitter.room().len().min(rest.len()).min(4096);
                    splitter.room()[..length].copy_from_slice(&rest[..length]);
                    rest = &rest[length..];
                    splitter.filled(length);
                    assert!(splitter.buffer.len() <= 2 * super::PIECE, "{}", splitter.buffer.len());
                }
            }
        }
        assert_eq!(objects, 2);
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_objects_and_any_end_within_is_noticed(
            names in prop::collection::vec("[a-z\"\\\\{}\\[\\]]{0,200}", 0..12),
            piece in 1_usize..400,
            end: prop::sample::Index,
        ) {
            let items: Vec<String> = names.iter().map(|name| serde_json::json!({"name": name}).to_string()).collect();
            let text = format!("{{\"items\": [{}], \"kind\": \"List\"}}", items.join(",\n"));
            let found: Vec<String> = split(text.as_bytes(), piece).unwrap().into_iter().map(|(object, _)| object).collect();
            prop_assert_eq!(found.split_last().map(|(end, found)| (end.as_str(), found)), Some(("", &items[..])));
            let end = 1 + end.index(text.len() - 1);
            let error = split(&text.as_bytes()[..end], piece).unwrap_err();
            prop_assert_eq!(error, SplitError { what: TRUNCATED, byte: end as u64 + 1 });
        }
    }
}
