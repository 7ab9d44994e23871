//! Tests of the page: requests like those of browsers, and a cluster that consists of reports.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, dead_code, reason = "tests")]

pub mod escaping;
pub mod fixed;
