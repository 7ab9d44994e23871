//! The documents and the code say the same.

#[path = "../common/mod.rs"]
mod common;

mod architecture;
mod documents;
mod metrics_doc;
