//! A snapshot of a cluster and one of kubectl's output agree, and both report what they could not read.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common;
use crate::common::exporter::{fill_from, simulator, watched};
use crate::common::tape::path;
use podskew::objects;
use podskew::report::{Origin, RolloutState, WorkloadReport};
use podskew::snapshot::{
    Cause, Namespaces, Snapshot, SnapshotOptions, SnapshotSource, list_cluster, named, take_snapshot,
};
use podskew::watch::{Connection, Timings, connect};
use serde_json::Value;
use simulator::Resource;
use simulator::{Fault, RequestKind, Simulator};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DUMPS: [&str; 5] = ["daemonset", "digest-skew", "paused", "statefulset-partition", "stuck"];

fn options(place: SnapshotSource, selector: Option<&str>) -> SnapshotOptions {
    let selector = selector.map(|selector| selector.parse().unwrap());
    SnapshotOptions { selector, ..common::snapshot_options::snapshot_options(place) }
}

fn reports(look: &mut Snapshot) -> Vec<WorkloadReport> {
    let mut reports = Vec::new();
    look.reports(&mut |report| reports.push(report));
    reports.sort_by(|a, b| a.workload.cmp(&b.workload));
    reports
}

fn names(look: &mut Snapshot) -> Vec<String> {
    let name = |report: &WorkloadReport| format!("{}/{}", report.workload.workload_type, report.workload.name);
    reports(look).iter().map(name).collect()
}

async fn at_file(file: &str, selector: Option<&str>) -> Snapshot {
    take_snapshot(
        &options(SnapshotSource::Dump { files: vec![file.into()], namespaces: Vec::new(), taken: None }, selector),
        None,
    )
    .await
    .unwrap()
}

async fn at_text(text: &str, selector: Option<&str>) -> Snapshot {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    at_file(file.path().to_str().unwrap(), selector).await
}

/// The dump with only some kinds.
fn only(scenario: &str, kinds: &[&str]) -> String {
    let text = std::fs::read_to_string(path(&format!("{scenario}.dump.json"))).unwrap();
    let mut dump: Value = serde_json::from_str(&text).unwrap();
    dump["items"].as_array_mut().unwrap().retain(|item| kinds.contains(&item["kind"].as_str().unwrap()));
    dump.to_string()
}

async fn at_simulator(simulator: &Simulator, namespaces: &[&str]) -> Result<Snapshot, String> {
    let timings = Timings { pause_base: Duration::from_millis(10), ..Timings::for_snapshot() };
    at_simulator_in(simulator, namespaces, &timings).await
}

async fn at_simulator_in(simulator: &Simulator, namespaces: &[&str], timings: &Timings) -> Result<Snapshot, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    simulator.write_kubeconfig(&file).unwrap();
    let connected = connect(&Connection { kubeconfig: Some(file), context: None }).await.unwrap();
    let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    let place = SnapshotSource::Cluster { connection: Connection::default(), namespaces: Namespaces::All };
    let looked = list_cluster(&connected, &namespaces, &options(place, None), None, *timings).await;
    looked.map_err(|error| format!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_listed_once_without_watches_and_agrees_with_its_dump() {
    for scenario in DUMPS {
        let simulator = simulator().await;
        fill_from(simulator.store(), scenario);
        let mut cluster = at_simulator(&simulator, &[]).await.unwrap();
        for request in simulator.requests() {
            assert!(!request.path.contains("watch"), "{request:?}");
        }
        let mut dump = at_file(&path(&format!("{scenario}.dump.json")), None).await;
        assert_eq!((&cluster.gaps, &dump.gaps), (&vec![], &vec![]), "{scenario}");
        let (cluster, mut dump) = (reports(&mut cluster), reports(&mut dump));
        if scenario == "daemonset" {
            // The dump was made after the end of the recording.
            dump.retain(|report| &*report.workload.name != "agent");
            assert_eq!(cluster.len(), 2);
            continue;
        }
        let stripped = |reports: &[WorkloadReport]| {
            let mut reports = reports.to_vec();
            for report in &mut reports {
                report.changes_at = None;
            }
            reports
        };
        assert_eq!(stripped(&cluster), stripped(&dump), "{scenario}");
    }
}

#[tokio::test]
async fn a_list_of_only_pods_shows_digest_skew_and_what_is_unknown() {
    let mut look = at_text(&only("digest-skew", &["Pod"]), None).await;
    assert!(look.pods_only);
    let gaps: Vec<(objects::Resource, &Cause, u64)> =
        look.gaps.iter().map(|gap| (gap.resource, &gap.cause, gap.missing)).collect();
    assert_eq!(gaps, [(objects::Resource::ReplicaSets, &Cause::NotInDump, 1)]);
    let reports = reports(&mut look);
    assert_eq!(reports.len(), 1);
    assert_eq!((&*reports[0].workload.workload_type, &*reports[0].workload.name), ("replicaset", "web-658465cf6d"));
    assert_eq!(reports[0].rollout, None);
    let digests = &reports[0].containers[0].by_hash[0];
    assert_eq!((digests.distinct_digests, digests.origin), (2, Origin::Unknown));
}

#[tokio::test]
async fn missing_objects_of_a_dump_are_not_invented() {
    // Without ReplicaSets the pods of the Deployment are unknown, so it is not reported as having none.
    let mut look = at_text(&only("digest-skew", &["Pod", "Deployment"]), None).await;
    assert_eq!(names(&mut look), ["replicaset/web-658465cf6d"]);
    // The ReplicaSet names its Deployment, whose state is unknown.
    let mut look = at_text(&only("paused", &["Pod", "ReplicaSet"]), None).await;
    assert_eq!(look.gaps.iter().map(|gap| gap.resource).collect::<Vec<_>>(), [objects::Resource::Deployments]);
    let found = reports(&mut look);
    assert_eq!((&*found[0].workload.workload_type, found[0].distinct_hashes), ("deployment", 2));
    assert_eq!(found[0].rollout, None);
    let mut look = at_text(&only("statefulset-partition", &["Pod", "StatefulSet"]), None).await;
    assert_eq!(look.gaps.iter().map(|gap| gap.resource).collect::<Vec<_>>(), [objects::Resource::ControllerRevisions]);
    assert_eq!(reports(&mut look)[0].rollout.map(|rollout| rollout.state), Some(RolloutState::Partitioned));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(only("stuck", &["ReplicaSet", "Deployment"]).as_bytes()).unwrap();
    let place = SnapshotSource::Dump { files: vec![file.path().to_owned()], namespaces: Vec::new(), taken: None };
    let error =
        podskew::snapshot::take_snapshot(&options(place, None), None).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("holds no pods"), "{error}");
}

#[tokio::test]
async fn a_selector_chooses_workloads_by_their_own_labels_and_pods_of_a_lone_list() {
    let dump = std::fs::read_to_string(path("digest-skew.dump.json")).unwrap();
    assert_eq!(names(&mut at_text(&dump, Some("nothing=here")).await), Vec::<String>::new());
    // The pods have the label, but the Deployment does not.
    assert_eq!(names(&mut at_text(&dump, Some("pod-template-hash")).await), Vec::<String>::new());
    let pods = only("digest-skew", &["Pod"]);
    assert_eq!(names(&mut at_text(&pods, Some("pod-template-hash")).await), ["replicaset/web-658465cf6d"]);
    let mut chosen = at_text(&pods, Some("app=web,version notin (v1)")).await;
    assert_eq!(names(&mut chosen), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_selects_a_report_or_lists_alternatives() {
    let file = path("daemonset.dump.json");
    let find = async |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = at_file(&file, None).await.find(&named(&words, &[]).unwrap());
        found.map(|found| found.len()).map_err(|error| error.to_string())
    };
    assert_eq!(find(&["ds/cni", "daemonset/agent"]).await, Ok(2));
    let error = find(&["ds/cmi"]).await.unwrap_err();
    assert!(error.contains("no daemonset/cmi in") && error.contains("did you mean daemonset/cni?"), "{error}");
    let error = find(&["ds/cni", "ds/nothing-like-it"]).await.unwrap_err();
    assert!(error.contains("there are: daemonset/agent") && !error.contains("no daemonset/cni"), "{error}");
    let error = find(&["deploy/web"]).await.unwrap_err();
    assert!(error.contains("there are: daemonset/agent, daemonset/cni"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbidden_lists_are_noted_and_pods_are_required() {
    let simulator = simulator().await;
    fill_from(simulator.store(), "digest-skew");
    simulator.inject(Some(Resource::Deployments), Fault::Status(403));
    let mut look = at_simulator(&simulator, &["digest-skew"]).await.unwrap();
    let said = look.gaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(said.contains("deployments may not be listed") && said.contains(r#"verbs: ["list"]"#), "{said}");
    assert!(said.contains("a Role in namespace digest-skew"), "{said}");
    assert_eq!(names(&mut look), ["deployment/web"]);

    simulator.clear_faults();
    simulator.inject(Some(Resource::ReplicaSets), Fault::Status(403));
    assert_eq!(names(&mut at_simulator(&simulator, &[]).await.unwrap()), ["replicaset/web-658465cf6d"]);

    simulator.inject(Some(Resource::Pods), Fault::Status(403));
    let error = at_simulator(&simulator, &[]).await.map(|_| ()).unwrap_err();
    for part in ["cannot list pods", r#"a ClusterRole with {apiGroups: [""], resources: ["pods"], verbs: ["list"]}"#] {
        assert!(error.contains(part), "{error}");
    }
    simulator.clear_faults();
    simulator.inject_times(Some(Resource::Pods), Fault::Status(503), 2);
    simulator.inject_times(Some(Resource::ReplicaSets), Fault::ListCut, 1);
    assert_eq!(names(&mut at_simulator(&simulator, &[]).await.unwrap()), ["deployment/web"]);
    simulator.inject(Some(Resource::StatefulSets), Fault::Status(500));
    let error = at_simulator(&simulator, &[]).await.map(|_| ()).unwrap_err();
    assert!(error.contains("cannot list statefulsets"), "{error}");
}

/// Takes a snapshot with the timings of commands that run once.
async fn at_starting(simulator: &Simulator) -> (Result<Snapshot, String>, Duration) {
    let began = Instant::now();
    let looked = at_simulator_in(simulator, &[], &Timings::for_snapshot()).await;
    (looked, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_everything_is_asked_again_for_five_seconds() {
    let simulator = Arc::new(simulator().await);
    fill_from(simulator.store(), "digest-skew");
    simulator.inject(None, Fault::Status(403));
    let starting = simulator.clone();
    let clear = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        starting.clear_faults();
    });
    let (looked, took) = at_starting(&simulator).await;
    clear.await.unwrap();
    let mut look = looked.unwrap();
    assert!(look.gaps.is_empty(), "{:?}", look.gaps);
    assert_eq!(names(&mut look), ["deployment/web"]);
    assert!(took >= Duration::from_millis(1_500), "{took:?}");

    simulator.inject(None, Fault::Status(403));
    simulator.forget_requests();
    let (looked, took) = at_starting(&simulator).await;
    assert!(looked.is_err_and(|error| error.contains("cannot list pods")));
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(9), "{took:?}");
    assert!(simulator.request_count(Resource::Pods, RequestKind::List) <= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_list_pods_it_is_refused_at_once() {
    let simulator = simulator().await;
    fill_from(simulator.store(), "digest-skew");
    for resource in watched().filter(|resource| *resource != Resource::DaemonSets) {
        simulator.inject(Some(resource), Fault::Status(403));
    }
    let (looked, _) = at_starting(&simulator).await;
    assert!(looked.is_err_and(|error| error.contains("cannot list pods")));
    assert_eq!(simulator.request_count(Resource::Pods, RequestKind::List), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_missing_in_one_namespace_does_not_affect_others() {
    let simulator = simulator().await;
    for scenario in ["digest-skew", "paused", "stuck"] {
        fill_from(simulator.store(), scenario);
    }
    // The fault affects one request for the resource, not a namespace: of two namespaces, one fails.
    simulator.inject_times(Some(Resource::ReplicaSets), Fault::Status(403), 1);
    let mut look = at_simulator(&simulator, &["digest-skew", "paused"]).await.unwrap();
    let names = names(&mut look);
    let deployments = names.iter().filter(|name| name.starts_with("deployment/")).count();
    assert_eq!(deployments, 1, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("replicaset/")), "{names:?}");
    simulator.inject(Some(Resource::Deployments), Fault::Status(403));
    let look = at_simulator(&simulator, &["digest-skew", "paused", "stuck"]).await.unwrap();
    let said = look.gaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(look.gaps.len(), 1, "{said}");
    assert!(said.contains("a Role in namespace digest-skew"), "{said}");
    assert!(said.ends_with("and the same in paused, stuck"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_continue_token_expires_begins_again() {
    let simulator = simulator().await;
    fill_from(simulator.store(), "digest-skew");
    let pod = simulator.store().list(Resource::Pods)[0].clone();
    for number in 0..1200 {
        let mut pod = pod.clone();
        pod["metadata"]["name"] = format!("web-more-{number}").into();
        pod["metadata"]["uid"] = format!("more-{number}").into();
        simulator.store().put(Resource::Pods, pod);
    }
    simulator.inject_times(Some(Resource::Pods), Fault::ContinueExpired, 1);
    let mut look = at_simulator(&simulator, &[]).await.unwrap();
    assert_eq!(reports(&mut look)[0].pods.len(), 1208);
    let lists = simulator.requests().iter().filter(|request| request.path.contains("/pods")).count();
    assert_eq!(lists, 3, "a page, a token that has expired, and a larger page with everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_sees_every_object_whole() {
    let simulator = simulator().await;
    fill_from(simulator.store(), "stuck");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    simulator.write_kubeconfig(&kubeconfig).unwrap();
    let connection = Connection { kubeconfig: Some(kubeconfig), context: None };
    let dump =
        SnapshotSource::Dump { files: vec![path("stuck.dump.json").into()], namespaces: Vec::new(), taken: None };
    for place in [SnapshotSource::Cluster { connection, namespaces: Namespaces::All }, dump] {
        let sets = Arc::new(Mutex::new(Vec::new()));
        let kept = sets.clone();
        let witness = move |resource, json: &[u8]| {
            if resource == objects::Resource::ReplicaSets {
                let set: Value = serde_json::from_slice(json).unwrap();
                assert!(set["spec"]["template"]["spec"]["containers"][0]["env"].is_array(), "{set}");
                kept.lock().unwrap().push(set["metadata"]["name"].clone());
            }
        };
        take_snapshot(&options(place, None), Some(Arc::new(witness))).await.unwrap();
        assert_eq!(sets.lock().unwrap().len(), 2);
    }
}
