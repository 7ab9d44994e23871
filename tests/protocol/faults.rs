//! How podskew survives faults of an API server or of the network before it, and what it reports afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common;
use crate::common::exporter::{Exporter, Look, fill, objects, quick, simulator, watched};
use podskew::telemetry::FailureReason;
use podskew::watch::Timings;
use serde_json::{Value, json};
use simulator::Resource;
use simulator::{Fault, RequestKind, Simulator};
use std::time::Duration;

/// A cluster, and a podskew that has listed all of it.
struct Scene {
    simulator: Simulator,
    exporter: Exporter,
    /// Number of changes so far.
    happened: u32,
}

impl Scene {
    async fn set() -> Self {
        Self::set_with(&quick()).await
    }

    async fn set_with(timings: &Timings) -> Self {
        let simulator = simulator().await;
        fill(simulator.store());
        let exporter = Exporter::start_with(&simulator, &[], *timings).await;
        exporter.until_synced().await;
        assert!(exporter.troubles().is_empty(), "{:?}", exporter.troubles());
        Self { simulator, exporter, happened: 0 }
    }

    /// Creates, changes and deletes pods, one in each call, and changes a Deployment and a StatefulSet.
    fn something_happens(&mut self) {
        let store = self.simulator.store();
        let pods = store.list(Resource::Pods);
        let of = |namespace: &'static str| pods.iter().filter(move |pod| pod["metadata"]["namespace"] == namespace);
        let mut new = of("digest-skew").next().unwrap().clone();
        new["metadata"]["name"] = json!(format!("web-new-{}", self.happened));
        new["metadata"]["uid"] = json!(format!("web-new-{}", self.happened));
        store.put(Resource::Pods, new);
        let old = of("stuck").next().unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(store.delete(Resource::Pods, "stuck", &old));
        let mut changed = of("statefulset-partition").nth(self.happened as usize % 4).unwrap().clone();
        changed["status"]["conditions"] = json!([]);
        changed["spec"]["nodeName"] = json!(format!("node-{}", self.happened));
        store.put(Resource::Pods, changed);
        let mut deployment = store.get(Resource::Deployments, "paused", "api").unwrap();
        deployment["spec"]["paused"] = (self.happened % 2 == 1).into();
        store.put(Resource::Deployments, deployment);
        self.happened += 1;
    }

    async fn until_failed(&self, resource: Resource, reason: FailureReason, times: u64) {
        let what = format!("{times} × {resource} {reason}");
        self.exporter.until(&what, |_| self.exporter.failures(resource, reason) >= times).await;
    }

    /// Checks that podskew recovers by itself, and then agrees with one that has just started.
    async fn ends_well(&self) -> Look {
        self.exporter.until_it_agrees_with_a_fresh_one(&self.simulator).await
    }
}

/// The series of workloads, without podskew's own metrics.
fn workload_series(look: &Look) -> Vec<String> {
    let samples = look.parsed.samples.iter().filter(|((_, labels), _)| labels.contains_key("namespace"));
    // Ages increase with time.
    samples.filter(|((name, _), _)| !name.ends_with("_age_seconds")).map(|sample| format!("{sample:?}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_a_running_watch_is_lived_through() {
    use FailureReason::{Connection, Decode, Expired, Timeout};
    let cases = [
        (Fault::WatchExpires, Expired, true),
        (Fault::WatchCut, Connection, false),
        (Fault::WatchGarbage, Decode, true),
        (Fault::WatchTruncatedLine, Decode, true),
        (Fault::WatchSilent, Timeout, false),
    ];
    for (fault, reason, lists_again) in cases {
        let mut scene = Scene::set().await;
        // A watch without a bookmark is not resumed.
        let bookmarks = scene.exporter.telemetry.watch_events.with_label_values(&["pods", "bookmark"]);
        scene.exporter.until("a bookmark", |_| bookmarks.get() > 0).await;
        scene.simulator.inject_times(Some(Resource::Pods), fault, 1);
        scene.something_happens();
        scene.until_failed(Resource::Pods, reason, 1).await;
        scene.something_happens();
        scene.ends_well().await;
        assert_eq!(scene.exporter.restarts(Resource::Pods) > 0, lists_again, "{fault:?}");
        let others = scene.exporter.troubles().into_iter().find(|trouble| !trouble.starts_with("pods "));
        assert_eq!(others, None, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_expired_during_a_disconnect_is_listed_again() {
    let mut scene = Scene::set().await;
    scene.simulator.inject_times(None, Fault::WatchGone, 6);
    scene.simulator.cut_connections();
    scene.something_happens();
    for resource in [Resource::Pods, Resource::Deployments, Resource::ControllerRevisions] {
        scene.until_failed(resource, FailureReason::Expired, 1).await;
    }
    scene.ends_well().await;
    assert!(scene.exporter.restarts(Resource::Pods) >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_refusal_keeps_the_last_state() {
    use FailureReason::{Forbidden, ServerError, Throttled, Unauthorized};
    let cases = [
        (Fault::Status(401), Unauthorized),
        (Fault::Status(403), Forbidden),
        (Fault::Status(429), Throttled),
        (Fault::TooManyRequests { retry_after_seconds: 0 }, Throttled),
        (Fault::Status(500), ServerError),
        (Fault::Status(503), ServerError),
        (Fault::NeverAnswers, FailureReason::Timeout),
    ];
    for (fault, reason) in cases {
        let mut scene = Scene::set().await;
        let before = workload_series(&scene.exporter.look());
        scene.simulator.inject(None, fault);
        // A watch that is resumed must list.
        scene.simulator.store().forget_history(Resource::Pods);
        scene.simulator.cut_connections();
        for resource in watched().filter(|resource| !matches!(resource, Resource::Rollouts | Resource::CloneSets)) {
            scene.until_failed(resource, reason, 1).await;
        }
        scene.something_happens();
        scene.until_failed(Resource::Pods, reason, 2).await;
        let during = scene.exporter.look();
        assert!(during.complete, "{fault:?}");
        assert!(workload_series(&during) == before, "{fault:?}: {}", during.view().summary());
        assert!(!scene.exporter.synced(Resource::Pods), "{fault:?}");
        scene.simulator.clear_faults();
        // A request without an answer has to time out first.
        scene.something_happens();
        let after = scene.ends_well().await;
        assert_ne!(workload_series(&after), before, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_breaks_off_keeps_the_last_complete_state() {
    for (fault, reason) in [(Fault::ListStalls, FailureReason::Timeout), (Fault::ListCut, FailureReason::Connection)] {
        for pages in [false, true] {
            let mut scene = Scene::set().await;
            scene.something_happens();
            let before = workload_series(&scene.ends_well().await);
            if pages {
                scene.simulator.inject(None, Fault::StreamingListInvalid);
            }
            scene.simulator.inject_times(Some(Resource::Pods), fault, 2);
            scene.simulator.store().forget_history(Resource::Pods);
            scene.simulator.cut_connections();
            scene.until_failed(Resource::Pods, reason, 1).await;
            assert_eq!(workload_series(&scene.exporter.look()), before, "{fault:?}, pages: {pages}");
            scene.something_happens();
            scene.until_failed(Resource::Pods, reason, 2).await;
            scene.simulator.clear_faults();
            scene.ends_well().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_streaming_lists_is_asked_for_pages_and_nothing_failed() {
    for fault in [Fault::StreamingListUnsupported, Fault::StreamingListInvalid] {
        let simulator = simulator().await;
        fill(simulator.store());
        simulator.inject(None, fault);
        let exporter = Exporter::start(&simulator).await;
        exporter.until_synced().await;
        assert!(exporter.troubles().is_empty(), "{fault:?}: {:?}", exporter.troubles());
        let count = |kind| simulator.request_count(Resource::Pods, kind);
        assert_eq!((count(RequestKind::StreamingList), count(RequestKind::List)), (1, 1), "{fault:?}");
        simulator.clear_faults();
        exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continue_token_that_expires_begins_the_list_again() {
    let simulator = simulator().await;
    let pod = objects("digest-skew").into_iter().find(|object| object["kind"] == "Pod").unwrap();
    fill(simulator.store());
    for number in 0..1200 {
        let mut pod = pod.clone();
        pod["metadata"]["name"] = json!(format!("web-{number}"));
        pod["metadata"]["uid"] = json!(format!("web-{number}"));
        simulator.store().put(Resource::Pods, pod);
    }
    simulator.inject(None, Fault::StreamingListInvalid);
    simulator.inject_times(Some(Resource::Pods), Fault::ContinueExpired, 1);
    let exporter = Exporter::start(&simulator).await;
    exporter.until_synced().await;
    let count = |kind| simulator.request_count(Resource::Pods, kind);
    assert_eq!((count(RequestKind::List), count(RequestKind::NextPage)), (2, 1), "the second list has larger pages");
    assert_eq!(exporter.failures(Resource::Pods, FailureReason::Expired), 1);
    assert_eq!(exporter.restarts(Resource::Pods), 1);
    simulator.clear_faults();
    let look = exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    assert_eq!(look.parsed.series("podskew_pod_info", &[("workload", "web")]).len(), 1208);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restored_from_a_backup_is_listed_again() {
    let mut scene = Scene::set().await;
    for _ in 0..4 {
        scene.something_happens();
    }
    scene.ends_well().await;
    // The state before all changes, without one workload.
    let mut backup: Vec<(Resource, Value)> = Vec::new();
    for scenario in ["digest-skew", "stuck", "paused", "daemonset"] {
        backup.extend(objects(scenario).into_iter().map(|object| (common::exporter::resource_of(&object), object)));
    }
    scene.simulator.restart_with_older_versions(Some(backup));
    let look = scene.ends_well().await;
    assert!(
        look.view().workloads().iter().all(|named| named.workload_type != "statefulset"),
        "{}",
        look.view().summary()
    );
    // The same objects at older versions.
    scene.simulator.restart_with_older_versions(None);
    fill(scene.simulator.store());
    scene.something_happens();
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trouble_after_the_other_leaves_nothing_behind() {
    let mut scene = Scene::set().await;
    let faults = [
        Fault::WatchCut,
        Fault::WatchGarbage,
        Fault::WatchExpires,
        Fault::ListCut,
        Fault::WatchGone,
        Fault::Status(500),
        Fault::WatchTruncatedLine,
        Fault::StreamingListUnsupported,
        Fault::Status(401),
        Fault::ContinueExpired,
    ];
    for (number, fault) in faults.into_iter().cycle().take(20).enumerate() {
        scene.simulator.inject_times(None, fault, 5);
        if number % 3 == 0 {
            scene.simulator.cut_connections();
        }
        scene.something_happens();
        tokio::time::sleep(Duration::from_millis(60)).await;
        // The exposition is consistent after any fault.
        scene.exporter.look();
        if number % 4 == 0 {
            fill(scene.simulator.store());
        }
    }
    scene.simulator.clear_faults();
    scene.ends_well().await;
}
