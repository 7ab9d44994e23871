//! The HTTP server: `/metrics` for Prometheus, probes for the kubelet, a page for people and an API for programs.
//!
//! It moves bytes and holds limits. What stands in an answer comes from a [`Site`]; the server itself knows neither
//! the inventory nor the API server, so no request can reach through it to either.
//!
//! ```text
//!  listener ──TcpStream──▶ server ──▶ places ──▶ deadline (one clock a connection) ──▶ hyper ──▶ routes ──▶ body, landing, pages
//!                                                         └──TLS──▶ stream ──────────────┘         └▶ access
//! ```

mod body;
mod deadline;
mod landing;
mod limits;
mod listener;
mod pages;
mod routes;
mod server;
mod slots;
mod stream;
mod streams;

use crate::exposition::{Encoding, Format, ResponseBody};
use bytes::Bytes;
pub use limits::Limits;
pub use listener::{BindError, ListenAddress, bind};
pub use pages::{PageAddress, PageRequest, PageResponse, Pages};
pub use server::Server;
pub use slots::ConnectionCounts;
use std::sync::Arc;
use std::time::Duration;

/// What the server shows.
///
/// Every method is called in the middle of a request, on a thread that serves others too: it must not wait.
pub trait Site: Send + Sync + 'static {
    /// The answer to one scrape: one picture, from its first frame to its last. `connections` are those of now, the
    /// scrape's own among them.
    fn scrape(&self, format: Format, encoding: Encoding, connections: ConnectionCounts) -> Scrape;

    /// One scrape has been handed over to its last byte.
    fn scraped(&self, encoding: Encoding, bytes: u64, duration: Duration);

    /// What podskew watches, and how far it is.
    fn status(&self) -> WatchStatus;

    /// Answers the page and the API; `None` where they are not served, and the landing page stands at `/`.
    fn pages(&self) -> Option<&Arc<dyn Pages>> {
        None
    }

    /// Whether `/metrics` is served here.
    fn has_metrics(&self) -> bool {
        true
    }
}

/// The answer to a scrape.
pub struct Scrape {
    /// The total length, where it is known beforehand.
    pub content_length: Option<u64>,
    /// What to send; each frame is asked for when the socket has room for it.
    pub frames: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl From<ResponseBody> for Scrape {
    fn from(answer: ResponseBody) -> Self {
        Self { content_length: answer.content_length, frames: Box::new(answer) }
    }
}

/// What podskew watches, and how far it is: the substance of `/readyz` and of the landing page.
#[derive(Clone, Default, Debug)]
pub struct WatchStatus {
    /// Whether a complete picture stands at `/metrics`. It is taken back where pods may not be listed any more; other gaps are for
    /// alerts and not for probes.
    pub ready: bool,
    /// What the first complete picture still waits for, one readable line each.
    pub waiting_for: Vec<String>,
    /// The only namespaces watched; empty if all are.
    pub namespaces: Vec<String>,
    /// The namespaces left out.
    pub excluded_namespaces: Vec<String>,
    /// Each watched resource, and whether its watch is complete and alive.
    pub resources: Vec<(&'static str, bool)>,
}
