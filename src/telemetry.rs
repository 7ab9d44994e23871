//! podskew's own health, kept with the `prometheus` crate.
//!
//! Every combination of labels that can occur stands at zero from the start: a counter that appears with its first
//! failure hides that failure from `increase()`.

mod registry;

use crate::objects::Resource;
use crate::stderr::dropped_lines;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    proto::MetricFamily,
};
#[cfg(target_os = "linux")]
use prometheus::{
    core::{Collector, Desc},
    process_collector::ProcessCollector,
};
pub use registry::RegistryHealth;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The families that say how podskew itself is.
#[derive(Clone)]
pub struct Telemetry {
    registry: Registry,
    /// `podskew_watch_synced{resource}`: 1 while the resource's watch is complete and alive.
    pub watch_synced: IntGaugeVec,
    /// `podskew_objects{resource}`: objects held.
    pub objects: IntGaugeVec,
    /// `podskew_watch_events_total{resource,event}`.
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
    /// `podskew_unreadable_fields_total`.
    pub unreadable_fields: IntCounter,
    /// `podskew_log_lines_dropped_total`.
    log_lines_dropped: IntCounter,
    /// How many of them are counted already.
    counted_dropped: Arc<AtomicU64>,
    /// `podskew_http_connections{state}`.
    http_connections: IntGaugeVec,
    /// `podskew_http_connections_refused_total`.
    http_refused: IntCounter,
    /// How many of them are counted already.
    counted_refused: Arc<AtomicU64>,
}

/// Why a list or a watch failed: the label `reason` of `podskew_watch_failures_total`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailureReason {
    /// 401: the credentials are not accepted, or could not be obtained.
    Unauthorized,
    /// 403: a rule is missing.
    Forbidden,
    /// 404 for a resource every cluster has.
    NotFound,
    /// 410: the version to go on from, or the continue token, is too old.
    Expired,
    /// The API server is in an older state than it was: its etcd was restored.
    TimelineLost,
    /// 429: asked to come back later.
    Throttled,
    /// Any other refusal of the request.
    Rejected,
    /// 5xx.
    ServerError,
    /// No answer, or no byte, for too long.
    Timeout,
    /// The connection could not be made, or broke.
    Connection,
    /// The answer could not be read.
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

/// What a watch brought: the label `event` of `podskew_watch_events_total`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventType {
    /// An object was added or changed.
    Applied,
    /// An object is gone.
    Deleted,
    /// A sign of life with a version.
    Bookmark,
    /// The API server gave up the watch.
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

/// A scrape is served from memory: the fine steps are where it is expected, the coarse ones where something is wrong.
const SCRAPE_BUCKETS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// The encodings an exposition leaves in.
const ENCODINGS: [&str; 2] = ["gzip", "identity"];

/// What a client's connection does: the label `state` of `podskew_http_connections`.
const CONNECTION_STATES: [&str; 3] = ["idle", "reading", "answering"];

impl Telemetry {
    /// All families at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let telemetry = Self {
            registry: Registry::new(),
            watch_synced: IntGaugeVec::new(
                Opts::new(
                    "podskew_watch_synced",
                    "Whether what podskew knows of the resource is complete and its watch alive: 1 from the end of a list, \
                     0 from a failure until the watch stands again, 0 while forbidden, 1 where an optional resource is not \
                     served. With several namespaces, the worst of them.",
                ),
                &["resource"],
            )?,
            objects: IntGaugeVec::new(
                Opts::new("podskew_objects", "Objects of the resource that podskew holds."),
                &["resource"],
            )?,
            watch_events: IntCounterVec::new(
                Opts::new(
                    "podskew_watch_events_total",
                    "Events the watches of the resource brought; the initial objects of a list do not count.",
                ),
                &["resource", "event"],
            )?,
            watch_failures: IntCounterVec::new(
                Opts::new(
                    "podskew_watch_failures_total",
                    "Lists and watches of the resource that failed, and objects that could not be read, by reason.",
                ),
                &["resource", "reason"],
            )?,
            watch_restarts: IntCounterVec::new(
                Opts::new("podskew_watch_restarts_total", "Lists of the resource begun again after the first."),
                &["resource"],
            )?,
            last_activity: GaugeVec::new(
                Opts::new(
                    "podskew_last_activity_timestamp_seconds",
                    "When the API server last sent a byte about the resource, bookmarks and refusals included; 0 before \
                     the first. With several namespaces, the oldest.",
                ),
                &["resource"],
            )?,
            scrape_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "podskew_scrape_duration_seconds",
                    "How long it took to put together the answer to a scrape.",
                )
                .buckets(SCRAPE_BUCKETS.to_vec()),
            )?,
            exposition_bytes: IntGaugeVec::new(
                Opts::new("podskew_exposition_bytes", "Size of the last exposition served in the encoding."),
                &["encoding"],
            )?,
            unreadable_fields: IntCounter::new(
                "podskew_unreadable_fields_total",
                "Fields of objects that held a value of a wrong type and were read as unknown.",
            )?,
            log_lines_dropped: IntCounter::new(
                "podskew_log_lines_dropped_total",
                "Lines of the log that were dropped because nobody read stderr, or it was closed.",
            )?,
            counted_dropped: Arc::default(),
            http_connections: IntGaugeVec::new(
                Opts::new(
                    "podskew_http_connections",
                    "Connections of HTTP clients by what they do: idle between two requests, sending a request \
                     (reading), or being sent an answer (answering).",
                ),
                &["state"],
            )?,
            http_refused: IntCounter::new(
                "podskew_http_connections_refused_total",
                "Connections whose request was refused with 503, because an answer was on its way on every other.",
            )?,
            counted_refused: Arc::default(),
        };
        telemetry.register()?;
        telemetry.start_at_zero();
        Ok(telemetry)
    }

    /// What stands now; `process_*` and `podskew_build_info` included.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        // Counted for the whole process, where lines are written.
        follow(&self.log_lines_dropped, &self.counted_dropped, dropped_lines());
        self.registry.gather()
    }

    /// Brings what is known of HTTP clients up to date: idle, reading and answering, and how many were refused so far.
    pub fn follow_connections(&self, states: [usize; 3], refused: u64) {
        for (state, count) in CONNECTION_STATES.into_iter().zip(states) {
            self.http_connections.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        follow(&self.http_refused, &self.counted_refused, refused);
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let build = IntGaugeVec::new(
            Opts::new(
                "podskew_build_info",
                "1, labelled with the version of podskew that runs and the revision it was built from.",
            ),
            &["revision", "version"],
        )?;
        build.with_label_values(&[env!("PODSKEW_REVISION"), env!("CARGO_PKG_VERSION")]).set(1);
        self.registry.register(Box::new(build))?;
        self.registry.register(Box::new(self.watch_synced.clone()))?;
        self.registry.register(Box::new(self.objects.clone()))?;
        self.registry.register(Box::new(self.watch_events.clone()))?;
        self.registry.register(Box::new(self.watch_failures.clone()))?;
        self.registry.register(Box::new(self.watch_restarts.clone()))?;
        self.registry.register(Box::new(self.last_activity.clone()))?;
        self.registry.register(Box::new(self.scrape_duration.clone()))?;
        self.registry.register(Box::new(self.exposition_bytes.clone()))?;
        self.registry.register(Box::new(self.unreadable_fields.clone()))?;
        self.registry.register(Box::new(self.log_lines_dropped.clone()))?;
        self.registry.register(Box::new(self.http_connections.clone()))?;
        self.registry.register(Box::new(self.http_refused.clone()))?;
        // Read from /proc, which only Linux has.
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(Process(ProcessCollector::for_self())))?;
        Ok(())
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
            successful: IntGauge::new(
                "podskew_web_config_last_reload_successful",
                "Whether the web configuration file, and the files that it names, could be used when they changed last.",
            )?,
            timestamp: Gauge::new(
                "podskew_web_config_last_reload_success_timestamp_seconds",
                "When the web configuration that is in force was read.",
            )?,
        };
        self.registry.register(Box::new(health.successful.clone()))?;
        self.registry.register(Box::new(health.timestamp.clone()))?;
        health.reloaded(true);
        Ok(health)
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Brings a counter to `total`; several scrapes may do so at once.
fn follow(counter: &IntCounter, seen: &AtomicU64, total: u64) {
    let before = seen.fetch_max(total, Ordering::Relaxed);
    counter.inc_by(total.saturating_sub(before));
}

/// The metrics of the process, with the CPU time to the nanosecond: in whole seconds its rate is a saw.
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
    use super::{EventType, FailureReason, Telemetry};
    use crate::objects::Resource;

    #[test]
    fn every_known_combination_stands_at_zero_from_the_start() {
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

    /// With whole seconds, `rate()` over a minute is 0 most of the time and 1/60 now and then.
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
    fn help_serves_both_formats_as_it_is() {
        for family in Telemetry::new().unwrap().gather() {
            let help = family.help();
            assert!(!help.is_empty(), "{} lacks help", family.name());
            assert!(!help.contains(['"', '\\', '\n']), "{}: {help}", family.name());
        }
    }
}
