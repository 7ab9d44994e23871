//! The names of a workload in commands.

use crate::kinds::WorkloadKind;
use crate::report::{HashReport, RolloutState, Workload, WorkloadReport};
use std::borrow::Cow;

/// A workload with the names that commands need.
pub(super) struct CommandTarget<'a> {
    pub(super) report: &'a WorkloadReport,
    pub(super) kind: WorkloadKind,
    pub(super) name: Cow<'a, str>,
    /// `deployment/web`.
    pub(super) object: String,
    pub(super) kubectl: String,
    pub(super) argo: String,
}

impl<'a> CommandTarget<'a> {
    pub(super) fn of(report: &'a WorkloadReport) -> Self {
        let Workload { namespace, workload_type, name } = &report.workload;
        let (namespace, name) = (shell_quote(namespace), shell_quote(name));
        Self {
            report,
            kind: report.workload.kind(),
            object: format!("{}/{name}", shell_quote(workload_type)),
            name,
            kubectl: format!("kubectl -n {namespace}"),
            argo: format!("kubectl argo rollouts -n {namespace}"),
        }
    }

    pub(super) fn state(&self) -> Option<RolloutState> {
        self.report.rollout.map(|rollout| rollout.state)
    }

    pub(super) fn current(&self) -> Option<&'a HashReport> {
        self.report.hashes.iter().rfind(|hash| hash.current == Some(true))
    }
}

/// Quotes a name for a shell. Names in a cluster need no quotes. A file may contain any text, so characters that no name
/// can have are dropped.
#[must_use]
pub fn shell_quote(name: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if !name.starts_with('-') && name.bytes().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut quoted = "'".to_owned();
    for (at, character) in name.chars().enumerate() {
        match character {
            '\'' => quoted.push_str("'\\''"),
            '-' if at == 0 => quoted.push(char::REPLACEMENT_CHARACTER),
            ' '..='~' => quoted.push(character),
            _ => quoted.push(char::REPLACEMENT_CHARACTER),
        }
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}
