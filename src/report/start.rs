//! When a rollout began, as far as its objects tell, and what has to be remembered of it.

use super::facts::{
    ControllerKind, Course, DeploymentFacts, Hold, PodFacts, RolloutMemory, TemplateFacts, WorkloadFacts,
};
use super::rollout::Current;
use crate::time::UnixTime;

/// The rollout in progress, with the earliest start that was ever derived for its hash and revision.
pub(super) fn remember(facts: &WorkloadFacts<'_>, current: Current<'_>, now: UnixTime) -> RolloutMemory {
    let hash = match current {
        Current::Hash(hash) => Some(hash),
        Current::None | Current::Unknown => None,
    };
    let template = current.template(facts);
    let revision = template.and_then(|template| template.revision);
    let derived = template.and_then(|template| start(facts, template)).map(|start| start.min(now));
    let paused = matches!(
        facts.controller.as_ref().map(|controller| &controller.kind),
        Some(ControllerKind::Deployment(DeploymentFacts { paused: true, .. }))
    );
    let past = match facts.memory.course {
        Course::InProgress(past) => Some(past),
        Course::Unseen | Course::Complete(_) => None,
    };
    let goes_on = |past: &&RolloutMemory| match (&past.hash, hash) {
        // A pause is no rollout: what follows it begins on its own.
        _ if past.hold == Hold::Paused && !paused || past.hold == Hold::Resumed && paused => false,
        // A template that waits and changes again begins again (row 52).
        (None, None) => facts.memory.same_template != Some(false),
        // Nothing was current, now this is: what was waited for has come.
        (None, Some(_)) => past.hold == Hold::None,
        (Some(_), None) => false,
        // A rollback makes its ReplicaSet current first and gives it its new revision a moment later.
        (Some(before), Some(hash)) => {
            before == hash && (past.revision == revision || now.since(past.noticed) < REVISION_FOLLOWS)
        }
    };
    let same = past.filter(|past| goes_on(&&***past));
    let hold = match hash {
        None if paused => Hold::Paused,
        None if past.is_some_and(|past| past.hold != Hold::None) => Hold::Resumed,
        // Rolled back to during a pause: it has a ReplicaSet, and nothing of it has begun.
        Some(_) if paused && derived.is_none() && same.is_none_or(|same| same.hold != Hold::None) => Hold::Paused,
        _ => Hold::None,
    };
    let witnessed = match same {
        Some(same) => same.witnessed,
        None => *facts.memory.course != Course::Unseen,
    };
    RolloutMemory {
        hash: hash.cloned(),
        revision,
        started: same.map(|same| same.started).into_iter().chain(derived).min().unwrap_or(now),
        noticed: same.map_or(now, |same| same.noticed),
        witnessed: witnessed || derived.is_some(),
        derived: derived.is_some() || same.is_some_and(|same| same.derived),
        hold,
    }
}

/// Seconds within which a rollback's new revision follows its template, be the controller manager ever so slow.
const REVISION_FOLLOWS: u32 = 300;

/// When the rollout of this template began, as far as its objects tell.
fn start(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> Option<UnixTime> {
    if let Some(ControllerKind::Rollout(rollout)) = facts.controller.as_ref().map(|controller| &controller.kind)
        && rollout.has_failed()
        && rollout.stable_hash == rollout.current_hash
        && !rollout.never_healthy
    {
        // It was complete once, and failed later: its template says nothing about when.
        return None;
    }
    // A rollback bumps a ControllerRevision's `.revision`, and managedFields keep when.
    if let Some(written) = template.written {
        return Some(written);
    }
    let newest_other =
        facts.templates.iter().filter(|other| other.hash != template.hash).filter_map(|t| t.created).max();
    let is_newest = newest_other.is_none_or(|other| template.created.is_some_and(|created| created >= other));
    // Its revision is raised, and `reused` is set, only a moment after it is current again.
    let superseded = facts.templates.iter().any(|other| other.owned && other.revision > template.revision);
    if is_newest && !superseded && !template.reused && template.created.is_some() {
        return template.created;
    }
    // Rolled back to: its creation says nothing, and some of its pods may have survived a stuck rollout. What was created
    // after the newest other template came was created by this rollout.
    let mut after = newest_other;
    if is_newest {
        // Rolled back to, but newest all the same: it was undone and is tried again. Only pods younger than all of the
        // others' pods are surely of the second try.
        after =
            after.max(facts.pods.iter().filter(|pod| pod.hash != template.hash).filter_map(|pod| pod.created).max());
    }
    let of_this_rollout = |pod: &&PodFacts<'_>| !pod.terminating && pod.hash == template.hash && pod.created > after;
    facts.pods.iter().filter(of_this_rollout).filter_map(|pod| pod.created).min()
}
