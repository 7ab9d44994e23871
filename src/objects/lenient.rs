//! One way to read a value that may be missing, null or of a wrong type: it becomes its default.
//!
//! serde's own `#[serde(default)]` still fails on `null` and on a wrong type, and one such field in one object would
//! break a whole page of a list, for ever. Here only broken JSON is an error. A wrong type is counted; `null` is not,
//! because it is how Go writes an empty value (`creationTimestamp: null`, `containers: null`).

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

thread_local! {
    static WRONG_TYPES: Cell<u64> = const { Cell::new(0) };
}

/// How many fields that podskew reads held a value of a wrong type, in what this thread decoded since the last call. Whoever decodes
/// an object asks right after it: the types that are decoded have no place for such a number.
#[must_use]
pub fn take_wrong_types() -> u64 {
    WRONG_TYPES.take()
}

/// What can be read from a JSON value of the expected type. Every method that is not implemented means "wrong type".
pub(super) trait FromJson<'de>: Default {
    /// Whether it is looked at at all.
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

/// Reads a `T`, or its default where the JSON holds something else.
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

/// The name of a field: always a string, or it is no JSON.
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

/// What one kind of object has and podskew reads of others only.
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
    /// Argo wrote `status.observedGeneration` as a string once.
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

/// Implements [`FromJson`] for a struct: each JSON key that is named goes to its field, every other is skipped. A field
/// may be of a type that the struct leaves open: `fields!('de, T Type<'de, T> { … })`.
///
/// Where keys have the numbers of their fields in protobuf beside them, `"nodeName" = 10 => node`, implements
/// [`FromProtobuf`](super::protobuf::FromProtobuf) as well.
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
