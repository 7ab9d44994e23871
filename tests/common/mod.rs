//! What several tests share. Each test binary uses a part of it.
#![allow(dead_code, clippy::missing_panics_doc, reason = "tests")]

pub mod exposition;
pub mod reports;
pub mod world;
