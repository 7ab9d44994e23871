//! The verdict: which findings fail an audit, and the exit code that follows. docs/audit.md has it as tables, and each of
//! their rows is a test.

use crate::advice::Finding;
use crate::report::{RolloutState, WorkloadReport};

/// What makes an audit stricter or more lenient than it is by itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Strictness {
    /// What could not be compared fails too.
    pub strict: bool,
    /// Mixes that are meant to be fail too.
    pub no_deliberate: bool,
    /// Digest skew of injected containers, or of unknown origin, fails too.
    pub injected: bool,
    /// A tag that moved fails too.
    pub moved: bool,
    /// An image that its registry does not hold any more fails too.
    pub gone: bool,
    /// A selection that matches nothing is fine.
    pub allow_empty: bool,
}

/// What an audit comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything runs one thing, as far as it fails an audit.
    Uniform,
    /// Something does not.
    NotUniform,
    /// Nothing was selected.
    Empty,
    /// What was compared is uniform, and something could not be compared.
    NotCompared,
    /// Time ran out while a rollout was waited for.
    TimedOut,
}

impl Verdict {
    /// Of what was found in all workloads that were selected.
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

    /// The name it goes by in what machines read.
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

/// Whether a finding fails an audit by itself.
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

/// What an audit looks for in a workload; worst first. A tag that may move is no difference.
#[must_use]
pub fn findings(report: &WorkloadReport) -> Vec<Finding> {
    let mut findings = Finding::all(report);
    findings.retain(|finding| *finding != Finding::LatestTag);
    findings
}

/// The same for who waits for a rollout: pods that are asked for and not there count too, and what cannot be known is not
/// waited for in vain.
#[must_use]
pub fn findings_while_waiting(report: &WorkloadReport, strictness: Strictness) -> Vec<Finding> {
    let mut findings = findings(report);
    let rolling = findings.iter().any(|finding| matches!(finding, Finding::Stalled | Finding::UnderWay));
    if report.available == Some(false) && !rolling {
        // A mix that is held is told with the pods that are missing: to go on with it would cost more of them.
        findings.retain(|finding| *finding != Finding::Held || strictness.no_deliberate);
        findings.push(Finding::NotAvailable);
        findings.sort_unstable();
    }
    findings
}

/// Whether a workload is rolled out and uniform, so that nobody has to wait for it any more.
///
/// A canary and a blue-green preview go on by themselves, or by somebody who watches them, so they are waited for. What a
/// setting holds (paused, a partition, OnDelete) is as far as it goes, and fails only where it fails an audit.
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
