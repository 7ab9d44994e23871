//! How a workload's rollouts ended. podskew records that from events, never from a list.

use crate::report::{LastRollout, Outcome, RolloutCounts};

/// The ended rollouts of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct EndedRollouts {
    pub(super) last: Option<LastRollout>,
    pub(super) counts: RolloutCounts,
}

/// How podskew learned of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ObservedBy {
    /// From an event: the change happened now.
    Event,
    /// From a list: the change happened at an unknown time, perhaps several times. Nothing is counted.
    List,
}

impl EndedRollouts {
    /// Records the effect of an event or a list on the workload's rollouts.
    pub(super) fn note(&mut self, outcome: &Outcome, via: ObservedBy) {
        if via == ObservedBy::Event {
            self.counts.completed += outcome.counts.completed;
            self.counts.superseded += outcome.counts.superseded;
            self.counts.undone += outcome.counts.undone;
        }
        // A list does not show when exactly the rollout completed.
        if outcome.counts.completed > 0 {
            self.last = outcome.last.filter(|_| via == ObservedBy::Event);
        }
    }
}
