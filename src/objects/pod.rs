//! A pod: its containers as the spec asks for them, and what runs.

use super::lenient::{FromJson, drain_seq, fields};
use super::protobuf::{FromProtobuf, ProtobufError, Value, is_of_type, read};
use super::template::TemplateContainer;
use super::waiting::{ContainerProgress, ContainerState, Running, WaitCondition, Waiting, reasons};
use crate::time::UnixTime;
use serde::de::SeqAccess;
use std::borrow::Cow;

/// What podskew reads of a pod's `spec` and `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pod<'a> {
    /// `spec.nodeName`; empty while it is not scheduled.
    pub node: Cow<'a, str>,
    /// The containers that run for the life of the pod: `spec.containers` and the native sidecars of
    /// `spec.initContainers`.
    pub containers: Vec<TemplateContainer<'a>>,
    /// `status.containerStatuses` and `status.initContainerStatuses` together: names are unique over both.
    pub statuses: Vec<ContainerStatus<'a>>,
    /// Whether `status.phase` is Succeeded or Failed.
    pub finished: bool,
    /// Since when the condition Ready is True, if it is.
    pub ready: Option<Ready>,
    /// Whether the pod is known to have never been Ready: it waits for a node, or its condition Ready has been False since the
    /// kubelet took it over. A pod that was Ready once has a later `lastTransitionTime`.
    pub never_ready: bool,
    /// Why it is not Ready, the most telling reason first; empty while it is Ready, and where nothing says it.
    pub waiting: Vec<Waiting<'a>>,
}

/// The condition Ready, True.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Its `lastTransitionTime`.
    pub since: Option<UnixTime>,
}

/// What runs in one container.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContainerStatus<'a> {
    /// The container's name.
    pub name: Cow<'a, str>,
    /// `imageID`, whose form depends on the runtime.
    pub image_id: Cow<'a, str>,
    /// `containerID`: the same as long as the same container runs.
    pub container_id: Cow<'a, str>,
    /// Whether `state` says `running`.
    pub running: bool,
    /// `state.running.startedAt`.
    pub started: Option<UnixTime>,
}

/// `spec` as it is written; `containers` and `initContainers` are joined in [`Pod`].
#[derive(Default)]
pub(super) struct Spec<'a> {
    node: Cow<'a, str>,
    containers: Vec<SpecContainer<'a>>,
    init_containers: Vec<SpecContainer<'a>>,
}

#[derive(Default)]
struct SpecContainer<'a> {
    name: Cow<'a, str>,
    image: Cow<'a, str>,
    pull_policy: Cow<'a, str>,
    restart_policy: Cow<'a, str>,
}

#[derive(Default)]
pub(super) struct Status<'a> {
    phase: Cow<'a, str>,
    /// What became of the whole pod, like `Evicted`.
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
    start_time: Option<UnixTime>,
    conditions: Conditions<'a>,
    containers: ContainerStatuses<'a, false>,
    init_containers: ContainerStatuses<'a, true>,
}

impl<'a> SpecContainer<'a> {
    fn of(self, init: bool) -> TemplateContainer<'a> {
        TemplateContainer {
            init,
            restarts: self.restart_policy == "Always",
            name: self.name,
            image: self.image,
            pull_policy: self.pull_policy,
        }
    }
}

impl<'a> Spec<'a> {
    /// Those that run for the life of the pod, in the order of a template in JSON.
    pub(super) fn template_containers(self) -> Vec<TemplateContainer<'a>> {
        let init_containers = self.init_containers.into_iter().map(|container| container.of(true));
        let containers = self.containers.into_iter().map(|container| container.of(false));
        init_containers.filter(TemplateContainer::stays).chain(containers).collect()
    }
}

impl<'a> Pod<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        let containers = spec.containers.into_iter().map(|container| container.of(false));
        let init_containers = spec.init_containers.into_iter().map(|container| container.of(true));
        let containers = containers.chain(init_containers.filter(TemplateContainer::stays)).collect();
        let never_ready = status.was_never_ready();
        let Conditions { ready, unready, unscheduled, .. } = status.conditions;
        let is_ready = ready.is_some();
        let mut statuses = status.containers.statuses;
        statuses.extend(status.init_containers.statuses);
        let mut waiting = Vec::new();
        if !is_ready {
            // What fails first is told first.
            waiting = status.init_containers.waiting;
            waiting.extend(status.containers.waiting);
            let whole = WaitCondition { reason: status.reason, message: status.message };
            waiting = reasons(waiting, if whole.reason.is_empty() { unscheduled } else { whole }, unready);
        }
        Self {
            node: spec.node,
            containers,
            statuses,
            finished: matches!(status.phase.as_ref(), "Succeeded" | "Failed"),
            never_ready,
            waiting,
            ready,
        }
    }
}

impl Status<'_> {
    fn was_never_ready(&self) -> bool {
        match (self.start_time, self.conditions.unready_since) {
            (Some(started), Some(since)) => since.since(started) <= SAME_STATUS,
            // No kubelet has it yet.
            (None, None) => self.phase == "Pending" && self.conditions.ready.is_none(),
            _ => false,
        }
    }
}

/// Seconds between `status.startTime` and the first `lastTransitionTime` of Ready: the kubelet writes both in one status, and takes
/// the time twice (`SetPodStatus` in `pkg/kubelet/status/status_manager.go`).
const SAME_STATUS: u32 = 1;

fields!('de Spec<'de> {
    "nodeName" = 10 => node,
    "containers" = 2 => containers,
    "initContainers" = 20 => init_containers,
});
fields!('de SpecContainer<'de> {
    "name" = 1 => name,
    "image" = 2 => image,
    "imagePullPolicy" = 14 => pull_policy,
    "restartPolicy" = 24 => restart_policy,
});
fields!('de Status<'de> {
    "phase" = 1 => phase,
    "message" = 3 => message,
    "reason" = 4 => reason,
    "conditions" = 2 => conditions,
    "startTime" = 7 => start_time,
    "containerStatuses" = 8 => containers,
    "initContainerStatuses" = 10 => init_containers,
});

/// The array of conditions, of which only the first Ready is kept, and why there is no node.
#[derive(Default)]
struct Conditions<'a> {
    found: bool,
    ready: Option<Ready>,
    /// Since when Ready is False.
    unready_since: Option<UnixTime>,
    /// Why Ready is not True.
    unready: WaitCondition<'a>,
    /// Why `PodScheduled` is False.
    unscheduled: WaitCondition<'a>,
}

impl<'a> Conditions<'a> {
    /// Whether nothing more is to be looked for: a pod that is Ready waits for nothing.
    fn take(&mut self, condition: Condition<'a>) -> bool {
        let Condition { kind, status, since, reason, message } = condition;
        let cause = WaitCondition { reason, message };
        if kind == "Ready" && !self.found {
            self.found = true;
            match status.as_ref() {
                "True" => self.ready = Some(Ready { since }),
                "False" => self.unready_since = since,
                _ => {}
            }
            if self.ready.is_none() {
                self.unready = cause;
            }
        } else if kind == "PodScheduled" && status == "False" {
            self.unscheduled = cause;
        }
        self.ready.is_some()
    }
}

#[derive(Default)]
struct Condition<'a> {
    kind: Cow<'a, str>,
    status: Cow<'a, str>,
    since: Option<UnixTime>,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
}
fields!('de Condition<'de> {
    "type" = 1 => kind,
    "status" = 2 => status,
    "lastTransitionTime" = 4 => since,
    "reason" = 5 => reason,
    "message" = 6 => message,
});

impl<'de> FromJson<'de> for Conditions<'de> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut conditions = Self::default();
        while let Some(super::lenient::Lenient(condition)) = seq.next_element()? {
            if conditions.take(condition) {
                drain_seq(seq)?;
                break;
            }
        }
        Ok(Some(conditions))
    }
}

impl<'a> FromProtobuf<'a> for Conditions<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        let is_ready = self.ready.is_some();
        if !is_ready && ((!self.found && is_of_type(value, "Ready")?) || is_of_type(value, "PodScheduled")?) {
            self.take(read(value)?);
        }
        Ok(())
    }
}

/// A container's status as it is written.
#[derive(Default)]
struct RawContainerStatus<'a> {
    name: Cow<'a, str>,
    image_id: Cow<'a, str>,
    container_id: Cow<'a, str>,
    ready: bool,
    started: bool,
    state: ContainerState<'a>,
}
fields!('de RawContainerStatus<'de> {
    "name" = 1 => name,
    "imageID" = 7 => image_id,
    "containerID" = 8 => container_id,
    "state" = 2 => state,
    "ready" = 4 => ready,
    "started" = 9 => started,
});

/// The array of container statuses, or of `INIT` containers. Why a container waits is kept apart: hardly any does.
#[derive(Default)]
struct ContainerStatuses<'a, const INIT: bool> {
    statuses: Vec<ContainerStatus<'a>>,
    waiting: Vec<Waiting<'a>>,
}

impl<'a, const INIT: bool> ContainerStatuses<'a, INIT> {
    fn push(&mut self, raw: RawContainerStatus<'a>) {
        let RawContainerStatus { name, image_id, container_id, ready, started, state } = raw;
        let Running { is_there: running, started: started_at } = state.running;
        let progress = ContainerProgress { ready, started, state };
        self.waiting.extend(progress.waiting(&name, INIT));
        self.statuses.push(ContainerStatus { name, image_id, container_id, running, started: started_at });
    }
}

impl<'de, const INIT: bool> FromJson<'de> for ContainerStatuses<'de, INIT> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut statuses = Self::default();
        while let Some(super::lenient::Lenient(raw)) = seq.next_element()? {
            statuses.push(raw);
        }
        Ok(Some(statuses))
    }
}

impl<'a, const INIT: bool> FromProtobuf<'a> for ContainerStatuses<'a, INIT> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        self.push(read(value)?);
        Ok(())
    }
}
