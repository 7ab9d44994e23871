//! Which objects count, and what is kept of them.

use super::Inventory;
use super::objects::Record;
use super::recorder::Recorder;
use super::records::OwnerKey;
use crate::kinds::{CONTROLLER_REVISION_HASH, WorkloadKind};
use crate::objects::{Body, Meta, Object, OwnerReference, Pod, ReplicaSet};
use std::borrow::Cow;
use std::num::NonZeroU16;

impl Inventory {
    /// What is kept of an object; `None` if it does not count.
    pub(super) fn record(&mut self, object: &Object<'_>) -> Option<Record> {
        let meta = &object.meta;
        // Without a name there is nothing to say about it.
        if meta.name.is_empty() || self.settings.exclude_namespaces.iter().any(|excluded| *excluded == meta.namespace) {
            return None;
        }
        match &object.body {
            Body::Pod(pod) => self.pod_record(meta, pod),
            Body::ReplicaSet(set) => {
                let parent = meta.controller.as_ref().map(|owner| self.owner_key(owner, &meta.namespace));
                // A Deployment's own template gives the images of its current ReplicaSet.
                let keep_images = self.settings.images_of_history
                    || parent.is_none_or(|parent| parent.kind != WorkloadKind::Deployment);
                let hash = template_hash(object);
                let mut template = self.recorder().template(meta, &set.template, meta.revision, &hash, keep_images);
                // Of a ReplicaSet it tells when it was scaled last, not when it became current.
                template.written = None;
                template.replicas = replicas_of(set);
                template.scale_down_deadline = meta.scale_down_deadline;
                // Its name is not said as long as it has a parent; should it go before its pods, they name it.
                let name = if parent.is_some() { "" } else { &meta.name };
                let key = self.key_of(meta, WorkloadKind::ReplicaSet, name);
                Some(Record::ReplicaSet { key, parent, template })
            }
            Body::ControllerRevision(revision) => {
                let owner = self.owner_key(meta.controller.as_ref()?, &meta.namespace);
                let hash = template_hash(object);
                let number = revision.revision.and_then(|number| u64::try_from(number).ok());
                let template = self.recorder().template(meta, &revision.template, number, &hash, true);
                Some(Record::Revision { uid: meta.uid, owner, template })
            }
            // What nodes say comes as evidence.
            Body::Node(_) => None,
            body => self.controller_record(object, body.workload_kind()?),
        }
    }

    fn recorder(&mut self) -> Recorder<'_> {
        Recorder {
            strings: &mut self.strings,
            identities: &mut self.identities,
            settings: &self.settings,
            message_bytes_left: &mut self.message_bytes_left,
        }
    }

    fn key_of(&mut self, meta: &Meta<'_>, kind: WorkloadKind, name: &str) -> OwnerKey {
        OwnerKey {
            uid: meta.uid,
            kind,
            workload_type: self.strings.intern(kind.label()),
            namespace: self.strings.intern(&meta.namespace),
            name: self.strings.intern(name),
        }
    }

    fn controller_record(&mut self, object: &Object<'_>, kind: WorkloadKind) -> Option<Record> {
        let record = Box::new(self.recorder().controller(object)?);
        let meta = &object.meta;
        Some(Record::Controller { key: self.key_of(meta, kind, &meta.name), record })
    }

    /// `None` for pods that belong to no workload: finished, bare and static ones, Jobs' unless asked for, and those of
    /// other controllers without a hash label unless their kind is asked for (rows 13, 32, 33, 42).
    fn pod_record(&mut self, meta: &Meta<'_>, pod: &Pod<'_>) -> Option<Record> {
        let owner = meta.controller.as_ref().filter(|_| !pod.finished)?;
        let labels = WorkloadKind::of(&owner.kind, &owner.group).hash_labels_of_pods();
        let hash = labels.iter().find_map(|label| meta.labels.get(label)).unwrap_or_default();
        if !self.counts(owner, &hash) {
            if is_placeholder(owner) && !self.waits {
                self.placeholders.insert(meta.uid);
            }
            return None;
        }
        let record = self.recorder().pod(meta, pod, &hash);
        Some(Record::Pod { uid: meta.uid, owner: self.owner_key(owner, &meta.namespace), record })
    }

    fn counts(&self, owner: &OwnerReference<'_>, hash: &str) -> bool {
        match WorkloadKind::of(&owner.kind, &owner.group) {
            WorkloadKind::Job => self.settings.jobs,
            WorkloadKind::Other | WorkloadKind::Experiment => {
                let named = |wanted: &super::CustomKind| {
                    wanted.kind.eq_ignore_ascii_case(&owner.kind) && wanted.group.eq_ignore_ascii_case(&owner.group)
                };
                !is_node(owner)
                    && ((!hash.is_empty() && !is_placeholder(owner)) || self.settings.workload_kinds.iter().any(named))
            }
            _ => true,
        }
    }
}

fn is_node(owner: &OwnerReference<'_>) -> bool {
    owner.group.is_empty() && owner.kind == "Node"
}

/// Whether an owner is a core object that runs nothing, such as a Service: a virtual cluster's host has its pods owned by one, and
/// they keep the hash labels of their own cluster (row 47).
fn is_placeholder(owner: &OwnerReference<'_>) -> bool {
    let is_controller = WorkloadKind::of(&owner.kind, &owner.group) != WorkloadKind::Other;
    owner.group.is_empty() && !is_controller && !is_node(owner)
}

/// The hash that the pods of a ReplicaSet's or a ControllerRevision's template carry; empty if it says none.
#[must_use]
pub fn template_hash<'o>(object: &'o Object<'_>) -> Cow<'o, str> {
    let Meta { name, labels, controller, .. } = &object.meta;
    match &object.body {
        Body::ReplicaSet(_) => {
            let labels_of_pods = WorkloadKind::ReplicaSet.hash_labels_of_pods();
            labels_of_pods.iter().find_map(|label| labels.get(label)).unwrap_or_default()
        }
        // A StatefulSet's pods carry the revision's whole name, a DaemonSet's only the hash in its label.
        Body::ControllerRevision(_) => {
            let owner = controller.as_ref().map(|owner| WorkloadKind::of(&owner.kind, &owner.group));
            let by_name = owner.unwrap_or(WorkloadKind::Other).hash_of_revision(name).map(Cow::Borrowed);
            by_name.or_else(|| labels.get(CONTROLLER_REVISION_HASH)).unwrap_or_default()
        }
        _ => Cow::default(),
    }
}

/// One more than a ReplicaSet is to have pods; `spec.replicas` defaults to 1.
fn replicas_of(set: &ReplicaSet<'_>) -> Option<NonZeroU16> {
    NonZeroU16::new(u16::try_from(set.replicas.unwrap_or(1).max(0)).ok()?.checked_add(1)?)
}
