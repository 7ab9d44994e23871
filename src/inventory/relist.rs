//! A list in progress: collected aside, so that the last complete picture stays until the new one is complete.

use super::objects::Record;
use super::owners::OwnerObject;
use super::{Inventory, Source};
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;

/// The objects of a list so far.
#[derive(Default, Debug)]
pub(super) struct Relist {
    records: Vec<Record>,
}

impl Relist {
    pub(super) fn push(&mut self, record: Record) {
        if self.records.len() == self.records.capacity() {
            // Doubling would hold twice what is needed at the worst moment.
            self.records.reserve_exact(self.records.len() / 8 + 64);
        }
        self.records.push(record);
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }
}

impl Inventory {
    /// Takes over a complete list: what it names is put, what it does not name is gone.
    pub(super) fn replace(&mut self, source: Source, relist: Relist, now: UnixTime) {
        // Events since the last list have marked what they touched.
        self.unseen(source);
        for record in relist.records {
            self.put(source, record, now);
        }
        for uid in self.unseen(source) {
            self.remove(source.resource, uid, now);
        }
    }

    /// The objects of this source that the list did not name; forgets which ones it named.
    fn unseen(&mut self, source: Source) -> Vec<Uid> {
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
                    for revision in owner.kin.iter_mut().flat_map(|kin| &mut kin.revisions) {
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
