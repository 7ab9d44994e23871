//! The ReplicaSet controller: as many pods as wanted.

use super::cluster::Cluster;
use super::index::{Key, PodFacts};
use super::pods::{self, CONTROLLER_MANAGER, PodName};
use super::sets::replica_set_status;
use crate::time::Time;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;

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
    let status = replica_set_status(&set, &pods, cluster.now);
    let status = serde_json::to_value(status).unwrap_or_default();
    if set.metadata.deletion_timestamp.is_none() {
        manage(cluster, (key, &object), &set, pods);
    }
    if object["status"] != status {
        cluster.change_status(key, CONTROLLER_MANAGER, |object| object["status"] = status.clone());
    }
}

/// Lets an owner look again when its next pod has been Ready for long enough.
pub(super) fn wake_when_available(cluster: &mut Cluster, key: &Key, pods: &[(Key, PodFacts)], min_ready: i32) {
    let now = cluster.now;
    let at = pods.iter().filter_map(|(_, pod)| pod.available_at(min_ready)).filter(|at| *at > now).min();
    if let Some(at) = at {
        cluster.wake(key, at);
    }
}

/// Creates what is missing, or deletes what is too much.
fn manage(cluster: &mut Cluster, owner: (&Key, &Value), set: &ReplicaSet, pods: Vec<(Key, PodFacts)>) {
    let (key, object) = owner;
    let wanted = set.spec.replicas.unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let mut active: Vec<(Key, PodFacts)> = pods.into_iter().filter(|(_, pod)| pod.is_active()).collect();
    for _ in active.len()..wanted {
        let prefix = format!("{}-", key.name);
        pods::create(cluster, owner, &object["spec"]["template"], PodName::Generated(&prefix), |_| {});
    }
    if active.len() > wanted {
        let ranks = node_ranks(cluster, set);
        active.sort_by_key(|(key, pod)| (deletion_rank(pod, &ranks), key.clone()));
        for (key, _) in &active[..active.len() - wanted] {
            cluster.delete(key);
        }
    }
}

/// How many pods of the same Deployment each node has: of two pods on one node, one goes first.
fn node_ranks(cluster: &Cluster, set: &ReplicaSet) -> HashMap<String, u32> {
    let owners = set.metadata.owner_references.iter().flatten();
    let sets = owners.flat_map(|owner| cluster.index.owned(&owner.uid, crate::Resource::ReplicaSets));
    let mut uids: Vec<String> = sets.filter_map(|key| Some(cluster.index.get(&key)?.uid.clone())).collect();
    if uids.is_empty() {
        uids.extend(set.metadata.uid.clone());
    }
    let mut ranks = HashMap::new();
    for (_, pod) in uids.iter().flat_map(|uid| cluster.index.pods(uid)).filter(|(_, pod)| pod.is_active()) {
        *ranks.entry(pod.node).or_default() += 1;
    }
    ranks
}

/// Pods of a smaller rank are deleted first: those without a node, those that do not run, those that are not Ready, the
/// cheap ones, those that share their node, those Ready for a shorter time, those that restarted, the young ones.
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
