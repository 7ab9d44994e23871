//! The measured podskew: the release binary.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::http::{Connection, Wanted};
use crate::process::Process;
use flate2::{Decompress, FlushDecompress};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Path of the binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_podskew");
/// Upper bound for the size of podskew's own metrics at the end of a response.
const TAIL_BYTES: usize = 32 * 1024;
/// Bytes between two fragments of a gzip response.
const SEAM: [u8; 4] = [0, 0, 0xff, 0xff];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const GZIP_HEADER_BYTES: usize = 10;

/// A running podskew.
pub(crate) struct Podskew {
    pub(crate) process: Process,
    /// `HOST:PORT` of its metrics.
    pub(crate) host: String,
    /// From the start to the first answer of `/livez`.
    pub(crate) live: Duration,
    /// From the start to the initial sync.
    pub(crate) ready: Duration,
}

/// A free port outside of the range for outgoing connections: one in that range may be taken before podskew listens on
/// it, even by the connection that checks whether it does.
pub(crate) fn free_port() -> Outcome<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

/// Below Linux' range for outgoing connections, which begins at 32768.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;

impl Podskew {
    /// Starts podskew, and waits until it is ready.
    pub(crate) fn start(cluster: &Cluster, arguments: &[&str]) -> Outcome<Self> {
        Self::start_with(cluster.kubeconfig.path(), arguments)
    }

    /// Like [`Self::start`], with another kubeconfig.
    pub(crate) fn start_with(kubeconfig: &Path, arguments: &[&str]) -> Outcome<Self> {
        let host = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(BINARY);
        command.args(["serve", "--log-level", "error", "--listen-address", &host]);
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        let begun = Instant::now();
        let mut process = Process::start(&mut command)?;
        let live = wait_for(&mut process, &host, "/livez", begun, Duration::from_micros(500))?;
        let ready = wait_for(&mut process, &host, "/readyz", begun, Duration::from_millis(5))?;
        Ok(Self { process, host, live, ready })
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> Outcome<Connection> {
        Connection::open(&self.host)
    }

    /// Number of events of pods, and of all resources.
    pub(crate) fn events(&self) -> Outcome<(f64, f64)> {
        let health = self.health()?;
        let sum = |label: &str| -> f64 {
            let counted = health.iter().filter(|(series, _)| series.starts_with("podskew_watch_events_total"));
            let counted = counted.filter(|(series, _)| series.contains(label));
            let changes = counted.filter(|(series, _)| series.contains("applied") || series.contains("deleted"));
            changes.map(|(_, value)| value).sum()
        };
        Ok((sum("resource=\"pods\""), sum("")))
    }

    /// Whether it has listed `count` nodes.
    pub(crate) fn knows_nodes(&self, count: u32) -> Outcome<bool> {
        let health = self.health()?;
        let known = health.get("podskew_objects{resource=\"nodes\"}");
        Ok(known.is_some_and(|known| *known >= f64::from(count)))
    }

    /// Number of references with an answer from a registry.
    pub(crate) fn answered_references(&self) -> Outcome<f64> {
        let health = self.health()?;
        let answered =
            |series: &str| series.starts_with("podskew_registry_references{") && series.contains("\"answered\"");
        Ok(health.iter().filter(|(series, _)| answered(series)).map(|(_, count)| count).sum())
    }

    /// Number of tags reported as moved.
    pub(crate) fn moved_tags(&self) -> Outcome<u32> {
        let mut text = Vec::new();
        self.connect()?.get_with("/metrics", None, &mut |here| {
            text.extend_from_slice(here);
            Wanted::More
        })?;
        let text = String::from_utf8_lossy(&text);
        let moved =
            |line: &&str| line.starts_with("podskew_tag_moved_age_seconds{") && !line.contains("change=\"none\"");
        Ok(u32::try_from(text.lines().filter(moved).count())?)
    }

    fn health(&self) -> Outcome<BTreeMap<String, f64>> {
        let mut connection = self.connect()?;
        Health::default().read(&mut connection)
    }
}

/// podskew's own metrics, read from the end of a compressed response: this costs podskew a scrape, and this process almost
/// nothing.
#[derive(Default)]
pub(crate) struct Health {
    tail: Vec<u8>,
}

impl Health {
    /// Scrapes, and reads the numbers by series.
    pub(crate) fn read(&mut self, connection: &mut Connection) -> Outcome<BTreeMap<String, f64>> {
        self.tail.clear();
        let tail = &mut self.tail;
        connection.get_with("/metrics", Some("gzip"), &mut |here| {
            tail.extend_from_slice(&here[here.len().saturating_sub(TAIL_BYTES)..]);
            let excess = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..excess);
            Wanted::More
        })?;
        let seams = memchr::memmem::rfind_iter(&self.tail, &SEAM);
        // These bytes may occur elsewhere by chance. The first start that can be decoded is that of the last fragment.
        let starts = seams.map(|at| at + SEAM.len());
        // A response without any family of the cluster has no fragment before the last.
        let starts = starts.chain(self.tail.starts_with(&GZIP_MAGIC).then_some(GZIP_HEADER_BYTES));
        let mut text = starts.filter_map(|start| inflate(&self.tail[start..]));
        let text = text.find(|text| text.contains("podskew_watch_events_total{"));
        let text = text.ok_or("the answer does not end with podskew's own health")?;
        let series = text.lines().filter_map(|line| line.rsplit_once(' '));
        Ok(series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }
}

fn inflate(deflated: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(512 * 1024);
    Decompress::new(false).decompress_vec(deflated, &mut text, FlushDecompress::Finish).ok()?;
    String::from_utf8(text).ok()
}

/// Sends requests until the status is 200; returns the time since `begun`. A pause between two is at most `pause`, and at
/// most a fiftieth of the measured time.
pub(crate) fn wait_for(
    process: &mut Process,
    host: &str,
    path: &str,
    begun: Instant,
    pause: Duration,
) -> Outcome<Duration> {
    let mut connection = None;
    while begun.elapsed() < Duration::from_secs(600) {
        if connection.is_none() {
            connection = Connection::open(host).ok();
        }
        match connection.as_mut().map(|open| open.get(path, None)) {
            Some(Ok(answer)) if answer.status == 200 => return Ok(begun.elapsed()),
            Some(Ok(_)) => {}
            _ => connection = None,
        }
        if !process.runs() {
            return Err(format!("the process behind {host} has ended").into());
        }
        std::thread::sleep(pause.min(begun.elapsed() / 50));
    }
    Err(format!("http://{host}{path} is not 200 after ten minutes").into())
}
