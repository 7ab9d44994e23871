//! The answers of the API server: lines of a watch, pages of a list, and `Status`.

use super::controllers::{self, ControllerRevision, DaemonSet, Deployment, Rollout, StatefulSet};
use super::json::{Json, JsonError};
use super::lenient::{Key, Lenient, Unread, fields};
use super::metadata::RawMeta;
use super::{Body, Object, Pod, Resource, pod};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// One line of a watch.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// ADDED or MODIFIED.
    Applied(Object<'a>),
    /// DELETED.
    Deleted(Object<'a>),
    /// BOOKMARK.
    Bookmark {
        /// The version a later watch may start from.
        resource_version: String,
        /// Whether it closes the initial events of a streaming list (`k8s.io/initial-events-end`).
        initial_events_end: bool,
    },
    /// ERROR.
    Error(Status),
}

/// What the API server says went wrong (`kind: Status`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// A reason in one word: `Expired`, `Forbidden`, …
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// `details.retryAfterSeconds`, where the server gives one.
    pub retry_after_seconds: Option<u32>,
}

/// The `metadata` of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListMeta {
    /// The version a watch may start from.
    pub resource_version: String,
    /// The token of the next page; empty on the last.
    pub continue_token: String,
}

/// An answer of the API server that cannot be read as what it ought to be. It quotes nothing of it: the decoder's own
/// words would, and with them somebody's environment variables.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {resource}: {what} at byte {byte}")]
pub struct DecodeError {
    /// What was expected.
    pub resource: Resource,
    /// What is wrong with it.
    pub what: &'static str,
    /// Where, counted from 1; 0 if that cannot be told.
    pub byte: usize,
}

/// Reads one line of a watch.
pub fn decode_event(resource: Resource, line: &[u8]) -> Result<WatchEvent<'_>, DecodeError> {
    read_event(resource, line).map_err(|error| DecodeError { resource, what: error.what, byte: error.at })
}

/// Reads one page of a list, and hands each object on as soon as it is read.
pub fn decode_list<'a>(
    resource: Resource,
    body: &'a [u8],
    each: &mut dyn FnMut(Object<'a>),
) -> Result<ListMeta, DecodeError> {
    read_list(resource, body, each).map_err(|error| DecodeError { resource, what: error.what, byte: error.at })
}

/// Reads the `metadata` of a page alone, which stands before its items, so that the next page can be asked for at once.
pub fn decode_list_meta(resource: Resource, body: &[u8]) -> Result<ListMeta, DecodeError> {
    let read = |text| Json::new(text).deserialize_map(ListVisitor { resource, each: None });
    // It is nearly always among the first few hundred bytes, and the others are checked when they are read.
    let beginning = body.get(..HEAD).map(|head| head.utf8_chunks().next().map_or("", |chunk| chunk.valid()));
    if let Some(Ok(meta)) = beginning.map(read) {
        return Ok(meta);
    }
    text(body).and_then(read).map_err(|error| DecodeError { resource, what: error.what, byte: error.at })
}

/// More than stands before the items of a list.
const HEAD: usize = 4096;

/// Reads a `Status`, or says that it is none.
#[must_use]
pub fn decode_status(body: &[u8]) -> Option<Status> {
    let mut json = Json::new(text(body).ok()?);
    let Lenient(raw): Lenient<RawStatus<'_>> = serde::Deserialize::deserialize(&mut json).ok()?;
    json.end().ok()?;
    (raw.kind == "Status").then(|| raw.into())
}

/// Checked as a whole, which takes a fraction of what checking each string takes.
fn text(json: &[u8]) -> Result<&str, JsonError> {
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
        // `object` came before `type`: now that the type is known, once more.
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

#[allow(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
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
                WatchEvent::Bookmark {
                    resource_version: object.metadata.resource_version.into_owned(),
                    initial_events_end: object.metadata.annotations.initial_events_end == "true",
                }
            }
            EventType::Error => {
                let Lenient(status) = map.next_value::<Lenient<RawStatus<'de>>>()?;
                WatchEvent::Error(status.into())
            }
        })
    }
}

struct ListVisitor<'f, 'de> {
    resource: Resource,
    /// Without it only the metadata is wanted.
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

/// The items of a list, each handed on as it is read: no page is ever held decoded.
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
        Ok(match self.0 {
            Resource::Pods => {
                let Lenient(raw) = Lenient::<RawPod<'de>>::deserialize(deserializer)?;
                raw.metadata.object(self.0, Body::Pod(Pod::from_parts(raw.spec, raw.status)))
            }
            Resource::ReplicaSets => {
                let Lenient(raw) = Lenient::<RawReplicaSet<'de>>::deserialize(deserializer)?;
                raw.metadata.object(self.0, Body::ReplicaSet(raw.spec))
            }
            Resource::ControllerRevisions => {
                let Lenient(raw) = Lenient::<RawRevision<'de>>::deserialize(deserializer)?;
                let revision = ControllerRevision { revision: raw.revision, template: raw.data.spec.template };
                raw.metadata.object(self.0, Body::ControllerRevision(revision))
            }
            resource => {
                let Lenient(raw) = Lenient::<RawController<'de>>::deserialize(deserializer)?;
                let body = match resource {
                    Resource::StatefulSets => Body::StatefulSet(StatefulSet::from_parts(raw.spec, raw.status)),
                    Resource::DaemonSets => Body::DaemonSet(DaemonSet::from_parts(raw.spec, raw.status)),
                    Resource::Rollouts => Body::Rollout(Rollout::from_parts(raw.spec, raw.status)),
                    _ => Body::Deployment(Deployment::from_parts(raw.spec, raw.status)),
                };
                raw.metadata.object(resource, body)
            }
        })
    }
}

#[derive(Default)]
struct RawPod<'a> {
    metadata: RawMeta<'a, Unread>,
    spec: pod::Spec<'a>,
    status: pod::Status<'a>,
}
#[derive(Default)]
struct RawReplicaSet<'a> {
    metadata: RawMeta<'a>,
    spec: controllers::ReplicaSet<'a>,
}
#[derive(Default)]
struct RawRevision<'a> {
    metadata: RawMeta<'a>,
    data: controllers::Data<'a>,
    revision: Option<i64>,
}
#[derive(Default)]
struct RawController<'a> {
    metadata: RawMeta<'a>,
    spec: controllers::Spec<'a>,
    status: controllers::Status<'a>,
}
fields!('de RawPod<'de> { "metadata" => metadata, "spec" => spec, "status" => status });
fields!('de RawReplicaSet<'de> { "metadata" => metadata, "spec" => spec });
fields!('de RawRevision<'de> { "metadata" => metadata, "data" => data, "revision" => revision });
fields!('de RawController<'de> { "metadata" => metadata, "spec" => spec, "status" => status });

#[derive(Default)]
struct BookmarkObject<'a> {
    metadata: BookmarkMeta<'a>,
}
#[derive(Default)]
struct BookmarkMeta<'a> {
    resource_version: Cow<'a, str>,
    annotations: BookmarkAnnotations<'a>,
}
#[derive(Default)]
struct BookmarkAnnotations<'a> {
    initial_events_end: Cow<'a, str>,
}
fields!('de BookmarkObject<'de> { "metadata" => metadata });
fields!('de BookmarkMeta<'de> { "resourceVersion" => resource_version, "annotations" => annotations });
fields!('de BookmarkAnnotations<'de> { "k8s.io/initial-events-end" => initial_events_end });

#[derive(Default)]
struct RawListMeta<'a> {
    resource_version: Cow<'a, str>,
    continue_token: Cow<'a, str>,
}
fields!('de RawListMeta<'de> { "resourceVersion" => resource_version, "continue" => continue_token });

impl From<RawListMeta<'_>> for ListMeta {
    fn from(raw: RawListMeta<'_>) -> Self {
        Self { resource_version: raw.resource_version.into_owned(), continue_token: raw.continue_token.into_owned() }
    }
}

#[derive(Default)]
struct RawStatus<'a> {
    kind: Cow<'a, str>,
    code: Option<i64>,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
    details: Details,
}
#[derive(Default)]
struct Details {
    retry_after_seconds: Option<i64>,
}
fields!('de RawStatus<'de> {
    "kind" => kind,
    "code" => code,
    "reason" => reason,
    "message" => message,
    "details" => details,
});
fields!('de Details { "retryAfterSeconds" => retry_after_seconds });

impl From<RawStatus<'_>> for Status {
    fn from(raw: RawStatus<'_>) -> Self {
        Self {
            code: raw.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0),
            reason: raw.reason.into_owned(),
            message: raw.message.into_owned(),
            retry_after_seconds: raw.details.retry_after_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        }
    }
}
