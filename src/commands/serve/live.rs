//! State of a running podskew that the server shows.

use super::readers::Readers;
use crate::exposition::{Encoding, Exposition, Format};
use crate::objects::Resource;
use crate::sync::lock;
use crate::telemetry::Telemetry;
use crate::time::UnixTime;
use crate::watch::WatchHealth;
use crate::web::{ConnectionCounts, Pages, Scrape, Site, WatchStatus};
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// Everything that requests read. None of it needs the inventory's lock.
pub(super) struct Live {
    exposition: Arc<Exposition>,
    readers: Arc<Readers>,
    telemetry: Telemetry,
    namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    progress: Mutex<SyncProgress>,
    /// Health of the watches, if there are any.
    health: Option<WatchHealth>,
    /// Number of pods held.
    pods: AtomicU64,
    /// The page, if it is served beside the metrics.
    pages: OnceLock<Arc<dyn Pages>>,
}

#[derive(Default)]
struct SyncProgress {
    ready: bool,
    waiting_for: Vec<String>,
}

impl Live {
    pub(super) fn new(
        exposition: Arc<Exposition>,
        readers: Arc<Readers>,
        telemetry: Telemetry,
        namespaces: Vec<String>,
        excluded_namespaces: Vec<String>,
        health: Option<WatchHealth>,
    ) -> Self {
        Self {
            exposition,
            readers,
            telemetry,
            namespaces,
            excluded_namespaces,
            progress: Mutex::default(),
            health,
            pods: AtomicU64::new(0),
            pages: OnceLock::new(),
        }
    }

    /// Serves the page beside the metrics.
    pub(super) fn serve_pages(&self, pages: Arc<dyn Pages>) {
        // An earlier value would be the same.
        let _ = self.pages.set(pages);
    }

    /// Sets the sources that the initial sync still waits for.
    pub(super) fn waits_for(&self, waiting_for: Vec<String>) {
        *self.progress() = SyncProgress { ready: false, waiting_for };
    }

    /// Records that the initial sync is complete and published.
    pub(super) fn is_ready(&self) {
        *self.progress() = SyncProgress { ready: true, waiting_for: Vec::new() };
    }

    /// The namespaces watched, in the order of [`Source::namespace`](crate::inventory::Source).
    pub(super) fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    fn progress(&self) -> MutexGuard<'_, SyncProgress> {
        lock(&self.progress)
    }

    pub(super) fn excluded_namespaces(&self) -> &[String] {
        &self.excluded_namespaces
    }

    /// What the initial sync still waits for.
    pub(super) fn waiting_for(&self) -> Vec<String> {
        self.progress().waiting_for.clone()
    }

    /// When the API server last sent something about a resource.
    pub(super) fn last_activity(&self, resource: Resource) -> Option<UnixTime> {
        self.health.as_ref()?.last_activity(resource)
    }

    /// Number of pods held.
    pub(super) fn pods(&self) -> u64 {
        self.pods.load(Ordering::Relaxed)
    }

    /// Sets the number of pods held.
    pub(super) fn holds_pods(&self, pods: u64) {
        self.pods.store(pods, Ordering::Relaxed);
    }

    pub(super) fn is_synced(&self, resource: Resource) -> bool {
        self.health.as_ref().is_some_and(|health| health.is_synced(resource))
    }
}

impl Site for Live {
    fn freshened(&self) -> Option<BoxFuture<'static, ()>> {
        self.readers.freshened()
    }

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

    fn status(&self) -> WatchStatus {
        let progress = self.progress();
        WatchStatus {
            ready: progress.ready,
            waiting_for: progress.waiting_for.clone(),
            namespaces: self.namespaces.clone(),
            excluded_namespaces: self.excluded_namespaces.clone(),
            resources: Resource::ALL.map(|resource| (resource.plural(), self.is_synced(resource))).to_vec(),
        }
    }

    fn pages(&self) -> Option<&Arc<dyn Pages>> {
        self.pages.get()
    }
}

/// The page on its own listener.
pub(super) struct PageSite {
    live: Arc<Live>,
    pages: Arc<dyn Pages>,
}

impl PageSite {
    pub(super) fn new(live: Arc<Live>, pages: Arc<dyn Pages>) -> Self {
        Self { live, pages }
    }
}

impl Site for PageSite {
    fn scrape(&self, format: Format, encoding: Encoding, connections: ConnectionCounts) -> Scrape {
        self.live.scrape(format, encoding, connections)
    }

    fn scraped(&self, encoding: Encoding, bytes: u64, duration: Duration) {
        self.live.scraped(encoding, bytes, duration);
    }

    fn status(&self) -> WatchStatus {
        self.live.status()
    }

    fn pages(&self) -> Option<&Arc<dyn Pages>> {
        Some(&self.pages)
    }

    fn has_metrics(&self) -> bool {
        false
    }
}
