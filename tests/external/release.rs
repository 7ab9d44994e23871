//! The release: its workflows are pinned and valid, and kubectl's plugin manager finds their archives.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::chart::{ask, path, read};
use crate::needs::{Test, tests};
use crate::programs;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const WORKFLOWS: [&str; 4] = [
    ".github/workflows/advisories.yml",
    ".github/workflows/ci.yml",
    ".github/workflows/engines.yml",
    ".github/workflows/release.yml",
];

fn actionlint_finds_no_fault() {
    for workflow in WORKFLOWS {
        let said = ask("actionlint", &["-no-color", path(workflow).to_str().unwrap()], b"");
        assert_eq!(said, Ok(String::new()), "{workflow}");
    }
}

/// A tag can be moved, a commit cannot: the subject of this project.
fn every_action_is_pinned_by_its_commit() {
    let uses = Regex::new(r"(?m)^\s*(?:- )?uses: (.*)$").unwrap();
    let pinned = Regex::new(r"^([a-z-]+/[a-z-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$").unwrap();
    let mut commits = BTreeMap::new();
    for workflow in WORKFLOWS {
        for used in uses.captures_iter(&read(workflow)) {
            if used[1].starts_with("./") {
                assert!(path(&used[1]).exists(), "{workflow}: {}", &used[1]);
                continue;
            }
            let found = pinned.captures(&used[1]).unwrap_or_else(|| panic!("{workflow}: {} is not pinned", &used[1]));
            let commit = commits.entry(found[1].to_owned()).or_insert_with(|| found[2].to_owned());
            assert_eq!(commit[..], found[2], "{workflow}: a different commit of {}", &found[1]);
        }
    }
    assert!(commits.len() >= 10, "{commits:?}");
}

/// A release job has one write permission, after an approval, and does not run the checkout's code where it signs or
/// publishes.
fn no_job_may_write_before_somebody_agrees_nor_more_than_it_has_to() {
    let release: Value = serde_saphyr::from_str(&read(".github/workflows/release.yml")).unwrap();
    assert_eq!(release["permissions"], serde_json::json!({ "contents": "read" }));
    let jobs = release["jobs"].as_object().unwrap();
    assert_eq!(jobs["approve"]["environment"], "release");
    let needs = |job: &Value| match &job["needs"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    };
    let mut expected = BTreeMap::from([
        ("image", vec!["packages"]),
        ("chart", vec!["packages"]),
        ("sign", vec!["id-token", "packages"]),
        ("sign-files", vec!["id-token"]),
        ("provenance-of-image", vec!["attestations", "id-token", "packages"]),
        ("provenance-of-files", vec!["attestations", "id-token"]),
        ("publish", vec!["contents"]),
    ]);
    for (name, job) in jobs {
        let rights = job["permissions"].as_object().into_iter().flatten();
        let mut writes: Vec<&str> =
            rights.filter(|(_, right)| *right == "write").map(|(scope, _)| scope.as_str()).collect();
        writes.sort_unstable();
        assert_eq!(writes, expected.remove(name.as_str()).unwrap_or_default(), "{name}");
        if writes.is_empty() {
            continue;
        }
        let mut before: Vec<String> = needs(job);
        let mut at = 0;
        while at < before.len() {
            before.extend(needs(&jobs[&before[at]]));
            at += 1;
        }
        assert!(before.iter().any(|job| job == "approve"), "{name} does not wait for approve");
        let checks_out = job["steps"].to_string().contains("actions/checkout@");
        assert!(!checks_out || writes == ["packages"], "{name} has the checkout");
    }
    assert!(expected.is_empty(), "{expected:?}");
}

/// The archives that are built, checked and listed for kubectl's plugin manager are the same.
fn krew_finds_the_archives_that_are_released() {
    let platforms = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];
    let release = read(".github/workflows/release.yml");
    for archive in ["podskew_linux_$ARCH.tar.gz", "podskew_darwin_${pair##*:}.tar.gz"] {
        assert!(release.contains(archive), "{archive}");
    }
    let sum = |platform: &str| format!("{:0>64}", platform.len());
    let mut sums = String::new();
    for platform in platforms {
        writeln!(sums, "{}  podskew_{platform}.tar.gz", sum(platform)).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sums).unwrap();
    let script = path(".github/krew-manifest");
    let manifest = |version: &str, file: &Path| {
        let arguments = [script.to_str().unwrap(), version, file.to_str().unwrap()];
        programs::run(Path::new("sh"), &arguments, b"", "a shell")
    };
    let output = manifest("1.2.3", file.path());
    assert!(output.status.success());
    let plugin: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(plugin["metadata"]["name"], "podskew", "kubectl podskew");
    assert_eq!(plugin["spec"]["version"], "v1.2.3");
    let found = plugin["spec"]["platforms"].as_array().unwrap();
    assert_eq!(found.len(), platforms.len());
    for (found, platform) in found.iter().zip(platforms) {
        let (os, arch) = platform.split_once('_').unwrap();
        assert_eq!(found["selector"]["matchLabels"], serde_json::json!({ "os": os, "arch": arch }));
        assert_eq!(found["sha256"], sum(platform));
        let releases = "https://github.com/podskew/podskew/releases/download";
        assert_eq!(found["uri"], format!("{releases}/v1.2.3/podskew_{platform}.tar.gz"));
        assert_eq!(found["bin"], "podskew");
    }
    // A missing archive gives no manifest.
    std::fs::write(file.path(), "").unwrap();
    assert!(!manifest("1.2.3", file.path()).status.success());
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        actionlint_finds_no_fault: [ACTIONLINT],
        every_action_is_pinned_by_its_commit: [],
        no_job_may_write_before_somebody_agrees_nor_more_than_it_has_to: [],
        krew_finds_the_archives_that_are_released: [],
    ]
}
