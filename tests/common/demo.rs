//! `podskew demo` and a shell, as a new user has them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Timeout of a command, many times its usual duration.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A running demo; it is killed when this is dropped.
pub struct Demo {
    /// Everything that it prints at the start.
    pub banner: String,
    kubeconfig: String,
    kubectl: PathBuf,
    _process: Child,
    /// Kept open, because a process that writes to a closed pipe ends.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    /// Starts a demo with these arguments, and reads its banner. kubectl is in the folder `kubectl`.
    pub async fn start(kubectl: PathBuf, arguments: &[&str]) -> Self {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_podskew"));
        demo.args(["demo", "--listen-address", "127.0.0.1:0"]).args(arguments);
        demo.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = demo.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        while !banner.contains("Stop with Ctrl-C.") {
            banner += &(lines.next_line().await.unwrap().unwrap() + "\n");
        }
        let export = banner.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG="));
        let kubeconfig = export.unwrap().to_owned();
        Self { banner, kubeconfig, kubectl, _process: process, _stdout: lines }
    }

    /// Runs a command in a shell with podskew, kubectl and the cluster.
    pub async fn shell(&self, command: &str) -> Output {
        let podskew = Path::new(env!("CARGO_BIN_EXE_podskew")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{}:{path}", podskew.display(), self.kubectl.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("PATH", path).env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        tokio::time::timeout(TIMEOUT, shell.output()).await.unwrap_or_else(|_| panic!("{command} hangs")).unwrap()
    }

    /// Output of a command that must exit with 0, or with 1 as an audit with findings does.
    pub async fn run(&self, command: &str) -> String {
        let output = self.shell(command).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command}\n{out}{err}");
        out
    }

    /// Errors of a command that must fail.
    pub async fn fails(&self, command: &str) -> String {
        let output = self.shell(command).await;
        assert!(!output.status.success(), "{command}\n{}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
