//! The exposition as parsed by other programs: promtool, Python's Prometheus client, Python's gzip.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common::reports::{at, skewed_deployment, workload};
use crate::needs::{Test, tests};
use crate::programs;
use crate::programs::{promtool, run};
use podskew::exposition::{Encoding, Exposition, FAMILIES, Format, PublishBatch, Selection};
use podskew::telemetry::families::HEALTH_FAMILIES;
use std::path::Path;

fn golden(file: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/exposition/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A cluster with enough text for several fragments of each family.
fn many_workloads() -> Exposition {
    let exposition = Exposition::new(Selection::default(), vec!["label_version".to_owned()]);
    let reports = (0..1500).map(|index| {
        let mut report = skewed_deployment();
        report.workload = workload(&format!("team-{}", index % 40), "deployment", &format!("service-{index}"));
        report
    });
    exposition.publish(PublishBatch { reports: reports.collect(), gone: Vec::new() }, &[]);
    exposition
}

fn promtool_has_no_complaints() {
    programs::promtool_has_no_complaints(&golden("small.txt"));
}

fn the_documented_queries_are_promql() {
    let workloads = FAMILIES.iter().map(|family| (family.name, family.example));
    let examples = workloads.chain(HEALTH_FAMILIES.iter().map(|family| (family.name, family.example)));
    let rules: Vec<_> = examples
        .map(|(name, example)| {
            assert!(example.contains(name), "the example of {name} does not use it: {example}");
            serde_json::json!({ "record": "example:".to_owned() + name, "expr": example })
        })
        .collect();
    // JSON is valid YAML.
    let file = serde_json::json!({ "groups": [{ "name": "examples", "rules": rules }] }).to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("examples.yaml");
    std::fs::write(&path, file).unwrap();
    let output = promtool(&["check", "rules", path.to_str().unwrap()], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn pythons_client_reads_openmetrics() {
    let families = programs::read_by_pythons_client(&golden("small.openmetrics.txt"));
    assert!(families.contains("podskew_distinct_digests_per_deployment gauge 2\n"), "{families}");
    assert!(families.contains("podskew_watch_events counter 1\n"), "{families}");
}

fn pythons_gzip_reads_the_stitched_member() {
    let picture = many_workloads().picture();
    let all = |encoding| picture.answer(&[], Format::Text, encoding, at(1000)).flatten().collect::<Vec<u8>>();
    let program = "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    let output = run(Path::new("python3"), &["-c", program], &all(Encoding::Gzip), "install python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plain = all(Encoding::Identity);
    assert!(plain.len() > 1_000_000, "too small for several fragments");
    assert!(output.stdout == plain, "Python's result differs");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        promtool_has_no_complaints: [PROMTOOL],
        the_documented_queries_are_promql: [PROMTOOL],
        pythons_client_reads_openmetrics: [PYTHON],
        pythons_gzip_reads_the_stitched_member: [PYTHON3],
    ]
}
