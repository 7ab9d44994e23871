//! Declaration of a family, and its rendering for one workload.

use super::Format;
use super::text::{push_escaped, push_header, push_integer};
use crate::kinds::WorkloadKind;
use crate::report::evidence::CachedTag;
use crate::report::registry::RegistryEvidence;
use crate::report::{Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use std::fmt;
use std::sync::Arc;

/// A workload family, declared once. Rendering, selection, HELP, `docs/metrics.md` and the lints of alerts and
/// dashboards read it.
pub struct Family {
    /// The full name.
    pub name: &'static str,
    /// The HELP text; without quotes and backslashes, so that both formats have the same text.
    pub help: &'static str,
    /// The labels after those of the scope, in the order of the generator's values.
    pub labels: &'static [&'static str],
    /// Whether each configured `--pod-label` adds a label.
    pub pod_labels: bool,
    /// Whether zero is left out.
    pub sparse: bool,
    /// A useful query.
    pub example: &'static str,
    /// Expected number of series.
    pub series: &'static str,
    /// What its series are about, and their generator.
    pub(super) subject: FamilyScope,
}

/// What a family's series are about. It decides their first labels.
pub(super) enum FamilyScope {
    /// Each workload.
    Workload(Generator),
    /// Workloads of the type `deployment` only.
    Deployment(Generator),
    /// Namespaces with pods held back until their owner is seen.
    AwaitingOwner,
    /// Images whose tag has several digests on nodes.
    CachedTags,
    /// Images or digests in registries: their labels and their generator.
    Registry(&'static [&'static str], RegistryGenerator),
}

/// Writes a family's series for one workload.
pub(super) type Generator = fn(&WorkloadReport, &mut Rows<'_>);

/// Lists a family's series from evidence of registries: values of the labels, and of the series.
pub(super) type RegistryGenerator = fn(&RegistryEvidence, &mut dyn FnMut(&str, &[&str], u32));

/// Rendered series: finished lines, and those whose value is an age.
#[derive(Default)]
pub(super) struct SeriesLines {
    pub text: String,
    pub ages: Vec<AgeSeries>,
    /// Buffer of [`Rows::opening`], reused for each workload: most sparse families write no row.
    opening: String,
}

impl SeriesLines {
    pub(super) fn new(text: String, ages: Vec<AgeSeries>) -> Self {
        Self { text, ages, opening: String::new() }
    }
}

/// A series whose value is the time since `since`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct AgeSeries {
    /// The line up to its value.
    pub series: Arc<str>,
    pub since: UnixTime,
}

/// Additions to series by options.
#[derive(Clone, Default, Debug)]
pub(super) struct Additions {
    /// The metric labels of the configured `--pod-label` keys, in their order.
    pub pod_labels: Vec<String>,
    /// URL of the page.
    pub page_url: Option<String>,
}

/// Collects the series of one family and one workload.
pub(super) struct Rows<'a> {
    labels: &'static [&'static str],
    pod_labels: &'a [String],
    page_url: Option<&'a str>,
    /// Name and first labels, which all series of the workload share.
    opening: String,
    lines: &'a mut SeriesLines,
}

impl Family {
    /// The first labels of every series.
    #[must_use]
    pub fn subject_labels(&self) -> &'static [&'static str] {
        match self.subject {
            FamilyScope::Workload(_) => &["namespace", "workload_type", "workload"],
            FamilyScope::Deployment(_) => &["namespace", "deployment"],
            FamilyScope::AwaitingOwner => &["namespace"],
            FamilyScope::CachedTags => &["image"],
            FamilyScope::Registry(labels, _) => labels,
        }
    }

    /// Whether it is a counter, and so ends in `_total`; all others are gauges.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }

    /// Its type in the TYPE line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_counter() { "counter" } else { "gauge" }
    }

    /// The header lines of the family. In OpenMetrics a counter's family has no `_total`.
    pub(super) fn header(&self, format: Format) -> String {
        let name = match format {
            Format::OpenMetrics => self.name.strip_suffix("_total").unwrap_or(self.name),
            Format::Text => self.name,
        };
        let mut header = String::new();
        push_header(&mut header, name, self.help, self.kind(), format);
        header
    }

    /// Renders the family's series of one workload, if it has any.
    pub(super) fn render(&self, report: &WorkloadReport, additions: &Additions, lines: &mut SeriesLines) {
        let Workload { namespace, workload_type, name } = &report.workload;
        let (generator, values): (Generator, &[&str]) = match self.subject {
            FamilyScope::Workload(generator) => (generator, &[namespace, workload_type, name]),
            FamilyScope::Deployment(generator) if &**workload_type == WorkloadKind::Deployment.label() => {
                (generator, &[namespace, name])
            }
            FamilyScope::Deployment(_)
            | FamilyScope::AwaitingOwner
            | FamilyScope::CachedTags
            | FamilyScope::Registry(..) => return,
        };
        self.write(values, additions, lines, |rows| generator(report, rows));
    }

    /// Renders the family about namespaces.
    pub(super) fn render_awaiting_owner(&self, awaiting: &[(Name, u32)]) -> String {
        let mut lines = SeriesLines::default();
        for (namespace, pods) in awaiting.iter().filter(|(_, pods)| *pods > 0) {
            self.write(&[namespace], &Additions::default(), &mut lines, |rows| rows.value(&[], *pods));
        }
        lines.text
    }

    /// Renders the family about images on nodes.
    pub(super) fn render_cached_tags(&self, tags: &[CachedTag]) -> String {
        let mut lines = SeriesLines::default();
        for CachedTag { image, digest, nodes } in tags {
            self.write(&[image], &Additions::default(), &mut lines, |rows| rows.value(&[digest], *nodes));
        }
        lines.text
    }

    /// Renders a family about registries.
    pub(super) fn render_registry(&self, evidence: &RegistryEvidence) -> String {
        let mut lines = SeriesLines::default();
        if let FamilyScope::Registry(_, generator) = self.subject {
            generator(evidence, &mut |subject, labels, value| {
                self.write(&[subject], &Additions::default(), &mut lines, |rows| rows.value(labels, value));
            });
        }
        lines.text
    }

    /// Passes rows that begin with the family's name and these label values.
    fn write(&self, values: &[&str], additions: &Additions, lines: &mut SeriesLines, rows: impl FnOnce(&mut Rows<'_>)) {
        let pod_labels = if self.pod_labels { &additions.pod_labels[..] } else { &[] };
        let page_url = additions.page_url.as_deref();
        let mut opening = std::mem::take(&mut lines.opening);
        opening.clear();
        opening.push_str(self.name);
        for (index, (label, value)) in self.subject_labels().iter().zip(values).enumerate() {
            opening.push(if index == 0 { '{' } else { ',' });
            push_label(&mut opening, label, value);
        }
        let mut written = Rows { labels: self.labels, pod_labels, page_url, opening, lines };
        rows(&mut written);
        let Rows { opening, lines, .. } = written;
        lines.opening = opening;
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Rows<'_> {
    /// URL of the page, if configured.
    pub(super) fn page_url(&self) -> Option<&str> {
        self.page_url
    }

    /// Writes a series.
    pub(super) fn value(&mut self, labels: &[&str], value: u32) {
        self.labelled_value(labels, &[], value);
    }

    /// Writes a series unless its value is 0.
    pub(super) fn value_above_zero(&mut self, labels: &[&str], value: u32) {
        if value > 0 {
            self.value(labels, value);
        }
    }

    /// Writes a series of value 1 with the configured labels of a pod or template; missing ones are left out.
    pub(super) fn info(&mut self, labels: &[&str], pod_labels: &[Option<Name>]) {
        self.labelled_value(labels, pod_labels, 1);
    }

    /// Writes a series whose value is the time since `since`; 0 without one.
    pub(super) fn age(&mut self, labels: &[&str], since: Option<UnixTime>) {
        let Some(since) = since else {
            return self.value(labels, 0);
        };
        let mut series = String::with_capacity(self.opening.len() + 64);
        self.push_series(&mut series, labels, &[]);
        self.lines.ages.push(AgeSeries { series: series.into(), since });
    }

    fn labelled_value(&mut self, labels: &[&str], pod_labels: &[Option<Name>], value: u32) {
        let mut text = std::mem::take(&mut self.lines.text);
        self.push_series(&mut text, labels, pod_labels);
        push_integer(&mut text, value);
        text.push('\n');
        self.lines.text = text;
    }

    fn push_series(&self, text: &mut String, labels: &[&str], pod_labels: &[Option<Name>]) {
        debug_assert_eq!(labels.len(), self.labels.len(), "{}…", self.opening);
        text.push_str(&self.opening);
        for (label, value) in self.labels.iter().zip(labels) {
            text.push(',');
            push_label(text, label, value);
        }
        for (label, value) in self.pod_labels.iter().zip(pod_labels) {
            if let Some(value) = value {
                text.push(',');
                push_label(text, label, value);
            }
        }
        text.push_str("} ");
    }
}

/// Writes the age series with their values at `now`.
pub(super) fn push_running(text: &mut String, ages: &[AgeSeries], now: UnixTime) {
    for row in ages {
        text.push_str(&row.series);
        push_integer(text, now.since(row.since));
        text.push('\n');
    }
}

fn push_label(text: &mut String, label: &str, value: &str) {
    text.push_str(label);
    text.push_str("=\"");
    push_escaped(text, value);
    text.push('"');
}
