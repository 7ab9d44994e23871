//! Why pods are not ready: what their containers wait for, which no report and no metric tells.
//!
//! Kept of the pods as they come, so that a pod costs a podskew that serves no byte more.

use crate::look::Witness;
use crate::objects::Resource;
use crate::report::Name;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a container stands for while others have not let it begin; of all reasons the least telling.
const NOT_BEGUN: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// One reason why a pod is not ready.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(super) struct Reason {
    /// The container; none if it is the pod's own.
    pub(super) container: Option<String>,
    /// The reason in Kubernetes' word, like `ImagePullBackOff`, or `running`.
    pub(super) reason: String,
}

/// The reasons of pods, by namespace and name.
type Reasons = HashMap<(String, String), Vec<Reason>>;

/// The reasons of all pods that are not ready, by namespace and name.
#[derive(Default)]
pub(super) struct Unready {
    pods: Arc<Mutex<Reasons>>,
}

impl Unready {
    /// Keeps the reasons of the pods that are seen.
    pub(super) fn witness(&self) -> Witness {
        let pods = Arc::clone(&self.pods);
        Arc::new(move |resource, json| {
            if resource != Resource::Pods {
                return;
            }
            // A pod of another shape is one of which no reason is known.
            let Ok(pod) = serde_json::from_slice::<Pod<'_>>(json) else { return };
            let reasons = pod.status.reasons();
            if !reasons.is_empty() {
                let name = (pod.metadata.namespace.into_owned(), pod.metadata.name.into_owned());
                pods.lock().unwrap_or_else(PoisonError::into_inner).insert(name, reasons);
            }
        })
    }

    /// Why a pod is not ready; nothing if that is not known.
    pub(super) fn reasons(&self, namespace: &Name, pod: &Name) -> Vec<Reason> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(&(namespace.to_string(), pod.to_string())).cloned().unwrap_or_default()
    }
}

/// `container web: ImagePullBackOff, container proxy: running`.
pub(super) fn in_words(reasons: &[Reason]) -> String {
    let words = reasons.iter().map(|Reason { container, reason }| match container {
        Some(container) => format!("container {container}: {reason}"),
        None => reason.clone(),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status<'a> {
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    conditions: Option<Vec<Condition>>,
    init_container_statuses: Option<Vec<Container>>,
    container_statuses: Option<Vec<Container>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    name: String,
    ready: bool,
    started: Option<bool>,
    state: Option<State>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    reason: Option<String>,
    exit_code: i64,
}

impl Status<'_> {
    fn reasons(&self) -> Vec<Reason> {
        let conditions = || self.conditions.iter().flatten();
        if conditions().any(|condition| condition.r#type == "Ready" && condition.status == "True") {
            return Vec::new();
        }
        let init = self.init_container_statuses.iter().flatten().map(|container| container.reason(true));
        let others = self.container_statuses.iter().flatten().map(|container| container.reason(false));
        let mut reasons: Vec<Reason> = init.chain(others).flatten().collect();
        let begun = |reason: &Reason| !NOT_BEGUN.contains(&&*reason.reason);
        if reasons.iter().any(begun) {
            reasons.retain(begun);
        }
        // No node, or an eviction: then no container says anything.
        let own = conditions().find(|condition| condition.r#type == "PodScheduled" && condition.status == "False");
        let own = self.reason.as_deref().or_else(|| own.and_then(|condition| condition.reason.as_deref()));
        reasons.extend(own.map(|reason| Reason { container: None, reason: reason.to_owned() }));
        // All containers are ready, and a readiness gate or the kubelet is not.
        let gates = || conditions().filter(|condition| condition.r#type == "Ready").find_map(|it| it.reason.clone());
        if reasons.is_empty()
            && let Some(reason) = gates()
        {
            reasons.push(Reason { container: None, reason });
        }
        reasons
    }
}

impl Container {
    /// What it waits for; an init container that has ended well, or a sidecar that has started, waits for nothing.
    fn reason(&self, init: bool) -> Option<Reason> {
        let reason = match self.state.as_ref()? {
            _ if self.ready => return None,
            State { waiting: Some(waiting), .. } => waiting.reason.clone().unwrap_or_else(|| "waiting".to_owned()),
            State { terminated: Some(ended), .. } if init && ended.exit_code == 0 => return None,
            State { terminated: Some(ended), .. } => {
                let reason = ended.reason.as_deref().unwrap_or("terminated");
                format!("{reason} (exit code {})", ended.exit_code)
            }
            State { running: Some(_), .. } if init && self.started == Some(true) => return None,
            State { running: Some(_), .. } => "running and not ready".to_owned(),
            State { .. } => return None,
        };
        Some(Reason { container: Some(self.name.clone()), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pod, in_words};
    use serde_json::{Value, json};

    fn reasons(status: &Value) -> String {
        let pod = json!({"metadata": {"name": "a"}, "status": status}).to_string();
        in_words(&serde_json::from_str::<Pod<'_>>(&pod).unwrap().status.reasons())
    }

    #[test]
    fn the_most_telling_reason_stands() {
        let waits = |name: &str, reason: &str| json!({"name": name, "state": {"waiting": {"reason": reason}}});
        let not_ready = json!([{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]);
        for (status, expected) in [
            (json!({"containerStatuses": [waits("app", "ImagePullBackOff")]}), "container app: ImagePullBackOff"),
            (
                json!({
                    "initContainerStatuses": [waits("migrate", "CrashLoopBackOff")],
                    "containerStatuses": [waits("app", "PodInitializing")]
                }),
                "container migrate: CrashLoopBackOff",
            ),
            (json!({"containerStatuses": [waits("app", "ContainerCreating")]}), "container app: ContainerCreating"),
            (
                json!({"containerStatuses": [
                    {"name": "app", "ready": false, "state": {"running": {"startedAt": "2026-11-21T08:00:00Z"}}},
                    {"name": "proxy", "ready": true, "state": {"running": {}}}
                ]}),
                "container app: running and not ready",
            ),
            (
                json!({"containerStatuses": [{"name": "app", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}),
                "container app: OOMKilled (exit code 137)",
            ),
            (
                json!({"initContainerStatuses": [{"name": "migrate", "state": {"terminated": {"exitCode": 0}}}],
                    "containerStatuses": [{"name": "app", "ready": true, "state": {"running": {}}}],
                    "conditions": [{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}]}),
                "ReadinessGatesNotReady",
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}),
                "Unschedulable",
            ),
            (json!({"conditions": not_ready}), "ContainersNotReady"),
            (json!({"conditions": [{"type": "Ready", "status": "True"}]}), ""),
            (json!({"containerStatuses": null}), ""),
        ] {
            assert_eq!(reasons(&status), expected, "{status}");
        }
    }
}
