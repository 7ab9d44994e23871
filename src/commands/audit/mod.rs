//! `podskew audit`: finds workloads that are not uniform, worst first, and what to do about them.
//!
//! Everything is read from [`WorkloadReport`]s. `verdict` decides what fails, and each of the other files writes one
//! format.

mod command;
mod describe;
mod empty_hint;
mod json;
mod junit;
mod markdown;
mod options;
mod sarif;
mod table;
mod verdict;
mod wait;

pub use crate::terminal::text_layout::Terminal;
pub use command::command;
pub use describe::{has_unknown_start, title, what};
pub use json::{Audited, audited};
pub use options::{AuditArguments, AuditOptions, FailOn};
pub use verdict::{Strictness, Verdict, fails, findings, findings_while_waiting, is_done};
pub use wait::{WaitOptions, WaitProgress, wait};

use crate::advice::Finding;
use crate::kinds::TemplateHistory;
use crate::report::{RolloutState, WorkloadReport};
use crate::snapshot::{Gap, NotFound, Snapshot, WorkloadRef};
use crate::terminal::humanize::pods;
use crate::time::{ObservationTime, UnixTime};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Output format of an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditFormat {
    /// For people.
    Table,
    /// Everything, for programs.
    Json,
    /// For a merge request or a wiki.
    Markdown,
    /// For the test view of a pipeline.
    Junit,
    /// For code scanning.
    Sarif,
}

impl AuditFormat {
    /// Whether it lists uniform workloads, too.
    fn names_uniform(self) -> bool {
        matches!(self, Self::Json | Self::Junit)
    }
}

/// The result of an audit.
#[derive(Debug)]
pub struct Audit {
    /// What was audited: `namespace shop of https://…`.
    pub of: String,
    /// When the snapshot was taken.
    pub taken: ObservationTime,
    /// Options that change the verdict.
    pub strictness: Strictness,
    /// The verdict.
    pub verdict: Verdict,
    /// What could not be read, and what is unknown because of it.
    pub notes: Vec<String>,
    /// Counts over all audited workloads.
    pub totals: Totals,
    /// Workloads with findings; worst first.
    pub found: Vec<AuditedWorkload>,
    /// Uniform workloads without their pods, if the format lists them.
    pub uniform: Vec<WorkloadReport>,
    /// A hint where to look instead, if nothing was selected.
    pub empty_hint: Option<String>,
}

/// A workload with findings.
#[derive(Debug)]
pub struct AuditedWorkload {
    /// What is known of it.
    pub report: WorkloadReport,
    /// Its findings; worst first.
    pub findings: Vec<Finding>,
}

impl AuditedWorkload {
    fn fails(&self, strictness: Strictness) -> bool {
        self.findings.iter().any(|finding| fails(*finding, strictness))
    }

    /// Sort key, worst first: the worst finding, whether it fails or not; then the oldest; then by name.
    fn rank(&self) -> (Option<Finding>, UnixTime, &crate::report::Workload) {
        let worst = self.findings.first().copied();
        let since = worst.and_then(|finding| finding.since(&self.report));
        (worst, since.unwrap_or(UnixTime::LAST), &self.report.workload)
    }
}

/// Counts over all workloads; `totals` in JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Totals {
    /// Selected workloads.
    pub workloads: u64,
    /// Their active pods.
    pub pods: u64,
    /// Workloads without findings.
    pub uniform: u64,
    /// Workloads with a finding that fails.
    pub failed: u64,
    /// Workloads by finding.
    #[serde(serialize_with = "json::by_name")]
    pub findings: BTreeMap<Finding, u64>,
}

impl Totals {
    fn found_any(&self) -> bool {
        self.uniform < self.workloads
    }
}

/// Collects reports one by one, and keeps only what is printed.
#[derive(Debug)]
pub struct Auditor {
    strictness: Strictness,
    waiting: bool,
    keep_uniform: bool,
    totals: Totals,
    found: Vec<AuditedWorkload>,
    uniform: Vec<WorkloadReport>,
    /// Whether a start is unknown that `managedFields` would show.
    wants_written: bool,
}

impl Auditor {
    /// An auditor without reports. With `waiting`, missing pods are findings, too.
    #[must_use]
    pub fn new(strictness: Strictness, format: AuditFormat, waiting: bool) -> Self {
        Self {
            strictness,
            waiting,
            keep_uniform: format.names_uniform(),
            totals: Totals::default(),
            found: Vec::new(),
            uniform: Vec::new(),
            wants_written: false,
        }
    }

    /// Adds a report.
    pub fn take(&mut self, mut report: WorkloadReport) {
        let findings = if self.waiting { findings_while_waiting(&report, self.strictness) } else { findings(&report) };
        self.totals.workloads += 1;
        self.totals.pods += report.hashes.iter().map(|hash| u64::from(hash.pods)).sum::<u64>();
        if findings.is_empty() {
            self.totals.uniform += 1;
            if self.keep_uniform {
                report.pods = Vec::new();
                self.uniform.push(report);
            }
            return;
        }
        for finding in &findings {
            *self.totals.findings.entry(*finding).or_default() += 1;
        }
        let by_revisions = report.workload.kind().history() == TemplateHistory::ControllerRevisions;
        self.wants_written |= by_revisions && report.rollout.is_some_and(|rollout| rollout.started.is_some());
        let found = AuditedWorkload { report, findings };
        self.totals.failed += u64::from(found.fails(self.strictness));
        self.found.push(found);
    }

    /// Returns the audit after the last report.
    #[must_use]
    pub fn finish(self, snapshot: &Snapshot) -> Audit {
        let mut audit =
            self.finish_with(snapshot.of.clone(), snapshot.taken, &snapshot.gaps, snapshot.unwritten_revisions);
        audit.notes.extend(snapshot.without_nodes.clone());
        audit.notes.extend(snapshot.without_registry.clone());
        if let count @ 1.. = snapshot.placeholders() {
            let (pods, are) = (pods_counted(count), if count == 1 { "is" } else { "are" });
            audit.notes.push(format!(
                "{pods} {are} left out: the controller is a Service, a ConfigMap or another core object that runs nothing, as on \
                 the host of a virtual cluster; audit the virtual cluster itself"
            ));
        }
        audit
    }

    fn finish_with(mut self, of: String, taken: ObservationTime, gaps: &[Gap], unwritten_revisions: bool) -> Audit {
        let all = self.found.iter().flat_map(|found| found.findings.iter().copied());
        let verdict = Verdict::of(self.totals.workloads, all, !gaps.is_empty(), self.strictness);
        self.found.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.uniform.sort_by(|a, b| a.workload.cmp(&b.workload));
        let mut notes: Vec<String> = gaps.iter().map(ToString::to_string).collect();
        if unwritten_revisions && self.wants_written {
            notes.push(
                "without managedFields, the start of a StatefulSet's or DaemonSet's rollout comes from its pods and revisions; \
                 kubectl get --show-managed-fields prints them"
                    .to_owned(),
            );
        }
        Audit {
            of,
            taken,
            strictness: self.strictness,
            verdict,
            notes,
            totals: self.totals,
            found: self.found,
            uniform: self.uniform,
            empty_hint: None,
        }
    }
}

fn pods_counted(count: u64) -> String {
    pods(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Audits the named workloads of a snapshot, or all.
///
/// # Errors
///
/// No workload has one of the names.
pub fn audit(snapshot: &mut Snapshot, names: &[WorkloadRef], mut auditor: Auditor) -> Result<Audit, NotFound> {
    if names.is_empty() {
        snapshot.reports(&mut |report| auditor.take(report));
    } else {
        snapshot.find(names)?.into_iter().for_each(|report| auditor.take(report));
    }
    Ok(auditor.finish(snapshot))
}

impl Audit {
    /// Writes the audit.
    pub fn write(&self, format: AuditFormat, terminal: Terminal, out: &mut dyn Write) -> io::Result<()> {
        match format {
            AuditFormat::Table => out.write_all(table::text(self, terminal).as_bytes()),
            AuditFormat::Json => json::write(self, out),
            AuditFormat::Markdown => out.write_all(markdown::text(self).as_bytes()),
            AuditFormat::Junit => out.write_all(junit::text(self).as_bytes()),
            AuditFormat::Sarif => sarif::write(self, out),
        }
    }
}

/// `deployment/web`.
fn object(report: &WorkloadReport) -> String {
    format!("{}/{}", report.workload.workload_type, report.workload.name)
}

/// The state in which a rollout is held, if it is.
fn state(report: &WorkloadReport) -> Option<RolloutState> {
    report.rollout.map(|rollout| rollout.state)
}
