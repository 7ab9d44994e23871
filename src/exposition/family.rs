//! What a family is, and how one is rendered for one workload.

use super::Format;
use super::text::{push_escaped, push_header, push_integer};
use crate::kinds::WorkloadKind;
use crate::report::evidence::CachedTag;
use crate::report::registry::RegistryEvidence;
use crate::report::{Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use std::fmt;
use std::sync::Arc;

/// One workload family, declared once: rendering, selection, HELP, `docs/metrics.md` and the lints of alerts and
/// dashboards all read this.
pub struct Family {
    /// The full name.
    pub name: &'static str,
    /// The HELP text; without quotes and backslashes, so that it reads the same in both formats.
    pub help: &'static str,
    /// The labels after those of the subject, in the order the generator gives their values.
    pub labels: &'static [&'static str],
    /// Whether each configured `--pod-label` adds a label.
    pub pod_labels: bool,
    /// Whether zero is left out.
    pub sparse: bool,
    /// A query that answers a question somebody has.
    pub example: &'static str,
    /// How many series to expect.
    pub series: &'static str,
    /// What it speaks of, and with which words.
    pub(super) subject: FamilyScope,
}

/// Whom a family speaks of. It decides the labels every series begins with.
pub(super) enum FamilyScope {
    /// Each workload.
    Workload(Generator),
    /// Workloads of the type `deployment` only.
    Deployment(Generator),
    /// Namespaces with pods that wait for their owner.
    AwaitingOwner,
    /// Images whose tag stands for several digests on nodes.
    CachedTags,
    /// Images or digests, as registries know them: the label that names them, and what is said of each.
    Registry(&'static [&'static str], RegistryGenerator),
}

/// Writes a family's series for one workload.
pub(super) type Generator = fn(&WorkloadReport, &mut Rows<'_>);

/// Lists a family's series of what registries say: the value of the first label, those of the others, and the number.
pub(super) type RegistryGenerator = fn(&RegistryEvidence, &mut dyn FnMut(&str, &[&str], u32));

/// Rendered series: finished lines, and those whose age runs.
#[derive(Default)]
pub(super) struct SeriesLines {
    pub text: String,
    pub ages: Vec<AgeSeries>,
    /// The buffer of [`Rows::opening`], kept from one workload to the next: most sparse families have no row to open.
    opening: String,
}

impl SeriesLines {
    pub(super) fn new(text: String, ages: Vec<AgeSeries>) -> Self {
        Self { text, ages, opening: String::new() }
    }
}

/// A series whose value is the time since a moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct AgeSeries {
    /// The line up to its value.
    pub series: Arc<str>,
    pub since: UnixTime,
}

/// What options add to series.
#[derive(Clone, Default, Debug)]
pub(super) struct Additions {
    /// The metric labels of the configured `--pod-label` keys, in their order.
    pub pod_labels: Vec<String>,
    /// Where people reach the page.
    pub page_url: Option<String>,
}

/// Where a generator writes the series of one family and one workload.
pub(super) struct Rows<'a> {
    labels: &'static [&'static str],
    pod_labels: &'a [String],
    page_url: Option<&'a str>,
    /// Name and labels of the subject, the same for each series.
    opening: String,
    lines: &'a mut SeriesLines,
}

impl Family {
    /// The labels every series begins with.
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

    /// Whether it is a counter; all others are gauges. Counters are those that end in `_total`.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }

    /// Its type, as TYPE has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_counter() { "counter" } else { "gauge" }
    }

    /// The lines that open the family's block. In OpenMetrics a counter's family goes without `_total`.
    pub(super) fn header(&self, format: Format) -> String {
        let name = match format {
            Format::OpenMetrics => self.name.strip_suffix("_total").unwrap_or(self.name),
            Format::Text => self.name,
        };
        let mut header = String::new();
        push_header(&mut header, name, self.help, self.kind(), format);
        header
    }

    /// Adds what the family says of one workload; nothing where it has nothing to say.
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

    /// All lines of the family that speaks of namespaces.
    pub(super) fn render_awaiting_owner(&self, awaiting: &[(Name, u32)]) -> String {
        let mut lines = SeriesLines::default();
        for (namespace, pods) in awaiting.iter().filter(|(_, pods)| *pods > 0) {
            self.write(&[namespace], &Additions::default(), &mut lines, |rows| rows.value(&[], *pods));
        }
        lines.text
    }

    /// All lines of the family that speaks of images.
    pub(super) fn render_cached_tags(&self, tags: &[CachedTag]) -> String {
        let mut lines = SeriesLines::default();
        for CachedTag { image, digest, nodes } in tags {
            self.write(&[image], &Additions::default(), &mut lines, |rows| rows.value(&[digest], *nodes));
        }
        lines.text
    }

    /// All lines of a family that speaks of what registries say.
    pub(super) fn render_registry(&self, evidence: &RegistryEvidence) -> String {
        let mut lines = SeriesLines::default();
        if let FamilyScope::Registry(_, generator) = self.subject {
            generator(evidence, &mut |subject, labels, value| {
                self.write(&[subject], &Additions::default(), &mut lines, |rows| rows.value(labels, value));
            });
        }
        lines.text
    }

    /// Hands out rows that begin with the family's name and these labels of its subject.
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
    /// Where people reach the page, if that is configured.
    pub(super) fn page_url(&self) -> Option<&str> {
        self.page_url
    }

    /// A series with a value.
    pub(super) fn value(&mut self, labels: &[&str], value: u32) {
        self.labelled_value(labels, &[], value);
    }

    /// A series with a value where there is one to speak of.
    pub(super) fn value_above_zero(&mut self, labels: &[&str], value: u32) {
        if value > 0 {
            self.value(labels, value);
        }
    }

    /// A series of the value 1 that also has the configured labels of a pod or a template; those it lacks are left out.
    pub(super) fn info(&mut self, labels: &[&str], pod_labels: &[Option<Name>]) {
        self.labelled_value(labels, pod_labels, 1);
    }

    /// A series whose value is the time since a moment; 0 without one.
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

/// Writes the running ages as they stand `now`.
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
