//! Whether all pods of a StatefulSet's or DaemonSet's rollout have arrived: each exists and was Ready once.
//!
//! Neither kind has a condition for this, and a rollout is not complete while all of its pods hang (row 53).

use super::facts::{Controller, ControllerKind, Observed, ObservedRollout, PodFacts, TemplateFacts, WorkloadFacts};
use super::rollout::CurrentHash;
use super::start::of_object;
use crate::time::UnixTime;

/// Whether a StatefulSet or DaemonSet whose pods all have the current hash still waits for them. It does if pods are
/// missing or were never Ready, and its rollout has not completed since the template became current (row 53). No
/// condition shows this. A rollout that completed once stays complete, regardless of its pods. `None` if the start of its
/// template is needed but unknown: its revision cannot be read, or its watch is behind.
pub(super) fn is_arriving(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: CurrentHash<'_>,
    course: &ObservedRollout,
    now: UnixTime,
) -> Option<bool> {
    let CurrentHash::Hash(hash) = current else { return Some(false) };
    // A DaemonSet's status has the number of wanted pods, and the revision exists before the first status.
    if controller.observed == Observed::Never {
        return Some(true);
    }
    if matches!(course, ObservedRollout::Complete(complete) if complete == hash) {
        return Some(false);
    }
    let (there, never_ready): (u32, u32) =
        facts.active_pods(hash).fold((0, 0), |(there, never), pod| (there + pod.count, never + pod.never_ready));
    let wanted = controller.replicas.wanted;
    let first = is_first_template(facts, current);
    // A first rollout waits for each of its pods. In a later rollout either old pods were replaced one by one, or all pods
    // are new and none of them ever worked.
    let waits = if first { never_ready > 0 || there < wanted } else { never_ready == there };
    // If no pod is wanted, the remaining pods only have to end.
    if wanted == 0 || !waits {
        return Some(false);
    }
    if let ControllerKind::StatefulSet { update_revision, current_revision, on_delete, partition, .. } =
        &controller.kind
    {
        // The StatefulSet controller promotes a revision once all pods have it and are Ready at the same time
        // (`completeRollingUpdate` in `pkg/controller/statefulset/stateful_set_utils.go`).
        if current_revision == update_revision && !first {
            return Some(false);
        }
        if !current_revision.is_empty() && current_revision != update_revision && !on_delete && *partition == 0 {
            return Some(true);
        }
    }
    match course {
        // podskew saw this rollout begin, so it will see its end.
        ObservedRollout::InProgress(_) | ObservedRollout::Complete(_) => Some(true),
        ObservedRollout::Unseen => has_not_ended(facts, controller, current, there < wanted, now),
    }
}

/// Whether [`is_arriving`] judges by missing pods. A rollout whose end podskew did not see then only seems to be complete:
/// the watch of pods may be behind the others, and a hanging pod may be among those that it has not shown yet.
pub(super) fn lacks_pods(facts: &WorkloadFacts<'_>, controller: &Controller<'_>, current: CurrentHash<'_>) -> bool {
    let CurrentHash::Hash(hash) = current else { return false };
    let there: u32 = facts.active_pods(hash).map(|pod| pod.count).sum();
    there < controller.replicas.wanted && (there == 0 || is_first_template(facts, current))
}

/// Whether the current template's rollout seems to have run without a pause until now, judging by its pods. Each was
/// created soon after the previous one was created or became Ready, and one is missing or was never Ready.
///
/// A pod that was created later belongs to a scaling or replaces another pod. It says nothing about the rollout (rows
/// 28 and 41). `None` if it is not known when the template came.
fn has_not_ended(
    facts: &WorkloadFacts<'_>,
    controller: &Controller<'_>,
    current: CurrentHash<'_>,
    missing: bool,
    now: UnixTime,
) -> Option<bool> {
    let template = current.template(facts)?;
    let started = of_object(facts, template).max(controller.created)?;
    let mut pods: Vec<&PodFacts<'_>> = facts.active_pods(template.hash).collect();
    if pods.is_empty() && controller.unedited && controller.replicas.available == 0 {
        return Some(true);
    }
    pods.sort_by_key(|pod| pod.created);
    let mut last = started;
    for pod in pods {
        let created = pod.created.unwrap_or(last);
        if created > last.plus(PAUSE) {
            return Some(false);
        }
        if pod.never_ready > 0 {
            return Some(true);
        }
        last = last.max(created).max(pod.ready_since.unwrap_or(created));
    }
    Some(missing && now <= last.plus(PAUSE))
}

/// Seconds in which an unblocked controller creates the next pod, even with a slow API server.
const PAUSE: u32 = 60;

/// Whether the workload never had another template, according to its history.
fn is_first_template(facts: &WorkloadFacts<'_>, current: CurrentHash<'_>) -> bool {
    current.template(facts).is_none_or(|template| is_first(facts, template))
}

/// Whether `template` was the workload's first. A history may be truncated; revision numbers begin at 1.
pub(super) fn is_first(facts: &WorkloadFacts<'_>, template: &TemplateFacts<'_>) -> bool {
    let is_older =
        |other: &TemplateFacts<'_>| other.owned && other.created.is_some() && other.created < template.created;
    template.revision.is_none_or(|revision| revision <= 1) && !facts.templates.iter().any(is_older)
}
