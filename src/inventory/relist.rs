//! A list in progress, collected aside: the previous objects stay until it is complete.
//!
//! The initial list has no previous objects, and nothing is published before it ends. So its objects are added at once,
//! each as it arrives, not all at the end while everything waits.

use super::objects::Record;
use super::owners::OwnerObject;
use super::records::PodRecord;
use super::{Inventory, Source};
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// The objects of a list so far. The inventory never holds a full list twice: unchanged pods are only marked, and the
/// others are stored in chunks, which are freed one by one as their objects are added.
#[derive(Default, Debug)]
pub(super) struct Relist {
    same: Vec<Uid>,
    chunks: VecDeque<Vec<Record>>,
    /// Known pods that differ in the list. If the list has such a pod twice, the last state counts.
    changed: HashSet<Uid>,
}

const CHUNK: usize = 1024;

impl Relist {
    fn push(&mut self, record: Record) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(record),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(record);
                self.chunks.push_back(chunk);
            }
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.chunks.iter().flatten()
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = &PodRecord> {
        self.records().filter_map(|record| match record {
            Record::Pod { record, .. } => Some(record),
            _ => None,
        })
    }
}

impl Inventory {
    /// Adds an object of the list in progress.
    pub(super) fn list(&mut self, source: Source, record: Record, now: UnixTime) {
        let Some((relist, is_first)) = self.sources.list_in_progress(source) else { return };
        if is_first {
            self.put(source, record, now);
            return;
        }
        if let Record::Pod { uid, owner, record: pod } = &record
            && let Some(entry) = self.pods.find(*uid).and_then(|at| self.pods.get(at))
        {
            let same_owner = self.owners.get(entry.owner).is_some_and(|known| known.key.uid == owner.uid);
            let same = same_owner && entry.scope == source.namespace && entry.record == *pod;
            if same && !relist.changed.contains(uid) {
                relist.same.push(*uid);
                return;
            }
            relist.changed.insert(*uid);
        }
        relist.push(record);
    }

    /// Applies a complete list: adds what it names and removes what it does not.
    pub(super) fn replace(&mut self, source: Source, relist: Relist, now: UnixTime) {
        // Events since the last list have marked the objects that they touched.
        self.unseen(source);
        for uid in relist.same {
            if let Some(entry) = self.pods.find(uid).and_then(|at| self.pods.get_mut(at)) {
                entry.seen = true;
            }
        }
        for record in relist.chunks.into_iter().flatten() {
            self.put(source, record, now);
        }
        self.settle(source, now);
    }

    /// Removes the objects that a complete list did not name.
    pub(super) fn settle(&mut self, source: Source, now: UnixTime) {
        for uid in self.unseen(source) {
            self.remove(source.resource, uid, now);
        }
    }

    /// Returns the objects of this source that the list did not name, and resets the marks.
    pub(super) fn unseen(&mut self, source: Source) -> Vec<Uid> {
        let mut gone = Vec::new();
        let mut note = |seen: &mut bool, uid: Uid| {
            if !std::mem::take(seen) {
                gone.push(uid);
            }
        };
        match source.resource {
            Resource::Pods => {
                for (_, entry) in self.pods.iter_mut().filter(|(_, entry)| entry.scope == source.namespace) {
                    note(&mut entry.seen, entry.uid);
                }
            }
            Resource::ControllerRevisions => {
                for (_, owner) in self.owners.iter_mut() {
                    for revision in owner.dependents.iter_mut().flat_map(|dependents| &mut dependents.revisions) {
                        if revision.scope == source.namespace {
                            note(&mut revision.seen, revision.uid);
                        }
                    }
                }
            }
            resource => {
                for (_, owner) in self.owners.iter_mut() {
                    if owner.scope == source.namespace
                        && owner.object != OwnerObject::Missing
                        && owner.is_object_of(resource)
                    {
                        note(&mut owner.seen, owner.key.uid);
                    }
                }
            }
        }
        gone
    }
}
