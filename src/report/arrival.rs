//! Whether the pods of a StatefulSet's or DaemonSet's rollout have all arrived: they are there, and each was Ready once.
//!
//! Both kinds have no condition that says so, and a rollout of which every pod hangs is not complete (row 53).

use super::facts::{Controller, ControllerKind, ObservedRollout, PodFacts, TemplateFacts, WorkloadFacts};
use super::rollout::CurrentHash;
use super::start::of_object;
use crate::time::UnixTime;

/// Whether a StatefulSet or DaemonSet of which all pods are of the current hash still waits for them: some are not there, or were
/// never Ready, and its rollout has not completed since the template became current (row 53). No condition of theirs says so. What
/// was complete once stays complete, whatever becomes of its pods.
pub(super) fn is_arriving(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: CurrentHash<'_>,
    course: &ObservedRollout,
    now: UnixTime,
) -> bool {
    let CurrentHash::Hash(hash) = current else { return false };
    if matches!(course, ObservedRollout::Complete(complete) if complete == hash) {
        return false;
    }
    let own = || facts.pods.iter().filter(|pod| !pod.terminating && pod.hash == hash);
    let (there, never_ready): (u32, u32) =
        own().fold((0, 0), |(there, never), pod| (there + pod.count, never + pod.never_ready));
    let wanted = controller.replicas.wanted;
    let first = is_first_template(facts, current);
    // A first rollout waits for each of its pods. Of a later one, old pods were replaced one after another, or what is there now is
    // all new, and none of it ever worked.
    let waits = if first { never_ready > 0 || there < wanted } else { never_ready == there && wanted > 0 };
    if !waits {
        return false;
    }
    if let ControllerKind::StatefulSet { update_revision, current_revision, on_delete, partition, .. } =
        &controller.kind
    {
        // Its controller promotes a revision once all pods are of it and Ready at the same time (`completeRollingUpdate` in
        // `pkg/controller/statefulset/stateful_set_utils.go`).
        if current_revision == update_revision && !first {
            return false;
        }
        if !current_revision.is_empty() && current_revision != update_revision && !on_delete && *partition == 0 {
            return true;
        }
    }
    match course {
        // What podskew saw begin, it will see complete.
        ObservedRollout::InProgress(_) | ObservedRollout::Complete(_) => true,
        ObservedRollout::Unseen => has_not_ended(facts, controller, current, there < wanted, now),
    }
}

/// Whether the rollout of the current template seems to have gone on without a pause until now, as far as its pods tell: each was
/// created soon after the one before it was created or became Ready, and one of them was never Ready, or is missing.
///
/// A pod that was created later belongs to a scaling, or replaces another, and says nothing about the rollout (rows 28 and 41).
fn has_not_ended(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: CurrentHash<'_>,
    missing: bool,
    now: UnixTime,
) -> bool {
    let Some(template) = current.template(facts) else { return false };
    let Some(started) = of_object(facts, template).max(controller.created) else { return false };
    let mut pods: Vec<&PodFacts<'_>> =
        facts.pods.iter().filter(|pod| !pod.terminating && pod.hash == template.hash).collect();
    if pods.is_empty() && controller.unedited && controller.replicas.available == 0 {
        return true;
    }
    pods.sort_by_key(|pod| pod.created);
    let mut last = started;
    for pod in pods {
        let created = pod.created.unwrap_or(last);
        if created > last.plus(PAUSE) {
            return false;
        }
        if pod.never_ready > 0 {
            return true;
        }
        last = last.max(created).max(pod.ready_since.unwrap_or(created));
    }
    missing && now <= last.plus(PAUSE)
}

/// Seconds in which a controller that waits for nothing makes the next pod, be the API server ever so slow.
const PAUSE: u32 = 60;

/// Whether the workload has had no other template, as far as its history tells.
fn is_first_template(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>) -> bool {
    current.template(facts).is_none_or(|template| is_first(facts, template))
}

/// The same of any of its templates. A history may be cut short; its numbers begin at 1.
pub(super) fn is_first(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> bool {
    let is_older =
        |other: &TemplateFacts<'_>| other.owned && other.created.is_some() && other.created < template.created;
    template.revision.is_none_or(|revision| revision <= 1) && !facts.templates.iter().any(is_older)
}
