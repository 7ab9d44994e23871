//! An audit as JSON, documented in docs/audit.md with the schema docs/audit.schema.json.

use super::{Audit, AuditedWorkload, Strictness, Totals, fails};
use crate::advice::Finding;
use crate::json::{Head, Workload, moment, printed};
use crate::report::WorkloadReport;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    verdict: &'static str,
    exit_code: u8,
    options: Options,
    totals: &'a Totals,
    notes: &'a [String],
    workloads: Workloads<'a>,
}

#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Options {
    strict: bool,
    no_deliberate: bool,
    injected: bool,
    moved: bool,
    gone: bool,
    allow_empty: bool,
}

/// Serialized one by one, so that they are never all in memory twice.
struct Workloads<'a>(&'a Audit);

/// A workload with its findings.
#[derive(Serialize)]
pub struct Audited<'a> {
    uniform: bool,
    failed: bool,
    found: Vec<AuditFinding>,
    #[serde(flatten)]
    workload: Workload<'a>,
}

#[derive(Serialize)]
struct AuditFinding {
    finding: &'static str,
    fails: bool,
    since: Option<String>,
    what: String,
}

pub(super) fn write(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let Strictness { strict, no_deliberate, injected, moved, gone, allow_empty } = audit.strictness;
    let document = Document {
        head: Head::new(audit.taken, &audit.of),
        verdict: audit.verdict.as_str(),
        exit_code: audit.verdict.exit_code(),
        options: Options { strict, no_deliberate, injected, moved, gone, allow_empty },
        totals: &audit.totals,
        notes: &audit.notes,
        workloads: Workloads(audit),
    };
    out.write_all(printed(&document)?.as_bytes())?;
    out.write_all(b"\n")
}

impl Serialize for Workloads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(audit) = self;
        let found =
            audit.found.iter().map(|AuditedWorkload { report, findings }| audited(report, findings, audit.strictness));
        let uniform = audit.uniform.iter().map(|report| audited(report, &[], audit.strictness));
        serializer.collect_seq(found.chain(uniform))
    }
}

/// Findings by their names, in the order of the names.
pub(super) fn by_name<S: Serializer>(findings: &BTreeMap<Finding, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let named: BTreeMap<&str, u64> = findings.iter().map(|(finding, count)| (finding.as_str(), *count)).collect();
    named.serialize(serializer)
}

/// A workload in an audit's JSON.
#[must_use]
pub fn audited<'a>(report: &'a WorkloadReport, findings: &[Finding], strictness: Strictness) -> Audited<'a> {
    let finding_json = |finding: &Finding| AuditFinding {
        finding: finding.as_str(),
        fails: fails(*finding, strictness),
        since: finding.since(report).map(moment),
        what: super::describe::what(report, *finding),
    };
    let found: Vec<AuditFinding> = findings.iter().map(finding_json).collect();
    Audited {
        uniform: found.is_empty(),
        failed: found.iter().any(|found| found.fails),
        found,
        workload: Workload::from(report),
    }
}
