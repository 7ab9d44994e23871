//! podskew watches a Kubernetes cluster and tells Prometheus which workloads run more than one thing under one name.
//!
//! The way of the data, one direction and no way back:
//!
//! ```text
//!  API server ──▶ cluster ──slim objects──▶ inventory ──▶ report ──▶ exposition ──▶ web /metrics
//!                  (I/O)                     (pure)        (pure)
//! ```
//!
//! `ARCHITECTURE.md` says which module may know which.

pub mod access;
pub mod audit;
pub mod cli;
pub mod cluster;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diff;
pub mod dump;
pub mod explain;
pub mod exposition;
pub mod inventory;
pub mod json;
pub mod look;
pub mod objects;
pub mod page;
pub mod registry;
pub mod report;
pub mod serve;
pub mod stderr;
pub mod telemetry;
pub mod time;
pub mod web;
pub mod words;
