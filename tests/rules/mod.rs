//! The alerts: `alerts/source.yaml` read, its parts put in, and written as Prometheus and its operator want them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests; each test binary uses a part")]

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The names of the generated files below `alerts/`.
pub const PLAIN: &str = "podskew.rules.yaml";
pub const OPERATOR: &str = "prometheusrule.yaml";

/// `alerts/source.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub runbooks: String,
    pub parts: BTreeMap<String, String>,
    pub alerts: Vec<Alert>,
}

/// One alert, as written; its texts hold `<<part>>`.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    #[serde(rename = "alert")]
    pub name: String,
    pub severity: String,
    /// What the value of its expression is compared with, where there is such a thing.
    pub threshold: Option<f64>,
    pub r#for: String,
    pub expr: String,
    pub summary: String,
    pub description: String,
}

/// A path of the package.
pub fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

pub fn source() -> Source {
    let path = path("alerts/source.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Source {
    /// A text with every `<<part>>` and `<<alert.threshold>>` put in. A part of several lines that stands alone in its
    /// line is indented like it.
    #[track_caller]
    pub fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<<") {
            let (name, after) = after.split_once(">>").unwrap_or_else(|| panic!("<< without >> in {text}"));
            expanded.push_str(before);
            let line = &expanded[expanded.rfind('\n').map_or(0, |end| end + 1)..];
            let indent = line[..line.len() - line.trim_start().len()].to_owned();
            expanded.push_str(&self.part(name).replace('\n', &format!("\n{indent}")));
            rest = after;
        }
        expanded + rest
    }

    #[track_caller]
    fn part(&self, name: &str) -> String {
        if let Some(alert) = name.strip_suffix(".threshold") {
            let found = self.alerts.iter().find(|candidate| candidate.name == alert);
            let threshold = found.and_then(|alert| alert.threshold);
            return threshold.unwrap_or_else(|| panic!("{alert} has no threshold")).to_string();
        }
        self.expand(self.parts.get(name).unwrap_or_else(|| panic!("there is no part {name}")))
    }

    /// The groups as Prometheus reads them.
    pub fn rules(&self) -> String {
        let mut rules = "groups:\n- name: podskew\n  rules:\n".to_owned();
        for alert in &self.alerts {
            write!(rules, "  - alert: {}\n    expr: {}\n", alert.name, block(&self.expand(&alert.expr), 6)).unwrap();
            if alert.r#for != "0s" {
                writeln!(rules, "    for: {}", alert.r#for).unwrap();
            }
            write!(rules, "    labels:\n      severity: {}\n    annotations:\n", alert.severity).unwrap();
            writeln!(rules, "      summary: {}", block(&self.expand(&alert.summary), 8)).unwrap();
            writeln!(rules, "      description: {}", block(&self.expand(&alert.description), 8)).unwrap();
            writeln!(rules, "      runbook_url: {}/{}.md", self.runbooks, alert.name).unwrap();
        }
        rules
    }

    /// The generated files: name and text.
    pub fn files(&self) -> [(&'static str, String); 2] {
        let rules = self.rules();
        let generated = "# Generated from source.yaml, where the comments are: make docs\n";
        let mut operator = format!("{generated}{OPERATOR_HEAD}");
        for line in rules.lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            writeln!(operator, "{indent}{line}").unwrap();
        }
        [(PLAIN, format!("{generated}{rules}")), (OPERATOR, operator)]
    }
}

const OPERATOR_HEAD: &str = "\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: podskew
  labels:
    app.kubernetes.io/name: podskew
spec:
";

/// A literal block scalar.
fn block(text: &str, indent: usize) -> String {
    let mut block = "|-".to_owned();
    for line in text.lines() {
        write!(block, "\n{:indent$}{line}", "").unwrap();
    }
    block
}
