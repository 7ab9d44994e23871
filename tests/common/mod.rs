//! What several tests share. Each test binary uses a part of it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests"
)]

pub mod exposition;
pub mod reports;
