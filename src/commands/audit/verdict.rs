//! Decides which findings fail an audit, and its exit code. docs/audit.md has the tables, and each of their rows is a
//! test.

use crate::advice::Finding;
use crate::report::{RolloutState, WorkloadReport};

/// Options that change the verdict.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Strictness {
    /// Fail if something could not be compared.
    pub strict: bool,
    /// Fail on deliberate mixes.
    pub no_deliberate: bool,
    /// Fail on digest skew of injected containers and of unknown origin.
    pub injected: bool,
    /// Fail on a moved tag.
    pub moved: bool,
    /// Fail on an image that is gone from its registry.
    pub gone: bool,
    /// Accept an empty selection.
    pub allow_empty: bool,
}

/// The verdict of an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No finding fails.
    Uniform,
    /// A finding fails.
    NotUniform,
    /// Nothing was selected.
    Empty,
    /// Everything comparable is uniform, but something could not be compared.
    NotCompared,
    /// The timeout of `--wait` expired.
    TimedOut,
}

impl Verdict {
    /// The verdict for the findings of all selected workloads.
    #[must_use]
    pub fn of(selected: u64, findings: impl IntoIterator<Item = Finding>, gaps: bool, strictness: Strictness) -> Self {
        let (mut failed, mut open) = (false, gaps);
        for finding in findings {
            failed |= fails(finding, strictness);
            open |= finding == Finding::NotCompared;
        }
        match () {
            () if failed => Self::NotUniform,
            () if selected == 0 && !strictness.allow_empty => Self::Empty,
            () if open && strictness.strict => Self::NotCompared,
            () => Self::Uniform,
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Uniform => 0,
            Self::NotUniform => 1,
            Self::Empty => 2,
            Self::NotCompared => 3,
            Self::TimedOut => 4,
        }
    }

    /// The name in JSON documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::NotUniform => "not_uniform",
            Self::Empty => "empty",
            Self::NotCompared => "not_compared",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Whether a finding fails an audit.
#[must_use]
pub fn fails(finding: Finding, strictness: Strictness) -> bool {
    match finding {
        Finding::DigestSkew
        | Finding::Stalled
        | Finding::UnderWay
        | Finding::HashesPersist
        | Finding::HashesMixed
        | Finding::NotAvailable => true,
        Finding::Held => strictness.no_deliberate,
        Finding::InjectedSkew | Finding::UnknownSkew => strictness.injected,
        Finding::TagMoved => strictness.moved,
        Finding::ImageGone => strictness.gone,
        Finding::NotCompared | Finding::LatestTag => false,
    }
}

/// Returns the findings of a workload, worst first. A tag that may move is not a difference.
#[must_use]
pub fn findings(report: &WorkloadReport) -> Vec<Finding> {
    let mut findings = Finding::all(report);
    findings.retain(|finding| *finding != Finding::LatestTag);
    findings
}

/// The same for an audit that waits: missing pods are findings, too, and unknowns are not, because waiting does not
/// resolve them.
#[must_use]
pub fn findings_while_waiting(report: &WorkloadReport, strictness: Strictness) -> Vec<Finding> {
    let mut findings = findings(report);
    let rolling = findings.iter().any(|finding| matches!(finding, Finding::Stalled | Finding::UnderWay));
    if report.available == Some(false) && !rolling {
        // A held mix is reported with its missing pods: resuming it could make more pods unavailable.
        findings.retain(|finding| *finding != Finding::Held || strictness.no_deliberate);
        findings.push(Finding::NotAvailable);
        findings.sort_unstable();
    }
    findings
}

/// Whether a workload is rolled out and uniform, so that the wait for it ends.
///
/// A canary or blue-green preview is waited for: it continues by itself or by its operator. A rollout held by a setting
/// (paused, a partition, OnDelete) does not proceed, and fails only if it fails an audit.
#[must_use]
pub fn is_done(report: &WorkloadReport, strictness: Strictness) -> bool {
    let state = report.rollout.map(|rollout| rollout.state);
    let unknown = state.is_none() && report.workload.rolls();
    let moving = matches!(
        state,
        Some(RolloutState::Canary | RolloutState::BlueGreen | RolloutState::Progressing | RolloutState::Stalled)
    );
    !moving
        && !unknown
        && !findings_while_waiting(report, strictness).into_iter().any(|finding| fails(finding, strictness))
}
