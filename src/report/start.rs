//! Start of a rollout, as far as its objects record it, and the record that podskew keeps of it.

use super::facts::{
    ControllerKind, DeploymentFacts, ObservedRollout, PauseState, PodFacts, RolloutMemory, TemplateFacts, WorkloadFacts,
};
use super::outcome::replaced_by_what_waits;
use super::rollout::CurrentHash;
use crate::time::UnixTime;

/// Details of a rollout in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartContext {
    /// Whether all pods have the new hash, and some have not arrived.
    pub(super) arriving: bool,
    /// Whether it is held on purpose.
    pub(super) held: bool,
    /// Whether this depends on all of its pods.
    pub(super) by_pods: bool,
}

/// Returns the record of the rollout in progress, with the earliest start ever derived for its hash and revision.
pub(super) fn remember(
    facts: &WorkloadFacts<'_>,
    current: CurrentHash<'_>,
    stand: StartContext,
    now: UnixTime,
) -> RolloutMemory {
    let hash = match current {
        CurrentHash::Hash(hash) => Some(hash),
        CurrentHash::None | CurrentHash::Unknown => None,
    };
    let template = current.template(facts);
    let revision = template.and_then(|template| template.revision);
    let (derived, by_pods) = match template.map(|template| (template, start_source(facts, template))) {
        Some((_, StartSource::Object(start))) => (start, false),
        Some((template, StartSource::Pods)) => (of_pods(facts, template), true),
        None => (None, false),
    };
    let derived = derived.map(|start| start.min(now));
    let paused = matches!(
        facts.controller.as_ref().map(|controller| &controller.kind),
        Some(ControllerKind::Deployment(DeploymentFacts { paused: true, .. }))
    );
    let past = match facts.memory.course {
        ObservedRollout::InProgress(past) => Some(past),
        ObservedRollout::Unseen | ObservedRollout::Complete(_) => None,
    };
    let goes_on = |past: &&RolloutMemory| match (&past.hash, hash) {
        // A pause is not part of a rollout: a rollout after the pause has its own beginning.
        _ if past.hold == PauseState::Paused && !paused || past.hold == PauseState::Resumed && paused => false,
        // If a waiting template changes, the wait begins again (row 52).
        (None, None) => facts.memory.same_template != Some(false),
        // There was no current hash, and now there is: the waiting template has its ReplicaSet.
        (None, Some(_)) => past.hold == PauseState::None,
        (Some(_), None) => false,
        // A rollback makes its ReplicaSet current first and raises its revision a moment later.
        (Some(before), Some(hash)) => {
            before == hash && (past.revision == revision || now.since(past.noticed) < REVISION_FOLLOWS)
        }
    };
    let same = past.filter(|past| goes_on(&&***past));
    let hold = match hash {
        None if paused => PauseState::Paused,
        None if past.is_some_and(|past| past.hold != PauseState::None) => PauseState::Resumed,
        // A rollback during a pause: its ReplicaSet exists, but the rollout has not begun.
        Some(_) if paused && derived.is_none() && same.is_none_or(|same| same.hold != PauseState::None) => {
            PauseState::Paused
        }
        _ => PauseState::None,
    };
    let witnessed = match (same, past) {
        (Some(same), _) => same.witnessed,
        // A ReplicaSet that appears during a pause was created before it: its watch is behind the Deployment's.
        (None, Some(past)) if past.hash.is_none() && hash.is_some() && paused => past.witnessed,
        (None, _) => *facts.memory.course != ObservedRollout::Unseen,
    };
    RolloutMemory {
        hash: hash.cloned(),
        revision,
        started: same.map(|same| same.started).into_iter().chain(derived).min().unwrap_or(now),
        noticed: same.map_or(now, |same| same.noticed),
        witnessed: witnessed || derived.is_some(),
        derived: derived.is_some() || same.is_some_and(|same| same.derived),
        by_pods: by_pods || stand.by_pods,
        arriving: stand.arriving,
        replaces: if hash.is_none() { replaced_by_what_waits(facts.memory.course) } else { None },
        held: same.map_or(0, |same| same.held)
            + same.and_then(|same| same.held_since).filter(|_| !stand.held).map_or(0, |since| now.since(since)),
        held_since: stand.held.then(|| same.and_then(|same| same.held_since).unwrap_or(now)),
        hold,
    }
}

/// Maximum seconds by which a rollback's new revision follows its template, even with a slow controller manager.
const REVISION_FOLLOWS: u32 = 300;

/// The objects that record when a rollout began.
enum StartSource {
    /// The object of its template, or none.
    Object(Option<UnixTime>),
    /// Its pods.
    Pods,
}

/// When the rollout of this template began, if the template's own object records it.
pub(super) fn of_object(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> Option<UnixTime> {
    match start_source(facts, template) {
        StartSource::Object(start) => start,
        StartSource::Pods => None,
    }
}

/// Returns the objects that record when the rollout of this template began.
fn start_source(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> StartSource {
    if let Some(ControllerKind::Rollout(rollout)) = facts.controller.as_ref().map(|controller| &controller.kind)
        && rollout.has_failed()
        && rollout.stable_hash == rollout.current_hash
        && !rollout.never_healthy
    {
        // It completed once and failed later: its template does not record when.
        return StartSource::Object(None);
    }
    // A rollback raises a ControllerRevision's `.revision`, and `managedFields` records when.
    if template.written.is_some() {
        return StartSource::Object(template.written);
    }
    // Its revision rises, and `reused` is set, only a moment after it becomes current again.
    let superseded = facts.templates.iter().any(|other| other.owned && other.revision > template.revision);
    let is_new = is_newest(template, newest_other(facts, template)) && !superseded && !template.reused;
    if is_new && template.created.is_some() { StartSource::Object(template.created) } else { StartSource::Pods }
}

fn newest_other(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> Option<UnixTime> {
    facts.templates.iter().filter(|other| other.hash != template.hash).filter_map(|other| other.created).max()
}

fn is_newest(template: &TemplateFacts<'_>, newest_other: Option<UnixTime>) -> bool {
    newest_other.is_none_or(|other| template.created.is_some_and(|created| created >= other))
}

/// The start of a rollout back to an older template. The template's creation does not show it, and some of its pods
/// may have survived a stuck rollout. Pods created after the newest other template belong to this rollout.
fn of_pods(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> Option<UnixTime> {
    let mut after = newest_other(facts, template);
    if is_newest(template, after) {
        // An undone rollout that is started again: its template is still the newest. Only pods younger than all other
        // pods surely belong to the second try.
        after =
            after.max(facts.pods.iter().filter(|pod| pod.hash != template.hash).filter_map(|pod| pod.created).max());
    }
    let of_this_rollout =
        |pod: &&PodFacts<'_>| pod.own && !pod.terminating && pod.hash == template.hash && pod.created > after;
    facts.pods.iter().filter(of_this_rollout).filter_map(|pod| pod.created).min()
}
