//! Cuts JSON that comes piece by piece into the objects in it, and holds no more of it than one of them.
//!
//! What kubectl and an API server print is one list, with its objects under `items`; several calls, one behind the other,
//! print several. An object may stand alone, and several may stand in an array.

use super::scan;

/// No object of a cluster is longer: etcd takes a megabyte and a half, and kubectl's indentation doubles it.
const LONGEST_OBJECT: usize = 64 << 20;

/// What is read at once.
const PIECE: usize = 256 << 10;

/// Takes pieces, gives objects.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: Vec<u8>,
    /// Where in the buffer it has come to.
    at: usize,
    /// How much of the buffer was read.
    filled: usize,
    /// What was let go of before the buffer begins.
    before: u64,
    ended: bool,
    /// Whether there was anything but white space.
    begun: bool,
    place: Place,
    list: ListHead,
}

/// What the document around an object has said so far.
#[derive(Debug, Default)]
struct ListHead {
    api_version: String,
    kind: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    /// Before a document, or behind the last.
    #[default]
    Outside,
    /// Behind the bracket that opens an array or `items`, or behind one of its objects.
    InArray { first: bool, is_list: bool },
    /// In a list, behind its `items` or behind a field after it.
    InList,
}

/// What comes next.
#[derive(PartialEq, Eq, Debug)]
pub enum Cut<'c> {
    /// An object.
    Object {
        /// Its JSON.
        json: &'c [u8],
        /// Its first byte, counted from 1.
        byte: u64,
        /// `apiVersion` and `kind` of the list it stands in, as far as they stand before it; empty if in none.
        list: (&'c str, &'c str),
    },
    /// More has to be [`read`](Cutter::room).
    More,
    /// Everything was read.
    End,
}

/// The text is no sequence of JSON objects. It quotes nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {byte}")]
pub struct CutError {
    /// What is wrong with it.
    pub what: &'static str,
    /// Where, counted from 1.
    pub byte: u64,
}

/// Why there is no value yet.
enum Stop {
    More,
    Broken(&'static str, usize),
}

type Step<T> = Result<T, Stop>;

const BROKEN: &str = "broken JSON";
const BREAKS_OFF: &str = "JSON that breaks off";
const TOO_LONG: &str = "an object of more than 64 MiB";

impl Cutter {
    /// Where to read the next piece to; [`filled`](Self::filled) says how much of it that was.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.before += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        // An object that does not fit is looked at again from its beginning, so each time there is twice as much of it.
        let wanted = self.filled + self.filled.max(PIECE);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// So much was read; nothing means that this was all.
    pub fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
        self.ended |= bytes == 0;
    }

    /// How much has been cut, in bytes.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Whether a document has begun: the rest of what was read is white space and byte order marks.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The beginning of what is not cut yet, as far as it was read.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    /// The next object.
    pub fn next_cut(&mut self) -> Result<Cut<'_>, CutError> {
        match self.step() {
            Ok(None) => Ok(Cut::End),
            Ok(Some((start, end))) => Ok(Cut::Object {
                json: &self.buffer[start..end],
                byte: self.before + start as u64 + 1,
                list: (&self.list.api_version, &self.list.kind),
            }),
            Err(Stop::More) if self.ended => {
                Err(CutError { what: BREAKS_OFF, byte: self.before + self.filled as u64 + 1 })
            }
            Err(Stop::More) if self.filled - self.at > LONGEST_OBJECT => {
                Err(CutError { what: TOO_LONG, byte: self.cut() + 1 })
            }
            Err(Stop::More) => Ok(Cut::More),
            Err(Stop::Broken(what, at)) => Err(CutError { what, byte: self.before + at as u64 + 1 }),
        }
    }

    /// Where the next object begins and ends.
    fn step(&mut self) -> Step<Option<(usize, usize)>> {
        loop {
            match self.place {
                Place::Outside => match self.behind_space(self.at) {
                    Err(Stop::More) if self.ended => return Ok(None),
                    Err(stop) => return Err(stop),
                    Ok((at, b'[')) => {
                        self.begun = true;
                        self.list = ListHead::default();
                        self.go(at + 1, Place::InArray { first: true, is_list: false });
                    }
                    Ok((at, b'{')) => {
                        self.begun = true;
                        self.at = at;
                        self.list = ListHead::default();
                        if let Some(end) = self.fields(at + 1)? {
                            self.at = end;
                            return Ok(Some((at, end)));
                        }
                    }
                    // A byte order mark, as some editors and shells write it before a text.
                    Ok((at, 0xEF)) => {
                        let mark = self.buffer.get(at..at + 3).filter(|_| at + 3 <= self.filled).ok_or(Stop::More)?;
                        if mark != b"\xEF\xBB\xBF" {
                            return Err(Stop::Broken(BROKEN, at));
                        }
                        self.at = at + 3;
                    }
                    Ok((at, _)) => return Err(Stop::Broken(BROKEN, at)),
                },
                Place::InArray { first, is_list } => {
                    let behind = if is_list { Place::InList } else { Place::Outside };
                    let (mut at, mut found) = self.behind_space(self.at)?;
                    if found == b']' && first {
                        self.go(at + 1, behind);
                        continue;
                    }
                    if !first {
                        match found {
                            b']' => {
                                self.go(at + 1, behind);
                                continue;
                            }
                            b',' => (at, found) = self.behind_space(at + 1)?,
                            _ => return Err(Stop::Broken(BROKEN, at)),
                        }
                    }
                    if found != b'{' {
                        return Err(Stop::Broken("something that is no object", at));
                    }
                    let end = self.value(at)?;
                    self.go(end, Place::InArray { first: false, is_list });
                    return Ok(Some((at, end)));
                }
                Place::InList => match self.behind_space(self.at)? {
                    (at, b'}') => self.go(at + 1, Place::Outside),
                    (at, b',') => {
                        let Some(end) = self.field(at + 1)? else { continue };
                        self.at = end;
                    }
                    (at, _) => return Err(Stop::Broken(BROKEN, at)),
                },
            }
        }
    }

    fn go(&mut self, at: usize, place: Place) {
        self.at = at;
        self.place = place;
    }

    /// Reads the fields of a document from behind its opening bracket: the place behind its closing one, or nothing if it
    /// turned out to be a list, whose objects come next.
    fn fields(&mut self, from: usize) -> Step<Option<usize>> {
        let (mut at, found) = self.behind_space(from)?;
        if found == b'}' {
            return Ok(Some(at + 1));
        }
        loop {
            let Some(end) = self.field(at)? else { return Ok(None) };
            match self.behind_space(end)? {
                (at, b'}') => return Ok(Some(at + 1)),
                (comma, b',') => at = comma + 1,
                (at, _) => return Err(Stop::Broken(BROKEN, at)),
            }
        }
    }

    /// Reads a field of a document: the place behind its value, or nothing if it is the `items` of a list.
    fn field(&mut self, from: usize) -> Step<Option<usize>> {
        let (start, quote) = self.behind_space(from)?;
        if quote != b'"' {
            return Err(Stop::Broken(BROKEN, start));
        }
        let key_end = self.value(start)?;
        let (colon, found) = self.behind_space(key_end)?;
        if found != b':' {
            return Err(Stop::Broken(BROKEN, colon));
        }
        let (at, found) = self.behind_space(colon + 1)?;
        let key = &self.buffer[start + 1..key_end - 1];
        if key == b"items" {
            if self.place == Place::InList {
                return Err(Stop::Broken("a second `items` in one list", start));
            }
            if found == b'[' {
                self.go(at + 1, Place::InArray { first: true, is_list: true });
                return Ok(None);
            }
            // Go writes an empty list as `null`.
            if found == b'n' {
                let end = self.value(at)?;
                self.go(end, Place::InList);
                return Ok(None);
            }
        }
        let end = self.value(at)?;
        let text = |list: &Self| String::from_utf8_lossy(&list.buffer[at + 1..end - 1]).into_owned();
        match &self.buffer[start + 1..key_end - 1] {
            b"kind" if found == b'"' => self.list.kind = text(self),
            b"apiVersion" if found == b'"' => self.list.api_version = text(self),
            _ => {}
        }
        Ok(Some(end))
    }

    /// The place behind the value that begins at `at`.
    fn value(&self, at: usize) -> Step<usize> {
        let text = &self.buffer[..self.filled];
        match text.get(at) {
            None => Err(Stop::More),
            Some(b'{' | b'[') => scan::behind_closing_bracket(text, at + 1).ok_or(Stop::More),
            Some(b'"') => {
                let mut from = at + 1;
                loop {
                    let end = scan::quote_or_backslash(text, from).ok_or(Stop::More)?;
                    if text[end] == b'"' {
                        return Ok(end + 1);
                    }
                    from = end + 2;
                }
            }
            Some(b'a'..=b'z' | b'0'..=b'9' | b'-') => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
                // One that reaches to the end of what is there may go on.
                text[at..].iter().position(|byte| !is_part(byte)).map(|length| at + length).ok_or(Stop::More)
            }
            Some(_) => Err(Stop::Broken(BROKEN, at)),
        }
    }

    /// The next byte that is no white space, and its place.
    fn behind_space(&self, from: usize) -> Step<(usize, u8)> {
        let rest = self.buffer[..self.filled].get(from..).unwrap_or_default();
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r')).ok_or(Stop::More)?;
        Ok((from + space, rest[space]))
    }
}

#[cfg(test)]
mod tests {
    use super::{BREAKS_OFF, Cut, CutError, Cutter};
    use proptest::prelude::*;

    /// Everything there is to cut, read so many bytes at a time: each object, with the kind of the list around it.
    fn cut(text: &[u8], piece: usize) -> Result<Vec<(String, String)>, CutError> {
        let mut cutter = Cutter::default();
        let mut found = Vec::new();
        let mut rest = text;
        loop {
            match cutter.next_cut()? {
                Cut::End => return Ok(found),
                Cut::Object { json, byte, list } => {
                    let at = usize::try_from(byte).unwrap() - 1;
                    assert_eq!(&text[at..at + json.len()], json);
                    found.push((String::from_utf8(json.to_vec()).unwrap(), format!("{} {}", list.0, list.1)));
                }
                Cut::More => {
                    let room = cutter.room();
                    let length = piece.min(rest.len()).min(room.len());
                    room[..length].copy_from_slice(&rest[..length]);
                    rest = &rest[length..];
                    cutter.filled(length);
                }
            }
        }
    }

    fn objects(text: &str) -> Vec<String> {
        cut(text.as_bytes(), 1 << 16).unwrap().into_iter().map(|(object, _)| object).collect()
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
    fn the_kind_of_the_list_is_told_where_it_stands_before() {
        let text = b"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"a\":1}]}{\"items\":[{\"b\":1}],\"kind\":\"List\"}";
        let kinds: Vec<String> = cut(text, 7).unwrap().into_iter().map(|(_, list)| list).collect();
        assert_eq!(kinds, ["v1 PodList", " "]);
    }

    #[test]
    fn what_is_broken_is_refused() {
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
        ] {
            assert!(cut(text.as_bytes(), 3).is_err(), "{text}");
        }
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
            let found: Vec<String> = cut(text.as_bytes(), piece).unwrap().into_iter().map(|(object, _)| object).collect();
            prop_assert_eq!(found, items);
            let end = 1 + end.index(text.len() - 1);
            let error = cut(&text.as_bytes()[..end], piece).unwrap_err();
            prop_assert_eq!(error, CutError { what: BREAKS_OFF, byte: end as u64 + 1 });
        }
    }
}
