//! ReplicaSets of a Deployment or a Rollout.

use super::cluster::{Cluster, typed};
use super::conditions::condition;
use super::index::{Key, PodFacts};
use super::pods::{CONTROLLER_MANAGER, owner_references};
use crate::random::Random;
use crate::resource::Resource;
use crate::time::Time;
use k8s_openapi::api::apps::v1::{DeploymentCondition, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Type of the condition for pods that cannot be created.
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Upper limit for `spec.replicas` in calculations: percentages of more would overflow 32 bits.
pub(super) const MOST_REPLICAS: i32 = 10_000_000;

/// One ReplicaSet.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) key: Key,
    pub(super) object: ReplicaSet,
}

/// Labels, annotations and field manager of one kind of owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conventions {
    pub(super) hash_label: &'static str,
    pub(super) revision: &'static str,
    pub(super) revision_history: &'static str,
    pub(super) desired_replicas: &'static str,
    pub(super) manager: &'static str,
}

pub(super) const DEPLOYMENT: Conventions = Conventions {
    hash_label: "pod-template-hash",
    revision: "deployment.kubernetes.io/revision",
    revision_history: "deployment.kubernetes.io/revision-history",
    desired_replicas: "deployment.kubernetes.io/desired-replicas",
    manager: CONTROLLER_MANAGER,
};

impl Set {
    pub(super) fn wanted(&self) -> i32 {
        self.object.spec.replicas.unwrap_or(1)
    }

    fn status(&self, field: impl Fn(&ReplicaSetStatus) -> Option<i32>) -> i32 {
        self.object.status.as_ref().and_then(field).unwrap_or(0)
    }

    pub(super) fn actual(&self) -> i32 {
        self.status(|status| Some(status.replicas))
    }

    pub(super) fn ready(&self) -> i32 {
        self.status(|status| status.ready_replicas)
    }

    pub(super) fn available(&self) -> i32 {
        self.status(|status| status.available_replicas)
    }

    pub(super) fn terminating(&self) -> i32 {
        self.status(|status| status.terminating_replicas)
    }

    /// Whether its controller has seen its newest spec.
    pub(super) fn is_observed(&self) -> bool {
        let observed = self.object.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
        self.object.metadata.generation.unwrap_or(0) <= observed
    }

    pub(super) fn created(&self) -> Time {
        time_of(self.object.metadata.creation_timestamp.as_ref()).unwrap_or(Time::from_seconds(0))
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.object.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, annotation: &str) -> Option<i64> {
        self.annotation(annotation)?.parse().ok()
    }

    pub(super) fn hash(&self, conventions: Conventions) -> &str {
        let labels = self.object.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(conventions.hash_label)).map_or("", String::as_str)
    }

    /// Whether it has this template, regardless of its hash label.
    fn has_template(&self, template: &PodTemplateSpec, conventions: Conventions) -> bool {
        let own = self.object.spec.template.clone();
        own.is_some_and(|own| without_label(own, conventions.hash_label) == *template)
    }
}

/// The ReplicaSets that an object controls, oldest first.
pub(super) fn of_owner(cluster: &Cluster, uid: &str) -> Vec<Set> {
    let keys = cluster.index.owned(uid, Resource::ReplicaSets).into_iter();
    let controlled = |key: &Key| cluster.index.get(key).is_some_and(|entry| entry.controller.as_deref() == Some(uid));
    let read = |key: Key| Some(Set { object: cluster.typed(&key)?, key });
    let mut sets: Vec<Set> = keys.filter(controlled).filter_map(read).collect();
    sets.sort_by_key(|set| (set.created(), set.key.clone()));
    sets
}

/// Index of the ReplicaSet that has this template.
pub(super) fn current(sets: &[Set], template: &Value, conventions: Conventions) -> Option<usize> {
    let template = without_label(typed(template)?, conventions.hash_label);
    sets.iter().position(|set| set.has_template(&template, conventions))
}

/// A template without its hash label, for comparison.
fn without_label(mut template: PodTemplateSpec, label: &str) -> PodTemplateSpec {
    if let Some(metadata) = &mut template.metadata {
        metadata.creation_timestamp = None;
        if let Some(labels) = &mut metadata.labels {
            labels.remove(label);
        }
        for map in [&mut metadata.labels, &mut metadata.annotations] {
            if map.as_ref().is_some_and(BTreeMap::is_empty) {
                *map = None;
            }
        }
        if *metadata == meta::ObjectMeta::default() {
            template.metadata = None;
        }
    }
    template
}

/// Whether two templates are equal for the controllers.
pub(super) fn same_template(a: &Value, b: &Value, label: &str) -> bool {
    let read = |value: &Value| typed::<PodTemplateSpec>(value).map(|template| without_label(template, label));
    read(a).zip(read(b)).is_some_and(|(a, b)| a == b)
}

/// Input for a new ReplicaSet.
pub(super) struct NewSet<'a> {
    pub(super) owner: (&'a Key, &'a Value),
    pub(super) template: &'a Value,
    pub(super) replicas: i32,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) conventions: Conventions,
}

/// Creates a ReplicaSet with its owner's template; returns its name.
pub(super) fn create(cluster: &mut Cluster, new: &NewSet<'_>) -> Option<String> {
    let (key, owner) = new.owner;
    let label = new.conventions.hash_label;
    // The hash, and so the name, may be that of another template.
    for collision in 0..8 {
        let hash = template_hash(new.template, collision);
        let mut template = new.template.clone();
        template["metadata"]["labels"][label] = hash.as_str().into();
        let mut selector = owner["spec"]["selector"].clone();
        selector["matchLabels"][label] = hash.as_str().into();
        let mut spec = json!({"replicas": new.replicas, "selector": selector, "template": template});
        if let Some(seconds) = owner["spec"]["minReadySeconds"].as_i64().filter(|seconds| *seconds > 0) {
            spec["minReadySeconds"] = seconds.into();
        }
        let name = format!("{}-{hash}", key.name);
        let object = json!({
            "metadata": {
                "name": name, "namespace": key.namespace, "labels": template["metadata"]["labels"],
                "annotations": new.annotations, "ownerReferences": owner_references(key, owner),
            },
            "spec": spec,
            "status": {"replicas": 0},
        });
        if cluster.create(Resource::ReplicaSets, object, new.conventions.manager).is_ok() {
            return Some(name);
        }
    }
    None
}

/// The hash of a template.
pub(super) fn template_hash(template: &Value, collision: u32) -> String {
    Random::of(&format!("{template}{collision}")).hash()
}

/// Scales a ReplicaSet and sets annotations; writes only if something changes.
pub(super) fn scale(
    cluster: &mut Cluster,
    set: &Set,
    replicas: i32,
    annotations: &BTreeMap<String, String>,
    conventions: Conventions,
) {
    cluster.change(&set.key, conventions.manager, |object| {
        object["spec"]["replicas"] = replicas.into();
        for (name, value) in annotations {
            object["metadata"]["annotations"][name] = value.as_str().into();
        }
    });
}

/// The annotations of the owner's current ReplicaSet, or of the one that becomes current. After a rollback its revision is
/// a new one.
pub(super) fn revision_annotations(
    set: Option<&Set>,
    new_revision: i64,
    conventions: Conventions,
) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let old = set.and_then(|set| set.number(conventions.revision));
    if old.is_none_or(|old| old < new_revision) {
        annotations.insert(conventions.revision.to_owned(), new_revision.to_string());
        if let Some((set, old)) = set.zip(old) {
            let earlier = set.annotation(conventions.revision_history).map(|history| format!("{history},"));
            annotations
                .insert(conventions.revision_history.to_owned(), format!("{}{old}", earlier.unwrap_or_default()));
        }
    }
    annotations
}

/// Deletes the oldest unused ReplicaSets beyond the limit.
pub(super) fn clean_up(cluster: &mut Cluster, old: &[&Set], limit: Option<i32>, conventions: Conventions) {
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return;
    };
    let mut sets: Vec<&Set> =
        old.iter().copied().filter(|set| set.object.metadata.deletion_timestamp.is_none()).collect();
    sets.sort_by_key(|set| set.number(conventions.revision).unwrap_or(0));
    let excess = sets.len().saturating_sub(limit);
    for set in &sets[..excess] {
        if set.actual() == 0 && set.wanted() == 0 && set.is_observed() {
            cluster.delete(&set.key);
        }
    }
}

/// The status that the ReplicaSet controller writes.
pub(super) fn replica_set_status(set: &ReplicaSet, pods: &[(Key, Arc<PodFacts>)], now: Time) -> ReplicaSetStatus {
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let template = set.spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let labels = template.and_then(|metadata| metadata.labels.as_ref());
    let is_labelled = |pod: &PodFacts| {
        labels.is_none_or(|labels| labels.iter().all(|(name, value)| pod.labels.get(name) == Some(value)))
    };
    let is_available = |pod: &PodFacts| pod.available_at(min_ready).is_some_and(|at| at <= now);
    let count = |what: &dyn Fn(&PodFacts) -> bool| {
        let pods = pods.iter().filter(|(_, pod)| pod.is_active() && what(pod));
        i32::try_from(pods.count()).unwrap_or(i32::MAX)
    };
    let some = |count: i32| (count > 0).then_some(count);
    let terminating = pods.iter().filter(|(_, pod)| pod.is_terminating).count();
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: some(count(&is_labelled)),
        ready_replicas: some(count(&PodFacts::is_ready)),
        available_replicas: some(count(&is_available)),
        terminating_replicas: i32::try_from(terminating).ok(),
        observed_generation: set.metadata.generation,
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}

/// Resolves a number or a percentage of `total`.
pub(super) fn resolve(value: Option<&IntOrString>, default: &str, total: i32, round_up: bool) -> i32 {
    let percent = |text: &str| {
        let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
        let hundredfold = percent * i64::from(total);
        let share = if round_up { (hundredfold + 99).div_euclid(100) } else { hundredfold.div_euclid(100) };
        i32::try_from(share).unwrap_or(i32::MAX)
    };
    match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => percent(text),
        None => percent(default),
    }
}

/// The condition `ReplicaFailure` of one of these ReplicaSets, the current one first.
pub(super) fn failure(sets: &[Set], current: Option<usize>) -> Option<DeploymentCondition> {
    let order = current.and_then(|index| sets.get(index)).into_iter().chain(sets);
    let mut conditions = order.filter_map(|set| set.object.status.as_ref()?.conditions.as_ref()).flatten();
    let failure = conditions.find(|condition| condition.type_.as_deref() == Some(REPLICA_FAILURE))?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (status, reason, message) = (text(&failure.status), text(&failure.reason), text(&failure.message));
    Some(condition(REPLICA_FAILURE, &status, &reason, &message))
}

pub(super) fn sum(sets: &[Set], count: impl Fn(&Set) -> i32) -> i32 {
    sets.iter().map(count).sum()
}

/// A timestamp of a typed object.
pub(super) fn time_of(time: Option<&meta::Time>) -> Option<Time> {
    time.map(|time| Time::from_seconds(time.0.as_second()))
}

/// A timestamp for a typed object.
pub(super) fn meta_time(time: Time) -> meta::Time {
    let time = k8s_openapi::jiff::Timestamp::from_second(time.seconds());
    meta::Time(time.unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH))
}
