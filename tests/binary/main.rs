//! The real binary with files and with simulated API servers.
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

mod audit_binary;
mod cases;
mod cli;
mod connection_errors;
mod explain;
mod faults_binary;
mod memory;
mod names;
mod page;
mod permissions;
mod recordings_http;
mod serve;
mod ui;
mod under_fire;
