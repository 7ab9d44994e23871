//! The revision that an unfinished rollout can go back to, and the pod that a StatefulSet waits for.
//!
//! podskew never recommends a template that never worked (rows 53 and 54).

use super::arrival::is_first;
use super::facts::{ControllerKind, DeploymentFacts, TemplateFacts, WorkloadFacts};

use super::rollout::{CurrentHash, RolloutProgress, ordinal};
use super::{RollbackTarget, RolloutState};

/// Whether a template is known to have worked: one of its pods was Ready, or its rollout completed.
///
/// There is no other evidence. A Deployment records only its last rollout, and an older ReplicaSet without pods may
/// have been scaled down because its pods never became Ready.
pub(super) fn has_worked(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> bool {
    template.worked || has_completed(facts, template)
}

/// Whether the workload's object names this template as completed.
fn has_completed(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> bool {
    // A workload's first template is named at once, before any of its pods runs: `getStatefulSetRevisions` in
    // `pkg/controller/statefulset/stateful_set_control.go`, `shouldFullPromote` in Argo's `rollout/sync.go`.
    let is_first = || is_first(facts, template);
    match facts.controller.as_ref().map(|controller| &controller.kind) {
        Some(ControllerKind::StatefulSet { current_revision, .. }) => *current_revision == template.hash && !is_first(),
        Some(ControllerKind::Rollout(rollout)) => {
            rollout.stable_hash == template.hash && (rollout.was_healthy || !is_first())
        }
        _ => false,
    }
}

/// The revision that a rollout in progress can go back to; `None` if no other is known to have worked.
pub(super) fn target(facts: &WorkloadFacts<'_>, progress: &RolloutProgress<'_>) -> Option<RollbackTarget> {
    if !is_under_way(progress) || progress.current == CurrentHash::Unknown {
        return None;
    }
    if let Some(ControllerKind::Deployment(DeploymentFacts { paused: true, .. })) =
        facts.controller.as_ref().map(|controller| &controller.kind)
    {
        // kubectl refuses: "cannot rollback a paused deployment; resume it first".
        return None;
    }
    let is_other = |template: &&TemplateFacts<'_>| {
        template.owned && !template.hash.is_empty() && progress.current != CurrentHash::Hash(template.hash)
    };
    let others = facts.templates.iter().filter(is_other).filter(|template| has_worked(facts, template));
    let targets = others.filter_map(|template| {
        let of_template = facts.active_pods(template.hash).filter(|pod| pod.ready);
        let ready_pods = u32::try_from(of_template.count()).unwrap_or(u32::MAX);
        let target = RollbackTarget { hash: template.hash.clone(), revision: template.revision?, ready_pods };
        Some((has_completed(facts, template), target))
    });
    targets.max_by_key(|(completed, target)| (target.ready_pods, *completed, target.revision)).map(|(_, target)| target)
}

/// The position in [`WorkloadFacts::pods`] of the pod that a StatefulSet waits for before it replaces or creates
/// another: with pod management `OrderedReady`, the first by ordinal that is not Ready.
pub(super) fn blocking_pod(facts: &WorkloadFacts<'_>, progress: &RolloutProgress<'_>) -> Option<u32> {
    let Some(ControllerKind::StatefulSet { on_delete: false, parallel: false, partition, first_ordinal, .. }) =
        facts.controller.as_ref().map(|controller| &controller.kind)
    else {
        return None;
    };
    let CurrentHash::Hash(current) = progress.current else { return None };
    if !is_under_way(progress) {
        return None;
    }
    let mut pods: Vec<(i64, u32)> =
        facts.pods.iter().zip(0..).filter_map(|(pod, at)| Some((ordinal(pod.name)?, at))).collect();
    pods.sort_unstable();
    for ((ordinal, at), expected) in pods.into_iter().zip(*first_ordinal..) {
        let pod = facts.pods.get(at as usize)?;
        if ordinal != expected || pod.terminating {
            // It waits for that pod to be created or deleted.
            return None;
        }
        if !pod.ready {
            // Below the partition its older template is the wanted one.
            let kept_back = pod.hash != current && ordinal - first_ordinal < *partition;
            return (!kept_back).then_some(at);
        }
    }
    None
}

fn is_under_way(progress: &RolloutProgress<'_>) -> bool {
    let state = progress.rollout.map(|rollout| rollout.state);
    matches!(state, Some(RolloutState::Progressing | RolloutState::Stalled))
}
