//! `podskew audit` at a terminal.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use crate::common::exporter::{fill_from, simulator};
use crate::common::tape::path;
use crate::needs::{Test, tests};
use std::process::Command;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Output of the binary on a terminal of `columns` columns.
fn on_a_terminal(columns: u32, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let script = format!("{}/tests/programs/terminal.py", env!("CARGO_MANIFEST_DIR"));
    let binary = env!("CARGO_BIN_EXE_podskew");
    let mut command = Command::new("python3");
    command.args([&script, &columns.to_string(), binary, "audit"]).args(arguments);
    for name in ["NO_COLOR", "TERM", "COLUMNS", "KUBECONFIG"] {
        command.env_remove(name);
    }
    let output = command.env("TERM", "xterm").envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).replace("\r\n", "\n")
}

fn a_terminal_gets_colours_and_no_line_that_is_wider() {
    let file = path("stuck.dump.json");
    let text = on_a_terminal(60, &[], &["-f", &file]);
    assert!(text.contains("\u{1b}[1;31m"), "{text}");
    let plain = on_a_terminal(60, &[("NO_COLOR", "1")], &["-f", &file]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let longest = plain.lines().map(|line| line.chars().count()).max().unwrap();
    // The path of the file is one word.
    assert!(longest <= 60.max(file.len() + 4), "{longest}: {plain}");
    assert!(
        plain.lines().filter(|line| line.chars().count() > 60).all(|line| line.contains("stuck.dump.json")),
        "{plain}"
    );
    assert!(!on_a_terminal(60, &[("TERM", "dumb")], &["-f", &file]).contains('\u{1b}'));
}

/// Output of an audit that waits two seconds for the workloads of a recording.
async fn waiting_at(columns: u32, scenario: &'static str) -> String {
    let (simulator, folder) = (simulator().await, tempfile::tempdir().unwrap());
    fill_from(simulator.store(), scenario);
    let kubeconfig = folder.path().join("kubeconfig");
    simulator.write_kubeconfig(&kubeconfig).unwrap();
    let written = tokio::task::spawn_blocking(move || {
        let kubeconfig = kubeconfig.to_str().unwrap();
        on_a_terminal(columns, &[], &["-n", scenario, "--wait", "2s", "--kubeconfig", kubeconfig])
    });
    written.await.unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_draws_a_bar_on_a_terminal() {
    let text = waiting_at(90, "stuck").await;
    let bars: Vec<&str> = text.split("\r\u{1b}[2K").filter(|line| line.starts_with('[')).collect();
    assert!(bars.len() > 3, "{text}");
    for bar in bars {
        assert!(bar.chars().count() < 90 && bar.starts_with("[--------------------] "), "{bar}");
        assert!(bar.contains("0 of 1 workloads, 0 of 5 pods  deployment/api stalled: 55558b5"), "{bar}");
    }
}

/// All pods are ready, but run different images: the bar is not full, and the line shows what it waits for.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_one_image_shows_the_skew() {
    let text = waiting_at(200, "digest-skew").await;
    let bars: Vec<&str> = text.split("\r\u{1b}[2K").filter(|line| line.starts_with('[')).collect();
    assert!(bars.len() > 3, "{text}");
    for bar in bars {
        assert!(bar.starts_with("[###################-] "), "{bar}");
        let what =
            "0 of 1 workloads, 8 of 8 pods  deployment/web complete, digest skew in app (6 and 2 pods): 658465cf6d";
        assert!(bar.contains(what), "{bar}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        a_terminal_gets_colours_and_no_line_that_is_wider: [PYTHON3],
        waiting_draws_a_bar_on_a_terminal: [PYTHON3],
        waiting_for_one_image_shows_the_skew: [PYTHON3],
    ]
}
