//! State and start of a rollout.
//!
//! A rollout is in progress while active pods of another hash than the current one remain, while no current hash exists,
//! or while a Deployment's controller says so. Scaling, unready pods and lost nodes never reopen it.

use super::arrival::{is_arriving, lacks_pods};
use super::compare::second_smallest;
use super::facts::{
    Controller, ControllerKind, DeploymentFacts, Observed, ObservedRollout, PodFacts, ProgressReason, RolloutFacts,
    RolloutPhase, TemplateFacts, WorkloadFacts,
};
use super::start::{StartContext, remember};
use super::{Name, RolloutReport, RolloutState};
use crate::time::UnixTime;

/// The hash of the workload's template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CurrentHash<'a> {
    /// This one.
    Hash(&'a Name),
    /// None yet: paused with a changed template, or Recreate waiting for old pods.
    None,
    /// It cannot be read.
    Unknown,
}

impl CurrentHash<'_> {
    /// The template of the current hash, if it exists and can be read.
    pub(super) fn template<'f, 'a>(self, facts: &'f WorkloadFacts<'a>) -> Option<&'f TemplateFacts<'a>> {
        match self {
            Self::Hash(hash) => facts.template(hash),
            Self::None | Self::Unknown => None,
        }
    }
}

/// The state of the rollout, and what it was derived from.
#[derive(Debug)]
pub(super) struct RolloutProgress<'a> {
    pub(super) current: CurrentHash<'a>,
    pub(super) outdated_pods: Option<u32>,
    pub(super) rollout: Option<RolloutReport>,
    /// Whether two hashes run side by side on purpose.
    pub(super) deliberate: bool,
    /// When any of this changes without an event.
    pub(super) changes_at: Option<UnixTime>,
}

/// Returns the state of the rollout after an event. Call it after each event, so that the result does not depend on
/// when reports are read. `facts` need no containers.
#[must_use]
pub fn observe(facts: &WorkloadFacts<'_>, now: UnixTime) -> ObservedRollout {
    let current = current(facts);
    let Some(controller) = facts.controller.as_ref() else { return facts.memory.course.clone() };
    let split = OutdatedCounts::of(facts, current);
    match (in_progress(facts, controller, current, &split, facts.memory.course, now), current) {
        (None, _) => facts.memory.course.clone(),
        (Some(true), _) => {
            let stand = StartContext {
                arriving: controller.kind.makes_pods() && matches!(current, CurrentHash::Hash(_)) && split.others == 0,
                held: held(controller, current, &split).is_some(),
                by_pods: matches!(controller.kind, ControllerKind::StatefulSet { partition, .. } if partition > 0),
            };
            ObservedRollout::InProgress(Box::new(remember(facts, current, stand, now)))
        }
        (Some(false), CurrentHash::Hash(_))
            if *facts.memory.course == ObservedRollout::Unseen
                && controller.kind.makes_pods()
                && lacks_pods(facts, controller, current) =>
        {
            ObservedRollout::Unseen
        }
        (Some(false), CurrentHash::Hash(hash)) => ObservedRollout::Complete(hash.clone()),
        (Some(false), _) => ObservedRollout::Complete(Name::from("")),
    }
}

/// Returns state and start of a rollout. `course` is the result of [`observe`] for the same facts.
pub(super) fn progress<'a>(facts: &WorkloadFacts<'a>, course: &ObservedRollout, now: UnixTime) -> RolloutProgress<'a> {
    let current = current(facts);
    let split = OutdatedCounts::of(facts, current);
    let mut progress = RolloutProgress {
        current,
        outdated_pods: matches!(current, CurrentHash::Hash(_)).then_some(split.outdated),
        rollout: None,
        deliberate: facts.workload.is_experiment(),
        changes_at: None,
    };
    let Some(controller) = facts.controller.as_ref() else { return progress };
    let Some(in_progress) = in_progress(facts, controller, current, &split, course, now) else { return progress };
    let (true, ObservedRollout::InProgress(rollout)) = (in_progress, course) else {
        progress.rollout = Some(RolloutReport { state: RolloutState::Complete, started: None, noticed: false });
        let kept_until = kept_until(facts, controller, current);
        progress.deliberate = kept_until.is_some_and(|until| now < until);
        progress.changes_at = kept_until.filter(|_| progress.deliberate);
        return progress;
    };
    let started = rollout.started;
    let waiting = split.others > 0 || current == CurrentHash::None;
    let stalled_at = last_progress(facts, current, started).plus(facts.stalled_after);
    let stalled_or_progressing = if now >= stalled_at { RolloutState::Stalled } else { RolloutState::Progressing };
    let state = match (held(controller, current, &split), &controller.kind) {
        (Some(held), _) => held,
        (None, ControllerKind::Deployment(deployment))
            // A reason from before this rollout concerns the previous one: it is stale in the first moments of an undo.
            if deployment.reason == ProgressReason::DeadlineExceeded
                && (!rollout.witnessed || deployment.reason_updated.is_none_or(|updated| updated >= started)) =>
        {
            RolloutState::Stalled
        }
        (None, ControllerKind::Deployment(_)) => RolloutState::Progressing,
        // It is unknown which pods are new, and so is their progress.
        (None, ControllerKind::DaemonSet { .. }) if current == CurrentHash::Unknown => RolloutState::Progressing,
        (None, ControllerKind::Rollout(rollout)) => argo_state(rollout, waiting),
        (None, _) => {
            progress.changes_at = (now < stalled_at).then_some(stalled_at);
            stalled_or_progressing
        }
    };
    let noticed = !rollout.witnessed && !rollout.derived;
    progress.rollout = Some(RolloutReport { state, started: Some(started), noticed });
    progress.deliberate = state.is_deliberate();
    progress
}

/// The state of a rollout in progress that is held on purpose.
fn held(controller: &Controller<'_>, current: CurrentHash<'_>, split: &OutdatedCounts) -> Option<RolloutState> {
    let waiting = split.others > 0 || current == CurrentHash::None;
    match &controller.kind {
        ControllerKind::Deployment(deployment) if deployment.paused && waiting => Some(RolloutState::Paused),
        // A `spec` that the controller has not seen waits for the controller, not for a person (row 60).
        kind if kind.is_on_delete()
            && controller.observed != Observed::Never
            && (waiting || current == CurrentHash::Unknown) =>
        {
            Some(RolloutState::OnDelete)
        }
        ControllerKind::CloneSet { paused: true, .. } if waiting => Some(RolloutState::Paused),
        ControllerKind::StatefulSet { partition, .. } | ControllerKind::CloneSet { partition, .. }
            if *partition > 0 && split.others > 0 && split.outdated == 0 && current != CurrentHash::None =>
        {
            Some(RolloutState::Partitioned)
        }
        ControllerKind::Rollout(rollout) => Some(argo_state(rollout, waiting)).filter(|state| state.is_deliberate()),
        _ => None,
    }
}

/// Returns the current hash. Without a hash label, pods do not show which template they have.
pub(super) fn current<'a>(facts: &WorkloadFacts<'a>) -> CurrentHash<'a> {
    match wanted(facts) {
        CurrentHash::Hash(hash) if hash.is_empty() => CurrentHash::Unknown,
        current => current,
    }
}

/// Derives the current hash from the workload's object and its templates.
fn wanted<'a>(facts: &WorkloadFacts<'a>) -> CurrentHash<'a> {
    let Some(controller) = facts.controller.as_ref() else {
        return CurrentHash::Unknown;
    };
    match &controller.kind {
        ControllerKind::Deployment(deployment) => {
            // Like the controller's `FindNewReplicaSet`: the oldest with an equal template.
            let owned = || facts.templates.iter().filter(|candidate| candidate.owned);
            let equal = owned().filter(|candidate| candidate.equal == Some(true));
            match equal.min_by_key(|candidate| (candidate.created, candidate.hash)) {
                Some(found) => CurrentHash::Hash(found.hash),
                None if controller.has_template && owned().all(|candidate| candidate.equal == Some(false)) => {
                    // Two templates that were read before and after an upgrade of the API server may differ in a
                    // default that only the newer server adds. If the controller counts replicas of the newest
                    // template, it knows which is current; a count without a pod is of a pod that is being replaced.
                    let counts = deployment.updated_replicas > 0 && !deployment.paused;
                    if counts && controller.observed == Observed::Now && newest(facts, deployment).is_some() {
                        by_revision(facts, controller, deployment)
                    } else {
                        CurrentHash::None
                    }
                }
                None => by_revision(facts, controller, deployment),
            }
        }
        ControllerKind::StatefulSet { update_revision, .. } => {
            if update_revision.is_empty() {
                // No revision yet: the object was just created.
                if controller.observed == Observed::Never { CurrentHash::None } else { CurrentHash::Unknown }
            } else if template_waits(facts, controller, update_revision) {
                CurrentHash::None
            } else {
                CurrentHash::Hash(update_revision)
            }
        }
        ControllerKind::DaemonSet { .. } => {
            let owned = facts.templates.iter().filter(|template| template.owned);
            match owned.max_by_key(|template| (template.revision, template.created)) {
                // No revision: the object was just created, or its revisions cannot be read.
                None if controller.observed == Observed::Never => CurrentHash::None,
                None => CurrentHash::Unknown,
                Some(newest) if template_waits(facts, controller, newest.hash) => CurrentHash::None,
                Some(newest) => CurrentHash::Hash(newest.hash),
            }
        }
        ControllerKind::CloneSet { current_hash, .. } => {
            if current_hash.is_empty() {
                // No revision yet: the object was just created.
                if controller.observed == Observed::Never { CurrentHash::None } else { CurrentHash::Unknown }
            } else if template_waits(facts, controller, current_hash) {
                CurrentHash::None
            } else {
                CurrentHash::Hash(current_hash)
            }
        }
        ControllerKind::Rollout(rollout) if rollout.current_hash.is_empty() => CurrentHash::Unknown,
        ControllerKind::Rollout(rollout) => CurrentHash::Hash(rollout.current_hash),
    }
}

/// Whether the template changed and the controller has not created its revision yet. That is possible only while the
/// status is behind: a newer API server may add a default, and then a template differs from its revision for good.
fn template_waits(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, hash: &Name) -> bool {
    let equal = facts.template(hash).and_then(|template| template.equal);
    controller.observed != Observed::Now && equal == Some(false)
}

/// Without readable templates the revision annotation decides; it is wrong while the controller is behind.
fn by_revision<'a>(
    facts: &WorkloadFacts<'a>,
    controller: &Controller<'a>,
    deployment: &DeploymentFacts,
) -> CurrentHash<'a> {
    match newest(facts, deployment) {
        Some(found) if controller.observed == Observed::Now => {
            let has_pods = facts.active_pods(found.hash).next().is_some();
            if has_pods == (deployment.updated_replicas > 0) {
                CurrentHash::Hash(found.hash)
            } else {
                CurrentHash::Unknown
            }
        }
        _ => CurrentHash::Unknown,
    }
}

/// The template that the Deployment's revision annotation names.
fn newest<'f, 'a>(facts: &'f WorkloadFacts<'a>, deployment: &DeploymentFacts) -> Option<&'f TemplateFacts<'a>> {
    let revision = deployment.revision?;
    facts.templates.iter().find(|template| template.owned && template.revision == Some(revision))
}

/// Active pods whose hash is not the current one.
struct OutdatedCounts {
    /// Active pods of another hash.
    others: u32,
    /// Those of them that should have the current hash.
    outdated: u32,
}

impl OutdatedCounts {
    fn of(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>) -> Self {
        let mut split = Self { others: 0, outdated: 0 };
        let CurrentHash::Hash(current) = current else { return split };
        let kept_back = |pod: &PodFacts<'_>| match facts.controller.as_ref().map(|controller| &controller.kind) {
            Some(ControllerKind::StatefulSet { on_delete: false, partition, first_ordinal, .. }) => {
                ordinal(pod.name).is_some_and(|ordinal| ordinal - first_ordinal < *partition)
            }
            _ => false,
        };
        for pod in facts.pods.iter().filter(|pod| !pod.terminating && pod.hash != current) {
            split.others += pod.count;
            split.outdated += if kept_back(pod) { 0 } else { pod.count };
        }
        if let Some(ControllerKind::CloneSet { partition, .. }) =
            facts.controller.as_ref().map(|controller| &controller.kind)
        {
            // Any of its pods may be among those that keep an older template.
            split.outdated = split.outdated.saturating_sub(u32::try_from(*partition).unwrap_or(u32::MAX));
        }
        split
    }
}

/// The ordinal of a StatefulSet's pod: the number at the end of its name.
pub(super) fn ordinal(pod: &str) -> Option<i64> {
    pod.rsplit_once('-')?.1.parse().ok()
}

/// Whether a rollout is in progress; `None` if unknown.
fn in_progress(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: CurrentHash<'_>,
    split: &OutdatedCounts,
    course: &ObservedRollout,
    now: UnixTime,
) -> Option<bool> {
    if current == CurrentHash::Unknown {
        return by_status(facts, controller);
    }
    let waiting = split.others > 0 || current == CurrentHash::None;
    Some(match &controller.kind {
        ControllerKind::Deployment(DeploymentFacts { reason, reason_updated, .. }) => {
            let template = current.template(facts);
            waiting
                || match reason {
                    ProgressReason::UnderWay | ProgressReason::DeadlineExceeded => true,
                    // The reason is stale while it is older than the ReplicaSet it should be about.
                    ProgressReason::Completed => {
                        template.is_some_and(|template| reason_updated.is_some() && template.created > *reason_updated)
                            || is_recreating(facts, controller, template)
                    }
                    ProgressReason::Other => controller.observed == Observed::Never,
                }
        }
        ControllerKind::Rollout(rollout) => {
            let promoted = rollout.stable_hash == rollout.current_hash;
            // Once promoted and Healthy it stays complete. A later phase Progressing is about scaling, restarts and
            // unavailable pods (row 64); only pods of an older hash make it a rollout again.
            let was_complete = matches!(course, ObservedRollout::Complete(hash) if hash == rollout.current_hash);
            let healthy = rollout.phase == RolloutPhase::Healthy || was_complete;
            // Argo marks the template of a new Rollout as stable at once. Versions before 1.2 had no condition Healthy,
            // so a Rollout with a history was Healthy once.
            let is_first = facts.templates.iter().filter(|template| template.owned).count() <= 1;
            let new = controller.observed == Observed::Never || (rollout.never_healthy && is_first);
            rollout.has_failed() || !promoted || (!healthy && (split.others > 0 || new))
        }
        ControllerKind::StatefulSet { .. } | ControllerKind::DaemonSet { .. } | ControllerKind::CloneSet { .. } => {
            waiting || is_arriving(facts, controller, current, course, now)?
        }
    })
}

/// Derives the state from a DaemonSet's status where its ControllerRevisions, which name its current hash, are missing:
/// `kubectl get all` does not print them.
fn by_status(facts: &WorkloadFacts<'_>, controller: &Controller<'_>) -> Option<bool> {
    let ControllerKind::DaemonSet { updated, .. } = &controller.kind else { return None };
    if controller.observed != Observed::Now {
        return None;
    }
    let mut hashes: Vec<&Name> = facts.pods.iter().filter(|pod| !pod.terminating).map(|pod| pod.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    match (*updated < controller.replicas.wanted, hashes.len()) {
        (true, _) => Some(true),
        (false, 0 | 1) => Some(false),
        // The status counts only pods on wanted nodes. A pod elsewhere may have any template.
        (false, _) => None,
    }
}

/// Until when Argo Rollouts keeps pods of older hashes after a completed rollout: the latest deadline of their
/// ReplicaSets. `None` without such pods.
fn kept_until(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, current: CurrentHash<'_>) -> Option<UnixTime> {
    let (ControllerKind::Rollout(rollout), CurrentHash::Hash(current_hash)) = (&controller.kind, current) else {
        return None;
    };
    let others = facts.pods.iter().filter(|pod| !pod.terminating && pod.hash != current_hash);
    let deadline = |pod: &PodFacts<'_>| {
        let recorded = facts.template(pod.hash).and_then(|template| template.scale_down_deadline);
        recorded.or_else(|| {
            let created = || current.template(facts).and_then(|template| template.created);
            let promoted = rollout.completed.or_else(|| Some(last_progress(facts, current, created()?)))?;
            Some(promoted.plus(rollout.scale_down_delay).plus(SCALE_DOWN_GRACE))
        })
    };
    others.filter_map(deadline).max()
}

/// Seconds that Argo's controller may take after `scaleDownDelaySeconds`, where no annotation names the deadline.
const SCALE_DOWN_GRACE: u32 = 60;

/// Whether an undo with the strategy Recreate waits for the old pods to end. No condition shows this (observed on
/// Kubernetes 1.36): the target ReplicaSet has no replicas yet, although the Deployment wants some.
fn is_recreating(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, template: Option<&TemplateFacts<'_>>) -> bool {
    let Some(template) = template.filter(|template| template.replicas == Some(0) && controller.replicas.wanted > 0)
    else {
        return false;
    };
    !facts.pods.is_empty() && facts.pods.iter().all(|pod| pod.terminating && pod.hash != template.hash)
}

fn argo_state(rollout: &RolloutFacts<&Name>, waiting: bool) -> RolloutState {
    let deliberate = if rollout.blue_green { RolloutState::BlueGreen } else { RolloutState::Canary };
    if rollout.has_failed() {
        RolloutState::Stalled
    } else if !waiting {
        // With one hash nothing runs side by side.
        RolloutState::Progressing
    } else if rollout.paused {
        RolloutState::Paused
    } else if rollout.pausing || rollout.phase == RolloutPhase::Paused || rollout.between_steps || rollout.blue_green {
        deliberate
    } else {
        RolloutState::Progressing
    }
}

/// When a pod of the current hash was last created or became Ready. A recreated object that adopts pods of a
/// predecessor cannot have stalled before its creation.
fn last_progress(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>, started: UnixTime) -> UnixTime {
    let created = facts.controller.as_ref().and_then(|controller| controller.created);
    let started = created.map_or(started, |created| started.max(created));
    let CurrentHash::Hash(current) = current else {
        return started;
    };
    let pods = facts.active_pods(current);
    pods.flat_map(|pod| [pod.created, pod.ready_since]).flatten().fold(started, UnixTime::max)
}

/// Since when two template hashes have active pods side by side: the second smallest of the times since which each hash
/// has had pods. If podskew observed the times, they have no gap, regardless of which pods were replaced. Otherwise they come
/// from the existing pods: then the result survives a restart of podskew, and errs only towards a shorter time.
///
/// Also returns whether that is only when podskew noticed it, because the start is unknown.
pub(super) fn mixed_since(facts: &WorkloadFacts<'_>, now: UnixTime) -> (Option<UnixTime>, bool) {
    let mut starts: Vec<(&Name, UnixTime)> = Vec::new();
    for pod in facts.pods.iter().filter(|pod| !pod.terminating && !pod.hash.is_empty()) {
        let created = pod.created.unwrap_or(now);
        match starts.iter_mut().find(|(hash, _)| *hash == pod.hash) {
            Some((_, start)) => *start = created.min(*start),
            None => starts.push((pod.hash, created)),
        }
    }
    if starts.len() < 2 {
        return (None, false);
    }
    for (hash, start) in &mut starts {
        if let Some((_, seen)) = facts.memory.hashes.iter().find(|(seen, _)| seen == hash) {
            *start = (*start).min(*seen);
        }
    }
    if facts.workload.kind().updates_in_place() {
        // A pod may be older than its hash.
        for (hash, start) in &mut starts {
            *start = (*start).max(facts.template(hash).and_then(|template| template.created).unwrap_or(*start));
        }
    }
    let created = |hash: &Name| facts.pods.iter().any(|pod| pod.hash == hash && pod.created.is_some());
    let known = starts.iter().filter(|(hash, start)| *start < now || created(hash)).count();
    (second_smallest(starts.into_iter().map(|(_, start)| start)), known < 2)
}
