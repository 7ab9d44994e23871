//! Compares the controllers with recordings of the real ones: the same user writes at the same times must lead to the same
//! writes of the controllers.

use crate::controllers::{Controllers, ControllersConfig, Registry, Timings};
use crate::recording::Recording;
use crate::resource::Resource::{self, DaemonSets, Deployments, Pods, StatefulSets};
use crate::store::Store;
use crate::time::Time;
use crate::write::{self, Writer};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const WORKLOADS: [Resource; 3] = [Deployments, StatefulSets, DaemonSets];

/// What a watch shows of a cluster while it changes.
#[derive(Default, PartialEq, Debug)]
struct Seen {
    /// By workload: the reasons of `Progressing`, in order.
    reasons: BTreeMap<String, Vec<String>>,
    /// By workload: each of its statuses, without times and names of revisions.
    status: BTreeMap<String, Vec<Value>>,
    /// By resource: every field that was written.
    fields: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Seen {
    fn note(&mut self, resource: Resource, object: &Value) {
        fields_of(object, "", self.fields.entry(resource.plural()).or_default());
        if !WORKLOADS.contains(&resource) {
            return;
        }
        let name = format!("{resource}/{}", object["metadata"]["name"].as_str().unwrap());
        if let Some(condition) = crate::controllers::index::condition(&object["status"], "Progressing") {
            let reason = condition["reason"].as_str().unwrap().to_owned();
            let reasons = self.reasons.entry(name.clone()).or_default();
            if reasons.last() != Some(&reason) {
                reasons.push(reason);
            }
        }
        self.status.entry(name).or_default().push(plain(&object["status"]));
    }
}

/// A value without times and random parts.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !name.ends_with("Time") && !name.ends_with("Revision") && *name != "message");
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect::<Map<String, Value>>())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// Paths of all fields, except keys of maps with arbitrary keys.
fn fields_of(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    let is_free = ["labels", "annotations", "managedFields", "matchLabels"].iter().any(|name| path.ends_with(name));
    match value {
        Value::Object(object) if !is_free => {
            for (name, value) in object {
                fields_of(value, &format!("{path}.{name}"), fields);
            }
        }
        Value::Array(items) if !is_free => items.iter().for_each(|item| fields_of(item, &format!("{path}[]"), fields)),
        _ => {
            fields.insert(path.to_owned());
        }
    }
}

fn load(name: &str) -> Recording {
    let path = format!("{}/../../tests/data/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    Recording::load(Path::new(&path)).unwrap()
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// What the real controllers wrote, and what the simulated ones write.
fn both(recording: &Recording, missing: &[&str]) -> (Seen, Seen) {
    let (mut real, mut ours) = (Seen::default(), Seen::default());
    let store = Store::new(100_000);
    let mut specs: BTreeMap<(Resource, (String, String)), Value> = BTreeMap::new();
    for event in &recording.initial {
        store.put(event.resource, event.object.clone());
        if WORKLOADS.contains(&event.resource) {
            real.note(event.resource, &event.object);
        }
        specs.insert((event.resource, key(&event.object)), event.object["spec"].clone());
    }
    let timings = Timings { creating: 2, ready: 0, stop: 3, ..Timings::default() };
    let start = recording.start();
    let config = ControllersConfig { timings, registry: Registry::with_everything(), ..ControllersConfig::default() };
    let mut controllers = Controllers::new(store.clone(), config, start);
    for image in missing {
        controllers.registry().remove(image);
    }
    let mut seen = store.version();
    let mut events = recording.events.iter().peekable();
    // The recording ends when the real controllers are done. The simulated ones may need a few seconds more.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a recording")]
    let seconds = recording.seconds() as u32 + 15;
    for second in 0..seconds {
        let now = start.plus(second);
        while let Some(event) = events.next_if(|event| event.at < f64::from(second + 1)) {
            if !event.deleted {
                real.note(event.resource, &event.object);
            }
            write_as_users(&store, event.resource, &event.object, &mut specs, now);
        }
        controllers.tick(now);
        for resource in Resource::ALL {
            let since = store.since(resource, seen, usize::MAX);
            let crate::history::Since::Changes { changes, .. } = since else {
                panic!("the history is complete");
            };
            for change in changes {
                if let Some((kind, stored)) = change.as_seen_by(&crate::encoded::Selection::default())
                    && kind != "DELETED"
                {
                    ours.note(resource, &serde_json::from_slice(&stored.to_json(resource)).unwrap());
                }
            }
        }
        seen = store.version();
    }
    (real, ours)
}

/// Repeats what users wrote: the specs of workloads, and deletions of pods that no controller would delete.
fn write_as_users(
    store: &Store,
    resource: Resource,
    object: &Value,
    specs: &mut BTreeMap<(Resource, (String, String)), Value>,
    now: Time,
) {
    let (namespace, name) = key(object);
    if resource == Pods && object["metadata"].get("deletionTimestamp").is_some() {
        // No controller deletes pods of a DaemonSet whose strategy is OnDelete.
        let owner = &object["metadata"]["ownerReferences"][0];
        let set = store.get(DaemonSets, &namespace, owner["name"].as_str().unwrap_or_default()).unwrap_or_default();
        if owner["kind"] == "DaemonSet" && set["spec"]["updateStrategy"]["type"] == "OnDelete" {
            store.update(Pods, &namespace, &name, |pod| write::begin_deletion(pod, 5, now));
        }
    }
    let known = specs.insert((resource, (namespace.clone(), name.clone())), object["spec"].clone());
    if !WORKLOADS.contains(&resource) || known.as_ref() == Some(&object["spec"]) {
        return;
    }
    let writer = Writer { manager: "kubectl", now };
    let written = write::object(store, resource, (&namespace, &name), writer, |stored| {
        stored["spec"] = object["spec"].clone();
    });
    written.unwrap();
}

#[test]
fn the_reasons_and_the_last_status_are_those_of_the_real_controllers() {
    for (name, missing) in [
        ("rollout", &[][..]),
        ("paused", &[]),
        ("recreate", &[]),
        ("stuck", &["registry.example/stuck/api:broken"]),
        ("statefulset-partition", &[]),
        ("daemonset", &[]),
        ("digest-skew", &[]),
        ("restart-moved-tag", &[]),
    ] {
        let (real, ours) = both(&load(name), missing);
        assert!(!real.status.is_empty(), "{name}");
        assert_eq!(ours.reasons, real.reasons, "{name}");
        // Some recordings end before the last pod is Ready.
        for (workload, statuses) in &real.status {
            let last = statuses.last().unwrap();
            let ours = ours.status.get(workload).map_or(&[][..], Vec::as_slice);
            let stays = statuses.iter().all(|status| status == last);
            assert!(ours.contains(last) || stays && ours.is_empty(), "{name} {workload}: {last} in {ours:?}");
        }
    }
}

#[test]
fn the_fields_are_those_that_the_real_ones_write() {
    for name in ["rollout", "paused", "recreate", "statefulset-partition", "daemonset"] {
        let (real, ours) = both(&load(name), &[]);
        for (resource, fields) in &ours.fields {
            let missing: Vec<&String> = real.fields[resource].difference(fields).collect();
            let added: Vec<&String> = fields.difference(&real.fields[resource]).collect();
            assert_eq!(missing, Vec::<&String>::new(), "{name} {resource}");
            // The recorded kubelets report less than real ones, and there were no service accounts.
            if *resource != "pods" {
                assert_eq!(added, Vec::<&String>::new(), "{name} {resource}");
            }
        }
    }
}
