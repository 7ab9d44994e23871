//! What stands around an object: the kind it has, the list it is in, the event that tells of it.
//!
//! ```text
//!  answer = "k8s\0" Unknown{ TypeMeta{ apiVersion, kind }, raw: the object or list, contentEncoding: "", contentType: "" }
//!  frame  = its length in four bytes, WatchEvent{ type, object: RawExtension{ raw: an answer } }
//! ```

use super::CLOSING;
use super::pieces::{LENGTH, tag, varint, varint_bytes};
use crate::encoded::Names;

/// What every answer begins with.
const PREFIX: &[u8] = b"k8s\0";

/// Writes an answer: what `write` writes, which has so many bytes, as an object of its kind.
pub(crate) fn whole(names: &Names, bytes: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    open(names.api_version, names.kind, bytes, out);
    write(out);
    out.extend_from_slice(CLOSING);
}

/// Writes an event of a watch in the same way.
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
    // Only a test that asks for it has an object of 4 GB.
    out.extend_from_slice(&u32::try_from(event).unwrap_or(u32::MAX).to_be_bytes());
    text(1, event_type, out);
    tag(2, LENGTH, out);
    varint(length(raw) as u64, out);
    tag(1, LENGTH, out);
    varint(raw as u64, out);
    whole(names, bytes, out, write);
}

/// A list as far as it stands before its items: they follow in any number of pieces, and then [`CLOSING`].
pub(crate) struct ListOpening<'a> {
    pub(crate) names: &'a Names,
    /// The list's own metadata, encoded.
    pub(crate) metadata: &'a [u8],
}

impl ListOpening<'_> {
    /// Writes it for items that have so many bytes, each as [`ListOpening::item`] counts them.
    pub(crate) fn write(&self, item_bytes: usize, out: &mut Vec<u8>) {
        let bytes = length(self.metadata.len()) + item_bytes;
        open(self.names.api_version, self.names.list_kind, bytes, out);
        tag(1, LENGTH, out);
        varint(self.metadata.len() as u64, out);
        out.extend_from_slice(self.metadata);
    }

    /// How many bytes an item takes whose object has so many.
    pub(crate) fn item(bytes: usize) -> usize {
        length(bytes)
    }

    /// Writes what stands before an item of so many bytes.
    pub(crate) fn open_item(bytes: usize, out: &mut Vec<u8>) {
        tag(2, LENGTH, out);
        varint(bytes as u64, out);
    }
}

/// How many bytes a field takes whose content has so many; no field here has a number above 15.
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
