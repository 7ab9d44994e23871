//! The inventory: compact records of everything watched, who owns what, and which workloads changed.
//!
//! Plain, synchronous and infallible: `apply`, `delete`, `begin_relist`, `finish_relist`. It knows no tokio, no hyper
//! and no client, and does no I/O. What it is told is true; what it was not told is unknown.

mod adopt;
mod changes;
mod container_identity;
mod ended;
mod facts;
mod history;
mod intake;
mod intern;
mod memory;
mod messages;
mod nodes;
mod objects;
mod owners;
mod ownership;
mod recorder;
mod records;
mod registry;
mod relist;
mod settings;
mod slab;
mod source;
mod sources;
mod workloads;

use crate::objects::{Body, Object, Resource, Uid};
pub use crate::report::evidence::{CachedTag, Evidence};
pub use crate::report::evidence_builder::{EvidenceBuilder, WantedImages};
pub use crate::report::registry::RegistryEvidence;
use crate::report::{Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use container_identity::IdentityTable;
use ended::ObservedBy;
use hashbrown::HashSet;
pub use intake::template_hash;
use intern::Interner;
use nodes::NodeEvidence;
pub use nodes::take_node;
use objects::PodEntry;
use ownership::Ownership;
pub use registry::{AskedDigest, AskedImage, AskedImages};
use relist::Relist;
pub use settings::{CustomKind, PodLabel, Settings};
use slab::ByUid;
pub use source::Source;
use sources::{Finished, Sources};
use std::hint::black_box;
use std::sync::Arc;
use workloads::Workloads;

/// Compact records of everything watched.
#[derive(Debug)]
pub struct Inventory {
    settings: Settings,
    sources: Sources,
    /// Whether more may come than is there.
    waits: bool,
    strings: Interner,
    /// Bytes of messages that may still be kept.
    message_bytes_left: usize,
    /// When it was last counted how many are.
    messages_counted: Option<UnixTime>,
    identities: IdentityTable,
    pods: ByUid<PodEntry>,
    owners: Ownership,
    workloads: Workloads,
    /// Since when there has been a complete picture.
    complete_since: Option<UnixTime>,
    /// Pods of placeholders, in an inventory of one look.
    placeholders: HashSet<Uid>,
    /// The most objects there were since unused memory was given back.
    most_held: usize,
    nodes: NodeEvidence,
    /// What registries say, where they are asked.
    registry: Option<Arc<RegistryEvidence>>,
    /// Whether registries are asked and have not answered yet.
    awaits_registry: bool,
}

/// What has to be said anew since the last time somebody asked.
#[derive(Default, Debug)]
pub struct Changes {
    /// Whether every source has answered. Until then there are no reports.
    pub complete: bool,
    /// The reports that are new or may differ.
    pub reports: Vec<WorkloadReport>,
    /// The workloads that are gone.
    pub gone: Vec<Workload>,
    /// Pods held out until their owner is seen, by namespace, sorted; always the whole list.
    pub awaiting_owner: Vec<(Name, u32)>,
    /// Tags that stand for several images on nodes, sorted; always the whole list.
    pub cached_tags: Vec<CachedTag>,
    /// What registries say; always all of it.
    pub registry: Option<Arc<RegistryEvidence>>,
    /// Whether there is more to be said: ask again before anything of this is shown.
    pub more: bool,
}

impl Inventory {
    /// An inventory that expects a first answer from each of `sources`.
    #[must_use]
    pub fn new(settings: Settings, sources: &[Source]) -> Self {
        Self {
            settings,
            sources: Sources::new(sources),
            waits: true,
            strings: Interner::default(),
            message_bytes_left: recorder::MESSAGE_BYTES,
            messages_counted: None,
            identities: IdentityTable::default(),
            pods: ByUid::default(),
            owners: Ownership::default(),
            workloads: Workloads::default(),
            complete_since: None,
            placeholders: HashSet::new(),
            most_held: 0,
            nodes: NodeEvidence::default(),
            awaits_registry: false,
            registry: None,
        }
    }

    /// An inventory of one look: everything in it is one moment, in whichever order it comes, so no owner is waited for and nothing
    /// is remembered.
    #[must_use]
    pub fn for_snapshot(settings: Settings, sources: &[Source]) -> Self {
        Self { waits: false, ..Self::new(settings, sources) }
    }

    /// An object was added or changed.
    pub fn apply(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        self.catch_up(now);
        if let Some(record) = self.record(object) {
            self.put(source, record, now);
        } else {
            self.remove(source.resource, object.meta.uid, now);
        }
        self.take_in(now, ObservedBy::Event);
    }

    /// An object is gone.
    pub fn delete(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        self.catch_up(now);
        self.remove(source.resource, object.meta.uid, now);
        self.take_in(now, ObservedBy::Event);
    }

    /// A list of this source begins; the last complete picture of it stays until the list is complete.
    pub fn begin_relist(&mut self, source: Source) {
        if self.sources.begin_list(source) {
            // Whatever is here of a list that nobody ended is named again, or it goes.
            self.unseen(source);
        }
    }

    /// An object of the list that was begun.
    pub fn relist(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        if let Some(record) = self.record(object) {
            self.list(source, record, now);
        }
    }

    /// Some objects of it.
    pub fn relist_all(&mut self, source: Source, objects: &[Object<'_>], now: UnixTime) {
        self.prefetch(objects);
        for object in objects {
            self.relist(source, object, now);
        }
    }

    /// Brings into the caches what the objects will be looked up by, one right after the other: a look-up waits for memory several
    /// times, and so they wait at the same time.
    fn prefetch(&mut self, objects: &[Object<'_>]) {
        for object in objects {
            if let Body::Pod(pod) = &object.body {
                self.strings.intern(&pod.node);
                black_box(self.pods.find(object.meta.uid));
            } else {
                black_box(self.owners.find(object.meta.uid));
            }
        }
    }

    /// The list is complete: what it did not name is gone.
    pub fn finish_relist(&mut self, source: Source, now: UnixTime) {
        self.catch_up(now);
        let Some(Finished { relist, is_first, became_readable }) = self.sources.finish_list(source, now) else {
            return;
        };
        if is_first {
            self.settle(source, now);
        } else {
            self.replace(source, relist, now);
        }
        if became_readable {
            self.place_everything(now);
        }
        self.take_in_answer(now);
    }

    /// The list broke off: nothing of it counts.
    pub fn abandon_relist(&mut self, source: Source, now: UnixTime) {
        if self.sources.abandon_list(source) {
            self.replace(source, Relist::default(), now);
        }
    }

    /// Whether what is known of this source is complete and its watch stands. While it does not, what has not been seen
    /// may be there all the same.
    pub fn live(&mut self, source: Source, live: bool, now: UnixTime) {
        self.catch_up(now);
        self.sources.set_live(source, live, now);
    }

    /// This source will not be answered: forbidden. It counts as answered for the first complete picture, and what
    /// would need it is unknown. Without pods there is nothing to say at all.
    pub fn forbid(&mut self, source: Source, now: UnixTime) {
        self.withdraw(source, source.resource != Resource::Pods, now);
    }

    /// The cluster does not serve this resource: there are none.
    pub fn not_served(&mut self, source: Source, now: UnixTime) {
        self.withdraw(source, source.resource != Resource::Pods, now);
    }

    fn withdraw(&mut self, source: Source, answered: bool, now: UnixTime) {
        self.catch_up(now);
        let was_readable = self.sources.withdraw(source, answered);
        self.replace(source, Relist::default(), now);
        if was_readable {
            self.place_everything(now);
        }
        self.take_in_answer(now);
    }

    /// The sources that have not answered yet.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Source> {
        self.sources.unanswered()
    }

    /// How many objects of a resource are held. Pods that belong to no workload are not.
    #[must_use]
    pub fn objects(&self, resource: Resource) -> u64 {
        let count = match resource {
            Resource::Pods => self.pods.len(),
            _ => self.owners.count(resource),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// How many pods were left out because their controller is a core object that runs nothing (row 47). Counted in an inventory
    /// of one look only.
    #[must_use]
    pub fn placeholders(&self) -> u64 {
        u64::try_from(self.placeholders.len()).unwrap_or(u64::MAX)
    }

    /// How many records of whatever kind are held; 0 if nothing is watched that counts. For tests: nothing may creep.
    #[doc(hidden)]
    #[must_use]
    pub fn held(&self) -> usize {
        self.pods.len() + self.owners.held() + self.workloads.len()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::objects::PodEntry;
    use super::owners::Owner;
    use super::records::{ContainerRecord, TemplateRecord};
    use super::workloads::WorkloadRecord;

    /// docs/performance.md says what a pod takes, record by record.
    #[test]
    fn records_are_as_small_as_the_documentation_says() {
        let documented = include_str!("../../docs/performance.md");
        let records = [
            ("a pod", size_of::<Option<PodEntry>>()),
            ("one of its containers", size_of::<ContainerRecord>()),
            ("an owner", size_of::<Option<Owner>>()),
            ("a template", size_of::<TemplateRecord>()),
            ("a workload", size_of::<Option<WorkloadRecord>>()),
        ];
        let rows = records.map(|(what, bytes)| format!("| {what} | {bytes} |"));
        let missing: Vec<_> = rows.iter().filter(|row| !documented.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Pods that wait for nothing have a null pointer.
    #[test]
    fn a_pod_that_waits_for_nothing_takes_eight_bytes_for_it() {
        assert_eq!(size_of::<Option<Box<Vec<crate::report::facts::WaitingFacts>>>>(), 8);
    }
}
