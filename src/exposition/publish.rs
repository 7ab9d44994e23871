//! From reports to pictures.

use super::FAMILIES;
use super::bucket::{Buckets, Change, Press};
use super::family::{Family, Subject};
use super::fragment::Fragment;
use super::picture::{FamilyPicture, Picture};
use super::runs::Runs;
use super::selection::Selection;
use crate::report::{Name, Workload, WorkloadReport};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Renders reports; the latest picture can be taken from it at any time, by any number of scrapes.
pub struct Exposition {
    selection: Arc<Selection>,
    /// Locked for as long as a publication takes.
    rendering: Mutex<Rendering>,
    /// Locked for as long as it takes to clone or replace an `Arc`: a scrape never waits for a publication.
    latest: Mutex<Arc<Picture>>,
}

/// What changes from one picture to the next.
struct Rendering {
    families: Vec<Rendered>,
    /// Shared by the sections of all families.
    workloads: BTreeSet<Arc<Workload>>,
    press: Press,
    /// For a second core, while there is much to render.
    second_press: Option<Press>,
}

/// One family as it was published last.
struct Rendered {
    family: &'static Family,
    header: Fragment,
    buckets: Buckets,
    runs: Runs,
    /// `None` before the first publication, and from a change to the next one.
    picture: Option<Arc<FamilyPicture>>,
    /// Only of the family that speaks of namespaces.
    awaiting_owner: Vec<(Name, u32)>,
}

impl Exposition {
    /// Nothing but own health, until something is published. `pod_label_names` are the metric labels (`label_…`) whose
    /// values the reports bring, in their order.
    #[must_use]
    pub fn new(selection: Selection, pod_label_names: Vec<String>) -> Self {
        let selection = Arc::new(selection);
        let mut press = Press::new(pod_label_names);
        let families = FAMILIES
            .iter()
            .filter(|family| selection.contains(family.name))
            .map(|family| Rendered::new(family, &mut press))
            .collect();
        let nothing = Picture { families: Vec::new(), selection: Arc::clone(&selection) };
        Self {
            selection,
            rendering: Mutex::new(Rendering { families, workloads: BTreeSet::new(), press, second_press: None }),
            latest: Mutex::new(Arc::new(nothing)),
        }
    }

    /// Takes over some of what changed and renders what it touches; no scrape sees it before the next publication. So a
    /// whole cluster's reports need not be in memory at once. There is much to do and somebody waits for the end of it, so
    /// two cores do it.
    #[allow(clippy::needless_pass_by_value, reason = "no caller has a use for the reports after this")]
    pub fn prepare(&self, reports: Vec<WorkloadReport>, gone: &[Workload]) {
        let mut rendering = lock(&self.rendering);
        if rendering.second_press.is_none() {
            rendering.second_press = Some(rendering.press.another());
        }
        rendering.take_over(&reports, gone);
    }

    /// Takes over what changed, renders what it touches and publishes the new picture. `awaiting_owner` is always the
    /// whole list. A workload that is both gone and reported was made again: the report counts.
    #[allow(clippy::needless_pass_by_value, reason = "no caller has a use for the reports after this")]
    pub fn publish(&self, reports: Vec<WorkloadReport>, gone: &[Workload], awaiting_owner: &[(Name, u32)]) {
        let mut rendering = lock(&self.rendering);
        rendering.second_press = None;
        rendering.take_over(&reports, gone);
        let families = rendering.pictures(awaiting_owner);
        let picture = Arc::new(Picture { families, selection: Arc::clone(&self.selection) });
        // The one it replaces is freed after the lock, and by its last answer if one is still on its way.
        let replaced = std::mem::replace(&mut *lock(&self.latest), picture);
        drop(replaced);
    }

    /// The latest picture; without any workload series until something was published.
    #[must_use]
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&lock(&self.latest))
    }
}

impl Rendering {
    fn take_over(&mut self, reports: &[WorkloadReport], gone: &[Workload]) {
        let mut changes = Vec::with_capacity(reports.len() + gone.len());
        for report in reports.iter().rev() {
            changes.push(Change { workload: self.shared(&report.workload), report: Some(report) });
        }
        for workload in gone {
            changes.push(Change { workload: self.shared(workload), report: None });
        }
        // The sort is stable: of several changes of one workload the last report comes first, and stays.
        changes.sort_by(|a, b| a.workload.cmp(&b.workload));
        changes.dedup_by(|later, earlier| later.workload == earlier.workload);
        for change in changes.iter().filter(|change| change.report.is_none()) {
            self.workloads.remove(&change.workload);
        }
        // The family with a series for every pod is nearly the last one; it is as much work as all others.
        let families = Mutex::new(self.families.iter_mut().rev());
        let take_over = |press: &mut Press| {
            loop {
                let Some(rendered) = lock(&families).next() else { return };
                rendered.take_over(&changes, press);
            }
        };
        std::thread::scope(|scope| {
            if let Some(second) = &mut self.second_press {
                // If there is no thread to be had, the first does it all.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || take_over(second));
            }
            take_over(&mut self.press);
        });
    }

    fn pictures(&mut self, awaiting_owner: &[(Name, u32)]) -> Vec<Arc<FamilyPicture>> {
        let press = &mut self.press;
        self.families.iter_mut().map(|rendered| rendered.latest(awaiting_owner, press)).collect()
    }

    fn shared(&mut self, workload: &Workload) -> Arc<Workload> {
        if let Some(known) = self.workloads.get(workload) {
            return Arc::clone(known);
        }
        let shared = Arc::new(workload.clone());
        self.workloads.insert(Arc::clone(&shared));
        shared
    }
}

impl Rendered {
    fn new(family: &'static Family, press: &mut Press) -> Self {
        Self {
            family,
            header: Fragment::new(&family.header(), &mut press.deflater),
            buckets: Buckets::default(),
            runs: Runs::default(),
            picture: None,
            awaiting_owner: Vec::new(),
        }
    }

    fn take_over(&mut self, changes: &[Change<'_>], press: &mut Press) {
        let by_workload = matches!(self.family.subject, Subject::Workload(_) | Subject::Deployment(_));
        if by_workload && self.buckets.update(self.family, changes, press) {
            // Not only at the end of a first list: by then small pieces would lie all over the memory.
            self.runs.tidy(&mut self.buckets.fragments_mut().collect::<Vec<_>>());
            self.picture = None;
        }
    }

    fn latest(&mut self, awaiting_owner: &[(Name, u32)], press: &mut Press) -> Arc<FamilyPicture> {
        if matches!(self.family.subject, Subject::AwaitingOwner) && self.awaiting_owner != awaiting_owner {
            self.picture = None;
        }
        if let Some(picture) = &self.picture {
            return Arc::clone(picture);
        }
        let picture = Arc::new(self.picture(awaiting_owner, press));
        self.picture = Some(Arc::clone(&picture));
        picture
    }

    fn picture(&mut self, awaiting_owner: &[(Name, u32)], press: &mut Press) -> FamilyPicture {
        match self.family.subject {
            Subject::AwaitingOwner => {
                self.awaiting_owner = awaiting_owner.to_vec();
                let text = self.family.render_awaiting_owner(awaiting_owner);
                let fragment = (!text.is_empty()).then(|| Fragment::new(&text, &mut press.deflater));
                FamilyPicture::new(&self.header, fragment.into_iter().collect(), Box::default())
            }
            Subject::Workload(_) | Subject::Deployment(_) => {
                let pieces = self.runs.pieces(self.buckets.fragments());
                FamilyPicture::new(&self.header, pieces, self.buckets.running().map(Arc::clone).collect())
            }
        }
    }
}

/// A panic while a lock is held ends the process (see `Cargo.toml`), and in tests the test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
