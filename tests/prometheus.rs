//! Real Prometheus servers scrape the real binary on its demo cluster.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod programs;

use podskew::exposition::{FAMILIES, docs::HEALTH_FAMILIES};
use regex::Regex;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that serves on a port of its own choice, until it is dropped.
struct Running {
    process: Child,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Running {
    /// Waits for the line that tells the port, on standard error.
    fn start(command: &mut Command, telling: &Regex) -> Self {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut running = Self { process, address: String::new() };
        let mut so_far = String::new();
        while running.address.is_empty() {
            let begun = so_far.len();
            assert!(log.read_line(&mut so_far).unwrap() > 0, "{command:?} ended before it served:\n{so_far}");
            if let Some(found) = telling.captures(&so_far[begun..]) {
                running.address = format!("127.0.0.1:{}", &found[1]);
            }
        }
        // A full pipe would stop the process.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        running
    }

    /// The status and the body of the answer to a GET; the body is not compressed.
    fn get(&self, path: &str, accept: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let host = &self.address;
        // 1.0: no chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (header, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = header.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tries again, for a minute, until there is an answer.
#[track_caller]
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `podskew demo`, ready.
fn demo() -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PODSKEW_") {
            command.env_remove(name);
        }
    }
    command.args(["demo", "--listen-address", "127.0.0.1:0"]);
    let demo = Running::start(&mut command, &Regex::new(r"serving http://127\.0\.0\.1:(\d+)/metrics").unwrap());
    eventually("the demo is ready", || match demo.get("/readyz", "*/*") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    demo
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

#[track_caller]
fn metrics(demo: &Running, accept: &str) -> String {
    let (status, metrics) = demo.get("/metrics", accept).unwrap();
    assert_eq!(status, 200, "{metrics}");
    metrics
}

/// A Prometheus that scrapes podskew every second.
struct Prometheus {
    server: Running,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn start(program: &Path, target: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let scrape = serde_json::json!({ "job_name": "podskew", "static_configs": [{ "targets": [target] }] });
        let global = serde_json::json!({ "scrape_interval": "1s", "scrape_timeout": "1s" });
        // YAML reads JSON.
        let text = serde_json::json!({ "global": global, "scrape_configs": [scrape] }).to_string();
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let listening = Regex::new(r#"msg="Listening on".*address=127\.0\.0\.1:(\d+)"#).unwrap();
        Self { server: Running::start(&mut command, &listening), _directory: directory }
    }

    fn ask(&self, path: &str) -> Result<Value, String> {
        let (status, body) = self.server.get(path, "application/json").map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {body}: {error}"))?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(body) }
    }

    /// The values of a query's series; at least one, or an error.
    fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            write!(path, "%{byte:02x}").unwrap();
        }
        let data = self.ask(&path)?;
        let series = data["result"].as_array().ok_or("no list of series")?;
        let values = series.iter().map(|series| series["value"][1].as_str().and_then(|value| value.parse().ok()));
        match values.collect::<Option<Vec<f64>>>() {
            Some(values) if !values.is_empty() => Ok(values),
            _ => Err(format!("{query} has no series: {data}")),
        }
    }

    #[track_caller]
    fn answers(&self, query: &str) -> Vec<f64> {
        eventually("Prometheus answers", || self.query(query))
    }
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The code blocks of the README that are written in `language`.
fn code_blocks(language: &str) -> Vec<String> {
    let block = Regex::new(&format!("(?s)```{language}\n(.*?)```")).unwrap();
    block.captures_iter(&readme()).map(|block| block[1].to_owned()).collect()
}

/// What has no series in a cluster where all goes well at this moment.
const MAY_BE_EMPTY: [&str; 2] = ["podskew_pods_awaiting_owner", "podskew_terminating_pods"];

#[track_caller]
fn scrapes_everything(program: &Path, version: &str) {
    let output = programs::run(program, &["--version"], b"", "");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains(&format!("prometheus, version {version}")), "not Prometheus {version}*: {printed}");

    let demo = demo();
    let prometheus = Prometheus::start(program, &demo.address);
    eventually("Prometheus scrapes", || match prometheus.query("up")?[..] {
        [1.0] => Ok(()),
        ref other => Err(format!("up is {other:?}: {:?}", prometheus.ask("/api/v1/targets?state=active"))),
    });

    let has_series = |name: &&str| !MAY_BE_EMPTY.contains(name);
    for name in FAMILIES.iter().map(|family| family.name).filter(has_series) {
        assert!(!prometheus.answers(name).is_empty());
    }
    for family in HEALTH_FAMILIES {
        let name = family.name.to_owned() + if family.kind == "histogram" { "_count" } else { "" };
        assert!(!prometheus.answers(&name).is_empty());
    }
    // Families without series are announced all the same.
    for name in FAMILIES.iter().map(|family| family.name) {
        let metadata = prometheus.ask(&format!("/api/v1/metadata?metric={name}")).unwrap();
        assert_eq!(metadata[name][0]["type"], "gauge", "{name}: {metadata}");
    }

    // The README's questions are answered, and by the workload that the README says.
    let queries = code_blocks("promql");
    assert_eq!(queries.len(), 2, "{queries:?}");
    for (query, workload) in queries.iter().zip(["web", "ledger"]) {
        let of_workload = format!("({query}) and on (workload) podskew_pod_info{{workload=\"{workload}\"}}");
        assert_eq!((prometheus.answers(query).len(), prometheus.answers(&of_workload).len()), (1, 1), "{query}");
    }

    // It took gzip, and nothing else.
    assert!(prometheus.answers(r#"podskew_exposition_bytes{encoding="gzip"} > 0"#)[0] > 1000.0);
    assert_eq!(prometheus.answers(r#"podskew_exposition_bytes{encoding="identity"}"#), [0.0]);
}

#[test]
fn debians_prometheus_scrapes_everything() {
    scrapes_everything(Path::new("prometheus"), "2.");
}

#[test]
fn prometheus_3_scrapes_everything() {
    scrapes_everything(&programs::prometheus3(), "3.");
}

#[test]
fn promtool_has_nothing_to_say_about_the_demo() {
    let metrics = metrics(&demo(), "text/plain; version=0.0.4");
    assert!(metrics.contains("\npodskew_skewed_pod_info{"), "{metrics}");
    programs::promtool_has_nothing_to_say(metrics.as_bytes());
}

#[test]
fn pythons_client_reads_the_demo() {
    let metrics = metrics(&demo(), OPENMETRICS);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let read = programs::read_by_pythons_client(metrics.as_bytes());
    for family in FAMILIES {
        assert!(read.contains(&format!("{} gauge ", family.name)), "{} in {read}", family.name);
    }
    for family in HEALTH_FAMILIES {
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        assert!(read.contains(&format!("{name} {} ", family.kind)), "{name} in {read}");
    }
}

/// Whoever follows the README sees what it shows.
#[test]
fn the_readmes_excerpt_is_what_the_demo_serves() {
    let [excerpt] = &code_blocks("text")[..] else { panic!("one excerpt of the metrics") };
    let metrics = metrics(&demo(), "text/plain");
    assert!(excerpt.lines().count() >= 4, "{excerpt}");
    for line in excerpt.lines() {
        let series = line.rsplit_once(' ').unwrap().0;
        // Ages go on.
        let expected = if series.contains("_age_seconds{") { series } else { line };
        let served = metrics
            .lines()
            .any(|served| served.strip_prefix(expected).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')));
        assert!(served, "the demo does not serve {expected}");
    }
}
