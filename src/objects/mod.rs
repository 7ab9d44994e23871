//! Kubernetes objects: a few dozen fields of each, decoded leniently; everything else is skipped.
//!
//! No type here has room for an environment variable, a command, an argument or another annotation, so none of them can
//! reach a log or a label.

mod conditions;
mod controllers;
mod json;
mod json_splitter;
mod kind;
mod labels;
mod lenient;
mod members;
mod metadata;
mod newest;
mod node;
mod page_splitter;
mod pod;
mod protobuf;
mod quantity;
mod raw;
mod response;
mod skip;
mod template;
mod update_strategy;
mod waiting;
mod wire;

pub use conditions::{Progressing, ReplicaFailure};
pub use controllers::{
    CloneSet, ControllerRevision, DaemonSet, Deployment, ReplicaSet, Rollout, RolloutStrategy, StatefulSet,
};
pub use json_splitter::{JsonItem, JsonSplitter, SplitError};
pub use kind::{Kind, decode_kind};
pub use labels::Labels;
pub use lenient::take_wrong_types;
pub use members::{Members, member, text_member};
pub use newest::Newest;
pub use node::{Node, NodeImage};
pub use page_splitter::{LONGEST_OBJECT, PageSplitter, make_room};
pub use pod::{ContainerStatus, Pod, Ready};
pub use protobuf::EventFingerprint;
pub use response::{ApiStatus, ListMeta, WatchEvent};
pub use template::{Template, TemplateContainer, TemplateDigest};
pub use update_strategy::{Partition, UpdateStrategy};
pub use waiting::Waiting;
pub use wire::{DecodeError, decode_event, decode_list, decode_list_meta, decode_object, decode_status};

use crate::kinds::WorkloadKind;
use crate::time::UnixTime;
use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A resource that podskew reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// `v1` pods.
    Pods,
    /// `apps/v1` replicasets.
    ReplicaSets,
    /// `apps/v1` deployments.
    Deployments,
    /// `apps/v1` statefulsets.
    StatefulSets,
    /// `apps/v1` daemonsets.
    DaemonSets,
    /// `apps/v1` controllerrevisions.
    ControllerRevisions,
    /// `argoproj.io/v1alpha1` rollouts.
    Rollouts,
    /// `apps.kruise.io/v1alpha1` clonesets, of OpenKruise.
    CloneSets,
    /// `v1` nodes. They are not watched, but listed periodically with `--nodes`.
    Nodes,
}

impl Resource {
    /// Every watched resource.
    pub const ALL: [Self; 8] = [
        Self::Pods,
        Self::ReplicaSets,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ControllerRevisions,
        Self::Rollouts,
        Self::CloneSets,
    ];

    /// The plural in URLs, in RBAC rules and in the label `resource`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::ReplicaSets => "replicasets",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::ControllerRevisions => "controllerrevisions",
            Self::Rollouts => "rollouts",
            Self::CloneSets => "clonesets",
            Self::Nodes => "nodes",
        }
    }

    /// The kind of its objects.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Pods => "Pod",
            Self::ControllerRevisions => "ControllerRevision",
            Self::Nodes => "Node",
            Self::ReplicaSets => WorkloadKind::ReplicaSet.kind(),
            Self::Deployments => WorkloadKind::Deployment.kind(),
            Self::StatefulSets => WorkloadKind::StatefulSet.kind(),
            Self::DaemonSets => WorkloadKind::DaemonSet.kind(),
            Self::Rollouts => WorkloadKind::Rollout.kind(),
            Self::CloneSets => WorkloadKind::CloneSet.kind(),
        }
    }

    /// The resource of objects with this `apiVersion` and `kind`. Up to Kubernetes 1.15, three kinds of `apps` were in
    /// the group `extensions`.
    #[must_use]
    pub fn of_kind(api_version: &str, kind: &str) -> Option<Self> {
        Self::of_group(metadata::group(api_version), kind)
    }

    /// The resource of a kind in a current API group.
    #[must_use]
    pub fn of_group(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.kind() == kind && resource.group() == group)
    }

    /// The resource of a workload kind; `None` if podskew does not watch it.
    #[must_use]
    pub fn of_workload(kind: WorkloadKind) -> Option<Self> {
        match kind {
            WorkloadKind::ReplicaSet => Some(Self::ReplicaSets),
            WorkloadKind::Deployment => Some(Self::Deployments),
            WorkloadKind::StatefulSet => Some(Self::StatefulSets),
            WorkloadKind::DaemonSet => Some(Self::DaemonSets),
            WorkloadKind::Rollout => Some(Self::Rollouts),
            WorkloadKind::CloneSet => Some(Self::CloneSets),
            WorkloadKind::Experiment
            | WorkloadKind::ReplicationController
            | WorkloadKind::Job
            | WorkloadKind::Other => None,
        }
    }

    /// The workload kind of its objects, if they are workloads.
    #[must_use]
    pub fn workload_kind(self) -> Option<WorkloadKind> {
        WorkloadKind::ALL.into_iter().find(|kind| Self::of_workload(*kind) == Some(self))
    }

    /// The API group in RBAC rules; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Pods | Self::Nodes => "",
            Self::Rollouts => WorkloadKind::Rollout.group(),
            Self::CloneSets => WorkloadKind::CloneSet.group(),
            _ => "apps",
        }
    }

    /// The path of the resource's group and version.
    #[must_use]
    pub fn api_path(self) -> &'static str {
        match self {
            Self::Pods | Self::Nodes => "/api/v1",
            Self::Rollouts => "/apis/argoproj.io/v1alpha1",
            Self::CloneSets => "/apis/apps.kruise.io/v1alpha1",
            _ => "/apis/apps/v1",
        }
    }

    /// Excludes finished pods on the server; podskew ignores them. A pod that leaves the selection arrives as DELETED.
    #[must_use]
    pub fn field_selector(self) -> Option<&'static str> {
        match self {
            Self::Pods => Some("status.phase!=Succeeded,status.phase!=Failed"),
            _ => None,
        }
    }

    /// Whether to request it in protobuf, in which a pod takes fewer bytes and half the instructions to read. A
    /// ControllerRevision holds a JSON template, which is compared with those of StatefulSets and DaemonSets. Custom
    /// resources exist only in JSON.
    #[must_use]
    pub fn in_protobuf(self) -> bool {
        matches!(self, Self::Pods | Self::ReplicaSets | Self::Deployments | Self::Nodes)
    }

    /// Whether a cluster may lack it: a custom resource without its definition.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(self, Self::Rollouts | Self::CloneSets)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
    }
}

/// An object of a watched resource. Strings borrow from the response where possible.
#[derive(Clone, PartialEq, Debug)]
pub struct Object<'a> {
    /// Its metadata.
    pub meta: Meta<'a>,
    /// Its fields by kind.
    pub body: Body<'a>,
}

/// The fields that depend on the resource.
#[derive(Clone, PartialEq, Debug)]
pub enum Body<'a> {
    /// A pod.
    Pod(Pod<'a>),
    /// A ReplicaSet.
    ReplicaSet(ReplicaSet<'a>),
    /// A Deployment.
    Deployment(Deployment<'a>),
    /// A StatefulSet.
    StatefulSet(StatefulSet<'a>),
    /// A DaemonSet.
    DaemonSet(DaemonSet<'a>),
    /// A ControllerRevision.
    ControllerRevision(ControllerRevision<'a>),
    /// An Argo Rollout.
    Rollout(Rollout<'a>),
    /// A CloneSet of OpenKruise.
    CloneSet(CloneSet<'a>),
    /// A node.
    Node(Node<'a>),
}

impl Body<'_> {
    /// The workload kind of the object; `None` for a pod, a node and a ControllerRevision.
    #[must_use]
    pub fn workload_kind(&self) -> Option<WorkloadKind> {
        match self {
            Self::ReplicaSet(_) => Some(WorkloadKind::ReplicaSet),
            Self::Deployment(_) => Some(WorkloadKind::Deployment),
            Self::StatefulSet(_) => Some(WorkloadKind::StatefulSet),
            Self::DaemonSet(_) => Some(WorkloadKind::DaemonSet),
            Self::Rollout(_) => Some(WorkloadKind::Rollout),
            Self::CloneSet(_) => Some(WorkloadKind::CloneSet),
            Self::Pod(_) | Self::ControllerRevision(_) | Self::Node(_) => None,
        }
    }

    /// Number of wanted pods: `spec.replicas`, or a DaemonSet's `status.desiredNumberScheduled`.
    #[must_use]
    pub fn wanted_pods(&self) -> Option<i64> {
        match self {
            Self::ReplicaSet(set) => set.replicas,
            Self::Deployment(deployment) => deployment.replicas,
            Self::StatefulSet(set) => set.replicas,
            Self::DaemonSet(set) => set.desired,
            Self::Rollout(rollout) => rollout.replicas,
            Self::CloneSet(set) => set.replicas,
            Self::Pod(_) | Self::ControllerRevision(_) | Self::Node(_) => None,
        }
    }
}

/// Fields of an object's `metadata`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta<'a> {
    /// `name`; empty if the server sent none.
    pub name: Cow<'a, str>,
    /// `namespace`.
    pub namespace: Cow<'a, str>,
    /// `uid`.
    pub uid: Uid,
    /// `resourceVersion`; empty if the server sent none.
    pub resource_version: Cow<'a, str>,
    /// `generation`.
    pub generation: Option<i64>,
    /// `creationTimestamp`.
    pub created: Option<UnixTime>,
    /// Whether it has a `deletionTimestamp`.
    pub terminating: bool,
    /// `labels`.
    pub labels: Labels<'a>,
    /// The owner reference with `controller: true`.
    pub controller: Option<OwnerReference<'a>>,
    /// Annotation `deployment.kubernetes.io/revision` or `rollout.argoproj.io/revision`.
    pub revision: Option<u64>,
    /// Whether the ReplicaSet was current before and became current again (`…/revision-history`).
    pub reused: bool,
    /// Annotation `scale-down-deadline`: until when Argo Rollouts keeps the pods of a replaced ReplicaSet.
    pub scale_down_deadline: Option<UnixTime>,
    /// The latest time in `managedFields` at which kube-controller-manager wrote.
    pub written_by_controller_manager: Option<UnixTime>,
}

/// An owner reference with `controller: true`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnerReference<'a> {
    /// The owner's kind, `ReplicaSet`.
    pub kind: Cow<'a, str>,
    /// The owner's API group without its version; empty for the core group.
    pub group: Cow<'a, str>,
    /// The owner's name.
    pub name: Cow<'a, str>,
    /// The owner's uid.
    pub uid: Uid,
}

/// An object's identity, which differs between two objects of one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Uid([u64; 2]);

impl Uid {
    /// Parses `metadata.uid`: a UUID exactly, any other text as a hash.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Some(uuid) = Self::parse_uuid(text) {
            return uuid;
        }
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, text).hash(&mut hasher);
            hasher.finish()
        };
        Self([half(1) & !Self::VERSION, half(2)])
    }

    /// No uid.
    pub const NONE: Self = Self([0, 0]);

    /// The version bits of a UUID, which are never 0.
    const VERSION: u64 = 0xF000;

    /// The identity of an object without a uid.
    #[must_use]
    pub fn of_name(resource: Resource, namespace: &str, name: &str) -> Self {
        Self::parse(&format!("{resource}/{namespace}/{name}"))
    }

    /// Whether it was a UUID, which is stored exactly.
    #[must_use]
    pub fn is_uuid(self) -> bool {
        self.0[0] & Self::VERSION != 0
    }

    /// Combines two identities: the result equals another only if both parts do.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self([self.0[0] ^ other.0[1].rotate_left(17), self.0[1] ^ other.0[0].rotate_left(29)])
    }

    /// 64 bits of it, almost random, like most of a UUID.
    pub(crate) fn bits(self) -> u64 {
        (self.0[0] ^ self.0[1].rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn parse_uuid(text: &str) -> Option<Self> {
        let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
        if [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
            return None;
        }
        let four = |at: usize| text[at..].first_chunk().map_or(0, |four| u64::from(u32::from_be_bytes(*four)));
        let eight = |high: usize, low: usize| hexadecimal(four(high) << 32 | four(low));
        Some(Self([eight(0, 4)? << 32 | eight(9, 14)?, eight(19, 24)? << 32 | eight(28, 32)?]))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.0;
        let (a, b, c) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xFFFF_FFFF_FFFF)
    }
}

/// The value of eight hex digits, the first in the highest byte. It converts all at once, because each pod has two
/// uids.
fn hexadecimal(digits: u64) -> Option<u64> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // A letter has the bit 0x40, and its four lowest bits count from 1.
    let letters = digits >> 6 & EACH;
    let values = (digits & (0x0F * EACH)) + 9 * letters;
    // Valid if no value is above 15 and encoding them gives the same digits.
    let above_nine = (values + 6 * EACH) >> 4 & EACH;
    let written = values + u64::from(b'0') * EACH + u64::from(b'a' - b'0' - 10) * above_nine;
    let mut packed = (values | values >> 4) & 0x00FF_00FF_00FF_00FF;
    packed = (packed | packed >> 8) & 0x0000_FFFF_0000_FFFF;
    packed = (packed | packed >> 16) & 0xFFFF_FFFF;
    (values & (0xF0 * EACH) == 0 && written == digits | letters << 5).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::{Uid, hexadecimal};
    use proptest::prelude::*;

    #[test]
    fn a_uuid_is_one_in_capitals_too_and_any_other_text_is_hashed() {
        let uuid = "01234567-89ab-cdef-0a1b-2c3d4e5f6789";
        assert_eq!(Uid::parse(uuid), Uid([0x0123_4567_89ab_cdef, 0x0a1b_2c3d_4e5f_6789]));
        assert_eq!(Uid::parse(&uuid.to_uppercase()), Uid::parse(uuid));
        assert_eq!((Uid::parse(uuid).to_string().as_str(), Uid::parse(uuid).is_uuid()), (uuid, true));
        assert!(!Uid::parse("REDACTED").is_uuid());
        for other in [&uuid[1..], "g1234567-89ab-cdef-0a1b-2c3d4e5f6789", "01234567-89ab-cdef-0a1b+2c3d4e5f6789", ""] {
            assert_eq!(Uid::parse_uuid(other), None, "{other}");
            assert_ne!(Uid::parse(other), Uid::parse(uuid), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_byte_is_a_digit_or_none_of_the_eight_is(
            digits in "[0-9a-fA-F]{8}", byte: u8, at in 0_usize..8,
        ) {
            let mut digits: [u8; 8] = digits.as_bytes().try_into().unwrap();
            prop_assert_eq!(
                hexadecimal(u64::from_be_bytes(digits)),
                u64::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).ok()
            );
            digits[at] = byte;
            prop_assert_eq!(hexadecimal(u64::from_be_bytes(digits)).is_some(), byte.is_ascii_hexdigit());
        }
    }
}
