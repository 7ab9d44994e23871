//! Real Prometheus servers scrape the real binary on its demo cluster.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::programs;
use crate::scraping::{Prometheus, Running, demo, eventually};
use podskew::exposition::FAMILIES;
use podskew::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES};
use regex::Regex;
use std::path::Path;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

#[track_caller]
fn metrics(demo: &Running, accept: &str) -> String {
    let (status, metrics) = demo.get("/metrics", accept).unwrap();
    assert_eq!(status, 200, "{metrics}");
    metrics
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The README's code blocks in `language`.
fn code_blocks(language: &str) -> Vec<String> {
    let block = Regex::new(&format!("(?s)```{language}\n(.*?)```")).unwrap();
    block.captures_iter(&readme()).map(|block| block[1].to_owned()).collect()
}

/// Families without series in the demo, at some times or always.
const MAY_BE_EMPTY: [&str; 7] = [
    "podskew_pods_awaiting_owner",
    "podskew_terminating_pods",
    "podskew_blocking_pod_info",
    "podskew_template_owner_info",
    "podskew_tag_cached_nodes",
    "podskew_last_rollout_held_seconds",
    // The demo's registry has all images.
    "podskew_image_gone_age_seconds",
];

#[track_caller]
fn scrapes_everything(program: &Path, version: &str) {
    let output = programs::run(program, &["--version"], b"", "");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains(&format!("prometheus, version {version}")), "not Prometheus {version}*: {printed}");

    let demo = demo();
    let prometheus = Prometheus::start(program, &demo.address);
    eventually("Prometheus scrapes", || match prometheus.query("up")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("up is {other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });

    let has_series = |name: &&str| !MAY_BE_EMPTY.contains(name);
    for name in FAMILIES.iter().map(|family| family.name).filter(has_series) {
        assert!(!prometheus.answers(name).is_empty());
    }
    // No registry of the demo has a rate limit.
    let of_registries = REGISTRY_FAMILIES.iter().filter(|family| !family.name.ends_with("_rate_limit_remaining"));
    for family in HEALTH_FAMILIES.iter().chain(of_registries) {
        let name = family.name.to_owned() + if family.kind == "histogram" { "_count" } else { "" };
        assert!(!prometheus.answers(&name).is_empty());
    }
    // Families without series have metadata, too.
    for family in FAMILIES {
        // In OpenMetrics, the name of a counter's family has no `_total`.
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        let metadata = prometheus.ask(&format!("/api/v1/metadata?metric={name}")).unwrap();
        assert_eq!(metadata[name][0]["type"], family.kind(), "{name}: {metadata}");
        let unit = if name.ends_with("_seconds") { "seconds" } else { "" };
        assert_eq!(metadata[name][0]["unit"], unit, "{name}: {metadata}");
    }

    // The README's queries return results, for the workloads in the README.
    let queries = code_blocks("promql");
    assert_eq!(queries.len(), 2, "{queries:?}");
    for (query, workload) in queries.iter().zip(["web", "ledger"]) {
        let of_workload = format!("({query}) and on (workload) podskew_pod_info{{workload=\"{workload}\"}}");
        // Until the demo's registry has answered, two builds of one image look like two images.
        eventually("the README's question has one answer", || {
            let answers = (prometheus.query(query)?.len(), prometheus.query(&of_workload)?.len());
            if answers == (1, 1) { Ok(()) } else { Err(format!("{query}: {answers:?}")) }
        });
    }

    // It accepted gzip, and nothing else.
    assert!(prometheus.answers(r#"podskew_exposition_bytes{encoding="gzip"} > 0"#)[0] > 1000.0);
    assert_eq!(prometheus.answers(r#"podskew_exposition_bytes{encoding="identity"}"#), [0.0]);
}

fn debians_prometheus_scrapes_everything() {
    scrapes_everything(Path::new("prometheus"), "2.");
}

fn prometheus_3_scrapes_everything() {
    scrapes_everything(&programs::prometheus3(), "3.");
}

fn promtool_has_no_complaints_about_the_demo() {
    let metrics = metrics(&demo(), "text/plain; version=0.0.4");
    assert!(metrics.contains("\npodskew_skewed_pod_info{"), "{metrics}");
    programs::promtool_has_no_complaints(metrics.as_bytes());
}

fn pythons_client_reads_the_demo() {
    let metrics = metrics(&demo(), OPENMETRICS);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let read = programs::read_by_pythons_client(metrics.as_bytes());
    for family in FAMILIES {
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        assert!(read.contains(&format!("{name} {} ", family.kind())), "{name} in {read}");
    }
    for family in HEALTH_FAMILIES {
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        assert!(read.contains(&format!("{name} {} ", family.kind)), "{name} in {read}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        debians_prometheus_scrapes_everything: [PROMETHEUS],
        prometheus_3_scrapes_everything: [PROMETHEUS3],
        promtool_has_no_complaints_about_the_demo: [PROMTOOL],
        pythons_client_reads_the_demo: [PYTHON],
    ]
}
