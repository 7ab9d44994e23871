//! What `podskew audit` prints, of dumps of real clusters and of one whose names are hostile: kept word for word, and read by
//! programs that are not podskew.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;
mod programs;

use common::looking::looking;
use common::tape::path;
use podskew::advice::Finding;
use podskew::commands::audit::{Audit, Auditor, Format, Strictness, Terminal, audit};
use podskew::snapshot::{Place, look};
use podskew::time::{Taken, TakenFrom, UnixTime};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const FORMATS: [(Format, &str, &str); 5] = [
    (Format::Table, "table", "txt"),
    (Format::Json, "json", "json"),
    (Format::Markdown, "markdown", "md"),
    (Format::Junit, "junit", "xml"),
    (Format::Sarif, "sarif", "sarif"),
];

const PLAIN: Terminal = Terminal { coloured: false, width: None };

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Audits a dump as if it were two hours after the recordings.
async fn audited(dump: &Value, of: &str, strictness: Strictness) -> Audit {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), dump.to_string()).unwrap();
    let place = Place::Dump { files: vec![file.path().to_owned()], namespaces: Vec::new(), taken: None };
    let mut look = look(&looking(place), None).await.unwrap();
    look.taken = Taken { at: UnixTime::parse("2026-11-21T08:30:00Z").unwrap(), from: TakenFrom::Clock };
    of.clone_into(&mut look.of);
    // Every format has what JSON has.
    audit(&mut look, &[], Auditor::new(strictness, Format::Json, false)).unwrap()
}

fn printed(audit: &Audit, format: Format, terminal: Terminal) -> String {
    let mut out = Vec::new();
    audit.write(format, terminal, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn dump(scenario: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(&format!("{scenario}.dump.json"))).unwrap()).unwrap()
}

/// Everything in one list, and the same without anything but pods.
fn clusters() -> Vec<(&'static str, Value)> {
    let scenarios = ["daemonset", "digest-skew", "paused", "statefulset-partition", "stuck"];
    let mut clusters: Vec<(&str, Value)> = scenarios.into_iter().map(|scenario| (scenario, dump(scenario))).collect();
    let items = |cluster: &(&str, Value)| cluster.1["items"].as_array().unwrap().clone();
    let all: Vec<Value> = clusters.iter().flat_map(items).collect();
    let pods: Vec<Value> = all.iter().filter(|item| item["kind"] == "Pod").cloned().collect();
    clusters.push(("all", json!({"kind": "List", "apiVersion": "v1", "items": all})));
    clusters.push(("pods", json!({"kind": "List", "apiVersion": "v1", "items": pods})));
    clusters.push(("empty", json!({"kind": "List", "apiVersion": "v1", "items": []})));
    clusters.push(("hostile", hostile()));
    clusters
}

/// Names as no cluster has them, and a file may.
fn hostile() -> Value {
    let mut dump = dump("digest-skew");
    let name = "<b>&\"'`|\u{1b}[31m\u{202e}\u{7}]]>\u{0}\u{ffff} ``` [x](y) \\ *a* _b_ é\u{9b}";
    for item in dump["items"].as_array_mut().unwrap() {
        item["metadata"]["namespace"] = format!("ns {name}").into();
        if item["kind"] == "Pod" {
            let pod = item["metadata"]["name"].as_str().unwrap().to_owned();
            item["metadata"]["name"] = format!("{pod}\n\n# {name}").into();
            item["spec"]["nodeName"] = format!("node\r\n{name}").into();
            item["spec"]["containers"][0]["image"] = format!("image; rm -rf /{name}").into();
        }
    }
    dump
}

fn snapshot(scenario: &str, extension: &str) -> PathBuf {
    root().join(format!("tests/data/audit/{scenario}.{extension}"))
}

#[tokio::test]
async fn snapshots_of_every_format() {
    let update = std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1");
    for (scenario, dump) in clusters() {
        let audit = audited(&dump, &format!("{scenario}.json"), Strictness::default()).await;
        for (format, name, extension) in FORMATS {
            let printed = printed(&audit, format, PLAIN).replace(env!("CARGO_PKG_VERSION"), "VERSION");
            let file = snapshot(scenario, extension);
            if update {
                std::fs::write(&file, &printed).unwrap();
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(printed == expected, "{scenario} as {name} differs from {}: make docs\n{printed}", file.display());
        }
    }
}

#[tokio::test]
async fn other_programs_read_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<Vec<String>> = FORMATS.iter().map(|_| Vec::new()).collect();
    for (scenario, dump) in clusters() {
        for strictness in
            [Strictness::default(), Strictness { injected: true, no_deliberate: true, ..Strictness::default() }]
        {
            let audit = audited(&dump, scenario, strictness).await;
            for ((format, _, extension), files) in FORMATS.iter().zip(&mut files) {
                let file = folder.path().join(format!("{scenario}-{}.{extension}", strictness.injected));
                std::fs::write(&file, printed(&audit, *format, PLAIN)).unwrap();
                files.push(file.to_str().unwrap().to_owned());
            }
        }
    }
    let python = root().join("target/openmetrics-venv/bin/python");
    let remedy = "make target/openmetrics-venv/done";
    let script = root().join("tests/programs/formats.py");
    for ((_, name, _), files) in FORMATS.iter().zip(&files).filter(|((_, name, _), _)| *name != "table") {
        let mut arguments = vec![script.to_str().unwrap(), name, root().to_str().unwrap()];
        arguments.extend(files.iter().map(String::as_str));
        let output = programs::run(&python, &arguments, b"", remedy);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn worst_comes_first_and_the_totals_add_up() {
    let (_, all) = clusters().into_iter().find(|(name, _)| *name == "all").unwrap();
    let audit = audited(&all, "all.json", Strictness::default()).await;
    let worst: Vec<Finding> = audit.found.iter().map(|found| found.findings[0]).collect();
    assert_eq!(worst, [Finding::DigestSkew, Finding::Stalled, Finding::Held, Finding::Held, Finding::Held]);
    let totals = &audit.totals;
    assert_eq!((totals.workloads, totals.pods, totals.uniform, totals.failed), (6, 33, 1, 2));
    assert_eq!(totals.findings[&Finding::Held], 3);
    let last = printed(&audit, Format::Table, PLAIN).lines().last().unwrap().to_owned();
    assert!(
        last.starts_with("6 workloads with 33 pods in all.json: 1 uniform, 1 digest skew, 1 stalled rollout"),
        "{last}"
    );
}

#[tokio::test]
async fn a_table_keeps_to_its_width_and_nothing_in_it_moves_a_cursor() {
    let colour = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for (scenario, dump) in clusters() {
        let audit = audited(&dump, &format!("{scenario}.json"), Strictness::default()).await;
        for width in [40, 60, 80, 100, 140] {
            let text = printed(&audit, Format::Table, Terminal { coloured: false, width: Some(width) });
            for line in text.lines().filter(|line| line.chars().count() > width) {
                // One word that is longer by itself stays whole, so that it can be copied.
                let words = line.trim_start().trim_end_matches(" \\").split(' ').count();
                let quoted = line.matches('\'').count() >= 2;
                assert!(words == 1 || quoted || scenario == "hostile", "{width}: {line}");
            }
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{scenario}");
            assert!(!text.contains('\u{202e}'), "{scenario}");
        }
        let coloured = printed(&audit, Format::Table, Terminal { coloured: true, width: None });
        let plain = colour.replace_all(&coloured, "").into_owned();
        assert_eq!(plain, printed(&audit, Format::Table, PLAIN), "colours change no letter");
    }
}

#[tokio::test]
async fn a_command_that_goes_on_in_the_next_line_is_still_one_command() {
    let audit = audited(&dump("digest-skew"), "dump", Strictness::default()).await;
    let text = printed(&audit, Format::Table, Terminal { coloured: false, width: Some(60) });
    let (_, command) = text.split_once("  Do: ").unwrap();
    let (command, _) = command.split_once("\n  Why").unwrap();
    assert!(command.contains(" \\\n"), "{command}");
    let one_line = command.replace(" \\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = printed(&audit, Format::Table, PLAIN);
    assert!(whole.contains(&format!("  Do: {one_line}\n")), "{one_line}\n{whole}");
}

#[tokio::test]
async fn digests_are_cut_to_what_tells_them_apart() {
    let mut dump = dump("digest-skew");
    let digest = |last: char| format!("sha256:{}{last}", "a".repeat(63));
    for (at, item) in dump["items"].as_array_mut().unwrap().iter_mut().enumerate() {
        if item["kind"] == "Pod" {
            let digest = digest(if at % 2 == 0 { 'b' } else { 'c' });
            item["status"]["containerStatuses"][0]["imageID"] = format!("registry.example/x@{digest}").into();
        }
    }
    let audit = audited(&dump, "dump", Strictness::default()).await;
    let text = printed(&audit, Format::Table, PLAIN);
    assert!(text.contains(&digest('b')) && text.contains(&digest('c')), "{text}");
}

#[tokio::test]
async fn what_a_file_does_not_hold_is_said() {
    let (_, pods) = clusters().into_iter().find(|(name, _)| *name == "pods").unwrap();
    let audit = audited(&pods, "pods.json", Strictness::default()).await;
    let notes = audit.notes.join("\n");
    for resource in ["replicasets", "statefulsets", "daemonsets", "controllerrevisions"] {
        assert!(notes.contains(&format!("there are no {resource} in it; not known: ")), "{resource}: {notes}");
    }
    assert_eq!(audit.totals.findings[&Finding::UnknownSkew], 1);
    let dump = audited(&dump("statefulset-partition"), "dump", Strictness::default()).await;
    assert!(dump.notes.iter().any(|note| note.contains("managedFields")), "{:?}", dump.notes);
    let without_need = audited(&self::dump("digest-skew"), "dump", Strictness::default()).await;
    assert_eq!(without_need.notes, Vec::<String>::new());
}
