//! The store: objects by resource, one version counter, and a bounded history.

use super::encoded::{Encoded, Selection, Stored, key};
use super::history::{Change, History, Since};
use super::negotiate::Form;
use super::open_lists::OpenLists;
use super::watchers::Watchers;
use crate::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The objects of a simulated cluster. Clones share the same content.
#[derive(Clone, Debug)]
pub struct Store {
    content: Arc<Content>,
}

#[derive(Debug)]
struct Content {
    state: Mutex<State>,
    /// Notifies of each change, by resource.
    changed: [watch::Sender<()>; Resource::ALL.len()],
    history: usize,
    /// Limit for the history of each resource, in bytes of JSON.
    history_bytes: AtomicUsize,
    /// Whether protobuf is encoded when an object is put instead of on demand.
    protobuf_on_put: AtomicBool,
    /// Resources that are served only in JSON.
    json_only: [AtomicBool; Resource::ALL.len()],
    /// Limit for the number of pods.
    most_pods: AtomicUsize,
    watchers: Watchers,
}

/// Why an object was not created.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CreateError {
    /// An object with this name exists.
    #[error("already exists")]
    Exists,
    /// The limit of pods is reached. The message is that of a `ResourceQuota`.
    #[error("exceeded quota: simulated-cluster, requested: pods=1, used: pods={used}, limited: pods={limited}")]
    ExceededQuota { used: usize, limited: usize },
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    tables: [Table; Resource::ALL.len()],
}

#[derive(Debug, Default)]
struct Table {
    objects: BTreeMap<Arc<str>, Arc<Stored>>,
    history: History,
    open_lists: OpenLists,
}

/// All objects of one resource at one version, ordered by key.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    pub(super) objects: Vec<Arc<Stored>>,
}

#[allow(clippy::must_use_candidate, reason = "put and delete are called for their effect")]
impl Store {
    /// An empty store that remembers the last `history` changes of each resource.
    #[must_use]
    pub fn new(history: usize) -> Self {
        let state = State {
            // Real clusters are never at version 1, and a test of an expired version needs lower ones.
            version: 1000,
            ..State::default()
        };
        Self {
            content: Arc::new(Content {
                state: Mutex::new(state),
                changed: std::array::from_fn(|_| watch::Sender::new(())),
                history,
                history_bytes: AtomicUsize::new(usize::MAX),
                protobuf_on_put: AtomicBool::new(false),
                json_only: std::array::from_fn(|_| AtomicBool::new(false)),
                most_pods: AtomicUsize::new(usize::MAX),
                watchers: Watchers::default(),
            }),
        }
    }

    /// Refuses to create a pod when there are this many, as a `ResourceQuota` does.
    pub fn limit_pods(&self, most: usize) {
        self.content.most_pods.store(most, Ordering::Relaxed);
    }

    /// Limits the history of each resource to this many bytes of JSON, for a cluster that runs for long. Changes that an
    /// open watch has not been sent are kept longer, because a burst of changes would expire it otherwise.
    pub fn limit_history(&self, bytes: usize) {
        self.content.history_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Encodes every object in protobuf when it is put: for benchmarks, in which the first client must not wait for the
    /// encoding. Otherwise an object is encoded on demand.
    pub fn encode_protobuf_on_put(&self) {
        self.content.protobuf_on_put.store(true, Ordering::Relaxed);
    }

    /// Creates or replaces an object, and returns its new version. The key is the namespace and the name in its metadata.
    pub fn put(&self, resource: Resource, object: Value) -> u64 {
        self.apply(resource, Encoded::new(object), false, None)
    }

    /// Like [`Self::put`], for objects with missing or invalid metadata: the key consists of the given names.
    pub fn put_as(&self, resource: Resource, namespace: &str, name: &str, object: Value) -> u64 {
        self.apply(resource, Encoded::filed_as(key(namespace, name), object), false, None)
    }

    /// Replaces an object by the result of `change`, and returns its new state; `None` if there is no such object. Writes
    /// nothing if `change` returns false. Calls `change` again if another writer was faster.
    pub fn update(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        mut change: impl FnMut(&mut Value) -> bool,
    ) -> Option<Value> {
        let key = key(namespace, name);
        loop {
            let stored = self.stored(resource, &key)?;
            let mut object: Value = serde_json::from_slice(&stored.to_json(resource)).ok()?;
            if !change(&mut object) {
                return Some(object);
            }
            let encoded = Encoded::filed_as(key.clone(), object.clone());
            if let Some(version) = self.apply_to(resource, encoded, Some(stored.version)) {
                object["metadata"]["resourceVersion"] = version.to_string().into();
                return Some(object);
            }
        }
    }

    /// Creates an object, and returns its version.
    pub(super) fn create(&self, resource: Resource, object: Value) -> Result<u64, CreateError> {
        let (used, limited) = (self.count(resource), self.content.most_pods.load(Ordering::Relaxed));
        if resource == Resource::Pods && used >= limited {
            return Err(CreateError::ExceededQuota { used, limited });
        }
        self.apply_to(resource, Encoded::new(object), None).ok_or(CreateError::Exists)
    }

    /// Writes an object if the current one has this version; `None` requires that there is none.
    fn apply_to(&self, resource: Resource, encoded: Encoded, version: Option<u64>) -> Option<u64> {
        self.make_ready(resource, &encoded);
        let mut state = self.state();
        let found = state.tables[index(resource)].objects.get(&encoded.key).map(|stored| stored.version);
        (found == version).then(|| {
            let version = self.record(&mut state, resource, encoded, false, None);
            drop(state);
            self.content.changed[index(resource)].send_replace(());
            version
        })
    }

    /// Deletes an object; false if there was none.
    pub fn delete(&self, resource: Resource, namespace: &str, name: &str) -> bool {
        let last = self.stored(resource, &key(namespace, name)).map(|stored| stored.encoded.clone());
        last.map(|encoded| self.apply(resource, encoded, true, None)).is_some()
    }

    /// An object as a client would see it.
    #[must_use]
    pub fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<Value> {
        let stored = self.stored(resource, &key(namespace, name))?;
        serde_json::from_slice(&stored.to_json(resource)).ok()
    }

    /// All objects of a resource, ordered by namespace and name.
    #[must_use]
    pub fn list(&self, resource: Resource) -> Vec<Value> {
        let objects = self.snapshot(resource).objects.clone();
        let decode = |stored: Arc<Stored>| serde_json::from_slice(&stored.to_json(resource)).ok();
        objects.into_iter().filter_map(decode).collect()
    }

    /// Calls `each` with every object of a resource as a line of a streaming list, ordered by namespace and name.
    pub fn each_line(&self, resource: Resource, each: &mut dyn FnMut(&[u8])) {
        self.each_event(Form::Json, resource, each);
    }

    /// Like [`Self::each_line`], in protobuf: each frame begins with its length in four bytes.
    pub fn each_frame(&self, resource: Resource, each: &mut dyn FnMut(&[u8])) {
        self.each_event(Form::Protobuf, resource, each);
    }

    fn each_event(&self, form: Form, resource: Resource, each: &mut dyn FnMut(&[u8])) {
        let mut event = Vec::new();
        for stored in &self.snapshot(resource).objects {
            event.clear();
            stored.write_event(form, "ADDED", resource, stored.version, &mut event);
            each(&event);
        }
    }

    /// Number of objects of a resource.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        self.state().tables[index(resource)].objects.len()
    }

    /// The version of the last change of any resource.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Clears the history of a resource, as etcd's compaction does: every watch that has not seen the last change gets the
    /// error that its version is too old.
    pub fn forget_history(&self, resource: Resource) {
        let mut state = self.state();
        // Uses a new version, so that even a watch that has seen everything cannot be resumed.
        state.version += 1;
        let version = state.version;
        let table = &mut state.tables[index(resource)];
        table.history = History::since_version(version);
        drop(state);
        self.content.changed[index(resource)].send_replace(());
    }

    /// Expires every continue token of a resource.
    pub fn forget_open_lists(&self, resource: Resource) {
        self.state().tables[index(resource)].open_lists.clear();
    }

    /// Whether a resource has protobuf. Custom resources have none.
    pub(super) fn has_protobuf(&self, resource: Resource) -> bool {
        resource.has_protobuf() && !self.content.json_only[index(resource)].load(Ordering::Relaxed)
    }

    /// The form in which these objects can be sent. A real API server can encode every object, but tests put invalid ones,
    /// to be sent as they are. After the first of them its resource is served only in JSON.
    pub(super) fn form_of<'a>(
        &self,
        resource: Resource,
        form: Form,
        mut objects: impl Iterator<Item = &'a Stored>,
    ) -> Form {
        if objects.all(|stored| stored.is_in(form, resource)) {
            return form;
        }
        self.serve_in_json(resource);
        Form::Json
    }

    fn serve_in_json(&self, resource: Resource) {
        self.content.json_only[index(resource)].store(true, Ordering::Relaxed);
    }

    pub(super) fn encodes_on_put(&self) -> bool {
        self.content.protobuf_on_put.load(Ordering::Relaxed)
    }

    fn make_ready(&self, resource: Resource, encoded: &Encoded) {
        if self.encodes_on_put() && self.has_protobuf(resource) && encoded.in_protobuf(resource).is_none() {
            self.serve_in_json(resource);
        }
    }

    /// Stores many objects without events, as if they were old.
    pub(super) fn fill(&self, resource: Resource, objects: impl IntoIterator<Item = Encoded>) {
        let objects = objects.into_iter().inspect(|encoded| self.make_ready(resource, encoded));
        let mut state = self.state();
        for encoded in objects {
            state.version += 1;
            let version = state.version;
            let stored = Arc::new(Stored { version, encoded });
            let table = &mut state.tables[index(resource)];
            table.objects.insert(stored.encoded.key.clone(), stored);
        }
        let version = state.version;
        state.tables[index(resource)].history.forgotten = version;
    }

    /// Puts or deletes an object; the version is the next one, or a recorded one.
    pub(super) fn apply(&self, resource: Resource, encoded: Encoded, deleted: bool, recorded: Option<u64>) -> u64 {
        self.make_ready(resource, &encoded);
        let version = self.record(&mut self.state(), resource, encoded, deleted, recorded);
        self.content.changed[index(resource)].send_replace(());
        version
    }

    fn record(
        &self,
        state: &mut State,
        resource: Resource,
        encoded: Encoded,
        deleted: bool,
        recorded: Option<u64>,
    ) -> u64 {
        let version = recorded.unwrap_or(state.version + 1);
        state.version = state.version.max(version);
        let object = Arc::new(Stored { version, encoded });
        let table = &mut state.tables[index(resource)];
        let key = object.encoded.key.clone();
        let previous = if deleted { table.objects.remove(&key) } else { table.objects.insert(key, object.clone()) };
        table.open_lists.expire(Instant::now());
        table.history.push(Change { version, deleted, object, previous });
        let bytes = self.content.history_bytes.load(Ordering::Relaxed);
        let slowest = || self.content.watchers.slowest(resource);
        table.history.trim(self.content.history, bytes, slowest);
        version
    }

    /// Size in bytes of all objects in memory: current ones, those of the histories and those of open lists. This includes
    /// keys, and protobuf that a client has asked for.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let state = self.state();
        let mut seen = HashSet::new();
        let mut bytes = 0;
        for table in &state.tables {
            let changed = table.history.objects();
            let listed = table.open_lists.all().flat_map(|list| &list.objects);
            for stored in table.objects.values().chain(changed).chain(listed) {
                if seen.insert(Arc::as_ptr(stored)) {
                    bytes += stored.encoded.bytes();
                }
            }
        }
        bytes
    }

    /// The open watches.
    pub(super) fn watchers(&self) -> &Watchers {
        &self.content.watchers
    }

    /// Clears the store and sets the version counter to the start of a recording. Recordings are JSON, and are served only
    /// in JSON.
    pub(super) fn begin_at(&self, version: u64) {
        for resource in Resource::ALL {
            self.serve_in_json(resource);
        }
        let mut state = self.state();
        *state = State { version, ..State::default() };
        for table in &mut state.tables {
            table.history.forgotten = version;
        }
    }

    /// Sets the version counter, usually to an older version, keeps or replaces the objects, and clears the history: a
    /// cluster restored from a backup. Connections have to be closed, as by the restart of a real API server.
    pub fn restore(&self, version: u64, objects: Option<Vec<(Resource, Value)>>) {
        let mut state = self.state();
        state.version = version;
        for table in &mut state.tables {
            let old = std::mem::take(table);
            table.history.forgotten = version;
            if objects.is_none() {
                table.objects = old.objects;
            }
            for stored in table.objects.values_mut().filter(|stored| stored.version > version) {
                let encoded = stored.encoded.clone();
                *stored = Arc::new(Stored { version, encoded });
            }
        }
        for (resource, object) in objects.into_iter().flatten() {
            let encoded = Encoded::new(object);
            let stored = Arc::new(Stored { version, encoded });
            let table = &mut state.tables[index(resource)];
            table.objects.insert(stored.encoded.key.clone(), stored);
        }
    }

    /// All objects of one resource at the current version.
    pub(super) fn snapshot(&self, resource: Resource) -> Arc<Snapshot> {
        let state = self.state();
        let table = &state.tables[index(resource)];
        table.open_lists.at(state.version).unwrap_or_else(|| {
            Arc::new(Snapshot { version: state.version, objects: table.objects.values().cloned().collect() })
        })
    }

    /// Keeps a list whose next page may be requested.
    pub(super) fn keep_open(&self, resource: Resource, list: &Arc<Snapshot>) {
        self.state().tables[index(resource)].open_lists.keep(list, Instant::now());
    }

    /// The list that began at a version, unless it has expired.
    pub(super) fn open_list(&self, resource: Resource, version: u64) -> Option<Arc<Snapshot>> {
        self.state().tables[index(resource)].open_lists.at(version)
    }

    /// At most `limit` changes after a version.
    pub(super) fn since(&self, resource: Resource, version: u64, limit: usize) -> Since {
        let state = self.state();
        state.tables[index(resource)].history.since(version, limit, state.version)
    }

    /// Number of changes after a version, as far as the history reaches.
    pub(super) fn count_since(&self, resource: Resource, version: u64) -> usize {
        let state = self.state();
        state.tables[index(resource)].history.count_since(version)
    }

    /// Notifies of changes of a resource.
    pub(super) fn subscribe(&self, resource: Resource) -> watch::Receiver<()> {
        self.content.changed[index(resource)].subscribe()
    }

    /// One object.
    pub(super) fn stored(&self, resource: Resource, key: &str) -> Option<Arc<Stored>> {
        self.state().tables[index(resource)].objects.get(key).cloned()
    }

    /// Any object of a selection.
    pub(super) fn any(&self, resource: Resource, selection: &Selection) -> Option<Arc<Stored>> {
        let state = self.state();
        let mut objects = state.tables[index(resource)].objects.values();
        objects.find(|stored| selection.holds(&stored.encoded)).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another test that holds the lock must not fail this one.
        self.content.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(resource: Resource) -> usize {
    resource as usize
}

#[cfg(test)]
mod tests {
    use super::{Selection, Since, Store};
    use crate::resource::Resource::Pods;
    use serde_json::{Value, json};

    fn pod(name: &str, phase: &str) -> Value {
        json!({"metadata": {"namespace": "shop", "name": name}, "status": {"phase": phase}})
    }

    fn events(store: &Store, since: u64, selection: &Selection) -> Option<Vec<(&'static str, String)>> {
        let Since::Changes { changes, .. } = store.since(Pods, since, 100) else {
            return None;
        };
        let seen = changes.iter().filter_map(|change| change.as_seen_by(selection));
        Some(seen.map(|(kind, stored)| (kind, stored.encoded.key.to_string())).collect())
    }

    #[test]
    fn a_pod_that_leaves_the_selection_is_deleted_from_it() {
        let store = Store::new(100);
        let start = store.version();
        store.put(Pods, pod("a", "Running"));
        store.put(Pods, pod("a", "Succeeded"));
        store.delete(Pods, "shop", "a");
        let key = || "shop/a".to_owned();
        let unfinished = Selection { unfinished_only: true, ..Selection::default() };
        assert_eq!(events(&store, start, &unfinished).unwrap(), [("ADDED", key()), ("DELETED", key())]);
        let all = [("ADDED", key()), ("MODIFIED", key()), ("DELETED", key())];
        assert_eq!(events(&store, start, &Selection::default()).unwrap(), all);
        let elsewhere = Selection { namespace: Some("web".to_owned()), ..Selection::default() };
        assert!(events(&store, start, &elsewhere).unwrap().is_empty());
    }

    #[test]
    fn the_history_is_bounded_and_reports_expiry() {
        let store = Store::new(2);
        let start = store.version();
        store.put(Pods, pod("a", "Running"));
        let after_first = store.version();
        store.put(Pods, pod("b", "Running"));
        store.put(Pods, pod("c", "Running"));
        assert!(events(&store, start, &Selection::default()).is_none());
        assert_eq!(events(&store, after_first, &Selection::default()).unwrap().len(), 2);
        store.forget_history(Pods);
        assert!(events(&store, after_first, &Selection::default()).is_none());
    }

    #[test]
    fn changes_unsent_to_an_open_watch_stay_longer() {
        let store = Store::new(1000);
        store.limit_history(1000);
        let start = store.version();
        let put = |count: u32| {
            for number in 0..count {
                store.put(Pods, pod(&number.to_string(), "Running"));
            }
        };
        let watcher = store.watchers().open(Pods, start);
        let of_others = store.watchers().open(crate::resource::Resource::Deployments, start);
        put(100);
        assert_eq!(events(&store, start, &Selection::default()).unwrap().len(), 100);
        let seen = store.version();
        watcher.saw(seen);
        put(1);
        assert!(events(&store, start, &Selection::default()).is_none(), "the watch has been sent everything");
        put(50);
        assert_eq!(events(&store, seen, &Selection::default()).unwrap().len(), 51);
        drop(watcher);
        put(1);
        assert!(events(&store, seen, &Selection::default()).is_none(), "no watch waits for it");
        drop(of_others);
    }

    #[test]
    fn the_history_is_bounded_in_bytes_too() {
        let store = Store::new(1000);
        let bytes = |store: &Store| {
            let changes = &store.state().tables[0].history.changes;
            changes.iter().map(|change| change.object.encoded.text().0.len()).sum::<usize>()
        };
        store.limit_history(1000);
        let start = store.version();
        for number in 0..100 {
            store.put(Pods, pod(&number.to_string(), "Running"));
            assert!(bytes(&store) <= 1000);
            assert_eq!(bytes(&store), store.state().tables[0].history.bytes);
        }
        assert!(bytes(&store) > 800);
        assert!(events(&store, start, &Selection::default()).is_none());
        let latest = events(&store, store.version() - 1, &Selection::default()).unwrap();
        assert_eq!(latest, [("ADDED", "shop/99".to_owned())]);
    }

    #[test]
    fn a_restart_goes_back_in_versions_and_keeps_the_objects() {
        let store = Store::new(100);
        for number in 0..2000 {
            store.put(Pods, pod(&number.to_string(), "Running"));
        }
        let before = store.version();
        store.restore(before / 2, None);
        assert!(store.version() < before);
        assert_eq!(store.count(Pods), 2000);
        store.restore(before / 4, Some(vec![(Pods, pod("other", "Running"))]));
        assert_eq!(store.count(Pods), 1);
    }
}
