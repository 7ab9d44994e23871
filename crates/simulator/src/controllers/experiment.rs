//! The controller of Argo Experiments, which run pods of some templates for some time. Analyses are not simulated.

use super::canary::seconds;
use super::cluster::Cluster;
use super::index::{Key, time};
use super::rollout::{ARGO, SCALE_DOWN_DEADLINE};
use super::sets::{self, Set, template_hash};
use crate::resource::Resource;
use crate::time::Time;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TEMPLATE_NAME: &str = "experiment.argoproj.io/template-name";
const EXPERIMENT_NAME: &str = "experiment.argoproj.io/name";

pub(super) fn reconcile(cluster: &mut Cluster, key: &Key) {
    let Some(object) = cluster.get(key) else {
        return;
    };
    let Some(uid) = object["metadata"]["uid"].as_str().map(str::to_owned) else {
        return;
    };
    let mut status = if object["status"].is_object() { object["status"].clone() } else { json!({}) };
    let sets = sets::of_owner(cluster, &uid);
    let is_ending = is_ending(&object);
    let mut templates = Vec::new();
    for template in object["spec"]["templates"].as_array().into_iter().flatten() {
        let set = sets.iter().find(|set| set.annotation(TEMPLATE_NAME) == template["name"].as_str());
        templates.push(reconcile_template(cluster, (key, &object), template, set, is_ending));
    }
    advance(cluster, key, &object, &templates, &mut status);
    status["templateStatuses"] = templates.into();
    if status != object["status"] {
        cluster.change_status(key, ARGO.manager, |object| object["status"] = status.clone());
    }
}

fn is_over(status: &Value) -> bool {
    matches!(status.as_str(), Some("Successful" | "Failed" | "Error" | "Inconclusive"))
}

/// Whether it was terminated, is over, or one of its templates failed.
fn is_ending(object: &Value) -> bool {
    let templates = object["status"]["templateStatuses"].as_array().into_iter().flatten();
    let mut failed = templates.filter(|template| matches!(template["status"].as_str(), Some("Failed" | "Error")));
    object["spec"]["terminate"] == true || is_over(&object["status"]["phase"]) || failed.next().is_some()
}

/// When the pods will have been available for `spec.duration`.
fn end(object: &Value) -> Option<Time> {
    let since = time(&object["status"]["availableAt"])?;
    seconds(&object["spec"]["duration"]).map(|duration| since.plus(duration))
}

/// Scales the ReplicaSet of a template, and returns the template's status.
fn reconcile_template(
    cluster: &mut Cluster,
    owner: (&Key, &Value),
    template: &Value,
    set: Option<&Set>,
    is_ending: bool,
) -> Value {
    let (key, object) = owner;
    let name = &template["name"];
    let known = object["status"]["templateStatuses"].as_array().into_iter().flatten();
    let before = known.clone().find(|known| known["name"] == *name).cloned().unwrap_or_else(|| json!({"name": name}));
    let mut status = before.clone();
    let is_done = is_ending || is_over(&before["status"]);
    let replicas = template["replicas"].as_i64().and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(1);
    let wanted = if is_done { 0 } else { replicas };
    let now = cluster.now.to_string();
    let Some(set) = set else {
        if !is_done {
            create(cluster, key, object, template);
            status["lastTransitionTime"] = now.into();
        }
        return complete(status, wanted, 0, is_ending, false, is_late(cluster, object, &before));
    };
    let size = if wanted == 0 { keep_until_deadline(cluster, object, key, set) } else { wanted };
    if set.wanted() != size {
        sets::scale(cluster, set, size, &BTreeMap::new(), ARGO);
    }
    if set.wanted() != wanted {
        status["lastTransitionTime"] = now.as_str().into();
    }
    for (field, count) in [
        ("replicas", set.actual()),
        ("updatedReplicas", set.actual()),
        ("readyReplicas", set.ready()),
        ("availableReplicas", set.available()),
    ] {
        if status[field].as_i64().unwrap_or(0) != i64::from(count) {
            status["lastTransitionTime"] = now.as_str().into();
        }
        status[field] = count.into();
    }
    let is_through = end(object).is_some_and(|end| cluster.now > end);
    let is_late = is_late(cluster, object, &status);
    complete(status, wanted, set.available(), is_ending, is_through, is_late)
}

/// Whether the pods of a template have made no progress for too long.
fn is_late(cluster: &mut Cluster, object: &Value, status: &Value) -> bool {
    let deadline = object["spec"]["progressDeadlineSeconds"].as_u64().unwrap_or(600);
    let since = time(&status["lastTransitionTime"]).unwrap_or(cluster.now);
    cluster.now > since.plus(u32::try_from(deadline).unwrap_or(u32::MAX))
}

fn complete(mut status: Value, wanted: i32, available: i32, is_ending: bool, is_through: bool, is_late: bool) -> Value {
    if is_over(&status["status"]) {
        return status;
    }
    status["status"] = if wanted == available {
        if is_through || is_ending { "Successful" } else { "Running" }
    } else if is_late {
        "Failed"
    } else if is_ending {
        "Successful"
    } else {
        "Progressing"
    }
    .into();
    status
}

/// Size of a ReplicaSet that will be removed: unchanged until its deadline, then zero.
fn keep_until_deadline(cluster: &mut Cluster, object: &Value, key: &Key, set: &Set) -> i32 {
    if set.wanted() == 0 {
        return 0;
    }
    let delay = object["spec"]["scaleDownDelaySeconds"].as_u64().and_then(|delay| u32::try_from(delay).ok());
    let delay = delay.unwrap_or(30);
    let known = set.annotation(SCALE_DOWN_DEADLINE).and_then(Time::parse);
    let deadline = known.unwrap_or_else(|| cluster.now.plus(delay));
    if known.is_none() && delay > 0 {
        cluster.change(&set.key, ARGO.manager, |set| {
            set["metadata"]["annotations"][SCALE_DOWN_DEADLINE] = deadline.to_string().into();
        });
    }
    if deadline <= cluster.now {
        return 0;
    }
    cluster.wake(key, deadline);
    set.wanted()
}

fn create(cluster: &mut Cluster, key: &Key, object: &Value, template: &Value) {
    let mut pods = template["template"].clone();
    let hash = template_hash(&pods, 0);
    pods["metadata"]["labels"][ARGO.hash_label] = hash.as_str().into();
    let mut selector = template["selector"].clone();
    selector["matchLabels"][ARGO.hash_label] = hash.as_str().into();
    let template_name = template["name"].as_str().unwrap_or_default();
    let set = json!({
        "metadata": {
            "name": format!("{}-{template_name}", key.name), "namespace": key.namespace,
            "labels": pods["metadata"]["labels"],
            "annotations": {EXPERIMENT_NAME: key.name, TEMPLATE_NAME: template_name},
            "ownerReferences": super::pods::owner_references(key, object),
        },
        "spec": {
            "replicas": 0, "minReadySeconds": template["minReadySeconds"].as_i64().unwrap_or(0), "selector": selector,
            "template": pods,
        },
        "status": {"replicas": 0},
    });
    // If the name is taken, the ReplicaSet belongs to another controller.
    let _ = cluster.create(Resource::ReplicaSets, set, ARGO.manager);
}

/// Sets phase, `availableAt` and conditions, which depend on the templates.
fn advance(cluster: &mut Cluster, key: &Key, object: &Value, templates: &[Value], status: &mut Value) {
    let any = |kind: &str| templates.iter().any(|template| template["status"] == kind);
    if !is_over(&status["phase"]) {
        let is_new = status["phase"].as_str().is_none_or(str::is_empty);
        let phase = if is_new || (any("Progressing") && !any("Failed")) {
            "Pending"
        } else if any("Failed") {
            "Failed"
        } else if any("Running") {
            "Running"
        } else {
            "Successful"
        };
        if phase == "Running" && status["availableAt"].is_null() {
            status["availableAt"] = cluster.now.to_string().into();
        }
        status["phase"] = phase.into();
        if is_new {
            cluster.make_due(key.clone());
        }
    }
    let (condition, reason, message) = match status["phase"].as_str() {
        Some("Pending") => ("True", "NewReplicaSetCreated", format!("Experiment \"{}\" is progressing.", key.name)),
        Some("Running") => ("True", "NewReplicaSetAvailable", format!("Experiment \"{}\" is running.", key.name)),
        _ => {
            ("False", "ExperimentCompleted", format!("Experiment \"{}\" has successfully ran and completed.", key.name))
        }
    };
    let known = Some(&status["conditions"]).filter(|known| known.is_array()).and_then(super::cluster::typed);
    let mut conditions = super::conditions::Conditions::new(known, cluster.now);
    conditions.set(super::conditions::condition("Progressing", condition, reason, &message));
    status["conditions"] = serde_json::to_value(conditions.list()).unwrap_or_default();
    let mut wanted = object.clone();
    wanted["status"] = status.clone();
    if let Some(end) = end(&wanted).filter(|_| !is_over(&status["phase"])) {
        cluster.wake(key, end.plus(1));
    }
}
