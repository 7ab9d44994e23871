//! The release: its workflows are pinned and free of faults, and kubectl's plugin manager finds what they make.
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

/// A tag can be moved, a commit cannot: what this project is about.
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
            assert_eq!(commit[..], found[2], "{workflow}: another commit of {}", &found[1]);
        }
    }
    assert!(commits.len() >= 10, "{commits:?}");
}

/// What is built, what is checked, what kubectl's plugin manager is told: the same archives.
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
    // An archive that is missing is no manifest.
    std::fs::write(file.path(), "").unwrap();
    assert!(!manifest("1.2.3", file.path()).status.success());
}

/// The tests, and what each needs.
pub fn tests() -> Vec<Test> {
    tests![
        actionlint_finds_no_fault: [ACTIONLINT],
        every_action_is_pinned_by_its_commit: [],
        krew_finds_the_archives_that_are_released: [],
    ]
}
