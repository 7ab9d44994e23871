//! Creates pods, with what admission adds.

use super::cluster::Cluster;
use super::index::Key;
use crate::resource::Resource;
use crate::store::CreateError;
use serde_json::{Value, json};

/// Field manager of the built-in controllers.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// Seconds between a refused creation and the next attempt.
const RETRY_SECONDS: u32 = 10;

/// Makes an owner whose pod was refused due again later.
pub(super) fn try_again(cluster: &mut Cluster, key: &Key) {
    let at = cluster.now.plus(RETRY_SECONDS);
    cluster.wake(key, at);
}

/// How a new pod is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum PodName<'a> {
    /// A prefix and five random letters.
    Generated(&'a str),
    Exactly(&'a str),
}

/// Creates a pod from a template for the object that controls it. `complete` adds what is specific to this kind of owner.
///
/// # Errors
///
/// The API server's message, if it refuses the pod.
pub(super) fn create(
    cluster: &mut Cluster,
    owner: (&Key, &Value),
    template: &Value,
    name: PodName<'_>,
    complete: impl FnOnce(&mut Value),
) -> Result<(), String> {
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
    // The API server tries again a few times if a generated name is taken.
    let mut tries = if matches!(name, PodName::Exactly(_)) { 1 } else { 8 };
    loop {
        let name = match name {
            PodName::Exactly(name) => name.to_owned(),
            PodName::Generated(prefix) => {
                pod["metadata"]["generateName"] = prefix.into();
                format!("{prefix}{}", cluster.random.suffix())
            }
        };
        pod["metadata"]["name"] = name.as_str().into();
        tries -= 1;
        match cluster.create(Resource::Pods, pod.clone(), CONTROLLER_MANAGER) {
            Ok(()) => return Ok(()),
            Err(CreateError::Exists) if tries > 0 => {}
            Err(why @ CreateError::Exists) => return Err(format!("pods \"{name}\" {why}")),
            Err(why @ CreateError::ExceededQuota { .. }) => return Err(format!("pods \"{name}\" is forbidden: {why}")),
        }
    }
}

/// `metadata.ownerReferences` for what an object controls.
pub(super) fn owner_references(key: &Key, object: &Value) -> Value {
    json!([{
        "apiVersion": key.resource.api_version(), "kind": key.resource.kind(), "name": key.name,
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

/// Adds what the API server and admission add to a new pod.
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
