//! Protobuf responses of the API server: watch events, lists, and `Status`.
//!
//! An object is in an envelope: four magic bytes, and a `runtime.Unknown` with its kind
//! (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`). A watch event is a `WatchEvent` without those four bytes,
//! which holds an object in its envelope. The meaning of a field's number depends on the kind, so an object of another
//! kind than requested is rejected.

use super::{BROKEN, Fields, FromProtobuf as _, ProtobufError, TRUNCATED, Value, read};
use crate::objects::raw::{BookmarkObject, RawApiStatus, RawController, RawListMeta, RawNode, RawPod, RawReplicaSet};
use crate::objects::{ApiStatus, ListMeta, Object, Resource, WatchEvent};

/// The first bytes of every object.
const ENVELOPE: &[u8] = b"k8s\0";

/// The first byte of every event: its field `type`. No JSON text begins with it, because it is a newline.
const EVENT: u8 = 0x0A;

/// Whether this is a protobuf object or list.
pub(in crate::objects) fn is_object(message: &[u8]) -> bool {
    message.starts_with(ENVELOPE)
}

/// Whether this is a protobuf watch event.
pub(in crate::objects) fn is_event(message: &[u8]) -> bool {
    message.first() == Some(&EVENT)
}

/// An object without its envelope.
pub(super) struct Unknown<'a> {
    kind: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Unknown<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, ProtobufError> {
        let message = message.strip_prefix(ENVELOPE).ok_or(ProtobufError::new("an object without its envelope"))?;
        let (mut kind, mut raw): (&[u8], _) = (b"", None);
        let mut fields = Fields::new(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => {
                    let mut type_meta = value.fields()?;
                    while let Some((field, value)) = type_meta.next()? {
                        if field == 2 {
                            kind = value.bytes()?;
                        }
                    }
                }
                2 => raw = Some(value.bytes()?),
                // A compression or another content type than protobuf; neither was requested.
                3 | 4 if !value.bytes()?.is_empty() => return Err(ProtobufError::new("an object in another form")),
                _ => {}
            }
        }
        // The field is always present, even if empty: a response without it is truncated, not an empty list.
        Ok(Self { kind, raw: raw.ok_or(ProtobufError::new(TRUNCATED))? })
    }

    /// The object, if it is of this kind.
    pub(super) fn of_kind(self, kind: &str) -> Result<Value<'a>, ProtobufError> {
        match self.kind {
            found if found == kind.as_bytes() => Ok(Value::Bytes(self.raw)),
            b"Status" => Err(ProtobufError::new("a Status where an object was expected")),
            _ => Err(ProtobufError::new("an object of another kind")),
        }
    }

    fn list(self, resource: Resource) -> Result<Fields<'a>, ProtobufError> {
        match self.kind.strip_suffix(b"List") {
            Some(kind) if kind == resource.kind().as_bytes() => Ok(Fields::new(self.raw)),
            _ if self.kind == b"Status" => Err(ProtobufError::new("the answer is a Status, not a list")),
            _ => Err(ProtobufError::new("a list of another kind")),
        }
    }
}

/// The type of an event, and its object in its envelope.
pub(super) fn event_parts(message: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut kind, mut raw): (&[u8], Option<&[u8]>) = (b"", None);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => kind = value.bytes()?,
            2 => {
                let mut extension = value.fields()?;
                while let Some((field, value)) = extension.next()? {
                    if field == 1 {
                        raw = Some(value.bytes()?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, raw.ok_or(ProtobufError::new("the event has no object"))?))
}

/// Reads a watch event.
pub(in crate::objects) fn event(resource: Resource, message: &[u8]) -> Result<WatchEvent<'_>, ProtobufError> {
    let (kind, raw) = event_parts(message)?;
    let unknown = Unknown::read(raw)?;
    Ok(match kind {
        b"ADDED" | b"MODIFIED" => WatchEvent::Applied(raw_object(resource, unknown.of_kind(resource.kind())?)?),
        b"DELETED" => WatchEvent::Deleted(raw_object(resource, unknown.of_kind(resource.kind())?)?),
        b"BOOKMARK" => read::<BookmarkObject<'_>>(unknown.of_kind(resource.kind())?)?.into(),
        b"ERROR" => WatchEvent::Error(read::<RawApiStatus<'_>>(unknown.of_kind("Status")?)?.into()),
        _ => return Err(ProtobufError::new("the event is of no known type")),
    })
}

/// Reads a page of a list, and passes each object on as soon as it is read.
pub(in crate::objects) fn list<'a>(
    resource: Resource,
    message: &'a [u8],
    each: &mut dyn FnMut(Object<'a>),
) -> Result<ListMeta, ProtobufError> {
    let mut meta = RawListMeta::default();
    let mut fields = Unknown::read(message)?.list(resource)?;
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => meta.merge(value)?,
            2 => each(raw_object(resource, value)?),
            _ => {}
        }
    }
    Ok(meta.into())
}

/// Reads a list's metadata, which come before its items.
pub(in crate::objects) fn list_meta(resource: Resource, message: &[u8]) -> Result<ListMeta, ProtobufError> {
    let mut fields = Unknown::read(message)?.list(resource)?;
    while let Some((field, value)) = fields.next()? {
        if field == 1 {
            return read::<RawListMeta<'_>>(value).map(ListMeta::from);
        }
    }
    Err(ProtobufError::new("the list has no metadata"))
}

/// Reads one object.
pub(in crate::objects) fn object(resource: Resource, message: &[u8]) -> Result<Object<'_>, ProtobufError> {
    raw_object(resource, Unknown::read(message)?.of_kind(resource.kind())?)
}

/// Reads a `Status`.
pub(in crate::objects) fn status(message: &[u8]) -> Result<ApiStatus, ProtobufError> {
    read::<RawApiStatus<'_>>(Unknown::read(message)?.of_kind("Status")?).map(ApiStatus::from)
}

fn raw_object(resource: Resource, value: Value<'_>) -> Result<Object<'_>, ProtobufError> {
    Ok(match resource {
        Resource::Pods => read::<RawPod<'_>>(value)?.object(resource),
        Resource::ReplicaSets => read::<RawReplicaSet<'_>>(value)?.object(resource),
        Resource::Nodes => read::<RawNode<'_>>(value)?.object(resource),
        Resource::Deployments => read::<RawController<'_>>(value)?.object(resource),
        // Their field numbers differ. They are never requested in protobuf (`Resource::in_protobuf`).
        _ => return Err(ProtobufError::new(BROKEN)),
    })
}

#[cfg(test)]
mod tests {
    use super::{list, list_meta, object, status};
    use crate::objects::Resource;

    #[test]
    fn an_envelope_that_holds_nothing_is_refused() {
        let envelope = |kind: &str| {
            let length = u8::try_from(kind.len()).unwrap();
            [b"k8s\0\x0A", [length + 6].as_slice(), b"\x0A\x02v1\x12", &[length], kind.as_bytes()].concat()
        };
        let empty = [envelope("PodList"), vec![0x12, 0x00]].concat();
        assert!(list(Resource::Pods, &empty, &mut |_| ()).is_ok());
        assert!(list(Resource::Pods, &envelope("PodList"), &mut |_| ()).is_err());
        assert!(list_meta(Resource::Pods, &envelope("PodList")).is_err());
        assert!(object(Resource::Pods, &envelope("Pod")).is_err());
        assert!(status(&envelope("Status")).is_err());
    }
}
