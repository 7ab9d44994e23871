//! The families of podskew's own health. This is their only declaration.

/// One family, declared once: its registration, HELP, `docs/metrics.md` and the lints of alerts and dashboards all read this.
pub struct HealthFamily {
    /// The full name.
    pub name: &'static str,
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// The HELP text; without quotes and backslashes, so that both formats have the same text.
    pub help: &'static str,
    /// All its labels.
    pub labels: &'static [&'static str],
    /// A useful query.
    pub example: &'static str,
    /// Expected number of series.
    pub series: &'static str,
}

/// Declares families, each as a constant, and the list of them.
macro_rules! families {
    ($(#[$documented:meta])* $list:ident: $($constant:ident { $($field:ident: $value:expr),+ $(,)? })+) => {
        $(pub(super) const $constant: HealthFamily = HealthFamily { $($field: $value),+ };)+

        $(#[$documented])*
        pub static $list: &[HealthFamily] = &[$($constant),+];
    };
}

families! {
    /// Families that always exist.
    HEALTH_FAMILIES:
    BUILD_INFO {
        name: "podskew_build_info",
        kind: "gauge",
        help: "Version and source revision of podskew; always 1.",
        labels: &["revision", "version"],
        example: "count by (cluster, version) (podskew_build_info)",
        series: "1",
    }
    WATCH_SYNCED {
        name: "podskew_watch_synced",
        kind: "gauge",
        help: "1 while podskew knows all objects of the resource and its watch works, and for optional resources \
               that are not served; 0 before the end of the first list, after a failure until the watch works again, \
               and while the resource is forbidden. With several namespaces, the lowest value.",
        labels: &["resource"],
        example: "min by (cluster, instance) (podskew_watch_synced) == 0",
        series: "1 per watched resource",
    }
    OBJECTS {
        name: "podskew_objects",
        kind: "gauge",
        help: "Number of objects of the resource that podskew holds, without pods that belong to no workload.",
        labels: &["resource"],
        example: "max by (cluster, resource) (podskew_objects)",
        series: "1 per watched resource",
    }
    WATCH_EVENTS {
        name: "podskew_watch_events_total",
        kind: "counter",
        help: "Events that watches of the resource received, without the initial objects of a list.",
        labels: &["resource", "event"],
        example: "sum by (cluster, resource) (rate(podskew_watch_events_total[5m]))",
        series: "4 per watched resource",
    }
    WATCH_FAILURES {
        name: "podskew_watch_failures_total",
        kind: "counter",
        help: "Failed lists and watches of the resource, and objects that could not be read, by reason. \
               timeline_lost: the API server went back to an older state.",
        labels: &["resource", "reason"],
        example: "sum by (cluster, resource, reason) (increase(podskew_watch_failures_total[15m])) > 0",
        series: "11 per watched resource",
    }
    WATCH_RESTARTS {
        name: "podskew_watch_restarts_total",
        kind: "counter",
        help: "Relists of the resource after the initial list.",
        labels: &["resource"],
        example: "sum by (cluster, resource) (increase(podskew_watch_restarts_total[1h])) > 5",
        series: "1 per watched resource",
    }
    LAST_ACTIVITY {
        name: "podskew_last_activity_timestamp_seconds",
        kind: "gauge",
        help: "Time at which the API server last sent data about the resource, including bookmarks and refusals, in \
               seconds since 1970; 0 before the first. With several namespaces, the oldest.",
        labels: &["resource"],
        example: "time() - min by (cluster, resource) (podskew_last_activity_timestamp_seconds) > 300",
        series: "1 per watched resource",
    }
    SCRAPE_DURATION {
        name: "podskew_scrape_duration_seconds",
        kind: "histogram",
        help: "Time to prepare the answer to a scrape.",
        labels: &[],
        example: "histogram_quantile(0.99, sum by (cluster, le) (rate(podskew_scrape_duration_seconds_bucket[15m])))",
        series: "14",
    }
    UNREADABLE_FIELDS {
        name: "podskew_unreadable_fields_total",
        kind: "counter",
        help: "Fields of objects that had a value of a wrong type and were read as unknown.",
        labels: &[],
        example: "max by (cluster) (increase(podskew_unreadable_fields_total[1h])) > 0",
        series: "1",
    }
    LOG_LINES_DROPPED {
        name: "podskew_log_lines_dropped_total",
        kind: "counter",
        help: "Log lines that were dropped because nobody read stderr, or because it was closed.",
        labels: &[],
        example: "max by (cluster) (increase(podskew_log_lines_dropped_total[1h])) > 0",
        series: "1",
    }
    HTTP_CONNECTIONS {
        name: "podskew_http_connections",
        kind: "gauge",
        help: "Number of connections of HTTP clients by state: idle (between two requests), reading (a request) or \
               answering.",
        labels: &["state"],
        example: "sum by (cluster) (podskew_http_connections) > 200",
        series: "3",
    }
    HTTP_CONNECTIONS_REFUSED {
        name: "podskew_http_connections_refused_total",
        kind: "counter",
        help: "Connections whose request was refused with 503, because all others were busy with answers.",
        labels: &[],
        example: "max by (cluster) (increase(podskew_http_connections_refused_total[15m])) > 0",
        series: "1",
    }
    EXPOSITION_BYTES {
        name: "podskew_exposition_bytes",
        kind: "gauge",
        help: "Size of the last answer to a scrape with this encoding.",
        labels: &["encoding"],
        example: "max by (cluster, encoding) (podskew_exposition_bytes)",
        series: "1 per encoding",
    }
    PROCESS_CPU {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "Total user and system CPU time spent in seconds.",
        labels: &[],
        example: "rate(process_cpu_seconds_total{job=\"podskew\"}[5m])",
        series: "1",
    }
    PROCESS_RESIDENT_MEMORY {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        help: "Resident memory size in bytes.",
        labels: &[],
        example: "max by (cluster) (process_resident_memory_bytes{job=\"podskew\"})",
        series: "1",
    }
    PROCESS_VIRTUAL_MEMORY {
        name: "process_virtual_memory_bytes",
        kind: "gauge",
        help: "Virtual memory size in bytes.",
        labels: &[],
        example: "max by (cluster) (process_virtual_memory_bytes{job=\"podskew\"})",
        series: "1",
    }
    PROCESS_OPEN_FDS {
        name: "process_open_fds",
        kind: "gauge",
        help: "Number of open file descriptors.",
        labels: &[],
        example: "process_open_fds{job=\"podskew\"} / process_max_fds{job=\"podskew\"} > 0.8",
        series: "1",
    }
    PROCESS_MAX_FDS {
        name: "process_max_fds",
        kind: "gauge",
        help: "Maximum number of open file descriptors.",
        labels: &[],
        example: "max by (cluster) (process_max_fds{job=\"podskew\"})",
        series: "1",
    }
    PROCESS_THREADS {
        name: "process_threads",
        kind: "gauge",
        help: "Number of OS threads in the process.",
        labels: &[],
        example: "max by (cluster) (process_threads{job=\"podskew\"})",
        series: "1",
    }
    PROCESS_START_TIME {
        name: "process_start_time_seconds",
        kind: "gauge",
        help: "Start time of the process since unix epoch in seconds.",
        labels: &[],
        example: "time() - max by (cluster) (process_start_time_seconds{job=\"podskew\"})",
        series: "1",
    }
}

families! {
    /// Families that exist only with `--web-config-file`.
    WEB_CONFIG_FAMILIES:
    WEB_CONFIG_SUCCESSFUL {
        name: "podskew_web_config_last_reload_successful",
        kind: "gauge",
        help: "1 if podskew uses the current web configuration file, 0 if it could not use a change of the file or \
               of a file that it names.",
        labels: &[],
        example: "min by (cluster, instance) (podskew_web_config_last_reload_successful) == 0",
        series: "1 with `--web-config-file`, else none",
    }
    WEB_CONFIG_SUCCESS_TIMESTAMP {
        name: "podskew_web_config_last_reload_success_timestamp_seconds",
        kind: "gauge",
        help: "Time at which the web configuration in use was read, in seconds since 1970.",
        labels: &[],
        example: "max by (cluster, instance) (podskew_web_config_last_reload_success_timestamp_seconds)",
        series: "1 with `--web-config-file`, else none",
    }
}

families! {
    /// Families that exist only with `--registry`.
    REGISTRY_FAMILIES:
    REGISTRY_REFERENCES {
        name: "podskew_registry_references",
        kind: "gauge",
        help: "Number of image references of started containers that podskew asks the registry for, by state: \
               pending, answered, gone, not_found, unauthorized, throttled, unconfirmed (the content has another \
               digest), failed, or contradicted (nodes resolve the tag to something else).",
        labels: &["registry", "state"],
        example: "sum by (cluster, registry, state) (max by (cluster, instance, registry, state) \
                  (podskew_registry_references{state!=\"answered\"})) > 0",
        series: "9 per listed registry with `--registry`, else none",
    }
    REGISTRY_REQUESTS {
        name: "podskew_registry_requests_total",
        kind: "counter",
        help: "Requests to the registry, its token server and redirects, by HTTP status, or timeout, connection, or \
               refused (an address that podskew does not connect to).",
        labels: &["registry", "code"],
        example: "sum by (cluster, registry, code) (rate(podskew_registry_requests_total[15m]))",
        series: "1 per listed registry and code seen with `--registry`, else none",
    }
    REGISTRY_LAST_SUCCESS {
        name: "podskew_registry_last_success_timestamp_seconds",
        kind: "gauge",
        help: "Time at which the registry last answered with status 200, in seconds since 1970; 0 before the first.",
        labels: &["registry"],
        example: "time() - max by (cluster, registry) (podskew_registry_last_success_timestamp_seconds) > 7200",
        series: "1 per listed registry with `--registry`, else none",
    }
    REGISTRY_RATE_LIMIT_REMAINING {
        name: "podskew_registry_rate_limit_remaining",
        kind: "gauge",
        help: "Number of requests that the registry still allows in its current window, from its last answer; absent \
               if the registry does not say.",
        labels: &["registry"],
        example: "min by (cluster, registry) (podskew_registry_rate_limit_remaining) < 20",
        series: "1 per listed registry that says so with `--registry`, else none",
    }
}
