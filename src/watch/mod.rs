//! The way from the API server into the inventory: one list and watch for each resource and namespace, for ever; or one
//! list of each, for who only wants to look.
//!
//! # Why not kube's `watcher`
//!
//! podskew uses kube's `Client` (kubeconfig, TLS, tokens that rotate, credential plugins) and its own list and watch on
//! top. kube 5.0's `watcher` and the `request_events` beneath it lose what podskew must not lose: a line cut short is
//! dropped without a word (`is_eof` in `kube-client/src/client/mod.rs`), and so is an event that does not decode, even in
//! a streaming list that then claims to be complete; an HTTP 410 at the start of a watch is retried with the same version
//! for ever; streaming lists have no way back to pages; a hung list has no deadline; bookmarks and silent reconnects give
//! no sign of life. Half a picture looks like skew, so here each of these is a state one can point at, in `watch`.
//!
//! # Who does what
//!
//! `connect` finds the cluster: `kubeconfig` reads what says where, `credentials` and `exec` as whom, `proxy` by which way;
//! `transport` is the client. `request` says what is asked, `exchange` asks it within its time, `events` cuts the answer,
//! `crate::objects` reads it, beside a long list in `lanes`, `list` and `watch` decide what happens next, `failure` and `refusal` what a failure means and
//! `connect_error` what to change, `timeline` whether a watch may go on, `liveness` and `journal` tell it. `look` lists once and watches nothing, `nodes` lists the nodes now and then, `ask` asks
//! for a number or for names. No object is ever kept here.

pub mod ask;
mod authorization;
mod backoff;
mod budget;
mod connect;
mod connect_error;
mod credentials;
mod decode_pool;
mod exec;
mod failure;
mod framing;
mod http_exchange;
mod kubeconfig;
mod line_limit;
mod list;
mod list_once;
mod liveness;
mod nodes;
mod pagination;
pub(crate) mod proxy;
mod request;
mod sink;
mod timeline;
mod timings;
mod transport;
mod watch_log;
mod watcher;

use crate::inventory::Source;
use crate::objects::Resource;
use crate::telemetry::{FailureReason, Telemetry};
use budget::Budget;
pub use connect::{Connected, Connection, Misconfigured, client, connect, contexts};
pub use list_once::{Refusal, look};
use liveness::{Liveness, Pulse};
pub use nodes::{NodeSink, keep_listing_nodes, look_at_nodes};
use request::Target;
pub use sink::Sink;
use std::sync::Arc;
pub use timings::Timings;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use watcher::Watcher;

/// Every source that [`run`] watches: each resource in each of `namespaces`, or at once in all where there are none.
#[must_use]
pub fn sources(namespaces: &[String]) -> Vec<Source> {
    let count = u8::try_from(namespaces.len().max(1)).unwrap_or(u8::MAX);
    Resource::ALL
        .into_iter()
        .flat_map(|resource| (0..count).map(move |namespace| Source { resource, namespace }))
        .collect()
}

/// The watches that run. They end when this is dropped.
#[must_use = "the watches end when this is dropped"]
pub struct Watches {
    _tasks: JoinSet<()>,
    liveness: Arc<Liveness>,
}

impl Watches {
    /// Is notified whenever a source was listed, or is known not to be there: what is known may be complete now.
    #[must_use]
    pub fn answered(&self) -> Arc<Notify> {
        Arc::clone(&self.liveness.answered)
    }

    /// Tells why a source is not answered: how its last attempt failed, unless the API server has said something since.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        Troubles(Arc::clone(&self.liveness))
    }
}

/// Why sources are not answered.
#[derive(Clone)]
pub struct Troubles(Arc<Liveness>);

impl Troubles {
    /// How the last attempt at a source failed.
    #[must_use]
    pub fn of(&self, source: Source) -> Option<FailureReason> {
        self.0.failure(source)
    }
}

/// Watches [`sources`]`(namespaces)` and hands everything to `sink`. Must be called within a tokio runtime.
///
/// More than 255 namespaces are not watched: [`Source`] counts them in one byte.
pub fn run<S: Sink>(
    client: &kube::Client,
    namespaces: &[String],
    sink: &Arc<S>,
    telemetry: &Telemetry,
    timings: Timings,
) -> Watches {
    let sources = sources(namespaces);
    let liveness = Liveness::new(telemetry.clone(), &sources, &timings);
    let budget = Budget::new();
    let mut tasks = JoinSet::new();
    for source in sources {
        let target = target(source, namespaces);
        let pulse = Pulse::new(source, liveness.clone());
        let watcher = Watcher::new(source, target, client.clone(), sink.clone(), &timings, budget.clone(), pulse);
        tasks.spawn(watcher.run());
    }
    Watches { _tasks: tasks, liveness }
}

fn target(source: Source, namespaces: &[String]) -> Target {
    Target { resource: source.resource, namespace: namespaces.get(usize::from(source.namespace)).cloned() }
}
