use super::{Bench, counts, workload};
use crate::resource::Resource::{ControllerRevisions, Pods, StatefulSets};
use crate::store::Store;
use serde_json::{Value, json};

const V2: &str = "registry.example/web:v2";

fn bench(more: &Value) -> Bench {
    let mut object = workload("web", "registry.example/web:v1", more);
    object["spec"]["serviceName"] = "web".into();
    let mut bench = Bench::new(vec![(StatefulSets, object)]);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
    bench
}

fn revisions(store: &Store) -> Vec<(String, i64)> {
    let mut revisions: Vec<(String, i64)> = store
        .list(ControllerRevisions)
        .iter()
        .map(|revision| {
            let image = &revision["data"]["spec"]["template"]["spec"]["containers"][0]["image"];
            (image.as_str().unwrap().rsplit('/').next().unwrap().to_owned(), revision["revision"].as_i64().unwrap())
        })
        .collect();
    revisions.sort();
    revisions
}

fn image(bench: &Bench, pod: &str) -> String {
    bench.get(Pods, pod)["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[test]
fn pods_start_in_order_and_have_their_names() {
    let mut object = workload("web", "registry.example/web:v1", &json!({"serviceName": "web"}));
    object["spec"]["podManagementPolicy"] = "OrderedReady".into();
    let mut bench = Bench::new(vec![(StatefulSets, object)]);
    bench.run(5);
    assert_eq!(bench.store.count(Pods), 1);
    bench.run(60);
    let names: Vec<Value> = bench.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["web-0", "web-1", "web-2", "web-3"]);
    let set = bench.get(StatefulSets, "web");
    let labels = &bench.get(Pods, "web-2")["metadata"]["labels"];
    assert_eq!(labels["controller-revision-hash"], set["status"]["updateRevision"]);
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "web-2");
    assert_eq!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
    let mut parallel = workload("web", "registry.example/web:v1", &json!({"podManagementPolicy": "Parallel"}));
    parallel["spec"]["serviceName"] = "web".into();
    let mut bench = Bench::new(vec![(StatefulSets, parallel)]);
    bench.run(1);
    assert_eq!(bench.store.count(Pods), 4);
}

#[test]
fn an_update_goes_from_the_last_pod_to_the_first() {
    let mut bench = bench(&json!({}));
    bench.set_image(StatefulSets, "web", V2);
    bench.run(8);
    let status = bench.get(StatefulSets, "web")["status"].clone();
    assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(3), &json!(1)));
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    assert_eq!((image(&bench, "web-3"), image(&bench, "web-0")), (V2.to_owned(), "registry.example/web:v1".to_owned()));
    for _ in 0..60 {
        bench.run(1);
        assert!(bench.pods().len() >= 3);
    }
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
    let status = bench.get(StatefulSets, "web")["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(status["currentReplicas"], 4);
    let version = bench.store.version();
    bench.run(3600);
    assert_eq!(bench.store.version(), version);
}

#[test]
fn a_partition_keeps_old_pods_and_recreates_them_at_the_old_revision() {
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let mut bench = bench(&json!({"updateStrategy": strategy}));
    bench.set_image(StatefulSets, "web", V2);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 2), ("web:v2", 2)]));
    bench.delete_pod("web-0");
    bench.delete_pod("web-3");
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 2), ("web:v2", 2)]));
    bench.edit(StatefulSets, "web", |set| set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0.into());
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
}

#[test]
fn a_broken_pod_blocks_even_its_own_rollback_until_it_is_deleted() {
    let mut bench = bench(&json!({}));
    bench.controllers.registry().remove(V2);
    bench.set_image(StatefulSets, "web", V2);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2!", 1)]));
    bench.set_image(StatefulSets, "web", "registry.example/web:v1");
    bench.run(600);
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2!", 1)]), "the known behaviour of Kubernetes");
    assert_eq!(revisions(&bench.store), [("web:v1".to_owned(), 3), ("web:v2".to_owned(), 2)]);
    bench.delete_pod("web-3");
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
}

#[test]
fn on_delete_replaces_only_what_is_deleted() {
    let mut bench = bench(&json!({"updateStrategy": {"type": "OnDelete"}}));
    bench.set_image(StatefulSets, "web", V2);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
    bench.delete_pod("web-1");
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2", 1)]));
}

#[test]
fn it_scales_down_from_the_last_pod() {
    let mut bench = bench(&json!({}));
    bench.edit(StatefulSets, "web", |set| set["spec"]["replicas"] = 2.into());
    bench.run(30);
    let names: Vec<Value> = bench.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["web-0", "web-1"]);
    assert_eq!(bench.get(StatefulSets, "web")["status"]["replicas"], 2);
}
