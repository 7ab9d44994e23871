//! The page's own part of the tests: requests as browsers make them, and a cluster made of reports.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, dead_code, reason = "tests")]

pub mod escaping;
pub mod fixed;
