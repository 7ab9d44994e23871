//! The pod templates of one workload, as they came: a report keeps nothing of them that could be compared.

use super::pod_template;
use crate::inventory::template_hash;
use crate::objects::{Resource, decode_object};
use crate::report::Workload;
use crate::snapshot::RawObserver;
use crate::sync::lock;
use memchr::memmem;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// An object as it came.
type Json = (Resource, Vec<u8>);

/// ReplicaSets and ControllerRevisions that may be the workload's.
#[derive(Default)]
pub(super) struct Templates {
    objects: Arc<Mutex<Vec<Json>>>,
}

impl Templates {
    /// Keeps what may be of a workload of this name, and nothing else of all that is seen.
    pub(super) fn observer(&self, name: &str) -> RawObserver {
        let objects = Arc::clone(&self.objects);
        // As an owner reference has it; indented or not, the name stands in quotes.
        let name = memmem::Finder::new(&format!("\"{name}\"")).into_owned();
        Arc::new(move |resource, json| {
            let may_be = matches!(resource, Resource::ReplicaSets | Resource::ControllerRevisions);
            if may_be && name.find(json).is_some() {
                lock(&objects).push((resource, json.to_owned()));
            }
        })
    }

    /// The template behind a hash of the workload.
    pub(super) fn find(&self, workload: &Workload, hash: &str) -> Option<Value> {
        let objects = lock(&self.objects);
        let json = objects.iter().rfind(|(resource, json)| {
            let Ok(object) = decode_object(*resource, json) else { return false };
            let is_owner = object.meta.controller.as_ref().is_some_and(|owner| {
                *owner.name == *workload.name && owner.kind.eq_ignore_ascii_case(&workload.workload_type)
            });
            is_owner && *object.meta.namespace == *workload.namespace && template_hash(&object) == hash
        });
        // What was read once reads again.
        json.and_then(|(_, json)| serde_json::from_slice(json).ok()).and_then(pod_template)
    }
}
