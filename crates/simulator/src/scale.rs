//! `/scale`: current and wanted replicas of a workload.

use crate::defaults::Invalid;
use crate::resource::Resource;
use serde_json::{Value, json};

/// The Scale of an object.
pub(crate) fn of(resource: Resource, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let selector = &object["spec"]["selector"]["matchLabels"];
    let selector = selector.as_object().into_iter().flatten();
    let selector = selector.map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()));
    let mut status = json!({
        "replicas": object["status"]["replicas"].as_u64().unwrap_or(0),
        "selector": selector.collect::<Vec<_>>().join(","),
    });
    if resource == Resource::Rollouts
        && let Some(selector) = object["status"].get("selector")
    {
        status["selector"] = selector.clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_u64().unwrap_or(1)},
        "status": status,
    })
}

/// Applies a Scale to the object.
pub(crate) fn apply(scale: &Value, object: &mut Value) -> Result<(), Invalid> {
    match &scale["spec"]["replicas"] {
        // A missing number is 0, as in the API's own type.
        Value::Null => object["spec"]["replicas"] = 0.into(),
        Value::Number(number) if number.as_u64().is_some() => {
            object["spec"]["replicas"] = scale["spec"]["replicas"].clone();
        }
        other => return Err(Invalid::value("spec.replicas", other, "must be greater than or equal to 0")),
    }
    Ok(())
}
