//! How rollouts ended: completed, superseded or undone, the duration of the last one, and how long it was held.

use super::facts::{ControllerKind, DeploymentFacts, ObservedRollout, ProgressReason, RolloutMemory, WorkloadFacts};
use super::rollout::{CurrentHash, RolloutProgress};
use super::start::of_object;
use super::{LastRollout, Name, RolloutCounts, RolloutState};
use crate::time::UnixTime;

/// Effect of an event on a workload's rollouts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Rollouts that ended with this event.
    pub counts: RolloutCounts,
    /// The completed rollout, if podskew saw its start or its objects record it.
    pub last: Option<LastRollout>,
}

/// Returns the rollouts that ended when the state changed from `past` to `course`. Before the first observation, no end
/// is known.
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
        // It completed with this hash before, and still is.
        ObservedRollout::Unseen => None,
        ObservedRollout::Complete(before) if before == hash || before.is_empty() => None,
        ObservedRollout::Complete(_) => Some(None),
        ObservedRollout::InProgress(rollout) => Some(Some(&**rollout)),
    };
    if let Some(rollout) = ended.filter(|_| !hash.is_empty()) {
        outcome.counts.completed = 1;
        // podskew does not know the start of a rollout that it found in progress, unless its objects record it.
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

/// The template that a waiting template will replace: the hash that was current before, and whether its rollout was in
/// progress.
pub(super) fn replaced_by_what_waits(past: &ObservedRollout) -> Option<(Name, bool)> {
    hash_before(past).map(|(hash, incomplete)| (hash.clone(), incomplete))
}

impl RolloutMemory {
    /// Seconds in which it was held on purpose until now.
    fn held_until(&self, now: UnixTime) -> u32 {
        self.held.saturating_add(self.held_since.map_or(0, |since| now.since(since)))
    }
}

/// The last completed rollout. A Deployment's objects record it, unless it went back to an older template. For all
/// other kinds it is known only from an observation.
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
        // The controller records the end of a pause, and of a stalled rollout, in the same way as the end of a rollout.
        let completed = deployment.reason_updated.filter(|_| !deployment.reason_turned)?;
        // The objects do not record when a rollback, or a rollout that waited for old pods to end, began. Only an
        // observation does.
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

/// Maximum seconds between the recorded completion and the event about it.
const LAG: u32 = 60;
