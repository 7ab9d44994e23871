//! What the controllers remember of each object: its owner, and for a pod the facts that its owner needs.

use crate::resource::Resource;
use crate::time::Time;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Names one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Another object of the same namespace.
    pub(super) fn sibling(&self, resource: Resource, name: &str) -> Self {
        Self::new(resource, &self.namespace, name)
    }

    /// Splits `namespace/name`.
    pub(super) fn parse(resource: Resource, key: &str) -> Self {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        Self::new(resource, namespace, name)
    }
}

/// What the index has of an object.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) version: u64,
    pub(super) uid: String,
    owners: Vec<String>,
    pub(super) controller: Option<String>,
    pod: Option<Arc<PodFacts>>,
}

/// The facts by which controllers handle a pod.
#[derive(Clone, Debug)]
pub(super) struct PodFacts {
    pub(super) created: Time,
    /// Empty before it is scheduled.
    pub(super) node: String,
    pub(super) phase: Phase,
    /// Time since when it is Ready.
    pub(super) ready_since: Option<Time>,
    pub(super) is_terminating: bool,
    pub(super) restarts: u64,
    pub(super) deletion_cost: i64,
    /// The label `controller-revision-hash`.
    pub(super) revision: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Whether a container waits for its image.
    pub(super) lacks_image: bool,
    /// The images that its containers run, as the runtime names them.
    pub(super) image_ids: Vec<String>,
}

/// The state of a pod, in the order in which pods are deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    Pending,
    Unknown,
    Running,
    /// The pod succeeded or failed.
    Finished,
}

impl PodFacts {
    fn of(pod: &Value) -> Self {
        let status = &pod["status"];
        let ready = condition(status, "Ready").filter(|ready| ready["status"] == "True");
        let statuses = || status["containerStatuses"].as_array().into_iter().flatten();
        let waits = |status: &Value| {
            let reason = status.pointer("/state/waiting/reason").and_then(Value::as_str).unwrap_or_default();
            matches!(reason, "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull")
        };
        let created = time(&pod["metadata"]["creationTimestamp"]).unwrap_or(Time::from_seconds(0));
        let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str();
        let labels = labels(&pod["metadata"]["labels"]);
        Self {
            created,
            node: pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
            phase: match status["phase"].as_str() {
                Some("Running") => Phase::Running,
                Some("Succeeded" | "Failed") => Phase::Finished,
                Some("Unknown") => Phase::Unknown,
                _ => Phase::Pending,
            },
            ready_since: ready.map(|ready| time(&ready["lastTransitionTime"]).unwrap_or(created)),
            is_terminating: pod["metadata"].get("deletionTimestamp").is_some_and(|value| !value.is_null()),
            restarts: statuses().filter_map(|status| status["restartCount"].as_u64()).sum(),
            deletion_cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            revision: labels.get("controller-revision-hash").cloned().unwrap_or_default(),
            labels,
            lacks_image: statuses().any(waits),
            image_ids: statuses().filter_map(|status| status["imageID"].as_str()).map(str::to_owned).collect(),
        }
    }

    /// Whether it counts as one of its owner's replicas.
    pub(super) fn is_active(&self) -> bool {
        !self.is_terminating && self.phase != Phase::Finished
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// When it becomes available: Ready for `minReadySeconds`.
    pub(super) fn available_at(&self, min_ready_seconds: i32) -> Option<Time> {
        let seconds = u32::try_from(min_ready_seconds).unwrap_or(0);
        self.ready_since.map(|since| since.plus(seconds))
    }
}

/// All objects by key, and their owners.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<Key, Entry>,
    by_uid: HashMap<String, Key>,
    owned: HashMap<String, BTreeSet<Key>>,
    /// Active pods by node.
    load: HashMap<String, u32>,
    /// Pods that are not terminating, by the UID of their controller and by node.
    spread: HashMap<String, HashMap<String, u32>>,
}

impl Index {
    /// Adds or replaces an object.
    pub(super) fn set(&mut self, key: &Key, version: u64, object: &Value) {
        self.remove(key);
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let references = || metadata["ownerReferences"].as_array().into_iter().flatten();
        let entry = Entry {
            version,
            uid: text(&metadata["uid"]),
            owners: references().map(|owner| text(&owner["uid"])).collect(),
            controller: references().find(|owner| owner["controller"] == true).map(|owner| text(&owner["uid"])),
            pod: (key.resource == Resource::Pods).then(|| Arc::new(PodFacts::of(object))),
        };
        self.weigh(&entry, true);
        for owner in &entry.owners {
            self.owned.entry(owner.clone()).or_default().insert(key.clone());
        }
        if !entry.uid.is_empty() {
            self.by_uid.insert(entry.uid.clone(), key.clone());
        }
        self.entries.insert(key.clone(), entry);
    }

    /// Removes an object, and returns its entry.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.weigh(&entry, false);
        if self.by_uid.get(&entry.uid) == Some(key) {
            self.by_uid.remove(&entry.uid);
        }
        for owner in &entry.owners {
            if let Some(owned) = self.owned.get_mut(owner) {
                owned.remove(key);
                if owned.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
        Some(entry)
    }

    /// Adds a pod to the load of its node, or removes it.
    fn weigh(&mut self, entry: &Entry, added: bool) {
        let Some(pod) = &entry.pod else {
            return;
        };
        let count = |counts: &mut HashMap<String, u32>| {
            let count = counts.entry(pod.node.clone()).or_default();
            *count = if added { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                counts.remove(&pod.node);
            }
            counts.is_empty()
        };
        if pod.is_active() {
            count(&mut self.load);
        }
        if let Some(controller) = entry.controller.as_ref().filter(|_| !pod.is_terminating)
            && count(self.spread.entry(controller.clone()).or_default())
        {
            self.spread.remove(controller);
        }
    }

    /// Number of active pods on a node.
    pub(super) fn load(&self, node: &str) -> u32 {
        self.load.get(node).copied().unwrap_or(0)
    }

    /// Number of a controller's pods on a node that are not terminating.
    pub(super) fn siblings(&self, controller: &str, node: &str) -> u32 {
        self.spread.get(controller).and_then(|nodes| nodes.get(node)).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The keys of a resource, in order.
    pub(super) fn keys(&self, resource: Resource) -> impl Iterator<Item = &Key> {
        let first = Key::new(resource, "", "");
        self.entries.range(first..).map(|(key, _)| key).take_while(move |key| key.resource == resource)
    }

    pub(super) fn owner(&self, uid: &str) -> Option<&Key> {
        self.by_uid.get(uid)
    }

    /// Objects that have this UID as an owner.
    pub(super) fn owned(&self, uid: &str, resource: Resource) -> Vec<Key> {
        let keys = self.owned.get(uid).into_iter().flatten();
        keys.filter(|key| key.resource == resource).cloned().collect()
    }

    /// Objects that have no owner left once the object with this UID is gone.
    pub(super) fn orphans(&self, uid: &str) -> Vec<Key> {
        let is_orphan = |key: &&Key| {
            let owners = self.entries.get(*key).map_or(&[][..], |entry| &entry.owners);
            !owners.iter().any(|owner| self.by_uid.contains_key(owner))
        };
        self.owned.get(uid).into_iter().flatten().filter(is_orphan).cloned().collect()
    }

    /// The pods that an object with this UID controls.
    pub(super) fn pods(&self, uid: &str) -> Vec<(Key, Arc<PodFacts>)> {
        let controlled = |key: &Key| {
            let entry = self.entries.get(key).filter(|entry| entry.controller.as_deref() == Some(uid))?;
            Some((key.clone(), entry.pod.clone()?))
        };
        self.owned.get(uid).into_iter().flatten().filter_map(controlled).collect()
    }

    /// Every pod.
    pub(super) fn all_pods(&self) -> impl Iterator<Item = (&Key, &Arc<PodFacts>)> {
        self.keys(Resource::Pods).filter_map(|key| Some((key, self.entries.get(key)?.pod.as_ref()?)))
    }
}

/// A condition of a status.
pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A timestamp of an object.
pub(super) fn time(value: &Value) -> Option<Time> {
    value.as_str().and_then(Time::parse)
}

/// Labels or annotations.
pub(super) fn labels(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
