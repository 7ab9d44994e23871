//! A cluster that is watched for some time, with a label selector.

use super::{PODS_AT_ONCE, Selector};
use crate::inventory::{Changes, Evidence, Inventory, Settings, Source, WantedImages};
use crate::kinds::WorkloadKind;
use crate::objects::Object;
use crate::registry::RegistryOptions;
use crate::report::{Name, Workload};
use crate::sync::lock;
use crate::time::UnixTime;
use crate::watch::{NodeSink, Sink, SourceChange};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Receives the objects of the watches, and records which workloads the selector chooses.
pub struct WatchedSnapshot {
    inventory: Mutex<Inventory>,
    selector: Option<Selector>,
    chosen: Mutex<HashSet<Workload>>,
}

impl WatchedSnapshot {
    /// An empty state.
    #[must_use]
    pub fn new(settings: Settings, selector: Option<Selector>, sources: &[Source]) -> Self {
        Self { inventory: Mutex::new(Inventory::new(settings, sources)), selector, chosen: Mutex::default() }
    }

    /// Reports for workloads that changed since the last call, a portion at a time.
    pub fn changes(&self, now: UnixTime) -> Changes {
        lock(&self.inventory).take_some_changes(now, PODS_AT_ONCE)
    }

    /// Asks the configured registries, and adds their evidence. Returns a note about missing answers.
    pub async fn ask_registries(&self, options: &RegistryOptions) -> anyhow::Result<Option<String>> {
        let asked = lock(&self.inventory).asked_images();
        let Some(asked) = asked.filter(|_| options.is_on()) else { return Ok(None) };
        let (evidence, note) = super::registry::ask(options, asked).await?;
        lock(&self.inventory).take_registry_evidence(&evidence, UnixTime::now());
        Ok(note)
    }

    /// Whether the selector chooses a workload; always true without one.
    pub fn is_chosen(&self, workload: &Workload) -> bool {
        self.selector.is_none() || lock(&self.chosen).contains(workload)
    }

    fn choose(&self, object: &Object<'_>, gone: bool) {
        let Some((selector, workload)) = self.selector.as_ref().zip(workload_of(object)) else { return };
        if gone || !selector.matches(&object.meta.labels) {
            lock(&self.chosen).remove(&workload);
        } else {
            lock(&self.chosen).insert(workload);
        }
    }
}

/// The workload of an object that is one. Pods and owned ReplicaSets are not workloads.
pub(super) fn workload_of(object: &Object<'_>) -> Option<Workload> {
    let kind = object.body.workload_kind()?;
    if kind == WorkloadKind::ReplicaSet && object.meta.controller.is_some() {
        return None;
    }
    Some(Workload {
        namespace: Name::from(object.meta.namespace.as_ref()),
        workload_type: Name::from(kind.label()),
        name: Name::from(object.meta.name.as_ref()),
    })
}

impl NodeSink for WatchedSnapshot {
    fn asked(&self) -> Option<WantedImages> {
        NodeSink::asked(&self.inventory)
    }

    fn evidence(&self) -> Option<Arc<Evidence>> {
        NodeSink::evidence(&self.inventory)
    }

    fn take_evidence(&self, evidence: Evidence) {
        NodeSink::take_evidence(&self.inventory, evidence);
    }

    fn give_up_evidence(&self) {
        NodeSink::give_up_evidence(&self.inventory);
    }

    fn wants_evidence(&self) -> bool {
        NodeSink::wants_evidence(&self.inventory)
    }
}

impl Sink for WatchedSnapshot {
    fn take(&self, source: Source, change: SourceChange<'_, '_>) {
        match change {
            SourceChange::Applied(object) => self.choose(object, false),
            SourceChange::Deleted(object) => self.choose(object, true),
            SourceChange::Listed(objects) => objects.iter().for_each(|object| self.choose(object, false)),
            _ => {}
        }
        self.inventory.take(source, change);
    }
}
