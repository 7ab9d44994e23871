//! One container on its node: pull, start, readiness, crash and restart.

use super::cluster::Cluster;
use super::images::{ImageReference, PullError, Trouble};
use super::index::time;
use crate::time::Time;
use serde_json::{Value, json};

/// Longest time between two pulls or two restarts.
const MAX_BACK_OFF: u32 = 300;

/// A container of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    /// As in the pod's `spec`.
    pub(super) spec: &'a Value,
    pub(super) node: &'a str,
    /// When the kubelet started to handle the pod.
    pub(super) started: Time,
    /// Whether it is an init container.
    pub(super) is_init: bool,
    pub(super) never_restarts: bool,
}

impl Container<'_> {
    fn image(&self) -> &str {
        self.spec["image"].as_str().unwrap_or_default()
    }

    fn pull(&self, cluster: &mut Cluster) -> Result<String, PullError> {
        let reference = self.image();
        let default = ImageReference::parse(reference).default_pull_policy();
        let policy = self.spec["imagePullPolicy"].as_str().unwrap_or(default);
        let registry = cluster.registry.clone();
        let pulled = cluster.caches.pull(&registry, self.node, reference, policy)?;
        if pulled.is_new {
            cluster.note_pull(self.node);
        }
        Ok(pulled.digest)
    }
}

/// The status of a container whose pod has just been bound to its node.
pub(super) fn waiting(spec: &Value) -> Value {
    json!({
        "name": spec["name"], "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}, "ready": false,
        "restartCount": 0, "image": spec["image"], "imageID": "", "started": false,
    })
}

/// The current status of a container, and when to check it again.
pub(super) fn next(cluster: &mut Cluster, container: &Container<'_>, status: &Value) -> (Value, Option<Time>) {
    let state = &status["state"];
    if let Some(running) = state.get("running") {
        return run(cluster, container, status, time(&running["startedAt"]).unwrap_or(container.started));
    }
    if state.get("terminated").is_some() {
        let restarts = !container.is_init && !container.never_restarts;
        return if restarts { crash_loop(cluster, status) } else { (status.clone(), None) };
    }
    match state.pointer("/waiting/reason").and_then(Value::as_str).unwrap_or_default() {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" => pull_again(cluster, container, status),
        "CrashLoopBackOff" => restart(cluster, container, status),
        "" | "ContainerCreating" | "PodInitializing" => {
            let due = container.started.plus(cluster.timings.creating);
            if due > cluster.now { (status.clone(), Some(due)) } else { start(cluster, container, status) }
        }
        // Not simulated: an invalid name, a missing ConfigMap.
        _ => (status.clone(), None),
    }
}

fn start(cluster: &mut Cluster, container: &Container<'_>, status: &Value) -> (Value, Option<Time>) {
    let mut next = status.clone();
    match container.pull(cluster) {
        Ok(digest) => {
            let repository = ImageReference::parse(container.image()).repository;
            let now = cluster.now.to_string();
            let id = format!("containerd://{}", cluster.random.hex64());
            next["image"] = container.image().into();
            next["imageID"] = format!("{repository}@{digest}").into();
            next["containerID"] = id.as_str().into();
            if container.is_init {
                next["state"] = json!({"terminated": {
                    "exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now, "containerID": id,
                }});
                next["ready"] = true.into();
                return (next, None);
            }
            next["state"] = json!({"running": {"startedAt": now}});
            next["started"] = true.into();
            let now = cluster.now;
            run(cluster, container, &next, now)
        }
        Err(error) => {
            let image = container.image();
            let (reason, message) = match error {
                PullError::NotFound => ("ErrImagePull", not_found(image)),
                PullError::NeverPull => (
                    "ErrImageNeverPull",
                    format!("Container image \"{image}\" is not present with pull policy of Never"),
                ),
            };
            next["state"] = json!({"waiting": {"reason": reason, "message": message}});
            let due = cluster.now.plus(cluster.timings.back_off);
            (next, Some(due))
        }
    }
}

/// containerd's error for an image that the registry does not have.
fn not_found(image: &str) -> String {
    let image = ImageReference::parse(image).qualified();
    format!("failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found")
}

fn run(cluster: &mut Cluster, container: &Container<'_>, status: &Value, since: Time) -> (Value, Option<Time>) {
    let mut next = status.clone();
    if next["ready"] == true {
        return (next, None);
    }
    let trouble = cluster.registry.trouble(container.image());
    match trouble {
        Some(Trouble::Crashes) => {
            let due = since.plus(cluster.timings.crash);
            if due > cluster.now {
                return (next, Some(due));
            }
            let now = cluster.now.to_string();
            next["state"] = json!({"terminated": {
                "exitCode": 1, "reason": "Error", "startedAt": since.to_string(), "finishedAt": now,
                "containerID": status["containerID"],
            }});
            next["ready"] = false.into();
            next["started"] = false.into();
            crash_loop(cluster, &next)
        }
        Some(Trouble::NeverReady) => (next, None),
        None => {
            let due = since.plus(cluster.timings.ready);
            if due > cluster.now {
                return (next, Some(due));
            }
            next["ready"] = true.into();
            next["started"] = true.into();
            (next, None)
        }
    }
}

/// The status of a container that exited and waits for its restart.
fn crash_loop(cluster: &Cluster, status: &Value) -> (Value, Option<Time>) {
    let mut next = status.clone();
    let name = next["name"].as_str().unwrap_or_default();
    let seconds = back_off(cluster, next["restartCount"].as_u64().unwrap_or(0));
    let message = format!("back-off {seconds}s restarting failed container={name}");
    next["lastState"] = json!({"terminated": next["state"]["terminated"]});
    next["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
    next["ready"] = false.into();
    next["started"] = false.into();
    let due = restart_due(cluster, &next);
    (next, Some(due))
}

fn restart_due(cluster: &Cluster, status: &Value) -> Time {
    let finished = status.pointer("/lastState/terminated/finishedAt").and_then(time).unwrap_or(cluster.now);
    finished.plus(back_off(cluster, status["restartCount"].as_u64().unwrap_or(0)))
}

fn back_off(cluster: &Cluster, times: u64) -> u32 {
    let doubled = cluster.timings.back_off.saturating_mul(1 << times.min(10));
    doubled.min(MAX_BACK_OFF)
}

fn restart(cluster: &mut Cluster, container: &Container<'_>, status: &Value) -> (Value, Option<Time>) {
    let due = restart_due(cluster, status);
    if due > cluster.now {
        return (status.clone(), Some(due));
    }
    let mut next = status.clone();
    next["restartCount"] = (status["restartCount"].as_u64().unwrap_or(0) + 1).into();
    start(cluster, container, &next)
}

/// Reports a failed pull once as such, then as a back-off. The status does not change while pulls keep failing.
fn pull_again(cluster: &mut Cluster, container: &Container<'_>, status: &Value) -> (Value, Option<Time>) {
    let (next, due) = start(cluster, container, status);
    let reason = next.pointer("/state/waiting/reason").and_then(Value::as_str);
    if reason != Some("ErrImagePull") {
        return (next, due);
    }
    // A change of the registry allows an immediate attempt.
    if status.pointer("/state/waiting/reason").is_some_and(|reason| reason == "ImagePullBackOff") {
        return (status.clone(), None);
    }
    let image = container.image();
    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", not_found(image));
    let mut next = status.clone();
    next["state"] = json!({"waiting": {"reason": "ImagePullBackOff", "message": message}});
    (next, None)
}
