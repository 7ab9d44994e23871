//! What is kept of each object: symbols and moments, tens of bytes a record.

use super::intern::{Interner, Symbol};
use super::settings::Settings;
use super::shapes::{Described, Shape, ShapeId, Shapes};
use crate::objects::{Body, Labels, Meta, Object, Pod, Template, TemplateContainer, TemplateDigest, Uid};
use crate::report::Name;
use crate::report::digest::{DigestKind, ImageId};
use crate::report::facts::{DeploymentFacts, Observed, ProgressReason, Replicas, RolloutPhase};
use crate::time::UnixTime;
use std::num::NonZeroU32;

/// A pod.
#[derive(PartialEq, Debug)]
pub(super) struct PodRecord {
    pub(super) name: Name,
    pub(super) node: Symbol,
    pub(super) hash: Symbol,
    pub(super) created: Option<UnixTime>,
    pub(super) ready_since: Option<UnixTime>,
    pub(super) ready: bool,
    pub(super) never_ready: bool,
    pub(super) terminating: bool,
    /// The configured labels' values, each followed by a newline: pods of one template share them.
    pub(super) labels: Symbol,
    pub(super) containers: Box<[ContainerRecord]>,
}

/// A container that runs for the life of its pod.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ContainerRecord {
    pub(super) shape: ShapeId,
    /// A hash of `containerID`; 0 if there is none. It is compared only with its predecessor's.
    pub(super) container_id: u32,
    pub(super) started: Option<UnixTime>,
}

/// What `imageID` says of a container; the digest itself stands beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum IdentityRecord {
    NotStarted,
    NotReported,
    Unreadable,
    Known(DigestKind),
}

/// A template in a workload's history: a ReplicaSet's or a ControllerRevision's.
#[derive(PartialEq, Debug)]
pub(super) struct TemplateRecord {
    pub(super) hash: Symbol,
    /// Container names, each followed by a slash: the same few sets come again and again.
    pub(super) containers: Symbol,
    /// As in [`PodRecord::labels`].
    pub(super) labels: Symbol,
    pub(super) digest: Option<TemplateDigest>,
    pub(super) revision: Option<NonZeroU32>,
    pub(super) created: Option<UnixTime>,
    pub(super) written: Option<UnixTime>,
    pub(super) reused: bool,
    /// A pod of it was seen Ready.
    pub(super) worked: bool,
    /// A ReplicaSet that is to have no pods.
    pub(super) scaled_to_zero: bool,
    /// Only of a ReplicaSet.
    pub(super) scale_down_deadline: Option<UnixTime>,
    /// Only where they cannot be read from the controller's own, equal template.
    pub(super) images: Option<Box<[ImageRecord]>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ImageRecord {
    pub(super) container: Symbol,
    pub(super) image: Symbol,
    pub(super) pull_policy: Symbol,
}

/// A Deployment, StatefulSet, DaemonSet or Argo Rollout.
#[derive(PartialEq, Debug)]
pub(super) struct ControllerRecord {
    pub(super) created: Option<UnixTime>,
    pub(super) template: Option<TemplateDigest>,
    pub(super) images: Box<[ImageRecord]>,
    pub(super) observed: Observed,
    pub(super) unedited: bool,
    pub(super) replicas: Replicas,
    pub(super) kind: ControllerKindRecord,
}

#[derive(PartialEq, Debug)]
pub(super) enum ControllerKindRecord {
    Deployment(DeploymentFacts),
    StatefulSet {
        update_revision: Symbol,
        current_revision: Symbol,
        on_delete: bool,
        parallel: bool,
        partition: i64,
        first_ordinal: i64,
        /// Kind and name of what controls it.
        driver: Option<(Symbol, Symbol)>,
    },
    DaemonSet {
        on_delete: bool,
        updated: u32,
    },
    Rollout(RolloutRecord),
}

#[derive(PartialEq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the Rollout's own")]
pub(super) struct RolloutRecord {
    pub(super) current_hash: Symbol,
    pub(super) stable_hash: Symbol,
    pub(super) phase: RolloutPhase,
    pub(super) paused: bool,
    pub(super) aborted: bool,
    pub(super) pausing: bool,
    pub(super) between_steps: bool,
    pub(super) blue_green: bool,
    /// `spec.workloadRef` names this Deployment, which then stands at 0 replicas.
    pub(super) deployment: Symbol,
    pub(super) scale_down_delay: u32,
    pub(super) completed: Option<UnixTime>,
    pub(super) never_healthy: bool,
    pub(super) was_healthy: bool,
}

/// Makes records: knows which containers and labels count.
pub(super) struct Recorder<'i> {
    pub(super) strings: &'i mut Interner,
    pub(super) shapes: &'i mut Shapes,
    pub(super) settings: &'i Settings,
}

impl Recorder<'_> {
    pub(super) fn pod(&mut self, meta: &Meta<'_>, pod: &Pod<'_>, hash: &str) -> PodRecord {
        let mut containers = Vec::with_capacity(pod.containers.len());
        for (place, container) in pod.containers.iter().enumerate() {
            if !self.settings.ignores(&container.name) {
                containers.push(self.container(pod, place, container));
            }
        }
        PodRecord {
            name: Name::from(meta.name.as_ref()),
            node: self.strings.intern(&pod.node),
            hash: self.strings.intern(hash),
            created: meta.created,
            ready: pod.ready.is_some(),
            ready_since: pod.ready.and_then(|ready| ready.since),
            never_ready: pod.never_ready,
            terminating: meta.terminating,
            containers: containers.into_boxed_slice(),
            labels: self.labels(&meta.labels),
        }
    }

    fn container(&mut self, pod: &Pod<'_>, place: usize, container: &TemplateContainer<'_>) -> ContainerRecord {
        let status = pod.statuses.iter().find(|status| status.name == container.name);
        let container_id = status.map_or("", |status| &status.container_id);
        let described = Described {
            name: &container.name,
            image: &container.image,
            image_id: status.map_or("", |status| &status.image_id),
            runs_unnamed: status.is_some_and(|status| status.running && status.image_id.is_empty()),
            cri_o: container_id.starts_with("cri-o://"),
        };
        let shape = self.shapes.recent(place, described).unwrap_or_else(|| {
            let shape = self.shape(described);
            let shape = self.shapes.intern(shape);
            self.shapes.remember(place, described, shape);
            shape
        });
        ContainerRecord {
            shape,
            container_id: if container_id.is_empty() { 0 } else { self.strings.hash(container_id).max(1) },
            started: status.and_then(|status| status.started),
        }
    }

    fn shape(&mut self, described: Described<'_>) -> Shape {
        let mut shape = Shape {
            name: self.strings.intern(described.name),
            image: self.strings.intern(described.image),
            digest: Symbol::EMPTY,
            repository: Symbol::EMPTY,
            identity: IdentityRecord::NotStarted,
            cri_o: described.cri_o,
        };
        if let Some(image) = ImageId::parse(described.image_id) {
            shape.identity = IdentityRecord::Known(image.kind);
            shape.digest = self.strings.intern(image.digest);
            shape.repository = self.strings.intern(image.repository);
        } else if !described.image_id.is_empty() {
            shape.identity = IdentityRecord::Unreadable;
        } else if described.runs_unnamed {
            shape.identity = IdentityRecord::NotReported;
        }
        shape
    }

    /// The configured labels' values; empty where absent.
    fn labels(&mut self, labels: &Labels<'_>) -> Symbol {
        let mut values = String::new();
        for wanted in &self.settings.pod_labels {
            values.push_str(&labels.get(&wanted.key).unwrap_or_default());
            values.push('\n');
        }
        self.strings.intern(&values)
    }

    fn images(&mut self, containers: &[TemplateContainer<'_>]) -> Box<[ImageRecord]> {
        let mut images = Vec::with_capacity(containers.len());
        for container in containers {
            if !self.settings.ignores(&container.name) {
                images.push(ImageRecord {
                    container: self.strings.intern(&container.name),
                    image: self.strings.intern(&container.image),
                    pull_policy: self.strings.intern(&container.pull_policy),
                });
            }
        }
        images.into_boxed_slice()
    }

    /// `keep_images` only where the images cannot be read from the controller's own, equal template.
    pub(super) fn template(
        &mut self,
        meta: &Meta<'_>,
        template: &Template<'_>,
        revision: Option<u64>,
        hash: &str,
        keep_images: bool,
    ) -> TemplateRecord {
        let mut names = String::new();
        for container in &template.containers {
            names.push_str(&container.name);
            names.push('/');
        }
        TemplateRecord {
            hash: self.strings.intern(hash),
            digest: template.digest,
            revision: revision.and_then(|revision| NonZeroU32::new(u32::try_from(revision).ok()?)),
            created: meta.created,
            written: meta.written_by_controller_manager,
            reused: meta.reused,
            worked: false,
            scaled_to_zero: false,
            scale_down_deadline: None,
            containers: self.strings.intern(&names),
            images: keep_images.then(|| self.images(&template.containers)),
            labels: self.labels(&template.labels),
        }
    }

    /// `None` for an object that owns no pods by itself.
    pub(super) fn controller(&mut self, object: &Object<'_>) -> Option<ControllerRecord> {
        let meta = &object.meta;
        let observed = |generation: Option<i64>| match (generation, meta.generation) {
            (None, Some(_)) => Observed::Never,
            (Some(observed), Some(generation)) if observed < generation => Observed::Before,
            _ => Observed::Now,
        };
        let count = |number: i64| u32::try_from(number).unwrap_or(0);
        // Who leaves it out gets one.
        let replicas = |wanted: Option<i64>, available| Replicas {
            wanted: count(wanted.unwrap_or(1)),
            available: count(available),
        };
        let (template, replicas, observed, kind) = match &object.body {
            Body::Deployment(deployment) => {
                let progressing = deployment.progressing.as_ref();
                let kind = ControllerKindRecord::Deployment(DeploymentFacts {
                    paused: deployment.paused,
                    revision: meta.revision,
                    updated_replicas: deployment.updated_replicas,
                    reason: progressing.map(|condition| ProgressReason::parse(&condition.reason)).unwrap_or_default(),
                    reason_updated: progressing.and_then(|condition| condition.updated),
                });
                let replicas = replicas(deployment.replicas, deployment.available_replicas);
                (&deployment.template, replicas, observed(deployment.observed_generation), kind)
            }
            Body::StatefulSet(set) => {
                let driver = meta.controller.as_ref();
                let kind = ControllerKindRecord::StatefulSet {
                    driver: driver.map(|owner| (self.strings.intern(&owner.kind), self.strings.intern(&owner.name))),
                    update_revision: self.strings.intern(&set.update_revision),
                    current_revision: self.strings.intern(&set.current_revision),
                    on_delete: set.strategy.on_delete,
                    parallel: set.parallel,
                    partition: set.strategy.partition,
                    first_ordinal: set.first_ordinal,
                };
                let replicas = replicas(set.replicas, set.available_replicas);
                (&set.template, replicas, observed(set.observed_generation), kind)
            }
            Body::DaemonSet(set) => {
                let kind =
                    ControllerKindRecord::DaemonSet { on_delete: set.strategy.on_delete, updated: count(set.updated) };
                let replicas = replicas(Some(set.desired.unwrap_or(0)), set.available);
                (&set.template, replicas, observed(set.observed_generation), kind)
            }
            Body::Rollout(rollout) => {
                use crate::objects::RolloutStrategy::{BlueGreen, Canary};
                let deployment = rollout.workload_ref.as_ref().filter(|(kind, _)| kind == "Deployment");
                let kind = ControllerKindRecord::Rollout(RolloutRecord {
                    current_hash: self.strings.intern(&rollout.current_hash),
                    stable_hash: self.strings.intern(&rollout.stable_hash),
                    phase: RolloutPhase::parse(&rollout.phase),
                    paused: rollout.paused,
                    aborted: rollout.aborted,
                    pausing: rollout.pausing,
                    between_steps: matches!((rollout.strategy, rollout.step), (Canary { steps }, Some(step))
                        if usize::try_from(step).is_ok_and(|step| step < steps)),
                    blue_green: rollout.strategy == BlueGreen,
                    deployment: deployment.map_or(Symbol::EMPTY, |(_, name)| self.strings.intern(name)),
                    scale_down_delay: rollout.scale_down_delay.map_or(SCALE_DOWN_DELAY, count),
                    completed: rollout.completed,
                    never_healthy: rollout.never_healthy,
                    was_healthy: rollout.was_healthy,
                });
                let replicas = replicas(rollout.replicas, rollout.available_replicas);
                // Older versions wrote no number: then nobody knows how far it is behind.
                let observed = rollout.observed_generation.map_or(Observed::Now, |number| observed(Some(number)));
                (&rollout.template, replicas, observed, kind)
            }
            Body::Pod(_) | Body::ReplicaSet(_) | Body::ControllerRevision(_) | Body::Node(_) => return None,
        };
        Some(ControllerRecord {
            created: meta.created,
            template: template.digest,
            images: self.images(&template.containers),
            observed,
            unedited: meta.generation == Some(1),
            replicas,
            kind,
        })
    }
}

/// Seconds for which Argo Rollouts keeps the pods of a template that was replaced (`DefaultScaleDownDelaySeconds`,
/// `utils/defaults/defaults.go`).
const SCALE_DOWN_DELAY: u32 = 30;

impl PodRecord {
    /// Keeps what is known of containers that still run although their `imageID` changed: a changed `imageID` is another
    /// name for the same bytes, not a deploy (rows 6 and 7). Hands out the pairs of names.
    pub(super) fn remember(&mut self, before: &PodRecord, shapes: &mut Shapes, mut alias: impl FnMut(Symbol, Symbol)) {
        for container in &mut self.containers {
            let Some(new) = shapes.get(container.shape).copied() else { continue };
            let old = before.containers.iter().filter(|old| {
                old.container_id == container.container_id && old.container_id != 0 && old.shape != container.shape
            });
            let mut old = old.filter_map(|old| shapes.get(old.shape)).copied();
            let differs = |old: &Shape| (old.digest, old.identity) != (new.digest, new.identity);
            let Some(old) = old.find(|old| old.name == new.name && differs(old)) else { continue };
            let (IdentityRecord::Known(was), IdentityRecord::Known(is)) = (old.identity, new.identity) else {
                continue;
            };
            if was < is {
                let Shape { identity, digest, repository, .. } = old;
                container.shape = shapes.intern(Shape { digest, repository, identity, ..new });
            } else if was == is {
                alias(old.digest, new.digest);
            }
        }
    }

    pub(super) fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        [self.node, self.hash, self.labels].into_iter().for_each(mark);
    }
}

impl TemplateRecord {
    pub(super) fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        [self.hash, self.containers, self.labels].into_iter().for_each(&mut *mark);
        mark_images(self.images.as_deref().unwrap_or_default(), mark);
    }
}

impl ControllerRecord {
    pub(super) fn mark(&self, mark: &mut dyn FnMut(Symbol)) {
        mark_images(&self.images, mark);
        match &self.kind {
            ControllerKindRecord::StatefulSet { update_revision, current_revision, driver, .. } => {
                [*update_revision, *current_revision].into_iter().for_each(&mut *mark);
                driver.iter().flat_map(|(kind, name)| [*kind, *name]).for_each(mark);
            }
            ControllerKindRecord::Rollout(rollout) => {
                [rollout.current_hash, rollout.stable_hash, rollout.deployment].into_iter().for_each(mark);
            }
            ControllerKindRecord::Deployment(_) | ControllerKindRecord::DaemonSet { .. } => {}
        }
    }
}

fn mark_images(images: &[ImageRecord], mark: &mut dyn FnMut(Symbol)) {
    for image in images {
        [image.container, image.image, image.pull_policy].into_iter().for_each(&mut *mark);
    }
}

/// Who owns a pod or a ReplicaSet, as its owner reference says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct OwnerKey {
    pub(super) uid: Uid,
    pub(super) kind: OwnerKind,
    pub(super) workload_type: Symbol,
    pub(super) namespace: Symbol,
    pub(super) name: Symbol,
}

impl OwnerKey {
    /// What its workload goes by: namespace, type and name.
    pub(super) fn workload_name(&self) -> (Symbol, Symbol, Symbol) {
        (self.namespace, self.workload_type, self.name)
    }
}

/// The kinds of owner that are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OwnerKind {
    ReplicaSet,
    Deployment,
    StatefulSet,
    DaemonSet,
    Rollout,
    /// Any other controller; podskew watches none of them.
    Other,
}
