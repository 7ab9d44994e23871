//! What the page may show: names of pods and nodes if `podskew_pod_info` is served, messages on request, and both under
//! access control.

use crate::report::Name;
use crate::report::WorkloadReport;
use crate::report::history::History;
use std::sync::Arc;

/// What the page and the API may show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// Names of pods and nodes.
    pub pods: bool,
    /// Messages of containers and conditions.
    pub messages: bool,
}

impl Exposure {
    /// Everything.
    pub const ALL: Self = Self { pods: true, messages: true };

    /// Returns the report without hidden details; `None` if nothing needs to be hidden.
    #[must_use]
    pub fn withheld(self, report: &WorkloadReport) -> Option<WorkloadReport> {
        if self.shows_all_of(report) {
            return None;
        }
        let mut report = report.clone();
        self.withhold(&mut report);
        Some(report)
    }

    fn shows_all_of(self, report: &WorkloadReport) -> bool {
        self.pods && (self.messages || report.blocked.iter().all(|blocked| blocked.message.is_empty()))
    }

    /// Removes hidden details from a report. Pods are then named `POD`, so that commands show where to put the name.
    pub fn withhold(self, report: &mut WorkloadReport) {
        if !self.messages {
            let nothing: Name = Arc::from("");
            report.blocked.iter_mut().for_each(|blocked| blocked.message = Arc::clone(&nothing));
        }
        if !self.pods {
            let (pod, nothing): (Name, Name) = (Arc::from("POD"), Arc::from(""));
            for of_pod in &mut report.pods {
                (of_pod.pod, of_pod.node) = (Arc::clone(&pod), Arc::clone(&nothing));
            }
            report.nodes = None;
        }
    }

    /// The same for a history.
    pub fn withhold_of_history(self, history: &mut History) {
        if !self.messages {
            let nothing: Name = Arc::from("");
            let waiting = history.pods.iter_mut().flat_map(|pod| &mut pod.waiting);
            waiting.for_each(|waiting| waiting.message = Arc::clone(&nothing));
        }
    }
}
