//! Turns records into the facts of a report.

use super::Inventory;
use super::container_identity::{ContainerIdentity, ImageIdRecord};
use super::intern::Symbol;
use super::memory::{PodGroup, WorkloadMemory};
use super::owners::{Owner, OwnerObject};
use super::records::{ContainerRecord, ControllerRecord, ImageRecord, PodRecord, TemplateRecord};
use super::workloads::WorkloadRecord;
use crate::kinds::WorkloadKind;
use crate::objects::TemplateDigest;
use crate::report::Name;
use crate::report::facts::{
    self, ContainerFacts, Controller, ImageFacts, ImageIdentity, PodFacts, TemplateFacts, WorkloadFacts,
};
use crate::time::UnixTime;

impl Inventory {
    /// Returns all facts about a workload.
    pub(super) fn facts<'a>(&'a self, record: &WorkloadRecord, memory: &'a WorkloadMemory) -> WorkloadFacts<'a> {
        let groups: Vec<&Owner> = record.groups.iter().filter_map(|at| self.owners.get(*at)).collect();
        let mut entries: Vec<_> =
            groups.iter().flat_map(|group| group.pods()).filter_map(|pod| self.pods.get(*pod)).collect();
        entries.sort_unstable_by(|a, b| {
            (&a.record.name, b.record.created, a.uid).cmp(&(&b.record.name, a.record.created, b.uid))
        });
        // No cluster has two pods of one name: the older one is gone, although its deletion was not seen.
        entries.dedup_by(|older, newer| older.record.name == newer.record.name);

        let foreign = self.foreign(record);
        let mut pods = Vec::with_capacity(entries.len());
        let mut containers = Vec::with_capacity(entries.len() * 2);
        for (entry, at) in entries.iter().zip(0..) {
            let pod = &entry.record;
            pods.push(self.pod(pod, !foreign.contains(&entry.owner)));
            if !pod.terminating {
                containers.extend(pod.containers.iter().filter_map(|container| self.container(at, container)));
            }
        }
        WorkloadFacts {
            pods,
            containers,
            within_image: self.is_bare(record) || entries.iter().any(|entry| entry.record.hash.is_empty()),
            ..self.owner_facts(record, &groups, memory)
        }
    }

    /// The same without facts about containers: all that a rollout needs. Unless `whole` is set, one pod represents all
    /// pods of its template hash, so that an event costs no more in a large workload.
    pub(super) fn rollout_facts<'a>(
        &'a self,
        record: &WorkloadRecord,
        memory: &'a WorkloadMemory,
        whole: bool,
    ) -> WorkloadFacts<'a> {
        let groups: Vec<&Owner> = record.groups.iter().filter_map(|at| self.owners.get(*at)).collect();
        let pods = if let Some(hashes) = self.active_hashes(record, memory).filter(|_| !whole) {
            hashes.map(|group| self.any_pod(group)).collect()
        } else {
            let entries = groups.iter().flat_map(|group| group.pods()).filter_map(|pod| self.pods.get(*pod));
            let foreign = self.foreign(record);
            entries.map(|entry| self.pod(&entry.record, !foreign.contains(&entry.owner))).collect()
        };
        WorkloadFacts { pods, ..self.owner_facts(record, &groups, memory) }
    }

    /// An active pod that represents all pods of its template hash.
    fn any_pod(&self, group: &PodGroup) -> PodFacts<'_> {
        let unknown = self.strings.name(Symbol::EMPTY);
        PodFacts {
            name: unknown,
            node: unknown,
            hash: self.strings.name(group.hash),
            labels: Box::default(),
            created: None,
            ready: false,
            ready_since: None,
            terminating: false,
            own: true,
            count: group.active,
            waiting: &[],
            never_ready: group.never_ready,
        }
    }

    /// Facts about a workload without its pods.
    fn owner_facts<'a>(
        &'a self,
        record: &WorkloadRecord,
        groups: &[&'a Owner],
        memory: &'a WorkloadMemory,
    ) -> WorkloadFacts<'a> {
        let controller = self.object_of(record);
        let hashes = memory.hashes().into_iter().map(|(hash, since)| (self.strings.name(hash), since));
        WorkloadFacts {
            workload: self.name_of(record),
            within_image: false,
            templates: self.templates(groups, controller),
            controller: controller.and_then(|(_, owner)| self.controller(owner)),
            stalled_after: u32::try_from(self.settings.stalled_after.as_secs()).unwrap_or(u32::MAX),
            pods: Vec::new(),
            containers: Vec::new(),
            memory: facts::ObservedHistory {
                course: &memory.course,
                same_template: self.same_template(record, memory),
                hashes: hashes.collect(),
                skews: memory.skews(),
                last_rollout: memory.ended().last,
                rollout_counts: memory.ended().counts,
                aliases: memory.aliases(),
            },
            evidence: self.nodes.latest(),
            awaits_evidence: self.nodes.is_awaited() || self.registry.is_awaited(),
            registry: self.registry.latest(),
        }
    }

    /// Whether it is a bare ReplicaSet. Its template may have been edited, so its pods may differ on purpose.
    pub(super) fn is_bare(&self, record: &WorkloadRecord) -> bool {
        let mut groups = record.groups.iter().filter_map(|at| self.owners.get(*at));
        groups.any(|group| group.key.kind == WorkloadKind::ReplicaSet && group.parent.is_none())
    }

    /// The owners of pods that belong to an earlier object of the same name; almost always none.
    fn foreign(&self, record: &WorkloadRecord) -> Vec<u32> {
        let uid = self.object_uid(record);
        record.groups.iter().copied().filter(|owner| self.top_uid(*owner) != Some(uid)).collect()
    }

    fn pod<'a>(&'a self, pod: &'a PodRecord, own: bool) -> PodFacts<'a> {
        PodFacts {
            name: &pod.name,
            node: self.strings.name(pod.node),
            hash: self.strings.name(pod.hash),
            labels: self.labels(pod.labels),
            created: pod.created,
            ready: pod.ready,
            ready_since: pod.ready_since,
            terminating: pod.terminating,
            own,
            count: 1,
            waiting: pod.waiting.as_deref().map_or(&[], Vec::as_slice),
            never_ready: u32::from(pod.never_ready),
        }
    }

    fn container(&self, pod: u32, record: &ContainerRecord) -> Option<ContainerFacts<'_>> {
        Some(self.container_facts(pod, self.identities.get(record.identity)?, record.started))
    }

    pub(super) fn container_facts<'a>(
        &'a self,
        pod: u32,
        identity: &ContainerIdentity,
        started: Option<UnixTime>,
    ) -> ContainerFacts<'a> {
        ContainerFacts {
            pod,
            name: self.strings.name(identity.name),
            image: self.strings.name(identity.image),
            identity: match identity.image_id {
                ImageIdRecord::NotStarted => ImageIdentity::NotStarted,
                ImageIdRecord::NotReported => ImageIdentity::NotReported,
                ImageIdRecord::Unreadable => ImageIdentity::Unreadable,
                ImageIdRecord::Known(kind) => ImageIdentity::Known(kind, self.strings.name(identity.digest)),
            },
            repository: self.strings.name(identity.repository),
            cri_o: identity.cri_o,
            started,
        }
    }

    /// Every template that this workload's pods may have, its own object's first.
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
            let Some(dependents) = self.owners.get(top).and_then(|owner| owner.dependents.as_ref()) else {
                continue;
            };
            for child in dependents.children.iter().filter_map(|at| self.owners.get(*at)) {
                if let OwnerObject::ReplicaSet(template) = &child.object {
                    templates.push(self.template(template, own, owned));
                }
            }
            templates.extend(dependents.revisions.iter().map(|revision| self.template(&revision.template, own, owned)));
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
            worked: record.worked,
            replicas: record.replicas.map(|replicas| u32::from(replicas.get()) - 1),
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
        let ControllerRecord { template, images, observed, unedited, replicas, failure, kind, .. } = &**record;
        Some(Controller {
            has_template: template.is_some(),
            created: owner.created(),
            images: self.images(images),
            observed: *observed,
            unedited: *unedited,
            replicas: *replicas,
            failure: failure.map(|(reason, message)| (self.strings.name(reason), self.strings.name(message))),
            kind: kind.map(|text| self.strings.name(*text)),
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
}
