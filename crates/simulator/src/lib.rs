//! An API server in this process: it speaks the part of the Kubernetes protocol that podskew uses, over real HTTP.
//!
//! `podskew demo` runs it with scripted workloads, tests replay recordings of a real API server through it and tell it
//! to misbehave, benchmarks fill it with a hundred thousand pods. Nothing that `podskew serve` runs can reach it.
//!
//! ```text
//!  demo, replay, bulk ──put, delete──▶ Store ──list, watch──▶ answer ──HTTP──▶ a client
//!                                                               ▲
//!                                      Faults ─────misbehave────┘
//! ```
//!
//! What it answers is held against `tests/data/recordings/protocol` by `tests/protocol/simulator_protocol.rs`, and its protobuf
//! against Kubernetes' own encoders by `tests/external/simulator_protobuf.rs`.

#![allow(clippy::doc_markdown, reason = "Deployment, ReplicaSet and the like are words of the field, not of this code")]

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
pub use image_registry::{AskedFor, Authorization, Image, ImageRegistry, Misbehaviour, Platform};
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
