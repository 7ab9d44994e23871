//! podskew's own health, kept with the `prometheus` crate.
//!
//! Every combination of labels exists at zero from the start. A counter that appears with its first failure hides that
//! failure from `increase()`.

pub mod families;
mod registry;

use crate::objects::Resource;
use crate::stderr::dropped_lines;
use families::HealthFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector, proto::MetricFamily,
};
#[cfg(target_os = "linux")]
use prometheus::{core::Desc, process_collector::ProcessCollector};
pub use registry::RegistryHealth;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The families about podskew itself.
#[derive(Clone)]
pub struct Telemetry {
    registry: Registry,
    /// 1 while the resource's watch is complete and alive.
    pub watch_synced: IntGaugeVec,
    /// Objects held, by resource.
    pub objects: IntGaugeVec,
    /// By resource and [`EventType`].
    pub watch_events: IntCounterVec,
    /// By resource and [`FailureReason`].
    pub watch_failures: IntCounterVec,
    /// Relists after the initial list, by resource.
    pub watch_restarts: IntCounterVec,
    /// When the API server sent the last byte, by resource; bookmarks count.
    pub last_activity: GaugeVec,
    /// How long answers to scrapes took.
    pub scrape_duration: Histogram,
    /// Size of the last exposition, by encoding.
    pub exposition_bytes: IntGaugeVec,
    /// Fields of a wrong type.
    pub unreadable_fields: IntCounter,
    log_lines_dropped: IntCounter,
    /// Number of dropped lines that are counted already.
    counted_dropped: Arc<AtomicU64>,
    http_connections: IntGaugeVec,
    http_refused: IntCounter,
    /// Number of rejected connections that are counted already.
    counted_refused: Arc<AtomicU64>,
}

/// Why a list or a watch failed: the label `reason`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailureReason {
    /// 401: the API server rejects the credentials, or there are none.
    Unauthorized,
    /// 403: an RBAC rule is missing.
    Forbidden,
    /// 404 for a resource that every cluster has.
    NotFound,
    /// 410: the resource version or the continue token is too old.
    Expired,
    /// The API server went back to an older state: its etcd was restored.
    TimelineLost,
    /// 429: the server asks for a later retry.
    Throttled,
    /// Any other error status below 500.
    Rejected,
    /// 5xx.
    ServerError,
    /// No response, or no byte, for too long.
    Timeout,
    /// The connection failed or broke.
    Connection,
    /// The response could not be decoded.
    Decode,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Expired,
        Self::TimelineLost,
        Self::Throttled,
        Self::Rejected,
        Self::ServerError,
        Self::Timeout,
        Self::Connection,
        Self::Decode,
    ];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::TimelineLost => "timeline_lost",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type of a watch event: the label `event`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventType {
    /// An object was added or changed.
    Applied,
    /// An object is gone.
    Deleted,
    /// A bookmark: a resource version without an object.
    Bookmark,
    /// The API server ended the watch with an error.
    Error,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Deleted, Self::Bookmark, Self::Error];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Deleted => "deleted",
            Self::Bookmark => "bookmark",
            Self::Error => "error",
        }
    }
}

/// Buckets in seconds. A scrape is served from memory: steps are fine in the expected range, and coarse where something
/// is wrong.
const SCRAPE_BUCKETS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Values of the label `encoding`.
const ENCODINGS: [&str; 2] = ["gzip", "identity"];

/// State of a client's connection: the label `state`.
const CONNECTION_STATES: [&str; 3] = ["idle", "reading", "answering"];

impl Telemetry {
    /// Registers all families, at zero.
    ///
    /// # Errors
    ///
    /// Fails if two families have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        // Reads /proc, which only Linux has.
        #[cfg(target_os = "linux")]
        registry.register(Box::new(Process(ProcessCollector::for_self())))?;
        let build = labelled(&registry, &families::BUILD_INFO, IntGaugeVec::new)?;
        build.with_label_values(&[env!("PODSKEW_REVISION"), env!("CARGO_PKG_VERSION")]).set(1);
        let telemetry = Self {
            watch_synced: labelled(&registry, &families::WATCH_SYNCED, IntGaugeVec::new)?,
            objects: labelled(&registry, &families::OBJECTS, IntGaugeVec::new)?,
            watch_events: labelled(&registry, &families::WATCH_EVENTS, IntCounterVec::new)?,
            watch_failures: labelled(&registry, &families::WATCH_FAILURES, IntCounterVec::new)?,
            watch_restarts: labelled(&registry, &families::WATCH_RESTARTS, IntCounterVec::new)?,
            last_activity: labelled(&registry, &families::LAST_ACTIVITY, GaugeVec::new)?,
            scrape_duration: single(&registry, &families::SCRAPE_DURATION, |opts| {
                Histogram::with_opts(HistogramOpts::from(opts).buckets(SCRAPE_BUCKETS.to_vec()))
            })?,
            exposition_bytes: labelled(&registry, &families::EXPOSITION_BYTES, IntGaugeVec::new)?,
            unreadable_fields: single(&registry, &families::UNREADABLE_FIELDS, IntCounter::with_opts)?,
            log_lines_dropped: single(&registry, &families::LOG_LINES_DROPPED, IntCounter::with_opts)?,
            counted_dropped: Arc::default(),
            http_connections: labelled(&registry, &families::HTTP_CONNECTIONS, IntGaugeVec::new)?,
            http_refused: single(&registry, &families::HTTP_CONNECTIONS_REFUSED, IntCounter::with_opts)?,
            counted_refused: Arc::default(),
            registry,
        };
        telemetry.start_at_zero();
        Ok(telemetry)
    }

    /// Returns all current samples, `process_*` and `podskew_build_info` included.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        // `stderr` counts dropped lines.
        follow(&self.log_lines_dropped, &self.counted_dropped, dropped_lines());
        self.registry.gather()
    }

    /// Updates the metrics about HTTP clients: idle, reading and answering connections, and the number rejected so far.
    pub fn follow_connections(&self, states: [usize; 3], refused: u64) {
        for (state, count) in CONNECTION_STATES.into_iter().zip(states) {
            self.http_connections.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        follow(&self.http_refused, &self.counted_refused, refused);
    }

    fn start_at_zero(&self) {
        for resource in Resource::ALL {
            let resource = resource.plural();
            self.watch_synced.with_label_values(&[resource]).set(0);
            self.objects.with_label_values(&[resource]).set(0);
            self.last_activity.with_label_values(&[resource]).set(0.0);
            self.watch_restarts.with_label_values(&[resource]).reset();
            for event in EventType::ALL {
                self.watch_events.with_label_values(&[resource, event.as_str()]).reset();
            }
            for reason in FailureReason::ALL {
                self.watch_failures.with_label_values(&[resource, reason.as_str()]).reset();
            }
        }
        self.follow_connections([0; 3], 0);
        for encoding in ENCODINGS {
            self.exposition_bytes.with_label_values(&[encoding]).set(0);
        }
    }
}

/// Metrics about the reload of the web configuration file. They exist only with `--web-config-file`.
#[derive(Clone)]
pub struct WebConfigHealth {
    successful: IntGauge,
    timestamp: Gauge,
}

impl WebConfigHealth {
    /// Records a reload.
    pub fn reloaded(&self, successful: bool) {
        self.successful.set(i64::from(successful));
        if successful {
            self.timestamp.set(seconds_since_1970());
        }
    }
}

impl Telemetry {
    /// Registers the metrics of a web configuration file that has just been loaded.
    pub fn web_config(&self) -> Result<WebConfigHealth, prometheus::Error> {
        let health = WebConfigHealth {
            successful: single(&self.registry, &families::WEB_CONFIG_SUCCESSFUL, IntGauge::with_opts)?,
            timestamp: single(&self.registry, &families::WEB_CONFIG_SUCCESS_TIMESTAMP, Gauge::with_opts)?,
        };
        health.reloaded(true);
        Ok(health)
    }
}

/// Registers a family that has labels.
fn labelled<V: Collector + Clone + 'static>(
    registry: &Registry,
    family: &HealthFamily,
    new: fn(Opts, &[&str]) -> Result<V, prometheus::Error>,
) -> Result<V, prometheus::Error> {
    single(registry, family, |opts| new(opts, family.labels))
}

/// Registers a family of one series.
fn single<M: Collector + Clone + 'static>(
    registry: &Registry,
    family: &HealthFamily,
    new: impl FnOnce(Opts) -> Result<M, prometheus::Error>,
) -> Result<M, prometheus::Error> {
    let metric = new(Opts::new(family.name, family.help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Raises a counter to `total`. Several scrapes may do so at once.
fn follow(counter: &IntCounter, seen: &AtomicU64, total: u64) {
    let before = seen.fetch_max(total, Ordering::Relaxed);
    counter.inc_by(total.saturating_sub(before));
}

/// The `process_*` metrics, with CPU time to the nanosecond. In whole seconds its rate would jump between 0 and 1/60.
#[cfg(target_os = "linux")]
struct Process(ProcessCollector);

#[cfg(target_os = "linux")]
impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().filter(|family| family.name() == "process_cpu_seconds_total");
        for metric in cpu.flat_map(MetricFamily::mut_metric) {
            let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            let mut counter = prometheus::proto::Counter::default();
            counter.set_value(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9);
            metric.set_counter(counter);
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
    use super::{EventType, FailureReason, Telemetry};
    use crate::objects::Resource;
    use std::collections::BTreeSet;

    #[test]
    fn every_known_combination_exists_at_zero_from_the_start() {
        let families = Telemetry::new().unwrap().gather();
        let series = |name: &str| {
            let family = families.iter().find(|family| family.name() == name);
            family.map(|family| family.get_metric().len())
        };
        let resources = Resource::ALL.len();
        assert_eq!(series("podskew_build_info"), Some(1));
        assert_eq!(series("podskew_watch_synced"), Some(resources));
        assert_eq!(series("podskew_objects"), Some(resources));
        assert_eq!(series("podskew_watch_events_total"), Some(resources * EventType::ALL.len()));
        assert_eq!(series("podskew_watch_failures_total"), Some(resources * FailureReason::ALL.len()));
        assert_eq!(series("podskew_watch_restarts_total"), Some(resources));
        assert_eq!(series("podskew_last_activity_timestamp_seconds"), Some(resources));
        assert_eq!(series("podskew_scrape_duration_seconds"), Some(1));
        assert_eq!(series("podskew_exposition_bytes"), Some(2));
        #[cfg(target_os = "linux")]
        assert_eq!(series("process_resident_memory_bytes"), Some(1));
    }

    /// In whole seconds, `rate()` over a minute is mostly 0 and sometimes 1/60.
    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_has_fractions_of_a_second() {
        let telemetry = Telemetry::new().unwrap();
        let spent = || {
            let families = telemetry.gather();
            let cpu = families.iter().find(|family| family.name() == "process_cpu_seconds_total").unwrap();
            cpu.get_metric()[0].get_counter().get_value()
        };
        let before = spent();
        let begun = std::time::Instant::now();
        while spent() - before < 0.05 {
            assert!(begun.elapsed().as_secs() < 30, "no time is spent: {before} {}", spent());
        }
        assert!(spent() - before < 1.0, "{before} {}", spent());
        assert!(spent().fract() > 0.0);
    }

    #[test]
    fn served_families_match_their_declarations() {
        let telemetry = Telemetry::new().unwrap();
        let _web_config = telemetry.web_config().unwrap();
        let registries = telemetry.registries(&["registry.example"]).unwrap();
        registries.asked("registry.example", "200", true, Some(7));
        registries.references("registry.example", [("answered", 1)].into_iter());
        let served = telemetry.gather().into_iter().map(|family| {
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            let labels = family.get_metric()[0].get_label().iter().map(|label| label.name().to_owned()).collect();
            (family.name().to_owned(), kind, family.help().to_owned(), labels)
        });
        let all = HEALTH_FAMILIES.iter().chain(WEB_CONFIG_FAMILIES).chain(REGISTRY_FAMILIES);
        // Only Linux has what the process collector reads.
        let declared = all.filter(|family| cfg!(target_os = "linux") || !family.name.starts_with("process_"));
        let declared = declared.map(|family| {
            let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
            (family.name.to_owned(), family.kind.to_owned(), family.help.to_owned(), labels)
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), declared.collect::<BTreeSet<(_, _, _, BTreeSet<String>)>>());
    }

    #[test]
    fn help_serves_both_formats_as_it_is() {
        for family in HEALTH_FAMILIES.iter().chain(WEB_CONFIG_FAMILIES).chain(REGISTRY_FAMILIES) {
            assert!(!family.help.is_empty(), "{} lacks help", family.name);
            assert!(!family.help.contains(['"', '\\', '\n']), "{}: {}", family.name, family.help);
        }
    }
}
