//! The revision in `--version`: `build.rs`, compiled and run alone in several kinds of folders.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The build script as a program.
fn script(folder: &Path) -> PathBuf {
    let program = folder.join("build-script");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc).args(["--edition", "2024", source, "-o"]).arg(&program).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

fn run(program: &Path, folder: &Path, given: Option<&str>) -> String {
    let mut command = Command::new(program);
    command.env("CARGO_MANIFEST_DIR", folder).env_remove("PODSKEW_REVISION");
    // A temporary folder may be inside another checkout.
    command.env("GIT_CEILING_DIRECTORIES", std::env::temp_dir());
    if let Some(given) = given {
        command.env("PODSKEW_REVISION", given);
    }
    let Output { status, stdout, .. } = command.output().unwrap();
    assert!(status.success());
    String::from_utf8(stdout).unwrap()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(arguments).current_dir(folder);
    let output = command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn it_is_the_packagers_or_that_of_the_checkout_or_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path());
    let (plain, checkout) = (folder.path().join("plain"), folder.path().join("checkout"));
    let inside = checkout.join("vendor/podskew");
    for path in [&plain, &inside] {
        std::fs::create_dir_all(path).unwrap();
    }
    let revision = |folder: &Path, given: Option<&str>| {
        let said = run(&program, folder, given);
        let line = said.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=PODSKEW_REVISION="));
        line.unwrap().to_owned()
    };
    git(&checkout, &["init", "-q"]);
    assert_eq!(revision(&checkout, None), "unknown", "nothing is committed");
    git(&checkout, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let head = git(&checkout, &["rev-parse", "HEAD"]);

    assert_eq!(revision(&plain, None), "unknown");
    assert_eq!(revision(&checkout, None), head[..12]);
    assert_eq!(revision(&checkout, Some("")), head[..12], "an empty variable counts as unset");
    assert_eq!(revision(&inside, None), "unknown", "the checkout is of another project");
    assert_eq!(revision(&checkout, Some("v1.2.3-4")), "v1.2.3-4");
    let refused = run(&program, &plain, Some("a b\ncargo::rustc-env=X=Y"));
    assert!(refused.contains("cargo::error=PODSKEW_REVISION is no revision"), "{refused}");
    assert!(!refused.contains("rustc-env=X=Y"), "{refused}");
}

/// Only a commit rebuilds podskew. A watched file that does not exist would rebuild it every time.
fn every_file_that_is_watched_exists_and_a_commit_changes_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path());
    let checkout = folder.path().join("checkout");
    std::fs::create_dir(&checkout).unwrap();
    git(&checkout, &["init", "-q"]);
    git(&checkout, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let watched = || -> Vec<(PathBuf, Vec<u8>)> {
        let said = run(&program, &checkout, None);
        let files = said.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
        let files = files.filter(|file| *file != "build.rs").map(|file| checkout.join(file));
        files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
    };
    let before = watched();
    assert!(!before.is_empty());
    git(&checkout, &["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_ne!(watched(), before);
    git(&checkout, &["pack-refs", "--all"]);
    git(&checkout, &["commit", "-q", "--allow-empty", "-m", "three"]);
    assert_ne!(watched(), before);
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        it_is_the_packagers_or_that_of_the_checkout_or_unknown: [GIT],
        every_file_that_is_watched_exists_and_a_commit_changes_one: [GIT],
    ]
}
