//! Writes the status of a Deployment.

use super::cluster::Cluster;
use super::conditions::{Conditions, condition, progressing};
use super::deployment::Rollout;
use super::sets::{self, DEPLOYMENT, REPLICA_FAILURE, Set, sum};
use crate::time::Time;
use k8s_openapi::api::apps::v1::DeploymentStatus;
use serde_json::Value;

/// Whether all replicas have the current template and are available.
pub(super) fn is_complete(rollout: &Rollout<'_>) -> bool {
    let status = counts(rollout);
    let observed = rollout.object["status"]["observedGeneration"].as_i64().unwrap_or(0) >= rollout.generation;
    observed && has_all(rollout, &status)
}

fn has_all(rollout: &Rollout<'_>, status: &DeploymentStatus) -> bool {
    let wanted = Some(rollout.replicas());
    let zero = |count: Option<i32>| Some(count.unwrap_or(0));
    zero(status.updated_replicas) == wanted
        && zero(status.replicas) == wanted
        && zero(status.available_replicas) == wanted
}

fn counts(rollout: &Rollout<'_>) -> DeploymentStatus {
    let some = |count: i32| (count > 0).then_some(count);
    let sets = &rollout.sets;
    let available = sum(sets, Set::available);
    DeploymentStatus {
        observed_generation: Some(rollout.generation),
        replicas: some(sum(sets, Set::actual)),
        updated_replicas: some(rollout.current_set().map_or(0, Set::actual)),
        ready_replicas: some(sum(sets, Set::ready)),
        available_replicas: some(available),
        unavailable_replicas: some(sum(sets, Set::wanted) - available),
        terminating_replicas: Some(sum(sets, Set::terminating)),
        ..DeploymentStatus::default()
    }
}

/// Writes the status. The condition `Progressing` reports the rollout, unless it is held up.
pub(super) fn write(cluster: &mut Cluster, rollout: &Rollout<'_>, judged: bool) {
    let mut status = counts(rollout);
    let mut conditions = rollout.conditions.clone();
    let minimum = rollout.replicas() - rollout.surge_and_unavailable().1;
    conditions.set(if status.available_replicas.unwrap_or(0) >= minimum {
        condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        condition("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    });
    let deadline = rollout.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX);
    if deadline.is_none() {
        conditions.remove("Progressing");
    } else if judged {
        judge(cluster, rollout, &status, &mut conditions);
    }
    if judged {
        conditions.set_or_remove(REPLICA_FAILURE, sets::failure(&rollout.sets, rollout.current));
    }
    status.conditions = Some(conditions.list().to_vec());
    let mut status = serde_json::to_value(status).unwrap_or_default();
    let collisions = &rollout.object["status"]["collisionCount"];
    if !collisions.is_null() {
        status["collisionCount"] = collisions.clone();
    }
    put(cluster, rollout, &status);
}

fn judge(cluster: &mut Cluster, rollout: &Rollout<'_>, status: &DeploymentStatus, conditions: &mut Conditions) {
    let is_over = conditions.reason("Progressing") == Some("NewReplicaSetAvailable");
    if is_over && status.replicas == status.updated_replicas {
        return;
    }
    let set = rollout.current_set().map_or(rollout.key.name.as_str(), |set| set.key.name.as_str());
    if has_all(rollout, status) {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        conditions.set(progressing("True", "NewReplicaSetAvailable", &message));
    } else if has_progressed(rollout, status) {
        let message = format!("ReplicaSet \"{set}\" is progressing.");
        conditions.replace(progressing("True", "ReplicaSetUpdated", &message));
    } else if let Some(deadline) = deadline(rollout, conditions) {
        if deadline < cluster.now {
            let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
            conditions.set(progressing("False", "ProgressDeadlineExceeded", &message));
        } else {
            cluster.wake(rollout.key, deadline.plus(1));
        }
        return;
    }
    if let Some(deadline) = deadline(rollout, conditions) {
        cluster.wake(rollout.key, deadline.plus(1));
    }
}

/// Deadline for the next progress; `None` if no progress is expected.
fn deadline(rollout: &Rollout<'_>, conditions: &Conditions) -> Option<Time> {
    if matches!(conditions.reason("Progressing")?, "NewReplicaSetAvailable" | "ProgressDeadlineExceeded") {
        return None;
    }
    let seconds = rollout.spec.progress_deadline_seconds.and_then(|seconds| u32::try_from(seconds).ok())?;
    Some(conditions.updated("Progressing")?.plus(seconds))
}

/// Whether there are more new, fewer old or more available pods than in the status.
fn has_progressed(rollout: &Rollout<'_>, status: &DeploymentStatus) -> bool {
    let before = |field: &str| rollout.object["status"][field].as_i64().unwrap_or(0);
    let now = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let old_before = before("replicas") - before("updatedReplicas");
    now(status.updated_replicas) > before("updatedReplicas")
        || now(status.replicas) - now(status.updated_replicas) < old_before
        || now(status.ready_replicas) > before("readyReplicas")
        || now(status.available_replicas) > before("availableReplicas")
}

/// Writes only the conditions.
pub(super) fn write_conditions(cluster: &mut Cluster, rollout: &Rollout<'_>) {
    let mut status = rollout.object["status"].clone();
    status["conditions"] = serde_json::to_value(rollout.conditions.list()).unwrap_or_default();
    put(cluster, rollout, &status);
}

fn put(cluster: &mut Cluster, rollout: &Rollout<'_>, status: &Value) {
    if rollout.object["status"] != *status {
        cluster.change_status(rollout.key, DEPLOYMENT.manager, |object| object["status"] = status.clone());
    }
}
