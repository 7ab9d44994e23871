//! Reads a protobuf message field by field.
//!
//! A message is a sequence of fields: a number, and either an integer or a length with bytes
//! (<https://protobuf.dev/programming-guides/encoding/>). Unwanted fields, nine tenths of a pod, are skipped
//! without being parsed.
//!
//! Each pod has a few hundred skipped fields. All of this is inlined, so that the position stays in registers. Function calls
//! doubled the time, mostly to reload values just written to the stack.
#![allow(clippy::inline_always, reason = "measured")]

/// An error in a message. The error does not quote the message.
#[derive(Clone, Copy, Debug)]
pub(in crate::objects) struct ProtobufError {
    pub(in crate::objects) what: &'static str,
    /// Address of the error, from which the caller computes a position; 0 if unknown.
    address: usize,
}

impl ProtobufError {
    pub(in crate::objects) fn new(what: &'static str) -> Self {
        Self { what, address: 0 }
    }

    /// The byte position of the error in `message`, counted from 1; 0 if unknown.
    pub(in crate::objects) fn byte(self, message: &[u8]) -> usize {
        let byte = self.address.checked_sub(message.as_ptr().addr()).filter(|byte| *byte <= message.len());
        byte.map_or(0, |byte| byte + 1)
    }
}

pub(super) const TRUNCATED: &str = "truncated protobuf";
pub(super) const BROKEN: &str = "broken protobuf";

/// The value of a field.
#[derive(Clone, Copy, Hash, Debug)]
pub(in crate::objects) enum Value<'a> {
    /// An integer or boolean.
    Number(u64),
    /// A string, a message, or bytes.
    Bytes(&'a [u8]),
    /// A number of fixed length; podskew reads none.
    Fixed(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(in crate::objects) fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::new(BROKEN)),
        }
    }

    /// Whether it is a field's default value.
    pub(in crate::objects) fn is_empty(self) -> bool {
        match self {
            Self::Number(number) => number == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Fixed(_) => false,
        }
    }

    /// The fields of this value as a message.
    pub(in crate::objects) fn fields(self) -> Result<Fields<'a>, ProtobufError> {
        self.bytes().map(Fields::new)
    }
}

/// A set of field numbers. It always contains those from 63 on, and number 0, which no field has, so that it is never
/// skipped.
#[derive(Clone, Copy, Debug)]
pub(in crate::objects) struct FieldSet(u64);

impl FieldSet {
    pub(super) const ALL: Self = Self(u64::MAX);
    pub(super) const NONE: Self = Self(1 << 63 | 1);

    pub(in crate::objects) const fn of(numbers: &[u32]) -> Self {
        let (mut set, mut at) = (Self::NONE, 0);
        while at < numbers.len() {
            set = set.with(numbers[at]);
            at += 1;
        }
        set
    }

    pub(in crate::objects) const fn with(self, number: u32) -> Self {
        Self(self.0 | 1 << if number < 63 { number } else { 63 })
    }

    fn contains(self, number: u32) -> bool {
        self.0 >> number.min(63) & 1 == 1
    }
}

/// Iterates over the fields of a message, in their order.
#[derive(Clone, Debug)]
pub(in crate::objects) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(in crate::objects) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; `None` at the end of the message.
    #[inline(always)]
    pub(in crate::objects) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        self.next_of(FieldSet::ALL)
    }

    /// The next wanted field; `None` at the end of the message.
    #[inline(always)]
    pub(in crate::objects) fn next_of(&mut self, wanted: FieldSet) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        Ok(self.pass_to(wanted)?.1)
    }

    /// The next wanted field or `None`, with the skipped fields before it.
    #[inline(always)]
    pub(in crate::objects) fn pass_to(&mut self, wanted: FieldSet) -> Result<Passed<'a>, ProtobufError> {
        let begin = self.rest;
        loop {
            self.rest = pass_short(self.rest, wanted);
            let passed = &begin[..begin.len() - self.rest.len()];
            if self.rest.is_empty() {
                return Ok((passed, None));
            }
            let field = self.rest;
            let Some((number, value)) = take_field(&mut self.rest) else {
                return Err(what_is_wrong(field));
            };
            if wanted.contains(number) {
                return Ok((passed, Some((number, value))));
            }
        }
    }
}

/// Skips leading unwanted fields that have a length, with one byte each for tag and length: most do. Returns the rest.
#[inline(always)]
fn pass_short(mut rest: &[u8], wanted: FieldSet) -> &[u8] {
    while let Some((head, after)) = rest.split_first_chunk() {
        let [tag, length] = *head;
        if u16::from_le_bytes(*head) & 0x8087 != 2 || wanted.0 >> (tag >> 3) & 1 == 1 {
            break;
        }
        match after.get(usize::from(length)..) {
            Some(after) => rest = after,
            None => break,
        }
    }
    rest
}

/// Skipped fields, and the field after them.
type Passed<'a> = (&'a [u8], Option<(u32, Value<'a>)>);

/// Reads the field at the start of `rest`, if it is complete. Errors are diagnosed elsewhere, because this runs a few
/// hundred times per pod.
#[inline(always)]
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
        // Groups, which Kubernetes never writes.
        _ => return None,
    };
    Some((number, value))
}

/// A varint: seven bits per byte, lowest first; the highest bit marks that another byte follows.
#[inline(always)]
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    match **rest {
        [byte, ref after @ ..] if byte < 0x80 => {
            *rest = after;
            Some(u64::from(byte))
        }
        [low, high, ref after @ ..] if high < 0x80 => {
            *rest = after;
            Some(u64::from(low & 0x7F) | u64::from(high) << 7)
        }
        _ => {
            let (number, length) = long_number(rest)?;
            *rest = rest.get(length..)?;
            Some(number)
        }
    }
}

/// A varint at the start of `rest`, with its length.
#[inline(never)]
fn long_number(rest: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (position, byte) in rest.iter().enumerate().take(LONGEST_NUMBER) {
        let bits = u64::from(byte & 0x7F);
        if position == LONGEST_NUMBER - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * position);
        if *byte < 0x80 {
            return Some((number, position + 1));
        }
    }
    None
}

/// Ten times seven bits are more than 64.
const LONGEST_NUMBER: usize = 10;

#[inline(always)]
fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Returns the reason why no field could be read here.
#[cold]
fn what_is_wrong(field: &[u8]) -> ProtobufError {
    let mut rest = field;
    let mut number = || {
        let at = rest;
        take_number(&mut rest).ok_or(if at.len() < LONGEST_NUMBER { TRUNCATED } else { BROKEN })
    };
    let what = match number() {
        Err(what) => what,
        Ok(tag) if tag >> 3 == 0 || tag >> 3 > u64::from(u32::MAX) => BROKEN,
        Ok(tag) => match tag & 7 {
            0 | 2 => number().err().unwrap_or(TRUNCATED),
            1 | 5 => TRUNCATED,
            _ => BROKEN,
        },
    };
    ProtobufError { what, address: rest.as_ptr().addr() }
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use proptest::prelude::*;

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
    fn invalid_protobuf_is_refused() {
        for truncated in
            [&[0x08][..], &[0x80], &[0x0A, 0x02, 0x41], &[0x0A], &[0x08, 0x80, 0x80], &[0x09, 1, 2], &[0x0D]]
        {
            assert_eq!(read(truncated), Err(super::TRUNCATED), "{truncated:x?}");
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
        assert_eq!(super::ProtobufError::new("of unknown address").byte(&message), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&message);
        }
    }
}
