//! What the inventory knows about one workload: the input of the report, borrowed for as long as it is written.

use super::digest::DigestKind;
use super::evidence::Evidence;
use super::registry::RegistryEvidence;
use super::{Name, Workload};
use crate::time::UnixTime;

pub use super::controller::{
    Controller, ControllerKind, DeploymentFacts, ImageFacts, Observed, ProgressReason, Replicas, RolloutFacts,
    RolloutPhase,
};
pub use super::remembered::{ObservedHistory, ObservedRollout, PauseState, RolloutMemory, SkewMemory};

/// Everything known about one workload.
#[derive(Debug)]
pub struct WorkloadFacts<'a> {
    /// Whose facts these are.
    pub workload: Workload,
    /// Every pod the API still has.
    pub pods: Vec<PodFacts<'a>>,
    /// The containers of the active ones that run for the life of the pod.
    pub containers: Vec<ContainerFacts<'a>>,
    /// The templates in the workload's history that can be read: one for each ReplicaSet or ControllerRevision.
    pub templates: Vec<TemplateFacts<'a>>,
    /// The object that owns the pods, where podskew knows its kind and can read it.
    pub controller: Option<Controller<'a>>,
    /// Whether two pods of this workload may differ on purpose, so that only pods with one image string are compared.
    pub within_image: bool,
    /// How long a StatefulSet or DaemonSet may stand still before its rollout is stalled, in seconds.
    pub stalled_after: u32,
    /// What podskew saw happen and could not see again in a fresh list.
    pub memory: ObservedHistory<'a>,
    /// What nodes say of images, where they are asked.
    pub evidence: Option<&'a Evidence>,
    /// Whether nodes or registries are asked and have not answered yet: any two digests may be names of one image.
    pub awaits_evidence: bool,
    /// What registries say of images, where they are asked.
    pub registry: Option<&'a RegistryEvidence>,
}

impl<'a> WorkloadFacts<'a> {
    /// The template whose pods carry this hash, if it can be read; the workload's own before a predecessor's.
    #[must_use]
    pub fn template(&self, hash: &str) -> Option<&TemplateFacts<'a>> {
        self.templates.iter().find(|template| **template.hash == *hash)
    }
}

/// One pod.
#[derive(Debug)]
pub struct PodFacts<'a> {
    /// Its name.
    pub name: &'a Name,
    /// The node it runs on; empty while it is not scheduled.
    pub node: &'a Name,
    /// Its template hash; empty where it carries none.
    pub hash: &'a Name,
    /// Values of the configured label keys.
    pub labels: Box<[Option<Name>]>,
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Since when it is Ready.
    pub ready_since: Option<UnixTime>,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Whether it belongs to the workload's object, and not to another that had its name before.
    pub own: bool,
    /// How many pods of its template hash it stands for: 1, unless [`observe`](super::observe) needs no more than their number.
    pub count: u32,
    /// How many of these are known to have never been Ready.
    pub never_ready: u32,
    /// Why it is not Ready, the most telling reason first; empty where it is, and where nothing says why.
    pub waiting: &'a [WaitingFacts],
}

/// One reason why a pod is not Ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingFacts {
    /// The container that waits; empty where the pod itself does.
    pub container: Name,
    /// The API's word for it, or one of podskew's own ([`BlockReason`](super::BlockReason)).
    pub reason: Name,
    /// The exit code of a container that has ended.
    pub exit_code: Option<i32>,
    /// What the API adds in words; empty where it adds nothing, and where messages are not kept.
    pub message: Name,
}

/// One container of an active pod.
#[derive(Clone, Copy, Debug)]
pub struct ContainerFacts<'a> {
    /// The position of its pod in [`WorkloadFacts::pods`].
    pub pod: u32,
    /// Its name.
    pub name: &'a Name,
    /// The image its spec asks for.
    pub image: &'a Name,
    /// What it runs.
    pub identity: ImageIdentity<'a>,
    /// The repository of its `imageID`.
    pub repository: &'a Name,
    /// Whether CRI-O runs it.
    pub cri_o: bool,
    /// When it was started.
    pub started: Option<UnixTime>,
}

impl<'a> ContainerFacts<'a> {
    /// The digest its `imageID` names, if any.
    #[must_use]
    pub fn digest(&self) -> Option<&'a Name> {
        match self.identity {
            ImageIdentity::Known(_, digest) => Some(digest),
            ImageIdentity::NotStarted | ImageIdentity::NotReported | ImageIdentity::Unreadable => None,
        }
    }
}

/// What a container runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageIdentity<'a> {
    /// Its `imageID` is empty, and it does not run.
    NotStarted,
    /// Its `imageID` is empty although it runs: some virtual nodes report none (row 56).
    NotReported,
    /// Its `imageID` is of no known form.
    Unreadable,
    /// Its `imageID` says this.
    Known(DigestKind, &'a Name),
}

/// One template in a workload's history.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct TemplateFacts<'a> {
    /// The hash its pods carry.
    pub hash: &'a Name,
    /// Whether it equals the controller's own template; `None` where that cannot be told.
    pub equal: Option<bool>,
    /// Its revision number.
    pub revision: Option<u64>,
    /// When its ReplicaSet or ControllerRevision was created.
    pub created: Option<UnixTime>,
    /// When kube-controller-manager last wrote its ControllerRevision; a rollback bumps `.revision` and this.
    pub written: Option<UnixTime>,
    /// Whether its ReplicaSet had been current before it became current the last time.
    pub reused: bool,
    /// Whether podskew saw a Ready pod of it.
    pub worked: bool,
    /// How many pods its ReplicaSet is to have; `None` of a ControllerRevision, and of more than 65 534.
    pub replicas: Option<u32>,
    /// Until when Argo Rollouts keeps its pods although it was replaced.
    pub scale_down_deadline: Option<UnixTime>,
    /// Whether the workload's own object owns it. A predecessor of the same name may have left others behind.
    pub owned: bool,
    /// The names of its containers, each followed by a slash; `None` if its template cannot be read.
    pub containers: Option<&'a str>,
    /// What it asks for, where that is kept.
    pub images: Vec<ImageFacts<'a>>,
    /// Values of the configured label keys.
    pub labels: Box<[Option<Name>]>,
}

impl TemplateFacts<'_> {
    /// Whether the template has a container of this name; `None` if it cannot be read.
    #[must_use]
    pub fn has_container(&self, name: &str) -> Option<bool> {
        Some(self.containers?.split_terminator('/').any(|container| container == name))
    }
}
