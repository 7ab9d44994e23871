//! Owners of pods, and the workload of each owner's pods.
//!
//! Watches are not ordered among each other, so a pod or ReplicaSet may name an owner before the owner's object comes.
//! Until then the pods are held back, so that no scrape names a ReplicaSet that has a Deployment.

use super::ended::ObservedBy;
use super::records::{ControllerRecord, OwnerKey, TemplateRecord};
use super::slab::Identified;
use super::{Inventory, Source};
use crate::kinds::{TemplateHistory, WorkloadKind, workload_type};
use crate::objects::{OwnerReference, Resource, Uid};
use crate::time::UnixTime;
use std::collections::BTreeMap;

/// How long pods wait for a missing owner, in seconds.
pub(super) const HOLD: u32 = 30;

/// An object that owns pods, or that an owner reference names.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) key: OwnerKey,
    /// Position of its namespace among the configured ones.
    pub(super) scope: u8,
    /// Whether the list in progress named it.
    pub(super) seen: bool,
    pub(super) object: OwnerObject,
    /// Since when it is named but missing; `None` once it was seen.
    pub(super) missing_since: Option<UnixTime>,
    /// The Deployment or Rollout of a ReplicaSet.
    pub(super) parent: Option<u32>,
    /// Most ReplicaSets are history and have none.
    pub(super) dependents: Option<Box<Dependents>>,
    pub(super) placed: Placement,
}

/// The object itself, once it was seen.
#[derive(PartialEq, Debug)]
pub(super) enum OwnerObject {
    Missing,
    ReplicaSet(TemplateRecord),
    Controller(Box<ControllerRecord>),
}

/// The objects that belong to an owner.
#[derive(Default, Debug)]
pub(super) struct Dependents {
    /// Its own pods.
    pub(super) pods: Vec<u32>,
    /// Its ReplicaSets.
    pub(super) children: Vec<u32>,
    /// Its ControllerRevisions.
    pub(super) revisions: Vec<RevisionEntry>,
}

/// A ControllerRevision.
#[derive(Debug)]
pub(super) struct RevisionEntry {
    pub(super) uid: Uid,
    pub(super) scope: u8,
    pub(super) seen: bool,
    pub(super) template: TemplateRecord,
}

/// Where an owner's pods are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placement {
    /// Nowhere: it has none, or its owner cannot be read.
    Nowhere,
    /// Nowhere yet: their owner is awaited.
    Awaiting,
    /// In this workload.
    Workload(u32),
}

impl Identified for Owner {
    fn uid(&self) -> Uid {
        self.key.uid
    }
}

impl Owner {
    pub(super) fn pods(&self) -> &[u32] {
        self.dependents.as_ref().map_or(&[], |dependents| &dependents.pods)
    }

    /// Removes something from its dependents, and frees them if none is left.
    pub(super) fn without(&mut self, take: impl FnOnce(&mut Dependents)) {
        if let Some(dependents) = self.dependents.as_mut() {
            take(dependents);
            if dependents.pods.is_empty() && dependents.children.is_empty() && dependents.revisions.is_empty() {
                self.dependents = None;
            }
        }
    }
}

impl Inventory {
    /// The key of an owner reference. Most events name a known owner.
    pub(super) fn owner_key(&mut self, reference: &OwnerReference<'_>, namespace: &str) -> OwnerKey {
        let known = self.owners.find(reference.uid).and_then(|at| self.owners.get(at));
        if let Some(known) = known.filter(|known| !known.key.name.is_empty()) {
            return known.key;
        }
        OwnerKey {
            uid: reference.uid,
            kind: WorkloadKind::of(&reference.kind, &reference.group),
            workload_type: self.strings.intern(&workload_type(&reference.kind, &reference.group)),
            namespace: self.strings.intern(namespace),
            name: self.strings.intern(&reference.name),
        }
    }

    /// Whether a kind is watched and readable in this scope, so that its objects can be awaited.
    fn readable(&self, kind: WorkloadKind, scope: u8) -> bool {
        Resource::of_workload(kind)
            .is_some_and(|resource| self.sources.is_readable(Source { resource, namespace: scope }))
    }

    /// Whether an unseen owner may still come.
    fn is_expected(&self, owner: &Owner, now: UnixTime) -> bool {
        self.expected_until(owner).is_some_and(|until| now < until)
    }

    /// Until when an unseen owner may still come: some time after its watch is established, and without limit while it
    /// is not. `None` if it is not awaited.
    fn expected_until(&self, owner: &Owner) -> Option<UnixTime> {
        // A ReplicaSet that is known to have had a Deployment is not awaited.
        if !self.waits
            || owner.object != OwnerObject::Missing
            || owner.parent.is_some()
            || !self.readable(owner.key.kind, owner.scope)
        {
            return None;
        }
        // An owner that was seen and deleted is not awaited either.
        let missing_since = owner.missing_since?;
        if owner.key.kind != WorkloadKind::ReplicaSet {
            return Some(missing_since.plus(HOLD));
        }
        // Any other owner is the workload itself, seen or not. A ReplicaSet may have a Deployment, so no workload is
        // named after an unseen ReplicaSet before podskew could have seen it.
        let source = Source { resource: Resource::ReplicaSets, namespace: owner.scope };
        let live_since = self.sources.live_since(source);
        Some(live_since.map_or(UnixTime::LAST, |since| since.max(missing_since).plus(HOLD)))
    }

    /// Places the pods of owners whose wait is over, as of the end of the wait.
    pub(super) fn end_waits(&mut self, now: UnixTime) {
        let due = |at: u32| {
            let owner = self.owners.get(at)?;
            let parent = owner.parent.and_then(|parent| self.owners.get(parent));
            self.expected_until(owner).max(parent.and_then(|parent| self.expected_until(parent)))
        };
        let mut ended: Vec<(UnixTime, u32)> =
            self.owners.awaiting().filter_map(|at| Some((due(at)?, at))).filter(|(due, _)| *due <= now).collect();
        ended.sort_unstable();
        for (due, owner) in ended {
            self.place(owner, due);
            self.take_in(due, ObservedBy::Event);
        }
    }

    /// Number of unseen objects that own pods, by resource; for ControllerRevisions, the number of owners without any.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<Resource, u64> {
        let mut missing = BTreeMap::new();
        for (_, owner) in self.owners.iter() {
            let Some(dependents) = &owner.dependents else { continue };
            let has_pods = |at: &u32| self.owners.get(*at).is_some_and(|child| !child.pods().is_empty());
            if dependents.pods.is_empty() && !dependents.children.iter().any(has_pods) {
                continue;
            }
            let unseen =
                if owner.object == OwnerObject::Missing { Resource::of_workload(owner.key.kind) } else { None };
            let by_revisions = owner.key.kind.history() == TemplateHistory::ControllerRevisions;
            let unrevised = (by_revisions && dependents.revisions.is_empty()).then_some(Resource::ControllerRevisions);
            for resource in unseen.into_iter().chain(unrevised) {
                *missing.entry(resource).or_default() += 1;
            }
        }
        missing
    }

    /// Where this owner's pods should be counted now.
    fn place_for(&mut self, at: u32, now: UnixTime) -> Placement {
        let Some(owner) = self.owners.get(at) else {
            return Placement::Nowhere;
        };
        if owner.pods().is_empty() {
            return Placement::Nowhere;
        }
        let missing_replica_set = owner.key.kind == WorkloadKind::ReplicaSet && owner.object == OwnerObject::Missing;
        if missing_replica_set && !self.readable(WorkloadKind::ReplicaSet, owner.scope) {
            // Whether it has a Deployment is unknown.
            return Placement::Nowhere;
        }
        if self.is_expected(owner, now) {
            return Placement::Awaiting;
        }
        let is_going = |at: &u32| self.pods.get(*at).is_some_and(|pod| pod.record.terminating);
        if missing_replica_set && owner.parent.is_none() && owner.pods().iter().all(is_going) {
            // The last pods of a deleted object are not a workload.
            return Placement::Nowhere;
        }
        let top = match owner.parent.and_then(|parent| self.owners.get(parent)) {
            Some(parent) if self.is_expected(parent, now) => return Placement::Awaiting,
            Some(parent) => parent.key,
            None => owner.key,
        };
        Placement::Workload(self.workload(top))
    }

    /// Counts this owner's pods where they belong now.
    pub(super) fn place(&mut self, at: u32, now: UnixTime) {
        let place = self.place_for(at, now);
        let Some(before) = self.owners.set_placed(at, place).filter(|before| *before != place) else { return };
        if let Placement::Workload(workload) = before {
            if let Some(record) = self.workloads.get_mut(workload) {
                record.groups.retain(|group| *group != at);
            }
            self.workloads.queue_full_update(workload);
        }
        if let Placement::Workload(workload) = place {
            if let Some(record) = self.workloads.get_mut(workload) {
                record.groups.push(at);
            }
            self.workloads.queue_full_update(workload);
        }
    }

    /// The same for the pods of its ReplicaSets, too.
    pub(super) fn place_with_children(&mut self, at: u32, now: UnixTime) {
        self.place(at, now);
        let children = self
            .owners
            .get(at)
            .and_then(|owner| owner.dependents.as_ref())
            .map(|dependents| dependents.children.clone());
        for child in children.unwrap_or_default() {
            self.place(child, now);
        }
    }

    /// The workload with an owner's name.
    pub(super) fn workload(&mut self, key: OwnerKey) -> u32 {
        self.workloads.find_or_insert(key.workload_name(), self.waits)
    }

    /// Marks the workload of this owner's pods, and the workload of its name, as changed.
    pub(super) fn touch_owner(&mut self, at: u32) {
        for workload in self.workloads_of(at).into_iter().flatten() {
            self.workloads.touch(workload);
        }
    }

    /// The same, and queues an update of their observations.
    pub(super) fn queue_owner_update(&mut self, at: u32) {
        for workload in self.workloads_of(at).into_iter().flatten() {
            self.workloads.queue_update(workload);
        }
    }

    /// The same, where pods may have changed their owner.
    pub(super) fn queue_full_owner_update(&mut self, at: u32) {
        for workload in self.workloads_of(at).into_iter().flatten() {
            self.workloads.queue_full_update(workload);
        }
    }

    /// The workload of this owner's pods, and the workload of its name.
    fn workloads_of(&self, at: u32) -> [Option<u32>; 2] {
        let Some((owner, top)) = self.owners.get(at).zip(self.owners.top(at)) else { return [None; 2] };
        let placed = match owner.placed {
            Placement::Workload(workload) => Some(workload),
            Placement::Awaiting | Placement::Nowhere => None,
        };
        [placed, self.workloads.find(top.key.workload_name())]
    }
}
