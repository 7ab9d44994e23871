//! The families about rollouts: state, what they wait for, and how past ones ended.

use super::family::{Family, FamilyScope};
use crate::report::RolloutCounts;

pub(super) const AGE: Family = Family {
    name: "podskew_rollout_age_seconds",
    help: "Seconds since the rollout in progress began; 0 without one.",
    labels: &[],
    pod_labels: false,
    sparse: false,
    example: "max by (cluster, namespace, workload_type, workload) (podskew_rollout_age_seconds) > 3600",
    series: "1 per workload of a type that has rollouts",
    subject: FamilyScope::Workload(|report, rows| {
        report.rollout.iter().for_each(|rollout| rows.age(&[], rollout.started));
    }),
};

pub(super) const STATE: Family = Family {
    name: "podskew_rollout_state",
    help: "State of a workload's rollout: complete, progressing, stalled, paused, partitioned, on_delete, canary or \
           blue_green; always 1.",
    labels: &["state"],
    pod_labels: false,
    sparse: false,
    example: "max by (cluster, namespace, workload_type, workload) (podskew_rollout_state{state=\"stalled\"})",
    series: "1 per workload of a type that has rollouts",
    subject: FamilyScope::Workload(|report, rows| {
        report.rollout.iter().for_each(|rollout| rows.value(&[rollout.state.as_str()], 1));
    }),
};

pub(super) const BLOCKED_PODS: Family = Family {
    name: "podskew_rollout_blocked_pods",
    help: "Number of pods of the current template hash that a rollout in progress waits for, by reason: a reason \
           that the API server reports, or init_container_failed, not_ready, not_created or other.",
    labels: &["reason"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload_type, workload, reason) (podskew_rollout_blocked_pods) > 0",
    series: "1 per rollout in progress and reason; usually none",
    subject: FamilyScope::Workload(|report, rows| {
        for blocked in &report.blocked {
            rows.value(&[blocked.reason.as_str()], blocked.pods);
        }
    }),
};

pub(super) const BLOCKING_POD: Family = Family {
    name: "podskew_blocking_pod_info",
    help: "The pod that a StatefulSet's rollout waits for: with pod management OrderedReady, the first one that is \
           not Ready; always 1.",
    labels: &["pod", "pod_template_hash"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload, pod) (min_over_time(podskew_blocking_pod_info[10m]))",
    series: "1 per StatefulSet whose rollout waits for a pod; usually none",
    subject: FamilyScope::Workload(|report, rows| {
        let pod = report.blocking_pod.and_then(|at| report.pods.get(at as usize));
        if let Some(pod) = pod {
            rows.value(&[&pod.pod, &pod.hash], 1);
        }
    }),
};

pub(super) const ROLLBACK_TARGET: Family = Family {
    name: "podskew_rollback_target_info",
    help: "The revision to which a rollout in progress or stalled can go back: another revision that is known to \
           have worked; always 1.",
    labels: &["pod_template_hash", "revision"],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload_type, workload) (podskew_rollout_state{state=\"stalled\"}) \
              unless max by (cluster, namespace, workload_type, workload) (podskew_rollback_target_info)",
    series: "1 per rollout in progress that can go back",
    subject: FamilyScope::Workload(|report, rows| {
        if let Some(target) = &report.rollback_target {
            rows.value(&[&target.hash, &target.revision.to_string()], 1);
        }
    }),
};

pub(super) const UPDATE_HOLD: Family = Family {
    name: "podskew_update_hold_info",
    help: "The setting that keeps a change of the template from reaching all pods by itself: paused, on_delete or \
           partition; always 1.",
    labels: &["hold"],
    pod_labels: false,
    sparse: true,
    example: "count by (cluster, hold) (max by (cluster, namespace, workload_type, workload, hold) (podskew_update_hold_info))",
    series: "1 per workload with such a setting; usually none",
    subject: FamilyScope::Workload(|report, rows| {
        if let Some(hold) = report.update_hold {
            rows.value(&[hold.as_str()], 1);
        }
    }),
};

pub(super) const LAST_DURATION: Family = Family {
    name: "podskew_last_rollout_duration_seconds",
    help: "Duration of the last completed rollout. A Deployment's objects record it, except after a change back to \
           an older template or with strategy Recreate. For other workloads, podskew knows it only if it saw the \
           rollout complete.",
    labels: &[],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload_type, workload) (podskew_last_rollout_duration_seconds) > 1800",
    series: "1 per workload whose last rollout is known",
    subject: FamilyScope::Workload(|report, rows| {
        if let Some(seconds) = report.last_rollout.and_then(|last| last.duration) {
            rows.value(&[], seconds);
        }
    }),
};

pub(super) const LAST_HELD: Family = Family {
    name: "podskew_last_rollout_held_seconds",
    help: "Seconds for which the last completed rollout was held on purpose: paused, partitioned, on_delete, canary \
           or blue_green. Only if podskew saw it.",
    labels: &[],
    pod_labels: false,
    sparse: true,
    example: "max by (cluster, namespace, workload) (podskew_last_rollout_duration_seconds) \
              - max by (cluster, namespace, workload) (podskew_last_rollout_held_seconds)",
    series: "1 per workload whose last rollout podskew saw complete",
    subject: FamilyScope::Workload(|report, rows| {
        if let Some(seconds) = report.last_rollout.and_then(|last| last.held) {
            rows.value(&[], seconds);
        }
    }),
};

pub(super) const LAST_COMPLETED: Family = Family {
    name: "podskew_last_rollout_completed_timestamp_seconds",
    help: "Time at which the last rollout completed, in seconds since 1970.",
    labels: &[],
    pod_labels: false,
    sparse: true,
    example: "time() - max by (cluster, namespace, workload_type, workload) (podskew_last_rollout_completed_timestamp_seconds)",
    series: "1 per workload whose last rollout is known",
    subject: FamilyScope::Workload(|report, rows| {
        report.last_rollout.iter().for_each(|last| rows.value(&[], last.completed.seconds()));
    }),
};

pub(super) const ENDED: Family = Family {
    name: "podskew_rollouts_total",
    help: "Rollouts that ended while podskew watched, by outcome: completed, superseded (another template came \
           before the rollout completed) or undone (changed back to an older template).",
    labels: &["outcome"],
    pod_labels: false,
    sparse: false,
    example: "max by (cluster, namespace, workload) (increase(podskew_rollouts_total{outcome=\"completed\"}[7d]))",
    series: "3 per workload of a type that has rollouts",
    subject: FamilyScope::Workload(|report, rows| {
        if let Some(RolloutCounts { completed, superseded, undone }) = &report.rollouts {
            rows.value(&["completed"], *completed);
            rows.value(&["superseded"], *superseded);
            rows.value(&["undone"], *undone);
        }
    }),
};
