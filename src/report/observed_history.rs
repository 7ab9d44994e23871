//! Observations about a workload that a relist would not show.

use super::{LastRollout, Name, RolloutCounts};
use crate::time::UnixTime;

/// Observations since podskew started that a relist would not show. They are updated with every event, so they do not
/// depend on when reports are read.
#[derive(Debug)]
pub struct ObservedHistory<'a> {
    /// The rollout after the last event.
    pub course: &'a ObservedRollout,
    /// Whether the workload's template is still the one with which the rollout in [`Self::course`] began; `None` if
    /// unknown.
    pub same_template: Option<bool>,
    /// Template hashes with active pods, and since when each has had some without a gap; empty if there is only one.
    pub hashes: Vec<(&'a Name, UnixTime)>,
    /// The last rollout that podskew saw complete.
    pub last_rollout: Option<LastRollout>,
    /// Counts of the rollouts that podskew saw end.
    pub rollout_counts: RolloutCounts,
    /// The current digest skews.
    pub skews: &'a [SkewMemory],
    /// Pairs of digests that the same running container had: two names of the same bytes.
    pub aliases: &'a [(Name, Name)],
}

/// The last observed state of a workload's rollout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ObservedRollout {
    /// Not observed yet, or unknown.
    #[default]
    Unseen,
    /// Complete, with this hash.
    Complete(Name),
    /// It is in progress.
    InProgress(Box<RolloutMemory>),
}

/// A rollout in progress, with the earliest start derived so far.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RolloutMemory {
    /// The hash of the new template; `None` while there is no current hash.
    pub hash: Option<Name>,
    /// The revision of the new template.
    pub revision: Option<u64>,
    /// The earliest derived start, or when podskew noticed the rollout.
    pub started: UnixTime,
    /// When this record was created.
    pub noticed: UnixTime,
    /// Whether podskew saw it begin.
    pub witnessed: bool,
    /// Whether an object records its start.
    pub derived: bool,
    /// Whether its state depends on all of its pods: to find when a rollback began, and which side of a partition pods
    /// are on.
    pub by_pods: bool,
    /// Whether all pods have the new hash, and some have not arrived.
    pub arriving: bool,
    /// Without a current hash: the previous one, and whether its rollout was in progress.
    pub replaces: Option<(Name, bool)>,
    /// Seconds in which it was held on purpose, up to [`Self::held_since`].
    pub held: u32,
    /// Since when it has been held on purpose, if it is.
    pub held_since: Option<UnixTime>,
    /// Whether its template waits because of `spec.paused`. That wait does not count as rollout time.
    pub hold: PauseState,
}

/// Effect of `spec.paused` on a waiting template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauseState {
    /// The template does not wait for the end of a pause.
    None,
    /// The template waits for the end of the pause.
    Paused,
    /// The pause ended; the template waits for its ReplicaSet.
    Resumed,
}

/// A digest skew without a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkewMemory {
    /// The template hash.
    pub hash: Name,
    /// The container.
    pub container: Name,
    /// Since when.
    pub since: UnixTime,
}
