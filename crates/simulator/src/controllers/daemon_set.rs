//! The DaemonSet controller: one pod on each node.

use super::cluster::{Cluster, typed};
use super::index::{Key, Phase, PodFacts};
use super::pods::{self, CONTROLLER_MANAGER, PodName};
use super::replica_set::wake_when_available;
use super::revisions::{self, Revision};
use super::sets::resolve;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HASH_LABEL: &str = "controller-revision-hash";

/// A DaemonSet that is being reconciled.
struct Roll<'a> {
    key: &'a Key,
    object: Value,
    set: DaemonSet,
    update: Revision,
    nodes: BTreeSet<String>,
    /// By node.
    pods: BTreeMap<String, Vec<(Key, Arc<PodFacts>)>>,
}

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(object) = cluster.get(key) else {
        return;
    };
    let Some(set) = typed::<DaemonSet>(&object) else {
        return;
    };
    let (Some(uid), None) = (set.metadata.uid.as_deref(), set.metadata.deletion_timestamp.as_ref()) else {
        return;
    };
    let mut revisions = revisions::of_owner(cluster, uid);
    let own = cluster.index.pods(uid);
    let is_observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let youngest = own.iter().max_by_key(|(_, pod)| pod.created).map(|(_, pod)| pod.revision.clone());
    let first = youngest.filter(|hash| is_observed && !hash.is_empty());
    let naming = (HASH_LABEL, first.as_deref());
    let Some(update) = revisions::current(cluster, (key, &object), &mut revisions, naming) else {
        return;
    };
    wake_when_available(cluster, key, &own, set.spec.min_ready_seconds.unwrap_or(0));
    let mut pods: BTreeMap<String, Vec<(Key, Arc<PodFacts>)>> = BTreeMap::new();
    for (pod, facts) in own {
        let node = if facts.node.is_empty() { wanted_node(cluster, &pod) } else { facts.node.clone() };
        pods.entry(node).or_default().push((pod, facts));
    }
    let nodes = cluster.daemon_nodes.get(uid).unwrap_or(&cluster.nodes).clone();
    let limit = set.spec.revision_history_limit;
    let roll = Roll { key, object, set, update, nodes, pods };
    let status = roll.status(cluster);
    roll.manage(cluster);
    let mut used: BTreeSet<&str> = roll.pods.values().flatten().map(|(_, pod)| pod.revision.as_str()).collect();
    used.insert(roll.update.hash());
    revisions::clean_up(cluster, &revisions, &used, limit);
    let status = serde_json::to_value(status).unwrap_or_default();
    if roll.object["status"] != status {
        cluster.change_status(key, CONTROLLER_MANAGER, |object| object["status"] = status.clone());
    }
}

/// The node that a pod was created for, before it is scheduled.
fn wanted_node(cluster: &Cluster, key: &Key) -> String {
    let pod = cluster.get(key).unwrap_or_default();
    super::scheduler::demanded_node(&pod).unwrap_or_default()
}

impl Roll<'_> {
    fn is_available(&self, cluster: &Cluster, pod: &PodFacts) -> bool {
        let min_ready = self.set.spec.min_ready_seconds.unwrap_or(0);
        pod.is_active() && pod.available_at(min_ready).is_some_and(|at| at <= cluster.now)
    }

    /// How many pods may be unavailable, and how many new pods may run beside old ones.
    fn unavailable_and_surge(&self) -> (usize, usize) {
        let strategy = self.set.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let nodes = i32::try_from(self.nodes.len()).unwrap_or(i32::MAX);
        let count = |value, default| usize::try_from(value).ok().filter(|_| rolling.is_some()).unwrap_or(default);
        let surge = count(resolve(rolling.and_then(|rolling| rolling.max_surge.as_ref()), "0", nodes, true), 0);
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let unavailable = unavailable.map_or(1, |value| count(resolve(Some(value), "", nodes, true), 1));
        (if surge == 0 { unavailable.max(1) } else { unavailable }, surge)
    }

    fn status(&self, cluster: &Cluster) -> DaemonSetStatus {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let some = |count: i32| (count > 0).then_some(count);
        // If a node has several pods, the oldest counts.
        let oldest: Vec<&PodFacts> = self
            .nodes
            .iter()
            .filter_map(|node| self.pods.get(node)?.iter().min_by_key(|(_, pod)| pod.created))
            .map(|(_, pod)| &**pod)
            .collect();
        let count = |what: &dyn Fn(&PodFacts) -> bool| number(oldest.iter().filter(|pod| what(pod)).count());
        let desired = number(self.nodes.len());
        let available = count(&|pod| self.is_available(cluster, pod));
        let before = self.set.status.as_ref();
        let misscheduled = self.pods.keys().filter(|node| !node.is_empty() && !self.nodes.contains(*node));
        DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            desired_number_scheduled: desired,
            current_number_scheduled: number(oldest.len()),
            number_misscheduled: number(misscheduled.count()),
            number_ready: count(&|pod| pod.is_ready() && pod.is_active()),
            updated_number_scheduled: some(count(&|pod| pod.revision == self.update.hash())),
            number_available: some(available),
            number_unavailable: some(desired - available),
            collision_count: before.and_then(|status| status.collision_count),
            conditions: before.and_then(|status| status.conditions.clone()),
        }
    }

    fn manage(&self, cluster: &mut Cluster) {
        for node in &self.nodes {
            let pods = self.pods.get(node).map_or(&[][..], Vec::as_slice);
            for (pod, facts) in pods.iter().filter(|(_, facts)| facts.phase == Phase::Finished) {
                if !facts.is_terminating {
                    cluster.delete(pod);
                }
            }
            if pods.is_empty() {
                self.create(cluster, node);
            }
        }
        let strategy = self.set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        if strategy != Some("OnDelete") {
            self.update(cluster);
        }
    }

    /// Replaces pods of older revisions: unavailable ones, and as many others as `maxUnavailable` allows.
    fn update(&self, cluster: &mut Cluster) {
        let (limit, surge) = self.unavailable_and_surge();
        let mut missing = 0;
        let mut surging = 0;
        let (mut at_once, mut candidates) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            let pods = self.pods.get(node).map_or(&[][..], Vec::as_slice);
            let new = pods.iter().find(|(_, pod)| pod.revision == self.update.hash() && !pod.is_terminating);
            let old = pods.iter().find(|(_, pod)| pod.revision != self.update.hash());
            match (new, old) {
                (Some((_, new)), Some((old, facts))) if surge > 0 => {
                    // The old pod stays until the new one is available.
                    if self.is_available(cluster, new) && !facts.is_terminating {
                        cluster.delete(old);
                    }
                    surging += 1;
                }
                (Some((_, new)), _) => missing += usize::from(!self.is_available(cluster, new)),
                (None, Some((_, old))) if old.is_terminating => missing += 1,
                (None, Some((old, facts))) if !self.is_available(cluster, facts) => {
                    missing += 1;
                    at_once.push((node, old));
                }
                (None, Some((old, _))) => candidates.push((node, old)),
                (None, None) => missing += 1,
            }
        }
        if surge > 0 {
            let room = surge.saturating_sub(surging);
            for (node, _) in at_once.into_iter().chain(candidates).take(room) {
                self.create(cluster, node);
            }
            return;
        }
        let room = limit.saturating_sub(missing);
        for (_, pod) in at_once.into_iter().chain(candidates.into_iter().take(room)) {
            cluster.delete(pod);
        }
    }

    fn create(&self, cluster: &mut Cluster, node: &str) {
        let prefix = format!("{}-", self.key.name);
        let template = &self.object["spec"]["template"];
        let created = pods::create(cluster, (self.key, &self.object), template, PodName::Generated(&prefix), |pod| {
            pod["metadata"]["labels"][HASH_LABEL] = self.update.hash().into();
            let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]);
            pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                json!({"nodeSelectorTerms": terms});
        });
        if created.is_err() {
            pods::try_again(cluster, self.key);
        }
    }
}
