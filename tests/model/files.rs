//! Clusters in every file format: each gives the same output as the plain file. A file that is broken, too large or of two
//! clusters gives only an error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::forms::{
    Form, RECORDINGS, cluster_info, dump_of, events_of, forms, gzip, list, must_gather, support_bundle, tar, utf_16,
    yaml, zip,
};
use crate::common::snapshot_options::snapshot_options;
use podskew::commands::audit::{AuditFormat, Auditor, Strictness, Terminal, audit};
use podskew::snapshot::formats::{ReadLimits, ReadOptions, read, read_from};
use podskew::snapshot::{SnapshotSource, take_snapshot};
use podskew::time::UnixTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PLAIN: Terminal = Terminal { coloured: false, width: None };

/// The audit of these files as a table and as JSON, with the same name for all files.
async fn said(files: &[PathBuf]) -> Result<(String, Value), String> {
    let place = SnapshotSource::Dump { files: files.to_vec(), namespaces: Vec::new(), taken: None };
    let mut look = take_snapshot(&snapshot_options(place), None).await.map_err(|error| format!("{error:#}"))?;
    "FILE".clone_into(&mut look.of);
    let audit = audit(&mut look, &[], Auditor::new(Strictness::default(), AuditFormat::Json, false)).unwrap();
    let printed = |format| {
        let mut out = Vec::new();
        audit.write(format, PLAIN, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    Ok((printed(AuditFormat::Table), serde_json::from_str(&printed(AuditFormat::Json)).unwrap()))
}

async fn said_of(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Result<(String, Value), String> {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    said(&[path]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_format_gives_the_same_audit() {
    for recording in RECORDINGS {
        let folder = tempfile::tempdir().unwrap();
        let items = dump_of(recording);
        let mut forms = forms(&items, folder.path()).into_iter();
        let plain = said(&forms.next().unwrap().files).await.unwrap();
        assert_ne!(plain.1["totals"]["workloads"], 0, "{recording}");
        assert_eq!(plain.1["taken_from"], "contents", "{recording}");
        for Form { name, files } in forms {
            let said = said(&files).await.unwrap_or_else(|error| panic!("{recording} as {name}: {error}"));
            assert_eq!(said.0, plain.0, "{recording} as {name}");
            assert_eq!(said.1, plain.1, "{recording} as {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_events_add_up_to_the_final_state() {
    let folder = tempfile::tempdir().unwrap();
    for recording in RECORDINGS {
        let mut events = events_of(recording);
        let last = events.len() / 2;
        events.insert(last, json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {}}}));
        let lines = |events: &[Value]| events.iter().fold(String::new(), |all, event| all + &format!("{event}\n"));
        let watched = said_of(folder.path(), "watch.json", lines(&events)).await.unwrap();
        let mut there: BTreeMap<String, Value> = BTreeMap::new();
        for event in &events {
            let uid = event["object"]["metadata"]["uid"].to_string();
            match event["type"].as_str().unwrap() {
                "DELETED" => _ = there.remove(&uid),
                "BOOKMARK" => {}
                _ => _ = there.insert(uid, event["object"].clone()),
            }
        }
        let items: Vec<Value> = there.into_values().collect();
        let listed = said_of(folder.path(), "list.json", list(&items).to_string()).await.unwrap();
        let timeless = |mut said: (String, Value)| {
            // A deleted object may be newer than all others, which changes the observation time.
            said.1["taken"] = Value::Null;
            said.1
        };
        assert_eq!(timeless(watched), timeless(listed), "{recording}");
    }
}

#[tokio::test]
async fn the_newest_of_several_copies_counts_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let items = dump_of("digest-skew");
    let plain = said_of(folder.path(), "plain.json", list(&items).to_string()).await.unwrap();
    // An older copy of each object, with other images and a lower version.
    let older: Vec<Value> = items
        .iter()
        .map(|item| {
            let mut older: Value = serde_json::from_str(&item.to_string().replace("sha256:", "sha256:0")).unwrap();
            older["metadata"]["resourceVersion"] = "1".into();
            older
        })
        .collect();
    for (name, all) in [("before", [older.clone(), items.clone()]), ("after", [items.clone(), older.clone()])] {
        assert_eq!(
            said_of(folder.path(), "copies.json", list(&all.concat()).to_string()).await.unwrap(),
            plain,
            "{name}"
        );
    }
    // Without versions the last copy counts.
    let without = |items: &[Value]| {
        let strip = |item: &Value| {
            let mut item = item.clone();
            item["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            item
        };
        items.iter().map(strip).collect::<Vec<_>>()
    };
    let all = [without(&older), without(&items)].concat();
    assert_eq!(said_of(folder.path(), "copies.json", list(&all).to_string()).await.unwrap(), plain);
    // A deletion counts regardless of whether the list is read before or after it. A deletion before the object was
    // recreated does not count.
    let deleted = |item: &Value, version: &str| {
        let mut item = item.clone();
        item["metadata"]["resourceVersion"] = version.into();
        json!({"type": "DELETED", "object": item})
    };
    let pod = items.iter().find(|item| item["kind"] == "Pod").unwrap();
    let rest: Vec<Value> = items.iter().filter(|item| *item != pod).cloned().collect();
    let expected = said_of(folder.path(), "rest.json", list(&rest).to_string()).await.unwrap().1;
    let gone = deleted(pod, "999999999");
    for text in [format!("{}\n{gone}", list(&items)), format!("{gone}\n{}", list(&items))] {
        let said = said_of(folder.path(), "gone.json", text).await.unwrap().1;
        assert_eq!(said["workloads"], expected["workloads"]);
    }
    let stale = said_of(folder.path(), "stale.json", format!("{}\n{}", deleted(pod, "1"), list(&items))).await.unwrap();
    assert_eq!(stale.1["workloads"], plain.1["workloads"]);
    // In one watch the order of events counts, regardless of versions.
    let added = |item: &Value| json!({"type": "ADDED", "object": item});
    let text = format!("{}\n{}\n{}\n{}", list(&rest), added(pod), deleted(pod, "1"), added(pod));
    assert_eq!(said_of(folder.path(), "order.json", text).await.unwrap().1["workloads"], plain.1["workloads"]);
    let text = format!("{}\n{}\n{}", list(&rest), added(pod), deleted(pod, "1"));
    assert_eq!(said_of(folder.path(), "order.json", text).await.unwrap().1["workloads"], expected["workloads"]);
}

/// A change of an object that has a uid.
type Change = fn(&mut Value);

/// Row 61.
#[tokio::test]
async fn without_uids_names_identify() {
    let folder = tempfile::tempdir().unwrap();
    for recording in RECORDINGS {
        let items = dump_of(recording);
        let plain = said_of(folder.path(), "plain.json", list(&items).to_string()).await.unwrap();
        let own = |item: &mut Value, change: Change| change(&mut item["metadata"]);
        let owners = |item: &mut Value, change: Change| {
            for owner in item["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
                change(owner);
            }
        };
        let strip: Change = |object| _ = object.as_object_mut().unwrap().remove("uid");
        let redact: Change = |object| object["uid"] = "REDACTED".into();
        let one_uuid: Change = |object| object["uid"] = "00000000-0000-4000-8000-000000000000".into();
        let empty: Change = |object| object["uid"] = "".into();
        for (change, of_objects, of_owners, what) in [
            (strip, true, true, "stripped"),
            (strip, true, false, "stripped, not from owner references"),
            (strip, false, true, "stripped from owner references"),
            (redact, true, true, "redacted"),
            (redact, true, false, "redacted, not in owner references"),
            (redact, false, true, "redacted in owner references"),
            (one_uuid, true, true, "all the same UUID"),
            (empty, true, true, "empty"),
        ] {
            let mut items = items.clone();
            for item in &mut items {
                if of_objects {
                    own(item, change);
                }
                if of_owners {
                    owners(item, change);
                }
            }
            assert_eq!(
                said_of(folder.path(), "other.json", list(&items).to_string()).await.unwrap(),
                plain,
                "{recording}, {what}"
            );
            items.reverse();
            assert_eq!(
                said_of(folder.path(), "other.json", list(&items).to_string()).await.unwrap(),
                plain,
                "{recording}, {what}"
            );
        }
        // Half of a dump with uids, and the whole dump without.
        let mut both = items.clone();
        both.extend(items.iter().step_by(2).map(|item| {
            let mut item = item.clone();
            strip(&mut item["metadata"]);
            item
        }));
        assert_eq!(said_of(folder.path(), "both.json", list(&both).to_string()).await.unwrap(), plain, "{recording}");
    }
}

/// Row 63.
#[tokio::test]
async fn two_clusters_are_refused_and_both_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let items = dump_of("stuck");
    let text = list(&items).to_string();
    let deployment = items.iter().find(|item| item["kind"] == "Deployment").unwrap();
    let uid = deployment["metadata"]["uid"].as_str().unwrap();
    let other = "11111111-2222-4333-8444-555555555555";
    let twice = |change: &dyn Fn(&mut Value)| {
        let mut second = deployment.clone();
        second["metadata"]["uid"] = other.into();
        change(&mut second);
        format!("{text}\n{second}")
    };
    let error = said_of(folder.path(), "two.json", twice(&|_| {})).await.unwrap_err();
    for part in ["Deployment stuck/api", uid, other, "two clusters"] {
        assert!(error.contains(part), "{error}");
    }
    let error = said_of(folder.path(), "two.json", twice(&|second| second["metadata"]["uid"] = "uid-b".into()))
        .await
        .unwrap_err();
    assert!(error.contains("uid-b") && error.contains(uid), "{error}");
    // A terminating object and its replacement are from one cluster.
    let ending = twice(&|second| second["metadata"]["deletionTimestamp"] = "2026-11-21T08:00:00Z".into());
    assert!(said_of(folder.path(), "ending.json", ending).await.is_ok());
    // So are a deleted object and its replacement.
    let second = json!({"type": "ADDED", "object": {"metadata": {"uid": other}}});
    let mut event = json!({"type": "DELETED", "object": deployment});
    event["object"]["metadata"]["resourceVersion"] = "999999999".into();
    let mut second_object = deployment.clone();
    second_object["metadata"]["uid"] = second["object"]["metadata"]["uid"].clone();
    assert!(said_of(folder.path(), "again.json", format!("{text}\n{event}\n{second_object}")).await.is_ok());
    // Two files from two clusters are refused, too.
    fs::write(folder.path().join("one.json"), &text).unwrap();
    fs::write(folder.path().join("other.json"), text.replace(uid, other)).unwrap();
    let error = said(&[folder.path().join("one.json"), folder.path().join("other.json")]).await.unwrap_err();
    assert!(error.contains(other), "{error}");
}

#[tokio::test]
async fn a_daemonset_without_pods_is_uniform_only_if_no_node_wants_any() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}/tests/data/cases/c04-daemonset-only.json", env!("CARGO_MANIFEST_DIR"));
    let dump: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let with = |status: Value| {
        let mut dump = dump.clone();
        dump["items"][0]["status"] = status;
        dump.to_string()
    };
    for status in [json!({"desiredNumberScheduled": 3}), json!({}), Value::Null] {
        let error = said_of(folder.path(), "set.json", with(status)).await.unwrap_err();
        assert!(error.contains("holds no pods") && error.contains("kubectl get pods -A -o json"), "{error}");
    }
    let none = said_of(folder.path(), "set.json", with(json!({"desiredNumberScheduled": 0, "observedGeneration": 1})))
        .await
        .unwrap()
        .1;
    assert_eq!((&none["verdict"], &none["totals"]["workloads"]), (&json!("uniform"), &json!(1)));
}

/// Row 62.
#[tokio::test]
async fn a_file_is_of_the_time_of_its_contents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.json");
    fs::write(&path, list(&dump_of("statefulset-partition")).to_string()).unwrap();
    let at = async |taken: Option<&str>| {
        let taken = taken.map(|taken| UnixTime::parse(taken).unwrap());
        let place = SnapshotSource::Dump { files: vec![path.clone()], namespaces: Vec::new(), taken };
        take_snapshot(&snapshot_options(place), None).await.unwrap().taken
    };
    let told = at(None).await;
    let newest = newest_of(&dump_of("statefulset-partition"));
    assert_eq!((told.at, told.from.as_str()), (newest, "contents"));
    let told = at(Some("2026-11-22T00:00:00Z")).await;
    assert_eq!((Some(told.at), told.from.as_str()), (UnixTime::parse("2026-11-22T00:00:00Z"), "option"));
    let text = said(&[path]).await.unwrap().0;
    assert!(text.contains("(at least "), "{text}");
}

fn newest_of(items: &[Value]) -> UnixTime {
    fn of(value: &Value, found: &mut Vec<UnixTime>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let counts = [
                        "creationTimestamp",
                        "time",
                        "lastTransitionTime",
                        "lastUpdateTime",
                        "startedAt",
                        "finishedAt",
                    ];
                    if counts.contains(&key.as_str()) {
                        found.extend(value.as_str().and_then(UnixTime::parse));
                    } else if !["annotations", "template", "data", "fieldsV1"].contains(&key.as_str()) {
                        of(value, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| of(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for item in items {
        of(item, &mut found);
    }
    found.into_iter().max().unwrap()
}

const READING: ReadOptions = ReadOptions { limits: ReadLimits::DEFAULT, now: UnixTime::LAST, nodes: false };

fn pieces(name: &str, bytes: &[u8], limits: ReadLimits) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let read = read_from(bytes, name, ReadOptions { limits, ..READING }, &mut |piece| {
        names.push(format!("{}/{} {:?}", piece.resource, piece.object.meta.name, piece.change));
    });
    read.map(|_| names).map_err(|error| format!("{error:#}"))
}

fn files(folder: &Path, name: &str, bytes: &[u8], limits: ReadLimits) -> Result<u64, String> {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let mut count = 0;
    let read = read(&[path], ReadOptions { limits, ..READING }, &mut |_| count += 1);
    read.map(|_| count).map_err(|error| format!("{error:#}"))
}

#[test]
fn bounds_are_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let small = ReadLimits { bytes: 1 << 20, files: 5, yaml_document: 4096, inner_zip: 4096, held_items: 4096 };
    let space = |mib: usize| " ".repeat(mib << 20);
    let refused = |result: Result<u64, String>, part: &str| {
        let error = result.expect_err(part);
        assert!(error.contains(part), "{part}: {error}");
    };
    let bomb = gzip(format!("{pod}{}", space(2)).as_bytes());
    assert!(bomb.len() < 40_000, "{}", bomb.len());
    refused(files(folder, "bomb.json.gz", &bomb, small), "more than 0 GiB, decompressed");
    assert_eq!(files(folder, "bomb.json.gz", &bomb, ReadLimits::DEFAULT), Ok(1));
    let entry = |number: usize| (format!("pods/{number}.json"), format!("{pod}{}", " ".repeat(300_000)).into_bytes());
    refused(files(folder, "bomb.zip", &zip(&(0..5).map(entry).collect::<Vec<_>>()), small), "decompressed");
    refused(files(folder, "bomb.tar", &tar(&(0..5).map(entry).collect::<Vec<_>>()), small), "decompressed");
    let many: Vec<_> = (0..7).map(|number| (format!("{number}.json"), pod.to_string().into_bytes())).collect();
    refused(files(folder, "many.tar.gz", &gzip(&tar(&many)), small), "more than 5 files");
    refused(files(folder, "many.zip", &zip(&many), small), "more than 5 files");
    refused(
        files(folder, "deep.yaml", format!("{}x: \"{}\"\n", yaml(&pod), space(1)).as_bytes(), small),
        "use -o json",
    );
    assert_eq!(files(folder, "documents.yaml", format!("---\n{}", yaml(&pod)).repeat(200).as_bytes(), small), Ok(200));
    // A single object has its own limit, in JSON and in YAML.
    let long = |mib: usize| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {"a": "x".repeat(mib << 20)}}});
    refused(
        files(folder, "long.json", list(&[long(17)]).to_string().as_bytes(), ReadLimits::DEFAULT),
        "more than 16 MiB",
    );
    assert_eq!(files(folder, "long.json", list(&[long(15)]).to_string().as_bytes(), ReadLimits::DEFAULT), Ok(1));
    refused(
        files(folder, "long.yaml", yaml(&list(&[long(17)])).as_bytes(), ReadLimits::DEFAULT),
        "more than an object may have",
    );
    // An archive in an archive is read, a third level is not.
    let json = vec![("a/pod.json".to_owned(), pod.to_string().into_bytes())];
    let nest = |bytes: Vec<u8>, name: &str| vec![(format!("a/{name}"), bytes)];
    let twice = tar(&nest(gzip(&tar(&json)), "b.tar.gz"));
    assert_eq!(files(folder, "twice.tar", &twice, ReadLimits::DEFAULT), Ok(1));
    refused(
        files(folder, "thrice.tar", &tar(&nest(twice, "b.tar")), ReadLimits::DEFAULT),
        "an archive in an archive in an archive",
    );
    refused(
        files(folder, "thrice.zip", &zip(&nest(zip(&nest(zip(&json), "b.zip")), "c.zip")), ReadLimits::DEFAULT),
        "in an archive",
    );
    let gz = gzip(&gzip(&gzip(pod.to_string().as_bytes())));
    refused(files(folder, "thrice.json.gz.gz.gz", &gz, ReadLimits::DEFAULT), "too many times");
    let noise = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect::<String>();
    let inner =
        zip(&[("pod.json".to_owned(), pod.to_string().into_bytes()), ("noise.txt".to_owned(), noise.into_bytes())]);
    refused(files(folder, "inner.tar", &tar(&nest(inner, "b.zip")), small), "unpack the outer one");
    // Items whose kind follows them.
    let many: Vec<Value> = (0..99)
        .map(|n| json!({"metadata": {"name": format!("p{n}")}, "spec": {"containers": [], "nodeName": "n"}}))
        .collect();
    let items = Value::from(many);
    assert_eq!(
        files(
            folder,
            "held.json",
            format!("{{\"items\":{items},\"kind\":\"PodList\",\"apiVersion\":\"v1\"}}").as_bytes(),
            small
        ),
        Ok(99)
    );
    refused(
        files(
            folder,
            "held.json",
            format!("{{\"items\":{items},\"kind\":\"NodeList\",\"apiVersion\":\"v1\"}}").as_bytes(),
            small,
        ),
        "they look like pods",
    );
    refused(
        files(
            folder,
            "held.json",
            format!("{{\"items\":{},\"kind\":\"PodList\"}}", items.to_string().replace("nodeName", "x")).as_bytes(),
            small,
        ),
        "has its kind only after",
    );
}

#[test]
fn aliases_of_yaml_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut laughs = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: &a0 {x: \"".to_owned()
        + &"ha".repeat(500)
        + "\"}\n";
    for level in 1..12 {
        let before = level - 1;
        let each = format!("*a{before}, ").repeat(8);
        writeln!(laughs, "l{level}: &a{level} [{each}]").unwrap();
    }
    let began = Instant::now();
    let error = files(folder.path(), "laughs.yaml", laughs.as_bytes(), ReadLimits::DEFAULT).unwrap_err();
    assert!(error.contains("more than an object may have"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let shared = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: &l {a: b}\nspec:\n  other: *l\n";
    assert_eq!(files(folder.path(), "shared.yaml", shared.as_bytes(), ReadLimits::DEFAULT), Ok(1));
}

#[test]
fn truncated_or_broken_files_give_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let items = dump_of("digest-skew");
    let plain = list(&items).to_string();
    let whole = |name: &str, bytes: &[u8]| files(folder, name, bytes, ReadLimits::DEFAULT);
    let support = support_bundle(&items);
    let cut: [(&str, Vec<u8>); 9] = [
        ("cut.json", plain.clone().into_bytes()),
        ("cut-16.json", utf_16(&plain, false, true)),
        ("cut.json.gz", gzip(plain.as_bytes())),
        ("cut.tar", tar(&support)),
        ("cut.tar.gz", gzip(&tar(&support))),
        ("cut.zip", zip(&support)),
        ("cut.txt", cluster_info(&items[..1]).into_bytes()),
        ("cut.yaml", yaml(&list(&items)).into_bytes()),
        ("cut-gather.tar.gz", gzip(&tar(&must_gather(&items)))),
    ];
    for (name, bytes) in &cut {
        assert!(whole(name, bytes).unwrap() > 0, "{name}");
        for part in 1..40 {
            let end = bytes.len() * part / 40;
            if (*name == "cut.txt" && end > bytes.len() - 60) || (*name == "cut.tar" && end + 1024 > bytes.len()) {
                continue;
            }
            let error = whole(name, &bytes[..end]);
            // A text with several lists, such as logs, may be complete although a part is missing.
            assert!(error.is_err() || *name == "cut.txt", "{name} cut at {end} of {}: {error:?}", bytes.len());
        }
    }
    // The checksum is at the end.
    let mut broken = gzip(plain.as_bytes());
    let at = broken.len() - 6;
    broken[at] ^= 1;
    assert!(whole("sum.json.gz", &broken).unwrap_err().contains("broken"));
    let mut broken = zip(&support);
    let at = broken.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    // The checksum of the first file that may contain objects, in the directory.
    broken[at + 16] ^= 1;
    let error = whole("sum.zip", &broken).unwrap_err();
    assert!(error.contains("broken or was cut short"), "{error}");
    // In a bundle, files with objects must be complete; others are skipped.
    let bundle = |name: &str, text: &str| {
        let mut files = support.clone();
        files.push((name.to_owned(), text.as_bytes().to_vec()));
        whole("bundle.tar.gz", &gzip(&tar(&files)))
    };
    for (name, text) in [
        ("b/all.json", &plain[..plain.len() / 2]),
        ("b/pods.json", "[{\"metadata\":"),
        ("b/x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {\n"),
        ("b/dump", &plain[..plain.len() / 2]),
    ] {
        let error = bundle(name, text).unwrap_err();
        assert!(error.contains(name), "{name}: {error}");
    }
    for (name, text) in [
        ("b/other.json", "[{\"a\":"),
        ("b/values.yaml", "{{ template }}\n"),
        ("b/notes.txt", "kubectl get pods\n"),
        ("b/web.log", &plain[..plain.len() / 2]),
        ("b/empty.json", ""),
        ("b/._pods.json", "\u{0}\u{5}"),
    ] {
        assert!(bundle(name, text).is_ok(), "{name}: {:?}", bundle(name, text));
    }
}

#[test]
fn refused_files_name_their_format() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, bytes, expected) in [
        ("a.json.xz", b"\xFD7zXZ\0rest".as_slice(), &["xz", "xz -dc FILE | podskew"][..]),
        ("a.json.zst", b"\x28\xB5\x2F\xFDrest", &["zstd -dc"]),
        ("a.json.bz2", b"BZh91AY", &["bzip2 -dc"]),
        ("a.7z", b"7z\xBC\xAF\x27\x1Crest", &["7z x"]),
        ("a.json", b"\xFF\xFE\0\0{\0\0\0", &["UTF-32"]),
        ("b.json", b"{\"a\":1}", &["has no kind", "stripped kind and apiVersion", "-o json"]),
        ("c.json", b"{\"kind\":\"Status\",\"apiVersion\":\"v1\"}", &["an error of the API server, not an object"]),
        ("d.json", b"{\0\"\0x\0\"\0", &["truncated JSON"]),
        ("d8.json", b"{\"kind\":\"B\xFCro\"}", &["neither UTF-8 nor UTF-16 at byte 11"]),
        ("table.json", b"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\"}", &["a table of the API server"]),
        (
            "e.yaml",
            b"apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n",
            &["cut short", "kind: List"],
        ),
        ("f.json", b"==== START logs for container a of pod b/c ====\n", &["neither JSON nor YAML"]),
        ("g.txt", b"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[]}\nhello", &["broken JSON"]),
    ] {
        let error = files(folder, name, bytes, ReadLimits::DEFAULT).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{name}: {part}: {error}");
        }
        assert!(error.contains(name), "{name}: {error}");
    }
    let zipped = zip(&[("a.json".to_owned(), b"{}".to_vec())]);
    let error = pieces("-", &zipped, ReadLimits::DEFAULT).unwrap_err();
    assert!(error.contains("cannot be read from a pipe") && error.contains("write it into a file"), "{error}");
    // The flag of an encrypted file, in its own header and in the directory.
    let mut encrypted = zipped;
    encrypted[6] |= 1;
    let at = encrypted.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[at + 8] |= 1;
    let error = files(folder, "encrypted.zip", &encrypted, ReadLimits::DEFAULT).unwrap_err();
    assert!(error.contains("encrypted") && error.contains("decrypt it"), "{error}");
}

#[test]
fn links_and_devices_are_passed_over_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).unwrap();
    fs::write(bundle.join("pod.json"), pod.to_string()).unwrap();
    std::os::unix::fs::symlink(&bundle, bundle.join("loop")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", bundle.join("zero.json")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(bundle.join("fifo.json")).status().unwrap();
    assert!(fifo.success());
    let contents = read(std::slice::from_ref(&bundle), READING, &mut |_| {}).unwrap();
    assert_eq!((contents.links, contents.files), (3, 1));
    // Paths that lead out of an archive are treated like other names.
    let mut builder = ::tar::Builder::new(Vec::new());
    for kind in [::tar::EntryType::Link, ::tar::EntryType::Fifo, ::tar::EntryType::Char, ::tar::EntryType::Block] {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_data(&mut header, "special.json", &[][..]).unwrap();
    }
    let text = pod.to_string();
    let mut header = ::tar::Header::new_old();
    header.as_old_mut().name[..16].copy_from_slice(b"../../escape.yml");
    header.set_size(text.len() as u64);
    header.set_cksum();
    builder.append(&header, text.as_bytes()).unwrap();
    let outside = zip(&[("../../../tmp/podskew-escape.json".to_owned(), text.clone().into_bytes())]);
    let tar = builder.into_inner().unwrap();
    let before: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let contents = read_from(&*tar, "-", READING, &mut |_| {}).unwrap();
    assert_eq!((contents.links, contents.objects.values().sum::<u64>()), (4, 1));
    let after: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after);
    assert_eq!(files(folder.path(), "outside.zip", &outside, ReadLimits::DEFAULT), Ok(1));
    assert!(!Path::new("/tmp/podskew-escape.json").exists());
}

#[test]
fn the_kind_of_an_object_without_one_is_derived_from_fields_or_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vague = br#"{"metadata":{"name":"a","namespace":"b"},"spec":{"containers":[]}}"#;
    assert!(files(folder, "vague.json", vague, ReadLimits::DEFAULT).unwrap_err().contains("has no kind"));
    assert_eq!(files(folder, "pods.json", vague, ReadLimits::DEFAULT), Ok(1));
    assert_eq!(pieces("cluster/pods/b.json", vague, ReadLimits::DEFAULT).unwrap(), ["pods/a Listed"]);
    let only_kind = br#"{"kind":"Pod","metadata":{"name":"a"}}"#;
    assert_eq!(files(folder, "kind.json", only_kind, ReadLimits::DEFAULT), Ok(1));
    let foreign = br#"{"kind":"StatefulSet","apiVersion":"apps.kruise.io/v1","metadata":{"name":"a"}}"#;
    assert_eq!(files(folder, "foreign.json", foreign, ReadLimits::DEFAULT), Ok(0));
}

#[test]
fn white_space_through_a_pipe_takes_no_longer_for_its_length() {
    /// Returns little data at a time, like a pipe.
    struct Pipe(usize);
    impl std::io::Read for Pipe {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.min(out.len()).min(4096);
            out[..length].fill(b' ');
            self.0 -= length;
            Ok(length)
        }
    }
    let began = Instant::now();
    let error = read_from(Pipe(256 << 20), "-", READING, &mut |_| {}).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("it is empty"), "{error}");
    // Also within an object, up to the limit for one object.
    let start = std::io::Cursor::new(b"[{".to_vec());
    let error =
        read_from(std::io::Read::chain(start, Pipe(64 << 20)), "-", READING, &mut |_| {}).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("more than 16 MiB"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
