//! Audits of dumps of real clusters, and of one with hostile names, two hours after the recordings.

use super::snapshot_options::snapshot_options;
use super::tape::path;
use podskew::commands::audit::{Audit, AuditFormat, Auditor, Strictness, Terminal, audit};
use podskew::snapshot::{SnapshotSource, take_snapshot};
use podskew::time::{ObservationTime, TimeSource, UnixTime};
use serde_json::{Value, json};
use std::path::Path;

pub const FORMATS: [(AuditFormat, &str, &str); 5] = [
    (AuditFormat::Table, "table", "txt"),
    (AuditFormat::Json, "json", "json"),
    (AuditFormat::Markdown, "markdown", "md"),
    (AuditFormat::Junit, "junit", "xml"),
    (AuditFormat::Sarif, "sarif", "sarif"),
];

pub const PLAIN: Terminal = Terminal { coloured: false, width: None };

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Audits a dump at a time two hours after the recordings.
pub async fn audited(dump: &Value, of: &str, strictness: Strictness) -> Audit {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), dump.to_string()).unwrap();
    let place = SnapshotSource::Dump { files: vec![file.path().to_owned()], namespaces: Vec::new(), taken: None };
    let mut look = take_snapshot(&snapshot_options(place), None).await.unwrap();
    look.taken = ObservationTime { at: UnixTime::parse("2026-11-21T08:30:00Z").unwrap(), from: TimeSource::Clock };
    of.clone_into(&mut look.of);
    // An audit for JSON contains what every format needs.
    audit(&mut look, &[], Auditor::new(strictness, AuditFormat::Json, false)).unwrap()
}

pub fn printed(audit: &Audit, format: AuditFormat, terminal: Terminal) -> String {
    let mut out = Vec::new();
    audit.write(format, terminal, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn dump(scenario: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(&format!("{scenario}.dump.json"))).unwrap()).unwrap()
}

/// The dumps, all of them in one list, and the pods of that list alone.
pub fn clusters() -> Vec<(&'static str, Value)> {
    let scenarios = ["daemonset", "digest-skew", "paused", "statefulset-partition", "stuck"];
    let mut clusters: Vec<(&str, Value)> = scenarios.into_iter().map(|scenario| (scenario, dump(scenario))).collect();
    let items = |cluster: &(&str, Value)| cluster.1["items"].as_array().unwrap().clone();
    let all: Vec<Value> = clusters.iter().flat_map(items).collect();
    let pods: Vec<Value> = all.iter().filter(|item| item["kind"] == "Pod").cloned().collect();
    clusters.push(("all", json!({"kind": "List", "apiVersion": "v1", "items": all})));
    clusters.push(("pods", json!({"kind": "List", "apiVersion": "v1", "items": pods})));
    clusters.push(("empty", json!({"kind": "List", "apiVersion": "v1", "items": []})));
    clusters.push(("hostile", hostile()));
    clusters
}

/// Names that a cluster cannot have, but a file may.
pub fn hostile() -> Value {
    let mut dump = dump("digest-skew");
    let name = "<b>&\"'`|\u{1b}[31m\u{202e}\u{7}]]>\u{0}\u{ffff} ``` [x](y) \\ *a* _b_ é\u{9b}";
    for item in dump["items"].as_array_mut().unwrap() {
        item["metadata"]["namespace"] = format!("ns {name}").into();
        if item["kind"] == "Pod" {
            let pod = item["metadata"]["name"].as_str().unwrap().to_owned();
            item["metadata"]["name"] = format!("{pod}\n\n# {name}").into();
            item["spec"]["nodeName"] = format!("node\r\n{name}").into();
            item["spec"]["containers"][0]["image"] = format!("image; rm -rf /{name}").into();
        }
    }
    dump
}
