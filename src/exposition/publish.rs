//! Renders reports and publishes pictures.

use super::FAMILIES;
use super::bucket::{Buckets, Compressor, WorkloadChange};
use super::family::{Additions, Family, FamilyScope};
use super::fragment::Fragment;
use super::picture::{FamilyPicture, Headers, Picture};
use super::segments::Segments;
use super::selection::Selection;
use super::work_queue;
use crate::report::evidence::CachedTag;
use crate::report::registry::RegistryEvidence;
use crate::report::{Name, Workload, WorkloadReport};
use crate::sync::lock;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Renders reports. Any number of scrapes can read the latest picture at any time.
pub struct Exposition {
    selection: Arc<Selection>,
    /// Locked during a publication.
    rendering: Mutex<Rendering>,
    /// Number of reported workloads; outside the lock, so that readers do not wait for a publication.
    workload_count: AtomicUsize,
    /// Locked only to clone or replace an `Arc`: a scrape never waits for a publication.
    latest: Mutex<Arc<Picture>>,
}

/// State that changes between pictures.
struct Rendering {
    families: Vec<Rendered>,
    /// Names that the sections of all families share.
    workloads: BTreeSet<Arc<Workload>>,
    compressor: Compressor,
}

/// A batch of changes. The changes of a whole cluster are many batches, which need not be in memory at once.
#[derive(Default)]
pub struct PublishBatch {
    /// Reports that are new or may differ.
    pub reports: Vec<WorkloadReport>,
    /// Workloads that are gone. A workload that is both gone and reported was recreated: the report counts.
    pub gone: Vec<Workload>,
}

/// A family as last published.
struct Rendered {
    family: &'static Family,
    headers: Headers,
    buckets: Buckets,
    runs: Segments,
    /// `None` before the first publication, and after a change until the next one.
    picture: Option<Arc<FamilyPicture>>,
    /// Only for the family about namespaces.
    awaiting_owner: Vec<(Name, u32)>,
    /// Text of a family that is not about workloads.
    lone_text: String,
}

impl Exposition {
    /// An exposition with only own health until something is published. `pod_label_names` are the metric labels
    /// (`label_…`) of the reports' values, in their order.
    #[must_use]
    pub fn new(selection: Selection, pod_label_names: Vec<String>) -> Self {
        Self::with_additions(selection, Additions { pod_labels: pod_label_names, page_url: None })
    }

    /// The same, with links to the page at `page_url` in families for alerts.
    #[must_use]
    pub fn with_links(selection: Selection, pod_label_names: Vec<String>, page_url: Option<String>) -> Self {
        Self::with_additions(selection, Additions { pod_labels: pod_label_names, page_url })
    }

    fn with_additions(selection: Selection, additions: Additions) -> Self {
        let selection = Arc::new(selection);
        let mut compressor = Compressor::new(additions);
        let families = FAMILIES
            .iter()
            .filter(|family| selection.contains(family.name))
            .map(|family| Rendered::new(family, &mut compressor))
            .collect();
        let nothing = Picture { families: Vec::new(), selection: Arc::clone(&selection) };
        Self {
            selection,
            workload_count: AtomicUsize::new(0),
            rendering: Mutex::new(Rendering { families, workloads: BTreeSet::new(), compressor }),
            latest: Mutex::new(Arc::new(nothing)),
        }
    }

    /// Renders changes, batch by batch, without publishing them. This is the initial state, for which clients wait, so
    /// two cores render and fetch batches. Batches should be ordered by workload, or it takes longer.
    pub fn prepare(&self, parts: &mut (dyn Iterator<Item = PublishBatch> + Send)) {
        let mut rendering = lock(&self.rendering);
        let Rendering { families, workloads, compressor } = &mut *rendering;
        let mut second = compressor.another();
        let mut parts = parts.map(|part| part.changes(workloads));
        // The family with a series per pod is almost the last one, and takes as much work as all others together.
        let families = families.iter_mut().rev();
        work_queue::take_over(
            families,
            &mut parts,
            [compressor, &mut second].into_iter(),
            |family, changes, compressor| {
                family.take_over(changes, true, compressor);
            },
        );
        self.workload_count.store(rendering.workloads.len(), Ordering::Relaxed);
    }

    /// Renders changes and publishes the new picture. `awaiting_owner` is always the whole list.
    pub fn publish(&self, part: PublishBatch, awaiting_owner: &[(Name, u32)]) {
        let mut rendering = lock(&self.rendering);
        rendering.take_over(part);
        self.workload_count.store(rendering.workloads.len(), Ordering::Relaxed);
        let families = rendering.pictures(awaiting_owner);
        let picture = Arc::new(Picture { families, selection: Arc::clone(&self.selection) });
        // The old picture is freed after the lock, or by its last response.
        let replaced = std::mem::replace(&mut *lock(&self.latest), picture);
        drop(replaced);
    }

    /// Sets the tags that have several digests on nodes, always the whole list. The next publication includes
    /// them.
    pub fn take_cached_tags(&self, tags: &[CachedTag]) {
        let mut rendering = lock(&self.rendering);
        let of_images = |rendered: &&mut Rendered| matches!(rendered.family.subject, FamilyScope::CachedTags);
        if let Some(rendered) = rendering.families.iter_mut().find(of_images) {
            let text = rendered.family.render_cached_tags(tags);
            rendered.take_lone_text(text);
        }
    }

    /// Sets the evidence of registries. The next publication includes it.
    pub fn take_registry(&self, evidence: &RegistryEvidence) {
        let mut rendering = lock(&self.rendering);
        let of_registries = |rendered: &&mut Rendered| matches!(rendered.family.subject, FamilyScope::Registry(..));
        for rendered in rendering.families.iter_mut().filter(of_registries) {
            rendered.take_lone_text(rendered.family.render_registry(evidence));
        }
    }

    /// Every reported workload, sorted by name. It waits for a publication in progress.
    #[must_use]
    pub fn workloads(&self) -> Vec<Arc<Workload>> {
        lock(&self.rendering).workloads.iter().cloned().collect()
    }

    /// Number of reported workloads.
    #[must_use]
    pub fn workload_count(&self) -> usize {
        self.workload_count.load(Ordering::Relaxed)
    }

    /// The latest picture; without workload series before the first publication.
    #[must_use]
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&lock(&self.latest))
    }
}

impl Rendering {
    fn take_over(&mut self, part: PublishBatch) {
        let changes = part.changes(&mut self.workloads);
        for family in &mut self.families {
            family.take_over(&changes, false, &mut self.compressor);
        }
    }

    fn pictures(&mut self, awaiting_owner: &[(Name, u32)]) -> Vec<Arc<FamilyPicture>> {
        let compressor = &mut self.compressor;
        self.families.iter_mut().map(|rendered| rendered.latest(awaiting_owner, compressor)).collect()
    }
}

impl PublishBatch {
    /// Sorted by workload, one change each. `workloads` are the shared names.
    fn changes(self, workloads: &mut BTreeSet<Arc<Workload>>) -> Vec<WorkloadChange> {
        let mut changes = Vec::with_capacity(self.reports.len() + self.gone.len());
        for report in self.reports.into_iter().rev() {
            changes.push(WorkloadChange { workload: shared(workloads, &report.workload), report: Some(report) });
        }
        for workload in &self.gone {
            changes.push(WorkloadChange { workload: shared(workloads, workload), report: None });
        }
        // The sort is stable: of several changes of one workload the first stays, which is the last report.
        changes.sort_by(|a, b| a.workload.cmp(&b.workload));
        changes.dedup_by(|later, earlier| later.workload == earlier.workload);
        for change in changes.iter().filter(|change| change.report.is_none()) {
            workloads.remove(&change.workload);
        }
        changes
    }
}

fn shared(workloads: &mut BTreeSet<Arc<Workload>>, workload: &Workload) -> Arc<Workload> {
    if let Some(known) = workloads.get(workload) {
        return Arc::clone(known);
    }
    let shared = Arc::new(workload.clone());
    workloads.insert(Arc::clone(&shared));
    shared
}

impl Rendered {
    fn new(family: &'static Family, compressor: &mut Compressor) -> Self {
        Self {
            family,
            headers: Headers::new(family, &mut compressor.deflater),
            buckets: Buckets::default(),
            runs: Segments::default(),
            picture: None,
            awaiting_owner: Vec::new(),
            lone_text: String::new(),
        }
    }

    fn take_lone_text(&mut self, text: String) {
        if self.lone_text != text {
            (self.lone_text, self.picture) = (text, None);
        }
    }

    fn take_over(&mut self, changes: &[WorkloadChange], more: bool, compressor: &mut Compressor) {
        let by_workload = matches!(self.family.subject, FamilyScope::Workload(_) | FamilyScope::Deployment(_));
        if by_workload && self.buckets.update(self.family, changes, more, compressor) {
            // Also during the initial list: otherwise small fragments would be scattered over the whole memory at its
            // end.
            self.runs.tidy(&mut self.buckets.fragments_mut().collect::<Vec<_>>());
            self.picture = None;
        }
    }

    fn latest(&mut self, awaiting_owner: &[(Name, u32)], compressor: &mut Compressor) -> Arc<FamilyPicture> {
        if matches!(self.family.subject, FamilyScope::AwaitingOwner) && self.awaiting_owner != awaiting_owner {
            self.picture = None;
        }
        if let Some(picture) = &self.picture {
            return Arc::clone(picture);
        }
        let picture = Arc::new(self.picture(awaiting_owner, compressor));
        self.picture = Some(Arc::clone(&picture));
        picture
    }

    /// The picture of a family that is not about workloads.
    fn lone_picture(&self, text: &str, compressor: &mut Compressor) -> FamilyPicture {
        let fragment = (!text.is_empty()).then(|| Fragment::new(text, &mut compressor.deflater));
        FamilyPicture::new(&self.headers, fragment.into_iter().collect(), Box::default())
    }

    fn picture(&mut self, awaiting_owner: &[(Name, u32)], compressor: &mut Compressor) -> FamilyPicture {
        match self.family.subject {
            FamilyScope::AwaitingOwner => {
                self.awaiting_owner = awaiting_owner.to_vec();
                self.lone_picture(&self.family.render_awaiting_owner(awaiting_owner), compressor)
            }
            FamilyScope::CachedTags | FamilyScope::Registry(..) => self.lone_picture(&self.lone_text, compressor),
            FamilyScope::Workload(_) | FamilyScope::Deployment(_) => {
                let pieces = self.runs.pieces(self.buckets.fragments());
                FamilyPicture::new(&self.headers, pieces, self.buckets.ages().map(Arc::clone).collect())
            }
        }
    }
}
