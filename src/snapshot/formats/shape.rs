//! Recognizes the kind of an object that does not state it, by fields that only this kind has, or by the name of its file.
//!
//! API servers omit `kind` in items of lists, and several clients omit it in every object.

use crate::objects::{Members, Resource, member, text_member};

/// The resource of an object without a kind, if its fields are unambiguous.
pub(super) fn by_fields(object: &[u8]) -> Option<Resource> {
    let (mut spec, mut status, mut data, mut revision) = (None, None, None, None);
    for (key, value) in Members::of(object) {
        match key {
            b"spec" => spec = Some(value),
            b"status" => status = Some(value),
            b"data" => data = Some(value),
            b"revision" => revision = Some(value),
            _ => {}
        }
    }
    text_member(object, &["metadata", "name"])?;
    if let (Some(data), Some(_), None) = (data, revision, spec) {
        return member(data, &["spec", "template"]).map(|_| Resource::ControllerRevisions);
    }
    let in_spec = |key: &str| spec.is_some_and(|spec| member(spec, &[key]).is_some());
    let in_status = |key: &str| status.is_some_and(|status| member(status, &[key]).is_some());
    let any = |holds: &dyn Fn(&str) -> bool, keys: &[&str]| keys.iter().any(|key| holds(key));
    if in_spec("containers") {
        let runs = in_spec("nodeName") || any(&in_status, &["phase", "podIP", "qosClass", "containerStatuses"]);
        return runs.then_some(Resource::Pods);
    }
    let selects = spec.is_some_and(|spec| {
        member(spec, &["selector", "matchLabels"]).is_some()
            || member(spec, &["selector", "matchExpressions"]).is_some()
    });
    // A Job and an OpenShift DeploymentConfig have a template and a selector, too.
    if !selects || any(&in_spec, &["completions", "parallelism", "backoffLimit", "triggers", "scaleStrategy"]) {
        return None;
    }
    let of_argo = any(&in_status, &["currentPodHash", "stableRS"])
        || spec.is_some_and(|spec| {
            member(spec, &["strategy", "canary"]).is_some() || member(spec, &["strategy", "blueGreen"]).is_some()
        });
    if of_argo {
        return Some(Resource::Rollouts);
    }
    if !in_spec("template") {
        return None;
    }
    if any(&in_status, &["desiredNumberScheduled", "numberMisscheduled", "currentNumberScheduled"]) {
        return Some(Resource::DaemonSets);
    }
    if in_spec("serviceName") || in_spec("podManagementPolicy") {
        return Some(Resource::StatefulSets);
    }
    let strategy = spec.and_then(|spec| text_member(spec, &["strategy", "type"]));
    if matches!(strategy, Some("RollingUpdate" | "Recreate")) {
        return Some(Resource::Deployments);
    }
    let is_plain = !in_spec("strategy") && !in_spec("updateStrategy");
    (is_plain && in_spec("replicas") && in_status("replicas")).then_some(Resource::ReplicaSets)
}

/// Whether an object without a kind is a node.
pub(super) fn is_node(object: &[u8]) -> bool {
    text_member(object, &["metadata", "name"]).is_some()
        && text_member(object, &["status", "nodeInfo", "kubeletVersion"]).is_some()
}

/// The resource in a path: `pods.json`, `core_v1_pods.json`, `cluster-resources/pods/default.json`.
pub(super) fn by_name(path: &str) -> Option<Resource> {
    let lower = path.to_ascii_lowercase();
    let mut parts = lower.rsplit(['/', '\\']);
    let file = parts.next()?;
    let stem = file.split('.').next().unwrap_or_default();
    let words = stem.rsplit(['_', '-']).take(1).chain([stem]);
    let of = |word: &str| {
        Resource::ALL
            .into_iter()
            .find(|resource| word == resource.plural() || word == resource.kind().to_ascii_lowercase())
    };
    // The nearest folder counts first: `pods/` has a file per namespace.
    words.chain(parts.take(2)).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::{by_fields, by_name};
    use crate::objects::Resource;
    use serde_json::{Value, json};

    #[test]
    fn fields_identify_each_kind() {
        for scenario in ["daemonset", "digest-skew", "paused", "statefulset-partition", "stuck"] {
            let path = format!("{}/tests/data/recordings/{scenario}.dump.json", env!("CARGO_MANIFEST_DIR"));
            let mut dump: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for object in dump["items"].as_array_mut().unwrap() {
                let kind = object["kind"].take();
                let found = by_fields(object.to_string().as_bytes());
                assert_eq!(found.map(Resource::kind), kind.as_str(), "{object}");
            }
        }
    }

    #[test]
    fn similar_kinds_are_not_confused() {
        let template = json!({"spec": {"containers": [{"name": "a"}]}});
        let selector = json!({"matchLabels": {"a": "b"}});
        for other in [
            json!({"metadata": {"name": "job"}, "spec": {"selector": selector, "template": template, "parallelism": 1}}),
            json!({"metadata": {"name": "rc"}, "spec": {"selector": {"a": "b"}, "template": template, "replicas": 1},
                "status": {"replicas": 1}}),
            json!({"metadata": {"name": "config"}, "data": {"a": "b"}}),
            json!({"metadata": {"name": "revision"}, "spec": {"containers": []}, "status": {"conditions": []}}),
            json!({"spec": {"containers": [], "nodeName": "x"}}),
            json!({"metadata": {"name": "service"}, "spec": {"selector": {"a": "b"}}}),
            json!({"level": "info"}),
            json!([]),
        ] {
            assert_eq!(by_fields(other.to_string().as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn names_tell_it_too() {
        for (path, expected) in [
            ("pods.json", Some(Resource::Pods)),
            ("bundle/cluster-resources/pods/default.json", Some(Resource::Pods)),
            ("resources/ns/shop/core_v1_pods.json", Some(Resource::Pods)),
            ("resources/ns/shop/apps_v1_replicasets.json", Some(Resource::ReplicaSets)),
            ("config/pod/shop/web-0.json", Some(Resource::Pods)),
            ("namespaces/shop/apps/Deployments.yaml", Some(Resource::Deployments)),
            ("events.json", None),
            ("podskew.json", None),
        ] {
            assert_eq!(by_name(path), expected, "{path}");
        }
    }
}
