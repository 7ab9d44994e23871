//! What the server shows of a running podskew.

use crate::exposition::{Encoding, Exposition, Format};
use crate::objects::Resource;
use crate::sync::lock;
use crate::telemetry::Telemetry;
use crate::time::UnixTime;
use crate::web::{ConnectionCounts, Scrape, Site, Status};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Everything a request can ask for. None of it is behind the inventory's lock, so no request waits for an event.
pub(super) struct Live {
    exposition: Arc<Exposition>,
    telemetry: Telemetry,
    namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    ready: bool,
    waiting_for: Vec<String>,
}

impl Live {
    pub(super) fn new(
        exposition: Arc<Exposition>,
        telemetry: Telemetry,
        namespaces: Vec<String>,
        excluded_namespaces: Vec<String>,
    ) -> Self {
        Self { exposition, telemetry, namespaces, excluded_namespaces, progress: Mutex::default() }
    }

    /// A complete picture still waits for these.
    pub(super) fn waits_for(&self, waiting_for: Vec<String>) {
        *self.progress() = Progress { ready: false, waiting_for };
    }

    /// A complete picture is published.
    pub(super) fn is_ready(&self) {
        *self.progress() = Progress { ready: true, waiting_for: Vec::new() };
    }

    /// The namespaces watched, in the order of [`Source::namespace`](crate::inventory::Source).
    pub(super) fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    fn is_synced(&self, resource: Resource) -> bool {
        let gauge = self.telemetry.cluster_synced.get_metric_with_label_values(&[resource.plural()]);
        gauge.is_ok_and(|gauge| gauge.get() == 1)
    }
}

impl Site for Live {
    fn scrape(&self, format: Format, encoding: Encoding, connections: ConnectionCounts) -> Scrape {
        let ConnectionCounts { idle, reading, answering, refused } = connections;
        self.telemetry.follow_connections([idle, reading, answering], refused);
        let picture = self.exposition.picture();
        picture.answer(&self.telemetry.gather(), format, encoding, UnixTime::now()).into()
    }

    fn scraped(&self, encoding: Encoding, bytes: u64, duration: Duration) {
        let encoding = match encoding {
            Encoding::Gzip => "gzip",
            Encoding::Identity => "identity",
        };
        self.telemetry.scrape_duration.observe(duration.as_secs_f64());
        self.telemetry.exposition_bytes.with_label_values(&[encoding]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn status(&self) -> Status {
        let progress = self.progress();
        Status {
            ready: progress.ready,
            waiting_for: progress.waiting_for.clone(),
            namespaces: self.namespaces.clone(),
            excluded_namespaces: self.excluded_namespaces.clone(),
            resources: Resource::ALL.map(|resource| (resource.plural(), self.is_synced(resource))).to_vec(),
        }
    }
}
