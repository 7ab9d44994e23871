//! Helpers of several tests. Each test binary uses some of them.
#![allow(dead_code, clippy::missing_panics_doc, clippy::float_cmp, clippy::needless_pass_by_value, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

pub mod alone;
pub mod asked;
pub mod audited;
pub mod burst;
pub mod command;
pub mod commands;
pub mod demo;
pub mod docker_registry;
pub mod encodings;
pub mod evidence;
pub mod exposition;
pub mod forms;
pub mod http;
pub mod log;
pub mod looking;
pub mod named;
pub mod pages;
pub mod reports;
pub mod running;
pub mod scenarios;
pub mod story;
pub mod tape;
pub mod watching;
pub mod world;
