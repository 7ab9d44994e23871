//! What podskew saw happen to a workload, and could not see again in a fresh list.

use super::{LastRollout, Name, RolloutCounts};
use crate::time::UnixTime;

/// What podskew saw happen to a workload while it ran, and could not see again in a fresh list. It is kept event by event, so
/// it does not depend on when anybody asks.
#[derive(Debug)]
pub struct ObservedHistory<'a> {
    /// The rollout as it stood after the last event.
    pub course: &'a ObservedRollout,
    /// Whether the template of the workload's object is the one that the rollout in [`Self::course`] began with; `None` where
    /// that cannot be told.
    pub same_template: Option<bool>,
    /// The template hashes that have active pods, and since when each of them has had some without a gap; empty if there is but
    /// one.
    pub hashes: Vec<(&'a Name, UnixTime)>,
    /// The last rollout that podskew saw complete.
    pub last_rollout: Option<LastRollout>,
    /// How the rollouts ended that podskew saw end.
    pub rollout_counts: RolloutCounts,
    /// The digest skews that stand.
    pub skews: &'a [SkewMemory],
    /// Digests that were seen to name the same running container: two names of the same bytes.
    pub aliases: &'a [(Name, Name)],
}

/// How the rollout of a workload stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ObservedRollout {
    /// Nobody looked yet, or nothing could be told.
    #[default]
    Unseen,
    /// It is complete, with this hash.
    Complete(Name),
    /// It is in progress.
    InProgress(Box<RolloutMemory>),
}

/// The earliest start derived for the rollout in progress.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RolloutMemory {
    /// The hash it rolls out; `None` while there is no current hash.
    pub hash: Option<Name>,
    /// The revision it rolls out.
    pub revision: Option<u64>,
    /// The earliest start derived, or when it was noticed.
    pub started: UnixTime,
    /// When this memory was made.
    pub noticed: UnixTime,
    /// Whether its beginning was seen, and not only that it was under way.
    pub witnessed: bool,
    /// Whether its start follows from an object.
    pub derived: bool,
    /// Whether it takes all of its pods to tell how it stands: when one began that was rolled back to, and which side of a
    /// partition they are on.
    pub by_pods: bool,
    /// Whether no pod of another hash is left, and it waits for its own.
    pub arriving: bool,
    /// While no hash is current: the one that was, and whether its rollout was in progress.
    pub replaces: Option<(Name, bool)>,
    /// Seconds for which it was held on purpose, until [`Self::held_since`].
    pub held: u32,
    /// Since when it is held on purpose, if it is.
    pub held_since: Option<UnixTime>,
    /// Whether its template waits on account of `spec.paused`, which is no time of a rollout.
    pub hold: PauseState,
}

/// What `spec.paused` has to do with a template that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauseState {
    /// Nothing.
    None,
    /// It waits for the end of the pause.
    Paused,
    /// The pause has ended, and it waits for its ReplicaSet.
    Resumed,
}

/// Since when two digests have stood side by side without a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkewMemory {
    /// The template hash.
    pub hash: Name,
    /// The container.
    pub container: Name,
    /// Since when.
    pub since: UnixTime,
}
