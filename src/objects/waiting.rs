//! Why a pod is not Ready, according to its containers and conditions.

use super::lenient::{FromJson, fields};
use super::protobuf::{FromProtobuf, ProtobufError, Value, read};
use crate::time::UnixTime;
use serde::de::MapAccess;
use std::borrow::Cow;

/// One reason why a pod is not Ready.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waiting<'a> {
    /// The waiting container; empty if the pod itself waits.
    pub container: Cow<'a, str>,
    /// The API's reason (`ImagePullBackOff`, `Unschedulable`), or one of the constants of [`Waiting`].
    pub reason: Cow<'a, str>,
    /// The exit code of a failed container.
    pub exit_code: Option<i64>,
    /// The message of the kubelet or scheduler; empty if there is none.
    pub message: Cow<'a, str>,
}

impl Waiting<'_> {
    /// A running container that is not Ready.
    pub const NOT_READY: &'static str = "not_ready";
    /// A failed init container.
    pub const INIT_CONTAINER_FAILED: &'static str = "init_container_failed";

    /// Whether the reason is only that other containers block this one: the least informative reason.
    fn has_not_begun(&self) -> bool {
        matches!(&*self.reason, "PodInitializing" | "ContainerCreating")
    }
}

/// The status of a container apart from its image.
#[derive(Default)]
pub(super) struct ContainerProgress<'a> {
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) state: ContainerState<'a>,
}

/// `state` of a container.
#[derive(Default)]
pub(super) struct ContainerState<'a> {
    pub(super) running: Running,
    waiting: Option<WaitingState<'a>>,
    terminated: Option<Terminated<'a>>,
}
fields!('de ContainerState<'de> { "running" = 2 => running, "waiting" = 1 => waiting, "terminated" = 3 => terminated });

/// Virtual nodes may omit the start of a container, but `running` exists.
#[derive(Clone, Copy, Default)]
pub(super) struct Running {
    pub(super) is_there: bool,
    pub(super) started: Option<UnixTime>,
}

#[derive(Default)]
struct StartedAt {
    started: Option<UnixTime>,
}
fields!('de StartedAt { "startedAt" = 1 => started });

impl<'de> FromJson<'de> for Running {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Ok(StartedAt::from_map(map)?.map(|StartedAt { started }| Self { is_there: true, started }))
    }
}

impl FromProtobuf<'_> for Running {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        let StartedAt { started } = read(value)?;
        *self = Self { is_there: true, started };
        Ok(())
    }
}

#[derive(Default)]
struct WaitingState<'a> {
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
}
fields!('de WaitingState<'de> { "reason" = 1 => reason, "message" = 2 => message });

#[derive(Default)]
struct Terminated<'a> {
    exit_code: Option<i64>,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
}
fields!('de Terminated<'de> { "exitCode" = 1 => exit_code, "reason" = 3 => reason, "message" = 4 => message });

macro_rules! optional {
    ($type:ident) => {
        impl<'de> FromJson<'de> for Option<$type<'de>> {
            fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                $type::from_map(map).map(Some)
            }
        }
        impl<'a> FromProtobuf<'a> for Option<$type<'a>> {
            fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
                *self = Some(read(value)?);
                Ok(())
            }
        }
    };
}
optional!(WaitingState);
optional!(Terminated);

impl<'a> ContainerProgress<'a> {
    /// Why the container waits; `None` if it does not, or if the reason is unknown. A completed init container and a
    /// started native sidecar do not wait.
    pub(super) fn waiting(self, container: &Cow<'a, str>, init: bool) -> Option<Waiting<'a>> {
        let ContainerState { running, waiting, terminated } = self.state;
        if self.ready {
            return None;
        }
        let container = container.clone();
        if let Some(waiting) = waiting {
            let WaitingState { reason, message } = waiting;
            return Some(Waiting { container, reason, exit_code: None, message });
        }
        if let Some(terminated) = terminated {
            let Terminated { exit_code, reason, message } = terminated;
            // Go writes a zero in protobuf, and may omit it in JSON.
            let exit_code = exit_code.filter(|code| *code != 0);
            let reason = match (init, exit_code) {
                (true, None) => return None,
                (true, Some(_)) => Cow::Borrowed(Waiting::INIT_CONTAINER_FAILED),
                (false, _) => reason,
            };
            return Some(Waiting { container, reason, exit_code, message });
        }
        let runs_unready = running.is_there && !(init && self.started);
        runs_unready.then(|| Waiting { container, reason: Waiting::NOT_READY.into(), ..Waiting::default() })
    }
}

/// A condition that says why a pod waits.
#[derive(Default)]
pub(super) struct WaitCondition<'a> {
    pub(super) reason: Cow<'a, str>,
    pub(super) message: Cow<'a, str>,
}

impl<'a> WaitCondition<'a> {
    fn waiting(self) -> Option<Waiting<'a>> {
        let Self { reason, message } = self;
        (!reason.is_empty()).then(|| Waiting { reason, message, ..Waiting::default() })
    }
}

/// Sorts the reasons of a pod that is not Ready, the most informative first: `of_containers`, then why it has no node
/// or was evicted. If all containers are Ready, the reason of the condition Ready (a readiness gate).
pub(super) fn reasons<'a>(
    of_containers: Vec<Waiting<'a>>,
    unscheduled: WaitCondition<'a>,
    unready: WaitCondition<'a>,
) -> Vec<Waiting<'a>> {
    let mut reasons = of_containers;
    if reasons.iter().any(|waiting| !waiting.has_not_begun()) {
        reasons.retain(|waiting| !waiting.has_not_begun());
    }
    // A running container that is not Ready is less informative than one that does not run.
    reasons.sort_by_key(|waiting| waiting.reason == Waiting::NOT_READY);
    reasons.extend(unscheduled.waiting());
    if reasons.is_empty() {
        reasons.extend(unready.waiting());
    }
    reasons
}
