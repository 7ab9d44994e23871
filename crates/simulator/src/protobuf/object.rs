//! Objects in protobuf that get their version when they are served, and objects with blanks.

use super::encode::{EncodeError, Encoder, all_known, as_object, named};
use super::envelope::length;
use super::pieces::{Backwards, LENGTH, Pieces, tag, varint, varint_bytes};
use bytes::Bytes;
use serde_json::{Map, Value};

/// `metadata` in every object.
const METADATA: u32 = 1;
/// `resourceVersion` in every object's metadata.
const VERSION: u32 = 6;

/// One object without its version: the metadata before the version, the metadata after it, and the remaining fields.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    body: Bytes,
    version_at: usize,
    metadata_ends: usize,
}

impl Object {
    /// Encodes an object of this kind, without its version.
    pub(crate) fn new(kind: &str, object: &Value) -> Result<Self, EncodeError> {
        let pattern = Pattern::new(kind, object, &[])?;
        pattern.fill(&[]).ok_or_else(|| unreachable!("there is no blank to fill"))
    }

    /// Size in bytes with this version.
    pub(crate) fn bytes(&self, version: &str) -> usize {
        let metadata = self.metadata_bytes(version);
        1 + varint_bytes(metadata) + metadata + self.body.len() - self.metadata_ends
    }

    /// Writes it with a version.
    pub(crate) fn write(&self, version: &str, out: &mut Vec<u8>) {
        tag(METADATA, LENGTH, out);
        varint(self.metadata_bytes(version) as u64, out);
        out.extend_from_slice(&self.body[..self.version_at]);
        tag(VERSION, LENGTH, out);
        varint(version.len() as u64, out);
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(&self.body[self.version_at..]);
    }

    fn metadata_bytes(&self, version: &str) -> usize {
        self.metadata_ends + length(version.len())
    }
}

/// An object with blanks: the parts that are the same for all are encoded.
#[derive(Debug)]
pub(crate) struct Pattern {
    before_version: Pieces,
    after_version: Pieces,
    /// All fields except the metadata.
    rest: Pieces,
}

impl Pattern {
    /// Encodes an object of this kind. Each text of `blanks` will be replaced by a value.
    pub(crate) fn new(kind: &str, object: &Value, blanks: &[&str]) -> Result<Self, EncodeError> {
        let encoder = Encoder { blanks };
        let (message, object) = (named(kind)?, as_object(object)?);
        all_known(message, object)?;
        let (mut before_version, mut after_version, mut rest) = Default::default();
        let others = message.fields.partition_point(|field| field.number <= METADATA);
        encoder.fields(&message.fields[others..], object, &mut rest)?;

        let (message, none) = (named("ObjectMeta")?, Map::new());
        let metadata = object.get("metadata").map_or(Ok(&none), as_object)?;
        all_known(message, metadata)?;
        let version = message.fields.partition_point(|field| field.number < VERSION);
        encoder.fields(&message.fields[..version], metadata, &mut before_version)?;
        encoder.fields(&message.fields[version + 1..], metadata, &mut after_version)?;
        Ok(Self { before_version, after_version, rest })
    }

    /// The object with the blanks replaced by values in the same order; `None` if a value that must be a timestamp is not
    /// one.
    pub(crate) fn fill(&self, values: &[&str]) -> Option<Object> {
        let parts = [&self.before_version, &self.after_version, &self.rest];
        let mut out = Backwards::with_room(parts.iter().map(|part| part.most_bytes(values)).sum());
        self.rest.write(values, &mut out)?;
        let rest = out.written().len();
        self.after_version.write(values, &mut out)?;
        let after_version = out.written().len();
        self.before_version.write(values, &mut out)?;
        let body = Bytes::copy_from_slice(out.written());
        Some(Object { version_at: body.len() - after_version, metadata_ends: body.len() - rest, body })
    }
}
