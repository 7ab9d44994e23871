//! Real programs that serve and scrape: podskew's demo, Prometheus, and targets with a test's metrics.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use regex::Regex;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that serves on a free port, until it is dropped.
pub struct Running {
    process: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Running {
    /// Waits for the line with the port, on standard error.
    pub fn start(command: &mut Command, telling: &Regex) -> Self {
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

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Status and body of a GET, without compression.
    pub fn get(&self, path: &str, accept: &str) -> std::io::Result<(u16, String)> {
        get_as(&self.address, path, accept)
    }
}

/// Like [`Running::get`], for any server.
pub fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    get_as(address, path, "application/json")
}

fn get_as(address: &str, path: &str, accept: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // HTTP 1.0, so that there are no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (header, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = header.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Repeats for up to a minute, until there is a result.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
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
pub fn demo() -> Running {
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

/// A Prometheus that scrapes every second.
pub struct Prometheus {
    pub server: Running,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes podskew.
    pub fn start(program: &Path, target: &str) -> Self {
        Self::start_with(program, &json!([{ "job_name": "podskew", "static_configs": [{ "targets": [target] }] }]))
    }

    /// Starts one with these scrape configurations.
    pub fn start_with(program: &Path, scrape_configs: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let global = json!({ "scrape_interval": "1s", "scrape_timeout": "1s" });
        // JSON is valid YAML.
        let text = json!({ "global": global, "scrape_configs": scrape_configs }).to_string();
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let listening = Regex::new(r#"msg="Listening on".*address=127\.0\.0\.1:(\d+)"#).unwrap();
        Self { server: Running::start(&mut command, &listening), _directory: directory }
    }

    pub fn ask(&self, path: &str) -> Result<Value, String> {
        let (status, body) = self.server.get(path, "application/json").map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {body}: {error}"))?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(body) }
    }

    /// The current result of a query: each series' labels, and its value as text. An error only if Prometheus refuses the
    /// query.
    pub fn series(&self, query: &str) -> Result<Vec<(Value, String)>, String> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            write!(path, "%{byte:02x}").unwrap();
        }
        let data = self.ask(&path)?;
        let series = data["result"].as_array().ok_or("no list of series")?;
        let read = |series: &Value| (series["metric"].clone(), series["value"][1].as_str().unwrap().to_owned());
        Ok(series.iter().map(read).collect())
    }

    /// The values of a query's series; an error if there is none.
    pub fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let series = self.series(query)?;
        if series.is_empty() {
            return Err(format!("{query} has no series"));
        }
        Ok(series.iter().map(|(_, value)| value.parse().unwrap()).collect())
    }

    #[track_caller]
    pub fn answers(&self, query: &str) -> Vec<f64> {
        eventually("Prometheus answers", || self.query(query))
    }
}

/// Serves metrics on a free port until the test ends.
pub fn serve(mut metrics: impl FnMut() -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let body = metrics();
            let header = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
            let _ = write!(stream, "{header}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}
