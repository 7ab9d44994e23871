//! The controller of Argo Rollouts, in the same steps as Argo's own. Traffic routers, analyses and Services are not
//! simulated: the status has their results.

use super::blue_green;
use super::canary;
use super::cluster::Cluster;
use super::conditions::{Conditions, condition};
use super::index::{Key, labels, time};
use super::rollout_status;
use super::sets::{self, Conventions, MOST_REPLICAS, NewSet, Set, resolve, sum};
use crate::resource::Resource;
use crate::time::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const ARGO: Conventions = Conventions {
    hash_label: "rollouts-pod-template-hash",
    revision: "rollout.argoproj.io/revision",
    revision_history: "rollout.argoproj.io/revision-history",
    desired_replicas: "rollout.argoproj.io/desired-replicas",
    manager: "rollouts-controller",
};
/// When an unused ReplicaSet will be scaled down.
pub(super) const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
/// How often a restart checks which pods may be deleted.
const RESTART_CHECK_SECONDS: u32 = 30;
/// Annotations that a ReplicaSet does not inherit.
const OWN_ANNOTATIONS: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    ARGO.revision,
    ARGO.revision_history,
    ARGO.desired_replicas,
    "notified.notifications.argoproj.io",
];

/// A Rollout that is being reconciled.
pub(super) struct Roll<'a> {
    pub(super) key: &'a Key,
    /// Includes the template, also if it comes from a Deployment.
    pub(super) object: Value,
    /// Oldest first.
    pub(super) sets: Vec<Set>,
    /// Index of the ReplicaSet that has the template.
    pub(super) new: Option<usize>,
    /// Index of the ReplicaSet that has all traffic, or should have.
    pub(super) stable: Option<usize>,
    /// The status to write.
    pub(super) next: Value,
    pub(super) conditions: Conditions,
    pub(super) pauses: Pauses,
    pub(super) now: Time,
}

/// What happens to pauses and to an abort.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    pub(super) add: Option<&'static str>,
    pub(super) remove: Option<&'static str>,
    pub(super) clear: bool,
    pub(super) abort_over: bool,
    pub(super) abort: Option<String>,
}

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(mut object) = cluster.get(key) else {
        return;
    };
    let Some(uid) = object["metadata"]["uid"].as_str().map(str::to_owned) else {
        return;
    };
    if object["metadata"].get("deletionTimestamp").is_some() || !resolve_template(cluster, key, &mut object) {
        return;
    }
    let sets = sets::of_owner(cluster, &uid);
    let conditions = Some(&object["status"]["conditions"]).filter(|known| known.is_array());
    let conditions = conditions.and_then(super::cluster::typed);
    let mut roll = Roll {
        key,
        new: sets::current(&sets, &object["spec"]["template"], ARGO),
        stable: None,
        sets,
        next: object["status"].clone(),
        conditions: Conditions::new(conditions, cluster.now),
        pauses: Pauses::default(),
        now: cluster.now,
        object,
    };
    if roll.next.is_null() {
        roll.next = json!({});
    }
    roll.find_stable();
    rollout_status::note_pause(&mut roll);
    roll.adopt_or_create(cluster);
    if roll.new.is_none() {
        return;
    }
    let resized = [roll.new, roll.stable].into_iter().flatten().any(|index| {
        let set = &roll.sets[index];
        let desired = set.number(ARGO.desired_replicas);
        set.wanted() > 0 && desired.is_some_and(|desired| desired != i64::from(roll.replicas()))
    });
    if roll.strategy("blueGreen").is_object() {
        blue_green::reconcile(cluster, &mut roll, resized);
    } else {
        canary::reconcile(cluster, &mut roll, resized);
    }
}

/// Copies the template from the Deployment that a Rollout refers to; false if there is none.
fn resolve_template(cluster: &Cluster, key: &Key, object: &mut Value) -> bool {
    let reference = object["spec"]["workloadRef"].clone();
    if reference.is_object() {
        let resource = match reference["kind"].as_str() {
            Some("Deployment") => Resource::Deployments,
            Some("ReplicaSet") => Resource::ReplicaSets,
            _ => return false,
        };
        let Some(workload) = cluster.get(&key.sibling(resource, reference["name"].as_str().unwrap_or_default())) else {
            return false;
        };
        object["spec"]["template"] = workload["spec"]["template"].clone();
        if object["spec"]["selector"].is_null() {
            object["spec"]["selector"] = workload["spec"]["selector"].clone();
        }
        object["workloadGeneration"] = workload["metadata"]["generation"].clone();
    }
    object["spec"]["template"].is_object()
}

impl Roll<'_> {
    pub(super) fn spec(&self, field: &str) -> &Value {
        &self.object["spec"][field]
    }

    /// A field of the current status.
    pub(super) fn status(&self, field: &str) -> &Value {
        &self.object["status"][field]
    }

    pub(super) fn status_text(&self, field: &str) -> &str {
        self.status(field).as_str().unwrap_or_default()
    }

    pub(super) fn strategy(&self, kind: &str) -> &Value {
        &self.object["spec"]["strategy"][kind]
    }

    pub(super) fn replicas(&self) -> i32 {
        self.spec("replicas").as_i64().and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(1).min(MOST_REPLICAS)
    }

    pub(super) fn is_paused_by_hand(&self) -> bool {
        self.spec("paused") == true
    }

    pub(super) fn is_aborted(&self) -> bool {
        !self.pauses.abort_over && (self.pauses.abort.is_some() || self.status("abort") == true)
    }

    pub(super) fn set(&self, index: Option<usize>) -> Option<&Set> {
        self.sets.get(index?)
    }

    pub(super) fn new_set(&self) -> Option<&Set> {
        self.set(self.new)
    }

    pub(super) fn stable_set(&self) -> Option<&Set> {
        self.set(self.stable)
    }

    pub(super) fn new_hash(&self) -> &str {
        self.new_set().map_or("", |set| set.hash(ARGO))
    }

    pub(super) fn find_stable(&mut self) {
        let hash = self.status_text("stableRS").to_owned();
        let is_stable = |set: &Set| !hash.is_empty() && set.hash(ARGO) == hash;
        self.stable =
            self.new.filter(|new| is_stable(&self.sets[*new])).or_else(|| self.sets.iter().position(is_stable));
    }

    /// Indexes of the ReplicaSets that are neither new nor stable.
    pub(super) fn others(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| Some(*index) != self.new && Some(*index) != self.stable).collect()
    }

    /// How many pods more and how many fewer than wanted are allowed.
    pub(super) fn surge_and_unavailable(&self) -> (i32, i32) {
        let replicas = self.replicas();
        let kind = if self.strategy("blueGreen").is_object() { "blueGreen" } else { "canary" };
        let limit = |field: &str| super::cluster::typed::<IntOrString>(&self.strategy(kind)[field]);
        let limit = |field: &str| if self.strategy(kind)[field].is_null() { None } else { limit(field) };
        let surge = resolve(limit("maxSurge").as_ref(), "25%", replicas, true);
        let unavailable = resolve(limit("maxUnavailable").as_ref(), "25%", replicas, false).min(replicas);
        (surge, if surge == 0 && unavailable == 0 && replicas > 0 { 1 } else { unavailable })
    }

    fn adopt_or_create(&mut self, cluster: &mut Cluster) {
        let others = self.sets.iter().enumerate().filter(|(index, _)| Some(*index) != self.new);
        let revision = others.filter_map(|(_, set)| set.number(ARGO.revision)).max().unwrap_or(0) + 1;
        let mut annotations = labels(&self.object["metadata"]["annotations"]);
        annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
        annotations.extend(sets::revision_annotations(self.new_set(), revision, ARGO));
        let number = if let Some(index) = self.new {
            let set = &self.sets[index];
            if annotations.iter().any(|(name, value)| set.annotation(name) != Some(value)) {
                sets::scale(cluster, set, set.wanted(), &annotations, ARGO);
                self.reread(cluster, index);
            }
            self.sets[index].number(ARGO.revision).unwrap_or(revision)
        } else {
            annotations.insert(ARGO.desired_replicas.to_owned(), self.replicas().to_string());
            let (owner, template) = ((self.key, &self.object), &self.object["spec"]["template"]);
            let new = NewSet { owner, template, replicas: 0, annotations, conventions: ARGO };
            let Some(name) = sets::create(cluster, &new) else {
                return;
            };
            let key = self.key.sibling(Resource::ReplicaSets, &name);
            if let Some(object) = cluster.typed(&key) {
                self.sets.push(Set { key, object });
                self.new = Some(self.sets.len() - 1);
                self.find_stable();
            }
            let message = format!("Created new replica set \"{name}\"");
            self.conditions.set(condition("Progressing", "True", "NewReplicaSetCreated", &message));
            revision
        };
        if self.object["metadata"]["annotations"][ARGO.revision].as_str() != Some(&number.to_string()) {
            self.object["metadata"]["annotations"][ARGO.revision] = number.to_string().into();
            cluster.change(self.key, ARGO.manager, |object| {
                object["metadata"]["annotations"][ARGO.revision] = number.to_string().into();
            });
        }
        if self.conditions.get("Progressing").is_none() {
            let message = format!("Found new replica set \"{}\"", self.new_set().map_or("", |set| &set.key.name));
            self.conditions.set(condition("Progressing", "True", "FoundNewReplicaSet", &message));
        }
    }

    fn reread(&mut self, cluster: &Cluster, index: usize) {
        if let Some(object) = cluster.typed(&self.sets[index].key) {
            self.sets[index].object = object;
        }
    }

    /// Scales a ReplicaSet; returns whether the size changed.
    pub(super) fn scale(&mut self, cluster: &mut Cluster, index: usize, replicas: i32) -> bool {
        let set = &self.sets[index];
        let resized = set.wanted() != replicas;
        let desired = self.replicas().to_string();
        if !resized && set.annotation(ARGO.desired_replicas) == Some(&desired) {
            return false;
        }
        let annotations = BTreeMap::from([(ARGO.desired_replicas.to_owned(), desired)]);
        let drops_deadline = replicas == 0 && !self.delays_abort();
        if drops_deadline && set.annotation(SCALE_DOWN_DEADLINE).is_some() {
            self.set_deadline(cluster, index, None);
        }
        sets::scale(cluster, &self.sets[index], replicas, &annotations, ARGO);
        self.reread(cluster, index);
        resized
    }

    pub(super) fn deadline(&self, index: usize) -> Option<Time> {
        let deadline = self.sets[index].annotation(SCALE_DOWN_DEADLINE).filter(|deadline| !deadline.is_empty());
        deadline.map(|deadline| Time::parse(deadline).unwrap_or(Time::from_seconds(0)))
    }

    pub(super) fn set_deadline(&mut self, cluster: &mut Cluster, index: usize, deadline: Option<Time>) {
        let key = self.sets[index].key.clone();
        cluster.change(&key, ARGO.manager, |object| {
            let annotations = &mut object["metadata"]["annotations"];
            match deadline {
                Some(deadline) => annotations[SCALE_DOWN_DEADLINE] = deadline.to_string().into(),
                None => {
                    annotations.as_object_mut().map(|annotations| annotations.remove(SCALE_DOWN_DEADLINE));
                }
            }
        });
        self.reread(cluster, index);
    }

    /// Removes the deadlines of the new and of the stable ReplicaSet: both stay.
    pub(super) fn remove_deadlines(&mut self, cluster: &mut Cluster) {
        let new = self.new.filter(|_| !self.delays_abort());
        for index in [new, self.stable].into_iter().flatten() {
            if self.sets[index].annotation(SCALE_DOWN_DEADLINE).is_some() {
                self.set_deadline(cluster, index, None);
            }
        }
    }

    /// How long the pods of an aborted update stay, in seconds; `None` if the strategy scales them down itself.
    pub(super) fn abort_delay(&self) -> Option<u32> {
        let (blue_green, canary) = (self.strategy("blueGreen"), self.strategy("canary"));
        let strategy = if blue_green.is_object() { blue_green } else { canary };
        if !blue_green.is_object() && !canary["trafficRouting"].is_object() {
            return None;
        }
        let seconds = strategy["abortScaleDownDelaySeconds"].as_u64().unwrap_or(30);
        u32::try_from(seconds).ok().filter(|seconds| *seconds > 0)
    }

    fn delays_abort(&self) -> bool {
        self.is_aborted() && self.stable.is_some() && self.stable != self.new && self.abort_delay().is_some()
    }

    /// Number of replicas of an unused ReplicaSet: unchanged until its deadline, then zero.
    pub(super) fn keep_until_deadline(&mut self, cluster: &mut Cluster, index: usize, delay: u32) -> i32 {
        let wanted = self.sets[index].wanted();
        match self.deadline(index) {
            None if wanted > 0 && delay > 0 => {
                let deadline = self.now.plus(delay);
                self.set_deadline(cluster, index, Some(deadline));
                cluster.wake(self.key, deadline);
                wanted
            }
            Some(deadline) if deadline > self.now => {
                cluster.wake(self.key, deadline);
                wanted
            }
            _ => 0,
        }
    }

    /// Scales down the new ReplicaSet of an aborted update after its delay. Returns true if nothing else is to be done with
    /// it.
    pub(super) fn delay_abort(&mut self, cluster: &mut Cluster) -> bool {
        let (true, Some(new), Some(delay)) = (self.delays_abort(), self.new, self.abort_delay()) else {
            return false;
        };
        let stable_is_up = self.stable_set().is_some_and(|set| set.available() >= self.replicas());
        if self.deadline(new).is_some() || stable_is_up {
            let replicas = self.keep_until_deadline(cluster, new, delay);
            self.scale(cluster, new, replicas);
        }
        true
    }

    /// Deletes pods older than `spec.restartAt`, as many at once as `maxUnavailable` allows. Returns whether any was
    /// deleted.
    pub(super) fn restart(&mut self, cluster: &mut Cluster) -> bool {
        let Some(at) = time(self.spec("restartAt")) else {
            return false;
        };
        if time(self.status("restartedAt")) == Some(at) {
            return false;
        }
        if at > self.now {
            cluster.wake(self.key, at);
            return false;
        }
        let uids = self.sets.iter().filter_map(|set| set.object.metadata.uid.as_deref());
        let pods: Vec<_> = uids.flat_map(|uid| cluster.index.pods(uid)).collect();
        let old: Vec<_> = pods.iter().filter(|(_, pod)| pod.created < at).collect();
        let available = pods.iter().filter(|(_, pod)| pod.is_active() && pod.is_ready()).count();
        let total = self.replicas().max(sum(&self.sets, Set::wanted));
        let at_once = self.surge_and_unavailable().1.max(1);
        let room = i32::try_from(available).unwrap_or(i32::MAX) - (total - at_once);
        let going: Vec<&Key> = old
            .iter()
            .filter(|(_, pod)| !pod.is_terminating)
            .take(usize::try_from(room).unwrap_or(0))
            .map(|(key, _)| key)
            .collect();
        for key in &going {
            cluster.delete(key);
        }
        if old.len() == going.len() {
            self.next["restartedAt"] = self.spec("restartAt").clone();
        } else {
            cluster.wake(self.key, self.now.plus(RESTART_CHECK_SECONDS));
        }
        !going.is_empty()
    }

    pub(super) fn clean_up(&self, cluster: &mut Cluster) {
        let others: Vec<&Set> = self.others().into_iter().map(|index| &self.sets[index]).collect();
        let limit = self.spec("revisionHistoryLimit").as_i64().and_then(|limit| i32::try_from(limit).ok());
        sets::clean_up(cluster, &others, Some(limit.unwrap_or(10)), ARGO);
    }
}
