//! The kubelets: start the containers of the pods on their nodes, write pod statuses, and end deleted pods.

use super::cluster::Cluster;
use super::containers::{self, Container};
use super::index::{Key, time};
use super::learn::CONTAINERS;
use super::scheduler;
use crate::nodes;
use crate::random::Random;
use crate::time::Time;
use serde_json::{Value, json};

const KUBELET: &str = "kubelet";

/// Retries every pod that is not Ready, because the registry changed.
pub(super) fn retry(cluster: &mut Cluster) {
    let waiting = cluster.index.all_pods().filter(|(_, pod)| pod.is_active() && !pod.is_ready());
    for key in waiting.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
        cluster.make_due(key);
    }
}

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(uid) = cluster.index.get(key).map(|entry| entry.uid.clone()) else {
        return;
    };
    let Some(pod) = cluster.get(key) else {
        return;
    };
    if let Some(deletion) = time(&pod["metadata"]["deletionTimestamp"]) {
        return end(cluster, key, &pod, deletion);
    }
    let phase = pod["status"]["phase"].as_str();
    // Tests put running pods without container statuses. There is nothing to do for them.
    let is_bare = phase == Some("Running") && pod["status"]["containerStatuses"].as_array().is_none_or(Vec::is_empty);
    if matches!(phase, Some("Succeeded" | "Failed")) || is_bare || cluster.broken.contains(&uid) {
        return;
    }
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return scheduler::schedule(cluster, key, &pod);
    }
    let status = next_status(cluster, key, &pod);
    if status != pod["status"] {
        cluster.change_status(key, KUBELET, |pod| pod["status"] = status.clone());
    }
}

/// Writes the images of a node into its status.
pub(super) fn report_images(cluster: &mut Cluster, key: &Key) {
    let images = nodes::images(cluster.caches.of(&key.name));
    cluster.change_status(key, KUBELET, |node| node["status"]["images"] = images.clone());
}

/// Removes a deleted pod once its containers have stopped, at the latest after its grace period.
fn end(cluster: &mut Cluster, key: &Key, pod: &Value, deletion: Time) {
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().and_then(|grace| u32::try_from(grace).ok());
    let asked = deletion.minus(grace.unwrap_or(0));
    let runs = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut running = runs.filter(|status| status["state"].get("running").is_some());
    let stop = if running.next().is_none() { 0 } else { cluster.timings.stop };
    let end = deletion.min(asked.plus(stop));
    if end <= cluster.now {
        // A finalizer keeps the object until its owner has processed it.
        if pod["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            cluster.remove_pod(key);
        }
    } else {
        cluster.wake(key, end);
    }
}

/// The status that the kubelet writes for a pod now.
fn next_status(cluster: &mut Cluster, key: &Key, pod: &Value) -> Value {
    let mut status = pod["status"].clone();
    if status["containerStatuses"].as_array().is_none_or(Vec::is_empty) {
        admit(cluster, pod, &mut status);
    }
    let started = time(&status["startTime"]).unwrap_or(cluster.now);
    let never_restarts = pod["spec"]["restartPolicy"].as_str() == Some("Never");
    for (field, statuses) in CONTAINERS {
        for spec in pod["spec"][field].as_array().into_iter().flatten() {
            let known = status[statuses].as_array().into_iter().flatten();
            let Some(index) = known.clone().position(|status| status["name"] == spec["name"]) else {
                continue;
            };
            let container = Container {
                spec,
                node: pod["spec"]["nodeName"].as_str().unwrap_or_default(),
                started,
                is_init: field == "initContainers" && spec["restartPolicy"] != "Always",
                never_restarts,
            };
            let (next, due) = containers::next(cluster, &container, &status[statuses][index]);
            status[statuses][index] = next;
            if let Some(due) = due {
                cluster.wake(key, due);
            }
        }
    }
    summarize(cluster.now, pod, &mut status);
    status
}

/// The first status: the pod is on its node, and its containers wait.
fn admit(cluster: &Cluster, pod: &Value, status: &mut Value) {
    let mut random = Random::of(&format!("{}", pod["metadata"]["uid"]));
    let ip = format!("10.{}.{}.{}", 2 + random.below(250), random.below(256), 1 + random.below(254));
    let mut node = Random::of(&format!("{}", pod["spec"]["nodeName"]));
    let host = format!("10.1.{}.{}", node.below(256), 1 + node.below(254));
    for (field, statuses) in CONTAINERS {
        let specs = pod["spec"][field].as_array().into_iter().flatten();
        let list: Vec<Value> = specs.map(containers::waiting).collect();
        if !list.is_empty() {
            status[statuses] = list.into();
        }
    }
    status["startTime"] = cluster.now.to_string().into();
    status["hostIP"] = host.as_str().into();
    status["hostIPs"] = json!([{"ip": host}]);
    status["podIP"] = ip.as_str().into();
    status["podIPs"] = json!([{"ip": ip}]);
}

/// Sets phase and conditions, which depend on the containers.
fn summarize(now: Time, pod: &Value, status: &mut Value) {
    let list = |field: &str| status[field].as_array().cloned().unwrap_or_default();
    let containers = list("containerStatuses");
    let runs = containers.iter().all(|status| status["state"].get("waiting").is_none_or(|_| has_run(status)));
    let unready: Vec<&str> = containers
        .iter()
        .filter(|status| status["ready"] != true)
        .filter_map(|status| status["name"].as_str())
        .collect();
    let is_ready = unready.is_empty();
    let problem = format!("containers with unready status: [{}]", unready.join(" "));
    let initialized = list("initContainerStatuses").iter().all(|status| status["ready"] == true);
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    for (kind, holds) in [
        ("PodReadyToStartContainers", true),
        ("Initialized", initialized),
        ("Ready", is_ready),
        ("ContainersReady", is_ready),
        ("PodScheduled", true),
    ] {
        let value = if holds { "True" } else { "False" };
        let known = conditions.iter().position(|known| known["type"] == kind);
        if known.is_some_and(|index| conditions[index]["status"] == value) {
            continue;
        }
        let mut condition = json!({
            "type": kind, "status": value, "observedGeneration": pod["metadata"]["generation"].as_u64().unwrap_or(1),
            "lastProbeTime": null, "lastTransitionTime": now.to_string(),
        });
        if !holds && kind != "Initialized" {
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = problem.as_str().into();
        }
        match known {
            Some(index) => conditions[index] = condition,
            None => conditions.push(condition),
        }
    }
    status["conditions"] = conditions.into();
    status["phase"] = if runs { "Running" } else { "Pending" }.into();
}

/// Whether a container that waits now has run before.
fn has_run(status: &Value) -> bool {
    status["restartCount"].as_u64().unwrap_or(0) > 0 || status["lastState"].get("terminated").is_some()
}
