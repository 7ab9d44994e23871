use super::{Bench, counts, workload};
use crate::resource::Resource::{Deployments, Experiments, ReplicaSets, Rollouts};
use serde_json::{Value, json};

const V1: &str = "registry.example/web:v1";
const V2: &str = "registry.example/web:v2";

fn canary(steps: &Value) -> Bench {
    let object = workload("web", V1, &json!({"replicas": 5, "strategy": {"canary": {"steps": steps}}}));
    let mut bench = Bench::new(vec![(Rollouts, object)]);
    bench.run(30);
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
    assert_eq!(bench.images(), counts([("web:v1", 5)]));
    bench
}

fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "10m"}}])
}

fn status(bench: &Bench) -> Value {
    bench.get(Rollouts, "web")["status"].clone()
}

fn phase(bench: &Bench) -> (String, String) {
    let status = status(bench);
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    (text("phase"), text("message"))
}

fn paused(bench: &Bench) -> bool {
    phase(bench) == ("Paused".to_owned(), "CanaryPauseStep".to_owned())
}

/// What `kubectl argo rollouts promote` sends.
fn promote(bench: &mut Bench) {
    bench.edit_status(Rollouts, "web", |rollout| {
        rollout["status"].as_object_mut().unwrap().remove("pauseConditions");
    });
    bench.run(60);
}

#[test]
fn a_canary_proceeds_in_steps() {
    let mut bench = canary(&steps());
    bench.set_image(Rollouts, "web", V2);
    bench.run(60);
    assert!(paused(&bench), "{:?}", phase(&bench));
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 1)]));
    let before = status(&bench);
    assert_eq!((&before["currentStepIndex"], &before["controllerPause"]), (&json!(1), &json!(true)));
    let version = bench.store.version();
    bench.run(3600);
    assert_eq!(bench.store.version(), version, "the Rollout waits for its promotion");
    promote(&mut bench);
    assert!(paused(&bench), "{:?}", phase(&bench));
    assert_eq!(bench.images(), counts([("web:v1", 2), ("web:v2", 3)]));
    bench.run(700);
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
    assert_eq!(bench.images(), counts([("web:v2", 5)]));
    let after = status(&bench);
    assert_eq!(after["stableRS"], after["currentPodHash"]);
    assert_eq!(after["currentStepIndex"], 4);
    assert_eq!(after["observedGeneration"], "2");
}

#[test]
fn a_full_promotion_skips_the_remaining_steps() {
    let mut bench = canary(&steps());
    bench.set_image(Rollouts, "web", V2);
    bench.run(60);
    bench.edit_status(Rollouts, "web", |rollout| rollout["status"]["promoteFull"] = true.into());
    bench.run(60);
    assert_eq!(phase(&bench).0, "Healthy");
    assert_eq!(bench.images(), counts([("web:v2", 5)]));
}

#[test]
fn an_abort_rolls_back_and_a_retry_continues() {
    let mut bench = canary(&steps());
    bench.set_image(Rollouts, "web", V2);
    bench.run(60);
    bench.edit_status(Rollouts, "web", |rollout| rollout["status"]["abort"] = true.into());
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 5)]));
    let message = "RolloutAborted: Rollout aborted update to revision 2".to_owned();
    assert_eq!(phase(&bench), ("Degraded".to_owned(), message));
    bench.edit_status(Rollouts, "web", |rollout| rollout["status"]["abort"] = false.into());
    bench.run(60);
    assert!(paused(&bench), "{:?}", phase(&bench));
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 1)]));
}

#[test]
fn an_undo_to_what_is_stable_skips_the_steps() {
    let mut bench = canary(&steps());
    bench.set_image(Rollouts, "web", V2);
    bench.run(60);
    bench.set_image(Rollouts, "web", V1);
    bench.run(60);
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
    assert_eq!(bench.images(), counts([("web:v1", 5)]));
    assert_eq!(bench.get(Rollouts, "web")["metadata"]["annotations"]["rollout.argoproj.io/revision"], "3");
}

#[test]
fn a_restart_replaces_pods_a_few_at_a_time() {
    let mut bench = canary(&steps());
    bench.run(10);
    let names = |bench: &Bench| -> Vec<String> {
        bench.pods().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (before, at) = (names(&bench), bench.now.to_string());
    bench.edit(Rollouts, "web", |rollout| rollout["spec"]["restartAt"] = at.as_str().into());
    for _ in 0..120 {
        bench.run(1);
        assert!(bench.pods().len() >= 4);
    }
    assert!(names(&bench).iter().all(|name| !before.contains(name)));
    assert_eq!(status(&bench)["restartedAt"], at);
    assert_eq!(phase(&bench).0, "Healthy");
}

#[test]
fn a_broken_canary_times_out_and_is_undone() {
    let mut bench = canary(&steps());
    bench.controllers.registry().remove(V2);
    bench.set_image(Rollouts, "web", V2);
    bench.run(700);
    assert_eq!(phase(&bench).0, "Degraded");
    assert!(phase(&bench).1.starts_with("ProgressDeadlineExceeded"), "{:?}", phase(&bench));
    bench.set_image(Rollouts, "web", V1);
    bench.run(60);
    assert_eq!(phase(&bench).0, "Healthy");
}

fn blue_green(more: &Value) -> Bench {
    let mut strategy = json!({"activeService": "web", "previewService": "web-preview"});
    super::merge(&mut strategy, more);
    let object = workload("web", V1, &json!({"strategy": {"blueGreen": strategy}}));
    let mut bench = Bench::new(vec![(Rollouts, object)]);
    bench.run(60);
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
    bench.set_image(Rollouts, "web", V2);
    bench.run(20);
    bench
}

#[test]
fn blue_green_switches_once_it_is_promoted() {
    let mut bench = blue_green(&json!({"autoPromotionEnabled": false}));
    bench.run(60);
    assert_eq!(phase(&bench), ("Paused".to_owned(), "BlueGreenPause".to_owned()));
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 4)]));
    let before = status(&bench);
    assert_eq!(before["blueGreen"]["activeSelector"], before["stableRS"]);
    assert_eq!(before["blueGreen"]["previewSelector"], before["currentPodHash"]);
    bench.edit_status(Rollouts, "web", |rollout| {
        rollout["status"].as_object_mut().unwrap().remove("pauseConditions");
    });
    bench.run(5);
    let after = status(&bench);
    assert_eq!(after["blueGreen"]["activeSelector"], after["currentPodHash"]);
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 4)]), "the old pods stay a while");
    let old = bench
        .store
        .list(ReplicaSets)
        .into_iter()
        .find(|set| set["metadata"]["annotations"].get("scale-down-deadline").is_some());
    assert_eq!(old.unwrap()["spec"]["replicas"], 4);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
}

#[test]
fn blue_green_switches_by_itself() {
    let mut bench = blue_green(&json!({}));
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
}

#[test]
fn a_leftover_replica_set_scaled_to_zero_stays_at_zero() {
    let mut bench = blue_green(&json!({"scaleDownDelaySeconds": 3600}));
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 4)]));
    let old = bench
        .store
        .list(ReplicaSets)
        .into_iter()
        .find(|set| set["metadata"]["annotations"].get("scale-down-deadline").is_some());
    let name = old.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    bench.edit(ReplicaSets, &name, |set| set["spec"]["replicas"] = 0.into());
    bench.run(120);
    assert_eq!(bench.images(), counts([("web:v2", 4)]));
    assert_eq!(phase(&bench), ("Healthy".to_owned(), String::new()));
}

#[test]
fn a_rollout_takes_the_template_of_the_deployment_it_refers_to() {
    let deployment = workload("source", V1, &json!({"replicas": 0}));
    let mut object = workload("web", V1, &json!({"replicas": 5, "strategy": {"canary": {"steps": steps()}}}));
    object["spec"].as_object_mut().unwrap().remove("template");
    object["spec"]["selector"] = json!({"matchLabels": {"app": "source"}});
    object["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "source"});
    let mut bench = Bench::new(vec![(Deployments, deployment), (Rollouts, object)]);
    bench.run(30);
    assert_eq!(bench.images(), counts([("web:v1", 5)]));
    bench.set_image(Deployments, "source", V2);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 4), ("web:v2", 1)]));
    assert_eq!(status(&bench)["workloadObservedGeneration"], "2");
    assert!(bench.get(Rollouts, "web")["spec"].get("template").is_none());
    bench.set_image(Deployments, "source", V1);
    bench.run(60);
    assert_eq!(bench.images(), counts([("web:v1", 5)]));
}

#[test]
fn an_experiment_runs_until_it_is_terminated() {
    let template = workload("web", V1, &json!({}))["spec"]["template"].clone();
    let selector = json!({"matchLabels": {"app": "web"}});
    let templates = json!([{"name": "a", "replicas": 2, "selector": selector, "template": template}]);
    let object = json!({
        "metadata": {"name": "try", "namespace": "shop", "uid": "uid-of-try", "generation": 1},
        "spec": {"templates": templates},
    });
    let mut bench = Bench::new(vec![(Experiments, object)]);
    bench.run(30);
    let status = |bench: &Bench| bench.get(Experiments, "try")["status"].clone();
    assert_eq!(status(&bench)["phase"], "Running");
    assert_eq!(bench.images(), counts([("web:v1", 2)]));
    let version = bench.store.version();
    bench.run(3600);
    assert_eq!(bench.store.version(), version);
    bench.edit(Experiments, "try", |experiment| experiment["spec"]["terminate"] = true.into());
    bench.run(60);
    assert_eq!(status(&bench)["phase"], "Successful");
    assert_eq!(bench.images(), counts([]));
    assert_eq!(bench.get(ReplicaSets, "try-a")["spec"]["replicas"], 0);
}
