//! Malformed objects, one field at a time. Their content must never appear in output.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::exporter::{Exporter, fill, objects, resource_of, simulator, watched};
use crate::common::exposition::Parsed;
use crate::common::running::{Running, Scrape};
use crate::common::summary::{View, disagreement};
use crate::common::tape::Player;
use podskew::time::UnixTime;
use serde_json::{Value, json};
use simulator::Resource;
use simulator::{Fault, Simulator};

/// All JSON pointers into a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let step = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (step(key), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (step(&at.to_string()), value)).collect(),
        _ => Vec::new(),
    };
    for (pointer, part) in parts {
        pointers(part, &pointer, found);
        found.push(pointer);
    }
}

/// Values that may replace any field.
fn absurdities() -> Vec<Value> {
    let text = json!("\u{0}\"\\\n{}=,é");
    vec![Value::Null, json!(true), json!(u64::MAX), text, json!([[null]]), json!({"a": {"b": [-1]}})]
}

fn broken(object: &Value, pointer: &str, by: &Value) -> Value {
    let mut object = object.clone();
    *object.pointer_mut(pointer).unwrap() = by.clone();
    object
}

/// One object of each kind.
fn specimens() -> Vec<Value> {
    let mut specimens: Vec<Value> = Vec::new();
    for object in ["digest-skew", "statefulset-partition", "daemonset"].into_iter().flat_map(objects) {
        if specimens.iter().all(|known| known["kind"] != object["kind"]) {
            specimens.push(object);
        }
    }
    assert_eq!(specimens.len(), 6);
    specimens
}

#[test]
fn an_object_with_an_absurd_field_harms_no_other_and_recovers() {
    let cluster: Vec<Value> =
        ["digest-skew", "statefulset-partition", "daemonset", "stuck"].into_iter().flat_map(objects).collect();
    let now = UnixTime::parse("2026-11-21T12:00:00Z").unwrap();
    let mut player = Player::new(now);
    player.list(&cluster);
    let before = player.look();
    // A workload whose objects are not changed.
    let bystander = |parsed: &Parsed| {
        let series = parsed
            .samples
            .iter()
            .filter(|((_, labels), _)| labels.get("namespace").is_some_and(|name| name == "stuck"));
        series.map(|sample| format!("{sample:?}")).collect::<Vec<_>>()
    };
    for specimen in specimens() {
        let mut places = Vec::new();
        pointers(&specimen, "", &mut places);
        // Without its kind, the watch of an object would be unknown.
        places.retain(|place| place != "/kind");
        for place in places {
            for absurdity in absurdities() {
                let object = broken(&specimen, &place, &absurdity);
                player.apply(&object);
                let parsed = player.look();
                let case = || format!("{} {place} {absurdity}", specimen["kind"]);
                assert_eq!(bystander(&parsed), bystander(&before), "{}", case());
                // A ReplicaSet without an owner is a workload of its own.
                View { parsed: &parsed, at: now, start: now }.adds_up();
                player.delete(&object);
                player.apply(&specimen);
                // The podskew that saw the changes may have greater ages.
                assert_eq!(disagreement(&player.look(), &before), None, "{}", case());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_objects_are_listed_and_watched_like_others() {
    for pages in [false, true] {
        let simulator = simulator().await;
        fill(simulator.store());
        if pages {
            simulator.inject(None, Fault::StreamingListInvalid);
        }
        let exporter = Exporter::start(&simulator).await;
        exporter.until_synced().await;
        let absurd = [
            json!({}),
            json!("text"),
            json!([1, 2]),
            json!({"metadata": null, "spec": null, "status": null}),
            json!({"metadata": {"name": 7, "namespace": ["x"], "uid": {}}}),
            json!({"metadata": {"name": "n", "namespace": "ns", "uid": null, "ownerReferences": "x", "labels": [1]},
                "spec": {"containers": {"a": 1}, "template": 3}, "status": [], "data": "x", "revision": "y"}),
            json!({"metadata": {"name": "n", "namespace": "ns", "ownerReferences": [null, 1, {"controller": true}]},
                "spec": {"containers": [null, 1, {"name": null}]}, "status": {"containerStatuses": [null, {}]}}),
        ];
        for resource in watched().filter(|resource| !matches!(resource, Resource::Rollouts | Resource::CloneSets)) {
            for (number, object) in absurd.iter().enumerate() {
                simulator.store().put_as(resource, "absurd", &number.to_string(), object.clone());
            }
        }
        exporter.until_it_agrees_with_a_fresh_one(&simulator).await;
        assert!(exporter.troubles().is_empty(), "{:?}", exporter.troubles());
        let look = exporter.look();
        let others =
            look.view().workloads().into_iter().filter(|named| named.namespace != "absurd" && named.namespace != "ns");
        assert_eq!(others.count(), 6);
    }
}

const SECRET: &str = "s3cr3t-m4rk3r";

/// Puts a marker into every field of a pod template that may contain a secret, and into some others.
fn with_secrets(mut object: Value) -> Value {
    for pointer in ["", "/spec/template"] {
        let Some(part) = object.pointer_mut(pointer) else { continue };
        part["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(SECRET);
        part["metadata"]["annotations"][SECRET] = json!("x");
        part["metadata"]["finalizers"] = json!([SECRET]);
        part["metadata"]["managedFields"] = json!([{"manager": SECRET, "fieldsV1": {format!("f:{SECRET}"): {}}}]);
        for containers in ["containers", "initContainers"] {
            if part["spec"][containers].is_null() && containers == "initContainers" {
                part["spec"][containers] = json!([{"name": "init", "image": "init:1"}]);
            }
            for container in part["spec"][containers].as_array_mut().into_iter().flatten() {
                container["env"] = json!([{"name": "PASSWORD", "value": SECRET}, {"name": SECRET, "value": "x"}]);
                container["command"] = json!([SECRET]);
                container["args"] = json!(["--password", SECRET]);
                container["livenessProbe"] = json!({"exec": {"command": [SECRET]}});
            }
        }
    }
    if let Some(status) = object.get_mut("status").filter(|status| status.is_object()) {
        status["message"] = json!(SECRET);
        for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
            container["lastState"] = json!({"terminated": {"message": SECRET}});
        }
    }
    object
}

async fn cluster_with_secrets() -> Simulator {
    let simulator = simulator().await;
    for object in ["digest-skew", "statefulset-partition", "daemonset"].into_iter().flat_map(objects) {
        simulator.store().put(resource_of(&object), with_secrets(object));
    }
    simulator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_commands_and_annotations_are_never_exposed() {
    let simulator = cluster_with_secrets().await;
    let podskew = Running::start(&simulator, &["--log-level", "trace"]);
    podskew.until_ready().await;
    // Cut in the middle of the secrets, in a watch, a stream and a page.
    let cases = [
        (Fault::WatchTruncatedLine, "decode", false),
        (Fault::WatchCut, "connection", false),
        (Fault::ListCut, "connection", false),
        (Fault::ListCut, "connection", true),
    ];
    for (fault, reason, pages) in cases {
        let failures = podskew.scrape().failures("pods", reason);
        if pages {
            simulator.inject(None, Fault::StreamingListUnsupported);
        }
        simulator.inject_times(Some(Resource::Pods), fault, 1);
        if fault == Fault::ListCut {
            simulator.store().forget_history(Resource::Pods);
        } else {
            let pod = simulator.store().list(Resource::Pods).swap_remove(0);
            simulator.store().put(Resource::Pods, pod);
        }
        podskew.until(reason, |scrape| scrape.failures("pods", reason) > failures).await;
    }
    let watched = |scrape: &Scrape| scrape.of_resource("podskew_watch_synced", "pods") == 1.0;
    let applied = |scrape: &Scrape| {
        let labels = [("resource", "pods"), ("event", "applied")];
        scrape.parsed.value("podskew_watch_events_total", &labels).unwrap()
    };
    let before = applied(&podskew.until("the pods", watched).await);
    // Wrong types, with the secret in the wrong field.
    let absurd = [
        json!(SECRET),
        json!([SECRET]),
        json!({"metadata": SECRET}),
        json!({"metadata": {"name": "a", "namespace": "b", "creationTimestamp": SECRET, "generation": SECRET,
            "resourceVersion": {SECRET: 1}, "ownerReferences": SECRET}, "spec": {"template": SECRET, "containers": SECRET},
            "status": SECRET, "revision": SECRET, "data": SECRET}),
    ];
    for resource in [Resource::Pods, Resource::Deployments, Resource::ControllerRevisions] {
        for (number, object) in absurd.iter().enumerate() {
            simulator.store().put_as(resource, "absurd", &format!("a{number}"), object.clone());
        }
    }
    podskew.until("the absurd objects", |scrape| applied(scrape) >= before + 4.0).await;
    for path in ["/metrics", "/", "/readyz", "/livez"] {
        assert!(!podskew.get(path).1.contains(SECRET), "{path}");
    }
    let log = podskew.log();
    let told = log.lines().find(|line| line.contains(SECRET));
    assert_eq!(told, None);
    assert!(log.contains("cannot read pods"), "{log}");
}
