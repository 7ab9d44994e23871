//! Kubernetes' protobuf, byte for byte as a real API server sends it.
//!
//! `schema.txt` has the fields of Kubernetes' types; `tests/programs/protobuf` generates it from them. `encode.rs` encodes
//! JSON by this schema, `pieces.rs` fills blanks in encoded bytes, and `envelope.rs` adds the envelope of an answer or an
//! event.

mod encode;
mod envelope;
mod object;
mod pieces;
mod schema;

pub(super) use encode::message;
pub(super) use envelope::{ListOpening, frame, whole};
pub(super) use object::{Object, Pattern};

/// End of every answer: no content encoding, no content type.
pub(super) const CLOSING: &[u8] = b"\x1a\x00\x22\x00";
