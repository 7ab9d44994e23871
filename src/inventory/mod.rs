//! The inventory: compact records of everything watched, who owns what, and which workloads changed.
//!
//! It is synchronous and infallible, and does no I/O: `apply`, `delete`, `begin_relist`, `finish_relist`. It trusts
//! the objects that it is given; everything else is unknown.

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
use messages::MessageBudget;
use nodes::NodeEvidence;
pub use nodes::take_node;
use objects::PodEntry;
use ownership::Ownership;
use registry::RegistryAnswers;
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
    /// Whether more objects may come.
    waits: bool,
    strings: Interner,
    message_budget: MessageBudget,
    identities: IdentityTable,
    pods: ByUid<PodEntry>,
    owners: Ownership,
    workloads: Workloads,
    /// Since when the initial sync is complete.
    complete_since: Option<UnixTime>,
    /// Pods of placeholders, in a snapshot.
    placeholders: HashSet<Uid>,
    /// The most objects held since memory was last returned.
    most_held: usize,
    nodes: NodeEvidence,
    registry: RegistryAnswers,
}

/// Reports for workloads that changed since the last call.
#[derive(Default, Debug)]
pub struct Changes {
    /// Whether every source has answered. Until then there are no reports.
    pub complete: bool,
    /// Reports that are new or may differ.
    pub reports: Vec<WorkloadReport>,
    /// Workloads that are gone.
    pub gone: Vec<Workload>,
    /// Number of pods held back until their owner is seen, by namespace, sorted; always the whole list.
    pub awaiting_owner: Vec<(Name, u32)>,
    /// Tags that name several images on nodes, sorted; always the whole list.
    pub cached_tags: Vec<CachedTag>,
    /// The whole evidence of registries.
    pub registry: Option<Arc<RegistryEvidence>>,
    /// Whether there are further changes. Call again before publishing these.
    pub more: bool,
}

impl Inventory {
    /// An inventory that awaits a first list of each of `sources`.
    #[must_use]
    pub fn new(settings: Settings, sources: &[Source]) -> Self {
        Self {
            settings,
            sources: Sources::new(sources),
            waits: true,
            strings: Interner::default(),
            message_budget: MessageBudget::default(),
            identities: IdentityTable::default(),
            pods: ByUid::default(),
            owners: Ownership::default(),
            workloads: Workloads::default(),
            complete_since: None,
            placeholders: HashSet::new(),
            most_held: 0,
            nodes: NodeEvidence::default(),
            registry: RegistryAnswers::default(),
        }
    }

    /// An inventory for a snapshot: all objects are of one moment, in any order, so it waits for no owner and records
    /// no observations.
    #[must_use]
    pub fn for_snapshot(settings: Settings, sources: &[Source]) -> Self {
        Self { waits: false, ..Self::new(settings, sources) }
    }

    /// Adds or updates an object.
    pub fn apply(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        self.catch_up(now);
        if let Some(record) = self.record(object) {
            self.put(source, record, now);
        } else {
            self.remove(source.resource, object.meta.uid, now);
        }
        self.take_in(now, ObservedBy::Event);
    }

    /// Removes an object.
    pub fn delete(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        self.catch_up(now);
        self.remove(source.resource, object.meta.uid, now);
        self.take_in(now, ObservedBy::Event);
    }

    /// Begins a list of this source. The previous objects stay until it is complete.
    pub fn begin_relist(&mut self, source: Source) {
        if self.sources.begin_list(source) {
            // Objects of an unfinished list are in the new list again, or they are removed.
            self.unseen(source);
        }
    }

    /// Adds an object of the list in progress.
    pub fn relist(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        if let Some(record) = self.record(object) {
            self.list(source, record, now);
        }
    }

    /// Adds several objects of it.
    pub fn relist_all(&mut self, source: Source, objects: &[Object<'_>], now: UnixTime) {
        self.prefetch(objects);
        for object in objects {
            self.relist(source, object, now);
        }
    }

    /// Loads into the CPU's caches what lookups of these objects will read. Each lookup waits for memory several times,
    /// and this way the waits overlap.
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

    /// Ends the list: objects that it did not name are removed.
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

    /// Discards the list.
    pub fn abandon_relist(&mut self, source: Source, now: UnixTime) {
        if self.sources.abandon_list(source) {
            self.replace(source, Relist::default(), now);
        }
    }

    /// Sets whether this source is complete and its watch established. While it is not, an unseen object may exist.
    pub fn live(&mut self, source: Source, live: bool, now: UnixTime) {
        self.catch_up(now);
        self.sources.set_live(source, live, now);
    }

    /// Records that this source is forbidden. It counts as answered for the initial sync, and everything that depends
    /// on it is unknown. Without pods there are no reports at all.
    pub fn forbid(&mut self, source: Source, now: UnixTime) {
        self.withdraw(source, source.resource != Resource::Pods, now);
    }

    /// Records that the cluster does not serve this resource, so it has no objects.
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

    /// Number of objects of a resource. Pods that belong to no workload do not count.
    #[must_use]
    pub fn objects(&self, resource: Resource) -> u64 {
        let count = match resource {
            Resource::Pods => self.pods.len(),
            _ => self.owners.count(resource),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Number of pods left out because their controller is a core object that runs nothing (row 47). Counted only in a
    /// snapshot.
    #[must_use]
    pub fn placeholders(&self) -> u64 {
        u64::try_from(self.placeholders.len()).unwrap_or(u64::MAX)
    }

    /// Number of records of all types; 0 if no object counts. For tests that look for leaks.
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

    /// docs/performance.md gives the size of each record of a pod.
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

    /// Ready pods have a null pointer here.
    #[test]
    fn a_pod_that_waits_for_nothing_takes_eight_bytes_for_it() {
        assert_eq!(size_of::<Option<Box<Vec<crate::report::facts::WaitingFacts>>>>(), 8);
    }
}
