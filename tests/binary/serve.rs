//! `podskew serve` from start to end: the real binary, a simulated API server, real signals.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use simulator::Resource;
use simulator::{BulkConfig, Fault, Simulator, SimulatorConfig, Store, bulk, put_nodes};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A podskew that watches a simulated cluster.
struct Podskew {
    process: Child,
    /// `127.0.0.1:PORT`.
    address: String,
    _kubeconfig: tempfile::NamedTempFile,
}

impl Podskew {
    fn start(simulator: &Simulator, arguments: &[&str]) -> Self {
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        simulator.write_kubeconfig(kubeconfig.path()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_podskew"))
            .args(["serve", "--listen-address", "127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig.path())
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "podskew ended before it served");
            if let Some((_, rest)) = line.split_once("serving http://127.0.0.1:") {
                break format!("127.0.0.1:{}", rest.split_once('/').unwrap().0);
            }
        };
        // A full pipe would stop the process.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address, _kubeconfig: kubeconfig }
    }

    /// The response to a GET, header and body.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: podskew\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until the response to `path` contains `text`.
    #[track_caller]
    fn shows(&self, path: &str, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.contains(text) {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "timeout waiting for {text:?}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit status, within `limit`.
    #[track_caller]
    fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < limit, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Podskew {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_listed_with_the_option_and_never_without() {
    let store = Store::new(100);
    bulk(&store, &BulkConfig { pods: 50, nodes: 40, ..BulkConfig::default() });
    put_nodes(&store, 40);
    let simulator = Simulator::start_with(SimulatorConfig::default(), store).await.unwrap();
    let asked = || simulator.requests().iter().any(|request| request.path == "/api/v1/nodes");
    let without = Podskew::start(&simulator, &[]);
    let metrics = without.shows("/metrics", "podskew_pods_by_digest{");
    assert!(!metrics.contains("resource=\"nodes\""), "{metrics}");
    drop(without);
    assert!(!asked());
    let with = Podskew::start(&simulator, &["--nodes"]);
    with.shows("/metrics", "podskew_objects{resource=\"nodes\"} 40");
    assert!(asked());
}

/// Two scrapes and a request of the API at the same time, after pauses of different lengths.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_at_most_one_second_behind() {
    let store = Store::new(100);
    bulk(&store, &BulkConfig { pods: 50, rolling_every: 0, ..BulkConfig::default() });
    let simulator = Simulator::start_with(SimulatorConfig::default(), store.clone()).await.unwrap();
    let podskew = Podskew::start(&simulator, &[]);
    podskew.shows("/readyz", "200 OK");
    let mut pods = store.list(Resource::Pods).into_iter();
    for (left, quiet) in (0..50).rev().zip([0, 300, 600, 900, 1200, 3000, 500, 0]) {
        std::thread::sleep(Duration::from_millis(quiet));
        let metadata = pods.next().unwrap()["metadata"].take();
        let [namespace, name] = ["namespace", "name"].map(|field| metadata[field].as_str().unwrap().to_owned());
        assert!(store.delete(Resource::Pods, &namespace, &name));
        std::thread::sleep(Duration::from_secs(1));
        let (scrapes, api) = std::thread::scope(|scope| {
            let scrapes = [(); 2].map(|()| scope.spawn(|| podskew.get("/metrics")));
            let api = scope.spawn(|| podskew.get("/api/v1/summary"));
            (scrapes.map(|scrape| scrape.join().unwrap()), api.join().unwrap())
        });
        for scrape in scrapes {
            assert_eq!(scrape.matches("\npodskew_pod_info{").count(), left, "after {quiet} ms");
        }
        assert!(api.replace(' ', "").contains(&format!("\"pods\":{left},")), "after {quiet} ms: {api}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_lists_what_is_missing_until_the_initial_sync() {
    let simulator = simulator().await;
    simulator.inject(Some(Resource::Deployments), Fault::Status(503));
    let podskew = Podskew::start(&simulator, &[]);
    let unready = podskew.shows("/readyz", "waiting for deployments: server_error\n");
    assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
    let alive = podskew.get("/livez");
    assert!(alive.starts_with("HTTP/1.1 200 "), "the process runs: {alive}");
    podskew.shows("/metrics", "podskew_build_info{");

    simulator.clear_faults();
    let ready = podskew.shows("/readyz", "\r\n\r\nready\n");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    podskew.shows("/", ">deployments</th><td>synced</td>");
    let metrics = podskew.shows("/metrics", "podskew_scrape_duration_seconds_count 1");
    // The 404 for Rollouts has a text that begins with a number.
    assert!(metrics.contains("\npodskew_unreadable_fields_total 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rules_are_named_with_their_namespace() {
    let simulator = simulator().await;
    simulator.inject(Some(Resource::Pods), Fault::Status(503));
    let podskew = Podskew::start(&simulator, &["--namespace", "shop,blog"]);
    podskew.shows(
        "/readyz",
        "waiting for pods in namespace blog: server_error\nwaiting for pods in namespace shop: server_error\n",
    );
    podskew.shows("/", "<code>blog</code>, <code>shop</code>");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_signal_ends_it_gracefully() {
    let simulator = simulator().await;
    for signal in ["TERM", "INT"] {
        let mut podskew = Podskew::start(&simulator, &[]);
        podskew.shows("/livez", "ok");
        podskew.signal(signal);
        assert_eq!(podskew.ends_within(Duration::from_secs(2)).code(), Some(0), "{signal}");
    }
}

/// A running request delays the shutdown for a while.
fn stopped_during_a_request(podskew: &mut Podskew) -> TcpStream {
    let mut request = TcpStream::connect(&podskew.address).unwrap();
    request.write_all(b"GET /met").unwrap();
    podskew.shows("/livez", "ok");
    podskew.signal("TERM");
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let simulator = simulator().await;
    let mut podskew = Podskew::start(&simulator, &[]);
    let _request = stopped_during_a_request(&mut podskew);
    std::thread::sleep(Duration::from_millis(300));
    assert!(podskew.process.try_wait().unwrap().is_none(), "podskew waits for the request");
    podskew.signal("TERM");
    assert_eq!(podskew.ends_within(Duration::from_secs(1)).code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_flight_holds_the_end_up_for_more_than_five_seconds() {
    let simulator = simulator().await;
    let mut podskew = Podskew::start(&simulator, &[]);
    let _request = stopped_during_a_request(&mut podskew);
    assert_eq!(podskew.ends_within(Duration::from_secs(5)).code(), Some(0));
}

/// Memory of the initial list must be freed at rest. An allocator that frees only on its next call would keep it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_memory_is_returned_at_rest() {
    let store = Store::new(16);
    let _fleet = bulk(&store, &BulkConfig { pods: 6_000, ..BulkConfig::default() });
    let simulator = Simulator::start_with(SimulatorConfig::default(), store).await.unwrap();
    let podskew = Podskew::start(&simulator, &[]);
    podskew.shows("/readyz", "\r\n\r\nready\n");
    let begun = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", podskew.process.id())).unwrap();
        let kib = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        let (peak, resident) = (kib("VmHWM"), kib("VmRSS"));
        if resident + 1024 <= peak {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{resident} KiB are still resident, the peak was {peak}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
