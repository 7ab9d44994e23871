//! What a workload's history and its single pods say, beyond what is served of it: for somebody who looks at one workload.
//!
//! Asked once and by name, so that the report, which every event asks for, stays as small as it is.

use super::facts::{ControllerKind, ImageFacts, ImageIdentity, PodFacts, WaitingFacts, WorkloadFacts};
use super::rollback::has_worked;
use super::rollout::{CurrentHash, current};
use super::workload::image_reference;
use super::{DigestKind, ImageReference, Name};
use crate::time::UnixTime;

/// A workload's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// The revisions its own object keeps, with pods or without; newest first.
    pub revisions: Vec<Revision>,
    /// Whether `spec.paused` holds it, be there something to hold or not.
    pub paused: bool,
    /// Whether its update strategy is OnDelete.
    pub on_delete: bool,
    /// The partition of a StatefulSet's update strategy: pods with a lower ordinal keep their template. `None` without one.
    pub partition: Option<i64>,
    /// Every pod, in the order of [`WorkloadReport::pods`](super::WorkloadReport::pods).
    pub pods: Vec<PodDetail>,
}

/// A template that a workload has had, in a ReplicaSet or a ControllerRevision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// The hash its pods carry.
    pub hash: Name,
    /// Its number, which grows when it is rolled back to.
    pub revision: Option<u64>,
    /// When its ReplicaSet or ControllerRevision was created.
    pub created: Option<UnixTime>,
    /// Whether the workload asks for it now; unknown where that cannot be told.
    pub current: Option<bool>,
    /// Whether it is known to have worked: a pod of it was seen Ready, or its rollout completed.
    pub worked: bool,
    /// What it asks for; empty where that cannot be read.
    pub images: Vec<ImageReference>,
}

/// One pod, more closely.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodDetail {
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether it is on its way out; then nothing is known of its containers.
    pub terminating: bool,
    /// Its containers, sorted by name.
    pub containers: Vec<ContainerDetail>,
    /// Why it is not Ready, the most telling reason first; empty where it is, and where nothing says why.
    pub waiting: Vec<WaitingFacts>,
}

/// One container of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerDetail {
    /// Its name.
    pub container: Name,
    /// The image as the pod's spec has it.
    pub image: Name,
    /// What it runs; `None` if its imageID does not tell.
    pub digest: Option<(DigestKind, Name)>,
    /// When it was started.
    pub started: Option<UnixTime>,
}

/// Tells a workload's history.
#[must_use]
pub fn history(facts: &WorkloadFacts<'_>) -> History {
    let current = current(facts);
    let mut revisions: Vec<Revision> = facts
        .templates
        .iter()
        // Where the object cannot be seen, nothing tells its own from a predecessor's.
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
