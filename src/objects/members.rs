//! The raw members of a JSON object, to read a few without decoding the others.

use super::skip;

/// Iterates over an object's members: raw key and raw value. Invalid JSON ends the iteration.
#[derive(Clone, Debug)]
pub struct Members<'j> {
    json: &'j [u8],
    at: usize,
}

impl<'j> Members<'j> {
    /// The members of `json`; none if it is not an object.
    #[must_use]
    pub fn of(json: &'j [u8]) -> Self {
        let start = json.len() - json.trim_ascii_start().len();
        match json.get(start) {
            Some(b'{') => Self { json, at: start + 1 },
            _ => Self { json: &[], at: 0 },
        }
    }

    /// The end of the value that begins at `at`.
    fn after_value(&self, at: usize) -> Option<usize> {
        match self.json.get(at)? {
            b'{' | b'[' => skip::after_closing_bracket(self.json, at + 1),
            b'"' => self.after_string(at),
            _ => {
                let is_part = |byte: &u8| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace();
                let length = self.json[at..].iter().take_while(|byte| is_part(byte)).count();
                (length > 0).then_some(at + length)
            }
        }
    }

    fn after_string(&self, at: usize) -> Option<usize> {
        let mut from = at + 1;
        loop {
            let end = skip::quote_or_backslash(self.json, from)?;
            if self.json[end] == b'"' {
                return Some(end + 1);
            }
            from = end + 2;
        }
    }

    fn after_space(&self, at: usize) -> Option<usize> {
        let rest = self.json.get(at..)?;
        rest.iter().position(|byte| !byte.is_ascii_whitespace()).map(|space| at + space)
    }
}

impl<'j> Iterator for Members<'j> {
    type Item = (&'j [u8], &'j [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut at = self.after_space(self.at)?;
        if self.json[at] == b',' {
            at = self.after_space(at + 1)?;
        }
        if self.json[at] != b'"' {
            return None;
        }
        let key_end = self.after_string(at)?;
        let key = self.json.get(at + 1..key_end - 1)?;
        let colon = self.after_space(key_end)?;
        if self.json[colon] != b':' {
            return None;
        }
        let start = self.after_space(colon + 1)?;
        self.at = self.after_value(start)?;
        Some((key, &self.json[start..self.at]))
    }
}

/// The raw elements of an array.
pub(super) fn elements(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut members = Members { json: if json.first() == Some(&b'[') { json } else { &[] }, at: 1 };
    std::iter::from_fn(move || {
        let mut start = members.after_space(members.at)?;
        if members.json[start] == b',' {
            start = members.after_space(start + 1)?;
        }
        members.at = members.after_value(start)?;
        Some(&members.json[start..members.at])
    })
}

/// The raw value of one member, by the keys that lead to it.
#[must_use]
pub fn member<'j>(json: &'j [u8], path: &[&str]) -> Option<&'j [u8]> {
    path.iter()
        .try_fold(json, |json, name| Members::of(json).find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value))
}

/// The text of one member that is a string without escapes.
#[must_use]
pub fn text_member<'j>(json: &'j [u8], path: &[&str]) -> Option<&'j str> {
    let text = member(json, path)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(text).ok().filter(|text| !text.contains('\\'))
}

#[cfg(test)]
mod tests {
    use super::{Members, elements, member, text_member};

    #[test]
    fn members_are_found_by_their_keys() {
        let json = br#" { "a" : {"b\"": [1, 2], "c": "x"}, "d":null,"e":"\"", "f": -1.5e3 } "#;
        let keys: Vec<&[u8]> = Members::of(json).map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a", b"d", b"e", b"f"]);
        assert_eq!(member(json, &["a", "c"]), Some(&b"\"x\""[..]));
        assert_eq!((text_member(json, &["a", "c"]), text_member(json, &["e"])), (Some("x"), None));
        assert_eq!(member(json, &["f"]), Some(&b"-1.5e3"[..]));
        assert_eq!(member(json, &["a", "nothing"]), None);
        assert_eq!(elements(b"[ {\"a\":1} ,2, \"x\" ]").collect::<Vec<_>>(), [&b"{\"a\":1}"[..], b"2", b"\"x\""]);
        assert_eq!((elements(b"[]").count(), elements(b"{}").count()), (0, 0));
    }

    #[test]
    fn broken_json_ends_them() {
        for broken in ["", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":{", "{a:1}", "[1]", "{\"a\" 1}", "{\"a\":}"] {
            assert_eq!(Members::of(broken.as_bytes()).count(), 0, "{broken}");
        }
        for broken in ["[", "[1,", "[{", "[\"", "[,"] {
            assert!(elements(broken.as_bytes()).count() <= 1, "{broken}");
        }
    }
}
