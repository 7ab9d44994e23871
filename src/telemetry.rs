//! podskew's own health, kept with the `prometheus` crate.

use prometheus::{GaugeVec, Histogram, IntCounterVec, IntGaugeVec, Registry, proto::MetricFamily};

/// The families that say how podskew itself is.
#[derive(Clone)]
pub struct Telemetry {
    registry: Registry,
    /// `podskew_cluster_synced{resource}`: 1 while the resource's watch is complete and alive.
    pub cluster_synced: IntGaugeVec,
    /// `podskew_objects{resource}`: objects held.
    pub objects: IntGaugeVec,
    /// `podskew_watch_events_total{resource,type}`.
    pub watch_events: IntCounterVec,
    /// `podskew_watch_failures_total{resource,reason}`.
    pub watch_failures: IntCounterVec,
    /// `podskew_watch_restarts_total{resource}`: lists begun again after the first.
    pub watch_restarts: IntCounterVec,
    /// `podskew_last_activity_timestamp_seconds{resource}`: the last byte the API server sent; bookmarks count.
    pub last_activity: GaugeVec,
    /// `podskew_scrape_duration_seconds`.
    pub scrape_duration: Histogram,
    /// `podskew_exposition_bytes{encoding}`.
    pub exposition_bytes: IntGaugeVec,
}

impl Telemetry {
    /// All families at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        todo!()
    }

    /// What stands now; `process_*` and `podskew_build_info` included.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
