//! Compares the simulator with recordings of a real API server: the same request gets an answer of the same shape.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use futures::StreamExt as _;
use kube::config::KubeConfigOptions;
use reqwest::Response;
use serde_json::{Value, json};
use simulator::Resource;
use simulator::Time;
use simulator::{Fault, Recording, Replay, RequestKind, Simulator, SimulatorConfig, Tls};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

const UNFINISHED: &str = "fieldSelector=status.phase!%3DSucceeded,status.phase!%3DFailed";

fn recorded(name: &str) -> String {
    let path = format!("{}/tests/data/recordings/protocol/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn recorded_json(name: &str) -> Value {
    serde_json::from_str(&recorded(name)).unwrap()
}

fn recorded_lines(name: &str) -> Vec<Value> {
    recorded(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every path in a JSON value with the type of its value. Items of a list have the same path.
fn shape(value: &Value) -> BTreeSet<String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeSet<String>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(items) => {
                for item in items {
                    walk(&format!("{path}[]"), item, out);
                }
                "array"
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| walk(&format!("{path}.{name}"), field, out));
                "object"
            }
        };
        out.insert(format!("{path}: {kind}"));
    }
    let mut out = BTreeSet::new();
    walk("", value, &mut out);
    out
}

/// The value without versions, which differ between servers.
fn without_versions(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_versions(item.take())),
        Value::Object(fields) => {
            for (name, field) in fields {
                let text = matches!(name.as_str(), "resourceVersion" | "continue");
                *field = if text { json!("*") } else { without_versions(field.take()) };
            }
        }
        _ => {}
    }
    value
}

/// A server with the four pods of the recorded pages.
async fn with_recorded_pods(config: SimulatorConfig) -> Simulator {
    let simulator = Simulator::start(config).await.unwrap();
    for page in ["pods-page-1.json", "pods-page-2.json"] {
        for pod in recorded_json(page)["items"].as_array().unwrap() {
            simulator.store().put(Resource::Pods, pod.clone());
        }
    }
    simulator
}

async fn get(simulator: &Simulator, path_and_query: &str) -> Response {
    reqwest::get(format!("{}{path_and_query}", simulator.url())).await.unwrap()
}

async fn get_json(simulator: &Simulator, path_and_query: &str) -> (u16, Value) {
    let response = get(simulator, path_and_query).await;
    assert_eq!(response.headers()["content-type"], "application/json", "{path_and_query}");
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

/// A watch, read line by line.
struct Lines {
    response: Response,
    held: Vec<u8>,
}

impl Lines {
    async fn open(simulator: &Simulator, path_and_query: &str) -> Self {
        let response = get(simulator, path_and_query).await;
        assert_eq!(response.status(), 200, "{path_and_query}");
        Self { response, held: Vec::new() }
    }

    /// The next line; `Ok(None)` at a proper end, and the rest of a line if the connection breaks.
    async fn next_text(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(Some(String::from_utf8(line).unwrap()));
            }
            let left = || String::from_utf8(self.held.clone()).unwrap();
            match self.response.chunk().await {
                Ok(Some(piece)) => self.held.extend_from_slice(&piece),
                Ok(None) if self.held.is_empty() => return Ok(None),
                _ => return Err(left()),
            }
        }
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await.unwrap().unwrap()).unwrap()
    }

    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.next_text()).await.is_err()
    }
}

fn event(line: &Value) -> (&str, &str) {
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/type"), text("/object/metadata/name"))
}

fn pod(name: &str, phase: &str) -> Value {
    json!({"metadata": {"namespace": "rollout", "name": name}, "status": {"phase": phase}})
}

/// With `resourceVersion=0` an API server answers from its cache, always completely (`apiserver/pkg/storage/cacher`,
/// `GetList`).
#[tokio::test]
async fn a_list_from_the_cache_ignores_the_limit() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let items = |list: &Value| list["items"].as_array().unwrap().len();
    let (_, all) = get_json(&simulator, "/api/v1/namespaces/rollout/pods").await;
    let (_, page) = get_json(&simulator, "/api/v1/namespaces/rollout/pods?limit=2").await;
    let (_, cached) = get_json(&simulator, "/api/v1/namespaces/rollout/pods?limit=2&resourceVersion=0").await;
    assert_eq!((items(&page), items(&cached)), (2, items(&all)));
    assert!(items(&all) > 2 && cached["metadata"]["continue"].is_null(), "{cached}");
}

#[tokio::test]
async fn four_pods_in_pages_of_two() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let (status, first) = get_json(&simulator, "/api/v1/namespaces/rollout/pods?limit=2").await;
    assert_eq!(status, 200);
    assert_eq!(without_versions(first.clone()), without_versions(recorded_json("pods-page-1.json")));
    // Changes between two pages are not visible in the second.
    simulator.store().delete(Resource::Pods, "rollout", "api-5b7b7bcf9d-8djzh");
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("/api/v1/namespaces/rollout/pods?limit=2&continue={token}");
    let (status, second) = get_json(&simulator, &next).await;
    assert_eq!(status, 200);
    assert_eq!(without_versions(second.clone()), without_versions(recorded_json("pods-page-2.json")));
    assert_eq!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    assert_eq!(simulator.request_count(Resource::Pods, RequestKind::List), 1);
    assert_eq!(simulator.request_count(Resource::Pods, RequestKind::NextPage), 1);
}

#[tokio::test]
async fn pages_over_all_namespaces_have_every_object_once() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/pods?limit=3&{UNFINISHED}&continue={token}");
        let (status, page) = get_json(&simulator, &path).await;
        assert_eq!(status, 200);
        assert_eq!(page["metadata"].get("remainingItemCount"), None, "unknown with a field selector");
        let items = page["items"].as_array().unwrap().iter();
        names.extend(items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()));
        match page["metadata"]["continue"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!((names.len(), unique.len()), (4, 4));
}

#[tokio::test]
async fn a_continue_token_expires() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let (_, page) = get_json(&simulator, "/api/v1/namespaces/rollout/pods?limit=2").await;
    simulator.store().forget_open_lists(Resource::Pods);
    let path = "/api/v1/namespaces/rollout/pods?limit=2&continue=";
    let expired = format!("{path}{}", page["metadata"]["continue"].as_str().unwrap());
    let (status, body) = get_json(&simulator, &expired).await;
    assert_eq!(status, 410);
    assert_eq!(without_versions(body.clone()), without_versions(recorded_json("pods-continue-expired.json")));
    // The token in the error continues the list.
    let rest = format!("{path}{}", body["metadata"]["continue"].as_str().unwrap());
    let (status, page) = get_json(&simulator, &rest).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 2));
    // The recorded request also had a token of this sort: version -1, after `a`.
    simulator.inject_times(Some(Resource::Pods), Fault::ContinueExpired, 1);
    let recorded = recorded_json("pods-continue-expired.json");
    let token = recorded["metadata"]["continue"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/rollout/pods?limit=2&continue={token}");
    assert_eq!(get_json(&simulator, &path).await.0, 410);
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = Lines::open(&simulator, &format!("/api/v1/namespaces/rollout/pods?{query}")).await;
    for recorded in recorded_lines("pods-streaming-list.jsonl") {
        assert_eq!(without_versions(lines.next().await), without_versions(recorded));
    }
    let started = simulator.store().version();
    simulator.store().put(Resource::Pods, pod("late", "Running"));
    let late = lines.next().await;
    assert_eq!(event(&late), ("ADDED", "late"));
    assert_eq!(late["object"]["metadata"]["resourceVersion"], (started + 1).to_string());
    assert_eq!(simulator.request_count(Resource::Pods, RequestKind::StreamingList), 1);
}

#[tokio::test]
async fn unsupported_streaming_lists_are_refused() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let path = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0";
    simulator.inject(Some(Resource::Pods), Fault::StreamingListUnsupported);
    let mut lines = Lines::open(&simulator, path).await;
    assert_eq!(vec![lines.next().await], recorded_lines("pods-streaming-list-unsupported.jsonl"));
    assert_eq!(lines.next_text().await, Ok(None));
    simulator.clear_faults();
    simulator.inject(Some(Resource::Pods), Fault::StreamingListInvalid);
    let (status, body) = get_json(&simulator, path).await;
    assert_eq!((status, body["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(get_json(&simulator, "/api/v1/pods").await.0, 200, "a plain list is served");
}

#[tokio::test]
async fn a_watch_from_an_expired_version_gets_410() {
    let simulator = with_recorded_pods(SimulatorConfig { history: 2, ..SimulatorConfig::default() }).await;
    let mut lines = Lines::open(&simulator, "/api/v1/pods?watch=true&resourceVersion=1").await;
    let told = lines.next().await;
    let recorded = recorded_lines("pods-watch-expired.jsonl").remove(0);
    assert_eq!(shape(&told), shape(&recorded));
    assert_eq!(told["object"]["code"], recorded["object"]["code"]);
    assert_eq!(told["object"]["reason"], recorded["object"]["reason"]);
    assert_eq!(lines.next_text().await, Ok(None));
    // The same as an HTTP status, which some servers send.
    simulator.inject_times(None, Fault::WatchGone, 1);
    let (status, body) = get_json(&simulator, "/api/v1/pods?watch=true&resourceVersion=1").await;
    assert_eq!((status, body["reason"].as_str()), (410, Some("Expired")));
}

#[tokio::test]
async fn a_watch_of_unfinished_pods_gets_deleted_for_a_finished_one() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let version = simulator.store().version();
    let path = format!("/api/v1/pods?watch=true&resourceVersion={version}&{UNFINISHED}&timeoutSeconds=1");
    let mut lines = Lines::open(&simulator, &path).await;
    let store = simulator.store();
    store.put(Resource::Pods, pod("job", "Running"));
    store.put(Resource::Pods, pod("job", "Succeeded"));
    store.delete(Resource::Pods, "rollout", "job");
    store.put(Resource::Pods, pod("web", "Running"));
    let seen = [lines.next().await, lines.next().await, lines.next().await];
    assert_eq!(seen.each_ref().map(event), [("ADDED", "job"), ("DELETED", "job"), ("ADDED", "web")]);
    let gone = &seen[1]["object"];
    assert_eq!(gone["status"]["phase"], "Running", "in the state before it left");
    assert_eq!(gone["metadata"]["resourceVersion"], (version + 2).to_string(), "with the version at which it left");
    assert_eq!(lines.next_text().await, Ok(None), "time is up");
}

#[tokio::test]
async fn bookmarks_are_as_recorded() {
    let interval = Duration::from_millis(20);
    let simulator = Simulator::start(SimulatorConfig { bookmark_interval: interval, ..Default::default() });
    let simulator = simulator.await.unwrap();
    let path = format!("{}/tests/data/recordings/daemonset.jsonl", env!("CARGO_MANIFEST_DIR"));
    let recorded = std::fs::read_to_string(path).unwrap();
    for resource in Resource::ALL.into_iter().filter(|resource| resource.has_protobuf()) {
        let query = "watch=true&resourceVersion=1000&allowWatchBookmarks=true";
        let path = format!("{}/{resource}?{query}", resource.api_path());
        let told = Lines::open(&simulator, &path).await.next().await;
        assert_eq!(
            (told["type"].as_str(), &told["object"]["metadata"]["resourceVersion"]),
            (Some("BOOKMARK"), &json!("1000"))
        );
        let all = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut ours = all.filter(|line| line["resource"] == resource.plural() && line["event"]["type"] == "BOOKMARK");
        if let Some(recorded) = ours.next() {
            assert_eq!(without_versions(told), without_versions(recorded["event"].clone()));
        }
    }
}

#[tokio::test]
async fn errors_are_as_recorded() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    simulator.inject(Some(Resource::Pods), Fault::Status(403));
    let (status, body) = get_json(&simulator, "/api/v1/pods").await;
    let recorded = recorded_json("forbidden.json");
    assert_eq!((status, shape(&body)), (403, shape(&recorded)));
    let message = |body: &Value| body["message"].as_str().unwrap().replace("rollout:viewer", "podskew:podskew");
    assert_eq!(message(&body), message(&recorded));
    assert_eq!(get_json(&simulator, "/apis/apps/v1/replicasets").await.0, 200, "only pods are forbidden");
    simulator.clear_faults();
    simulator.inject(None, Fault::Status(403));
    let (_, body) = get_json(&simulator, "/apis/apps/v1/namespaces/shop/deployments?watch=true").await;
    let message = body["message"].as_str().unwrap();
    assert!(message.ends_with("cannot watch resource \"deployments\" in API group \"apps\" in the namespace \"shop\""));
    simulator.clear_faults();
    for status in [401, 500, 503] {
        simulator.inject_times(None, Fault::Status(status), 1);
        let (answered, body) = get_json(&simulator, "/api/v1/pods").await;
        assert_eq!((answered, body["kind"].as_str()), (status, Some("Status")));
    }
    simulator.inject_times(None, Fault::TooManyRequests { retry_after_seconds: 7 }, 1);
    let response = get(&simulator, "/api/v1/pods").await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(get_json(&simulator, "/api/v1/pods").await.0, 200, "the fault applied as often as injected");
}

#[tokio::test]
async fn rollouts_come_and_go() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let path = "/apis/argoproj.io/v1alpha1/rollouts";
    for path in [path, "/apis/argoproj.io/v1alpha1"] {
        let response = get(&simulator, path).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.text().await.unwrap(), recorded("rollouts-missing-crd.txt"));
    }
    simulator.set_rollouts_served(true);
    let (status, list) = get_json(&simulator, path).await;
    assert_eq!((status, list["kind"].as_str()), (200, Some("RolloutList")));
    let served = get_json(&simulator, "/apis/argoproj.io/v1alpha1").await.1;
    assert!(served["resources"].as_array().unwrap().iter().any(|resource| resource["kind"] == "Rollout"));
}

#[tokio::test]
async fn discovery_is_as_recorded() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let (status, body) = get_json(&simulator, "/apis/apps/v1").await;
    let recorded = recorded_json("discovery-apps-v1.json");
    assert_eq!((status, shape(&body)), (200, shape(&recorded)));
    let names = |body: &Value| -> Vec<Value> {
        body["resources"].as_array().unwrap().iter().map(|resource| resource["name"].clone()).collect()
    };
    assert_eq!(names(&body), names(&recorded));
    for path in ["/api", "/apis", "/api/v1", "/version"] {
        assert_eq!(get_json(&simulator, path).await.0, 200, "{path}");
    }
    assert_eq!(get(&simulator, "/apis/autoscaling/v2").await.status(), 404);
}

#[tokio::test]
async fn a_token_counts_until_it_is_rotated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let config = SimulatorConfig { token_file: Some(file.clone()), ..SimulatorConfig::default() };
    let simulator = with_recorded_pods(config).await;
    let url = format!("{}/api/v1/pods", simulator.url());
    let ask = |token: &'static str| reqwest::Client::new().get(&url).bearer_auth(token).send();
    assert_eq!(ask("first").await.unwrap().status(), 200);
    std::fs::write(&file, "second\n").unwrap();
    let stale = ask("first").await.unwrap();
    assert_eq!(stale.status(), 401);
    let body: Value = serde_json::from_slice(&stale.bytes().await.unwrap()).unwrap();
    assert_eq!(body, recorded_json("unauthorized.json"));
    assert_eq!(ask("second").await.unwrap().status(), 200);
    assert!(simulator.kubeconfig().contains("tokenFile: "));
}

#[tokio::test]
async fn connections_break_in_the_middle_of_a_line() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    simulator.inject_times(Some(Resource::Pods), Fault::ListCut, 1);
    let mut list = Lines::open(&simulator, "/api/v1/pods").await;
    assert!(list.next_text().await.unwrap_err().starts_with("{\"kind\":\"PodList\""));
    let path = format!("/api/v1/pods?watch=true&resourceVersion={}", simulator.store().version());
    let mut watch = Lines::open(&simulator, &path).await;
    simulator.inject_times(Some(Resource::Pods), Fault::WatchCut, 1);
    assert!(watch.next_text().await.unwrap_err().starts_with("{\"type\":\"MODIFIED\""));
    let mut watch = Lines::open(&simulator, &path).await;
    simulator.cut_connections();
    assert_eq!(watch.next_text().await, Err(String::new()));
}

#[tokio::test]
async fn watches_send_nonsense_fall_silent_or_expire() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let store = simulator.store();
    let path = format!("/api/v1/pods?watch=true&resourceVersion={}", store.version());
    let mut watch = Lines::open(&simulator, &path).await;
    for fault in [Fault::WatchGarbage, Fault::WatchTruncatedLine] {
        simulator.inject_times(Some(Resource::Pods), fault, 1);
        let line = watch.next_text().await.unwrap().unwrap();
        assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");
    }
    store.put(Resource::Pods, pod("after", "Running"));
    assert_eq!(event(&watch.next().await), ("ADDED", "after"));
    simulator.inject_times(Some(Resource::Pods), Fault::WatchSilent, 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.put(Resource::Pods, pod("unheard", "Running"));
    assert!(watch.is_silent().await);
    let mut other = Lines::open(&simulator, &path).await;
    assert_eq!(event(&other.next().await).1, "after");
    assert_eq!(event(&other.next().await).1, "unheard");
    simulator.inject_times(Some(Resource::Pods), Fault::WatchExpires, 1);
    assert_eq!(other.next().await["object"]["code"], 410);
    assert_eq!(other.next_text().await, Ok(None));
}

#[tokio::test]
async fn answers_never_start_or_never_end() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    simulator.inject(Some(Resource::Pods), Fault::NeverAnswers);
    let waiting = tokio::time::timeout(Duration::from_millis(150), get(&simulator, "/api/v1/pods"));
    assert!(waiting.await.is_err());
    simulator.clear_faults();
    simulator.inject(Some(Resource::Pods), Fault::ListStalls);
    let streaming = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    assert!(Lines::open(&simulator, "/api/v1/pods").await.is_silent().await);
    let mut lines = Lines::open(&simulator, streaming).await;
    while !lines.is_silent().await {}
    assert!(!lines.held.is_empty(), "the stream stalls within an event");
}

#[tokio::test]
async fn a_restart_goes_back_in_time() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let before = simulator.store().version();
    let path = format!("/api/v1/pods?watch=true&resourceVersion={before}");
    let mut watch = Lines::open(&simulator, &path).await;
    simulator.restart_with_older_versions(None);
    assert_eq!(watch.next_text().await, Err(String::new()), "cut");
    let (_, list) = get_json(&simulator, "/api/v1/pods").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let now: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(now < before);
    let too_new = format!("/api/v1/pods?resourceVersion={before}&resourceVersionMatch=NotOlderThan");
    assert_eq!(get_json(&simulator, &too_new).await.0, 504);
    let mut ahead = Lines::open(&simulator, &path).await;
    simulator.store().put(Resource::Pods, pod("new", "Running"));
    assert!(ahead.is_silent().await, "a watch from the future receives nothing of the present");
}

#[tokio::test]
async fn a_recording_is_heard_as_it_was_sent() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let path = PathBuf::from(format!("{}/tests/data/recordings/stuck.jsonl", env!("CARGO_MANIFEST_DIR")));
    let recorded = std::fs::read_to_string(&path).unwrap();
    let mut replay = Replay::begin(simulator.store(), Recording::load(&path).unwrap(), Time::now());
    let version = simulator.store().version();
    let watch = format!("/api/v1/namespaces/stuck/pods?watch=true&resourceVersion={version}");
    let mut watch = Lines::open(&simulator, &watch).await;
    replay.finish();
    let is_event = |line: &Value| {
        line["resource"] == "pods" && line["event"]["type"] != "BOOKMARK" && line["at"].as_f64() > Some(1.0)
    };
    let expected = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(is_event);
    for expected in expected {
        let heard = watch.next().await;
        assert_eq!(heard["type"], expected["event"]["type"]);
        assert_eq!(
            heard["object"]["metadata"]["resourceVersion"],
            expected["event"]["object"]["metadata"]["resourceVersion"]
        );
        assert_eq!(shape(&heard), shape(&expected["event"]));
    }
}

#[tokio::test]
async fn tls_with_a_private_authority() {
    let authority = {
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap()
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let tls = Tls::from_pem(&certificate.pem(), &key.serialize_pem(), &authority.pem()).unwrap();
    let config = SimulatorConfig { tls: Some(tls), ..SimulatorConfig::default() };
    let simulator = with_recorded_pods(config).await;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(client);
    assert_eq!(pods.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 4);
}

#[tokio::test]
async fn kube_watches_it_as_a_real_server() {
    use kube::runtime::watcher;
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(kube::Client::try_from(config).unwrap());
    let selector = podskew::objects::Resource::Pods.field_selector().unwrap();
    for config in [watcher::Config::default().page_size(3), watcher::Config::default().streaming_lists()] {
        let mut events = watcher::watcher(pods.clone(), config.fields(selector)).boxed();
        let mut initial = 0;
        loop {
            match events.next().await.unwrap().unwrap() {
                watcher::Event::InitDone => break,
                watcher::Event::InitApply(_) => initial += 1,
                _ => {}
            }
        }
        assert_eq!(initial, 4);
        simulator.store().put(Resource::Pods, pod("one-more", "Running"));
        let applied = events.next().await.unwrap().unwrap();
        assert!(matches!(applied, watcher::Event::Apply(pod) if pod.metadata.name.as_deref() == Some("one-more")));
        simulator.store().put(Resource::Pods, pod("one-more", "Failed"));
        assert!(matches!(events.next().await.unwrap().unwrap(), watcher::Event::Delete(_)));
    }
}

#[tokio::test]
async fn a_streaming_list_has_a_broken_line() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    simulator.inject_times(Some(Resource::Pods), Fault::WatchTruncatedLine, 1);
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = Lines::open(&simulator, &format!("/api/v1/pods?{query}")).await;
    let broken = lines.next_text().await.unwrap().unwrap();
    assert!(serde_json::from_str::<Value>(&broken).is_err());
    for expected in ["ADDED", "ADDED", "ADDED", "BOOKMARK"] {
        assert_eq!(event(&lines.next().await).0, expected);
    }
}

#[tokio::test]
async fn a_server_restarts_on_the_same_address() {
    let simulator = with_recorded_pods(SimulatorConfig::default()).await;
    let (address, store) = (simulator.address(), simulator.store().clone());
    let url = format!("{}/api/v1/pods", simulator.url());
    simulator.shutdown().await;
    assert!(reqwest::get(&url).await.is_err());
    let config = SimulatorConfig { listen: address, ..SimulatorConfig::default() };
    let _again = Simulator::start_with(config, store).await.unwrap();
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
}
