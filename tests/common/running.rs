//! Runs the real binary like a user: with a kubeconfig, a port, a log, and scrapes.

use super::exposition::{Parsed, gunzip};
use podskew::exposition::FAMILIES;
use podskew::time::UnixTime;
use simulator::Simulator;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Timeout for anything that must happen: many times the usual duration, so that no test fails on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// Interval between two checks.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A running podskew; it is killed when this is dropped.
pub struct Running {
    process: Child,
    /// `127.0.0.1:PORT`.
    address: String,
    log: Arc<Mutex<String>>,
    _kubeconfig: tempfile::TempDir,
}

/// The result of a scrape, and its time.
pub struct Scrape {
    pub at: UnixTime,
    pub text: String,
    pub parsed: Parsed,
}

impl Scrape {
    /// Whether there are only podskew's own metrics.
    pub fn has_only_own_metrics(&self) -> bool {
        FAMILIES.iter().all(|family| self.parsed.series(family.name, &[]).is_empty())
            && self.parsed.value("podskew_watch_synced", &[("resource", "pods")]).is_some()
    }

    /// One of podskew's own values for a resource.
    pub fn of_resource(&self, name: &str, resource: &str) -> f64 {
        self.parsed.value(name, &[("resource", resource)]).unwrap()
    }

    /// Number of failures of a resource's watch for a reason.
    pub fn failures(&self, resource: &str, reason: &str) -> f64 {
        self.parsed.value("podskew_watch_failures_total", &[("resource", resource), ("reason", reason)]).unwrap()
    }
}

impl Running {
    /// Starts podskew with a simulated cluster.
    pub fn start(simulator: &Simulator, arguments: &[&str]) -> Self {
        Self::start_with(&simulator.kubeconfig(), arguments)
    }

    /// Starts podskew with a kubeconfig.
    pub fn start_with(kubeconfig: &str, arguments: &[&str]) -> Self {
        Self::start_in(kubeconfig, arguments, &[])
    }

    /// Like [`Self::start_with`], with only these environment variables.
    pub fn start_in(kubeconfig: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig).unwrap();
        let (process, address, log) = start(&file, arguments, variables);
        Self { process, address, log, _kubeconfig: directory }
    }

    /// Sends SIGTERM like Kubernetes; returns whether the process then exits with success.
    pub fn ends_after_sigterm(&mut self) -> bool {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT {
            if let Some(status) = self.process.try_wait().unwrap() {
                return told.success() && status.success();
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        false
    }

    /// The address that it serves on, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Peak resident memory, in bytes.
    pub fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let header = "Host: podskew\r\nAccept-Encoding: gzip\r\nConnection: close";
        write!(stream, "GET {path} HTTP/1.1\r\n{header}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let (head, body) = (String::from_utf8(answer[..end].to_vec()).unwrap(), &answer[end + 4..]);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let gzip = head.to_ascii_lowercase().contains("content-encoding: gzip");
        (status, if gzip { gunzip(body) } else { String::from_utf8(body.to_vec()).unwrap() })
    }

    /// Scrapes within one second of the clock, so that start times can be computed from ages.
    pub fn scrape(&self) -> Scrape {
        loop {
            let at = UnixTime::now();
            let (status, text) = self.get("/metrics");
            assert_eq!(status, 200, "{text}");
            if UnixTime::now() == at {
                return Scrape { at, parsed: Parsed::read(&text), text };
            }
        }
    }

    /// Whether the initial sync is complete.
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").0 == 200
    }

    /// Waits for the initial sync.
    pub async fn until_ready(&self) {
        let begun = Instant::now();
        while !self.is_ready() {
            assert!(begun.elapsed() < TIMEOUT, "not ready: {}\n{}", self.get("/readyz").1, self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Repeats a GET until its response is the wanted one.
    pub async fn until_answered(&self, path: &str, found: impl Fn(u16, &str) -> bool) {
        let begun = Instant::now();
        loop {
            let (status, body) = self.get(path);
            if found(status, &body) {
                return;
            }
            assert!(begun.elapsed() < TIMEOUT, "{path} responds with {status} {body}\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Repeats a scrape until it is the wanted one.
    pub async fn until(&self, what: &str, mut found: impl FnMut(&Scrape) -> bool) -> Scrape {
        let begun = Instant::now();
        loop {
            let scrape = self.scrape();
            if found(&scrape) {
                return scrape;
            }
            assert!(begun.elapsed() < TIMEOUT, "timeout waiting for {what}:\n{}\n{}", scrape.text, self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Resident memory, in MiB.
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log contains a text.
    pub async fn until_logged(&self, text: &str) {
        let begun = Instant::now();
        while !self.log().contains(text) {
            assert!(begun.elapsed() < TIMEOUT, "{text:?} is not logged:\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(kubeconfig: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Child, String, Arc<Mutex<String>>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_podskew"))
        .args(["serve", "--listen-address", "127.0.0.1:0", "--kubeconfig"])
        .arg(kubeconfig)
        .args(arguments)
        // No proxy and no settings from the environment of the test.
        .env_clear()
        .envs(variables.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("podskew ended before it served").unwrap();
        let address = line.split_once("serving http://").map(|(_, rest)| rest.split_once('/').unwrap().0.to_owned());
        note(&log, &line);
        if let Some(address) = address {
            break address;
        }
    };
    let writer = Arc::clone(&log);
    // A full pipe would stop the process.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| note(&writer, &line)));
    (process, address, log)
}

fn note(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap();
    log.push_str(line);
    log.push('\n');
}
