//! A workload's history and the details of its pods, for a single workload.
//!
//! It is read on demand by name. The report stays small, because every event updates it.

use super::facts::{ControllerKind, ImageFacts, ImageIdentity, PodFacts, WaitingFacts, WorkloadFacts};
use super::rollback::has_worked;
use super::rollout::{CurrentHash, current};
use super::workload::image_reference;
use super::{DigestKind, ImageReference, Name};
use crate::time::UnixTime;

/// A workload's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// Revisions that the workload's own object keeps, with or without pods; newest first.
    pub revisions: Vec<Revision>,
    /// Whether `spec.paused` is set, even if nothing waits.
    pub paused: bool,
    /// Whether its update strategy is OnDelete.
    pub on_delete: bool,
    /// Partition of a StatefulSet's update strategy: pods with a lower ordinal keep their template.
    pub partition: Option<i64>,
    /// Every pod, in the order of [`WorkloadReport::pods`](super::WorkloadReport::pods).
    pub pods: Vec<PodDetail>,
}

/// A template in a workload's history: a ReplicaSet or ControllerRevision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// The hash of its pods.
    pub hash: Name,
    /// Its revision number, which a rollback raises.
    pub revision: Option<u64>,
    /// When its ReplicaSet or ControllerRevision was created.
    pub created: Option<UnixTime>,
    /// Whether it is the workload's current template; `None` if unknown.
    pub current: Option<bool>,
    /// Whether it is known to have worked: one of its pods was Ready, or its rollout completed.
    pub worked: bool,
    /// Its images; empty if the template cannot be read.
    pub images: Vec<ImageReference>,
}

/// Details of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodDetail {
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether it is terminating; its containers are then unknown.
    pub terminating: bool,
    /// Its containers, sorted by name.
    pub containers: Vec<ContainerDetail>,
    /// Why it is not Ready, the most informative reason first; empty if it is Ready or the reason is unknown.
    pub waiting: Vec<WaitingFacts>,
}

/// Details of a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerDetail {
    /// Its name.
    pub container: Name,
    /// The image in the pod's spec.
    pub image: Name,
    /// The digest that it runs; `None` if its `imageID` has none.
    pub digest: Option<(DigestKind, Name)>,
    /// When it was started.
    pub started: Option<UnixTime>,
}

/// Returns a workload's history.
#[must_use]
pub fn history(facts: &WorkloadFacts<'_>) -> History {
    let current = current(facts);
    let mut revisions: Vec<Revision> = facts
        .templates
        .iter()
        // Without the object, its own templates cannot be distinguished from those of a predecessor.
        .filter(|template| (template.owned || facts.controller.is_none()) && !template.hash.is_empty())
        .map(|template| Revision {
            hash: template.hash.clone(),
            revision: template.revision,
            created: template.created,
            current: match current {
                CurrentHash::Hash(hash) => Some(hash == template.hash),
                CurrentHash::None => Some(false),
                CurrentHash::Unknown => None,
            },
            worked: has_worked(facts, template),
            images: images(&template.images),
        })
        .collect();
    revisions.sort_by(|a, b| (b.revision, b.created, &a.hash).cmp(&(a.revision, a.created, &b.hash)));
    let kind = facts.controller.as_ref().map(|controller| &controller.kind);
    History {
        revisions,
        paused: kind.is_some_and(ControllerKind::is_paused),
        on_delete: kind.is_some_and(ControllerKind::is_on_delete),
        partition: kind.filter(|kind| !kind.is_on_delete()).and_then(ControllerKind::partition),
        pods: pods(facts),
    }
}

fn images(images: &[ImageFacts<'_>]) -> Vec<ImageReference> {
    let mut references: Vec<ImageReference> = images.iter().map(image_reference).collect();
    references.sort_unstable_by(|a, b| a.container.cmp(&b.container));
    references
}

fn pods(facts: &WorkloadFacts<'_>) -> Vec<PodDetail> {
    let detail = |pod: &PodFacts<'_>| PodDetail {
        created: pod.created,
        ready: pod.ready,
        terminating: pod.terminating,
        containers: Vec::new(),
        waiting: pod.waiting.to_vec(),
    };
    let mut pods: Vec<PodDetail> = facts.pods.iter().map(detail).collect();
    for container in &facts.containers {
        let Some(pod) = pods.get_mut(container.pod as usize) else { continue };
        pod.containers.push(ContainerDetail {
            container: container.name.clone(),
            image: container.image.clone(),
            digest: match container.identity {
                ImageIdentity::Known(kind, digest) => Some((kind, digest.clone())),
                ImageIdentity::NotStarted | ImageIdentity::NotReported | ImageIdentity::Unreadable => None,
            },
            started: container.started,
        });
    }
    for pod in &mut pods {
        pod.containers.sort_unstable_by(|a, b| a.container.cmp(&b.container));
    }
    pods
}
