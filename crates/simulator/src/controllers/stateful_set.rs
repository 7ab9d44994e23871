//! The StatefulSet controller: numbered pods, one after the other.

use super::cluster::{Cluster, typed};
use super::index::{Key, Phase, PodFacts};
use super::pods::{self, CONTROLLER_MANAGER, PodName};
use super::replica_set::wake_when_available;
use super::revisions::{self, Revision};
use super::sets::{MOST_REPLICAS, resolve};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// A StatefulSet that is being reconciled.
struct Roll<'a> {
    key: &'a Key,
    object: Value,
    spec: StatefulSetSpec,
    /// The revision of pods below the partition.
    current: Revision,
    /// The revision of the template.
    update: Revision,
    /// By ordinal.
    pods: BTreeMap<i32, (Key, Arc<PodFacts>)>,
}

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(object) = cluster.get(key) else {
        return;
    };
    let Some(set) = typed::<StatefulSet>(&object) else {
        return;
    };
    let (Some(uid), None) = (set.metadata.uid.as_deref(), set.metadata.deletion_timestamp.as_ref()) else {
        return;
    };
    let mut revisions = revisions::of_owner(cluster, uid);
    let is_observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let first = object["status"]["updateRevision"].as_str().filter(|_| is_observed);
    let first = first.and_then(|name| name.strip_prefix(&key.name)?.strip_prefix('-'));
    let Some(update) = revisions::current(cluster, (key, &object), &mut revisions, (HASH_LABEL, first)) else {
        return;
    };
    let known = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
    let current = revisions.iter().find(|revision| Some(revision.name()) == known).unwrap_or(&update).clone();
    let own = cluster.index.pods(uid);
    wake_when_available(cluster, key, &own, set.spec.min_ready_seconds.unwrap_or(0));
    let ordinal =
        |key: &Key, set: &Key| -> Option<i32> { key.name.strip_prefix(&set.name)?.strip_prefix('-')?.parse().ok() };
    let pods = own.into_iter().filter_map(|(pod, facts)| Some((ordinal(&pod, key)?, (pod, facts)))).collect();
    let roll = Roll { key, object, spec: set.spec, current, update, pods };
    let status = roll.status(cluster, set.metadata.generation, set.status.as_ref());
    roll.manage(cluster);
    let mut used: BTreeSet<&str> = roll.pods.values().map(|(_, pod)| pod.revision.as_str()).collect();
    used.extend([roll.current.name(), roll.update.name()]);
    revisions::clean_up(cluster, &revisions, &used, roll.spec.revision_history_limit);
    let status = serde_json::to_value(status).unwrap_or_default();
    if roll.object["status"] != status {
        cluster.change_status(key, CONTROLLER_MANAGER, |object| object["status"] = status.clone());
    }
}

impl Roll<'_> {
    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1).min(MOST_REPLICAS)
    }

    /// Ordinals of the wanted pods.
    fn ordinals(&self) -> std::ops::Range<i32> {
        let start = self.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        start..start.saturating_add(self.replicas())
    }

    fn is_on_delete(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
        strategy == Some("OnDelete")
    }

    /// Pods with a smaller ordinal keep the current revision.
    fn first_updated(&self) -> i32 {
        let rolling = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
        self.ordinals().start + if self.is_on_delete() { 0 } else { partition }
    }

    fn is_ordered(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    fn is_available(&self, cluster: &Cluster, pod: &PodFacts) -> bool {
        let min_ready = self.spec.min_ready_seconds.unwrap_or(0);
        let ready = pod.available_at(min_ready).is_some_and(|at| at <= cluster.now);
        ready && pod.phase == Phase::Running && !pod.is_terminating
    }

    fn status(
        &self,
        cluster: &Cluster,
        generation: Option<i64>,
        before: Option<&StatefulSetStatus>,
    ) -> StatefulSetStatus {
        let count = |what: &dyn Fn(&PodFacts) -> bool| {
            let pods = self.pods.values().filter(|(_, pod)| what(pod));
            i32::try_from(pods.count()).unwrap_or(i32::MAX)
        };
        let some = |count: i32| (count > 0).then_some(count);
        let is_of = |pod: &PodFacts, revision: &Revision| {
            !pod.is_terminating && pod.phase != Phase::Finished && pod.revision == revision.name()
        };
        let replicas = count(&|_| true);
        let ready = count(&|pod| pod.phase == Phase::Running && pod.is_ready());
        let updated = count(&|pod| is_of(pod, &self.update));
        let mut status = StatefulSetStatus {
            observed_generation: generation,
            replicas,
            ready_replicas: some(ready),
            available_replicas: Some(count(&|pod| self.is_available(cluster, pod))),
            current_replicas: some(count(&|pod| is_of(pod, &self.current))),
            updated_replicas: some(updated),
            current_revision: Some(self.current.name().to_owned()),
            update_revision: Some(self.update.name().to_owned()),
            collision_count: Some(before.and_then(|status| status.collision_count).unwrap_or(0)),
            conditions: before.and_then(|status| status.conditions.clone()),
        };
        let wanted = self.replicas();
        if !self.is_on_delete() && (updated, ready, replicas) == (wanted, wanted, wanted) {
            // The update is complete.
            status.current_replicas = status.updated_replicas;
            status.current_revision.clone_from(&status.update_revision);
        }
        status
    }

    /// Creates, deletes and replaces pods: one at a time unless the policy is `Parallel`.
    fn manage(&self, cluster: &mut Cluster) {
        for ordinal in self.ordinals() {
            let Some((pod, facts)) = self.pods.get(&ordinal) else {
                if !cluster.is_within_burst(self.key) {
                    return;
                }
                if self.create(cluster, ordinal).is_err() {
                    return pods::try_again(cluster, self.key);
                }
                if self.is_ordered() {
                    return;
                }
                continue;
            };
            if facts.phase == Phase::Finished && !facts.is_terminating {
                cluster.delete(pod);
                return;
            }
            // A pod that does not become available blocks all following ones, and its own replacement. In Kubernetes the
            // remedy, a "forced rollback", is to delete it by hand.
            if self.is_ordered() && !self.is_available(cluster, facts) {
                return;
            }
        }
        for (ordinal, (pod, facts)) in self.pods.iter().rev() {
            if self.ordinals().contains(ordinal) {
                continue;
            }
            if !facts.is_terminating {
                if !cluster.is_within_burst(self.key) {
                    return;
                }
                cluster.delete(pod);
            }
            if self.is_ordered() {
                return;
            }
        }
        if !self.is_on_delete() {
            self.update(cluster);
        }
    }

    /// Deletes pods of another revision, from the highest ordinal down to the partition.
    fn update(&self, cluster: &mut Cluster) {
        let wanted = || self.ordinals().filter_map(|ordinal| self.pods.get(&ordinal));
        let rolling = self.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let limit = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let limit = limit.map_or(1, |limit| resolve(Some(limit), "", self.replicas(), true).max(1));
        let missing = wanted().filter(|(_, pod)| !self.is_available(cluster, pod)).count();
        let mut left = usize::try_from(limit).unwrap_or(1).saturating_sub(missing);
        for ordinal in self.ordinals().rev().take_while(|ordinal| *ordinal >= self.first_updated()) {
            let Some((pod, facts)) = self.pods.get(&ordinal) else {
                continue;
            };
            if left > 0 && facts.revision != self.update.name() && !facts.is_terminating {
                cluster.delete(pod);
                left -= 1;
            }
        }
    }

    fn create(&self, cluster: &mut Cluster, ordinal: i32) -> Result<(), String> {
        let revision = if ordinal < self.first_updated() { &self.current } else { &self.update };
        let name = format!("{}-{ordinal}", self.key.name);
        let mut template = revision.template().clone();
        if let Some(template) = template.as_object_mut() {
            template.remove("$patch");
        }
        pods::create(cluster, (self.key, &self.object), &template, PodName::Exactly(&name), |pod| {
            let labels = &mut pod["metadata"]["labels"];
            labels["controller-revision-hash"] = revision.name().into();
            labels["statefulset.kubernetes.io/pod-name"] = name.as_str().into();
            labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
            pod["spec"]["hostname"] = name.as_str().into();
            if let Some(service) = &self.spec.service_name {
                pod["spec"]["subdomain"] = service.as_str().into();
            }
        })
    }
}
