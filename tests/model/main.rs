//! Tests of the library without a server: how it processes objects, files and registries' answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod case_table;
mod diff;
mod exposition;
mod files;
mod files_fuzz;
mod give_back;
mod objects;
mod properties;
mod protobuf;
mod recordings;
mod registry_rules;
mod rollback;
mod verdict;
