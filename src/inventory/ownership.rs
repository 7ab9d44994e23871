//! Who owns what: the owners, which of them hang on which, and what is waited for.

use super::intern::Symbol;
use super::owners::{Dependents, Owner, OwnerObject, Placement};
use super::records::OwnerKey;
use super::slab::ByUid;
use crate::kinds::WorkloadKind;
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Every object that owns pods or ReplicaSets, or is named as an owner.
#[derive(Default, Debug)]
pub(super) struct Ownership {
    owners: ByUid<Owner>,
    /// The owner of each ControllerRevision.
    revisions: HashMap<Uid, u32>,
    /// Owners whose pods are held out.
    awaiting: BTreeSet<u32>,
    /// Deployments that a Rollout's `spec.workloadRef` names, by namespace and name, and by how many.
    referenced: HashMap<(Symbol, Symbol), u32>,
    /// How many objects of each kind have come.
    objects: HashMap<WorkloadKind, usize>,
}

impl Ownership {
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// How many records of whatever kind it holds.
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

    /// The position of this owner, which is made now if nothing named it before.
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

    /// Forgets an owner that nothing names any more.
    pub(super) fn release(&mut self, at: u32) {
        let Some(owner) = self.owners.get(at) else { return };
        if owner.object == OwnerObject::Missing && owner.dependents.is_none() {
            self.owners.remove(at);
            self.awaiting.remove(&at);
        }
    }

    /// Ties a ReplicaSet to its Deployment or Rollout, or unties it; returns whether that changed anything.
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

    /// The workload's own object of an owner's pods: its parent, or the owner itself.
    pub(super) fn top(&self, at: u32) -> Option<&Owner> {
        let owner = self.owners.get(at)?;
        Some(owner.parent.and_then(|parent| self.owners.get(parent)).unwrap_or(owner))
    }

    /// Says where the pods of an owner are counted from now on; returns where they were.
    pub(super) fn set_placed(&mut self, at: u32, placed: Placement) -> Option<Placement> {
        let before = std::mem::replace(&mut self.owners.get_mut(at)?.placed, placed);
        if placed == Placement::Awaiting {
            self.awaiting.insert(at);
        } else if before == Placement::Awaiting {
            self.awaiting.remove(&at);
        }
        Some(before)
    }

    /// The owners whose pods are held out.
    pub(super) fn awaiting(&self) -> impl ExactSizeIterator<Item = u32> {
        self.awaiting.iter().copied()
    }

    /// A Rollout refers to a Deployment, or no more.
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

    /// An object came.
    pub(super) fn count_one(&mut self, kind: WorkloadKind) {
        *self.objects.entry(kind).or_default() += 1;
    }

    /// An object went.
    pub(super) fn discount_one(&mut self, kind: WorkloadKind) {
        let count = self.objects.entry(kind).or_default();
        *count = count.saturating_sub(1);
    }

    /// How many objects of a resource other than pods have come.
    pub(super) fn count(&self, resource: Resource) -> usize {
        match resource.workload_kind() {
            Some(kind) => self.objects.get(&kind).copied().unwrap_or(0),
            None if resource == Resource::ControllerRevisions => self.revisions.len(),
            None => 0,
        }
    }

    /// Says whose a ControllerRevision is; returns whose it was.
    pub(super) fn set_owner_of_revision(&mut self, uid: Uid, owner: u32) -> Option<u32> {
        self.revisions.insert(uid, owner)
    }

    /// Whose a ControllerRevision is.
    pub(super) fn owner_of_revision(&self, uid: Uid) -> Option<u32> {
        self.revisions.get(&uid).copied()
    }

    /// Takes a ControllerRevision out; returns whose it was.
    pub(super) fn remove_revision(&mut self, uid: Uid) -> Option<u32> {
        let at = self.revisions.remove(&uid)?;
        if let Some(owner) = self.owners.get_mut(at) {
            owner.without(|dependents| dependents.revisions.retain(|revision| revision.uid != uid));
        }
        Some(at)
    }

    /// Moves everything that hangs on an owner to another; returns the pods and the ReplicaSets among it.
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

    /// Gives back memory; a table keeps room for as much again.
    pub(super) fn shrink(&mut self) {
        self.owners.shrink();
        self.revisions.shrink_to(2 * self.revisions.len());
        self.referenced.shrink_to(2 * self.referenced.len());
    }
}
