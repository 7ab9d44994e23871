//! The scheduler: assigns a node to each new pod.

use super::cluster::Cluster;
use super::index::Key;
use crate::random::Random;
use serde_json::{Value, json};

/// Binds a pod to a node. A DaemonSet's pod names the only node that it may run on.
pub(super) fn schedule(cluster: &mut Cluster, key: &Key, pod: &Value) {
    let node = match demanded_node(pod) {
        Some(node) => Some(node),
        None => least_loaded(cluster, key),
    };
    let now = cluster.now.to_string();
    let Some(node) = node else {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "observedGeneration": 1, "lastProbeTime": null,
            "lastTransitionTime": now, "reason": "Unschedulable", "message": "0/0 nodes are available.",
        });
        if pod["status"]["conditions"].as_array().is_none_or(Vec::is_empty) {
            cluster.change_status(key, "kube-scheduler", |pod| pod["status"]["conditions"] = json!([condition]));
        }
        return;
    };
    // A binding is one write, of the node and of the condition.
    cluster.bind(key, |pod| {
        pod["spec"]["nodeName"] = node.as_str().into();
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "True", "observedGeneration": 1, "lastProbeTime": null,
            "lastTransitionTime": now,
        }]);
    });
}

/// The node in the affinity that the DaemonSet controller gives its pods.
pub(super) fn demanded_node(pod: &Value) -> Option<String> {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let field = pod.pointer(&format!("{required}/nodeSelectorTerms/0/matchFields/0"))?;
    (field["key"] == "metadata.name").then(|| field["values"][0].as_str().map(str::to_owned))?
}

/// The node with the fewest pods of the same owner, then with the fewest pods.
fn least_loaded(cluster: &Cluster, key: &Key) -> Option<String> {
    let owner = cluster.index.get(key)?.controller.as_deref();
    let rank = |node: &&String| {
        let siblings = owner.map_or(0, |uid| cluster.index.siblings(uid, node));
        let tie = Random::of(&format!("{} {node}", key.name)).next();
        (siblings, cluster.index.load(node), tie)
    };
    cluster.nodes.iter().min_by_key(rank).cloned()
}
