//! The pipelines of docs/ci.md: valid for GitLab and GitHub, and their commands do what the document says.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::exporter::shop;
use crate::needs::{Test, tests};
use crate::programs;
use regex::Regex;
use serde_json::Value;
use simulator::Simulator;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/ci.md")).unwrap()
}

/// The YAML blocks, by the file name in their first line.
fn pipelines() -> Vec<(String, String)> {
    let block = Regex::new("(?s)```yaml\n# ([^\n]+)\n(.*?)```").unwrap();
    let document = document();
    block.captures_iter(&document).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

fn pipelines_are_valid_for_gitlab_and_github() {
    let folder = tempfile::tempdir().unwrap();
    let checker = root().join("target/openmetrics-venv/bin/check-jsonschema");
    let pipelines = pipelines();
    let schemas: Vec<&str> = pipelines
        .iter()
        .map(|(name, text)| {
            let schema = if name.contains("gitlab") { "vendor.gitlab-ci" } else { "vendor.github-workflows" };
            let file = folder.path().join(name.replace('/', "-"));
            std::fs::write(&file, text).unwrap();
            let arguments = ["--builtin-schema", schema, file.to_str().unwrap()];
            let output = programs::run(&checker, &arguments, b"", "make target/openmetrics-venv/done");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
            schema
        })
        .collect();
    assert_eq!(schemas, ["vendor.gitlab-ci", "vendor.github-workflows"]);
}

fn actions_are_pinned_to_commits_with_their_tags_beside() {
    let (_, workflow) = pipelines().into_iter().find(|(name, _)| name.contains("github")).unwrap();
    let pinned = Regex::new(r"^- uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    let used: Vec<&str> = workflow.lines().map(str::trim).filter(|line| line.contains("uses:")).collect();
    assert_eq!(used.len(), 3);
    for line in used {
        assert!(pinned.is_match(line), "{line}");
    }
}

/// Every line in a block of a document that runs podskew, like a shell runs it.
fn commands(text: &str) -> Vec<String> {
    let line = Regex::new(r"(?m)^\s*(?:- |run: )*(podskew audit .*)$").unwrap();
    line.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

async fn run(simulator: &Simulator, folder: &Path, command: &str) -> Output {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_podskew"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    simulator.write_kubeconfig(&folder.join("kubeconfig")).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-ec", &command.replace("--wait 10m", "--wait 1s")]).current_dir(folder).env("PATH", path);
    shell.env("KUBECONFIG", folder.join("kubeconfig")).env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
    tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_do_what_the_document_says() {
    for (name, text) in pipelines() {
        let commands = commands(&text);
        let (waits, keeps): (Vec<_>, Vec<_>) = commands.into_iter().partition(|command| command.contains("--wait"));
        assert_eq!(waits.len(), 1, "{name}");
        assert!(keeps.len() >= 2, "{name}");
        for (skewed, code) in [(false, 0), (true, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let simulator = shop(skewed).await;
            let waited = run(&simulator, folder.path(), &waits[0]).await;
            let log = String::from_utf8_lossy(&waited.stdout).into_owned();
            assert_eq!(waited.status.code(), Some(code), "{name}: {log}{}", String::from_utf8_lossy(&waited.stderr));
            assert_eq!(log.contains("Do: kubectl -n shop set image deployment/web"), skewed, "{log}");
            for command in &keeps {
                let output = run(&simulator, folder.path(), command).await;
                assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            }
            let kept = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
            let json: Value = serde_json::from_str(&kept("audit.json")).unwrap();
            let workload = &json["workloads"][0];
            assert_eq!((&workload["workload"], &workload["uniform"]), (&"web".into(), &(!skewed).into()));
            assert_eq!(workload["template_hashes"][0]["pod_template_hash"], "658465cf6d");
            let digests = workload["containers"][0]["template_hashes"][0]["digests"].as_array().unwrap();
            assert_eq!(digests.len(), if skewed { 2 } else { 1 });
            assert!(digests[0]["digest"].as_str().unwrap().starts_with("sha256:"));
            let failures = format!("tests=\"1\" failures=\"{}\"", u8::from(skewed));
            assert!(kept("audit.xml").contains(&failures), "{}", kept("audit.xml"));
            if name.contains("github") {
                assert_eq!(kept("summary.md").contains("### shop deployment/web: digest skew"), skewed);
            }
        }
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        pipelines_are_valid_for_gitlab_and_github: [PYTHON],
        actions_are_pinned_to_commits_with_their_tags_beside: [],
        the_commands_do_what_the_document_says: [],
    ]
}
