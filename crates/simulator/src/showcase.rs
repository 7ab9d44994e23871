//! The demo's exhibits: one workload for each state that podskew distinguishes. The controllers leave each as it is until a
//! user changes it.

use super::controllers::step_hash;
use super::demo_images::PUSHED_AGAIN;
use super::encoded::Encoded;
use super::fleet::ago;
use super::owned::Owned;
use super::parts::{Container, Pod, Stage};
use super::random::{Random, digest};
use super::recording::rfc3339;
use super::service::{Counts, Progress, Revision, Rollout, Service, node};
use super::store::Store;
use crate::resource::Resource;
use crate::time::Time;
use serde_json::json;

const MINUTE: u32 = 60;
const DAY: u32 = 86_400;

/// Puts every exhibit.
pub(super) fn put(store: &Store, now: Time) {
    digest_skew(store, now);
    stuck(store, now);
    paused(store, now);
    injected_sidecar(store, now);
    untagged(store, now);
    stateful_set(store, now);
    daemon_set(store, now);
    canary(store, now);
}

/// How many pods and workloads the exhibits have.
pub(super) const PODS: u32 = 8 + 7 + 8 + 6 + 2 + 5 + 6 + 5;
pub(super) const WORKLOADS: u32 = 8;

/// The container that the mesh injects into new pods of the namespace `search`.
pub(super) const PROXY: &str = "docker.io/istio/proxyv2:1.27.0";

/// A moving tag with the pull policy `IfNotPresent`: nodes that joined later pulled another image.
fn digest_skew(store: &Store, now: Time) {
    let service = Service::new("shop", "web", ago(now, 60 * DAY));
    let image = "registry.example/shop/web:production-latest";
    let revision = service.revision(12, vec![Container::new("web", image)], ago(now, 6 * DAY));
    let pods = (0..8).map(|index| {
        // Scaled from 5 to 8 23 minutes ago.
        let created = ago(now, if index < 5 { 6 * DAY - index } else { 23 * MINUTE + 6 });
        let mut pod = pod_of(&service, &revision, index, created, Stage::Running(created.plus(6)));
        // No node has both images.
        pod.node = node(index);
        if index >= 5 {
            pod.digests = vec![digest(PUSHED_AGAIN)];
        }
        pod
    });
    put_deployment(store, &service, &[(&revision, pods.collect())], 8, Progress::Available, ago(now, 6 * DAY));
}

/// The new image cannot be pulled.
fn stuck(store: &Store, now: Time) {
    let mut service = Service::new("payments", "ledger", ago(now, 200 * DAY));
    service.one_at_a_time = true;
    let container = |tag: &str| vec![Container::new("ledger", &format!("registry.example/payments/ledger:{tag}"))];
    let old = service.revision(7, container("4.11.2"), ago(now, 9 * DAY));
    let new = service.revision(8, container("4.12.0-rc1"), ago(now, 47 * MINUTE));
    let old_pods = (0..5).map(|index| running(&service, &old, index, ago(now, 9 * DAY)));
    let created = ago(now, 47 * MINUTE - 1);
    let new_pods = (0..2).map(|index| pod_of(&service, &new, index, created, Stage::ImagePullBackOff));
    let revisions = [(&old, old_pods.collect()), (&new, new_pods.collect())];
    put_deployment(store, &service, &revisions, 6, Progress::DeadlineExceeded, ago(now, 37 * MINUTE));
}

/// A user paused the rollout.
fn paused(store: &Store, now: Time) {
    let service = Service::new("identity", "login", ago(now, 120 * DAY));
    let container = |tag: &str| vec![Container::new("login", &format!("registry.example/identity/login:{tag}"))];
    let old = service.revision(21, container("2026.11.1"), ago(now, 12 * DAY));
    let new = service.revision(22, container("2026.11.2"), ago(now, 185 * MINUTE));
    let old_pods = (0..5).map(|index| running(&service, &old, index, ago(now, 12 * DAY)));
    let new_pods = (0..3).map(|index| running(&service, &new, index, ago(now, 184 * MINUTE)));
    let revisions = [(&old, old_pods.collect()), (&new, new_pods.collect())];
    put_deployment(store, &service, &revisions, 6, Progress::Paused, ago(now, 183 * MINUTE));
}

/// A mesh injects a sidecar that is not in the template. It was upgraded between two scale-ups.
fn injected_sidecar(store: &Store, now: Time) {
    let service = Service::new("search", "query", ago(now, 30 * DAY));
    let image = "registry.example/search/query@sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let revision = service.revision(3, vec![Container::new("query", image)], ago(now, 3 * DAY));
    let pods = (0..6).map(|index| {
        let (proxy, age) = if index < 4 { ("docker.io/istio/proxyv2:1.26.2", 3 * DAY) } else { (PROXY, 95 * MINUTE) };
        let mut pod = running(&service, &revision, index, ago(now, age));
        pod.digests = vec!["sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned()];
        pod.injected = Some((Container::new("istio-proxy", proxy), digest(proxy)));
        pod
    });
    put_deployment(store, &service, &[(&revision, pods.collect())], 6, Progress::Available, ago(now, 3 * DAY));
}

/// An image without a tag, which means `latest`; nothing has gone wrong yet.
fn untagged(store: &Store, now: Time) {
    let service = Service::new("internal", "wiki", ago(now, 150 * DAY));
    let mut container = Container::new("wiki", "registry.example/internal/wiki");
    // The API server's default if the tag is `latest` or missing.
    container.pull_policy = "Always";
    let revision = service.revision(2, vec![container], ago(now, 33 * DAY));
    let pods = (0..2).map(|index| running(&service, &revision, index, ago(now, 33 * DAY)));
    put_deployment(store, &service, &[(&revision, pods.collect())], 2, Progress::Available, ago(now, 33 * DAY));
}

/// A partition keeps the lower ordinals at the old revision.
fn stateful_set(store: &Store, now: Time) {
    let owned = Owned::new("StatefulSet", "data", "ledger-db", ago(now, 300 * DAY));
    let (partition, replicas) = (3, 5);
    let old = owned.revision(4, "registry.example/data/postgres:17.6", ago(now, 40 * DAY));
    let new = owned.revision(5, "registry.example/data/postgres:18.1", ago(now, 2 * DAY));
    for ordinal in 0..replicas {
        let (revision, created) = if ordinal < partition { (&old, 40 * DAY) } else { (&new, 2 * DAY - 90) };
        let mut pod = owned.pod(revision, &format!("{}-{ordinal}", owned.name), &revision.name, ago(now, created));
        pod.template["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = pod.name.as_str().into();
        store.put(Resource::Pods, pod.object());
    }
    let spec = json!({
        "replicas": replicas, "serviceName": owned.name, "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
    });
    let status = json!({
        "observedGeneration": 5, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "currentReplicas": partition, "updatedReplicas": replicas - partition, "collisionCount": 0,
        "currentRevision": old.name, "updateRevision": new.name,
    });
    store.put(Resource::StatefulSets, owned.object(&new, &spec, &status));
    owned.put_revisions(store, &[&old, &new]);
}

/// New pods are created only when a user deletes old ones.
fn daemon_set(store: &Store, now: Time) {
    let owned = Owned::new("DaemonSet", "kube-system", "cni", ago(now, 300 * DAY));
    let old = owned.revision(1, "registry.example/node/cni:1.17.4", ago(now, 300 * DAY));
    let new = owned.revision(2, "registry.example/node/cni:1.18.0", ago(now, 26 * 60 * MINUTE));
    for index in 0..6 {
        let (revision, created) = if index < 3 { (&old, 80 * DAY) } else { (&new, 25 * 60 * MINUTE) };
        let name = format!("{}-{}", owned.name, Random::of(&format!("cni {index}")).suffix());
        let mut pod = owned.pod(revision, &name, &revision.hash, ago(now, created));
        pod.node = node(index);
        store.put(Resource::Pods, pod.object());
    }
    let spec = json!({"updateStrategy": {"type": "OnDelete"}});
    let status = json!({
        "observedGeneration": 2, "currentNumberScheduled": 6, "numberMisscheduled": 0, "desiredNumberScheduled": 6,
        "numberReady": 6, "numberAvailable": 6, "updatedNumberScheduled": 3,
    });
    store.put(Resource::DaemonSets, owned.object(&new, &spec, &status));
    owned.put_revisions(store, &[&old, &new]);
}

/// An Argo Rollout that waits at a step. Its ReplicaSets and pods exist even if Rollouts are not served.
fn canary(store: &Store, now: Time) {
    let mut service = Service::new("growth", "landing", ago(now, 70 * DAY));
    service.kind = "Rollout";
    let container = |tag: &str| vec![Container::new("landing", &format!("registry.example/growth/landing:{tag}"))];
    let stable = service.revision(9, container("v88"), ago(now, 5 * DAY));
    let new = service.revision(10, container("v89"), ago(now, 18 * MINUTE));
    let stable_pods: Vec<Pod> = (0..4).map(|index| running(&service, &stable, index, ago(now, 5 * DAY))).collect();
    let new_pods = vec![running(&service, &new, 0, ago(now, 18 * MINUTE - 2))];
    for (revision, pods) in [(&stable, &stable_pods), (&new, &new_pods)] {
        let counts = counts_of(pods);
        store.put(Resource::ReplicaSets, service.replica_set(revision, counts.active, 5, counts));
        for pod in pods {
            store.put(Resource::Pods, pod.object());
        }
    }
    let spec = json!({
        "replicas": 5, "selector": {"matchLabels": {"app": service.name}}, "template": new.template,
        "revisionHistoryLimit": 10,
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "10m"}}]}},
    });
    let (started, paused) = (ago(now, 18 * MINUTE), ago(now, 17 * MINUTE));
    let condition = |kind: &str, status: &str, reason: &str, message: &str, since| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastUpdateTime": rfc3339(since), "lastTransitionTime": rfc3339(since)})
    };
    let steps = spec["strategy"]["canary"]["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let status = json!({
        "observedGeneration": "10", "phase": "Paused", "message": "CanaryPauseStep", "replicas": 5, "updatedReplicas": 1,
        "readyReplicas": 5, "availableReplicas": 5, "HPAReplicas": 5, "currentPodHash": new.hash, "stableRS": stable.hash,
        "currentStepIndex": 1, "currentStepHash": step_hash(steps), "controllerPause": true, "blueGreen": {}, "canary": {},
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": rfc3339(paused)}],
        "selector": format!("app={}", service.name),
        "conditions": [
            condition("Available", "True", "AvailableReason", "Rollout has minimum availability", service.created),
            condition("Healthy", "False", "RolloutHealthy", "Rollout is not healthy", started),
            condition("Completed", "False", "RolloutCompleted", "RolloutCompleted", started),
            condition("Progressing", "Unknown", "RolloutPaused", "Rollout is paused", paused),
            condition("Paused", "True", "RolloutPaused", "Rollout is paused", paused),
        ],
    });
    store.put(
        Resource::Rollouts,
        json!({
            "metadata": {
                "name": service.name, "namespace": service.namespace, "uid": service.uid, "generation": 10,
                "creationTimestamp": rfc3339(service.created), "labels": {"app": service.name},
                "annotations": {"rollout.argoproj.io/revision": new.number.to_string()},
            },
            "spec": spec,
            "status": status,
        }),
    );
}

/// Puts a Deployment whose last revision is current, with its ReplicaSets, three older ones, and the pods.
fn put_deployment(
    store: &Store,
    service: &Service,
    revisions: &[(&Revision, Vec<Pod>)],
    replicas: u32,
    progress: Progress,
    progressed: Time,
) {
    let Some((current, current_pods)) = revisions.last() else {
        return;
    };
    let mut all = Counts::default();
    for (revision, pods) in revisions {
        let counts = counts_of(pods);
        all.active += counts.active;
        all.ready += counts.ready;
        store.put(Resource::ReplicaSets, service.replica_set(revision, counts.active, replicas, counts));
        store.fill(Resource::Pods, pods.iter().map(|pod| Encoded::new(pod.object())));
    }
    let oldest = revisions[0].0;
    for back in 1..=3.min(oldest.number - 1) {
        let mut containers = oldest.containers.clone();
        containers[0].image = older(&containers[0].image, back);
        let created = oldest.created.minus(back * 3 * DAY);
        let old = service.revision(oldest.number - back, containers, created);
        store.put(Resource::ReplicaSets, service.replica_set(&old, 0, replicas, Counts::default()));
    }
    let rollout = Rollout {
        current,
        replicas,
        generation: current.number + 3,
        updated: counts_of(current_pods).active,
        counts: all,
        progress,
        progressed,
    };
    store.put(Resource::Deployments, service.deployment(&rollout));
}

/// The image of a workload some versions ago.
fn older(image: &str, back: u32) -> String {
    match image.split_once('@') {
        Some((repository, _)) => format!("{repository}@{}", digest(&format!("{image} {back}"))),
        None if image.rsplit_once(':').is_some() => format!("{image}-{back}"),
        None => format!("{image}:1.{}", 10 - back),
    }
}

fn counts_of(pods: &[Pod]) -> Counts {
    let is_ready = |pod: &Pod| u32::from(matches!(pod.stage, Stage::Running(_)));
    Counts { active: pods.iter().map(|_| 1).sum(), ready: pods.iter().map(is_ready).sum(), terminating: 0 }
}

fn running(service: &Service, revision: &Revision, index: u32, created: Time) -> Pod {
    let created = created.plus(index * 8);
    pod_of(service, revision, index, created, Stage::Running(created.plus(6)))
}

fn pod_of(service: &Service, revision: &Revision, index: u32, created: Time, stage: Stage) -> Pod {
    let suffix = Random::of(&format!("{}{index}", revision.uid)).suffix();
    service.pod(revision, &suffix, created, stage)
}
