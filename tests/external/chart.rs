//! The chart as rendered by Helm, and the manifests that are generated from it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::programs;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub const CHART: &str = "deploy/helm/podskew";

/// A path of the package.
pub fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

pub fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Output of a program of `target/tools/install`, or its error.
pub fn ask(program: &str, arguments: &[&str], input: &[u8]) -> Result<String, String> {
    let remedy = "make target/tools/install/done";
    let output = programs::run(&path("target/tools/install").join(program), arguments, input, remedy);
    let printed = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(printed) } else { Err(printed + &said) }
}

/// The values files in `ci/`, one for each mode.
pub fn modes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path(CHART).join("ci")).unwrap();
    let mut modes: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    modes.sort();
    assert!(modes.len() >= 10, "{modes:?}");
    modes
}

/// Rendering of a chart with release name and namespace `podskew`, or Helm's error. The pods of `helm test` are excluded.
pub fn template_of(helm: &str, chart: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut all = vec!["template", "podskew", chart.to_str().unwrap(), "--namespace", "podskew", "--skip-tests"];
    all.extend(arguments);
    ask(helm, &all, b"")
}

#[track_caller]
pub fn rendered(arguments: &[&str]) -> String {
    template_of("helm", &path(CHART), arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// Rendering of the chart in a mode.
#[track_caller]
pub fn rendered_in(mode: &Path) -> Vec<Value> {
    objects(&rendered(&["--values", mode.to_str().unwrap()]))
}

/// The objects of a manifest, sorted.
#[track_caller]
pub fn objects(manifest: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(manifest).unwrap_or_else(|error| panic!("{error}"));
    objects.retain(|object| !object.is_null());
    objects.sort_by_key(|object| {
        let meta = &object["metadata"];
        format!("{} {} {}", object["kind"], meta["namespace"], meta["name"])
    });
    objects
}

pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[track_caller]
pub fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "one {kind} of {objects:?}");
    found[0]
}

/// podskew's own container of the Deployment.
#[track_caller]
pub fn container(objects: &[Value]) -> &Value {
    let containers = the(objects, "Deployment").pointer("/spec/template/spec/containers").unwrap().as_array().unwrap();
    containers.iter().find(|container| container["name"] == "podskew").unwrap()
}

/// A list of strings.
pub fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().map(|text| text.as_str().unwrap()).collect()).unwrap_or_default()
}

/// A rendering without parts that only Helm uses, for the plain manifests.
pub fn plain(rendering: &str) -> String {
    let helms = ["# Source:", "helm.sh/chart:", "app.kubernetes.io/managed-by:", "---"];
    let documents = rendering.split("\n---\n").map(|document| {
        let lines = document.lines().filter(|line| !helms.iter().any(|start| line.trim_start().starts_with(start)));
        lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
    });
    documents.filter(|document| !document.is_empty()).collect::<Vec<_>>().join("\n---\n") + "\n"
}

/// The manifests outside the chart, by path: generated from the chart, with a line that says so.
pub fn manifests() -> [(&'static str, String); 6] {
    let base = plain(&rendered(&[]));
    let operator = ["--set", "serviceMonitor.enabled=true", "--set", "prometheusRule.enabled=true"];
    let shown = ["--show-only", "templates/servicemonitor.yaml", "--show-only", "templates/prometheusrule.yaml"];
    let monitoring = plain(&rendered(&[&operator[..], &shown[..]].concat()));
    let dashboards =
        plain(&rendered(&["--set", "dashboards.enabled=true", "--show-only", "templates/dashboards.yaml"]));
    // They belong to Grafana, in the namespace given by `kubectl -n`.
    let dashboards = dashboards.replace("\n  namespace: podskew\n", "\n");
    let tokens = [
        "--set",
        "auth.kubernetes.enabled=true,auth.kubernetes.readers[0].name=prometheus-k8s",
        "--set",
        "auth.kubernetes.readers[0].namespace=monitoring",
        "--show-only",
        "templates/reviews.yaml",
    ];
    let tokens = plain(&rendered(&tokens));
    // Helm sorts roles before bindings, regardless of their names.
    let of = |name: &str| {
        let documents = tokens.trim_end().split("\n---\n").filter(|document| document.contains(name));
        documents.collect::<Vec<_>>().join("\n---\n") + "\n"
    };
    let namespace = read("deploy/kustomize/namespace.yaml");
    [
        ("deploy/kustomize/base/podskew.yaml", base.clone()),
        ("deploy/kustomize/components/prometheus-operator/monitoring.yaml", monitoring),
        ("deploy/kustomize/components/auth-kubernetes/reviews.yaml", of("name: podskew-reviews")),
        ("deploy/kustomize/components/auth-kubernetes/readers.example.yaml", of("name: podskew-readers")),
        ("deploy/podskew.yaml", format!("{namespace}---\n{base}")),
        ("deploy/dashboards.yaml", dashboards),
    ]
    .map(|(file, text)| (file, format!("# Generated from the chart in {CHART}: make docs\n{text}")))
}
