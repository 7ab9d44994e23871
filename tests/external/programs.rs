//! Other projects' programs that check podskew's output.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program with this input. Panics with the remedy if it is not installed.
#[track_caller]
pub fn run(program: &Path, arguments: &[&str], input: &[u8], remedy: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not run ({error}): {remedy}", program.display()));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written in parallel to reading, because a large output would fill the pipe.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    output
}

#[track_caller]
pub fn promtool(arguments: &[&str], input: &[u8]) -> Output {
    run(Path::new("promtool"), arguments, input, "apt-get install prometheus (it may stay stopped)")
}

/// Checks that `promtool check metrics` has no complaints about this exposition.
#[track_caller]
pub fn promtool_has_no_complaints(metrics: &[u8]) {
    let output = promtool(&["check", "metrics"], metrics);
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Parses this OpenMetrics exposition with Python's client: a line for each family, with its type and its number of
/// samples.
#[track_caller]
pub fn read_by_pythons_client(openmetrics: &[u8]) -> String {
    let of_venv = root().join("target/openmetrics-venv/bin/python");
    let python = if of_venv.exists() { of_venv } else { PathBuf::from("python3") };
    let remedy = "make target/openmetrics-venv/done";
    let script = root().join("tests/openmetrics_check.py");
    let output = run(&python, &[script.to_str().unwrap()], openmetrics, remedy);
    assert_ne!(output.status.code(), Some(3), "Python's prometheus_client is missing: {remedy}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The Prometheus 3 that `make test` builds, or another in `PROMETHEUS3`.
#[track_caller]
pub fn prometheus3() -> PathBuf {
    let path = std::env::var_os("PROMETHEUS3").map_or_else(|| root().join("target/tools/prometheus"), PathBuf::from);
    assert!(
        path.exists(),
        "there is no {}: make target/tools/prometheus, or name another in PROMETHEUS3",
        path.display()
    );
    path
}

/// Prometheus' exporter-toolkit.
#[track_caller]
pub fn toolkit() -> PathBuf {
    let path = root().join("target/tools/access");
    assert!(path.exists(), "there is no {}: make target/tools/access", path.display());
    path
}

/// The protobuf that an API server would send for each of these lines (an object, a list or an event of a watch in JSON),
/// by Kubernetes' own types and encoders. An event begins with the length of its message.
#[track_caller]
pub fn in_protobuf(lines: &[String]) -> Vec<Vec<u8>> {
    let remedy = "make target/tools/protobuf";
    let output = run(&root().join("target/tools/protobuf"), &["encode"], lines.join("\n").as_bytes(), remedy);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut rest, mut answers) = (output.stdout.as_slice(), Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (answer, behind) = behind.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        answers.push(answer.to_vec());
        rest = behind;
    }
    assert_eq!(answers.len(), lines.len(), "an answer for each line");
    answers
}

/// The folder of kubectl and of Argo Rollouts' plugin, which kubectl finds in `PATH`.
#[track_caller]
pub fn kubectl() -> PathBuf {
    let folder = root().join("target/tools/kubectl");
    assert!(folder.join("kubectl-argo-rollouts").exists(), "there is no kubectl: make target/tools/kubectl/done");
    folder
}
