//! The HTTP server: `/metrics` for Prometheus, probes for the kubelet, the page for people, and the API for programs.
//!
//! It moves bytes and enforces limits. The content comes from a [`Site`]. The server knows neither the inventory nor
//! the API server, so no request can reach them through it.
//!
//! ```text
//!  listener ──TcpStream──▶ server ──▶ slots ──▶ deadline (one clock per connection) ──▶ hyper ──▶ routes ──▶ body, landing, pages
//!                                                        └──TLS──▶ stream ────────────────┘         └▶ access
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
use futures::future::BoxFuture;
pub use limits::Limits;
pub use listener::{BindError, ListenAddress, bind};
pub use pages::{PageAddress, PageRequest, PageResponse, Pages};
pub use server::Server;
pub use slots::ConnectionCounts;
use std::sync::Arc;
use std::time::Duration;

/// The content of the server.
///
/// Every method is called during a request, on a thread that serves others: it must not block.
pub trait Site: Send + Sync + 'static {
    /// Returns what a scrape has to wait for to be up to date; `None` if it need not wait.
    fn freshened(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Returns the response to a scrape, all of one picture. `connections` are the current counts, this scrape
    /// included.
    fn scrape(&self, format: Format, encoding: Encoding, connections: ConnectionCounts) -> Scrape;

    /// Called after the last byte of a scrape was sent.
    fn scraped(&self, encoding: Encoding, bytes: u64, duration: Duration);

    /// The state of the watches.
    fn status(&self) -> WatchStatus;

    /// Answers the page and the API; `None` if they are not served, and `/` is the landing page.
    fn pages(&self) -> Option<&Arc<dyn Pages>> {
        None
    }

    /// Whether `/metrics` is served.
    fn has_metrics(&self) -> bool {
        true
    }
}

/// The response to a scrape.
pub struct Scrape {
    /// The total length, if known in advance.
    pub content_length: Option<u64>,
    /// The frames; each is requested when the socket has room for it.
    pub frames: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl From<ResponseBody> for Scrape {
    fn from(answer: ResponseBody) -> Self {
        Self { content_length: answer.content_length, frames: Box::new(answer) }
    }
}

/// State of the watches, for `/readyz` and the landing page.
#[derive(Clone, Default, Debug)]
pub struct WatchStatus {
    /// Whether `/metrics` serves complete data. It becomes false again if pods may not be listed any more; alerts cover
    /// other gaps.
    pub ready: bool,
    /// What the initial sync still waits for, one line each.
    pub waiting_for: Vec<String>,
    /// The namespaces to watch; empty for all.
    pub namespaces: Vec<String>,
    /// Excluded namespaces.
    pub excluded_namespaces: Vec<String>,
    /// Each watched resource, and whether its watch is synced.
    pub resources: Vec<(&'static str, bool)>,
}
