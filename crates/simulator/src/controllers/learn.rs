//! Reads the initial state of a cluster: its images, its broken pods, and facts that only this state shows.

use super::cluster::Cluster;
use super::images::Trouble;
use super::index::{Key, Phase, PodFacts, time};
use crate::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The fields of a pod that have its containers and their statuses.
pub(super) const CONTAINERS: [(&str, &str); 2] =
    [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")];

impl Cluster {
    /// Learns from the initial objects what the nodes have pulled, what the registry has, and which images are broken.
    pub(super) fn learn(&mut self) {
        self.learn_nodes();
        self.learn_templates();
        let pods = self.index.all_pods();
        let mut pods: Vec<(Key, Arc<PodFacts>)> = pods.map(|(key, pod)| (key.clone(), pod.clone())).collect();
        // A tag resolves to the digest that was pulled last.
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

    /// Reads the images from the status of nodes.
    fn learn_nodes(&mut self) {
        for key in self.index.keys(Resource::Nodes).cloned().collect::<Vec<_>>() {
            let node = self.get(&key).unwrap_or_default();
            for image in node["status"]["images"].as_array().into_iter().flatten() {
                let names: Vec<&str> =
                    image["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let Some((repository, digest)) = names.iter().find_map(|name| name.split_once('@')) else {
                    continue;
                };
                let tags = names.iter().filter(|name| !name.contains('@'));
                for name in std::iter::once(&&*format!("{repository}@{digest}")).chain(tags) {
                    self.caches.add(&key.name, name, digest);
                }
            }
        }
    }

    /// Pushes every image that a template, a revision or a webhook names.
    fn learn_templates(&self) {
        const TEMPLATES: [&str; 2] = ["/spec/template/spec", "/data/spec/template/spec"];
        for resource in Resource::ALL.into_iter().filter(|resource| *resource != Resource::Pods) {
            for key in self.index.keys(resource) {
                let object = self.get(key).unwrap_or_default();
                for spec in TEMPLATES.into_iter().filter_map(|pointer| object.pointer(pointer)) {
                    for container in CONTAINERS.into_iter().filter_map(|(field, _)| spec[field].as_array()).flatten() {
                        self.registry.push_any(container["image"].as_str().unwrap_or_default());
                    }
                }
            }
        }
        for webhook in &self.webhooks {
            self.registry.push_any(webhook.container["image"].as_str().unwrap_or_default());
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
                    self.registry.push(reference, digest);
                }
                None if facts.lacks_image && waits_for_image(status) => self.registry.remove(reference),
                None => {}
            }
        }
    }

    /// If no pod with an image is Ready, new pods with it will not be Ready either.
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
