//! Discovery: which groups, versions and resources there are.

use super::encoded::names;
use crate::resource::Resource;
use serde_json::{Value, json};

/// What stands at a path of discovery, or `None` if nothing does.
pub(super) fn document(path: &str, serves_rollouts: bool) -> Option<Value> {
    let served = |resource: &Resource| serves_rollouts || *resource != Resource::Rollouts;
    match path.trim_end_matches('/') {
        "/version" => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-04-22T12:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
            "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        })),
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        "/apis" => {
            let mut groups = vec![group("apps", "v1")];
            if serves_rollouts {
                groups.push(group("argoproj.io", "v1alpha1"));
            }
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        path => {
            let here = |resource: &Resource| resource.api_path() == path && served(resource);
            let mut resources: Vec<Resource> = Resource::ALL.into_iter().filter(here).collect();
            resources.sort_by_key(|resource| resource.plural());
            let first = *resources.first()?;
            Some(json!({
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": names(first).api_version,
                "resources": resources.into_iter().flat_map(entries).collect::<Vec<Value>>(),
            }))
        }
    }
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

/// A resource and its subresources.
fn entries(resource: Resource) -> Vec<Value> {
    let (plural, kind) = (resource.plural(), names(resource).kind);
    let subresource = |name: &str, also: Value| {
        let mut entry = json!({
            "name": format!("{plural}/{name}"), "singularName": "", "namespaced": true, "kind": kind,
            "verbs": ["get", "patch", "update"],
        });
        if let (Some(entry), Value::Object(also)) = (entry.as_object_mut(), also) {
            entry.extend(also);
        }
        entry
    };
    let mut entry = json!({
        "name": plural, "singularName": kind.to_lowercase(), "namespaced": true, "kind": kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "storageVersionHash": "AAAAAAAAAAA=",
    });
    let Some(short_name) = resource.short_name() else {
        return vec![entry];
    };
    entry["shortNames"] = json!([short_name]);
    entry["categories"] = json!(["all"]);
    let mut entries = vec![entry];
    if resource.is_scalable() {
        entries.push(subresource("scale", json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})));
    }
    entries.push(subresource("status", json!({})));
    entries
}
