//! A rolling update of one service of a fleet, event by event, as the Deployment controller, the scheduler and the
//! kubelets make them (recording `rollout`).

use super::encoded::{Encoded, key};
use super::fleet::Member;
use super::patterns::{PodStage, Version, pod_name};
use super::service::{Counts, Progress, Rollout};
use super::store::Store;
use crate::resource::Resource;
use crate::time::Time;

/// The amount of events in a rolling update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// The events that change something an exporter reads: seven for each replaced pod, and the controllers' status each
    /// time.
    Full,
    /// All events of a real cluster: nine for each replaced pod, and each status that the controllers write, 430 for a
    /// Deployment of 25 pods. Kubernetes 1.37 with its own controllers sent as many.
    Every,
    /// Four for each pod (created, ready, terminating, deleted), and the controllers' status a few times: for large numbers
    /// of updates, whose events would take too long.
    Brief,
}

/// The remaining changes of a rolling update.
#[derive(Debug)]
pub(super) struct Update {
    member: Member,
    old: Version,
    steps: std::vec::IntoIter<Step>,
}

/// One change of one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Pod { side: Side, index: u32, stage: PodStage },
    PodGone { index: u32 },
    ReplicaSet { side: Side, replicas: u32, counts: Counts },
    Deployment { progress: Progress, updated: u32, counts: Counts },
    OldestGone,
}

/// One of the two versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Old,
    New,
}

impl Update {
    /// Starts the update of a service to its next version.
    pub(super) fn begin(member: &mut Member, detail: Detail, now: Time) -> Self {
        let old = member.current.clone();
        member.current = member.version(old.number + 1, now);
        Self { member: member.clone(), old, steps: steps(member.size.replicas, detail).into_iter() }
    }

    /// Number of remaining changes.
    pub(super) fn left(&self) -> usize {
        self.steps.len()
    }

    /// Makes the next change. Returns whether it changed a pod, or `None` if the update is complete.
    pub(super) fn step(&mut self, store: &Store) -> Option<bool> {
        let step = self.steps.next()?;
        let (member, service) = (&self.member, &self.member.service);
        let replicas = member.size.replicas;
        let in_protobuf = store.encodes_on_put();
        let version = |side| if side == Side::Old { &self.old } else { &member.current };
        let (resource, encoded, gone) = match step {
            Step::Pod { side, index, stage } => {
                (Resource::Pods, member.pod(version(side), index, stage, in_protobuf), false)
            }
            Step::PodGone { index } => {
                let key = key(&service.namespace, &pod_name(service, &self.old, index));
                let last = store.stored(Resource::Pods, &key).map(|stored| stored.encoded.clone());
                (
                    Resource::Pods,
                    last.unwrap_or_else(|| member.pod(&self.old, index, PodStage::Stopped, in_protobuf)),
                    true,
                )
            }
            Step::ReplicaSet { side, replicas: wanted, counts } => {
                let object = service.replica_set(&member.revision(version(side)), wanted, replicas, counts);
                (Resource::ReplicaSets, Encoded::new(object), false)
            }
            Step::Deployment { progress, updated, counts } => {
                let rollout = Rollout {
                    current: &member.revision(&member.current),
                    replicas,
                    generation: member.current.number,
                    updated,
                    counts,
                    progress,
                    progressed: Time::now(),
                };
                (Resource::Deployments, Encoded::new(service.deployment(&rollout)), false)
            }
            Step::OldestGone => {
                // Same as at its creation: the random parts of a version do not depend on its time.
                let number = self.old.number.saturating_sub(member.size.history);
                let oldest = member.version(number, self.old.rolled_out);
                let name = format!("{}-{}", service.name, oldest.identity.hash);
                match store.stored(Resource::ReplicaSets, &key(&service.namespace, &name)) {
                    Some(stored) => (Resource::ReplicaSets, stored.encoded.clone(), true),
                    None => return Some(false),
                }
            }
        };
        store.apply(resource, encoded, gone, None);
        Some(resource == Resource::Pods)
    }
}

/// Builds the list of changes, with the counts that the controllers would have at each of them.
struct Plan {
    steps: Vec<Step>,
    old: Counts,
    new: Counts,
}

impl Plan {
    fn pods(&mut self, side: Side, batch: std::ops::Range<u32>, stage: PodStage) {
        self.steps.extend(batch.map(|index| Step::Pod { side, index, stage }));
    }

    fn replica_set(&mut self, side: Side, replicas: u32) {
        let counts = if side == Side::Old { self.old } else { self.new };
        self.steps.push(Step::ReplicaSet { side, replicas, counts });
    }

    fn deployment(&mut self, progress: Progress) {
        let (old, new) = (self.old, self.new);
        let counts = Counts {
            active: old.active + new.active,
            ready: old.ready + new.ready,
            terminating: old.terminating + new.terminating,
        };
        self.steps.push(Step::Deployment { progress, updated: new.active, counts });
    }
}

/// Batches of new pods, each followed by the deletion of as many old ones.
fn steps(replicas: u32, detail: Detail) -> Vec<Step> {
    let full = detail != Detail::Brief;
    let every = detail == Detail::Every;
    let mut plan = Plan {
        steps: Vec::new(),
        old: Counts { active: replicas, ready: replicas, terminating: 0 },
        new: Counts::default(),
    };
    plan.deployment(Progress::Created);
    plan.replica_set(Side::New, 0);
    let at_once = replicas.div_ceil(if full { 4 } else { 2 }).max(1);
    for start in (0..replicas).step_by(at_once as usize) {
        let batch = start..(start + at_once).min(replicas);
        let count = batch.end - batch.start;
        plan.replica_set(Side::New, batch.end);
        if full {
            plan.pods(Side::New, batch.clone(), PodStage::Created);
            plan.pods(Side::New, batch.clone(), PodStage::Scheduled);
        }
        if every {
            // `observedGeneration` first, and the Deployment's revision.
            plan.replica_set(Side::New, batch.end);
            plan.deployment(Progress::Updated);
        }
        plan.pods(Side::New, batch.clone(), PodStage::Starting);
        plan.new.active += count;
        if full {
            plan.replica_set(Side::New, batch.end);
            plan.deployment(Progress::Updated);
        }
        if every {
            plan.pods(Side::New, batch.clone(), PodStage::Sandboxed);
            plan.pods(Side::New, batch.clone(), PodStage::Started);
        }
        for index in batch.clone() {
            plan.pods(Side::New, index..index + 1, PodStage::Ready);
            if every {
                // Ready, and then available.
                plan.replica_set(Side::New, batch.end);
            }
            plan.new.ready += 1;
            if full {
                plan.replica_set(Side::New, batch.end);
                plan.deployment(Progress::Updated);
            }
        }
        if full {
            plan.replica_set(Side::Old, replicas - batch.end);
        } else {
            plan.replica_set(Side::New, batch.end);
        }
        plan.pods(Side::Old, batch.clone(), PodStage::Terminating);
        plan.old.active -= count;
        plan.old.ready -= count;
        plan.old.terminating += count;
        plan.replica_set(Side::Old, replicas - batch.end);
        plan.deployment(Progress::Updated);
        for index in batch {
            if full {
                plan.pods(Side::Old, index..index + 1, PodStage::Stopped);
            }
            plan.steps.push(Step::PodGone { index });
            plan.old.terminating -= 1;
            if full {
                plan.replica_set(Side::Old, replicas - index - 1);
            }
            if every {
                plan.deployment(Progress::Updated);
            }
        }
    }
    plan.replica_set(Side::Old, 0);
    plan.deployment(Progress::Available);
    plan.steps.push(Step::OldestGone);
    plan.steps
}
