//! Decides which objects count, and creates their records.

use super::Inventory;
use super::objects::Record;
use super::recorder::Recorder;
use super::records::OwnerKey;
use crate::kinds::{CONTROLLER_REVISION_HASH, WorkloadKind};
use crate::objects::{Body, Meta, Object, OwnerReference, Pod, ReplicaSet};
use std::borrow::Cow;
use std::num::NonZeroU16;

impl Inventory {
    /// Returns the record of an object; `None` if it does not count.
    pub(super) fn record(&mut self, object: &Object<'_>) -> Option<Record> {
        let meta = &object.meta;
        // An object without a name cannot be reported.
        if meta.name.is_empty() || self.settings.exclude_namespaces.iter().any(|excluded| *excluded == meta.namespace) {
            return None;
        }
        match &object.body {
            Body::Pod(pod) => self.pod_record(meta, pod),
            Body::ReplicaSet(set) => {
                let parent = meta.controller.as_ref().map(|owner| self.owner_key(owner, &meta.namespace));
                // The images of a Deployment's current ReplicaSet are in the Deployment's own template.
                let keep_images = self.settings.images_of_history
                    || parent.is_none_or(|parent| parent.kind != WorkloadKind::Deployment);
                let hash = template_hash(object);
                let mut template = self.recorder().template(meta, &set.template, meta.revision, &hash, keep_images);
                // For a ReplicaSet this is the last scaling, not the time it became current.
                template.written = None;
                template.replicas = replicas_of(set);
                template.scale_down_deadline = meta.scale_down_deadline;
                // The name is not needed while the ReplicaSet has a parent. If it is deleted before its pods, the pods name it.
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
            // Nodes are read as evidence.
            Body::Node(_) => None,
            body => self.controller_record(object, body.workload_kind()?),
        }
    }

    fn recorder(&mut self) -> Recorder<'_> {
        Recorder {
            strings: &mut self.strings,
            identities: &mut self.identities,
            settings: &self.settings,
            message_budget: &mut self.message_budget,
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

    /// `None` for pods that belong to no workload: finished, bare and static pods; pods of Jobs without `--jobs`; and
    /// pods of other controllers without a hash label, unless their kind is configured (rows 13, 32, 33, 42).
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

/// Whether an owner is a core object that runs nothing, such as a Service. In the host cluster of a virtual cluster
/// such an object owns the pods, and they keep the hash labels of the virtual cluster (row 47).
fn is_placeholder(owner: &OwnerReference<'_>) -> bool {
    let is_controller = WorkloadKind::of(&owner.kind, &owner.group) != WorkloadKind::Other;
    owner.group.is_empty() && !is_controller && !is_node(owner)
}

/// The template hash on the pods of a ReplicaSet or ControllerRevision; empty if it has none.
#[must_use]
pub fn template_hash<'o>(object: &'o Object<'_>) -> Cow<'o, str> {
    let Meta { name, labels, controller, .. } = &object.meta;
    match &object.body {
        Body::ReplicaSet(_) => {
            let labels_of_pods = WorkloadKind::ReplicaSet.hash_labels_of_pods();
            labels_of_pods.iter().find_map(|label| labels.get(label)).unwrap_or_default()
        }
        // A StatefulSet's pods carry the revision's full name, a DaemonSet's only the hash in its label.
        Body::ControllerRevision(_) => {
            let owner = controller.as_ref().map(|owner| WorkloadKind::of(&owner.kind, &owner.group));
            let by_name = owner.unwrap_or(WorkloadKind::Other).hash_of_revision(name).map(Cow::Borrowed);
            by_name.or_else(|| labels.get(CONTROLLER_REVISION_HASH)).unwrap_or_default()
        }
        _ => Cow::default(),
    }
}

/// `spec.replicas` plus 1; the field defaults to 1.
fn replicas_of(set: &ReplicaSet<'_>) -> Option<NonZeroU16> {
    NonZeroU16::new(u16::try_from(set.replicas.unwrap_or(1).max(0)).ok()?.checked_add(1)?)
}
