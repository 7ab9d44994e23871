//! The raw pod templates of one workload; a report keeps only their digests.

use super::pod_template;
use crate::inventory::template_hash;
use crate::objects::{Resource, decode_object};
use crate::report::Workload;
use crate::snapshot::RawObserver;
use crate::sync::lock;
use memchr::memmem;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// An object as received.
type Json = (Resource, Vec<u8>);

/// ReplicaSets and ControllerRevisions that may belong to the workload.
#[derive(Default)]
pub(super) struct Templates {
    objects: Arc<Mutex<Vec<Json>>>,
}

impl Templates {
    /// Returns an observer that keeps the objects which may belong to a workload of this name.
    pub(super) fn observer(&self, name: &str) -> RawObserver {
        let objects = Arc::clone(&self.objects);
        // The name in quotes, as in an owner reference; this does not depend on the indentation.
        let name = memmem::Finder::new(&format!("\"{name}\"")).into_owned();
        Arc::new(move |resource, json| {
            let may_be = matches!(resource, Resource::ReplicaSets | Resource::ControllerRevisions);
            if may_be && name.find(json).is_some() {
                lock(&objects).push((resource, json.to_owned()));
            }
        })
    }

    /// The template with this hash.
    pub(super) fn find(&self, workload: &Workload, hash: &str) -> Option<Value> {
        let objects = lock(&self.objects);
        let json = objects.iter().rfind(|(resource, json)| {
            let Ok(object) = decode_object(*resource, json) else { return false };
            let is_owner = object.meta.controller.as_ref().is_some_and(|owner| {
                *owner.name == *workload.name && owner.kind.eq_ignore_ascii_case(&workload.workload_type)
            });
            is_owner && *object.meta.namespace == *workload.namespace && template_hash(&object) == hash
        });
        // This parses: the object was parsed before.
        json.and_then(|(_, json)| serde_json::from_slice(json).ok()).and_then(pod_template)
    }
}
