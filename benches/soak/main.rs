//! Months of churn in minutes, against the release binary: `make soak`.
//!
//! In each round 100 000 workloads are created and deleted, watches break, many clients connect, read slowly and
//! disconnect, and probes arrive. A minute later podskew uses at most 1.3 times the memory of a fresh one plus 4 MiB,
//! agrees with the API server, has all its watches, leaks no file descriptor, and has answered every probe. At the end it
//! stops within five seconds.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a program")]
#![allow(dead_code, reason = "shared with tests")]

#[path = "../../tests/common/burst.rs"]
mod burst;

use burst::Burst;
use clap::Parser;
use simulator::Resource;
use simulator::{BulkConfig, Detail, Fleet, Simulator, SimulatorConfig, Store, bulk};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// Number of rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Workloads created and deleted in each round
    #[arg(long, default_value_t = 100_000)]
    workloads: usize,
    /// Ignored; cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

/// Two thousand pods that are updated but not deleted.
const STAYING: BulkConfig =
    BulkConfig { pods: 2_000, pods_per_deployment: 10, history: 3, skewed_every: 50, rolling_every: 0, nodes: 5000 };

struct Podskew {
    process: Child,
    address: String,
}

impl Podskew {
    fn start(kubeconfig: &std::path::Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        command.args(["serve", "--log-level", "error", "--listen-address", &address, "--kubeconfig"]).arg(kubeconfig);
        let podskew = Self { process: command.spawn().unwrap(), address };
        podskew.until("it is ready", || get(&podskew.address, "/readyz").is_some_and(|text| text.contains("200 OK")));
        podskew
    }

    #[allow(clippy::unused_self, reason = "for readability")]
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(600), "{what}: not within ten minutes");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The value of one of podskew's own series.
    fn value(&self, series: &str) -> f64 {
        let text = get(&self.address, "/metrics").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }

    fn knows(&self, store: &Store) -> bool {
        [Resource::Deployments, Resource::ReplicaSets].iter().all(|resource| {
            let known = self.value(&format!("podskew_objects{{resource=\"{}\"}}", resource.plural()));
            (known - store.count(*resource) as f64).abs() < 0.5
        })
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }
}

impl Drop for Podskew {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: podskew\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Many clients, until they are stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    probes: Arc<AtomicU64>,
    slowest: Arc<Mutex<Duration>>,
}

impl Crowd {
    fn begin(address: &str) -> Self {
        let (stop, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let slowest = Arc::new(Mutex::new(Duration::ZERO));
        let mut threads = Vec::new();
        let mut spawn = |mut act: Box<dyn FnMut(&str) + Send>| {
            let (stop, address) = (stop.clone(), address.to_owned());
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    act(&address);
                }
            }));
        };
        let (counted, longest) = (probes.clone(), slowest.clone());
        spawn(Box::new(move |address| {
            for path in ["/livez", "/readyz"] {
                let begun = Instant::now();
                let answer = get(address, path).unwrap_or_default();
                assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer:?} after {:?}", begun.elapsed());
                let mut longest = longest.lock().unwrap();
                *longest = begun.elapsed().max(*longest);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(200));
        }));
        // A scraper.
        spawn(Box::new(|address| {
            let _ = get(address, "/metrics");
            std::thread::sleep(Duration::from_secs(2));
        }));
        // Clients that send nothing, half of a request or a whole one, and then keep the connection.
        let mut idle = Vec::new();
        spawn(Box::new(move |address| {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let text = ["", "GET /met", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"][idle.len() % 3];
                let _ = stream.write_all(text.as_bytes());
                idle.push(stream);
            }
            if idle.len() > 400 {
                idle.drain(..200);
            }
            std::thread::sleep(Duration::from_millis(20));
        }));
        // A slow reader, which disconnects in the middle.
        spawn(Box::new(|address| {
            let Ok(mut stream) = TcpStream::connect(address) else { return };
            let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\nAccept-Encoding: identity\r\n\r\n");
            for _ in 0..20 {
                let _ = stream.read(&mut [0; 1024]);
                std::thread::sleep(Duration::from_millis(100));
            }
        }));
        Self { stop, threads, probes, slowest }
    }

    fn end(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        (self.probes.load(Ordering::Relaxed), *self.slowest.lock().unwrap())
    }
}

/// Waits until podskew agrees with the cluster and its watches are established.
fn settles(podskew: &Podskew, simulator: &Simulator) {
    podskew.until("podskew has all objects", || podskew.knows(simulator.store()));
    podskew.until("the watches are synced", || {
        ["pods", "replicasets", "deployments"]
            .iter()
            .all(|resource| podskew.value(&format!("podskew_watch_synced{{resource=\"{resource}\"}}")) > 0.5)
    });
}

fn round(number: usize, workloads: usize, podskew: &Podskew, simulator: &Simulator, fleet: &mut Fleet) -> f64 {
    let crowd = Crowd::begin(&podskew.address);
    let store = simulator.store();
    let burst = Burst::put(store, &format!("burst-{number}"), workloads);
    for _ in 0..20 {
        fleet.update_next(Detail::Brief);
    }
    while fleet.updates_running() > 0 {
        fleet.step();
    }
    simulator.cut_connections();
    podskew.until("podskew has all objects of the burst", || podskew.knows(store));
    let full = podskew.resident_mib();
    burst.delete();
    store.forget_history(Resource::Pods);
    simulator.cut_connections();
    settles(podskew, simulator);
    let (probes, slowest) = crowd.end();
    println!("round {number}: {full:.1} MiB with {workloads} more workloads; {probes} probes, slowest {slowest:?}");
    full
}

#[tokio::main]
async fn main() {
    let Arguments { rounds, workloads, .. } = Arguments::parse();
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let mut fleet = bulk(simulator.store(), &STAYING);
    let file = tempfile::NamedTempFile::new().unwrap();
    simulator.write_kubeconfig(file.path()).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut podskew = Podskew::start(file.path());
        std::thread::sleep(Duration::from_secs(10));
        let (fresh, files) = (podskew.resident_mib(), podskew.files());
        println!("fresh: {fresh:.1} MiB, {files} files");
        for number in 0..rounds {
            round(number, workloads, &podskew, &simulator, &mut fleet);
            std::thread::sleep(Duration::from_secs(60));
            let (after, open) = (podskew.resident_mib(), podskew.files());
            println!("round {number}: {after:.1} MiB a minute later, {open} files");
            assert!(after <= 1.3 * fresh + 4.0, "{after:.1} MiB, and {fresh:.1} MiB when fresh");
            assert!(open <= files + 8, "{open} open files, and {files} when fresh");
        }
        let sent = Command::new("kill").args(["-s", "TERM", &podskew.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let begun = Instant::now();
        let status = podskew.process.wait().unwrap();
        assert!(status.success() && begun.elapsed() < Duration::from_secs(5), "{status} after {:?}", begun.elapsed());
        println!("soak: {rounds} rounds passed");
    })
    .await
    .unwrap();
}
