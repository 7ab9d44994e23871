//! Adds and removes records.

use super::intern::Symbol;
use super::owners::{Owner, OwnerObject, Placement, RevisionEntry};
use super::records::{ControllerRecord, OwnerKey, PodRecord, TemplateRecord};
use super::slab::Identified;
use super::{Inventory, Source};
use crate::kinds::WorkloadKind;
use crate::objects::{Resource, Uid};
use crate::report::facts::ControllerKind;
use crate::time::UnixTime;

/// The record of a pod and its position in the inventory.
#[derive(Debug)]
pub(super) struct PodEntry {
    pub(super) uid: Uid,
    pub(super) owner: u32,
    pub(super) scope: u8,
    /// Whether the list in progress named it.
    pub(super) seen: bool,
    pub(super) record: PodRecord,
}

impl Identified for PodEntry {
    fn uid(&self) -> Uid {
        self.uid
    }
}

/// The record of an object, with its owner.
#[derive(Debug)]
pub(super) enum Record {
    Pod { uid: Uid, owner: OwnerKey, record: PodRecord },
    ReplicaSet { key: OwnerKey, parent: Option<OwnerKey>, template: TemplateRecord },
    Controller { key: OwnerKey, record: Box<ControllerRecord> },
    Revision { uid: Uid, owner: OwnerKey, template: TemplateRecord },
}

impl Owner {
    pub(super) fn is_object_of(&self, resource: Resource) -> bool {
        self.object != OwnerObject::Missing && Resource::of_workload(self.key.kind) == Some(resource)
    }
}

impl Inventory {
    /// Adds or updates a record. A record without changes has no effect.
    pub(super) fn put(&mut self, source: Source, record: Record, now: UnixTime) {
        let scope = source.namespace;
        match record {
            Record::Pod { uid, owner, record } => self.put_pod(uid, owner, record, scope, now),
            Record::ReplicaSet { key, parent, template } => {
                let at = self.owners.find_or_insert(key, scope, now);
                let parent = parent.map(|parent| self.owners.find_or_insert(parent, scope, now));
                self.put_object(at, key, scope, OwnerObject::ReplicaSet(template), parent, now);
            }
            Record::Controller { key, record } => {
                let at = self.owners.find_or_insert(key, scope, now);
                self.put_object(at, key, scope, OwnerObject::Controller(record), None, now);
            }
            Record::Revision { uid, owner, template } => self.put_revision(uid, owner, template, scope, now),
        }
    }

    fn put_pod(&mut self, uid: Uid, owner: OwnerKey, mut record: PodRecord, scope: u8, now: UnixTime) {
        let owner = self.owners.find_or_insert(owner, scope, now);
        if record.ready {
            self.note_ready(owner, record.hash);
        }
        if let Some(at) = self.pods.find(uid) {
            let Some(entry) = self.pods.get_mut(at) else { return };
            entry.seen = true;
            let mut aliases = Vec::new();
            record.remember(&entry.record, &mut self.identities, |a, b| aliases.push((a, b)));
            let before = (entry.record != record).then(|| std::mem::replace(&mut entry.record, record));
            let owner_before = std::mem::replace(&mut entry.owner, owner);
            if owner_before != owner {
                self.queue_full_owner_update(owner_before);
                self.take_pod_from(owner_before, at, None, now);
                self.give_pod_to(owner, at, now);
            } else if let (Some(before), Some(workload)) = (&before, self.placed(owner)) {
                self.queue_pod_update(workload, owner, Some(before), Some(at), now);
            }
            self.learn_aliases(owner, &aliases);
            if before.is_some() {
                // Whether an unknown owner's pods are terminating decides where they count.
                self.place(owner, now);
                self.touch_owner(owner);
            }
        } else {
            let at = self.pods.insert(PodEntry { uid, owner, scope, seen: true, record });
            self.give_pod_to(owner, at, now);
        }
    }

    fn give_pod_to(&mut self, owner: u32, pod: u32, now: UnixTime) {
        if let Some(owner) = self.owners.get_mut(owner) {
            owner.dependents.get_or_insert_default().pods.push(pod);
        }
        let before = self.placed(owner);
        self.place(owner, now);
        if let Some(workload) = before.filter(|before| self.placed(owner) == Some(*before)) {
            self.queue_pod_update(workload, owner, None, Some(pod), now);
        }
        self.touch_owner(owner);
    }

    /// The workload in which an owner's pods count.
    fn placed(&self, owner: u32) -> Option<u32> {
        match self.owners.get(owner)?.placed {
            Placement::Workload(workload) => Some(workload),
            Placement::Awaiting | Placement::Nowhere => None,
        }
    }

    /// `record` is the last state of a deleted pod.
    fn take_pod_from(&mut self, owner: u32, pod: u32, record: Option<&PodRecord>, now: UnixTime) {
        if let (Some(record), Some(workload)) = (record, self.placed(owner)) {
            self.queue_pod_update(workload, owner, Some(record), None, now);
        }
        self.touch_owner(owner);
        if let Some(owner) = self.owners.get_mut(owner) {
            owner.without(|dependents| dependents.pods.retain(|at| *at != pod));
            if owner.pods().is_empty() && owner.parent.is_some() {
                owner.key.name = Symbol::EMPTY;
            }
        }
        self.place(owner, now);
        if self.owners.get(owner).is_some_and(|owner| owner.object == OwnerObject::Missing && owner.pods().is_empty()) {
            self.owners.set_parent(owner, None);
        }
        self.owners.release(owner);
    }

    /// Records that a template has a Ready pod: it works, and can be rolled back to. The record is part of the
    /// template's own object, so it lasts as long as that object.
    fn note_ready(&mut self, owner: u32, hash: Symbol) {
        let Some(owner) = self.owners.get_mut(owner) else { return };
        let template = match &mut owner.object {
            OwnerObject::ReplicaSet(template) => Some(template),
            _ => None,
        };
        let revisions = owner
            .dependents
            .iter_mut()
            .flat_map(|dependents| &mut dependents.revisions)
            .map(|revision| &mut revision.template);
        for template in template.into_iter().chain(revisions).filter(|template| template.hash == hash) {
            template.worked = true;
        }
    }

    /// The same for all pods of an owner.
    pub(super) fn note_ready_pods(&mut self, owner: u32) {
        let pods = self.owners.get(owner).map_or(&[][..], Owner::pods);
        let ready = pods.iter().filter_map(|pod| self.pods.get(*pod)).filter(|pod| pod.record.ready);
        let mut hashes: Vec<Symbol> = ready.map(|pod| pod.record.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            self.note_ready(owner, hash);
        }
    }

    /// Whether an owner has a Ready pod of this template. Watches are not ordered among each other, so pods may come
    /// before their template.
    fn has_ready_pod(&self, owner: u32, hash: Symbol) -> bool {
        let pods = self.owners.get(owner).map_or(&[][..], Owner::pods);
        pods.iter().filter_map(|pod| self.pods.get(*pod)).any(|pod| pod.record.ready && pod.record.hash == hash)
    }

    fn learn_aliases(&mut self, owner: u32, aliases: &[(Symbol, Symbol)]) {
        let Some(at) = self.placed(owner).filter(|_| !aliases.is_empty()) else { return };
        self.workloads.queue_update(at);
        let Some(workload) = self.workloads.get_mut(at) else { return };
        for (a, b) in aliases {
            workload.memory.learn((self.strings.name(*a).clone(), self.strings.name(*b).clone()));
        }
    }

    fn put_object(
        &mut self,
        at: u32,
        key: OwnerKey,
        scope: u8,
        mut object: OwnerObject,
        parent: Option<u32>,
        now: UnixTime,
    ) {
        let deployment = workload_reference(&object);
        if let OwnerObject::ReplicaSet(template) = &mut object {
            template.worked = match self.owners.get(at).map(|owner| &owner.object) {
                Some(OwnerObject::ReplicaSet(before)) => before.worked && before.hash == template.hash,
                _ => self.has_ready_pod(at, template.hash),
            };
        }
        let Some(owner) = self.owners.get_mut(at) else { return };
        owner.seen = true;
        owner.scope = scope;
        let came = owner.object == OwnerObject::Missing;
        let changed = owner.object != object;
        let key = if key.name.is_empty() && !owner.pods().is_empty() {
            OwnerKey { name: owner.key.name, ..key }
        } else {
            key
        };
        let key_before = std::mem::replace(&mut owner.key, key);
        if changed {
            let before = workload_reference(&std::mem::replace(&mut owner.object, object));
            self.refer(key.namespace, before, deployment);
        }
        if came {
            self.owners.count_one(key.kind);
        }
        let moved = self.owners.set_parent(at, parent);
        if came || key_before != key {
            self.attach_controller(at, key_before);
        }
        if came || moved {
            self.place_with_children(at, now);
        }
        if moved {
            self.queue_full_owner_update(at);
        } else if changed {
            self.queue_owner_update(at);
        }
    }

    /// A Rollout's reference to a Deployment changed. It decides whether that Deployment is a workload.
    fn refer(&mut self, namespace: Symbol, before: Symbol, now: Symbol) {
        if before == now {
            return;
        }
        let workload_type = self.strings.intern(WorkloadKind::Deployment.label());
        for (deployment, came) in [(before, false), (now, true)] {
            if deployment.is_empty() {
                continue;
            }
            self.owners.refer(namespace, deployment, came);
            if let Some(at) = self.workloads.find((namespace, workload_type, deployment)) {
                self.workloads.touch(at);
            }
        }
    }

    /// Adds a controller's object to the workload of its name.
    fn attach_controller(&mut self, at: u32, key_before: OwnerKey) {
        self.detach_controller(at, key_before);
        let Some(owner) = self.owners.get(at) else { return };
        if let OwnerObject::Controller(_) = owner.object {
            let workload = self.workload(owner.key);
            if let Some(record) = self.workloads.get_mut(workload) {
                record.controllers.push(at);
            }
            self.workloads.queue_update(workload);
        }
    }

    fn detach_controller(&mut self, at: u32, key: OwnerKey) {
        if let Some(workload) = self.workloads.find(key.workload_name()) {
            if let Some(record) = self.workloads.get_mut(workload) {
                record.controllers.retain(|controller| *controller != at);
            }
            self.workloads.queue_update(workload);
        }
    }

    fn put_revision(&mut self, uid: Uid, owner: OwnerKey, mut template: TemplateRecord, scope: u8, now: UnixTime) {
        let owner = self.owners.find_or_insert(owner, scope, now);
        if self.owners.owner_of_revision(uid).is_some_and(|before| before != owner) {
            self.remove_revision(uid);
        }
        let known = self.owners.set_owner_of_revision(uid, owner).is_some();
        template.worked = !known && self.has_ready_pod(owner, template.hash);
        let Some(dependents) = self.owners.get_mut(owner) else { return };
        let dependents = dependents.dependents.get_or_insert_default();
        match dependents.revisions.iter_mut().find(|revision| revision.uid == uid) {
            Some(revision) => {
                revision.seen = true;
                template.worked |= revision.template.worked && revision.template.hash == template.hash;
                if revision.template == template {
                    return;
                }
                revision.template = template;
            }
            None => dependents.revisions.push(RevisionEntry { uid, scope, seen: true, template }),
        }
        self.queue_owner_update(owner);
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, resource: Resource, uid: Uid, now: UnixTime) {
        match resource {
            Resource::Pods => {
                let found = self.pods.find(uid);
                if let Some((at, entry)) = found.and_then(|at| Some((at, self.pods.remove(at)?))) {
                    self.take_pod_from(entry.owner, at, Some(&entry.record), now);
                }
            }
            Resource::ControllerRevisions => self.remove_revision(uid),
            _ => {
                if let Some(at) = self.owners.find(uid) {
                    self.remove_object(at, now);
                }
            }
        }
    }

    fn remove_revision(&mut self, uid: Uid) {
        let Some(owner) = self.owners.remove_revision(uid) else { return };
        self.queue_owner_update(owner);
        self.owners.release(owner);
    }

    fn remove_object(&mut self, at: u32, now: UnixTime) {
        self.queue_full_owner_update(at);
        let Some(owner) = self.owners.get_mut(at) else { return };
        let key = owner.key;
        owner.missing_since = None;
        let object = std::mem::replace(&mut owner.object, OwnerObject::Missing);
        if object != OwnerObject::Missing {
            self.owners.discount_one(key.kind);
        }
        let before = workload_reference(&object);
        self.refer(key.namespace, before, Symbol::EMPTY);
        self.detach_controller(at, key);
        // With `revisionHistoryLimit: 0` a ReplicaSet is deleted before its last pods. Their owner stays known.
        if self.owners.get(at).is_some_and(|owner| owner.pods().is_empty()) {
            self.owners.set_parent(at, None);
        }
        self.place_with_children(at, now);
        self.owners.release(at);
    }

    /// Recomputes all placements, because the expected objects changed. A ReplicaSet without pods has no dependents,
    /// and most owners are such history.
    pub(super) fn place_everything(&mut self, now: UnixTime) {
        let counts = |owner: &Owner| owner.key.kind != WorkloadKind::ReplicaSet || !owner.pods().is_empty();
        let all: Vec<u32> = self.owners.iter().filter(|(_, owner)| counts(owner)).map(|(at, _)| at).collect();
        for at in all {
            self.place(at, now);
            self.queue_owner_update(at);
        }
    }
}

/// The Deployment in a Rollout's `spec.workloadRef`.
fn workload_reference(object: &OwnerObject) -> Symbol {
    match object {
        OwnerObject::Controller(record) => match &record.kind {
            ControllerKind::Rollout(rollout) => rollout.deployment,
            _ => Symbol::EMPTY,
        },
        OwnerObject::Missing | OwnerObject::ReplicaSet(_) => Symbol::EMPTY,
    }
}
