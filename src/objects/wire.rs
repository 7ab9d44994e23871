//! Decodes responses of the API server: watch events, pages of a list, and `Status`, in JSON or in protobuf.
//!
//! The first bytes show which encoding it is. `raw.rs` declares the fields that are read of an object, for both.

use super::json::{Json, JsonError};
use super::lenient::{Key, Lenient};
use super::protobuf::{self, ProtobufError};
use super::raw::{
    BookmarkObject, RawApiStatus, RawController, RawListMeta, RawNode, RawPod, RawReplicaSet, RawRevision,
};
use super::response::{ApiStatus, ListMeta, WatchEvent};
use super::{Object, Resource};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A response of the API server could not be decoded. The error does not quote the response, because that may hold
/// environment variables. A message of serde may quote it, so it is not used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {resource}: {what} at byte {byte}")]
pub struct DecodeError {
    /// The expected resource.
    pub resource: Resource,
    /// The problem.
    pub what: &'static str,
    /// Byte position, counted from 1; 0 if unknown.
    pub byte: usize,
}

impl DecodeError {
    fn json(resource: Resource) -> impl FnOnce(JsonError) -> Self {
        move |error| Self { resource, what: error.what, byte: error.at }
    }

    fn protobuf(resource: Resource, message: &[u8]) -> impl FnOnce(ProtobufError) -> Self {
        move |error| Self { resource, what: error.what, byte: error.byte(message) }
    }
}

/// Reads one event of a watch: a line of JSON, or a message of protobuf.
pub fn decode_event(resource: Resource, event: &[u8]) -> Result<WatchEvent<'_>, DecodeError> {
    if protobuf::is_event(event) {
        return protobuf::event(resource, event).map_err(DecodeError::protobuf(resource, event));
    }
    read_event(resource, event).map_err(DecodeError::json(resource))
}

/// Reads one page of a list, and passes each object on as soon as it is read.
pub fn decode_list<'a>(
    resource: Resource,
    body: &'a [u8],
    each: &mut dyn FnMut(Object<'a>),
) -> Result<ListMeta, DecodeError> {
    if protobuf::is_object(body) {
        return protobuf::list(resource, body, each).map_err(DecodeError::protobuf(resource, body));
    }
    read_list(resource, body, each).map_err(DecodeError::json(resource))
}

/// Reads only the `metadata` of a page, which comes before the items, so that the next page can be requested at once.
pub fn decode_list_meta(resource: Resource, body: &[u8]) -> Result<ListMeta, DecodeError> {
    if protobuf::is_object(body) {
        return protobuf::list_meta(resource, body).map_err(DecodeError::protobuf(resource, body));
    }
    let read = |text| Json::new(text).deserialize_map(ListVisitor { resource, each: None });
    // The metadata is nearly always in the first few hundred bytes. The rest is validated when it is decoded.
    let beginning = body.get(..HEAD).map(|head| head.utf8_chunks().next().map_or("", |chunk| chunk.valid()));
    if let Some(Ok(meta)) = beginning.map(read) {
        return Ok(meta);
    }
    text(body).and_then(read).map_err(DecodeError::json(resource))
}

/// Number of bytes that usually include the metadata of a list.
const HEAD: usize = 4096;

/// Reads one object.
pub fn decode_object(resource: Resource, object: &[u8]) -> Result<Object<'_>, DecodeError> {
    if protobuf::is_object(object) {
        return protobuf::object(resource, object).map_err(DecodeError::protobuf(resource, object));
    }
    let read = |object| {
        let mut json = Json::new(text(object)?);
        let object = ObjectSeed(resource).deserialize(&mut json)?;
        json.end().map(|()| object)
    };
    read(object).map_err(DecodeError::json(resource))
}

/// Reads a `Status`; `None` for any other body.
#[must_use]
pub fn decode_status(body: &[u8]) -> Option<ApiStatus> {
    if protobuf::is_object(body) {
        return protobuf::status(body).ok();
    }
    // `404 page not found`, the body for an unknown API, begins with a number. It must not count as a field of a wrong type.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let mut json = Json::new(text(body).ok()?);
    let Lenient(raw): Lenient<RawApiStatus<'_>> = serde::Deserialize::deserialize(&mut json).ok()?;
    json.end().ok()?;
    (raw.kind == "Status").then(|| raw.into())
}

/// Validates UTF-8 for the whole text, which takes a fraction of the time of validating each string.
pub(super) fn text(json: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(json).map_err(JsonError::custom)
}

fn read_list<'a>(resource: Resource, body: &'a [u8], each: &mut dyn FnMut(Object<'a>)) -> Result<ListMeta, JsonError> {
    let mut json = Json::new(text(body)?);
    let meta = json.deserialize_map(ListVisitor { resource, each: Some(each) })?;
    json.end().map(|()| meta)
}

fn read_event(resource: Resource, line: &[u8]) -> Result<WatchEvent<'_>, JsonError> {
    let line = text(line)?;
    let read = |kind| {
        let mut json = Json::new(line);
        let event = json.deserialize_map(EventVisitor { resource, kind })?;
        json.end().map(|()| event)
    };
    match read(None)? {
        ReadEvent::Whole(event) => Ok(event),
        // `object` came before `type`. Now that the type is known, the line is read again.
        ReadEvent::Type(kind) => match read(Some(kind))? {
            ReadEvent::Whole(event) => Ok(event),
            ReadEvent::Type(_) => Err(JsonError::custom("the event has no object")),
        },
    }
}

#[derive(Clone, Copy)]
enum EventType {
    Applied,
    Deleted,
    Bookmark,
    Error,
}

#[allow(clippy::large_enum_variant, reason = "only one exists at a time, on the stack")]
enum ReadEvent<'a> {
    Whole(WatchEvent<'a>),
    Type(EventType),
}

struct EventVisitor {
    resource: Resource,
    kind: Option<EventType>,
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = ReadEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = None;
        while let Some(Key(key)) = map.next_key()? {
            match (key.as_ref(), self.kind) {
                ("type", _) => {
                    let Lenient(text) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                    self.kind = Some(match text.as_ref() {
                        "ADDED" | "MODIFIED" => EventType::Applied,
                        "DELETED" => EventType::Deleted,
                        "BOOKMARK" => EventType::Bookmark,
                        "ERROR" => EventType::Error,
                        _ => return Err(A::Error::custom("the event is of no known type")),
                    });
                }
                ("object", Some(kind)) => event = Some(self.object(kind, &mut map)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (event, self.kind) {
            (Some(event), _) => Ok(ReadEvent::Whole(event)),
            (None, Some(kind)) => Ok(ReadEvent::Type(kind)),
            (None, None) => Err(A::Error::custom("the event has no type")),
        }
    }
}

impl EventVisitor {
    fn object<'de, A: MapAccess<'de>>(&self, kind: EventType, map: &mut A) -> Result<WatchEvent<'de>, A::Error> {
        Ok(match kind {
            EventType::Applied => WatchEvent::Applied(map.next_value_seed(ObjectSeed(self.resource))?),
            EventType::Deleted => WatchEvent::Deleted(map.next_value_seed(ObjectSeed(self.resource))?),
            EventType::Bookmark => {
                let Lenient(object) = map.next_value::<Lenient<BookmarkObject<'de>>>()?;
                object.into()
            }
            EventType::Error => {
                let Lenient(status) = map.next_value::<Lenient<RawApiStatus<'de>>>()?;
                WatchEvent::Error(status.into())
            }
        })
    }
}

struct ListVisitor<'f, 'de> {
    resource: Resource,
    /// Receives each object; `None` to read only the metadata.
    each: Option<&'f mut dyn FnMut(Object<'de>)>,
}

impl<'de> Visitor<'de> for ListVisitor<'_, 'de> {
    type Value = ListMeta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.resource)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<ListMeta, A::Error> {
        let mut meta = RawListMeta::default();
        let mut found = false;
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "metadata" => {
                    Lenient(meta) = map.next_value()?;
                    if self.each.is_none() {
                        return Ok(meta.into());
                    }
                }
                "items" => {
                    found = true;
                    match self.each.as_deref_mut() {
                        Some(each) => map.next_value_seed(Items { resource: self.resource, each })?,
                        None => map.next_value::<IgnoredAny>().map(|_| ())?,
                    }
                }
                "kind" => {
                    let Lenient(kind) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                    if kind == "Status" {
                        return Err(A::Error::custom("the answer is a Status, not a list"));
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !found {
            return Err(A::Error::custom("the answer has no items"));
        }
        Ok(meta.into())
    }
}

/// The items of a list. Each is passed on as it is read, so a page is never held decoded.
struct Items<'f, 'de> {
    resource: Resource,
    each: &'f mut dyn FnMut(Object<'de>),
}

impl<'de> DeserializeSeed<'de> for Items<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {}", self.resource)
    }
    /// Go writes an empty list as `null`.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(object) = seq.next_element_seed(ObjectSeed(self.resource))? {
            (self.each)(object);
        }
        Ok(())
    }
}

/// Reads one object of a known resource.
struct ObjectSeed(Resource);

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        use serde::Deserialize as _;
        let Self(resource) = self;
        Ok(match resource {
            Resource::Pods => Lenient::<RawPod<'de>>::deserialize(deserializer)?.0.object(resource),
            Resource::ReplicaSets => Lenient::<RawReplicaSet<'de>>::deserialize(deserializer)?.0.object(resource),
            Resource::ControllerRevisions => Lenient::<RawRevision<'de>>::deserialize(deserializer)?.0.object(resource),
            Resource::Nodes => Lenient::<RawNode<'de>>::deserialize(deserializer)?.0.object(resource),
            _ => Lenient::<RawController<'de>>::deserialize(deserializer)?.0.object(resource),
        })
    }
}
