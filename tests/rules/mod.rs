//! The alerts: `alerts/source.yaml` read, its parts put in, and written as Prometheus and its operator want them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests; each test binary uses a part")]

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The names of the generated files below `alerts/`.
pub const PLAIN: &str = "podskew.rules.yaml";
pub const OPERATOR: &str = "prometheusrule.yaml";

/// Where the chart's part lies: the texts of its alerts, and their values.
pub const CHART: &str = "deploy/helm/podskew/files/alerts.yaml";
pub const CHART_VALUES: &str = "deploy/helm/podskew/values.yaml";

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
    /// A text with every `<<part>>`, `<<alert.threshold>>` and `<<alert.for>>` put in. A part of several lines that stands
    /// alone in its line is indented like it.
    #[track_caller]
    pub fn expand(&self, text: &str) -> String {
        self.expand_with(text, &|name| match name.split_once('.')? {
            (alert, "threshold") => Some(self.alert(alert).threshold?.to_string()),
            (alert, "for") => Some(self.alert(alert).r#for.clone()),
            _ => None,
        })
    }

    #[track_caller]
    fn expand_with(&self, text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<<") {
            let (name, after) = after.split_once(">>").unwrap_or_else(|| panic!("<< without >> in {text}"));
            expanded.push_str(before);
            let line = &expanded[expanded.rfind('\n').map_or(0, |end| end + 1)..];
            let indent = line[..line.len() - line.trim_start().len()].to_owned();
            let part = value(name).unwrap_or_else(|| {
                self.expand_with(self.parts.get(name).unwrap_or_else(|| panic!("there is no part {name}")), value)
            });
            expanded.push_str(&part.replace('\n', &format!("\n{indent}")));
            rest = after;
        }
        expanded + rest
    }

    #[track_caller]
    fn alert(&self, name: &str) -> &Alert {
        self.alerts.iter().find(|alert| alert.name == name).unwrap_or_else(|| panic!("there is no alert {name}"))
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

    /// The alerts for the chart: whole but for `<<alert.threshold>>` and `<<alert.for>>`, which its values say.
    pub fn chart(&self) -> String {
        let expand = |text: &str| self.expand_with(text, &|name| name.contains('.').then(|| format!("<<{name}>>")));
        let mut chart = "# Generated from alerts/source.yaml: make docs. Helm puts in what values.yaml says of each alert.\nalerts:\n".to_owned();
        for alert in &self.alerts {
            write!(chart, "- alert: {}\n  expr: {}\n  annotations:\n", alert.name, block(&expand(&alert.expr), 4))
                .unwrap();
            writeln!(chart, "    summary: {}", block(&expand(&alert.summary), 6)).unwrap();
            writeln!(chart, "    description: {}", block(&expand(&alert.description), 6)).unwrap();
            writeln!(chart, "    runbook_url: {}/{}.md", self.runbooks, alert.name).unwrap();
        }
        chart
    }

    /// What the chart's values say of each alert.
    pub fn chart_values(&self) -> String {
        let mut values = String::new();
        for alert in &self.alerts {
            write!(values, "    {}:\n      enabled: true\n      severity: {}\n", alert.name, alert.severity).unwrap();
            writeln!(values, "      for: {}", alert.r#for).unwrap();
            if let Some(threshold) = alert.threshold {
                writeln!(values, "      threshold: {threshold}").unwrap();
            }
        }
        values
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
