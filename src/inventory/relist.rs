//! A list in progress: collected aside, so that the last complete picture stays until the new one is complete.
//!
//! A first list has no picture before it, and nobody sees anything of the cluster until it has ended: its objects take their
//! places at once, where each finds those that came before, and not all of them at its end while everybody waits.

use super::objects::Record;
use super::owners::OwnerObject;
use super::records::PodRecord;
use super::{Inventory, Source};
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// The objects of a list so far. A list of everything is never held twice: a pod that is as it was is named only, and
/// the others stand in pieces that are freed one by one as they are taken over.
#[derive(Default, Debug)]
pub(super) struct Relist {
    same: Vec<Uid>,
    pieces: VecDeque<Vec<Record>>,
    /// Pods that were known and came different: should they come once more, the last word counts.
    changed: HashSet<Uid>,
}

const PIECE: usize = 1024;

impl Relist {
    fn push(&mut self, record: Record) {
        match self.pieces.back_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(record),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(record);
                self.pieces.push_back(piece);
            }
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.pieces.iter().flatten()
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = &PodRecord> {
        self.records().filter_map(|record| match record {
            Record::Pod { record, .. } => Some(record),
            _ => None,
        })
    }
}

impl Inventory {
    /// Notes an object of the list in progress.
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

    /// Takes over a complete list: what it names is put, what it does not name is gone.
    pub(super) fn replace(&mut self, source: Source, relist: Relist, now: UnixTime) {
        // Events since the last list have marked what they touched.
        self.unseen(source);
        for uid in relist.same {
            if let Some(entry) = self.pods.find(uid).and_then(|at| self.pods.get_mut(at)) {
                entry.seen = true;
            }
        }
        for record in relist.pieces.into_iter().flatten() {
            self.put(source, record, now);
        }
        self.settle(source, now);
    }

    /// What a complete list did not name is gone.
    pub(super) fn settle(&mut self, source: Source, now: UnixTime) {
        for uid in self.unseen(source) {
            self.remove(source.resource, uid, now);
        }
    }

    /// The objects of this source that the list did not name; forgets which ones it named.
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
