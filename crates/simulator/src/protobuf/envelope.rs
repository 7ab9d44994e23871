//! Envelopes of objects: type, list and watch event.
//!
//! ```text
//!  answer = "k8s\0" Unknown{ TypeMeta{ apiVersion, kind }, raw: the object or list, contentEncoding: "", contentType: "" }
//!  frame  = its length in four bytes, WatchEvent{ type, object: RawExtension{ raw: an answer } }
//! ```

use super::CLOSING;
use super::pieces::{LENGTH, tag, varint, varint_bytes};
use crate::encoded::Names;

/// Prefix of every answer.
const PREFIX: &[u8] = b"k8s\0";

/// Writes an answer: an object of this kind, which `write` writes with this number of bytes.
pub(crate) fn whole(names: &Names, bytes: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    open(names.api_version, names.kind, bytes, out);
    write(out);
    out.extend_from_slice(CLOSING);
}

/// Like [`whole`], for an event of a watch.
pub(crate) fn frame(
    event_type: &str,
    names: &Names,
    bytes: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let kind = length(names.api_version.len()) + length(names.kind.len());
    let raw = PREFIX.len() + length(kind) + length(bytes) + CLOSING.len();
    let event = length(event_type.len()) + length(length(raw));
    // Only a test could have an object of 4 GB.
    out.extend_from_slice(&u32::try_from(event).unwrap_or(u32::MAX).to_be_bytes());
    text(1, event_type, out);
    tag(2, LENGTH, out);
    varint(length(raw) as u64, out);
    tag(1, LENGTH, out);
    varint(raw as u64, out);
    whole(names, bytes, out, write);
}

/// A list up to its items. The items follow in any number of pieces, and then [`CLOSING`].
pub(crate) struct ListOpening<'a> {
    pub(crate) names: &'a Names,
    /// The encoded metadata of the list.
    pub(crate) metadata: &'a [u8],
}

impl ListOpening<'_> {
    /// Writes it. `item_bytes` is the sum of [`ListOpening::item`] over all items.
    pub(crate) fn write(&self, item_bytes: usize, out: &mut Vec<u8>) {
        let bytes = length(self.metadata.len()) + item_bytes;
        open(self.names.api_version, self.names.list_kind, bytes, out);
        tag(1, LENGTH, out);
        varint(self.metadata.len() as u64, out);
        out.extend_from_slice(self.metadata);
    }

    /// Size of an item whose object has this size.
    pub(crate) fn item(bytes: usize) -> usize {
        length(bytes)
    }

    /// Writes the tag and length of an item whose object has this size.
    pub(crate) fn open_item(bytes: usize, out: &mut Vec<u8>) {
        tag(2, LENGTH, out);
        varint(bytes as u64, out);
    }
}

/// Size of a field whose content has this size. Field numbers here are at most 15.
pub(super) fn length(content: usize) -> usize {
    1 + varint_bytes(content) + content
}

fn open(api_version: &str, kind: &str, bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(PREFIX);
    tag(1, LENGTH, out);
    varint((length(api_version.len()) + length(kind.len())) as u64, out);
    text(1, api_version, out);
    text(2, kind, out);
    tag(2, LENGTH, out);
    varint(bytes as u64, out);
}

fn text(number: u32, text: &str, out: &mut Vec<u8>) {
    tag(number, LENGTH, out);
    varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}
