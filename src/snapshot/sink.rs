//! Receives the objects of a cluster for a snapshot.

use super::watched::workload_of;
use super::{RawObserver, Selector, Snapshot, SnapshotOptions};
use crate::inventory::{Inventory, Source};
use crate::objects::{Body, JsonItem, JsonSplitter, Object, Resource};
use crate::report::Workload;
use crate::sync::lock;
use crate::time::{ObservationTime, UnixTime};
use crate::watch::{Sink, SourceChange};
use std::collections::HashSet;
use std::sync::Mutex;

/// Receives every object once.
pub(super) struct SnapshotSink {
    inventory: Mutex<Inventory>,
    selector: Option<Selector>,
    observer: Option<RawObserver>,
    noted: Mutex<SnapshotNotes>,
}

/// Facts that a snapshot needs and a report does not hold.
#[derive(Default)]
struct SnapshotNotes {
    /// Workloads that the selector chooses by their labels.
    chosen: HashSet<Workload>,
    unwritten_revisions: bool,
}

impl SnapshotSink {
    pub(super) fn new(options: &SnapshotOptions, sources: &[Source], observer: Option<RawObserver>) -> Self {
        let inventory = Mutex::new(Inventory::for_snapshot(options.settings.clone(), sources));
        Self { inventory, selector: options.selector.clone(), observer, noted: Mutex::default() }
    }

    /// Returns the snapshot after the last object.
    pub(super) fn finish(&self, of: String, taken: ObservationTime) -> Snapshot {
        let noted = std::mem::take(&mut *lock(&self.noted));
        let empty = Inventory::new(crate::inventory::Settings::default(), &[]);
        Snapshot {
            inventory: std::mem::replace(&mut *lock(&self.inventory), empty),
            chosen: self.selector.is_some().then_some(noted.chosen),
            taken,
            of,
            gaps: Vec::new(),
            pods_only: false,
            unwritten_revisions: noted.unwritten_revisions,
            without_nodes: None,
            without_registry: None,
            connected: None,
        }
    }

    fn note(&self, object: &Object<'_>) {
        let mut noted = lock(&self.noted);
        if matches!(&object.body, Body::ControllerRevision(_)) {
            noted.unwritten_revisions |= object.meta.written_by_controller_manager.is_none();
        }
        if self.selector.as_ref().is_some_and(|selector| selector.matches(&object.meta.labels)) {
            noted.chosen.extend(workload_of(object));
        }
    }
}

impl Sink for SnapshotSink {
    fn take(&self, source: Source, change: SourceChange<'_, '_>) {
        let now = UnixTime::now();
        if let SourceChange::Listed(objects) = change {
            for object in objects {
                self.note(object);
            }
        }
        let mut inventory = lock(&self.inventory);
        match change {
            SourceChange::ListBegins => inventory.begin_relist(source),
            SourceChange::Listed(objects) => inventory.relist_all(source, objects, now),
            SourceChange::ListEnds { .. } => inventory.finish_relist(source, now),
            SourceChange::ListBreaksOff => inventory.abandon_relist(source, now),
            // If ReplicaSets may not be listed, pods are grouped by the name of their ReplicaSet, as in a lone list of
            // pods.
            SourceChange::Forbidden | SourceChange::NotServed if source.resource == Resource::ReplicaSets => {
                inventory.begin_relist(source);
                inventory.finish_relist(source, now);
            }
            SourceChange::Forbidden | SourceChange::NotServed => inventory.forbid(source, now),
            // A snapshot watches nothing.
            SourceChange::Applied(_) | SourceChange::Deleted(_) | SourceChange::Live(_) => {}
        }
    }

    fn reads_pages(&self) -> bool {
        self.observer.is_some()
    }

    fn page(&self, source: Source, page: &[u8]) {
        let Some(observer) = &self.observer else { return };
        let mut splitter = JsonSplitter::default();
        let mut rest = page;
        loop {
            match splitter.next_item() {
                Ok(JsonItem::Object { json, .. }) => observer(source.resource, json),
                Ok(JsonItem::More) => {
                    let room = splitter.room();
                    let length = rest.len().min(room.len());
                    room[..length].copy_from_slice(&rest[..length]);
                    rest = &rest[length..];
                    splitter.filled(length);
                }
                // The decoder of the page reports its error.
                Ok(JsonItem::End) | Err(_) => return,
                Ok(JsonItem::ListEnd(..)) => {}
            }
        }
    }
}
