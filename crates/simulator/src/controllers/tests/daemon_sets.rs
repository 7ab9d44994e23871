use super::{Bench, counts, workload};
use crate::resource::Resource::{ControllerRevisions, DaemonSets, Pods};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const V2: &str = "registry.example/web:v2";

fn bench(strategy: &Value) -> Bench {
    let mut object = workload("web", "registry.example/web:v1", &json!({"updateStrategy": strategy}));
    object["spec"].as_object_mut().unwrap().remove("replicas");
    let mut bench = Bench::new(vec![(DaemonSets, object)]);
    bench.run(30);
    assert_eq!(bench.images(), counts([("web:v1", 3)]));
    bench
}

#[test]
fn there_is_a_pod_on_each_node_and_updates_take_one_after_the_other() {
    let mut bench = bench(&json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}));
    let nodes: BTreeSet<String> =
        bench.pods().iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap().to_owned()).collect();
    assert_eq!(nodes.len(), 3);
    bench.set_image(DaemonSets, "web", V2);
    for _ in 0..60 {
        bench.run(1);
        let ready = bench.get(DaemonSets, "web")["status"]["numberReady"].as_i64().unwrap();
        assert!(ready >= 2, "{ready}");
    }
    assert_eq!(bench.images(), counts([("web:v2", 3)]));
    let status = bench.get(DaemonSets, "web")["status"].clone();
    assert_eq!((&status["updatedNumberScheduled"], &status["numberAvailable"]), (&json!(3), &json!(3)));
    let version = bench.store.version();
    bench.run(3600);
    assert_eq!(bench.store.version(), version);
}

/// Dumps of a cluster may lack the ControllerRevisions.
#[test]
fn pods_stay_if_revisions_are_unknown() {
    let old = bench(&json!({"type": "RollingUpdate"}));
    let mut objects = vec![(DaemonSets, old.get(DaemonSets, "web"))];
    for mut pod in old.store.list(Pods) {
        pod["metadata"]["labels"]["controller-revision-hash"] = "6d895c9fc9".into();
        objects.push((Pods, pod));
    }
    let mut bench = Bench::new(objects);
    bench.run(60);
    let names =
        |bench: &Bench| -> Vec<Value> { bench.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect() };
    assert_eq!(names(&bench), names(&old));
    assert_eq!(bench.store.list(ControllerRevisions)[0]["metadata"]["name"], "web-6d895c9fc9");
}

#[test]
fn a_surge_starts_the_new_pod_first() {
    let mut bench = bench(&json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}));
    bench.set_image(DaemonSets, "web", V2);
    for _ in 0..60 {
        bench.run(1);
        let images = bench.images();
        let ready: usize = images.iter().filter(|(image, _)| !image.ends_with('!')).map(|(_, count)| count).sum();
        assert!(ready >= 3, "{images:?}");
    }
    assert_eq!(bench.images(), counts([("web:v2", 3)]));
}

#[test]
fn on_delete_replaces_only_what_is_deleted() {
    let mut bench = bench(&json!({"type": "OnDelete"}));
    bench.set_image(DaemonSets, "web", V2);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 3)]));
    let pods = bench.store.list(Pods);
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    bench.delete_pod(name);
    bench.run(30);
    assert_eq!(bench.images(), counts([("web:v1", 2), ("web:v2", 1)]));
    let new = bench.pods().into_iter().find(|pod| pod["spec"]["containers"][0]["image"] == V2).unwrap();
    assert_eq!(new["spec"]["nodeName"], pods[0]["spec"]["nodeName"]);
}
