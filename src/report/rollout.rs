//! State and start of a rollout.
//!
//! A rollout is in progress while active pods of another hash than the current one remain, while no current hash exists,
//! or while a Deployment's controller says so. Scaling, unready pods and lost nodes never reopen it.

use super::compare::second_smallest;
use super::facts::{
    Controller, ControllerKind, DeploymentFacts, Memory, Observed, PodFacts, ProgressReason, RolloutFacts,
    RolloutMemory, RolloutPhase, TemplateFacts, WorkloadFacts,
};
use super::{Name, RolloutReport, RolloutState};
use crate::time::UnixTime;

/// Which hash the workload's template asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Current<'a> {
    /// This one.
    Hash(&'a Name),
    /// There is none yet: paused with a changed template, or Recreate waiting for old pods.
    None,
    /// What would tell cannot be read.
    Unknown,
}

impl Current<'_> {
    /// The template of the current hash, if there is one and it can be read.
    fn template<'f, 'a>(self, facts: &'f WorkloadFacts<'a>) -> Option<&'f TemplateFacts<'a>> {
        match self {
            Self::Hash(hash) => facts.template(hash),
            Self::None | Self::Unknown => None,
        }
    }
}

/// What is said about the rollout, and what it was made of.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    pub(super) current: Current<'a>,
    pub(super) outdated_pods: Option<u32>,
    pub(super) rollout: Option<RolloutReport>,
    /// When it would become stalled although nothing happens.
    pub(super) changes_at: Option<UnixTime>,
}

/// Derives state and start, and remembers the start of a rollout in progress.
pub(super) fn progress<'a>(facts: &WorkloadFacts<'a>, memory: &mut Memory, now: UnixTime) -> Progress<'a> {
    let current = current(facts);
    let split = Split::of(facts, current);
    let outdated_pods = matches!(current, Current::Hash(_)).then_some(split.outdated);
    let unknown = Progress { current, outdated_pods, rollout: None, changes_at: None };
    let Some(controller) = facts.controller.as_ref() else {
        return unknown;
    };
    if current == Current::Unknown {
        return unknown;
    }
    let waiting = split.others > 0 || current == Current::None;
    if !in_progress(facts, controller, current, &split, waiting) {
        memory.rollout = None;
        let rollout = Some(RolloutReport { state: RolloutState::Complete, started: None });
        return Progress { rollout, ..unknown };
    }
    let rollout = remember(facts, current, memory, now);
    let started = rollout.started;
    let stalled_at = last_progress(facts, current, started).plus(facts.stalled_after);
    let stalled_or_progressing = if now >= stalled_at { RolloutState::Stalled } else { RolloutState::Progressing };
    let mut changes_at = None;
    let state = match &controller.kind {
        ControllerKind::Deployment(deployment) if deployment.paused && waiting => RolloutState::Paused,
        ControllerKind::Deployment(deployment)
            // A reason from before this rollout began speaks of another one: it is stale in the first moments of an undo.
            if deployment.reason == ProgressReason::DeadlineExceeded
                && (!rollout.witnessed || deployment.reason_updated.is_none_or(|updated| updated >= started)) =>
        {
            RolloutState::Stalled
        }
        ControllerKind::Deployment(_) => RolloutState::Progressing,
        ControllerKind::StatefulSet { on_delete: true, .. } | ControllerKind::DaemonSet { on_delete: true } => {
            RolloutState::OnDelete
        }
        ControllerKind::StatefulSet { partition, .. }
            if *partition > 0 && split.outdated == 0 && current != Current::None =>
        {
            RolloutState::Partitioned
        }
        ControllerKind::StatefulSet { .. } | ControllerKind::DaemonSet { .. } => {
            changes_at = (now < stalled_at).then_some(stalled_at);
            stalled_or_progressing
        }
        ControllerKind::Rollout(rollout) => argo_state(rollout, waiting),
    };
    Progress { rollout: Some(RolloutReport { state, started: Some(started) }), changes_at, ..unknown }
}

/// Which hash is current. A template without a hash label cannot be told from others by its pods.
pub(super) fn current<'a>(facts: &WorkloadFacts<'a>) -> Current<'a> {
    match wanted(facts) {
        Current::Hash(hash) if hash.is_empty() => Current::Unknown,
        current => current,
    }
}

/// What the workload's object and its templates say.
fn wanted<'a>(facts: &WorkloadFacts<'a>) -> Current<'a> {
    let Some(controller) = facts.controller.as_ref() else {
        return Current::Unknown;
    };
    match &controller.kind {
        ControllerKind::Deployment(deployment) => {
            // As the controller's FindNewReplicaSet decides: the oldest with an equal template.
            let owned = || facts.templates.iter().filter(|candidate| candidate.owned);
            let equal = owned().filter(|candidate| candidate.equal == Some(true));
            match equal.min_by_key(|candidate| (candidate.created, candidate.hash)) {
                Some(found) => Current::Hash(found.hash),
                None if controller.has_template && owned().all(|candidate| candidate.equal == Some(false)) => {
                    // Two templates that were read before and after an upgrade of the API server may differ in a default that
                    // only the newer one knows. If the controller counts replicas of the newest template, it knows which it is.
                    match by_revision(facts, controller, deployment) {
                        found @ Current::Hash(_) if deployment.updated_replicas > 0 && !deployment.paused => found,
                        _ => Current::None,
                    }
                }
                None => by_revision(facts, controller, deployment),
            }
        }
        ControllerKind::StatefulSet { update_revision, .. } => {
            if update_revision.is_empty() {
                // Just created: there is none yet.
                if controller.observed == Observed::Never { Current::None } else { Current::Unknown }
            } else if template_waits(facts, controller, update_revision) {
                Current::None
            } else {
                Current::Hash(update_revision)
            }
        }
        ControllerKind::DaemonSet { .. } => {
            let owned = facts.templates.iter().filter(|template| template.owned);
            match owned.max_by_key(|template| (template.revision, template.created)) {
                // Just created: there is none yet. Later: they cannot be read.
                None if controller.observed == Observed::Never => Current::None,
                None => Current::Unknown,
                Some(newest) if template_waits(facts, controller, newest.hash) => Current::None,
                Some(newest) => Current::Hash(newest.hash),
            }
        }
        ControllerKind::Rollout(rollout) if rollout.current_hash.is_empty() => Current::Unknown,
        ControllerKind::Rollout(rollout) => Current::Hash(rollout.current_hash),
    }
}

/// Whether the template was changed and the controller has not made a revision of it yet. Only while the status is
/// behind can that be: a template may differ from its revision for ever, once a newer API server adds a default.
fn template_waits(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, hash: &Name) -> bool {
    let equal = facts.template(hash).and_then(|template| template.equal);
    controller.observed != Observed::Now && equal == Some(false)
}

/// Where templates cannot be had, the revision annotation decides; but it lies while the controller is behind.
fn by_revision<'a>(
    facts: &WorkloadFacts<'a>,
    controller: &Controller<'a>,
    deployment: &DeploymentFacts,
) -> Current<'a> {
    let is_it = |template: &&TemplateFacts<'_>| {
        template.owned && deployment.revision.is_some() && template.revision == deployment.revision
    };
    let found = facts.templates.iter().find(is_it);
    match found {
        Some(found) if controller.observed == Observed::Now => {
            let has_pods = facts.pods.iter().any(|pod| !pod.terminating && pod.hash == found.hash);
            if has_pods == (deployment.updated_replicas > 0) { Current::Hash(found.hash) } else { Current::Unknown }
        }
        _ => Current::Unknown,
    }
}

/// How the active pods stand to the current hash.
struct Split {
    /// Active pods of another hash.
    others: u32,
    /// Those of them that ought to carry the current one.
    outdated: u32,
}

impl Split {
    fn of(facts: &WorkloadFacts<'_>, current: Current<'_>) -> Self {
        let mut split = Self { others: 0, outdated: 0 };
        let Current::Hash(current) = current else { return split };
        let kept_back = |pod: &PodFacts<'_>| match facts.controller.as_ref().map(|controller| &controller.kind) {
            Some(ControllerKind::StatefulSet { on_delete: false, partition, first_ordinal, .. }) => {
                ordinal(pod.name).is_some_and(|ordinal| ordinal - first_ordinal < *partition)
            }
            _ => false,
        };
        for pod in facts.pods.iter().filter(|pod| !pod.terminating && pod.hash != current) {
            split.others += 1;
            split.outdated += u32::from(!kept_back(pod));
        }
        split
    }
}

/// The number at the end of a StatefulSet's pod's name.
fn ordinal(pod: &str) -> Option<i64> {
    pod.rsplit_once('-')?.1.parse().ok()
}

fn in_progress(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: Current<'_>,
    split: &Split,
    waiting: bool,
) -> bool {
    match &controller.kind {
        ControllerKind::Deployment(DeploymentFacts { reason, reason_updated, .. }) => {
            let template = current.template(facts);
            waiting
                || match reason {
                    ProgressReason::UnderWay | ProgressReason::DeadlineExceeded => true,
                    // The reason is stale as long as it is older than the ReplicaSet it would speak of.
                    ProgressReason::Completed => {
                        template.is_some_and(|template| reason_updated.is_some() && template.created > *reason_updated)
                            || is_recreating(facts, controller, template)
                    }
                    ProgressReason::Other => controller.observed == Observed::Never,
                }
        }
        // The old ReplicaSet of a blue-green rollout stays for a while after the promotion: that is complete.
        ControllerKind::Rollout(rollout) => {
            let promoted = rollout.stable_hash == rollout.current_hash;
            !promoted || (split.others > 0 && rollout.phase != RolloutPhase::Healthy)
        }
        ControllerKind::StatefulSet { .. } | ControllerKind::DaemonSet { .. } => waiting,
    }
}

/// Whether an undo with the strategy Recreate waits for the old pods to end. No condition says so (seen on Kubernetes
/// 1.36): only that the ReplicaSet that is to be has no replicas yet, although the Deployment wants some.
fn is_recreating(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, template: Option<&TemplateFacts<'_>>) -> bool {
    let Some(template) = template.filter(|template| template.scaled_to_zero && controller.replicas.wanted > 0) else {
        return false;
    };
    !facts.pods.is_empty() && facts.pods.iter().all(|pod| pod.terminating && pod.hash != template.hash)
}

fn argo_state(rollout: &RolloutFacts<'_>, waiting: bool) -> RolloutState {
    let deliberate = if rollout.blue_green { RolloutState::BlueGreen } else { RolloutState::Canary };
    if rollout.phase == RolloutPhase::Degraded || rollout.aborted {
        RolloutState::Stalled
    } else if !waiting {
        // One hash only: nothing stands side by side, deliberately or not.
        RolloutState::Progressing
    } else if rollout.paused {
        RolloutState::Paused
    } else if rollout.pausing || rollout.phase == RolloutPhase::Paused || rollout.between_steps || rollout.blue_green {
        deliberate
    } else {
        RolloutState::Progressing
    }
}

/// The rollout in progress, with the earliest start that was ever derived for its hash and revision.
fn remember(facts: &WorkloadFacts<'_>, current: Current<'_>, memory: &mut Memory, now: UnixTime) -> RolloutMemory {
    let hash = match current {
        Current::Hash(hash) => Some(hash),
        Current::None | Current::Unknown => None,
    };
    let template = current.template(facts);
    let revision = template.and_then(|template| template.revision);
    let derived = template.and_then(|template| start(facts, template)).map(|start| start.min(now));
    let same_rollout = |remembered: &RolloutMemory| {
        let same_hash = remembered.hash.as_ref() == hash;
        // Nothing was current, now this is: what was waited for has come. Time in a pause is not time in a rollout.
        let awaited = remembered.hash.is_none() && !remembered.paused;
        // A rollback makes its ReplicaSet current first and gives it its new revision a moment later.
        let same_revision = remembered.revision == revision || now.since(remembered.noticed) < REVISION_FOLLOWS;
        awaited || (same_hash && (hash.is_none() || same_revision))
    };
    let remembered = memory.rollout.take().filter(same_rollout);
    let earliest = remembered.as_ref().map(|remembered| remembered.started);
    let (noticed, witnessed) = match &remembered {
        Some(remembered) => (remembered.noticed, remembered.witnessed),
        None => (now, memory.reported),
    };
    let paused = matches!(
        facts.controller.as_ref().map(|controller| &controller.kind),
        Some(ControllerKind::Deployment(DeploymentFacts { paused: true, .. }))
    );
    let rollout = RolloutMemory {
        hash: hash.cloned(),
        revision,
        started: earliest.into_iter().chain(derived).min().unwrap_or(now),
        noticed,
        witnessed: witnessed || derived.is_some(),
        paused,
    };
    memory.rollout = Some(rollout.clone());
    rollout
}

/// Seconds within which a rollback's new revision follows its template, be the controller manager ever so slow.
const REVISION_FOLLOWS: u32 = 300;

/// When the rollout of this template began, as far as its objects tell.
fn start(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> Option<UnixTime> {
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

/// When a pod of the current hash was last created or became Ready.
fn last_progress(facts: &WorkloadFacts<'_>, current: Current<'_>, started: UnixTime) -> UnixTime {
    let Current::Hash(current) = current else {
        return started;
    };
    let pods = facts.pods.iter().filter(|pod| !pod.terminating && pod.hash == current);
    pods.flat_map(|pod| [pod.created, pod.ready_since]).flatten().fold(started, UnixTime::max)
}

/// Since when two template hashes have stood side by side among the active pods.
pub(super) fn mixed_since(facts: &WorkloadFacts<'_>, now: UnixTime) -> Option<UnixTime> {
    let mut starts: Vec<(&Name, UnixTime)> = Vec::new();
    for pod in facts.pods.iter().filter(|pod| !pod.terminating && !pod.hash.is_empty()) {
        let created = pod.created.unwrap_or(now);
        match starts.iter_mut().find(|(hash, _)| *hash == pod.hash) {
            Some((_, start)) => *start = created.min(*start),
            None => starts.push((pod.hash, created)),
        }
    }
    second_smallest(starts.into_iter().map(|(_, start)| start))
}
