//! Lenient decoding: a missing, null or wrongly typed value becomes its default.
//!
//! serde's `#[serde(default)]` still fails on `null` and on a wrong type, and one such field would make a whole page of
//! a list unreadable for good. Here only invalid JSON is an error. A wrong type is counted. `null` is not, because Go
//! writes empty values that way (`creationTimestamp: null`, `containers: null`).

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

thread_local! {
    static WRONG_TYPES: Cell<u64> = const { Cell::new(0) };
}

/// Returns how many fields had a wrong type in what this thread decoded since the last call. Call it right after
/// decoding an object: the decoded types do not hold the number.
#[must_use]
pub fn take_wrong_types() -> u64 {
    WRONG_TYPES.take()
}

/// A type that can be read from a JSON value. Each method that is not implemented means "wrong type".
pub(super) trait FromJson<'de>: Default {
    /// Whether the value is read; otherwise it is skipped.
    const READ: bool = true;

    /// From a string.
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        let _ = text;
        None
    }
    /// From a whole number.
    fn from_integer(number: i64) -> Option<Self> {
        let _ = number;
        None
    }
    /// From `true` or `false`.
    fn from_bool(value: bool) -> Option<Self> {
        let _ = value;
        None
    }
    /// From an object; reads `map` to its end.
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        drain_map(map).map(|()| None)
    }
    /// From an array; reads `seq` to its end.
    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Option<Self>, A::Error> {
        drain_seq(seq).map(|()| None)
    }
}

pub(super) fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(super) fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads a `T`, or its default from any other JSON.
pub(super) struct Lenient<T>(pub(super) T);

impl<'de, T: FromJson<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if T::READ {
            deserializer.deserialize_any(LenientVisitor(PhantomData)).map(Self)
        } else {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Self(T::default()))
        }
    }
}

/// A field's name, which JSON requires to be a string.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }
    #[inline]
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<T: Default> LenientVisitor<T> {
    fn counted(read: Option<T>) -> T {
        read.unwrap_or_else(|| {
            WRONG_TYPES.set(WRONG_TYPES.get() + 1);
            T::default()
        })
    }
}

impl<'de, T: FromJson<'de>> Visitor<'de> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        Ok(Self::counted(T::from_text(Cow::Borrowed(text))))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(Self::counted(T::from_text(Cow::Owned(text.to_owned()))))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<T, E> {
        Ok(Self::counted(T::from_text(Cow::Owned(text))))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Ok(Self::counted(T::from_integer(number)))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(Self::counted(i64::try_from(number).ok().and_then(T::from_integer)))
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(Self::counted(None))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(Self::counted(T::from_bool(value)))
    }
    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map).map(Self::counted)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::from_seq(seq).map(Self::counted)
    }
}

/// A field that is read only for other kinds of objects.
#[derive(Default)]
pub(super) struct Unread;

impl FromJson<'_> for Unread {
    const READ: bool = false;
}

impl<'de> FromJson<'de> for Cow<'de, str> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl FromJson<'_> for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl<'de> FromJson<'de> for Option<i64> {
    fn from_integer(number: i64) -> Option<Self> {
        Some(Some(number))
    }
    /// Argo once wrote `status.observedGeneration` as a string.
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        text.parse().ok().map(Some)
    }
}

impl<'de> FromJson<'de> for Option<crate::time::UnixTime> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(crate::time::UnixTime::parse(&text))
    }
}

impl<'de, T: FromJson<'de>> FromJson<'de> for Vec<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut items = Vec::new();
        while let Some(Lenient(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }
}

/// Implements [`FromJson`] for a struct: each named JSON key is read into its field, and all others are skipped. A
/// field may have a type parameter of the struct: `fields!('de, T Type<'de, T> { … })`.
///
/// If keys have protobuf field numbers, `"nodeName" = 10 => node`, it also implements
/// [`FromProtobuf`](super::protobuf::FromProtobuf).
macro_rules! fields {
    ($lifetime:lifetime $(, $open:ident)? $type:ty { $($key:literal => $field:ident),+ $(,)? }) => {
        impl<$lifetime $(, $open: $crate::objects::lenient::FromJson<$lifetime>)?>
            $crate::objects::lenient::FromJson<$lifetime> for $type
        {
            fn from_map<A: serde::de::MapAccess<$lifetime>>(mut map: A) -> Result<Option<Self>, A::Error> {
                use $crate::objects::lenient::{Key, Lenient};
                let mut read = Self::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        $($key => { let Lenient(value) = map.next_value()?; read.$field = value; })+
                        _ => { map.next_value::<serde::de::IgnoredAny>()?; }
                    }
                }
                Ok(Some(read))
            }
        }
    };
    ($lifetime:lifetime $(, $open:ident)? $type:ty {
        $($key:literal $(= $number:literal)? => $field:ident),+ $(,)?
    }) => {
        $crate::objects::lenient::fields!($lifetime $(, $open)? $type { $($key => $field),+ });

        impl<$lifetime $(, $open: $crate::objects::protobuf::FromProtobuf<$lifetime>)?>
            $crate::objects::protobuf::Message<$lifetime> for $type
        {
            const READ: $crate::objects::protobuf::FieldSet =
                $crate::objects::protobuf::FieldSet::of(&[$($($number,)?)+]);

            #[inline]
            fn field(
                &mut self,
                number: u32,
                value: $crate::objects::protobuf::Value<$lifetime>,
            ) -> Result<(), $crate::objects::protobuf::ProtobufError> {
                match number {
                    $($($number => $crate::objects::protobuf::FromProtobuf::merge(&mut self.$field, value),)?)+
                    _ => Ok(()),
                }
            }
        }

        impl<$lifetime $(, $open: $crate::objects::protobuf::FromProtobuf<$lifetime>)?>
            $crate::objects::protobuf::FromProtobuf<$lifetime> for $type
        {
            fn merge(
                &mut self,
                value: $crate::objects::protobuf::Value<$lifetime>,
            ) -> Result<(), $crate::objects::protobuf::ProtobufError> {
                $crate::objects::protobuf::Message::message(self, value)
            }
        }
    };
}
pub(super) use fields;
