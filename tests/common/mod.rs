//! Helpers of several tests. Each test binary uses some of them.
#![allow(dead_code, clippy::missing_panics_doc, clippy::float_cmp, clippy::needless_pass_by_value, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

pub mod alone;
pub mod audited;
pub mod burst;
pub mod command;
pub mod commands;
pub mod demo;
pub mod docker_registry;
pub mod encodings;
pub mod evidence;
pub mod exporter;
pub mod exposition;
pub mod forms;
pub mod http;
pub mod log;
pub mod pages;
pub mod registry_sink;
pub mod reports;
pub mod running;
pub mod scenarios;
pub mod snapshot_options;
pub mod summary;
pub mod tape;
pub mod test_names;
pub mod world;
