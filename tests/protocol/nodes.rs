//! Reports of nodes about images: as a real container runtime names them, over HTTP, and from files.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::exporter::quick;
use crate::common::snapshot_options::snapshot_options;
use crate::common::world::*;
use podskew::exposition::{Encoding, Exposition, Format, PublishBatch, Selection};
use podskew::inventory::{Inventory, Settings};
use podskew::objects::{Body, PageSplitter, Resource, decode_list};
use podskew::report::Origin;
use podskew::snapshot::{Namespaces, SnapshotOptions, SnapshotSource, list_cluster};
use podskew::telemetry::{FailureReason, Telemetry};
use podskew::time::UnixTime;
use podskew::watch::{self, Connection, Timings, connect, keep_listing_nodes};
use proptest::prelude::*;
use serde_json::{Value, json};
use simulator::{Fault, Simulator, SimulatorConfig, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `web` with its one ReplicaSet.
fn web() -> World {
    let mut world = World::new();
    world.put(&deployment("web:1")).put(&replica_set("h1", "web:1", 1, -4000));
    world
}

/// Output of containerd's CRI plugin on two nodes, step by step. The kubelet makes `names` of it: digests, then tags.
struct Recorded(Value);

impl Recorded {
    fn read() -> Self {
        let path = format!("{}/tests/data/recordings/nodes/containerd.json", env!("CARGO_MANIFEST_DIR"));
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn digest(&self, what: &str) -> String {
        self.0["digests"][what].as_str().unwrap().to_owned()
    }

    fn nodes(&self, step: usize) -> Vec<Value> {
        let texts = |list: &Value| {
            list.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let node_of = |name: &str| {
            let images = self.0["steps"][step]["nodes"][name].as_array().unwrap();
            let names: Vec<Vec<String>> =
                images.iter().map(|image| [texts(&image["repoDigests"]), texts(&image["repoTags"])].concat()).collect();
            node(name, "amd64", &names.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        vec![node_of("a"), node_of("b")]
    }
}

#[test]
fn containerds_list_shows_which_image_a_node_would_start() {
    let recorded = Recorded::read();
    let (one, two, three) =
        (recorded.digest("index one"), recorded.digest("index two"), recorded.digest("index three"));
    let image = "127.0.0.1:5917/web:1";
    let on = |name: &str, node: &str, digest: &str| {
        let id = format!("127.0.0.1:5917/web@{digest}");
        pod(name).with("/spec/nodeName", node).image(image).image_id(&id)
    };
    let counted = |world: &World| -> Vec<(String, u32)> {
        let tags = world.inventory.evidence().unwrap().divided_tags();
        assert!(tags.iter().all(|tag| &*tag.image == image));
        tags.iter().map(|tag| (tag.digest.to_string(), tag.nodes)).collect()
    };
    let skewed = |world: &mut World| {
        world.report("deployment/web").containers[0].by_hash.iter().any(|it| it.skewed_since.is_some())
    };
    let mut world = World::new();
    world.put(&deployment(image)).put(&replica_set("h1", image, 1, -4000));
    world.put(&on("p1", "a", &one)).nodes(&recorded.nodes(0));
    assert_eq!(counted(&world), [], "b has none");
    // The tag was moved, and a has not pulled since: its tag has the old digest.
    world.put(&on("p2", "b", &two)).nodes(&recorded.nodes(1));
    let mut expected = [(one.clone(), 1), (two.clone(), 1)];
    expected.sort();
    assert_eq!(counted(&world), expected);
    assert!(skewed(&mut world));
    let nodes = world.report("deployment/web").nodes.clone().unwrap();
    let held = nodes.cached.iter().map(|it| (it.digest.to_string(), it.nodes[0].to_string()));
    let held: BTreeMap<String, String> = held.collect();
    assert_eq!(held, BTreeMap::from([(one.clone(), "a".to_owned()), (two.clone(), "b".to_owned())]));
    // a pulls index three, which contains the manifest of index two. No node reports both yet.
    world.put(&on("p3", "a", &three)).delete(&on("p1", "a", &one)).nodes(&recorded.nodes(2));
    assert!(skewed(&mut world));
    // b has pulled both, and reports them in one entry.
    world.nodes(&recorded.nodes(3));
    assert!(!skewed(&mut world));
    assert_eq!(counted(&world), []);
    world.nodes(&recorded.nodes(4));
    assert!(!skewed(&mut world));
    // Both stay joined when a later list omits them.
    world.nodes(&[node("a", "amd64", &[]), node("b", "amd64", &[])]);
    assert!(!skewed(&mut world), "a fact about content stays true");
}

#[test]
fn a_list_is_read_in_pieces_and_gives_the_same_in_any() {
    let nodes: Vec<Value> = (0..300)
        .map(|number| {
            let names: Vec<Vec<String>> = (0..20).map(|image| vec![format!("r.example/i{image}:{number}")]).collect();
            node(&format!("n{number}"), "arm64", &names.iter().map(Vec::as_slice).collect::<Vec<_>>())
        })
        .collect();
    let list = json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": nodes});
    let text = list.to_string();
    let read = |frame: usize| {
        let mut pieces = PageSplitter::default();
        let (mut found, mut cut) = (Vec::new(), Vec::new());
        for frame in text.as_bytes().chunks(frame) {
            pieces.push(frame);
            cut.extend(std::iter::from_fn(|| pieces.take(Default::default)));
        }
        cut.push(pieces.rest());
        for piece in &cut {
            let read = decode_list(Resource::Nodes, piece, &mut |object| {
                let Body::Node(node) = &object.body else { panic!("{object:?}") };
                assert_eq!((&*node.architecture, &*node.os, node.images.len()), ("arm64", "linux", 20));
                found.push(format!("{} {}", object.meta.name, node.images[19].names[0]));
            });
            read.unwrap();
        }
        (found, cut.len())
    };
    let (whole, one) = read(usize::MAX);
    let (in_frames, several) = read(10_000);
    assert_eq!(whole, in_frames);
    assert_eq!((whole.len(), &*whole[299]), (300, "n299 r.example/i19:299"));
    assert!(one <= several && several > 1, "{one} {several}");
    // A value with a wrong type is ignored, and invalid JSON is an error.
    let odd = br#"{"items":[{"metadata":{"name":"a"},"status":{"nodeInfo":7,"images":[{"names":null},3,{"names":[1,"x"]}]}}]}"#;
    let mut names = Vec::new();
    decode_list(Resource::Nodes, odd, &mut |object| names.push(object.meta.name.to_string())).unwrap();
    assert_eq!(names, ["a"]);
    assert!(decode_list(Resource::Nodes, &odd[..60], &mut |_| ()).is_err());
}

/// A cluster whose two pods run digests that nodes report as one image.
fn fill(store: &Store) {
    use simulator::Resource as Served;
    let full = |object: Value, api_version: &str| object.with("/apiVersion", api_version);
    store.put(Served::Deployments, full(deployment("r.example/web:1"), "apps/v1"));
    store.put(Served::ReplicaSets, full(replica_set("h1", "r.example/web:1", 1, -4000), "apps/v1"));
    for (name, node, letter) in [("p1", "n1", 'a'), ("p2", "n2", 'b')] {
        let pod = pod(name).with("/spec/nodeName", node).image("r.example/web:1").image_id(&image_id(letter));
        store.put(Served::Pods, full(pod, "v1"));
    }
    put_nodes(store, &[("n1", "ab"), ("n2", "b"), ("n3", "c")]);
}

fn put_nodes(store: &Store, nodes: &[(&str, &str)]) {
    for (name, letters) in nodes {
        let names: Vec<String> = letters.chars().map(image_id).chain(["r.example/web:1".to_owned()]).collect();
        store.put(simulator::Resource::Nodes, node(name, "amd64", &[&names]).with("/apiVersion", "v1"));
    }
}

struct Watched {
    inventory: Arc<Mutex<Inventory>>,
    telemetry: Telemetry,
    exposition: Exposition,
    _watches: watch::Watches,
    _nodes: tokio::task::JoinSet<()>,
}

impl Watched {
    async fn start(simulator: &Simulator) -> Self {
        let timings = quick();
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        simulator.write_kubeconfig(kubeconfig.path()).unwrap();
        let connection = Connection { kubeconfig: Some(kubeconfig.path().to_owned()), context: None };
        let client = connect(&connection).await.unwrap().client;
        let telemetry = Telemetry::new().unwrap();
        let inventory = Arc::new(Mutex::new(Inventory::new(Settings::default(), &watch::sources(&[]))));
        let watches = watch::run(&client, &[], &inventory, &telemetry, timings);
        let mut nodes = tokio::task::JoinSet::new();
        nodes.spawn(keep_listing_nodes(client, Arc::clone(&inventory), telemetry.clone(), timings));
        let exposition = Exposition::new(Selection::default(), Vec::new());
        Self { inventory, telemetry, exposition, _watches: watches, _nodes: nodes }
    }

    /// The series of digests and of cached tags.
    fn look(&self) -> String {
        let now = UnixTime::now();
        let changes = self.inventory.lock().unwrap().take_changes(now);
        if changes.complete {
            self.exposition.take_cached_tags(&changes.cached_tags);
            let part = PublishBatch { reports: changes.reports, gone: changes.gone };
            self.exposition.publish(part, &changes.awaiting_owner);
        }
        let answer = self.exposition.picture().answer(&[], Format::Text, Encoding::Identity, now);
        let text = String::from_utf8(answer.flatten().collect()).unwrap();
        let wanted = ["podskew_tag_cached_nodes{", "podskew_distinct_digests_per_deployment{"];
        text.split_inclusive('\n').filter(|line| wanted.iter().any(|name| line.starts_with(name))).collect()
    }

    async fn until(&self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let look = self.look();
            if seen(&look) {
                return look;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "timeout waiting for {what}: {look}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn failures(&self, reason: FailureReason) -> u64 {
        self.telemetry.watch_failures.with_label_values(&["nodes", reason.as_str()]).get()
    }
}

const ONE: &str =
    "podskew_distinct_digests_per_deployment{namespace=\"shop\",deployment=\"web\",container=\"app\"} 1\n";
const TWO: &str =
    "podskew_distinct_digests_per_deployment{namespace=\"shop\",deployment=\"web\",container=\"app\"} 2\n";

fn held(letter: char, nodes: u32) -> String {
    format!("podskew_tag_cached_nodes{{image=\"r.example/web:1\",digest=\"{}\"}} {nodes}\n", digest(letter))
}

async fn simulator() -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    fill(simulator.store());
    simulator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_listed_from_the_cache_in_one_request_and_their_evidence_joins() {
    for json_only in [false, true] {
        let config = SimulatorConfig { protobuf_served: !json_only, ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        fill(simulator.store());
        let watched = Watched::start(&simulator).await;
        let look = watched.until("the evidence", |look| look.contains(ONE)).await;
        // n1 reports a and b as one image, which n2 has, too. n3 has another.
        assert!(look.contains(&held('a', 2)) && look.contains(&held('c', 1)), "{look}");
        let requests = simulator.requests();
        let nodes: Vec<_> = requests.iter().filter(|request| request.path.starts_with("/api/v1/nodes")).collect();
        assert!(!nodes.is_empty());
        for request in nodes {
            assert_eq!(request.query, "resourceVersion=0");
        }
        // A deleted node is not counted any more, and a new one is.
        simulator.store().delete(simulator::Resource::Nodes, "", "n3");
        watched.until("one image", |look| !look.contains("podskew_tag_cached_nodes{")).await;
        put_nodes(simulator.store(), &[("n4", "d")]);
        watched.until("another image", |look| look.contains(&held('d', 1))).await;
        assert!(watched.look().contains(ONE));
        assert_eq!(watched.telemetry.objects.with_label_values(&["nodes"]).get(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_for_nodes_and_no_failure_takes_anything_back() {
    let simulator = simulator().await;
    simulator.inject(Some(simulator::Resource::Nodes), Fault::Status(403));
    let watched = Watched::start(&simulator).await;
    watched.until("the initial sync", |look| look.contains(TWO)).await;
    let begun = Instant::now();
    while watched.failures(FailureReason::Forbidden) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nodes are not listed again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(watched.look().contains(TWO));
    simulator.clear_faults();
    watched.until("the evidence", |look| look.contains(ONE) && look.contains(&held('c', 1))).await;
    for (fault, reason) in [
        (Fault::Status(500), FailureReason::ServerError),
        (Fault::ListCut, FailureReason::Connection),
        (Fault::ListStalls, FailureReason::Timeout),
    ] {
        let before = watched.failures(reason);
        simulator.inject(Some(simulator::Resource::Nodes), fault);
        let begun = Instant::now();
        while watched.failures(reason) == before {
            assert!(begun.elapsed() < Duration::from_secs(60), "timeout waiting for {reason}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let look = watched.look();
        assert!(look.contains(ONE) && look.contains(&held('c', 1)), "{reason}: {look}");
        simulator.clear_faults();
    }
    // None of this affects podskew's own metrics.
    let families = watched.telemetry.gather();
    let synced = families.iter().find(|family| family.name() == "podskew_watch_synced").unwrap();
    assert_eq!(synced.get_metric().len(), Resource::ALL.len());
}

/// A node's number, its architecture, and the digests of each entry.
type Said = (u8, u8, Vec<String>);

/// Pods of one hash on some nodes, and entries of some digests on nodes.
fn cluster() -> impl Strategy<Value = (Vec<(u8, char)>, Vec<Said>)> {
    let letters = || prop::sample::select(vec!['a', 'b', 'c', 'd', 'e']);
    let pods = prop::collection::vec((0..5_u8, letters()), 1..8);
    let entry = prop::collection::vec(letters(), 1..4).prop_map(String::from_iter);
    let nodes = prop::collection::vec((0..6_u8, 0..4_u8, prop::collection::vec(entry, 0..4)), 0..7);
    (pods, nodes)
}

fn nodes_of(nodes: &[Said]) -> Vec<Value> {
    let mut by_name = BTreeMap::new();
    for (number, architecture, entries) in nodes {
        let architecture = ["amd64", "arm64", "arm", ""][usize::from(*architecture)];
        let names: Vec<Vec<String>> = entries.iter().map(|letters| letters.chars().map(image_id).collect()).collect();
        let images: Vec<&[String]> = names.iter().map(Vec::as_slice).collect();
        by_name.insert(*number, node(&format!("n{number}"), architecture, &images));
    }
    by_name.into_values().collect()
}

/// Pods grouped by the digest under which they are counted.
fn images(world: &mut World) -> Vec<Vec<String>> {
    let report = world.report("deployment/web");
    let by_hash = &report.containers[0].by_hash[0];
    let pods = |skewed: &[u32]| skewed.iter().map(|at| report.pods[*at as usize].pod.to_string()).collect();
    let images: Vec<Vec<String>> = by_hash.digests.iter().map(|digest| pods(&digest.skewed)).collect();
    assert_eq!(by_hash.distinct_digests as usize, images.len());
    images
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn evidence_joins_and_never_splits((pods, nodes) in cluster(), fewer in 0_usize..7) {
        let mut world = web();
        for (at, (number, letter)) in pods.iter().enumerate() {
            world.put(&pod(&format!("p{at}")).with("/spec/nodeName", format!("n{number}")).image_id(&image_id(*letter)));
        }
        let without = images(&mut world);
        let mut some = web();
        for (at, (number, letter)) in pods.iter().enumerate() {
            some.put(&pod(&format!("p{at}")).with("/spec/nodeName", format!("n{number}")).image_id(&image_id(*letter)));
        }
        let first = nodes_of(&nodes[..fewer.min(nodes.len())]);
        some.nodes(&first);
        let by_some = images(&mut some);
        some.nodes(&nodes_of(&nodes));
        world.nodes(&nodes_of(&nodes));
        let by_all = images(&mut world);
        for joined in [&by_some, &by_all] {
            prop_assert!(joined.len() <= without.len(), "{:?} {:?}", joined, without);
            // Pods that were counted under one digest stay together.
            for pods in without.iter().filter(|_| joined.len() > 1) {
                prop_assert!(joined.iter().any(|image| pods.iter().all(|pod| image.contains(pod))), "{:?}", joined);
            }
        }
        // In any order of events, one image stays one, and is not forgotten.
        prop_assert!(by_all.len() > 1 || images(&mut some).len() == 1);
        world.nodes(&nodes_of(&nodes));
        prop_assert_eq!(images(&mut world), by_all);
    }
}

#[test]
fn a_skew_that_nodes_resolve_leaves_no_age_behind() {
    let mut world = web();
    let on = |name: &str, node: &str, letter| {
        let container = format!("containerd://{name}-{letter}");
        let pod = pod(name).with("/spec/nodeName", node).image_id(&image_id(letter));
        pod.with("/status/containerStatuses/0/containerID", container)
    };
    let since = |world: &mut World| {
        let now = world.moment();
        let by_hash = &world.report("deployment/web").containers[0].by_hash[0];
        by_hash.skewed_since.map(|since| now.since(since))
    };
    world.put(&on("p1", "n1", 'a')).put(&on("p2", "n2", 'b').started(-600));
    assert_eq!(since(&mut world), Some(600));
    world.wait(60).nodes(&[node("n1", "amd64", &[&[image_id('a'), image_id('b')]]), node("n2", "amd64", &[])]);
    assert_eq!(since(&mut world), None);
    // The age of another image that appears later begins at its start.
    world.wait(60).put(&on("p2", "n2", 'c').started(120));
    assert_eq!(since(&mut world), Some(0));
    assert_eq!(world.report("deployment/web").containers[0].origin, Origin::Template);
}

/// The case with an index beside its manifest, with other nodes.
fn case_with(nodes: &[Value]) -> Value {
    let path = format!("{}/tests/data/cases/c133-index-vs-platform-nodes-know.json", env!("CARGO_MANIFEST_DIR"));
    let mut case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let items = case["items"].as_array_mut().unwrap();
    items.retain(|item| item["kind"] != "Node");
    items.extend(nodes.iter().map(|node| node.clone().with("/apiVersion", "v1")));
    case
}

fn printed(case: &Value, arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), case.to_string()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podskew"));
    let output = command.args(arguments).arg("-f").arg(file.path()).env_clear().output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn audit_and_explain_show_nodes_and_the_digest_of_their_next_pod() {
    let (one, other) = (
        "sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6",
        "sha256:d294fcce0cc88587843099d85dd805aeef1b09a63b0db1dd3e4dc62a343c1db5",
    );
    let holds = |name: &str, architecture: &str, digest: &str| {
        let names = [format!("registry.example/web@{digest}"), "registry.example/web:1".to_owned()];
        node(name, architecture, &[&names])
    };
    let more = (0..6).map(|number| holds(&format!("nc-{number}"), "amd64", other));
    let nodes: Vec<Value> = [holds("na", "amd64", one), holds("nb", "amd64", other)].into_iter().chain(more).collect();
    let case = case_with(&nodes);
    for command in [&["audit", "--nodes"][..], &["explain", "--nodes", "deployment/web"]] {
        let told = printed(&case, command).split_whitespace().collect::<Vec<_>>().join(" ");
        for line in [
            format!("1 node holds {one} as registry.example/web:1 (na): the next pod there runs it"),
            format!(
                "7 nodes hold {other} as registry.example/web:1 (nb, nc-0, nc-1, nc-2, nc-3 and 2 more): the next pod there \
                 runs it"
            ),
        ] {
            assert!(told.contains(&line), "{line}: {told}");
        }
        assert!(!told.contains("differs only by architecture"), "{told}");
        // Without --nodes nothing is reported about nodes.
        let without: Vec<&str> = command.iter().copied().filter(|word| *word != "--nodes").collect();
        assert!(!printed(&case, &without).contains("next pod"), "{command:?}");
    }
    let json: Value = serde_json::from_str(&printed(&case, &["audit", "--nodes", "-o", "json"])).unwrap();
    let nodes = &json["workloads"][0]["nodes"];
    assert_eq!(nodes["cached"][0]["nodes"].as_array().unwrap().len(), 7, "{nodes}");
    assert_eq!(nodes["architectures"]["web-58c6b4d9f7-a"], "amd64");
    // A mix of architectures is reported, with the architecture of each pod.
    let case = case_with(&[holds("na", "amd64", one), holds("nb", "arm64", other)]);
    let told =
        printed(&case, &["explain", "--nodes", "deployment/web"]).split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("container web differs only by architecture: amd64 runs {one}, arm64 runs {other}");
    assert!(told.contains(&line) && told.contains("web-58c6b4d9f7-b on nb (arm64)"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_with_nodes_lists_them_once_and_notes_missing_data() {
    let simulator = simulator().await;
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    simulator.write_kubeconfig(kubeconfig.path()).unwrap();
    let connection = Connection { kubeconfig: Some(kubeconfig.path().to_owned()), context: None };
    let connected = connect(&connection).await.unwrap();
    let asked = || simulator.requests().iter().filter(|request| request.path == "/api/v1/nodes").count();
    let rule =
        r#"nodes may not be listed; grant a ClusterRole with {apiGroups: [""], resources: ["nodes"], verbs: ["list"]}"#;
    for (nodes, forbidden, requests, digests) in [(false, false, 0, 2), (true, false, 1, 1), (true, true, 2, 2)] {
        if forbidden {
            simulator.inject(Some(simulator::Resource::Nodes), Fault::Status(403));
        }
        let place = SnapshotSource::Cluster { connection: connection.clone(), namespaces: Namespaces::All };
        let options = SnapshotOptions { nodes, ..snapshot_options(place) };
        let mut look = list_cluster(&connected, &[], &options, None, Timings::for_snapshot()).await.unwrap();
        let mut found = Vec::new();
        look.reports(&mut |report| found.push(report.containers[0].distinct_digests));
        assert_eq!((found, asked()), (vec![digests], requests), "{nodes} {forbidden}");
        let lacks = look.without_nodes.unwrap_or_default();
        assert_eq!(
            lacks.starts_with(rule) && lacks.contains("not known: which digests name one image"),
            forbidden,
            "{lacks}"
        );
        assert!(look.gaps.is_empty(), "missing evidence does not make a verdict incomplete");
    }
}
