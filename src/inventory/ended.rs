//! How the rollouts of a workload ended, as podskew saw it: event by event, and never from a list.

use crate::report::{LastRollout, Outcome, RolloutCounts};

/// How the rollouts of a workload ended.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Ended {
    pub(super) last: Option<LastRollout>,
    pub(super) counts: RolloutCounts,
}

/// How a change came to be known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// By an event: it happened now.
    Event,
    /// By a list: it happened at some time, perhaps several times, while nobody watched. Nothing is counted from that.
    List,
}

/// Takes in what an event, or a list, did to the rollouts of a workload.
pub(super) fn note(ended: &mut Option<Box<Ended>>, outcome: &Outcome, via: Via) {
    if *outcome == Outcome::default() {
        return;
    }
    let ended = ended.get_or_insert_default();
    if via == Via::Event {
        ended.counts.completed += outcome.counts.completed;
        ended.counts.superseded += outcome.counts.superseded;
        ended.counts.undone += outcome.counts.undone;
    }
    // When exactly it completed, a list does not tell.
    if outcome.counts.completed > 0 {
        ended.last = outcome.last.filter(|_| via == Via::Event);
    }
}
