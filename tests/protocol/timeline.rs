//! Before a watch is resumed, podskew checks that the API server is still in the same timeline.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common;
use crate::common::exporter::{Exporter, Look, fill, fill_from, objects, quick, resource_of, watched};
use crate::scripted::{Reply, Scene, Then, event, goes_on_from, list, listed_then, page, status, stream};
use podskew::objects;
use podskew::telemetry::FailureReason;
use podskew::watch::Timings;
use serde_json::{Value, json};
use simulator::Resource;
use simulator::{Fault, RequestKind, Simulator, SimulatorConfig};
use std::time::{Duration, Instant};

/// Recorded from real servers: a cluster before and after its etcd was restored.
const RESTORED_BEFORE: &str = include_str!("../data/restore/before.json");
const RESTORED_AFTER: &str = include_str!("../data/restore/after.json");

#[tokio::test]
async fn a_broken_watch_requests_the_newest_version_once_and_is_resumed() {
    for (then, failures) in [(Then::Cut, 1), (Then::End, 0)] {
        let replies = vec![listed_then(&[], then), stream(&[event("ADDED", "b", 11)], Then::Silence)];
        let scene = Scene::play(objects::Resource::Pods, replies).await;
        scene.newest(vec![page(&list("a", 10))]);
        scene.sink_gets(&["begin", "list a", "finish", "apply b"]).await;
        goes_on_from(&scene, 2, 10).await;
        assert_eq!(scene.probes(), ["/api/v1/pods?limit=1"]);
        assert_eq!((scene.all_failures(), scene.restarts(), scene.is_synced()), (failures, 0, true));
    }
}

#[tokio::test]
async fn a_lost_timeline_is_listed_again_and_counted() {
    for resource in [objects::Resource::Pods, objects::Resource::Rollouts] {
        let replies = vec![listed_then(&[], Then::Cut), listed_then(&[], Then::Silence)];
        let scene = Scene::play(resource, replies).await;
        scene.newest(vec![page(&list("a", 9))]);
        scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
        assert!(scene.asks(2).await.contains("sendInitialEvents=true"), "{resource}: {:?}", scene.asked());
        assert_eq!((scene.failures("timeline_lost"), scene.restarts()), (1, 1), "{resource}");
        scene.until("the next sync", || scene.is_synced()).await;
    }
}

#[tokio::test]
async fn without_a_proof_nothing_is_watched_and_nothing_listed() {
    let version = |version: &str| page(&format!(r#"{{"metadata":{{"resourceVersion":"{version}"}},"items":[]}}"#));
    let refusals = vec![
        status(500),
        version(""),
        version("ten"),
        page("<html>"),
        status(403),
        status(429),
        status(410),
        status(400),
        status(504),
        Reply::Nothing,
        status(503),
    ];
    let tried = refusals.len();
    let scene = Scene::play(objects::Resource::Pods, vec![listed_then(&[], Then::Cut), Reply::Nothing]).await;
    scene.newest(refusals);
    scene.until("the last refusal", || scene.probes().len() >= tried).await;
    assert_eq!(scene.asked().len(), 1, "{:?}", scene.asked());
    assert!(!scene.is_synced());
    goes_on_from(&scene, 2, 10).await;
    assert_eq!(scene.restarts(), 0);
    assert_eq!((scene.failures("decode"), scene.failures("server_error")), (3, 2));
}

#[tokio::test]
async fn a_list_that_breaks_off_has_no_version_to_prove() {
    let replies = vec![stream(&[event("ADDED", "a", 5)], Then::Cut), listed_then(&[], Then::Silence)];
    let scene = Scene::play(objects::Resource::Pods, replies).await;
    scene.sink_gets(&["begin", "list a", "abandon", "begin", "list a", "finish"]).await;
    assert!(scene.probes().is_empty(), "{:?}", scene.probes());
}

#[tokio::test]
async fn a_replica_that_lags_behind_is_waited_for() {
    // The server knows the newest version, because it asks etcd, but cannot serve a watch from there yet.
    let mut replies = vec![listed_then(&[], Then::Cut)];
    replies.extend(vec![status(504); 5]);
    replies.push(stream(&[event("ADDED", "b", 11)], Then::Silence));
    let scene = Scene::play(objects::Resource::Pods, replies).await;
    scene.newest(vec![page(&list("a", 10))]);
    scene.sink_gets(&["begin", "list a", "finish", "apply b"]).await;
    assert_eq!((scene.failures("timeout"), scene.restarts()), (5, 0));
}

#[tokio::test]
async fn after_a_silence_of_everything_it_lists_in_any_case() {
    let timings = Timings { outage: Duration::from_millis(300), ..quick() };
    let replies = vec![listed_then(&[], Then::Cut), listed_then(&[], Then::Silence)];
    let scene = Scene::play_in(objects::Resource::Pods, &["shop"], timings, replies).await;
    // The other resources respond with 404, which does not prove a timeline. By then the server has passed the version.
    scene.newest(vec![status(503); 1_000]);
    scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("timeline_lost"), scene.restarts()), (0, 1));
    assert!(scene.asked().iter().all(|asked| asked.contains("sendInitialEvents=true")), "{:?}", scene.asked());
}

async fn simulator() -> Simulator {
    let config = SimulatorConfig { rollouts_served: true, ..SimulatorConfig::default() };
    Simulator::start(config).await.unwrap()
}

async fn exporter(simulator: &Simulator, namespaces: &[&str], timings: &Timings) -> Exporter {
    let exporter = Exporter::start_with(simulator, namespaces, *timings).await;
    exporter.until_synced().await;
    simulator.forget_requests();
    exporter
}

fn requests(simulator: &Simulator, kind: RequestKind) -> Vec<usize> {
    watched().map(|resource| simulator.request_count(resource, kind)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_watches_broken_at_once_ask_once_each() {
    let simulator = simulator().await;
    fill(simulator.store());
    let exporter = exporter(&simulator, &[], &quick()).await;
    simulator.cut_connections();
    let count = || requests(&simulator, RequestKind::Watch);
    exporter.until("every watch", |_| count().iter().all(|watches| *watches >= 1)).await;
    exporter.until_synced().await;
    assert_eq!(requests(&simulator, RequestKind::List), [1; objects::Resource::ALL.len()]);
    assert_eq!(requests(&simulator, RequestKind::StreamingList), [0; objects::Resource::ALL.len()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watches_of_fifty_namespaces_share_one_request_for_each_resource() {
    let simulator = simulator().await;
    let names: Vec<String> = (0..50).map(|number| format!("shop-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // More time than in production (one second), for a busy machine.
    let timings = Timings { probe_shared: Duration::from_secs(20), ..quick() };
    let exporter = exporter(&simulator, &names, &timings).await;
    simulator.cut_connections();
    let count = || requests(&simulator, RequestKind::Watch);
    exporter.until("every watch", |_| count().iter().all(|watches| *watches >= 50)).await;
    exporter.until_synced().await;
    assert_eq!(requests(&simulator, RequestKind::List), [1; objects::Resource::ALL.len()]);
    assert_eq!(requests(&simulator, RequestKind::StreamingList), [0; objects::Resource::ALL.len()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_timed_out_continues_without_a_request() {
    let simulator = simulator().await;
    fill(simulator.store());
    // The first watch belongs to a list, so it lasts longer by the time for a list.
    let timings = Timings { watch_length: Duration::from_secs(1), list_total: Duration::from_secs(1), ..quick() };
    let exporter = exporter(&simulator, &[], &timings).await;
    let count = || requests(&simulator, RequestKind::Watch);
    exporter.until("three watches each", |_| count().iter().all(|watches| *watches >= 3)).await;
    assert_eq!(requests(&simulator, RequestKind::List), [0; objects::Resource::ALL.len()]);
    assert_eq!(exporter.troubles(), Vec::<String>::new());
}

fn backup(text: &str) -> Vec<(Resource, Value)> {
    let mut list: Value = serde_json::from_str(text).unwrap();
    let Value::Array(objects) = list["items"].take() else { panic!("no list") };
    objects.into_iter().map(|object| (resource_of(&object), object)).collect()
}

fn pods(look: &Look) -> Vec<String> {
    let named = look.parsed.samples.keys().filter(|(name, _)| name == "podskew_pod_info");
    let mut pods: Vec<String> = named.map(|(_, labels)| labels["pod"].clone()).collect();
    pods.sort_unstable();
    pods
}

/// As recorded: a watch from 63242 of a server at 63042 is silent until the server reaches that version, and continues
/// then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_server_that_accepts_a_future_version_is_noticed() {
    let simulator = simulator().await;
    simulator.store().restore(63_242, Some(backup(RESTORED_BEFORE)));
    let exporter = exporter(&simulator, &[], &quick()).await;
    let before = pods(&exporter.look());
    assert!(before.contains(&"late-74597cfdbd-x9wl6".to_owned()), "{before:?}");

    simulator.store().restore(63_042, Some(backup(RESTORED_AFTER)));
    simulator.cut_connections();
    let restored = Instant::now();
    let look = exporter
        .until("the server's objects", |look| {
            let phantoms = pods(look) == before;
            // The closed connection has to be noticed first.
            let noticed = restored.elapsed() > Duration::from_secs(1);
            assert!(!(phantoms && noticed && exporter.synced(Resource::Pods)), "synced in spite of phantoms");
            pods(look).iter().any(|pod| pod.starts_with("gone-748b56f94d-"))
        })
        .await;
    assert_eq!(pods(&look).len(), 9);
    // The server passes the version. A watch that waited for it would continue now.
    for number in 0..300 {
        simulator.store().put(
            Resource::DaemonSets,
            json!({"metadata": {"namespace": "tick", "name": "tick", "labels": {"tick": number.to_string()}}}),
        );
    }
    exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    for resource in watched() {
        assert_eq!(exporter.restarts(resource), 1, "{resource}");
        assert_eq!(exporter.failures(resource, FailureReason::TimelineLost), 1, "{resource}");
    }
}

/// The watch of a quiet resource has an older version, which also exists on the restored server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_version_is_lost_for_all_watches() {
    let simulator = simulator().await;
    let store = simulator.store();
    fill(store);
    let start = store.version();
    // No bookmark is sent within a minute.
    let exporter = exporter(&simulator, &[], &quick()).await;
    let mut pod = store.list(Resource::Pods).into_iter().find(|pod| pod["metadata"]["namespace"] == "stuck").unwrap();
    let mut ticks = |count: u32| {
        for number in 0..count {
            pod["metadata"]["labels"]["tick"] = json!(number.to_string());
            store.put(Resource::Pods, pod.clone());
        }
    };
    ticks(50);
    let events = exporter.telemetry.watch_events.with_label_values(&["pods", "applied"]);
    exporter.until("the pod's changes", |_| events.get() >= 50).await;
    let mut objects: Vec<(Resource, Value)> = Vec::new();
    for scenario in ["digest-skew", "stuck"] {
        objects.extend(common::exporter::objects(scenario).into_iter().map(|object| (resource_of(&object), object)));
    }
    store.restore(start - 10, Some(objects));
    ticks(30);
    simulator.cut_connections();
    let look = exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    let gone = look.view().workloads().into_iter().find(|named| named.workload_type == "daemonset");
    assert!(gone.is_none(), "{}", look.view().summary());
    assert_eq!(exporter.restarts(Resource::DaemonSets), 1);
    assert_eq!(exporter.failures(Resource::DaemonSets, FailureReason::TimelineLost), 1);
    assert_eq!(exporter.failures(Resource::Pods, FailureReason::TimelineLost), 1);
}

/// In production this takes ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_overtook_the_version_during_an_outage_is_listed() {
    let timings = Timings { outage: Duration::from_millis(500), ..quick() };
    let simulator = simulator().await;
    fill(simulator.store());
    let exporter = exporter(&simulator, &[], &timings).await;
    let (address, store) = (simulator.address(), simulator.store().clone());
    let known = store.version();
    simulator.shutdown().await;
    let stuck = objects("stuck").into_iter().map(|object| (resource_of(&object), object)).collect();
    store.restore(known + 1_000, Some(stuck));
    tokio::time::sleep(Duration::from_millis(700)).await;
    let config = SimulatorConfig { listen: address, rollouts_served: true, ..SimulatorConfig::default() };
    let simulator = Simulator::start_with(config, store).await.unwrap();
    let look = exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
    assert_eq!(pods(&look).len(), 5, "{}", look.view().summary());
    assert_eq!(exporter.failures(Resource::Pods, FailureReason::TimelineLost), 0);
}

/// Whether everything is watched, and the number of workloads with series.
async fn initial_sync(exporter: &Exporter) -> (bool, usize) {
    let look = exporter.until("the initial sync", |look| look.complete).await;
    let synced = objects::Resource::ALL.iter().all(|resource| exporter.synced(*resource));
    (synced, look.view().workloads().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_everything_in_its_first_seconds_is_not_believed() {
    let timings = Timings { forbidden_settles: Duration::from_secs(60), ..quick() };
    let simulator = simulator().await;
    fill(simulator.store());
    simulator.inject(None, Fault::Status(403));
    let starting = Exporter::start_with(&simulator, &[], timings).await;
    let failed =
        || objects::Resource::ALL.iter().all(|resource| starting.failures(*resource, FailureReason::Forbidden) >= 5);
    starting.until("five refusals each", |look| !look.complete && failed()).await;
    simulator.clear_faults();
    let (synced, workloads) = initial_sync(&starting).await;
    assert!(synced, "ready before the initial sync: {:?}", starting.troubles());
    assert_eq!(workloads, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permanently_missing_rule_does_not_delay_readiness() {
    let timings = Timings { forbidden_settles: Duration::from_secs(60), ..quick() };
    let simulator = simulator().await;
    fill_from(simulator.store(), "digest-skew");
    for namespaces in [&[][..], &["digest-skew"]] {
        simulator.inject(Some(Resource::DaemonSets), Fault::Status(403));
        let began = Instant::now();
        let exporter = Exporter::start_with(&simulator, namespaces, timings).await;
        assert_eq!(initial_sync(&exporter).await, (false, 1));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        simulator.clear_faults();
    }
}
