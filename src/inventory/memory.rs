//! Observations about a workload that a relist would not show.
//!
//! It is updated at the end of every event, with the event's time. So it depends only on events, and never on when or
//! how often reports are read. It belongs to one UID. A new object of the same name is another object, and inherits
//! nothing from the old one (row 51).

use super::Inventory;
use super::container_identity::{IdentityId, ImageIdRecord};
use super::ended::{EndedRollouts, ObservedBy};
use super::intern::Symbol;
use super::owners::{Owner, OwnerObject};
use super::records::PodRecord;
use super::workloads::WorkloadRecord;
use crate::objects::{TemplateDigest, Uid};
use crate::report::evidence::OnNodes;
use crate::report::facts::{ContainerFacts, ObservedRollout, SkewMemory};
use crate::report::{self, Name, Outcome};
use crate::time::UnixTime;

/// Observations about a workload.
#[derive(Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a piece of work for the end of the event")]
pub(super) struct WorkloadMemory {
    /// UID of the workload's own object, or of the owner that gives the workload its name.
    uid: Uid,
    /// Whether it was observed yet.
    pub(super) observed: bool,
    /// Whether it is queued for an update at the end of the event.
    update_queued: bool,
    /// Whether pods were changed in bulk, so that they must be counted again.
    recount: bool,
    /// Whether the images of its containers may have changed.
    images_changed: bool,
    /// Its active pods, grouped.
    groups: Vec<PodGroup>,
    /// The state of its rollout.
    pub(super) course: ObservedRollout,
    /// Its template when last observed.
    template: Option<TemplateDigest>,
    /// Observations that most workloads do not have.
    rare: Option<Box<RareState>>,
}

#[derive(Clone, Default, Debug)]
struct RareState {
    ended: EndedRollouts,
    skews: Vec<SkewMemory>,
    aliases: Vec<(Name, Name)>,
}

/// Active pods of one template hash; or those of them with a container of one identity.
#[derive(Debug)]
pub(super) struct PodGroup {
    pub(super) hash: Symbol,
    identity: Option<IdentityId>,
    /// Number of pods.
    pub(super) active: u32,
    /// Number of them that were never Ready; kept only for template hashes.
    pub(super) never_ready: u32,
    /// The earliest start since the group was last empty.
    since: UnixTime,
}

impl WorkloadMemory {
    /// Queues an update at the end of the event; returns whether it is new in the queue.
    pub(super) fn queue_update(&mut self) -> bool {
        self.observed && !std::mem::replace(&mut self.update_queued, true)
    }

    /// Requests a new count of its pods.
    pub(super) fn count_again(&mut self) {
        self.recount = true;
    }

    fn of(uid: Uid) -> Self {
        Self { uid, observed: true, recount: true, ..Self::default() }
    }

    /// The state before the first observation.
    pub(super) fn unobserved(&self) -> Self {
        Self { rare: self.rare.clone(), ..Self::default() }
    }

    /// Its ended rollouts.
    pub(super) fn ended(&self) -> EndedRollouts {
        self.rare.as_ref().map(|rare| rare.ended).unwrap_or_default()
    }

    fn note(&mut self, outcome: &Outcome, via: ObservedBy) {
        if *outcome != Outcome::default() {
            self.rare.get_or_insert_default().ended.note(outcome, via);
        }
    }

    /// Its current skews.
    pub(super) fn skews(&self) -> &[SkewMemory] {
        self.rare.as_ref().map_or(&[], |rare| &rare.skews)
    }

    /// Pairs of digests that one running container had.
    pub(super) fn aliases(&self) -> &[(Name, Name)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.aliases)
    }

    /// Records that its containers' images may compare differently now.
    pub(super) fn images_changed(&mut self) {
        self.images_changed = true;
    }

    /// The identities of its active pods' containers.
    pub(super) fn identities(&self) -> impl Iterator<Item = IdentityId> {
        self.groups.iter().filter_map(|group| group.identity)
    }

    /// Records that two digests name the same bytes.
    pub(super) fn learn(&mut self, pair: (Name, Name)) {
        let rare = self.rare.get_or_insert_default();
        if !rare.aliases.contains(&pair) {
            rare.aliases.push(pair);
            self.images_changed = true;
        }
    }

    /// Since when each template hash has had active pods, if there are several.
    pub(super) fn hashes(&self) -> Vec<(Symbol, UnixTime)> {
        let hashes = || self.groups.iter().filter(|group| group.identity.is_none());
        if hashes().nth(1).is_none() { Vec::new() } else { hashes().map(|group| (group.hash, group.since)).collect() }
    }

    /// Records that a pod changed from `before` to `after`. Returns whether that may affect more than the number of
    /// pods.
    fn change(
        &mut self,
        before: Option<&PodRecord>,
        after: Option<&PodRecord>,
        has_object: bool,
        now: UnixTime,
    ) -> bool {
        // The set of pods shows when a rollback began, and whether a rollout has all pods that it waits for.
        let known = |pod: &PodRecord| (pod.hash, pod.created, pod.terminating, pod.never_ready);
        let depends = match &self.course {
            ObservedRollout::InProgress(rollout) => rollout.by_pods || rollout.arriving,
            ObservedRollout::Unseen => has_object,
            ObservedRollout::Complete(_) => false,
        };
        let mut news = depends && before.map(known) != after.map(known);
        // The new state is added first: then a group that has the pod before and after has no gap.
        for pod in after.into_iter().filter(|pod| !pod.terminating) {
            news |= enter(&mut self.groups, pod, now, &mut self.images_changed);
        }
        for pod in before.into_iter().filter(|pod| !pod.terminating) {
            news |= leave(&mut self.groups, pod, &mut self.images_changed);
        }
        // Without active pods, the terminating ones show whether Recreate waits for them.
        news | self.groups.is_empty()
    }
}

/// Adds a pod to its groups. Returns whether its template hash had no pods before.
fn enter(groups: &mut Vec<PodGroup>, pod: &PodRecord, now: UnixTime, images_changed: &mut bool) -> bool {
    let unready = |identity: Option<IdentityId>| u32::from(identity.is_none() && pod.never_ready);
    let mut put = |identity: Option<IdentityId>, since: UnixTime| {
        let known = groups.iter_mut().find(|group| group.hash == pod.hash && group.identity == identity);
        let Some(group) = known else {
            groups.push(PodGroup { hash: pod.hash, identity, active: 1, never_ready: unready(identity), since });
            return (true, true);
        };
        group.active += 1;
        group.never_ready += unready(identity);
        let earlier = since < group.since;
        group.since = group.since.min(since);
        (false, earlier)
    };
    let (is_first, _) = put(None, pod.created.unwrap_or(now));
    for container in &pod.containers {
        // A container without a start counts as started now.
        let (_, changed) = put(Some(container.identity), container.started.unwrap_or(now));
        *images_changed |= changed;
    }
    is_first
}

/// Removes a pod from its groups. Returns whether it was the last of its template hash.
fn leave(groups: &mut Vec<PodGroup>, pod: &PodRecord, images_changed: &mut bool) -> bool {
    let mut take = |identity: Option<IdentityId>| {
        let known = groups.iter().position(|group| group.hash == pod.hash && group.identity == identity);
        let Some(at) = known else { return false };
        let group = &mut groups[at];
        group.active = group.active.saturating_sub(1);
        group.never_ready = group.never_ready.saturating_sub(u32::from(identity.is_none() && pod.never_ready));
        let is_empty = group.active == 0;
        if is_empty {
            groups.swap_remove(at);
        }
        is_empty
    };
    for container in &pod.containers {
        *images_changed |= take(Some(container.identity));
    }
    take(None)
}

impl Inventory {
    /// Runs before an event. Observes all workloads that were not observed since the initial sync completed, as of that time.
    /// Places pods that have waited long enough for an owner, as of the end of their wait.
    pub(super) fn catch_up(&mut self, now: UnixTime) {
        let Some(complete_since) = self.complete_since else { return };
        for at in self.workloads.take_fresh() {
            if self.workloads.get(at).is_some_and(|record| !record.memory.observed) {
                self.observe(at, complete_since, ObservedBy::List);
            }
        }
        if self.owners.awaiting().len() > 0 {
            self.end_waits(now);
        }
    }

    /// Runs after an event or a list: observes the workloads that it changed.
    pub(super) fn take_in(&mut self, now: UnixTime, via: ObservedBy) {
        if self.complete_since.is_none() {
            return;
        }
        while let Some(at) = self.workloads.next_queued() {
            self.observe(at, now, via);
        }
    }

    /// Runs after a list ended or failed: the initial sync may be complete now, or the state incomplete again.
    pub(super) fn take_in_answer(&mut self, now: UnixTime) {
        if !self.waits {
            // A snapshot is one moment, although its objects arrive one after another.
            return;
        }
        let complete = self.sources.have_answered();
        match (self.complete_since, complete) {
            (Some(_), true) => self.take_in(now, ObservedBy::List),
            // The next event or read observes it.
            (None, true) => self.complete_since = Some(now),
            // From now on podskew does not see changes.
            (Some(_), false) => {
                self.complete_since = None;
                self.workloads.forget_memories();
            }
            (None, false) => {}
        }
    }

    /// Records that a pod of this workload changed from `before` to `after`.
    pub(super) fn queue_pod_update(
        &mut self,
        at: u32,
        owner: u32,
        before: Option<&PodRecord>,
        after: Option<u32>,
        now: UnixTime,
    ) {
        let uid = self.top_uid(owner);
        let after = after.and_then(|pod| self.pods.get(pod)).map(|entry| &entry.record);
        let Some(record) = self.workloads.get_mut(at) else { return };
        let has_object = !record.controllers.is_empty();
        let memory = &mut record.memory;
        if !memory.observed {
            return;
        }
        // Pods of a predecessor affect the rollout, but not these observations.
        if uid != Some(memory.uid) || memory.change(before, after, has_object, now) {
            self.workloads.queue_update(at);
        } else if memory.images_changed && !memory.update_queued {
            self.refresh_images(at, now);
        }
    }

    /// UID of the object that this owner's pods belong to.
    pub(super) fn top_uid(&self, owner: u32) -> Option<Uid> {
        Some(self.owners.top(owner)?.key.uid)
    }

    /// The workload's own object; the newest while one replaces another.
    pub(super) fn object_of(&self, record: &WorkloadRecord) -> Option<(u32, &Owner)> {
        let controllers = record.controllers.iter().filter_map(|at| Some((*at, self.owners.get(*at)?)));
        controllers.max_by_key(|(_, owner)| owner.created())
    }

    /// UID of the workload's own object, or of the owner that names the workload.
    pub(super) fn object_uid(&self, record: &WorkloadRecord) -> Uid {
        let object = self.object_of(record).map(|(_, owner)| owner.key.uid);
        object.or_else(|| self.top_uid(*record.groups.last()?)).unwrap_or_default()
    }

    /// Updates the observations of a workload.
    fn observe(&mut self, at: u32, now: UnixTime, via: ObservedBy) {
        let Some(record) = self.workloads.get_mut(at) else { return };
        let mut memory = std::mem::take(&mut record.memory);
        let Some(record) = self.workloads.get(at) else { return };
        self.refresh(record, &mut memory, now);
        let facts = self.rollout_facts(record, &memory, false);
        let mut course = report::observe(&facts, now);
        let is_first = memory.course == ObservedRollout::Unseen;
        if matches!(&course, ObservedRollout::InProgress(rollout) if rollout.by_pods || (is_first && rollout.arriving))
        {
            course = report::observe(&self.rollout_facts(record, &memory, true), now);
        }
        if course != memory.course {
            let outcome = report::outcome(&facts, &memory.course, &course, now);
            drop(facts);
            memory.note(&outcome, via);
        }
        self.conclude(record, &mut memory, course);
        if let Some(record) = self.workloads.get_mut(at) {
            record.memory = memory;
        }
    }

    /// Updates the observations about the images of a workload's pods.
    fn refresh_images(&mut self, at: u32, now: UnixTime) {
        let Some(record) = self.workloads.get_mut(at) else { return };
        let mut memory = std::mem::take(&mut record.memory);
        memory.images_changed = false;
        if let Some(record) = self.workloads.get(at) {
            self.remember_skews(record, &mut memory, now);
        }
        if let Some(record) = self.workloads.get_mut(at) {
            record.memory = memory;
        }
    }

    /// The active pods by template hash, if the recorded groups are complete and not empty.
    pub(super) fn active_hashes<'m>(
        &self,
        record: &WorkloadRecord,
        memory: &'m WorkloadMemory,
    ) -> Option<impl Iterator<Item = &'m PodGroup> + use<'m>> {
        let all = record.groups.iter().all(|owner| self.top_uid(*owner) == Some(memory.uid));
        let hashes = memory.groups.iter().filter(|group| group.identity.is_none());
        (all && !memory.groups.is_empty()).then_some(hashes)
    }

    /// Updates the observations about a workload's pods.
    pub(super) fn refresh(&self, record: &WorkloadRecord, memory: &mut WorkloadMemory, now: UnixTime) {
        let uid = self.object_uid(record);
        if !memory.observed {
            // Aliases are recorded before the initial sync completes, too.
            *memory = WorkloadMemory { rare: memory.rare.take(), ..WorkloadMemory::of(uid) };
        } else if memory.uid != uid {
            *memory = WorkloadMemory::of(uid);
        }
        memory.update_queued = false;
        if std::mem::take(&mut memory.recount) {
            self.recount(record, memory, now);
        }
        if std::mem::take(&mut memory.images_changed) {
            self.remember_skews(record, memory, now);
        }
    }

    /// Records the state of the rollout.
    pub(super) fn conclude(&self, record: &WorkloadRecord, memory: &mut WorkloadMemory, course: ObservedRollout) {
        memory.course = course;
        memory.template = self.template_of(record).or(memory.template);
    }

    fn template_of(&self, record: &WorkloadRecord) -> Option<TemplateDigest> {
        match &self.object_of(record)?.1.object {
            OwnerObject::Controller(controller) => controller.template,
            OwnerObject::Missing | OwnerObject::ReplicaSet(_) => None,
        }
    }

    /// Whether the template is the one last observed.
    pub(super) fn same_template(&self, record: &WorkloadRecord, memory: &WorkloadMemory) -> Option<bool> {
        memory.template?.equals(self.template_of(record)?)
    }

    fn recount(&self, record: &WorkloadRecord, memory: &mut WorkloadMemory, now: UnixTime) {
        let before = std::mem::take(&mut memory.groups);
        for owner in record.groups.iter().filter(|owner| self.top_uid(**owner) == Some(memory.uid)) {
            let pods = self.owners.get(*owner).map_or(&[][..], Owner::pods);
            for entry in pods.iter().filter_map(|pod| self.pods.get(*pod)).filter(|entry| !entry.record.terminating) {
                enter(&mut memory.groups, &entry.record, now, &mut memory.images_changed);
            }
        }
        for group in &mut memory.groups {
            let known = before.iter().find(|known| known.hash == group.hash && known.identity == group.identity);
            group.since = known.map_or(group.since, |known| known.since.min(group.since));
        }
        memory.groups.shrink_to_fit();
        memory.images_changed = true;
    }

    /// Records since when digest skews exist, and drops aliases whose names no pod reports.
    fn remember_skews(&self, record: &WorkloadRecord, memory: &mut WorkloadMemory, now: UnixTime) {
        let images = || memory.groups.iter().filter(|group| group.identity.is_some());
        let several = |group: &PodGroup| images().filter(|other| other.hash == group.hash).nth(1).is_some();
        if memory.rare.is_none() && !images().any(several) {
            return;
        }
        let within_image = self.is_bare(record) || memory.groups.iter().any(|group| group.hash.is_empty());
        let mut containers: Vec<(Symbol, ContainerFacts<'_>)> = images()
            .filter_map(|group| {
                let identity = self.identities.get(group.identity?)?;
                let known = matches!(identity.image_id, ImageIdRecord::Known(_));
                let facts = ContainerFacts { started: Some(group.since), ..self.container_facts(0, identity, None) };
                known.then_some((group.hash, facts))
            })
            .collect();
        let mut rare = memory.rare.take().unwrap_or_default();
        rare.aliases.retain(|(a, b)| {
            containers.iter().any(|(_, container)| container.digest().is_some_and(|digest| digest == a || digest == b))
        });
        containers.sort_by(|(hash, a), (other, b)| (hash, a.name).cmp(&(other, b.name)));
        let mut skews = Vec::new();
        for group in containers.chunk_by(|(hash, a), (other, b)| hash == other && a.name == b.name) {
            let [(hash, first), _, ..] = group else { continue };
            let all: Vec<ContainerFacts<'_>> = group.iter().map(|(_, container)| *container).collect();
            let (all, nodes) = self.on_their_nodes(record, memory.uid, *hash, all);
            let nodes = self.nodes.latest().map(|evidence| OnNodes { evidence, nodes: &nodes });
            let (aliases, registry) = (&*rare.aliases, self.registry.latest());
            let same = report::Equivalences { aliases, nodes, awaits_nodes: false, registry };
            let since = report::skewed_since(&all, within_image, same, now);
            let Some(since) = since else { continue };
            let hash = self.strings.name(*hash);
            let known = rare.skews.iter().find(|known| known.hash == *hash && known.container == *first.name);
            let since = known.map_or(since, |known| known.since.min(since));
            skews.push(SkewMemory { hash: hash.clone(), container: first.name.clone(), since });
        }
        rare.skews = skews;
        let empty = rare.skews.is_empty() && rare.aliases.is_empty() && rare.ended == EndedRollouts::default();
        memory.rare = (!empty).then_some(rare);
    }
}
