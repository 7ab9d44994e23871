//! The Deployment controller, in the same steps as Kubernetes' own: each reconciliation scales at most one side.

use super::cluster::{Cluster, typed};
use super::conditions::{Conditions, progressing};
use super::deployment_status as status;
use super::index::Key;
use super::proportional;
use super::sets::{self, DEPLOYMENT, NewSet, Set, sum};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use serde_json::Value;
use std::collections::BTreeMap;

const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that a ReplicaSet does not inherit.
const OWN_ANNOTATIONS: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    DEPLOYMENT.revision,
    DEPLOYMENT.revision_history,
    DEPLOYMENT.desired_replicas,
    MAX_REPLICAS,
];

/// A Deployment that is being reconciled.
pub(super) struct Rollout<'a> {
    pub(super) key: &'a Key,
    pub(super) object: Value,
    pub(super) spec: DeploymentSpec,
    pub(super) generation: i64,
    /// Oldest first.
    pub(super) sets: Vec<Set>,
    /// Index of the ReplicaSet that has the template.
    pub(super) current: Option<usize>,
    pub(super) conditions: Conditions,
}

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(object) = cluster.get(key) else {
        return;
    };
    let Some(Deployment { metadata, spec, status }) = typed(&object) else {
        return;
    };
    let (Some(uid), None) = (metadata.uid.as_deref(), metadata.deletion_timestamp.as_ref()) else {
        return;
    };
    let sets = sets::of_owner(cluster, uid);
    let current = sets::current(&sets, &object["spec"]["template"], DEPLOYMENT);
    let conditions = Conditions::new(status.and_then(|status| status.conditions), cluster.now);
    let generation = metadata.generation.unwrap_or(0);
    let mut rollout = Rollout { key, object, spec, generation, sets, current, conditions };
    rollout.note_pause();
    if rollout.spec.paused == Some(true) {
        rollout.adopt(cluster);
        proportional::scale(cluster, &mut rollout);
        rollout.clean_up(cluster);
        status::write(cluster, &rollout, false);
    } else if rollout.is_scaled() {
        rollout.adopt(cluster);
        proportional::scale(cluster, &mut rollout);
        status::write(cluster, &rollout, false);
    } else if rollout.is_recreated() {
        rollout.recreate(cluster);
    } else {
        rollout.roll(cluster);
    }
}

impl Rollout<'_> {
    pub(super) fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1).min(sets::MOST_REPLICAS)
    }

    pub(super) fn is_recreated(&self) -> bool {
        self.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    /// How many pods more and how many fewer than wanted are allowed.
    pub(super) fn surge_and_unavailable(&self) -> (i32, i32) {
        let replicas = self.replicas();
        if self.is_recreated() || replicas == 0 {
            return (0, 0);
        }
        let limits = self.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = sets::resolve(limits.and_then(|limits| limits.max_surge.as_ref()), "25%", replicas, true);
        let unavailable =
            sets::resolve(limits.and_then(|limits| limits.max_unavailable.as_ref()), "25%", replicas, false);
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable.min(replicas) })
    }

    pub(super) fn current_set(&self) -> Option<&Set> {
        self.sets.get(self.current?)
    }

    fn is_old(&self, index: usize) -> bool {
        Some(index) != self.current
    }

    pub(super) fn old_sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter().enumerate().filter(|(index, _)| self.is_old(*index)).map(|(_, set)| set)
    }

    /// A pause is a separate condition, so that the deadline does not run during it.
    fn note_pause(&mut self) {
        let reason = self.conditions.reason("Progressing");
        if self.spec.progress_deadline_seconds.is_none() || reason == Some("ProgressDeadlineExceeded") {
            return;
        }
        let (was_paused, is_paused) = (reason == Some("DeploymentPaused"), self.spec.paused == Some(true));
        if is_paused && !was_paused {
            self.conditions.set(progressing("Unknown", "DeploymentPaused", "Deployment is paused"));
        } else if was_paused && !is_paused {
            self.conditions.set(progressing("Unknown", "DeploymentResumed", "Deployment is resumed"));
        }
    }

    /// Whether `spec.replicas` changed since its ReplicaSets were scaled last.
    fn is_scaled(&self) -> bool {
        let active = self.sets.iter().filter(|set| set.wanted() > 0);
        let mut desired = active.filter_map(|set| set.number(DEPLOYMENT.desired_replicas));
        desired.any(|desired| desired != i64::from(self.replicas()))
    }

    /// Gives the newest revision to the current ReplicaSet, if there is one.
    fn adopt(&mut self, cluster: &mut Cluster) {
        let Some(index) = self.current else {
            return;
        };
        let revision = self.next_revision();
        let mut annotations = self.inherited_annotations();
        annotations.extend(sets::revision_annotations(self.current_set(), revision, DEPLOYMENT));
        let set = &self.sets[index];
        if annotations.iter().any(|(name, value)| set.annotation(name) != Some(value)) {
            let replicas = set.wanted();
            sets::scale(cluster, set, replicas, &annotations, DEPLOYMENT);
            self.reread(cluster, index);
        }
        let number = self.sets[index].number(DEPLOYMENT.revision).unwrap_or(revision);
        self.note_revision(cluster, number);
        if self.conditions.reason("Progressing").is_none() && self.spec.progress_deadline_seconds.is_some() {
            let message = format!("Found new replica set \"{}\"", self.sets[index].key.name);
            self.conditions.set(progressing("True", "FoundNewReplicaSet", &message));
        }
    }

    /// Like [`Self::adopt`], but creates the ReplicaSet if there is none.
    fn adopt_or_create(&mut self, cluster: &mut Cluster) {
        if self.current.is_some() {
            return self.adopt(cluster);
        }
        let revision = self.next_revision();
        let mut annotations = self.inherited_annotations();
        annotations.insert(DEPLOYMENT.revision.to_owned(), revision.to_string());
        annotations.extend(self.replicas_annotations());
        let replicas = self.new_replicas(0);
        let template = &self.object["spec"]["template"];
        let owner = (self.key, &self.object);
        let new = NewSet { owner, template, replicas, annotations, conventions: DEPLOYMENT };
        let Some(name) = sets::create(cluster, &new) else {
            return;
        };
        let key = self.key.sibling(crate::Resource::ReplicaSets, &name);
        if let Some(object) = cluster.typed(&key) {
            self.sets.push(Set { key, object });
            self.current = Some(self.sets.len() - 1);
        }
        self.note_revision(cluster, revision);
        if self.spec.progress_deadline_seconds.is_some() {
            let message = format!("Created new replica set \"{name}\"");
            self.conditions.set(progressing("True", "NewReplicaSetCreated", &message));
        }
        // The controller writes this at once.
        status::write_conditions(cluster, self);
    }

    fn next_revision(&self) -> i64 {
        self.old_sets().filter_map(|set| set.number(DEPLOYMENT.revision)).max().unwrap_or(0) + 1
    }

    fn note_revision(&self, cluster: &mut Cluster, revision: i64) {
        if self.object["metadata"]["annotations"][DEPLOYMENT.revision].as_str() != Some(&revision.to_string()) {
            cluster.change(self.key, DEPLOYMENT.manager, |object| {
                object["metadata"]["annotations"][DEPLOYMENT.revision] = revision.to_string().into();
            });
        }
    }

    fn inherited_annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = super::index::labels(&self.object["metadata"]["annotations"]);
        annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
        annotations
    }

    /// Annotations from which the next reconciliation sees whether `spec.replicas` changed.
    pub(super) fn replicas_annotations(&self) -> BTreeMap<String, String> {
        let (surge, _) = self.surge_and_unavailable();
        let desired = (DEPLOYMENT.desired_replicas.to_owned(), self.replicas().to_string());
        BTreeMap::from([desired, (MAX_REPLICAS.to_owned(), (self.replicas() + surge).to_string())])
    }

    /// Maximum number of replicas in total when this ReplicaSet was last scaled.
    pub(super) fn max_replicas_before(set: &Set) -> Option<i64> {
        set.number(MAX_REPLICAS)
    }

    /// Scales a ReplicaSet; returns false if it has this size already.
    pub(super) fn scale(&mut self, cluster: &mut Cluster, index: usize, replicas: i32) -> bool {
        if self.sets[index].wanted() == replicas {
            return false;
        }
        sets::scale(cluster, &self.sets[index], replicas, &self.replicas_annotations(), DEPLOYMENT);
        self.reread(cluster, index);
        true
    }

    pub(super) fn reread(&mut self, cluster: &Cluster, index: usize) {
        if let Some(object) = cluster.typed(&self.sets[index].key) {
            self.sets[index].object = object;
        }
    }

    /// The next size of the current ReplicaSet, which has `wanted` replicas now.
    fn new_replicas(&self, wanted: i32) -> i32 {
        if self.is_recreated() {
            return self.replicas();
        }
        let room = self.replicas() + self.surge_and_unavailable().0 - sum(&self.sets, Set::wanted);
        if room <= 0 { wanted } else { wanted + room.min(self.replicas() - wanted) }
    }

    fn roll(&mut self, cluster: &mut Cluster) {
        self.adopt_or_create(cluster);
        let Some(current) = self.current else {
            return;
        };
        let wanted = self.sets[current].wanted();
        let target = if wanted > self.replicas() { self.replicas() } else { self.new_replicas(wanted) };
        if !self.scale(cluster, current, target) && !self.scale_down_old(cluster) && status::is_complete(self) {
            self.clean_up(cluster);
        }
        status::write(cluster, self, true);
    }

    fn scale_down_old(&mut self, cluster: &mut Cluster) -> bool {
        let (Some(current), (_, unavailable)) = (self.current_set(), self.surge_and_unavailable()) else {
            return false;
        };
        let minimum = self.replicas() - unavailable;
        let missing = current.wanted() - current.available();
        let may_go = sum(&self.sets, Set::wanted) - minimum - missing;
        if may_go <= 0 {
            return false;
        }
        // Pods that are not available are removed first: they serve nobody.
        let mut left = may_go;
        let mut scaled = false;
        for index in 0..self.sets.len() {
            let (wanted, available) = (self.sets[index].wanted(), self.sets[index].available());
            let count = (wanted - available).min(left);
            if self.is_old(index) && count > 0 {
                left -= count;
                scaled |= self.scale(cluster, index, wanted - count);
            }
        }
        let mut left = sum(&self.sets, Set::available) - minimum;
        for index in 0..self.sets.len() {
            let wanted = self.sets[index].wanted();
            let count = wanted.min(left);
            if self.is_old(index) && count > 0 {
                left -= count;
                scaled |= self.scale(cluster, index, wanted - count);
            }
        }
        scaled
    }

    fn recreate(&mut self, cluster: &mut Cluster) {
        self.adopt(cluster);
        let mut scaled = false;
        for index in 0..self.sets.len() {
            scaled |= self.is_old(index) && self.scale(cluster, index, 0);
        }
        let old_pods: i32 = self.old_sets().map(|set| set.actual() + set.terminating()).sum();
        if !scaled && old_pods == 0 {
            self.adopt_or_create(cluster);
            if let Some(current) = self.current {
                let replicas = self.replicas();
                self.scale(cluster, current, replicas);
            }
            if status::is_complete(self) {
                self.clean_up(cluster);
            }
        }
        status::write(cluster, self, true);
    }

    fn clean_up(&self, cluster: &mut Cluster) {
        let old: Vec<&Set> = self.old_sets().collect();
        sets::clean_up(cluster, &old, self.spec.revision_history_limit, DEPLOYMENT);
    }
}
