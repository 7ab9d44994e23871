//! The alerts: reads `alerts/source.yaml`, inserts its parts, and writes them for Prometheus and its Operator.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The names of the generated files in `alerts/`.
pub const PLAIN: &str = "podskew.rules.yaml";
pub const OPERATOR: &str = "prometheusrule.yaml";
pub const CLUSTERS: &str = "clusters.rules.yaml";

/// Path of the chart's part: the texts of its alerts, and their values.
pub const CHART: &str = "deploy/helm/podskew/files/alerts.yaml";
pub const CHART_VALUES: &str = "deploy/helm/podskew/values.yaml";

/// The group of alerts for a ruler with several clusters. It is loaded only there.
pub const OPT_IN: &str = "clusters";

/// `alerts/source.yaml`.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub settings: Settings,
    pub runbooks: String,
    /// Evaluation interval of each group.
    pub groups: BTreeMap<String, String>,
    pub parts: BTreeMap<String, String>,
    pub alerts: Vec<Alert>,
}

/// Settings that can be changed.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The cluster label.
    pub cluster: String,
    pub texts: Texts,
    /// The context in commands, with `$cluster` for the cluster's name, or empty.
    pub context: String,
    /// The link in short texts, with `$cluster`, `$namespace`, `$workload_type` and `$workload`, or empty.
    pub page: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Texts {
    Full,
    Short,
}

/// One alert as in the source; its texts contain `<<part>>`.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    #[serde(rename = "alert")]
    pub name: String,
    pub group: String,
    pub severity: String,
    /// The threshold of its expression, if it has one.
    pub threshold: Option<f64>,
    pub r#for: String,
    pub expr: String,
    pub summary: String,
    pub description: String,
    /// The description if texts are short.
    pub short: String,
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
    /// A text with every `<<part>>`, `<<setting>>`, `<<alert.threshold>>` and `<<alert.for>>` replaced. A part of several
    /// lines that is alone in its line is indented like it.
    #[track_caller]
    pub fn expand(&self, text: &str) -> String {
        let settings = &self.settings;
        let text = if settings.page.is_empty() { text.to_owned() } else { linked(text) };
        self.expand_with(&text, &|name| match name {
            "cluster" => Some(settings.cluster.clone()),
            "context" => Some(context(&settings.context, &settings.cluster)),
            "with_context" => Some(with_context(&settings.context, &settings.cluster)),
            "page" => Some(page(&settings.page, &settings.cluster)),
            _ => match name.split_once('.')? {
                (alert, "threshold") => Some(self.alert(alert).threshold?.to_string()),
                (alert, "for") => Some(self.alert(alert).r#for.clone()),
                _ => None,
            },
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
    pub fn alert(&self, name: &str) -> &Alert {
        self.alerts.iter().find(|alert| alert.name == name).unwrap_or_else(|| panic!("there is no alert {name}"))
    }

    /// The description of an alert, full or short.
    pub fn description<'a>(&self, alert: &'a Alert) -> &'a str {
        if self.settings.texts == Texts::Full { &alert.description } else { &alert.short }
    }

    /// The groups for every Prometheus, in its format.
    pub fn rules(&self) -> String {
        self.rules_of(&|group| group != OPT_IN)
    }

    pub fn rules_of(&self, wanted: &dyn Fn(&str) -> bool) -> String {
        let mut rules = "groups:\n".to_owned();
        // In the order of the alerts.
        let mut group = "";
        for alert in self.alerts.iter().filter(|alert| wanted(&alert.group)) {
            if alert.group != group {
                group = &alert.group;
                let interval = &self.groups[group];
                write!(rules, "- name: podskew-{group}\n  interval: {interval}\n  rules:\n").unwrap();
            }
            write!(rules, "  - alert: {}\n    expr: {}\n", alert.name, block(&self.expand(&alert.expr), 6)).unwrap();
            if alert.r#for != "0s" {
                writeln!(rules, "    for: {}", alert.r#for).unwrap();
            }
            write!(rules, "    labels:\n      severity: {}\n    annotations:\n", alert.severity).unwrap();
            writeln!(rules, "      summary: {}", block(&self.expand(&alert.summary), 8)).unwrap();
            writeln!(rules, "      description: {}", block(&self.expand(self.description(alert)), 8)).unwrap();
            writeln!(rules, "      runbook_url: {}/{}.md", self.runbooks, alert.name).unwrap();
        }
        rules
    }

    /// The generated files: name and text.
    pub fn files(&self) -> [(&'static str, String); 3] {
        let rules = self.rules();
        let clusters = self.rules_of(&|group| group == OPT_IN);
        let generated = "# Generated from source.yaml, where the comments are: make docs\n";
        let mut operator = format!("{generated}{OPERATOR_HEAD}");
        for line in rules.lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            writeln!(operator, "{indent}{line}").unwrap();
        }
        let only =
            "# For a ruler that sees several clusters, beside podskew.rules.yaml; in one cluster it never fires.\n";
        [
            (PLAIN, format!("{generated}{rules}")),
            (OPERATOR, operator),
            (CLUSTERS, format!("{generated}{only}{clusters}")),
        ]
    }

    /// The alerts for the chart, complete except for settings in its values.
    pub fn chart(&self) -> String {
        let kept = |name: &str| name.contains('.') || ["cluster", "context", "with_context", "page"].contains(&name);
        let expand = |text: &str| self.expand_with(text, &|name| kept(name).then(|| format!("<<{name}>>")));
        let mut chart =
            "# Generated from alerts/source.yaml: make docs. Helm puts in what values.yaml says of each alert.\n"
                .to_owned();
        writeln!(chart, "runbooks: {}", self.runbooks).unwrap();
        writeln!(chart, "linked: {}\nalerts:", block(&expand("<<short_page>>"), 2)).unwrap();
        for alert in &self.alerts {
            write!(chart, "- alert: {}\n  group: {}\n", alert.name, alert.group).unwrap();
            writeln!(chart, "  expr: {}", block(&expand(&alert.expr), 4)).unwrap();
            writeln!(chart, "  summary: {}", block(&expand(&alert.summary), 4)).unwrap();
            writeln!(chart, "  description: {}", block(&expand(&alert.description), 4)).unwrap();
            writeln!(chart, "  short: {}", block(&expand(&alert.short), 4)).unwrap();
            writeln!(chart, "  has_page: {}", linked(&alert.short) != alert.short).unwrap();
        }
        chart
    }

    /// The settings of each alert in the chart's values.
    pub fn chart_values(&self) -> String {
        let mut values = String::new();
        for alert in &self.alerts {
            let enabled = alert.group != OPT_IN;
            write!(values, "    {}:\n      enabled: {enabled}\n", alert.name).unwrap();
            writeln!(values, "      severity: {}", alert.severity).unwrap();
            writeln!(values, "      for: {}", alert.r#for).unwrap();
            if let Some(threshold) = alert.threshold {
                writeln!(values, "      threshold: {threshold}").unwrap();
            }
        }
        values
    }
}

/// A short text with a link to the page.
fn linked(text: &str) -> String {
    if matches!(text, "<<short>>" | "<<short_namespace>>") { "<<short_page>>".to_owned() } else { text.to_owned() }
}

/// ` --context …` with the cluster's name, or nothing.
fn context(setting: &str, cluster: &str) -> String {
    if setting.is_empty() {
        return String::new();
    }
    let named = setting.replace("$cluster", "{{ . }}");
    format!("{{{{ with or $labels.{cluster} $externalLabels.{cluster} }}}} --context {named}{{{{ end }}}}")
}

/// The end of a pipeline that adds the context to podskew's commands.
fn with_context(setting: &str, cluster: &str) -> String {
    if setting.is_empty() {
        return String::new();
    }
    let named = setting.replace("$cluster", "%s");
    format!(
        " | reReplaceAll \"kubectl( argo rollouts)? -n \" (printf \"kubectl$1%s -n \" (or (and (or $labels.{cluster} \
         $externalLabels.{cluster}) (printf \" --context {named}\" (or $labels.{cluster} $externalLabels.{cluster}))) \"\"))"
    )
}

fn page(setting: &str, cluster: &str) -> String {
    let label = |name: &str| format!("{{{{ $labels.{name} | urlquery }}}}");
    setting
        .replace("$cluster", &format!("{{{{ or $labels.{cluster} $externalLabels.{cluster} | urlquery }}}}"))
        .replace("$namespace", &label("namespace"))
        .replace("$workload_type", &label("workload_type"))
        .replace("$workload", &label("workload"))
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
