//! The type of an object, as the object states it.

use super::json::{Json, JsonError};
use super::json_splitter::SplitError;
use super::lenient::{Key, Lenient};
use super::wire::text;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The type of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kind<'a> {
    /// `apiVersion`; empty if missing, as in the items of an API server's list.
    pub api_version: Cow<'a, str>,
    /// `kind`; empty if missing.
    pub kind: Cow<'a, str>,
    /// `type` of a watch event, whose object is in `object`; empty for any other object.
    pub event: Cow<'a, str>,
}

/// Reads `apiVersion` and `kind` of an object, and stops.
pub fn decode_kind(object: &[u8]) -> Result<Kind<'_>, SplitError> {
    let read = |object| Json::new(text(object)?).deserialize_map(KindVisitor);
    read(object).map_err(|error: JsonError| SplitError { what: error.what, byte: error.at as u64 })
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Kind::default();
        let mut has_object = false;
        // kubectl and API servers write both first.
        while read.kind.is_empty() || read.api_version.is_empty() {
            let Some(Key(key)) = map.next_key()? else {
                // An Event and a Secret have a `type`, too, and a kind.
                if !has_object || !read.kind.is_empty() {
                    read.event = Cow::default();
                }
                return Ok(read);
            };
            match key.as_ref() {
                "apiVersion" => Lenient(read.api_version) = map.next_value()?,
                "kind" => Lenient(read.kind) = map.next_value()?,
                "type" => Lenient(read.event) = map.next_value()?,
                other => {
                    has_object |= other == "object";
                    _ = map.next_value::<IgnoredAny>()?;
                }
            }
        }
        read.event = Cow::default();
        Ok(read)
    }
}
