//! A cluster that is watched for a while, with the labels that a selector asks for.

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

/// Takes what the watches bring, and knows which workloads a selector chooses.
pub struct WatchedSnapshot {
    inventory: Mutex<Inventory>,
    selector: Option<Selector>,
    chosen: Mutex<HashSet<Workload>>,
}

impl WatchedSnapshot {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(settings: Settings, selector: Option<Selector>, sources: &[Source]) -> Self {
        Self { inventory: Mutex::new(Inventory::new(settings, sources)), selector, chosen: Mutex::default() }
    }

    /// What has to be said anew, a portion at a time.
    pub fn changes(&self, now: UnixTime) -> Changes {
        lock(&self.inventory).take_some_changes(now, PODS_AT_ONCE)
    }

    /// Asks registries, if any are listed, and takes over what they say; what they did not say.
    pub async fn ask_registries(&self, options: &RegistryOptions) -> anyhow::Result<Option<String>> {
        let asked = lock(&self.inventory).asked_images();
        let Some(asked) = asked.filter(|_| options.is_on()) else { return Ok(None) };
        let (evidence, note) = super::registry::ask(options, asked).await?;
        lock(&self.inventory).take_registry_evidence(&evidence, UnixTime::now());
        Ok(note)
    }

    /// Whether the selector chooses a workload, if there is one.
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

/// The workload that an object is by itself. A ReplicaSet with an owner is none, and pods belong to one.
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
