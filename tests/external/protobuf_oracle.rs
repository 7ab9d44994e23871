//! Checks that protobuf of Kubernetes' own encoders decodes to the same as the JSON that was encoded.
//!
//! `tests/programs/protobuf` decodes JSON into Go's types and encodes them in protobuf, like an API server. So the JSON
//! here is restricted to what Go's types can represent; for other differences see
//! `differences_beyond_gos_types_do_not_count`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common::encodings::{IN_PROTOBUF, as_go_writes, equalities, event, frames, list, object, text};
use crate::needs::{Test, tests};
use crate::programs::in_protobuf;
use podskew::objects::{Resource, TemplateDigest, decode_status};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

fn recordings() -> Vec<(String, String)> {
    let root = format!("{}/tests/data/recordings", env!("CARGO_MANIFEST_DIR"));
    let folders = [root.clone(), format!("{root}/protocol")];
    let mut files: Vec<_> = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).collect();
    files.sort_by_key(|file| file.as_ref().unwrap().path());
    let files = files.into_iter().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

fn of_kind(kind: &str) -> Option<Resource> {
    IN_PROTOBUF.into_iter().find(|resource| resource.kind() == kind)
}

/// The event in a line: after time and resource in a recording, the whole line in a stream.
fn event_of(line: &str) -> Option<&str> {
    let event = match line.split_once(r#","event":"#) {
        Some((_, rest)) => rest.strip_suffix('}').unwrap(),
        None => line,
    };
    event.starts_with(r#"{"type":"#).then_some(event)
}

fn every_recorded_event_is_the_same_in_protobuf() {
    let mut events = Vec::new();
    for (file, recording) in recordings() {
        for text in recording.lines().filter_map(event_of) {
            let kind = serde_json::from_str::<Value>(text).unwrap()["object"]["kind"].as_str().unwrap().to_owned();
            let resource = if kind == "Status" { Some(Resource::Pods) } else { of_kind(&kind) };
            events.extend(resource.map(|resource| (file.clone(), resource, text.to_owned())));
        }
    }
    assert!(events.len() > 300, "{}", events.len());
    let lines: Vec<_> = events.iter().map(|(_, _, text)| text.clone()).collect();
    let (mut json_digests, mut protobuf_digests) = (Vec::new(), Vec::new());
    for ((file, resource, json), answer) in events.iter().zip(in_protobuf(&lines)) {
        let json = event(*resource, json.as_bytes()).unwrap();
        let protobuf = event(*resource, frames(&answer)[0]).unwrap();
        protobuf.is(&json, file);
        json_digests.extend(json.digests);
        protobuf_digests.extend(protobuf.digests);
    }
    let equal = equalities(&json_digests);
    assert_eq!(equalities(&protobuf_digests), equal);
    assert!(equal.iter().flatten().count() > 50, "{equal:?}");
}

fn every_recorded_list_is_the_same_in_protobuf() {
    let mut lists = 0;
    let mut objects = Vec::new();
    for (file, recording) in recordings() {
        let Ok(Value::Object(whole)) = serde_json::from_str(&recording) else { continue };
        let kind = whole.get("kind").and_then(Value::as_str).unwrap_or_default();
        if let Some(resource) = kind.strip_suffix("List").and_then(of_kind) {
            let protobuf = in_protobuf(&[recording.replace('\n', " ")]).remove(0);
            list(resource, &protobuf).unwrap().is(&list(resource, recording.as_bytes()).unwrap(), &file);
            lists += 1;
        } else if kind == "Status" {
            let protobuf = in_protobuf(&[recording.replace('\n', " ")]).remove(0);
            assert_eq!(decode_status(&protobuf), decode_status(recording.as_bytes()), "{file}");
        } else if kind == "List" {
            // Output of kubectl.
            objects.extend(whole["items"].as_array().unwrap().iter().cloned());
        }
    }
    assert_eq!(lists, 2);
    objects.retain(|object| of_kind(object["kind"].as_str().unwrap()).is_some());
    let lines: Vec<_> = objects.iter().map(as_go_writes).collect();
    for ((value, json), protobuf) in objects.iter().zip(&lines).zip(in_protobuf(&lines)) {
        let resource = of_kind(value["kind"].as_str().unwrap()).unwrap();
        object(resource, &protobuf).unwrap().is(&object(resource, json.as_bytes()).unwrap(), json);
    }
    assert!(lines.len() > 40, "{}", lines.len());
}

// What an object may hold.

fn word() -> BoxedStrategy<String> {
    let characters = prop::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter);
    let odd = [
        "",
        " ",
        "Ready",
        "True",
        "null",
        "<a href=\"x\">&amp;</a>",
        "\u{0}\u{1F980}\u{202E}",
        "\u{2028}\\n\\u0041\t\u{7F}",
        "0",
    ];
    prop_oneof![3 => "[a-z]{1,8}", 1 => select(odd.to_vec()).prop_map(str::to_owned), 1 => characters].boxed()
}

fn whole<const N: usize>(edges: [i64; N], range: std::ops::Range<i64>) -> BoxedStrategy<Value> {
    prop_oneof![select(edges.to_vec()), range].prop_map(Value::from).boxed()
}

fn int32() -> BoxedStrategy<Value> {
    whole([0, 1, -1, i64::from(i32::MAX), i64::from(i32::MIN)], -3..300)
}

fn int64() -> BoxedStrategy<Value> {
    whole([0, 1, -1, i64::MAX, i64::MIN, 1 << 53], -3..300)
}

/// A time as parsed by Go.
fn moment() -> BoxedStrategy<Value> {
    let edges = [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:01Z",
        "1969-12-31T23:59:59Z",
        "1969-12-31T23:59:59.5Z",
        "1970-01-01T01:00:00+01:00",
        "0000-01-01T00:00:00+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "2038-01-19T03:14:08Z",
        "2106-02-07T06:28:15Z",
        "2106-02-07T06:28:16Z",
        "2026-02-28T23:59:59.999999999-12:00",
    ];
    let zone = prop_oneof![Just("Z"), Just("+05:30"), Just("-11:00"), Just("+00:00"), Just("-00:00")];
    let fraction = prop_oneof![3 => Just(""), 1 => Just(".0"), 1 => Just(".999999"), 1 => Just(".000000001")];
    let usual = (1960..2110_i32, 1..13_u8, 1..29_u8, 0..24_u8, 0..60_u8, fraction, zone).prop_map(
        |(year, month, day, hour, second, fraction, zone)| {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:59:{second:02}{fraction}{zone}")
        },
    );
    let edges = select(edges.to_vec()).prop_map(Value::from);
    prop_oneof![1 => Just(Value::Null), 3 => edges, 6 => usual.prop_map(Value::from)].boxed()
}

/// A valid time. Go's zero time counts as absent: an API server writes it as `null`.
fn deletion() -> BoxedStrategy<Value> {
    let zero = |moment: &Value| moment.as_str().is_some_and(|text| text.starts_with("0001-01-01"));
    moment().prop_filter("not Go's zero time", move |moment| !zero(moment)).boxed()
}

/// An object with some of these fields.
fn of_fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> =
        fields.into_iter().map(|(key, value)| (Just(key), prop::option::weighted(0.8, value))).collect();
    let object = |fields: Vec<(&str, Option<Value>)>| {
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>()
    };
    fields.prop_map(move |fields| Value::Object(object(fields))).boxed()
}

fn words() -> BoxedStrategy<Value> {
    word().prop_map(Value::from).boxed()
}

fn one_of<const N: usize>(known: [&'static str; N]) -> BoxedStrategy<Value> {
    prop_oneof![4 => select(known.to_vec()).prop_map(Value::from), 1 => words()].boxed()
}

fn list_of(item: BoxedStrategy<Value>, upto: usize) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 9 => prop::collection::vec(item, 0..=upto).prop_map(Value::from)].boxed()
}

fn map_of(known: &'static [&'static str]) -> BoxedStrategy<Value> {
    let key = prop_oneof![select(known.to_vec()).prop_map(str::to_owned), word()];
    let value = prop_oneof![
        word(),
        select(vec!["1", "17", "18446744073709551616", "+1", "1,2", "true"]).prop_map(str::to_owned)
    ];
    let map = prop::collection::btree_map(key, value, 0..5).prop_map(|map: BTreeMap<String, String>| json!(map));
    prop_oneof![1 => Just(Value::Null), 9 => map].boxed()
}

fn flag() -> BoxedStrategy<Value> {
    prop_oneof![Just(json!(true)), Just(json!(false))].boxed()
}

/// A flag that is a pointer in Go: `null` counts as absent.
fn flag_or_none() -> BoxedStrategy<Value> {
    prop_oneof![flag(), Just(Value::Null)].boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    let uid = prop_oneof![
        3 => "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
        1 => "[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-8[0-9A-F]{3}-[0-9A-F]{12}",
        1 => word(),
    ];
    let uid = uid.prop_map(Value::from).boxed();
    let owner = of_fields(vec![
        ("apiVersion", one_of(["apps/v1", "v1", "argoproj.io/v1alpha1", "a/b/c", "/", ""])),
        ("kind", one_of(["ReplicaSet", "Deployment", "Node"])),
        ("name", words()),
        ("uid", uid.clone()),
        ("controller", flag_or_none()),
        ("blockOwnerDeletion", flag_or_none()),
    ]);
    let manager = of_fields(vec![
        ("manager", one_of(["kube-controller-manager", "kubelet"])),
        ("operation", one_of(["Update", "Apply"])),
        ("time", moment()),
        ("fieldsType", one_of(["FieldsV1"])),
        ("fieldsV1", Just(json!({"f:spec": {"f:template": {".": {}}}})).boxed()),
        ("subresource", one_of(["status"])),
    ]);
    of_fields(vec![
        ("name", words()),
        ("generateName", words()),
        ("namespace", words()),
        ("uid", uid),
        ("resourceVersion", one_of(["1", "0", "18446744073709551615"])),
        ("generation", int64()),
        ("creationTimestamp", moment()),
        ("deletionTimestamp", prop_oneof![2 => Just(Value::Null), 1 => deletion()].boxed()),
        ("deletionGracePeriodSeconds", int64()),
        ("labels", map_of(&["app", "pod-template-hash", "controller-revision-hash"])),
        (
            "annotations",
            map_of(&[
                "deployment.kubernetes.io/revision",
                "deployment.kubernetes.io/revision-history",
                "rollout.argoproj.io/revision",
                "note",
            ]),
        ),
        ("ownerReferences", list_of(owner, 3)),
        ("finalizers", list_of(words(), 2)),
        ("managedFields", list_of(manager, 3)),
    ])
}

fn container() -> BoxedStrategy<Value> {
    of_fields(vec![
        ("name", words()),
        ("image", words()),
        ("imagePullPolicy", one_of(["Always", "IfNotPresent", "Never", ""])),
        ("restartPolicy", one_of(["Always", "OnFailure", "Never", ""])),
        ("command", list_of(words(), 2)),
        ("env", list_of(of_fields(vec![("name", words()), ("value", words())]), 2)),
        ("ports", list_of(of_fields(vec![("containerPort", int32()), ("name", words())]), 2)),
        ("tty", flag()),
    ])
}

fn image_id() -> BoxedStrategy<Value> {
    let hex = "[0-9a-f]{64}";
    prop_oneof![
        hex.prop_map(|hex| format!("registry.example.com:5000/team/web@sha256:{hex}")),
        hex.prop_map(|hex| format!("docker-pullable://web@sha256:{hex}")),
        hex.prop_map(|hex| format!("docker://sha256:{hex}")),
        hex.prop_map(|hex| format!("sha256:{hex}")),
        hex.prop_map(|hex| hex),
        hex.prop_map(|hex| format!("docker.io/library/import-2026-09-11@sha256:{hex}")),
        "[0-9a-f]{128}".prop_map(|hex| format!("web@sha512:{hex}")),
        Just(String::new()),
        word(),
    ]
    .prop_map(Value::from)
    .boxed()
}

fn container_status() -> BoxedStrategy<Value> {
    let running = of_fields(vec![("startedAt", moment())]);
    let terminated = of_fields(vec![
        ("exitCode", int32()),
        ("reason", words()),
        ("startedAt", moment()),
        ("finishedAt", moment()),
        ("containerID", words()),
    ]);
    let state = |running: BoxedStrategy<Value>, terminated: BoxedStrategy<Value>| {
        prop_oneof![
            4 => running.prop_map(|running| json!({"running": running})),
            1 => Just(json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            1 => terminated.prop_map(|terminated| json!({"terminated": terminated})),
            1 => Just(json!({})),
            1 => Just(json!({"running": null})),
        ]
        .boxed()
    };
    of_fields(vec![
        ("name", words()),
        ("state", state(running.clone(), terminated.clone())),
        ("lastState", state(running, terminated)),
        ("ready", flag()),
        ("started", flag_or_none()),
        ("restartCount", int32()),
        ("image", words()),
        ("imageID", image_id()),
        ("containerID", one_of(["containerd://0", "cri-o://1", ""])),
    ])
}

fn conditions(kinds: [&'static str; 4]) -> BoxedStrategy<Value> {
    let condition = of_fields(vec![
        ("type", one_of(kinds)),
        ("status", one_of(["True", "False", "Unknown"])),
        ("reason", one_of(["NewReplicaSetAvailable", "ProgressDeadlineExceeded", ""])),
        ("message", words()),
        ("lastUpdateTime", moment()),
        ("lastTransitionTime", moment()),
        ("lastProbeTime", moment()),
    ]);
    list_of(condition, 4)
}

fn pod() -> BoxedStrategy<Value> {
    let spec = of_fields(vec![
        ("nodeName", words()),
        ("containers", list_of(container(), 3)),
        ("initContainers", list_of(container(), 3)),
        ("ephemeralContainers", list_of(container(), 1)),
        ("hostNetwork", flag()),
    ]);
    let status = of_fields(vec![
        ("phase", one_of(["Running", "Pending", "Succeeded", "Failed", "Unknown", ""])),
        ("conditions", conditions(["Ready", "Ready", "PodScheduled", "ContainersReady"])),
        ("containerStatuses", list_of(container_status(), 3)),
        ("initContainerStatuses", list_of(container_status(), 2)),
        ("ephemeralContainerStatuses", list_of(container_status(), 1)),
        ("startTime", moment()),
        ("observedGeneration", int64()),
    ]);
    let fields = of_fields(vec![("metadata", metadata()), ("spec", spec), ("status", status)]);
    with(fields, json!({"kind": "Pod", "apiVersion": "v1"}))
}

/// A template is always present, because Go always writes it.
fn any_template() -> BoxedStrategy<Value> {
    let spec = of_fields(vec![("containers", list_of(container(), 3)), ("initContainers", list_of(container(), 3))]);
    (metadata(), spec).prop_map(|(metadata, spec)| json!({"metadata": metadata, "spec": spec})).boxed()
}

fn replica_set() -> BoxedStrategy<Value> {
    let spec =
        of_fields(vec![("replicas", prop_oneof![int32(), Just(Value::Null)].boxed()), ("minReadySeconds", int32())]);
    let spec = (spec, any_template()).prop_map(|(mut spec, template)| {
        spec["template"] = template;
        spec
    });
    let status = of_fields(vec![("replicas", int32()), ("observedGeneration", int64())]);
    let fields = (metadata(), spec, status)
        .prop_map(|(metadata, spec, status)| json!({"metadata": metadata, "spec": spec, "status": status}));
    with(fields.boxed(), json!({"kind": "ReplicaSet", "apiVersion": "apps/v1"}))
}

fn deployment() -> BoxedStrategy<Value> {
    let spec = of_fields(vec![
        ("replicas", prop_oneof![int32(), Just(Value::Null)].boxed()),
        ("paused", flag()),
        ("progressDeadlineSeconds", int32()),
        (
            "strategy",
            Just(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}})).boxed(),
        ),
    ]);
    let spec = (spec, any_template()).prop_map(|(mut spec, template)| {
        spec["template"] = template;
        spec
    });
    let status = of_fields(vec![
        ("observedGeneration", int64()),
        ("replicas", int32()),
        ("updatedReplicas", int32()),
        ("readyReplicas", int32()),
        ("availableReplicas", int32()),
        ("unavailableReplicas", int32()),
        ("terminatingReplicas", int32()),
        ("collisionCount", int32()),
        ("conditions", conditions(["Progressing", "Progressing", "Available", "ReplicaFailure"])),
    ]);
    let fields = of_fields(vec![("metadata", metadata()), ("status", status)]);
    let fields = (fields, spec).prop_map(|(mut fields, spec)| {
        fields["spec"] = spec;
        fields
    });
    with(fields.boxed(), json!({"kind": "Deployment", "apiVersion": "apps/v1"}))
}

fn any_object() -> BoxedStrategy<Value> {
    prop_oneof![3 => pod(), 2 => replica_set(), 2 => deployment()].boxed()
}

fn list_metadata() -> BoxedStrategy<Value> {
    of_fields(vec![("resourceVersion", words()), ("continue", words()), ("remainingItemCount", int64())])
}

fn with(object: BoxedStrategy<Value>, more: Value) -> BoxedStrategy<Value> {
    let Value::Object(more) = more else { panic!("an object") };
    object
        .prop_map(move |mut object| {
            object.as_object_mut().unwrap().extend(more.clone());
            object
        })
        .boxed()
}

fn status() -> BoxedStrategy<Value> {
    let details = of_fields(vec![("name", words()), ("kind", words()), ("retryAfterSeconds", int32())]);
    let fields = of_fields(vec![
        ("metadata", Just(json!({})).boxed()),
        ("status", one_of(["Failure", "Success"])),
        ("message", words()),
        ("reason", one_of(["Expired", "Gone", ""])),
        ("details", prop_oneof![details, Just(Value::Null)].boxed()),
        ("code", prop_oneof![int32(), whole([410, 65535, 65536], 400..600)].boxed()),
    ]);
    with(fields, json!({"kind": "Status", "apiVersion": "v1"}))
}

fn cases(cases: u32) -> ProptestConfig {
    // Each step of shrinking runs the encoder.
    ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(24))]

    fn objects_of_gos_types_decode_the_same(
        objects in prop::collection::vec((any_object(), 0..4_u8), 1..80),
        statuses in prop::collection::vec(status(), 1..10),
    ) {
        let mut events: Vec<(Resource, Value)> = Vec::new();
        for (object, kind) in objects {
            let resource = of_kind(object["kind"].as_str().unwrap()).unwrap();
            let kind = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"][usize::from(kind)];
            events.push((resource, json!({"type": kind, "object": object})));
        }
        events.extend(statuses.into_iter().map(|status| (Resource::Pods, json!({"type": "ERROR", "object": status}))));
        let lines: Vec<_> = events.iter().map(|(_, event)| as_go_writes(event)).collect();
        for (((resource, _), json), answer) in events.iter().zip(&lines).zip(in_protobuf(&lines)) {
            event(*resource, frames(&answer)[0]).unwrap().is(&event(*resource, json.as_bytes()).unwrap(), json);
        }

        let bodies: Vec<_> = events.iter().map(|(_, event)| as_go_writes(&event["object"])).collect();
        for (((resource, value), json), answer) in events.iter().zip(&bodies).zip(in_protobuf(&bodies)) {
            if value["type"] == "ERROR" {
                prop_assert_eq!(decode_status(&answer), decode_status(json.as_bytes()));
            } else {
                object(*resource, &answer).unwrap().is(&object(*resource, json.as_bytes()).unwrap(), json);
            }
        }
    }

    fn lists_of_gos_types_decode_the_same(
        pods in prop::collection::vec(pod(), 0..20),
        replica_sets in prop::collection::vec(replica_set(), 0..20),
        deployments in prop::collection::vec(deployment(), 0..20),
        metadata in list_metadata(),
    ) {
        let lists: Vec<_> = IN_PROTOBUF.into_iter().zip([pods, replica_sets, deployments]).map(|(resource, mut items)| {
            for item in &mut items {
                item.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
            }
            let api_version = if resource == Resource::Pods { "v1" } else { "apps/v1" };
            let kind = format!("{}List", resource.kind());
            as_go_writes(&json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}))
        }).collect();
        for ((resource, json), answer) in IN_PROTOBUF.into_iter().zip(&lists).zip(in_protobuf(&lists)) {
            list(resource, &answer).unwrap().is(&list(resource, json.as_bytes()).unwrap(), json);
        }
    }
}

// Templates: what the Deployment controller takes for equal.

fn some<T: std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<T>> {
    prop::option::weighted(0.6, value).boxed()
}

fn name() -> BoxedStrategy<Value> {
    "[a-z]{1,4}".prop_map(Value::from).boxed()
}

/// Quantities, each with other spellings.
const QUANTITIES: [(&str, [&str; 2]); 8] = [
    ("0", ["0Gi", "-0"]),
    ("1", ["1000m", "1e0"]),
    ("100m", ["0.1", "100000u"]),
    ("-1500m", ["-1.5", "-15e-1"]),
    ("1Gi", ["1073741824", "1024Mi"]),
    ("64Mi", ["65536Ki", "67108864000m"]),
    ("1e9", ["1G", "1000M"]),
    ("7Ei", ["8070450532247928832", "7168Pi"]),
];

fn quantity() -> BoxedStrategy<&'static str> {
    select(QUANTITIES.to_vec()).prop_map(|(quantity, _)| quantity).boxed()
}

fn quantities() -> BoxedStrategy<Value> {
    let quantity = quantity();
    prop::collection::btree_map(select(vec!["cpu", "memory", "x/y"]), quantity, 1..3).prop_map(|map| json!(map)).boxed()
}

/// A template as written by Go: without empty values, except for pointers and fields that are always written.
fn template() -> BoxedStrategy<Value> {
    let labels = prop::collection::btree_map(select(vec!["app", "pod-template-hash", "v"]), "[a-c]{0,2}", 1..4);
    let field_ref = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    let variable = prop_oneof![
        name().prop_map(|name| json!({"name": name})),
        (name(), name()).prop_map(|(name, value)| json!({"name": name, "value": value})),
        name().prop_map(move |name| json!({"name": name, "valueFrom": field_ref})),
        (name(), quantity()).prop_map(|(name, divisor)| json!({"name": name, "valueFrom": {"resourceFieldRef": {
            "resource": "limits.cpu", "divisor": divisor,
        }}})),
    ];
    let port = prop_oneof![Just(json!(80)), Just(json!("80")), Just(json!("http")), Just(json!(0))];
    let probe = port.prop_map(|port| json!({"httpGet": {"port": port, "path": "/"}, "periodSeconds": 5}));
    let resources = (some(quantities()), some(quantities()));
    let resources =
        resources.prop_map(|(limits, requests)| without_none(json!({"limits": limits, "requests": requests})));
    let container = (
        (name(), some(name()), some(select(vec!["Always", "Never"])), some(prop::collection::vec(name(), 1..3))),
        (some(prop::collection::vec(variable, 1..3)), resources, some(probe)),
        (some(prop::bool::ANY), some(0..3_i64), some(Just("Always"))),
    );
    let container =
        container.prop_map(|((name, image, policy, command), (env, resources, probe), (root, user, restart))| {
            let security = (root.is_some() || user.is_some())
                .then(|| without_none(json!({"runAsNonRoot": root, "runAsUser": user})));
            without_none(json!({
                "name": name, "image": image, "imagePullPolicy": policy, "command": command, "env": env,
                "resources": resources, "livenessProbe": probe, "securityContext": security, "restartPolicy": restart,
            }))
        });
    let volume = prop_oneof![
        name().prop_map(|name| json!({"name": name, "emptyDir": {}})),
        (name(), quantity()).prop_map(|(name, limit)| json!({"name": name, "emptyDir": {"sizeLimit": limit}})),
        (name(), quantities()).prop_map(|(name, requests)| json!({"name": name, "ephemeral": {"volumeClaimTemplate": {
            "metadata": {}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": requests}},
        }}})),
        (name(), quantity(), prop::bool::ANY).prop_map(|(name, divisor, projected)| {
            let reference = json!({"resource": "limits.cpu", "divisor": divisor});
            let downward = json!({"items": [{"path": "cpu", "resourceFieldRef": reference}]});
            if projected {
                json!({"name": name, "projected": {"sources": [{"downwardAPI": downward}]}})
            } else {
                json!({"name": name, "downwardAPI": downward})
            }
        }),
        (name(), some(prop::bool::ANY), some(0..2_i64)).prop_map(|(name, optional, mode)| {
            without_none(
                json!({"name": name, "configMap": {"name": "settings", "optional": optional, "defaultMode": mode}}),
            )
        }),
    ];
    let toleration =
        some(0..3_i64).prop_map(|seconds| without_none(json!({"operator": "Exists", "tolerationSeconds": seconds})));
    let affinity = prop_oneof![
        Just(json!({})),
        Just(json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {}},
        ]}})),
    ];
    let spec = (
        (
            prop::collection::vec(container.clone(), 1..3),
            some(prop::collection::vec(container, 1..3)),
            some(prop::collection::vec(volume, 1..3)),
        ),
        (some(prop::collection::vec(toleration, 1..3)), some(affinity), some(quantities())),
        (some(0..40_i64), some(Just(true)), some(prop::bool::ANY), some(Just(json!({}))), some(quantities())),
    );
    let spec = spec.prop_map(
        |(
            (containers, init, volumes),
            (tolerations, affinity, overhead),
            (grace, network, links, security, limits),
        )| {
            without_none(json!({
                "containers": containers, "initContainers": init, "volumes": volumes, "tolerations": tolerations,
                "affinity": affinity, "overhead": overhead, "terminationGracePeriodSeconds": grace,
                "hostNetwork": network, "enableServiceLinks": links, "securityContext": security,
                "resources": limits.map(|limits| json!({"limits": limits})),
            }))
        },
    );
    let annotations = prop::collection::btree_map("[a-z]{1,2}", word(), 1..3);
    (some(labels), some(annotations), spec)
        .prop_map(|(labels, annotations, spec)| {
            json!({"metadata": without_none(json!({"labels": labels, "annotations": annotations})), "spec": spec})
        })
        .boxed()
}

fn without_none(mut object: Value) -> Value {
    for value in object.as_object_mut().unwrap().values_mut().filter(|value| value.is_object()) {
        *value = without_none(value.take());
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

/// All places in a template where a change or a removal makes another template.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let step = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (step(key), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (step(&at.to_string()), value)).collect(),
        _ => Vec::new(),
    };
    for (place, part) in parts.into_iter().filter(|(place, _)| place != "/metadata/labels/pod-template-hash") {
        places(part, &place, found);
        found.push(place);
    }
}

fn is_quantity(place: &str) -> bool {
    ["/limits/", "/requests/", "/overhead/", "/sizeLimit", "/divisor"].iter().any(|below| place.contains(below))
}

/// Another value of the same type.
fn another(value: &Value, place: &str) -> Option<Value> {
    Some(match value {
        Value::String(_) if is_quantity(place) => json!(if value == "7" { "8" } else { "7" }),
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_i64().unwrap() ^ 1),
        Value::Bool(flag) => json!(!flag),
        _ => return None,
    })
}

/// Whether Go would omit it if it were not a pointer.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        scalar => *scalar == Value::Null || *scalar == json!("") || *scalar == json!(0) || *scalar == json!(false),
    }
}

/// Fields that are pointers in Go, so that an empty one is present.
const POINTERS: [&str; 10] = [
    "emptyDir",
    "optional",
    "defaultMode",
    "tolerationSeconds",
    "affinity",
    "terminationGracePeriodSeconds",
    "enableServiceLinks",
    "runAsNonRoot",
    "runAsUser",
    "securityContext",
];

/// A change of a template.
#[derive(Clone, Debug)]
enum Change {
    None,
    Hash(Option<String>),
    Order(u64),
    /// Adds an empty value where there is none.
    Empty(Index),
    Value(Index),
    Removed(Index),
    /// Another spelling of a quantity.
    Words(Index),
    /// Another quantity, or another spelling of the same.
    Quantity(Index, String),
    Other(Value),
}

fn change() -> BoxedStrategy<Change> {
    prop_oneof![
        1 => Just(Change::None),
        2 => prop::option::of("[a-z]{0,3}").prop_map(Change::Hash),
        2 => any::<u64>().prop_map(Change::Order),
        2 => any::<Index>().prop_map(Change::Empty),
        6 => any::<Index>().prop_map(Change::Value),
        6 => any::<Index>().prop_map(Change::Removed),
        3 => any::<Index>().prop_map(Change::Words),
        3 => (any::<Index>(), "[+-]?[0-9]{1,6}(\\.[0-9]{0,3})?(|m|k|M|G|T|Ki|Mi|Gi|Ti|Pi|e[0-9]|E-[0-3])")
            .prop_map(|(place, quantity)| Change::Quantity(place, quantity)),
        1 => template().prop_map(Change::Other),
    ]
    .boxed()
}

/// Values that count as absent: an empty list anywhere, empty labels and annotations, a time that was never set.
const EMPTY: [(&str, &str, &str); 9] = [
    ("/metadata", "labels", "{}"),
    ("/metadata", "annotations", "{}"),
    ("/metadata", "annotations", "null"),
    ("/metadata", "creationTimestamp", "null"),
    ("/spec", "volumes", "[]"),
    ("/spec", "tolerations", "null"),
    ("/spec", "initContainers", "[]"),
    ("/spec/containers/0", "env", "[]"),
    ("/spec/containers/0", "command", "null"),
];

impl Change {
    /// The text of the changed template, and whether it is the same template; `None` if unknown beforehand.
    fn apply(&self, template: &Value) -> (String, Option<bool>) {
        let mut changed = template.clone();
        let mut all = Vec::new();
        places(template, "", &mut all);
        let same = match self {
            Self::None => true,
            Self::Hash(hash) => {
                let metadata = changed["metadata"].as_object_mut().unwrap();
                let labels = metadata.entry("labels").or_insert(json!({})).as_object_mut().unwrap();
                match hash {
                    Some(hash) => labels.insert("pod-template-hash".to_owned(), json!(hash)),
                    None => labels.remove("pod-template-hash"),
                };
                true
            }
            Self::Order(seed) => {
                let rank = |key: &str| {
                    let mut hasher = DefaultHasher::new();
                    (seed, key).hash(&mut hasher);
                    hasher.finish()
                };
                return (text(&changed, &rank), Some(true));
            }
            Self::Empty(index) => {
                let (parent, key, empty) = EMPTY[index.index(EMPTY.len())];
                let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                parent.entry(key).or_insert(serde_json::from_str(empty).unwrap());
                true
            }
            Self::Value(index) => {
                let values = all.iter().filter_map(|place| Some((place, another(changed.pointer(place)?, place)?)));
                let values: Vec<_> = values.collect();
                let (place, value) = &values[index.index(values.len())];
                *changed.pointer_mut(place).unwrap() = value.clone();
                false
            }
            Self::Removed(index) => {
                all.retain(|place| {
                    let key = place.rsplit('/').next().unwrap();
                    let in_map = place.starts_with("/metadata/");
                    POINTERS.contains(&key)
                        || in_map && place.len() > "/metadata/annotations/".len()
                        || !is_empty(changed.pointer(place).unwrap())
                });
                // Without a divisor Go writes "0".
                all.retain(|place| !place.ends_with("/divisor"));
                // Removing all labels except the hash gives the same template.
                all.retain(|place| {
                    place != "/metadata" && place != "/metadata/labels" && place != "/metadata/annotations"
                });
                let (parent, key) = all[index.index(all.len())].rsplit_once('/').unwrap();
                let key = key.replace("~1", "/").replace("~0", "~");
                match changed.pointer_mut(parent).unwrap() {
                    Value::Object(fields) => {
                        fields.remove(&key);
                    }
                    Value::Array(items) => {
                        items.remove(key.parse().unwrap());
                    }
                    _ => panic!("{parent} has nothing below it"),
                }
                false
            }
            Self::Words(index) | Self::Quantity(index, _) => {
                all.retain(|place| is_quantity(place) && changed.pointer(place).unwrap().is_string());
                if !all.is_empty() {
                    let quantity = changed.pointer_mut(&all[index.index(all.len())]).unwrap();
                    if let Self::Quantity(_, other) = self {
                        *quantity = json!(other);
                        return (as_go_writes(&changed), None);
                    }
                    let known = QUANTITIES.iter().find(|(known, _)| *quantity == *known).unwrap();
                    *quantity = json!(known.1[index.index(2)]);
                }
                true
            }
            Self::Other(other) => return (as_go_writes(other), None),
        };
        (as_go_writes(&changed), Some(same))
    }
}

/// The digests of these templates in a ReplicaSet and in a Deployment, in JSON and in protobuf.
fn digests(templates: &[String]) -> [Vec<TemplateDigest>; 2] {
    let lines = templates.iter().enumerate().map(|(at, template)| {
        let kind = if at.is_multiple_of(2) { "ReplicaSet" } else { "Deployment" };
        format!(r#"{{"kind":"{kind}","apiVersion":"apps/v1","metadata":{{}},"spec":{{"template":{template}}}}}"#)
    });
    let lines: Vec<_> = lines.collect();
    let read = |at: usize, body: &[u8]| {
        let resource = if at.is_multiple_of(2) { Resource::ReplicaSets } else { Resource::Deployments };
        object(resource, body).unwrap().digests[0].unwrap()
    };
    let json = lines.iter().enumerate().map(|(at, line)| read(at, line.as_bytes())).collect();
    [json, in_protobuf(&lines).iter().enumerate().map(|(at, body)| read(at, body)).collect()]
}

proptest! {
    #![proptest_config(cases(24))]

    /// The templates of a ReplicaSet and of a Deployment, one of which was changed once: equal in protobuf exactly if in
    /// JSON.
    fn templates_are_equal_in_protobuf_exactly_if_they_are_in_json(
        pairs in prop::collection::vec((template(), change()), 1..100),
    ) {
        let mut templates = Vec::new();
        let mut expected = Vec::new();
        for (template, change) in &pairs {
            let (changed, same) = change.apply(template);
            templates.extend([as_go_writes(template), changed]);
            expected.push(same);
        }
        let [json, protobuf] = digests(&templates);
        for (at, (same, pair)) in expected.iter().zip(&pairs).enumerate() {
            let equal = |digests: &[TemplateDigest]| digests[2 * at].equals(digests[2 * at + 1]).unwrap();
            let about = format!("{}\n{}\n{:?}", templates[2 * at], templates[2 * at + 1], pair.1);
            prop_assert_eq!(equal(&protobuf), equal(&json), "{}", about);
            if let Some(same) = same {
                prop_assert_eq!(equal(&protobuf), *same, "{}", about);
            }
            prop_assert_eq!(json[2 * at].equals(protobuf[2 * at]), None, "unknown beforehand");
        }
    }
}

/// JSON text may contain differences that Go's types cannot represent. Then protobuf does not have the difference, and the
/// Deployment controller does not see it either, because it compares decoded objects. No API server writes both variants,
/// because its JSON is encoded from the same types; so a digest of JSON only sees one of them.
fn differences_beyond_gos_types_do_not_count() {
    let container = |fields: &str| format!(r#"{{"spec":{{"containers":[{{"name":"app"{fields}}}]}}}}"#);
    let spec = |fields: &str| format!(r#"{{"metadata":{{}},"spec":{{"containers":[{{"name":"app"}}]{fields}}}}}"#);
    let limit = |value: &str| container(&format!(r#","resources":{{"limits":{{"cpu":{value}}}}}"#));
    let port = |value: &str| container(&format!(r#","livenessProbe":{{"tcpSocket":{{"port":{value}}}}}"#));
    let divisor = |value: &str| {
        let reference = format!(r#"{{"resource":"limits.cpu"{value}}}"#);
        container(&format!(r#","env":[{{"name":"a","valueFrom":{{"resourceFieldRef":{reference}}}}}]"#))
    };
    let volume = |value: &str| spec(&format!(r#","volumes":[{{"name":"v"{value}}}]"#));
    // Name, the two texts, whether they are equal in JSON, and whether they are in protobuf.
    let cases = [
        ("a struct that is no pointer", container(""), container(r#","resources":{}"#), false, true),
        ("a struct that is no pointer", r#"{"spec":{}}"#.into(), r#"{"metadata":{},"spec":{}}"#.into(), false, true),
        ("a map other than labels and annotations", spec(""), spec(r#","nodeSelector":{}"#), false, true),
        ("a flag that is no pointer", spec(""), spec(r#","hostNetwork":false"#), false, true),
        ("a string that is no pointer", container(""), container(r#","image":"""#), false, true),
        ("a number that is no pointer", port("80"), port("80").replace("80}", r#"80},"periodSeconds":0"#), false, true),
        ("a field that Go does not know", spec(""), spec(r#","inventedIn2030":{"a":1}"#), false, true),
        ("a quantity that is no pointer", divisor(""), divisor(r#","divisor":"0""#), false, true),
        ("a quantity as a number", limit("1"), limit(r#""1""#), false, true),
        ("an empty list", spec(""), spec(r#","volumes":[],"tolerations":null"#), true, true),
        ("a time that was never set", spec(""), spec("").replace("{}", r#"{"creationTimestamp":null}"#), true, true),
        // Differences that Go's types can represent, in both.
        ("an empty pointer", volume(""), volume(r#","emptyDir":{}"#), false, false),
        ("an empty pointer", spec(""), spec(r#","securityContext":{}"#), false, false),
        ("a pointer to zero", spec(""), spec(r#","terminationGracePeriodSeconds":0"#), false, false),
        ("a pointer to false", spec(""), spec(r#","enableServiceLinks":false"#), false, false),
        ("a pointer to nothing", spec(""), spec(r#","enableServiceLinks":null"#), true, true),
        ("a number or a string", port("80"), port(r#""80""#), false, false),
        (
            "a quantity that is a pointer",
            volume(r#","emptyDir":{}"#),
            volume(r#","emptyDir":{"sizeLimit":"0"}"#),
            false,
            false,
        ),
        // Here the controller's comparison is less strict than Go's types, and so are both digests.
        ("a quantity in other words", limit(r#""1000m""#), limit(r#""1""#), true, true),
        ("a quantity in another unit", limit(r#""1Gi""#), limit(r#""1073741824""#), true, true),
        ("a quantity in another unit", limit(r#""1e9""#), limit(r#""1G""#), true, true),
        ("another quantity", limit(r#""1Gi""#), limit(r#""1G""#), false, false),
    ];
    let templates: Vec<_> = cases.iter().flat_map(|(_, a, b, _, _)| [a.clone(), b.clone()]).collect();
    let [json, protobuf] = digests(&templates);
    for ((pair, json), protobuf) in cases.iter().zip(json.chunks(2)).zip(protobuf.chunks(2)) {
        let (what, a, b, equal_in_json, equal_in_protobuf) = pair;
        assert_eq!(json[0].equals(json[1]), Some(*equal_in_json), "{what}: {a} {b}");
        assert_eq!(protobuf[0].equals(protobuf[1]), Some(*equal_in_protobuf), "{what}: {a} {b}");
    }
}

fn quantities_compare_by_value_everywhere() {
    let container = r#"{"name":"app","resources":{"limits":{"x/y":"Q"}}}"#;
    let reference = r#""resourceFieldRef":{"resource":"limits.memory","divisor":"Q"}"#;
    let items = format!(r#"{{"items":[{{"path":"p",{reference}}}]}}"#);
    let claim = r#"{"metadata":{},"spec":{"resources":{"requests":{"storage":"Q"}}}}"#;
    let places = [
        format!(r#""containers":[{container}]"#),
        format!(r#""containers":[{}]"#, container.replace("limits", "requests")),
        format!(r#""initContainers":[{container}]"#),
        format!(r#""containers":[{{"name":"app","env":[{{"name":"a","valueFrom":{{{reference}}}}}]}}]"#),
        r#""overhead":{"memory":"Q"}"#.to_owned(),
        r#""resources":{"limits":{"memory":"Q"}}"#.to_owned(),
        r#""volumes":[{"name":"v","emptyDir":{"medium":"Memory","sizeLimit":"Q"}}]"#.to_owned(),
        format!(r#""volumes":[{{"name":"v","downwardAPI":{items}}}]"#),
        format!(r#""volumes":[{{"name":"v","projected":{{"sources":[{{"downwardAPI":{items}}}]}}}}]"#),
        format!(r#""volumes":[{{"name":"v","ephemeral":{{"volumeClaimTemplate":{claim}}}}}]"#),
    ];
    for place in places {
        let template = |quantity: &str| format!(r#"{{"metadata":{{}},"spec":{{{}}}}}"#, place.replace('Q', quantity));
        // Alternately of a ReplicaSet and a Deployment.
        for digests in digests(&["1Gi", "1073741824", "1G", "1000000k"].map(template)) {
            let [binary, whole, decimal, thousands] = digests[..] else { panic!("four") };
            assert_eq!((binary.equals(whole), decimal.equals(thousands)), (Some(true), Some(true)), "{place}");
            assert_eq!(binary.equals(decimal), Some(false), "{place}");
        }
    }
}

/// A time that was never set is an empty message, even if it is a pointer in Go. In JSON it is `null`.
fn an_object_without_a_deletion_time_is_not_terminating() {
    let pod = |time: &str| format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"deletionTimestamp":{time}}}}}"#);
    let times = ["null", r#""0001-01-01T00:00:00Z""#, r#""1970-01-01T00:00:00Z""#].map(pod);
    let terminating =
        in_protobuf(&times).into_iter().map(|pod| object(Resource::Pods, &pod).unwrap().what.meta.terminating);
    assert_eq!(terminating.collect::<Vec<_>>(), [false, false, true]);
    assert!(!object(Resource::Pods, pod("null").as_bytes()).unwrap().what.meta.terminating);
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        every_recorded_event_is_the_same_in_protobuf: [KUBERNETES_PROTOBUF],
        every_recorded_list_is_the_same_in_protobuf: [KUBERNETES_PROTOBUF],
        objects_of_gos_types_decode_the_same: [KUBERNETES_PROTOBUF],
        lists_of_gos_types_decode_the_same: [KUBERNETES_PROTOBUF],
        templates_are_equal_in_protobuf_exactly_if_they_are_in_json: [KUBERNETES_PROTOBUF],
        differences_beyond_gos_types_do_not_count: [KUBERNETES_PROTOBUF],
        quantities_compare_by_value_everywhere: [KUBERNETES_PROTOBUF],
        an_object_without_a_deletion_time_is_not_terminating: [KUBERNETES_PROTOBUF],
    ]
}
