//! Protobuf of a real API server has the same content as its JSON, and no other message is mistaken for it.
//!
//! tests/data/protobuf/README.md describes how the recordings were made.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common::encodings::{Event, IN_PROTOBUF, equalities, event, frames, lines, list};
use podskew::objects::{Body, Resource, decode_list, decode_list_meta, decode_object, decode_status};
use proptest::prelude::*;

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/protobuf/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The content type of a response. headers.txt has a paragraph for each file.
fn content_type(file: &str) -> String {
    let headers = String::from_utf8(recorded("headers.txt")).unwrap();
    let paragraph = headers.split("\n\n").find(|paragraph| paragraph.lines().next() == Some(&format!("# {file}")));
    let line = paragraph.unwrap_or_else(|| panic!("{file} has no headers")).lines();
    line.filter_map(|line| line.strip_prefix("Content-Type: ")).collect()
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

const LISTS: [(Resource, &str, usize); 6] = [
    (Resource::Pods, "pods-list", 7),
    (Resource::Pods, "pods-none", 0),
    (Resource::ReplicaSets, "replicasets-list", 4),
    (Resource::ReplicaSets, "replicasets-page-1", 3),
    (Resource::ReplicaSets, "replicasets-page-2", 1),
    (Resource::Deployments, "deployments-list", 4),
];

const WATCHES: [(Resource, &str); 5] = [
    (Resource::Pods, "pods-streaming"),
    (Resource::Pods, "pods-watch"),
    (Resource::ReplicaSets, "replicasets-watch"),
    (Resource::Deployments, "deployments-watch"),
    (Resource::Pods, "pods-watch-expired"),
];

#[test]
fn a_list_is_the_same_in_both_encodings() {
    for (resource, name, objects) in LISTS {
        let (json, protobuf) = (recorded(&format!("{name}.json")), recorded(&format!("{name}.pb")));
        let (json, protobuf) = (list(resource, &json).unwrap(), list(resource, &protobuf).unwrap());
        protobuf.is(&json, name);
        assert_eq!(json.what.1.len(), objects, "{name}");
        assert!(!json.what.0.resource_version.is_empty(), "{name}");
        assert_eq!(json.what.0.continue_token.is_empty(), name != "replicasets-page-1", "{name}");
        assert_eq!(content_type(&format!("{name}.pb")), PROTOBUF);
    }
}

#[test]
fn a_watch_is_the_same_in_both_encodings() {
    let mut seen = [0; 4];
    for (resource, name) in WATCHES {
        let (json, protobuf) = (recorded(&format!("{name}.json")), recorded(&format!("{name}.pb")));
        let (json, protobuf) = (lines(&json), frames(&protobuf));
        assert_eq!(json.len(), protobuf.len(), "{name}");
        for (line, frame) in json.iter().zip(&protobuf) {
            let json = event(resource, line).unwrap();
            event(resource, frame).unwrap().is(&json, name);
            match json.what {
                Event::Applied(_) => seen[0] += 1,
                Event::Deleted(_) => seen[1] += 1,
                Event::Bookmark { initial_events_end, .. } => {
                    assert_eq!(initial_events_end, name == "pods-streaming");
                    seen[2] += 1;
                }
                Event::Error(status) => {
                    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
                    seen[3] += 1;
                }
            }
        }
        assert_eq!(content_type(&format!("{name}.pb")), "application/vnd.kubernetes.protobuf;stream=watch");
    }
    assert!(seen[0] > 30 && seen[1] > 4 && seen[2] > 3 && seen[3] == 1, "{seen:?}");
}

/// Templates of one encoding are equal exactly if those of the other are.
#[test]
fn templates_are_equal_in_protobuf_exactly_if_in_json() {
    let mut digests = [Vec::new(), Vec::new()];
    for (extension, digests) in ["json", "pb"].into_iter().zip(&mut digests) {
        for (resource, name, _) in LISTS {
            digests.extend(list(resource, &recorded(&format!("{name}.{extension}"))).unwrap().digests);
        }
        for (resource, name) in WATCHES {
            let stream = recorded(&format!("{name}.{extension}"));
            let events = if extension == "pb" { frames(&stream) } else { lines(&stream) };
            digests.extend(events.iter().flat_map(|bytes| event(resource, bytes).unwrap().digests));
        }
    }
    let [json, protobuf] = digests.map(|digests| equalities(&digests));
    assert_eq!(protobuf, json);
    let templates: std::collections::BTreeSet<_> = json.iter().flatten().collect();
    assert!(templates.len() > 5 && json.iter().flatten().count() > 30, "{json:?}");
}

/// The recordings contain the special cases for which they were made.
#[test]
fn the_recordings_contain_the_unusual_cases() {
    let all: Vec<_> = LISTS.iter().map(|(_, name, _)| recorded(&format!("{name}.pb"))).collect();
    let lists = LISTS.iter().zip(&all).map(|((resource, _, _), body)| list(*resource, body).unwrap().what.1);
    let objects: Vec<_> = lists.flatten().collect();
    let pods = || objects.iter().filter_map(|object| if let Body::Pod(pod) = &object.body { Some(pod) } else { None });
    assert!(pods().any(|pod| pod.node.is_empty()), "a pod without a node");
    assert!(pods().any(|pod| pod.containers.iter().any(|container| container.init)), "a native sidecar");
    assert!(pods().any(|pod| pod.statuses.iter().any(|status| status.image_id.is_empty())), "an empty imageID");
    assert!(pods().any(|pod| pod.ready.is_some_and(|ready| ready.since.is_none())), "Ready since before 1970");
    assert!(objects.iter().any(|object| object.meta.terminating), "an object on its way out");
    assert!(objects.iter().any(|object| object.meta.reused), "a ReplicaSet that became current again");
    let deployments = || {
        objects.iter().filter_map(|object| match &object.body {
            Body::Deployment(deployment) => Some(deployment),
            _ => None,
        })
    };
    assert!(deployments().any(|deployment| deployment.paused && deployment.progressing.is_none()), "a paused one");
    assert!(deployments().any(|deployment| deployment.replicas == Some(0)), "one of no replicas");
}

#[test]
fn a_refusal_is_the_same_in_both_encodings() {
    for (name, code, reason) in [
        ("400", 400, "BadRequest"),
        ("401", 401, "Unauthorized"),
        ("403", 403, "Forbidden"),
        ("403-rollouts", 403, "Forbidden"),
        ("404-object", 404, "NotFound"),
        ("404-resource", 404, "NotFound"),
        ("410", 410, "Expired"),
        ("422", 422, "Invalid"),
        ("504", 504, "Timeout"),
    ] {
        let json = decode_status(&recorded(&format!("{name}.json"))).unwrap();
        assert_eq!(decode_status(&recorded(&format!("{name}.pb"))).as_ref(), Some(&json), "{name}");
        assert_eq!(content_type(&format!("{name}.pb")), PROTOBUF, "{name}");
        // For an unknown resource, an API server returns only the HTTP status.
        assert_eq!((json.code, json.reason.as_str()), (code, reason), "{name}");
        assert_eq!(json.retry_after_seconds.is_some(), name == "504", "{name}");
    }
    assert_eq!(decode_status(&recorded("406.pb")).unwrap().code, 406);
    assert_eq!(decode_status(&recorded("404-path.txt")), None);
}

/// An API server asked for both formats responds in JSON if it has no protobuf: for custom resources.
#[test]
fn custom_resources_are_sent_in_json() {
    assert_eq!(content_type("rollouts-list.pb"), "application/json");
    assert_eq!(content_type("rollouts-streaming.pb"), "application/json");
    assert!(list(Resource::Rollouts, &recorded("rollouts-list.pb")).unwrap().what.1.is_empty());
    let stream = recorded("rollouts-streaming.pb");
    let events: Vec<_> = lines(&stream).into_iter().map(|line| event(Resource::Rollouts, line).unwrap().what).collect();
    assert!(matches!(events[..], [Event::Bookmark { initial_events_end: true, .. }]), "{events:?}");
}

fn is_refused_as_a_list(resource: Resource, body: &[u8], about: &str) {
    let mut objects = 0;
    assert!(decode_list(resource, body, &mut |_| objects += 1).is_err(), "{about} as a list of {resource}");
    assert_eq!(objects, 0, "{about} as a list of {resource}");
    assert!(decode_list_meta(resource, body).is_err(), "the metadata of {about} as a list of {resource}");
}

#[test]
fn a_message_of_another_kind_is_refused() {
    for (of, name, _) in LISTS {
        let body = recorded(&format!("{name}.pb"));
        for resource in Resource::ALL.into_iter().filter(|resource| *resource != of) {
            is_refused_as_a_list(resource, &body, name);
        }
        assert!(decode_object(of, &body).is_err(), "{name} as one object");
        assert!(event(of, &body).is_err(), "{name} as an event");
        assert_eq!(decode_status(&body), None, "{name}");
    }
    for resource in Resource::ALL {
        for name in ["403.pb", "410.pb", "pods-metadata.pb"] {
            is_refused_as_a_list(resource, &recorded(name), name);
            assert!(decode_object(resource, &recorded(name)).is_err(), "{name} as one of the {resource}");
        }
        for (of, name) in WATCHES.into_iter().filter(|(of, _)| *of != resource) {
            for frame in frames(&recorded(&format!("{name}.pb"))) {
                // An error is valid for any resource.
                let refused = event(resource, frame).is_err() || name == "pods-watch-expired";
                assert!(refused, "an event of {of} as one of {resource}");
            }
        }
    }
}

/// A truncated frame of a watch is an error, and so is a truncated list. None is ever read as another one.
#[test]
fn truncated_files_are_an_error_or_complete() {
    for (resource, name, _) in LISTS {
        let body = recorded(&format!("{name}.pb"));
        let whole = list(resource, &body).unwrap();
        for end in 0..body.len() {
            if let Ok(read) = list(resource, &body[..end]) {
                assert_eq!(read, whole, "{name} until byte {end}");
                assert!(end >= body.len() - 4, "{name} until byte {end} lacks more than empty fields");
            }
        }
    }
    for (resource, name) in WATCHES {
        for frame in frames(&recorded(&format!("{name}.pb"))) {
            let whole = event(resource, frame).unwrap();
            for end in 0..frame.len() {
                if let Ok(read) = event(resource, &frame[..end]) {
                    assert_eq!(read, whole, "{name} until byte {end}");
                }
            }
        }
    }
    for name in ["401.pb", "403.pb", "410.pb", "504.pb"] {
        let body = recorded(name);
        let whole = decode_status(&body);
        for end in 0..body.len() {
            let read = decode_status(&body[..end]);
            assert!(read.is_none() || read == whole, "{name} until byte {end}: {read:?}");
        }
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7F).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}

/// A field that contains bytes.
fn field(number: usize, value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    varint(&mut field, number << 3 | 2);
    varint(&mut field, value.len());
    field.extend_from_slice(value);
    field
}

fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, b"apps/v1"), field(2, kind.as_bytes())].concat();
    [b"k8s\0".as_slice(), &field(1, &type_meta), &field(2, raw)].concat()
}

fn read_varint(message: &mut &[u8]) -> usize {
    let end = message.iter().position(|byte| *byte < 0x80).unwrap();
    let (bytes, rest) = message.split_at(end + 1);
    *message = rest;
    bytes.iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7F))
}

/// The fields of a message: number, wire type, encoded bytes, and the content of those of wire type 2.
fn fields(mut message: &[u8]) -> Vec<(usize, usize, &[u8], &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let whole = message;
        let tag = read_varint(&mut message);
        let mut value: &[u8] = &[];
        if tag & 7 == 2 {
            let length = read_varint(&mut message);
            (value, message) = message.split_at(length);
        } else {
            assert_eq!(tag & 7, 0, "Kubernetes writes no other kinds");
            read_varint(&mut message);
        }
        fields.push((tag >> 3, tag & 7, &whole[..whole.len() - message.len()], value));
    }
    fields
}

/// The message with these bytes before and after its fields, and with those of the nested messages that `paths` selects.
fn stuffed(message: &[u8], paths: &[&[usize]], stuffing: &[u8]) -> Vec<u8> {
    let mut stuffed_message = stuffing.to_vec();
    for (number, kind, bytes, value) in fields(message) {
        let below: Vec<&[usize]> = paths.iter().filter_map(|path| path.strip_prefix(&[number])).collect();
        if kind == 2 && below.iter().any(|path| path.is_empty()) {
            stuffed_message.extend(field(number, &stuffed(value, &below, stuffing)));
        } else {
            stuffed_message.extend_from_slice(bytes);
        }
    }
    stuffed_message.extend_from_slice(stuffing);
    stuffed_message
}

/// A later Kubernetes may add any field of any type anywhere. (In a template it is part of the digest, as in JSON.)
#[test]
fn unknown_fields_are_passed_over() {
    let mut stuffing = field(200, b"k8s\0 \xFF");
    stuffing.extend([0xC0 | 1, 0x0C, 1, 2, 3, 4, 5, 6, 7, 8]);
    stuffing.extend([0xC0 | 5, 0x0C, 1, 2, 3, 4]);
    stuffing.extend([0xC0, 0x0C, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    let metadata: [&[usize]; 5] = [&[1], &[1, 8], &[1, 11], &[1, 13], &[1, 17]];
    let pod: [&[usize]; 10] =
        [&[2], &[2, 2], &[2, 20], &[3], &[3, 2], &[3, 2, 4], &[3, 8], &[3, 8, 2], &[3, 8, 2, 2], &[3, 8, 2, 2, 1]];
    let controller: [&[usize]; 4] = [&[2], &[3], &[3, 6], &[3, 6, 6]];
    for (resource, name, _) in LISTS {
        let body = recorded(&format!("{name}.pb"));
        let below = if resource == Resource::Pods { pod.as_slice() } else { &controller };
        let mut paths = vec![vec![2], vec![2, 1], vec![2, 2]];
        paths.extend(metadata.iter().chain(below).map(|path| [&[2, 2], *path].concat()));
        let paths: Vec<&[usize]> = paths.iter().map(Vec::as_slice).collect();
        let mut stuffed_body = b"k8s\0".to_vec();
        stuffed_body.extend(stuffed(&body[4..], &paths, &stuffing));
        assert_eq!(list(resource, &stuffed_body).unwrap(), list(resource, &body).unwrap(), "{name}");
    }
    for (resource, name) in WATCHES {
        for frame in frames(&recorded(&format!("{name}.pb"))) {
            // The type must be first in an event.
            let [(_, _, kind, _), (_, _, _, object)] = fields(frame)[..] else { panic!("two fields") };
            let longer = [kind, &field(2, &stuffed(object, &[], &stuffing)), &stuffing].concat();
            assert_eq!(event(resource, &longer).unwrap(), event(resource, frame).unwrap(), "{name}");
        }
    }
}

/// Kubernetes wrote an empty `clusterName` into the metadata of every template until 1.24. It is the same template.
#[test]
fn empty_fields_of_another_version_make_no_other_template() {
    let old = [field(15, b""), vec![0xF0, 0x01, 0x00]].concat();
    let paths: [&[usize]; 5] = [&[2], &[2, 2], &[2, 2, 2], &[2, 2, 2, 3], &[2, 2, 2, 3, 1]];
    for (resource, name, _) in LISTS.into_iter().filter(|(resource, _, _)| *resource != Resource::Pods) {
        let body = recorded(&format!("{name}.pb"));
        let older = [b"k8s\0".as_slice(), &stuffed(&body[4..], &paths, &old)].concat();
        assert_eq!(list(resource, &older).unwrap(), list(resource, &body).unwrap(), "{name}");
        let other = [b"k8s\0".as_slice(), &stuffed(&body[4..], &paths, &field(15, b"east"))].concat();
        assert_ne!(list(resource, &other).unwrap(), list(resource, &body).unwrap(), "{name}");
    }
}

#[test]
fn other_answers_than_lists_are_refused() {
    let body = recorded("deployments-list.pb");
    let (_, _, _, raw) = fields(&body[4..])[1];
    for resource in IN_PROTOBUF {
        for kind in
            ["Table", "List", "Pod", "PodLists", "ReplicaSetlist", "PartialObjectMetadataList", "StatusList", ""]
        {
            is_refused_as_a_list(resource, &envelope(kind, raw), kind);
        }
        is_refused_as_a_list(resource, b"k8s\0", "an empty envelope");
        is_refused_as_a_list(resource, b"k8s", "the beginning of an envelope");
        is_refused_as_a_list(resource, b"", "nothing");
        let kind = format!("{}List", resource.kind());
        assert!(list(resource, &envelope(&kind, &field(1, &[]))).unwrap().what.1.is_empty());
        // Compressed content, or content that is not protobuf, is declared in `contentEncoding` or `contentType`.
        for other_form in [field(3, b"gzip"), field(4, b"application/json")] {
            let body = [envelope(&kind, &field(1, &[])), other_form].concat();
            is_refused_as_a_list(resource, &body, "a list in another form");
        }
    }
}

#[test]
fn an_event_needs_a_type_and_an_object() {
    let pods = recorded("pods-watch.pb");
    let [(_, _, kind, _), (_, _, object, _)] = fields(frames(&pods)[0])[..] else { panic!("two fields") };
    assert!(event(Resource::Pods, &[kind, object].concat()).is_ok());
    for broken in [
        kind.to_vec(),
        object.to_vec(),
        [kind, &field(2, &[])].concat(),
        [kind, &field(2, &field(1, &[]))].concat(),
        [&field(1, b"PATCHED"), object].concat(),
        [&field(1, b"ERROR"), object].concat(),
        [&field(1, b""), object].concat(),
    ] {
        assert!(event(Resource::Pods, &broken).is_err(), "{broken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Encryption prevents flipped bits, but a damaged message must be safe as well.
    #[test]
    fn flipped_bytes_are_read_or_refused(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let damaged = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for (index, byte) in &flips {
                let at = index.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        };
        for resource in IN_PROTOBUF {
            for (_, name, _) in LISTS {
                let body = damaged(&recorded(&format!("{name}.pb")));
                let _ = decode_list(resource, &body, &mut |_| ());
                let _ = decode_list_meta(resource, &body);
                let _ = decode_object(resource, &body);
            }
            for frame in frames(&recorded("pods-watch.pb")).iter().chain(&frames(&recorded("deployments-watch.pb"))) {
                let _ = event(resource, &damaged(frame));
            }
        }
        let _ = decode_status(&damaged(&recorded("422.pb")));
    }
}
