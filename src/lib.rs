//! podskew watches a Kubernetes cluster and exports which workloads run more than one template or image digest under
//! one name.
//!
//! Data flows in one direction:
//!
//! ```text
//!  API server ──▶ watch ────slim objects──▶ inventory ──▶ report ──▶ exposition ──▶ web /metrics
//!                  (I/O)                     (pure)        (pure)
//! ```
//!
//! `ARCHITECTURE.md` lists which module may use which.

pub mod access;
pub mod advice;
pub mod cli;
pub mod commands;
pub mod exposition;
pub mod inventory;
pub mod json;
pub mod kinds;
pub mod objects;
pub mod registry;
pub mod report;
pub mod snapshot;
pub mod stderr;
pub mod sync;
pub mod telemetry;
pub mod terminal;
pub mod time;
pub mod ui;
pub mod watch;
pub mod web;
