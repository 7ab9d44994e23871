//! The cluster as the controllers see it: the store's objects, an index of them, and the objects to reconcile.

use super::images::{ImageCaches, Registry};
use super::index::{Entry, Index, Key, Phase};
use super::{ControllersConfig, Timings, Webhook};
use crate::encoded::{Selection, Stored};
use crate::history::Since;
use crate::nodes;
use crate::random::Random;
use crate::resource::Resource;
use crate::store::{CreateError, Store};
use crate::time::Time;
use crate::write::{self, Writer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// Number of changes to read at once.
const BATCH: usize = 1000;

/// Maximum number of pods that an owner creates and deletes per tick, as Kubernetes' `BurstReplicas`. An owner of 100 000 pods
/// takes minutes, and every other object is reconciled meanwhile.
const BURST: usize = 100;

/// Maximum number of writes per tick: a tenth of a second of work, so that other tasks of the thread run.
const MOST_WRITES: usize = 500;

/// The state that all controllers share.
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
    /// Nodes on which each DaemonSet had pods at the start, by its UID: labels and taints of nodes are not simulated.
    pub(super) daemon_nodes: HashMap<String, BTreeSet<String>>,
    /// UIDs of pods that were broken at the start: they stay broken.
    pub(super) broken: HashSet<String>,
    /// By UID of a Rollout: the hash of its steps in the status at the start, and the hash computed here.
    pub(super) step_hashes: HashMap<String, (String, String)>,
    pub(super) random: Random,
    /// Writes since the tick began.
    writes: usize,
    /// Pods that each owner has created and deleted since the tick began.
    bursts: HashMap<Key, usize>,
    /// By resource: the version up to which its changes were read.
    seen: BTreeMap<Resource, u64>,
    /// Objects whose last owner is gone.
    garbage: VecDeque<Key>,
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
            writes: 0,
            bursts: HashMap::new(),
            seen: BTreeMap::new(),
            garbage: VecDeque::new(),
            due: VecDeque::new(),
            is_due: HashSet::new(),
            timers: BTreeSet::new(),
            store,
        };
        cluster.follow();
        cluster.learn();
        cluster
    }

    /// Reads what changed in the store, and makes the affected objects due.
    pub(super) fn follow(&mut self) {
        loop {
            for resource in Resource::ALL {
                while self.follow_one(resource) {}
            }
            if !self.collect_garbage() {
                return;
            }
        }
    }

    /// Deletes objects whose last owner is gone, within the limit of the tick. Returns whether it deleted any.
    fn collect_garbage(&mut self) -> bool {
        let before = self.writes;
        while self.writes < MOST_WRITES
            && let Some(orphan) = self.garbage.pop_front()
        {
            self.delete(&orphan);
        }
        self.writes > before
    }

    /// Reads some changes of a resource. Returns whether there may be more.
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

    /// Compares all objects, because the history does not reach back far enough.
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
            // The object was deleted and created again in between.
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
        // Dependents do not outlive their last owner.
        self.garbage.extend(self.index.orphans(&uid));
        self.make_due(key.clone());
    }

    /// A change of a pod also affects the owner of its ReplicaSet.
    fn make_owners_due(&mut self, key: &Key) {
        let mut controller = self.index.get(key).and_then(|entry| entry.controller.clone());
        // No chain of owners is longer. Where UIDs were redacted, an object may seem to own itself.
        for _ in 0..2 {
            let Some(owner) = controller.and_then(|uid| self.index.owner(&uid)).cloned() else {
                break;
            };
            controller = self.index.get(&owner).and_then(|entry| entry.controller.clone());
            self.make_due(owner);
        }
        if key.resource == Resource::Deployments {
            // A Rollout may take its template from this Deployment.
            let rollouts = self.index.keys(Resource::Rollouts).filter(|rollout| rollout.namespace == key.namespace);
            for rollout in rollouts.cloned().collect::<Vec<_>>() {
                self.make_due(rollout);
            }
        }
    }

    /// Marks an object to be reconciled in this tick.
    pub(super) fn make_due(&mut self, key: Key) {
        if self.is_due.insert(key.clone()) {
            self.due.push_back(key);
        }
    }

    /// Marks an object to be reconciled at a later time.
    pub(super) fn wake(&mut self, key: &Key, at: Time) {
        self.timers.insert((at, key.clone()));
    }

    /// Makes due every object whose time has come.
    pub(super) fn wake_due(&mut self) {
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > self.now {
                break;
            }
            self.timers.pop_first();
            self.make_due(key);
        }
    }

    /// Sizes of the controllers' memory.
    #[cfg(test)]
    pub(super) fn kept(&self) -> super::Kept {
        super::Kept {
            objects: Resource::ALL.into_iter().map(|resource| self.index.keys(resource).count()).sum(),
            timers: self.timers.len(),
            images_of_a_node: self.nodes.iter().map(|node| self.caches.of(node).len()).max().unwrap_or(0),
        }
    }

    /// Begins a tick.
    pub(super) fn begin_tick(&mut self, now: Time) {
        self.now = now;
        self.writes = 0;
        self.bursts.clear();
    }

    /// Counts a pod that an owner creates or deletes. Returns false beyond [`BURST`]; the owner is then due in the next tick.
    pub(super) fn is_within_burst(&mut self, owner: &Key) -> bool {
        let writes = self.bursts.entry(owner.clone()).or_default();
        *writes += 1;
        let within = *writes <= BURST;
        if !within {
            self.wake(owner, self.now);
        }
        within
    }

    /// Whether work is left for the next tick.
    pub(super) fn is_behind(&self) -> bool {
        !self.due.is_empty() || !self.garbage.is_empty()
    }

    /// The next object to reconcile in this tick.
    pub(super) fn next(&mut self) -> Option<Key> {
        if self.writes >= MOST_WRITES {
            return None;
        }
        let key = self.due.pop_front()?;
        self.is_due.remove(&key);
        Some(key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.store.get(key.resource, &key.namespace, &key.name)
    }

    /// An object decoded as its type; `None` if there is none, or if it is not valid.
    pub(super) fn typed<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        typed(&self.get(key)?)
    }

    /// Changes an object except its status.
    pub(super) fn change(&mut self, key: &Key, manager: &str, change: impl FnMut(&mut Value)) -> Option<Value> {
        let writer = Writer { manager, now: self.now };
        self.writes += 1;
        write::object(&self.store, key.resource, (&key.namespace, &key.name), writer, change)
    }

    /// Changes the status of an object.
    pub(super) fn change_status(&mut self, key: &Key, manager: &str, change: impl FnMut(&mut Value)) -> Option<Value> {
        let writer = Writer { manager, now: self.now };
        self.writes += 1;
        write::status(&self.store, key.resource, (&key.namespace, &key.name), writer, change)
    }

    /// Creates an object.
    pub(super) fn create(&mut self, resource: Resource, mut object: Value, manager: &str) -> Result<(), CreateError> {
        let uid = self.random.uid();
        self.writes += 1;
        write::new_object(resource, &mut object, &uid, Writer { manager, now: self.now });
        self.store.create(resource, object).map(drop)
    }

    /// Deletes an object: a pod gracefully, anything else at once.
    pub(super) fn delete(&mut self, key: &Key) {
        self.writes += 1;
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

    /// Writes the node of a pod, as only the scheduler may.
    pub(super) fn bind(&mut self, key: &Key, mut change: impl FnMut(&mut Value)) {
        self.writes += 1;
        self.store.update(key.resource, &key.namespace, &key.name, |pod| {
            change(pod);
            true
        });
    }

    /// Removes a pod from the store.
    pub(super) fn remove_pod(&mut self, key: &Key) {
        self.writes += 1;
        self.store.delete(key.resource, &key.namespace, &key.name);
    }

    /// Removes unused images of a node whose images changed, and makes the node due.
    pub(super) fn note_pull(&mut self, node: &str) {
        let index = &self.index;
        self.caches.collect_garbage(node, || {
            let here = index.all_pods().filter(|(_, pod)| pod.node == node && pod.phase != Phase::Finished);
            here.flat_map(|(_, pod)| pod.image_ids.iter().cloned()).collect()
        });
        self.make_due(Key::new(Resource::Nodes, "", node));
    }

    /// Puts the nodes of all pods, with the images that each node has.
    pub(super) fn register_nodes(&self, created: Time) {
        for name in &self.nodes {
            self.store.put(Resource::Nodes, nodes::object(name, created, self.caches.of(name)));
        }
    }
}

/// Decodes a JSON value as a type; `None` if it is not valid.
pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let read = T::deserialize(value);
    read.inspect_err(|error| tracing::debug!(name = %value["metadata"]["name"], %error, "not a valid object")).ok()
}
