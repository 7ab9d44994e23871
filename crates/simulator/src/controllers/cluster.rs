//! The cluster as the controllers see it: the store's objects, an index that follows them, and what is due when.

use super::images::{ImageCaches, ImageReference, Registry, Trouble};
use super::index::{Entry, Index, Key, Phase, PodFacts, time};
use super::{ControllersConfig, Timings, Webhook};
use crate::encoded::{Selection, Stored};
use crate::random::Random;
use crate::resource::Resource;
use crate::store::{Since, Store};
use crate::time::Time;
use crate::write::{self, Writer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// Changes read at once.
const BATCH: usize = 1000;

/// What every controller works on.
#[derive(Debug)]
pub(super) struct Cluster {
    store: Store,
    pub(super) now: Time,
    pub(super) index: Index,
    pub(super) timings: Timings,
    pub(super) registry: Registry,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) caches: ImageCaches,
    /// The names of the nodes.
    pub(super) nodes: BTreeSet<String>,
    /// The nodes of DaemonSets that were there at the start, by UID: labels and taints of nodes are not simulated.
    pub(super) daemon_nodes: HashMap<String, BTreeSet<String>>,
    /// UIDs of the pods that had been broken for long at the start: they stay so.
    pub(super) broken: HashSet<String>,
    /// What Rollouts called their steps at the start, by UID, and what they are called here.
    pub(super) step_hashes: HashMap<String, (String, String)>,
    pub(super) random: Random,
    /// By resource: the version up to which its changes are known.
    seen: BTreeMap<Resource, u64>,
    due: VecDeque<Key>,
    is_due: HashSet<Key>,
    timers: BTreeSet<(Time, Key)>,
}

impl Cluster {
    pub(super) fn new(store: Store, config: ControllersConfig, now: Time) -> Self {
        let mut cluster = Self {
            now,
            index: Index::default(),
            timings: config.timings,
            registry: config.registry,
            webhooks: config.webhooks,
            caches: ImageCaches::default(),
            nodes: config.nodes.into_iter().collect(),
            daemon_nodes: HashMap::new(),
            broken: HashSet::new(),
            step_hashes: HashMap::new(),
            random: Random::of(&format!("controllers {}", now.seconds())),
            seen: BTreeMap::new(),
            due: VecDeque::new(),
            is_due: HashSet::new(),
            timers: BTreeSet::new(),
            store,
        };
        cluster.follow();
        cluster.learn();
        cluster
    }

    /// Takes over what changed in the store, and makes due whatever that concerns.
    pub(super) fn follow(&mut self) {
        for resource in Resource::ALL {
            while self.follow_one(resource) {}
        }
    }

    /// Returns whether there may be more.
    fn follow_one(&mut self, resource: Resource) -> bool {
        let Some(&seen) = self.seen.get(&resource) else {
            self.relist(resource);
            return false;
        };
        let Since::Changes { changes, version } = self.store.since(resource, seen, BATCH) else {
            self.relist(resource);
            return false;
        };
        let everything = Selection::default();
        let changed: BTreeSet<Key> = changes
            .iter()
            .filter_map(|change| change.as_seen_by(&everything))
            .map(|(_, stored)| Key::parse(resource, &stored.encoded.key))
            .collect();
        for key in changed {
            let stored = self.store.stored(resource, &format!("{}/{}", key.namespace, key.name));
            match stored {
                Some(stored) => self.note(&key, &stored),
                None => self.note_gone(&key),
            }
        }
        self.seen.insert(resource, version);
        changes.len() == BATCH
    }

    /// Compares everything: the history does not reach back far enough.
    fn relist(&mut self, resource: Resource) {
        let snapshot = self.store.snapshot(resource);
        let mut gone: BTreeSet<Key> = self.index.keys(resource).cloned().collect();
        for stored in &snapshot.objects {
            let key = Key::parse(resource, &stored.encoded.key);
            gone.remove(&key);
            self.note(&key, stored);
        }
        for key in gone {
            self.note_gone(&key);
        }
        self.seen.insert(resource, snapshot.version);
    }

    fn note(&mut self, key: &Key, stored: &Stored) {
        let known = self.index.get(key);
        if known.is_some_and(|entry| entry.version == stored.version) {
            return;
        }
        let Ok(object) = serde_json::from_slice::<Value>(&stored.to_json(key.resource)) else {
            return;
        };
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if known.is_some_and(|entry| entry.uid != uid) {
            // Deleted and created again in between.
            self.note_gone(key);
        }
        self.index.set(key, stored.version, &object);
        if key.resource == Resource::Nodes {
            self.nodes.insert(key.name.clone());
        }
        self.make_due(key.clone());
        self.make_owners_due(key);
    }

    fn note_gone(&mut self, key: &Key) {
        self.make_owners_due(key);
        let Some(Entry { uid, .. }) = self.index.remove(key) else {
            return;
        };
        self.daemon_nodes.remove(&uid);
        self.broken.remove(&uid);
        // Garbage collection: dependents do not outlive their last owner.
        for orphan in self.index.orphans(&uid) {
            self.delete(&orphan);
        }
        self.make_due(key.clone());
    }

    /// A pod concerns its ReplicaSet's owner too.
    fn make_owners_due(&mut self, key: &Key) {
        let mut controller = self.index.get(key).and_then(|entry| entry.controller.clone());
        // No chain is longer; where UIDs were redacted, an object may seem to own itself.
        for _ in 0..2 {
            let Some(owner) = controller.and_then(|uid| self.index.owner(&uid)).cloned() else {
                break;
            };
            controller = self.index.get(&owner).and_then(|entry| entry.controller.clone());
            self.make_due(owner);
        }
        if key.resource == Resource::Deployments {
            // A Rollout may take its template from it.
            let rollouts = self.index.keys(Resource::Rollouts).filter(|rollout| rollout.namespace == key.namespace);
            for rollout in rollouts.cloned().collect::<Vec<_>>() {
                self.make_due(rollout);
            }
        }
    }

    /// Lets an object be reconciled in this tick.
    pub(super) fn make_due(&mut self, key: Key) {
        if self.is_due.insert(key.clone()) {
            self.due.push_back(key);
        }
    }

    /// Lets an object be reconciled at some later time.
    pub(super) fn wake(&mut self, key: &Key, at: Time) {
        self.timers.insert((at, key.clone()));
    }

    /// Makes everything due whose time has come.
    pub(super) fn wake_due(&mut self) {
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > self.now {
                break;
            }
            self.timers.pop_first();
            self.make_due(key);
        }
    }

    /// The next object to reconcile.
    pub(super) fn next(&mut self) -> Option<Key> {
        let key = self.due.pop_front()?;
        self.is_due.remove(&key);
        Some(key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.store.get(key.resource, &key.namespace, &key.name)
    }

    /// An object as its type; `None` if there is none, or if it is not valid.
    pub(super) fn typed<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        typed(&self.get(key)?)
    }

    /// Changes everything of an object but its status.
    pub(super) fn change(&mut self, key: &Key, manager: &str, change: impl FnMut(&mut Value)) -> Option<Value> {
        let writer = Writer { manager, now: self.now };
        write::object(&self.store, key.resource, (&key.namespace, &key.name), writer, change)
    }

    /// Changes the status of an object.
    pub(super) fn change_status(&mut self, key: &Key, manager: &str, change: impl FnMut(&mut Value)) -> Option<Value> {
        let writer = Writer { manager, now: self.now };
        write::status(&self.store, key.resource, (&key.namespace, &key.name), writer, change)
    }

    /// Creates an object; false if there is one of this name.
    pub(super) fn create(&mut self, resource: Resource, mut object: Value, manager: &str) -> bool {
        let uid = self.random.uid();
        write::new_object(resource, &mut object, &uid, Writer { manager, now: self.now });
        self.store.create(resource, object).is_some()
    }

    /// Deletes an object: a pod gracefully, anything else at once.
    pub(super) fn delete(&mut self, key: &Key) {
        if key.resource != Resource::Pods {
            self.store.delete(key.resource, &key.namespace, &key.name);
            return;
        }
        let now = self.now;
        self.store.update(key.resource, &key.namespace, &key.name, |pod| {
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
            write::begin_deletion(pod, u32::try_from(grace).unwrap_or(u32::MAX), now)
        });
    }

    /// Writes what only the scheduler may: a pod's node.
    pub(super) fn bind(&mut self, key: &Key, mut change: impl FnMut(&mut Value)) {
        self.store.update(key.resource, &key.namespace, &key.name, |pod| {
            change(pod);
            true
        });
    }

    /// Lets a pod be gone.
    pub(super) fn remove_pod(&mut self, key: &Key) {
        self.store.delete(key.resource, &key.namespace, &key.name);
    }

    /// Learns from the pods that are there at the start what the nodes have pulled, what the registry holds, and which
    /// images are broken.
    fn learn(&mut self) {
        let pods = self.index.all_pods();
        let mut pods: Vec<(Key, PodFacts)> = pods.map(|(key, pod)| (key.clone(), pod.clone())).collect();
        // What was pulled last is what a tag stands for.
        pods.sort_by_key(|(_, facts)| facts.created);
        let (mut healthy, mut broken) = (HashSet::new(), Vec::new());
        for (key, facts) in &pods {
            let Some(pod) = self.get(key) else {
                continue;
            };
            if !facts.node.is_empty() {
                self.nodes.insert(facts.node.clone());
            }
            self.learn_images(facts, &pod);
            let ready = statuses(&pod).filter(|status| status["ready"] == true);
            healthy.extend(ready.filter_map(|status| status["image"].as_str()).map(str::to_owned));
            let waited = self.now.since(time(&pod["status"]["startTime"]).unwrap_or(facts.created));
            let is_late = waited > self.timings.creating + self.timings.ready + 60;
            if facts.is_active() && facts.phase == Phase::Running && !facts.is_ready() && is_late {
                self.broken.insert(self.index.get(key).map(|entry| entry.uid.clone()).unwrap_or_default());
                broken.push(key);
            }
        }
        for key in broken {
            let pod = self.get(key).unwrap_or_default();
            self.learn_troubles(&pod, &healthy);
        }
        self.learn_daemon_nodes();
        self.learn_step_hashes();
    }

    fn learn_step_hashes(&mut self) {
        for key in self.index.keys(Resource::Rollouts).cloned().collect::<Vec<_>>() {
            let rollout = self.get(&key).unwrap_or_default();
            let steps = rollout.pointer("/spec/strategy/canary/steps").and_then(Value::as_array);
            let (uid, status) = (rollout["metadata"]["uid"].as_str(), &rollout["status"]);
            if let Some(uid) = uid.filter(|_| status["currentPodHash"].is_string()) {
                let theirs = status["currentStepHash"].as_str().unwrap_or_default().to_owned();
                let ours = super::canary::step_hash(steps.map_or(&[], Vec::as_slice));
                self.step_hashes.insert(uid.to_owned(), (theirs, ours));
            }
        }
    }

    fn learn_images(&mut self, facts: &PodFacts, pod: &Value) {
        for status in statuses(pod) {
            let name = &status["name"];
            let mut containers =
                CONTAINERS.into_iter().flat_map(|(field, _)| pod["spec"][field].as_array().into_iter().flatten());
            let Some(reference) =
                containers.find(|container| container["name"] == *name).and_then(|c| c["image"].as_str())
            else {
                continue;
            };
            let digest = status["imageID"].as_str().and_then(|id| Some(id.rsplit_once('@')?.1));
            match digest {
                Some(digest) => {
                    self.caches.add(&facts.node, reference, digest);
                    if ImageReference::parse(reference).digest.is_none() {
                        self.registry.push(reference, digest);
                    }
                }
                None if facts.lacks_image && waits_for_image(status) => self.registry.remove(reference),
                None => {}
            }
        }
    }

    /// New pods of an image none of whose pods is Ready do not fare better.
    fn learn_troubles(&mut self, pod: &Value, healthy: &HashSet<String>) {
        for status in statuses(pod).filter(|status| status["ready"] != true) {
            let Some(image) = status["image"].as_str().filter(|image| !healthy.contains(*image)) else {
                continue;
            };
            let crashes = status.pointer("/state/waiting/reason").is_some_and(|reason| reason == "CrashLoopBackOff");
            let trouble = if crashes { Trouble::Crashes } else { Trouble::NeverReady };
            self.registry.set_trouble(image, Some(trouble));
        }
    }

    fn learn_daemon_nodes(&mut self) {
        for key in self.index.keys(Resource::DaemonSets).cloned().collect::<Vec<_>>() {
            let Some(uid) = self.index.get(&key).map(|entry| entry.uid.clone()) else {
                continue;
            };
            let Some(set) = self.get(&key) else {
                continue;
            };
            let mut nodes: BTreeSet<String> = self.index.pods(&uid).into_iter().map(|(_, pod)| pod.node).collect();
            nodes.remove("");
            let wanted = set["status"]["desiredNumberScheduled"].as_u64().unwrap_or(0);
            for node in &self.nodes {
                if nodes.len() as u64 >= wanted {
                    break;
                }
                nodes.insert(node.clone());
            }
            if wanted > 0 {
                self.daemon_nodes.insert(uid, nodes);
            }
        }
    }
}

/// Where a pod has containers, and where the status of each stands.
pub(super) const CONTAINERS: [(&str, &str); 2] =
    [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")];

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    CONTAINERS.into_iter().flat_map(|(_, field)| pod["status"][field].as_array().into_iter().flatten())
}

fn waits_for_image(status: &Value) -> bool {
    let reason = status.pointer("/state/waiting/reason").and_then(Value::as_str).unwrap_or_default();
    matches!(reason, "ErrImagePull" | "ImagePullBackOff")
}

/// A JSON value as a type; `None` if it is not valid.
pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let read = T::deserialize(value);
    read.inspect_err(|error| tracing::debug!(name = %value["metadata"]["name"], %error, "not a valid object")).ok()
}
