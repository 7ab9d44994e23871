//! The page in a real Chromium, driven by `tests/programs/browser/page.cjs`.

use super::rules::path;
use crate::needs::{Test, tests};
use regex::Regex;
use simulator::{Resource, Simulator, SimulatorConfig};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Starts a tag, ends an attribute and a string of a script, and would be executed.
const HOSTILE: &str = "\"'><img src=x onerror=window.pwned=1></script><script>window.pwned=1</script>";

/// Maximum time between two lines of output.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A podskew that runs until it is dropped, and matches of its output.
struct Started {
    process: Child,
    said: Vec<String>,
}

impl Started {
    /// Waits until each of these expressions was found in stdout and stderr, in order.
    fn new(arguments: &[&str], expressions: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        // Both in one pipe, as on a terminal.
        let shell = "exec \"$0\" \"$@\" 2>&1";
        let mut all = Command::new("sh");
        all.args(["-c", shell]).arg(command.get_program()).args(arguments).env_clear().stdout(Stdio::piped());
        command = all;
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Reads to the end, so that podskew never waits for its output to be read.
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut wanted: Vec<Regex> = expressions.iter().map(|it| Regex::new(it).unwrap()).collect();
        let mut said = vec![String::new(); wanted.len()];
        let order: Vec<String> = wanted.iter().map(|it| it.as_str().to_owned()).collect();
        while !wanted.is_empty() {
            let line = lines.recv_timeout(TIMEOUT).unwrap_or_else(|error| panic!("{error} for {wanted:?}"));
            wanted.retain(|wanted| {
                let Some(found) = wanted.captures(&line) else { return true };
                let at = order.iter().position(|it| it == wanted.as_str()).unwrap();
                said[at] = found[1].to_owned();
                false
            });
        }
        Self { process, said }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A cluster in which every name chosen by users is hostile.
fn defaced(simulator: &Simulator) {
    let dump = std::fs::read_to_string(path("tests/data/recordings/digest-skew.dump.json")).unwrap();
    let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
    for object in dump["items"].as_array().unwrap() {
        let mut text = object.to_string();
        let hostile = serde_json::to_string(HOSTILE).unwrap();
        let hostile = hostile.trim_matches('"');
        for name in ["web", "digest-skew", "registry.example"] {
            text = text.replace(&format!("\"{name}"), &format!("\"{hostile}{name}"));
        }
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_ascii_lowercase());
        let resource = Resource::ALL.into_iter().find(|resource| resource.plural() == plural).unwrap();
        let name = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        simulator.store().put_as(resource, &name("namespace"), &name("name"), object.clone());
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_shows_the_page_and_axe_finds_nothing() {
    let modules = path("target/tools/browser/node_modules");
    assert!(modules.exists(), "there is no {}: make target/tools/browser/done", modules.display());
    let demo = Started::new(
        &["demo", "--listen-address", "127.0.0.1:0"],
        &[
            r"simulated cluster \((http://[^)]+)\)",
            r"serving http://(127\.0\.0\.1:\d+)/metrics",
            "(initial sync) complete",
        ],
    );
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    defaced(&simulator);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, simulator.kubeconfig()).unwrap();
    let arguments =
        ["serve", "--listen-address", "127.0.0.1:0", "--page-messages", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let hostile = Started::new(&arguments, &[r"serving http://(127\.0\.0\.1:\d+)/metrics", "(initial sync) complete"]);
    let pictures = if std::env::var_os("UPDATE_DOCS").is_some() { "docs/page" } else { "" };
    let script = path("tests/programs/browser/page.cjs");
    let output = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.arg(script).arg(modules).args([&demo.said[1], &demo.said[0], &hostile.said[0]]).arg(pictures);
        node.output().expect("node runs: install Node 20 or newer")
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.matches("as it should be").count() >= 5, "{said}");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        chromium_shows_the_page_and_axe_finds_nothing: [NODE, BROWSER, CHROMIUM],
    ]
}
