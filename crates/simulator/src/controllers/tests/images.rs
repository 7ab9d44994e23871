use super::{Bench, counts, deployment};
use crate::controllers::{ControllersConfig, Trouble, Webhook};
use crate::resource::Resource::{Deployments, Pods};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TAG: &str = "registry.example/web:stable";

fn bench(policy: &str) -> Bench {
    let (resource, mut object) = deployment(&json!({}));
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["image"] = TAG.into();
    container["imagePullPolicy"] = policy.into();
    let mut bench = Bench::new(vec![(resource, object)]);
    bench.run(30);
    bench
}

fn digests(bench: &Bench) -> BTreeSet<String> {
    let id = |pod: &Value| pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap().to_owned();
    bench.pods().iter().map(id).collect()
}

fn restart(bench: &mut Bench) {
    let now = bench.now.to_string();
    bench.edit(Deployments, "web", |object| {
        object["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            now.as_str().into();
    });
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:stable", 8)]));
}

/// Moves the tag while the nodes `a`, `b` and `c` have the old image, and adds a fourth node.
fn skew(policy: &str) -> Bench {
    let mut bench = bench(policy);
    bench.controllers.registry().push(TAG, "sha256:0000000000000000000000000000000000000000000000000000000000000002");
    bench.controllers.cluster.nodes.insert("d".to_owned());
    bench.edit(Deployments, "web", |object| object["spec"]["replicas"] = 8.into());
    bench.run(30);
    assert_eq!(digests(&bench).len(), 2);
    bench
}

#[test]
fn a_restart_ends_a_skew_only_with_the_pull_policy_always() {
    let mut cached = skew("IfNotPresent");
    restart(&mut cached);
    assert_eq!(digests(&cached).len(), 2, "three nodes still have the old image");
    let mut asked = skew("Always");
    restart(&mut asked);
    assert_eq!(digests(&asked).len(), 1);
}

#[test]
fn a_pinned_digest_ends_a_skew() {
    let mut bench = skew("IfNotPresent");
    let digest = "registry.example/web@sha256:0000000000000000000000000000000000000000000000000000000000000002";
    bench.set_image(Deployments, "web", digest);
    bench.run(60);
    assert_eq!(digests(&bench), BTreeSet::from([digest.to_owned()]));
}

#[test]
fn a_removed_image_is_pulled_once_it_is_there() {
    let mut bench = bench("Always");
    let registry = bench.controllers.registry();
    registry.remove("registry.example/web:v2");
    bench.set_image(Deployments, "web", "registry.example/web:v2");
    bench.run(120);
    let version = bench.store.version();
    bench.run(120);
    assert_eq!(bench.store.version(), version, "failing pulls change nothing");
    registry.push("registry.example/web:v2", "sha256:02");
    bench.run(60);
    assert_eq!(digests(&bench), BTreeSet::from(["registry.example/web@sha256:02".to_owned()]));
}

#[test]
fn an_image_that_never_gets_ready_or_crashes_blocks_its_rollout() {
    for (trouble, reason) in [(Trouble::NeverReady, Value::Null), (Trouble::Crashes, json!("CrashLoopBackOff"))] {
        let mut bench = bench("IfNotPresent");
        bench.controllers.registry().set_trouble("registry.example/web:v2", Some(trouble));
        bench.set_image(Deployments, "web", "registry.example/web:v2");
        bench.run(60);
        assert_eq!(bench.images(), counts([("web:stable", 3), ("web:v2!", 2)]));
        let broken = bench.pods().into_iter().find(|pod| pod["spec"]["containers"][0]["image"] != TAG).unwrap();
        let status = &broken["status"]["containerStatuses"][0];
        assert_eq!(status.pointer("/state/waiting/reason").cloned().unwrap_or_default(), reason);
        assert_eq!(broken["status"]["phase"], "Running");
        assert_eq!(status["restartCount"].as_u64().unwrap() > 0, trouble == Trouble::Crashes);
        bench.controllers.registry().set_trouble("registry.example/web:v2", None);
        bench.run(400);
        assert_eq!(bench.images(), counts([("web:v2", 4)]), "{trouble:?} is over");
    }
}

#[test]
fn a_webhook_adds_its_container_to_new_pods_only() {
    let container = json!({"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.0"});
    let webhook = Webhook { namespace: "shop".to_owned(), container };
    let config = ControllersConfig { webhooks: vec![webhook], ..ControllersConfig::default() };
    let mut bench = Bench::with(vec![deployment(&json!({}))], config);
    bench.run(30);
    let proxies = bench.store.list(Pods).into_iter().filter(|pod| {
        pod["status"]["containerStatuses"][1]["imageID"]
            .as_str()
            .unwrap()
            .starts_with("docker.io/istio/proxyv2@sha256:")
    });
    assert_eq!(proxies.count(), 4);
}
