//! `docs/metrics.md`, from the declarations of the families.

mod naming;

use super::families::FAMILIES;
use super::family::Family;
use std::fmt::Write;

/// A family of podskew's own health, as documented.
pub struct HealthFamily {
    /// The full name.
    pub name: &'static str,
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// All its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub meaning: &'static str,
    /// A query that answers a question somebody has.
    pub example: &'static str,
    /// How many series to expect.
    pub series: &'static str,
}

/// Every family of podskew's own health.
pub static HEALTH_FAMILIES: &[HealthFamily] = &[
    HealthFamily {
        name: "podskew_build_info",
        kind: "gauge",
        labels: &["revision", "version"],
        meaning: "Which podskew this is, and from which revision of the source; always 1.",
        example: "count by (cluster, version) (podskew_build_info)",
        series: "1",
    },
    HealthFamily {
        name: "podskew_watch_synced",
        kind: "gauge",
        labels: &["resource"],
        meaning: "1 while the watch of the resource is complete and alive.",
        example: "min by (instance) (podskew_watch_synced) == 0",
        series: "1 per watched resource",
    },
    HealthFamily {
        name: "podskew_objects",
        kind: "gauge",
        labels: &["resource"],
        meaning: "Objects held in the inventory; pods that belong to no workload are not.",
        example: "max by (cluster, resource) (podskew_objects)",
        series: "1 per watched resource",
    },
    HealthFamily {
        name: "podskew_watch_events_total",
        kind: "counter",
        labels: &["resource", "event"],
        meaning: "Events received from the API server.",
        example: "sum by (cluster, resource) (rate(podskew_watch_events_total[5m]))",
        series: "a few per watched resource",
    },
    HealthFamily {
        name: "podskew_watch_failures_total",
        kind: "counter",
        labels: &["resource", "reason"],
        meaning: "Lists and watches that failed; `timeline_lost`: the API server went back to an older state.",
        example: "sum by (cluster, resource, reason) (increase(podskew_watch_failures_total[15m])) > 0",
        series: "1 per watched resource and reason seen",
    },
    HealthFamily {
        name: "podskew_watch_restarts_total",
        kind: "counter",
        labels: &["resource"],
        meaning: "Lists begun again after the first.",
        example: "sum by (cluster, resource) (increase(podskew_watch_restarts_total[1h])) > 5",
        series: "1 per watched resource",
    },
    HealthFamily {
        name: "podskew_last_activity_timestamp_seconds",
        kind: "gauge",
        labels: &["resource"],
        meaning: "When the API server last sent anything, bookmarks included.",
        example: "time() - min by (cluster, resource) (podskew_last_activity_timestamp_seconds) > 300",
        series: "1 per watched resource",
    },
    HealthFamily {
        name: "podskew_scrape_duration_seconds",
        kind: "histogram",
        labels: &[],
        meaning: "How long answering a scrape took.",
        example: "histogram_quantile(0.99, sum by (cluster, le) (rate(podskew_scrape_duration_seconds_bucket[15m])))",
        series: "about 15",
    },
    HealthFamily {
        name: "podskew_unreadable_fields_total",
        kind: "counter",
        labels: &[],
        meaning: "Fields of objects that held a value of a wrong type and were read as unknown.",
        example: "max by (cluster) (increase(podskew_unreadable_fields_total[1h])) > 0",
        series: "1",
    },
    HealthFamily {
        name: "podskew_log_lines_dropped_total",
        kind: "counter",
        labels: &[],
        meaning: "Lines of the log that were dropped because nobody read stderr.",
        example: "max by (cluster) (increase(podskew_log_lines_dropped_total[1h])) > 0",
        series: "1",
    },
    HealthFamily {
        name: "podskew_http_connections",
        kind: "gauge",
        labels: &["state"],
        meaning: "Connections of HTTP clients: idle, reading a request, or answering it.",
        example: "sum by (cluster) (podskew_http_connections) > 200",
        series: "3",
    },
    HealthFamily {
        name: "podskew_http_connections_refused_total",
        kind: "counter",
        labels: &[],
        meaning: "Connections whose request was refused with 503, because every place had an answer on its way.",
        example: "max by (cluster) (increase(podskew_http_connections_refused_total[15m])) > 0",
        series: "1",
    },
    HealthFamily {
        name: "podskew_exposition_bytes",
        kind: "gauge",
        labels: &["encoding"],
        meaning: "Length of the last answer in this encoding.",
        example: "max by (cluster, encoding) (podskew_exposition_bytes)",
        series: "1 per encoding",
    },
    HealthFamily {
        name: "process_cpu_seconds_total",
        kind: "counter",
        labels: &[],
        meaning: "Processor time spent.",
        example: "rate(process_cpu_seconds_total{job=\"podskew\"}[5m])",
        series: "1",
    },
    HealthFamily {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        labels: &[],
        meaning: "Memory in use.",
        example: "max by (cluster) (process_resident_memory_bytes{job=\"podskew\"})",
        series: "1",
    },
    HealthFamily {
        name: "process_virtual_memory_bytes",
        kind: "gauge",
        labels: &[],
        meaning: "Address space in use.",
        example: "max by (cluster) (process_virtual_memory_bytes{job=\"podskew\"})",
        series: "1",
    },
    HealthFamily {
        name: "process_open_fds",
        kind: "gauge",
        labels: &[],
        meaning: "Open file descriptors.",
        example: "process_open_fds{job=\"podskew\"} / process_max_fds{job=\"podskew\"} > 0.8",
        series: "1",
    },
    HealthFamily {
        name: "process_max_fds",
        kind: "gauge",
        labels: &[],
        meaning: "The most file descriptors the process may open.",
        example: "max by (cluster) (process_max_fds{job=\"podskew\"})",
        series: "1",
    },
    HealthFamily {
        name: "process_threads",
        kind: "gauge",
        labels: &[],
        meaning: "Threads of the process.",
        example: "max by (cluster) (process_threads{job=\"podskew\"})",
        series: "1",
    },
    HealthFamily {
        name: "process_start_time_seconds",
        kind: "gauge",
        labels: &[],
        meaning: "When the process started.",
        example: "time() - max by (cluster) (process_start_time_seconds{job=\"podskew\"})",
        series: "1",
    },
];

/// Families that exist only with `--web-config-file`.
pub static WEB_CONFIG_FAMILIES: &[HealthFamily] = &[
    HealthFamily {
        name: "podskew_web_config_last_reload_successful",
        kind: "gauge",
        labels: &[],
        meaning: "1 while the web configuration that is in force is the one in the file; 0 where a change of it, or of a \
                  file that it names, could not be used.",
        example: "min by (cluster, instance) (podskew_web_config_last_reload_successful) == 0",
        series: "1 with `--web-config-file`, else none",
    },
    HealthFamily {
        name: "podskew_web_config_last_reload_success_timestamp_seconds",
        kind: "gauge",
        labels: &[],
        meaning: "When the web configuration that is in force was read.",
        example: "max by (cluster, instance) (podskew_web_config_last_reload_success_timestamp_seconds)",
        series: "1 with `--web-config-file`, else none",
    },
];

/// Families that exist only with `--registry`.
pub static REGISTRY_FAMILIES: &[HealthFamily] = &[
    HealthFamily {
        name: "podskew_registry_references",
        kind: "gauge",
        labels: &["registry", "state"],
        meaning: "Image references that started containers run and that the registry is asked for: `pending`, `answered`, `gone`, \
                  `not_found`, `unauthorized`, `throttled`, `unconfirmed` (the content does not have its digest), `failed`, \
                  or `contradicted` (nodes resolve the tag elsewhere).",
        example: "sum by (registry, state) (max by (instance, registry, state) \
                  (podskew_registry_references{state!=\"answered\"})) > 0",
        series: "9 per listed registry with `--registry`, else none",
    },
    HealthFamily {
        name: "podskew_registry_requests_total",
        kind: "counter",
        labels: &["registry", "code"],
        meaning: "Requests to the registry, its token server and where it redirects, by HTTP status, or `timeout`, `refused` (an \
                  address that is not connected to) or `connection`.",
        example: "sum by (registry, code) (rate(podskew_registry_requests_total[15m]))",
        series: "1 per listed registry and code seen with `--registry`, else none",
    },
    HealthFamily {
        name: "podskew_registry_last_success_timestamp_seconds",
        kind: "gauge",
        labels: &["registry"],
        meaning: "When the registry last answered with 200; 0 before the first.",
        example: "time() - max by (registry) (podskew_registry_last_success_timestamp_seconds) > 7200",
        series: "1 per listed registry with `--registry`, else none",
    },
    HealthFamily {
        name: "podskew_registry_rate_limit_remaining",
        kind: "gauge",
        labels: &["registry"],
        meaning: "Requests that the registry still answers in its window, as its last answer says.",
        example: "min by (registry) (podskew_registry_rate_limit_remaining) < 20",
        series: "1 per listed registry that says so with `--registry`, else none",
    },
];

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from src/exposition/families.rs and src/exposition/docs.rs: UPDATE_DOCS=1 cargo test --test documents metrics_doc -->

What podskew serves at `/metrics`. All workload families but one are gauges, and all carry the labels `namespace`, `workload_type`
(the kind in lower case: deployment, statefulset, daemonset, rollout, replicaset, …) and `workload`, except where the
table says otherwise. Zero is served where a series is known to exist; *sparse* families have series only where there is
something to say. Nothing of a workload is served before the first complete picture of the cluster.

*Active* pods have no deletionTimestamp and have neither succeeded nor failed. `pod_template_hash` is the value of the
hash label the pods of that kind carry, and empty where they carry none. `label_*` stands for one label for each
`--pod-label`; what a pod or template lacks is left out. `origin` says where a container comes from: `template`,
`injected` (an admission webhook added it) or `unknown`.

Two podskews may run side by side: every example takes the `max` over them, or works for each.
`--metric-allowlist` and `--metric-denylist` choose families by name.
";

/// The whole document.
#[must_use]
pub fn metrics_markdown() -> String {
    let mut page = format!("{INTRODUCTION}\n## Workloads\n\n");
    open_table(&mut page);
    for family in FAMILIES {
        let meaning = format!("{}{}", family.help, if family.sparse { " *Sparse.*" } else { "" });
        push_row(&mut page, family.name, family.kind(), &labels(family), &meaning, family.series);
    }
    page.push_str("\n## podskew itself\n\n");
    open_table(&mut page);
    let health = || HEALTH_FAMILIES.iter().chain(WEB_CONFIG_FAMILIES).chain(REGISTRY_FAMILIES);
    for family in health() {
        let labels = quoted(family.labels.iter().copied());
        push_row(&mut page, family.name, family.kind, &labels, family.meaning, family.series);
    }
    page.push_str("\n## A query for each\n");
    let workloads = FAMILIES.iter().map(|family| (family.name, family.example));
    for (name, example) in workloads.chain(health().map(|family| (family.name, family.example))) {
        let _ = write!(page, "\n`{name}`\n\n```promql\n{example}\n```\n");
    }
    page.push_str(naming::NAMING);
    page
}

fn labels(family: &Family) -> String {
    let label_names = family.subject_labels().iter().chain(family.labels).copied();
    quoted(label_names.chain(family.pod_labels.then_some("label_*")))
}

fn quoted<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

fn open_table(page: &mut String) {
    page.push_str("| name | type | labels | meaning | series to expect |\n|---|---|---|---|---|\n");
}

fn push_row(page: &mut String, name: &str, kind: &str, labels: &str, meaning: &str, series: &str) {
    let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} | {series} |");
}
