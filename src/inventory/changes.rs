//! What has to be said anew: the facts of every workload that changed, turned into its report.

use super::intern::Symbol;
use super::memory::Memory;
use super::owners::{Owner, OwnerObject, Placed, WorkloadRecord};
use super::records::{
    ContainerRecord, ControllerKindRecord, ControllerRecord, IdentityRecord, ImageRecord, OwnerKey, OwnerKind,
    PodRecord, TemplateRecord,
};
use super::relist::Relist;
use super::shapes::Shape;
use super::{Changes, Inventory, Source};
use crate::objects::{Resource, TemplateDigest};
use crate::report::facts::{
    self, ContainerFacts, Controller, ControllerKind, Identity, ImageFacts, PodFacts, RolloutFacts, TemplateFacts,
    WorkloadFacts,
};
use crate::report::{self, Name, Workload, WorkloadReport};
use crate::time::UnixTime;
use std::cmp::Reverse;
use std::collections::BTreeMap;

impl Inventory {
    /// What changed since the last call, by events or by the passing of time.
    ///
    /// A picture that is not complete any more (pods forbidden) takes everything back that was said.
    pub fn take_changes(&mut self, now: UnixTime) -> Changes {
        self.take_some_changes(now, usize::MAX)
    }

    /// The same, but no more reports once they speak of `most_pods`: a whole cluster's need not be in memory at once.
    pub fn take_some_changes(&mut self, now: UnixTime, most_pods: usize) -> Changes {
        if self.sources.values().any(|source| !source.answered) {
            return Changes { gone: self.withhold(), ..Changes::default() };
        }
        self.end_waits(now);
        while let Some((at, workload)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, workload));
            self.touch(workload);
        }
        let mut changes = Changes { complete: true, awaiting_owner: self.awaiting_owner(), ..Changes::default() };
        let mut dirty = std::mem::take(&mut self.dirty);
        if dirty.len() > self.in_order && most_pods < usize::MAX {
            // In the order of their names, last first, so that each part of a long list touches its own buckets only.
            dirty.sort_by_cached_key(|at| Reverse(self.workloads.get(*at).map(|record| self.name_of(record))));
        }
        let mut pods = 0;
        while pods < most_pods {
            let Some(at) = dirty.pop() else { break };
            let reported = changes.reports.len();
            self.report(at, now, &mut changes);
            pods += changes.reports[reported..].iter().map(|report| report.pods.len()).sum::<usize>();
        }
        changes.more = !dirty.is_empty();
        // Nothing was touched in the meantime: reporting touches no workload.
        self.in_order = dirty.len();
        self.dirty = dirty;
        if !changes.more && self.strings.wants_sweep() {
            self.sweep();
        }
        changes
    }

    fn withhold(&mut self) -> Vec<Workload> {
        let published: Vec<u32> =
            self.workloads.iter().filter(|(_, workload)| workload.published).map(|(at, _)| at).collect();
        let mut gone = Vec::with_capacity(published.len());
        for at in published {
            self.touch(at);
            let Some(record) = self.workloads.get_mut(at) else {
                continue;
            };
            record.published = false;
            if let Some(record) = self.workloads.get(at) {
                gone.push(self.name_of(record));
            }
        }
        gone
    }

    fn awaiting_owner(&self) -> Vec<(Name, u32)> {
        let mut by_namespace: BTreeMap<Name, u32> = BTreeMap::new();
        for owner in self.awaiting.iter().filter_map(|at| self.owners.get(*at)) {
            let pods = u32::try_from(owner.pods().len()).unwrap_or(u32::MAX);
            *by_namespace.entry(self.strings.name(owner.key.namespace).clone()).or_default() += pods;
        }
        by_namespace.into_iter().collect()
    }

    /// Reports one workload, or takes back what was said about it.
    fn report(&mut self, at: u32, now: UnixTime, changes: &mut Changes) {
        let Some(record) = self.workloads.get_mut(at) else {
            return;
        };
        record.dirty = false;
        if let Some(before) = record.changes_at.take() {
            self.timers.remove(&(before, at));
        }
        let published = std::mem::replace(&mut record.published, false);
        let Some(record) = self.workloads.get(at) else { return };
        let unused = record.groups.is_empty() && record.controllers.is_empty();
        if unused || self.is_hidden(record) {
            if published {
                changes.gone.push(self.name_of(record));
            }
            if unused {
                let name = (record.namespace, record.workload_type, record.name);
                self.workloads_by_name.remove(&name);
                self.workloads.remove(at);
            }
            return;
        }
        let (report, memory) = self.reported(record, now);
        let changes_at = report.changes_at;
        changes.reports.push(report);
        if let Some(record) = self.workloads.get_mut(at) {
            record.published = true;
            record.changes_at = changes_at;
            record.memory = memory.unwrap_or_else(|| std::mem::take(&mut record.memory));
        }
        if let Some(when) = changes_at {
            self.timers.insert((when, at));
        }
    }

    /// The report of a workload; and what is to be remembered of it, if nothing was taken in of it yet.
    fn reported(&self, record: &WorkloadRecord, now: UnixTime) -> (WorkloadReport, Option<Memory>) {
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

    /// Whether nothing can or ought to be said about a workload that exists.
    fn is_hidden(&self, record: &WorkloadRecord) -> bool {
        if !record.groups.is_empty() {
            return false;
        }
        record.controllers.iter().filter_map(|at| self.owners.get(*at)).all(|owner| {
            let by_replica_sets = matches!(owner.key.kind, OwnerKind::Deployment | OwnerKind::Rollout);
            let source = Source { resource: Resource::ReplicaSets, namespace: owner.scope };
            let replica_sets_hidden = !self.sources.get(&source).is_some_and(|source| source.readable);
            (by_replica_sets && replica_sets_hidden) || self.is_awaiting_pods(owner) || self.stands_for_a_rollout(owner)
        })
    }

    /// Whether some of its ReplicaSets' pods are still held out: then it is not yet known how many it has.
    fn is_awaiting_pods(&self, owner: &Owner) -> bool {
        let children = owner.kin.iter().flat_map(|kin| &kin.children);
        children.filter_map(|child| self.owners.get(*child)).any(|child| child.placed == Placed::Awaiting)
    }

    /// Whether it is a Deployment at 0 replicas that a Rollout's `spec.workloadRef` names: no second workload.
    fn stands_for_a_rollout(&self, owner: &Owner) -> bool {
        let scaled_to_zero = matches!(&owner.object, OwnerObject::Controller(record) if record.replicas.wanted == 0);
        scaled_to_zero
            && owner.key.kind == OwnerKind::Deployment
            && self.referenced.contains_key(&(owner.key.namespace, owner.key.name))
    }

    pub(super) fn name_of(&self, record: &WorkloadRecord) -> Workload {
        Workload {
            namespace: self.strings.name(record.namespace).clone(),
            workload_type: self.strings.name(record.workload_type).clone(),
            name: self.strings.name(record.name).clone(),
        }
    }

    /// Everything known about a workload, as its report wants it.
    pub(super) fn facts<'a>(&'a self, record: &WorkloadRecord, memory: &'a Memory) -> WorkloadFacts<'a> {
        let groups: Vec<&Owner> = record.groups.iter().filter_map(|at| self.owners.get(*at)).collect();
        let mut entries: Vec<_> =
            groups.iter().flat_map(|group| group.pods()).filter_map(|pod| self.pods.get(*pod)).collect();
        entries.sort_unstable_by(|a, b| {
            (&a.record.name, b.record.created, a.uid).cmp(&(&b.record.name, a.record.created, b.uid))
        });
        // No cluster has two pods of one name: the older one is gone, though nobody said so.
        entries.dedup_by(|older, newer| older.record.name == newer.record.name);

        let mut pods = Vec::with_capacity(entries.len());
        let mut containers = Vec::with_capacity(entries.len() * 2);
        for (entry, at) in entries.iter().zip(0..) {
            let pod = &entry.record;
            pods.push(self.pod(pod));
            if !pod.terminating {
                containers.extend(pod.containers.iter().filter_map(|container| self.container(at, container)));
            }
        }
        WorkloadFacts { pods, containers, ..self.owner_facts(record, &groups, memory) }
    }

    /// The same without what only containers tell: all that a rollout needs.
    pub(super) fn rollout_facts<'a>(&'a self, record: &WorkloadRecord, memory: &'a Memory) -> WorkloadFacts<'a> {
        let groups: Vec<&Owner> = record.groups.iter().filter_map(|at| self.owners.get(*at)).collect();
        let entries = groups.iter().flat_map(|group| group.pods()).filter_map(|pod| self.pods.get(*pod));
        let pods = entries.map(|entry| self.pod(&entry.record)).collect();
        WorkloadFacts { pods, ..self.owner_facts(record, &groups, memory) }
    }

    /// What is known of a workload but its pods.
    fn owner_facts<'a>(
        &'a self,
        record: &WorkloadRecord,
        groups: &[&'a Owner],
        memory: &'a Memory,
    ) -> WorkloadFacts<'a> {
        let controller = self.object_of(record);
        let hashes = memory.hashes().into_iter().map(|(hash, since)| (self.strings.name(hash), since));
        WorkloadFacts {
            workload: self.name_of(record),
            within_image: self.compares_within_image(record),
            templates: self.templates(groups, controller),
            controller: controller.and_then(|(_, owner)| self.controller(owner)),
            stalled_after: u32::try_from(self.settings.stalled_after.as_secs()).unwrap_or(u32::MAX),
            pods: Vec::new(),
            containers: Vec::new(),
            memory: facts::Memory {
                course: &memory.course,
                same_template: self.same_template(record, memory),
                hashes: hashes.collect(),
                skews: memory.skews(),
                aliases: memory.aliases(),
            },
        }
    }

    /// Whether two pods of a workload may differ on purpose: of a bare ReplicaSet, whose template may have been edited, and
    /// without a template hash.
    pub(super) fn compares_within_image(&self, record: &WorkloadRecord) -> bool {
        let mut groups = record.groups.iter().filter_map(|at| self.owners.get(*at));
        groups.any(|group| {
            let bare = group.key.kind == OwnerKind::ReplicaSet && group.parent.is_none();
            let mut pods = group.pods().iter().filter_map(|pod| self.pods.get(*pod));
            bare || pods.any(|entry| entry.record.hash.is_empty())
        })
    }

    fn pod<'a>(&'a self, pod: &'a PodRecord) -> PodFacts<'a> {
        PodFacts {
            name: &pod.name,
            node: self.strings.name(pod.node),
            hash: self.strings.name(pod.hash),
            labels: self.labels(pod.labels),
            created: pod.created,
            ready: pod.ready,
            ready_since: pod.ready_since,
            terminating: pod.terminating,
        }
    }

    fn container(&self, pod: u32, record: &ContainerRecord) -> Option<ContainerFacts<'_>> {
        Some(self.container_facts(pod, self.shapes.get(record.shape)?, record.started))
    }

    pub(super) fn container_facts<'a>(
        &'a self,
        pod: u32,
        shape: &Shape,
        started: Option<UnixTime>,
    ) -> ContainerFacts<'a> {
        ContainerFacts {
            pod,
            name: self.strings.name(shape.name),
            image: self.strings.name(shape.image),
            identity: match shape.identity {
                IdentityRecord::NotStarted => Identity::NotStarted,
                IdentityRecord::NotReported => Identity::NotReported,
                IdentityRecord::Unreadable => Identity::Unreadable,
                IdentityRecord::Known(kind) => Identity::Known(kind, self.strings.name(shape.digest)),
            },
            repository: self.strings.name(shape.repository),
            cri_o: shape.cri_o,
            started,
        }
    }

    /// Every template that pods of this workload may be made of, the ones its own object owns first.
    fn templates(&self, groups: &[&Owner], controller: Option<(u32, &Owner)>) -> Vec<TemplateFacts<'_>> {
        let mut tops: Vec<u32> = controller.map(|(at, _)| at).into_iter().collect();
        for parent in groups.iter().filter_map(|group| group.parent) {
            if !tops.contains(&parent) {
                tops.push(parent);
            }
        }
        let own = controller.and_then(|(_, owner)| match &owner.object {
            OwnerObject::Controller(record) => record.template,
            _ => None,
        });
        let mut templates = Vec::new();
        for top in tops {
            let owned = controller.is_some_and(|(at, _)| at == top);
            let Some(kin) = self.owners.get(top).and_then(|owner| owner.kin.as_ref()) else {
                continue;
            };
            for child in kin.children.iter().filter_map(|at| self.owners.get(*at)) {
                if let OwnerObject::ReplicaSet(template) = &child.object {
                    templates.push(self.template(template, own, owned));
                }
            }
            templates.extend(kin.revisions.iter().map(|revision| self.template(&revision.template, own, owned)));
        }
        for group in groups.iter().filter(|group| group.parent.is_none()) {
            if let OwnerObject::ReplicaSet(template) = &group.object {
                templates.push(self.template(template, own, false));
            }
        }
        templates
    }

    fn template(&self, record: &TemplateRecord, own: Option<TemplateDigest>, owned: bool) -> TemplateFacts<'_> {
        TemplateFacts {
            hash: self.strings.name(record.hash),
            equal: record.digest.zip(own).and_then(|(digest, own)| digest.equals(own)),
            revision: record.revision.map(|revision| u64::from(revision.get())),
            created: record.created,
            written: record.written,
            reused: record.reused,
            scaled_to_zero: record.scaled_to_zero,
            scale_down_deadline: record.scale_down_deadline,
            owned,
            containers: record.digest.is_some().then(|| &**self.strings.name(record.containers)),
            images: self.images(record.images.as_deref().unwrap_or_default()),
            labels: self.labels(record.labels),
        }
    }

    fn controller(&self, owner: &Owner) -> Option<Controller<'_>> {
        let OwnerObject::Controller(record) = &owner.object else {
            return None;
        };
        let ControllerRecord { template, images, observed, replicas, kind, .. } = &**record;
        let kind = match kind {
            ControllerKindRecord::Deployment(deployment) => ControllerKind::Deployment(*deployment),
            ControllerKindRecord::StatefulSet { update_revision, on_delete, partition, first_ordinal, driver } => {
                ControllerKind::StatefulSet {
                    driver: driver.map(|(kind, name)| (self.strings.name(kind), self.strings.name(name))),
                    update_revision: self.strings.name(*update_revision),
                    on_delete: *on_delete,
                    partition: *partition,
                    first_ordinal: *first_ordinal,
                }
            }
            ControllerKindRecord::DaemonSet { on_delete, updated } => {
                ControllerKind::DaemonSet { on_delete: *on_delete, updated: *updated }
            }
            ControllerKindRecord::Rollout(rollout) => ControllerKind::Rollout(RolloutFacts {
                current_hash: self.strings.name(rollout.current_hash),
                stable_hash: self.strings.name(rollout.stable_hash),
                phase: rollout.phase,
                paused: rollout.paused,
                aborted: rollout.aborted,
                pausing: rollout.pausing,
                between_steps: rollout.between_steps,
                blue_green: rollout.blue_green,
                deployment: self.strings.name(rollout.deployment),
                scale_down_delay: rollout.scale_down_delay,
                completed: rollout.completed,
            }),
        };
        Some(Controller {
            has_template: template.is_some(),
            images: self.images(images),
            observed: *observed,
            replicas: *replicas,
            kind,
        })
    }

    fn images(&self, records: &[ImageRecord]) -> Vec<ImageFacts<'_>> {
        let facts = |image: &ImageRecord| ImageFacts {
            container: self.strings.name(image.container),
            image: self.strings.name(image.image),
            pull_policy: self.strings.name(image.pull_policy),
        };
        records.iter().map(facts).collect()
    }

    fn labels(&self, values: Symbol) -> Box<[Option<Name>]> {
        let value = |value: &str| (!value.is_empty()).then(|| Name::from(value));
        self.strings.name(values).split_terminator('\n').map(value).collect()
    }

    /// Frees the strings that no record holds any more.
    fn sweep(&mut self) {
        let Self { strings, shapes, sources, pods, owners, workloads, .. } = self;
        strings.sweep(|mark| {
            let listed = sources.values().filter_map(|source| source.relist.as_ref()).flat_map(Relist::pods);
            let containers = pods.iter().map(|(_, entry)| &entry.record).chain(listed).flat_map(|pod| &pod.containers);
            shapes.sweep(containers.map(|container| container.shape), mark);
            for (_, entry) in pods.iter() {
                entry.record.mark(mark);
            }
            for (_, owner) in owners.iter() {
                owner.mark(mark);
            }
            for (_, workload) in workloads.iter() {
                [workload.namespace, workload.workload_type, workload.name].into_iter().for_each(&mut *mark);
            }
            for record in
                sources.values().filter_map(|source| source.relist.as_ref()).flat_map(super::relist::Relist::records)
            {
                record.mark(mark);
            }
        });
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
        for revision in self.kin.iter().flat_map(|kin| &kin.revisions) {
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
