//! Kubernetes' protobuf: what a real API server sends to who asks for it, byte for byte.
//!
//! `schema.txt` says how the types of Kubernetes are written; it is made of them by `tests/programs/protobuf`. `encode.rs`
//! turns JSON into protobuf by it, `pieces.rs` fills blanks in what was encoded, and `envelope.rs` puts around it what an
//! answer or an event has around an object.

mod encode;
mod envelope;
mod object;
mod pieces;
mod schema;

pub(super) use encode::message;
pub(super) use envelope::{ListOpening, frame, whole};
pub(super) use object::{Object, Pattern};

/// What closes an answer: no content encoding, no content type.
pub(super) const CLOSING: &[u8] = b"\x1a\x00\x22\x00";
