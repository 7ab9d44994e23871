//! What the object that owns a workload's pods says of itself.

use super::{Name, UpdateHold};
use crate::time::UnixTime;

/// The object that owns the pods.
#[derive(Debug)]
pub struct Controller<'a> {
    /// Whether it has a template of its own that can be read.
    pub has_template: bool,
    /// When it was created.
    pub created: Option<UnixTime>,
    /// What its own template asks for.
    pub images: Vec<ImageFacts<'a>>,
    /// Which `spec` the `status` speaks of.
    pub observed: Observed,
    /// `metadata.generation` is 1: nobody changed its `spec` since it was created.
    pub unedited: bool,
    /// How many pods it asks for and says it has.
    pub replicas: Replicas,
    /// Reason and message of the condition `ReplicaFailure`, if it is True; where messages are not kept, the words of it that
    /// name what refused the pod.
    pub failure: Option<(&'a Name, &'a Name)>,
    /// What depends on its kind.
    pub kind: ControllerKind<&'a Name>,
}

/// What a template asks for, for one container.
#[derive(Clone, Copy, Debug)]
pub struct ImageFacts<'a> {
    /// The container's name.
    pub container: &'a Name,
    /// The image.
    pub image: &'a Name,
    /// The pull policy.
    pub pull_policy: &'a Name,
}

/// How many pods an owner asks for and says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replicas {
    /// `spec.replicas`; a DaemonSet's `status.desiredNumberScheduled`.
    pub wanted: u32,
    /// `status.availableReplicas`; a DaemonSet's `status.numberAvailable`.
    pub available: u32,
}

/// What `observedGeneration` says beside `generation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// The controller has not seen the object yet: it was just created.
    Never,
    /// It has seen an earlier `spec`.
    Before,
    /// It has seen this one.
    Now,
}

/// What is particular to each kind of owner that has rollouts. Texts are of the type `T`, so that the inventory keeps the same facts
/// with interned ones.
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
        /// `podManagementPolicy` is Parallel: the controller waits for no pod.
        parallel: bool,
        /// `rollingUpdate.partition`.
        partition: i64,
        /// `spec.ordinals.start`.
        first_ordinal: i64,
        /// The object that controls the StatefulSet itself: its kind and its name.
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
    /// The same with each text as `change` makes it.
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

    /// Whether it makes its pods itself, and has no condition that tells of its rollout.
    #[must_use]
    pub fn makes_pods(&self) -> bool {
        match self {
            Self::StatefulSet { .. } | Self::DaemonSet { .. } | Self::CloneSet { .. } => true,
            Self::Deployment(_) | Self::Rollout(_) => false,
        }
    }

    /// Whether somebody paused it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        match self {
            Self::Deployment(deployment) => deployment.paused,
            Self::Rollout(rollout) => rollout.paused,
            Self::CloneSet { paused, .. } => *paused,
            Self::StatefulSet { .. } | Self::DaemonSet { .. } => false,
        }
    }

    /// Whether a pod is replaced only when somebody deletes it.
    #[must_use]
    pub fn is_on_delete(&self) -> bool {
        match self {
            Self::StatefulSet { on_delete, .. } | Self::DaemonSet { on_delete, .. } => *on_delete,
            Self::Deployment(_) | Self::Rollout(_) | Self::CloneSet { .. } => false,
        }
    }

    /// How many pods keep an older template on purpose; of a StatefulSet, the ordinal below which they do. `None` where all are to be
    /// replaced.
    #[must_use]
    pub fn partition(&self) -> Option<i64> {
        match self {
            Self::StatefulSet { partition, .. } | Self::CloneSet { partition, .. } => {
                Some(*partition).filter(|partition| *partition > 0)
            }
            Self::Deployment(_) | Self::DaemonSet { .. } | Self::Rollout(_) => None,
        }
    }

    /// What keeps a change of its template from some or all of its pods.
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

/// What a Deployment says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeploymentFacts {
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.strategy.type` is Recreate: a rollout begins with the end of the old pods, long before its ReplicaSet.
    pub recreate: bool,
    /// Annotation `deployment.kubernetes.io/revision`.
    pub revision: Option<u64>,
    /// `status.updatedReplicas`.
    pub updated_replicas: i64,
    /// The reason of the condition Progressing.
    pub reason: ProgressReason,
    /// When that condition was last written.
    pub reason_updated: Option<UnixTime>,
    /// Whether its status changed then. A Deployment that is resumed writes `NewReplicaSetAvailable` again although nothing was rolled
    /// out (`syncRolloutStatus`, `pkg/controller/deployment/progress.go`), and that turns the status from Unknown to True.
    pub reason_turned: bool,
}

/// What an Argo Rollout says of itself.
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
    /// `status.pauseConditions` names any.
    pub pausing: bool,
    /// The canary stands before its last step.
    pub between_steps: bool,
    /// `spec.strategy.blueGreen`.
    pub blue_green: bool,
    /// The Deployment whose template it takes (`spec.workloadRef`); empty if it has its own.
    pub deployment: T,
    /// `scaleDownDelaySeconds`, or Argo's default.
    pub scale_down_delay: u32,
    /// When the condition Completed became True.
    pub completed: Option<UnixTime>,
    /// Its conditions tell that its phase was never Healthy.
    pub never_healthy: bool,
    /// Its conditions tell that its phase was Healthy once.
    pub was_healthy: bool,
}

impl<T> RolloutFacts<T> {
    /// Whether it does not go on by itself any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.phase == RolloutPhase::Degraded || self.aborted
    }
}

/// The reasons of a Deployment's condition Progressing that say something about its rollout
/// (`pkg/controller/deployment/util/deployment_util.go`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProgressReason {
    /// None of the below; also `DeploymentPaused`, `DeploymentResumed` and no condition at all.
    #[default]
    Other,
    /// `NewReplicaSetCreated`, `FoundNewReplicaSet`, `ReplicaSetUpdated`, `ReplicaSetCreateError`: on its way.
    UnderWay,
    /// `NewReplicaSetAvailable`: the last rollout completed.
    Completed,
    /// `ProgressDeadlineExceeded`.
    DeadlineExceeded,
}

impl ProgressReason {
    /// From the condition's `reason`.
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
    /// Progressing, and whatever else.
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
    /// From `status.phase`.
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
