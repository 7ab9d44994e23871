//! The ReplicaSet controller: keeps the wanted number of pods.

use super::cluster::Cluster;
use super::index::{Key, PodFacts};
use super::pods::{self, CONTROLLER_MANAGER, PodName};
use super::sets::{REPLICA_FAILURE, meta_time, replica_set_status};
use crate::time::Time;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(object) = cluster.get(key) else {
        return;
    };
    let Some(set) = super::cluster::typed::<ReplicaSet>(&object) else {
        return;
    };
    let Some(uid) = set.metadata.uid.as_deref() else {
        return;
    };
    let pods = cluster.index.pods(uid);
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    wake_when_available(cluster, key, &pods, min_ready);
    let mut status = replica_set_status(&set, &pods, cluster.now);
    if set.metadata.deletion_timestamp.is_none() {
        let managed = manage(cluster, (key, &object), &set, &pods);
        note_failure(cluster.now, &mut status, managed);
    }
    let status = serde_json::to_value(status).unwrap_or_default();
    if object["status"] != status {
        cluster.change_status(key, CONTROLLER_MANAGER, |object| object["status"] = status.clone());
    }
}

/// Reconciles an owner again when its next pod has been Ready for long enough.
pub(super) fn wake_when_available(cluster: &mut Cluster, key: &Key, pods: &[(Key, Arc<PodFacts>)], min_ready: i32) {
    let now = cluster.now;
    let at = pods.iter().filter_map(|(_, pod)| pod.available_at(min_ready)).filter(|at| *at > now).min();
    if let Some(at) = at {
        cluster.wake(key, at);
    }
}

/// Sets `ReplicaFailure` if a pod was refused, else removes it. An existing condition keeps its message.
fn note_failure(now: Time, status: &mut ReplicaSetStatus, managed: Result<(), String>) {
    let mut conditions = status.conditions.take().unwrap_or_default();
    let is_failure = |condition: &ReplicaSetCondition| condition.type_.as_deref() == Some(REPLICA_FAILURE);
    let is_known = conditions.iter().any(is_failure);
    match managed {
        Err(message) if !is_known => conditions.push(ReplicaSetCondition {
            type_: Some(REPLICA_FAILURE.to_owned()),
            status: Some("True".to_owned()),
            reason: Some("FailedCreate".to_owned()),
            message: Some(message),
            last_transition_time: Some(meta_time(now)),
        }),
        Ok(()) => conditions.retain(|condition| !is_failure(condition)),
        Err(_) => {}
    }
    status.conditions = (!conditions.is_empty()).then_some(conditions);
}

/// Creates missing pods or deletes surplus ones, within the limit of the owner for this tick.
fn manage(
    cluster: &mut Cluster,
    owner: (&Key, &Value),
    set: &ReplicaSet,
    pods: &[(Key, Arc<PodFacts>)],
) -> Result<(), String> {
    let (key, object) = owner;
    let wanted = set.spec.replicas.unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let mut active: Vec<&(Key, Arc<PodFacts>)> = pods.iter().filter(|(_, pod)| pod.is_active()).collect();
    for _ in active.len()..wanted {
        if !cluster.is_within_burst(key) {
            break;
        }
        let prefix = format!("{}-", key.name);
        let created = pods::create(cluster, owner, &object["spec"]["template"], PodName::Generated(&prefix), |_| {});
        created.inspect_err(|_| pods::try_again(cluster, key))?;
    }
    // Does not sort when the limit of this tick is reached.
    if active.len() > wanted && cluster.is_within_burst(key) {
        let ranks = node_ranks(cluster, set);
        active.sort_by_cached_key(|(key, pod)| (deletion_rank(pod, &ranks), key.clone()));
        for (pod, _) in &active[..active.len() - wanted] {
            cluster.delete(pod);
            if !cluster.is_within_burst(key) {
                break;
            }
        }
    }
    Ok(())
}

/// Number of pods of the same Deployment on each node: of two pods on one node, one is deleted first.
fn node_ranks(cluster: &Cluster, set: &ReplicaSet) -> HashMap<String, u32> {
    let owners = set.metadata.owner_references.iter().flatten();
    let sets = owners.flat_map(|owner| cluster.index.owned(&owner.uid, crate::Resource::ReplicaSets));
    let mut uids: Vec<String> = sets.filter_map(|key| Some(cluster.index.get(&key)?.uid.clone())).collect();
    if uids.is_empty() {
        uids.extend(set.metadata.uid.clone());
    }
    let mut ranks = HashMap::new();
    for (_, pod) in uids.iter().flat_map(|uid| cluster.index.pods(uid)).filter(|(_, pod)| pod.is_active()) {
        *ranks.entry(pod.node.clone()).or_default() += 1;
    }
    ranks
}

/// Pods of a smaller rank are deleted first: those without a node, those that do not run, those that are not Ready, those
/// with a lower deletion cost, those that share their node, those Ready for a shorter time, those that restarted, the
/// younger ones.
fn deletion_rank(pod: &PodFacts, ranks: &HashMap<String, u32>) -> impl Ord + use<> {
    let ready = pod.ready_since.unwrap_or(Time::from_seconds(0));
    (
        (!pod.node.is_empty(), pod.phase, pod.is_ready(), pod.deletion_cost),
        (
            Reverse(ranks.get(&pod.node).copied().unwrap_or(0)),
            Reverse(ready),
            Reverse(pod.restarts),
            Reverse(pod.created),
        ),
    )
}
