//! Fields of a pod: its containers in the spec, and what they run.

use super::lenient::{FromJson, drain_seq, fields};
use super::protobuf::{FromProtobuf, ProtobufError, Value, is_of_type, read};
use super::template::TemplateContainer;
use super::waiting::{ContainerProgress, ContainerState, Running, WaitCondition, Waiting, reasons};
use crate::time::UnixTime;
use serde::de::SeqAccess;
use std::borrow::Cow;

/// Fields of a pod's `spec` and `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pod<'a> {
    /// `spec.nodeName`; empty while it is not scheduled.
    pub node: Cow<'a, str>,
    /// The containers that run for the pod's whole life: `spec.containers`, and the native sidecars of
    /// `spec.initContainers`.
    pub containers: Vec<TemplateContainer<'a>>,
    /// `status.containerStatuses` and `status.initContainerStatuses`: names are unique over both.
    pub statuses: Vec<ContainerStatus<'a>>,
    /// Whether `status.phase` is Succeeded or Failed.
    pub finished: bool,
    /// Since when the condition Ready is True, if it is.
    pub ready: Option<Ready>,
    /// Whether the pod was never Ready: it has no node, or its condition Ready has been False since the kubelet took it
    /// over. A pod that was Ready has a later `lastTransitionTime`.
    pub never_ready: bool,
    /// Why it is not Ready, the most informative reason first; empty if it is Ready or the reason is unknown.
    pub waiting: Vec<Waiting<'a>>,
}

/// The condition Ready, if True.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Its `lastTransitionTime`.
    pub since: Option<UnixTime>,
}

/// The status of a container.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContainerStatus<'a> {
    /// The container's name.
    pub name: Cow<'a, str>,
    /// `imageID`, whose form depends on the runtime.
    pub image_id: Cow<'a, str>,
    /// `containerID`, which identifies the running container.
    pub container_id: Cow<'a, str>,
    /// Whether `state` is `running`.
    pub running: bool,
    /// `state.running.startedAt`.
    pub started: Option<UnixTime>,
}

/// The raw `spec`; `containers` and `initContainers` are joined in [`Pod`].
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
    /// `status.reason`, like `Evicted`.
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
    /// The containers that run for the pod's whole life, in the order of a JSON template.
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
            // An earlier failure is reported first.
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
            // No kubelet has taken it over yet.
            (None, None) => self.phase == "Pending" && self.conditions.ready.is_none(),
            _ => false,
        }
    }
}

/// Maximum seconds between `status.startTime` and the first `lastTransitionTime` of Ready: the kubelet writes both in
/// one status, and reads the clock twice (`SetPodStatus` in `pkg/kubelet/status/status_manager.go`).
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

/// The array of conditions. It keeps only the first Ready, and why the pod has no node.
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
    /// Whether no further condition is needed: a Ready pod waits for nothing.
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

/// The raw status of a container.
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

/// The array of statuses of containers, or with `INIT` of init containers. Reasons for waiting are kept separately,
/// because almost none waits.
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
