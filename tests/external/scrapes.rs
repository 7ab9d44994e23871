//! Real Prometheus servers scrape the real binary as documented: podskew's labels are kept.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::chart::{container, objects, read, rendered, the};
use crate::needs::{Test, tests};
use crate::programs;
use crate::scraping::{Prometheus, demo, eventually};
use regex::Regex;
use serde_json::{Value, json};
use std::path::Path;

const EXAMPLE: &str = "deploy/kustomize/components/scrape-annotations/scrape.example.yaml";

/// Labels of podskew's pod from service discovery.
fn discovered(address: &str) -> Value {
    let objects = objects(&read("deploy/podskew.yaml"));
    let port = &container(&objects)["ports"][0];
    let mut labels = json!({
        "__meta_kubernetes_namespace": "podskew",
        "__meta_kubernetes_pod_name": "podskew-0",
        "__meta_kubernetes_pod_container_name": "podskew",
        "__meta_kubernetes_pod_container_port_name": port["name"],
    });
    let no_letter = Regex::new("[^a-zA-Z0-9_]").unwrap();
    let of_pod = the(&objects, "Deployment").pointer("/spec/template/metadata/labels").unwrap();
    for (name, value) in of_pod.as_object().unwrap() {
        labels[format!("__meta_kubernetes_pod_label_{}", no_letter.replace_all(name, "_"))] = value.clone();
    }
    json!({ "targets": [address], "labels": labels })
}

/// The plain example with the addresses of its pods: podskew's, and another's.
fn example(address: &str) -> Value {
    let config: Value = serde_saphyr::from_str(&read(EXAMPLE)).unwrap();
    let [job] = &config["scrape_configs"].as_array().unwrap()[..] else { panic!("one job") };
    let mut job = job.clone();
    let discovery = job.as_object_mut().unwrap().remove("kubernetes_sd_configs").unwrap();
    assert_eq!(discovery, json!([{ "role": "pod", "namespaces": { "names": ["podskew"] } }]));
    let mut other = discovered("127.0.0.1:9");
    other["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"] = json!("other");
    job["static_configs"] = json!([discovered(address), other]);
    job
}

/// A monitor in the form that the Operator writes into Prometheus' configuration: the target gets the labels of podskew's
/// own pod, and then the monitor's settings.
fn monitored(kind: &str, endpoints: &str, values: &str, address: &str) -> Value {
    let objects = objects(&rendered(&["--set", values]));
    let endpoint = &the(&objects, kind)["spec"][endpoints][0];
    let relabelings: Vec<Value> = endpoint["relabelings"].as_array().unwrap().clone();
    assert!(relabelings.iter().all(|relabeling| relabeling.as_object().unwrap().len() == 2), "{relabelings:?}");
    let own = json!({
        "namespace": "podskew", "pod": "podskew-0", "container": "podskew", "endpoint": endpoint["port"], "service": "podskew",
    });
    json!({
        "job_name": kind, "honor_labels": endpoint["honorLabels"], "metrics_path": endpoint["path"],
        "static_configs": [{ "targets": [address], "labels": own }], "relabel_configs": relabelings,
    })
}

#[track_caller]
fn labels_stay(program: &Path) {
    let demo = demo();
    let address = &demo.address;
    let service_monitor = monitored("ServiceMonitor", "endpoints", "serviceMonitor.enabled=true", address);
    let mut overwritten = service_monitor.clone();
    overwritten["job_name"] = json!("overwritten");
    overwritten["honor_labels"] = json!(false);
    let prometheus = Prometheus::start_with(
        program,
        &json!([
            example(address),
            service_monitor,
            monitored("PodMonitor", "podMetricsEndpoints", "podMonitor.enabled=true", address),
            overwritten,
        ]),
    );
    for job in ["podskew", "ServiceMonitor", "PodMonitor", "overwritten"] {
        let selector = |name: &str| format!("{name}{{job=\"{job}\"}}");
        eventually(job, || match prometheus.query(&selector("up"))?[..] {
            [1.0] => prometheus.query(&selector("podskew_rollout_state")),
            ref other => Err(format!("{other:?}")),
        });
        let series = prometheus.series(&format!("{{job=\"{job}\",__name__=~\"podskew_.*\"}}")).unwrap();
        assert!(series.len() > 500, "{}", series.len());
        let label =
            |labels: &Value, start: &str| labels.as_object().unwrap().keys().any(|name| name.starts_with(start));
        let exported = series.iter().filter(|(labels, _)| label(labels, "exported_")).count();
        if job == "overwritten" {
            assert!(exported > 100, "the check itself works: {exported}");
            continue;
        }
        assert_eq!(exported, 0, "{job}");
        // Only series about a pod have this label, and it is never podskew's pod.
        let states = prometheus.series(&selector("podskew_rollout_state")).unwrap();
        assert!(states.iter().all(|(labels, _)| !label(labels, "pod") && !label(labels, "container")), "{job}");
        assert!(series.iter().all(|(labels, _)| labels["pod"] != "podskew-0"), "{job}");
    }
}

fn labels_stay_in_debians_prometheus() {
    labels_stay(Path::new("prometheus"));
}

fn labels_stay_in_prometheus_3() {
    labels_stay(&programs::prometheus3());
}

/// Debian's promtool does not support service discovery, so it gets the example with a static target.
fn promtool_accepts_the_example() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "scrape_configs": [example("127.0.0.1:8080")] }).to_string()).unwrap();
    let output = programs::promtool(&["check", "config", file.path().to_str().unwrap()], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        labels_stay_in_debians_prometheus: [PROMETHEUS, HELM],
        labels_stay_in_prometheus_3: [PROMETHEUS3, HELM],
        promtool_accepts_the_example: [PROMTOOL],
    ]
}
