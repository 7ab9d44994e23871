//! A JSON deserializer that skips unwanted values quickly.
//!
//! podskew ignores nine tenths of what an API server sends (managedFields, env, volumes), so the time to skip a value matters.
//! This deserializer skips a value by its quotes and brackets alone. It needs 42 % of the instructions that `serde_json` needs for a
//! pod, because `serde_json` validates what it ignores (docs/performance.md). Values that are read are validated strictly. A truncated
//! text is always detected, because its brackets do not close. Types use it through serde's traits.

use super::skip;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::fmt;

/// A JSON text and a position in it.
pub(super) struct Json<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

/// An error and its position. The error does not quote the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct JsonError {
    pub(super) what: &'static str,
    /// Byte position, counted from 1; 0 if unknown.
    pub(super) at: usize,
}

/// Maximum nesting, to bound the stack; no Kubernetes object comes near it.
const DEEPEST: u8 = 128;

const TRUNCATED: &str = "truncated JSON";
const BROKEN: &str = "broken JSON";

impl<'de> Json<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Expects the end of the text.
    pub(super) fn end(mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(BROKEN)),
        }
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.at + 1 }
    }

    fn bytes(&self) -> &'de [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.bytes().get(self.at) {
            // API servers send no white space.
            Some(found) if *found > b' ' => Some(*found),
            _ => self.peek_after_space(),
        }
    }

    #[cold]
    fn peek_after_space(&mut self) -> Option<u8> {
        while matches!(self.bytes().get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
        self.bytes().get(self.at).copied()
    }

    #[inline]
    fn expect_byte(&mut self, expected: u8) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == expected => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(BROKEN)),
            None => Err(self.error(TRUNCATED)),
        }
    }

    /// The position of the string's first quote or backslash at or after `from`, which is within the string.
    fn quote_or_backslash(&self, from: usize) -> Result<usize, JsonError> {
        skip::quote_or_backslash(self.bytes(), from).ok_or(JsonError { what: TRUNCATED, at: from })
    }

    /// Reads a string; its opening quote is next.
    #[inline]
    fn string(&mut self) -> Result<Cow<'de, str>, JsonError> {
        self.expect_byte(b'"')?;
        let end = self.quote_or_backslash(self.at)?;
        if self.bytes()[end] != b'"' {
            return self.string_with_escapes().map(Cow::Owned);
        }
        let text = self.text.get(self.at..end).unwrap_or_default();
        self.at = end + 1;
        Ok(Cow::Borrowed(text))
    }

    #[cold]
    fn string_with_escapes(&mut self) -> Result<String, JsonError> {
        let mut text = String::new();
        loop {
            let end = self.quote_or_backslash(self.at)?;
            text.push_str(self.text.get(self.at..end).unwrap_or_default());
            self.at = end + 1;
            if self.bytes()[end] == b'"' {
                return Ok(text);
            }
            text.push(self.escaped()?);
        }
    }

    /// Reads the escape sequence after a backslash.
    fn escaped(&mut self) -> Result<char, JsonError> {
        let found = *self.bytes().get(self.at).ok_or(self.error(TRUNCATED))?;
        self.at += 1;
        Ok(match found {
            b'"' | b'\\' | b'/' => char::from(found),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                if (0xD800..0xDC00).contains(&first) {
                    if self.bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                        return Err(self.error(BROKEN));
                    }
                    self.at += 2;
                    let second = self.hex()?;
                    let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400);
                    let low = low.ok_or(self.error(BROKEN))?;
                    char::from_u32(0x10000 + ((first - 0xD800) << 10) + low)
                } else {
                    char::from_u32(first)
                }
                .ok_or(self.error(BROKEN))?
            }
            _ => return Err(self.error(BROKEN)),
        })
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(self.error(BROKEN))?;
        self.at += 4;
        Ok(value)
    }

    /// Skips a string after its opening quote.
    fn skip_string(&mut self) -> Result<(), JsonError> {
        loop {
            let end = self.quote_or_backslash(self.at)?;
            self.at = end + 1;
            if self.bytes()[end] == b'"' {
                return Ok(());
            }
            self.at += 1;
        }
    }

    /// Skips a value by its quotes and brackets.
    fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => return Err(self.error(TRUNCATED)),
            Some(b'"') => {
                self.at += 1;
                return self.skip_string();
            }
            Some(b'{' | b'[') => {}
            Some(_) => return self.scalar().map(|_| ()),
        }
        let end = skip::after_closing_bracket(self.bytes(), self.at + 1);
        self.at = end.ok_or(JsonError { what: TRUNCATED, at: self.text.len() + 1 })?;
        Ok(())
    }

    /// Reads a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<Scalar, JsonError> {
        let start = self.at;
        let rest = self.bytes().get(start..).unwrap_or_default();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let word = self.text.get(start..start + length).unwrap_or_default();
        let scalar = match word {
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            "null" => Scalar::Null,
            _ if is_integer(word) => match (word.parse(), word.parse()) {
                (Ok(number), _) => Scalar::Integer(number),
                (_, Ok(number)) => Scalar::Unsigned(number),
                _ => Scalar::Float(word.parse().map_err(|_| self.error(BROKEN))?),
            },
            // Rust also parses words like `inf` as numbers, but such words do not begin like a JSON number.
            _ if word.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                Scalar::Float(word.parse().map_err(|_| self.error(BROKEN))?)
            }
            _ => return Err(self.error(if length == rest.len() { TRUNCATED } else { BROKEN })),
        };
        self.at += length;
        Ok(scalar)
    }

    fn deeper(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.error("JSON nested too deeply")) } else { Ok(()) }
    }
}

fn is_integer(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
}

impl<'de> Deserializer<'de> for &mut Json<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.peek() {
            None => Err(self.error(TRUNCATED)),
            Some(b'"') => self.deserialize_identifier(visitor),
            Some(b'{') => {
                self.at += 1;
                self.deeper()?;
                let value = visitor.visit_map(Items { json: self, first: true, close: b'}' })?;
                self.depth -= 1;
                Ok(value)
            }
            Some(b'[') => {
                self.at += 1;
                self.deeper()?;
                let value = visitor.visit_seq(Items { json: self, first: true, close: b']' })?;
                self.depth -= 1;
                Ok(value)
            }
            Some(_) => match self.scalar()? {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Integer(number) => visitor.visit_i64(number),
                Scalar::Unsigned(number) => visitor.visit_u64(number),
                Scalar::Float(number) => visitor.visit_f64(number),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.skip()?;
        visitor.visit_unit()
    }

    /// A field's name, which is a string.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum
    }
}

/// The items of an array or an object. Its visitor must read it to the end, including the closing bracket.
struct Items<'j, 'de> {
    json: &'j mut Json<'de>,
    first: bool,
    close: u8,
}

impl Items<'_, '_> {
    /// Whether there is another item; reads the comma before it.
    fn next(&mut self) -> Result<bool, JsonError> {
        match self.json.peek() {
            None => Err(self.json.error(TRUNCATED)),
            Some(found) if found == self.close => {
                self.json.at += 1;
                Ok(false)
            }
            Some(_) if std::mem::take(&mut self.first) => Ok(true),
            Some(b',') => {
                self.json.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.json.error(BROKEN)),
        }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        if !self.next()? {
            return Ok(None);
        }
        if self.json.peek() != Some(b'"') {
            return Err(self.json.error(if self.json.at < self.json.text.len() { BROKEN } else { TRUNCATED }));
        }
        seed.deserialize(&mut *self.json).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        self.json.expect_byte(b':')?;
        seed.deserialize(&mut *self.json)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, JsonError> {
        if self.next()? { seed.deserialize(&mut *self.json).map(Some) } else { Ok(None) }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for JsonError {}

impl Error for JsonError {
    /// serde's message may quote a value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self { what: "JSON of an unexpected form", at: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, JsonError};
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, JsonError> {
        let mut json = Json::new(text);
        let value = T::deserialize(&mut json)?;
        json.end().map(|()| value)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = "(\\PC|[\\\\\"\n\t\u{1}]){0,12}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300_f64).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(text, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(value in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(read::<Value>(&text), Ok(value));
            prop_assert!(read::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn reads_any_text_as_serde_json_does_or_refuses_it(text in "[\\[\\]{}:,\"\\\\a-f0-9eu+. \n-]{0,40}") {
            // Control characters in strings are accepted: they do no harm, and checking costs time.
            match (read::<Value>(&text), serde_json::from_str::<Value>(&text)) {
                (Ok(read), Ok(expected)) => prop_assert_eq!(read, expected),
                (Err(_), Ok(expected)) => prop_assert!(false, "refused {} that reads as {}", text, expected),
                _ => {}
            }
        }

        #[test]
        fn a_text_that_breaks_off_is_refused(value in any_json(), cut: prop::sample::Index) {
            let text = serde_json::to_string(&serde_json::json!({"a": value})).unwrap();
            let mut end = cut.index(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            prop_assert!(read::<Value>(&text[..end]).is_err());
            prop_assert!(read::<IgnoredAny>(&text[..end]).is_err());
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[1 2]",
            "{\"a\" 1}",
            "{a:1}",
            "nul",
            "tru",
            "inf",
            "NaN",
            "+1",
            "1 2",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"",
            "\"\\",
            "1e",
            "--1",
            "[1}",
        ] {
            assert!(read::<Value>(text).is_err(), "{text}");
        }
        assert_eq!(read::<Value>("\"\\ud83d\\ude00\\/\""), Ok(Value::from("😀/")));
        assert!(read::<Value>(&"[".repeat(100_000)).is_err(), "the stack is not tried");
        assert_eq!(read::<Value>("[1,x]").unwrap_err(), JsonError { what: "broken JSON", at: 4 });
    }
}
