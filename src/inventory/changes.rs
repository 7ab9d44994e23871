//! Turns every workload that changed into its new report.

use super::intern::{Interner, Symbol};
use super::memory::WorkloadMemory;
use super::owners::{Owner, OwnerObject, Placement};
use super::records::OwnerKey;
use super::relist::Relist;
use super::workloads::WorkloadRecord;
use super::{Changes, Inventory, Source};
use crate::kinds::WorkloadKind;
use crate::objects::Resource;
use crate::report::{self, Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Number of objects below which returning memory is not worth the work.
const MANY: usize = 4096;

impl Inventory {
    /// Returns what changed since the last call, by events or with time.
    ///
    /// If the state becomes incomplete (pods forbidden), all reports are withdrawn.
    pub fn take_changes(&mut self, now: UnixTime) -> Changes {
        self.take_some_changes(now, usize::MAX)
    }

    /// The same, but stops once the reports cover `most_pods`, so that the reports of a whole cluster need not be in
    /// memory at once. Workloads that change before the last part are reported again after it.
    pub fn take_some_changes(&mut self, now: UnixTime, most_pods: usize) -> Changes {
        if !self.sources.have_answered() {
            return Changes { gone: self.withhold(), ..Changes::default() };
        }
        self.end_waits(now);
        self.make_room_for_messages(now);
        self.workloads.touch_due(now);
        let mut changes = Changes {
            complete: true,
            awaiting_owner: self.awaiting_owner(),
            cached_tags: self.cached_tags(),
            registry: self.registry_evidence().cloned(),
            ..Changes::default()
        };
        // Sorted by name, last first, so that each part of a long list touches only its own buckets.
        let strings = &self.strings;
        let by_name = |record: &WorkloadRecord| Reverse(name_of(strings, record));
        let mut round = self.workloads.take_round((most_pods < usize::MAX).then_some(by_name));
        let mut pods = 0;
        while pods < most_pods {
            let Some(at) = round.pop() else { break };
            let reported = changes.reports.len();
            self.report(at, now, &mut changes);
            pods += changes.reports[reported..].iter().map(|report| report.pods.len()).sum::<usize>();
        }
        changes.more = !round.is_empty();
        self.workloads.put_back(round);
        if !changes.more && (self.has_shrunk() || self.strings.wants_sweep()) {
            self.sweep();
        }
        changes
    }

    /// Number of workloads that the next call reports; `None` without a complete picture.
    pub fn unreported(&mut self, now: UnixTime) -> Option<usize> {
        if !self.sources.have_answered() {
            return None;
        }
        self.end_waits(now);
        self.workloads.touch_due(now);
        Some(self.workloads.dirty())
    }

    fn withhold(&mut self) -> Vec<Workload> {
        let withdrawn = self.workloads.withdraw_reports();
        withdrawn.into_iter().filter_map(|at| self.workloads.get(at)).map(|record| self.name_of(record)).collect()
    }

    fn awaiting_owner(&self) -> Vec<(Name, u32)> {
        let mut by_namespace: BTreeMap<Name, u32> = BTreeMap::new();
        for owner in self.owners.awaiting().filter_map(|at| self.owners.get(at)) {
            let pods = u32::try_from(owner.pods().len()).unwrap_or(u32::MAX);
            *by_namespace.entry(self.strings.name(owner.key.namespace).clone()).or_default() += pods;
        }
        by_namespace.into_iter().collect()
    }

    /// Reports one workload, or withdraws its report.
    fn report(&mut self, at: u32, now: UnixTime, changes: &mut Changes) {
        let published = self.workloads.begin_report(at);
        let Some(record) = self.workloads.get(at) else { return };
        let unused = record.is_unused();
        if unused || self.is_hidden(record) {
            if published {
                changes.gone.push(self.name_of(record));
            }
            if unused {
                self.workloads.remove(at);
            }
            return;
        }
        let (report, memory) = self.reported(record, now);
        self.workloads.end_report(at, report.changes_at, memory);
        changes.reports.push(report);
    }

    /// Returns the report of a workload, and its memory if it was not observed before.
    pub(super) fn reported(&self, record: &WorkloadRecord, now: UnixTime) -> (WorkloadReport, Option<WorkloadMemory>) {
        if record.memory.observed {
            let facts = self.facts(record, &record.memory);
            return (report::report(&facts, &record.memory.course, now), None);
        }
        let since = self.complete_since.unwrap_or(now);
        let mut memory = record.memory.unobserved();
        self.refresh(record, &mut memory, since);
        let facts = self.facts(record, &memory);
        let course = report::observe(&facts, since);
        let report = report::report(&facts, &course, now);
        self.conclude(record, &mut memory, course);
        (report, Some(memory))
    }

    /// Whether a workload that exists must not be reported.
    fn is_hidden(&self, record: &WorkloadRecord) -> bool {
        if !record.groups.is_empty() {
            return false;
        }
        record.controllers.iter().filter_map(|at| self.owners.get(*at)).all(|owner| {
            let by_replica_sets = matches!(owner.key.kind, WorkloadKind::Deployment | WorkloadKind::Rollout);
            let source = Source { resource: Resource::ReplicaSets, namespace: owner.scope };
            let replica_sets_hidden = !self.sources.is_readable(source);
            (by_replica_sets && replica_sets_hidden) || self.is_awaiting_pods(owner) || self.stands_for_a_rollout(owner)
        })
    }

    /// Whether pods of some of its ReplicaSets are still held back, so that its number of pods is unknown.
    fn is_awaiting_pods(&self, owner: &Owner) -> bool {
        let children = owner.dependents.iter().flat_map(|dependents| &dependents.children);
        children.filter_map(|child| self.owners.get(*child)).any(|child| child.placed == Placement::Awaiting)
    }

    /// Whether it is a Deployment with 0 replicas to which a Rollout's `spec.workloadRef` refers. Then it is not a workload
    /// of its own.
    fn stands_for_a_rollout(&self, owner: &Owner) -> bool {
        let scaled_to_zero = matches!(&owner.object, OwnerObject::Controller(record) if record.replicas.wanted == 0);
        scaled_to_zero
            && owner.key.kind == WorkloadKind::Deployment
            && self.owners.is_referenced(owner.key.namespace, owner.key.name)
    }

    pub(super) fn name_of(&self, record: &WorkloadRecord) -> Workload {
        name_of(&self.strings, record)
    }

    /// Whether half of all objects were removed since memory was last returned.
    fn has_shrunk(&mut self) -> bool {
        let held = self.pods.len() + self.owners.len() + self.workloads.len();
        self.most_held = self.most_held.max(held);
        self.most_held > MANY && held <= self.most_held / 2
    }

    /// Frees strings that no record uses, and returns unused memory. A table keeps room to double its size, so that
    /// it does not shrink and grow again.
    fn sweep(&mut self) {
        self.most_held = self.pods.len() + self.owners.len() + self.workloads.len();
        self.pods.shrink();
        self.owners.shrink();
        self.workloads.shrink();
        let Self { strings, identities, sources, pods, owners, workloads, .. } = self;
        strings.sweep(|mark| {
            let listed = sources.lists().flat_map(Relist::pods);
            let containers = pods.iter().map(|(_, entry)| &entry.record).chain(listed).flat_map(|pod| &pod.containers);
            identities.sweep(containers.map(|container| container.identity), mark);
            for (_, entry) in pods.iter() {
                entry.record.mark(mark);
            }
            for (_, owner) in owners.iter() {
                owner.mark(mark);
            }
            workloads.mark(mark);
            for record in sources.lists().flat_map(Relist::records) {
                record.mark(mark);
            }
        });
    }
}

fn name_of(strings: &Interner, record: &WorkloadRecord) -> Workload {
    Workload {
        namespace: strings.name(record.namespace).clone(),
        workload_type: strings.name(record.workload_type).clone(),
        name: strings.name(record.name).clone(),
    }
}

impl Owner {
    pub(super) fn created(&self) -> Option<UnixTime> {
        match &self.object {
            OwnerObject::Controller(record) => record.created,
            OwnerObject::ReplicaSet(template) => template.created,
            OwnerObject::Missing => None,
        }
    }

    fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        self.key.mark(mark);
        match &self.object {
            OwnerObject::Controller(record) => record.mark(mark),
            OwnerObject::ReplicaSet(template) => template.mark(mark),
            OwnerObject::Missing => {}
        }
        for revision in self.dependents.iter().flat_map(|dependents| &dependents.revisions) {
            revision.template.mark(mark);
        }
    }
}

impl OwnerKey {
    fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        [self.workload_type, self.namespace, self.name].into_iter().for_each(mark);
    }
}

impl super::objects::Record {
    fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        match self {
            Self::Pod { owner, record, .. } => {
                owner.mark(mark);
                record.mark(mark);
            }
            Self::ReplicaSet { key, parent, template } => {
                key.mark(mark);
                if let Some(parent) = parent {
                    parent.mark(mark);
                }
                template.mark(mark);
            }
            Self::Controller { key, record } => {
                key.mark(mark);
                record.mark(mark);
            }
            Self::Revision { owner, template, .. } => {
                owner.mark(mark);
                template.mark(mark);
            }
        }
    }
}
