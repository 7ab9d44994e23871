//! Compares the simulator's protobuf with Kubernetes' own: its JSON, encoded by an API server's code, must equal its
//! protobuf, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::needs::{Test, tests};
use crate::programs;
use podskew::objects;
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use simulator::Resource;
use simulator::Time;
use simulator::{
    BulkConfig, Demo, DemoConfig, Detail, Fault, Recording, Replay, Simulator, SimulatorConfig, Store, bulk,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// podskew's `Accept` header.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf, application/json";
const JSON: &str = "application/json";
const STREAMING: &str = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kubernetes(mode: &str, input: &[u8]) -> Vec<u8> {
    let program = root().join("target/tools/protobuf");
    let output = programs::run(&program, &[mode], input, "make target/tools/protobuf");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The protobuf that an API server would send for each of these lines of JSON.
fn encoded_by_kubernetes(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let answers = kubernetes("encode", &lines.join(&b'\n'));
    let mut rest = &answers[..];
    let mut found = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (answer, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        found.push(answer.to_vec());
        rest = after;
    }
    assert_eq!(found.len(), lines.len());
    found
}

#[track_caller]
fn same(ours: &[Vec<u8>], theirs: &[Vec<u8>], lines: &[Vec<u8>]) {
    assert_eq!(ours.len(), theirs.len());
    for ((ours, theirs), line) in ours.iter().zip(theirs).zip(lines) {
        let differs = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
        let at = differs.unwrap_or(ours.len().min(theirs.len()));
        let around = |bytes: &[u8]| {
            bytes[at.saturating_sub(40).min(bytes.len())..bytes.len().min(at + 20)].escape_ascii().to_string()
        };
        assert!(
            ours == theirs,
            "from byte {at} on, {} and {} bytes\nours:   {}\ntheirs: {}\n{}",
            ours.len(),
            theirs.len(),
            around(ours),
            around(theirs),
            String::from_utf8_lossy(line)
        );
    }
}

async fn start(store: Store) -> Simulator {
    Simulator::start_with(SimulatorConfig { rollouts_served: true, ..SimulatorConfig::default() }, store).await.unwrap()
}

async fn ask(simulator: &Simulator, path: &str, accept: &str) -> Response {
    let client = reqwest::Client::new();
    client.get(format!("{}{path}", simulator.url())).header(ACCEPT, accept).send().await.unwrap()
}

fn content_type(response: &Response) -> &str {
    response.headers()[CONTENT_TYPE].to_str().unwrap()
}

async fn body(simulator: &Simulator, path: &str, accept: &str, expected_type: &str) -> Vec<u8> {
    let response = ask(simulator, path, accept).await;
    assert_eq!(content_type(&response), expected_type, "{path}");
    response.bytes().await.unwrap().to_vec()
}

/// A watch that is read event by event.
struct Events {
    response: Response,
    held: Vec<u8>,
}

impl Events {
    async fn open(simulator: &Simulator, path: &str, accept: &str) -> Self {
        Self { response: ask(simulator, path, accept).await, held: Vec::new() }
    }

    fn is_protobuf(&self) -> bool {
        content_type(&self.response) == "application/vnd.kubernetes.protobuf;stream=watch"
    }

    /// End of the first event in the data received so far.
    fn end(&self) -> Option<usize> {
        if !self.is_protobuf() {
            return self.held.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        }
        let length = u32::from_be_bytes(*self.held.first_chunk()?) as usize;
        (self.held.len() >= 4 + length).then_some(4 + length)
    }

    /// The next event; `Ok(None)` at a proper end, and the rest of an event if the connection breaks.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Vec<u8>> {
        loop {
            if let Some(end) = self.end() {
                return Ok(Some(self.held.drain(..end).collect()));
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.held.extend_from_slice(&piece),
                Ok(None) if self.held.is_empty() => return Ok(None),
                _ => return Err(self.held.clone()),
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await.unwrap().unwrap());
        }
        events
    }

    /// All events up to the bookmark that ends the initial events.
    async fn initial(&mut self) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.unwrap().unwrap();
            let last = memchr::memmem::find(&event, b"k8s.io/initial-events-end").is_some();
            events.push(event);
            if last {
                return events;
            }
        }
    }

    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.next()).await.is_err()
    }
}

fn encodable() -> impl Iterator<Item = Resource> {
    Resource::ALL.into_iter().filter(|resource| resource.has_protobuf())
}

fn path_of(resource: Resource) -> String {
    format!("{}/{resource}", resource.api_path())
}

/// All objects of a store: as a list, in pages, as a streaming list, and the first object of each resource alone.
async fn is_encoded_as_by_kubernetes(store: Store) {
    let simulator = start(store).await;
    for resource in encodable() {
        let path = path_of(resource);
        let (mut ours, mut lines) = (Vec::new(), Vec::new());
        let objects = simulator.store().list(resource);
        let mut paths = vec![path.clone(), format!("{path}?limit=3")];
        if let Some(object) = objects.first() {
            let name = object["metadata"]["name"].as_str().unwrap();
            // Nodes have no namespace.
            let namespace = object["metadata"]["namespace"].as_str();
            let namespace = namespace.map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
            paths.push(format!("{}{namespace}/{resource}/{name}", resource.api_path()));
        }
        for path in &paths {
            ours.push(body(&simulator, path, PROTOBUF, "application/vnd.kubernetes.protobuf").await);
            lines.push(body(&simulator, path, JSON, JSON).await.trim_ascii_end().to_vec());
        }
        let streaming = format!("{path}?{STREAMING}");
        ours.extend(Events::open(&simulator, &streaming, PROTOBUF).await.initial().await);
        let events = Events::open(&simulator, &streaming, JSON).await.initial().await;
        lines.extend(events.into_iter().map(|line| line.trim_ascii_end().to_vec()));
        assert_eq!(lines.len(), paths.len() + objects.len() + 1);
        same(&ours, &encoded_by_kubernetes(&lines), &lines);
    }
}

fn the_schema_is_kubernetes_own() {
    let ours = std::fs::read_to_string(root().join("crates/simulator/src/protobuf/schema.txt")).unwrap();
    assert_eq!(ours, String::from_utf8(kubernetes("schema", b"")).unwrap(), "update it with make protobuf-schema");
}

#[tokio::main(flavor = "current_thread")]
async fn the_demos_objects() {
    let store = Store::new(100);
    let _demo = Demo::begin(&store, &DemoConfig::default(), Time::now());
    is_encoded_as_by_kubernetes(store).await;
}

/// A node as reported by a kubelet, with some fields of every kind.
fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"kubernetes.io/arch": "arm64"}},
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi"},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-30T08:00:00Z",
                "lastTransitionTime": "2026-11-30T08:00:00Z", "reason": "KubeletReady", "message": "posting ready status"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {"machineID": "a", "systemUUID": "b", "bootID": "c", "kernelVersion": "6.1.0", "osImage": "Debian",
                "containerRuntimeVersion": "containerd://2.1.0", "kubeletVersion": "v1.36.3", "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": "arm64"},
            "images": [
                {"names": ["r.example/web@sha256:aa", "r.example/web:1"], "sizeBytes": 123_456_789},
                {"names": [], "sizeBytes": 5}
            ]
        }
    })
}

#[tokio::main(flavor = "current_thread")]
async fn nodes_are_encoded_as_by_kubernetes() {
    let store = Store::new(100);
    for name in ["a", "b", "c"] {
        store.put(Resource::Nodes, node(name));
    }
    let simulator = start(store).await;
    let (mut ours, mut lines) = (Vec::new(), Vec::new());
    for path in ["/api/v1/nodes?resourceVersion=0", "/api/v1/nodes", "/api/v1/nodes/b"] {
        ours.push(body(&simulator, path, PROTOBUF, "application/vnd.kubernetes.protobuf").await);
        lines.push(body(&simulator, path, JSON, JSON).await.trim_ascii_end().to_vec());
    }
    same(&ours, &encoded_by_kubernetes(&lines), &lines);
    // podskew decodes both to the same.
    for (protobuf, json) in ours.iter().zip(&lines).take(2) {
        let read = |text: &[u8]| {
            let mut found = Vec::new();
            let each = &mut |object: objects::Object<'_>| found.push(format!("{:?}", object.body));
            objects::decode_list(objects::Resource::Nodes, text, each).unwrap();
            found
        };
        assert_eq!(read(protobuf), read(json));
        assert!(
            read(json)[0].contains("r.example/web@sha256:aa") && read(json)[0].contains("arm64"),
            "{:?}",
            read(json)
        );
    }
}

fn small() -> BulkConfig {
    BulkConfig { pods: 60, pods_per_deployment: 10, history: 2, skewed_every: 2, rolling_every: 2, nodes: 5000 }
}

#[tokio::main(flavor = "current_thread")]
async fn objects_of_a_bulk_cluster_encoded_on_demand() {
    let store = Store::new(1000);
    let _fleet = bulk(&store, &small());
    is_encoded_as_by_kubernetes(store).await;
}

#[tokio::main(flavor = "current_thread")]
async fn a_bulk_clusters_objects_encoded_beforehand() {
    let store = Store::new(1000);
    store.encode_protobuf_on_put();
    let _fleet = bulk(&store, &small());
    is_encoded_as_by_kubernetes(store).await;
}

/// Makes changes, and compares the events of a watch of each resource.
async fn events_are_encoded_as_by_kubernetes(simulator: &Simulator, change: impl FnOnce(&Store)) {
    let since = simulator.store().version();
    let mut watches = Vec::new();
    for resource in encodable() {
        let path = format!("{}?watch=true&resourceVersion={since}&timeoutSeconds=2", path_of(resource));
        let json = Events::open(simulator, &path, JSON).await;
        let protobuf = Events::open(simulator, &path, PROTOBUF).await;
        assert!(protobuf.is_protobuf() && !json.is_protobuf());
        watches.push((json, protobuf));
    }
    change(simulator.store());
    let mut all = 0;
    for (mut json, mut protobuf) in watches {
        let mut lines = Vec::new();
        while let Some(line) = json.next().await.unwrap() {
            lines.push(line.trim_ascii_end().to_vec());
        }
        all += lines.len();
        same(&protobuf.take(lines.len()).await, &encoded_by_kubernetes(&lines), &lines);
    }
    assert!(all > 100, "{all} events");
}

#[tokio::main(flavor = "current_thread")]
async fn a_rolling_updates_events() {
    for beforehand in [false, true] {
        let store = Store::new(4000);
        if beforehand {
            store.encode_protobuf_on_put();
        }
        let mut fleet = bulk(&store, &BulkConfig { rolling_every: 0, ..small() });
        let simulator = start(store).await;
        events_are_encoded_as_by_kubernetes(&simulator, |_| {
            fleet.update_next(Detail::Full);
            while fleet.step().is_some() {}
        })
        .await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn everything_that_was_recorded() {
    let simulator = start(Store::new(10_000)).await;
    events_are_encoded_as_by_kubernetes(&simulator, |store| {
        let folder = std::fs::read_dir(root().join("tests/data/recordings")).unwrap();
        let files: Vec<PathBuf> = folder.map(|file| file.unwrap().path()).collect();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "jsonl")) {
            let text = std::fs::read_to_string(file).unwrap();
            for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
                let resource = encodable().find(|resource| line["resource"] == resource.plural());
                let object = &line["event"]["object"];
                match (resource, line["event"]["type"].as_str()) {
                    (Some(resource), Some("ADDED" | "MODIFIED")) => drop(store.put(resource, object.clone())),
                    (Some(resource), Some("DELETED")) => {
                        let text = |field: &str| object["metadata"][field].as_str().unwrap();
                        store.delete(resource, text("namespace"), text("name"));
                    }
                    _ => {}
                }
            }
        }
    })
    .await;
}

#[tokio::main(flavor = "current_thread")]
async fn bookmarks_and_refusals() {
    let config = SimulatorConfig { bookmark_interval: Duration::from_millis(20), ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let since = simulator.store().version();
    let (mut ours, mut lines) = (Vec::new(), Vec::new());
    for resource in encodable() {
        for query in [
            format!("watch=true&resourceVersion={since}&allowWatchBookmarks=true"),
            "watch=true&resourceVersion=1".to_owned(),
        ] {
            if query.ends_with("=1") {
                simulator.store().forget_history(resource);
            }
            let path = format!("{}?{query}", path_of(resource));
            for (accept, out) in [(PROTOBUF, &mut ours), (JSON, &mut lines)] {
                let event = Events::open(&simulator, &path, accept).await.next().await.unwrap().unwrap();
                out.push(event.trim_ascii_end().to_vec());
            }
        }
    }
    for status in [401, 403, 404, 500, 503, 504] {
        simulator.inject_times(None, Fault::Status(status), 2);
        ours.push(body(&simulator, "/apis/apps/v1/deployments", PROTOBUF, "application/vnd.kubernetes.protobuf").await);
        lines.push(body(&simulator, "/apis/apps/v1/deployments", JSON, JSON).await.trim_ascii_end().to_vec());
    }
    simulator.inject(None, Fault::StreamingListInvalid);
    let paths = [
        "/api/v1/pods?limit=1&continue=nonsense".to_owned(),
        format!("/api/v1/pods?{STREAMING}"),
        "/api/v1/namespaces/a/pods/b".to_owned(),
    ];
    for path in paths {
        ours.push(body(&simulator, &path, PROTOBUF, "application/vnd.kubernetes.protobuf").await);
        lines.push(body(&simulator, &path, JSON, JSON).await.trim_ascii_end().to_vec());
    }
    same(&ours, &encoded_by_kubernetes(&lines), &lines);
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "status": {"phase": "Running"}})
}

#[tokio::main(flavor = "current_thread")]
async fn json_is_the_fallback_for_protobuf() {
    let simulator = start(Store::new(100)).await;
    simulator.store().put(Resource::Pods, pod("a"));
    for path in ["/apis/argoproj.io/v1alpha1/rollouts", "/apis/apps/v1"] {
        body(&simulator, path, PROTOBUF, JSON).await;
    }
    let nothing = reqwest::get(format!("{}/api/v1/pods", simulator.url())).await.unwrap();
    assert_eq!(content_type(&nothing), JSON);
    body(&simulator, "/api/v1/pods", "*/*", JSON).await;
    let refused = ask(&simulator, "/apis/argoproj.io/v1alpha1/rollouts", "application/vnd.kubernetes.protobuf").await;
    assert_eq!(refused.status(), 406);

    simulator.set_protobuf_served(false);
    body(&simulator, "/api/v1/pods", PROTOBUF, JSON).await;
    simulator.set_protobuf_served(true);
    body(&simulator, "/api/v1/pods", PROTOBUF, "application/vnd.kubernetes.protobuf").await;
}

#[tokio::main(flavor = "current_thread")]
async fn objects_that_cannot_be_encoded_are_sent_in_json() {
    let simulator = start(Store::new(100)).await;
    let path = format!("/api/v1/pods?watch=true&resourceVersion={}", simulator.store().version());
    let mut watch = Events::open(&simulator, &path, PROTOBUF).await;
    simulator.store().put(Resource::Pods, pod("a"));
    simulator.store().put_as(Resource::Pods, "shop", "b", json!({"metadata": null, "spec": 5}));
    assert!(watch.is_protobuf() && watch.next().await.unwrap().is_some());
    assert_eq!(watch.next().await, Ok(None), "the client has to ask again");
    assert!(!Events::open(&simulator, &path, PROTOBUF).await.is_protobuf());
    body(&simulator, "/api/v1/pods", PROTOBUF, JSON).await;
    body(&simulator, "/apis/apps/v1/deployments", PROTOBUF, "application/vnd.kubernetes.protobuf").await;
}

#[tokio::main(flavor = "current_thread")]
async fn recordings_are_sent_as_they_were_recorded() {
    let simulator = start(Store::new(1000)).await;
    let recording = Recording::load(&root().join("tests/data/recordings/rollout.jsonl")).unwrap();
    let _replay = Replay::begin(simulator.store(), recording, Time::now());
    body(&simulator, "/api/v1/pods", PROTOBUF, JSON).await;
}

/// A server with four pods and one fault, and the paths of a watch and of a streaming list.
async fn misbehaving(fault: Fault) -> (Simulator, [String; 2]) {
    let simulator = start(Store::new(100)).await;
    for name in ["a", "b", "c", "d"] {
        simulator.store().put(Resource::Pods, pod(name));
    }
    simulator.inject_times(Some(Resource::Pods), fault, 1);
    let watch = format!("/api/v1/pods?watch=true&resourceVersion={}", simulator.store().version());
    (simulator, [watch, format!("/api/v1/pods?{STREAMING}")])
}

#[tokio::main(flavor = "current_thread")]
async fn lists_break_in_the_middle() {
    let (simulator, _) = misbehaving(Fault::ListCut).await;
    assert!(ask(&simulator, "/api/v1/pods", PROTOBUF).await.bytes().await.is_err());
    let (simulator, _) = misbehaving(Fault::ListStalls).await;
    let stalled = ask(&simulator, "/api/v1/pods", PROTOBUF).await;
    assert!(tokio::time::timeout(Duration::from_millis(150), stalled.bytes()).await.is_err());
    let (simulator, [_, streaming]) = misbehaving(Fault::ListCut).await;
    let mut cut = Events::open(&simulator, &streaming, PROTOBUF).await;
    // Four frames of equal length: half of them would be whole frames, which the fault avoids.
    assert!(cut.next().await.unwrap().is_some());
    assert!(!cut.next().await.unwrap_err().is_empty(), "within a frame");
}

#[tokio::main(flavor = "current_thread")]
async fn frames_break_as_lines_do() {
    let (simulator, [watch, _]) = misbehaving(Fault::WatchCut).await;
    let broken = Events::open(&simulator, &watch, PROTOBUF).await.next().await.unwrap_err();
    assert!(broken.len() < 4 + u32::from_be_bytes(*broken.first_chunk().unwrap()) as usize);
    for fault in [Fault::WatchGarbage, Fault::WatchTruncatedLine] {
        for path in 0..2 {
            let (simulator, paths) = misbehaving(fault).await;
            let mut watch = Events::open(&simulator, &paths[path], PROTOBUF).await;
            assert!(!is_fields(&watch.next().await.unwrap().unwrap()[4..]), "{fault:?}");
            simulator.store().put(Resource::Pods, pod("a"));
            assert!(is_fields(&watch.next().await.unwrap().unwrap()[4..]), "{fault:?}");
        }
    }
    let (simulator, [watch, _]) = misbehaving(Fault::WatchExpires).await;
    let mut watch = Events::open(&simulator, &watch, PROTOBUF).await;
    let expired = watch.next().await.unwrap().unwrap();
    assert!(memchr::memmem::find(&expired, b"Expired").is_some());
    assert_eq!(watch.next().await, Ok(None));
    let (simulator, [watch, _]) = misbehaving(Fault::WatchSilent).await;
    assert!(Events::open(&simulator, &watch, PROTOBUF).await.is_silent().await);
}

/// Whether these are only protobuf fields with a length.
fn is_fields(mut message: &[u8]) -> bool {
    while let Some((tag, rest)) = message.split_first() {
        let bytes = rest.iter().position(|byte| *byte < 0x80).map_or(rest.len(), |at| at + 1);
        let (length, rest) = rest.split_at(bytes);
        let length = length.iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        if tag & 7 != 2 || rest.len() < length {
            return false;
        }
        message = &rest[length..];
    }
    true
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_schema_is_kubernetes_own: [KUBERNETES_PROTOBUF],
        the_demos_objects: [KUBERNETES_PROTOBUF],
        nodes_are_encoded_as_by_kubernetes: [KUBERNETES_PROTOBUF],
        objects_of_a_bulk_cluster_encoded_on_demand: [KUBERNETES_PROTOBUF],
        a_bulk_clusters_objects_encoded_beforehand: [KUBERNETES_PROTOBUF],
        a_rolling_updates_events: [KUBERNETES_PROTOBUF],
        everything_that_was_recorded: [KUBERNETES_PROTOBUF],
        bookmarks_and_refusals: [KUBERNETES_PROTOBUF],
        json_is_the_fallback_for_protobuf: [],
        objects_that_cannot_be_encoded_are_sent_in_json: [],
        recordings_are_sent_as_they_were_recorded: [],
        lists_break_in_the_middle: [],
        frames_break_as_lines_do: [],
    ]
}
