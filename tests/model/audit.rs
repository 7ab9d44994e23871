//! Output of `podskew audit` for dumps of real clusters and for one with hostile names, compared word by word.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::audited::{FORMATS, PLAIN, audited, clusters, dump, printed, root};
use podskew::advice::Finding;
use podskew::commands::audit::{AuditFormat, Strictness, Terminal};
use std::path::PathBuf;
use unicode_width::UnicodeWidthStr as _;

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
async fn the_worst_is_first_and_the_totals_add_up() {
    let (_, all) = clusters().into_iter().find(|(name, _)| *name == "all").unwrap();
    let audit = audited(&all, "all.json", Strictness::default()).await;
    let worst: Vec<Finding> = audit.found.iter().map(|found| found.findings[0]).collect();
    assert_eq!(worst, [Finding::DigestSkew, Finding::Stalled, Finding::Held, Finding::Held, Finding::Held]);
    let totals = &audit.totals;
    assert_eq!((totals.workloads, totals.pods, totals.uniform, totals.failed), (6, 33, 1, 2));
    assert_eq!(totals.findings[&Finding::Held], 3);
    let last = printed(&audit, AuditFormat::Table, PLAIN).lines().last().unwrap().to_owned();
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
            let text = printed(&audit, AuditFormat::Table, Terminal { coloured: false, width: Some(width) });
            for line in text.lines().filter(|line| line.width() > width) {
                // A single longer word stays whole, so that it can be copied.
                let words = line.trim_start().trim_end_matches(" \\").split(' ').count();
                let quoted = line.matches('\'').count() >= 2;
                assert!(words == 1 || quoted || scenario == "hostile", "{width}: {line}");
            }
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{scenario}");
            assert!(!text.contains('\u{202e}'), "{scenario}");
        }
        let coloured = printed(&audit, AuditFormat::Table, Terminal { coloured: true, width: None });
        let plain = colour.replace_all(&coloured, "").into_owned();
        assert_eq!(plain, printed(&audit, AuditFormat::Table, PLAIN), "colours do not change the text");
    }
}

/// Names in a file are arbitrary. A terminal shows some characters in two columns, and some in none.
#[tokio::test]
async fn columns_are_aligned_after_any_characters() {
    let mut dump = dump("digest-skew");
    for (at, item) in dump["items"].as_array_mut().unwrap().iter_mut().enumerate() {
        item["metadata"]["namespace"] = "漢字漢字漢字".into();
        if item["kind"] == "Pod" && at % 2 == 0 {
            item["metadata"]["name"] = format!("漢字-cafe\u{301}-{at}").into();
        }
    }
    let audit = audited(&dump, "dump", Strictness::default()).await;
    let text = printed(&audit, AuditFormat::Table, PLAIN);
    let before = |line: &str, word: &str| line.split_once(word).unwrap().0.width();
    let row = |word: &str| text.lines().find(|line| line.contains(word)).unwrap();
    assert_eq!(before(row("NAMESPACE"), "WORKLOAD"), before(row("漢字"), "deployment/"), "{text}");
    let groups: Vec<&str> = text.split("  - ").skip(1).collect();
    assert!(groups.len() == 2 && groups[0].contains("cafe\u{301}"), "{text}");
    for group in groups {
        let pods: Vec<usize> =
            group.lines().filter(|line| line.contains("  node-")).map(|line| before(line, "  node-")).collect();
        let widest =
            group.lines().filter(|line| line.contains("  node-")).map(|line| line.trim_start().split(' ').next());
        let widest = widest.map(|pod| pod.unwrap().width()).max().unwrap();
        assert!(pods.len() > 1 && pods.iter().all(|column| *column == 6 + widest), "{pods:?}\n{text}");
    }
}

#[tokio::test]
async fn a_command_may_continue_on_the_next_line() {
    let audit = audited(&dump("digest-skew"), "dump", Strictness::default()).await;
    let text = printed(&audit, AuditFormat::Table, Terminal { coloured: false, width: Some(60) });
    let (_, command) = text.split_once("  Do: ").unwrap();
    let (command, _) = command.split_once("\n  Why").unwrap();
    assert!(command.contains(" \\\n"), "{command}");
    let one_line = command.replace(" \\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = printed(&audit, AuditFormat::Table, PLAIN);
    assert!(whole.contains(&format!("  Do: {one_line}\n")), "{one_line}\n{whole}");
}

#[tokio::test]
async fn digests_are_shortened_to_a_unique_length() {
    let mut dump = dump("digest-skew");
    let digest = |last: char| format!("sha256:{}{last}", "a".repeat(63));
    for (at, item) in dump["items"].as_array_mut().unwrap().iter_mut().enumerate() {
        if item["kind"] == "Pod" {
            let digest = digest(if at % 2 == 0 { 'b' } else { 'c' });
            item["status"]["containerStatuses"][0]["imageID"] = format!("registry.example/x@{digest}").into();
        }
    }
    let audit = audited(&dump, "dump", Strictness::default()).await;
    let text = printed(&audit, AuditFormat::Table, PLAIN);
    assert!(text.contains(&digest('b')) && text.contains(&digest('c')), "{text}");
}

#[tokio::test]
async fn notes_name_what_a_file_does_not_contain() {
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
