use super::{Bench, counts, deployment};
use crate::resource::Resource::{Deployments, Pods, ReplicaSets};
use serde_json::{Value, json};

const V2: &str = "registry.example/web:v2";

fn sets(bench: &Bench) -> Vec<(String, i64, String)> {
    let mut sets: Vec<(String, i64, String)> = bench
        .store
        .list(ReplicaSets)
        .iter()
        .map(|set| {
            let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
            let revision = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap();
            (
                image.rsplit('/').next().unwrap().to_owned(),
                set["spec"]["replicas"].as_i64().unwrap(),
                revision.to_owned(),
            )
        })
        .collect();
    sets.sort();
    sets
}

fn set(image: &str, replicas: i64, revision: &str) -> (String, i64, String) {
    (image.to_owned(), replicas, revision.to_owned())
}

fn rolled_out(more: &Value) -> Bench {
    let mut bench = Bench::new(vec![deployment(more)]);
    bench.run(30);
    assert_eq!(bench.progressing("web"), "NewReplicaSetAvailable");
    bench
}

#[test]
fn a_new_deployment_gets_its_pods_and_then_stays_unchanged() {
    let bench = rolled_out(&json!({}));
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
    let deployment = bench.get(Deployments, "web");
    let status = &deployment["status"];
    assert_eq!(
        (&status["replicas"], &status["updatedReplicas"], &status["availableReplicas"], &status["observedGeneration"]),
        (&json!(4), &json!(4), &json!(4), &json!(1))
    );
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let version = bench.store.version();
    let mut bench = bench;
    bench.run(3600);
    assert_eq!(bench.store.version(), version, "nothing is written while nothing happens");
}

#[test]
fn a_rolling_update_keeps_its_bounds_and_its_reasons() {
    let mut bench = rolled_out(&json!({}));
    bench.set_image(Deployments, "web", V2);
    let mut reasons = vec![bench.progressing("web")];
    for _ in 0..60 {
        bench.run(1);
        let pods = bench.pods();
        assert!((3..=5).contains(&pods.len()), "{}", pods.len());
        let reason = bench.progressing("web");
        if reasons.last() != Some(&reason) {
            reasons.push(reason);
        }
    }
    assert_eq!(reasons, ["NewReplicaSetAvailable", "ReplicaSetUpdated", "NewReplicaSetAvailable"]);
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
    assert_eq!(sets(&bench), [set("web:v1", 0, "1"), set("web:v2", 4, "2")]);
    assert_eq!(bench.store.count(Pods), 4, "the old ones are gone");
}

#[test]
fn a_rollback_reuses_the_replica_set_and_gives_it_the_next_revision() {
    let mut bench = rolled_out(&json!({}));
    bench.set_image(Deployments, "web", V2);
    bench.run(60);
    bench.set_image(Deployments, "web", "registry.example/web:v1");
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
    assert_eq!(sets(&bench), [set("web:v1", 4, "3"), set("web:v2", 0, "2")]);
    let history =
        bench.store.list(ReplicaSets).into_iter().find_map(|set| {
            Some(set["metadata"]["annotations"].get("deployment.kubernetes.io/revision-history")?.clone())
        });
    assert_eq!(history.unwrap(), "1");
}

#[test]
fn an_image_that_cannot_be_pulled_exceeds_the_deadline_until_it_is_undone() {
    let mut bench = rolled_out(&json!({}));
    bench.controllers.registry().remove(V2);
    bench.set_image(Deployments, "web", V2);
    bench.run(590);
    assert_eq!(bench.progressing("web"), "ReplicaSetUpdated");
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2!", 2)]));
    bench.run(60);
    assert_eq!(bench.progressing("web"), "ProgressDeadlineExceeded");
    let waiting = bench
        .pods()
        .into_iter()
        .find_map(|pod| pod.pointer("/status/containerStatuses/0/state/waiting/reason").cloned());
    assert_eq!(waiting.unwrap(), "ImagePullBackOff");
    bench.set_image(Deployments, "web", "registry.example/web:v1");
    bench.run(30);
    assert_eq!(bench.progressing("web"), "NewReplicaSetAvailable");
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
}

#[test]
fn a_pause_holds_a_rollout_and_still_scales() {
    let mut bench = rolled_out(&json!({}));
    bench.set_image(Deployments, "web", V2);
    bench.run(2);
    bench.edit(Deployments, "web", |object| object["spec"]["paused"] = true.into());
    bench.run(700);
    assert_eq!(bench.progressing("web"), "DeploymentPaused");
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2", 2)]));
    bench.edit(Deployments, "web", |object| object["spec"]["replicas"] = 8.into());
    bench.run(30);
    assert_eq!(bench.images().values().sum::<usize>(), 10, "8 and the surge, in proportion");
    assert_eq!(bench.images(), counts([("web:v1", 6), ("web:v2", 4)]));
    bench.edit(Deployments, "web", |object| object["spec"]["paused"] = false.into());
    bench.controllers.tick(bench.now);
    bench.run(60);
    assert_eq!(bench.progressing("web"), "NewReplicaSetAvailable");
    assert_eq!(bench.images(), counts([("web:v2", 8)]));
}

#[test]
fn recreate_starts_new_pods_once_the_old_ones_are_gone() {
    let mut bench = rolled_out(&json!({"strategy": {"type": "Recreate"}}));
    bench.set_image(Deployments, "web", V2);
    for _ in 0..40 {
        bench.run(1);
        let images: Vec<String> = bench
            .store
            .list(Pods)
            .iter()
            .map(|pod| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned())
            .collect();
        assert!(images.windows(2).all(|two| two[0] == two[1]), "{images:?}");
    }
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
}

#[test]
fn pods_are_available_only_after_min_ready_seconds() {
    let mut bench = Bench::new(vec![deployment(&json!({"minReadySeconds": 100}))]);
    bench.run(90);
    let status = |bench: &Bench| bench.get(Deployments, "web")["status"].clone();
    assert_eq!(status(&bench)["readyReplicas"], 4);
    assert_eq!(status(&bench).get("availableReplicas"), None);
    bench.run(30);
    assert_eq!(status(&bench)["availableReplicas"], 4);
    assert_eq!(bench.progressing("web"), "NewReplicaSetAvailable");
}

#[test]
fn a_scaled_down_deployment_deletes_the_unready_and_the_young() {
    let mut bench = rolled_out(&json!({}));
    let before: Vec<Value> = bench.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    bench.run(60);
    bench.edit(Deployments, "web", |object| object["spec"]["replicas"] = 6.into());
    bench.run(30);
    bench.edit(Deployments, "web", |object| object["spec"]["replicas"] = 4.into());
    bench.run(30);
    let after: Vec<Value> = bench.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert_eq!(before, after);
    assert_eq!(bench.progressing("web"), "NewReplicaSetAvailable");
}

#[test]
fn the_history_is_bounded() {
    let mut bench = rolled_out(&json!({"revisionHistoryLimit": 2}));
    for number in 2..=6 {
        bench.set_image(Deployments, "web", &format!("registry.example/web:v{number}"));
        bench.run(60);
    }
    assert_eq!(sets(&bench), [set("web:v4", 0, "4"), set("web:v5", 0, "5"), set("web:v6", 4, "6")]);
}

#[test]
fn a_bare_replica_set_keeps_its_pods_when_its_template_changes() {
    let object = super::workload("web", "registry.example/web:v1", &json!({}));
    let mut bench = Bench::new(vec![(ReplicaSets, object)]);
    bench.run(30);
    bench.set_image(ReplicaSets, "web", V2);
    bench.run(30);
    assert_eq!(bench.images(), counts([("web:v1", 4)]));
    let pod = bench.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    bench.delete_pod(&pod);
    bench.run(30);
    assert_eq!(bench.images(), counts([("web:v1", 3), ("web:v2", 1)]));
}

#[test]
fn dependents_of_a_deleted_deployment_are_collected() {
    let mut bench = rolled_out(&json!({}));
    bench.store.delete(Deployments, "shop", "web");
    bench.run(20);
    assert_eq!((bench.store.count(ReplicaSets), bench.store.count(Pods)), (0, 0));
}
