//! The report on one workload: a pure function of the inventory's facts and the time.
//!
//! [`WorkloadReport`] is the central type: metrics, audits and explanations read it, and derive no facts of their own.

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
mod observed_history;
mod outcome;
pub mod reference;
pub mod registry;
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

/// A string shared with the inventory's interner; cloning it does not allocate.
pub type Name = Arc<str>;

/// Compares names. Nearly all names within a workload are the same `Arc`, so the pointers are compared before the
/// bytes.
fn by_name(a: &Name, b: &Name) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

/// Everything podskew reports about one workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkloadReport {
    /// The workload. It is unique among the reports of one moment.
    pub workload: Workload,
    /// Each template hash that has pods, and the current hash; sorted by hash.
    pub hashes: Vec<HashReport>,
    /// Distinct template hashes among active pods.
    pub distinct_hashes: u32,
    /// Since when two template hashes have pods side by side.
    pub mixed_since: Option<UnixTime>,
    /// Whether [`Self::mixed_since`] is only when podskew noticed it, because the start is unknown.
    pub mixed_noticed: bool,
    /// Each container that runs for the pod's whole life (native sidecars included), over all hashes; sorted by name.
    pub containers: Vec<ContainerReport>,
    /// Active pods that should have the current hash and have another; `None` without a current hash.
    pub outdated_pods: Option<u32>,
    /// State and start of the rollout; `None` for workload types without rollouts, and if unknown.
    pub rollout: Option<RolloutReport>,
    /// The revision that an unfinished or stalled rollout can go back to; `None` if no other is known to have worked.
    pub rollback_target: Option<RollbackTarget>,
    /// Position in [`Self::pods`] of the pod that a StatefulSet's rollout waits for: the first that is not Ready.
    pub blocking_pod: Option<u32>,
    /// Why that pod is not Ready, if its hash is not the current one.
    pub blocking: Option<Box<BlockedPods>>,
    /// The last completed rollout, if known.
    pub last_rollout: Option<LastRollout>,
    /// Counts of the rollouts that podskew saw end; `None` for a workload without rollouts.
    pub rollouts: Option<RolloutCounts>,
    /// What the rollout in progress waits for, largest group first; empty if there is none or nothing waits.
    pub blocked: Vec<BlockedPods>,
    /// Number of pods that the workload's object asks for, if it can be read.
    pub wanted_pods: Option<u32>,
    /// Whether two template hashes run side by side on purpose.
    pub deliberate: bool,
    /// Whether an Argo Rollout was aborted (`status.abort`).
    pub aborted: bool,
    /// The object that controls the workload's own object, such as the `LeaderWorkerSet` that moves a StatefulSet's
    /// partition.
    pub driver: Option<Driver>,
    /// The setting that keeps template changes from some or all pods, whether or not a rollout is in progress.
    pub update_hold: Option<UpdateHold>,
    /// The Deployment whose template an Argo Rollout uses (`spec.workloadRef`).
    pub template_of: Option<Name>,
    /// Whether all wanted pods exist, are available and have the newest `spec`; `None` if the object cannot be read.
    /// kubectl's `rollout status` waits for this too. [`Self::rollout`] does not include it, because scaling and
    /// unready pods are not a rollout.
    pub available: Option<bool>,
    /// Images of the current template, sorted by container; empty while the template cannot be read.
    pub image_references: Vec<ImageReference>,
    /// Every pod that the API server lists, terminating ones included; sorted by name.
    pub pods: Vec<PodReport>,
    /// Evidence of nodes about digest skew; `None` without skew or without `--nodes`.
    pub nodes: Option<Box<NodeReport>>,
    /// Evidence of registries about the images; `None` without `--registry`.
    pub registry: Option<Box<RegistryReport>>,
    /// When this report changes without an event in the cluster, for example because a rollout becomes stalled.
    pub changes_at: Option<UnixTime>,
}

/// A completed rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRollout {
    /// When it completed.
    pub completed: UnixTime,
    /// Seconds from its start to its end; `None` if the start is unknown.
    pub duration: Option<u32>,
    /// Seconds of these in which it was held on purpose; `None` unless podskew saw it.
    pub held: Option<u32>,
}

/// Number of rollouts by how they ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RolloutCounts {
    /// All pods have the new template.
    pub completed: u32,
    /// The template changed before the rollout completed.
    pub superseded: u32,
    /// The template changed back to an older one.
    pub undone: u32,
}

/// The labels of every workload family.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Workload {
    /// Label `namespace`.
    pub namespace: Name,
    /// Label `workload_type`: the lower-cased kind, with the API group unless it is Kubernetes' or Argo's own.
    pub workload_type: Name,
    /// Label `workload`: its name.
    pub name: Name,
}

impl WorkloadReport {
    /// Since when two template hashes have pods side by side, if known.
    #[must_use]
    pub fn mix_began(&self) -> Option<UnixTime> {
        self.mixed_since.filter(|_| !self.mixed_noticed)
    }

    /// Whether all its pods have older templates, because the newest has none yet.
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

    /// Whether podskew reports rollouts of its type.
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

/// A setting of a workload's own object that keeps template changes from some or all of its pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateHold {
    /// `spec.paused`.
    Paused,
    /// Update strategy `OnDelete`: a pod is replaced only after it is deleted.
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
    /// The template hash of its pods.
    pub hash: Name,
    /// Its revision number.
    pub revision: u64,
    /// Its active pods that are Ready now.
    pub ready_pods: u32,
}

/// The controller of a workload's own object, according to its owner reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Driver {
    /// Such as `LeaderWorkerSet`.
    pub kind: Name,
    /// Its name.
    pub name: Name,
}

/// The pods of one template hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashReport {
    /// Label `pod_template_hash`; empty if the pods carry none.
    pub hash: Name,
    /// The controller's revision number, if the ReplicaSet or ControllerRevision can be read.
    pub revision: Option<u64>,
    /// Whether this is the hash of the workload's template; `None` if unknown.
    pub current: Option<bool>,
    /// Active pods.
    pub pods: u32,
    /// Active pods that are Ready.
    pub ready_pods: u32,
    /// Pods with a `deletionTimestamp`.
    pub terminating_pods: u32,
    /// Values of the `--pod-label` keys on the template, in their order; `None` where absent.
    pub labels: Box<[Option<Name>]>,
}

/// One container of a workload, over all its pods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerReport {
    /// Label `container`.
    pub container: Name,
    /// Where the container comes from, over all hashes; unknown if it is unknown for one.
    pub origin: Origin,
    /// Distinct digests among the workload's active pods.
    pub distinct_digests: u32,
    /// The same per template hash; sorted by hash.
    pub by_hash: Vec<HashDigests>,
    /// Active pods in which this container has not started and so has no digest.
    pub not_started: u32,
    /// Active pods in which this container runs and its node reports no `imageID`.
    pub not_reported: u32,
    /// Active pods whose `imageID` is not comparable with the others'.
    pub image_id_only: u32,
    /// Positions in [`WorkloadReport::pods`] of the pods in the three counts above.
    pub unresolved: Vec<u32>,
}

/// The digests of one container among the pods of one template hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashDigests {
    /// Label `pod_template_hash`.
    pub hash: Name,
    /// Where the container in these pods comes from.
    pub origin: Origin,
    /// Distinct digests; more than 1 is digest skew.
    pub distinct_digests: u32,
    /// Since when two digests run side by side under this hash; `Some` exactly with skew.
    pub skewed_since: Option<UnixTime>,
    /// Whether [`Self::skewed_since`] is only when podskew noticed it, because the start is unknown.
    pub noticed: bool,
    /// The digest whose pods were all created after the containers of every other digest had started; `None` if there is
    /// none.
    pub newest_digest: Option<Name>,
    /// Whether several digests may name one image: Docker ids, and CRI-O's digests on nodes of different architectures.
    pub may_be_one_image: bool,
    /// Active pods by image and digest, sorted by both.
    pub digests: Vec<DigestPods>,
}

impl HashDigests {
    /// Since when two digests run side by side, if known.
    #[must_use]
    pub fn began(&self) -> Option<UnixTime> {
        self.skewed_since.filter(|_| !self.noticed)
    }
}

/// Active pods with one digest under one image string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestPods {
    /// The image in the pod's spec.
    pub image: Name,
    /// The digest with its algorithm, `sha256:…`; the bare digits of an opaque id.
    pub digest: Name,
    /// What the digest identifies.
    pub kind: DigestKind,
    /// Number of pods.
    pub pods: u32,
    /// Positions in [`WorkloadReport::pods`]; filled only with digest skew under this hash.
    pub skewed: Vec<u32>,
}

/// Where a container comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// The pod template has it.
    Template,
    /// An admission webhook added it: the template does not have it.
    Injected,
    /// Unknown: the template cannot be read, or the difference may have another explanation.
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
    /// When the rollout in progress began, or when podskew noticed it; `None` without one.
    pub started: Option<UnixTime>,
    /// Whether [`Self::started`] is only when podskew noticed the rollout, because the start is unknown.
    pub noticed: bool,
}

impl RolloutReport {
    /// When the rollout in progress began, if known.
    #[must_use]
    pub fn began(&self) -> Option<UnixTime> {
        self.started.filter(|_| !self.noticed)
    }
}

/// State of a rollout. A workload is in exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RolloutState {
    /// All pods that should have the current template have it.
    Complete,
    /// In progress.
    Progressing,
    /// Without progress for too long.
    Stalled,
    /// Held by `spec.paused`.
    Paused,
    /// Held by a StatefulSet's partition, and split exactly at it.
    Partitioned,
    /// Waits until somebody deletes pods.
    OnDelete,
    /// Held by the steps of an Argo canary.
    Canary,
    /// Held by an Argo blue-green preview.
    BlueGreen,
}

impl RolloutState {
    /// Whether two template hashes run side by side on purpose in this state.
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

/// The image reference of one container in the current template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageReference {
    /// Label `container`.
    pub container: Name,
    /// Label `image`.
    pub image: Name,
    /// Label `reference`.
    pub reference: ReferenceKind,
    /// Label `pull_policy`: `Always`, `IfNotPresent` or `Never`; empty if the template has none.
    pub pull_policy: Name,
}

/// How a reference names its image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReferenceKind {
    /// By digest, which cannot move.
    Digest,
    /// By a tag other than `latest`.
    Tag,
    /// By `latest`, or without a tag, which means `latest`.
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
    /// Values of the `--pod-label` keys on the pod, in their order; `None` where absent.
    pub labels: Box<[Option<Name>]>,
}
