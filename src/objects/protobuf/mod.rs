//! Protocol buffers, as written by the API server.
//!
//! Field numbers are declared beside the JSON names of a type. They come from `generated.proto` of `k8s.io/api` and
//! `k8s.io/apimachinery`, which never changes one.

mod event_fingerprint;
mod fields;
mod responses;
mod template;

pub use event_fingerprint::EventFingerprint;
pub(super) use fields::{FieldSet, ProtobufError, Value};
pub(super) use responses::{event, is_event, is_object, list, list_meta, object, status};

use super::lenient::Unread;
use crate::time::UnixTime;
use fields::{BROKEN, Fields, TRUNCATED};
use std::borrow::Cow;

/// A type that can be read from a field. A repeated field replaces a scalar, and is added to a list or merged into a
/// message.
pub(super) trait FromProtobuf<'a> {
    /// Merges a value.
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError>;
}

/// A message from which podskew reads some fields.
pub(super) trait Message<'a> {
    /// The fields to read.
    const READ: FieldSet;

    /// Reads one of them; any other is ignored.
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), ProtobufError>;

    /// Reads all of them.
    #[inline]
    fn message(&mut self, message: Value<'a>) -> Result<(), ProtobufError> {
        let mut fields = message.fields()?;
        while let Some((number, value)) = fields.next_of(Self::READ)? {
            self.field(number, value)?;
        }
        Ok(())
    }
}

/// Reads a message, starting from its default.
pub(super) fn read<'a, T: FromProtobuf<'a> + Default>(value: Value<'a>) -> Result<T, ProtobufError> {
    let mut read = T::default();
    read.merge(value)?;
    Ok(read)
}

impl<'a> FromProtobuf<'a> for Cow<'a, str> {
    /// Invalid UTF-8 becomes U+FFFD, as in JSON.
    #[inline]
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        *self = text(value.bytes()?);
        Ok(())
    }
}

impl FromProtobuf<'_> for bool {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        *self = number(value)? != 0;
        Ok(())
    }
}

impl FromProtobuf<'_> for Option<i64> {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        *self = Some(number(value)?.cast_signed());
        Ok(())
    }
}

fn number(value: Value<'_>) -> Result<u64, ProtobufError> {
    match value {
        Value::Number(number) => Ok(number),
        _ => Err(ProtobufError::new(BROKEN)),
    }
}

/// A `Time`: seconds since the epoch, and nanoseconds. Go's zero time, `null` in JSON, is an empty message.
impl FromProtobuf<'_> for Option<UnixTime> {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        if let Value::Bytes(&[0x08, a, b, c, d, e, 0x10, 0x00]) = value
            && a & b & c & d >= 0x80
            && e < 0x80
        {
            // Whole seconds since 1978, as almost all times are.
            let bits = [a, b, c, d, e].map(|byte| i64::from(byte & 0x7F));
            let seconds = bits.iter().rev().fold(0, |seconds, bits| seconds << 7 | bits);
            *self = UnixTime::from_seconds(seconds);
            return Ok(());
        }
        let mut fields = value.fields()?;
        while let Some((field, value)) = fields.next()? {
            if field == 1 {
                *self = UnixTime::from_seconds(number(value)?.cast_signed());
            }
        }
        Ok(())
    }
}

/// Whether a condition has this type; most conditions are read no further.
pub(super) fn is_of_type(condition: Value<'_>, kind: &str) -> Result<bool, ProtobufError> {
    const TYPE: FieldSet = FieldSet::of(&[1]);
    let mut fields = condition.fields()?;
    while let Some((field, found)) = fields.next_of(TYPE)? {
        if field == 1 {
            return Ok(matches!(found, Value::Bytes(found) if found == kind.as_bytes()));
        }
    }
    Ok(false)
}

impl<'a, T: FromProtobuf<'a> + Default> FromProtobuf<'a> for Vec<T> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        self.push(read(value)?);
        Ok(())
    }
}

impl FromProtobuf<'_> for Unread {
    fn merge(&mut self, _: Value<'_>) -> Result<(), ProtobufError> {
        Ok(())
    }
}

pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // `from_utf8_lossy` takes several times as long.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// An entry of a `map<string, string>`: key and value.
pub(super) fn entry(value: Value<'_>) -> Result<(&[u8], &[u8]), ProtobufError> {
    if let Value::Bytes(bytes) = value
        && let Some(entry) = short_entry(bytes)
    {
        return Ok(entry);
    }
    let mut entry: (&[u8], &[u8]) = (b"", b"");
    let mut fields = value.fields()?;
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => entry.0 = value.bytes()?,
            2 => entry.1 = value.bytes()?,
            _ => {}
        }
    }
    Ok(entry)
}

/// An entry in Go's usual form: key before value, each with a length of one byte.
fn short_entry(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[key_tag, key_length], rest) = message.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(key_length.into())?;
    let (&[value_tag, value_length], value) = rest.split_first_chunk()?;
    let is_short = (key_tag, value_tag) == (0x0A, 0x12) && (key_length | value_length) < 0x80;
    (is_short && value.len() == usize::from(value_length)).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::{FromProtobuf as _, Value, entry};
    use crate::time::UnixTime;
    use std::borrow::Cow;

    #[test]
    fn scalars() {
        let mut text = Cow::Borrowed("before");
        text.merge(Value::Bytes(b"a\xFFb")).unwrap();
        assert_eq!(text, "a\u{FFFD}b");
        assert!(text.merge(Value::Number(1)).is_err(), "a number is no string");
        let mut time: Option<UnixTime> = None;
        time.merge(Value::Bytes(&[0x08, 0x07, 0x10, 0x00])).unwrap();
        assert_eq!(time.map(UnixTime::seconds), Some(7));
        time.merge(Value::Bytes(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])).unwrap();
        assert_eq!(time, None, "before the epoch is unknown");
    }
    #[test]
    fn a_time_reads_the_same_in_whole_seconds_and_with_more() {
        let seconds = [0x08, 0x81, 0x82, 0x83, 0xC4, 0x06];
        let mut times: Vec<Option<UnixTime>> = Vec::new();
        for rest in [&[0x10, 0x00][..], &[], &[0x10, 0x01], &[0x10, 0x80, 0x00], &[0x10, 0x00, 0x10, 0x00]] {
            times.push(None);
            times.last_mut().unwrap().merge(Value::Bytes(&[&seconds, rest].concat())).unwrap();
        }
        let expected = 1 | 2 << 7 | 3 << 14 | 0x44 << 21 | 6 << 28;
        assert!(times.iter().all(|time| time.map(UnixTime::seconds) == Some(expected)), "{times:?}");
    }

    #[test]
    fn an_entry_reads_the_same_however_it_is_written() {
        let (key, long) = ([0x0A, 1, b'k'], [b'x'; 200]);
        let (value, long_value) = ([0x12, 1, b'v'], [&[0x12, 0xC8, 0x01][..], &long].concat());
        let read = |parts: &[&[u8]]| {
            let message = parts.concat();
            entry(Value::Bytes(&message)).map(|(key, value)| (key.to_vec(), value.to_vec())).ok()
        };
        let is = |key: &[u8], value: &[u8]| Some((key.to_vec(), value.to_vec()));
        assert_eq!(read(&[&key, &value]), is(b"k", b"v"));
        assert_eq!(read(&[&value, &key]), is(b"k", b"v"));
        assert_eq!(read(&[&key, &long_value]), is(b"k", &long));
        assert_eq!(read(&[&key]), is(b"k", b""));
        assert_eq!(read(&[&key, &value, &[0x18, 0x01]]), is(b"k", b"v"), "a field that nobody knows");
        assert_eq!(read(&[&key, &value, &value[..2], b"w"]), is(b"k", b"w"), "the last one counts");
        assert_eq!(read(&[&key, &[0x12, 0], &value]), is(b"k", b"v"), "the last one counts");
        assert_eq!(read(&[&key, &value[..2]]), None, "it breaks off");
    }
}
