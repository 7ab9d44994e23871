//! A diff as JSON.

use crate::json::{Head, moment};
use crate::report::history::Revision;
use crate::snapshot::Snapshot;
use serde::Serialize;

/// The diff of two templates, as one document.
#[derive(Serialize)]
pub(super) struct Difference<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    namespace: &'a str,
    workload_type: &'a str,
    workload: &'a str,
    old: Compared<'a>,
    new: Compared<'a>,
    different: bool,
    /// Whether the diff shows values that may be secrets.
    values_shown: bool,
    /// The unified diff; empty if the templates are equal.
    diff: &'a str,
}

#[derive(Serialize)]
struct Compared<'a> {
    pod_template_hash: &'a str,
    revision: Option<u64>,
    created: Option<String>,
    current: Option<bool>,
}

impl<'a> Difference<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        workload: &'a crate::report::Workload,
        (old, new): (&'a Revision, &'a Revision),
        values_shown: bool,
        diff: &'a str,
    ) -> Self {
        let crate::report::Workload { namespace, workload_type, name } = workload;
        Self {
            head: Head::new(snapshot.taken, &snapshot.of),
            namespace,
            workload_type,
            workload: name,
            old: old.into(),
            new: new.into(),
            different: !diff.is_empty(),
            values_shown,
            diff,
        }
    }
}

impl<'a> From<&'a Revision> for Compared<'a> {
    fn from(revision: &'a Revision) -> Self {
        Self {
            pod_template_hash: &revision.hash,
            revision: revision.revision,
            created: revision.created.map(moment),
            current: revision.current,
        }
    }
}
