//! Takes over a cluster as it stands: its images, its broken pods, and facts that only its first state shows.

use super::cluster::Cluster;
use super::images::{ImageReference, Trouble};
use super::index::{Key, Phase, PodFacts, time};
use crate::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Where a pod has containers, and where the status of each stands.
pub(super) const CONTAINERS: [(&str, &str); 2] =
    [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")];

impl Cluster {
    /// Learns from the pods that are there at the start what the nodes have pulled, what the registry holds, and which
    /// images are broken.
    pub(super) fn learn(&mut self) {
        let pods = self.index.all_pods();
        let mut pods: Vec<(Key, Arc<PodFacts>)> = pods.map(|(key, pod)| (key.clone(), pod.clone())).collect();
        // What was pulled last is what a tag stands for.
        pods.sort_by_key(|(_, facts)| facts.created);
        let (mut healthy, mut broken) = (HashSet::new(), Vec::new());
        for (key, facts) in &pods {
            let Some(pod) = self.get(key) else {
                continue;
            };
            if !facts.node.is_empty() {
                self.nodes.insert(facts.node.clone());
            }
            self.learn_images(facts, &pod);
            let ready = statuses(&pod).filter(|status| status["ready"] == true);
            healthy.extend(ready.filter_map(|status| status["image"].as_str()).map(str::to_owned));
            let waited = self.now.since(time(&pod["status"]["startTime"]).unwrap_or(facts.created));
            let is_late = waited > self.timings.creating + self.timings.ready + 60;
            if facts.is_active() && facts.phase == Phase::Running && !facts.is_ready() && is_late {
                self.broken.insert(self.index.get(key).map(|entry| entry.uid.clone()).unwrap_or_default());
                broken.push(key);
            }
        }
        for key in broken {
            let pod = self.get(key).unwrap_or_default();
            self.learn_troubles(&pod, &healthy);
        }
        self.learn_daemon_nodes();
        self.learn_step_hashes();
    }

    fn learn_step_hashes(&mut self) {
        for key in self.index.keys(Resource::Rollouts).cloned().collect::<Vec<_>>() {
            let rollout = self.get(&key).unwrap_or_default();
            let steps = rollout.pointer("/spec/strategy/canary/steps").and_then(Value::as_array);
            let (uid, status) = (rollout["metadata"]["uid"].as_str(), &rollout["status"]);
            if let Some(uid) = uid.filter(|_| status["currentPodHash"].is_string()) {
                let theirs = status["currentStepHash"].as_str().unwrap_or_default().to_owned();
                let ours = super::canary::step_hash(steps.map_or(&[], Vec::as_slice));
                self.step_hashes.insert(uid.to_owned(), (theirs, ours));
            }
        }
    }

    fn learn_images(&mut self, facts: &PodFacts, pod: &Value) {
        for status in statuses(pod) {
            let name = &status["name"];
            let mut containers =
                CONTAINERS.into_iter().flat_map(|(field, _)| pod["spec"][field].as_array().into_iter().flatten());
            let Some(reference) =
                containers.find(|container| container["name"] == *name).and_then(|c| c["image"].as_str())
            else {
                continue;
            };
            let digest = status["imageID"].as_str().and_then(|id| Some(id.rsplit_once('@')?.1));
            match digest {
                Some(digest) => {
                    self.caches.add(&facts.node, reference, digest);
                    if ImageReference::parse(reference).digest.is_none() {
                        self.registry.push(reference, digest);
                    }
                }
                None if facts.lacks_image && waits_for_image(status) => self.registry.remove(reference),
                None => {}
            }
        }
    }

    /// New pods of an image none of whose pods is Ready do not fare better.
    fn learn_troubles(&mut self, pod: &Value, healthy: &HashSet<String>) {
        for status in statuses(pod).filter(|status| status["ready"] != true) {
            let Some(image) = status["image"].as_str().filter(|image| !healthy.contains(*image)) else {
                continue;
            };
            let crashes = status.pointer("/state/waiting/reason").is_some_and(|reason| reason == "CrashLoopBackOff");
            let trouble = if crashes { Trouble::Crashes } else { Trouble::NeverReady };
            self.registry.set_trouble(image, Some(trouble));
        }
    }

    fn learn_daemon_nodes(&mut self) {
        for key in self.index.keys(Resource::DaemonSets).cloned().collect::<Vec<_>>() {
            let Some(uid) = self.index.get(&key).map(|entry| entry.uid.clone()) else {
                continue;
            };
            let Some(set) = self.get(&key) else {
                continue;
            };
            let mut nodes: BTreeSet<String> =
                self.index.pods(&uid).into_iter().map(|(_, pod)| pod.node.clone()).collect();
            nodes.remove("");
            let wanted = set["status"]["desiredNumberScheduled"].as_u64().unwrap_or(0);
            for node in &self.nodes {
                if nodes.len() as u64 >= wanted {
                    break;
                }
                nodes.insert(node.clone());
            }
            if wanted > 0 {
                self.daemon_nodes.insert(uid, nodes);
            }
        }
    }
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    CONTAINERS.into_iter().flat_map(|(_, field)| pod["status"][field].as_array().into_iter().flatten())
}

fn waits_for_image(status: &Value) -> bool {
    let reason = status.pointer("/state/waiting/reason").and_then(Value::as_str).unwrap_or_default();
    matches!(reason, "ErrImagePull" | "ImagePullBackOff")
}
