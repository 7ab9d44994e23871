//! Generates `docs/metrics.md` from the declarations of the families.

mod naming;

use super::families::FAMILIES;
use super::family::Family;
use crate::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from src/exposition/families.rs and src/telemetry/families.rs: UPDATE_DOCS=1 cargo test --test documents metrics_doc -->

The metrics that podskew serves at `/metrics`. Metrics about workloads are gauges, except `podskew_rollouts_total`. They have the labels
`namespace`, `workload_type` (the kind in lower case: deployment, statefulset, daemonset, rollout, replicaset, …) and `workload`,
unless the table says otherwise. A value of 0 is served; only *sparse* metrics have no series if there is nothing to report.
Metrics about workloads appear when the initial sync is complete.

*Active* pods have no deletionTimestamp and are neither Succeeded nor Failed. `pod_template_hash` is the value of the pod's label for the
template (`pod-template-hash`, `controller-revision-hash` or `rollouts-pod-template-hash`, by kind), and empty without such a label.
`label_*` means one label per `--pod-label`; labels that a pod or template does not have are left out. `origin` is the source of a
container: `template`, `injected` (by an admission webhook) or `unknown`.

All examples work with two podskews side by side: they take the `max` over both, or are correct for each. `--metric-allowlist` and
`--metric-denylist` select metrics by name.
";

/// Returns the whole document.
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
        push_row(&mut page, family.name, family.kind, &labels, family.help, family.series);
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
