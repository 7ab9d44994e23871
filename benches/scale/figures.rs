//! Measured figures: list, targets, table and file.

use crate::Outcome;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Maximum growth of a figure from 30 000 to 150 000 pods.
const MOST_GROWTH: f64 = 5.3;
/// Minimum throughput of the simulator. Below it, the figures are those of the simulator.
const LEAST_SERVED: f64 = 500.0;

/// A figure: name in the file, line in the table, unit, digits, and target.
struct Kind(&'static str, &'static str, &'static str, usize, Target);

#[derive(Clone, Copy)]
enum Target {
    None,
    /// At any size.
    AtMost(f64),
    /// At 30 000 pods.
    AtMostSmall(f64),
    /// At 150 000 pods.
    AtMostLarge(f64),
    /// At 30 000 and at 150 000 pods.
    AtMostBoth(f64, f64),
    /// If it is missed, every figure is void.
    AtLeast(f64),
}

use Target::{AtLeast, AtMost, AtMostBoth, AtMostLarge, AtMostSmall, None as Any};

const KINDS: &[Kind] = &[
    Kind("protobuf", "initial list, protobuf, streaming", "MB", 0, Any),
    Kind("json", "initial list, JSON, streaming", "MB", 0, Any),
    Kind("served-streaming", "throughput of the simulator, streaming", "MB/s", 0, AtLeast(LEAST_SERVED)),
    Kind("served-paged", "throughput of the simulator, paged", "MB/s", 0, AtLeast(LEAST_SERVED)),
    Kind("served-streaming-json", "throughput of the simulator, streaming, JSON", "MB/s", 0, AtLeast(LEAST_SERVED)),
    Kind("served-paged-json", "throughput of the simulator, paged, JSON", "MB/s", 0, AtLeast(LEAST_SERVED)),
    Kind("ready-streaming", "time to ready ÷ discarding client, streaming", "×", 2, AtMost(2.0)),
    Kind("ready-paged", "time to ready ÷ discarding client, paged", "×", 2, AtMost(2.0)),
    Kind("ready-streaming-library", "time to ready ÷ discarding client on kube's, streaming", "×", 2, Any),
    Kind("ready-paged-library", "time to ready ÷ discarding client on kube's, paged", "×", 2, Any),
    Kind("ready-streaming-json", "time to ready ÷ discarding client, streaming, JSON", "×", 2, AtMost(2.0)),
    Kind("ready-paged-json", "time to ready ÷ discarding client, paged, JSON", "×", 2, AtMost(2.0)),
    Kind("ready-streaming-paced", "time to ready ÷ discarding client, streaming, at 500 MB/s", "×", 2, AtMost(2.0)),
    Kind("ready-paged-paced", "time to ready ÷ discarding client, paged, at 500 MB/s", "×", 2, AtMost(2.0)),
    Kind("ready-seconds", "time to ready, streaming", "s", 3, Any),
    Kind("ready-seconds-json", "time to ready, streaming, JSON", "s", 3, Any),
    Kind("audit-seconds", "audit of the cluster", "s", 2, Any),
    Kind("audit-printing", "audit, from the end of the lists to the last line of output", "s", 3, AtMost(1.0)),
    Kind("audit-peak", "audit, resident, peak", "MiB", 1, AtMostLarge(128.0)),
    Kind("audit-file", "file with all objects", "MB", 0, Any),
    Kind("audit-file-seconds", "audit of the file", "s", 2, Any),
    Kind("audit-file-peak", "audit of the file, resident, peak", "MiB", 1, AtMostLarge(128.0)),
    Kind("livez", "cold start to the first /livez", "ms", 1, Any),
    Kind("binary", "binary", "MB", 2, Any),
    Kind("steady", "resident, steady", "MiB", 1, AtMostBoth(30.0, 96.0)),
    Kind("steady-pod", "resident, steady, per pod", "bytes", 0, Any),
    Kind("peak-sync", "resident, peak of the initial list", "MiB", 1, AtMostLarge(128.0)),
    Kind("peak-relist", "resident, peak of a full relist under identity scrapes", "MiB", 1, AtMostLarge(128.0)),
    Kind("peak-rolling", "resident, peak of 10 rolling updates of everything", "MiB", 1, Any),
    Kind("rolled", "resident, after 10 rolling updates of everything", "MiB", 1, Any),
    Kind("rolled-ratio", "resident, after 10 rolling updates ÷ steady", "×", 2, AtMost(1.15)),
    Kind("nodes-rest", "5 000 nodes with --nodes, additional resident, steady", "MiB", 1, AtMost(6.0)),
    Kind("nodes-peak", "5 000 nodes with --nodes, additional resident, peak of their list", "MiB", 1, AtMost(12.0)),
    Kind("nodes-cpu", "CPU per list of 5 000 nodes", "ms", 0, Any),
    Kind("nodes-share", "share of a core for such a list every ten minutes", "%", 3, AtMost(1.0)),
    Kind("registry-rest", "5 000 references with --registry, additional resident", "MiB", 1, AtMost(8.0)),
    Kind("registry-p99", "scrape, gzip, during requests to registries, p99 of 1 000", "ms", 2, Any),
    Kind("registry-p99-without", "scrape, gzip, without --registry, p99 of 1 000", "ms", 2, Any),
    Kind("registry-share", "share of a core for 5 000 references every 3 minutes", "%", 2, Any),
    Kind("registry-requests", "requests to working registries ÷ planned", "×", 3, AtMost(1.05)),
    Kind("registry-moved", "tags falsely reported as moved", "", 0, AtMost(0.0)),
    Kind("hour-requests", "an hour in a minute: requests ÷ planned", "×", 3, AtMost(1.05)),
    Kind("hour-moved", "an hour in a minute: tags falsely reported as moved or gone", "", 0, AtMost(0.0)),
    Kind("hour-found", "an hour in a minute: moves found", "%", 0, Any),
    Kind("plain", "response, uncompressed", "MB", 2, Any),
    Kind("plain-pod", "response, uncompressed, per pod", "bytes", 1, Any),
    Kind("gzip", "response, gzip", "MB", 2, Any),
    Kind("gzip-pod", "response, gzip, per pod", "bytes", 1, Any),
    Kind("series", "series, including podskew's own", "", 0, Any),
    Kind("idle-gzip-p50", "scrape, gzip, idle, p50", "ms", 2, Any),
    Kind("idle-gzip-p99", "scrape, gzip, idle, p99", "ms", 2, AtMostLarge(3.0)),
    Kind("idle-gzip-max", "scrape, gzip, idle, max of 200", "ms", 2, Any),
    Kind("bare-p50", "as many bytes from a bare socket, idle, p50", "ms", 2, Any),
    Kind("bare-p99", "as many bytes from a bare socket, idle, p99", "ms", 2, Any),
    Kind("bare-max", "as many bytes from a bare socket, idle, max of 200", "ms", 2, Any),
    Kind("churn-gzip-p50", "scrape, gzip, 500 pod events a second, p50", "ms", 2, Any),
    Kind("churn-gzip-p99", "scrape, gzip, 500 pod events a second, p99", "ms", 2, AtMostLarge(8.0)),
    Kind("churn-gzip-max", "scrape, gzip, 500 pod events a second, max of 200", "ms", 2, Any),
    Kind("relist-gzip-p50", "scrape, gzip, during full relists, p50", "ms", 2, Any),
    Kind("relist-gzip-p99", "scrape, gzip, during full relists, p99", "ms", 2, Any),
    Kind("relist-gzip-max", "scrape, gzip, during full relists, worst of 500", "ms", 2, Any),
    Kind("idle-identity-p50", "scrape, identity, idle, p50", "ms", 1, Any),
    Kind("idle-identity-p99", "scrape, identity, idle, p99", "ms", 1, AtMostLarge(120.0)),
    Kind("idle-identity-max", "scrape, identity, idle, max of 200", "ms", 1, Any),
    Kind("churn-identity-p50", "scrape, identity, 500 pod events a second, p50", "ms", 1, Any),
    Kind("churn-identity-p99", "scrape, identity, 500 pod events a second, p99", "ms", 1, AtMostLarge(120.0)),
    Kind("churn-identity-max", "scrape, identity, 500 pod events a second, max of 200", "ms", 1, Any),
    Kind("cpu-gzip", "CPU per scrape, gzip", "ms", 3, Any),
    Kind("tls-gzip-p50", "scrape, gzip over TLS, idle, p50", "ms", 2, Any),
    Kind("tls-gzip-p99", "scrape, gzip over TLS, idle, p99", "ms", 2, Any),
    Kind("tls-gzip-max", "scrape, gzip over TLS, idle, max of 200", "ms", 2, Any),
    Kind("cpu-tls-gzip", "CPU per scrape, gzip over TLS", "ms", 3, Any),
    Kind("tls-handshake", "TLS connection with its first response, p50", "ms", 2, Any),
    Kind("tls-steady", "resident, steady, with TLS", "MiB", 1, Any),
    Kind("cpu-identity", "CPU per scrape, identity", "ms", 2, Any),
    Kind("delay-p50", "event delay, no scrape in flight, p50", "ms", 2, Any),
    Kind("delay-max", "event delay, no scrape in flight, max of 50", "ms", 2, Any),
    Kind("delay-scrape-p50", "event delay, identity scrapes in flight, p50", "ms", 2, Any),
    Kind("delay-scrape-max", "event delay, identity scrapes in flight, max of 50", "ms", 2, Any),
    Kind("cpu-event", "CPU per event, without rendering", "µs", 1, AtMost(20.0)),
    Kind("churn-share", "share of a core at 500 pod events a second", "%", 1, AtMostLarge(25.0)),
    Kind("cpu-restart", "CPU of the restart of 40 workloads of 25 pods", "s", 2, Any),
    Kind("restart-events", "pod events of that restart", "", 0, Any),
    Kind("cpu-restart-event", "CPU per pod event of that restart", "µs", 1, Any),
    Kind("cpu-spread-event", "CPU per pod event, updates of 200 workloads of 25 pods", "µs", 1, Any),
    Kind("cpu-large-event", "CPU per pod event, update of one workload of 5 000 pods", "µs", 1, Any),
    Kind("large-ratio", "CPU per pod event, one workload of 5 000 pods ÷ 200 of 25", "×", 2, AtMost(1.5)),
    Kind("restart-all", "events of that restart, as sent by a real API server", "", 0, Any),
    Kind("restart-all-cpu", "CPU of that restart, all events, scraped every 15 s", "s", 2, Any),
    Kind("restart-all-event", "CPU per event of that restart", "µs", 1, Any),
    Kind("restart-all-switches", "context switches per event of that restart", "", 2, Any),
    Kind("restart-all-decoding", "CPU per event of that restart, without rendering", "µs", 1, Any),
    Kind("restart-all-decoding-switches", "context switches per event of that restart, without rendering", "", 2, Any),
    Kind("flow-200", "share of a core at 200 events a second, scraped every 15 s", "%", 2, AtMostSmall(0.8)),
    Kind("flow-500", "share of a core at 500 events a second, scraped every 15 s", "%", 2, AtMostLarge(1.5)),
    Kind("first-scrape-p50", "first scrape of a connection at 500 events a second, gzip, p50", "ms", 1, Any),
    Kind(
        "first-scrape-p99",
        "first scrape of a connection at 500 events a second, gzip, p99",
        "ms",
        1,
        AtMostLarge(50.0),
    ),
    Kind("rendering-1", "rendering after changes in 1 workload", "ms", 2, Any),
    Kind("rendering-40", "rendering after changes in 40 workloads", "ms", 2, Any),
    Kind("rendering-1000", "rendering after changes in 1000 workloads", "ms", 2, Any),
    Kind("ksm-restart-all-cpu", "kube-state-metrics, CPU of that restart, all events, not scraped", "s", 2, Any),
    Kind("restart-all-share", "podskew ÷ kube-state-metrics: CPU of that restart, all events", "×", 3, AtMost(0.125)),
    Kind("ksm-ready-ratio", "kube-state-metrics ÷ podskew: time to the complete metrics", "×", 1, Any),
    Kind("ksm-ready-seconds", "kube-state-metrics, time to the complete metrics", "s", 2, Any),
    Kind("ksm-peak-ratio", "kube-state-metrics ÷ podskew: resident, peak of the initial list", "×", 1, Any),
    Kind("ksm-peak", "kube-state-metrics, resident, peak of the initial list", "MiB", 0, Any),
    Kind("ksm-steady-ratio", "kube-state-metrics ÷ podskew: resident, settled", "×", 1, Any),
    Kind("ksm-steady", "kube-state-metrics, resident, settled (three minutes after its start)", "MiB", 0, Any),
    Kind("ksm-series", "kube-state-metrics, series", "", 0, Any),
    Kind("ksm-gzip-ratio", "kube-state-metrics ÷ podskew: scrape, gzip, p50", "×", 0, Any),
    Kind("ksm-gzip-p50", "kube-state-metrics, scrape, gzip, p50", "ms", 1, Any),
    Kind("ksm-gzip-p99", "kube-state-metrics, scrape, gzip, p99", "ms", 1, Any),
    Kind("ksm-identity-ratio", "kube-state-metrics ÷ podskew: scrape, identity, p50", "×", 1, Any),
    Kind("ksm-identity-p50", "kube-state-metrics, scrape, identity, p50", "ms", 1, Any),
    Kind("ksm-identity-p99", "kube-state-metrics, scrape, identity, p99", "ms", 1, Any),
    Kind("ksm-plain", "kube-state-metrics, response, uncompressed", "MB", 2, Any),
    Kind("ksm-gzip", "kube-state-metrics, response, gzip", "MB", 2, Any),
    Kind("ksm-cpu-restart", "kube-state-metrics, CPU of the restart of 40 workloads", "s", 2, Any),
    Kind("restart-share", "podskew ÷ kube-state-metrics: CPU of the restart of 40 workloads", "×", 2, AtMost(0.2)),
    Kind("simulator", "simulator, resident", "MiB", 0, Any),
];

/// Figures by name and size.
#[derive(Default)]
pub(crate) struct Figures {
    pods: u32,
    sizes: Vec<u32>,
    values: BTreeMap<(&'static str, u32), f64>,
}

impl Figures {
    /// Sets the cluster size of the following figures.
    pub(crate) fn begin(&mut self, pods: u32) {
        self.pods = pods;
        self.sizes.push(pods);
    }

    pub(crate) fn put(&mut self, name: &'static str, value: f64) {
        debug_assert!(KINDS.iter().any(|kind| kind.0 == name), "{name} has no line");
        self.values.insert((name, self.pods), value);
    }

    /// The figure for this size.
    pub(crate) fn get(&self, name: &'static str) -> Option<f64> {
        self.values.get(&(name, self.pods)).copied()
    }

    /// Adds the ratio of two figures of this size, if both exist.
    pub(crate) fn put_ratio(&mut self, name: &'static str, above: &'static str, below: &'static str) {
        if let (Some(above), Some(below)) = (self.get(above), self.get(below)) {
            self.put(name, above / below);
        }
    }

    /// The reason why the figures are void, if they are.
    pub(crate) fn void(&self) -> Option<String> {
        let slow = self.values.iter().find(|((name, _), value)| name.starts_with("served") && **value < LEAST_SERVED);
        slow.map(|((_, pods), value)| {
            format!("VOID: the simulator served {pods} pods at {value:.0} MB/s, less than {LEAST_SERVED} MB/s")
        })
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![self.header()];
        rows.extend(KINDS.iter().filter_map(|kind| self.row(kind)));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        rows.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
        let mut text = String::new();
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Text is left-aligned, numbers are right-aligned.
                let _ = if column < 2 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
        }
        text
    }

    fn header(&self) -> Vec<String> {
        let mut row = vec!["figure".to_owned(), "unit".to_owned()];
        row.extend(self.sizes.iter().map(|pods| format!("{pods} pods")));
        row.extend(["growth", "target", "met"].map(str::to_owned));
        row
    }

    fn row(&self, Kind(name, label, unit, digits, target): &Kind) -> Option<Vec<String>> {
        let value = |pods: &u32| self.values.get(&(*name, *pods));
        self.sizes.iter().find_map(value)?;
        let mut row = vec![(*label).to_owned(), (*unit).to_owned()];
        row.extend(
            self.sizes.iter().map(|pods| value(pods).map_or_else(String::new, |value| format!("{value:.digits$}"))),
        );
        row.push(self.growth(name).map_or_else(String::new, |growth| format!("{growth:.2} ×")));
        row.push(target.words());
        row.push(self.met(name, *target).map_or("", |met| if met { "yes" } else { "NO" }).to_owned());
        Some(row)
    }

    fn growth(&self, name: &'static str) -> Option<f64> {
        let value = |pods| self.values.get(&(name, pods));
        Some(value(150_000)? / value(30_000)?)
    }

    /// Whether a figure meets its target and grows no faster than the cluster, as far as measured. `None` without a target.
    fn met(&self, name: &'static str, target: Target) -> Option<bool> {
        if matches!(target, Any) {
            return None;
        }
        let sizes = self.sizes.iter().filter_map(|pods| {
            let value = self.values.get(&(name, *pods))?;
            target.met(*pods, *value)
        });
        let growth = self.growth(name).map(|growth| growth <= MOST_GROWTH);
        sizes.chain(growth).reduce(|all, one| all && one)
    }

    /// Writes everything to a file.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let mut figures = Map::new();
        for Kind(name, label, unit, _, target) in KINDS {
            let values = self
                .sizes
                .iter()
                .filter_map(|pods| Some((pods.to_string(), Value::from(*self.values.get(&(*name, *pods))?))));
            let values: Map<String, Value> = values.collect();
            if !values.is_empty() {
                figures.insert(
                    (*name).to_owned(),
                    json!({
                        "what": label, "unit": unit, "by_pods": values, "growth": self.growth(name),
                        "target": target.words(), "met": self.met(name, *target),
                    }),
                );
            }
        }
        let document = json!({
            "version": env!("CARGO_PKG_VERSION"), "machine": machine(), "void": self.void(), "figures": figures,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, format!("{document:#}\n"))?)
    }
}

impl Target {
    fn words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtMostSmall(most) => format!("≤ {most} at 30 000"),
            Self::AtMostLarge(most) => format!("≤ {most} at 150 000"),
            Self::AtMostBoth(small, large) => format!("≤ {small} and {large}"),
            Self::AtLeast(least) => format!("≥ {least}"),
        }
    }

    fn met(self, pods: u32, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::AtMostLarge(most) | Self::AtMostBoth(_, most) if pods == 150_000 => Some(value <= most),
            Self::AtMostSmall(most) | Self::AtMostBoth(most, _) if pods == 30_000 => Some(value <= most),
            Self::AtLeast(least) => Some(value >= least),
            _ => Option::None,
        }
    }
}

/// A short description of the machine.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} cores, {}", model.map_or("of unknown make", |(_, model)| model))
}

/// The median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// A percentile.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
