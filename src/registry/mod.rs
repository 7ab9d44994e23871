//! Asks registries for the digest of a tag and the content of a digest.
//!
//! It asks only configured registries, only about references of started containers, and in its own task: a registry
//! that hangs delays no scrape. Results reach the inventory as one immutable snapshot.
//!
//! # Modules
//!
//! `host` is a registry that was listed, `address` decides which addresses are connected to, `transport` sends a request, `client`
//! obtains authorization and follows redirects, `challenge` reads what a registry asks for, `credentials` and `helpers` have the
//! answer, `document` reads manifests and configurations. `cache` keeps what is known and when to ask again, `wanted` says which
//! documents would tell more, `ask` asks for one
//! repository, `schedule` for all of them again and again, `once` for one look.
//!
//! # Why no client library
//!
//! The best one (oci-client 0.18), measured beside this code, needed 62 more crates and 17 MB of memory instead of 4.
//! It sent two requests instead of one, four requests after a 429, and took 837 MB for a 400 MB response. It also hides
//! the headers of responses.

mod address;
mod ask;
mod cache;
mod challenge;
mod client;
mod credential;
mod credentials;
mod document;
mod failure;
mod helpers;
mod host;
mod once;
mod schedule;
mod settings;
mod state;
mod transport;
mod wanted;

pub use address::Resolve;
pub use host::RegistryAddress;
pub use once::{RegistryAnswers, ask_once};
pub use schedule::{RegistrySink, keep_asking};
pub use settings::{RegistryOptions, RegistryTimings, UnusableFile};
