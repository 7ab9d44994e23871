//! Facts about one workload: the input of a report, borrowed from the inventory.

use super::digest::DigestKind;
use super::evidence::Evidence;
use super::registry::RegistryEvidence;
use super::{Name, Workload};
use crate::time::UnixTime;

pub use super::controller::{
    Controller, ControllerKind, DeploymentFacts, ImageFacts, Observed, ProgressReason, Replicas, RolloutFacts,
    RolloutPhase,
};
pub use super::observed_history::{ObservedHistory, ObservedRollout, PauseState, RolloutMemory, SkewMemory};

/// All facts about one workload.
#[derive(Debug)]
pub struct WorkloadFacts<'a> {
    /// The workload.
    pub workload: Workload,
    /// Every pod that the API server lists.
    pub pods: Vec<PodFacts<'a>>,
    /// Containers of active pods that run for the pod's whole life.
    pub containers: Vec<ContainerFacts<'a>>,
    /// Readable templates in the workload's history: one per ReplicaSet or ControllerRevision.
    pub templates: Vec<TemplateFacts<'a>>,
    /// The object that owns the pods, if podskew knows its kind and can read it.
    pub controller: Option<Controller<'a>>,
    /// Whether two pods may differ on purpose, so that only pods with one image string are compared.
    pub within_image: bool,
    /// Seconds without progress after which a StatefulSet's or DaemonSet's rollout is stalled.
    pub stalled_after: u32,
    /// Observations that a relist would not show.
    pub memory: ObservedHistory<'a>,
    /// Evidence of nodes, with `--nodes`.
    pub evidence: Option<&'a Evidence>,
    /// Whether evidence of nodes or registries is still awaited: until then any two digests may be one image.
    pub awaits_evidence: bool,
    /// Evidence of registries, with `--registry`.
    pub registry: Option<&'a RegistryEvidence>,
}

impl<'a> WorkloadFacts<'a> {
    /// The readable template with this hash; the workload's own before a predecessor's.
    #[must_use]
    pub fn template(&self, hash: &str) -> Option<&TemplateFacts<'a>> {
        self.templates.iter().find(|template| **template.hash == *hash)
    }

    /// The active pods with this hash: those that are not terminating.
    pub(super) fn active_pods<'f>(&'f self, hash: &'f Name) -> impl Iterator<Item = &'f PodFacts<'a>> {
        self.pods.iter().filter(move |pod| !pod.terminating && pod.hash == hash)
    }
}

/// One pod.
#[derive(Debug)]
pub struct PodFacts<'a> {
    /// Its name.
    pub name: &'a Name,
    /// Its node; empty while it is not scheduled.
    pub node: &'a Name,
    /// Its template hash; empty if it has none.
    pub hash: &'a Name,
    /// Values of the configured label keys.
    pub labels: Box<[Option<Name>]>,
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Since when it is Ready.
    pub ready_since: Option<UnixTime>,
    /// Whether it is terminating.
    pub terminating: bool,
    /// Whether it belongs to the workload's object, and not to an earlier object of the same name.
    pub own: bool,
    /// How many pods of its template hash it represents: 1, except for [`observe`](super::observe), which needs only
    /// their number.
    pub count: u32,
    /// How many of these were never Ready.
    pub never_ready: u32,
    /// Why it is not Ready, the most informative reason first; empty if it is Ready or the reason is unknown.
    pub waiting: &'a [WaitingFacts],
}

/// One reason why a pod is not Ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingFacts {
    /// The waiting container; empty if the pod itself waits.
    pub container: Name,
    /// The API's reason, or one of podskew's own ([`BlockReason`](super::BlockReason)).
    pub reason: Name,
    /// The exit code of a terminated container.
    pub exit_code: Option<i32>,
    /// The API's message; empty if there is none, and where messages are not kept.
    pub message: Name,
}

/// One container of an active pod.
#[derive(Clone, Copy, Debug)]
pub struct ContainerFacts<'a> {
    /// Position of its pod in [`WorkloadFacts::pods`].
    pub pod: u32,
    /// Its name.
    pub name: &'a Name,
    /// The image in its spec.
    pub image: &'a Name,
    /// The image it runs.
    pub identity: ImageIdentity<'a>,
    /// The repository in its `imageID`.
    pub repository: &'a Name,
    /// Whether its runtime is CRI-O.
    pub cri_o: bool,
    /// When it was started.
    pub started: Option<UnixTime>,
}

impl<'a> ContainerFacts<'a> {
    /// The digest in its `imageID`, if any.
    #[must_use]
    pub fn digest(&self) -> Option<&'a Name> {
        match self.identity {
            ImageIdentity::Known(_, digest) => Some(digest),
            ImageIdentity::NotStarted | ImageIdentity::NotReported | ImageIdentity::Unreadable => None,
        }
    }
}

/// The image that a container runs, according to its `imageID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageIdentity<'a> {
    /// `imageID` is empty, and the container does not run.
    NotStarted,
    /// `imageID` is empty although the container runs: some virtual nodes report none (row 56).
    NotReported,
    /// `imageID` has no known form.
    Unreadable,
    /// `imageID` names this digest.
    Known(DigestKind, &'a Name),
}

/// A template in a workload's history.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct TemplateFacts<'a> {
    /// The hash of its pods.
    pub hash: &'a Name,
    /// Whether it equals the controller's own template; `None` if unknown.
    pub equal: Option<bool>,
    /// Its revision number.
    pub revision: Option<u64>,
    /// When its ReplicaSet or ControllerRevision was created.
    pub created: Option<UnixTime>,
    /// When kube-controller-manager last wrote its ControllerRevision; a rollback bumps `.revision` and this.
    pub written: Option<UnixTime>,
    /// Whether its ReplicaSet was current before and became current again.
    pub reused: bool,
    /// Whether podskew saw a Ready pod of it.
    pub worked: bool,
    /// `spec.replicas` of its ReplicaSet; `None` for a ControllerRevision, and above 65 534.
    pub replicas: Option<u32>,
    /// Until when Argo Rollouts keeps its pods after it was replaced.
    pub scale_down_deadline: Option<UnixTime>,
    /// Whether the workload's own object owns it. An earlier object of the same name may have left templates.
    pub owned: bool,
    /// The names of its containers, each followed by a slash; `None` if the template cannot be read.
    pub containers: Option<&'a str>,
    /// Its images, where they are kept.
    pub images: Vec<ImageFacts<'a>>,
    /// Values of the configured label keys.
    pub labels: Box<[Option<Name>]>,
}

impl TemplateFacts<'_> {
    /// Whether the template has a container of this name; `None` if the template cannot be read.
    #[must_use]
    pub fn has_container(&self, name: &str) -> Option<bool> {
        Some(self.containers?.split_terminator('/').any(|container| container == name))
    }
}
