//! A pod: its containers as the spec asks for them, and what runs.

use super::lenient::{FromJson, drain_seq, fields};
use super::template::TemplateContainer;
use crate::time::UnixTime;
use serde::de::{MapAccess, SeqAccess};
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
    conditions: Conditions,
    containers: Vec<ContainerStatus<'a>>,
    init_containers: Vec<ContainerStatus<'a>>,
}

impl<'a> Pod<'a> {
    pub(super) fn from_parts(spec: Spec<'a>, status: Status<'a>) -> Self {
        let container = |init| {
            move |container: SpecContainer<'a>| TemplateContainer {
                init,
                restarts: container.restart_policy == "Always",
                name: container.name,
                image: container.image,
                pull_policy: container.pull_policy,
            }
        };
        let mut containers: Vec<_> = spec.containers.into_iter().map(container(false)).collect();
        containers.extend(spec.init_containers.into_iter().map(container(true)).filter(TemplateContainer::stays));
        let mut statuses = status.containers;
        statuses.extend(status.init_containers);
        Self {
            node: spec.node,
            containers,
            statuses,
            finished: matches!(status.phase.as_ref(), "Succeeded" | "Failed"),
            ready: status.conditions.ready,
        }
    }
}

fields!('de Spec<'de> {
    "nodeName" => node,
    "containers" => containers,
    "initContainers" => init_containers,
});
fields!('de SpecContainer<'de> {
    "name" => name,
    "image" => image,
    "imagePullPolicy" => pull_policy,
    "restartPolicy" => restart_policy,
});
fields!('de Status<'de> {
    "phase" => phase,
    "conditions" => conditions,
    "containerStatuses" => containers,
    "initContainerStatuses" => init_containers,
});

/// The array of conditions, of which only Ready is kept.
#[derive(Default)]
struct Conditions {
    ready: Option<Ready>,
}

#[derive(Default)]
struct Condition<'a> {
    kind: Cow<'a, str>,
    status: Cow<'a, str>,
    since: Option<UnixTime>,
}
fields!('de Condition<'de> { "type" => kind, "status" => status, "lastTransitionTime" => since });

impl<'de> FromJson<'de> for Conditions {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while let Some(super::lenient::Lenient(condition)) = seq.next_element()? {
            let condition: Condition<'de> = condition;
            if condition.kind == "Ready" {
                drain_seq(seq)?;
                let ready = (condition.status == "True").then_some(Ready { since: condition.since });
                return Ok(Some(Self { ready }));
            }
        }
        Ok(Some(Self::default()))
    }
}

impl<'de> FromJson<'de> for ContainerStatus<'de> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        let Some(raw) = RawStatus::from_map(map)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: raw.name,
            image_id: raw.image_id,
            container_id: raw.container_id,
            started: raw.state.running.started,
        }))
    }
}

#[derive(Default)]
struct RawStatus<'a> {
    name: Cow<'a, str>,
    image_id: Cow<'a, str>,
    container_id: Cow<'a, str>,
    state: State,
}
#[derive(Default)]
struct State {
    running: Running,
}
#[derive(Default)]
struct Running {
    started: Option<UnixTime>,
}
fields!('de RawStatus<'de> { "name" => name, "imageID" => image_id, "containerID" => container_id, "state" => state });
fields!('de State { "running" => running });
fields!('de Running { "startedAt" => started });
