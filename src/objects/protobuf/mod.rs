//! Protocol buffers, as far as the API server writes them.
//!
//! A message is a row of fields, each with its number and either a number or a length and so many bytes
//! (<https://protobuf.dev/programming-guides/encoding/>). What is not asked for is passed over without being looked at, which
//! is nine tenths of a pod. The numbers stand beside the names of the fields in JSON, where a type is declared, and come from
//! `generated.proto` of `k8s.io/api` and `k8s.io/apimachinery`, which never change one.

mod answers;
mod template;

pub(super) use answers::{event, is_event, is_object, list, list_meta, object, status};

use super::lenient::{Labels, Unread};
use crate::time::UnixTime;
use std::borrow::Cow;

/// What is wrong with a message. It quotes nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ProtobufError {
    pub(super) what: &'static str,
    /// Where in memory, of which the one who has the whole message makes a position; 0 where it is not known.
    place: usize,
}

impl ProtobufError {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, place: 0 }
    }

    /// The byte of `message` at which it is wrong, counted from 1; 0 where it is not known.
    pub(super) fn byte(self, message: &[u8]) -> usize {
        let byte = self.place.checked_sub(message.as_ptr().addr()).filter(|byte| *byte <= message.len());
        byte.map_or(0, |byte| byte + 1)
    }
}

const BREAKS_OFF: &str = "protobuf that breaks off";
const BROKEN: &str = "broken protobuf";

/// The value of a field.
#[derive(Clone, Copy, Hash, Debug)]
pub(super) enum Value<'a> {
    /// A number, `true` or `false`.
    Number(u64),
    /// A string, a message, or bytes.
    Bytes(&'a [u8]),
    /// A number of fixed length, of which podskew reads none.
    Fixed(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::new(BROKEN)),
        }
    }

    /// Whether it is the value of a field that was never set.
    pub(super) fn is_empty(self) -> bool {
        match self {
            Self::Number(number) => number == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Fixed(_) => false,
        }
    }

    /// The fields of the message that this is.
    pub(super) fn fields(self) -> Result<Fields<'a>, ProtobufError> {
        self.bytes().map(Fields::new)
    }
}

/// Some fields of a message, by their numbers; of those from 63 on always all.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSet(u64);

impl FieldSet {
    const ALL: Self = Self(u64::MAX);

    pub(super) const fn of(numbers: &[u32]) -> Self {
        let mut set = 1 << 63;
        let mut at = 0;
        while at < numbers.len() {
            set |= 1 << if numbers[at] < 63 { numbers[at] } else { 63 };
            at += 1;
        }
        Self(set)
    }

    fn contains(self, number: u32) -> bool {
        self.0 >> number.min(63) & 1 == 1
    }
}

/// The fields of a message, in the order in which they were written.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, or nothing at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        self.next_of(FieldSet::ALL)
    }

    /// The next field of those that are wanted, or nothing at the end of the message.
    pub(super) fn next_of(&mut self, wanted: FieldSet) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        Ok(self.pass_to(|number| wanted.contains(number))?.1)
    }

    /// The next field that is wanted, or nothing at the end of the message, and the fields that were passed over before it.
    #[inline]
    pub(super) fn pass_to(&mut self, wanted: impl Fn(u32) -> bool) -> Result<Passed<'a>, ProtobufError> {
        let begin = self.rest;
        loop {
            let passed = &begin[..begin.len() - self.rest.len()];
            if self.rest.is_empty() {
                return Ok((passed, None));
            }
            let field = self.rest;
            let Some((number, value)) = take_field(&mut self.rest) else {
                return Err(what_is_wrong(field));
            };
            if wanted(number) {
                return Ok((passed, Some((number, value))));
            }
        }
    }
}

/// Fields that were passed over, and the one behind them.
type Passed<'a> = (&'a [u8], Option<(u32, Value<'a>)>);

/// Takes the field at the beginning of `rest`, if there is a whole one. What goes wrong here is found out elsewhere: this is
/// passed a few hundred times for each pod.
#[inline]
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = take_number(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0)?;
    let value = match tag & 7 {
        0 => Value::Number(take_number(rest)?),
        2 => {
            let length = usize::try_from(take_number(rest)?).ok()?;
            Value::Bytes(take_bytes(rest, length)?)
        }
        1 => Value::Fixed(take_bytes(rest, 8)?),
        5 => Value::Fixed(take_bytes(rest, 4)?),
        // Groups, which Kubernetes never wrote.
        _ => return None,
    };
    Some((number, value))
}

/// Seven bits a byte, the lowest first; the highest bit says that another byte follows.
#[inline]
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    match **rest {
        [byte, ref behind @ ..] if byte < 0x80 => {
            *rest = behind;
            Some(u64::from(byte))
        }
        [low, high, ref behind @ ..] if high < 0x80 => {
            *rest = behind;
            Some(u64::from(low & 0x7F) | u64::from(high) << 7)
        }
        _ => take_long_number(rest),
    }
}

fn take_long_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (position, byte) in rest.iter().enumerate().take(LONGEST_NUMBER) {
        let bits = u64::from(byte & 0x7F);
        if position == LONGEST_NUMBER - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * position);
        if *byte < 0x80 {
            *rest = &rest[position + 1..];
            return Some(number);
        }
    }
    None
}

/// Ten times seven bits are more than 64.
const LONGEST_NUMBER: usize = 10;

#[inline]
fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// Why no field could be taken from here.
#[cold]
fn what_is_wrong(field: &[u8]) -> ProtobufError {
    let mut rest = field;
    let mut number = || {
        let at = rest;
        take_number(&mut rest).ok_or(if at.len() < LONGEST_NUMBER { BREAKS_OFF } else { BROKEN })
    };
    let what = match number() {
        Err(what) => what,
        Ok(tag) if tag >> 3 == 0 || tag >> 3 > u64::from(u32::MAX) => BROKEN,
        Ok(tag) => match tag & 7 {
            0 | 2 => number().err().unwrap_or(BREAKS_OFF),
            1 | 5 => BREAKS_OFF,
            _ => BROKEN,
        },
    };
    ProtobufError { what, place: rest.as_ptr().addr() }
}

/// What can be read from a field. A field that comes again replaces a scalar, and is added to a list or a message.
pub(super) trait FromProtobuf<'a> {
    /// Takes what came.
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError>;
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
    let (_, found) = condition.fields()?.pass_to(|field| field == 1)?;
    Ok(matches!(found, Some((_, Value::Bytes(found))) if found == kind.as_bytes()))
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

impl<'a> FromProtobuf<'a> for Labels<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        if self.0.is_empty() {
            self.0.reserve(8);
        }
        let (key, label) = entry(value)?;
        self.0.push((text(key), text(label)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, FromProtobuf as _, Value};
    use crate::time::UnixTime;
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn read(message: &[u8]) -> Result<Vec<(u32, String)>, &'static str> {
        let mut fields = Fields::new(message);
        let mut read = Vec::new();
        while let Some((number, value)) = fields.next().map_err(|error| error.what)? {
            read.push((number, format!("{value:?}")));
        }
        Ok(read)
    }

    fn one(message: &[u8]) -> (u32, String) {
        read(message).unwrap().remove(0)
    }

    #[test]
    fn numbers_of_every_length() {
        assert_eq!(one(&[0x08, 0x00]), (1, "Number(0)".into()));
        assert_eq!(one(&[0x08, 0x96, 0x01]), (1, "Number(150)".into()));
        assert_eq!(one(&[0x08, 0x80, 0x80, 0x04]), (1, "Number(65536)".into()));
        let minus_one = [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        assert_eq!(one(&minus_one), (1, format!("Number({})", u64::MAX)));
        assert_eq!(one(&[0xA2, 0x01, 0x01, 0x2A]), (20, "Bytes([42])".into()), "a field of two bytes");
        assert_eq!(one(&[0x09, 1, 2, 3, 4, 5, 6, 7, 8]), (1, "Fixed([1, 2, 3, 4, 5, 6, 7, 8])".into()));
        assert_eq!(one(&[0x0D, 1, 2, 3, 4]), (1, "Fixed([1, 2, 3, 4])".into()));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for breaks_off in
            [&[0x08][..], &[0x80], &[0x0A, 0x02, 0x41], &[0x0A], &[0x08, 0x80, 0x80], &[0x09, 1, 2], &[0x0D]]
        {
            assert_eq!(read(breaks_off), Err(super::BREAKS_OFF), "{breaks_off:x?}");
        }
        let endless = [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80];
        let too_large = [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02];
        for broken in [&[0x00, 0x00][..], &[0x0B], &[0x0C], &[0x0E], &[0x0F], &endless, &too_large] {
            assert_eq!(read(broken), Err(super::BROKEN), "{broken:x?}");
        }
    }

    #[test]
    fn an_error_says_where() {
        let message = [0x08, 0x01, 0x0A, 0x05, 0x41];
        let mut fields = Fields::new(&message);
        fields.next().unwrap();
        assert_eq!(fields.next().unwrap_err().byte(&message), 5);
        assert_eq!(super::ProtobufError::new("of unknown place").byte(&message), 0);
    }

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

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&message);
        }
    }
}
