//! Objects that own pods, and objects that keep their templates' history.

use super::conditions::{Conditions, Progressing, ReplicaFailure};
use super::lenient::{FromJson, fields};
use super::template::Template;
use super::update_strategy::{Partition, RawUpdateStrategy, UpdateStrategy};
use crate::time::UnixTime;
use serde::de::{MapAccess, SeqAccess};
use std::borrow::Cow;

/// Fields of a ReplicaSet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaSet<'a> {
    /// `spec.template`.
    pub template: Template<'a>,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
}

/// Fields of a Deployment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deployment<'a> {
    /// `spec.template`.
    pub template: Template<'a>,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.strategy.type` is Recreate.
    pub recreate: bool,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `status.updatedReplicas`.
    pub updated_replicas: i64,
    /// `status.availableReplicas`.
    pub available_replicas: i64,
    /// The condition Progressing.
    pub progressing: Option<Progressing<'a>>,
    /// The condition `ReplicaFailure`, if it is True.
    pub replica_failure: Option<ReplicaFailure<'a>>,
}

/// Fields of a StatefulSet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StatefulSet<'a> {
    /// `spec.template`.
    pub template: Template<'a>,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.updateStrategy`.
    pub strategy: UpdateStrategy,
    /// `spec.ordinals.start`.
    pub first_ordinal: i64,
    /// `spec.podManagementPolicy` is Parallel.
    pub parallel: bool,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `status.availableReplicas`.
    pub available_replicas: i64,
    /// `status.updateRevision`: name of the ControllerRevision that all pods should have.
    pub update_revision: Cow<'a, str>,
    /// `status.currentRevision`: the ControllerRevision of the last complete rollout, or the first one.
    pub current_revision: Cow<'a, str>,
}

/// Fields of a DaemonSet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DaemonSet<'a> {
    /// `spec.template`.
    pub template: Template<'a>,
    /// `spec.updateStrategy`.
    pub strategy: UpdateStrategy,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `status.desiredNumberScheduled`; `None` without a status.
    pub desired: Option<i64>,
    /// `status.updatedNumberScheduled`.
    pub updated: i64,
    /// `status.numberAvailable`.
    pub available: i64,
}

/// Fields of an OpenKruise CloneSet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CloneSet<'a> {
    /// `spec.template`.
    pub template: Template<'a>,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.updateStrategy.paused`.
    pub paused: bool,
    /// `spec.updateStrategy.partition`: number of pods that keep an older template.
    pub partition: Partition,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `status.availableReplicas`.
    pub available_replicas: i64,
    /// `status.updateRevision`: name of the ControllerRevision that all pods should have.
    pub update_revision: Cow<'a, str>,
}

/// Fields of a ControllerRevision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ControllerRevision<'a> {
    /// `revision`.
    pub revision: Option<i64>,
    /// `data.spec.template`, as StatefulSets and DaemonSets write it.
    pub template: Template<'a>,
}

/// Fields of an Argo Rollout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Rollout<'a> {
    /// `spec.template`; absent with `spec.workloadRef`.
    pub template: Template<'a>,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.strategy`.
    pub strategy: RolloutStrategy,
    /// `scaleDownDelaySeconds` of the strategy: how long to keep the pods of a replaced template.
    pub scale_down_delay: Option<i64>,
    /// `spec.workloadRef.kind` and `.name`.
    pub workload_ref: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// `status.observedGeneration`; older versions of Argo wrote a string.
    pub observed_generation: Option<i64>,
    /// `status.availableReplicas`.
    pub available_replicas: i64,
    /// When the condition Completed became True, if it is.
    pub completed: Option<UnixTime>,
    /// Whether it has conditions, but not Healthy. Argo Rollouts adds that one once the phase was Healthy, and then
    /// keeps it, True or False (observed on 1.10).
    pub never_healthy: bool,
    /// Whether it has the condition Healthy, True or False: its phase was Healthy once.
    pub was_healthy: bool,
    /// The condition `ReplicaFailure`, if it is True.
    pub replica_failure: Option<ReplicaFailure<'a>>,
    /// `status.message`: why it is Degraded or Paused.
    pub message: Cow<'a, str>,
    /// `status.phase`.
    pub phase: Cow<'a, str>,
    /// `status.abort`.
    pub aborted: bool,
    /// Whether `status.pauseConditions` is not empty.
    pub pausing: bool,
    /// `status.currentStepIndex`.
    pub step: Option<i64>,
    /// `status.currentPodHash`.
    pub current_hash: Cow<'a, str>,
    /// `status.stableRS`.
    pub stable_hash: Cow<'a, str>,
}

/// The strategy of an Argo Rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RolloutStrategy {
    /// Neither of the two, or unreadable.
    #[default]
    Unknown,
    /// `canary`.
    Canary {
        /// Number of steps.
        steps: usize,
    },
    /// `blueGreen`.
    BlueGreen,
}

fields!('de ReplicaSet<'de> { "template" = 3 => template, "replicas" = 1 => replicas });

/// `spec` of every kind here; each reads its own fields. The protobuf numbers are a Deployment's, the only kind that is
/// requested in protobuf.
#[derive(Default)]
pub(super) struct Spec<'a> {
    pub(super) template: Template<'a>,
    replicas: Option<i64>,
    paused: bool,
    update_strategy: RawUpdateStrategy<'a>,
    ordinals: Ordinals,
    pod_management_policy: Cow<'a, str>,
    strategy: RawStrategy<'a>,
    workload_ref: Option<(Cow<'a, str>, Cow<'a, str>)>,
}
fields!('de Spec<'de> {
    "template" = 3 => template,
    "replicas" = 1 => replicas,
    "paused" = 7 => paused,
    "updateStrategy" => update_strategy,
    "ordinals" => ordinals,
    "podManagementPolicy" => pod_management_policy,
    "strategy" = 4 => strategy,
    "workloadRef" => workload_ref,
});

/// `status` of every kind here. The protobuf numbers are a Deployment's.
#[derive(Default)]
pub(super) struct Status<'a> {
    observed_generation: Option<i64>,
    updated_replicas: Option<i64>,
    available_replicas: Option<i64>,
    desired_number_scheduled: Option<i64>,
    number_available: Option<i64>,
    updated_number_scheduled: Option<i64>,
    conditions: Conditions<'a>,
    update_revision: Cow<'a, str>,
    current_revision: Cow<'a, str>,
    phase: Cow<'a, str>,
    message: Cow<'a, str>,
    abort: bool,
    pause_conditions: Count,
    current_step_index: Option<i64>,
    current_pod_hash: Cow<'a, str>,
    stable_rs: Cow<'a, str>,
}
fields!('de Status<'de> {
    "observedGeneration" = 1 => observed_generation,
    "updatedReplicas" = 3 => updated_replicas,
    "availableReplicas" = 4 => available_replicas,
    "desiredNumberScheduled" => desired_number_scheduled,
    "numberAvailable" => number_available,
    "updatedNumberScheduled" => updated_number_scheduled,
    "conditions" = 6 => conditions,
    "updateRevision" => update_revision,
    "currentRevision" => current_revision,
    "phase" => phase,
    "message" => message,
    "abort" => abort,
    "pauseConditions" => pause_conditions,
    "currentStepIndex" => current_step_index,
    "currentPodHash" => current_pod_hash,
    "stableRS" => stable_rs,
});

/// `data` of a ControllerRevision.
#[derive(Default)]
pub(super) struct Data<'a> {
    pub(super) spec: ReplicaSet<'a>,
}
fields!('de Data<'de> { "spec" => spec });

#[derive(Default)]
struct Ordinals {
    start: Option<i64>,
}
fields!('de Ordinals { "start" => start });

#[derive(Default)]
struct RawStrategy<'a> {
    kind: Cow<'a, str>,
    canary: Option<Canary>,
    blue_green: Option<BlueGreen>,
}
#[derive(Default)]
struct Canary {
    steps: Count,
    scale_down_delay: Option<i64>,
}
#[derive(Default)]
struct BlueGreen {
    scale_down_delay: Option<i64>,
}
fields!('de RawStrategy<'de> { "type" = 1 => kind, "canary" => canary, "blueGreen" => blue_green });
fields!('de Canary { "steps" => steps, "scaleDownDelaySeconds" => scale_down_delay });
fields!('de BlueGreen { "scaleDownDelaySeconds" => scale_down_delay });

impl<'de> FromJson<'de> for Option<Canary> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Canary::from_map(map).map(Some)
    }
}

impl<'de> FromJson<'de> for Option<BlueGreen> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        BlueGreen::from_map(map).map(Some)
    }
}

impl<'de> FromJson<'de> for Option<(Cow<'de, str>, Cow<'de, str>)> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Default)]
        struct Reference<'a> {
            kind: Cow<'a, str>,
            name: Cow<'a, str>,
        }
        fields!('de Reference<'de> { "kind" => kind, "name" => name });
        Ok(Some(Reference::from_map(map)?.map(|reference| (reference.kind, reference.name))))
    }
}

/// The length of an array.
#[derive(Default)]
struct Count(usize);

impl<'de> FromJson<'de> for Count {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut count = 0;
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some(Self(count)))
    }
}

impl<'a> Deployment<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        Self {
            template: spec.template,
            replicas: spec.replicas,
            paused: spec.paused,
            recreate: spec.strategy.kind == "Recreate",
            // Go omits a zero in JSON, and writes it in protobuf.
            observed_generation: status.observed_generation.filter(|generation| *generation != 0),
            updated_replicas: status.updated_replicas.unwrap_or(0),
            available_replicas: status.available_replicas.unwrap_or(0),
            progressing: status.conditions.progressing,
            replica_failure: status.conditions.replica_failure,
        }
    }
}

impl<'a> StatefulSet<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        Self {
            template: spec.template,
            replicas: spec.replicas,
            strategy: spec.update_strategy.into(),
            first_ordinal: spec.ordinals.start.unwrap_or(0),
            parallel: spec.pod_management_policy == "Parallel",
            observed_generation: status.observed_generation,
            available_replicas: status.available_replicas.unwrap_or(0),
            update_revision: status.update_revision,
            current_revision: status.current_revision,
        }
    }
}

impl<'a> DaemonSet<'a> {
    #[allow(clippy::needless_pass_by_value, reason = "made like every other controller")]
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        Self {
            template: spec.template,
            strategy: spec.update_strategy.into(),
            observed_generation: status.observed_generation,
            desired: status.desired_number_scheduled,
            updated: status.updated_number_scheduled.unwrap_or(0),
            available: status.number_available.unwrap_or(0),
        }
    }
}

impl<'a> CloneSet<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        Self {
            template: spec.template,
            replicas: spec.replicas,
            paused: spec.update_strategy.paused,
            partition: spec.update_strategy.partition,
            observed_generation: status.observed_generation,
            available_replicas: status.available_replicas.unwrap_or(0),
            update_revision: status.update_revision,
        }
    }
}

impl<'a> Rollout<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        let (strategy, scale_down_delay) = match spec.strategy {
            RawStrategy { canary: Some(Canary { steps: Count(steps), scale_down_delay }), .. } => {
                (RolloutStrategy::Canary { steps }, scale_down_delay)
            }
            RawStrategy { blue_green: Some(BlueGreen { scale_down_delay }), .. } => {
                (RolloutStrategy::BlueGreen, scale_down_delay)
            }
            _ => (RolloutStrategy::Unknown, None),
        };
        Self {
            template: spec.template,
            replicas: spec.replicas,
            paused: spec.paused,
            strategy,
            scale_down_delay,
            workload_ref: spec.workload_ref,
            observed_generation: status.observed_generation,
            available_replicas: status.available_replicas.unwrap_or(0),
            completed: status.conditions.completed,
            never_healthy: status.conditions.progressing.is_some() && !status.conditions.has_healthy,
            was_healthy: status.conditions.has_healthy,
            phase: status.phase,
            aborted: status.abort,
            pausing: status.pause_conditions.0 > 0,
            step: status.current_step_index,
            current_hash: status.current_pod_hash,
            stable_hash: status.stable_rs,
            replica_failure: status.conditions.replica_failure,
            message: status.message,
        }
    }
}
