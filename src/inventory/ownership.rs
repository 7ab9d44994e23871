//! Owners, the relations between them, and those that are awaited.

use super::intern::Symbol;
use super::owners::{Dependents, Owner, OwnerObject, Placement};
use super::records::OwnerKey;
use super::slab::ByUid;
use crate::kinds::WorkloadKind;
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Every object that owns pods or ReplicaSets, or that an owner reference names.
#[derive(Default, Debug)]
pub(super) struct Ownership {
    owners: ByUid<Owner>,
    /// The owner of each ControllerRevision.
    revisions: HashMap<Uid, u32>,
    /// Owners whose pods are held back.
    awaiting: BTreeSet<u32>,
    /// Deployments that Rollouts refer to by `spec.workloadRef`: namespace, name and number of Rollouts.
    referenced: HashMap<(Symbol, Symbol), u32>,
    /// Number of seen objects by kind.
    objects: HashMap<WorkloadKind, usize>,
}

impl Ownership {
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Number of records of all types.
    pub(super) fn held(&self) -> usize {
        self.owners.len() + self.revisions.len() + self.referenced.len()
    }

    pub(super) fn find(&self, uid: Uid) -> Option<u32> {
        self.owners.find(uid)
    }

    pub(super) fn get(&self, at: u32) -> Option<&Owner> {
        self.owners.get(at)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Owner> {
        self.owners.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Owner)> {
        self.owners.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Owner)> {
        self.owners.iter_mut()
    }

    /// Returns the position of this owner, and adds it if it is new.
    pub(super) fn find_or_insert(&mut self, key: OwnerKey, scope: u8, now: UnixTime) -> u32 {
        if let Some(at) = self.owners.find(key.uid) {
            if let Some(owner) = self.owners.get_mut(at).filter(|owner| owner.key.name.is_empty()) {
                owner.key.name = key.name;
            }
            return at;
        }
        self.owners.insert(Owner {
            key,
            scope,
            seen: false,
            object: OwnerObject::Missing,
            missing_since: Some(now),
            parent: None,
            dependents: None,
            placed: Placement::Nowhere,
        })
    }

    /// Removes an owner that nothing names any more.
    pub(super) fn release(&mut self, at: u32) {
        let Some(owner) = self.owners.get(at) else { return };
        if owner.object == OwnerObject::Missing && owner.dependents.is_none() {
            self.owners.remove(at);
            self.awaiting.remove(&at);
        }
    }

    /// Sets or clears the Deployment or Rollout of a ReplicaSet; returns whether that changed.
    pub(super) fn set_parent(&mut self, child: u32, parent: Option<u32>) -> bool {
        let Some(owner) = self.owners.get_mut(child) else {
            return false;
        };
        let before = std::mem::replace(&mut owner.parent, parent);
        if before == parent {
            return false;
        }
        if let Some(before) = before {
            if let Some(owner) = self.owners.get_mut(before) {
                owner.without(|dependents| dependents.children.retain(|at| *at != child));
            }
            self.release(before);
        }
        if let Some(owner) = parent.and_then(|parent| self.owners.get_mut(parent)) {
            owner.dependents.get_or_insert_default().children.push(child);
        }
        true
    }

    /// The workload's own object: the owner's parent, or the owner itself.
    pub(super) fn top(&self, at: u32) -> Option<&Owner> {
        let owner = self.owners.get(at)?;
        Some(owner.parent.and_then(|parent| self.owners.get(parent)).unwrap_or(owner))
    }

    /// Sets where an owner's pods are counted; returns the previous placement.
    pub(super) fn set_placed(&mut self, at: u32, placed: Placement) -> Option<Placement> {
        let before = std::mem::replace(&mut self.owners.get_mut(at)?.placed, placed);
        if placed == Placement::Awaiting {
            self.awaiting.insert(at);
        } else if before == Placement::Awaiting {
            self.awaiting.remove(&at);
        }
        Some(before)
    }

    /// Owners whose pods are held back.
    pub(super) fn awaiting(&self) -> impl ExactSizeIterator<Item = u32> {
        self.awaiting.iter().copied()
    }

    /// Adds or removes a Rollout's reference to a Deployment.
    pub(super) fn refer(&mut self, namespace: Symbol, deployment: Symbol, refers: bool) {
        let count = self.referenced.entry((namespace, deployment)).or_default();
        *count = if refers { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.referenced.remove(&(namespace, deployment));
        }
    }

    /// Whether a Rollout refers to this Deployment.
    pub(super) fn is_referenced(&self, namespace: Symbol, deployment: Symbol) -> bool {
        self.referenced.contains_key(&(namespace, deployment))
    }

    /// Counts a new object.
    pub(super) fn count_one(&mut self, kind: WorkloadKind) {
        *self.objects.entry(kind).or_default() += 1;
    }

    /// Counts a deleted object.
    pub(super) fn discount_one(&mut self, kind: WorkloadKind) {
        let count = self.objects.entry(kind).or_default();
        *count = count.saturating_sub(1);
    }

    /// Number of seen objects of a resource other than pods.
    pub(super) fn count(&self, resource: Resource) -> usize {
        match resource.workload_kind() {
            Some(kind) => self.objects.get(&kind).copied().unwrap_or(0),
            None if resource == Resource::ControllerRevisions => self.revisions.len(),
            None => 0,
        }
    }

    /// Sets the owner of a ControllerRevision; returns the previous one.
    pub(super) fn set_owner_of_revision(&mut self, uid: Uid, owner: u32) -> Option<u32> {
        self.revisions.insert(uid, owner)
    }

    /// The owner of a ControllerRevision.
    pub(super) fn owner_of_revision(&self, uid: Uid) -> Option<u32> {
        self.revisions.get(&uid).copied()
    }

    /// Removes a ControllerRevision; returns its owner.
    pub(super) fn remove_revision(&mut self, uid: Uid) -> Option<u32> {
        let at = self.revisions.remove(&uid)?;
        if let Some(owner) = self.owners.get_mut(at) {
            owner.without(|dependents| dependents.revisions.retain(|revision| revision.uid != uid));
        }
        Some(at)
    }

    /// Moves all dependents of an owner to another; returns the moved pods and ReplicaSets.
    pub(super) fn adopt(&mut self, from: u32, to: u32) -> Option<Dependents> {
        let dependents = self.owners.get_mut(from).filter(|_| from != to)?.dependents.take()?;
        for revision in &dependents.revisions {
            self.revisions.insert(revision.uid, to);
        }
        for child in &dependents.children {
            if let Some(child) = self.owners.get_mut(*child) {
                child.parent = Some(to);
            }
        }
        Some(*dependents)
    }

    /// Returns unused memory; a table keeps room to double.
    pub(super) fn shrink(&mut self) {
        self.owners.shrink();
        self.revisions.shrink_to(2 * self.revisions.len());
        self.referenced.shrink_to(2 * self.referenced.len());
    }
}
