//! Records of objects: symbols and times, tens of bytes each.

use super::container_identity::{ContainerIdentity, IdentityId, IdentityTable, ImageIdRecord};
use super::intern::Symbol;
use crate::kinds::WorkloadKind;
use crate::objects::{TemplateDigest, Uid};
use crate::report::Name;
use crate::report::facts::{ControllerKind, Observed, Replicas, WaitingFacts};
use crate::time::UnixTime;
use std::num::{NonZeroU16, NonZeroU32};

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
    /// Values of the configured labels, each followed by a newline. Pods of one template share the symbol.
    pub(super) labels: Symbol,
    pub(super) containers: Box<[ContainerRecord]>,
    /// Why it is not Ready. Most pods are Ready and have a null pointer here.
    #[expect(clippy::box_collection, reason = "8 bytes in every pod instead of 16")]
    pub(super) waiting: Option<Box<Vec<WaitingFacts>>>,
}

/// A container that runs for its pod's whole life.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ContainerRecord {
    pub(super) identity: IdentityId,
    /// Hash of `containerID`; 0 without one. It is compared only with the previous one.
    pub(super) container_id: u32,
    pub(super) started: Option<UnixTime>,
}

/// A template in a workload's history: a ReplicaSet or ControllerRevision.
#[derive(PartialEq, Debug)]
pub(super) struct TemplateRecord {
    pub(super) hash: Symbol,
    /// Container names, each followed by a slash; few distinct sets occur.
    pub(super) containers: Symbol,
    /// As in [`PodRecord::labels`].
    pub(super) labels: Symbol,
    pub(super) digest: Option<TemplateDigest>,
    pub(super) revision: Option<NonZeroU32>,
    pub(super) created: Option<UnixTime>,
    pub(super) written: Option<UnixTime>,
    pub(super) reused: bool,
    /// Whether a pod of it was Ready.
    pub(super) worked: bool,
    /// `spec.replicas` of a ReplicaSet plus 1; `None` above 65 534.
    pub(super) replicas: Option<NonZeroU16>,
    /// Only for ReplicaSets.
    pub(super) scale_down_deadline: Option<UnixTime>,
    /// Only if the controller's own, equal template does not have them.
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
    /// Reason and message of the condition `ReplicaFailure`, if it is True.
    pub(super) failure: Option<(Symbol, Symbol)>,
    pub(super) kind: ControllerKind<Symbol>,
}

impl PodRecord {
    /// Keeps the identity of containers that still run although their `imageID` changed: that is another name for the
    /// same bytes, not a deploy (rows 6 and 7). Passes the pairs of digests to `alias`.
    pub(super) fn remember(
        &mut self,
        before: &PodRecord,
        identities: &mut IdentityTable,
        mut alias: impl FnMut(Symbol, Symbol),
    ) {
        for container in &mut self.containers {
            let Some(new) = identities.get(container.identity).copied() else { continue };
            let old = before.containers.iter().filter(|old| {
                old.container_id == container.container_id
                    && old.container_id != 0
                    && old.identity != container.identity
            });
            let mut old = old.filter_map(|old| identities.get(old.identity)).copied();
            let differs = |old: &ContainerIdentity| (old.digest, old.image_id) != (new.digest, new.image_id);
            let Some(old) = old.find(|old| old.name == new.name && differs(old)) else { continue };
            let (ImageIdRecord::Known(was), ImageIdRecord::Known(is)) = (old.image_id, new.image_id) else {
                continue;
            };
            if was < is {
                let ContainerIdentity { image_id, digest, repository, .. } = old;
                container.identity = identities.intern(ContainerIdentity { digest, repository, image_id, ..new });
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
        self.failure.iter().flat_map(|(reason, message)| [*reason, *message]).for_each(&mut *mark);
        self.kind.map(|symbol| mark(*symbol));
    }
}

fn mark_images(images: &[ImageRecord], mark: &mut dyn FnMut(Symbol)) {
    for image in images {
        [image.container, image.image, image.pull_policy].into_iter().for_each(&mut *mark);
    }
}

/// The owner of a pod or ReplicaSet, according to its owner reference.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct OwnerKey {
    pub(super) uid: Uid,
    pub(super) kind: WorkloadKind,
    pub(super) workload_type: Symbol,
    pub(super) namespace: Symbol,
    pub(super) name: Symbol,
}

impl OwnerKey {
    /// Namespace, type and name of its workload.
    pub(super) fn workload_name(&self) -> (Symbol, Symbol, Symbol) {
        (self.namespace, self.workload_type, self.name)
    }
}
