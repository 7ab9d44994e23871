//! Workloads that are created and deleted in large numbers.

use serde_json::{Value, json};
use simulator::Resource;
use simulator::Store;

/// Deployments of one pod each, with their ReplicaSets.
pub struct Burst {
    store: Store,
    namespace: String,
    count: usize,
}

impl Burst {
    /// Puts `count` workloads into a namespace.
    pub fn put(store: &Store, namespace: &str, count: usize) -> Self {
        for number in 0..count {
            for (resource, object) in objects(namespace, number) {
                store.put(resource, object);
            }
        }
        Self { store: store.clone(), namespace: namespace.to_owned(), count }
    }

    /// Deletes all of them.
    pub fn delete(self) {
        for number in 0..self.count {
            for (resource, object) in objects(&self.namespace, number) {
                assert!(self.store.delete(resource, &self.namespace, object["metadata"]["name"].as_str().unwrap()));
            }
        }
    }
}

/// A Deployment, its ReplicaSet and its pod. The order of their names has no pattern.
pub fn objects(namespace: &str, number: usize) -> [(Resource, Value); 3] {
    let time = "2026-11-21T12:00:00Z";
    let name = format!("burst-{:06}", number * 7919 % 1_000_003);
    let hash = format!("{number:010x}");
    let replica_set = format!("{name}-{hash}");
    let pod = format!("{replica_set}-{:05x}", number % 99_991);
    let uid = |kind: u8| format!("{kind:08x}-{:04x}-4000-8000-{number:012x}", namespace.len());
    let image = format!("registry.example/{namespace}/{name}:1");
    let digest = format!("{:064x}", number + 1);
    let owner = |kind: &str, name: &str, uid: String| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    let labels = json!({"app": name, "pod-template-hash": hash});
    let template =
        json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}});
    let mut hashed = template.clone();
    hashed["metadata"]["labels"] = labels.clone();
    let status = json!({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1});
    let metadata = |name: &str, uid: String| json!({"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": time, "generation": 1});
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&name, uid(1)),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}, "status": status,
    });
    deployment["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata(&replica_set, uid(2)),
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": hashed}, "status": {"replicas": 1},
    });
    set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
    set["metadata"]["ownerReferences"] = owner("Deployment", &name, uid(1));
    let mut instance = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(&pod, uid(3)),
        "spec": {"nodeName": format!("node-{}", number % 500), "containers": [{"name": "app", "image": image}]},
        "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}],
            "containerStatuses": [{
                "name": "app", "image": image, "imageID": format!("registry.example/{namespace}/{name}@sha256:{digest}"),
                "containerID": format!("containerd://{digest}"), "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": time}},
            }],
        },
    });
    instance["metadata"]["labels"] = labels;
    instance["metadata"]["ownerReferences"] = owner("ReplicaSet", &replica_set, uid(2));
    [(Resource::Deployments, deployment), (Resource::ReplicaSets, set), (Resource::Pods, instance)]
}
