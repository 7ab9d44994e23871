//! New pods, as their owners create them and admission completes them.

use super::cluster::Cluster;
use super::index::Key;
use crate::resource::Resource;
use serde_json::{Value, json};

/// The manager of what the built-in controllers write.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// How a new pod is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum PodName<'a> {
    /// A prefix and five random letters.
    Generated(&'a str),
    Exactly(&'a str),
}

/// Creates a pod of a template for the object that controls it. `complete` adds what only this kind of owner does.
pub(super) fn create(
    cluster: &mut Cluster,
    owner: (&Key, &Value),
    template: &Value,
    name: PodName<'_>,
    complete: impl FnOnce(&mut Value),
) -> bool {
    let (key, object) = owner;
    let mut pod = json!({
        "metadata": {"namespace": key.namespace, "ownerReferences": owner_references(key, object)},
        "spec": template["spec"],
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    });
    for field in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(field).filter(|value| !value.is_null()) {
            pod["metadata"][field] = value.clone();
        }
    }
    complete(&mut pod);
    admit(cluster, &mut pod);
    match name {
        PodName::Exactly(name) => {
            pod["metadata"]["name"] = name.into();
            cluster.create(Resource::Pods, pod, CONTROLLER_MANAGER)
        }
        PodName::Generated(prefix) => {
            pod["metadata"]["generateName"] = prefix.into();
            // The API server tries again a few times if a name is taken.
            (0..8).any(|_| {
                let suffix = cluster.random.suffix();
                pod["metadata"]["name"] = format!("{prefix}{suffix}").into();
                cluster.create(Resource::Pods, pod.clone(), CONTROLLER_MANAGER)
            })
        }
    }
}

/// `metadata.ownerReferences` of what an object controls.
pub(super) fn owner_references(key: &Key, object: &Value) -> Value {
    json!([{
        "apiVersion": key.resource.api_version(), "kind": key.resource.kind(), "name": key.name,
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

/// What the API server and admission add to a new pod.
fn admit(cluster: &Cluster, pod: &mut Value) {
    let namespace = pod["metadata"]["namespace"].clone();
    for webhook in cluster.webhooks.iter().filter(|webhook| webhook.namespace == namespace) {
        if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
            containers.push(webhook.container.clone());
        }
    }
    let tolerate = |what: &str| {
        json!({"key": format!("node.kubernetes.io/{what}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 300})
    };
    let defaults = json!({
        "serviceAccountName": "default", "serviceAccount": "default", "priority": 0, "enableServiceLinks": true,
        "preemptionPolicy": "PreemptLowerPriority", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30, "securityContext": {}, "schedulerName": "default-scheduler",
        "tolerations": [tolerate("not-ready"), tolerate("unreachable")],
    });
    for (field, value) in defaults.as_object().into_iter().flatten() {
        if pod["spec"].get(field).is_none_or(Value::is_null) {
            pod["spec"][field] = value.clone();
        }
    }
    let has_resources = |container: &Value| {
        let resources = &container["resources"];
        ["limits", "requests"].iter().any(|kind| resources[kind].as_object().is_some_and(|set| !set.is_empty()))
    };
    if pod["spec"]["containers"].as_array().into_iter().flatten().any(has_resources) {
        pod["status"]["qosClass"] = "Burstable".into();
    }
}
