//! The inventory: compact records of everything watched, who owns what, and which workloads changed.
//!
//! Plain, synchronous and infallible: `apply`, `delete`, `begin_relist`, `finish_relist`. It knows no tokio, no hyper
//! and no client, and does no I/O. What it is told is true; what it was not told is unknown.

mod settings;

use crate::objects::{Object, Resource};
use crate::report::{Name, Workload, WorkloadReport};
use crate::time::UnixTime;
pub use settings::{PodLabel, Settings, WorkloadKind};

/// Which watch an object came from: a resource, in one namespace or in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// What is watched.
    pub resource: Resource,
    /// Which of the configured namespaces, by its position; 0 where all namespaces are watched at once.
    pub namespace: u8,
}

/// Compact records of everything watched.
pub struct Inventory {}

/// What has to be said anew since the last time somebody asked.
#[derive(Default, Debug)]
pub struct Changes {
    /// Whether every source has answered once. Until then nothing else here is filled.
    pub complete: bool,
    /// The reports that are new or differ.
    pub reports: Vec<WorkloadReport>,
    /// The workloads that are gone.
    pub gone: Vec<Workload>,
    /// Pods held out until their owner is seen, by namespace, sorted; always the whole list.
    pub awaiting_owner: Vec<(Name, u32)>,
}

impl Inventory {
    /// An inventory that expects a first answer from each of `sources`.
    #[must_use]
    pub fn new(settings: Settings, sources: &[Source]) -> Self {
        let _ = (settings, sources);
        todo!()
    }

    /// An object was added or changed.
    pub fn apply(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        let _ = (source, object, now);
        todo!()
    }

    /// An object is gone.
    pub fn delete(&mut self, source: Source, object: &Object<'_>, now: UnixTime) {
        let _ = (source, object, now);
        todo!()
    }

    /// A list of this source begins; the last complete picture of it stays until the list is complete.
    pub fn begin_relist(&mut self, source: Source) {
        let _ = source;
        todo!()
    }

    /// An object of the list that was begun.
    pub fn relist(&mut self, source: Source, object: &Object<'_>) {
        let _ = (source, object);
        todo!()
    }

    /// The list is complete: what it did not name is gone.
    pub fn finish_relist(&mut self, source: Source, now: UnixTime) {
        let _ = (source, now);
        todo!()
    }

    /// The list broke off: nothing of it counts.
    pub fn abandon_relist(&mut self, source: Source) {
        let _ = source;
        todo!()
    }

    /// This source will not be answered: forbidden. It counts as answered for the first complete picture, and what
    /// would need it is unknown.
    pub fn forbid(&mut self, source: Source, now: UnixTime) {
        let _ = (source, now);
        todo!()
    }

    /// The cluster does not serve this resource: there are none.
    pub fn not_served(&mut self, source: Source, now: UnixTime) {
        let _ = (source, now);
        todo!()
    }

    /// The sources that have not answered yet.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Source> {
        todo!()
    }

    /// How many objects of a resource are held.
    #[must_use]
    pub fn objects(&self, resource: Resource) -> u64 {
        let _ = resource;
        todo!()
    }

    /// What changed since the last call, by events or by the passing of time.
    pub fn take_changes(&mut self, now: UnixTime) -> Changes {
        let _ = now;
        todo!()
    }
}
