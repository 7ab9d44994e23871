//! Defaults and validation of the API server.

use crate::controllers::ImageReference;
use crate::resource::Resource;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::{self, Display};

/// One invalid field of an object, worded as by the API server: a cause of its `Status`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Invalid {
    pub(crate) field: String,
    /// `FieldValueRequired` or `FieldValueInvalid`.
    pub(crate) reason: &'static str,
    /// The message, without the field.
    pub(crate) message: String,
}

impl Invalid {
    fn required(field: impl Into<String>) -> Self {
        Self { field: field.into(), reason: "FieldValueRequired", message: "Required value".to_owned() }
    }

    /// An invalid value; `value` is JSON.
    pub(crate) fn value(field: impl Into<String>, value: impl Display, why: impl Display) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { field: field.into(), reason: "FieldValueInvalid", message }
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Fills in the defaults of the API.
pub(crate) fn fill(resource: Resource, object: &mut Value) {
    let spec = match resource {
        Resource::Pods => {
            fill_pod_spec(&mut object["spec"]);
            return;
        }
        Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets => {
            &mut object["spec"]
        }
        _ => return,
    };
    match resource {
        Resource::Deployments => {
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
            set(spec, "strategy", json!({"type": "RollingUpdate"}));
            set(&mut spec["strategy"], "type", json!("RollingUpdate"));
            if spec["strategy"]["type"] == "RollingUpdate" {
                set(&mut spec["strategy"], "rollingUpdate", json!({}));
                set(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
                set(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
            }
        }
        Resource::StatefulSets => {
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            set(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
            set(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
                set(&mut spec["updateStrategy"]["rollingUpdate"], "partition", json!(0));
            }
        }
        Resource::DaemonSets => {
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
            set(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
                set(&mut spec["updateStrategy"]["rollingUpdate"], "maxUnavailable", json!(1));
                set(&mut spec["updateStrategy"]["rollingUpdate"], "maxSurge", json!(0));
            }
        }
        _ => set(spec, "replicas", json!(1)),
    }
    fill_pod_spec(&mut spec["template"]["spec"]);
}

fn fill_pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let policy = ImageReference::parse(container["image"].as_str().unwrap_or_default()).default_pull_policy();
            set(container, "imagePullPolicy", json!(policy));
            set(container, "resources", json!({}));
            set(container, "terminationMessagePath", json!("/dev/termination-log"));
            set(container, "terminationMessagePolicy", json!("File"));
        }
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// All validation errors of an object that can be decoded as its kind.
pub(crate) fn check(resource: Resource, object: &Value, before: Option<&Value>) -> Vec<Invalid> {
    let mut invalid: Vec<Invalid> = name(&object["metadata"]["name"]).into_iter().collect();
    let spec = &object["spec"];
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        invalid.push(Invalid::value("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    let has_template = matches!(
        resource,
        Resource::Deployments | Resource::ReplicaSets | Resource::StatefulSets | Resource::DaemonSets
    );
    if has_template {
        let mut selector = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
        let labels = &spec["template"]["metadata"]["labels"];
        if selector.any(|(label, value)| labels.get(label) != Some(value)) {
            let why = "`selector` does not match template `labels`";
            invalid.push(Invalid::value("spec.template.metadata.labels", labels, why));
        }
        if before.is_some_and(|before| before["spec"]["selector"] != spec["selector"]) {
            invalid.push(Invalid::value("spec.selector", &spec["selector"], "field is immutable"));
        }
        containers(&spec["template"]["spec"], "spec.template.spec", &mut invalid);
    }
    if resource == Resource::Pods {
        containers(spec, "spec", &mut invalid);
    }
    invalid
}

fn containers(spec: &Value, path: &str, invalid: &mut Vec<Invalid>) {
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    if containers.is_empty() {
        invalid.push(Invalid::required(format!("{path}.containers")));
    }
    for (at, container) in containers.iter().enumerate() {
        let image = container["image"].as_str().unwrap_or_default();
        let field = format!("{path}.containers[{at}].image");
        if image.is_empty() {
            invalid.push(Invalid::required(field));
        } else if image.trim() != image {
            invalid.push(Invalid::value(field, json!(image), "must not have leading or trailing whitespace"));
        }
    }
}

/// Checks a name, which must be a DNS subdomain for all these kinds.
fn name(name: &Value) -> Option<Invalid> {
    let text = name.as_str().unwrap_or_default();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if plain && text.len() <= 253 && ends(text.as_bytes().first()) && ends(text.as_bytes().last()) {
        return None;
    }
    let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
               and end with an alphanumeric character";
    Some(Invalid::value("metadata.name", json!(text), why))
}

/// The first field that the kind does not have, for `fieldValidation=Strict`.
pub(crate) fn unknown_field(resource: Resource, object: &Value) -> Option<String> {
    fn lost(path: &str, given: &Value, known: &Value) -> Option<String> {
        match given {
            Value::Object(fields) => fields.iter().find_map(|(field, value)| {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                match known.get(field) {
                    Some(known) => lost(&path, value, known),
                    // Serializing a typed object may omit an empty field.
                    None => (!is_empty(value)).then_some(path),
                }
            }),
            Value::Array(items) => {
                let known = known.as_array().map_or(&[][..], Vec::as_slice);
                let pairs = items.iter().zip(known).enumerate();
                pairs.into_iter().find_map(|(at, (item, known))| lost(&format!("{path}[{at}]"), item, known))
            }
            _ => None,
        }
    }
    let known = decoded(resource, object).ok()??;
    lost("", object, &known)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether an object can be decoded as its kind, and if not, the error.
pub(crate) fn is_one(resource: Resource, object: &Value) -> Result<(), String> {
    decoded(resource, object).map(drop)
}

/// The object as its type serializes it; `None` for a custom resource, whose type is not known here.
fn decoded(resource: Resource, object: &Value) -> Result<Option<Value>, String> {
    fn decodes<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Option<Value>, String> {
        let decoded = T::deserialize(object).map_err(|error| error.to_string())?;
        serde_json::to_value(decoded).map(Some).map_err(|error| error.to_string())
    }
    match resource {
        Resource::Pods => decodes::<Pod>(object),
        Resource::ReplicaSets => decodes::<ReplicaSet>(object),
        Resource::Deployments => decodes::<Deployment>(object),
        Resource::StatefulSets => decodes::<StatefulSet>(object),
        Resource::DaemonSets => decodes::<DaemonSet>(object),
        Resource::ControllerRevisions => decodes::<ControllerRevision>(object),
        Resource::Jobs => decodes::<Job>(object),
        Resource::Events => decodes::<Event>(object),
        Resource::Nodes => decodes::<Node>(object),
        Resource::Rollouts | Resource::CloneSets | Resource::Experiments | Resource::AnalysisRuns => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageReference, check, fill, is_one, unknown_field};
    use crate::Resource;
    use serde_json::{Value, json};

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "r/web:1"}]}
                },
            },
        })
    }

    #[test]
    fn defaults_are_the_apis() {
        let mut object = deployment();
        fill(Resource::Deployments, &mut object);
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(object["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        let again = object.clone();
        fill(Resource::Deployments, &mut object);
        assert_eq!(object, again);
        for (image, policy) in [
            ("a/b", "Always"),
            ("h:5000/b:latest", "Always"),
            ("h:5000/b:1", "IfNotPresent"),
            ("b@sha256:aa", "IfNotPresent"),
        ] {
            assert_eq!(ImageReference::parse(image).default_pull_policy(), policy, "{image}");
        }
    }

    #[test]
    fn a_field_that_the_kind_does_not_have_is_named() {
        let mut object = deployment();
        fill(Resource::Deployments, &mut object);
        assert_eq!(unknown_field(Resource::Deployments, &object), None);
        object["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x".into();
        let unknown = unknown_field(Resource::Deployments, &object).unwrap();
        assert_eq!(unknown, "spec.template.spec.containers[0].imagee");
    }

    #[test]
    fn each_invalid_field_is_named_with_its_reason() {
        let before = deployment();
        assert_eq!(check(Resource::Deployments, &before, None), []);
        for (pointer, value, field, reason) in [
            ("/spec/replicas", json!(-1), "spec.replicas", "FieldValueInvalid"),
            ("/spec/template/metadata/labels/app", json!("api"), "spec.template.metadata.labels", "FieldValueInvalid"),
            (
                "/spec/template/spec/containers/0/image",
                json!(""),
                "spec.template.spec.containers[0].image",
                "FieldValueRequired",
            ),
            (
                "/spec/template/spec/containers/0/image",
                json!(" a"),
                "spec.template.spec.containers[0].image",
                "FieldValueInvalid",
            ),
            ("/spec/template/spec/containers", json!([]), "spec.template.spec.containers", "FieldValueRequired"),
            ("/metadata/name", json!("We b"), "metadata.name", "FieldValueInvalid"),
        ] {
            let mut object = deployment();
            object["spec"]["replicas"] = 1.into();
            *object.pointer_mut(pointer).unwrap() = value;
            let invalid = check(Resource::Deployments, &object, Some(&before));
            assert_eq!(invalid.iter().map(|it| (&*it.field, it.reason)).collect::<Vec<_>>(), [(field, reason)]);
        }
        let mut object = deployment();
        object["spec"]["replicas"] = (-1).into();
        object["spec"]["selector"]["matchLabels"]["app"] = "api".into();
        let invalid = check(Resource::Deployments, &object, Some(&before));
        assert_eq!(
            invalid.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
                "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"api\"}}: field is immutable",
            ]
        );
        object["spec"]["replicas"] = "two".into();
        assert!(is_one(Resource::Deployments, &object).unwrap_err().contains("invalid type"));
    }
}
