//! Lists and watches: passes the objects of the API server to the inventory while podskew runs, or lists each resource
//! once.
//!
//! # Why not kube's `watcher`
//!
//! podskew uses kube's `Client` (TLS, HTTP) with its own list and watch. kube 5.0's `watcher` and `request_events` lose
//! information that podskew needs:
//!
//! - A line that is cut short is dropped silently (`is_eof` in `kube-client/src/client/mod.rs`).
//! - An event that does not decode arrives as an `Err`, and the stream goes on; in a streaming list the `watcher` then treats the
//!   list as complete.
//! - An HTTP 410 at the start of a watch is retried with the same version forever.
//! - Streaming lists do not fall back to pages.
//! - A list that hangs has no deadline.
//! - Bookmarks and silent reconnects are not reported as activity.
//!
//! Incomplete data looks like skew, so each of these cases is a state of `follower`.
//!
//! # Modules
//!
//! | part | modules |
//! |---|---|
//! | cluster and user | `connect`, `kubeconfig`, `credentials`, `credential_error`, `exec`, `bounded_file`, `proxy`, `transport` |
//! | one request | `request` (its URL), `http_exchange` (its deadlines), `framing` (its response, split into events), `repeats`, `line_limit` |
//! | one resource | `follower` (the states), `lister`, `pagination`, `timeline` (whether a watch may go on), `backoff`, `timings` |
//! | decoding | `crate::objects`, in `decode_pool` beside a long list; `budget` bounds what is in memory |
//! | failures | `failure` (what one means), `authorization` (403 and 404), `connect_error` (what to change) |
//! | activity | `liveness`, `watch_log` |
//! | which thread | `thread` |
//! | without a watch | `list_once`, `nodes`, `ask` |
//!
//! This module stores no objects: it passes them to a [`Sink`].

pub mod ask;
mod authorization;
mod backoff;
mod bounded_file;
mod budget;
mod connect;
mod connect_error;
mod credential_error;
mod credentials;
mod decode_pool;
mod exec;
mod failure;
mod follower;
mod framing;
mod http_exchange;
mod kubeconfig;
mod line_limit;
mod list_once;
mod lister;
mod liveness;
mod nodes;
mod pagination;
pub(crate) mod proxy;
mod repeats;
mod request;
mod sink;
mod thread;
mod timeline;
mod timings;
mod transport;
mod watch_log;

use crate::inventory::Source;
use crate::objects::Resource;
use crate::telemetry::{FailureReason, Telemetry};
use crate::time::UnixTime;
use budget::DecodeBudget;
pub use connect::{Connected, Misconfigured, client, connect, contexts};
use follower::Follower;
pub use kubeconfig::Connection;
pub use list_once::{MissingList, list_once};
use lister::Lister;
use liveness::{Heartbeat, Liveness};
pub use nodes::{NodeSink, keep_listing_nodes, list_nodes};
use request::Target;
pub use sink::{Sink, SourceChange};
use std::io;
use std::sync::Arc;
use thread::WatchThread;
pub use timings::Timings;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Every source that [`run`] watches: each resource in each of `namespaces`, or cluster-wide if there are none.
#[must_use]
pub fn sources(namespaces: &[String]) -> Vec<Source> {
    let count = u8::try_from(namespaces.len().max(1)).unwrap_or(u8::MAX);
    Resource::ALL
        .into_iter()
        .flat_map(|resource| (0..count).map(move |namespace| Source { resource, namespace }))
        .collect()
}

/// The running watches. Dropping this ends them.
#[must_use = "the watches end when this is dropped"]
pub struct Watches {
    _tasks: JoinSet<()>,
    /// Their thread, if they have a separate one.
    _thread: Option<WatchThread>,
    liveness: Arc<Liveness>,
}

impl Watches {
    /// Notified whenever a source was listed or is known to be unavailable: the initial sync may be complete now.
    #[must_use]
    pub fn answered(&self) -> Arc<Notify> {
        Arc::clone(&self.liveness.answered)
    }

    /// The health of the watches.
    #[must_use]
    pub fn health(&self) -> WatchHealth {
        WatchHealth(Arc::clone(&self.liveness))
    }
}

/// The health of the watches.
#[derive(Clone)]
pub struct WatchHealth(Arc<Liveness>);

impl WatchHealth {
    /// How the last attempt at a source failed, unless the API server has sent something since.
    #[must_use]
    pub fn failure(&self, source: Source) -> Option<FailureReason> {
        self.0.failure(source)
    }

    /// Whether all objects of a resource are known and its watches are established.
    #[must_use]
    pub fn is_synced(&self, resource: Resource) -> bool {
        self.0.worst(resource).0
    }

    /// When the API server last sent something about a resource; for several namespaces, the oldest.
    #[must_use]
    pub fn last_activity(&self, resource: Resource) -> Option<UnixTime> {
        UnixTime::from_seconds(i64::from(self.0.worst(resource).1))
    }
}

/// Watches [`sources`]`(namespaces)` and passes all objects to `sink`. Must be called within a tokio runtime.
///
/// At most 255 namespaces are watched: [`Source`] counts them in one byte.
pub fn run<S: Sink>(
    client: &kube::Client,
    namespaces: &[String],
    sink: &Arc<S>,
    telemetry: &Telemetry,
    timings: Timings,
) -> Watches {
    start(client, namespaces, sink, telemetry, &timings, (DecodeBudget::new(), None))
}

/// Like [`run`], but on a separate thread. That costs less while there are many events: they may wait for some tens of
/// milliseconds, so that one wake-up handles several. Lists are decoded on the current runtime.
pub fn run_apart<S: Sink>(
    client: &kube::Client,
    namespaces: &[String],
    sink: &Arc<S>,
    telemetry: &Telemetry,
    timings: Timings,
) -> io::Result<Watches> {
    let budget = DecodeBudget::new();
    let thread = WatchThread::start(Arc::clone(&budget))?;
    Ok(start(client, namespaces, sink, telemetry, &timings, (budget, Some(thread))))
}

fn start<S: Sink>(
    client: &kube::Client,
    namespaces: &[String],
    sink: &Arc<S>,
    telemetry: &Telemetry,
    timings: &Timings,
    (budget, thread): (Arc<DecodeBudget>, Option<WatchThread>),
) -> Watches {
    let runtime = thread.as_ref().map_or_else(Handle::current, |thread| thread.handle.clone());
    let sources = sources(namespaces);
    let liveness = Liveness::new(telemetry.clone(), &sources, timings);
    let mut tasks = JoinSet::new();
    for source in sources {
        let target = target(source, namespaces);
        let heartbeat = Heartbeat::new(source, liveness.clone());
        let lister = Lister::new(source, target, client.clone(), sink.clone(), timings, budget.clone(), heartbeat);
        tasks.spawn_on(Follower::new(lister).run(), &runtime);
    }
    Watches { _tasks: tasks, _thread: thread, liveness }
}

fn target(source: Source, namespaces: &[String]) -> Target {
    Target { resource: source.resource, namespace: namespaces.get(usize::from(source.namespace)).cloned() }
}
