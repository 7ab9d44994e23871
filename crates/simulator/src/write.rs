//! Rules for writes: the fields that a client may change, the generation, and the managed fields.

use crate::parts::managed;
use crate::resource::Resource;
use crate::store::Store;
use crate::time::Time;
use serde_json::{Value, json};

/// Metadata that only the API server sets.
const KEPT: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// The part of an object that a request writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Everything but the status.
    Object,
    /// The status.
    Status,
}

/// The writer, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    /// The name in `metadata.managedFields`.
    pub(crate) manager: &'a str,
    pub(crate) now: Time,
}

/// Changes an object except its status; see [`Store::update`].
pub(crate) fn object(
    store: &Store,
    resource: Resource,
    key: (&str, &str),
    writer: Writer<'_>,
    change: impl FnMut(&mut Value),
) -> Option<Value> {
    part(store, resource, key, Part::Object, writer, change)
}

/// Changes the status of an object; see [`Store::update`].
pub(crate) fn status(
    store: &Store,
    resource: Resource,
    key: (&str, &str),
    writer: Writer<'_>,
    change: impl FnMut(&mut Value),
) -> Option<Value> {
    part(store, resource, key, Part::Status, writer, change)
}

fn part(
    store: &Store,
    resource: Resource,
    (namespace, name): (&str, &str),
    part: Part,
    writer: Writer<'_>,
    mut change: impl FnMut(&mut Value),
) -> Option<Value> {
    store.update(resource, namespace, name, |object| {
        let mut wanted = object.clone();
        change(&mut wanted);
        settle(resource, object, wanted, part, writer)
    })
}

/// Copies from `wanted` the fields that a write to this part may change. Returns whether anything is different.
pub(crate) fn settle(
    resource: Resource,
    object: &mut Value,
    mut wanted: Value,
    part: Part,
    writer: Writer<'_>,
) -> bool {
    match part {
        Part::Status => {
            let status = wanted["status"].take();
            wanted = object.clone();
            wanted["status"] = status;
        }
        Part::Object => {
            for field in KEPT {
                copy(object, &mut wanted, "metadata", field);
            }
            copy_top(object, &mut wanted, "status");
        }
    }
    for field in ["resourceVersion", "generation", "managedFields"] {
        copy(object, &mut wanted, "metadata", field);
    }
    if wanted == *object {
        return false;
    }
    if part == Part::Object && wanted["spec"] != object["spec"] && has_generation(resource) {
        let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
        wanted["metadata"]["generation"] = (generation + 1).into();
    }
    note_manager(resource, object, &mut wanted, part, writer);
    *object = wanted;
    true
}

/// Completes a new object that a client asks for.
pub(crate) fn new_object(resource: Resource, object: &mut Value, uid: &str, writer: Writer<'_>) {
    let metadata = &mut object["metadata"];
    metadata["uid"] = uid.into();
    metadata["creationTimestamp"] = writer.now.to_string().into();
    if has_generation(resource) {
        metadata["generation"] = 1.into();
    }
    note_manager(resource, &json!({}), object, Part::Object, writer);
}

/// Marks a pod for deletion, which its kubelet completes: `deletionTimestamp` is when it must be gone.
pub(crate) fn begin_deletion(object: &mut Value, grace_seconds: u32, now: Time) -> bool {
    let metadata = &mut object["metadata"];
    let known = metadata["deletionGracePeriodSeconds"].as_u64();
    if metadata.get("deletionTimestamp").is_some() && known.is_none_or(|known| known <= u64::from(grace_seconds)) {
        return false;
    }
    metadata["deletionTimestamp"] = now.plus(grace_seconds).to_string().into();
    metadata["deletionGracePeriodSeconds"] = grace_seconds.into();
    if let Some(generation) = metadata["generation"].as_u64() {
        metadata["generation"] = (generation + 1).into();
    }
    true
}

fn has_generation(resource: Resource) -> bool {
    resource != Resource::ControllerRevisions
}

/// Copies a field, or removes it if it is missing.
fn copy(from: &Value, to: &mut Value, parent: &str, field: &str) {
    match from[parent].get(field) {
        Some(value) => to[parent][field] = value.clone(),
        None => {
            if let Some(parent) = to[parent].as_object_mut() {
                parent.remove(field);
            }
        }
    }
}

fn copy_top(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => {
            if let Some(object) = to.as_object_mut() {
                object.remove(field);
            }
        }
    }
}

/// Replaces the manager's entry in `metadata.managedFields` by a current one.
fn note_manager(resource: Resource, before: &Value, object: &mut Value, part: Part, writer: Writer<'_>) {
    let owned = match part {
        Part::Status => json!({"status": object["status"]}),
        Part::Object => {
            let changed = |field: &str| (object[field] != before[field]).then(|| object[field].clone());
            let mut owned = json!({});
            for field in ["spec", "data", "revision"] {
                if let Some(value) = changed(field) {
                    owned[field] = value;
                }
            }
            let metadata = &object["metadata"];
            for field in ["annotations", "labels", "ownerReferences"] {
                if metadata[field] != before["metadata"][field] {
                    owned["metadata"][field] = metadata[field].clone();
                }
            }
            owned
        }
    };
    let entry = managed(writer.manager, resource.api_version(), writer.now, &owned);
    let fields = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let is_same = |known: &Value| known["manager"] == entry["manager"] && known["subresource"] == entry["subresource"];
    let mut fields: Vec<Value> = fields.into_iter().filter(|known| !is_same(known)).collect();
    fields.push(entry);
    object["metadata"]["managedFields"] = fields.into();
}

#[cfg(test)]
mod tests {
    use super::{Writer, begin_deletion, object, status};
    use crate::{Resource, Store, Time};
    use serde_json::json;

    const WRITER: Writer<'_> = Writer { manager: "kubectl-edit", now: Time::EPOCH };

    fn store() -> Store {
        let store = Store::new(10);
        let metadata = json!({"namespace": "shop", "name": "web", "uid": "u", "generation": 1});
        store.put(
            Resource::Deployments,
            json!({"metadata": metadata, "spec": {"replicas": 1}, "status": {"replicas": 1}}),
        );
        store
    }

    #[test]
    fn a_change_of_the_spec_is_a_generation_and_leaves_the_status() {
        let store = store();
        let written = object(&store, Resource::Deployments, ("shop", "web"), WRITER, |object| {
            object["spec"]["replicas"] = 2.into();
            object["status"]["replicas"] = 9.into();
            object["metadata"]["uid"] = "other".into();
        });
        let written = written.unwrap();
        assert_eq!((&written["metadata"]["generation"], &written["metadata"]["uid"]), (&json!(2), &json!("u")));
        assert_eq!((&written["spec"]["replicas"], &written["status"]["replicas"]), (&json!(2), &json!(1)));
        assert_eq!(written["metadata"]["managedFields"][0]["manager"], "kubectl-edit");
    }

    #[test]
    fn a_status_is_no_generation_and_leaves_the_spec() {
        let store = store();
        let written = status(&store, Resource::Deployments, ("shop", "web"), WRITER, |object| {
            object["spec"]["replicas"] = 2.into();
            object["status"]["replicas"] = 9.into();
        });
        let written = written.unwrap();
        assert_eq!(written["metadata"]["generation"], 1);
        assert_eq!((&written["spec"]["replicas"], &written["status"]["replicas"]), (&json!(1), &json!(9)));
        assert_eq!(written["metadata"]["managedFields"][0]["subresource"], "status");
    }

    #[test]
    fn a_write_without_a_change_is_not_stored() {
        let store = store();
        let before = store.version();
        assert!(object(&store, Resource::Deployments, ("shop", "web"), WRITER, |_| {}).is_some());
        assert!(object(&store, Resource::Deployments, ("shop", "none"), WRITER, |_| {}).is_none());
        assert_eq!(store.version(), before);
    }

    #[test]
    fn a_second_deletion_only_shortens_the_grace() {
        let mut pod = json!({"metadata": {"generation": 1}});
        assert!(begin_deletion(&mut pod, 30, Time::EPOCH));
        assert!(!begin_deletion(&mut pod, 60, Time::EPOCH.plus(5)));
        assert_eq!(pod["metadata"]["deletionTimestamp"], Time::EPOCH.plus(30).to_string());
        assert!(begin_deletion(&mut pod, 1, Time::EPOCH));
        assert_eq!(pod["metadata"]["generation"], 3);
    }
}
