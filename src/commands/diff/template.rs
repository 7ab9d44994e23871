//! Extracts the pod template from an object.

use crate::kinds::HASH_LABELS;
use serde_json::{Map, Value};

/// A label of DaemonSets' templates that counts generations; like [`HASH_LABELS`], it always differs.
const TEMPLATE_GENERATION: &str = "pod-template-generation";

/// Returns the pod template of a ReplicaSet, or the one in a ControllerRevision, without hash labels and empty values.
/// `None` if the object has none.
#[must_use]
pub fn pod_template(mut object: Value) -> Option<Value> {
    let holder = if object.get("data").is_some() { object.get_mut("data")? } else { &mut object };
    let Value::Object(mut template) = holder.get_mut("spec")?.get_mut("template")?.take() else {
        return None;
    };
    // A ControllerRevision stores its template as a patch.
    template.remove("$patch");
    if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
        if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
            labels.retain(|label, _| !HASH_LABELS.contains(&label.as_str()) && label != TEMPLATE_GENERATION);
            if labels.is_empty() {
                metadata.remove("labels");
            }
        }
        drop_absent(metadata);
        if metadata.is_empty() {
            template.remove("metadata");
        }
    }
    drop_absent(&mut template);
    Some(Value::Object(template))
}

/// Removes null and empty lists: a controller that compares templates treats them as absent.
fn drop_absent(map: &mut Map<String, Value>) {
    map.retain(|_, value| !matches!(value, Value::Null) && !value.as_array().is_some_and(Vec::is_empty));
    map.values_mut().for_each(drop_absent_below);
}

fn drop_absent_below(value: &mut Value) {
    match value {
        Value::Object(map) => drop_absent(map),
        Value::Array(items) => items.iter_mut().for_each(drop_absent_below),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::pod_template;
    use serde_json::{Value, json};

    #[test]
    fn hash_labels_and_empty_values_are_left_out() {
        let template = |labels: Value| {
            json!({
                "metadata": {"creationTimestamp": null, "labels": labels},
                "spec": {"containers": [{"name": "a", "env": [], "volumes": [{"emptyDir": {}}]}]}
            })
        };
        let bare = json!({"spec": {"containers": [{"name": "a", "volumes": [{"emptyDir": {}}]}]}});
        let replica_set = json!({"spec": {"template": template(json!({"pod-template-hash": "h"}))}});
        assert_eq!(pod_template(replica_set), Some(bare.clone()));
        let mut patch = template(json!({"controller-revision-hash": "h", "pod-template-generation": "1"}));
        patch["$patch"] = "replace".into();
        assert_eq!(pod_template(json!({"data": {"spec": {"template": patch}}})), Some(bare));
        let argo = json!({"spec": {"template": template(json!({"rollouts-pod-template-hash": "h", "app": "a"}))}});
        assert_eq!(pod_template(argo).unwrap()["metadata"], json!({"labels": {"app": "a"}}));
    }

    #[test]
    fn objects_without_a_template_have_none() {
        for object in
            [json!({}), json!({"spec": {}}), json!({"data": {}}), json!({"spec": {"template": null}}), json!(7)]
        {
            assert_eq!(pod_template(object), None);
        }
    }
}
