//! Facts from the object that owns a workload's pods.

use super::{Name, UpdateHold};
use crate::time::UnixTime;

/// The object that owns a workload's pods.
#[derive(Debug)]
pub struct Controller<'a> {
    /// Whether it has its own readable template.
    pub has_template: bool,
    /// When it was created.
    pub created: Option<UnixTime>,
    /// Images of its own template.
    pub images: Vec<ImageFacts<'a>>,
    /// Which version of `spec` the `status` describes.
    pub observed: Observed,
    /// `metadata.generation` is 1: its `spec` never changed since its creation.
    pub unedited: bool,
    /// Wanted and available pods.
    pub replicas: Replicas,
    /// Reason and message of the condition `ReplicaFailure`, if it is True. Where messages are not kept, only the part
    /// of the message that names the cause of the refusal.
    pub failure: Option<(&'a Name, &'a Name)>,
    /// Facts that depend on the kind.
    pub kind: ControllerKind<&'a Name>,
}

/// Image and pull policy of one container in a template.
#[derive(Clone, Copy, Debug)]
pub struct ImageFacts<'a> {
    /// The container's name.
    pub container: &'a Name,
    /// The image.
    pub image: &'a Name,
    /// The pull policy.
    pub pull_policy: &'a Name,
}

/// Wanted and available pods of an owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replicas {
    /// `spec.replicas`; a DaemonSet's `status.desiredNumberScheduled`.
    pub wanted: u32,
    /// `status.availableReplicas`; a DaemonSet's `status.numberAvailable`.
    pub available: u32,
}

/// `observedGeneration` compared with `generation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// The controller has not seen the object yet.
    Never,
    /// The controller has seen an older `spec`.
    Before,
    /// The controller has seen the current `spec`.
    Now,
}

/// Facts of each kind of owner that has rollouts. The inventory keeps them with interned strings, the report borrows
/// them; `T` is the type of strings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerKind<T> {
    /// A Deployment.
    Deployment(DeploymentFacts),
    /// A StatefulSet.
    StatefulSet {
        /// `status.updateRevision`.
        update_revision: T,
        /// `status.currentRevision`.
        current_revision: T,
        /// `updateStrategy.type` is OnDelete.
        on_delete: bool,
        /// `podManagementPolicy` is Parallel: the controller does not wait for pods.
        parallel: bool,
        /// `rollingUpdate.partition`.
        partition: i64,
        /// `spec.ordinals.start`.
        first_ordinal: i64,
        /// Kind and name of the object that controls the StatefulSet itself.
        driver: Option<(T, T)>,
    },
    /// A DaemonSet.
    DaemonSet {
        /// `updateStrategy.type` is OnDelete.
        on_delete: bool,
        /// `status.updatedNumberScheduled`.
        updated: u32,
    },
    /// An Argo Rollout.
    Rollout(RolloutFacts<T>),
    /// A CloneSet of OpenKruise.
    CloneSet {
        /// The hash in `status.updateRevision`.
        current_hash: T,
        /// `updateStrategy.paused`.
        paused: bool,
        /// `updateStrategy.partition`, as a number of pods.
        partition: i64,
    },
}

impl<T> ControllerKind<T> {
    /// Converts every string with `change`.
    pub fn map<U>(&self, mut change: impl FnMut(&T) -> U) -> ControllerKind<U> {
        match self {
            Self::Deployment(deployment) => ControllerKind::Deployment(*deployment),
            Self::StatefulSet {
                update_revision,
                current_revision,
                on_delete,
                parallel,
                partition,
                first_ordinal,
                driver,
            } => ControllerKind::StatefulSet {
                update_revision: change(update_revision),
                current_revision: change(current_revision),
                on_delete: *on_delete,
                parallel: *parallel,
                partition: *partition,
                first_ordinal: *first_ordinal,
                driver: driver.as_ref().map(|(kind, name)| (change(kind), change(name))),
            },
            Self::DaemonSet { on_delete, updated } => {
                ControllerKind::DaemonSet { on_delete: *on_delete, updated: *updated }
            }
            Self::CloneSet { current_hash, paused, partition } => {
                ControllerKind::CloneSet { current_hash: change(current_hash), paused: *paused, partition: *partition }
            }
            Self::Rollout(rollout) => ControllerKind::Rollout(RolloutFacts {
                current_hash: change(&rollout.current_hash),
                stable_hash: change(&rollout.stable_hash),
                deployment: change(&rollout.deployment),
                phase: rollout.phase,
                paused: rollout.paused,
                aborted: rollout.aborted,
                pausing: rollout.pausing,
                between_steps: rollout.between_steps,
                blue_green: rollout.blue_green,
                scale_down_delay: rollout.scale_down_delay,
                completed: rollout.completed,
                never_healthy: rollout.never_healthy,
                was_healthy: rollout.was_healthy,
            }),
        }
    }

    /// Whether it creates its pods itself and has no condition about its rollout.
    #[must_use]
    pub fn makes_pods(&self) -> bool {
        match self {
            Self::StatefulSet { .. } | Self::DaemonSet { .. } | Self::CloneSet { .. } => true,
            Self::Deployment(_) | Self::Rollout(_) => false,
        }
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        match self {
            Self::Deployment(deployment) => deployment.paused,
            Self::Rollout(rollout) => rollout.paused,
            Self::CloneSet { paused, .. } => *paused,
            Self::StatefulSet { .. } | Self::DaemonSet { .. } => false,
        }
    }

    /// Whether a pod is replaced only after somebody deletes it.
    #[must_use]
    pub fn is_on_delete(&self) -> bool {
        match self {
            Self::StatefulSet { on_delete, .. } | Self::DaemonSet { on_delete, .. } => *on_delete,
            Self::Deployment(_) | Self::Rollout(_) | Self::CloneSet { .. } => false,
        }
    }

    /// Number of pods that keep an older template on purpose; of a StatefulSet, the ordinal below which they do. `None`
    /// if all are replaced.
    #[must_use]
    pub fn partition(&self) -> Option<i64> {
        match self {
            Self::StatefulSet { partition, .. } | Self::CloneSet { partition, .. } => {
                Some(*partition).filter(|partition| *partition > 0)
            }
            Self::Deployment(_) | Self::DaemonSet { .. } | Self::Rollout(_) => None,
        }
    }

    /// The setting that keeps a change of its template from some or all of its pods.
    #[must_use]
    pub fn update_hold(&self) -> Option<UpdateHold> {
        if self.is_paused() {
            Some(UpdateHold::Paused)
        } else if self.is_on_delete() {
            Some(UpdateHold::OnDelete)
        } else {
            self.partition().map(|_| UpdateHold::Partition)
        }
    }
}

/// Facts of a Deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeploymentFacts {
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.strategy.type` is Recreate: a rollout begins with the deletion of the old pods, long before its ReplicaSet
    /// exists.
    pub recreate: bool,
    /// Annotation `deployment.kubernetes.io/revision`.
    pub revision: Option<u64>,
    /// `status.updatedReplicas`.
    pub updated_replicas: i64,
    /// The reason of the condition Progressing.
    pub reason: ProgressReason,
    /// `lastUpdateTime` of that condition.
    pub reason_updated: Option<UnixTime>,
    /// Whether the condition's status changed at that time. A resumed Deployment writes `NewReplicaSetAvailable` again
    /// without a rollout (`syncRolloutStatus`, `pkg/controller/deployment/progress.go`), and that turns the status from
    /// Unknown to True.
    pub reason_turned: bool,
}

/// Facts of an Argo Rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "Argo's own fields, each of which can be true without the others")]
pub struct RolloutFacts<T> {
    /// `status.currentPodHash`.
    pub current_hash: T,
    /// `status.stableRS`.
    pub stable_hash: T,
    /// `status.phase`.
    pub phase: RolloutPhase,
    /// `spec.paused`.
    pub paused: bool,
    /// `status.abort`.
    pub aborted: bool,
    /// `status.pauseConditions` is not empty.
    pub pausing: bool,
    /// The canary has not reached its last step.
    pub between_steps: bool,
    /// `spec.strategy.blueGreen`.
    pub blue_green: bool,
    /// The Deployment whose template it uses (`spec.workloadRef`); empty if it has its own.
    pub deployment: T,
    /// `scaleDownDelaySeconds`, or Argo's default.
    pub scale_down_delay: u32,
    /// `lastTransitionTime` of the condition Completed, if it is True.
    pub completed: Option<UnixTime>,
    /// Whether its phase was never Healthy, according to its conditions.
    pub never_healthy: bool,
    /// Whether its phase was Healthy once, according to its conditions.
    pub was_healthy: bool,
}

impl<T> RolloutFacts<T> {
    /// Whether it failed and does not continue by itself.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.phase == RolloutPhase::Degraded || self.aborted
    }
}

/// Reasons of a Deployment's condition Progressing that concern its rollout
/// (`pkg/controller/deployment/util/deployment_util.go`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProgressReason {
    /// Any other reason, such as `DeploymentPaused` or `DeploymentResumed`, or no condition.
    #[default]
    Other,
    /// `NewReplicaSetCreated`, `FoundNewReplicaSet`, `ReplicaSetUpdated`, `ReplicaSetCreateError`: in progress.
    UnderWay,
    /// `NewReplicaSetAvailable`: the last rollout completed.
    Completed,
    /// `ProgressDeadlineExceeded`.
    DeadlineExceeded,
}

impl ProgressReason {
    /// Parses the condition's `reason`.
    #[must_use]
    pub fn parse(reason: &str) -> Self {
        match reason {
            "NewReplicaSetCreated" | "FoundNewReplicaSet" | "ReplicaSetUpdated" | "ReplicaSetCreateError" => {
                Self::UnderWay
            }
            "NewReplicaSetAvailable" => Self::Completed,
            "ProgressDeadlineExceeded" => Self::DeadlineExceeded,
            _ => Self::Other,
        }
    }
}

/// `status.phase` of an Argo Rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RolloutPhase {
    /// Progressing, or any other phase.
    #[default]
    Other,
    /// Healthy.
    Healthy,
    /// Degraded.
    Degraded,
    /// Paused.
    Paused,
}

impl RolloutPhase {
    /// Parses `status.phase`.
    #[must_use]
    pub fn parse(phase: &str) -> Self {
        match phase {
            "Healthy" => Self::Healthy,
            "Degraded" => Self::Degraded,
            "Paused" => Self::Paused,
            _ => Self::Other,
        }
    }
}
