//! An API server in this process: the part of the Kubernetes API that podskew uses, over real HTTP.
//!
//! `podskew demo` runs it with scripted workloads, tests replay recordings of a real API server through it and inject
//! faults, and benchmarks fill it with a hundred thousand pods. Nothing that `podskew serve` runs can reach it.
//!
//! ```text
//!  demo, replay, bulk ──put, delete──▶ Store ──list, watch──▶ answer ──HTTP──▶ a client
//!                                                               ▲
//!                                      Faults ─────misbehave────┘
//! ```
//!
//! `tests/protocol/simulator_protocol.rs` compares its answers with `tests/data/recordings/protocol`, and
//! `tests/external/simulator_protobuf.rs` compares its protobuf with Kubernetes' own encoders.

#![allow(clippy::doc_markdown, reason = "Deployment, ReplicaSet and others are Kubernetes' names, not code")]

mod answer;
mod body;
mod bulk;
mod checkout;
mod controllers;
mod defaults;
mod demo;
mod demo_images;
mod discovery;
mod edit;
mod encoded;
mod fault;
mod fleet;
mod history;
mod image_registry;
mod list;
mod negotiate;
mod nodes;
mod open_lists;
mod owned;
mod parts;
mod patterns;
mod protobuf;
mod random;
mod recording;
mod replay;
mod request;
mod requests;
mod resource;
mod reviews;
mod scale;
mod selector;
mod server;
mod service;
mod showcase;
mod status;
mod store;
mod strategic;
mod table;
mod template;
mod time;
mod update;
mod watch;
mod watchers;
mod write;

pub use bulk::{BulkConfig, Fleet, bulk, bulk_at};
pub use controllers::{Controllers, ControllersConfig, Registry, Timings, Trouble, Webhook};
pub use demo::{DEMO_RELEASE, Demo, DemoConfig};
pub use demo_images::DEMO_REGISTRY;
pub use fault::Fault;
pub use image_registry::{Authorization, Image, ImageRegistry, Misbehaviour, Platform, ReceivedRequest};
pub use nodes::put_nodes;
pub use recording::{Recording, RecordingError};
pub use replay::Replay;
pub use requests::{RequestKind, SeenRequest};
pub use resource::Resource;
pub use reviews::Account;
pub use server::{Simulator, SimulatorConfig, Tls};
pub use store::Store;
pub use time::Time;
pub use update::Detail;
