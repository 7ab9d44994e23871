//! One cluster in every file format that podskew reads, generated here.

use super::exporter::objects;
use super::tape::{Cluster, Tape};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

/// All recordings.
pub const RECORDINGS: [&str; 8] = [
    "daemonset",
    "digest-skew",
    "paused",
    "recreate",
    "restart-moved-tag",
    "rollout",
    "statefulset-partition",
    "stuck",
];

/// A format: its name, and the arguments of `-f`.
pub struct Form {
    pub name: &'static str,
    pub files: Vec<PathBuf>,
}

/// The API version of a kind that podskew reads.
fn api_version(kind: &str) -> &'static str {
    match kind {
        "Pod" => "v1",
        "Rollout" => "argoproj.io/v1alpha1",
        _ => "apps/v1",
    }
}

/// The objects at the end of a recording, as kubectl prints them.
pub fn dump_of(recording: &str) -> Vec<Value> {
    if Path::new(&super::tape::path(&format!("{recording}.dump.json"))).exists() {
        return objects(recording);
    }
    let mut cluster = Cluster::default();
    Tape::load(recording).lines.iter().for_each(|line| cluster.take(line));
    let with_version = |mut object: Value| {
        object["apiVersion"] = api_version(object["kind"].as_str().unwrap()).into();
        object
    };
    cluster.objects().into_iter().map(with_version).collect()
}

/// All events of a recording's watches, each object with its kind.
pub fn events_of(recording: &str) -> Vec<Value> {
    let text = fs::read_to_string(super::tape::path(&format!("{recording}.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kinds: BTreeMap<&str, &str> = podskew::objects::Resource::ALL.map(|all| (all.plural(), all.kind())).into();
    let event = |mut line: Value| {
        let kind = kinds[line["resource"].as_str()?];
        let mut event = line.get_mut("event")?.take();
        event["object"]["kind"] = kind.into();
        event["object"]["apiVersion"] = api_version(kind).into();
        Some(event)
    };
    lines.filter_map(event).collect()
}

pub fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

/// Lists of one kind as an API server prints them: the items themselves have no kind.
fn typed_lists(items: &[Value]) -> Vec<(String, String)> {
    let mut by_kind: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for item in items {
        let mut stripped = item.clone();
        stripped.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        by_kind.entry(item["kind"].as_str().unwrap()).or_default().push(stripped);
    }
    let text = |(kind, items): (&str, Vec<Value>)| {
        let version = api_version(kind);
        let items = Value::from(items);
        let head =
            format!("\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{{\"resourceVersion\":\"9\"}}");
        (kind.to_owned(), format!("{{{head},\"items\":{items}}}\n"))
    };
    by_kind.into_iter().map(text).collect()
}

fn without_kinds(items: &[Value]) -> Vec<Value> {
    let strip = |item: &Value| {
        let mut item = item.clone();
        item.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        item
    };
    items.iter().map(strip).collect()
}

/// Other objects in a bundle.
fn others() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "5b9a1c1e-0000-4000-8000-000000000001"},
            "status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-11-29T00:00:00Z"}]}}),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}, "lastTimestamp": "2026-11-29T00:00:00Z"}),
    ]
}

pub fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn utf_16(text: &str, big_endian: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16());
    units.flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

pub fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder.append_link(&mut link, "bundle/link.json", "/etc/passwd").unwrap();
    builder.into_inner().unwrap()
}

pub fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer
            .start_file(
                name.as_str(),
                SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated),
            )
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Files of a `support-bundle` of troubleshoot.sh: a list for each resource and namespace, and other files.
pub fn support_bundle(items: &[Value]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("bundle/version.yaml".to_owned(), b"apiVersion: troubleshoot.sh/v1beta2\nkind: SupportBundle\n".to_vec()),
        (
            "bundle/cluster-info/cluster_version.json".to_owned(),
            br#"{"info":{"major":"1"},"string":"v1.36.0"}"#.to_vec(),
        ),
        ("bundle/cluster-resources/pods-errors.json".to_owned(), b"[\"forbidden\"]".to_vec()),
        ("bundle/cluster-resources/nodes.json".to_owned(), list(&others()).to_string().into_bytes()),
        ("bundle/pod-logs/shop/web-0.log".to_owned(), b"{\"level\":\"info\"}\n{broken".to_vec()),
        ("bundle/analysis.json".to_owned(), b"[{\"name\":\"x\",\"severity\":\"debug\"}]".to_vec()),
    ];
    for (kind, text) in typed_lists(items) {
        files.push((format!("bundle/cluster-resources/{}s/shop.json", kind.to_lowercase()), text.into_bytes()));
    }
    files
}

/// Files that Sonobuoy writes.
fn sonobuoy(items: &[Value]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("meta/run.log".to_owned(), b"started\n".to_vec())];
    for (kind, text) in typed_lists(items) {
        let group = api_version(&kind).replace('/', "_");
        files.push((format!("resources/ns/shop/{group}_{}s.json", kind.to_lowercase()), text.into_bytes()));
    }
    files
}

/// Files of `oc adm must-gather`: YAML, a list for each resource and namespace, and each pod once more.
pub fn must_gather(items: &[Value]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("must-gather/timestamp".to_owned(), b"2026-11-21 08:00:00 +0000 UTC start\n".to_vec()),
        ("must-gather/event-filter.html".to_owned(), b"<html></html>".to_vec()),
        ("must-gather/namespaces/shop/core/events.yaml".to_owned(), yaml(&list(&others())).into_bytes()),
        (
            "must-gather/namespaces/shop/pods/web/web/web/logs/current.log".to_owned(),
            b"kind: x\napiVersion: {".to_vec(),
        ),
    ];
    for (kind, text) in typed_lists(items) {
        let text = yaml(&serde_json::from_str(&text).unwrap());
        files.push((
            format!("must-gather/namespaces/shop/{}s.yaml", kind.to_lowercase()),
            format!("---\n{text}").into_bytes(),
        ));
    }
    for pod in items.iter().filter(|item| item["kind"] == "Pod") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        files.push((
            format!("must-gather/namespaces/shop/pods/{name}/{name}.yaml"),
            format!("---\n{}", yaml(pod)).into_bytes(),
        ));
    }
    files
}

/// Output of `kubectl cluster-info dump`, with the logs of a container.
pub fn cluster_info(items: &[Value]) -> String {
    let mut text = format!("{:#}\n", json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []}));
    for (_, list) in typed_lists(items) {
        text.push_str(&list);
    }
    for name in ["web", "sidecar"] {
        let whose = format!("logs for container {name} of pod shop/web-0 ====");
        write!(text, "==== START {whose}\n{{\"level\":\"info\"}}\n==== END logs for container x ====\n}}]").unwrap();
        writeln!(text, "==== END {whose}").unwrap();
    }
    text + "Cluster info dumped to standard output\n"
}

/// The same output with `-o yaml`.
fn cluster_info_yaml(items: &[Value]) -> String {
    let mut text = String::new();
    for (number, (_, list)) in typed_lists(items).into_iter().enumerate() {
        let separator = if number > 0 { "---\n" } else { "" };
        write!(text, "{separator}{}", yaml(&serde_json::from_str(&list).unwrap())).unwrap();
        let whose = "logs for container web of pod shop/web-0 ====";
        writeln!(text, "==== START {whose}\n---\nkind: [\nlast line==== END {whose}").unwrap();
    }
    text + "Cluster info dumped to standard output\n"
}

fn write_all(folder: &Path, files: &[(String, Vec<u8>)]) -> PathBuf {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder.to_owned()
}

/// Every format, each in its own file or folder.
pub fn forms(items: &[Value], folder: &Path) -> Vec<Form> {
    let plain = format!("{:#}", list(items));
    let lines = |values: &[Value]| values.iter().fold(String::new(), |all, value| all + &format!("{value}\n"));
    let joined = |lists: Vec<(String, String)>| lists.into_iter().map(|(_, text)| text).collect::<String>();
    let documents = |values: &[Value]| values.iter().fold(String::new(), |all, value| all + "---\n" + &yaml(value));
    let kind_last = |(kind, text): (String, String)| {
        let list: Value = serde_json::from_str(&text).unwrap();
        format!("{{\"apiVersion\":\"{}\",\"items\":{},\"kind\":\"{kind}List\"}}\n", api_version(&kind), list["items"])
    };
    let events = |values: &[Value]| {
        let mut events: Vec<Value> = values.iter().map(|value| json!({"type": "ADDED", "object": value})).collect();
        events.push(json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "99999999"}}}));
        events
    };
    let support = support_bundle(items);
    let inner = |name: &str, bytes: Vec<u8>| {
        vec![(name.to_owned(), bytes), ("readme.txt".to_owned(), b"see the bundle".to_vec())]
    };
    let mut files: Vec<(&'static str, &'static str, Vec<u8>)> = vec![
        ("plain", "json", plain.clone().into_bytes()),
        ("compact", "json", list(items).to_string().into_bytes()),
        ("utf-8 with mark", "json", format!("\u{feff}{plain}").into_bytes()),
        ("utf-16le with mark", "json", utf_16(&plain, false, true)),
        ("utf-16be with mark", "json", utf_16(&plain, true, true)),
        ("utf-16le", "json", utf_16(&plain, false, false)),
        ("utf-16be", "json", utf_16(&plain, true, false)),
        ("utf-16le yaml", "yaml", utf_16(&yaml(&list(items)), false, true)),
        ("lines of Windows", "json", plain.replace('\n', "\r\n").into_bytes()),
        ("white space", "json", plain.replace('\n', &format!("\n{}", " ".repeat(99))).into_bytes()),
        ("typed lists", "json", joined(typed_lists(items)).into_bytes()),
        (
            "typed lists, kind last",
            "json",
            typed_lists(items).into_iter().map(kind_last).collect::<String>().into_bytes(),
        ),
        ("array", "json", Value::from(items.to_vec()).to_string().into_bytes()),
        ("array without kinds", "json", Value::from(without_kinds(items)).to_string().into_bytes()),
        ("array of lists", "json", Value::from(vec![list(&items[..1]), list(&items[1..])]).to_string().into_bytes()),
        ("list without kinds", "json", json!({"items": without_kinds(items)}).to_string().into_bytes()),
        ("lines", "jsonl", lines(items).into_bytes()),
        ("lines without kinds", "jsonl", lines(&without_kinds(items)).into_bytes()),
        ("watch events", "json", lines(&events(items)).into_bytes()),
        ("watch events as yaml", "yaml", documents(&events(items)).into_bytes()),
        ("cluster-info dump", "txt", cluster_info(items).into_bytes()),
        ("cluster-info dump as yaml", "txt", cluster_info_yaml(items).into_bytes()),
        ("yaml", "yaml", yaml(&list(items)).into_bytes()),
        ("yaml of Windows", "yaml", yaml(&list(items)).replace('\n', "\r\n").into_bytes()),
        ("yaml documents", "yaml", documents(items).into_bytes()),
        ("yaml array", "yaml", yaml(&Value::from(items.to_vec())).into_bytes()),
        (
            "yaml lists",
            "yaml",
            typed_lists(items)
                .into_iter()
                .fold(String::new(), |all, (_, text)| all + "---\n" + &yaml(&serde_json::from_str(&text).unwrap()))
                .into_bytes(),
        ),
        ("gz", "json.gz", gzip(plain.as_bytes())),
        ("gz in parts", "json.gz", [gzip(&plain.as_bytes()[..99]), gzip(&plain.as_bytes()[99..])].concat()),
        ("gz of yaml", "yaml.gz", gzip(yaml(&list(items)).as_bytes())),
        ("tar", "tar", tar(&support)),
        ("tar.gz", "tar.gz", gzip(&tar(&support))),
        ("zip", "zip", zip(&support)),
        ("must-gather.tar.gz", "tar.gz", gzip(&tar(&must_gather(items)))),
        ("sonobuoy", "tar.gz", gzip(&tar(&sonobuoy(items)))),
        ("gz in tar", "tar", tar(&inner("bundle/all.json.gz", gzip(plain.as_bytes())))),
        ("tar.gz in zip", "zip", zip(&inner("case/bundle.tar.gz", gzip(&tar(&support))))),
        ("zip in tar.gz", "tgz", gzip(&tar(&inner("case/bundle.zip", zip(&support))))),
        ("utf-16 in zip", "zip", zip(&inner("dump.json", utf_16(&plain, false, true)))),
        ("without extension", "", plain.clone().into_bytes()),
    ];
    let mut forms: Vec<Form> = files
        .drain(..)
        .enumerate()
        .map(|(number, (name, extension, bytes))| {
            let path = folder.join(format!("form-{number}.{extension}"));
            fs::write(&path, bytes).unwrap();
            Form { name, files: vec![path] }
        })
        .collect();
    let mut folders = |name: &'static str, made: &[(String, Vec<u8>)]| {
        let path = write_all(&folder.join(name.replace(' ', "-")), made);
        std::os::unix::fs::symlink("/proc/self/mem", path.join("link.json")).unwrap();
        forms.push(Form { name, files: vec![path] });
    };
    folders("support bundle folder", &support);
    folders("must-gather folder", &must_gather(items));
    folders("sonobuoy folder", &sonobuoy(items));
    let dumped = |(kind, text): (String, String)| (format!("shop/{}s.json", kind.to_lowercase()), text.into_bytes());
    let mut dumped: Vec<(String, Vec<u8>)> = typed_lists(items).into_iter().map(dumped).collect();
    dumped.push(("shop/web-0/logs.txt".to_owned(), b"{\"level\":\"info\"}\n".to_vec()));
    dumped.push(("nodes.json".to_owned(), list(&others()).to_string().into_bytes()));
    folders("cluster-info dump folder", &dumped);
    let several = items.iter().enumerate().map(|(number, item)| {
        let path = folder.join(format!("one-{number}.json"));
        fs::write(&path, item.to_string()).unwrap();
        path
    });
    let several = several.collect();
    forms.push(Form { name: "several files", files: several });
    forms
}
