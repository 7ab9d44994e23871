//! The same response in two encodings.

use podskew::objects::{
    ApiStatus, Body, DecodeError, ListMeta, Object, Resource, TemplateDigest, WatchEvent, decode_event, decode_list,
    decode_list_meta, decode_object,
};
use serde_json::Value;

/// The resources that podskew requests in protobuf.
pub const IN_PROTOBUF: [Resource; 3] = [Resource::Pods, Resource::ReplicaSets, Resource::Deployments];

/// The messages of a watch, without their length prefixes.
#[track_caller]
pub fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        frames.push(frame);
        stream = rest;
    }
    assert!(stream.is_empty(), "the stream ends within a length");
    frames
}

/// The lines of a watch.
pub fn lines(stream: &[u8]) -> Vec<&[u8]> {
    stream.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// A decoded value, and separately the digests of its templates, which can be compared only within one encoding.
#[derive(PartialEq, Debug)]
pub struct Read<T> {
    pub what: T,
    pub digests: Vec<Option<TemplateDigest>>,
}

impl<T: PartialEq + std::fmt::Debug> Read<T> {
    /// Asserts that both are equal, and have templates in the same places.
    #[track_caller]
    pub fn is(&self, other: &Self, about: &str) {
        assert_eq!(self.what, other.what, "{about}");
        let present = |read: &Self| read.digests.iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(present(self), present(other), "{about}");
    }
}

/// Which digests are equal: each is represented by the index of the first equal one.
pub fn equalities(digests: &[Option<TemplateDigest>]) -> Vec<Option<usize>> {
    let first = |digest: &Option<TemplateDigest>| {
        digest.map(|digest| digests.iter().flatten().position(|other| other.equals(digest).unwrap()).unwrap())
    };
    digests.iter().map(first).collect()
}

/// An event that can be compared.
#[derive(PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "tests")]
pub enum Event<'a> {
    Applied(Object<'a>),
    Deleted(Object<'a>),
    Bookmark { resource_version: String, initial_events_end: bool },
    Error(ApiStatus),
}

/// Removes the template digest from an object.
pub fn take_digest(object: &mut Object<'_>) -> Option<TemplateDigest> {
    match &mut object.body {
        Body::ReplicaSet(replica_set) => replica_set.template.digest.take(),
        Body::Deployment(deployment) => deployment.template.digest.take(),
        _ => None,
    }
}

pub fn event(resource: Resource, bytes: &[u8]) -> Result<Read<Event<'_>>, DecodeError> {
    let mut digests = Vec::new();
    let what = match decode_event(resource, bytes)? {
        WatchEvent::Applied(mut object) => {
            digests.push(take_digest(&mut object));
            Event::Applied(object)
        }
        WatchEvent::Deleted(mut object) => {
            digests.push(take_digest(&mut object));
            Event::Deleted(object)
        }
        WatchEvent::Bookmark { resource_version, initial_events_end } => {
            Event::Bookmark { resource_version, initial_events_end }
        }
        WatchEvent::Error(status) => Event::Error(status),
    };
    Ok(Read { what, digests })
}

/// The objects of a list in order, and its metadata, which must also decode alone.
#[track_caller]
pub fn list(resource: Resource, body: &[u8]) -> Result<Read<(ListMeta, Vec<Object<'_>>)>, DecodeError> {
    let (mut objects, mut digests) = (Vec::new(), Vec::new());
    let meta = decode_list(resource, body, &mut |mut object| {
        digests.push(take_digest(&mut object));
        objects.push(object);
    })?;
    assert_eq!(decode_list_meta(resource, body).ok().as_ref(), Some(&meta), "the metadata alone");
    Ok(Read { what: (meta, objects), digests })
}

pub fn object(resource: Resource, body: &[u8]) -> Result<Read<Object<'_>>, DecodeError> {
    let mut what = decode_object(resource, body)?;
    let digests = vec![take_digest(&mut what)];
    Ok(Read { what, digests })
}

/// JSON with the keys of each object sorted by `rank`.
pub fn text<K: Ord>(value: &Value, rank: &impl Fn(&str) -> K) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| rank(key));
            let written =
                fields.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), text(value, rank)));
            format!("{{{}}}", written.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| text(item, rank)).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// JSON in the order of Go, as far as it matters: init containers first, keys of maps in alphabetical order.
pub fn as_go_writes(value: &Value) -> String {
    let written = text(value, &|key| (key != "initContainers", key.to_owned()));
    written.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\u{2028}', "\\u2028")
}
