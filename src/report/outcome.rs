//! How rollouts ended: completed, superseded or undone, how long the last one took, and how long of that it was held.

use super::facts::{ControllerKind, DeploymentFacts, ObservedRollout, ProgressReason, RolloutMemory, WorkloadFacts};
use super::rollout::{CurrentHash, RolloutProgress};
use super::start::of_object;
use super::{LastRollout, Name, RolloutCounts, RolloutState};
use crate::time::UnixTime;

/// What an event did to the rollouts of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// The rollouts that ended with it.
    pub counts: RolloutCounts,
    /// The rollout that completed, if podskew saw it begin or its objects tell when it did.
    pub last: Option<LastRollout>,
}

/// What became of a rollout when the way it stands changed from `past` to `course`. Nothing is known to end where nobody looked
/// before.
#[must_use]
pub fn outcome(facts: &WorkloadFacts<'_>, past: &ObservedRollout, course: &ObservedRollout, now: UnixTime) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some((before, incomplete)) = hash_before(past)
        && let Some(after) = hash_of(course)
        && before != after
    {
        let created = |hash: &Name| facts.template(hash).and_then(|template| template.created);
        if created(before).zip(created(after)).is_some_and(|(before, after)| after < before) {
            outcome.counts.undone = 1;
        } else if incomplete {
            outcome.counts.superseded = 1;
        }
    }
    let ObservedRollout::Complete(hash) = course else { return outcome };
    let ended = match past {
        // What was complete with this hash goes on to be.
        ObservedRollout::Unseen => None,
        ObservedRollout::Complete(before) if before == hash || before.is_empty() => None,
        ObservedRollout::Complete(_) => Some(None),
        ObservedRollout::InProgress(rollout) => Some(Some(&**rollout)),
    };
    if let Some(rollout) = ended.filter(|_| !hash.is_empty()) {
        outcome.counts.completed = 1;
        // A rollout that podskew found under way began at some other time, unless its objects tell when.
        let known = |rollout: &&RolloutMemory| rollout.witnessed || rollout.derived;
        let of_this = rollout.filter(known).filter(|rollout| rollout.hash.as_ref().is_none_or(|own| own == hash));
        outcome.last = of_this.map(|rollout| LastRollout {
            completed: now,
            duration: Some(now.since(rollout.started)),
            held: Some(rollout.held_until(now)),
        });
    }
    outcome
}

/// The hash that was current, and whether its rollout was in progress.
fn hash_before(past: &ObservedRollout) -> Option<(&Name, bool)> {
    match past {
        ObservedRollout::Unseen => None,
        ObservedRollout::Complete(hash) => (!hash.is_empty()).then_some((hash, false)),
        ObservedRollout::InProgress(rollout) => match &rollout.hash {
            Some(hash) => Some((hash, true)),
            None => rollout.replaces.as_ref().map(|(hash, incomplete)| (hash, *incomplete)),
        },
    }
}

fn hash_of(course: &ObservedRollout) -> Option<&Name> {
    match course {
        ObservedRollout::Unseen => None,
        ObservedRollout::Complete(hash) => Some(hash).filter(|hash| !hash.is_empty()),
        ObservedRollout::InProgress(rollout) => rollout.hash.as_ref(),
    }
}

/// What a template that waits will replace: the hash that was current before it, and whether its rollout was in progress.
pub(super) fn replaced_by_what_waits(past: &ObservedRollout) -> Option<(Name, bool)> {
    hash_before(past).map(|(hash, incomplete)| (hash.clone(), incomplete))
}

impl RolloutMemory {
    /// Seconds for which it was held on purpose until now.
    fn held_until(&self, now: UnixTime) -> u32 {
        self.held.saturating_add(self.held_since.map_or(0, |since| now.since(since)))
    }
}

/// The last rollout that completed. A Deployment's own objects keep it, unless it went back to an older template; of all others only
/// who saw it complete knows.
pub(super) fn last_rollout(facts: &WorkloadFacts<'_>, progress: &RolloutProgress<'_>) -> Option<LastRollout> {
    let seen = facts.memory.last_rollout;
    let kept = || {
        let controller = facts.controller.as_ref()?;
        let ControllerKind::Deployment(deployment @ DeploymentFacts { reason: ProgressReason::Completed, .. }) =
            controller.kind
        else {
            return None;
        };
        let CurrentHash::Hash(hash) = progress.current else { return None };
        let template = facts.template(hash)?;
        // The end of a pause is written down as the end of a rollout is, and so is that of a rollout that had stalled.
        let completed = deployment.reason_updated.filter(|_| !deployment.reason_turned)?;
        // Of one that went back to an older template, and of one that waited for the end of the old pods, only who saw it knows
        // when it began.
        let seen = seen.filter(|seen| completed.since(seen.completed).max(seen.completed.since(completed)) <= LAG);
        let started = of_object(facts, template).filter(|started| *started <= completed && !deployment.recreate);
        let duration = started.map(|started| completed.since(started));
        Some(LastRollout {
            completed,
            duration: duration.or(seen.and_then(|seen| seen.duration)),
            held: seen.and_then(|seen| seen.held),
        })
    };
    match progress.rollout.map(|rollout| rollout.state) {
        Some(RolloutState::Complete) => kept().or(seen),
        _ => seen,
    }
}

/// Seconds between the completion that a controller writes down and the event that tells of it, at most.
const LAG: u32 = 60;
