//! Protocol buffers, as far as the API server writes them.
//!
//! The numbers of fields stand beside their names in JSON, where a type is declared, and come from `generated.proto` of
//! `k8s.io/api` and `k8s.io/apimachinery`, which never change one.

mod answers;
mod fields;
mod template;

pub(super) use answers::{event, is_event, is_object, list, list_meta, object, status};
pub(super) use fields::{FieldSet, ProtobufError, Value};

use super::lenient::Unread;
use crate::time::UnixTime;
use fields::{BREAKS_OFF, BROKEN, Fields};
use std::borrow::Cow;

/// What can be read from a field. A field that comes again replaces a scalar, and is added to a list or a message.
pub(super) trait FromProtobuf<'a> {
    /// Takes what came.
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError>;
}

/// A message of which some fields are read.
pub(super) trait Message<'a> {
    /// Which.
    const READ: FieldSet;

    /// Takes one of them. Another one is no error.
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), ProtobufError>;

    /// Takes all of them.
    #[inline]
    fn message(&mut self, message: Value<'a>) -> Result<(), ProtobufError> {
        let mut fields = message.fields()?;
        while let Some((number, value)) = fields.next_of(Self::READ)? {
            self.field(number, value)?;
        }
        Ok(())
    }
}

/// Reads a message from its default.
pub(super) fn read<'a, T: FromProtobuf<'a> + Default>(value: Value<'a>) -> Result<T, ProtobufError> {
    let mut read = T::default();
    read.merge(value)?;
    Ok(read)
}

impl<'a> FromProtobuf<'a> for Cow<'a, str> {
    /// A string that is no UTF-8 reads as it would have come in JSON: with U+FFFD for what is none.
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

/// A `Time`: seconds since the epoch, and nanoseconds. Go's zero time, which is `null` in JSON, is an empty message.
impl FromProtobuf<'_> for Option<UnixTime> {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        let mut fields = value.fields()?;
        while let Some((field, value)) = fields.next()? {
            if field == 1 {
                *self = UnixTime::from_seconds(number(value)?.cast_signed());
            }
        }
        Ok(())
    }
}

/// Whether a condition is of this type; of most nothing more is read.
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
    // The other way takes several times as long.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// An entry of a `map<string, string>`: its key and its value.
pub(super) fn entry(value: Value<'_>) -> Result<(&[u8], &[u8]), ProtobufError> {
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

#[cfg(test)]
mod tests {
    use super::{FromProtobuf as _, Value};
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
}
