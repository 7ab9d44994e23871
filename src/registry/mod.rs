//! Asks registries which digest a tag stands for, and what a digest is.
//!
//! Only registries that somebody listed are asked, only for references that started containers run, and by a task of its own: a
//! registry that hangs delays no scrape. What is known reaches the inventory as one immutable snapshot.
//!
//! # Who does what
//!
//! `host` is a registry that was listed, `address` decides which addresses are connected to, `transport` sends a request, `client`
//! obtains authorization and follows redirects, `challenge` reads what a registry asks for, `credentials` and `helpers` have the
//! answer, `document` reads manifests and configurations. `cache` keeps what is known and when to ask again, `wanted` says which
//! documents would tell more, `ask` asks for one
//! repository, `schedule` for all of them again and again, `once` for one look.
//!
//! # Why no client library
//!
//! The best one (oci-client 0.18) was measured beside this: 62 more crates, 17 MB resident against 4, two requests where one does,
//! four requests for one 429, 837 MB where a registry sent 400, and no header of an answer reaches the caller.

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
