//! Generates `docs/metrics.md` from the declarations of the families.

mod naming;

use super::families::FAMILIES;
use super::family::Family;
use crate::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from src/exposition/families.rs and src/telemetry/families.rs: UPDATE_DOCS=1 cargo test --test documents metrics_doc -->

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
