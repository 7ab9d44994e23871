//! Every name that podskew or kubectl prints is accepted by audit, explain and diff, for each kind that podskew can print.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

/// Kinds whose pods podskew counts: API version, kind, and whether there is a ReplicaSet between.
const OWNERS: [(&str, &str, bool); 12] = [
    ("apps/v1", "Deployment", true),
    ("extensions/v1beta1", "Deployment", true),
    ("apps/v1", "StatefulSet", false),
    ("apps/v1", "DaemonSet", false),
    ("extensions/v1beta1", "ReplicaSet", false),
    ("v1", "ReplicationController", false),
    ("batch/v1", "Job", false),
    ("argoproj.io/v1alpha1", "Rollout", true),
    ("argoproj.io/v1alpha1", "Experiment", true),
    ("argoproj.io/v1alpha1", "Workflow", false),
    ("apps.kruise.io/v1alpha1", "StatefulSet", false),
    ("v1", "Service", false),
];

/// Names in kubectl's output, and names that users type.
const PRINTED: [&str; 12] = [
    "deployment.apps/w0",
    "deployment.extensions/w1",
    "statefulset.apps/w2",
    "daemonset.extensions/w3",
    "replicaset.extensions/w4",
    "replicationcontroller/w5",
    "job.batch/w6",
    "rollout.argoproj.io/w7",
    "experiment.argoproj.io/w8",
    "workflow.argoproj.io/w9",
    "statefulsets.apps.kruise.io/w10",
    "services/w11",
];

fn dump() -> Value {
    let reference = |version: &str, kind: &str, name: &str| json!([{"apiVersion": version, "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true}]);
    let labels = json!({"pod-template-hash": "h", "controller-revision-hash": "h", "rollouts-pod-template-hash": "h"});
    let mut items = Vec::new();
    for (number, (version, kind, by_replica_set)) in OWNERS.into_iter().enumerate() {
        let name = format!("w{number}");
        let mut owner = reference(version, kind, &name);
        if by_replica_set {
            let set = format!("{name}-h");
            items.push(json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": set, "namespace": "shop", "uid": format!("ReplicaSet-{set}"),
                    "creationTimestamp": "2026-11-30T08:00:00Z", "labels": labels, "ownerReferences": owner},
                "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "i"}]}}}
            }));
            owner = reference("apps/v1", "ReplicaSet", &set);
        }
        items.push(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{number}"), "namespace": "shop", "uid": format!("pod-{number}"),
                "creationTimestamp": "2026-11-30T08:00:00Z", "labels": labels, "ownerReferences": owner},
            "spec": {"containers": [{"name": "a", "image": "i"}]}, "status": {"phase": "Running"}
        }));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn podskew(command: &str, file: &str, arguments: &[&str]) -> Output {
    let mut podskew = Command::new(env!("CARGO_BIN_EXE_podskew"));
    podskew.args([command, "-A", "-f", file, "--workload-kind", "Workflow.argoproj.io", "--workload-kind", "Service"]);
    podskew.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

#[test]
fn every_printed_name_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.json");
    std::fs::write(&file, dump().to_string()).unwrap();
    let file = file.to_str().unwrap();
    let all = podskew("audit", file, &["--jobs", "-o", "json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let name = |workload: &Value| {
        format!("{}/{}", workload["workload_type"].as_str().unwrap(), workload["workload"].as_str().unwrap())
    };
    let printed: BTreeSet<String> = all["workloads"].as_array().unwrap().iter().map(name).collect();
    let expected = [
        "daemonset/w3",
        "deployment/w0",
        "deployment/w1",
        "experiment/w8",
        "job/w6",
        "replicaset/w4",
        "replicationcontroller/w5",
        "rollout/w7",
        "service/w11",
        "statefulset.apps.kruise.io/w10",
        "statefulset/w2",
        "workflow/w9",
    ];
    assert_eq!(printed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    for name in printed.iter().map(String::as_str).chain(PRINTED) {
        for command in ["audit", "explain", "diff"] {
            let output = podskew(command, file, &[name]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match (command, name.split(['/', '.']).next().unwrap()) {
                // The name is found, but the kind has only one template.
                ("diff", "deployment" | "daemonset" | "rollout" | "experiment") => {
                    assert!(said.contains(" has no template "), "{command} {name}: {said}");
                }
                ("diff", "statefulset") if !name.contains("kruise") => {
                    assert!(said.contains(" has no template "), "{command} {name}: {said}");
                }
                ("diff", _) => assert!(said.contains(" keeps no templates to compare"), "{command} {name}: {said}"),
                _ => assert!(output.status.code() != Some(2) && said.is_empty(), "{command} {name}: {said}"),
            }
        }
    }
    // Templates of an Experiment are compared by their hashes.
    let two = podskew("diff", file, &["experiment/w8", "h", "h"]);
    assert_eq!((two.status.code(), String::from_utf8_lossy(&two.stderr).as_ref()), (Some(0), ""));
}
