//! How the rollouts of a workload ended, as podskew saw it: event by event, and never from a list.

use crate::report::{LastRollout, Outcome, RolloutCounts};

/// How the rollouts of a workload ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct EndedRollouts {
    pub(super) last: Option<LastRollout>,
    pub(super) counts: RolloutCounts,
}

/// How a change came to be known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ObservedBy {
    /// By an event: it happened now.
    Event,
    /// By a list: it happened at some time, perhaps several times, while nobody watched. Nothing is counted from that.
    List,
}

impl EndedRollouts {
    /// Takes in what an event, or a list, did to the rollouts of a workload.
    pub(super) fn note(&mut self, outcome: &Outcome, via: ObservedBy) {
        if via == ObservedBy::Event {
            self.counts.completed += outcome.counts.completed;
            self.counts.superseded += outcome.counts.superseded;
            self.counts.undone += outcome.counts.undone;
        }
        // When exactly it completed, a list does not tell.
        if outcome.counts.completed > 0 {
            self.last = outcome.last.filter(|_| via == ObservedBy::Event);
        }
    }
}
