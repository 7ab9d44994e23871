//! More pods than an owner may create per tick, and more than the quota allows.

use super::{Bench, deployment, workload};
use crate::controllers::index::condition;
use crate::resource::Resource::{self, Deployments, Pods, ReplicaSets, Rollouts, StatefulSets};
use serde_json::{Value, json};

fn stateful_set(more: &Value) -> (Resource, Value) {
    let mut more = more.clone();
    more["serviceName"] = "db".into();
    more["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
    (StatefulSets, workload("db", "registry.example/db:v1", &more))
}

fn scale(bench: &Bench, resource: Resource, name: &str, replicas: i32) {
    bench.edit(resource, name, |object| object["spec"]["replicas"] = replicas.into());
}

fn pods_of(bench: &Bench, name: &str) -> usize {
    bench.pods().iter().filter(|pod| pod["metadata"]["labels"]["app"] == name).count()
}

/// Reason and message of `ReplicaFailure`.
fn failure(object: &Value) -> Option<(String, String)> {
    let failure = condition(&object["status"], "ReplicaFailure")?;
    assert_eq!(failure["status"], "True");
    let text = |field: &str| failure[field].as_str().unwrap().to_owned();
    Some((text("reason"), text("message")))
}

#[test]
fn an_owner_of_many_pods_makes_them_and_takes_them_back_a_hundred_a_tick() {
    let parallel = stateful_set(&json!({"replicas": 2, "podManagementPolicy": "Parallel"}));
    let mut bench = Bench::new(vec![deployment(&json!({"replicas": 2})), parallel]);
    bench.run(20);
    scale(&bench, Deployments, "web", 350);
    scale(&bench, StatefulSets, "db", 350);
    for (replicas, ticks) in [(350, 30), (2, 30)] {
        let mut before = [pods_of(&bench, "web"), pods_of(&bench, "db")];
        for _ in 0..ticks {
            bench.run(0);
            bench.now = bench.now.plus(1);
            let now = [pods_of(&bench, "web"), pods_of(&bench, "db")];
            for (before, now) in before.iter().zip(now) {
                assert!(before.abs_diff(now) <= 100, "{before} {now}");
            }
            before = now;
        }
        assert_eq!(before, [replicas, replicas]);
        let ready = |resource, name| bench.get(resource, name)["status"]["readyReplicas"].clone();
        assert_eq!((ready(Deployments, "web"), ready(StatefulSets, "db")), (replicas.into(), replicas.into()));
        scale(&bench, Deployments, "web", 2);
        scale(&bench, StatefulSets, "db", 2);
    }
    bench.run(60);
    assert_eq!(bench.store.count(Pods), 4);
}

#[test]
fn dependents_of_a_large_owner_are_collected_in_several_ticks() {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "uid-of-web", "controller": true}]);
    let pod = |number: usize| {
        let metadata = json!({"name": format!("web-{number}"), "namespace": "shop", "ownerReferences": owner});
        (Pods, json!({"metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Running"}}))
    };
    let set = workload("web", "registry.example/web:v1", &json!({"replicas": 1200}));
    let mut bench = Bench::new((0..1200).map(pod).chain([(ReplicaSets, set)]).collect());
    bench.run(2);
    assert_eq!(bench.pods().len(), 1200);
    bench.store.delete(ReplicaSets, "shop", "web");
    let mut left = 1200;
    while left > 0 {
        bench.run(0);
        let now = bench.pods().len();
        assert!(now < left && left - now <= 500, "{left} {now}");
        left = now;
    }
}

#[test]
fn a_small_workload_moves_while_a_large_one_grows() {
    let mut small = workload("api", "registry.example/api:v1", &json!({"replicas": 4}));
    small["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
    let mut bench = Bench::new(vec![deployment(&json!({"replicas": 2})), (Deployments, small)]);
    bench.run(20);
    scale(&bench, Deployments, "web", 100_000);
    bench.set_image(Deployments, "api", "registry.example/api:v2");
    let mut seconds = 0;
    while bench.images().get("api:v2") != Some(&4) {
        seconds += 1;
        assert!(seconds < 60, "{:?}", bench.images());
        bench.run(1);
    }
    // Each run of a second has two ticks.
    assert!(pods_of(&bench, "web") <= 100 * 2 * (seconds + 1), "{seconds} s");
}

#[test]
fn a_pod_above_the_quota_is_refused_and_reported_by_its_owners() {
    let words = "is forbidden: exceeded quota: simulated-cluster, requested: pods=1, used: pods=20, limited: pods=20";
    let ordered = stateful_set(&json!({"replicas": 2, "podManagementPolicy": "OrderedReady"}));
    let mut bench = Bench::new(vec![deployment(&json!({"replicas": 4})), ordered]);
    bench.store.limit_pods(20);
    bench.run(30);
    for replicas in [100_000, i32::MAX] {
        scale(&bench, Deployments, "web", replicas);
        bench.run(60);
        assert_eq!(bench.store.count(Pods), 20);
        for (resource, name) in
            [(ReplicaSets, bench.store.list(ReplicaSets)[0]["metadata"]["name"].clone()), (Deployments, "web".into())]
        {
            let (reason, message) = failure(&bench.get(resource, name.as_str().unwrap())).unwrap();
            assert_eq!(reason, "FailedCreate");
            assert!(message.starts_with("pods \"web-") && message.ends_with(words), "{message}");
        }
    }
    let version = bench.store.version();
    bench.run(120);
    assert_eq!(bench.store.version(), version, "refused creations change nothing");
    // Once other pods are gone, there is room for the waiting ones.
    scale(&bench, StatefulSets, "db", 4);
    bench.run(30);
    assert_eq!(pods_of(&bench, "db"), 2);
    scale(&bench, Deployments, "web", 10);
    bench.run(60);
    assert_eq!((pods_of(&bench, "web"), pods_of(&bench, "db")), (10, 4));
    let set = bench.store.list(ReplicaSets)[0].clone();
    assert_eq!((failure(&set), failure(&bench.get(Deployments, "web"))), (None, None));
}

#[test]
fn no_number_of_replicas_is_too_large_to_reckon_with() {
    let canary = json!({"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}});
    let mut rollout = workload("roll", "registry.example/roll:v1", &json!({"replicas": 3, "strategy": canary}));
    rollout["status"] = json!({});
    let parallel = stateful_set(&json!({"replicas": 2, "podManagementPolicy": "Parallel"}));
    let mut bench = Bench::new(vec![deployment(&json!({})), parallel, (Rollouts, rollout)]);
    bench.store.limit_pods(60);
    bench.run(30);
    for (resource, name) in [(Deployments, "web"), (StatefulSets, "db"), (Rollouts, "roll")] {
        scale(&bench, resource, name, i32::MAX);
        bench.set_image(resource, name, "registry.example/any:v2");
        bench.run(30);
        scale(&bench, resource, name, 0);
        bench.run(60);
        assert_eq!(pods_of(&bench, name), 0, "{name}");
    }
}
