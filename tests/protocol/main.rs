//! The library with servers over HTTP: the simulated API server, scripted ones and simulated registries; and podskew's own
//! server.
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

mod faults;
mod log_flood;
mod look;
mod malformed;
mod nodes;
mod refusals;
mod registry;
mod registry_answers;
mod registry_limits;
mod registry_recorded;
mod scripted;
mod server;
mod simulator_protocol;
mod timeline;
mod troubles;
mod watch;
mod watch_log;
