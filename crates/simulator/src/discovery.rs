//! Discovery: groups, versions and resources.

use super::encoded::names;
use crate::resource::Resource;
use serde_json::{Value, json};

/// The discovery document at a path, or `None`.
pub(super) fn document(path: &str, serves_rollouts: bool) -> Option<Value> {
    let served = |resource: &Resource| serves_rollouts || !resource.is_custom();
    match path.trim_end_matches('/') {
        "/version" => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-04-22T12:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
            "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        })),
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        "/apis" => {
            let mut groups = vec![group("apps", "v1"), group("batch", "v1")];
            if serves_rollouts {
                groups.extend([group("argoproj.io", "v1alpha1"), group("apps.kruise.io", "v1alpha1")]);
            }
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        "/openapi/v3" => Some(openapi_index(serves_rollouts)),
        path if path.starts_with("/openapi/v3/") => openapi(&path["/openapi/v3".len()..], serves_rollouts),
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

fn served(serves_rollouts: bool) -> impl Iterator<Item = Resource> {
    Resource::ALL.into_iter().filter(move |resource| serves_rollouts || !resource.is_custom())
}

/// The index of OpenAPI documents, by group and version.
fn openapi_index(serves_rollouts: bool) -> Value {
    let mut paths = json!({});
    for path in served(serves_rollouts).map(Resource::api_path) {
        paths[path.trim_start_matches('/')] = json!({"serverRelativeURL": format!("/openapi/v3{path}")});
    }
    json!({"paths": paths})
}

/// The OpenAPI document of a group and version, as far as kubectl reads it before an edit: which kinds can be patched, and
/// that the server validates fields.
fn openapi(api_path: &str, serves_rollouts: bool) -> Option<Value> {
    let here: Vec<Resource> = served(serves_rollouts).filter(|resource| resource.api_path() == api_path).collect();
    let first = *here.first()?;
    let version = first.api_version().rsplit('/').next().unwrap_or_default();
    let mut paths = json!({});
    for resource in here {
        let scope = if resource.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        paths[format!("{api_path}{scope}/{}/{{name}}", resource.plural())]["patch"] = json!({
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string", "uniqueItems": true}}],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-group-version-kind": {
                "group": resource.group(), "version": version, "kind": resource.kind(),
            },
        });
    }
    Some(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths}))
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
            "name": format!("{plural}/{name}"), "singularName": "", "namespaced": resource.is_namespaced(), "kind": kind,
            "verbs": ["get", "patch", "update"],
        });
        if let (Some(entry), Value::Object(also)) = (entry.as_object_mut(), also) {
            entry.extend(also);
        }
        entry
    };
    let mut entry = json!({
        "name": plural, "singularName": kind.to_lowercase(), "namespaced": resource.is_namespaced(), "kind": kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "storageVersionHash": "AAAAAAAAAAA=",
    });
    if let Some(short_name) = resource.short_name() {
        entry["shortNames"] = json!([short_name]);
    }
    if matches!(resource, Resource::ControllerRevisions | Resource::Events) {
        return vec![entry];
    }
    if resource != Resource::Nodes {
        entry["categories"] = json!(["all"]);
    }
    let mut entries = vec![entry];
    if resource.is_scalable() {
        entries.push(subresource("scale", json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})));
    }
    entries.push(subresource("status", json!({})));
    entries
}
