//! Objects as encoded bytes: encoded once when they are put, and copied for each response.

use super::negotiate::Form;
use super::protobuf;
use super::selector::{FieldRequirement, LabelRequirement};
use crate::resource::Resource;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// `kind` and `apiVersion` of a resource's objects, and the kind of a list of them.
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) api_version: &'static str,
    pub(super) list_kind: &'static str,
}

/// Kinds and API version of a resource.
pub(super) fn names(resource: Resource) -> Names {
    Names { kind: resource.kind(), api_version: resource.api_version(), list_kind: resource.list_kind() }
}

/// One object without its version: `"metadata":{…},"spec":{…}}`, without the opening brace.
///
/// An item of a list opens with `{`, an event of a watch with `kind` and `apiVersion`: both then copy the same bytes. The
/// version is written in between, so that a DELETED event can carry the version of the deletion without a second copy.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    /// `namespace/name`, the order in which lists are written.
    pub(super) key: Arc<str>,
    /// Whether it is a pod that succeeded or failed, which the field selector of a watch excludes.
    pub(super) finished: bool,
    body: Bytes,
    /// Position of the version in the body; none if the metadata is not a JSON object (tests serve such objects).
    version_at: Option<usize>,
    /// The object in protobuf, encoded on demand; none if it cannot be encoded (tests serve such objects, too).
    protobuf: OnceLock<Option<protobuf::Object>>,
}

impl Encoded {
    /// Encodes an object whose key is the namespace and the name in its metadata.
    pub(super) fn new(object: Value) -> Self {
        let key = key_of(&object);
        Self::filed_as(key, object)
    }

    /// Encodes an object under this key, regardless of its metadata.
    pub(super) fn filed_as(key: Arc<str>, object: Value) -> Self {
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        let finished = matches!(phase, Some("Succeeded" | "Failed"));
        let mut fields = match object {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.remove("kind");
        fields.remove("apiVersion");
        let metadata = fields.remove("metadata").unwrap_or_else(|| Value::Object(Map::new()));
        let mut body = String::from("\"metadata\":");
        let version_at = match metadata {
            Value::Object(mut metadata) => {
                metadata.remove("resourceVersion");
                body.push_str("{\"resourceVersion\":\"");
                let at = body.len();
                body.push('"');
                append_fields(&mut body, metadata);
                Some(at)
            }
            other => {
                body.push_str(&other.to_string());
                None
            }
        };
        append_fields(&mut body, fields);
        body.shrink_to_fit();
        Self { key, finished, body: Bytes::from(body), version_at, protobuf: OnceLock::new() }
    }

    /// Wraps a text that is already encoded as in [`Encoded::text`].
    pub(super) fn from_parts(key: Arc<str>, text: String, version_at: Option<usize>, finished: bool) -> Self {
        Self { key, finished, body: Bytes::from(text), version_at, protobuf: OnceLock::new() }
    }

    /// Adds the object in protobuf, encoded elsewhere.
    pub(super) fn with_protobuf(self, object: protobuf::Object) -> Self {
        Self { protobuf: OnceLock::from(Some(object)), ..self }
    }

    /// The object in protobuf, encoded on the first call; `None` if it cannot be.
    pub(super) fn in_protobuf(&self, resource: Resource) -> Option<&protobuf::Object> {
        let encode = || {
            let object: Value = serde_json::from_slice(&[b"{", &self.body[..]].concat()).ok()?;
            let encoded = protobuf::Object::new(names(resource).kind, &object);
            encoded.inspect_err(|why| tracing::debug!(key = &*self.key, %why, "not to be said in protobuf")).ok()
        };
        self.protobuf.get_or_init(encode).as_ref()
    }

    /// Size in bytes of all its encodings.
    pub(super) fn bytes(&self) -> usize {
        let protobuf = self.protobuf.get().and_then(Option::as_ref);
        self.key.len() + self.body.len() + protobuf.map_or(0, |object| object.bytes(""))
    }

    /// The encoded text, and the position of the version in it.
    pub(super) fn text(&self) -> (&[u8], Option<usize>) {
        (&self.body, self.version_at)
    }

    /// Its namespace; empty for an object without one.
    pub(super) fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

/// An object of the store and the version of its last change.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) encoded: Encoded,
}

impl Stored {
    /// Whether it can be sent in this form.
    pub(super) fn is_in(&self, form: Form, resource: Resource) -> bool {
        form != Form::Protobuf || self.encoded.in_protobuf(resource).is_some()
    }

    /// Writes it as an item of a list.
    pub(super) fn write_item(&self, form: Form, resource: Resource, out: &mut Vec<u8>) {
        let in_protobuf = || self.encoded.in_protobuf(resource);
        if let Some(object) = (form == Form::Protobuf).then(in_protobuf).flatten() {
            let version = self.version.to_string();
            protobuf::ListOpening::open_item(object.bytes(&version), out);
            object.write(&version, out);
        } else {
            out.push(b'{');
            self.write_body(self.version, out);
        }
    }

    /// Size of a list item in protobuf, where it must be known beforehand.
    pub(super) fn item_bytes(&self, resource: Resource) -> usize {
        let object = self.encoded.in_protobuf(resource);
        object.map_or(0, |object| protobuf::ListOpening::item(object.bytes(&self.version.to_string())))
    }

    /// Writes it as an event of a watch, with the version of the event.
    pub(super) fn write_event(
        &self,
        form: Form,
        event_type: &str,
        resource: Resource,
        version: u64,
        out: &mut Vec<u8>,
    ) {
        let in_protobuf = || self.encoded.in_protobuf(resource);
        if let Some(object) = (form == Form::Protobuf).then(in_protobuf).flatten() {
            let version = version.to_string();
            let write = |out: &mut Vec<u8>| object.write(&version, out);
            protobuf::frame(event_type, &names(resource), object.bytes(&version), out, write);
            return;
        }
        let Names { kind, api_version, .. } = names(resource);
        let opening = format!(r#"{{"type":"{event_type}","object":{{"kind":"{kind}","apiVersion":"{api_version}","#);
        out.extend_from_slice(opening.as_bytes());
        self.write_body(version, out);
        out.extend_from_slice(b"}\n");
    }

    /// The whole object as a JSON text, with `kind` and `apiVersion`.
    pub(super) fn to_json(&self, resource: Resource) -> Vec<u8> {
        let Names { kind, api_version, .. } = names(resource);
        let mut out = format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","#).into_bytes();
        self.write_body(self.version, &mut out);
        out
    }

    /// The whole object in a form that can encode it.
    pub(super) fn to_bytes(&self, form: Form, resource: Resource) -> Vec<u8> {
        let in_protobuf = || self.encoded.in_protobuf(resource);
        let Some(object) = (form == Form::Protobuf).then(in_protobuf).flatten() else {
            return self.to_json(resource);
        };
        let (version, mut out) = (self.version.to_string(), Vec::new());
        let write = |out: &mut Vec<u8>| object.write(&version, out);
        protobuf::whole(&names(resource), object.bytes(&version), &mut out, write);
        out
    }

    fn write_body(&self, version: u64, out: &mut Vec<u8>) {
        let body = &self.encoded.body;
        let Some(at) = self.encoded.version_at else {
            out.extend_from_slice(body);
            return;
        };
        out.extend_from_slice(&body[..at]);
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(&body[at..]);
    }
}

/// The objects that a request selects.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Selection {
    /// Only those of one namespace.
    pub(super) namespace: Option<String>,
    /// Only pods that have not run to their end.
    pub(super) unfinished_only: bool,
    /// Only those with these labels.
    pub(super) labels: Vec<LabelRequirement>,
    /// Only those with these fields.
    pub(super) fields: Vec<FieldRequirement>,
}

impl Selection {
    pub(super) fn holds(&self, object: &Encoded) -> bool {
        let in_namespace = self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace());
        in_namespace && !(self.unfinished_only && object.finished) && self.holds_inside(object)
    }

    /// Whether it selects a whole namespace, or everything.
    pub(super) fn is_whole(&self) -> bool {
        !self.unfinished_only && self.labels.is_empty() && self.fields.is_empty()
    }

    fn holds_inside(&self, object: &Encoded) -> bool {
        if self.labels.is_empty() && self.fields.is_empty() {
            return true;
        }
        let Ok(object) = serde_json::from_slice::<Value>(&[b"{", &object.body[..]].concat()) else {
            return false;
        };
        let labels = object.pointer("/metadata/labels").unwrap_or(&Value::Null);
        self.labels.iter().all(|it| it.holds(labels)) && self.fields.iter().all(|it| it.holds(&object))
    }
}

/// The key of an object.
pub(super) fn key(namespace: &str, name: &str) -> Arc<str> {
    Arc::from(format!("{namespace}/{name}"))
}

fn key_of(object: &Value) -> Arc<str> {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str).unwrap_or_default();
    key(text("/metadata/namespace"), text("/metadata/name"))
}

/// Appends `,"a":…,"b":…}`.
fn append_fields(body: &mut String, fields: Map<String, Value>) {
    if !fields.is_empty() {
        let text = Value::Object(fields).to_string();
        body.push(',');
        body.push_str(&text[1..text.len() - 1]);
    }
    body.push('}');
}

#[cfg(test)]
mod tests {
    use super::{Encoded, Form, Stored};
    use crate::resource::Resource;
    use serde_json::{Value, json};

    fn event(object: Value) -> Value {
        let stored = Stored { version: 7, encoded: Encoded::new(object) };
        let mut line = Vec::new();
        stored.write_event(Form::Json, "ADDED", Resource::Pods, 9, &mut line);
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn an_event_carries_kind_version_and_all_fields() {
        let sent = event(json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"x": 1}}));
        let object = json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "resourceVersion": "9"}, "spec": {"x": 1}
        });
        assert_eq!(sent, json!({"type": "ADDED", "object": object}));
    }

    #[test]
    fn absurd_objects_are_served_as_they_are() {
        assert_eq!(event(json!({"metadata": null}))["object"]["metadata"], Value::Null);
        assert_eq!(event(json!(null))["object"]["metadata"]["resourceVersion"], "9");
        assert_eq!(event(json!({"metadata": {}, "spec": 5}))["object"]["spec"], 5);
    }
}
