//! Labels. Only a few are read.

use super::lenient::{FromJson, Key, Lenient};
use super::protobuf::{FromProtobuf, ProtobufError, Value, entry, text};
use serde::de::MapAccess;
use std::borrow::Cow;
use std::fmt;

/// Labels as bytes: most are never read, so they are not validated as UTF-8 in advance.
#[derive(Clone, Default)]
pub struct Labels<'a>(Vec<(Bytes<'a>, Bytes<'a>)>);

type Bytes<'a> = Cow<'a, [u8]>;

impl<'a> Labels<'a> {
    /// The value of `key`. Invalid UTF-8 becomes U+FFFD, as in JSON.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let found = self.0.iter().find(|(name, _)| **name == *key.as_bytes());
        found.map(|(_, value)| text(value))
    }

    /// Adds a label without validation.
    pub(super) fn push(&mut self, key: &'a [u8], value: &'a [u8]) {
        if self.0.is_empty() {
            self.0.reserve(8);
        }
        self.0.push((key.into(), value.into()));
    }

    /// Adds a label.
    pub(super) fn push_text(&mut self, key: Cow<'a, str>, value: Cow<'a, str>) {
        self.0.push((bytes(key), bytes(value)));
    }

    fn texts(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.0.iter().map(|(key, value)| (text(key), text(value)))
    }
}

impl PartialEq for Labels<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }
}

impl Eq for Labels<'_> {}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.texts()).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        Self(labels.into_iter().map(|(key, value)| (key.as_bytes().into(), value.as_bytes().into())).collect())
    }
}

impl<'de> FromJson<'de> for Labels<'de> {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut labels = Self(Vec::with_capacity(8));
        while let Some((Key(key), Lenient(value))) = map.next_entry()? {
            labels.push_text(key, value);
        }
        Ok(Some(labels))
    }
}

impl<'a> FromProtobuf<'a> for Labels<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        let (key, label) = entry(value)?;
        self.push(key, label);
        Ok(())
    }
}

fn bytes(text: Cow<'_, str>) -> Bytes<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
