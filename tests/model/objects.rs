//! Decoding of objects from a real API server.
#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use podskew::objects::{Body, Object, Resource, WatchEvent, decode_event, decode_list, decode_status};

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/recordings/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

fn resource(plural: &str) -> Resource {
    Resource::ALL.into_iter().find(|resource| resource.plural() == plural).expect(plural)
}

fn applied(resource: Resource, json: &str) -> Object<'_> {
    match decode_event(resource, json.as_bytes()) {
        Ok(WatchEvent::Applied(object)) => object,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_recorded_event_can_be_read() {
    let mut events = 0;
    for name in ["rollout", "recreate", "stuck", "paused", "daemonset", "digest-skew", "statefulset-partition"] {
        for line in String::from_utf8(recorded(&format!("{name}.jsonl"))).expect("UTF-8").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let Some(event) = line.get("event") else { continue };
            let json = event.to_string();
            match decode_event(resource(line["resource"].as_str().expect("resource")), json.as_bytes()) {
                Ok(WatchEvent::Applied(object) | WatchEvent::Deleted(object)) => {
                    assert!(!object.meta.name.is_empty() && object.meta.created.is_some(), "{json}");
                    assert!(!format!("{object:?}").contains("LOG_LEVEL"), "an environment variable was not removed");
                }
                Ok(WatchEvent::Bookmark { resource_version, initial_events_end }) => {
                    assert!(!resource_version.is_empty() && !initial_events_end);
                }
                other => panic!("{json}: {other:?}"),
            }
            events += 1;
        }
    }
    assert!(events > 300, "{events}");
}

#[test]
fn pages_statuses_and_the_end_of_a_streaming_list() {
    let mut names = Vec::new();
    let mut each = |object: Object<'_>| names.push(object.meta.name.into_owned());
    let first = decode_list(Resource::Pods, &recorded("protocol/pods-page-1.json"), &mut each).expect("a page");
    let last = decode_list(Resource::Pods, &recorded("protocol/pods-page-2.json"), &mut each).expect("a page");
    assert_eq!((first.resource_version.as_str(), first.continue_token.is_empty()), ("1053", false));
    assert_eq!(last.continue_token, "");
    assert_eq!(names.len(), 4);

    let status = decode_status(&recorded("protocol/pods-continue-expired.json")).expect("a Status");
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(decode_status(b"404 page not found\n"), None);
    assert!(decode_list(Resource::Pods, &recorded("protocol/forbidden.json"), &mut |_| ()).is_err());

    let stream = recorded("protocol/pods-streaming-list.jsonl");
    let last = stream.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).expect("a line");
    assert!(matches!(decode_event(Resource::Pods, last), Ok(WatchEvent::Bookmark { initial_events_end: true, .. })));
    let line = recorded("protocol/pods-watch-expired.jsonl");
    assert!(matches!(decode_event(Resource::Pods, &line), Ok(WatchEvent::Error(status)) if status.code == 410));
}

#[test]
fn the_current_replicaset_has_the_deployments_template() {
    let mut templates = std::collections::BTreeMap::new();
    let text = String::from_utf8(recorded("rollout.jsonl")).expect("UTF-8");
    let mut deployment = None;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let Some(event) = line.get("event") else { continue };
        let json = event.to_string();
        let Ok(WatchEvent::Applied(object)) =
            decode_event(resource(line["resource"].as_str().unwrap()), json.as_bytes())
        else {
            continue;
        };
        match object.body {
            Body::ReplicaSet(set) => {
                templates.insert(set.template.digest, object.meta.name.into_owned());
            }
            Body::Deployment(body) => deployment = Some((body.template.digest, body.updated_replicas)),
            _ => {}
        }
    }
    assert_eq!(templates.len(), 2, "two ReplicaSets, each with one digest from its first event to its last");
    assert_eq!(templates[&deployment.expect("a Deployment").0], "api-5b7b7bcf9d", "undone: v1 again");
}

#[test]
fn absurd_fields_read_as_unknown() {
    let pod = applied(
        Resource::Pods,
        r#"{"object":{"metadata":{"name":"p","namespace":5,"uid":null,"labels":["x"],"creationTimestamp":"soon",
            "ownerReferences":{"a":1},"annotations":null,"deletionTimestamp":null},
            "spec":{"containers":[null,7,{"name":"a","image":null,"env":3}],"nodeName":{}},
            "status":{"phase":false,"conditions":"x","containerStatuses":[{"name":"a","imageID":12,"state":[]}]}},
            "type":"ADDED","extra":{"deep":[{}]}}"#,
    );
    assert!(podskew::objects::take_wrong_types() >= 9, "they are counted");
    assert_eq!(pod.meta.name, "p");
    assert!(pod.meta.created.is_none() && !pod.meta.terminating && pod.meta.controller.is_none());
    let Body::Pod(body) = pod.body else { panic!("not a pod") };
    assert_eq!(body.node, "");
    assert_eq!(body.statuses[0].image_id, "");
    assert!(!body.finished && body.ready.is_none());
}

#[test]
fn broken_events_are_errors() {
    for line in
        ["", "{", r#"{"type":"ADDED","object":{"metadata":{"name":"a"#, "garbage", "[]", "{}", r#"{"type":"X"}"#]
    {
        assert!(decode_event(Resource::Pods, line.as_bytes()).is_err(), "{line}");
    }
    assert!(decode_event(Resource::Pods, br#"{"type":"ADDED"}"#).is_err());
    assert!(decode_event(Resource::Pods, br#"{"type":"ADDED","object":{}} {}"#).is_err());
}
