//! What is said about one workload: a pure function of what the inventory knows about it, and the time.
//!
//! [`WorkloadReport`] is the hub. Metrics read it, audits and explanations do; none derives a fact of its own.

mod arrival;
mod blocked;
mod compare;
mod containers;
mod controller;
pub mod denial;
pub mod digest;
pub mod evidence;
pub mod evidence_builder;
pub mod facts;
pub mod history;
mod node_report;
mod outcome;
pub mod reference;
pub mod registry;
mod remembered;
mod rollback;
mod rollout;
mod start;
mod workload;

pub use blocked::{BlockReason, BlockedPods};
pub use compare::Equivalences;
pub use containers::skewed_since;
pub use denial::named_in;
pub use digest::DigestKind;
pub use node_report::{ByArchitecture, NodeReport};
pub use outcome::{Outcome, outcome};
pub use rollout::observe;
pub use workload::report;

use crate::kinds::WorkloadKind;
use crate::time::UnixTime;
use registry::RegistryReport;
use std::cmp::Ordering;
use std::sync::Arc;

/// A string shared with the inventory's interner: cloning one costs no allocation.
pub type Name = Arc<str>;

/// Sorts names. Nearly all that meet within a workload are one and the same, and then their bytes need no look.
fn by_name(a: &Name, b: &Name) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

/// Everything podskew says about one workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkloadReport {
    /// Whose report this is. No two reports of one picture have the same.
    pub workload: Workload,
    /// Each template hash that has pods, and the current one; sorted by hash.
    pub hashes: Vec<HashReport>,
    /// Distinct template hashes among active pods.
    pub distinct_hashes: u32,
    /// Since when two template hashes have stood side by side.
    pub mixed_since: Option<UnixTime>,
    /// Whether [`Self::mixed_since`] is when podskew noticed it, because nothing tells since when.
    pub mixed_noticed: bool,
    /// Each container that runs for the life of a pod (native sidecars too), over all hashes; sorted by name.
    pub containers: Vec<ContainerReport>,
    /// Active pods that ought to carry the current hash and do not; unknown while no current hash is known.
    pub outdated_pods: Option<u32>,
    /// State and start of the rollout, for workload types that have one and where it can be known.
    pub rollout: Option<RolloutReport>,
    /// The revision that a rollout in progress or stalled can go back to; `None` if no other is known to have worked.
    pub rollback_target: Option<RollbackTarget>,
    /// The position in [`Self::pods`] of the pod that a StatefulSet's rollout waits for: the first that is not Ready.
    pub blocking_pod: Option<u32>,
    /// Why that pod is not Ready, if it is of another hash than the current one.
    pub blocking: Option<Box<BlockedPods>>,
    /// The last rollout that completed, where that is known.
    pub last_rollout: Option<LastRollout>,
    /// How the rollouts ended that podskew saw end; `None` of a workload without rollouts.
    pub rollouts: Option<RolloutCounts>,
    /// What the rollout in progress waits for, the most pods first; empty where none is, and where nothing waits.
    pub blocked: Vec<BlockedPods>,
    /// How many pods the workload's object asks for, where it can be read.
    pub wanted_pods: Option<u32>,
    /// Whether two template hashes stand side by side because somebody or something wants it so.
    pub deliberate: bool,
    /// Whether an Argo Rollout was aborted (`status.abort`).
    pub aborted: bool,
    /// The object that drives the workload's own object, such as the `LeaderWorkerSet` that moves a StatefulSet's partition.
    pub driver: Option<Driver>,
    /// What keeps a change of the template from reaching all pods by itself, be a rollout under way or not.
    pub update_hold: Option<UpdateHold>,
    /// The Deployment whose template an Argo Rollout takes (`spec.workloadRef`).
    pub template_of: Option<Name>,
    /// Whether the workload's object asks for no pod that is not there, available and of the newest `spec`; unknown where it
    /// cannot be read. It is the part of kubectl's `rollout status` that [`Self::rollout`] leaves out: scaling and unready
    /// pods are no rollout, but who waits for one to end waits for them too.
    pub available: Option<bool>,
    /// The images the current template asks for; empty while it cannot be read. Sorted by container.
    pub image_references: Vec<ImageReference>,
    /// Every pod the API still has, terminating ones too; sorted by name.
    pub pods: Vec<PodReport>,
    /// What nodes say about its digest skew; `None` without one, and where nodes are not asked.
    pub nodes: Option<Box<NodeReport>>,
    /// What registries say about its images; `None` where none is asked.
    pub registry: Option<Box<RegistryReport>>,
    /// When this report would change although nothing happens in the cluster (a rollout becomes stalled).
    pub changes_at: Option<UnixTime>,
}

/// A rollout that completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRollout {
    /// When it completed.
    pub completed: UnixTime,
    /// Seconds from its start to its end; `None` where nothing tells when it began.
    pub duration: Option<u32>,
    /// Seconds of these for which it was held on purpose; `None` unless podskew saw it.
    pub held: Option<u32>,
}

/// How many rollouts ended how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RolloutCounts {
    /// All pods that ought to be are of the template.
    pub completed: u32,
    /// The template changed before that.
    pub superseded: u32,
    /// The template changed back to an older one.
    pub undone: u32,
}

/// The labels every workload family carries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Workload {
    /// Label `namespace`.
    pub namespace: Name,
    /// Label `workload_type`: the lower-cased kind, with its group where it is not one of Kubernetes' or Argo's own.
    pub workload_type: Name,
    /// Label `workload`: its name.
    pub name: Name,
}

impl WorkloadReport {
    /// Since when two template hashes have stood side by side, where that is known.
    #[must_use]
    pub fn mix_began(&self) -> Option<UnixTime> {
        self.mixed_since.filter(|_| !self.mixed_noticed)
    }

    /// Whether its pods are all of older templates, because the newest has none yet.
    #[must_use]
    pub fn awaits_template(&self) -> bool {
        !self.hashes.is_empty() && self.hashes.iter().all(|hash| hash.current == Some(false))
    }
}

impl Workload {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> WorkloadKind {
        WorkloadKind::of_label(&self.workload_type)
    }

    /// Whether it is of a type whose rollouts podskew knows.
    #[must_use]
    pub fn rolls(&self) -> bool {
        self.kind().rolls()
    }

    /// Whether it is an Argo Experiment, which runs several templates on purpose.
    #[must_use]
    pub fn is_experiment(&self) -> bool {
        self.kind() == WorkloadKind::Experiment
    }
}

/// A setting of a workload's own object that keeps a change of its template from some or all of its pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateHold {
    /// `spec.paused`.
    Paused,
    /// The update strategy `OnDelete`: a pod is replaced only when it is deleted.
    OnDelete,
    /// `rollingUpdate.partition`: pods below it keep their template.
    Partition,
}

impl UpdateHold {
    /// The value of the label `hold`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::OnDelete => "on_delete",
            Self::Partition => "partition",
        }
    }
}

/// A revision that is known to have worked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollbackTarget {
    /// The template hash its pods carry.
    pub hash: Name,
    /// Its revision number.
    pub revision: u64,
    /// Active pods of it that are Ready now.
    pub ready_pods: u32,
}

/// The controller of a workload's own object, as its owner reference names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Driver {
    /// Its kind, as in `LeaderWorkerSet`.
    pub kind: Name,
    /// Its name.
    pub name: Name,
}

/// The pods of one template hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashReport {
    /// Label `pod_template_hash`; empty for workloads whose pods carry none.
    pub hash: Name,
    /// The revision number as the controller writes it, where the ReplicaSet or ControllerRevision can be read.
    pub revision: Option<u64>,
    /// Whether this is the hash the workload's template asks for; unknown where that cannot be told.
    pub current: Option<bool>,
    /// Active pods.
    pub pods: u32,
    /// Of those, Ready.
    pub ready_pods: u32,
    /// Pods with a deletionTimestamp.
    pub terminating_pods: u32,
    /// Values of the configured `--pod-label` keys on the template, in their configured order; `None` where absent.
    pub labels: Box<[Option<Name>]>,
}

/// One container name of a workload, over all its pods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerReport {
    /// Label `container`.
    pub container: Name,
    /// Where the container comes from, taken over all hashes: one unknown makes it unknown.
    pub origin: Origin,
    /// Distinct digests among the workload's active pods.
    pub distinct_digests: u32,
    /// The same for each template hash; sorted by hash.
    pub by_hash: Vec<HashDigests>,
    /// Active pods in which this container has not started, so that it has no digest yet.
    pub not_started: u32,
    /// Active pods in which this container runs and its node reports no imageID for it.
    pub not_reported: u32,
    /// Active pods whose imageID cannot be compared with the others'.
    pub image_id_only: u32,
    /// Positions in [`WorkloadReport::pods`] of the pods that the three counts above are of.
    pub unresolved: Vec<u32>,
}

/// The digests of one container among the pods of one template hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashDigests {
    /// Label `pod_template_hash`.
    pub hash: Name,
    /// Where the container of these pods comes from.
    pub origin: Origin,
    /// Distinct digests; above 1 is digest skew.
    pub distinct_digests: u32,
    /// Since when two digests have stood side by side under this hash; `Some` exactly if there is skew.
    pub skewed_since: Option<UnixTime>,
    /// Whether [`Self::skewed_since`] is when podskew noticed it, because nothing tells since when.
    pub noticed: bool,
    /// Of several digests the one whose pods were all created after the containers of every other digest had started; `None`
    /// where the ages of the pods do not tell.
    pub newest_digest: Option<Name>,
    /// Whether several digests may be names of one image: Docker's ids, and those that CRI-O gives to nodes of different
    /// architectures.
    pub may_be_one_image: bool,
    /// Active pods by image and digest; sorted by both.
    pub digests: Vec<DigestPods>,
}

impl HashDigests {
    /// Since when two digests have stood side by side, where that is known.
    #[must_use]
    pub fn began(&self) -> Option<UnixTime> {
        self.skewed_since.filter(|_| !self.noticed)
    }
}

/// Active pods that run one digest under one image string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestPods {
    /// The image as the pod's spec has it.
    pub image: Name,
    /// The digest with its algorithm, `sha256:…`; the bare digits of an opaque one.
    pub digest: Name,
    /// What it is a digest of.
    pub kind: DigestKind,
    /// How many.
    pub pods: u32,
    /// Their indexes in [`WorkloadReport::pods`], listed only if there is digest skew under this hash.
    pub skewed: Vec<u32>,
}

/// Where a container comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// The pod template has it.
    Template,
    /// The pod template does not have it: an admission webhook added it.
    Injected,
    /// The template cannot be read, or the difference has an innocent explanation that cannot be excluded.
    Unknown,
}

impl Origin {
    /// The value of the label `origin`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Injected => "injected",
            Self::Unknown => "unknown",
        }
    }
}

/// State and start of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RolloutReport {
    /// The state it is in.
    pub state: RolloutState,
    /// When the rollout in progress began, or when podskew noticed it; `None` when none is.
    pub started: Option<UnixTime>,
    /// Whether [`Self::started`] is when podskew noticed the rollout, because nothing tells when it began.
    pub noticed: bool,
}

impl RolloutReport {
    /// When the rollout in progress began, where that is known.
    #[must_use]
    pub fn began(&self) -> Option<UnixTime> {
        self.started.filter(|_| !self.noticed)
    }
}

/// The states of a rollout; a workload is in exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RolloutState {
    /// Every pod that ought to run the current template does.
    Complete,
    /// On its way.
    Progressing,
    /// Not on its way any more.
    Stalled,
    /// Held by `spec.paused`.
    Paused,
    /// Held by a StatefulSet's partition, and split exactly at it.
    Partitioned,
    /// Waits for somebody to delete pods.
    OnDelete,
    /// Held by the steps of an Argo canary.
    Canary,
    /// Held by an Argo blue-green preview.
    BlueGreen,
}

impl RolloutState {
    /// Whether somebody or something wants two template hashes side by side.
    #[must_use]
    pub fn is_deliberate(self) -> bool {
        match self {
            Self::Complete | Self::Progressing | Self::Stalled => false,
            Self::Paused | Self::Partitioned | Self::OnDelete | Self::Canary | Self::BlueGreen => true,
        }
    }

    /// The value of the label `state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Progressing => "progressing",
            Self::Stalled => "stalled",
            Self::Paused => "paused",
            Self::Partitioned => "partitioned",
            Self::OnDelete => "on_delete",
            Self::Canary => "canary",
            Self::BlueGreen => "blue_green",
        }
    }
}

/// What the current template asks for, for one container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageReference {
    /// Label `container`.
    pub container: Name,
    /// Label `image`.
    pub image: Name,
    /// Label `reference`.
    pub reference: ReferenceKind,
    /// Label `pull_policy`: `Always`, `IfNotPresent` or `Never`; empty where the template says none.
    pub pull_policy: Name,
}

/// How an image is referred to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReferenceKind {
    /// By digest: it cannot move.
    Digest,
    /// By a tag other than `latest`.
    Tag,
    /// By `latest`, or by no tag, which means `latest`.
    Latest,
}

impl ReferenceKind {
    /// The value of the label `reference`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Tag => "tag",
            Self::Latest => "latest",
        }
    }
}

/// One pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodReport {
    /// Label `pod`.
    pub pod: Name,
    /// Label `node`; empty while the pod is not scheduled.
    pub node: Name,
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Whether it has a `deletionTimestamp`.
    pub terminating: bool,
    /// Label `pod_template_hash`.
    pub hash: Name,
    /// Values of the configured `--pod-label` keys on the pod, in their configured order; `None` where absent.
    pub labels: Box<[Option<Name>]>,
}
